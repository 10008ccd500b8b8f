//! Signals that wake nobody, and taking one that is there: nothing is to be scheduled. Other signals, and messages
//! without an answer, take the slow path's second half at once ([`directly`]).
//!
//! As in all fast paths, nothing has changed where the answer is `None`.

use pecan_mem::{
    Endpoint, Kernel, Link, Notification, NotificationState, Running, Tcb, ThreadState, Words, follow,
};

use crate::{
    budget,
    endpoint::{self, Sending},
    message::INFO_CAPS,
    notification, scheduler,
};

/// What becomes of a message without an answer.
pub enum Sent {
    /// It was a signal, which is noted.
    Noted,
    /// See [`directly`].
    Directly(Receiver, Words),
}

/// Who gets a message.
pub enum Receiver {
    /// Whoever waits for this notification.
    Notification(Link<Notification>),
    /// Whoever receives at this endpoint, now or later.
    Endpoint(Link<Endpoint>),
}

/// `Send` or `NBSend` on the capability at `cptr`, of a message without capabilities.
#[inline(always)]
pub fn send(k: &Kernel, running: Running, cptr: u64, info: u64) -> Option<Sent> {
    let cap = running.words(k, cptr)?;
    // Capabilities that go along are looked up, even if nobody gets them.
    if info & INFO_CAPS != 0 {
        return None;
    }
    let Some(link) = cap.notification_for_signal() else {
        return cap.endpoint_for_send().map(|ep| Sent::Directly(Receiver::Endpoint(ep), cap));
    };
    let ntfn = link.get(k);
    let directly = Sent::Directly(Receiver::Notification(link), cap);
    let badge = match ntfn.state.get() {
        NotificationState::Active => ntfn.badge.get() | cap.badge(),
        NotificationState::Idle => {
            if let Some(bound) = follow(ntfn.bound_tcb.get(), k)
                && matches!(bound.state.get(), ThreadState::BlockedOnReceive { .. })
            {
                return Some(directly);
            }
            ntfn.state.set(NotificationState::Active);
            cap.badge()
        }
        NotificationState::Waiting => return Some(directly),
    };
    ntfn.badge.set(badge);
    Some(Sent::Noted)
}

/// Carries out a message without capabilities or an answer from the current thread, by a capability that allows it.
/// Returns the thread to run, which is the current one now.
#[inline(always)]
pub fn directly(k: &Kernel, receiver: Receiver, cap: Words, blocking: bool) -> Link<Tcb> {
    budget::update_time(k);
    let next = match (budget::check_budget_restart(k), receiver) {
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
            endpoint::send(k, k.running().get(), ep.get(k), how)
        }
        (Err(next), _) => next,
    };
    scheduler::schedule(k, next).link()
}

/// `Wait`, or `NBWait` if not `blocking`, on the capability at `cptr`, if it is one to a notification and the thread need
/// not block. Returns what it finds in [`reg::CAP`](pecan_arch::reg::CAP).
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
