//! The end of a time slice: a thread with a handler for it faults, others wait as `sched::budget` has arranged.
//!
//! This is the one place where time meets messages: below, running out of time is a value ([`Spent`]).

use pecan_mem::{Kernel, ThreadState};

use crate::{
    ipc::raise,
    sched::{
        budget::{self, Spent},
        next::Next,
        ready,
    },
};

/// After [`update_time`](crate::sched::budget::update_time): fails if the current thread has used up its time, with what
/// the scheduler must do. Its scheduling context has then been charged, and it waits for budget, is queued behind its
/// peers, or has raised a timeout fault.
#[inline(always)]
pub fn check_budget(k: &Kernel) -> Result<(), Next> {
    if budget::is_quiet(k) { Ok(()) } else { check_due(k) }
}

/// As [`check_budget`]; a thread that has used up its time in a system call or an exception makes it again when
/// it runs next.
#[inline(always)]
pub fn check_budget_restart(k: &Kernel) -> Result<(), Next> {
    check_budget(k).inspect_err(|_| {
        let current = k.core().current.get().get(k);
        if current.state.is_running() {
            current.state.set(ThreadState::Restart);
        }
    })
}

/// After a preempted operation: charges what it has used if that was all there was. The operation may have
/// taken the current thread's scheduling context away, or stopped it.
#[cold]
pub fn check_preempted(k: &Kernel) -> Next {
    budget::update_time(k);
    let current = k.core().current.get().get(k);
    let sc = k.core().current_sc.get().get(k);
    if ready::is_schedulable(k, current) && current.sched_context.get() == Some(sc.link()) {
        return check_budget(k).err().unwrap_or(Next::Resume);
    }
    budget::commit_time(k);
    Next::Choose
}

/// [`check_budget`] when something may be due.
#[cold]
fn check_due(k: &Kernel) -> Result<(), Next> {
    budget::check_due(k).map_err(|spent| match spent {
        Spent::Settled(next) => next,
        Spent::Timeout => raise::timeout(k, k.core().current.get().get(k)),
    })
}
