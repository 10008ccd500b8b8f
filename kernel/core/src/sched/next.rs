//! What an operation leaves to the scheduler, as a value.
//!
//! A value instead of a call into the scheduler: an operation may wake several threads and stop itself before
//! anybody is chosen. A thread in `Switch` is in no queue yet; whoever drops the value must queue it
//! (`Next::settle`), or the thread is lost.

use pecan_config::NUM_DOMAINS;
use pecan_mem::{Kernel, Link, Tcb};

use crate::sched::ready;

/// What the scheduler must do after an operation. Whoever makes threads ready or blocks them returns one.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// Nothing, and nothing has changed that the scheduler looks at since the entry began.
    Stay,
    /// Nothing: the current thread goes on if it still can.
    Resume,
    /// The thread became ready and is in no queue: run it if it may run now.
    Switch(Link<Tcb>),
    /// Choose anew from the queues.
    Choose,
}

impl Next {
    /// What to do after two operations: this one, then `other`.
    #[inline]
    pub fn and(self, k: &Kernel, other: Next) -> Next {
        match (self, other) {
            (Next::Stay, next) | (next, Next::Stay) => next,
            (Next::Resume, next) | (next, Next::Resume) => next,
            (Next::Switch(a), Next::Switch(b)) if a == b => self,
            _ => {
                self.queue(k);
                other.queue(k);
                Next::Choose
            }
        }
    }

    /// The same with the thread that was to be switched to in its queue, so that this may get lost as long as
    /// the scheduler chooses anew.
    pub fn settle(self, k: &Kernel) -> Next {
        self.queue(k);
        if matches!(self, Next::Stay | Next::Resume) { self } else { Next::Choose }
    }

    /// Puts the thread that was to be switched to into its queue instead.
    pub fn queue(self, k: &Kernel) {
        if let Next::Switch(thread) = self {
            let thread = thread.get(k);
            // It may have been stopped since.
            if ready::is_schedulable(k, thread) {
                ready::enqueue(k, thread);
            }
        }
    }
}

/// A schedulable thread, in no queue, wants to run.
#[inline(always)]
pub fn candidate(k: &Kernel, thread: &Tcb) -> Next {
    if NUM_DOMAINS > 1 && thread.domain.get() != k.core().domain.get() {
        ready::enqueue(k, thread);
        Next::Resume
    } else {
        Next::Switch(thread.link())
    }
}
