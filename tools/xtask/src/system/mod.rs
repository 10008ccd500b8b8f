//! System descriptions: what a system consists of, and the root task image that holds it.

mod description;
mod devices;
mod image;
mod interface;
#[cfg(test)]
mod mistakes;
mod problem;
mod rules;
mod source;
mod time;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use pecan_manifest::Size;

use crate::{
    build::{self, Package},
    paths::Workspace,
    toolchain::Purpose,
    ui,
};
use interface::Packages;
use source::Reader;

/// What the program of a component is built for.
fn purpose(component: &pecan_manifest::Settings) -> Purpose {
    if component.fpu { Purpose::User } else { Purpose::UserWithoutFpu }
}

/// The names of Pecan's own packages.
pub fn packages(ws: &Workspace) -> Result<Vec<String>> {
    Ok(interface::packages(ws)?.into_keys().collect())
}

/// The name of the system that a file describes.
fn name_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// A description, checked.
#[derive(Debug)]
pub struct System {
    /// Package of the initial task.
    root: String,
    /// Package and purpose of each program, and the name of its file in the archive.
    programs: BTreeMap<(String, Purpose), String>,
    /// What the initial task is told of the system.
    manifest: pecan_manifest::System,
    /// The files of its components: the name of each in the archive, and where it is.
    files: Vec<(String, PathBuf)>,
    /// The memory of the machine that it is for.
    memory: Size,
    /// The `Cargo.toml` of each package that is none of Pecan's.
    outside: BTreeMap<String, PathBuf>,
    /// Whether a component is in C.
    has_c: bool,
}

/// Where a description is: `--system` takes the name of a file of `systems/`, or the path of a file anywhere.
pub fn find(ws: &Workspace, system: &str) -> Result<PathBuf> {
    if system.contains('/') || system.ends_with(".toml") {
        return crate::absolute(Path::new(system));
    }
    Ok(ws.join("systems").join(format!("{system}.toml")))
}

impl System {
    /// Reads a description by its name or its path.
    pub fn load(ws: &Workspace, system: &str) -> Result<System> {
        let path = find(ws, system)?;
        let text = fs::read_to_string(&path).with_context(|| {
            format!(
                "cannot read the system description {}\n  to mend it: choose one of systems/ with --system, or give the \
                 path of another one",
                path.display()
            )
        })?;
        Self::parse(Reader::new(ws.root()), &path, text, &name_of(&path), &interface::packages(ws)?)
    }

    /// The description at a path as it will be once the planned files are written, with the packages of Pecan's that are
    /// planned among them. What is wrong with it is the error.
    pub fn plan(ws: &Workspace, path: &Path, planned: BTreeMap<PathBuf, String>) -> Result<()> {
        let mut packages = interface::packages(ws)?;
        for (path, text) in planned.iter().filter(|(path, _)| path.starts_with(ws.root())) {
            let name = path.ends_with("Cargo.toml").then(|| interface::package_name(text)).flatten();
            packages.extend(name.map(|name| (name, (path.clone(), text.clone()))));
        }
        let text = planned.get(path).cloned().context("the description is not among the planned files")?;
        Self::parse(Reader::with_planned(ws.root(), planned), path, text, &name_of(path), &packages)?;
        Ok(())
    }

    fn parse(
        mut reader: Reader,
        path: &Path,
        text: String,
        name: &str,
        packages: &Packages,
    ) -> Result<System> {
        let tables = reader.read(path, text);
        let Some(draft) = description::draft(&mut reader, tables, name, packages) else {
            let count = match reader.problems.len() {
                1 => "a mistake".to_string(),
                n => format!("{n} mistakes"),
            };
            let shown = problem::show(&reader.problems, &reader.files, ui::on_terminal());
            bail!("the description of the system {name} has {count}\n\n{shown}\n");
        };
        let components = draft.system.components.iter().map(|c| &c.settings);
        let all = components.flat_map(|c| c.packages().map(move |package| (c, package)));
        let programs = all
            .map(|(c, package)| ((package.to_string(), purpose(c)), c.program_of(package).into_owned()))
            .collect();
        let has_c = draft.parts.iter().any(|part| part.declared.in_c);
        let (mut outside, mut files) = (BTreeMap::new(), Vec::new());
        for (component, part) in draft.system.components.iter().zip(draft.parts) {
            let settings = &component.settings;
            outside.extend(part.manifest.map(|manifest| (settings.package.clone(), manifest)));
            files.extend(settings.files.iter().map(|file| settings.file(file)).zip(part.files));
        }
        Ok(System {
            root: draft.root,
            programs,
            manifest: draft.system,
            files,
            memory: draft.machine.0.memory,
            outside,
            has_c,
        })
    }

    /// What the initial task is told of the system.
    pub fn manifest(&self) -> &pecan_manifest::System {
        &self.manifest
    }

    /// Whether a component is in C.
    pub fn has_c(&self) -> bool {
        self.has_c
    }

    /// The memory of the machine that it is for.
    pub fn memory(&self) -> Size {
        self.memory
    }

    /// Every package that the system needs built, and what for.
    pub fn packages(&self) -> Vec<Package<'_>> {
        let programs = self.programs.keys().map(|(package, purpose)| Package {
            name: package,
            purpose: *purpose,
            outside: self.outside.get(package).map(PathBuf::as_path),
        });
        std::iter::once(Package::of_pecan(&self.root, build::purpose(&self.root))).chain(programs).collect()
    }

    /// Whether the components that are made of a program have memory for it. What it takes at least beside its pages
    /// is a thread, its time, a CSpace, four tables, a start page and an IPC buffer, and the slots in which the initial
    /// task has the capabilities to all that.
    fn check_memory(&self, program: &str, footprint: u64, stack: u64) -> Result<()> {
        const PAGE: u64 = 4096;
        const OVERHEAD: u64 = 9 * PAGE;
        const SLOT: u64 = 32;
        for (n, component) in self.manifest.components.iter().map(|c| &c.settings).enumerate() {
            if component.packages().all(|package| component.program_of(package) != program) {
                continue;
            }
            // Of what is somebody else's it pays the slots and the tables.
            let rings: u64 = self.manifest.rings_of(n).map(|at| at.ring.pages()).sum();
            let devices =
                component.mmio.iter().map(|m| m.bytes.0).chain(component.dma.iter().map(|d| d.bytes.0));
            let foreign = rings + devices.sum::<u64>() / PAGE;
            let files = component.files.iter().map(|file| self.file_size(&component.file(file)));
            let files: u64 = files.map(|bytes| bytes.next_multiple_of(PAGE)).sum();
            // A heap has tables of its own, and large pages if it is large, the first of them at an aligned place.
            let heap = component.heap.map_or(0, |heap| {
                let aligned = if heap.0 >= 8 << 20 { 2 << 20 } else { 0 };
                heap.0 + ((heap.0 >> 21) + 4) * PAGE + aligned
            });
            let own = footprint - stack + component.stack.map_or(stack, |stack| stack.0) + files + heap;
            let slots = (own / PAGE + foreign).next_power_of_two() * SLOT + foreign.div_ceil(512) * PAGE;
            let (needed, memory) = ((own + OVERHEAD + slots) >> 10, component.memory.0 >> 10);
            ensure!(
                needed <= memory,
                "component `{}` needs {needed}K of memory at least, but has {memory}K\n  to mend it: give it more \
                 `memory` in the system description",
                component.name
            );
        }
        Ok(())
    }

    /// The bytes of a file of a component.
    fn file_size(&self, name: &str) -> u64 {
        let file = self.files.iter().find(|(n, _)| n == name);
        file.and_then(|(_, path)| fs::metadata(path).ok()).map_or(0, |data| data.len())
    }

    /// Puts the built programs together into the root task's image, in the folder `dir`, and returns its path.
    pub fn assemble(&self, programs: &BTreeMap<(String, Purpose), PathBuf>, dir: &Path) -> Result<PathBuf> {
        let read = |package: &str, purpose| -> Result<Vec<u8>> {
            let path = programs
                .get(&(package.to_string(), purpose))
                .with_context(|| format!("the package {package} has no program of its name"))?;
            fs::read(path).with_context(|| format!("cannot read {}", path.display()))
        };
        let mut files = Vec::new();
        for ((package, purpose), file) in &self.programs {
            let elf = read(package, *purpose)?;
            let functions = image::functions(&elf).with_context(|| format!("the program of {package}"))?;
            let elf = image::strip(&elf, false).with_context(|| format!("the program of {package}"))?;
            self.check_memory(file, image::footprint(&elf)?, image::stack(&elf)?)?;
            files.push((file.clone(), elf));
            files.push((format!("{file}{}", pecan_manifest::symbols::SUFFIX), functions));
        }
        for (name, path) in &self.files {
            let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            files.push((name.clone(), bytes));
        }
        let archive =
            pecan_manifest::pack(&self.manifest, files.iter().map(|(n, d)| (n.as_str(), d.as_slice())));
        let root = image::strip(&read(&self.root, build::purpose(&self.root))?, true)
            .with_context(|| format!("the program of {}", self.root))?;
        let image =
            image::attach(&root, &archive).with_context(|| format!("the program of {}", self.root))?;
        let path = dir.join("root-task.elf");
        if fs::read(&path).ok().as_deref() != Some(&image) {
            fs::write(&path, image).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<System> {
        let packages =
            ["init", "pecan-init", "p"].map(|p| (p.to_string(), (PathBuf::from(p), String::new())));
        let path = Path::new("test.toml");
        System::parse(Reader::new(Path::new("")), path, text.to_string(), "test", &packages.into())
    }

    fn packages(system: &System) -> Vec<(&str, Purpose)> {
        system.packages().iter().map(|p| (p.name, p.purpose)).collect()
    }

    #[test]
    fn a_component_has_memory_for_its_program() {
        let text = r#"
            root = "init"
            [[component]]
            name = "small"
            package = "p"
            about = "is small"
            priority = 1
            memory = "256K"
        "#;
        let system = parse(text).unwrap();
        assert_eq!(packages(&system), [("init", Purpose::User), ("p", Purpose::User)]);
        system.check_memory("p", 200 << 10, 64 << 10).unwrap();
        system.check_memory("other", 1 << 30, 0).unwrap();
        let error = system.check_memory("p", 250 << 10, 64 << 10).unwrap_err().to_string();
        assert!(error.contains("`small` needs 288K of memory at least, but has 256K"), "{error}");
    }

    #[test]
    fn a_program_is_built_for_each_kind_of_component_that_runs_it() {
        let component = |name: &str, more: &str| {
            format!(
                "[[component]]\nname = \"{name}\"\npackage = \"p\"\nabout = \"\"\npriority = 1\nmemory = \"1M\"\n{more}\n"
            )
        };
        let text = format!(
            "root = \"pecan-init\"\n{}{}{}",
            component("a", ""),
            component("b", "fpu = false"),
            component("c", "fpu = true")
        );
        let system = parse(&text).unwrap();
        let (with, without) = (("p", Purpose::User), ("p", Purpose::UserWithoutFpu));
        assert_eq!(packages(&system), [("pecan-init", Purpose::UserWithoutFpu), with, without]);
        let parts = &system.manifest.components;
        let [a, b, c] = [0, 1, 2].map(|n| &parts[n].settings);
        assert_eq!([a.fpu, b.fpu, c.fpu], [true, false, true]);
        assert!(a.program() == c.program() && a.program() != b.program());
        assert!(parse(&format!("root = \"pecan-init\"\n{}", component("a", "fpu = 1"))).is_err());
    }

    #[test]
    fn every_system_of_the_house_can_be_used() {
        let ws = Workspace::find().unwrap();
        let mut found = 0;
        for entry in fs::read_dir(ws.join("systems")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "toml") {
                System::load(&ws, path.file_stem().unwrap().to_str().unwrap()).unwrap();
                found += 1;
            }
        }
        assert!(found > 0);
    }
}
