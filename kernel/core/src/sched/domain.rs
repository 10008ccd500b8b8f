//! The domain schedule: which domain runs, and until when. Invocations on it are in `invoke::domain`.
//!
//! Only threads of the current domain are chosen. The schedule is global; the place in it and the end of the
//! turn are the core's. The end of an entry advances it when the turn is over. A turn is never shorter than
//! what entering and leaving the kernel takes twice, whatever the schedule says, so a schedule cannot keep
//! threads from running.

use pecan_config::{NUM_DOMAIN_SCHEDULES, NUM_DOMAINS};
use pecan_mem::Kernel;

use crate::sched::refill;

const _: () = assert!(NUM_DOMAINS >= 1 && NUM_DOMAIN_SCHEDULES >= 2, "an entry for a domain, and the end");

/// Ticks of a schedule entry that are counted.
pub const MAX_DURATION: u64 = (1 << 56) - 1;

/// Makes the first entry of the schedule domain 0 without end, and begins there.
pub fn start(k: &Kernel) {
    k.global().domain_schedule[0].duration.set(MAX_DURATION);
    begin(k, 0);
}

/// What a domain gets at least when its turn comes, in ticks. Whoever enters the kernel when no more than the smallest
/// budget is left makes the system call again in the next turn; as much again is left before, to come that far.
fn least_duration() -> u64 {
    2 * refill::min_budget()
}

/// The time of the current domain is up.
#[inline(always)]
pub fn is_over(k: &Kernel) -> bool {
    k.core().time.get().saturating_add(refill::min_budget()) >= k.core().domain_end.get()
}

/// Goes on to the next domain.
pub fn advance(k: &Kernel) {
    let next = k.core().domain_index.get() + 1;
    let ends = k.global().domain_schedule.get(next).is_none_or(|entry| entry.duration.get() == 0);
    begin(k, if ends { k.global().domain_start.get() } else { next });
}

/// Begins the entry with this index of the schedule now.
pub fn begin(k: &Kernel, index: usize) {
    let entry = &k.global().domain_schedule[index];
    let core = k.core();
    core.domain_index.set(index);
    let last = core.domain.replace(entry.domain.get());
    if NUM_DOMAINS > 1 && last != entry.domain.get() {
        pecan_arch::forget_domain();
    }
    let duration = entry.duration.get();
    // The longest duration stands for no end.
    let end = match duration {
        MAX_DURATION => u64::MAX,
        _ => core.time.get().saturating_add(duration.max(least_duration())),
    };
    core.domain_end.set(end);
    core.reprogram.set(true);
}
