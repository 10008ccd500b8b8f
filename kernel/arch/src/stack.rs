//! How deep the kernel's stack gets.

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

static PAINTED: AtomicBool = AtomicBool::new(false);
const PAINT: u64 = 0x5ac4_5ac4_5ac4_5ac4;
/// Bytes below the stack pointer that a function without calls may use.
const IN_USE: usize = 256;

/// The stack has been painted.
#[inline(always)]
pub fn is_painted() -> bool {
    PAINTED.load(Relaxed)
}

/// Fills the stack from its `bottom` to where it is in use, with the stack pointer at `sp`.
///
/// # Safety
/// It is the stack that this runs on, and nothing refers to what lies below `sp`.
#[cold]
#[inline(never)]
pub unsafe fn paint(bottom: usize, sp: usize) {
    PAINTED.store(true, Relaxed);
    let mut at = bottom;
    while at < sp - IN_USE {
        // SAFETY: the kernel's stack, below all that is in use of it (this function calls none).
        unsafe { (at as *mut u64).write_volatile(PAINT) };
        at += 8;
    }
}

/// Bytes of the stack from `bottom` to `top` that have been used at most since it was painted.
///
/// # Safety
/// It is the kernel's stack.
pub unsafe fn used(bottom: usize, top: usize) -> usize {
    let mut at = bottom;
    // SAFETY: the kernel's stack; a value that changes while it is read is that of this function's own frame, which has been
    // used.
    while at < top && unsafe { (at as *const u64).read_volatile() } == PAINT {
        at += 8;
    }
    top - at
}
