//! A kernel on the host port, for tests: safe ways to make the memory and the state that a port's boot code
//! makes on a machine.

use core::ptr::NonNull;
use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};

use pecan_arch::{BootData, host};

use crate::{Kernel, boot::BootMemory, state::State};

/// Alignment of the emulated memory: the largest object a test can make in it.
const ALIGN: usize = 1 << 21;

/// Gives this thread's emulated machine `bytes` of zeroed memory, from physical address 0 on, and an
/// initialised kernel. Both are leaked: links in the kernel have no lifetime.
pub fn kernel(bytes: usize) -> &'static mut Kernel {
    let layout = Layout::from_size_align(bytes, ALIGN).expect("a sensible size");
    // SAFETY: the size is not zero for any test that has a use for it; `set_memory` would refuse null below.
    let memory = unsafe { alloc_zeroed(layout) };
    assert!(!memory.is_null() && bytes > 0, "no {bytes} bytes for a test machine");
    host::set_memory(memory, bytes);
    let layout = Layout::new::<State>();
    // SAFETY: the size is not zero.
    let at = NonNull::new(unsafe { alloc_zeroed(layout) }).unwrap_or_else(|| handle_alloc_error(layout));
    // SAFETY: fresh memory of the right layout, never freed.
    Box::leak(Box::new(unsafe { Kernel::boot(at.cast()) }))
}

/// The memory that `boot` speaks of, which must lie in the emulated machine's. Once per machine.
pub fn boot_memory<'a>(boot: &'a BootData<'a>) -> BootMemory<'a> {
    for region in boot.memory.iter().chain(&boot.module) {
        // Panics outside the machine's memory.
        pecan_arch::phys_to_virt(region.start);
        pecan_arch::phys_to_virt(region.end);
    }
    // SAFETY: the machine's memory is used by the kernel only, and this is the only such value (a test that
    // makes two has only itself to blame).
    unsafe { BootMemory::new(boot) }
}

/// Writes to the emulated machine's memory, as a boot loader or a device would.
pub fn write_phys(at: u64, bytes: &[u8]) {
    let start = pecan_arch::phys_to_virt(pecan_arch::PhysAddr(at));
    pecan_arch::phys_to_virt(pecan_arch::PhysAddr(at + bytes.len() as u64));
    // SAFETY: both ends are in the machine's memory; nobody holds references to bytes in it while a test runs
    // outside the kernel.
    unsafe { (start as *mut u8).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) }
}

/// Reads the emulated machine's memory.
pub fn read_phys(at: u64, len: usize) -> Vec<u8> {
    let start = pecan_arch::phys_to_virt(pecan_arch::PhysAddr(at));
    pecan_arch::phys_to_virt(pecan_arch::PhysAddr(at + len as u64));
    // SAFETY: both ends are in the machine's memory, and it is initialised.
    unsafe { core::slice::from_raw_parts(start as *const u8, len) }.to_vec()
}
