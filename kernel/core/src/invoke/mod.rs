//! Invocations: what is common to all, and the dispatch on the kind of capability.
//!
//! What each takes is decoded by `args`, which is generated from the table in `abi/`; nothing else reads the words and
//! the extra capabilities of an invocation.
//!
//! An invocation that fails has changed nothing but the answer in the caller's registers: each object's
//! module decodes first, and what it then commits cannot fail. The caller is in the state Restart meanwhile,
//! so an operation that is preempted is made again by the same instruction. The entry calls `invoke` for
//! every system call that sends.

pub mod arch;
pub(crate) mod args;
pub mod cnode;
pub mod domain;
pub mod end;
pub mod invocation;
pub mod irq;
pub mod sched_context;
pub mod tcb;
pub mod untyped;
pub mod vspace;

use core::hint::cold_path;

use pecan_abi::{
    MessageInfo,
    ipc::{MESSAGE_REGISTERS, MSG_MAX_EXTRA_CAPS},
};
use pecan_arch::reg;
use pecan_mem::{
    Fault, IpcBuffer, Kernel, Link, LookupFailure, Slot, Tcb, ThreadState, Words, cap::tag, follow,
};

use crate::{
    base::{
        error::{Preempted, Stop, SyscallError},
        latency, message,
    },
    cap::{
        extra::{self, Parcel},
        lookup,
    },
    invoke::{
        end::End,
        invocation::{Done, Invocation, Message, MoreCaps},
    },
    ipc::{
        ahead::{self, Arrival, Receive},
        answer,
        endpoint::{self, Sending},
        fault_message, notification, raise,
    },
    sched::next::Next,
};

/// How a system call invokes a capability.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// `Call`: an answer is expected.
    Call,
    /// `Send`.
    Send,
    /// `NBSend`: nobody waits for a receiver or is told that there is no such capability.
    NBSend,
    /// In the first phase of a system call that receives afterwards: like `NBSend`, and the scheduling context may be lent
    /// with the message.
    Before(Receive),
}

impl How {
    /// An answer is expected.
    fn is_call(self) -> bool {
        self == How::Call
    }

    /// Wait for a receiver; report capability faults.
    fn is_blocking(self) -> bool {
        matches!(self, How::Call | How::Send)
    }

    /// The scheduling context may be lent with the message.
    fn donates(self) -> bool {
        matches!(self, How::Call | How::Before(_))
    }
}

/// Invokes the capability at `cptr` with the message in the current thread's registers and IPC buffer.
#[inline(never)]
pub fn invoke<E: End>(k: &mut Kernel, cptr: u64, how: How) -> E::Out {
    match k.running().slot(cptr) {
        Some(slot) => invoke_found::<E>(k, slot, how),
        None => invoke_far::<E>(k, cptr, how),
    }
}

/// [`invoke`] where the CSpace has several CNodes, or has not been worked out.
#[cold]
#[inline(never)]
fn invoke_far<E: End>(k: &mut Kernel, cptr: u64, how: How) -> E::Out {
    match find(k, cptr, how) {
        Ok(slot) => invoke_found::<E>(k, slot, how),
        Err(stop) => E::end(k, stop),
    }
}

#[inline(always)]
fn invoke_found<E: End>(k: &mut Kernel, slot: Link<Slot>, how: How) -> E::Out {
    if is_for_messages(slot.get(k).words()) {
        let result = invoke_message(k, slot, how);
        E::end(k, result)
    } else {
        invoke_object::<E>(k, slot, how)
    }
}

/// `Call` on the capability in a slot.
#[inline(always)]
pub fn call_at<E: End>(k: &mut Kernel, slot: Link<Slot>) -> E::Out {
    let info = MessageInfo(k.core().current.get().get(k).context.get(reg::INFO));
    let Some(message) = Message::new(k, info, slot) else { return invoke_object::<E>(k, slot, How::Call) };
    let Message { info, buffer, extra, more } = message;
    let tag = slot.get(k).words().tag();
    latency::note(k, tag, info.label());
    match tag {
        tag::CNODE if cnode::is_quick(info.label()) => copy_or_move::<E>(k, slot, info, buffer, extra),
        tag::CNODE => invoke_cnode::<E>(k, slot, info, buffer, extra, more, true),
        tag::FRAME if vspace::is_quick(info.label()) => map::<E>(k, slot, info, buffer, extra),
        tag::FRAME => invoke_frame::<E>(k, slot, info, buffer, extra, more, true),
        tag::UNTYPED => invoke_untyped::<E>(k, slot, info, buffer, extra, more, true),
        tag::ENDPOINT | tag::NOTIFICATION | tag::REPLY => {
            let result = invoke_message(k, slot, How::Call);
            E::end(k, result)
        }
        _ => invoke_other::<E>(k, slot, info, buffer, extra, more, true),
    }
}

/// The sending phase of a combined system call: only messages are sent in it, and nobody answers them.
pub fn first_phase(k: &Kernel, cptr: u64, then: Receive) -> Result<Next, Preempted> {
    let how = How::Before(then);
    let slot = match k.running().slot(cptr) {
        Some(slot) => slot,
        None => match find(k, cptr, how) {
            Ok(slot) => slot,
            Err(stop) => return stop,
        },
    };
    if is_for_messages(slot.get(k).words()) { invoke_message(k, slot, how) } else { Ok(Next::Resume) }
}

/// True for the capabilities that messages are sent through.
#[inline(always)]
fn is_for_messages(cap: Words) -> bool {
    matches!(cap.tag(), tag::ENDPOINT | tag::NOTIFICATION | tag::REPLY)
}

/// The slot at `cptr` in a CSpace of several CNodes; or what the system call has come to.
#[cold]
#[inline(never)]
fn find(k: &Kernel, cptr: u64, how: How) -> Result<Link<Slot>, Result<Next, Preempted>> {
    let slot = lookup::cap(k, k.core().current.get().get(k), cptr)
        .map_err(|failure| Ok(cap_fault(k, how, (cptr, failure))))?;
    ahead::point(k).map_err(Err)?;
    Ok(slot)
}

/// The capability at an address that the current thread sends to, or sends along, does not exist.
#[cold]
#[inline(never)]
fn cap_fault(k: &Kernel, how: How, (address, failure): (u64, LookupFailure)) -> Next {
    if how.is_blocking() {
        let thread = k.core().current.get().get(k);
        raise::fault(k, thread, Fault::Cap { address, receive_phase: false, failure })
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
            Ok(parcel) => found = look_ahead(k, thread, cap, how, parcel)?,
            Err(failed) => return Ok(cap_fault(k, how, failed)),
        }
        Some(&found)
    } else {
        None
    };
    if let How::Before(then) = how {
        ahead::receive(k, then, parcel.and_then(|parcel| arrival(k, cap, parcel)))?;
    }
    // Until it is known to have finished, the system call would be made again.
    thread.state.set(ThreadState::Restart);
    match message_to(k, thread, cap, how, parcel) {
        Some(next) => {
            finish(thread, how.is_call(), 0);
            Ok(next)
        }
        None => {
            fail(k, thread, how.is_call(), SyscallError::InvalidCapability(0));
            Ok(Next::Resume)
        }
    }
}

/// Where some of what sending capabilities takes is a long way to find: looks up the receiver's part of it, too, as long as
/// the system call can still be stopped.
fn look_ahead(
    k: &Kernel,
    thread: &Tcb,
    cap: Words,
    how: How,
    mut parcel: Parcel,
) -> Result<Parcel, Preempted> {
    let receiver = match cap.endpoint_for_send() {
        Some(ep) => ep.get(k).receiver(),
        None => cap.reply().and_then(|reply| reply.get(k).tcb.get()),
    };
    let receiver = follow(receiver, k);
    let is_far = ahead::is_far(k, thread) || receiver.is_some_and(|receiver| ahead::is_far(k, receiver));
    if is_far || matches!(how, How::Before(_)) {
        // The capabilities have been a long way, and so may this be.
        ahead::point(k)?;
        if let Some(receiver) = receiver {
            parcel.find_place(k, receiver);
            ahead::point(k)?;
        }
    }
    Ok(parcel)
}

/// The capability among those of a message that will come to a slot of the receiver's, if one does.
fn arrival(k: &Kernel, cap: Words, parcel: &Parcel) -> Option<Arrival> {
    let ep = cap.endpoint_for_send();
    // Those to the endpoint itself become badges.
    let moves = |slot: &&Link<Slot>| ep.is_none() || slot.get(k).words().endpoint() != ep;
    let cap = parcel.caps.slots.iter().take(parcel.caps.count).find(moves)?;
    Some(Arrival { place: parcel.place??, cap: *cap })
}

/// The system call of the current thread has done what it was to do, with so many words of an answer.
#[inline(always)]
fn finish(thread: &Tcb, call: bool, words: usize) {
    if thread.state.is_restart() {
        succeed(thread, call, words);
    }
}

/// [`finish`] where nobody has stopped the thread meanwhile.
#[inline(always)]
fn succeed(thread: &Tcb, call: bool, words: usize) {
    debug_assert!(thread.state.is_restart());
    if call {
        answer(thread, words);
    }
    thread.state.set(ThreadState::Running);
}

/// Answers a call that has succeeded.
#[inline(always)]
fn answer(thread: &Tcb, words: usize) {
    thread.context.set(reg::CAP, 0);
    thread.context.set(reg::INFO, message::kernel_info(0, words).0);
}

/// The system call of the current thread has failed.
#[cold]
#[inline(never)]
fn fail(k: &Kernel, thread: &Tcb, call: bool, error: SyscallError) {
    if call {
        put_error(k, thread, error);
    }
    thread.state.set(ThreadState::Running);
}

/// Invokes the kernel object behind the capability in a slot, or sends a message through it, wherever the message is.
#[inline(never)]
fn invoke_object<E: End>(k: &mut Kernel, slot: Link<Slot>, how: How) -> E::Out {
    let tag = slot.get(k).words().tag();
    if is_for_messages(slot.get(k).words()) {
        let result = invoke_message(k, slot, how);
        return E::end(k, result);
    }
    let thread = k.core().current.get().get(k);
    let info = MessageInfo(thread.context.get(reg::INFO));
    let mut caps = [slot; MSG_MAX_EXTRA_CAPS];
    let buffer = message::buffer(k, thread, false);
    let info = match follow(buffer, k) {
        Some(buffer) => {
            for (i, slot) in caps.iter_mut().enumerate().take(info.extra_caps()) {
                match extra::extra_cap(k, thread, buffer, i) {
                    Ok(found) => *slot = found,
                    Err(failed) => {
                        let next = cap_fault(k, how, failed);
                        return E::end(k, Ok(next));
                    }
                }
            }
            info
        }
        None => MessageInfo::new(info.label(), 0, 0, info.length().min(MESSAGE_REGISTERS) as u64),
    };
    if info.extra_caps() > 0
        && ahead::is_far(k, thread)
        && let Err(preempted) = ahead::point(k)
    {
        return E::end(k, Err(preempted));
    }
    let [extra, ref more @ ..] = caps;
    latency::note(k, tag, info.label());
    match tag {
        tag::CNODE => invoke_cnode::<E>(k, slot, info, buffer, extra, Some(more), how.is_call()),
        tag::FRAME => invoke_frame::<E>(k, slot, info, buffer, extra, Some(more), how.is_call()),
        tag::UNTYPED => invoke_untyped::<E>(k, slot, info, buffer, extra, Some(more), how.is_call()),
        _ => invoke_other::<E>(k, slot, info, buffer, extra, Some(more), how.is_call()),
    }
}

/// Makes the function that carries out the invocations of one kind of object and ends their system call. It takes the
/// parts of the message in registers; where [`Invocation`](crate::invoke::invocation::Invocation) has been taken apart
/// again nothing of it is in memory.
macro_rules! handler {
    ($name:ident = $invoke:path) => {
        #[inline(never)]
        fn $name<E: End>(
            k: &mut Kernel,
            slot: Link<Slot>,
            info: MessageInfo,
            buffer: Option<Link<IpcBuffer>>,
            extra: Link<Slot>,
            more: Option<&MoreCaps>,
            call: bool,
        ) -> E::Out {
            // Until it is known to have finished, the system call would be made again.
            k.core().current.get().get(k).state.set(ThreadState::Restart);
            let inv = Invocation::new(k, slot, Message { info, buffer, extra, more }, call);
            let result = $invoke(k, inv);
            end::<E>(k, call, result)
        }
    };
}

handler!(invoke_untyped = untyped::invoke);

handler!(invoke_cnode = cnode::invoke);

handler!(invoke_frame = vspace::invoke_frame);

handler!(invoke_other = others);

/// Makes the function that carries out what most of the invocations of one kind of object ask for. It calls nothing, so
/// that it keeps all in registers which it need not save: what else there may be to do, errors among it, it leaves
/// to [`invoke`], which begins anew.
macro_rules! quick_handler {
    ($name:ident = $invoke:path) => {
        #[inline(never)]
        fn $name<E: End>(
            k: &mut Kernel,
            slot: Link<Slot>,
            info: MessageInfo,
            buffer: Option<Link<IpcBuffer>>,
            extra: Link<Slot>,
        ) -> E::Out {
            let inv = Invocation::new(k, slot, Message { info, buffer, extra, more: None }, true);
            match $invoke(k, inv) {
                Some(()) => {
                    answer(k.core().current.get().get(k), 0);
                    E::end(k, Ok(Next::Stay))
                }
                None => anew::<E>(k),
            }
        }
    };
}

quick_handler!(copy_or_move = cnode::quick);

quick_handler!(map = vspace::quick_map);

#[cold]
#[inline(never)]
fn anew<E: End>(k: &mut Kernel) -> E::Out {
    let cptr = k.core().current.get().get(k).context.get(reg::CAP);
    invoke::<E>(k, cptr, How::Call)
}

/// Invokes objects whose invocations are rarer.
fn others(k: &mut Kernel, inv: Invocation<'_>) -> Result<Done, Stop> {
    match inv.words.tag() {
        tag::TCB => tcb::invoke(k, inv),
        tag::SCHED_CONTEXT => sched_context::invoke(k, inv),
        tag::PAGE_TABLE | tag::ASID_CONTROL | tag::ASID_POOL => vspace::invoke(k, inv),
        tag::SCHED_CONTROL => {
            cold_path();
            sched_context::invoke_control(k, inv)
        }
        tag::DOMAIN => {
            cold_path();
            domain::invoke(k, inv)
        }
        tag::IRQ_CONTROL | tag::IRQ_HANDLER => {
            cold_path();
            irq::invoke(k, inv)
        }
        tag::ARCH => {
            cold_path();
            arch::invoke(k, inv)
        }
        // Nothing to invoke; what is left is a message's, or has been told apart before.
        tag::NULL
        | tag::ZOMBIE
        | tag::ENDING
        | tag::ENDING_IRQ_HANDLER
        | tag::ENDPOINT
        | tag::NOTIFICATION
        | tag::REPLY
        | tag::UNTYPED
        | tag::CNODE
        | tag::FRAME => Err(SyscallError::InvalidCapability(0).into()),
    }
}

/// Ends the invocation of a kernel object by the current thread.
#[inline(always)]
fn end<E: End>(k: &mut Kernel, call: bool, result: Result<Done, Stop>) -> E::Out {
    let thread = k.core().current.get().get(k);
    let result = match result {
        // Then the thread's state is what it was, too.
        Ok(Done { next: Next::Stay, words }) => {
            succeed(thread, call, words);
            return E::end(k, Ok(Next::Stay));
        }
        Ok(Done { next, words }) => {
            finish(thread, call, words);
            Ok(next)
        }
        Err(Stop::Preempted) => Err(Preempted),
        Err(Stop::Error(error)) => {
            fail(k, thread, call, error);
            Ok(Next::Resume)
        }
    };
    E::end(k, result)
}

/// Sends a message to an endpoint, a notification or a reply object. `None` if the capability does not allow it.
#[inline(always)]
fn message_to(k: &Kernel, thread: &Tcb, cap: Words, how: How, parcel: Option<&Parcel>) -> Option<Next> {
    if let Some(ep) = cap.endpoint_for_send() {
        let how = Sending {
            blocking: how.is_blocking(),
            call: how.is_call(),
            donate: how.donates(),
            badge: cap.badge(),
            grant: cap.endpoint_grant(),
            grant_reply: cap.endpoint_grant_reply(),
            parcel,
        };
        Some(endpoint::send(k, thread, ep.get(k), how))
    } else if let Some(ntfn) = cap.notification_for_signal() {
        Some(notification::signal(k, ntfn.get(k), cap.badge()))
    } else {
        cap.reply().map(|reply| answer::send(k, thread, reply.get(k), cap.reply_grant(), parcel))
    }
}

/// Answers a call with an error and its details.
fn put_error(k: &Kernel, thread: &Tcb, error: SyscallError) {
    let (words, n) = match error {
        SyscallError::InvalidArgument(i) | SyscallError::InvalidCapability(i) => ([i, 0, 0, 0, 0], 1),
        SyscallError::RangeError(min, max) => ([min, max, 0, 0, 0], 2),
        SyscallError::NotEnoughMemory(left) => ([left, 0, 0, 0, 0], 1),
        SyscallError::FailedLookup { source, failure } => {
            let (w, n) = fault_message::lookup_failure_words(failure);
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
    thread.context.set(reg::INFO, message::kernel_info(error.code() as u64, length).0);
}
