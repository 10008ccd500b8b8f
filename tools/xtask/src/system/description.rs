//! The form in which people write a system description, and what is checked about it.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};
use pecan_manifest::{self as manifest, layout};
use serde::{Deserialize, Deserializer, de::Error};

use crate::toolchain::Purpose;

/// A file of `systems/`.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// Package of the initial task.
    pub root: String,
    /// The components, in the order in which they are started.
    #[serde(default)]
    pub component: Vec<Component>,
}

/// A component or program.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Component {
    name: String,
    /// The package with a program of the same name.
    pub package: String,
    about: String,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    start: Start,
    #[serde(default)]
    restart: Restart,
    priority: u8,
    /// Milliseconds of processor time in each period of as many milliseconds.
    #[serde(default = "default_budget")]
    budget_ms: u64,
    period_ms: Option<u64>,
    #[serde(deserialize_with = "size")]
    memory: u64,
    serves: Option<Serves>,
    /// Protocol to name of the server.
    #[serde(default)]
    uses: BTreeMap<String, String>,
    #[serde(default)]
    irqs: Vec<Irq>,
    #[serde(default)]
    ports: Vec<Ports>,
    #[serde(default)]
    log: bool,
    /// Whether it uses floating-point and vector registers.
    #[serde(default = "yes")]
    fpu: bool,
}

#[derive(Deserialize, Debug, Clone, Copy, Default)]
#[serde(rename_all = "kebab-case")]
enum Start {
    #[default]
    Boot,
    Demand,
}

#[derive(Deserialize, Debug, Clone, Copy, Default)]
#[serde(rename_all = "kebab-case")]
enum Restart {
    #[default]
    Never,
    OnFailure,
    Always,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct Serves {
    protocol: String,
    clients: u16,
    #[serde(default)]
    pages: bool,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct Irq {
    name: String,
    /// An interrupt of the ISA bus.
    isa: Option<u8>,
    /// Or a pin of an I/O interrupt controller.
    ioapic: Option<u8>,
    pin: Option<u8>,
    #[serde(default)]
    level: bool,
    #[serde(default)]
    active_low: bool,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct Ports {
    name: String,
    first: u16,
    last: u16,
}

fn default_budget() -> u64 {
    5
}

fn yes() -> bool {
    true
}

/// A size: a number of bytes, or a text such as `"64K"` or `"2M"`.
fn size<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Size {
        Bytes(u64),
        Text(String),
    }
    match Size::deserialize(from)? {
        Size::Bytes(bytes) => Ok(bytes),
        Size::Text(text) => parse_size(&text)
            .ok_or_else(|| D::Error::custom(format!("`{text}` is not a size: write a number and K or M"))),
    }
}

fn parse_size(text: &str) -> Option<u64> {
    let (number, shift) = match text.strip_suffix(['K', 'M']) {
        Some(number) => (number, if text.ends_with('K') { 10 } else { 20 }),
        None => (text, 0),
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// The name under which a component reaches the initial task.
const INIT: &str = "init";
/// The protocol that the initial task speaks.
const CONTROL: &str = "control";

impl Description {
    /// Checks everything that can be wrong with a description, and resolves its names.
    pub fn check(&self, name: &str) -> Result<manifest::System> {
        for (n, component) in self.component.iter().enumerate() {
            let others = &self.component[..n];
            ensure!(
                component.name != INIT,
                "a component cannot be called `{INIT}`: that is the initial task"
            );
            ensure!(
                others.iter().all(|c| c.name != component.name),
                "there are two components called `{}`",
                component.name
            );
        }
        self.ports_apart()?;
        let mut components = Vec::new();
        for component in &self.component {
            let checked =
                component.check(self).map_err(|e| e.context(format!("component `{}`", component.name)));
            components.push(checked?);
        }
        self.room_for_clients()?;
        Ok(manifest::System { name: name.to_string(), components })
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
                if let Some(other) = pins.insert(irq.usual_pin()?, &component.name) {
                    bail!("components `{other}` and `{}` both have interrupt `{}`", component.name, irq.name);
                }
            }
        }
        Ok(())
    }

    /// Every component that is started at boot and uses a service finds a place there.
    fn room_for_clients(&self) -> Result<()> {
        for server in &self.component {
            let Some(serves) = &server.serves else { continue };
            let clients = self.component.iter().filter(|c| c.uses.values().any(|s| *s == server.name));
            let count = clients.count();
            ensure!(
                count <= usize::from(serves.clients),
                "component `{}` serves {} clients, but {count} use it",
                server.name,
                serves.clients
            );
        }
        Ok(())
    }
}

impl Component {
    /// What its program is built for.
    pub fn purpose(&self) -> Purpose {
        if self.fpu { Purpose::User } else { Purpose::UserWithoutFpu }
    }

    /// The name of its program in the archive. No package has a dot in its name.
    pub fn program(&self) -> String {
        if self.fpu { self.package.clone() } else { format!("{}.without-fpu", self.package) }
    }

    fn check(&self, system: &Description) -> Result<manifest::Component> {
        let name = &self.name;
        ensure!(
            !name.is_empty()
                && name.len() <= 24
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'),
            "the name is not made of 1 to 24 letters, digits, `-` and `_`"
        );
        // The initial task and its fault handling come before everything.
        ensure!(self.priority < 255, "priority 255 is the initial task's; the greatest here is 254");
        let period_ms = self.period_ms.unwrap_or(self.budget_ms);
        ensure!(
            (1..=60_000).contains(&self.budget_ms) && (self.budget_ms..=60_000).contains(&period_ms),
            "budget_ms must be 1 to 60000, and period_ms no less than it and at most 60000"
        );
        ensure!(
            self.memory.is_power_of_two() && (128 << 10..=1 << 30).contains(&self.memory),
            "memory must be a power of two from 128K to 1024M"
        );
        if let Some(serves) = &self.serves {
            ensure!(
                (1..=layout::CLIENTS_MAX).contains(&serves.clients.into()),
                "a service has 1 to {} clients",
                layout::CLIENTS_MAX
            );
        }
        ensure!(
            self.uses.len() as u64 <= layout::CHANNELS_MAX,
            "a component uses at most {} services",
            layout::CHANNELS_MAX
        );
        let uses = self.uses.iter().map(|(protocol, server)| self.channel(system, protocol, server));
        let ports = self.ports.iter().map(|p| {
            ensure!(p.first <= p.last, "I/O ports `{}` end before they start", p.name);
            Ok(manifest::Ports { name: p.name.clone(), first: p.first, last: p.last })
        });
        ensure!(self.irqs.len() <= 16, "a component has at most 16 interrupts");
        let irqs = self.irqs.iter().map(|irq| {
            let (ioapic, pin) = irq.usual_pin()?;
            let Irq { level, active_low, .. } = *irq;
            let source = match irq.isa {
                Some(isa) => manifest::IrqSource::Isa(isa),
                None => manifest::IrqSource::Pin { ioapic, pin, level, active_low },
            };
            Ok(manifest::Irq { name: irq.name.clone(), source })
        });
        Ok(manifest::Component {
            name: name.clone(),
            about: self.about.clone(),
            program: self.program(),
            args: self.args.clone(),
            start: match self.start {
                Start::Boot => manifest::Start::Boot,
                Start::Demand => manifest::Start::Demand,
            },
            restart: match self.restart {
                Restart::Never => manifest::Restart::Never,
                Restart::OnFailure => manifest::Restart::OnFailure,
                Restart::Always => manifest::Restart::Always,
            },
            priority: self.priority,
            budget_us: self.budget_ms * 1000,
            period_us: period_ms * 1000,
            memory_bits: self.memory.trailing_zeros() as u8,
            serves: self.serves.as_ref().map(|s| manifest::Service {
                protocol: s.protocol.clone(),
                clients: s.clients,
                pages: s.pages,
            }),
            uses: uses.collect::<Result<_>>()?,
            irqs: irqs.collect::<Result<_>>()?,
            ports: ports.collect::<Result<_>>()?,
            log: self.log,
            fpu: self.fpu,
        })
    }

    fn channel(&self, system: &Description, protocol: &str, server: &str) -> Result<manifest::Channel> {
        let found = system.component.iter().position(|c| c.name == server);
        let (to, spoken) = match found {
            _ if server == INIT => (manifest::Server::Init, Some(CONTROL)),
            Some(n) => {
                let serves = system.component[n].serves.as_ref();
                (manifest::Server::Component(n as u16), serves.map(|s| s.protocol.as_str()))
            }
            None => bail!("it uses `{server}` for {protocol}, but there is no such component"),
        };
        ensure!(server != self.name, "it uses itself for {protocol}");
        match spoken {
            Some(spoken) if spoken == protocol => {}
            Some(spoken) => bail!("it uses `{server}` for {protocol}, but that one serves {spoken}"),
            None => bail!("it uses `{server}` for {protocol}, but that one serves nothing"),
        }
        Ok(manifest::Channel { protocol: protocol.to_string(), server: to })
    }
}

impl Irq {
    /// Which controller, and which pin. Interrupts of the ISA bus are mostly on the pin of the same number, but for
    /// the timer's, which PCs have on pin 2; a machine where they are not says so when it boots.
    fn usual_pin(&self) -> Result<(u8, u8)> {
        match (self.isa, self.ioapic, self.pin) {
            (Some(0), None, None) => Ok((0, 2)),
            (Some(isa @ (1 | 3..=15)), None, None) => Ok((0, isa)),
            (Some(isa), None, None) => bail!("interrupt `{}`: the ISA bus has no interrupt {isa}", self.name),
            (None, ioapic, Some(pin)) => Ok((ioapic.unwrap_or(0), pin)),
            _ => bail!("interrupt `{}`: give either `isa`, or `ioapic` and `pin`", self.name),
        }
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
        serves = { protocol = "talk", clients = 1 }
    "#;

    const CLIENT: &str = r#"
        [[component]]
        name = "client"
        package = "p-client"
        about = "asks"
        priority = 8
        memory = "1M"
        uses = { talk = "server", control = "init" }
    "#;

    fn check(text: &str) -> Result<manifest::System> {
        toml::from_str::<Description>(&format!("root = \"init\"\n{text}"))?.check("test")
    }

    fn error(text: &str) -> String {
        format!("{:#}", check(text).expect_err("this description is wrong"))
    }

    #[test]
    fn names_become_numbers_and_sizes_become_bytes() {
        let system = check(&format!("{SERVER}{CLIENT}")).unwrap();
        let client = &system.components[1];
        assert_eq!(client.memory_bits, 20);
        assert_eq!(
            client.uses[0],
            manifest::Channel { protocol: "control".into(), server: manifest::Server::Init }
        );
        assert_eq!(client.uses[1].server, manifest::Server::Component(0));
    }

    #[test]
    fn a_channel_needs_both_ends() {
        assert!(
            error(CLIENT).contains("`client`: it uses `server` for talk, but there is no such component")
        );
        let other = SERVER.replace("\"talk\"", "\"sing\"");
        assert!(error(&format!("{other}{CLIENT}")).contains("that one serves sing"));
        let none = SERVER.replace("serves = ", "args = [] #");
        assert!(error(&format!("{none}{CLIENT}")).contains("that one serves nothing"));
    }

    #[test]
    fn a_service_has_room_for_its_clients() {
        let second = CLIENT.replace("\"client\"", "\"second\"");
        assert!(error(&format!("{SERVER}{CLIENT}{second}")).contains("serves 1 clients, but 2 use it"));
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
        assert!(with("512K", "much").contains("not a size"));
        assert!(with("priority = 9", "priority = 9\nbudget_ms = 0").contains("budget_ms"));
        assert!(with("name = \"server\"", "name = \"a b\"").contains("letters"));
        assert!(with("name = \"server\"", "name = \"init\"").contains("the initial task"));
        assert!(with("priority = 9", "prioritty = 9").contains("prioritty"));
        assert!(error(&format!("{SERVER}{SERVER}")).contains("two components called `server`"));
    }
}
