//! A system description as people write it, and what is checked about it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use pecan_manifest::{
    Badge, Channel, Component, INIT, Interface, Irq, IrqSource, Server, Settings, System, layout,
};
use serde::Deserialize;

/// A file of `systems/`.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// Package of the initial task.
    pub root: String,
    /// The components, in the order in which they are started.
    #[serde(default)]
    pub component: Vec<Settings>,
    /// The channels between them.
    #[serde(default)]
    channel: Vec<Edge>,
}

/// A channel: its ends are `COMPONENT.ROLE`.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct Edge {
    from: String,
    to: String,
}

/// The interfaces of components, by package.
pub type Interfaces = BTreeMap<String, Interface>;

impl Description {
    /// Checks everything that can be wrong with a description, and resolves its names.
    pub fn resolve(&self, name: &str, interfaces: &Interfaces) -> Result<System> {
        for (n, component) in self.component.iter().enumerate() {
            let others = &self.component[..n];
            ensure!(
                *component.name != *INIT,
                "a component cannot be called `{INIT}`: that is the initial task"
            );
            ensure!(
                others.iter().all(|c| c.name != component.name),
                "there are two components called `{}`",
                component.name
            );
        }
        self.ports_apart()?;
        let interface = |package: &str| {
            interfaces.get(package).cloned().with_context(|| format!("there is no package `{package}`"))
        };
        let mut system = System { name: name.to_string(), init: interface(&self.root)?, ..System::default() };
        for settings in &self.component {
            let component = check(settings)
                .and_then(|()| interface(&settings.package))
                .with_context(|| format!("component `{}`", settings.name))?;
            system.components.push(Component {
                settings: settings.clone(),
                interface: component,
                places: Vec::new(),
            });
        }
        for edge in &self.channel {
            let channel = edge
                .resolve(&system)
                .with_context(|| format!("the channel from `{}` to `{}`", edge.from, edge.to))?;
            let same = |c: &Channel| (c.client, c.client_role) == (channel.client, channel.client_role);
            ensure!(!system.channels.iter().any(same), "there are two channels from `{}`", edge.from);
            system.channels.push(channel);
        }
        all_roles_connected(&system)?;
        make_places(&mut system)?;
        Ok(system)
    }

    /// A port and an interrupt belong to one component.
    fn ports_apart(&self) -> Result<()> {
        let ports: Vec<_> =
            self.component.iter().flat_map(|c| c.ports.iter().map(move |p| (&c.name, p))).collect();
        for (n, (owner, range)) in ports.iter().enumerate() {
            for (other, taken) in &ports[..n] {
                ensure!(
                    range.first > taken.last || range.last < taken.first,
                    "components `{other}` and `{owner}` both have I/O ports {:#x} to {:#x}",
                    range.first.max(taken.first),
                    range.last.min(taken.last)
                );
            }
        }
        let mut pins = BTreeMap::new();
        for component in &self.component {
            for irq in &component.irqs {
                if let Some(other) = pins.insert(usual_pin(irq)?, &component.name) {
                    bail!("components `{other}` and `{}` both have interrupt `{}`", component.name, irq.name);
                }
            }
        }
        Ok(())
    }
}

/// Checks what is said of a component, as far as it concerns nobody else.
fn check(settings: &Settings) -> Result<()> {
    // The initial task and its fault handling come before everything.
    ensure!(settings.priority < 255, "priority 255 is the initial task's; the greatest here is 254");
    let period_ms = settings.period_ms.unwrap_or(settings.budget_ms);
    ensure!(
        (1..=60_000).contains(&settings.budget_ms) && (settings.budget_ms..=60_000).contains(&period_ms),
        "budget_ms must be 1 to 60000, and period_ms no less than it and at most 60000"
    );
    let memory = settings.memory.0;
    ensure!(
        memory.is_power_of_two() && (128 << 10..=1 << 30).contains(&memory),
        "memory must be a power of two from 128K to 1G"
    );
    for ports in &settings.ports {
        ensure!(ports.first <= ports.last, "I/O ports `{}` end before they start", ports.name);
    }
    ensure!(settings.irqs.len() <= 16, "a component has at most 16 interrupts");
    Ok(())
}

impl Edge {
    fn resolve(&self, system: &System) -> Result<Channel> {
        let (client, client_role) = split(&self.from)?;
        let (server, server_role) = split(&self.to)?;
        ensure!(client != INIT, "`{INIT}` calls nobody");
        ensure!(client != server, "`{client}` cannot call itself");
        let find = |name: &str| {
            let found = system.components.iter().position(|c| *c.settings.name == *name);
            found.with_context(|| format!("there is no component `{name}`"))
        };
        let client_number = find(client)?;
        let uses = &system.components[client_number].interface;
        let Some(used) = uses.used(client_role) else {
            bail!("`{client}` has no role `{client_role}`: it uses {}", list(uses.uses.keys()))
        };
        let (server_end, serves) = if server == INIT {
            (Server::Init, &system.init)
        } else {
            let number = find(server)?;
            (Server::Component(number as u16), &system.components[number].interface)
        };
        let Some(served) = serves.served(server_role) else {
            bail!("`{server}` has no role `{server_role}`: it serves {}", list(serves.serves.keys()))
        };
        let (spoken, understood) = (&uses.uses[client_role], &serves.serves[server_role].protocol);
        ensure!(
            spoken == understood,
            "`{}` speaks the protocol {spoken}, but `{}` serves {understood}",
            self.from,
            self.to
        );
        Ok(Channel {
            client: client_number as u16,
            client_role: used,
            server: server_end,
            server_role: served,
        })
    }
}

/// The component and the role of an end of a channel.
fn split(end: &str) -> Result<(&str, &str)> {
    end.split_once('.').with_context(|| format!("`{end}` is not an end: write COMPONENT.ROLE"))
}

/// Names as an error lists them.
fn list<T: std::fmt::Display>(names: impl Iterator<Item = T>) -> String {
    let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "nothing".into() } else { names.join(", ") }
}

/// Whatever a component uses leads to somebody.
fn all_roles_connected(system: &System) -> Result<()> {
    for (n, component) in system.components.iter().enumerate() {
        let name = &component.settings.name;
        for (role, (role_name, protocol)) in component.interface.uses.iter().enumerate() {
            ensure!(
                system.channels_of(n).any(|(_, c)| usize::from(c.client_role) == role),
                "component `{name}` uses the protocol {protocol} as `{role_name}`, but there is no channel from \
                 `{name}.{role_name}`"
            );
        }
        ensure!(
            component.interface.uses.len() as u64 <= layout::CHANNELS_MAX,
            "component `{name}` uses more than {} roles",
            layout::CHANNELS_MAX
        );
    }
    Ok(())
}

/// Decides how many places each role has: every channel finds one.
fn make_places(system: &mut System) -> Result<()> {
    for n in 0..system.components.len() {
        let component = &system.components[n];
        let name = &component.settings.name;
        let serves = &component.interface.serves;
        if let Some(role) = component.settings.places.keys().find(|role| !serves.contains_key(*role)) {
            bail!("component `{name}` has places for `{role}`, but it serves {}", list(serves.keys()));
        }
        ensure!(serves.len() <= Badge::ROLES, "component `{name}` serves more than {} roles", Badge::ROLES);
        let mut places = Vec::new();
        for (role_number, role) in serves.keys().enumerate() {
            let leads_here = |c: &&Channel| {
                c.server == Server::Component(n as u16) && usize::from(c.server_role) == role_number
            };
            let count = system.channels.iter().filter(leads_here).count();
            let given = component.settings.places.get(role).map_or(count, |places| usize::from(*places));
            ensure!(
                count <= given,
                "component `{name}` has {given} places for `{role}`, but {count} channels lead there"
            );
            places.push(given as u16);
        }
        let sum: u64 = places.iter().map(|p| u64::from(*p)).sum();
        ensure!(
            sum <= layout::CLIENTS_MAX,
            "component `{name}` has {sum} places for clients; the most is {}",
            layout::CLIENTS_MAX
        );
        system.components[n].places = places;
    }
    Ok(())
}

/// Which I/O interrupt controller an interrupt comes in at, and at which pin. Interrupts of the ISA bus are mostly on the
/// pin of the same number, but for the timer's, which PCs have on pin 2; a machine where they are not says so when it
/// boots.
fn usual_pin(irq: &Irq) -> Result<(u8, u8)> {
    match irq.source() {
        Some(IrqSource::Isa(0)) => Ok((0, 2)),
        Some(IrqSource::Isa(isa @ (1 | 3..=15))) => Ok((0, isa)),
        Some(IrqSource::Isa(isa)) => bail!("interrupt `{}`: the ISA bus has no interrupt {isa}", irq.name),
        Some(IrqSource::Pin { ioapic, pin }) => Ok((ioapic, pin)),
        None => bail!("interrupt `{}`: give either `isa`, or `ioapic` and `pin`", irq.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str = r#"
        [[component]]
        name = "server"
        package = "p-server"
        about = "serves"
        priority = 9
        memory = "512K"
    "#;

    const CLIENT: &str = r#"
        [[component]]
        name = "client"
        package = "p-client"
        about = "asks"
        priority = 8
        memory = "1M"
    "#;

    const CHANNELS: &str = r#"
        channel = [
            { from = "client.talker", to = "server.listeners" },
            { from = "client.control", to = "init.control" },
        ]
    "#;

    fn interfaces() -> Interfaces {
        let text = r#"
            p-init = { serves = { control = "control" } }
            p-server = { serves = { listeners = { protocol = "talk", page = true }, singers = "sing" } }
            p-client = { uses = { control = "control", talker = "talk" } }
        "#;
        toml::from_str(text).unwrap()
    }

    fn check(text: &str) -> Result<System> {
        toml::from_str::<Description>(&format!("root = \"p-init\"\n{text}"))?.resolve("test", &interfaces())
    }

    fn error(text: &str) -> String {
        format!("{:#}", check(text).expect_err("this description is wrong"))
    }

    #[test]
    fn names_become_numbers() {
        let system = check(&format!("{CHANNELS}{SERVER}{CLIENT}")).unwrap();
        let talk = Channel { client: 1, client_role: 1, server: Server::Component(0), server_role: 0 };
        let control = Channel { client: 1, client_role: 0, server: Server::Init, server_role: 0 };
        assert_eq!(system.channels, [talk, control]);
        assert_eq!(system.client_role(&talk), "talker");
        assert_eq!(system.server_name(&talk), ("server", "listeners"));
        assert_eq!(system.server_name(&control), ("init", "control"));
        assert_eq!(system.components[0].places, [1, 0]);
        assert_eq!(system.components[1].settings.memory_bits(), 20);
    }

    #[test]
    fn a_channel_needs_both_ends() {
        let wrong = |from: &str, to: &str| error(&format!("{}{SERVER}{CLIENT}", CHANNELS.replace(from, to)));
        assert!(wrong("server.listeners", "nobody.listeners").contains("there is no component `nobody`"));
        assert!(wrong("server.listeners", "server.dancers").contains("it serves `listeners`, `singers`"));
        assert!(wrong("client.talker", "client.singer").contains("it uses `control`, `talker`"));
        assert!(wrong("server.listeners", "server.singers").contains("speaks the protocol talk"));
        assert!(wrong("server.listeners", "server").contains("write COMPONENT.ROLE"));
        let twice = "{ from = \"client.talker\", to = \"server.listeners\" }";
        let other = "{ from = \"client.control\", to = \"init.control\" }";
        assert!(wrong(other, twice).contains("two channels from `client.talker`"));
        assert!(error(&format!("{SERVER}{CLIENT}")).contains("there is no channel from `client.control`"));
    }

    #[test]
    fn authority_at_the_initial_task_is_a_channel_to_it() {
        // A role that speaks the same protocol but leads elsewhere is no way there.
        let elsewhere = CHANNELS.replace("init.control", "server.singers");
        assert!(error(&format!("{elsewhere}{SERVER}{CLIENT}")).contains("`server.singers` serves sing"));
        let absent = CHANNELS.replace("init.control", "init.supervisor");
        assert!(error(&format!("{absent}{SERVER}{CLIENT}")).contains("`init` has no role `supervisor`"));
    }

    #[test]
    fn a_role_has_room_for_its_channels() {
        let server = format!("{SERVER}places = {{ listeners = 0 }}\n");
        assert!(error(&format!("{CHANNELS}{server}{CLIENT}")).contains("0 places for `listeners`, but 1"));
        let server = format!("{SERVER}places = {{ singers = 65 }}\n");
        assert!(error(&format!("{CHANNELS}{server}{CLIENT}")).contains("66 places for clients"));
        let server = format!("{SERVER}places = {{ dancers = 1 }}\n");
        assert!(error(&format!("{CHANNELS}{server}{CLIENT}")).contains("has places for `dancers`"));
        let server = format!("{SERVER}places = {{ listeners = 5, singers = 2 }}\n");
        assert_eq!(check(&format!("{CHANNELS}{server}{CLIENT}")).unwrap().components[0].places, [5, 2]);
    }

    #[test]
    fn a_device_has_one_owner() {
        let with = |text: &str, name: &str| {
            format!("{}\n{text}", SERVER.replace("\"server\"", &format!("\"{name}\"")))
        };
        let ports =
            |first: u16, last: u16| format!("ports = [{{ name = \"x\", first = {first}, last = {last} }}]");
        let text = with(&ports(0x40, 0x43), "a") + &with(&ports(0x43, 0x50), "b");
        assert!(error(&text).contains("`a` and `b` both have I/O ports 0x43 to 0x43"), "{}", error(&text));
        let text = with(&ports(0x40, 0x43), "a") + &with(&ports(0x44, 0x50), "b");
        check(&text).unwrap();
        let irq = |from: &str| format!("irqs = [{{ name = \"x\", {from} }}]");
        let text = with(&irq("isa = 0"), "a") + &with(&irq("pin = 2"), "b");
        assert!(error(&text).contains("both have interrupt"));
        assert!(error(&with(&irq("isa = 2"), "a")).contains("no interrupt 2"));
        assert!(error(&with(&irq("isa = 1, pin = 3"), "a")).contains("give either"));
    }

    #[test]
    fn numbers_are_bounded() {
        let with = |from: &str, to: &str| error(&SERVER.replace(from, to));
        assert!(with("priority = 9", "priority = 255").contains("the greatest here is 254"));
        assert!(with("512K", "500K").contains("power of two"));
        assert!(with("512K", "much").contains("a size"));
        assert!(with("priority = 9", "priority = 9\nbudget_ms = 0").contains("budget_ms"));
        assert!(with("name = \"server\"", "name = \"a b\"").contains("letters"));
        assert!(with("name = \"server\"", "name = \"init\"").contains("the initial task"));
        assert!(with("priority = 9", "prioritty = 9").contains("prioritty"));
        assert!(error(&format!("{SERVER}{SERVER}")).contains("two components called `server`"));
    }
}
