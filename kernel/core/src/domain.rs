//! Domains: the schedule that divides time among groups of threads, and invocations on the authority over it.

use pecan_mem::Kernel;

use crate::{
    error::Stop,
    invoke::{Done, Invocation},
};

/// Ticks of a schedule entry that are counted.
pub const MAX_DURATION: u64 = (1 << 56) - 1;

/// Makes the first entry of the schedule domain 0 without end, and begins there.
pub fn start(k: &Kernel) {
    k.domain_schedule[0].duration.set(MAX_DURATION);
    begin(k, 0);
}

/// The time of the current domain is up.
#[inline(always)]
pub fn is_over(k: &Kernel) -> bool {
    k.core.time.get().saturating_add(crate::refill::min_budget()) >= k.core.domain_end.get()
}

/// Goes on to the next domain.
pub fn advance(k: &Kernel) {
    let next = k.core.domain_index.get() + 1;
    let ends = k.domain_schedule.get(next).is_none_or(|entry| entry.duration.get() == 0);
    begin(k, if ends { k.domain_start.get() } else { next });
}

fn begin(k: &Kernel, index: usize) {
    let entry = &k.domain_schedule[index];
    let core = &k.core;
    core.domain_index.set(index);
    core.domain.set(entry.domain.get());
    let duration = entry.duration.get();
    // The longest duration stands for no end.
    let end = if duration == MAX_DURATION { u64::MAX } else { core.time.get().saturating_add(duration) };
    core.domain_end.set(end);
    core.reprogram.set(true);
}

/// An invocation on the authority over domains.
pub fn invoke(_k: &mut Kernel, _inv: &Invocation) -> Result<Done, Stop> {
    todo!()
}
