//! The scheduler.

use pecan_mem::{Kernel, Link, Tcb};

/// What the scheduler must do after an operation. Whoever makes threads ready or blocks them returns one.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// Nothing: the current thread goes on if it still can.
    Resume,
    /// The thread became ready and is in no queue: run it if it may run now.
    Switch(Link<Tcb>),
    /// Choose anew from the queues.
    Choose,
}

impl Next {
    /// Both things that the scheduler must do.
    pub fn and(self, _k: &Kernel, _other: Next) -> Next {
        todo!()
    }
}

/// Stub.
pub fn wake(_k: &Kernel, _t: &Tcb) -> Next {
    todo!()
}
/// Stub.
pub fn dequeue(_k: &Kernel, _t: &Tcb) {
    todo!()
}
/// Stub.
pub fn schedule(_k: &Kernel, _n: Next) -> &Tcb {
    todo!()
}
