//! Notifications.

use core::cell::Cell;

use super::{SchedContext, Tcb};
use crate::link::Link;

/// What a notification is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum NotificationState {
    /// No signal, nobody waits.
    Idle = 0,
    /// Threads wait.
    Waiting = 1,
    /// Signalled; `badge` holds the word.
    Active = 2,
}

/// A notification: a word of signals, or a queue of threads that wait for one.
#[repr(C, align(64))]
pub struct Notification {
    /// What it is doing.
    pub state: Cell<NotificationState>,
    /// First waiting thread.
    pub head: Cell<Option<Link<Tcb>>>,
    /// Last waiting thread.
    pub tail: Cell<Option<Link<Tcb>>>,
    /// The badges of the signals not yet taken, or-ed.
    pub badge: Cell<u64>,
    /// The thread bound to the notification: it gets signals while it receives on an endpoint.
    pub bound_tcb: Cell<Option<Link<Tcb>>>,
    /// The scheduling context lent to a passive thread that takes a signal.
    pub sched_context: Cell<Option<Link<SchedContext>>>,
    /// Nobody else can build one: links are made of references, and this says that it lies in kernel memory.
    _unused: [Cell<u64>; 2],
}

impl Notification {
    /// A link to this notification.
    #[inline(always)]
    pub fn link(&self) -> Link<Notification> {
        Link::of(self)
    }
}
