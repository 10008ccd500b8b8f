//! What threads of a program share.

use core::sync::atomic::{AtomicBool, Ordering};

use lock_api::{GuardSend, RawMutex};

/// A lock that gives its turn away while it waits. That only helps if who holds it has the same priority: threads
/// of different priorities should not share one, nor the heap, which has one.
#[derive(Debug)]
pub struct YieldLock(AtomicBool);

/// A value that one thread at a time can use, see [`YieldLock`].
pub type Mutex<T> = lock_api::Mutex<YieldLock, T>;

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
