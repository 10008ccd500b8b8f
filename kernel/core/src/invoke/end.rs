//! How entries to the kernel end that invoke something.

use pecan_mem::{Kernel, Link, Tcb};

use crate::{base::error::Preempted, sched::next::Next};

/// What is done once it is known what an invocation has come to.
///
/// On the target that is to return to user level: [`End::Out`] has no values there, and functions that give one never
/// return, so that they save no registers for whoever called them. Tests and the model get a value back.
pub trait End {
    /// What it comes to.
    type Out;

    /// Ends the entry.
    fn end(k: &mut Kernel, result: Result<Next, Preempted>) -> Self::Out;
}

/// An [`End`] of system calls that the scheduler has already seen to, as well.
pub trait Run: End {
    /// Ends the entry with the thread to run.
    fn run(k: &mut Kernel, thread: Link<Tcb>) -> Self::Out;
}
