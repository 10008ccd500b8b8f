//! Giving up on a message: one thread, all that wait at an object, or all that send with a badge.
//!
//! Whoever is taken out of a wait here leaves nothing behind: no place in a queue, no reply object that names
//! it, no fault. That is what lets deletion reuse the memory of all of them. Called when a thread is stopped,
//! and when a reply object is used for another.

use pecan_mem::{Endpoint, EndpointState, Fault, Kernel, Notification, Tcb, ThreadState};

use crate::{
    base::error::Preempted,
    ipc::{queue, reply},
    sched::{next::Next, preempt, wake},
};

/// Takes a thread out of whatever it waits in; it is inactive then. One that does not wait stays as it is.
pub fn cancel_ipc(k: &Kernel, thread: &Tcb) {
    let state = thread.state.get();
    match state {
        ThreadState::BlockedOnSend { ep, .. } => {
            queue::leave(k, ep.get(k), thread);
            thread.state.set(ThreadState::Inactive);
        }
        ThreadState::BlockedOnReceive { ep, reply, .. } => {
            queue::leave(k, ep.get(k), thread);
            if let Some(reply) = reply {
                reply.get(k).tcb.set(None);
            }
            thread.state.set(ThreadState::Inactive);
        }
        ThreadState::BlockedOnReply { reply } => match reply {
            Some(reply) => reply::remove_caller(k, reply.get(k), thread),
            None => thread.state.set(ThreadState::Inactive),
        },
        ThreadState::BlockedOnNotification { ntfn } => cancel_wait(k, thread, ntfn.get(k)),
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
        wake::unblock_restart(k, thread)
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
        queue::take_head(k, ep, thread, ep.state());
        next = next.and(k, abort(k, thread)).settle(k);
        preempt::preemption_point(k)?;
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
        if queue::sends_with(thread, badge) {
            queue::leave(k, ep, thread);
            next = next.and(k, abort(k, thread)).settle(k);
        }
        preempt::preemption_point(k).inspect_err(|_| {
            under_way.endpoint.set(Some(ep.link()));
            under_way.badge.set(badge);
            under_way.next.set(at);
        })?;
    }
    Ok(next)
}

/// Takes one thread out of the queue of those that wait.
pub fn cancel_wait(k: &Kernel, thread: &Tcb, ntfn: &Notification) {
    let mut waiting = queue::of_notification(ntfn);
    waiting.remove(k, thread);
    queue::set_of_notification(ntfn, waiting);
    thread.state.set(ThreadState::Inactive);
}

/// Every thread that waits makes its system call again (and finds the capability gone).
///
/// # Errors
/// `Preempted`: some threads still wait.
pub fn cancel_all_waiting(k: &Kernel, ntfn: &Notification) -> Result<Next, Preempted> {
    let mut next = Next::Resume;
    while let Some(thread) = ntfn.head.get() {
        let thread = thread.get(k);
        cancel_wait(k, thread, ntfn);
        next = next.and(k, wake::unblock_restart(k, thread)).settle(k);
        preempt::preemption_point(k)?;
    }
    Ok(next)
}
