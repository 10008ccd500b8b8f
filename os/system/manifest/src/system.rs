//! A system: its components and what each of them may use.

use alloc::{string::String, vec::Vec};

use serde::{Deserialize, Serialize};

/// A system description, checked.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug, Default)]
pub struct System {
    /// Its name.
    pub name: String,
    /// The components that are started at boot, in that order, and the programs that can be started later.
    pub components: Vec<Component>,
}

/// A component.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct Component {
    /// Its name; there is only one of that name in a system.
    pub name: String,
    /// What it is for, in one line.
    pub about: String,
    /// The name of its ELF file in the archive.
    pub program: String,
    /// The arguments it is started with.
    pub args: Vec<String>,
    /// When it is started.
    pub start: Start,
    /// What happens when it ends by a fault.
    pub restart: Restart,
    /// Priority of its thread.
    pub priority: u8,
    /// Microseconds of processor time in each period.
    pub budget_us: u64,
    /// The period, in microseconds.
    pub period_us: u64,
    /// log2 of the bytes of memory that everything of it is made of, kernel objects included.
    pub memory_bits: u8,
    /// The service it offers.
    pub serves: Option<Service>,
    /// The services it uses.
    pub uses: Vec<Channel>,
    /// Its interrupts.
    pub irqs: Vec<Irq>,
    /// Its I/O ports.
    pub ports: Vec<Ports>,
    /// Whether it shows the system log: what the initial task has to say.
    pub log: bool,
    /// Whether it may use floating-point and vector registers; if not, using one is a fault.
    pub fpu: bool,
}

/// When a component is started.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// With the system.
    Boot,
    /// When somebody asks for it; then it is a program, and several of it can run.
    Demand,
}

/// What happens when a component ends.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Restart {
    /// It stays dead.
    Never,
    /// It is started again after a fault or a kill, and stays dead when it exits by itself.
    OnFailure,
    /// It is started again however it ended.
    Always,
}

/// A service that a component offers.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct Service {
    /// The protocol, by name.
    pub protocol: String,
    /// How many clients there can be at once.
    pub clients: u16,
    /// Whether it shares a page of memory with each client.
    pub pages: bool,
}

/// A service that a component uses.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct Channel {
    /// The protocol, by name.
    pub protocol: String,
    /// Who offers it.
    pub server: Server,
}

/// Who offers a service.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Server {
    /// The initial task.
    Init,
    /// A component, by its number in the system.
    Component(u16),
}

/// An interrupt.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct Irq {
    /// What the component calls it.
    pub name: String,
    /// Where it comes from.
    pub source: IrqSource,
}

/// Where an interrupt comes from.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub enum IrqSource {
    /// The ISA bus, by its number there. Where it comes in is known when the machine is.
    Isa(u8),
    /// A pin of an I/O interrupt controller.
    Pin {
        /// Which I/O interrupt controller, from 0.
        ioapic: u8,
        /// Which of its pins.
        pin: u8,
        /// Level-triggered rather than edge-triggered.
        level: bool,
        /// Active low rather than active high.
        active_low: bool,
    },
}

/// A range of I/O ports.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct Ports {
    /// What the component calls it.
    pub name: String,
    /// The first port.
    pub first: u16,
    /// The last port.
    pub last: u16,
}
