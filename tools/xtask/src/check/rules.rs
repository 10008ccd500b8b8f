//! The rules of the house that only look at files and manifests. Each returns what it finds wrong.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::{layers::Layers, licences, source::Source};
use crate::{paths::Workspace, process, toolchain};

/// `tools/xtask/house.toml`: what is allowed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct House {
    licences: Vec<String>,
    /// The licences of dependencies whose manifests name only a file.
    licence_files: BTreeMap<String, String>,
    longest_file: usize,
    /// Packages for the host that are not among the default members.
    pub host_packages: Vec<String>,
    unsafe_allowed: BTreeMap<String, String>,
    long_files: BTreeMap<String, String>,
    kernel_layers: BTreeMap<String, Vec<String>>,
    /// Folders that have files of the same names.
    same_files: Vec<SameFiles>,
    /// The layers of `pecan-core`.
    pub core_layers: Layers,
    /// Of each file of `pecan-mem` and `pecan-arch`, the public functions that are safe to call and have unsafe code in them.
    sealed: BTreeMap<String, Vec<String>>,
}

/// Folders of which each has files of the same names.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SameFiles {
    folders: Vec<String>,
    /// Files that only one of them has, each with its reason.
    exceptions: BTreeMap<String, String>,
}

impl House {
    /// Reads the file.
    pub fn load(ws: &Workspace) -> Result<House> {
        let path = ws.join("tools/xtask/house.toml");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("cannot understand {}", path.display()))
    }
}

/// A Rust file of the working tree.
pub struct File {
    /// Its path below the top folder.
    pub path: String,
    /// What is in it.
    pub source: Source,
}

impl File {
    /// Whether the whole file is tests.
    pub fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }
}

/// All Rust files, sorted by path. Folders of builds and hidden ones are left out.
pub fn rust_files(ws: &Workspace) -> Result<Vec<File>> {
    let mut paths = Vec::new();
    collect(ws.root(), &mut paths)?;
    paths.sort();
    let read = |path: PathBuf| -> Result<File> {
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let relative = path.strip_prefix(ws.root()).unwrap_or(&path).to_string_lossy().into_owned();
        Ok(File { path: relative, source: Source::new(&text) })
    };
    paths.into_iter().map(read).collect()
}

fn collect(dir: &Path, out: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                collect(&path, out)?;
            }
        } else if name.ends_with(".rs") {
            out.push(path);
        }
    }
    Ok(())
}

/// A package of the dependency graph.
#[derive(Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    id: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
}

/// What `cargo metadata` says of the workspace.
#[derive(Deserialize)]
pub struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
    workspace_default_members: Vec<String>,
}

impl Metadata {
    /// Asks cargo; Cargo.lock must be up to date.
    pub fn load(ws: &Workspace) -> Result<Metadata> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        toolchain::clean(&mut command);
        command.current_dir(ws.root()).args(["metadata", "--format-version", "1", "--locked"]);
        serde_json::from_str(&process::output(&mut command)?).context("cannot understand cargo's metadata")
    }

    /// The workspace's own packages.
    pub fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|p| self.workspace_members.contains(&p.id))
    }

    /// The workspace's packages that are not for the host.
    pub fn bare_metal(&self, house: &House) -> impl Iterator<Item = &Package> {
        let others = self.members().filter(|p| !self.workspace_default_members.contains(&p.id));
        others.filter(|p| !house.host_packages.contains(&p.name))
    }
}

/// `unsafe`, `target_arch` and `static mut` stay where they may be, and unsafe code is explained.
pub fn layering(house: &House, files: &[File]) -> Vec<String> {
    let mut wrong = Vec::new();
    for file in files {
        let mut report = |phrase: &str, why: &str| {
            wrong.extend(
                file.source.lines_with(phrase).iter().map(|n| format!("{}:{n}: `{phrase}` {why}", file.path)),
            );
        };
        report("static mut", "is allowed nowhere: use a cell");
        if file.path.starts_with("kernel/core/") {
            report(
                "target_arch",
                "does not belong into the portable kernel: put it behind the port contract",
            );
            if !file.path.ends_with("/arch/mod.rs") && !file.is_test() {
                report(
                    "pecan_arch =",
                    "chooses an architecture: in the portable kernel only the `mod.rs` of an `arch` folder does",
                );
            }
        }
        if !house.unsafe_allowed.keys().any(|dir| file.path.starts_with(&format!("{dir}/"))) {
            report("unsafe", "is not allowed here: see unsafe_allowed in tools/xtask/house.toml");
        }
    }
    let core = files.iter().find(|f| f.path == "kernel/core/src/lib.rs");
    if core.is_some_and(|f| f.source.lines_with("forbid unsafe_code").is_empty()) {
        wrong.push("kernel/core/src/lib.rs: lacks #![forbid(unsafe_code)]".into());
    }
    wrong
}

/// Each port has the files that the others have, so that who knows one finds the way in all; and so have the folders of
/// each architecture.
pub fn same_files(house: &House, files: &[File]) -> Vec<String> {
    let mut wrong = Vec::new();
    for SameFiles { folders, exceptions } in &house.same_files {
        let names = |folder: &String| -> BTreeSet<&str> {
            let within = files.iter().filter_map(|f| f.path.strip_prefix(folder.as_str())?.strip_prefix('/'));
            within.filter(|name| !exceptions.contains_key(&format!("{folder}/{name}"))).collect()
        };
        let all: BTreeSet<&str> = folders.iter().flat_map(names).collect();
        for folder in folders {
            let own = names(folder);
            let missing = all.difference(&own).map(|name| format!("{folder} has no {name}, as others have"));
            wrong.extend(missing);
        }
        let gone = exceptions.keys().filter(|path| !files.iter().any(|f| f.path == **path));
        wrong.extend(gone.map(|path| format!("same_files in tools/xtask/house.toml: there is no {path}")));
    }
    wrong
}

/// The crates that have the unsafe code under the portable kernel.
const SEALED: [&str; 2] = ["kernel/mem/src/", "kernel/arch/src/"];

/// What the portable kernel can build on in `pecan-mem` and `pecan-arch` is listed: whoever adds a function that makes a
/// link or a capability, or follows one, or that has the processor do something, decides that.
pub fn sealed(house: &House, files: &[File]) -> Vec<String> {
    const LIST: &str = "[sealed] in tools/xtask/house.toml";
    let mut wrong = Vec::new();
    // What a machine does not have, tests do.
    let on_machines = |f: &&File| {
        !f.is_test()
            && !f.path.ends_with("/host.rs")
            && !f.path.contains("/host/")
            && !f.path.ends_with("/testing.rs")
    };
    let sealed = |f: &&File| SEALED.iter().any(|folder| f.path.starts_with(folder));
    for file in files.iter().filter(sealed).filter(on_machines) {
        let found = file.source.safe_over_unsafe();
        let listed = house.sealed.get(&file.path).map_or(&[][..], |names| names);
        let new = found.iter().filter(|name| !listed.contains(name));
        wrong.extend(new.map(|name| format!("{}: `{name}` is safe over unsafe code: see {LIST}", file.path)));
        let old = listed.iter().filter(|name| !found.contains(name));
        wrong.extend(old.map(|name| format!("{LIST}: {} has no such function `{name}`", file.path)));
    }
    let gone = house.sealed.keys().filter(|path| !files.iter().any(|f| f.path == **path));
    wrong.extend(gone.map(|path| format!("{LIST}: there is no {path}")));
    wrong
}

/// Every unsafe block and impl has a `SAFETY:` comment above it, whatever configuration compiles it.
pub fn explained(files: &[File]) -> Vec<String> {
    let of = |file: &File| -> Vec<String> {
        let bare = file.source.unsafes().into_iter().filter(|u| !u.explained);
        bare.map(|u| format!("{}:{}: no SAFETY comment above", file.path, u.line)).collect()
    };
    files.iter().flat_map(of).collect()
}

/// No file is long without a reason, and no reason is left of a file that is not.
pub fn lengths(house: &House, files: &[File]) -> Vec<String> {
    let long = |f: &&File| f.source.lines() > house.longest_file;
    let mut wrong: Vec<String> = files
        .iter()
        .filter(long)
        .filter(|f| !house.long_files.contains_key(&f.path))
        .map(|f| {
            format!(
                "{}: {} lines: split it, or give a reason in tools/xtask/house.toml",
                f.path,
                f.source.lines()
            )
        })
        .collect();
    let listed = house.long_files.keys().filter(|path| !files.iter().filter(long).any(|f| f.path == **path));
    wrong.extend(listed.map(|path| format!("tools/xtask/house.toml: {path} is not long (any more)")));
    wrong
}

/// The kernel's crates depend only downwards, and on nothing from outside.
pub fn directions(house: &House, metadata: &Metadata) -> Vec<String> {
    let mut wrong = Vec::new();
    for package in metadata.members() {
        let Some(below) = house.kernel_layers.get(&package.name) else { continue };
        let real = package.dependencies.iter().filter(|d| d.kind.as_deref() != Some("dev"));
        for dependency in real.filter(|d| !below.contains(&d.name)) {
            wrong.push(format!(
                "{} depends on {}, which does not lie below it",
                package.name, dependency.name
            ));
        }
    }
    wrong
}

/// Every crate says what it is in a README.md.
pub fn readmes(ws: &Workspace, metadata: &Metadata) -> Vec<String> {
    let mut wrong = Vec::new();
    for package in metadata.members() {
        let readme = package.manifest_path.with_file_name("README.md");
        let shown = readme.strip_prefix(ws.root()).unwrap_or(&readme).display().to_string();
        match fs::read_to_string(&readme) {
            Err(_) => wrong.push(format!("{shown} is missing")),
            Ok(text) if text.lines().count() < 4 => wrong.push(format!("{shown} says nearly nothing")),
            Ok(_) => {}
        }
    }
    wrong
}

/// Dependencies have licences that go with ours.
pub fn licences(house: &House, metadata: &Metadata) -> Vec<String> {
    let outside = metadata.packages.iter().filter(|p| p.source.is_some());
    let licence = |p: &&Package| p.license.as_ref().or_else(|| house.licence_files.get(&p.name)).cloned();
    outside
        .filter(|p| !licence(p).is_some_and(|l| licences::acceptable(&l, &house.licences)))
        .map(|p| {
            let licence = p.license.as_deref().unwrap_or("none in its manifest");
            format!(
                "{} {}: licence {licence}; those allowed are in tools/xtask/house.toml",
                p.name, p.version
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn house() -> House {
        let mut house = House::load(&Workspace::find().unwrap()).unwrap();
        house.longest_file = 3;
        house.long_files = [("kernel/mem/src/b.rs".to_string(), "because".to_string())].into();
        house
    }

    fn file(path: &str, text: &str) -> File {
        File { path: path.into(), source: Source::new(text) }
    }

    #[test]
    fn functions_that_break_the_seal_are_found() {
        let mut house = house();
        let path = "kernel/mem/src/a.rs";
        house.sealed = [(path.to_string(), vec!["known".to_string(), "gone".to_string()])].into();
        let text = "pub fn known() { unsafe { x() } }\npub fn new() { unsafe { x() } }\npub fn fine() {}\n";
        let beside = ["kernel/mem/src/testing.rs", "kernel/arch/src/host/a.rs", "kernel/image/src/a.rs"];
        let mut files = vec![file(path, text)];
        files.push(file("kernel/arch/src/x86_64/b.rs", "pub fn other() { unsafe { x() } }"));
        files.extend(beside.map(|path| file(path, text)));
        let wrong = sealed(&house, &files);
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        assert!(wrong[0].starts_with("kernel/mem/src/a.rs: `new`") && wrong[1].ends_with("`gone`"));
        assert!(wrong[2].starts_with("kernel/arch/src/x86_64/b.rs: `other`"));
    }

    #[test]
    fn files_that_only_one_port_has_are_found() {
        let mut house = house();
        let folders = ["a/x".to_string(), "a/y".to_string()].to_vec();
        let exceptions = [("a/x/own.rs", "why"), ("a/x/gone.rs", "why")];
        let exceptions = exceptions.map(|(path, why)| (path.to_string(), why.to_string())).into();
        house.same_files = vec![SameFiles { folders, exceptions }];
        let files = ["a/x/both.rs", "a/y/both.rs", "a/x/own.rs", "a/y/new.rs"].map(|path| file(path, ""));
        assert_eq!(
            same_files(&house, &files),
            [
                "a/x has no new.rs, as others have",
                "same_files in tools/xtask/house.toml: there is no a/x/gone.rs"
            ]
        );
    }

    #[test]
    fn layering_finds_what_is_out_of_place() {
        let files = [
            file(
                "kernel/core/src/lib.rs",
                "#![forbid(unsafe_code)]\n#[cfg(target_arch = \"x86_64\")]\nfn a() {}\n",
            ),
            file("kernel/mem/src/lib.rs", "fn a() {\n    unsafe { b() }\n}\nstatic mut C: u8 = 0;\n"),
            file("kernel/coreless/src/lib.rs", "unsafe fn a() {}\n"),
        ];
        let wrong = layering(&house(), &files);
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        assert!(wrong[0].starts_with("kernel/core/src/lib.rs:2: `target_arch`"));
        assert!(wrong[1].starts_with("kernel/mem/src/lib.rs:4: `static mut`"));
        assert!(wrong[2].starts_with("kernel/coreless/src/lib.rs:1: `unsafe`"));
        assert_eq!(explained(&files).len(), 1);
        let unguarded = [file("kernel/core/src/lib.rs", "fn a() {}\n")];
        assert!(layering(&house(), &unguarded)[0].contains("forbid(unsafe_code)"));
    }

    #[test]
    fn long_files_need_a_reason_and_reasons_a_long_file() {
        let long = "a\nb\nc\nd\n";
        let wrong = lengths(&house(), &[file("x/a.rs", long), file("kernel/mem/src/b.rs", "a\n")]);
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert!(lengths(&house(), &[file("kernel/mem/src/b.rs", long)]).is_empty());
    }

    fn metadata(text: &str) -> Metadata {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_kernel_crate_that_looks_up_or_outside_is_found() {
        let graph = metadata(
            r#"{"workspace_members": ["m"], "workspace_default_members": [], "packages": [
                {"name": "pecan-mem", "id": "m", "version": "1", "license": null, "source": null,
                 "manifest_path": "/nowhere/Cargo.toml", "dependencies": [
                    {"name": "pecan-arch", "kind": null}, {"name": "pecan-core", "kind": null},
                    {"name": "serde", "kind": "build"}, {"name": "proptest", "kind": "dev"}]},
                {"name": "viral", "id": "v", "version": "2", "license": "GPL-3.0", "source": "registry",
                 "manifest_path": "/nowhere/Cargo.toml", "dependencies": []}]}"#,
        );
        let wrong = directions(&house(), &graph);
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert!(wrong[0].contains("pecan-core") && wrong[1].contains("serde"));
        assert!(licences(&house(), &graph)[0].starts_with("viral 2: licence GPL-3.0"));
        assert_eq!(readmes(&Workspace::find().unwrap(), &graph), ["/nowhere/README.md is missing"]);
        assert_eq!(graph.bare_metal(&house()).count(), 1);
    }
}
