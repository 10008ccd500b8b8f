//! What each parameter of an invocation is for, worked out from its name.

use pecan_abi::{Direction, INVOCATIONS, Invocation, Object, ParamType};

/// What a parameter is for, and so what a sensible value of it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Role {
    // Capabilities.
    /// A CNode to put something into or take something from.
    Node,
    /// A thread.
    Tcb,
    /// A thread whose registers are copied.
    Source,
    /// A scheduling context.
    SchedContext,
    /// An endpoint, or nothing.
    Handler,
    /// The root of a thread's CSpace.
    CSpace,
    /// The top of an address space.
    VSpace,
    /// The frame of an IPC buffer.
    Buffer,
    /// A notification.
    Notification,
    /// A thread or a notification.
    Bindable,
    /// An untyped of a page.
    PageOfUntyped,
    // Words.
    /// A type of object.
    ObjectType,
    /// log2 of a size.
    SizeBits,
    /// Where a CNode is found below another: address.
    NodeIndex,
    /// The same: depth.
    NodeDepth,
    /// The first slot of several.
    NodeOffset,
    /// How many objects.
    NumObjects,
    /// A slot to fill.
    Dest,
    /// A slot to take from.
    Src,
    /// The middle slot of a rotation.
    Pivot,
    /// A slot whose capability goes.
    Victim,
    /// How many bits of a slot's address count.
    Depth,
    /// Rights.
    Rights,
    /// A badge or a guard.
    Badge,
    /// A priority.
    Priority,
    /// An address to map at.
    Address,
    /// Cache attributes.
    Attributes,
    /// The address of an IPC buffer.
    BufferAddress,
    /// A guard for the root of a space.
    SpaceData,
    /// A bit.
    Bit,
    /// A small number.
    Small,
    /// A byte of flags that no architecture here uses.
    ArchFlags,
    /// A number of registers.
    Count,
    /// All registers.
    Registers,
    /// The address of a thread's block.
    TlsBase,
    /// Flags of a thread.
    ThreadFlags,
    /// An interrupt vector or number.
    Vector,
    /// An IOAPIC.
    Ioapic,
    /// A pin of it.
    Pin,
    /// A part of a PCI address.
    Pci,
    /// A domain.
    Domain,
    /// An entry of the domain schedule.
    DomainIndex,
    /// Ticks of such an entry.
    Duration,
    /// Microseconds per period.
    Budget,
    /// A period in microseconds.
    Period,
    /// Refills beyond the two that there always are.
    Refills,
    /// Flags of a scheduling context.
    TimeFlags,
    /// The first port.
    FirstPort,
    /// The last port.
    LastPort,
    /// A port.
    Port,
    /// Anything.
    Any,
}

/// The most parameters that an invocation takes.
pub const PARAMS: usize = 12;

/// A parameter: what it is for, where it starts in the message in bits, and how many bits it takes (0 for
/// capabilities).
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// What it is for.
    pub role: Role,
    /// Where it starts.
    pub offset: u16,
    /// How long it is.
    pub bits: u16,
}

/// The parameters of an invocation, as far as they travel to the kernel.
#[derive(Clone, Copy)]
pub struct Shape {
    params: [Param; PARAMS],
    len: usize,
    /// Words of the message.
    pub words: u8,
    /// Capabilities beside the one invoked.
    pub caps: u8,
}

impl Shape {
    /// The parameters, in order.
    #[inline]
    pub fn params(&self) -> &[Param] {
        &self.params[..self.len]
    }
}

/// The parameters of every invocation, in the order of the table.
pub static SHAPES: [Shape; INVOCATIONS.len()] = {
    let mut all = [Shape {
        params: [Param { role: Role::Any, offset: 0, bits: 0 }; PARAMS],
        len: 0,
        words: 0,
        caps: 0,
    }; INVOCATIONS.len()];
    let mut i = 0;
    while i < INVOCATIONS.len() {
        all[i] = shape(&INVOCATIONS[i]);
        i += 1;
    }
    all
};

const fn shape(invocation: &Invocation) -> Shape {
    let mut shape = Shape {
        params: [Param { role: Role::Any, offset: 0, bits: 0 }; PARAMS],
        len: 0,
        words: invocation.words(Direction::In) as u8,
        caps: invocation.extra_caps() as u8,
    };
    let mut i = 0;
    while i < invocation.params.len() {
        let param = &invocation.params[i];
        if matches!(param.direction, Direction::In) {
            shape.params[shape.len] = Param {
                role: role(invocation.object, param.name, param.ty),
                offset: invocation.bit_offset(Direction::In, i) as u16,
                bits: param.ty.bits() as u16,
            };
            shape.len += 1;
        }
        i += 1;
    }
    shape
}

/// The roles by the names of parameters. What is not here is anything.
const ROLES: &[(&str, Role)] = &[
    ("root", Role::Node),
    ("src_root", Role::Node),
    ("pivot_root", Role::Node),
    ("authority", Role::Tcb),
    ("thread", Role::Tcb),
    ("source", Role::Source),
    ("sched_context", Role::SchedContext),
    ("fault_ep", Role::Handler),
    ("timeout_fault_ep", Role::Handler),
    ("cspace_root", Role::CSpace),
    ("vspace_root", Role::VSpace),
    ("vspace", Role::VSpace),
    ("buffer_frame", Role::Buffer),
    ("notification", Role::Notification),
    ("cap", Role::Bindable),
    ("untyped", Role::PageOfUntyped),
    ("object_type", Role::ObjectType),
    ("size_bits", Role::SizeBits),
    ("node_index", Role::NodeIndex),
    ("node_depth", Role::NodeDepth),
    ("node_offset", Role::NodeOffset),
    ("num_objects", Role::NumObjects),
    ("dest_index", Role::Dest),
    ("src_index", Role::Src),
    ("pivot_index", Role::Pivot),
    ("depth", Role::Depth),
    ("dest_depth", Role::Depth),
    ("src_depth", Role::Depth),
    ("pivot_depth", Role::Depth),
    ("rights", Role::Rights),
    ("badge", Role::Badge),
    ("dest_badge", Role::Badge),
    ("pivot_badge", Role::Badge),
    ("priority", Role::Priority),
    ("mcp", Role::Priority),
    ("vaddr", Role::Address),
    ("attr", Role::Attributes),
    ("buffer", Role::BufferAddress),
    ("cspace_root_data", Role::SpaceData),
    ("vspace_root_data", Role::SpaceData),
    ("arch_flags", Role::ArchFlags),
    ("count", Role::Count),
    ("regs", Role::Registers),
    ("tls_base", Role::TlsBase),
    ("clear", Role::ThreadFlags),
    ("set", Role::ThreadFlags),
    ("irq", Role::Vector),
    ("vector", Role::Vector),
    ("ioapic", Role::Ioapic),
    ("pin", Role::Pin),
    ("level", Role::Bit),
    ("polarity", Role::Bit),
    ("pci_bus", Role::Pci),
    ("pci_dev", Role::Pci),
    ("pci_func", Role::Bit),
    ("domain", Role::Domain),
    ("duration", Role::Duration),
    ("budget", Role::Budget),
    ("period", Role::Period),
    ("extra_refills", Role::Refills),
    ("flags", Role::TimeFlags),
    ("first_port", Role::FirstPort),
    ("last_port", Role::LastPort),
    ("port", Role::Port),
    ("bp_num", Role::Small),
    ("kind", Role::Small),
    ("size", Role::Small),
    ("rw", Role::Small),
    ("num_instructions", Role::Small),
];

const fn role(object: Object, name: &str, ty: ParamType) -> Role {
    if equal(name, "index") {
        return match object {
            Object::CNode => Role::Victim,
            Object::DomainSet => Role::DomainIndex,
            _ => Role::Dest,
        };
    }
    let mut i = 0;
    while i < ROLES.len() {
        if equal(name, ROLES[i].0) {
            return ROLES[i].1;
        }
        i += 1;
    }
    if matches!(ty, ParamType::Bool) { Role::Bit } else { Role::Any }
}

const fn equal(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}
