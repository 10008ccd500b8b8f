//! A system description as people write it: its tables are read, and the names in them resolved. What else can be wrong
//! is checked by `rules`.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use pecan_manifest::{
    Channel, Component, INIT, Irq, IrqSource, Rights, Ring, RingEnd, RoleRing, Server, Settings, Size, System,
};
use serde::Deserialize;

use super::{
    interface::{Declared, Packages},
    problem::{Place, Problem, instead, list},
    rules::{self, Rule},
    source::{Node, Reader, Tables},
};

/// A channel as it is written: its ends are `COMPONENT.ROLE`.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    from: String,
    to: String,
    #[serde(default)]
    ring: Option<Size>,
    #[serde(default)]
    rights: Option<Rights>,
}

/// The machine that the system is for.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Its memory.
    #[serde(default = "usual_memory")]
    pub memory: Size,
}

/// What QEMU is given unless something else is asked for.
fn usual_memory() -> Size {
    Size(1 << 30)
}

/// Rules that something may break, each with the reason.
#[derive(Debug, Default)]
pub struct Allowed {
    table: Option<Node>,
    reasons: BTreeMap<Rule, String>,
    used: RefCell<BTreeSet<Rule>>,
}

impl Allowed {
    /// Takes the key `allow` out of a table.
    fn take(node: &mut Node) -> Result<Self, Problem> {
        let table = node.take("allow");
        let reasons: BTreeMap<Rule, String> = table.as_ref().map(Node::read).transpose()?.unwrap_or_default();
        if let (Some(table), Some((rule, _))) =
            (&table, reasons.iter().find(|(_, reason)| reason.trim().is_empty()))
        {
            return Err(Problem::new("an exception needs a reason", table.at(rule.name()), "this is empty")
                .help(format!("write `{} = \"why it is meant so\"`", rule.name())));
        }
        Ok(Self { table, reasons, used: RefCell::default() })
    }

    /// Whether a rule may be broken here. It is, if this is asked.
    pub fn permits(&self, rule: Rule) -> bool {
        let permitted = self.reasons.contains_key(&rule);
        if permitted {
            self.used.borrow_mut().insert(rule);
        }
        permitted
    }

    /// What is permitted and does not happen.
    fn unused(&self, problems: &mut Vec<Problem>) {
        let Some(table) = &self.table else { return };
        for rule in self.reasons.keys().filter(|rule| !self.used.borrow().contains(rule)) {
            let problem = Problem::new(
                format!("nothing here needs the exception `{}`", rule.name()),
                table.key(rule.name()),
                "this is not the case",
            );
            problems.push(problem.help("take it out"));
        }
    }
}

/// A component as it is written.
#[derive(Debug)]
pub struct Part {
    /// Its table.
    pub node: Node,
    /// What its crate says.
    pub declared: Declared,
    /// The rules that it may break.
    pub allow: Allowed,
    /// The `Cargo.toml` of its package, if that is none of Pecan's.
    pub manifest: Option<PathBuf>,
    /// Where its files are.
    pub files: Vec<PathBuf>,
}

/// A channel as it is written.
#[derive(Debug)]
pub struct Wire {
    /// Its table.
    pub node: Node,
    /// The rules that it may break.
    pub allow: Allowed,
}

/// A description whose names are resolved.
#[derive(Debug)]
pub struct Draft {
    /// Package of the initial task.
    pub root: String,
    /// The machine, and its table if there is one.
    pub machine: (Machine, Option<Node>),
    /// What the initial task is told.
    pub system: System,
    /// The components, as they are written.
    pub parts: Vec<Part>,
    /// The channels, as they are written.
    pub wires: Vec<Wire>,
}

/// Reads the tables of a description and checks everything that can be wrong with it. What is wrong is among the reader's
/// problems; with any of them there is no description.
pub fn draft(reader: &mut Reader, tables: Tables, name: &str, packages: &Packages) -> Option<Draft> {
    // What is wrong in the files themselves makes other things seem wrong.
    if !reader.problems.is_empty() {
        return None;
    }
    let root = root(reader, &tables, packages)?;
    let machine = tables.single.get("machine").cloned();
    let described = machine.as_ref().map(Node::read::<Machine>);
    let described = match described.unwrap_or(Ok(Machine { memory: usual_memory() })) {
        Ok(described) => described,
        Err(problem) => {
            reader.problems.push(problem);
            return None;
        }
    };
    let mut draft = Draft {
        root: root.0,
        machine: (described, machine),
        system: System { name: name.to_string(), init: root.1.interface.clone(), ..System::default() },
        parts: Vec::new(),
        wires: Vec::new(),
    };
    for node in tables.list("component") {
        match part(reader, node.clone(), packages) {
            Ok((component, part)) => {
                draft.system.components.push(component);
                draft.parts.push(part);
            }
            Err(problem) => reader.problems.push(problem),
        }
    }
    // A component that cannot be understood would make everything that names it wrong, too.
    if !reader.problems.is_empty() {
        return None;
    }
    for node in tables.list("channel") {
        match wire(node.clone(), &draft, &root.1) {
            Ok((channel, wire)) => {
                draft.system.channels.push(channel);
                draft.wires.push(wire);
            }
            Err(problem) => reader.problems.push(problem),
        }
    }
    if reader.problems.is_empty() {
        rules::check(&mut draft, &mut reader.problems);
        draft.wires.iter().for_each(|wire| wire.allow.unused(&mut reader.problems));
        draft.parts.iter().for_each(|part| part.allow.unused(&mut reader.problems));
    }
    reader.problems.is_empty().then_some(draft)
}

/// The package of the initial task, and what it serves.
fn root(reader: &mut Reader, tables: &Tables, packages: &Packages) -> Option<(String, Declared)> {
    let Some(node) = tables.single.get("root") else {
        let place = Place { file: 0, span: 0..0 };
        let problem = Problem::new("the key `root` is missing", place, "the description has none");
        reader
            .problems
            .push(problem.help("add a line `root = \"pecan-init\"`: the package of the initial task"));
        return None;
    };
    let read = node.read().and_then(|package: String| {
        let declared = declared(reader, &package, node.place(), packages)?;
        Ok((package, declared))
    });
    read.map_err(|problem| reader.problems.push(problem)).ok()
}

/// What the crate of a package says, which is named somewhere.
fn declared(
    reader: &mut Reader,
    package: &str,
    named: Place,
    packages: &Packages,
) -> Result<Declared, Problem> {
    let Some((path, text)) = packages.get(package) else {
        let known = packages.keys().map(String::as_str);
        let help = match super::problem::similar(package, known) {
            Some(meant) => format!("write `{meant}`"),
            None => "name a package of Pecan's, or say with `path` in which folder it is; `cargo xtask new` makes one".into(),
        };
        return Err(
            Problem::new(format!("there is no package `{package}`"), named, "not a package").help(help)
        );
    };
    Declared::read(reader, path, text)
}

/// Keys of a component that stand for something that no part of the system does yet. They are refused, rather than taken
/// and forgotten.
pub const NOT_YET: [(&str, &str); 6] = [
    (
        "memory_regions",
        "`page` in the interface of a server, and `ring` of a channel, are the memory that two components can share",
    ),
    (
        "msi",
        "let the device interrupt through an I/O APIC (`irqs`): nothing here sets up a device's messages",
    ),
    ("core", "the kernel runs on one core"),
    ("domain", "all components run in domain 0: nothing here makes a schedule of domains"),
    (
        "pci",
        "name the function's registers by their addresses (`mmio`): nothing here looks for devices on the bus",
    ),
    ("compatible", "there is no device tree on this machine: name the registers by their addresses (`mmio`)"),
];

/// Reads the table of a component.
fn part(reader: &mut Reader, mut node: Node, packages: &Packages) -> Result<(Component, Part), Problem> {
    if let Some((key, instead)) = NOT_YET.iter().find(|(key, _)| node.get(key).is_some()) {
        let problem =
            Problem::new(format!("`{key}` cannot be asked for yet"), node.key(key), "nothing does this");
        return Err(problem.help(format!("take it out: {instead}")));
    }
    let allow = Allowed::take(&mut node)?;
    let path = node.take("path");
    let settings: Settings = node.read()?;
    let (declared, manifest) = match path {
        Some(path) => {
            let (declared, manifest) =
                outside(reader, &settings.package, node.at("package"), &path, packages)?;
            (declared, Some(manifest))
        }
        None => (declared(reader, &settings.package, node.at("package"), packages)?, None),
    };
    replacements(reader, &node, &settings, &declared, packages)?;
    let files = files(reader, &node, &settings)?;
    let component = Component { settings, interface: declared.interface.clone(), places: Vec::new() };
    Ok((component, Part { node, declared, allow, manifest, files }))
}

/// Whether each program that can take a component's place serves and uses what the component does.
fn replacements(
    reader: &mut Reader,
    node: &Node,
    settings: &Settings,
    own: &Declared,
    packages: &Packages,
) -> Result<(), Problem> {
    let nodes = node.get("replacements").map(|list| list.items()).unwrap_or_default();
    for (n, (package, node)) in settings.replacements.iter().zip(nodes).enumerate() {
        if own.interface.serves.is_empty() {
            let title =
                format!("`{}` serves nobody, and nothing can take its place while it runs", settings.name);
            return Err(Problem::new(title, node.place(), "for a server").help("take it out"));
        }
        if *package == settings.package || settings.replacements[..n].contains(package) {
            return Err(Problem::new(format!("`{package}` is named twice"), node.place(), "once more")
                .help("take it out: a server can be replaced with its own program, too"));
        }
        let other = declared(reader, package, node.place(), packages)?;
        if other.interface != own.interface {
            let title = format!("`{package}` does not serve and use what `{}` does", settings.package);
            let place = other.interface_place().unwrap_or_else(|| node.place());
            return Err(Problem::new(title, node.place(), "cannot take its place")
                .also(place, "what it serves and uses")
                .help("let both crates say the same: roles, protocols, pages and rings"));
        }
    }
    Ok(())
}

/// What the crate of a package says that is none of Pecan's, and where: `path` is the folder, from that of the description.
fn outside(
    reader: &mut Reader,
    package: &str,
    named: Place,
    path: &Node,
    packages: &Packages,
) -> Result<(Declared, PathBuf), Problem> {
    if packages.contains_key(package) {
        return Err(Problem::new(format!("`{package}` is a package of Pecan's"), named, "taken")
            .help("give yours another name, or take `path` out"));
    }
    let folder: String = path.read()?;
    let manifest = reader.folder(&path.place()).join(folder).join("Cargo.toml");
    let text = reader.text(&manifest).map_err(|error| {
        Problem::new(
            format!("cannot read {}: {error}", manifest.display()),
            path.place(),
            "no package is here",
        )
        .help("write the folder of the package, from the folder of this file")
    })?;
    let declared = Declared::read(reader, &manifest, &text)?;
    match &declared.package {
        Some(name) if name == package => Ok((declared, manifest)),
        other => {
            let title = format!("the package in this folder is not `{package}`");
            let problem =
                Problem::new(title, path.place(), "this folder").also(named, "the name of the package");
            Err(match other {
                Some(name) => problem.help(format!("write `package = \"{name}\"`")),
                None => problem.help("write the folder of a package: its `Cargo.toml` says its name"),
            })
        }
    }
}

/// Finds the files of a component; returns their paths, in the order of the description.
fn files(reader: &Reader, node: &Node, settings: &Settings) -> Result<Vec<PathBuf>, Problem> {
    let nodes = node.get("files").map(|list| list.items()).unwrap_or_default();
    let mut paths = Vec::new();
    for (file, node) in settings.files.iter().zip(nodes) {
        let path = reader.folder(&node.place()).join(&file.path);
        if !path.is_file() {
            let problem =
                Problem::new(format!("there is no file `{}`", file.path), node.at("path"), "not a file");
            return Err(problem.help("write the path of a file, from the folder of this one"));
        }
        paths.push(path);
    }
    Ok(paths)
}

/// Reads the table of a channel, and finds what it connects.
fn wire(mut node: Node, draft: &Draft, init: &Declared) -> Result<(Channel, Wire), Problem> {
    let allow = Allowed::take(&mut node)?;
    let edge: Edge = node.read()?;
    let (from, to) = (node.at("from"), node.at("to"));
    let (client, client_role) = split(&edge.from, &from)?;
    let (server, server_role) = split(&edge.to, &to)?;
    let components = &draft.system.components;
    let find = |name: &str, place: &Place| {
        let found = components.iter().position(|c| *c.settings.name == *name);
        found.ok_or_else(|| {
            let names = components.iter().map(|c| &*c.settings.name);
            Problem::new(format!("there is no component `{name}`"), place.clone(), "not a component")
                .help(instead(name, "the components are", names))
        })
    };
    if client == INIT {
        return Err(Problem::new(format!("`{INIT}` calls nobody"), from, "this is the initial task")
            .help("what a component wants of another one, it asks for itself"));
    }
    if client == server {
        return Err(Problem::new(format!("`{client}` cannot call itself"), to, "the same component")
            .also(from, "calls")
            .help("it would wait for itself for ever"));
    }
    let client_number = find(client, &from)?;
    let caller = &draft.parts[client_number].declared;
    let Some(client_role_number) = caller.interface.used(client_role) else {
        let roles = caller.interface.uses.keys().map(|role| &**role);
        return Err(Problem::new(
            format!("`{client}` does not use a role `{client_role}`"),
            from,
            "not a role",
        )
        .help(instead(client_role, &format!("the roles that `{client}` uses are"), roles)));
    };
    let (end, called) = if server == INIT {
        (Server::Init, init)
    } else {
        let number = find(server, &to)?;
        (Server::Component(number as u16), &draft.parts[number].declared)
    };
    let Some(server_role_number) = called.interface.served(server_role) else {
        let roles = called.interface.serves.keys().map(|role| &**role);
        return Err(Problem::new(
            format!("`{server}` does not serve a role `{server_role}`"),
            to,
            "not a role",
        )
        .help(instead(server_role, &format!("the roles that `{server}` serves are"), roles)));
    };
    let (spoken, understood) =
        (&caller.interface.uses[client_role].protocol, &called.interface.serves[server_role].protocol);
    if spoken != understood {
        let mut problem = Problem::new(
            "the ends of a channel speak different protocols",
            to,
            format!("serves {understood}"),
        )
        .also(from, format!("calls by {spoken}"));
        if let Some(place) = caller.role("uses", client_role) {
            problem = problem.also(place, "its crate says so here");
        }
        if let Some(place) = called.role("serves", server_role) {
            problem = problem.also(place, "its crate says so here");
        }
        let others = components.iter().flat_map(|c| {
            let fitting = c.interface.serves.iter().filter(|(_, served)| served.protocol == *spoken);
            fitting.map(move |(role, _)| format!("{}.{role}", c.settings.name))
        });
        let others: Vec<_> = others.collect();
        let help = match others.as_slice() {
            [] => format!("no component of this system serves {spoken}"),
            others => format!("{spoken} is served by {}", list(others)),
        };
        return Err(problem.help(help));
    }
    let (opens, serves) =
        (caller.interface.uses[client_role].sessions, called.interface.serves[server_role].sessions);
    if opens != serves {
        let ((with, kind, role, place), (other, missing)) = if opens {
            ((caller, "uses", client_role, from), (to, server_role))
        } else {
            ((called, "serves", server_role, to), (from, client_role))
        };
        let title = "one end of the channel has sessions and the other has none";
        let mut problem = Problem::new(title, other, "has none").also(place, "has sessions");
        if let Some(place) = with.role(kind, role) {
            problem = problem.also(place, "its crate says so here");
        }
        let help = format!("write `sessions = true` into the role `{missing}` of the other crate");
        return Err(problem.help(help));
    }
    let ends = [
        (caller, "uses", client_role, caller.interface.uses[client_role].ring, &from),
        (called, "serves", server_role, called.interface.serves[server_role].ring, &to),
    ];
    let ring = ring(&node, &edge, ends)?;
    let channel = Channel {
        client: client_number as u16,
        client_role: client_role_number,
        server: end,
        server_role: server_role_number,
        ring,
    };
    Ok((channel, Wire { node, allow }))
}

/// An end of a channel: what the crate says, in which of its tables, of which role, the role's ring, and where the description
/// names it.
type RingRole<'a> = (&'a Declared, &'a str, &'a str, Option<RoleRing>, &'a Place);

/// The ring of a channel: both crates want one, and they want the same.
fn ring(node: &Node, edge: &Edge, ends: [RingRole<'_>; 2]) -> Result<Option<Ring>, Problem> {
    let said = |mut problem: Problem, of: &[&RingRole<'_>]| {
        for (declared, kind, role, ..) in of {
            if let Some(place) = declared.role(kind, role) {
                problem = problem.also(place, "its crate says so here");
            }
        }
        problem
    };
    let [client, server] = &ends;
    let (from, to) = match (client.3, server.3) {
        (None, None) => {
            let key = ["ring", "rights"].into_iter().find(|key| node.get(key).is_some());
            let Some(key) = key else { return Ok(None) };
            let problem = Problem::new(
                format!("`{key}` is for channels between roles with a ring"),
                node.key(key),
                "there is no ring here",
            );
            return Err(problem.help(
                "take it out, or write `ring = \"produces\"` and `ring = \"consumes\"` into the roles of the two crates",
            ));
        }
        (Some(from), Some(to)) => (from, to),
        (one, _) => {
            let (with, without) = if one.is_some() { (client, server) } else { (server, client) };
            let wanted = with.3.map_or("", |ring| match ring.end {
                RingEnd::Produces => "consumes",
                RingEnd::Consumes => "produces",
            });
            let problem = Problem::new(
                "one end of the channel has a ring and the other has none",
                without.4.clone(),
                "has no ring",
            )
            .also(with.4.clone(), "has one");
            return Err(said(problem, &[with]).help(format!(
                "write `ring = \"{wanted}\"` and the same `buffer` into the role `{}` of the other crate",
                without.2
            )));
        }
    };
    if from.end == to.end {
        let title = format!("both ends of the ring say that they are the one that {}", from.end);
        let problem = Problem::new(title, client.4.clone(), from.end.to_string())
            .also(server.4.clone(), to.end.to_string());
        return Err(
            said(problem, &[client, server]).help("one end of a ring produces, and the other consumes")
        );
    }
    if from.buffer != to.buffer {
        let buffer = |size: Size| format!("buffers of {size}");
        let problem = Problem::new(
            "the ends of the ring have buffers of different sizes",
            client.4.clone(),
            buffer(from.buffer),
        )
        .also(server.4.clone(), buffer(to.buffer));
        return Err(said(problem, &[client, server]).help("let both crates say the same `buffer`"));
    }
    let Some(data) = edge.ring else {
        let problem = Problem::new("the ring has no size", client.4.clone(), "this channel has a ring");
        return Err(said(problem, &[client]).help("add the bytes of its data, for instance `ring = \"64K\"`"));
    };
    let [least, most] = [Ring::DATA[0].max(from.buffer), Ring::DATA[1]];
    if !(least..=most).contains(&data) || !data.0.is_multiple_of(4096) {
        let next = Size(data.0.clamp(least.0, most.0).next_multiple_of(4096));
        let title = format!("the data of this ring is a multiple of 4K from {least} to {most}");
        return Err(Problem::new(title, node.at("ring"), "not such a size").help(format!("write \"{next}\"")));
    }
    let usual = if from.end == RingEnd::Produces { Rights::W } else { Rights::R };
    let rights = edge.rights.unwrap_or(usual);
    let produces =
        if from.end == RingEnd::Produces { rights.client_writes() } else { rights.server_writes() };
    if !produces {
        let role = if from.end == RingEnd::Produces { client.2 } else { server.2 };
        let problem = Problem::new(
            "who fills the buffers cannot write them",
            node.at("rights"),
            format!("`{role}` fills them"),
        );
        return Err(problem.help(format!(
            "write \"{}\", or leave the key out; \"rw\" lets both ends write",
            if usual == Rights::W { "w" } else { "r" }
        )));
    }
    Ok(Some(Ring { data, rights, buffer: from.buffer }))
}

/// The component and the role of an end of a channel.
fn split<'a>(end: &'a str, place: &Place) -> Result<(&'a str, &'a str), Problem> {
    end.split_once('.').ok_or_else(|| {
        Problem::new(format!("`{end}` is not an end of a channel"), place.clone(), "no role is named")
            .help(format!("write \"{end}.ROLE\""))
    })
}

/// Which I/O interrupt controller an interrupt comes in at, and at which pin. Interrupts of the ISA bus are mostly on the
/// pin of the same number, but for the timer's, which PCs have on pin 2; a machine where they are not says so when it
/// boots.
pub fn usual_pin(irq: &Irq) -> Result<(u8, u8), String> {
    match irq.source() {
        Some(IrqSource::Isa(0)) => Ok((0, 2)),
        Some(IrqSource::Isa(isa @ (1 | 3..=15))) => Ok((0, isa)),
        Some(IrqSource::Isa(isa)) => Err(format!("the ISA bus has no interrupt {isa}")),
        Some(IrqSource::Pin { ioapic, pin }) => Ok((ioapic, pin)),
        None => Err("an interrupt comes from one place".into()),
    }
}
