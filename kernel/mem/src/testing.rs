//! A kernel in the host's memory, for tests of everything above this crate.

extern crate std;

use core::ops::{Deref, DerefMut};
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};

use pecan_arch::{PhysAddr, host, phys_to_virt};

use crate::{
    Cap, Kernel,
    retype::{ObjectKind, create},
};

/// Physical memory of a [`Machine`] in bytes, log2.
pub const MEMORY_BITS: u32 = 24;
/// Physical memory below this address is the machine's own; the rest is free.
pub const FREE_START: u64 = 1 << 20;

/// An emulated machine of this host thread, with a fresh kernel in its memory: only the idle thread exists.
pub struct Machine {
    base: *mut u8,
    kernel: *mut Kernel,
    next: u64,
}

const LAYOUT: Layout = match Layout::from_size_align(1 << MEMORY_BITS, 1 << 21) {
    Ok(layout) => layout,
    Err(_) => panic!("not a layout"),
};

impl Machine {
    /// Allocates the memory, makes it the one of the host port, and starts a kernel in it. Links into the memory
    /// of a machine are dead once it is dropped.
    #[expect(clippy::new_without_default, reason = "not a plain value")]
    pub fn new() -> Machine {
        const { assert!(size_of::<Kernel>() as u64 <= FREE_START / 2) };
        // SAFETY: the size is not 0.
        let base = unsafe { alloc_zeroed(LAYOUT) };
        if base.is_null() {
            handle_alloc_error(LAYOUT);
        }
        host::set_memory(base, 1 << MEMORY_BITS);
        // SAFETY: the memory is large enough, aligned, new, and the kernel stays where it is until `drop`.
        let kernel: *mut Kernel = unsafe { Kernel::init(base.cast()) };
        Machine { base, kernel, next: FREE_START / 2 }
    }

    /// Makes an object outside of all untyped memory, as the kernel does while it boots. Panics when the
    /// machine's own memory is used up.
    pub fn boot_object(&mut self, kind: ObjectKind) -> Cap {
        let at = self.next.next_multiple_of(1 << kind.bits());
        self.next = at + (1 << kind.bits());
        assert!(self.next <= FREE_START, "no memory left for boot objects");
        // SAFETY: the memory is zero, and `next` only grows: nothing else is made of it.
        unsafe { create(kind, PhysAddr(at), false) }
    }

    /// The word at a physical address.
    pub fn word(&self, at: u64) -> u64 {
        assert!(at.is_multiple_of(8) && at < 1 << MEMORY_BITS);
        // SAFETY: inside the memory, aligned, and initialised: it was zeroed at first.
        unsafe { (phys_to_virt(PhysAddr(at)) as *const u64).read() }
    }

    /// Writes to free memory, as user level does through a mapped frame.
    pub fn set_word(&mut self, at: u64, value: u64) {
        assert!(at.is_multiple_of(8) && (FREE_START..1 << MEMORY_BITS).contains(&at));
        // SAFETY: inside the memory and aligned; that no kernel object lies there is the test's business.
        unsafe { (phys_to_virt(PhysAddr(at)) as *mut u64).write(value) }
    }
}

impl Deref for Machine {
    type Target = Kernel;

    fn deref(&self) -> &Kernel {
        // SAFETY: `new` made it, `drop` has not run, and there is no other way to it than this value.
        unsafe { &*self.kernel }
    }
}

impl DerefMut for Machine {
    fn deref_mut(&mut self) -> &mut Kernel {
        // SAFETY: as in `deref`.
        unsafe { &mut *self.kernel }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // SAFETY: `new` allocated it with this layout.
        unsafe { dealloc(self.base, LAYOUT) }
    }
}
