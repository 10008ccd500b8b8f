//! What a component holds, in words.

use alloc::{borrow::Cow, format};

use pecan_component::protocols::{CapInfo, Granted, RingPart};

/// A line of `caps`.
pub struct Shown {
    /// The capability's address in the component's CSpace; 0 for what has none.
    pub slot: u64,
    /// What kind of object it is.
    pub kind: &'static str,
    /// The rights to it, a letter each: read, write, grant, grant a reply (`p`).
    pub rights: &'static str,
    /// Its badge; 0 for none.
    pub badge: u64,
    /// Which object it is.
    pub object: Cow<'static, str>,
}

impl Shown {
    /// The line of a capability.
    pub fn of(info: &CapInfo) -> Self {
        let CapInfo { granted, name, to } = info;
        let line = |slot, kind, rights, object| Self { slot, kind, rights, badge: 0, object };
        let access = |writable| if writable { "rw" } else { "r" };
        let kilobytes = |bytes: u64| format!("{}K", bytes >> 10);
        match *granted {
            Granted::Thread { slot, vectors: true } => line(slot, "thread", "", "itself".into()),
            Granted::Thread { slot, vectors: false } => {
                line(slot, "thread", "", "itself, without vector registers".into())
            }
            Granted::CSpace { slot } => line(slot, "CNode", "", "its CSpace".into()),
            Granted::VSpace { slot } => line(slot, "VSpace", "", "its address space".into()),
            Granted::Time { slot, budget, period } => {
                let time = match period {
                    0 => "its time".into(),
                    _ if period == budget => format!("turns of {budget} us").into(),
                    _ => format!("{budget} us in every {period} us").into(),
                };
                line(slot, "scheduling context", "", time)
            }
            Granted::FaultHandler { badge } => {
                Self { badge, ..line(0, "endpoint", "wg", "its fault handler, init".into()) }
            }
            Granted::TimeoutHandler { badge } => {
                Self { badge, ..line(0, "endpoint", "wg", "its timeout handler, init".into()) }
            }
            Granted::Supervisor { slot, badge } => {
                Self { badge, ..line(slot, "endpoint", "wp", "its supervisor, init".into()) }
            }
            Granted::Channel { slot, badge, gone, .. } => {
                let gone = if gone { ", which is gone" } else { "" };
                Self { badge, ..line(slot, "endpoint", "wp", format!("{name}: {to}{gone}").into()) }
            }
            Granted::Service { slot } => line(slot, "endpoint", "r", "its own, for those who call it".into()),
            Granted::Reply { slot, caller } => line(slot, "reply", "", format!("caller {caller}").into()),
            Granted::Signals { slot } => line(slot, "notification", "r", "its signals".into()),
            Granted::ThreadDone { slot } => line(slot, "notification", "rw", "the end of a thread".into()),
            Granted::Wake { slot } => line(slot, "notification", "w", "its signals, for its tasks".into()),
            Granted::IsaIrq { slot, isa } => {
                line(slot, "IRQ handler", "", format!("interrupt {isa} of the ISA bus, {name}").into())
            }
            Granted::PinIrq { slot, ioapic, pin } => {
                let object = format!("interrupt of I/O APIC {ioapic} pin {pin}, {name}");
                line(slot, "IRQ handler", "", object.into())
            }
            Granted::Ports { slot, first, last } => {
                line(slot, "I/O ports", "rw", format!("ports {first:#x} to {last:#x}, {name}").into())
            }
            Granted::ChannelMemory { bytes, writable, .. } => {
                let object = format!("{}, shared with {to}", kilobytes(bytes));
                line(0, "memory", access(writable), object.into())
            }
            Granted::RoleMemory { bytes, writable, .. } => {
                let object = format!("{}, shared with those who call {name}", kilobytes(bytes));
                line(0, "memory", access(writable), object.into())
            }
            Granted::RingMemory { bytes, part, writable, .. } => {
                let part = match part {
                    RingPart::Own => "its own indices",
                    RingPart::Other => "the indices",
                    RingPart::Data => "data",
                };
                let object = format!("{}, {name}: {part} of the ring with {to}", kilobytes(bytes));
                line(0, "memory", access(writable), object.into())
            }
            Granted::RingSignal { slot, badge, .. } => {
                Self { badge, ..line(slot, "notification", "w", format!("{name}: signals {to}").into()) }
            }
            Granted::Session { slot, badge, bytes, over, .. } => {
                let over = if over { ", which is over" } else { "" };
                let object = format!("{name}: a session with {to} of {}{over}", kilobytes(bytes));
                Self { badge, ..line(slot, "endpoint", "wp", object.into()) }
            }
            Granted::SessionMemory { bytes, place, .. } => {
                let object = format!("{}, of the session in place {place} of {name}", kilobytes(bytes));
                line(0, "memory", "rw", object.into())
            }
            Granted::Log { bytes, writable, .. } => {
                let object = format!("{}, the system log", kilobytes(bytes));
                line(0, "memory", access(writable), object.into())
            }
            Granted::Printing { slot, badge } => {
                Self { badge, ..line(slot, "endpoint", "wp", "the system log".into()) }
            }
            Granted::LogSignal { slot } => {
                line(slot, "notification", "w", "signals who shows the system log".into())
            }
            Granted::LogSerial { slot } => {
                line(slot, "I/O ports", "rw", "the serial port, while nobody shows the system log".into())
            }
            Granted::Backlog { bytes, writable, .. } => {
                let object = format!("{}, what init has to say", kilobytes(bytes));
                line(0, "memory", access(writable), object.into())
            }
            Granted::LogKept { bytes, .. } => {
                let object = format!("{}, lines that have not ended", kilobytes(bytes));
                line(0, "memory", "rw", object.into())
            }
            Granted::Handover { bytes, writable, .. } => {
                line(0, "memory", access(writable), format!("{}K, handed over", kilobytes(bytes)).into())
            }
            Granted::Archive { .. } => line(0, "memory", "r", "the boot archive".into()),
            Granted::Mmio { bytes, paddr, .. } => {
                line(0, "registers", "rw", format!("{}, at {paddr:#x}, {name}", kilobytes(bytes)).into())
            }
            Granted::Dma { bytes, .. } => {
                line(0, "memory", "rw", format!("{}, for devices, {name}", kilobytes(bytes)).into())
            }
            Granted::Untyped { slot, bytes } => {
                line(slot, "untyped", "", format!("{bytes} bytes, to make components").into())
            }
            Granted::AsidPool { slot } => line(slot, "ASID pool", "", "for address spaces".into()),
            Granted::SchedControl { slot } => line(slot, "scheduling control", "", "time of a core".into()),
            Granted::IrqControl { slot } => line(slot, "IRQ control", "", "all interrupts".into()),
            Granted::AsidControl { slot } => line(slot, "ASID control", "", "all address spaces".into()),
            Granted::PortControl { slot } => line(slot, "I/O port control", "", "all I/O ports".into()),
            Granted::DomainControl { slot } => line(slot, "domain control", "", "all domains".into()),
        }
    }
}
