//! Threads that become ready: as a candidate for the processor, or in the release queue if they have no budget.

use pecan_mem::{Kernel, Tcb, ThreadState, follow};

use crate::sched::{
    budget,
    next::{self, Next},
    ready,
};

/// The thread became runnable. If it cannot run for want of budget it waits in the release queue; otherwise it
/// is a candidate for the processor.
#[inline(always)]
pub fn wake(k: &Kernel, thread: &Tcb) -> Next {
    let Some(sc) = follow(thread.sched_context.get(), k) else { return Next::Resume };
    if !ready::is_schedulable(k, thread) {
        return Next::Resume;
    }
    if !budget::has_budget(k, sc) {
        budget::postpone(k, sc);
        return Next::Resume;
    }
    next::candidate(k, thread)
}

/// Makes a thread that was blocked ready to go on behind its system call.
#[inline(always)]
pub fn unblock(k: &Kernel, thread: &Tcb) -> Next {
    refresh_budget(k, thread);
    thread.state.set(ThreadState::Running);
    wake(k, thread)
}

/// Makes a thread whose system call was aborted ready to make it again.
pub fn unblock_restart(k: &Kernel, thread: &Tcb) -> Next {
    refresh_budget(k, thread);
    thread.state.set(ThreadState::Restart);
    wake(k, thread)
}

/// Brings the refills of a thread's sporadic scheduling context up to date as it becomes ready. The scheduling
/// context that is being charged needs no such thing.
#[inline]
pub fn refresh_budget(k: &Kernel, thread: &Tcb) {
    if let Some(sc) = thread.sched_context.get()
        && sc != k.core().current_sc.get()
        && sc.get(k).sporadic.get()
    {
        budget::refill_unblock_check(k, sc.get(k));
    }
}
