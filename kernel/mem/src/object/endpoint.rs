//! Endpoints.

use core::cell::Cell;

use super::Tcb;
use crate::link::Link;

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
