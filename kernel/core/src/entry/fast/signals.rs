//! Messages without an answer and signals, and taking a signal that is there.
//!
//! A signal that wakes nobody, or one that is there, leaves nothing to schedule. A message without words, or a signal, to a
//! thread that waits alone with time of its own and wins lets that thread take over at once, if there is nothing
//! else to do: both threads run on round-robin scheduling contexts, nothing is due, the timer may stay as it is. This
//! reads the clock. Others take the slow path's second half at once ([`directly`]).
//!
//! As in all fast paths, nothing has changed where the answer is `None`.

#[cfg(test)]
mod tests;

use pecan_arch::reg;
use pecan_config::NUM_DOMAINS;
use pecan_mem::{Endpoint, Kernel, Link, Notification, NotificationState, Running, Tcb, ThreadState, follow};

use crate::{
    base::message::{INFO_CAPS, INFO_SHAPE},
    entry::{
        fast::{INFO_MASK, Resumed, Switch},
        leave,
    },
    ipc::{
        end,
        endpoint::{self, Sending},
        notification,
    },
    sched::{
        budget::{self, Handover},
        ready,
    },
};

/// What has become of a message.
pub enum Sent<'k> {
    /// It was a signal, which is noted: the thread goes on.
    Noted(Resumed<'k>),
    /// It went to a thread that takes over.
    Received(Switch<'k>),
}

impl Sent<'_> {
    /// Completes what is left to whoever returns to user level. Returns the thread, which is the current one then.
    pub fn settle(self, k: &Kernel) -> Link<Tcb> {
        match self {
            Sent::Noted(resumed) => resumed.settle(k),
            Sent::Received(switch) => switch.settle(k),
        }
    }
}

/// Why [`send`] has not sent. Nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unsent {
    /// [`directly`] does it.
    Directly,
    /// This is for the slow path.
    Slow,
}

/// `Send` or `NBSend` on the capability at `cptr`, of a message without capabilities.
#[inline(always)]
pub fn send<'k>(k: &'k Kernel, running: Running<'k>, cptr: u64, info: u64) -> Result<Sent<'k>, Unsent> {
    let cap = running.words(k, cptr).ok_or(Unsent::Slow)?;
    // Capabilities that go along are looked up, even if nobody gets them.
    if info & INFO_CAPS != 0 {
        return Err(Unsent::Slow);
    }
    let woken = match cap.notification_for_signal() {
        Some(ntfn) => {
            let ntfn = ntfn.get(k);
            let (thread, alone) = match ntfn.state.get() {
                NotificationState::Waiting => {
                    let thread = follow(ntfn.head.get(), k).ok_or(Unsent::Directly)?;
                    (thread, thread.ipc_queue.next.get().is_none())
                }
                state => match receives_while_bound(k, ntfn) {
                    Some((thread, ep)) if state == NotificationState::Idle => {
                        (thread, ep.one_receiver() == Some(thread.link()))
                    }
                    _ => {
                        ntfn.state.set(NotificationState::Active);
                        // Whatever is not active has no badge.
                        ntfn.badge.set(ntfn.badge.get() | cap.badge());
                        return Ok(Sent::Noted(Resumed { thread: running.get(), cap: cptr, info }));
                    }
                },
            };
            let woken = Resumed { thread, cap: cap.badge(), info: thread.context.get(reg::INFO) };
            alone.then_some(woken)
        }
        None => {
            let ep = cap.endpoint_for_send().ok_or(Unsent::Slow)?.get(k);
            let receiver = if info & INFO_SHAPE == 0 { ep.one_receiver() } else { None };
            follow(receiver, k).map(|thread| Resumed { thread, cap: cap.badge(), info: info & INFO_MASK })
        }
    };
    woken.and_then(|woken| wake(k, running, woken)).map(Sent::Received).ok_or(Unsent::Directly)
}

/// The thread bound to a notification, and where it receives, if it does.
#[inline(always)]
fn receives_while_bound<'k>(k: &'k Kernel, ntfn: &Notification) -> Option<(&'k Tcb, &'k Endpoint)> {
    let bound = follow(ntfn.bound_tcb.get(), k)?;
    match bound.state.get() {
        ThreadState::BlockedOnReceive { ep, .. } => Some((bound, ep.get(k))),
        _ => None,
    }
}

/// A thread that waits alone, on time of its own, is woken and takes over from the one that runs. `None` if it does not, or
/// there is anything out of the ordinary.
#[inline(always)]
fn wake<'k>(k: &'k Kernel, running: Running<'k>, woken: Resumed<'k>) -> Option<Switch<'k>> {
    let (thread, current) = (woken.thread, running.get());
    // Nobody in the queues beats the thread that runs.
    if thread.priority.get() <= current.priority.get()
        || NUM_DOMAINS > 1 && thread.domain.get() != k.core().domain.get()
    {
        return None;
    }
    let sc = thread.sched_context.get()?.get(k);
    let space = thread.ready(k)?;
    let handover = Handover::to(k, sc)?;
    // In this order, what has been found is in registers no longer than it must be.
    k.switch_vspace(space);
    handover.commit(k);
    match (thread.state.waits_at(), thread.state.get()) {
        (Some(ntfn), _) => notification::set_idle(ntfn.get(k)),
        (_, ThreadState::BlockedOnReceive { ep, reply }) => {
            ep.get(k).set_idle();
            if let Some(reply) = reply {
                reply.get(k).tcb.set(None);
            }
        }
        _ => debug_assert!(false, "a thread that is woken waits"),
    }
    ready::put_back(k, current);
    thread.state.set(ThreadState::Running);
    Some(Switch { from: current, to: woken })
}

/// Who gets a message.
enum Receiver {
    /// Whoever waits for this notification.
    Notification(Link<Notification>),
    /// Whoever receives at this endpoint, now or later.
    Endpoint(Link<Endpoint>),
}

/// Carries out a `Send`, or an `NBSend` if not `blocking`, of a message without capabilities, as the current thread's
/// registers say. Returns the thread to run, which is the current one now. `None`: nothing has changed, and this is for
/// the slow path.
#[inline(always)]
pub fn directly(k: &Kernel, blocking: bool) -> Option<Link<Tcb>> {
    let sender = k.running().get();
    let cap = k.running().words(k, sender.context.get(reg::CAP))?;
    let receiver = match cap.notification_for_signal() {
        Some(ntfn) => Receiver::Notification(ntfn),
        None => Receiver::Endpoint(cap.endpoint_for_send()?),
    };
    budget::update_time(k);
    let next = match (end::check_budget_restart(k), receiver) {
        (Ok(()), Receiver::Notification(ntfn)) => notification::signal(k, ntfn.get(k), cap.badge()),
        (Ok(()), Receiver::Endpoint(ep)) => {
            let how = Sending {
                blocking,
                call: false,
                donate: false,
                badge: cap.badge(),
                grant: cap.endpoint_grant(),
                grant_reply: cap.endpoint_grant_reply(),
                parcel: None,
            };
            endpoint::send(k, sender, ep.get(k), how)
        }
        (Err(next), _) => next,
    };
    Some(leave::schedule(k, next))
}

/// `Wait`, or `NBWait` if not `blocking`, on the capability at `cptr`, if it is one to a notification and the thread need
/// not block. Returns what it finds in [`reg::CAP`].
#[inline(always)]
pub fn wait(k: &Kernel, running: Running, cptr: u64, blocking: bool) -> Option<u64> {
    let ntfn = running.words(k, cptr)?.notification_for_wait()?.get(k);
    if ntfn.bound_tcb.get().is_some_and(|bound| bound != running.get().link()) {
        return None;
    }
    if ntfn.state.get() == NotificationState::Active {
        // A thread that runs needs no scheduling context of the notification's.
        ntfn.state.set(NotificationState::Idle);
        Some(ntfn.badge.replace(0))
    } else if blocking {
        None
    } else {
        Some(0)
    }
}
