//! Page tables.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pecan_arch::PageTableEntry;

use crate::link::Link;

/// A paging structure.
///
/// The processor sets accessed and dirty bits behind our back, hence atomics (relaxed: plain moves).
#[repr(C, align(4096))]
pub struct PageTable {
    entries: [AtomicU64; 1 << pecan_arch::PT_INDEX_BITS],
}

impl PageTable {
    /// The entry at `index`, of which the low nine bits count.
    #[inline(always)]
    pub fn entry(&self, index: usize) -> pecan_arch::Pte {
        pecan_arch::Pte(self.entries[index % self.entries.len()].load(Relaxed))
    }

    /// Sets the entry at `index`, of which the low nine bits count.
    ///
    /// Whoever calls this keeps the translation lookaside buffer true, and puts nothing there but what may be in a table of
    /// this level (see [`crate::vspace`]).
    #[inline(always)]
    pub(crate) fn set_entry(&self, index: usize, pte: pecan_arch::Pte) {
        self.entries[index % self.entries.len()].store(pte.0, Relaxed);
    }

    /// Empties all entries.
    pub(crate) fn clear(&self) {
        self.entries.iter().for_each(|entry| entry.store(pecan_arch::Pte::EMPTY.0, Relaxed));
    }

    /// A link to this table.
    #[inline(always)]
    pub fn link(&self) -> Link<PageTable> {
        Link::of(self)
    }
}
