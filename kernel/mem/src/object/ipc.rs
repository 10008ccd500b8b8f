//! What threads meet at: endpoints, notifications and reply objects.

use core::cell::Cell;

use super::{SchedContext, Tcb};
use crate::link::Link;

/// Bits of a word with a link to a reply object or a scheduling context that hold something else.
const FLAGS: u64 = 3;

/// An optional link in one word, with room for [`FLAGS`].
#[inline(always)]
fn unpack<T>(word: u64) -> Option<Link<T>> {
    let addr = (word & !FLAGS) as usize;
    // SAFETY: 1. not null is checked; alignment and 2. life: the words that come here were made by `pack`.
    (addr != 0).then(|| unsafe { Link::from_addr(addr) })
}

#[inline(always)]
fn pack<T>(link: Option<Link<T>>) -> u64 {
    const { assert!(align_of::<T>() > FLAGS as usize) };
    link.map_or(0, |l| l.addr() as u64)
}

/// What the threads queued at an endpoint are there for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum EndpointState {
    /// Nobody is queued.
    Idle = 0,
    /// Senders are queued.
    Sending = 1,
    /// Receivers are queued.
    Receiving = 2,
}

/// A synchronous endpoint: a queue of threads that all wait to send, or all to receive.
///
/// Most endpoints have one thread at most. Then one word says all: [`Endpoint::tail`].
#[repr(C, align(16))]
pub struct Endpoint {
    /// The first thread, where there are several.
    head: Cell<u64>,
    /// The last thread. In the byte below its address ([`Endpoint::STATE`]) are the state in bits 0 and 1, [`Endpoint::SEVERAL`]
    /// in bit 2, and in bits 3 to 7 the core that the endpoint is at home on, which is core 0 as long as there is but one. So
    /// one comparison says all three. The word of an endpoint of core 0 without a thread is 0.
    tail: Cell<u64>,
}

impl Endpoint {
    /// Bits of [`Endpoint::tail`] that are not the address: threads lie at multiples of 256.
    const STATE: u64 = 0xff;
    /// There are several threads.
    const SEVERAL: u64 = 4;
    /// One thread waits to receive, at home on this core.
    const ONE_RECEIVER: u64 = EndpointState::Receiving as u64;

    /// What the queued threads are there for.
    #[inline(always)]
    pub fn state(&self) -> EndpointState {
        match self.tail.get() & 3 {
            1 => EndpointState::Sending,
            2 => EndpointState::Receiving,
            _ => EndpointState::Idle,
        }
    }

    /// The first queued thread.
    #[inline(always)]
    pub fn head(&self) -> Option<Link<Tcb>> {
        let tail = self.tail.get();
        let word = if tail & Self::SEVERAL == 0 { tail } else { self.head.get() };
        thread(word)
    }

    /// The first queued thread, if the queue is one of receivers.
    #[inline(always)]
    pub fn receiver(&self) -> Option<Link<Tcb>> {
        if self.state() == EndpointState::Receiving { self.head() } else { None }
    }

    /// The thread that waits to receive, if there is just one.
    #[inline(always)]
    pub fn one_receiver(&self) -> Option<Link<Tcb>> {
        let word = self.tail.get();
        // SAFETY: alignment and 2. life: `set_queue` and `set_one_receiver` store links; 1. not null: they give this state
        // to threads only.
        (word & Self::STATE == Self::ONE_RECEIVER)
            .then(|| unsafe { Link::from_addr((word - Self::ONE_RECEIVER) as usize) })
    }

    /// True if nobody is queued.
    #[inline(always)]
    pub fn is_idle(&self) -> bool {
        self.tail.get() == 0
    }

    /// Nobody is queued any more.
    #[inline(always)]
    pub fn set_idle(&self) {
        self.tail.set(0);
    }

    /// One thread waits to receive, and nobody else is queued.
    #[inline(always)]
    pub fn set_one_receiver(&self, thread: Link<Tcb>) {
        self.tail.set(thread.addr() as u64 + Self::ONE_RECEIVER);
    }

    /// The last queued thread.
    #[inline(always)]
    pub fn tail(&self) -> Option<Link<Tcb>> {
        thread(self.tail.get())
    }

    /// Sets the queue's ends. With no head the state becomes `Idle` whatever `state` says.
    #[inline]
    pub fn set_queue(&self, state: EndpointState, head: Option<Link<Tcb>>, tail: Option<Link<Tcb>>) {
        match (head, tail) {
            (Some(head), Some(tail)) if head == tail => self.tail.set(tail.addr() as u64 | state as u64),
            (Some(head), Some(tail)) => {
                self.head.set(head.addr() as u64);
                self.tail.set(tail.addr() as u64 | state as u64 | Self::SEVERAL);
            }
            _ => self.set_idle(),
        }
    }

    /// A link to this endpoint.
    #[inline(always)]
    pub fn link(&self) -> Link<Endpoint> {
        Link::of(self)
    }
}

/// The thread in a word of an endpoint's, if there is one.
#[inline(always)]
fn thread(word: u64) -> Option<Link<Tcb>> {
    const { assert!(align_of::<Tcb>() > Endpoint::STATE as usize) };
    let addr = (word & !Endpoint::STATE) as usize;
    // SAFETY: 1. not null is checked; alignment and 2. life: the words were made of links.
    (addr != 0).then(|| unsafe { Link::from_addr(addr) })
}

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

/// What follows a reply object in the call stack, towards its top.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReplyNext {
    /// The reply object is not part of a call stack.
    None,
    /// The reply object of the next call.
    Reply(Link<Reply>),
    /// It is the top of the stack: the scheduling context that was lent along it.
    SchedContext(Link<SchedContext>),
}

/// A reply object: the caller that waits for an answer, and its place in the stack of calls along which a
/// scheduling context was lent.
#[repr(C, align(32))]
pub struct Reply {
    /// The thread that waits: for the answer (`BlockedOnReply`), or for a call to fill the object
    /// (`BlockedOnReceive`).
    pub tcb: Cell<Option<Link<Tcb>>>,
    /// The call before, towards the bottom of the stack.
    pub prev: Cell<Option<Link<Reply>>>,
    /// Towards the top: a scheduling context, or a reply object, marked by bit 0. So a comparison with the scheduling context
    /// that is in use tells whether this is the top of its stack.
    next: Cell<u64>,
    _unused: Cell<u64>,
}

impl Reply {
    /// Marks a reply object in `next`.
    const REPLY: u64 = 1;

    /// What follows towards the top of the call stack.
    #[inline(always)]
    pub fn next(&self) -> ReplyNext {
        let word = self.next.get();
        if word & Self::REPLY == 0 {
            unpack(word).map_or(ReplyNext::None, ReplyNext::SchedContext)
        } else {
            unpack(word).map_or(ReplyNext::None, ReplyNext::Reply)
        }
    }

    /// Sets what follows towards the top of the call stack.
    #[inline(always)]
    pub fn set_next(&self, next: ReplyNext) {
        self.next.set(match next {
            ReplyNext::None => 0,
            ReplyNext::Reply(reply) => pack(Some(reply)) | Self::REPLY,
            ReplyNext::SchedContext(sc) => pack(Some(sc)),
        });
    }

    /// True if this is the top of the call stack along which the scheduling context was lent.
    #[inline(always)]
    pub fn is_top_of(&self, sc: Link<SchedContext>) -> bool {
        self.next.get() == pack(Some(sc))
    }

    /// A link to this reply object.
    #[inline(always)]
    pub fn link(&self) -> Link<Reply> {
        Link::of(self)
    }
}
