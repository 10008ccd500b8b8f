//! Threads: the invocations on them.

use pecan_mem::{Kernel, Link, Tcb};

use crate::{
    error::Stop,
    invoke::{Done, Invocation},
    scheduler::Next,
};

/// An invocation on a thread.
pub fn invoke(_k: &mut Kernel, _inv: &Invocation) -> Result<Done, Stop> {
    todo!()
}

/// What deletion of the last capability to a thread does before its slots are emptied.
pub fn finalise(_k: &mut Kernel, _thread: Link<Tcb>) -> Next {
    todo!()
}
