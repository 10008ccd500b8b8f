//! Invocations: what is common to all, and the dispatch on the kind of capability.

use pecan_abi::{Label, MessageInfo};
use pecan_mem::{Cap, Kernel, Link, Slot, Tcb};

use crate::{
    cnode, domain, endpoint,
    error::{Decoded, Stop, SyscallError},
    ioport, irq, message, notification, reply, sched_context,
    scheduler::Next,
    tcb, untyped, vspace,
};

/// An invocation as its decoders see it: the capability, the label, the arguments.
pub struct Invocation {
    /// The thread that invokes.
    pub thread: Link<Tcb>,
    /// The slot of the capability invoked.
    pub slot: Link<Slot>,
    /// The capability invoked.
    pub cap: Cap,
    /// What is asked for; `None` for a label that the ABI does not know.
    pub label: Option<Label>,
    /// Words in the message.
    pub length: usize,
    /// The extra capabilities that were passed, in order.
    pub extra: [Option<Link<Slot>>; 3],
    /// The kernel's answer is wanted.
    pub call: bool,
}

impl Invocation {
    /// The argument word with index `i`, which must be below `length` (check with [`Invocation::need`]).
    pub fn arg(&self, k: &Kernel, i: usize) -> u64 {
        message::get(k, self.thread.get(k), i)
    }

    /// Fails with `TruncatedMessage` unless there are at least `words` words and `caps` extra capabilities.
    pub fn need(&self, words: usize, caps: usize) -> Decoded<()> {
        if self.length < words || self.extra[..caps].iter().any(Option::is_none) {
            return Err(SyscallError::TruncatedMessage);
        }
        Ok(())
    }

    /// The extra capability with index `i` and its slot.
    pub fn extra_cap(&self, k: &Kernel, i: usize) -> Decoded<(Link<Slot>, Cap)> {
        let slot = self.extra[i].ok_or(SyscallError::TruncatedMessage)?;
        Ok((slot, slot.get(k).cap()))
    }
}

/// What a finished invocation leaves behind.
#[must_use]
pub struct Done {
    /// What the scheduler must do.
    pub next: Next,
    /// Words of the answer, already in the caller's message registers (see [`message::put`]).
    pub words: usize,
}

impl Done {
    /// Finished; nothing to answer but success.
    pub fn new(next: Next) -> Self {
        Done { next, words: 0 }
    }

    /// Finished, nothing for the scheduler to do, nothing to answer but success.
    pub fn ok() -> Self {
        Done::new(Next::Resume)
    }
}
