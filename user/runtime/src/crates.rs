//! What crates that run on many systems ask of the one that they are on: `getrandom` for random numbers, and
//! `critical-section` for excluding the program's other threads.

use core::{
    num::NonZeroI32,
    slice,
    sync::atomic::{AtomicUsize, Ordering},
};

use pecan::raw::ThreadBlock;

use crate::random;

getrandom::register_custom_getrandom!(random_0_2);

fn random_0_2(bytes: &mut [u8]) -> Result<(), getrandom::Error> {
    random(bytes).map_err(|_| getrandom::Error::UNSUPPORTED)
}

/// What `getrandom` 0.3 and later take for "not supported", their `Error` being such a number (`Error::UNSUPPORTED` there).
const UNSUPPORTED: NonZeroI32 = NonZeroI32::new(1 << 16).expect("not 0");

/// What `getrandom` from 0.3 on calls where it is built with `getrandom_backend="custom"`, as programs are. Its `Error` has one
/// field, of the type that stands here in its place.
///
/// # Safety
/// From `start` on there must be `len` bytes that can be written.
#[unsafe(no_mangle)]
unsafe fn __getrandom_v03_custom(start: *mut u8, len: usize) -> Result<(), NonZeroI32> {
    // SAFETY: the caller vouches for the memory; it is made readable, too, before a slice is made of it.
    let bytes = unsafe {
        start.write_bytes(0, len);
        slice::from_raw_parts_mut(start, len)
    };
    random(bytes).map_err(|_| UNSUPPORTED)
}

/// The thread that is in a critical section, by the address of its block; 0 for none.
static INSIDE: AtomicUsize = AtomicUsize::new(0);

/// A lock that the threads of the program have in common. Who waits for it gives its turn away, as in [`crate::sync`].
struct Threads;

critical_section::set_impl!(Threads);

// SAFETY: one thread at a time has set `INSIDE` to its own number, with acquire and release ordering, and the outermost of its
// sections takes it back.
unsafe impl critical_section::Impl for Threads {
    unsafe fn acquire() -> bool {
        let this = (&raw const *ThreadBlock::current()).addr();
        if INSIDE.load(Ordering::Relaxed) == this {
            return true;
        }
        while INSIDE.compare_exchange_weak(0, this, Ordering::Acquire, Ordering::Relaxed).is_err() {
            pecan::raw::yield_now();
        }
        false
    }

    unsafe fn release(was_inside: bool) {
        if !was_inside {
            INSIDE.store(0, Ordering::Release);
        }
    }
}
