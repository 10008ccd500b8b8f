//! A kernel in the host's memory, for tests of everything above this crate.

extern crate std;

use core::ops::{Deref, DerefMut, Range};
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
    layout: Layout,
    /// Where the next boot object can lie, and the end of the memory for them.
    next: u64,
    end: u64,
}

impl Machine {
    /// Allocates the memory, makes it the one of the host port, and starts a kernel in it. Links into the memory
    /// of a machine are dead once it is dropped.
    #[expect(clippy::new_without_default, reason = "not a plain value")]
    pub fn new() -> Machine {
        const { assert!(size_of::<Kernel>() as u64 <= FREE_START / 2) };
        Machine::with_memory(MEMORY_BITS, FREE_START / 2, FREE_START)
    }

    /// A machine of `2^bits` bytes, all of them for the kernel and its boot objects: for tests that save and
    /// load its memory very often.
    pub fn small(bits: u32) -> Machine {
        let start = (size_of::<Kernel>() as u64).next_multiple_of(64);
        Machine::with_memory(bits, start, 1 << bits)
    }

    fn with_memory(bits: u32, next: u64, end: u64) -> Machine {
        let layout = Layout::from_size_align(1 << bits, 1 << 21).expect("a size that memory can have");
        assert!(size_of::<Kernel>() as u64 <= next && next <= end && end <= 1 << bits);
        // SAFETY: the size is not 0.
        let base = unsafe { alloc_zeroed(layout) };
        if base.is_null() {
            handle_alloc_error(layout);
        }
        host::set_memory(base, 1 << bits);
        // SAFETY: the memory is large enough, aligned, new, and the kernel stays where it is until `drop`.
        let kernel: *mut Kernel = unsafe { Kernel::init(base.cast()) };
        Machine { base, kernel, layout, next, end }
    }

    /// Makes an object outside of all untyped memory, as the kernel does while it boots. Panics when the
    /// machine's own memory is used up.
    pub fn boot_object(&mut self, kind: ObjectKind) -> Cap {
        let at = self.next.next_multiple_of(1 << kind.bits());
        self.next = at + (1 << kind.bits());
        assert!(self.next <= self.end, "no memory left for boot objects");
        // SAFETY: the memory is zero, and `next` only grows: nothing else is made of it.
        unsafe { create(kind, PhysAddr(at), false) }
    }

    /// Bytes of memory in use: the kernel and its boot objects.
    pub fn used(&self) -> u64 {
        self.next.next_multiple_of(8)
    }

    /// Copies the memory in use, word by word, to `words`. What the host port knows besides is not in it.
    pub fn save(&self, words: &mut std::vec::Vec<u64>) {
        let count = (self.used() / 8) as usize;
        words.clear();
        words.reserve(count);
        // SAFETY: so much memory is there, aligned and initialised (it was zeroed at first); the vector has room
        // for it, and the two do not overlap.
        unsafe {
            core::ptr::copy_nonoverlapping(self.base.cast::<u64>(), words.as_mut_ptr(), count);
            words.set_len(count);
        }
    }

    /// Brings back memory that [`Machine::save`] copied from this very machine: links are addresses.
    pub fn load(&mut self, words: &[u64]) {
        assert_eq!(words.len() as u64, self.used() / 8, "saved with more or fewer boot objects");
        // SAFETY: so much memory is there; it held a kernel and its objects when it was copied, in the same
        // place, and `&mut self` says that no reference to them is alive.
        unsafe { core::ptr::copy_nonoverlapping(words.as_ptr(), self.base.cast::<u64>(), words.len()) }
    }

    /// A digest of the memory in some ranges of physical addresses, in bytes, and of where they are: to tell
    /// quickly, and by 128 bits, whether it is what it was. The ends are multiples of 16.
    pub fn digest(&self, ranges: &[Range<u64>]) -> u128 {
        let fold = |a: u64, b: u64| {
            let product = a as u128 * b as u128;
            product as u64 ^ (product >> 64) as u64
        };
        let (mut low, mut high) = (0x9e37_79b9_7f4a_7c15, 0xd6e8_feb8_6659_fd93);
        for range in ranges {
            assert!(range.start.is_multiple_of(16) && range.end.is_multiple_of(16));
            assert!(range.start <= range.end && range.end <= self.layout.size() as u64);
            low = fold(low ^ range.start, high ^ range.end);
            for at in (range.start..range.end).step_by(16) {
                // SAFETY: inside the memory, aligned, and initialised: it was zeroed at first.
                let [a, b] = unsafe { self.base.add(at as usize).cast::<[u64; 2]>().read() };
                low = fold(low ^ a, b ^ 0xa076_1d64_78bd_642f).wrapping_add(a);
                high = fold(high ^ b, a ^ 0xe703_7ed1_a0b4_28db).wrapping_add(b);
            }
        }
        (high as u128) << 64 | low as u128
    }

    /// The words in a range of physical addresses, in bytes, that are not zero: which in the range, and what is
    /// there. The ends are multiples of 64.
    pub fn nonzero(&self, range: Range<u64>, mut found: impl FnMut(usize, u64)) {
        assert!(range.start.is_multiple_of(64) && range.end.is_multiple_of(64));
        assert!(range.start <= range.end && range.end <= self.layout.size() as u64);
        for at in range.clone().step_by(64) {
            // SAFETY: inside the memory, aligned, and initialised: it was zeroed at first.
            let words = unsafe { self.base.add(at as usize).cast::<[u64; 8]>().read() };
            if words.iter().fold(0, |all, word| all | word) != 0 {
                let first = (at - range.start) as usize / 8;
                let words = words.iter().enumerate().filter(|(_, word)| **word != 0);
                words.for_each(|(i, &word)| found(first + i, word));
            }
        }
    }

    /// The word at a physical address.
    pub fn word(&self, at: u64) -> u64 {
        assert!(at.is_multiple_of(8) && at < self.layout.size() as u64);
        // SAFETY: inside the memory, aligned, and initialised: it was zeroed at first.
        unsafe { (phys_to_virt(PhysAddr(at)) as *const u64).read() }
    }

    /// Writes to free memory, as user level does through a mapped frame.
    pub fn set_word(&mut self, at: u64, value: u64) {
        assert!(at.is_multiple_of(8) && (self.end..self.layout.size() as u64).contains(&at));
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
        unsafe { dealloc(self.base, self.layout) }
    }
}
