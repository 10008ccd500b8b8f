//! What a description says of one component. These are the types in which people write it (`systems/NAME.toml`) and in
//! which it travels: what is read is what the initial task sees.

use alloc::{borrow::Cow, collections::BTreeMap, format, string::String, vec::Vec};

use serde::{Deserialize, Serialize};

use crate::{About, ComponentName, Dma, File, Mmio, RoleName, Size, layout};

/// What is said of a component: a table `[[component]]`.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Its name; there is only one of that name in a system.
    pub name: ComponentName,
    /// What it is for, in one line.
    pub about: About,
    /// The package, which contains a program of the same name.
    pub package: String,
    /// Other packages, whose programs can take the place of its own while it runs. They serve and use the same.
    #[serde(default)]
    pub replacements: Vec<String>,
    /// The arguments it is started with.
    #[serde(default)]
    pub args: Vec<String>,
    /// When it is started.
    #[serde(default)]
    pub start: Start,
    /// How many of a program can run at once; without it, as many as there is memory and places for.
    #[serde(default)]
    pub instances: Option<u16>,
    /// What happens when it ends.
    #[serde(default)]
    pub restart: Restart,
    /// How long it waits to be started again when it fails repeatedly.
    #[serde(default)]
    pub back_off: BackOff,
    /// Priority of its thread.
    pub priority: u8,
    /// Milliseconds of processor time in each period.
    #[serde(default = "default_budget")]
    pub budget_ms: u64,
    /// The period, in milliseconds. Without it, the budget is a turn in a round.
    #[serde(default)]
    pub period_ms: Option<u64>,
    /// For so many milliseconds it may use up its budget in every period; then it is ended as one that has failed. Without
    /// this it only waits for the next period, each time.
    #[serde(default)]
    pub overrun_ms: Option<u64>,
    /// It gives a sign of life at least this often, in milliseconds, or is ended as one that has failed.
    #[serde(default)]
    pub heartbeat_ms: Option<u64>,
    /// The memory that everything of it is made of, kernel objects included.
    pub memory: Size,
    /// Memory of which it may make components of its own, at most of its own priority; without it, it may not.
    #[serde(default)]
    pub children: Option<Size>,
    /// The time of these.
    #[serde(default)]
    pub children_time: ChildrenTime,
    /// Memory of which it gives some to servers, for each session that it opens.
    #[serde(default)]
    pub sessions: Option<Size>,
    /// Its threads beside the first, each with its name. They have its priority, and budgets of their own.
    #[serde(default)]
    pub threads: BTreeMap<RoleName, Thread>,
    /// What happens when it has failed too often.
    #[serde(default)]
    pub on_give_up: OnGiveUp,
    /// For roles that it serves, how many clients they have at once; otherwise as many as there are channels.
    #[serde(default)]
    pub places: BTreeMap<RoleName, u16>,
    /// Its interrupts.
    #[serde(default)]
    pub irqs: Vec<Irq>,
    /// Its I/O ports.
    #[serde(default)]
    pub ports: Vec<Ports>,
    /// Its registers in memory.
    #[serde(default)]
    pub mmio: Vec<Mmio>,
    /// Its memory for devices.
    #[serde(default)]
    pub dma: Vec<Dma>,
    /// Its files.
    #[serde(default)]
    pub files: Vec<File>,
    /// The bytes of its heap that are there when it starts, beside what its program brings along.
    #[serde(default)]
    pub heap: Option<Size>,
    /// The bytes of its stack; without it, as many as its program is linked with.
    #[serde(default)]
    pub stack: Option<Size>,
    /// Whether it shows the system log: what the initial task has to say.
    #[serde(default)]
    pub log: bool,
    /// Whether it may read the boot archive: the description, and all programs.
    #[serde(default)]
    pub archive: bool,
    /// Whether it may use floating-point and vector registers; if not, using one is a fault.
    #[serde(default = "yes")]
    pub fpu: bool,
}

fn default_budget() -> u64 {
    5
}

fn yes() -> bool {
    true
}

impl Settings {
    /// The packages whose programs it can run: its own, and then those that can take its place.
    pub fn packages(&self) -> impl Iterator<Item = &str> {
        core::iter::once(&self.package).chain(&self.replacements).map(String::as_str)
    }

    /// The name of its ELF file in the archive.
    pub fn program(&self) -> Cow<'_, str> {
        self.program_of(&self.package)
    }

    /// The name in the archive of the ELF file of one of its packages. No package has a dot in its name.
    pub fn program_of<'a>(&self, package: &'a str) -> Cow<'a, str> {
        if self.fpu { Cow::Borrowed(package) } else { format!("{package}.without-fpu").into() }
    }

    /// The name of one of its files in the archive. No package has a slash in its name.
    pub fn file(&self, file: &File) -> String {
        format!("{}/{}", self.name, file.name)
    }

    /// Microseconds of processor time in each period.
    pub const fn budget_us(&self) -> u64 {
        self.budget_ms * 1000
    }

    /// The period, in microseconds.
    pub fn period_us(&self) -> u64 {
        self.period_ms.unwrap_or(self.budget_ms) * 1000
    }

    /// Slots of its CSpace for sessions that it opens.
    pub const fn session_slots(&self) -> u64 {
        if self.sessions.is_some() { layout::SESSIONS_MAX } else { 0 }
    }
}

/// A thread beside a component's first.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(deny_unknown_fields)]
pub struct Thread {
    /// Milliseconds of processor time in each period.
    #[serde(default = "default_budget")]
    pub budget_ms: u64,
    /// The period, in milliseconds. Without it, the budget is a turn in a round.
    #[serde(default)]
    pub period_ms: Option<u64>,
    /// Bytes of its stack, in whole pages.
    #[serde(default = "default_stack")]
    pub stack: Size,
}

fn default_stack() -> Size {
    Size(16 << 10)
}

impl Thread {
    /// Microseconds of processor time in each period, and the period.
    pub fn time_us(&self) -> (u64, u64) {
        (self.budget_ms * 1000, self.period_ms.unwrap_or(self.budget_ms) * 1000)
    }
}

/// When a component is started.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// With the system.
    #[default]
    Boot,
    /// When somebody asks for it; then it is a program, and several of it can run.
    Demand,
}

/// What happens when a component ends.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// It stays dead.
    #[default]
    Never,
    /// It is started again after a fault or a kill, and stays dead when it exits by itself.
    OnFailure,
    /// It is started again however it ended.
    Always,
}

/// How long a component that fails again and again waits to be started again: nothing the first time, then a time that
/// doubles.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct BackOff {
    /// Milliseconds after the second failure in a row.
    pub first_ms: u64,
    /// The most milliseconds that it grows to.
    pub most_ms: u64,
    /// A component that has run for so many milliseconds starts afresh.
    pub calm_ms: u64,
    /// After so many failures in a row it is given up.
    pub failures: u32,
}

impl Default for BackOff {
    /// 100 ms, doubled up to 10 s; given up at the eighth failure, that is, after 6.3 s of waiting; forgotten after 30 s.
    fn default() -> Self {
        Self { first_ms: 100, most_ms: 10_000, calm_ms: 30_000, failures: 8 }
    }
}

/// The time of all components together that another one makes, and those below them. Each of them gets an equal part.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct ChildrenTime {
    /// How many of them there are at once.
    pub at_once: u16,
    /// Milliseconds of processor time of all in each period.
    pub budget_ms: u64,
    /// The period, in milliseconds.
    pub period_ms: u64,
}

impl Default for ChildrenTime {
    /// A quarter of the core for four.
    fn default() -> Self {
        Self { at_once: 4, budget_ms: 10, period_ms: 40 }
    }
}

impl ChildrenTime {
    /// Microseconds of each of them in each period.
    pub const fn budget_us(&self) -> u64 {
        match self.at_once {
            0 => 0,
            at_once => self.budget_ms * 1000 / at_once as u64,
        }
    }

    /// The period, in microseconds.
    pub const fn period_us(&self) -> u64 {
        self.period_ms * 1000
    }
}

/// What happens when a component has failed too often.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug, Default)]
#[serde(rename_all = "kebab-case")]
pub enum OnGiveUp {
    /// It stays dead, and an operator can start it.
    #[default]
    Stay,
    /// The machine is restarted.
    Reboot,
    /// These components are ended and started again, then it is itself. If that does not help, it stays dead.
    Restart(Vec<ComponentName>),
}

/// An interrupt: either `isa`, or `ioapic` and `pin`.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(deny_unknown_fields)]
pub struct Irq {
    /// What the component calls it.
    pub name: RoleName,
    /// An interrupt of the ISA bus, by its number there.
    #[serde(default)]
    pub isa: Option<u8>,
    /// Which I/O interrupt controller, from 0.
    #[serde(default)]
    pub ioapic: Option<u8>,
    /// Which of its pins.
    #[serde(default)]
    pub pin: Option<u8>,
    /// Level-triggered rather than edge-triggered.
    #[serde(default)]
    pub level: bool,
    /// Active low rather than active high.
    #[serde(default)]
    pub active_low: bool,
}

/// Where an interrupt comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IrqSource {
    /// The ISA bus, by its number there. Where it comes in is known when the machine is.
    Isa(u8),
    /// A pin of an I/O interrupt controller.
    Pin {
        /// Which I/O interrupt controller, from 0.
        ioapic: u8,
        /// Which of its pins.
        pin: u8,
    },
}

impl Irq {
    /// Where it comes from; `None` if the description does not say it in one way.
    pub const fn source(&self) -> Option<IrqSource> {
        match (self.isa, self.ioapic, self.pin) {
            (Some(isa), None, None) => Some(IrqSource::Isa(isa)),
            (None, None, Some(pin)) => Some(IrqSource::Pin { ioapic: 0, pin }),
            (None, Some(ioapic), Some(pin)) => Some(IrqSource::Pin { ioapic, pin }),
            _ => None,
        }
    }
}

/// A range of I/O ports.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(deny_unknown_fields)]
pub struct Ports {
    /// What the component calls it.
    pub name: RoleName,
    /// The first port.
    pub first: u16,
    /// The last port.
    pub last: u16,
}
