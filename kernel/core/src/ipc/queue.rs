//! Queues of blocked threads at endpoints and notifications, by priority and then by arrival.
//!
//! Neighbours of the same priority know the first and the last of them (`ipc_peer`), so that insertion looks at two
//! threads of each priority at most. A cancelling that was preempted in a queue goes on at a thread of it: who leaves or
//! enters the queue keeps that right.
//!
//! The queue of an endpoint or a notification is in order of priority, and of arrival within one. Of
//! neighbours with the same priority the first and the last know each other (`Tcb::ipc_peer`): so a place is
//! found in at most as many steps as there are priorities, however many threads wait. Whoever changes the
//! priority of a queued thread must reorder it.

use core::hint::cold_path;

use pecan_mem::{
    Endpoint, EndpointState, Kernel, Link, Notification, NotificationState, Tcb, ThreadState, follow,
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
    #[inline(never)]
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

fn of_endpoint(ep: &Endpoint) -> Queue {
    Queue { head: ep.head(), tail: ep.tail() }
}

/// Takes a thread out of the queue of an endpoint.
pub fn leave(k: &Kernel, ep: &Endpoint, thread: &Tcb) {
    pass(k, thread);
    let mut q = of_endpoint(ep);
    q.remove(k, thread);
    ep.set_queue(ep.state(), q.head, q.tail);
}

/// Takes the first thread out of an endpoint's queue.
#[inline(always)]
pub fn take_head(k: &Kernel, ep: &Endpoint, head: &Tcb, state: EndpointState) {
    match head.ipc_queue.next.get() {
        Some(next) => {
            promote(k, head, next);
            ep.set_queue(state, Some(next), ep.tail());
        }
        None => ep.set_queue(EndpointState::Idle, None, None),
    }
}

/// Puts a thread into the queue of an endpoint, whose threads all send or all receive: `state` says which.
pub fn enter(k: &Kernel, ep: &Endpoint, state: EndpointState, thread: &Tcb) {
    let mut q = of_endpoint(ep);
    q.insert(k, thread);
    ep.set_queue(state, q.head, q.tail);
    announce(k, ep, thread);
}

/// The thread has entered the queue of an endpoint: a cancelling that is under way must not miss it.
#[inline(always)]
fn announce(k: &Kernel, ep: &Endpoint, thread: &Tcb) {
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
pub fn pass(k: &Kernel, thread: &Tcb) {
    let next = &k.global().cancelling.next;
    if next.get() == Some(thread.link()) {
        next.set(thread.ipc_queue.next.get());
    }
}

/// True if the thread waits to send with this badge.
pub fn sends_with(thread: &Tcb, badge: u64) -> bool {
    matches!(thread.state.get(), ThreadState::BlockedOnSend { badge: b, .. } if b == badge)
}

/// Gives a queued thread another priority, and with it another place.
pub fn reorder(k: &Kernel, thread: &Tcb, ep: &Endpoint, priority: u8) {
    pass(k, thread);
    let (state, mut q) = (ep.state(), of_endpoint(ep));
    q.remove(k, thread);
    thread.priority.set(priority);
    q.insert(k, thread);
    ep.set_queue(state, q.head, q.tail);
    announce(k, ep, thread);
}

/// The queue of those that wait for a notification.
pub fn of_notification(ntfn: &Notification) -> Queue {
    Queue { head: ntfn.head.get(), tail: ntfn.tail.get() }
}

/// Sets the queue of a notification, and with it whether that is idle.
#[inline]
pub fn set_of_notification(ntfn: &Notification, queue: Queue) {
    ntfn.head.set(queue.head);
    ntfn.tail.set(queue.tail);
    ntfn.state.set(if queue.head.is_some() { NotificationState::Waiting } else { NotificationState::Idle });
}

/// Gives a queued thread another priority, and with it another place.
pub fn reorder_waiting(k: &Kernel, thread: &Tcb, ntfn: &Notification, priority: u8) {
    let mut waiting = of_notification(ntfn);
    waiting.remove(k, thread);
    thread.priority.set(priority);
    waiting.insert(k, thread);
    set_of_notification(ntfn, waiting);
}
