//! Preemption points of long operations: where the kernel, which runs with interrupts off, looks whether something more
//! urgent waits. All unbounded work passes one after every bounded step (docs/latency.md lists them).

use pecan_config::MAX_NUM_WORK_UNITS_PER_PREEMPTION;
use pecan_mem::Kernel;

use crate::{
    base::{error::Preempted, latency},
    sched::budget,
};

/// The part of the worst-case execution time after which [`early_preemption_point`] looks for interrupts, as
/// [`budget::has_passed`] takes it. [`preemption_point`] does when the entry has been a long one.
const EARLY_LOOKS: u64 = 20;

/// Counts a step of a long operation and, after so many or after so much time, looks whether something more urgent waits.
///
/// What the operation has done to threads so far must be settled ([`Next::settle`](crate::sched::next::Next::settle)):
/// whoever is told `Preempted` chooses a thread anew.
///
/// # Errors
/// `Preempted`: stop here; the system call is made again later.
#[inline]
pub fn preemption_point(k: &Kernel) -> Result<(), Preempted> {
    let units = k.core().work_units.get() + 1;
    let is_long = budget::has_passed(k, budget::LONG);
    if units < MAX_NUM_WORK_UNITS_PER_PREEMPTION && !is_long {
        k.core().work_units.set(units);
        return Ok(());
    }
    look(k)
}

/// The same between the lookups of a system call that has not changed anything yet, where the time since its entry is what
/// counts, and less of it: see `docs/latency.md`.
///
/// # Errors
/// `Preempted`: stop here; the system call is made again later, from its beginning.
pub fn early_preemption_point(k: &Kernel) -> Result<(), Preempted> {
    if budget::has_passed(k, EARLY_LOOKS) { look(k) } else { Ok(()) }
}

/// Looks whether something more urgent waits than a long operation.
#[inline(never)]
fn look(k: &Kernel) -> Result<(), Preempted> {
    k.core().work_units.set(0);
    budget::update_time(k);
    let pending = pecan_arch::irq_pending();
    latency::point(k);
    if pending || budget::is_exhausted(k) { Err(Preempted) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    use pecan_arch::host;
    use pecan_config::MAX_NUM_WORK_UNITS_PER_PREEMPTION;
    use pecan_mem::Kernel;

    use crate::{
        base::error::Preempted,
        sched::{
            budget,
            preempt::{self, EARLY_LOOKS},
        },
        testing::World,
    };

    /// A point, how much of the kernel's time may pass before it looks for interrupts, and whether it counts steps.
    type Point = (fn(&Kernel) -> Result<(), Preempted>, u64, bool);

    #[test]
    fn interrupts_are_looked_for_after_so_much_time_or_so_many_steps() {
        let points: [Point; 2] =
            [(preemption_point, budget::LONG, true), (early_preemption_point, EARLY_LOOKS, false)];
        for (point, looks, counts) in points {
            let w = World::new();
            let k = &*w.k;
            let begin = || {
                budget::update_time(k);
                k.core().work_units.set(0);
            };
            let most = pecan_arch::kernel_wcet_ticks().div_ceil(looks);
            host::raise_irq(pecan_arch::IRQ_USER_MIN);
            if MAX_NUM_WORK_UNITS_PER_PREEMPTION > 2 {
                begin();
                assert_eq!(point(k), Ok(()), "at once");
                host::advance_time(most - 1);
                assert_eq!(point(k), Ok(()));
                host::advance_time(1);
                assert_eq!(point(k), Err(Preempted));
            }
            begin();
            let steps = (0..2 * MAX_NUM_WORK_UNITS_PER_PREEMPTION).position(|_| point(k).is_err());
            assert_eq!(steps, counts.then_some(MAX_NUM_WORK_UNITS_PER_PREEMPTION - 1));
            // Without one it goes on, and counts anew.
            assert!(pecan_arch::take_pending_irq().is_some());
            begin();
            host::advance_time(most);
            assert_eq!(point(k), Ok(()));
            assert_eq!((k.core().time.get(), k.core().work_units.get()), (pecan_arch::now(), 0));
        }
    }

    #[test]
    fn a_long_operation_ends_with_the_time_of_its_thread() {
        let w = World::new();
        let (k, thread) = (&*w.k, w.thread.get(&w.k));
        let look = || {
            k.core().work_units.set(MAX_NUM_WORK_UNITS_PER_PREEMPTION);
            preempt::preemption_point(k)
        };
        let sc = thread.sched_context.get();
        host::advance_time(pecan_arch::us_to_ticks(2_500));
        assert_eq!(look(), Ok(()));
        // It has been taken away: who has none does not go on.
        thread.sched_context.set(None);
        assert_eq!(look(), Err(Preempted));
        thread.sched_context.set(sc);
        assert_eq!(look(), Ok(()));
        host::advance_time(pecan_arch::us_to_ticks(2_500));
        assert_eq!(look(), Err(Preempted));
        // Who has stopped itself would not come back.
        thread.state.set(pecan_mem::ThreadState::Inactive);
        assert_eq!(look(), Ok(()));
    }
}
