//! Memory and address spaces: what the kernel asks for is recorded.

use super::machine::machine;
pub use crate::format::arch::paging::{CacheAttr, KERNEL_ROOT_ENTRIES, Pte, Space};
use crate::{MAX_FRAME_LEVEL, PT_INDEX_BITS, PageTableEntry, PhysAddr, ROOT_USER_ENTRIES};

/// Where the kernel sees a physical address. Panics outside the registered memory: a test's mistake.
pub fn phys_to_virt(p: PhysAddr) -> usize {
    let (base, len) = machine().memory.get();
    assert!(p.0 <= len as u64, "physical address {:#x} is outside the {len:#x} bytes registered", p.0);
    base + p.0 as usize
}

pub fn virt_to_phys(v: usize) -> PhysAddr {
    let (base, len) = machine().memory.get();
    let offset = v.wrapping_sub(base);
    assert!(offset <= len, "kernel address {v:#x} is outside the registered memory");
    PhysAddr(offset as u64)
}

pub fn frame_level_supported(level: usize) -> bool {
    level < MAX_FRAME_LEVEL || level == MAX_FRAME_LEVEL && !machine().lacks_largest_frame.get()
}

pub fn kernel_root_entry(index: usize) -> Pte {
    assert!((ROOT_USER_ENTRIES..1 << PT_INDEX_BITS).contains(&index));
    if KERNEL_ROOT_ENTRIES.contains(&index) {
        Pte::table(PhysAddr(0xdead_0000 + ((index as u64) << 12)))
    } else {
        Pte::EMPTY
    }
}

/// The address space with this root table (a page, not at 0) and ASID (below [`ASIDS`](crate::ASIDS)).
///
/// # Safety
/// Who makes the processor use it answers for the table: see [`switch_vspace`].
pub unsafe fn space(root: PhysAddr, asid: u16) -> Space {
    Space::new(root, asid)
}

/// Switches to the address space with this root table.
///
/// # Safety
/// It must have a valid root table with the kernel's entries in place.
pub unsafe fn switch_vspace(space: Space) {
    set_vspace(Some((space.root(), space.asid())));
}

pub fn switch_kernel_vspace() {
    set_vspace(None);
}

fn set_vspace(v: Option<(PhysAddr, u16)>) {
    let m = machine();
    let old = m.vspace.replace(v);
    if old == v {
        return;
    }
    m.vspace_switches.set(m.vspace_switches.get() + 1);
    let (base, len) = m.memory.get();
    // Tests of the port alone have no tables.
    if let Some((root, _)) = old.filter(|(root, _)| root.0 < len as u64) {
        let is_there = |&index: &usize| {
            let at = base + root.0 as usize + index * size_of::<Pte>();
            // SAFETY: 1. a root table is a page of the registered memory. 2. Every value is an entry. 3. The kernel writes it
            // through cells only, on this thread, so that no exclusive reference is alive.
            unsafe { core::ptr::with_exposed_provenance::<Pte>(at).read() == kernel_root_entry(index) }
        };
        let lacks = !KERNEL_ROOT_ENTRIES.iter().all(is_there);
        m.incomplete_roots.set(m.incomplete_roots.get() + u64::from(lacks));
    }
}

pub fn tables_written() {}

fn log_flush(asid: u16, page: Option<u64>) {
    let m = machine();
    let count = if page.is_some() { &m.page_flushes } else { &m.asid_flushes };
    count.set(count.get() + 1);
    let mut log = m.flush_log.borrow_mut();
    log.push_back((asid, page));
    if log.len() > 64 {
        log.pop_front();
    }
}

pub fn tlb_flush_page(asid: u16, vaddr: u64) {
    log_flush(asid, Some(vaddr));
}

pub fn tlb_flush_asid(asid: u16) {
    log_flush(asid, None);
}

pub fn tlb_flush_asids() {
    log_flush(0, None);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::set_memory;

    #[test]
    fn switching_to_the_same_address_space_is_no_switch() {
        // SAFETY: the host port only records the root.
        unsafe {
            switch_vspace(space(PhysAddr(0x1000), 1));
            switch_vspace(space(PhysAddr(0x1000), 1));
            switch_vspace(space(PhysAddr(0x1000), 2));
        }
        switch_kernel_vspace();
        assert_eq!(machine().vspace_switches.get(), 3);
        assert_eq!(machine().vspace.get(), None);
    }

    #[test]
    fn memory_is_seen_through_the_registered_base() {
        let mut page = [0u8; 64];
        set_memory(page.as_mut_ptr(), page.len());
        let v = phys_to_virt(PhysAddr(16));
        assert_eq!(v, page.as_ptr() as usize + 16);
        assert_eq!(virt_to_phys(v), PhysAddr(16));
    }
}
