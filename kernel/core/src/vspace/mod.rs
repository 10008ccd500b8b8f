//! Address spaces: page tables, frames, and address-space identifiers (ASIDs).
//!
//! A capability to a frame or a paging structure remembers where it is mapped as an ASID and an address. Either
//! may have gone stale by the time it is used (the address space deleted, a table between unmapped), so every
//! use walks the tables again and looks whether what it finds there is what it expects.

mod asid;
mod map;
#[cfg(test)]
mod tests;

use pecan_abi::{Label, constants::USER_TOP};
use pecan_arch::{
    PT_LEVELS, PageRights, PageTableEntry, PhysAddr, Pte, Space, level_shift, tlb_flush_asid,
    tlb_flush_asids, tlb_flush_page,
};
use pecan_mem::{
    AsidPool, Cap, FrameRights, Kernel, Link, LookupFailure, Mapping, PageTable, Tcb,
    cap::tag,
    vspace::{Entry, Root},
};

pub use pecan_mem::vspace::{find_root, root};

use crate::{
    error::{Stop, SyscallError},
    invoke::{Done, Invocation},
};

/// Invocations of frames.
#[inline(always)]
pub fn invoke_frame(k: &mut Kernel, inv: Invocation<'_>) -> Result<Done, Stop> {
    Ok(map::invoke_frame(k, inv)?)
}

/// True for what [`quick_map`] does.
#[inline(always)]
pub fn is_quick(label: u64) -> bool {
    label == Label::X86PageMap.word()
}

/// Mappings as most are: of frames of memory of the smallest size, where nothing is mapped. `None` for others, and where it
/// fails: nothing has changed then, and [`invoke_frame`] says what is to become of it.
#[inline(always)]
pub fn quick_map(k: &Kernel, inv: Invocation<'_>) -> Option<()> {
    map::quick(k, inv)
}

/// Invocations of paging structures, ASID control and ASID pools.
pub fn invoke(k: &mut Kernel, inv: Invocation<'_>) -> Result<Done, Stop> {
    match inv.words.tag() {
        tag::PAGE_TABLE => {
            let op = map::decode_table(k, inv)?;
            map::commit_table(k, op);
            Ok(Done::stay())
        }
        tag::ASID_CONTROL => {
            let op = asid::decode_control(k, inv)?;
            asid::make_pool(k, op);
            Ok(Done::stay())
        }
        tag::ASID_POOL => {
            let op = asid::decode_pool(k, inv)?;
            asid::assign(k, op);
            Ok(Done::stay())
        }
        _ => Err(SyscallError::InvalidCapability(0).into()),
    }
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
    tcb.learn_spaces(k);
    tcb.known_space(k)
}

/// The entry for `vaddr` in the table of `level` below a root table. Fails where a table on the way is
/// missing, with the number of address bits below the entry that lacks it.
#[inline(never)]
pub(crate) fn entry(k: &Kernel, root: Root, vaddr: u64, level: usize) -> Result<Entry, LookupFailure> {
    Entry::find(k, root, vaddr, level)
        .map_err(|level| LookupFailure::MissingCapability { bits_left: level_shift(level) as u8 })
}

/// The entry maps this frame.
#[inline(always)]
fn maps(k: &Kernel, entry: Entry, frame: PhysAddr) -> bool {
    let (pte, level) = (entry.get(k), entry.table().level());
    pte.is_present() && !pte.is_table(level) && pte.addr(level) == frame
}

/// The entry refers to this table.
fn refers(k: &Kernel, entry: Entry, table: Link<PageTable>) -> bool {
    entry.child(k).is_some_and(|child| child.link() == table)
}

/// The entry behind a mapping, if its address space and all tables on the way are (still) there.
#[inline(always)]
fn mapped_entry(k: &Kernel, mapping: Mapping, level: usize) -> Option<Entry> {
    // Root tables have no entry of their own; user mappings end where user addresses do.
    if level >= PT_LEVELS || mapping.vaddr >= USER_TOP {
        return None;
    }
    Entry::find(k, find_root(k, mapping.asid)?, mapping.vaddr, level).ok()
}

/// What tells the entries of all tables apart.
pub(crate) fn entry_address(entry: Entry) -> usize {
    entry.table().link().addr() + entry.index() * size_of::<Pte>()
}

/// The entry ([`entry_address`]) that is there because of a capability: of the frame or the table that it names, where
/// it says that this is mapped, if it still is.
pub(crate) fn entry_of(k: &Kernel, cap: Cap) -> Option<usize> {
    let entry = match cap {
        Cap::Frame { base, level, mapping: Some(mapping), .. } => {
            mapped_entry(k, mapping, level as usize).filter(|&entry| maps(k, entry, base))
        }
        Cap::PageTable { table, level, mapping: Some(mapping) } => {
            mapped_entry(k, mapping, level as usize + 1).filter(|&entry| refers(k, entry, table))
        }
        _ => None,
    }?;
    Some(entry_address(entry))
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
    if find_root(k, asid).map(Root::link) != Some(root) {
        return;
    }
    let pool = k.global().asid_pools[asid as usize / AsidPool::LEN].get();
    if let Some(pool) = pool {
        pool.get(k).set_root(asid, None);
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
    let Some(entry) = mapped_entry(k, mapping, level as usize + 1) else { return };
    if refers(k, entry, table) {
        entry.clear(k);
        // Everything below the table goes, and what the processor has cached of the table itself.
        tlb_flush_asid(mapping.asid);
    }
}

/// Unmaps a frame of `level`, if it is (still) mapped where its capability says.
pub fn unmap_frame(k: &Kernel, base: PhysAddr, level: u8, mapping: Mapping) {
    let Some(entry) = mapped_entry(k, mapping, level as usize) else { return };
    if maps(k, entry, base) {
        entry.clear(k);
        tlb_flush_page(mapping.asid, mapping.vaddr);
    }
}
