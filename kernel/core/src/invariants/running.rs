//! The thread that runs, and its time.

use pecan_config::NUM_DOMAINS;
use pecan_mem::Fault;

use crate::{
    invariants::{Broken, State, ensure},
    sched::{ready, refill, release},
};

impl State<'_, '_> {
    /// What the fast paths take for granted of the thread that runs: it knows nothing of its CSpace that is not so,
    /// whatever the epoch, runs on the scheduling context that is charged, is in no queue, and nobody who is ready beats
    /// it. And of the clock: until nothing is due its budget lasts, and the timer that is set is late for nothing.
    pub(super) fn check_running(&self) -> Result<(), Broken> {
        let k = self.k;
        let thread = k.running().get();
        if let Some(slot) = k.running().slot(0) {
            let cnode = pecan_mem::vspace::direct_cspace(thread).map(|cnode| cnode.slot(0));
            ensure!(cnode == Some(slot), "the thread that runs knows another CSpace");
        }
        ensure!(
            !thread.state.is_running() || thread.sched_context.get() == Some(k.core().current_sc.get()),
            "the thread that runs does so on the time of another"
        );
        ensure!(
            k.notes_vectors() == pecan_arch::fpu_is_enabled(),
            "the vector unit is not as is noted of it"
        );
        if !thread.state.is_running() {
            return Ok(());
        }
        ensure!(!thread.is_queued.get(), "the thread that runs is queued");
        ensure!(thread.yield_to.get().is_none(), "the thread that runs waits for time to be used");
        ensure!(thread.fault() == Fault::None, "the thread that runs has faulted");
        let core = k.core();
        let is_here = NUM_DOMAINS == 1 || thread.domain.get() == core.domain.get();
        ensure!(is_here, "the thread that runs is of another domain");
        ensure!(ready::is_highest(k, thread.priority.get()), "somebody beats the thread that runs");
        ensure!(!core.reprogram.get(), "what is due has not been worked out");
        let (quiet, charged) = (core.quiet_until.get(), core.charged.get());
        let left = refill::head(core.current_sc.get().get(k)).amount.get();
        ensure!(
            quiet < charged || left >= (quiet - charged).saturating_add(refill::min_budget()),
            "the budget ends at a time at which nothing is due"
        );
        let first = core.release_head.get().map_or(u64::MAX, |first| release::time(first.get(k)));
        let end = if NUM_DOMAINS == 1 { u64::MAX } else { core.domain_end.get() };
        ensure!(
            core.timer.get() <= core.time.get() || core.timer.get() <= first.min(end),
            "the timer is late"
        );
        Ok(())
    }
}
