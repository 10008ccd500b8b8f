//! What is left of CNodes and threads.

use crate::{
    Kernel,
    link::Link,
    object::Tcb,
    slot::{CNodeRef, Slot},
};

/// What a [`Cap::Zombie`](super::Cap::Zombie) once was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ZombieKind {
    /// A thread; its slots are [`Tcb::SLOTS`] in number.
    Tcb,
    /// A CNode of `2^radix` slots.
    CNode {
        /// Slots, log2.
        radix: u8,
    },
}

/// What is left of a CNode or a thread that is being deleted: its slots.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Zombie {
    pub(super) kind: ZombieKind,
    pub(super) first: Link<Slot>,
}

impl Zombie {
    /// What it was.
    pub fn kind(self) -> ZombieKind {
        self.kind
    }

    /// Its first slot.
    pub fn first(self) -> Link<Slot> {
        self.first
    }

    /// Its slots.
    #[inline]
    pub fn slots(self, k: &Kernel) -> &[Slot] {
        match self.kind {
            ZombieKind::Tcb => &Tcb::from_first_slot(self.first).get(k).slots,
            ZombieKind::CNode { radix } => CNodeRef { first: self.first, radix }.slots(k, 0, 1 << radix),
        }
    }
}
