//! The first and the last step of every entry.

use pecan_mem::{Kernel, Link, Tcb};

use crate::{
    base::latency::{self, EntryKind},
    entry::benchmark,
    sched::{choose, next::Next},
};

/// The kernel is entered; `number` is that of the system call (with its sign), or the vector.
#[inline(always)]
pub fn begin(k: &Kernel, why: EntryKind, number: u64) {
    latency::begin(k, why, number);
    benchmark::begin(k, why, number);
}

/// The kernel is left.
#[inline(always)]
pub fn leave(k: &Kernel) {
    benchmark::leave(k);
    latency::leave(k);
}

/// Ends an entry in which a few instructions more do not count.
#[inline(never)]
pub fn schedule(k: &Kernel, next: Next) -> Link<Tcb> {
    choose::schedule(k, next).link()
}
