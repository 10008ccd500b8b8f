//! From the boot loader's information to the first thread. This code is gone then: see the linker scripts.

use pecan_arch::{halt, say};
use pecan_core::boot;
use pecan_mem::{Kernel, boot::BootMemory};

use crate::{kernel::first_thread, port};

/// Prints why the kernel cannot start, and stops.
#[cold]
fn cannot_start(say_why: impl FnOnce()) -> ! {
    say("Pecan cannot start: ", &[]);
    say_why();
    say("\n", &[]);
    halt()
}

/// Called by the boot code with two words of what the boot loader left, which the port knows.
#[unsafe(no_mangle)]
extern "C" fn pecan_boot(first: u64, second: u64) -> ! {
    let mut store = port::boot::Store::default();
    // SAFETY: this is the first thing that runs, once, on the boot code's page tables and stack.
    let data =
        unsafe { port::boot::init(first, second, &mut store) }.unwrap_or_else(|e| cannot_start(|| e.say()));
    // SAFETY: user level does not run yet, so no entry has taken the lock.
    let k = &mut unsafe { Kernel::boot() };
    // SAFETY: the port has mapped all of `data.memory`, and nothing but what it lists as reserved, the module, this code, and
    // the stack that it runs on, until both are left for good below, is in use.
    let mut memory = unsafe { BootMemory::new(&data) };
    let root = boot::start(k, &data, &mut memory).unwrap_or_else(|e| cannot_start(|| e.say()));
    // SAFETY: called once, at the end of this.
    unsafe { first_thread(k, root) }
}
