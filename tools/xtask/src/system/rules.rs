//! What can be wrong with a description whose names are all right.

use std::collections::BTreeMap;

use pecan_manifest::{
    Badge, Channel, Component, INIT, OnGiveUp, Server, Settings, Size, Start, Thread, layout,
};
use serde::Deserialize;

use super::{
    description::{Draft, Part},
    devices,
    problem::{Place, Problem, list},
    time,
};

/// A rule that may be broken where it is meant so: `allow = { RULE = "the reason" }` in the table that breaks it.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// No component waits for another one that waits for it.
    Cycle,
    /// A server does not run below its client.
    Priority,
    /// A server is started before its clients.
    StartOrder,
    /// A server is started with the system, and started again when it fails.
    DemandServer,
    /// What runs above a component that was promised time leaves it that time.
    Promise,
    /// A server of which a component's signs of life depend gives more of them.
    Heartbeat,
}

impl Rule {
    /// All of them.
    #[cfg(test)]
    pub const ALL: [Self; 6] =
        [Self::Cycle, Self::Priority, Self::StartOrder, Self::DemandServer, Self::Promise, Self::Heartbeat];

    /// The name in a description.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cycle => "cycle",
            Self::Priority => "priority",
            Self::StartOrder => "start-order",
            Self::DemandServer => "demand-server",
            Self::Promise => "promise",
            Self::Heartbeat => "heartbeat",
        }
    }

    /// What to write to break it.
    pub fn may_be_broken(self) -> String {
        format!("if it is meant so: `allow = {{ {} = \"the reason\" }}` in this table", self.name())
    }
}

/// Names in the start page that are not those of roles.
const RESERVED: [&str; 10] =
    ["archive", "service", "signals", "reply", "replies", "supervisor", "log", "tcb", "cspace", "vspace"];
/// The protocol by which the supervisor starts components.
const INSTANCES: &str = "instances";
/// Memory is counted in pages.
pub const PAGE: u64 = 4096;
/// The least memory of a component, and the most.
const MEMORY: [Size; 2] = [Size(128 << 10), Size(1 << 30)];
/// The least stack, and the most: it has room between where programs are linked to and the addresses of null pointers.
const STACK: [Size; 2] = [Size(8 << 10), Size(2 << 20)];
/// The least memory for sessions, and the most.
const SESSIONS: [Size; 2] = [Size(layout::SESSION_LEAST), Size(1 << 30)];
/// What the initial task and the kernel take of the machine's memory, at most.
const SYSTEM_MEMORY: u64 = 16 << 20;

/// Checks a description, and decides how many places each role has.
pub fn check(draft: &mut Draft, problems: &mut Vec<Problem>) {
    names(draft, problems);
    for (component, part) in draft.system.components.iter().zip(&draft.parts) {
        numbers(component, part, problems);
    }
    devices::check(draft, problems);
    one_log(draft, problems);
    parts(draft, problems);
    helpers(draft, problems);
    roles(draft, problems);
    sessions(draft, problems);
    places(draft, problems);
    memory(draft, problems);
    time::check(draft, problems);
    protocols(draft, problems);
    order(draft, problems);
    cycles(draft, problems);
}

/// Where a value of a component is.
pub fn at(draft: &Draft, component: usize, key: &str) -> Place {
    draft.parts[component].node.at(key)
}

/// Who is restarted when another component is given up is started with the system.
fn helpers(draft: &Draft, problems: &mut Vec<Problem>) {
    for (n, component) in draft.system.components.iter().enumerate() {
        let OnGiveUp::Restart(names) = &component.settings.on_give_up else { continue };
        for name in names.iter().filter(|name| **name == component.settings.name || !starts(draft, name)) {
            let title = format!("`{name}` is no other component that starts with the system");
            let problem =
                Problem::new(title, at(draft, n, "on_give_up"), "it cannot be restarted for this one");
            problems
                .push(problem.help("name components that are started at boot, and not the component itself"));
        }
    }
}

/// Whether a component of a name is started with the system.
fn starts(draft: &Draft, name: &str) -> bool {
    let mut settings = draft.system.components.iter().map(|c| &c.settings);
    settings.any(|s| *s.name == *name && s.start == Start::Boot)
}

fn names(draft: &Draft, problems: &mut Vec<Problem>) {
    let mut known = BTreeMap::new();
    for (n, component) in draft.system.components.iter().enumerate() {
        let name = &component.settings.name;
        if **name == *INIT {
            problems.push(
                Problem::new(format!("a component cannot be called `{INIT}`"), at(draft, n, "name"), "taken")
                    .help("that is the initial task: choose another name"),
            );
        }
        if let Some(other) = known.insert(name, n) {
            problems.push(
                Problem::new(
                    format!("there are two components called `{name}`"),
                    at(draft, n, "name"),
                    "again",
                )
                .also(at(draft, other, "name"), "the first one")
                .help("give one of them another name; a package can be used by several components"),
            );
        }
    }
}

/// What is said of a component, as far as it concerns nobody else.
fn numbers(component: &Component, part: &Part, problems: &mut Vec<Problem>) {
    let settings = &component.settings;
    let mut wrong = |title: &str, key: &str, label: &str, help: String| {
        problems.push(Problem::new(title, part.node.at(key), label).help(help));
    };
    if settings.priority == u8::MAX {
        // The initial task and its fault handling come before everything.
        wrong("priority 255 is the initial task's", "priority", "too high", "write at most 254".into());
    }
    if !(1..=60_000).contains(&settings.budget_ms) {
        wrong(
            "a budget is 1 to 60000 ms",
            "budget_ms",
            "not such a time",
            "write a time from 1 to 60000".into(),
        );
    }
    if let Some(period) = settings.period_ms
        && !(settings.budget_ms..=60_000).contains(&period)
    {
        let help = format!("write a time from {} to 60000: the budget has to fit in", settings.budget_ms);
        wrong(
            "a period is as long as its budget, and at most 60000 ms",
            "period_ms",
            "not such a time",
            help,
        );
    }
    let memory = settings.memory.0;
    let [least, most] = MEMORY;
    if !(least..=most).contains(&settings.memory) || !memory.is_multiple_of(PAGE) {
        let next = Size(memory.clamp(least.0, most.0).next_multiple_of(PAGE));
        let title = format!("memory is a multiple of {} from {least} to {most}", Size(PAGE));
        wrong(&title, "memory", "not such a size", format!("write \"{next}\""));
    }
    if settings.children.is_some_and(|children| !(least..=most).contains(&children)) {
        let title = format!("memory for children is {least} to {most}");
        wrong(&title, "children", "not such a size", format!("write at least \"{least}\""));
    }
    if let Some(sessions) = settings.sessions {
        size(sessions, SESSIONS, "memory for sessions", part.node.at("sessions"), problems);
    }
    let mut wrong = |title: &str, key: &str, label: &str, help: String| {
        problems.push(Problem::new(title, part.node.at(key), label).help(help));
    };
    if let Some(instances) = settings.instances
        && (settings.start == Start::Boot || instances == 0)
    {
        let help = "write 1 or more, with `start = \"demand\"`, or take it out";
        wrong("instances are those of a program", "instances", "not of this", help.into());
    }
    // A program is run once, whatever its table says.
    for key in ["restart", "back_off", "on_give_up"] {
        if settings.start == Start::Demand && part.node.get(key).is_some() {
            let title = format!("`{key}` is for what is started with the system");
            let help = "take it out: a program runs when somebody asks for it, once".into();
            wrong(&title, key, "a program is not started again", help);
        }
    }
    if let Some(stack) = settings.stack {
        size(stack, STACK, "a stack", part.node.at("stack"), problems);
    }
    if let Some(heap) = settings.heap {
        size(heap, [Size(PAGE), MEMORY[1]], "a heap", part.node.at("heap"), problems);
    }
    let mut wrong = |title: &str, key: &str, label: &str, help: String| {
        problems.push(Problem::new(title, part.node.at(key), label).help(help));
    };
    let back_off = settings.back_off;
    let longest = back_off.first_ms.max(back_off.most_ms).max(back_off.calm_ms);
    if back_off.first_ms > back_off.most_ms || longest > 3_600_000 || back_off.failures == 0 {
        let help =
            "write times of at most an hour, `first_ms` no more than `most_ms`, and `failures` of 1 or more";
        wrong("a time to wait grows", "back_off", "this does not", help.into());
    }
    for (n, ports) in settings.ports.iter().enumerate() {
        if ports.first > ports.last {
            let node = part.node.get("ports").and_then(|list| list.items().into_iter().nth(n));
            let place = node.map_or_else(|| part.node.at("ports"), |node| node.at("last"));
            problems.push(
                Problem::new(
                    format!("the I/O ports `{}` end before they start", ports.name),
                    place,
                    "the last port",
                )
                .help(format!("write {:#x} or more", ports.first)),
            );
        }
    }
}

/// A size is a multiple of a page between two bounds.
pub fn size(size: Size, [least, most]: [Size; 2], what: &str, place: Place, problems: &mut Vec<Problem>) {
    if (least..=most).contains(&size) && size.0.is_multiple_of(PAGE) {
        return;
    }
    let next = Size((size.0.clamp(least.0, most.0 / PAGE * PAGE)).next_multiple_of(PAGE));
    let title = format!("{what} is a multiple of {} from {least} to {most}", Size(PAGE));
    problems.push(Problem::new(title, place, "not such a size").help(format!("write \"{next}\"")));
}

fn one_log(draft: &Draft, problems: &mut Vec<Problem>) {
    let mut shows = (0..draft.parts.len()).filter(|n| draft.system.components[*n].settings.log);
    if let (Some(first), Some(second)) = (shows.next(), shows.next()) {
        problems.push(
            Problem::new("two components show the system log", at(draft, second, "log"), "a second one")
                .also(at(draft, first, "log"), "the first one")
                .help("leave the key out of one of them: the log is a ring with one reader"),
        );
    }
}

/// Whoever calls the initial task is a part of the system, which is started with it and again and again. Each of the initial
/// task's roles has one such part.
fn parts(draft: &Draft, problems: &mut Vec<Problem>) {
    let mut first: BTreeMap<u8, usize> = BTreeMap::new();
    for (n, channel) in draft.system.channels.iter().enumerate().filter(|(_, c)| c.server == Server::Init) {
        let other = first.insert(channel.server_role, n);
        // One role of a client that leads to two places is a mistake of its own.
        if let Some(other) = other.filter(|other| {
            let first = &draft.system.channels[*other];
            (first.client, first.client_role) != (channel.client, channel.client_role)
        }) {
            let role = draft.system.server_name(channel).1;
            problems.push(
                Problem::new(
                    format!("two channels lead to `{INIT}.{role}`"),
                    draft.wires[n].node.at("to"),
                    "the second one",
                )
                .also(draft.wires[other].node.at("to"), "the first one")
                .help("one part of the system does this for all: let others call that part"),
            );
        }
        let client = usize::from(channel.client);
        if draft.system.components[client].settings.start == Start::Demand {
            let title = format!(
                "`{}` calls `{INIT}`, and is no part of the system",
                draft.system.components[client].settings.name
            );
            problems.push(
                Problem::new(title, draft.parts[client].node.at("start"), "it is not started with it")
                    .help("let it call a component that is"),
            );
        }
    }
    let serves = draft.system.init.serves.iter().enumerate();
    for (number, (role, served)) in serves.filter(|(_, (_, served))| *served.protocol.name == *INSTANCES) {
        if !first.contains_key(&(number as u8)) {
            let title = format!("nobody calls `{INIT}.{role}`");
            let label = format!(
                "no component would be started: that takes a client of the protocol {}",
                served.protocol
            );
            problems.push(
                Problem::new(title, Place { file: 0, span: 0..0 }, label)
                    .help("add `include = [\"parts/system.toml\"]`: the parts that every system has"),
            );
        }
    }
}

/// Who opens sessions has memory for them, and nobody else.
fn sessions(draft: &Draft, problems: &mut Vec<Problem>) {
    for (n, component) in draft.system.components.iter().enumerate() {
        let (name, settings) = (&component.settings.name, &component.settings);
        let opens = component.interface.uses.iter().find(|(_, used)| used.sessions).map(|(role, _)| role);
        match (opens, settings.sessions) {
            (Some(role), None) => {
                let title = format!("`{name}` opens sessions, and has no memory for them");
                let label = format!("of the role `{role}`");
                let mut problem = Problem::new(title, at(draft, n, "name"), label);
                if let Some(place) = draft.parts[n].declared.role("uses", role) {
                    problem = problem.also(place, "its crate says so here");
                }
                problems.push(problem.help("add how much it gives to servers: `sessions = \"256K\"`"));
            }
            (None, Some(_)) => {
                let title = format!("`{name}` opens no sessions");
                let problem = Problem::new(title, at(draft, n, "sessions"), "memory for nothing");
                problems.push(
                    problem.help("take it out, or write `sessions = true` into a role that its crate uses"),
                );
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
}

/// Whatever a component uses leads to one server.
fn roles(draft: &Draft, problems: &mut Vec<Problem>) {
    let mut first: BTreeMap<(u16, u8), usize> = BTreeMap::new();
    for (n, channel) in draft.system.channels.iter().enumerate() {
        if let Some(other) = first.insert((channel.client, channel.client_role), n) {
            let role = draft.system.client_role(channel);
            problems.push(
                Problem::new(
                    format!("there are two channels from the role `{role}`"),
                    draft.wires[n].node.at("from"),
                    "again",
                )
                .also(draft.wires[other].node.at("from"), "the first one")
                .help("a role leads to one server: let the component's crate use the protocol in two roles"),
            );
        }
    }
    for (n, component) in draft.system.components.iter().enumerate() {
        let name = &component.settings.name;
        for (role, (role_name, used)) in component.interface.uses.iter().enumerate() {
            let protocol = &used.protocol;
            if RESERVED.contains(&&**role_name) {
                let place = draft.parts[n].declared.role("uses", role_name);
                let place = place.unwrap_or_else(|| at(draft, n, "package"));
                problems.push(
                    Problem::new(format!("a role cannot be called `{role_name}`"), place, "taken")
                        .help(format!("these names mean something else: {}", list(RESERVED))),
                );
            }
            if first.contains_key(&(n as u16, role as u8)) {
                continue;
            }
            let servers: Vec<_> = servers_of(draft, protocol, name);
            let to = servers.first().map_or("SERVER.ROLE", String::as_str);
            let mut problem = Problem::new(
                format!("the role `{role_name}` of `{name}` leads nowhere"),
                at(draft, n, "name"),
                format!("it calls by the protocol {protocol}"),
            );
            if let Some(place) = draft.parts[n].declared.role("uses", role_name) {
                problem = problem.also(place, "its crate says so here");
            }
            problems.push(
                problem.help(format!("add a channel: {{ from = \"{name}.{role_name}\", to = \"{to}\" }}")),
            );
        }
    }
}

/// The ends that serve a protocol, for a client.
fn servers_of(draft: &Draft, protocol: &pecan_manifest::Protocol, client: &str) -> Vec<String> {
    let components = draft.system.components.iter().map(|c| (&*c.settings.name, &c.interface));
    let all = components.chain([(INIT, &draft.system.init)]).filter(|(name, _)| *name != client);
    let ends = all.flat_map(|(name, interface)| {
        let fitting = interface.serves.iter().filter(|(_, served)| served.protocol == *protocol);
        fitting.map(move |(role, _)| format!("{name}.{role}"))
    });
    ends.collect()
}

/// A protocol has one name: the numbers of methods are made of it, so that those of two protocols of one name would be the
/// same.
fn protocols(draft: &Draft, problems: &mut Vec<Problem>) {
    let mut known: BTreeMap<&str, (&pecan_manifest::Protocol, Place)> = BTreeMap::new();
    for (component, part) in draft.system.components.iter().zip(&draft.parts) {
        let interface = &component.interface;
        let served = interface.serves.iter().map(|(role, served)| ("serves", role, &served.protocol));
        let used = interface.uses.iter().map(|(role, used)| ("uses", role, &used.protocol));
        for (kind, role, protocol) in served.chain(used) {
            let place = part.declared.role(kind, role).unwrap_or_else(|| part.node.at("package"));
            match known.get(&*protocol.name) {
                Some((other, first)) if *other != protocol => {
                    let title = format!("two protocols are called `{}`", protocol.name);
                    problems.push(
                        Problem::new(title, place, format!("this is {protocol}"))
                            .also(first.clone(), format!("this is {other}"))
                            .help("give one of them another name: numbers of methods are made of the name"),
                    );
                }
                Some(_) => {}
                None => {
                    known.insert(&protocol.name, (protocol, place));
                }
            }
        }
    }
}

/// Decides how many places each role has: every channel finds one.
fn places(draft: &mut Draft, problems: &mut Vec<Problem>) {
    for n in 0..draft.parts.len() {
        let component = &draft.system.components[n];
        let settings = &component.settings;
        let (name, serves) = (&settings.name, &component.interface.serves);
        let table = draft.parts[n].node.get("places");
        let place = |role: &str| table.as_ref().map_or_else(|| at(draft, n, "name"), |t| t.at(role));
        let key = |role: &str| table.as_ref().map_or_else(|| at(draft, n, "name"), |t| t.key(role));
        for role in settings.places.keys().filter(|role| !serves.contains_key(*role)) {
            problems.push(
                Problem::new(format!("`{name}` does not serve a role `{role}`"), key(role), "not a role")
                    .help(format!("it serves {}", list(serves.keys()))),
            );
        }
        let mut places = Vec::new();
        for (number, role) in serves.keys().enumerate() {
            let leads_here = |c: &&Channel| {
                c.server == Server::Component(n as u16) && usize::from(c.server_role) == number
            };
            // As many as can run at once each need one; of a program that does not say, one at least.
            let instances = |c: &Channel| {
                let client = &draft.system.components[usize::from(c.client)].settings;
                usize::from(client.instances.unwrap_or(1))
            };
            let count = draft.system.channels.iter().filter(leads_here).map(instances).sum();
            let given = settings.places.get(role).map_or(count, |places| usize::from(*places));
            let channels = draft.system.channels.iter().filter(leads_here).count();
            if serves[role].ring.is_some() && given > channels {
                problems.push(
                    Problem::new(
                        format!("`{name}.{role}` has a ring with each client, so it has as many places as channels"),
                        place(role),
                        format!("channels that lead here: {channels}"),
                    )
                    .help("take it out: a ring belongs to its channel, and a second instance of a client has none"),
                );
            }
            if given < count {
                problems.push(
                    Problem::new(
                        format!("`{name}.{role}` has places for {given} clients, and needs {count}"),
                        place(role),
                        "too few",
                    )
                    .help(format!("write {count} or more: each instance of a program needs one")),
                );
            }
            places.push(given as u16);
        }
        let sum: u64 = places.iter().map(|p| u64::from(*p)).sum();
        let most = layout::CLIENTS_MAX.min(Badge::PLACES as u64);
        if sum > most {
            problems.push(
                Problem::new(
                    format!("`{name}` has places for {sum} clients; the most is {most}"),
                    at(draft, n, "places"),
                    "in all roles together",
                )
                .help("let it have fewer, or use the package for two components"),
            );
        }
        let replies = if sum > 0 { sum + 1 } else { 0 };
        let devices = (settings.ports.len() + settings.irqs.len()) as u64;
        let threads = settings.threads.len() as u64;
        let rings = draft.system.rings_of(n).count() as u64;
        let uses = component.interface.uses.len() as u64;
        let of_threads = layout::slots_of_threads(threads);
        let sessions = settings.session_slots();
        let log = if draft.system.log_writer() == Some(n) { layout::SLOTS_LOG } else { 0 };
        let slots = layout::SLOTS_OTHERS + log + uses + rings + devices + replies + of_threads + sessions;
        if slots > layout::SLOTS_MAX {
            let title = format!("`{name}` has {slots} capabilities; the most is {}", layout::SLOTS_MAX);
            problems.push(
                Problem::new(
                    title,
                    at(draft, n, if devices > sum { "ports" } else { "places" }),
                    "the most of them",
                )
                .help("let it have less, or use the package for two components"),
            );
        }
        let odd = |t: &Thread| {
            let (budget, period) = t.time_us();
            budget == 0 || budget > period || t.stack.0 == 0 || !t.stack.0.is_multiple_of(PAGE)
        };
        if threads > layout::THREADS_MAX || settings.threads.values().any(odd) {
            let title = format!(
                "`{name}` has at most {} threads, each with time and whole pages of stack",
                layout::THREADS_MAX
            );
            let help = "write `threads = { NAME = { budget_ms = 5, stack = \"16K\" } }`, and a `period_ms` that is not less";
            problems.push(Problem::new(title, at(draft, n, "threads"), "not such threads").help(help));
        }
        if uses > layout::CHANNELS_MAX || serves.len() > Badge::ROLES {
            let title = format!("`{name}` has more than {} roles", layout::CHANNELS_MAX);
            problems.push(Problem::new(title, at(draft, n, "package"), "its crate says so"));
        }
        draft.system.components[n].places = places;
    }
    for n in 0..draft.parts.len() {
        let rings = draft.system.rings_of(n).count() as u64;
        if rings > layout::RINGS_MAX {
            problems.push(
                Problem::new(
                    format!("`{}` has {rings} rings", draft.system.components[n].settings.name),
                    at(draft, n, "name"),
                    format!("the most is {}", layout::RINGS_MAX),
                )
                .help("let several clients share one that is between them and this component"),
            );
        }
    }
}

/// What is started with the system fits into the machine, and so does each program beside that.
fn memory(draft: &Draft, problems: &mut Vec<Problem>) {
    let (machine, node) = &draft.machine;
    let settings = || draft.system.components.iter().map(|c| &c.settings);
    let all = |s: &Settings| {
        let dma: u64 = s.dma.iter().map(|dma| dma.bytes.0).sum();
        let others = [s.children, s.sessions].into_iter().flatten().map(|size| size.0);
        s.memory.0 + others.sum::<u64>() + dma
    };
    let rings: u64 = draft.system.channels.iter().filter_map(|c| c.ring).map(|ring| ring.bytes()).sum();
    let boot = rings + settings().filter(|s| s.start == Start::Boot).map(all).sum::<u64>();
    let room = machine.memory.0.saturating_sub(SYSTEM_MEMORY);
    let largest = (0..draft.parts.len()).max_by_key(|n| draft.system.components[*n].settings.memory);
    let Some(largest) = largest else { return };
    let mebi = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    let mut problem = None;
    if boot > room {
        problem = Some(Problem::new(
            format!("the components need {}, and the machine has {}", mebi(boot), mebi(machine.memory.0)),
            at(draft, largest, "memory"),
            "the largest part",
        ));
    } else if let Some(n) = (0..draft.parts.len()).find(|n| {
        let settings = &draft.system.components[*n].settings;
        settings.start == Start::Demand && boot + all(settings) > room
    }) {
        problem = Some(Problem::new(
            format!(
                "beside the components, which need {}, the machine's {} have no room for this program",
                mebi(boot),
                mebi(machine.memory.0)
            ),
            at(draft, n, "memory"),
            "it can never run",
        ));
    }
    let Some(mut problem) = problem else { return };
    if let Some(node) = node {
        problem = problem.also(node.at("memory"), "the machine's memory");
    }
    problems.push(problem.help(format!(
        "let them have less, or say that the machine has more: `machine = {{ memory = \"...\" }}`; {} are the \
         initial task's and the kernel's",
        mebi(SYSTEM_MEMORY)
    )));
}

/// A server is there before its clients, stays there, and is not kept waiting by what its clients would go before.
fn order(draft: &Draft, problems: &mut Vec<Problem>) {
    for (n, channel) in draft.system.channels.iter().enumerate() {
        let Server::Component(server) = channel.server else { continue };
        let (client, server) = (usize::from(channel.client), usize::from(server));
        let (wire, components) = (&draft.wires[n], &draft.system.components);
        let (calling, called) = (&components[client].settings, &components[server].settings);
        if called.start == Start::Demand && !wire.allow.permits(Rule::DemandServer) {
            problems.push(
                Problem::new(
                    format!("`{}` serves, and is not started with the system", called.name),
                    at(draft, server, "start"),
                    "nobody starts it again when it ends",
                )
                .also(wire.node.at("to"), format!("then `{}` waits for ever", calling.name))
                .help(format!(
                    "write `start = \"boot\"` and `restart = \"always\"`; {}",
                    Rule::DemandServer.may_be_broken()
                )),
            );
        }
        if calling.priority > called.priority && !wire.allow.permits(Rule::Priority) {
            problems.push(
                Problem::new(
                    format!("`{}` calls a server that runs below it", calling.name),
                    at(draft, client, "priority"),
                    "the client's priority",
                )
                .also(at(draft, server, "priority"), "the server's")
                .also(wire.node.at("to"), "called here")
                .help(format!(
                    "give `{}` a priority of {} or more, or whatever runs between the two delays the client; {}",
                    called.name,
                    calling.priority,
                    Rule::Priority.may_be_broken()
                )),
            );
        }
        let both_at_boot = calling.start == Start::Boot && called.start == Start::Boot;
        if both_at_boot && client < server && !wire.allow.permits(Rule::StartOrder) {
            problems.push(
                Problem::new(
                    format!("`{}` is started before `{}`, which it calls", calling.name, called.name),
                    at(draft, client, "name"),
                    "the client",
                )
                .also(at(draft, server, "name"), "the server")
                .also(wire.node.at("to"), "called here")
                .help(format!(
                    "move the client's table behind the server's; {}",
                    Rule::StartOrder.may_be_broken()
                )),
            );
        }
    }
}

/// Nobody waits for somebody who waits for it: a call ends when the server answers.
fn cycles(draft: &Draft, problems: &mut Vec<Problem>) {
    let channels = &draft.system.channels;
    let all: Vec<usize> = (0..channels.len()).collect();
    let within = |n: usize| path(channels, &all, target(&channels[n]), Some(channels[n].client)).is_some();
    let mut left: Vec<usize> =
        all.iter().copied().filter(|n| !(within(*n) && draft.wires[*n].allow.permits(Rule::Cycle))).collect();
    while let Some((first, back)) = left
        .iter()
        .find_map(|n| Some((*n, path(channels, &left, target(&channels[*n]), Some(channels[*n].client))?)))
    {
        let around: Vec<usize> = std::iter::once(first).chain(back).collect();
        let name = |n: usize| &*draft.system.components[usize::from(channels[n].client)].settings.name;
        let names: Vec<_> = around.iter().map(|n| name(*n)).chain([name(first)]).collect();
        let mut problem = Problem::new(
            format!("a circle of calls: {}", names.join(" calls ")),
            draft.wires[first].node.at("to"),
            "leads back here",
        );
        for n in &around[1..] {
            problem = problem.also(draft.wires[*n].node.at("to"), "through this channel");
        }
        problems.push(problem.help(format!(
            "each can wait for the next, and then all wait for ever: let one signal or poll instead of calling; {}",
            Rule::Cycle.may_be_broken()
        )));
        left.retain(|n| *n != first);
    }
}

/// The component that a channel leads to; none for the initial task, which calls nobody.
fn target(channel: &Channel) -> Option<u16> {
    match channel.server {
        Server::Init => None,
        Server::Component(n) => Some(n),
    }
}

/// Some of the channels, on which one gets from a component to another; a shortest way.
fn path(channels: &[Channel], open: &[usize], from: Option<u16>, to: Option<u16>) -> Option<Vec<usize>> {
    let mut ways: Vec<(Option<u16>, Vec<usize>)> = vec![(from, Vec::new())];
    let mut seen = vec![from];
    let mut next = 0;
    while let Some((here, way)) = ways.get(next).cloned() {
        if here == to {
            return Some(way);
        }
        next += 1;
        for n in open.iter().filter(|n| here.is_some() && Some(channels[**n].client) == here) {
            let there = target(&channels[*n]);
            if there.is_some() && !seen.contains(&there) {
                seen.push(there);
                ways.push((there, way.iter().copied().chain([*n]).collect()));
            }
        }
    }
    None
}
