//! Endpoints: sending, receiving, and giving up on either.

use pecan_arch::reg;
use pecan_mem::{Endpoint, EndpointState, Fault, Kernel, Link, NotificationState, Reply, Tcb, ThreadState};

use crate::{error::Preempted, notification, reply, sched_context, scheduler::Next, thread, transfer};

/// A queue of blocked threads, by priority and then by arrival.
#[derive(Clone, Copy)]
pub struct Queue {
    /// The first thread.
    pub head: Option<Link<Tcb>>,
    /// The last thread.
    pub tail: Option<Link<Tcb>>,
}

impl Queue {
    /// No threads.
    pub const EMPTY: Queue = Queue { head: None, tail: None };

    /// Puts a thread behind those of the same or a higher priority.
    pub fn insert(&mut self, k: &Kernel, thread: &Tcb) {
        let mut before = self.tail;
        while let Some(t) = before
            && t.get(k).priority.get() < thread.priority.get()
        {
            before = t.get(k).ipc_queue.prev.get();
        }
        let after = match before {
            Some(t) => t.get(k).ipc_queue.next.replace(Some(thread.link())),
            None => self.head.replace(thread.link()),
        };
        match after {
            Some(t) => t.get(k).ipc_queue.prev.set(Some(thread.link())),
            None => self.tail = Some(thread.link()),
        }
        thread.ipc_queue.prev.set(before);
        thread.ipc_queue.next.set(after);
    }

    /// Takes a thread out.
    #[inline]
    pub fn remove(&mut self, k: &Kernel, thread: &Tcb) {
        let (prev, next) = (thread.ipc_queue.prev.take(), thread.ipc_queue.next.take());
        match prev {
            Some(t) => t.get(k).ipc_queue.next.set(next),
            None => self.head = next,
        }
        match next {
            Some(t) => t.get(k).ipc_queue.prev.set(prev),
            None => self.tail = prev,
        }
    }

    /// Takes the first thread out.
    #[inline]
    pub fn pop<'k>(&mut self, k: &'k Kernel) -> Option<&'k Tcb> {
        let thread = self.head?.get(k);
        self.remove(k, thread);
        Some(thread)
    }
}

fn queue(ep: &Endpoint) -> Queue {
    Queue { head: ep.head(), tail: ep.tail() }
}

fn remove(k: &Kernel, ep: &Endpoint, thread: &Tcb) {
    let mut q = queue(ep);
    q.remove(k, thread);
    ep.set_queue(ep.state(), q.head, q.tail);
}

/// Takes the first thread out of an endpoint's queue.
#[inline(always)]
fn remove_head(k: &Kernel, ep: &Endpoint, head: &Tcb, state: EndpointState) {
    match head.ipc_queue.next.get() {
        Some(next) => {
            head.ipc_queue.next.set(None);
            next.get(k).ipc_queue.prev.set(None);
            ep.set_queue(state, Some(next), ep.tail());
        }
        None => ep.set_queue(EndpointState::Idle, None, None),
    }
}

fn insert(k: &Kernel, ep: &Endpoint, state: EndpointState, thread: &Tcb) {
    let mut q = queue(ep);
    q.insert(k, thread);
    ep.set_queue(state, q.head, q.tail);
}

/// How a message is sent.
#[derive(Clone, Copy)]
pub struct Sending {
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
}

/// Sends the message of `sender` (or its fault) to an endpoint.
pub fn send(k: &Kernel, sender: &Tcb, ep: &Endpoint, how: Sending) -> Next {
    if ep.state() != EndpointState::Receiving {
        if how.blocking {
            let Sending { call, badge, grant, grant_reply, .. } = how;
            sender.state.set(ThreadState::BlockedOnSend { ep: ep.link(), badge, grant, grant_reply, call });
            insert(k, ep, EndpointState::Sending, sender);
        }
        return Next::Resume;
    }
    let Some(receiver) = ep.head() else { return Next::Resume };
    let receiver = receiver.get(k);
    remove_head(k, ep, receiver, EndpointState::Receiving);
    transfer::message(k, sender, Some(ep), how.badge, how.grant, receiver);
    let reply = match receiver.state.get() {
        ThreadState::BlockedOnReceive { reply, .. } => reply,
        _ => None,
    };
    if let Some(reply) = reply {
        reply::unlink(reply.get(k), receiver);
    }
    let faulted = sender.fault.get() != Fault::None;
    if how.call || faulted {
        match reply.filter(|_| how.grant || how.grant_reply) {
            Some(reply) => reply::push(k, sender, receiver, reply.get(k), how.donate),
            None => sender.state.set(ThreadState::Inactive),
        }
    } else if how.donate
        && receiver.sched_context.get().is_none()
        && let Some(sc) = sender.sched_context.get()
    {
        sched_context::donate(k, sc.get(k), receiver);
    }
    thread::unblock(k, receiver)
}

/// Receives: takes the message of the first sender, or waits for one. A signal of the bound notification comes
/// first. Not `blocking`, the receiver gets badge 0 if nobody sends.
pub fn receive(
    k: &Kernel,
    receiver: &Tcb,
    ep: &Endpoint,
    grant: bool,
    blocking: bool,
    reply: Option<Link<Reply>>,
) -> Next {
    if let Some(reply) = reply
        && let Some(waiting) = reply.get(k).tcb.get()
        && waiting != receiver.link()
    {
        // The reply object still holds another thread; it is given up.
        cancel_ipc(k, waiting.get(k));
    }
    if let Some(ntfn) = receiver.bound_notification.get() {
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
            receiver.state.set(ThreadState::BlockedOnReceive { ep: ep.link(), grant, reply });
            if let Some(reply) = reply {
                reply.get(k).tcb.set(Some(receiver.link()));
            }
            insert(k, ep, EndpointState::Receiving, receiver);
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
    remove_head(k, ep, sender, EndpointState::Sending);
    transfer::message(k, sender, Some(ep), badge, grant, receiver);
    thread::refresh_budget(k, sender);
    let fault = sender.fault.get();
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
        thread::unblock(k, sender)
    }
}

/// Takes a thread out of whatever it waits in; it is inactive then. One that does not wait stays as it is.
pub fn cancel_ipc(k: &Kernel, thread: &Tcb) {
    let state = thread.state.get();
    match state {
        ThreadState::BlockedOnSend { ep, .. } => {
            remove(k, ep.get(k), thread);
            thread.state.set(ThreadState::Inactive);
        }
        ThreadState::BlockedOnReceive { ep, reply, .. } => {
            remove(k, ep.get(k), thread);
            if let Some(reply) = reply {
                reply.get(k).tcb.set(None);
            }
            thread.state.set(ThreadState::Inactive);
        }
        ThreadState::BlockedOnReply { reply } => match reply {
            Some(reply) => reply::remove_caller(k, reply.get(k), thread),
            None => thread.state.set(ThreadState::Inactive),
        },
        ThreadState::BlockedOnNotification { ntfn } => notification::cancel_wait(k, thread, ntfn.get(k)),
        ThreadState::Inactive | ThreadState::Running | ThreadState::Restart | ThreadState::Idle => {}
    }
    thread.fault.set(Fault::None);
}

/// Ends the wait of a thread that has just been taken out of a queue whose endpoint goes away.
fn abort(k: &Kernel, thread: &Tcb) -> Next {
    if let ThreadState::BlockedOnReceive { reply: Some(reply), .. } = thread.state.get() {
        reply::unlink(reply.get(k), thread);
    }
    if thread.fault.get() == Fault::None {
        thread::unblock_restart(k, thread)
    } else {
        // It was telling its fault handler; that is gone.
        thread.state.set(ThreadState::Inactive);
        Next::Resume
    }
}

/// Every queued thread makes its system call again (and finds the capability gone).
pub fn cancel_all(k: &Kernel, ep: &Endpoint) -> Next {
    let mut q = queue(ep);
    if q.head.is_none() {
        return Next::Resume;
    }
    ep.set_queue(EndpointState::Idle, None, None);
    let mut next = Next::Choose;
    while let Some(thread) = q.pop(k) {
        next = next.and(k, abort(k, thread));
    }
    next
}

/// The same for those that send with the badge `badge`.
pub fn cancel_badged(k: &Kernel, ep: &Endpoint, badge: u64) -> Result<Next, Preempted> {
    if ep.state() != EndpointState::Sending {
        return Ok(Next::Resume);
    }
    let mut next = Next::Choose;
    let mut at = ep.head();
    while let Some(thread) = at {
        let thread = thread.get(k);
        at = thread.ipc_queue.next.get();
        if matches!(thread.state.get(), ThreadState::BlockedOnSend { badge: b, .. } if b == badge) {
            remove(k, ep, thread);
            next = next.and(k, abort(k, thread));
        }
    }
    Ok(next)
}

/// The place of a queued thread changes with its priority.
pub fn reorder(k: &Kernel, thread: &Tcb, ep: &Endpoint) {
    let state = ep.state();
    let mut q = queue(ep);
    q.remove(k, thread);
    q.insert(k, thread);
    ep.set_queue(state, q.head, q.tail);
}
