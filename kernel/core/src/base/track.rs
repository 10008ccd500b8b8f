//! What the kernel tracks of a thread's use of the processor, as far as other layers must know of it: a thread that goes
//! leaves the list. Everything else of it is `entry`'s ([`crate::entry::benchmark`]).

use pecan_mem::{Kernel, Tcb, follow, state::Tracking};

/// The record of what is tracked, in profiles that have one.
#[inline(always)]
pub fn tracking(k: &Kernel) -> Option<&Tracking> {
    k.core().tracking.first()
}

/// A thread is about to go.
#[inline(always)]
pub fn forget(k: &Kernel, thread: &Tcb) {
    let Some(t) = tracking(k) else { return };
    if t.from.get() == Some(thread.link()) {
        t.from.set(None);
    }
    let Some(usage) = thread.usage().filter(|usage| usage.is_listed.take()) else { return };
    let (newer, older) = (usage.newer.take(), usage.older.take());
    match follow(newer, k).and_then(Tcb::usage) {
        Some(newer) => newer.older.set(older),
        None => t.newest.set(older),
    }
    if let Some(older) = follow(older, k).and_then(Tcb::usage) {
        older.newer.set(newer);
    }
}
