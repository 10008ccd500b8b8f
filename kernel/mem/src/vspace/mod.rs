//! Address spaces: their roots, and what page-table entries refer to.
//!
//! An entry decides what user level can reach, so it is filled with a [`Content`] only, which is made of a
//! capability, and only in a table of the level that this belongs to. The level of a table is known by the way
//! to it: each begins at a [`Root`]. Nobody else can reach the kernel's half of a root table.
//!
//! Which entry belongs to which capability, and when it goes, is `pecan_core`'s business, and so is to keep the
//! translation lookaside buffer true.
//!
//! `pecan_core` maps and unmaps through `Entry` and `Content`, boot builds the first address space with them,
//! and the scheduler asks for the address space of a thread.

use core::cell::Cell;

use pecan_arch::{
    CacheAttr, PT_INDEX_BITS, PT_LEVELS, PageRights, PageTableEntry, Pte, ROOT_USER_ENTRIES, Space,
    level_shift, phys_to_virt, virt_to_phys,
};

use crate::{
    Kernel,
    cap::{Cap, Words, tag},
    link::Link,
    object::{PageTable, Tcb},
    slot::CNodeRef,
};

/// Level of root tables.
pub const ROOT_LEVEL: usize = PT_LEVELS - 1;

/// The root table of an address space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct Root(Link<PageTable>);

impl Root {
    /// # Safety
    /// The table was made as one of [`ROOT_LEVEL`].
    #[inline(always)]
    pub(crate) const unsafe fn of(table: Link<PageTable>) -> Root {
        Root(table)
    }

    /// The table.
    #[inline(always)]
    pub fn link(self) -> Link<PageTable> {
        self.0
    }

    /// The same as a table with its level.
    #[inline(always)]
    pub fn table(self) -> Table {
        Table { link: self.0, level: ROOT_LEVEL }
    }

    /// The address space with this root and this ASID, for the processor.
    #[inline(always)]
    pub fn space(self, asid: u16) -> Space {
        // SAFETY: the upper half of a root table is the kernel's, which `retype` put there, and stays so: see above.
        unsafe { pecan_arch::space(virt_to_phys(self.0.addr()), asid) }
    }
}

/// A table and its level.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Table {
    link: Link<PageTable>,
    level: usize,
}

impl Table {
    /// The table.
    pub fn link(self) -> Link<PageTable> {
        self.link
    }

    /// Its level: 0 holds pages.
    pub fn level(self) -> usize {
        self.level
    }

    /// The entries that are user level's.
    pub fn entries(self) -> impl Iterator<Item = Entry> {
        let count = if self.level == ROOT_LEVEL { ROOT_USER_ENTRIES } else { 1 << PT_INDEX_BITS };
        (0..count).map(move |index| Entry { table: self, index })
    }
}

/// An entry of a page table, one of user level's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    table: Table,
    index: usize,
}

impl Entry {
    /// The entry for a user address in the table of `level` below a root.
    ///
    /// # Errors
    /// The level of the entry that lacks a table.
    #[inline(always)]
    pub fn find(k: &Kernel, root: Root, vaddr: u64, level: usize) -> Result<Entry, usize> {
        let at = |link, level: usize| {
            let index = vaddr >> level_shift(level);
            let index = if level == ROOT_LEVEL {
                // Others than user level's have been refused; a processor that does not know yet stays among its entries
                // nevertheless. The compiler may know, and leave out an ordinary mask.
                const { assert!(ROOT_USER_ENTRIES.is_power_of_two()) };
                pecan_arch::mask_surely(index, ROOT_USER_ENTRIES as u64 - 1)
            } else {
                index & ((1 << PT_INDEX_BITS) - 1)
            };
            Entry { table: Table { link, level }, index: index as usize }
        };
        // Written out, which leaves few instructions of each level.
        const { assert!(matches!(ROOT_LEVEL, 2 | 3)) };
        let mut entry = at(root.0, ROOT_LEVEL);
        if ROOT_LEVEL == 2 || level < 3 {
            if ROOT_LEVEL == 3 {
                entry = at(entry.child(k).ok_or(3usize)?.link, 2);
            }
            if level < 2 {
                entry = at(entry.child(k).ok_or(2usize)?.link, 1);
                if level < 1 {
                    entry = at(entry.child(k).ok_or(1usize)?.link, 0);
                }
            }
        }
        Ok(entry)
    }

    /// What the entry holds.
    #[inline(always)]
    pub fn get(self, k: &Kernel) -> Pte {
        self.table.link.get(k).entry(self.index)
    }

    /// The table that it is in.
    pub fn table(self) -> Table {
        self.table
    }

    /// Its place in the table.
    pub fn index(self) -> usize {
        self.index
    }

    /// The table that it refers to, if it does refer to one.
    #[inline(always)]
    pub fn child(self, k: &Kernel) -> Option<Table> {
        let (pte, level) = (self.get(k), self.table.level);
        if !pte.is_table(level) {
            return None;
        }
        // SAFETY: an entry that refers to a table was made by `Content::table`, of a table of the level below, which
        // lives (a table is unmapped before it is given back).
        let link = unsafe { Link::from_addr(phys_to_virt(pte.table_addr())) };
        Some(Table { link, level: level - 1 })
    }

    /// Sets the entry. False, and nothing changed, if what is to be there belongs into a table of another level.
    #[inline(always)]
    pub fn set(self, k: &Kernel, content: Content) -> bool {
        let fits = content.level == self.table.level;
        if fits {
            self.table.link.get(k).set_entry(self.index, content.pte);
        }
        fits
    }

    /// Empties the entry.
    #[inline(always)]
    pub fn clear(self, k: &Kernel) {
        self.table.link.get(k).set_entry(self.index, Pte::EMPTY);
    }
}

/// What a page-table entry may hold.
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

    /// A table. `None` for capabilities to others, and to root tables.
    #[inline(always)]
    pub fn table(table: Words) -> Option<Content> {
        match Cap::unpack_as(tag::PAGE_TABLE, table) {
            Some(Cap::PageTable { table, level, .. }) if (level as usize) < ROOT_LEVEL => {
                Some(Content { pte: Pte::table(virt_to_phys(table.addr())), level: level as usize + 1 })
            }
            _ => None,
        }
    }
}

/// Empties all entries of a table, if the capability is one to a table that is no root.
pub fn empty_table(k: &Kernel, table: Words) {
    if let Some(Cap::PageTable { table, level, .. }) = Cap::unpack_as(tag::PAGE_TABLE, table)
        && (level as usize) < ROOT_LEVEL
    {
        Table { link: table, level: level as usize }.entries().for_each(|entry| entry.clear(k));
    }
}

/// Address spaces by identifier.
#[repr(C, align(4096))]
pub struct AsidPool {
    /// The root table of each.
    roots: [Cell<Option<Root>>; AsidPool::LEN],
}

const _: () = assert!(size_of::<AsidPool>() == 4096);

impl AsidPool {
    /// Address spaces in a pool.
    pub const LEN: usize = 512;

    /// The root table of the address space with this identifier, of which the low nine bits count.
    #[inline(always)]
    pub fn root(&self, asid: u16) -> Option<Root> {
        self.roots[asid as usize % AsidPool::LEN].get()
    }

    /// The first identifier in the pool, from `first` on, that no address space has.
    pub fn first_free(&self, first: usize) -> Option<usize> {
        let free = self.roots.get(first..)?.iter().position(|root| root.get().is_none());
        free.map(|free| first + free)
    }

    /// Sets it.
    pub fn set_root(&self, asid: u16, root: Option<Root>) {
        self.roots[asid as usize % AsidPool::LEN].set(root);
    }
}

/// The root table of the address space with this ASID.
#[inline(always)]
pub fn find_root(k: &Kernel, asid: u16) -> Option<Root> {
    let pools = &k.global().asid_pools;
    pools[asid as usize / AsidPool::LEN % pools.len()].get()?.get(k).root(asid)
}

/// The address space of a thread and its ASID, if the thread has a valid one.
#[inline(always)]
pub fn root(k: &Kernel, tcb: &Tcb) -> Option<(Root, u16)> {
    let (root, asid) = tcb.slots[Tcb::SLOT_VSPACE].words().vspace()?;
    (find_root(k, asid) == Some(root)).then_some((root, asid))
}

/// The CNode that is all of a thread's CSpace and takes capability addresses as they are.
pub fn direct_cspace(tcb: &Tcb) -> Option<CNodeRef> {
    let (cnode, guard, level_bits) = tcb.slots[Tcb::SLOT_CSPACE].words().cnode()?;
    (guard == 0 && level_bits == u64::BITS).then_some(cnode)
}
