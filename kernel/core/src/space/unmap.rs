//! Taking mappings, tables and address spaces away, with all that the processor has cached of them.
//!
//! Called for an invocation that unmaps and by `delete`, for a capability that goes. The order matters: first nothing
//! refers to what goes, then the processor forgets.

use pecan_arch::{PhysAddr, tlb_flush_asid, tlb_flush_asids, tlb_flush_page};
use pecan_mem::{
    AsidPool, Kernel, Link, Mapping, PageTable, Slot, Words,
    vspace::{self, find_root},
};

use crate::space::{known, tables};

/// Makes the processor use the current thread's address space as it is now: without one, the kernel's.
pub fn refresh(k: &Kernel) {
    match known::space(k, k.core().current.get().get(k)) {
        Some(space) => k.switch_vspace(space),
        None => pecan_arch::switch_kernel_vspace(),
    }
}

/// The last capability to an address space goes: its ASID becomes free.
pub fn delete_asid(k: &mut Kernel, asid: u16, root: Link<PageTable>) {
    if find_root(k, asid).is_none_or(|found| found.link() != root) {
        return;
    }
    let pool = k.global().asid_pools[asid as usize / AsidPool::LEN].get();
    if let Some(pool) = pool {
        pool.get(k).release(asid);
    }
    k.end_epoch();
    // First leave the address space, so that nothing more of it is cached; then forget what was.
    refresh(k);
    tlb_flush_asid(asid);
}

/// The last capability to an ASID pool goes: its address spaces lose their ASIDs.
pub fn delete_asid_pool(k: &mut Kernel, base: u16, pool: Link<AsidPool>) {
    let entry = &k.global().asid_pools[base as usize / AsidPool::LEN];
    if entry.get() != Some(pool) {
        return;
    }
    entry.clear();
    k.end_epoch();
    refresh(k);
    tlb_flush_asids();
}

/// Takes a paging structure that is about to go out of its address space, if it is (still) mapped where its capability says.
pub fn detach_table(k: &Kernel, table: Words) {
    if let Some(asid) = vspace::detach(k, table) {
        // Everything below the table goes, and what the processor has cached of the table itself.
        tlb_flush_asid(asid);
    }
}

/// Unmaps the paging structure whose capability is in a slot, the only one to it: what it maps must not show up where it is
/// mapped next.
pub fn unmap_table(k: &mut Kernel, slot: Link<Slot>) {
    let was_root = slot.get(k).words().vspace().is_some();
    if let Some(asid) = vspace::unmap_table(k, slot) {
        tlb_flush_asid(asid);
    }
    if was_root {
        refresh(k);
    }
}

/// Unmaps a frame of `level`, if it is (still) mapped where its capability says.
pub fn unmap_frame(k: &Kernel, base: PhysAddr, level: u8, mapping: Mapping) {
    let Some(entry) = tables::mapped_entry(k, mapping, level as usize) else { return };
    if tables::maps(k, entry, base) {
        entry.clear(k);
        tlb_flush_page(mapping.asid, mapping.vaddr);
    }
}
