//! The fast paths: `Call`, `ReplyRecv` and faults between threads that are ready for it.
//!
//! They do what the slow path would, for the case that servers spend their lives in: no capabilities in the message,
//! a passive server that runs on its caller's scheduling context. First everything is looked at and nothing is
//! changed; if something is out of the ordinary the answer is a [`Miss`], and the slow path runs as if nothing had
//! been tried. As no scheduling context ends or begins, the clock is not read.
//!
//! Those of the system calls exist twice. The one that is tried first (`ANY` false) takes messages in registers between threads whose
//! spaces are known ([`Tcb::known_slot`], [`Tcb::known_space`]) and calls no other function. The other one also takes
//! messages in IPC buffers and works out spaces.

use core::hint::cold_path;

use pecan_abi::ipc::{MESSAGE_REGISTERS, MSG_MAX_LENGTH, buffer};
use pecan_arch::{Space, UserContext, reg};
use pecan_config::NUM_DOMAINS;
use pecan_mem::{
    CoreState, Endpoint, EndpointState, Fault, IpcBuffer, Kernel, Link, NotificationState, Reply, ReplyNext,
    SchedContext, Slot, Tcb, ThreadState, Words, follow,
};

use crate::{
    endpoint, fault, lookup,
    message::{self, INFO_SHAPE},
    scheduler, vspace,
};

/// Where the label begins in a message information word.
const INFO_LABEL: u32 = 12;
/// The receiver's message information: the sender's less what the kernel says of unwrapped capabilities.
const INFO_MASK: u64 = !0xe00;

/// Why a fast path was not taken. Nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Miss {
    /// The other form of the fast path may do.
    Any,
    /// This is for the slow path.
    Slow,
}

/// The IPC buffers of sender and receiver, for what of a message does not fit into registers.
type Buffers<'k> = Option<(&'k IpcBuffer, &'k IpcBuffer)>;

/// `Call` on the capability at `cptr`. Returns the thread to run, which is the current one now.
#[inline(always)]
pub fn call<const ANY: bool>(k: &Kernel, cptr: u64, info: u64) -> Result<Link<Tcb>, Miss> {
    let core = k.core();
    let caller = core.current.get().get(k);
    let cap = slot::<ANY>(k, caller, cptr)?.words();
    let ep = cap.endpoint_for_send().ok_or(Miss::Slow)?.get(k);
    check_length::<ANY>(info)?;
    let callee = callee::<ANY>(k, caller, cap, ep)?;
    let buffers = buffers::<ANY>(k, caller, callee.server, info)?;
    lend(k, caller, ep, &callee);
    deliver(&caller.context, &callee.server.context, cap.badge(), info, buffers);
    Ok(switch(k, core, caller, callee.server, callee.space))
}

/// A fault of the current thread, which calls its handler with it. Returns the thread to run.
#[inline(always)]
pub fn fault(k: &Kernel, fault: Fault) -> Result<Link<Tcb>, Miss> {
    let core = k.core();
    let faulty = core.current.get().get(k);
    let cap = faulty.slots[Tcb::SLOT_FAULT_HANDLER].words();
    let ep = cap.endpoint_for_send().ok_or(Miss::Slow)?.get(k);
    let callee = callee::<false>(k, faulty, cap, ep)?;
    lend(k, faulty, ep, &callee);
    faulty.fault.set(fault);
    fault::deliver(k, faulty, fault, cap.badge(), callee.server);
    Ok(switch(k, core, faulty, callee.server, callee.space))
}

/// A passive server that waits for a call.
struct Callee<'k> {
    server: &'k Tcb,
    reply: Link<Reply>,
    /// What it will run on: the caller's.
    sc: Link<SchedContext>,
    space: Space,
}

/// The server at the head of an endpoint's queue, if the caller can lend it its scheduling context and it may run at
/// once.
#[inline(always)]
fn callee<'k, const ANY: bool>(
    k: &'k Kernel,
    caller: &Tcb,
    cap: Words,
    ep: &Endpoint,
) -> Result<Callee<'k>, Miss> {
    let server = ep.receiver().ok_or(Miss::Slow)?.get(k);
    let ThreadState::BlockedOnReceive { reply: Some(reply), .. } = server.state.get() else {
        return Err(Miss::Slow);
    };
    if !cap.endpoint_grant_or_grant_reply() || server.sched_context.get().is_some() {
        return Err(Miss::Slow);
    }
    let sc = caller.sched_context.get().ok_or(Miss::Slow)?;
    Ok(Callee { server, reply, sc, space: ready::<ANY>(k, server)? })
}

/// The server stops waiting, and the caller waits for it, and lends it its scheduling context.
#[inline(always)]
fn lend(k: &Kernel, caller: &Tcb, ep: &Endpoint, callee: &Callee) {
    let &Callee { server, reply, sc, .. } = callee;
    // The server leaves the endpoint's queue, of which it is the head.
    match server.ipc_queue.next.get() {
        Some(next) => {
            cold_path();
            endpoint::promote(k, server, next);
            ep.set_queue(EndpointState::Receiving, Some(next), ep.tail());
        }
        None => ep.set_queue(EndpointState::Idle, None, None),
    }

    // The caller waits on the reply object, on top of the call stack; its scheduling context goes to the server.
    let (reply_ref, sc_ref) = (reply.get(k), sc.get(k));
    let below = sc_ref.reply.replace(Some(reply));
    reply_ref.tcb.set(Some(caller.link()));
    reply_ref.prev.set(below);
    if let Some(below) = below {
        below.get(k).set_next(ReplyNext::Reply(reply));
    }
    reply_ref.set_next(ReplyNext::SchedContext(sc));
    caller.state.set(ThreadState::BlockedOnReply { reply: Some(reply) });
    caller.sched_context.set(None);
    server.sched_context.set(Some(sc));
    sc_ref.tcb.set(Some(server.link()));
}

/// `ReplyRecv`: answers the caller that waits on the reply object, and waits at the endpoint at `cptr`.
#[inline(always)]
pub fn reply_recv<const ANY: bool>(k: &Kernel, cptr: u64, info: u64) -> Result<Link<Tcb>, Miss> {
    let core = k.core();
    let server = core.current.get().get(k);
    check_length::<ANY>(info)?;
    let cap = slot::<ANY>(k, server, cptr)?.words();
    let ep = cap.endpoint_for_receive().ok_or(Miss::Slow)?.get(k);
    let reply_cap = slot::<ANY>(k, server, server.context.get(reg::REPLY))?.words();
    let reply = reply_cap.reply().ok_or(Miss::Slow)?;
    let reply_ref = reply.get(k);
    let caller = reply_ref.tcb.get().ok_or(Miss::Slow)?.get(k);
    // Only the top of a call stack has a scheduling context to give back; its thread waits for the answer.
    let ReplyNext::SchedContext(sc) = reply_ref.next() else { return Err(Miss::Slow) };
    if server.sched_context.get() != Some(sc) || caller.sched_context.get().is_some() {
        return Err(Miss::Slow);
    }
    if !waits::<ANY>(k, server, ep) {
        return Err(if ANY { Miss::Slow } else { Miss::Any });
    }
    let fault = caller.fault.get();
    if fault != Fault::None && !ANY {
        return Err(Miss::Any);
    }
    // A fault may be answered by leaving the thread stopped; and the time of one that is out of time is another matter.
    if matches!(fault, Fault::Timeout { .. }) || fault != Fault::None && info >> INFO_LABEL != 0 {
        return Err(Miss::Slow);
    }
    let space = ready::<ANY>(k, caller)?;
    let buffers = buffers::<ANY>(k, server, caller, info)?;

    // The server waits at the endpoint, behind the others.
    server.state.set(ThreadState::BlockedOnReceive {
        ep: ep.link(),
        grant: cap.endpoint_grant(),
        reply: Some(reply),
    });
    match ep.tail() {
        Some(tail) if ANY => {
            endpoint::join_peers(k, tail.get(k), server);
            tail.get(k).ipc_queue.next.set(Some(server.link()));
            server.ipc_queue.prev.set(Some(tail));
            ep.set_queue(EndpointState::Receiving, ep.head(), Some(server.link()));
        }
        _ => ep.set_queue(EndpointState::Receiving, Some(server.link()), Some(server.link())),
    }

    // The reply object leaves the call stack; the scheduling context goes back to the caller.
    let below = reply_ref.prev.get();
    let sc_ref = sc.get(k);
    sc_ref.reply.set(below);
    if let Some(below) = below {
        reply_ref.prev.set(None);
        below.get(k).set_next(ReplyNext::SchedContext(sc));
    }
    reply_ref.set_next(ReplyNext::None);
    reply_ref.tcb.set(Some(server.link()));
    caller.state.set(ThreadState::Running);
    server.sched_context.set(None);
    caller.sched_context.set(Some(sc));
    sc_ref.tcb.set(Some(caller.link()));

    if fault == Fault::None {
        deliver(&server.context, &caller.context, 0, info, buffers);
    } else {
        caller.fault.set(Fault::None);
        fault::apply_reply(k, fault, server, caller);
        caller.context.set(reg::NEXT_IP, caller.context.get(reg::FAULT_IP));
    }
    Ok(switch(k, core, server, caller, space))
}

/// True if the server will wait at the endpoint, and at the tail of its queue: nobody sends, no signal of its
/// bound notification is pending, and nobody of a lower priority (nobody at all in the form that is tried first) waits
/// already.
#[inline(always)]
fn waits<const ANY: bool>(k: &Kernel, server: &Tcb, ep: &Endpoint) -> bool {
    let queue_ok = match ep.state() {
        EndpointState::Idle => true,
        EndpointState::Receiving => {
            ANY && follow(ep.tail(), k).is_some_and(|tail| tail.priority.get() >= server.priority.get())
        }
        EndpointState::Sending => false,
    };
    queue_ok
        && follow(server.bound_notification.get(), k)
            .is_none_or(|ntfn| ntfn.state.get() != NotificationState::Active)
}

/// The message has no capabilities, and no more words than this form of the fast path moves.
#[inline(always)]
fn check_length<const ANY: bool>(info: u64) -> Result<(), Miss> {
    let most = if ANY { MSG_MAX_LENGTH } else { MESSAGE_REGISTERS } as u64;
    if info & INFO_SHAPE <= most { Ok(()) } else { Err(if ANY { Miss::Slow } else { Miss::Any }) }
}

/// The slot that a thread means by a capability address.
#[inline(always)]
fn slot<'k, const ANY: bool>(k: &'k Kernel, thread: &Tcb, cptr: u64) -> Result<&'k Slot, Miss> {
    let slot = if ANY {
        lookup::cap(k, thread, cptr).map_err(|_| Miss::Slow)
    } else {
        thread.known_slot(k, cptr).ok_or(Miss::Any)
    };
    slot.map(|slot| slot.get(k))
}

/// The address space of a thread that is about to run, if it may run at once: it has a valid address space, is
/// of the current domain, and nobody who is ready beats it.
#[inline(always)]
fn ready<const ANY: bool>(k: &Kernel, thread: &Tcb) -> Result<Space, Miss> {
    if NUM_DOMAINS > 1 && thread.domain.get() != k.core().domain.get() {
        return Err(Miss::Slow);
    }
    if !scheduler::is_highest(k, thread.priority.get()) {
        return Err(Miss::Slow);
    }
    if ANY { vspace::space(k, thread).ok_or(Miss::Slow) } else { thread.known_space(k).ok_or(Miss::Any) }
}

/// The IPC buffers, if the message needs them.
#[inline(always)]
fn buffers<'k, const ANY: bool>(k: &'k Kernel, from: &Tcb, to: &Tcb, info: u64) -> Result<Buffers<'k>, Miss> {
    if !ANY || info & INFO_SHAPE <= MESSAGE_REGISTERS as u64 {
        return Ok(None);
    }
    let source = message::buffer_for_reading(k, from).ok_or(Miss::Slow)?;
    let dest = message::buffer_for_writing(k, to).ok_or(Miss::Slow)?;
    Ok(Some((source, dest)))
}

/// Moves a message.
#[inline(always)]
fn deliver(from: &UserContext, to: &UserContext, badge: u64, info: u64, buffers: Buffers) {
    let length = (info & INFO_SHAPE) as usize;
    from.copy_message(to, length);
    if let Some((source, dest)) = buffers {
        source.copy(dest, buffer::MSG + MESSAGE_REGISTERS..buffer::MSG + length);
    }
    to.set(reg::CAP, badge);
    to.set(reg::INFO, info & INFO_MASK);
}

/// Makes `to` the current thread, on the scheduling context that it has just been given.
#[inline(always)]
fn switch(k: &Kernel, core: &CoreState, from: &Tcb, to: &Tcb, space: Space) -> Link<Tcb> {
    to.state.set(ThreadState::Running);
    core.current.set(to.link());
    k.switch_vspace(space);
    scheduler::load_units(k, to);
    pecan_arch::context_switch(&from.context, &to.context);
    to.link()
}
