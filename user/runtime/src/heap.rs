//! The heap: an allocator on the memory that the linker script sets aside.

use lock_api::{GuardSend, RawMutex};
use talc::{TalcLock, source::Manual};

use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// A lock that gives its turn away while it waits. That only helps if who holds it has the same priority: threads
/// of different priorities should not share the heap.
struct YieldLock(AtomicBool);

// SAFETY: the flag is set by one `swap` at a time, with acquire and release ordering, so there is one holder.
unsafe impl RawMutex for YieldLock {
    #[allow(clippy::declare_interior_mutable_const)] // What the trait asks for: a value to start from.
    const INIT: Self = Self(AtomicBool::new(false));

    type GuardMarker = GuardSend;

    fn lock(&self) {
        while !self.try_lock() {
            pecan::raw::yield_now();
        }
    }

    fn try_lock(&self) -> bool {
        !self.0.swap(true, Ordering::Acquire)
    }

    unsafe fn unlock(&self) {
        self.0.store(false, Ordering::Release);
    }
}

#[global_allocator]
static HEAP: TalcLock<YieldLock, Manual> = TalcLock::new(Manual);

unsafe extern "C" {
    safe static __heap_start: AtomicU8;
    safe static __heap_end: AtomicU8;
}

/// Gives the heap its first memory. Called once, before `main`.
pub(crate) fn init() {
    let (start, end) = (__heap_start.as_ptr(), __heap_end.as_ptr());
    // SAFETY: the linker script sets this memory aside for nothing else, and nobody calls this twice.
    unsafe { add_heap(start, end as usize - start as usize) };
}

/// Adds memory to the heap. Does nothing if it is too little to be of use.
///
/// # Safety
/// From `start` on there must be `bytes` of mapped, writable memory that is used for nothing else from now on.
pub unsafe fn add_heap(start: *mut u8, bytes: usize) {
    if bytes > 0 {
        // SAFETY: the caller vouches for the memory. That there is too little shows when it is used.
        let _ = unsafe { HEAP.lock().claim(start, bytes) };
    }
}
