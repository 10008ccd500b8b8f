//! Endpoints: sending, receiving, and giving up on either.

use core::hint::cold_path;

use pecan_arch::reg;
use pecan_mem::{
    Endpoint, EndpointState, Fault, Kernel, Link, NotificationState, Reply, Tcb, ThreadState, follow,
};

use crate::{
    error::Preempted,
    finalise, notification, reply, sched_context,
    scheduler::Next,
    thread,
    transfer::{self, Parcel},
};

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

    /// Puts a thread behind those of the same or a higher priority. Looks at two threads of each priority at most.
    pub fn insert(&mut self, k: &Kernel, thread: &Tcb) {
        let mut before = self.tail;
        while let Some(t) = before
            && t.get(k).priority.get() < thread.priority.get()
        {
            before = first_peer(k, t.get(k)).ipc_queue.prev.get();
        }
        if let Some(last) = follow(before, k) {
            join_peers(k, last, thread);
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
        match (are_peers(k, thread, prev), are_peers(k, thread, next)) {
            (false, true) => leave_peers(k, thread, next),
            (true, false) => leave_peers(k, thread, prev),
            _ => {}
        }
        match prev {
            Some(t) => t.get(k).ipc_queue.next.set(next),
            None => self.head = next,
        }
        match next {
            Some(t) => t.get(k).ipc_queue.prev.set(prev),
            None => self.tail = prev,
        }
    }
}

/// True if the other thread is there and has the same priority.
#[inline(always)]
fn are_peers(k: &Kernel, thread: &Tcb, other: Option<Link<Tcb>>) -> bool {
    follow(other, k).is_some_and(|other| other.priority.get() == thread.priority.get())
}

/// The first of the neighbours with the same priority of which `last` is the last.
#[inline(always)]
fn first_peer<'k>(k: &'k Kernel, last: &'k Tcb) -> &'k Tcb {
    match follow(last.ipc_peer.get(), k) {
        Some(first) if are_peers(k, last, last.ipc_queue.prev.get()) => first,
        _ => last,
    }
}

/// A thread is about to stand behind `last` in a queue, and before one of a lower priority.
#[inline(always)]
pub fn join_peers(k: &Kernel, last: &Tcb, thread: &Tcb) {
    if last.priority.get() == thread.priority.get() {
        cold_path();
        let first = first_peer(k, last);
        first.ipc_peer.set(Some(thread.link()));
        thread.ipc_peer.set(Some(first.link()));
    }
}

/// The first or last of several neighbours with the same priority leaves a queue: then `next` is that.
#[inline(always)]
fn leave_peers(k: &Kernel, thread: &Tcb, next: Option<Link<Tcb>>) {
    if let (Some(next), Some(end)) = (next, thread.ipc_peer.get()) {
        next.get(k).ipc_peer.set(Some(end));
        end.get(k).ipc_peer.set(Some(next));
    }
}

/// The head of a queue leaves it, and `next` is the head then.
#[inline(always)]
pub fn promote(k: &Kernel, head: &Tcb, next: Link<Tcb>) {
    head.ipc_queue.next.set(None);
    next.get(k).ipc_queue.prev.set(None);
    if are_peers(k, head, Some(next)) {
        cold_path();
        leave_peers(k, head, Some(next));
    }
}

fn queue(ep: &Endpoint) -> Queue {
    Queue { head: ep.head(), tail: ep.tail() }
}

fn remove(k: &Kernel, ep: &Endpoint, thread: &Tcb) {
    pass(k, thread);
    let mut q = queue(ep);
    q.remove(k, thread);
    ep.set_queue(ep.state(), q.head, q.tail);
}

/// Takes the first thread out of an endpoint's queue.
#[inline(always)]
fn remove_head(k: &Kernel, ep: &Endpoint, head: &Tcb, state: EndpointState) {
    match head.ipc_queue.next.get() {
        Some(next) => {
            promote(k, head, next);
            ep.set_queue(state, Some(next), ep.tail());
        }
        None => ep.set_queue(EndpointState::Idle, None, None),
    }
}

fn insert(k: &Kernel, ep: &Endpoint, state: EndpointState, thread: &Tcb) {
    let mut q = queue(ep);
    q.insert(k, thread);
    ep.set_queue(state, q.head, q.tail);
    // A cancelling that is under way must not miss it.
    let cancelling = &k.global().cancelling;
    if cancelling.endpoint.get() == Some(ep.link())
        && sends_with(thread, cancelling.badge.get())
        && follow(cancelling.next.get(), k).is_none_or(|next| next.priority.get() < thread.priority.get())
    {
        cancelling.next.set(Some(thread.link()));
    }
}

/// The thread leaves the queue of an endpoint: a cancelling that was to go on with it goes on behind it.
#[inline(always)]
fn pass(k: &Kernel, thread: &Tcb) {
    let next = &k.global().cancelling.next;
    if next.get() == Some(thread.link()) {
        next.set(thread.ipc_queue.next.get());
    }
}

/// True if the thread waits to send with this badge.
fn sends_with(thread: &Tcb, badge: u64) -> bool {
    matches!(thread.state.get(), ThreadState::BlockedOnSend { badge: b, .. } if b == badge)
}

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
            insert(k, ep, EndpointState::Sending, sender);
        }
        return Next::Resume;
    }
    let Some(receiver) = ep.head() else { return Next::Resume };
    let receiver = receiver.get(k);
    remove_head(k, ep, receiver, EndpointState::Receiving);
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
    pass(k, sender);
    remove_head(k, ep, sender, EndpointState::Sending);
    transfer::message(k, sender, Some(ep), badge, grant, receiver, None);
    thread::refresh_budget(k, sender);
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
    thread.set_fault(Fault::None);
}

/// Ends the wait of a thread that has just been taken out of a queue whose endpoint goes away.
fn abort(k: &Kernel, thread: &Tcb) -> Next {
    if let ThreadState::BlockedOnReceive { reply: Some(reply), .. } = thread.state.get() {
        reply::unlink(reply.get(k), thread);
    }
    if thread.fault() == Fault::None {
        thread::unblock_restart(k, thread)
    } else {
        // It was telling its fault handler; that is gone.
        thread.state.set(ThreadState::Inactive);
        Next::Resume
    }
}

/// Every queued thread makes its system call again (and finds the capability gone).
///
/// # Errors
/// `Preempted`: some threads are still queued.
pub fn cancel_all(k: &Kernel, ep: &Endpoint) -> Result<Next, Preempted> {
    let under_way = &k.global().cancelling.endpoint;
    if under_way.get() == Some(ep.link()) {
        under_way.set(None);
    }
    let mut next = Next::Resume;
    while let Some(thread) = ep.head() {
        let thread = thread.get(k);
        remove_head(k, ep, thread, ep.state());
        next = next.and(k, abort(k, thread)).settle(k);
        finalise::preemption_point(k)?;
    }
    Ok(next)
}

/// The same for those that send with the badge `badge`.
///
/// # Errors
/// `Preempted`: some threads have not been looked at. Another call with the same endpoint and badge goes on where this
/// one stopped, unless another cancelling has been preempted since.
pub fn cancel_badged(k: &Kernel, ep: &Endpoint, badge: u64) -> Result<Next, Preempted> {
    let under_way = &k.global().cancelling;
    let resumed = under_way.endpoint.take() == Some(ep.link()) && under_way.badge.get() == badge;
    let mut at = match ep.state() {
        EndpointState::Sending if resumed => under_way.next.take(),
        EndpointState::Sending => ep.head(),
        // Receivers are no matter, and who goes on from one would not notice that it leaves.
        _ => None,
    };
    let mut next = Next::Resume;
    while let Some(thread) = at {
        let thread = thread.get(k);
        at = thread.ipc_queue.next.get();
        if sends_with(thread, badge) {
            remove(k, ep, thread);
            next = next.and(k, abort(k, thread)).settle(k);
        }
        finalise::preemption_point(k).inspect_err(|_| {
            under_way.endpoint.set(Some(ep.link()));
            under_way.badge.set(badge);
            under_way.next.set(at);
        })?;
    }
    Ok(next)
}

/// Gives a queued thread another priority, and with it another place.
pub fn reorder(k: &Kernel, thread: &Tcb, ep: &Endpoint, priority: u8) {
    let state = ep.state();
    remove(k, ep, thread);
    thread.priority.set(priority);
    insert(k, ep, state, thread);
}
