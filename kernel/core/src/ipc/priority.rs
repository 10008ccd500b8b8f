//! A thread gets another priority, and with it another place in the queue that it is in.

use pecan_mem::{Kernel, Tcb, ThreadState};

use crate::{
    ipc::queue,
    sched::{
        next::{self, Next},
        ready,
    },
};

/// Sets a thread's priority and moves it in the queue it is in.
pub fn set_priority(k: &Kernel, thread: &Tcb, priority: u8) -> Next {
    if thread.state.is_runnable() {
        let is_current = thread.link() == k.core().current.get();
        let queued = thread.is_queued.get();
        ready::dequeue(k, thread);
        thread.priority.set(priority);
        if is_current {
            Next::Choose
        } else if queued {
            next::candidate(k, thread)
        } else {
            // Without scheduling context, or waiting for budget.
            Next::Resume
        }
    } else {
        // The queues of endpoints and notifications are in order of priority.
        match thread.state.get() {
            ThreadState::BlockedOnReceive { ep, .. } | ThreadState::BlockedOnSend { ep, .. } => {
                queue::reorder(k, thread, ep.get(k), priority);
            }
            ThreadState::BlockedOnNotification { ntfn } => {
                queue::reorder_waiting(k, thread, ntfn.get(k), priority);
            }
            _ => thread.priority.set(priority),
        }
        Next::Resume
    }
}
