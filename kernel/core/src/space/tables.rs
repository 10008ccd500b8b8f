//! Walking page tables: the entry for an address, and what it holds. Nothing here changes a table.

use pecan_arch::{PageRights, PageTableEntry, PhysAddr, Pte, level_shift};
use pecan_mem::{
    Cap, FrameRights, Kernel, LookupFailure,
    vspace::{self, Entry, Root},
};

pub use pecan_mem::vspace::{find_root, mapped_entry, root};

/// The entry for `vaddr` in the table of `level` below a root table. Fails where a table on the way is
/// missing, with the number of address bits below the entry that lacks it.
#[inline(always)]
pub fn entry<'k>(
    k: &'k Kernel,
    root: Root<'k>,
    vaddr: u64,
    level: usize,
) -> Result<Entry<'k>, LookupFailure> {
    vspace::entry(k, root, vaddr, level).map_err(missing)
}

/// A table is missing: the entry of this level lacks it.
pub fn missing(level: usize) -> LookupFailure {
    LookupFailure::MissingCapability { bits_left: level_shift(level) as u8 }
}

/// The entry maps this frame.
#[inline(always)]
pub fn maps(k: &Kernel, entry: Entry<'_>, frame: PhysAddr) -> bool {
    let (pte, level) = (entry.get(k), entry.table().level());
    pte.is_present() && !pte.is_table(level) && pte.addr(level) == frame
}

/// What tells the entries of all tables apart.
pub fn entry_address(entry: Entry<'_>) -> usize {
    entry.table().link().addr() + entry.index() * size_of::<Pte>()
}

/// The entry ([`entry_address`]) that is there because of a capability: of the frame or the table that it names, where
/// it says that this is mapped, if it still is.
pub fn entry_of(k: &Kernel, cap: Cap) -> Option<usize> {
    let entry = match cap {
        Cap::Frame { base, level, mapping: Some(mapping), .. } => {
            mapped_entry(k, mapping, level as usize).filter(|&entry| maps(k, entry, base))
        }
        Cap::PageTable { table, level: Some(level), mapping: Some(mapping) } => {
            mapped_entry(k, mapping, level as usize + 1)
                .filter(|entry| entry.child(k).is_some_and(|child| child.link() == table))
        }
        _ => None,
    }?;
    Some(entry_address(entry))
}

/// What user level may do with a page, as far as both the capability and the request allow. Pages cannot be
/// write-only: those are out of user level's reach.
#[inline(always)]
pub fn page_rights(cap: FrameRights, read: bool, write: bool, execute: bool) -> PageRights {
    let read = read && cap != FrameRights::KernelOnly;
    PageRights { read, write: read && write && cap == FrameRights::ReadWrite, execute }
}
