//! Capabilities that only x86_64 has: to I/O ports.

use core::cell::Cell;

use pecan_abi::boot::slot;

/// A capability.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ArchCap {
    /// Authority to create I/O port capabilities.
    IoPortControl,
    /// A range of I/O ports.
    IoPort {
        /// First port.
        first: u16,
        /// Last port, inclusive.
        last: u16,
    },
}

const IO_PORT_CONTROL: u64 = 0;
const IO_PORT: u64 = 1;

impl ArchCap {
    /// Bits of word 0, and word 1.
    #[inline(always)]
    pub(crate) const fn pack(self) -> (u64, u64) {
        match self {
            ArchCap::IoPortControl => (IO_PORT_CONTROL, 0),
            ArchCap::IoPort { first, last } => (IO_PORT, first as u64 | (last as u64) << 16),
        }
    }

    /// What was packed; `None` for what never was.
    #[inline(always)]
    pub(crate) const fn unpack(own: u64, w1: u64) -> Option<ArchCap> {
        match own {
            IO_PORT_CONTROL => Some(ArchCap::IoPortControl),
            IO_PORT => Some(ArchCap::IoPort { first: w1 as u16, last: (w1 >> 16) as u16 }),
            _ => None,
        }
    }

    /// It can be copied; others can only be moved.
    pub const fn can_be_copied(self) -> bool {
        match self {
            ArchCap::IoPortControl => false,
            ArchCap::IoPort { .. } => true,
        }
    }

    /// Capabilities to other objects than its own descend from it.
    pub const fn issues_others(self) -> bool {
        match self {
            ArchCap::IoPortControl => true,
            ArchCap::IoPort { .. } => false,
        }
    }

    /// The other one, which is to another object, descends from this one if it comes behind it.
    pub const fn issues(self, other: ArchCap) -> bool {
        match (self, other) {
            (ArchCap::IoPortControl, ArchCap::IoPort { .. }) => true,
            (ArchCap::IoPortControl, ArchCap::IoPortControl) | (ArchCap::IoPort { .. }, _) => false,
        }
    }

    /// The number that `DebugCapIdentify` says.
    pub const fn type_number(self) -> u64 {
        match self {
            ArchCap::IoPort { .. } => 9,
            ArchCap::IoPortControl => 11,
        }
    }
}

/// An authority that exists from the start on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ArchControl {
    /// [`ArchCap::IoPortControl`].
    IoPort,
}

impl ArchControl {
    pub(crate) const fn cap(self) -> ArchCap {
        match self {
            ArchControl::IoPort => ArchCap::IoPortControl,
        }
    }
}

/// The authorities that the root task is given, and the slot of each.
pub const INITIAL: &[(u64, ArchControl)] = &[(slot::IO_PORT_CONTROL, ArchControl::IoPort)];

/// What the kernel keeps.
pub struct ArchState {
    /// I/O ports that have been given out, a bit each.
    pub io_ports: [Cell<u64>; 65536 / 64],
}
