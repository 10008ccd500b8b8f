//! Address spaces: their roots, and what page-table entries refer to.
//!
//! An entry decides what user level can reach, so it is filled with a [`Content`] or through a [`TablePlace`] only, which are
//! made of capabilities, and only in a table of the level that this belongs to. The level of a table is known by the way
//! to it: each begins at a [`Root`]. Nobody else can reach the kernel's half of a root table.
//!
//! **Levels.** Where each level of tables is a type of object ([`has_own_type`]), a capability says the level from the start.
//! Otherwise a table is of no level and all empty until it is mapped or becomes a root ([`assign`]); it is of the level of
//! its place then, and of none again, and empty, when it has been unmapped ([`unmap_table`]). Three things keep a table from
//! being reached as one of two levels:
//!
//! - The capability says level and place, one function (`settle` in `table.rs`) changes both, and only of the only
//!   capability to a table. So copies agree, and none that was kept is put into a slot again (`Words::may_join`).
//! - A table is entered into one other, where its capability says. Whatever takes an address space away from its
//!   identifier does that for good: no root and no pool gets an identifier again that it lost. So a table that is
//!   unmapped and whose entry is not found is in none that can still be reached.
//! - [`unmap_table`] takes `&mut Kernel`. A [`Root`], [`Table`], [`Entry`] or [`Space`] borrows from the lock, so none that
//!   was found when the table had another level is alive then.
//!
//! Which entry belongs to which capability, and when it goes, is `pecan_core`'s business, and so is to keep the
//! translation lookaside buffer true.
//!
//! `pecan_core` maps and unmaps through `Entry`, `Content` and `TablePlace`, boot builds the first address space with them,
//! and the scheduler asks for the address space of a thread.

mod asid;
mod table;

use core::marker::PhantomData;

use pecan_abi::constants::USER_TOP;
use pecan_arch::{
    CacheAttr, PT_INDEX_BITS, PT_LEVELS, PageRights, PageTableEntry, Pte, ROOT_USER_ENTRIES, level_shift,
    phys_to_virt, virt_to_phys,
};

use crate::{
    Kernel,
    cap::{Cap, Mapping, Words, tag},
    link::Link,
    object::{PageTable, Tcb},
    slot::CNodeRef,
};

pub(crate) use asid::register;
pub use asid::{AsidPool, PoolCell, assign, find_root, insert_pool};
pub use table::{NoPlace, TablePlace, detach, has_own_type, unmap_table};

/// Level of root tables.
pub const ROOT_LEVEL: usize = PT_LEVELS - 1;

/// The root table of an address space, and the identifier that stands for this.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Root<'k> {
    link: Link<PageTable>,
    asid: u16,
    _lock: PhantomData<&'k Kernel>,
}

impl<'k> Root<'k> {
    /// The table.
    #[inline(always)]
    pub fn link(self) -> Link<PageTable> {
        self.link
    }

    /// The identifier.
    #[inline(always)]
    pub fn asid(self) -> u16 {
        self.asid
    }

    /// The same as a table with its level.
    #[inline(always)]
    pub fn table(self) -> Table<'k> {
        Table { link: self.link, level: ROOT_LEVEL, _lock: PhantomData }
    }

    /// The address space with this root, for the processor.
    #[inline(always)]
    pub fn space(self) -> Space<'k> {
        // SAFETY: the kernel's entries of a root table are there from the start on, or since `assign`, and stay so: see above.
        let space = unsafe { pecan_arch::space(virt_to_phys(self.link.addr()), self.asid) };
        Space { space, _lock: PhantomData }
    }
}

/// An address space for the processor ([`Kernel::switch_vspace`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Space<'k> {
    space: pecan_arch::Space,
    _lock: PhantomData<&'k Kernel>,
}

impl Space<'_> {
    /// What was kept of one, in a thread that knows its spaces.
    ///
    /// # Safety
    /// There is a root table behind it: the epoch has not ended since it was made.
    #[inline(always)]
    pub(crate) const unsafe fn known(space: pecan_arch::Space) -> Self {
        Space { space, _lock: PhantomData }
    }

    /// The word for the processor.
    #[inline(always)]
    pub(crate) fn get(self) -> pecan_arch::Space {
        self.space
    }
}

/// A table and its level.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Table<'k> {
    link: Link<PageTable>,
    level: usize,
    _lock: PhantomData<&'k Kernel>,
}

impl<'k> Table<'k> {
    /// The table.
    pub fn link(self) -> Link<PageTable> {
        self.link
    }

    /// Its level: 0 holds pages.
    pub fn level(self) -> usize {
        self.level
    }

    /// The entries that are user level's.
    pub fn entries(self) -> impl Iterator<Item = Entry<'k>> {
        let count = if self.level == ROOT_LEVEL { ROOT_USER_ENTRIES } else { 1 << PT_INDEX_BITS };
        (0..count).map(move |index| Entry { table: self, index })
    }

    /// The entry for a user address.
    #[inline(always)]
    fn entry_for(self, vaddr: u64) -> Entry<'k> {
        let index = vaddr >> level_shift(self.level);
        let index = if self.level == ROOT_LEVEL {
            // Others than user level's have been refused; a processor that does not know yet stays among its entries
            // nevertheless. The compiler may know, and leave out an ordinary mask.
            const { assert!(ROOT_USER_ENTRIES.is_power_of_two()) };
            pecan_arch::mask_surely(index, ROOT_USER_ENTRIES as u64 - 1)
        } else {
            index & ((1 << PT_INDEX_BITS) - 1)
        };
        Entry { table: self, index: index as usize }
    }
}

/// An entry of a page table, one of user level's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry<'k> {
    table: Table<'k>,
    index: usize,
}

impl<'k> Entry<'k> {
    /// The entry for a user address in the table of `level` below a root.
    ///
    /// # Errors
    /// The level of the entry that lacks a table.
    #[inline(always)]
    pub fn find(k: &'k Kernel, root: Root<'k>, vaddr: u64, level: usize) -> Result<Self, usize> {
        // Written out, which leaves few instructions of each level.
        const { assert!(matches!(ROOT_LEVEL, 2 | 3)) };
        let below = |entry: Self, level: usize| match entry.child(k) {
            Some(Table { link, .. }) => Ok(Table { link, level, _lock: PhantomData }.entry_for(vaddr)),
            None => Err(level + 1),
        };
        let mut entry = root.table().entry_for(vaddr);
        if ROOT_LEVEL == 2 || level < 3 {
            if ROOT_LEVEL == 3 {
                entry = below(entry, 2)?;
            }
            if level < 2 {
                entry = below(entry, 1)?;
                if level < 1 {
                    entry = below(entry, 0)?;
                }
            }
        }
        Ok(entry)
    }

    /// The entry for a user address in the lowest table that there is for it.
    fn lowest(k: &'k Kernel, root: Root<'k>, vaddr: u64) -> Self {
        let mut entry = root.table().entry_for(vaddr);
        while let Some(table) = entry.child(k) {
            entry = table.entry_for(vaddr);
        }
        entry
    }

    /// What the entry holds.
    #[inline(always)]
    pub fn get(self, k: &Kernel) -> Pte {
        self.table.link.get(k).entry(self.index)
    }

    /// The table that it is in.
    pub fn table(self) -> Table<'k> {
        self.table
    }

    /// Its place in the table.
    pub fn index(self) -> usize {
        self.index
    }

    /// The table that it refers to, if it does refer to one.
    #[inline(always)]
    pub fn child(self, k: &'k Kernel) -> Option<Table<'k>> {
        let (pte, level) = (self.get(k), self.table.level);
        if !pte.is_table(level) {
            return None;
        }
        // SAFETY: an entry that refers to a table was made by `TablePlace`, of a table that is of the level below, which
        // lives (a table is unmapped before it is given back).
        let link = unsafe { Link::from_addr(phys_to_virt(pte.table_addr())) };
        Some(Table { link, level: level - 1, _lock: PhantomData })
    }

    /// It refers to this table.
    #[inline(always)]
    fn refers(self, k: &'k Kernel, table: Link<PageTable>) -> bool {
        self.child(k).is_some_and(|child| child.link == table)
    }

    /// Sets the entry. False, and nothing changed, if what is to be there belongs into a table of another level.
    #[inline(always)]
    pub fn set(self, k: &Kernel, content: Content) -> bool {
        let fits = content.level == self.table.level;
        if fits {
            self.table.link.get(k).set_entry(self.index, content.pte);
            pecan_arch::tables_written();
        }
        fits
    }

    /// Empties the entry.
    #[inline(always)]
    pub fn clear(self, k: &Kernel) {
        self.table.link.get(k).set_entry(self.index, Pte::EMPTY);
    }
}

/// What a page-table entry may hold beside a table: a frame.
#[derive(Clone, Copy)]
pub struct Content {
    pte: Pte,
    /// Level of the tables it belongs into.
    level: usize,
}

impl Content {
    /// A frame, with some of the rights of its capability. `None` for other capabilities.
    #[inline(always)]
    pub fn frame(frame: Words, rights: PageRights, cache: CacheAttr) -> Option<Content> {
        match Cap::unpack_as(tag::FRAME, frame) {
            Some(Cap::Frame { base, level, .. }) => {
                let level = level as usize;
                Some(Content { pte: Pte::frame(base, level, rights, cache), level })
            }
            _ => None,
        }
    }
}

/// The entry for a user address in the table of `level` below a root, or the level of the entry that lacks a table.
///
/// [`Entry::find`], once for all that need not be quick.
#[inline(never)]
pub fn entry<'k>(k: &'k Kernel, root: Root<'k>, vaddr: u64, level: usize) -> Result<Entry<'k>, usize> {
    Entry::find(k, root, vaddr, level)
}

/// The entry of `level` behind a mapping, if its address space and all tables on the way are (still) there.
#[inline(always)]
pub fn mapped_entry(k: &Kernel, mapping: Mapping, level: usize) -> Option<Entry<'_>> {
    // Root tables have no entry of their own; user mappings end where user addresses do.
    if level >= PT_LEVELS || mapping.vaddr >= USER_TOP {
        return None;
    }
    Entry::find(k, find_root(k, mapping.asid)?, mapping.vaddr, level).ok()
}

/// The address space of a thread, if the thread has a valid one.
#[inline(always)]
pub fn root<'k>(k: &'k Kernel, tcb: &Tcb) -> Option<Root<'k>> {
    let (table, asid) = tcb.slots[Tcb::SLOT_VSPACE].words().vspace()?;
    find_root(k, asid).filter(|root| root.link == table)
}

/// The CNode that is all of a thread's CSpace and takes capability addresses as they are.
pub fn direct_cspace(tcb: &Tcb) -> Option<CNodeRef> {
    let (cnode, guard, level_bits) = tcb.slots[Tcb::SLOT_CSPACE].words().cnode()?;
    (guard == 0 && level_bits == u64::BITS).then_some(cnode)
}
