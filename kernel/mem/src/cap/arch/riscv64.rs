//! Capabilities that only RISC-V has: none so far.

/// A capability.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ArchCap {}

impl ArchCap {
    /// Bits of word 0, and word 1.
    pub(crate) const fn pack(self) -> (u64, u64) {
        match self {}
    }

    /// What was packed; `None` for what never was.
    pub(crate) const fn unpack(_own: u64, _w1: u64) -> Option<ArchCap> {
        None
    }

    /// It can be copied; others can only be moved.
    pub const fn can_be_copied(self) -> bool {
        match self {}
    }

    /// Capabilities to other objects than its own descend from it.
    pub const fn issues_others(self) -> bool {
        match self {}
    }

    /// The other one, which is to another object, descends from this one if it comes behind it.
    pub const fn issues(self, _other: ArchCap) -> bool {
        match self {}
    }

    /// The number that `DebugCapIdentify` says.
    pub const fn type_number(self) -> u64 {
        match self {}
    }
}

/// An authority that exists from the start on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ArchControl {}

impl ArchControl {
    pub(crate) const fn cap(self) -> ArchCap {
        match self {}
    }
}

/// The authorities that the root task is given, and the slot of each.
pub const INITIAL: &[(u64, ArchControl)] = &[];

/// What the kernel keeps.
pub struct ArchState {}
