//! `cargo xtask new`: a component that builds, runs, is in a system's description and has a test.
//!
//! Everything is decided and checked before anything is written: the names, and the description as it will be.

mod edit;
mod name;
mod template;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Component, Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use crate::{
    Outcome,
    paths::Workspace,
    system::{self, System},
    ui,
};
use template::Names;

/// Options of `cargo xtask new`.
#[derive(clap::Args)]
pub struct Args {
    /// Its name: small letters, digits and `-`.
    name: String,
    #[command(flatten)]
    kinds: Kinds,
    /// The system to put it into: a file of systems/ without its `.toml`. Without it, `default`, or `c` for `--c`.
    #[arg(long, value_name = "NAME", conflicts_with = "at")]
    system: Option<String>,
    /// Put it into a repository of its own in this folder, which is made unless there is one that this command made.
    #[arg(long, value_name = "DIR")]
    at: Option<PathBuf>,
}

/// What the component is to be.
#[derive(clap::Args)]
#[group(multiple = false)]
struct Kinds {
    /// A program, started by `run NAME`; so it is without another kind.
    #[arg(long)]
    program: bool,
    /// A service, and a program that calls it.
    #[arg(long)]
    service: bool,
    /// A driver with ports and an interrupt, and a program that calls it.
    #[arg(long)]
    driver: bool,
    /// A program in C.
    #[arg(long)]
    c: bool,
}

/// The kinds of components that can be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A program, started by `run NAME`.
    Program,
    /// A service, and a program that calls it.
    Service,
    /// A driver, and a program that calls it.
    Driver,
    /// A program in C.
    C,
}

impl Kinds {
    fn kind(&self) -> Kind {
        match self {
            Kinds { service: true, .. } => Kind::Service,
            Kinds { driver: true, .. } => Kind::Driver,
            Kinds { c: true, .. } => Kind::C,
            _ => Kind::Program,
        }
    }
}

impl Kind {
    /// Whether a program is made, too, that calls it.
    fn has_client(self) -> bool {
        matches!(self, Kind::Service | Kind::Driver)
    }

    /// The folder of Pecan's tree that components of the kind are in.
    fn folder(self) -> &'static str {
        match self {
            Kind::Program | Kind::C => "os/programs",
            Kind::Service => "os/servers",
            Kind::Driver => "os/drivers",
        }
    }

    /// The page of the book about the kind.
    fn page(self) -> &'static str {
        match self {
            Kind::Program => "docs/new-program.md",
            Kind::Service => "docs/new-service.md",
            Kind::Driver => "docs/new-driver.md",
            Kind::C => "docs/new-c.md",
        }
    }
}

/// Where a component is put.
#[derive(Debug)]
struct Target {
    /// The top folder of the workspace.
    root: PathBuf,
    /// The folder of its package, and of that of its client, from the top folder.
    folders: [String; 2],
    /// The description that it is put into.
    description: PathBuf,
    /// The folder of the tests, from the top folder.
    scenarios: &'static str,
    /// The system that a test names, if it has to.
    system: Option<String>,
    /// Whether it is a repository of its own, and not Pecan's.
    outside: bool,
}

/// Files with what they will say.
type Plan = BTreeMap<PathBuf, String>;

/// Makes the component.
pub fn run(ws: &Workspace, args: &Args) -> Outcome {
    let kind = args.kinds.kind();
    let name = args.name.as_str();
    name::check(ws, kind, name)?;
    let (target, mut plan) = match &args.at {
        Some(folder) => repository(ws, &resolved(folder)?, name)?,
        None => inside(ws, kind, name, args.system.as_deref())?,
    };
    fill(&target, kind, name, &mut plan)?;
    System::plan(ws, &target.description, plan.clone())
        .context("this component does not fit into the system; nothing was written")?;
    write(&target.root, &plan)?;
    for line in next_steps(&target, kind, name, args.at.as_deref()) {
        ui::note(line);
    }
    Ok(0)
}

/// A place in Pecan's tree.
fn inside(ws: &Workspace, kind: Kind, name: &str, system: Option<&str>) -> Result<(Target, Plan)> {
    let system = system.unwrap_or(if kind == Kind::C { "c" } else { "default" });
    ensure!(
        !system.contains('/') && !system.ends_with(".toml"),
        "a component of Pecan's tree is put into a system of systems/\n  to mend it: give its name, or use --at DIR"
    );
    // What is wrong already is not this component's fault.
    System::load(ws, system)?;
    let target = Target {
        root: ws.root().to_path_buf(),
        folders: [format!("{}/{name}", kind.folder()), format!("os/programs/{}", template::client(name))],
        description: system::find(ws, system)?,
        scenarios: "tests/scenarios",
        system: (system != "default").then(|| system.to_string()),
        outside: false,
    };
    Ok((target, Plan::new()))
}

/// The folder that a path names: without `..`, and without links as far as it is there already.
fn resolved(path: &Path) -> Result<PathBuf> {
    let mut known = PathBuf::new();
    for part in crate::absolute(path)?.components() {
        match part {
            Component::ParentDir => {
                known.pop();
            }
            part => known.push(part),
        }
        if let Ok(real) = known.canonicalize() {
            known = real;
        }
    }
    Ok(known)
}

/// A place in a repository of its own, with the files of that if it has to be made.
fn repository(ws: &Workspace, root: &Path, name: &str) -> Result<(Target, Plan)> {
    ensure!(
        !root.starts_with(ws.root()),
        "{} lies in Pecan's own tree\n  to mend it: give a folder outside, or leave --at out",
        root.display()
    );
    let target = Target {
        root: root.to_path_buf(),
        folders: [name.to_string(), template::client(name)],
        description: root.join("system.toml"),
        scenarios: "scenarios",
        system: None,
        outside: true,
    };
    let made = root.join("Cargo.toml").is_file() && target.description.is_file();
    if made {
        let path = target.description.to_str().context("the path of the folder is not UTF-8")?;
        System::load(ws, path)?;
        return Ok((target, Plan::new()));
    }
    let empty = match fs::read_dir(root) {
        // Who has made a repository first has that in it.
        Ok(entries) => entries.flatten().all(|e| e.file_name() == ".git"),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    ensure!(
        empty,
        "{} is not empty, and has no Cargo.toml and system.toml to add a component to\n  to mend it: give a new folder",
        root.display()
    );
    let files = template::repository(ws, root)?;
    Ok((target, files.into_iter().map(|(path, text)| (root.join(path), text)).collect()))
}

/// Adds the component to the plan.
fn fill(target: &Target, kind: Kind, name: &str, plan: &mut Plan) -> Result<()> {
    let [folder, client_folder] = &target.folders;
    let names = Names::of(name, &relative(client_folder, folder));
    let mut members = vec![folder];
    let mut add = |folder: &str, files: &[(&str, &str)]| {
        for (path, text) in files {
            let mut text = names.fill(text);
            if target.outside && *path == "Cargo.toml" {
                // The licence is the author's to choose.
                text = text.replace("license.workspace = true\n", "");
            }
            plan.insert(target.root.join(folder).join(path), text);
        }
    };
    add(folder, template::component(kind));
    if kind.has_client() {
        add(client_folder, template::client_of(kind));
        members.push(client_folder);
    }
    for member in &members {
        let path = target.root.join(member);
        ensure!(!path.exists(), "{} is there already\n  to mend it: choose another name", path.display());
    }
    let scenario = target.root.join(target.scenarios).join(format!("{name}.txt"));
    ensure!(!scenario.exists(), "{} is there already\n  to mend it: choose another name", scenario.display());
    plan.insert(scenario, template::scenario(kind, &names, target.system.as_deref()));
    let mut change = |path: PathBuf, change: &dyn Fn(&str) -> Result<String>| -> Result<()> {
        let old = match plan.get(&path) {
            Some(text) => text.clone(),
            None => fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?,
        };
        let new = change(&old).with_context(|| format!("cannot use {}", path.display()))?;
        plan.insert(path, new);
        Ok(())
    };
    change(target.root.join("Cargo.toml"), &|text| edit::members(text, &members))?;
    change(target.description.clone(), &|text| {
        edit::description(text, &names.fill(template::description(kind)), |package| {
            let member = members.iter().find(|m| m.ends_with(package));
            target.outside.then(|| member.map_or(package, |m| m.as_str()).to_string())
        })
    })
}

/// A path of one folder from another, both from the same top folder.
fn relative(from: &str, to: &str) -> String {
    let (mut from, mut to): (Vec<_>, Vec<_>) = (from.split('/').collect(), to.split('/').collect());
    while !from.is_empty() && from.first() == to.first() {
        from.remove(0);
        to.remove(0);
    }
    let up = std::iter::repeat_n("..", from.len());
    up.chain(to).collect::<Vec<_>>().join("/")
}

/// Writes the files. If one cannot be written, everything is as it was.
fn write(root: &Path, plan: &Plan) -> Result<()> {
    let mut undo = Undo::default();
    // What is new first: what was there before names it.
    let (old, new): (Vec<_>, Vec<_>) = plan.iter().partition(|(path, _)| path.exists());
    for (path, text) in new.into_iter().chain(old) {
        undo.write(path, text)
            .with_context(|| format!("cannot write {}; {} is as it was", path.display(), root.display()))?;
    }
    undo.keep();
    Ok(())
}

/// What was written, and is taken back with this.
#[derive(Default)]
struct Undo {
    /// Files with what they said before, if there were any.
    files: Vec<(PathBuf, Option<Vec<u8>>)>,
    /// Folders that were made.
    folders: Vec<PathBuf>,
}

impl Undo {
    fn write(&mut self, path: &Path, text: &str) -> io::Result<()> {
        let missing = |folder: &&Path| !folder.exists();
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut new: Vec<&Path> = folder.ancestors().take_while(missing).collect();
        while let Some(folder) = new.pop() {
            fs::create_dir(folder)?;
            self.folders.push(folder.to_path_buf());
        }
        let before = match fs::read(path) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        self.files.push((path.to_path_buf(), before));
        fs::write(path, text)
    }

    fn keep(mut self) {
        self.files.clear();
        self.folders.clear();
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        // What cannot be taken back stays: there is nobody to tell but the one who is told of the first failure.
        for (path, before) in self.files.drain(..).rev() {
            let _ = match before {
                Some(bytes) => fs::write(path, bytes),
                None => fs::remove_file(path),
            };
        }
        for folder in self.folders.drain(..).rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// What to do next.
fn next_steps(target: &Target, kind: Kind, name: &str, at: Option<&Path>) -> Vec<String> {
    let program = if kind.has_client() { template::client(name) } else { name.to_string() };
    let source = if kind == Kind::C { "main.c" } else { "main.rs" };
    let mut lines = Vec::new();
    if let Some(at) = at {
        lines.push(format!("made {}; the rest is called there:", at.display()));
    }
    lines.push(format!("write it: {}/src/{source}", target.folders[0]));
    let (system, test) = match (&target.system, target.outside) {
        (_, true) => (" --system system.toml".into(), "--system system.toml".into()),
        (Some(system), _) => (format!(" --system {system}"), format!("--suite scenarios {name}")),
        (None, _) => (String::new(), format!("--suite scenarios {name}")),
    };
    lines.push(format!("run it:   cargo xtask run{system} --exec \"run {program}\""));
    lines.push(format!("test it:  cargo xtask test {test}   ({}/{name}.txt)", target.scenarios));
    lines.push(format!("read:     {}", kind.page()));
    lines
}

#[cfg(test)]
mod tests;
