//! Threads stopping and starting.
//!
//! A thread that is stopped is in no queue and waits for nothing, whatever it did before. Where it goes on is
//! decided here: a thread stopped behind a system call goes on behind it, one stopped in a system call or a
//! fault makes it again. Invocations on threads and deletion call these functions.

use pecan_arch::reg;
use pecan_mem::{Kernel, Tcb, ThreadState};

use crate::{
    ipc::cancel,
    sched::{budget, context, next::Next, ready, release, wake},
};

/// Takes a thread off the processor and out of every queue, until it is restarted.
///
/// If it is the current thread, the scheduler notices by its state.
pub fn suspend(k: &Kernel, thread: &Tcb) {
    cancel::cancel_ipc(k, thread);
    if thread.state.is_running() {
        // It may be resumed: then it goes on behind the system call that it has finished.
        thread.context.set(reg::FAULT_IP, thread.context.get(reg::NEXT_IP));
    }
    thread.state.set(ThreadState::Inactive);
    ready::dequeue(k, thread);
    release::leave(k, thread);
    context::cancel_yield_to(k, thread);
}

/// Makes a stopped thread ready, beginning with the instruction that it was stopped in.
pub fn restart(k: &Kernel, thread: &Tcb) -> Next {
    if thread.state.is_runnable() || thread.state.get() == ThreadState::Idle {
        return Next::Resume;
    }
    cancel::cancel_ipc(k, thread);
    thread.state.set(ThreadState::Restart);
    wake::refresh_budget(k, thread);
    if let Some(sc) = thread.sched_context.get() {
        budget::resume(k, sc.get(k));
    }
    wake::wake(k, thread)
}

#[cfg(test)]
mod tests {
    use super::*;

    use pecan_mem::ThreadState;

    use crate::{sched::next::Next, testing::World};

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
