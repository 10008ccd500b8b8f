//! Threads stopping and starting.

use pecan_arch::reg;
use pecan_mem::{Kernel, Tcb, ThreadState};

use crate::{
    budget, endpoint, sched_context,
    scheduler::{self, Next},
};

/// Takes a thread off the processor and out of every queue, until it is restarted.
///
/// If it is the current thread, the scheduler notices by its state.
pub fn suspend(k: &Kernel, thread: &Tcb) {
    endpoint::cancel_ipc(k, thread);
    if thread.state.is_running() {
        // It may be resumed: then it goes on behind the system call that it has finished.
        thread.context.set(reg::FAULT_IP, thread.context.get(reg::NEXT_IP));
    }
    thread.state.set(ThreadState::Inactive);
    scheduler::dequeue(k, thread);
    budget::release_remove(k, thread);
    sched_context::cancel_yield_to(k, thread);
}

/// Makes a stopped thread ready, beginning with the instruction that it was stopped in.
pub fn restart(k: &Kernel, thread: &Tcb) -> Next {
    if thread.state.is_runnable() || thread.state.get() == ThreadState::Idle {
        return Next::Resume;
    }
    endpoint::cancel_ipc(k, thread);
    thread.state.set(ThreadState::Restart);
    refresh_budget(k, thread);
    if let Some(sc) = thread.sched_context.get() {
        budget::resume(k, sc.get(k));
    }
    scheduler::wake(k, thread)
}

/// Makes a thread that was blocked ready to go on behind its system call.
#[inline(always)]
pub fn unblock(k: &Kernel, thread: &Tcb) -> Next {
    refresh_budget(k, thread);
    thread.state.set(ThreadState::Running);
    scheduler::wake(k, thread)
}

/// Makes a thread whose system call was aborted ready to make it again.
pub fn unblock_restart(k: &Kernel, thread: &Tcb) -> Next {
    refresh_budget(k, thread);
    thread.state.set(ThreadState::Restart);
    scheduler::wake(k, thread)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;

    #[test]
    fn only_a_stopped_thread_is_restarted() {
        let w = World::new();
        let thread = w.thread.get(&w.k);
        let idle = &w.k.core().idle_thread;
        for (thread, state) in
            [(thread, ThreadState::Running), (thread, ThreadState::Restart), (idle, ThreadState::Idle)]
        {
            thread.state.set(state);
            assert_eq!(restart(&w.k, thread), Next::Resume);
            assert_eq!(thread.state.get(), state, "it goes on behind what it does");
        }
        thread.state.set(ThreadState::Inactive);
        w.k.set_current(idle);
        assert_eq!(restart(&w.k, thread), Next::Switch(w.thread));
        assert_eq!(thread.state.get(), ThreadState::Restart, "it makes its system call again");
    }
}
