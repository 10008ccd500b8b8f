//! The fast paths: `Call` and `ReplyRecv` of a short message between threads that are ready for it.
//!
//! They do what the slow path would, for the case that servers spend their lives in: a few words, no
//! capabilities, a passive server that runs on its caller's scheduling context. First everything is looked at
//! and nothing is changed; if something is out of the ordinary the answer is `None`, and the slow path runs as
//! if nothing had been tried. As no scheduling context ends or begins, the clock is not read.

use pecan_arch::{Space, UserContext, reg};
use pecan_config::NUM_DOMAINS;
use pecan_mem::{
    CoreState, Endpoint, EndpointState, Fault, Kernel, Link, NotificationState, ReplyNext, Tcb, ThreadState,
    follow,
};

use crate::{lookup, scheduler, vspace};

/// Length and number of extra capabilities in a message information word.
const INFO_SHAPE: u64 = 0x1ff;
/// The receiver's message information: the sender's less what the kernel says of unwrapped capabilities.
const INFO_MASK: u64 = !0xe00;

/// `Call` on the capability at `cptr`. Returns the thread to run, which is the current one now.
#[inline(always)]
pub fn call(k: &Kernel, cptr: u64, info: u64) -> Option<Link<Tcb>> {
    let core = &k.core;
    let caller = core.current.get().get(k);
    let length = info & INFO_SHAPE;
    if length > reg::MSG.len() as u64 {
        return None;
    }
    let cap = lookup::cap(k, caller, cptr).ok()?.get(k).words();
    let ep = cap.endpoint_for_send()?.get(k);
    let server = ep.receiver()?.get(k);
    let ThreadState::BlockedOnReceive { reply: Some(reply), .. } = server.state.get() else { return None };
    if !cap.endpoint_grant_or_grant_reply() || server.sched_context.get().is_some() {
        return None;
    }
    let sc = caller.sched_context.get()?;
    let space = ready(k, server, caller.priority.get())?;

    // The server leaves the endpoint's queue, of which it is the head.
    let next = server.ipc_queue.next.take();
    match next {
        Some(next) => {
            next.get(k).ipc_queue.prev.set(None);
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

    deliver(&caller.context, &server.context, cap.badge(), info);
    Some(switch(k, core, caller, server, space))
}

/// `ReplyRecv`: answers the caller that waits on the reply object, and waits at the endpoint at `cptr`.
#[inline(always)]
pub fn reply_recv(k: &Kernel, cptr: u64, info: u64) -> Option<Link<Tcb>> {
    let core = &k.core;
    let server = core.current.get().get(k);
    let length = info & INFO_SHAPE;
    if length > reg::MSG.len() as u64 {
        return None;
    }
    let cap = lookup::cap(k, server, cptr).ok()?.get(k).words();
    let ep = cap.endpoint_for_receive()?.get(k);
    let reply = lookup::cap(k, server, server.context.get(reg::REPLY)).ok()?.get(k).words().reply()?;
    let reply_ref = reply.get(k);
    let caller = reply_ref.tcb.get()?.get(k);
    // Only the top of a call stack has a scheduling context to give back; its thread waits for the answer.
    let ReplyNext::SchedContext(sc) = reply_ref.next() else { return None };
    if server.sched_context.get() != Some(sc)
        || caller.sched_context.get().is_some()
        || caller.fault.get() != Fault::None
        || !waits(k, server, ep)
    {
        return None;
    }
    let space = ready(k, caller, 0)?;

    // The server waits at the endpoint, behind the others.
    server.state.set(ThreadState::BlockedOnReceive {
        ep: ep.link(),
        grant: cap.endpoint_grant(),
        reply: Some(reply),
    });
    match ep.tail() {
        Some(tail) => {
            tail.get(k).ipc_queue.next.set(Some(server.link()));
            server.ipc_queue.prev.set(Some(tail));
            ep.set_queue(EndpointState::Receiving, ep.head(), Some(server.link()));
        }
        None => ep.set_queue(EndpointState::Receiving, Some(server.link()), Some(server.link())),
    }

    // The reply object leaves the call stack; the scheduling context goes back to the caller.
    let below = reply_ref.prev.take();
    let sc_ref = sc.get(k);
    sc_ref.reply.set(below);
    if let Some(below) = below {
        below.get(k).set_next(ReplyNext::SchedContext(sc));
    }
    reply_ref.set_next(ReplyNext::None);
    reply_ref.tcb.set(Some(server.link()));
    caller.state.set(ThreadState::Running);
    server.sched_context.set(None);
    caller.sched_context.set(Some(sc));
    sc_ref.tcb.set(Some(caller.link()));

    deliver(&server.context, &caller.context, 0, info);
    Some(switch(k, core, server, caller, space))
}

/// True if the server will wait at the endpoint, and at the tail of its queue: nobody sends, no signal of its
/// bound notification is pending, and nobody of a lower priority waits already.
#[inline(always)]
fn waits(k: &Kernel, server: &Tcb, ep: &Endpoint) -> bool {
    let queue_ok = match ep.state() {
        EndpointState::Idle => true,
        EndpointState::Receiving => {
            follow(ep.tail(), k).is_some_and(|tail| tail.priority.get() >= server.priority.get())
        }
        EndpointState::Sending => false,
    };
    queue_ok
        && follow(server.bound_notification.get(), k)
            .is_none_or(|ntfn| ntfn.state.get() != NotificationState::Active)
}

/// The address space of a thread that is about to run, if it may run at once: it has a valid address space, is
/// of the current domain, and nobody who is ready beats it. A priority of at least `floor`, that of a thread
/// which was running, is known to be enough.
#[inline(always)]
fn ready(k: &Kernel, thread: &Tcb, floor: u8) -> Option<Space> {
    if NUM_DOMAINS > 1 && thread.domain.get() != k.core.domain.get() {
        return None;
    }
    let priority = thread.priority.get();
    if (floor == 0 || priority < floor) && !scheduler::is_highest(k, priority) {
        return None;
    }
    vspace::space(k, thread)
}

/// Moves a short message.
#[inline(always)]
fn deliver(from: &UserContext, to: &UserContext, badge: u64, info: u64) {
    from.copy_message(to, (info & INFO_SHAPE) as usize);
    to.set(reg::CAP, badge);
    to.set(reg::INFO, info & INFO_MASK);
}

/// Makes `to` the current thread, on the scheduling context that it has just been given.
#[inline(always)]
fn switch(k: &Kernel, core: &CoreState, from: &Tcb, to: &Tcb, space: Space) -> Link<Tcb> {
    to.state.set(ThreadState::Running);
    core.current.set(to.link());
    k.switch_vspace(space);
    scheduler::load_fpu(k, to);
    pecan_arch::context_switch(&from.context, &to.context);
    to.link()
}
