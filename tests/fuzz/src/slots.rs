//! What is thought to be in slots. It need not be true: capabilities go when others revoke, and come in messages.
//! An error that shows it to be wrong puts it right.

use core::sync::atomic::Ordering::Relaxed;

use crate::{
    rng::Rng,
    shared::{SLOTS, shared},
};

/// The kind of capability in a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs, reason = "kinds of objects are known by their names")]
pub enum Kind {
    Empty,
    /// Something.
    Unknown,
    Untyped,
    Tcb,
    Endpoint,
    Notification,
    CNode,
    SchedContext,
    Reply,
    Pdpt,
    VSpace,
    HugePage,
    Page,
    LargePage,
    PageTable,
    PageDirectory,
    IrqControl,
    IrqHandler,
    DomainSet,
    SchedControl,
    AsidControl,
    AsidPool,
    IoPortControl,
    IoPort,
}

impl Kind {
    const ALL: [Kind; 24] = [
        Kind::Empty,
        Kind::Unknown,
        Kind::Untyped,
        Kind::Tcb,
        Kind::Endpoint,
        Kind::Notification,
        Kind::CNode,
        Kind::SchedContext,
        Kind::Reply,
        Kind::Pdpt,
        Kind::VSpace,
        Kind::HugePage,
        Kind::Page,
        Kind::LargePage,
        Kind::PageTable,
        Kind::PageDirectory,
        Kind::IrqControl,
        Kind::IrqHandler,
        Kind::DomainSet,
        Kind::SchedControl,
        Kind::AsidControl,
        Kind::AsidPool,
        Kind::IoPortControl,
        Kind::IoPort,
    ];
}

/// What is thought to be in a slot: a kind and, for some kinds, two numbers.
///
/// Untypeds have the log2 of their size. CNodes have the bits of their guard, and the number of their table plus 1
/// (0 for those of which nobody keeps book). Ports have the first one. Threads have their number plus 1, if they are
/// random ones.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Entry(pub u64);

impl Entry {
    /// Nothing.
    pub const EMPTY: Self = Self(0);
    /// Something.
    pub const UNKNOWN: Self = Self(Kind::Unknown as u64);

    /// A kind with its numbers.
    pub const fn new(kind: Kind, a: u8, b: u16) -> Self {
        Self(kind as u64 | (a as u64) << 8 | (b as u64) << 16)
    }

    /// The kind.
    #[inline]
    pub fn kind(self) -> Kind {
        Kind::ALL[(self.0 as usize & 0xff) % Kind::ALL.len()]
    }

    /// The first number.
    #[inline]
    pub fn a(self) -> u64 {
        self.0 >> 8 & 0xff
    }

    /// The second number.
    #[inline]
    pub fn b(self) -> u64 {
        self.0 >> 16 & 0xffff
    }
}

/// A slot that somebody keeps book of: a table, and the index in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Place {
    /// The table plus 1; 0 for no place.
    pub table: u8,
    /// The index.
    pub slot: u8,
}

impl Place {
    /// No place.
    pub const NONE: Self = Self { table: 0, slot: 0 };

    /// A slot of a table.
    pub fn new(table: usize, slot: usize) -> Self {
        Self { table: table as u8 + 1, slot: slot as u8 }
    }

    /// What is thought to be there.
    pub fn get(self) -> Entry {
        match self.table.checked_sub(1) {
            Some(table) => get(table as usize, self.slot as usize),
            None => Entry::UNKNOWN,
        }
    }

    /// Notes what is there.
    pub fn set(self, entry: Entry) {
        if let Some(table) = self.table.checked_sub(1) {
            set(table as usize, self.slot as usize, entry);
        }
    }
}

/// What is thought to be in a slot.
#[inline]
pub fn get(table: usize, slot: usize) -> Entry {
    Entry(shared().slots[table % shared().slots.len()][slot % SLOTS].load(Relaxed))
}

/// Notes what is in a slot.
#[inline]
pub fn set(table: usize, slot: usize, entry: Entry) {
    shared().slots[table % shared().slots.len()][slot % SLOTS].store(entry.0, Relaxed);
}

/// A slot, from a random one on, in which there is what is asked for. Slot 0 is never given.
pub fn find(rng: &mut Rng, table: usize, wanted: impl Fn(Entry) -> bool) -> Option<usize> {
    let start = rng.below(SLOTS as u64) as usize;
    (0..SLOTS).map(|i| (start + i) % SLOTS).find(|&slot| slot != 0 && wanted(get(table, slot)))
}

/// A slot with that kind of capability.
pub fn find_kind(rng: &mut Rng, table: usize, kind: Kind) -> Option<usize> {
    find(rng, table, |entry| entry.kind() == kind)
}

/// An untyped in which there was no room any more.
pub fn exhausted() -> Place {
    let word = shared().exhausted.load(Relaxed);
    Place { table: word as u8, slot: (word >> 8) as u8 }
}

/// Notes that there is no room in an untyped.
pub fn note_exhausted(place: Place) {
    shared().exhausted.store(place.table as u64 | (place.slot as u64) << 8, Relaxed);
}

/// It is being made room.
pub fn take_exhausted() {
    note_exhausted(Place::NONE);
}
