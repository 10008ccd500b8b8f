//! Address spaces: page tables, frames, and address-space identifiers (ASIDs).
//!
//! A capability to a frame or a paging structure remembers where it is mapped as an ASID and an address. Either
//! may have gone stale by the time it is used (the address space deleted, a table between unmapped), so every
//! use walks the tables again and looks whether what it finds there is what it expects.

mod asid;
mod map;
#[cfg(test)]
mod tests;

use pecan_abi::constants::USER_TOP;
use pecan_arch::{
    PT_INDEX_BITS, PT_LEVELS, PageRights, PhysAddr, Pte, Space, level_shift, tlb_flush_asid, tlb_flush_asids,
    tlb_flush_page,
};
use pecan_mem::{
    AsidPool, CNodeRef, Cap, FrameRights, Kernel, Link, LookupFailure, Mapping, PageTable, Tcb, cap::tag,
};

use crate::{
    error::{Stop, SyscallError},
    invoke::{Done, Invocation},
};

/// Level of root tables.
pub const ROOT_LEVEL: usize = PT_LEVELS - 1;

/// Invocations of paging structures, frames, ASID control and ASID pools.
pub fn invoke(k: &mut Kernel, inv: Invocation<'_>) -> Result<Done, Stop> {
    match inv.words.tag() {
        tag::FRAME => {
            let op = map::decode_frame(k, inv)?;
            Ok(map::commit_frame(k, op))
        }
        tag::PAGE_TABLE => {
            let op = map::decode_table(k, inv)?;
            Ok(map::commit_table(k, op))
        }
        tag::ASID_CONTROL => {
            let op = asid::decode_control(k, inv)?;
            asid::make_pool(k, op);
            Ok(Done::ok())
        }
        tag::ASID_POOL => {
            let op = asid::decode_pool(k, inv)?;
            asid::assign(k, op);
            Ok(Done::ok())
        }
        _ => Err(SyscallError::InvalidCapability(0).into()),
    }
}

/// The address space of a thread and its ASID, if the thread has a valid one.
#[inline(always)]
pub fn root(k: &Kernel, tcb: &Tcb) -> Option<(Link<PageTable>, u16)> {
    let (table, asid) = tcb.slots[Tcb::SLOT_VSPACE].words().vspace()?;
    (find_root(k, asid) == Some(table)).then_some((table, asid))
}

/// The address space of a thread, if it has a valid one.
#[inline(always)]
pub fn space(k: &Kernel, tcb: &Tcb) -> Option<Space> {
    match tcb.known_space(k) {
        None => work_out_space(k, tcb),
        known => known,
    }
}

#[cold]
#[inline(never)]
fn work_out_space(k: &Kernel, tcb: &Tcb) -> Option<Space> {
    learn_spaces(k, tcb);
    tcb.known_space(k)
}

/// Works out what the roots of a thread's spaces come to.
pub fn learn_spaces(k: &Kernel, tcb: &Tcb) {
    let space = root(k, tcb).map(|(table, asid)| k.space(table, asid));
    tcb.learn_spaces(k, space, direct_cspace(tcb));
}

/// The CNode that is all of a thread's CSpace and takes capability addresses as they are.
pub(crate) fn direct_cspace(tcb: &Tcb) -> Option<CNodeRef> {
    let (cnode, guard, level_bits) = tcb.slots[Tcb::SLOT_CSPACE].words().cnode()?;
    (guard == 0 && level_bits == u64::BITS).then_some(cnode)
}

/// The root table of the address space with this ASID.
#[inline(always)]
pub fn find_root(k: &Kernel, asid: u16) -> Option<Link<PageTable>> {
    let pool = k.global().asid_pools[asid as usize / AsidPool::LEN % k.global().asid_pools.len()].get()?;
    pool.get(k).roots[asid as usize % AsidPool::LEN].get()
}

/// An entry of a page table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    table: Link<PageTable>,
    index: usize,
    /// Level of the table.
    level: usize,
}

impl Entry {
    pub(crate) fn get(self, k: &Kernel) -> Pte {
        self.table.get(k).entry(self.index)
    }

    pub(crate) fn set(self, k: &Kernel, pte: Pte) {
        self.table.get(k).set_entry(self.index, pte);
    }

    /// The entry maps this frame.
    fn maps(self, k: &Kernel, frame: PhysAddr) -> bool {
        let pte = self.get(k);
        pte.is_present() && !pte.is_table(self.level) && pte.addr(self.level) == frame
    }
}

/// The entry for `vaddr` in the table of `level` below a root table. Fails where a table on the way is
/// missing, with the number of address bits below the entry that lacks it.
#[inline]
pub(crate) fn entry(
    k: &Kernel,
    root: Link<PageTable>,
    vaddr: u64,
    level: usize,
) -> Result<Entry, LookupFailure> {
    // Others than user level's have been refused; a processor that does not know yet stays in its half nevertheless.
    let vaddr = vaddr & (USER_TOP.next_power_of_two() - 1);
    let index = |level: usize| (vaddr >> level_shift(level)) as usize & ((1 << PT_INDEX_BITS) - 1);
    let mut table = root;
    for above in (level + 1..PT_LEVELS).rev() {
        let pte = table.get(k).entry(index(above));
        table = PageTable::child(pte, above)
            .ok_or(LookupFailure::MissingCapability { bits_left: level_shift(above) as u8 })?;
    }
    Ok(Entry { table, index: index(level), level })
}

/// The entry behind a mapping, if its address space and all tables on the way are (still) there.
fn mapped_entry(k: &Kernel, mapping: Mapping, level: usize) -> Option<Entry> {
    // Root tables have no entry of their own; user mappings end where user addresses do.
    if level >= PT_LEVELS || mapping.vaddr >= USER_TOP {
        return None;
    }
    entry(k, find_root(k, mapping.asid)?, mapping.vaddr, level).ok()
}

/// What tells the entries of all tables apart.
pub(crate) fn entry_address(table: Link<PageTable>, index: usize) -> usize {
    table.addr() + index * size_of::<Pte>()
}

/// The entry ([`entry_address`]) that is there because of a capability: of the frame or the table that it names, where
/// it says that this is mapped, if it still is.
pub(crate) fn entry_of(k: &Kernel, cap: Cap) -> Option<usize> {
    let entry = match cap {
        Cap::Frame { base, level, mapping: Some(mapping), .. } => {
            mapped_entry(k, mapping, level as usize).filter(|entry| entry.maps(k, base))
        }
        Cap::PageTable { table, level, mapping: Some(mapping) } => {
            let above = level as usize + 1;
            mapped_entry(k, mapping, above)
                .filter(|entry| PageTable::child(entry.get(k), above) == Some(table))
        }
        _ => None,
    }?;
    Some(entry_address(entry.table, entry.index))
}

/// The page-table entry that refers to a table.
pub(crate) fn table_pte(table: Link<PageTable>) -> Pte {
    Pte::table(pecan_arch::virt_to_phys(table.addr()))
}

/// What user level may do with a page, as far as both the capability and the request allow. Pages cannot be
/// write-only: those are out of user level's reach.
pub(crate) fn page_rights(cap: FrameRights, read: bool, write: bool) -> PageRights {
    let read = read && cap != FrameRights::KernelOnly;
    PageRights { read, write: read && write && cap == FrameRights::ReadWrite, execute: true }
}

/// Makes the processor use the current thread's address space as it is now: without one, the kernel's.
pub fn refresh(k: &Kernel) {
    match space(k, k.core().current.get().get(k)) {
        Some(space) => k.switch_vspace(space),
        None => pecan_arch::switch_kernel_vspace(),
    }
}

/// The last capability to an address space goes: its ASID becomes free.
pub fn delete_asid(k: &Kernel, asid: u16, root: Link<PageTable>) {
    if find_root(k, asid) != Some(root) {
        return;
    }
    let pool = k.global().asid_pools[asid as usize / AsidPool::LEN].get();
    if let Some(pool) = pool {
        pool.get(k).roots[asid as usize % AsidPool::LEN].set(None);
    }
    k.end_epoch();
    // First leave the address space, so that nothing more of it is cached; then forget what was.
    refresh(k);
    tlb_flush_asid(asid);
}

/// The last capability to an ASID pool goes: its address spaces lose their ASIDs.
pub fn delete_asid_pool(k: &Kernel, base: u16, pool: Link<AsidPool>) {
    let Some(entry) = k.global().asid_pools.get(base as usize / AsidPool::LEN) else { return };
    if entry.get() != Some(pool) {
        return;
    }
    entry.set(None);
    k.end_epoch();
    refresh(k);
    tlb_flush_asids();
}

/// Unmaps a paging structure of `level`, if it is (still) mapped where its capability says.
pub fn unmap_table(k: &Kernel, table: Link<PageTable>, level: u8, mapping: Mapping) {
    let above = level as usize + 1;
    let Some(entry) = mapped_entry(k, mapping, above) else { return };
    if PageTable::child(entry.get(k), above) == Some(table) {
        entry.set(k, Pte::EMPTY);
        // Everything below the table goes, and what the processor has cached of the table itself.
        tlb_flush_asid(mapping.asid);
    }
}

/// Unmaps a frame of `level`, if it is (still) mapped where its capability says.
pub fn unmap_frame(k: &Kernel, base: PhysAddr, level: u8, mapping: Mapping) {
    let Some(entry) = mapped_entry(k, mapping, level as usize) else { return };
    if entry.maps(k, base) {
        entry.set(k, Pte::EMPTY);
        tlb_flush_page(mapping.asid, mapping.vaddr);
    }
}
