//! Endpoints: sending, receiving, and giving up on either.
//!
//! An endpoint owns its queue: the threads that are BlockedOnSend or BlockedOnReceive there, and no others.
//! Senders and receivers are never queued together, since whoever comes second finds the first. A message is
//! moved while both threads are known, from one's registers and buffer to the other's, so the kernel stores
//! none. Invocations, faults and the slow halves of the fast paths call `send` and `receive`; deletion,
//! suspension and priority changes take threads out.

use pecan_arch::reg;
use pecan_mem::{Endpoint, EndpointState, Fault, Kernel, Link, NotificationState, Reply, Tcb, ThreadState};

use crate::{
    cap::extra::Parcel,
    ipc::{cancel, notification, queue, reply, transfer},
    sched::{context, next::Next, wake},
};

/// How a message is sent.
#[derive(Clone, Copy)]
pub struct Sending<'a> {
    /// Wait for a receiver if there is none.
    pub blocking: bool,
    /// An answer is expected.
    pub call: bool,
    /// The sender's scheduling context may be lent to a passive receiver.
    pub donate: bool,
    /// Badge of the capability.
    pub badge: u64,
    /// The capability lets capabilities pass.
    pub grant: bool,
    /// The capability lets the receiver get a reply capability.
    pub grant_reply: bool,
    /// What goes along, if it has been looked up.
    pub parcel: Option<&'a Parcel>,
}

/// Sends the message of `sender` (or its fault) to an endpoint.
pub fn send(k: &Kernel, sender: &Tcb, ep: &Endpoint, how: Sending) -> Next {
    if ep.state() != EndpointState::Receiving {
        if how.blocking {
            let Sending { call, badge, grant, grant_reply, .. } = how;
            sender.state.set(ThreadState::BlockedOnSend { ep: ep.link(), badge, grant, grant_reply, call });
            queue::enter(k, ep, EndpointState::Sending, sender);
        }
        return Next::Resume;
    }
    let Some(receiver) = ep.head() else { return Next::Resume };
    let receiver = receiver.get(k);
    queue::take_head(k, ep, receiver, EndpointState::Receiving);
    transfer::message(k, sender, Some(ep), how.badge, how.grant, receiver, how.parcel);
    let reply = match receiver.state.get() {
        ThreadState::BlockedOnReceive { reply, .. } => reply,
        _ => None,
    };
    if let Some(reply) = reply {
        reply::unlink(reply.get(k), receiver);
    }
    let faulted = sender.fault() != Fault::None;
    if how.call || faulted {
        match reply.filter(|_| how.grant || how.grant_reply) {
            Some(reply) => reply::push(k, sender, receiver, reply.get(k), how.donate),
            None => sender.state.set(ThreadState::Inactive),
        }
    } else if how.donate
        && receiver.sched_context.get().is_none()
        && let Some(sc) = sender.sched_context.get()
    {
        context::donate(k, sc.get(k), receiver);
    }
    wake::unblock(k, receiver)
}

/// Receives: takes the message of the first sender, or waits for one. A signal of the bound notification comes
/// first. Not `blocking`, the receiver gets badge 0 if nobody sends.
pub fn receive(
    k: &Kernel,
    receiver: &Tcb,
    ep: &Endpoint,
    blocking: bool,
    reply: Option<Link<Reply>>,
) -> Next {
    if let Some(reply) = reply
        && let Some(waiting) = reply.get(k).tcb.get()
        && waiting != receiver.link()
    {
        // The reply object still holds another thread; it is given up.
        cancel::cancel_ipc(k, waiting.get(k));
    }
    if let Some(ntfn) = receiver.bound_notification() {
        if ntfn.get(k).state.get() == NotificationState::Active {
            notification::take(k, receiver, ntfn.get(k));
            return Next::Resume;
        }
        if blocking {
            // On a scheduling context of the notification it waits passively.
            notification::maybe_return(k, ntfn.get(k), receiver);
        }
    }
    let sender = match (ep.state(), ep.head()) {
        (EndpointState::Sending, Some(sender)) => sender.get(k),
        _ if blocking => {
            receiver.state.set(ThreadState::BlockedOnReceive { ep: ep.link(), reply });
            if let Some(reply) = reply {
                reply.get(k).tcb.set(Some(receiver.link()));
            }
            queue::enter(k, ep, EndpointState::Receiving, receiver);
            return Next::Resume;
        }
        _ => {
            receiver.context.set(reg::CAP, 0);
            return Next::Resume;
        }
    };
    let ThreadState::BlockedOnSend { badge, grant, grant_reply, call, .. } = sender.state.get() else {
        return Next::Resume;
    };
    queue::pass(k, sender);
    queue::take_head(k, ep, sender, EndpointState::Sending);
    transfer::message(k, sender, Some(ep), badge, grant, receiver, None);
    wake::refresh_budget(k, sender);
    let fault = sender.fault();
    if call || fault != Fault::None {
        match reply.filter(|_| grant || grant_reply) {
            Some(reply) => {
                let donate = sender.sched_context.get().is_some() && !matches!(fault, Fault::Timeout { .. });
                reply::push(k, sender, receiver, reply.get(k), donate);
            }
            None => sender.state.set(ThreadState::Inactive),
        }
        Next::Resume
    } else {
        wake::unblock(k, sender)
    }
}
