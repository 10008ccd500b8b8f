//! Invocations: what is common to all, and the dispatch on the kind of capability.

use core::hint::cold_path;

use pecan_abi::{
    Label, MessageInfo,
    ipc::{MESSAGE_REGISTERS, buffer},
};
use pecan_arch::reg;
use pecan_mem::{
    Cap, Fault, IpcBuffer, Kernel, Link, LookupFailure, Slot, Tcb, ThreadState, Words, cap::tag, follow,
};

use crate::{
    cnode, domain,
    endpoint::{self, Sending},
    error::{Decoded, Preempted, Stop, SyscallError},
    fault, finalise, ioport, irq, latency, lookup,
    message::{self, INFO_SHAPE},
    notification, reply, sched_context,
    scheduler::Next,
    tcb,
    transfer::{self, ExtraCaps, Parcel},
    untyped, vspace,
};

/// An invocation as its decoders see it: the capability, the label, the arguments.
pub struct Invocation {
    /// The thread that invokes.
    pub thread: Link<Tcb>,
    /// The slot of the capability invoked.
    pub slot: Link<Slot>,
    /// The capability invoked, packed: see [`Invocation::cap`].
    pub words: Words,
    /// What is asked for; `None` for a label that the ABI does not know.
    pub label: Option<Label>,
    /// Words in the message.
    pub length: usize,
    /// The extra capabilities that were passed, in order.
    pub extra: ExtraCaps,
    /// The IPC buffer, if some of the message lies there.
    pub buffer: Option<Link<IpcBuffer>>,
    /// The kernel's answer is wanted.
    pub call: bool,
}

impl Invocation {
    /// The capability invoked.
    pub fn cap(&self) -> Cap {
        Cap::unpack(self.words)
    }

    /// The capability invoked, which is known to have this tag; only what is looked at is unpacked.
    #[inline(always)]
    pub fn cap_of(&self, tag: u64) -> Cap {
        Cap::unpack_as(tag, self.words)
    }

    /// The argument word with index `i`, which must be below `length` (check with [`Invocation::need`]).
    #[inline(always)]
    pub fn arg(&self, k: &Kernel, i: usize) -> u64 {
        if i < MESSAGE_REGISTERS {
            self.thread.get(k).context.get(reg::MSG[i])
        } else {
            follow(self.buffer, k).map_or(0, |words| words.get(buffer::MSG + i))
        }
    }

    /// Fails with `TruncatedMessage` unless there are at least `words` words and `caps` extra capabilities.
    #[inline(always)]
    pub fn need(&self, words: usize, caps: usize) -> Decoded<()> {
        if self.length < words || self.extra.count < caps {
            Err(SyscallError::TruncatedMessage)
        } else {
            Ok(())
        }
    }

    /// The extra capability with index `i`, of which there must be more (check with [`Invocation::need`]).
    #[inline(always)]
    pub fn extra_cap(&self, k: &Kernel, i: usize) -> Cap {
        Cap::unpack(self.extra_words(k, i))
    }

    /// [`Invocation::extra_cap`], packed.
    #[inline(always)]
    pub fn extra_words(&self, k: &Kernel, i: usize) -> Words {
        self.extra_slot(i).get(k).words()
    }

    /// Where [`Invocation::extra_cap`] is.
    #[inline(always)]
    pub fn extra_slot(&self, i: usize) -> Link<Slot> {
        self.extra.slots[i]
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

    /// Finished; `words` words of the answer are in place.
    pub fn answer(words: usize) -> Self {
        Done { next: Next::Resume, words }
    }

    /// Finished, nothing for the scheduler to do, nothing to answer but success.
    pub fn ok() -> Self {
        Done::new(Next::Resume)
    }
}

/// How a system call invokes a capability.
#[derive(Clone, Copy)]
pub struct How {
    /// An answer is expected.
    pub call: bool,
    /// Wait for a receiver; report capability faults.
    pub blocking: bool,
    /// The scheduling context may be lent with the message.
    pub donate: bool,
    /// It is the sending phase of a combined system call: kernel objects cannot be invoked in it.
    pub first_phase: bool,
}

/// Invokes the capability at `cptr` with the message in the current thread's registers and IPC buffer.
#[inline(always)]
pub fn invoke(k: &mut Kernel, cptr: u64, how: How) -> Result<Next, Preempted> {
    let thread = k.core().current.get().get(k);
    let slot = match thread.known_slot(k, cptr) {
        Some(slot) => slot,
        None => match find(k, cptr, how) {
            Ok(slot) => slot,
            Err(stop) => return stop,
        },
    };
    match slot.get(k).words().tag() {
        tag::ENDPOINT | tag::NOTIFICATION | tag::REPLY => invoke_message(k, slot, how),
        _ => invoke_object(k, slot, how),
    }
}

/// The slot at `cptr` in a CSpace of several CNodes; or what the system call has come to.
#[cold]
#[inline(never)]
fn find(k: &Kernel, cptr: u64, how: How) -> Result<Link<Slot>, Result<Next, Preempted>> {
    let slot = lookup::cap(k, k.core().current.get().get(k), cptr)
        .map_err(|failure| Ok(cap_fault(k, how, (cptr, failure))))?;
    point_between_lookups(k).map_err(Err)?;
    Ok(slot)
}

/// See [`finalise::early_preemption_point`].
fn point_between_lookups(k: &Kernel) -> Result<(), Preempted> {
    finalise::early_preemption_point(k)
        .inspect_err(|_| k.core().current.get().get(k).state.set(ThreadState::Restart))
}

/// The capability at an address that the current thread sends to, or sends along, does not exist.
#[cold]
#[inline(never)]
fn cap_fault(k: &Kernel, how: How, (address, failure): (u64, LookupFailure)) -> Next {
    if how.blocking {
        let thread = k.core().current.get().get(k);
        fault::handle(k, thread, Fault::Cap { address, receive_phase: false, failure })
    } else {
        Next::Resume
    }
}

/// Sends the current thread's message through the capability in a slot.
#[inline(never)]
fn invoke_message(k: &Kernel, slot: Link<Slot>, how: How) -> Result<Next, Preempted> {
    let thread = k.core().current.get().get(k);
    let info = MessageInfo(thread.context.get(reg::INFO));
    let cap = slot.get(k).words();
    let found;
    let parcel = if info.extra_caps() > 0 {
        match Parcel::new(k, thread, info) {
            Ok(parcel) => found = look_ahead(k, thread, cap, parcel)?,
            Err(failed) => return Ok(cap_fault(k, how, failed)),
        }
        Some(&found)
    } else {
        None
    };
    // Until it is known to have finished, the system call would be made again.
    thread.state.set(ThreadState::Restart);
    match message_to(k, thread, cap, how, parcel) {
        Some(next) => {
            finish(thread, how, 0);
            Ok(next)
        }
        None => {
            fail(k, thread, how, SyscallError::InvalidCapability(0));
            Ok(Next::Resume)
        }
    }
}

/// Where the extra capabilities were a long way to find: looks up what else sending them takes, as long as the system call
/// can still be stopped.
fn look_ahead(k: &Kernel, thread: &Tcb, cap: Words, mut parcel: Parcel) -> Result<Parcel, Preempted> {
    if thread.known_slot(k, 0).is_some() {
        // The common CSpace.
        return Ok(parcel);
    }
    let receiver = match cap.endpoint_for_send() {
        Some(ep) => ep.get(k).receiver(),
        None => cap.reply().and_then(|reply| reply.get(k).tcb.get()),
    };
    if let Some(receiver) = receiver {
        parcel.find_place(k, receiver.get(k));
    }
    point_between_lookups(k)?;
    Ok(parcel)
}

/// The system call of the current thread has done what it was to do, with so many words of an answer.
#[inline(always)]
fn finish(thread: &Tcb, how: How, words: usize) {
    if thread.state.get() == ThreadState::Restart {
        if how.call {
            thread.context.set(reg::CAP, 0);
            thread.context.set(reg::INFO, transfer::kernel_info(0, words).0);
        }
        thread.state.set(ThreadState::Running);
    }
}

/// The system call of the current thread has failed.
#[cold]
#[inline(never)]
fn fail(k: &Kernel, thread: &Tcb, how: How, error: SyscallError) {
    if how.call {
        put_error(k, thread, error);
    }
    thread.state.set(ThreadState::Running);
}

/// Invokes the kernel object behind the capability in a slot.
#[inline(never)]
fn invoke_object(k: &mut Kernel, slot: Link<Slot>, how: How) -> Result<Next, Preempted> {
    let link = k.core().current.get();
    let thread = link.get(k);
    let info = MessageInfo(thread.context.get(reg::INFO));
    // What does not fit into registers, words and capabilities, is in the IPC buffer.
    let in_registers = info.0 & INFO_SHAPE <= MESSAGE_REGISTERS as u64;
    let buffer = if in_registers { None } else { message::buffer(k, thread, false) };
    let mut inv = Invocation {
        thread: link,
        slot,
        words: slot.get(k).words(),
        label: Label::from_word(info.label()),
        length: info.length_capped().min(if buffer.is_some() { usize::MAX } else { MESSAGE_REGISTERS }),
        buffer,
        extra: ExtraCaps::none(slot),
        call: how.call,
    };
    if let Err(failed) = transfer::find_extra_caps(k, thread, follow(buffer, k), info, &mut inv.extra) {
        return Ok(cap_fault(k, how, failed));
    }
    thread.state.set(ThreadState::Restart);
    let result = if how.first_phase {
        Err(Stop::Error(SyscallError::InvalidCapability(0)))
    } else {
        latency::note(k, inv.words.tag(), info.label());
        dispatch(k, &inv)
    };
    let thread = link.get(k);
    match result {
        Ok(done) => {
            finish(thread, how, done.words);
            Ok(done.next)
        }
        Err(Stop::Preempted) => Err(Preempted),
        Err(Stop::Error(error)) => {
            fail(k, thread, how, error);
            Ok(Next::Resume)
        }
    }
}

/// Sends a message to an endpoint, a notification or a reply object. `None` if the capability does not allow it.
#[inline(always)]
fn message_to(k: &Kernel, thread: &Tcb, cap: Words, how: How, parcel: Option<&Parcel>) -> Option<Next> {
    if let Some(ep) = cap.endpoint_for_send() {
        let How { call, blocking, donate, .. } = how;
        let how = Sending {
            blocking,
            call,
            // A call lends the scheduling context to a passive receiver.
            donate: donate || call,
            badge: cap.badge(),
            grant: cap.endpoint_grant(),
            grant_reply: cap.endpoint_grant_reply(),
            parcel,
        };
        Some(endpoint::send(k, thread, ep.get(k), how))
    } else if let Some(ntfn) = cap.notification_for_signal() {
        Some(notification::signal(k, ntfn.get(k), cap.badge()))
    } else {
        cap.reply().map(|reply| reply::send(k, thread, reply.get(k), cap.reply_grant(), parcel))
    }
}

/// Invokes a kernel object.
#[inline(always)]
fn dispatch(k: &mut Kernel, inv: &Invocation) -> Result<Done, Stop> {
    match inv.words.tag() {
        tag::UNTYPED => untyped::invoke(k, inv),
        tag::CNODE => cnode::invoke(k, inv),
        tag::TCB => tcb::invoke(k, inv),
        tag::SCHED_CONTEXT => sched_context::invoke(k, inv),
        tag::SCHED_CONTROL => {
            cold_path();
            sched_context::invoke_control(k, inv)
        }
        tag::DOMAIN => {
            cold_path();
            domain::invoke(k, inv)
        }
        tag::FRAME | tag::PAGE_TABLE | tag::ASID_CONTROL | tag::ASID_POOL => vspace::invoke(k, inv),
        tag::IRQ_CONTROL | tag::IRQ_HANDLER => {
            cold_path();
            irq::invoke(k, inv)
        }
        tag::IO_PORT_CONTROL | tag::IO_PORT => {
            cold_path();
            ioport::invoke(k, inv)
        }
        _ => Err(SyscallError::InvalidCapability(0).into()),
    }
}

/// Answers a call with an error and its details.
fn put_error(k: &Kernel, thread: &Tcb, error: SyscallError) {
    let (words, n) = match error {
        SyscallError::InvalidArgument(i) | SyscallError::InvalidCapability(i) => ([i, 0, 0, 0, 0], 1),
        SyscallError::RangeError(min, max) => ([min, max, 0, 0, 0], 2),
        SyscallError::NotEnoughMemory(left) => ([left, 0, 0, 0, 0], 1),
        SyscallError::FailedLookup { source, failure } => {
            let (w, n) = fault::lookup_failure_words(failure);
            ([source as u64, w[0], w[1], w[2], w[3]], n + 1)
        }
        SyscallError::IllegalOperation
        | SyscallError::AlignmentError
        | SyscallError::TruncatedMessage
        | SyscallError::DeleteFirst
        | SyscallError::RevokeFirst => ([0; 5], 0),
    };
    let length = message::put_all(k, thread, words.into_iter().take(n));
    thread.context.set(reg::CAP, 0);
    thread.context.set(reg::INFO, transfer::kernel_info(error.code() as u64, length).0);
}
