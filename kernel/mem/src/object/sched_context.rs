//! Scheduling contexts.

use core::cell::Cell;

use super::{Notification, Reply, Tcb};
use crate::link::Link;

/// An amount of time that a scheduling context may use from a given moment on.
#[repr(C)]
pub struct Refill {
    /// From when, in ticks of the port's clock.
    pub time: Cell<u64>,
    /// How much, in ticks.
    pub amount: Cell<u64>,
}

/// A scheduling context: a budget per period, as a sporadic server with a ring of refills behind this struct.
#[repr(C)]
pub struct SchedContext {
    /// The thread that runs on it.
    pub tcb: Cell<Option<Link<Tcb>>>,
    /// The top of the call stack along which it was lent.
    pub reply: Cell<Option<Link<Reply>>>,
    /// The notification it is bound to.
    pub notification: Cell<Option<Link<Notification>>>,
    /// The thread that yielded to it and waits for the time used.
    pub yield_from: Cell<Option<Link<Tcb>>>,
    /// Period in ticks; 0 for a scheduling context whose budget equals its period (round robin).
    pub period: Cell<u64>,
    /// Ticks used since somebody last asked.
    pub consumed: Cell<u64>,
    /// Identifies the scheduling context in timeout faults.
    pub badge: Cell<u64>,
    /// Refills in use at most; 0 until configured.
    pub refill_max: Cell<u16>,
    /// Index of the first refill; below `refill_capacity`.
    refill_head: Cell<u16>,
    /// Refills in the ring.
    pub refill_count: Cell<u16>,
    /// Refills that fit into the object; at least two.
    pub(crate) refill_capacity: Cell<u16>,
    /// The core it runs on.
    pub core: Cell<u8>,
    /// Configured with the sporadic flag.
    pub sporadic: Cell<bool>,
    _pad: [Cell<u8>; 6],
    _unused: [Cell<u64>; 3],
    /// The first refills of the ring's memory. The rest lies behind this struct.
    pub refills: [Refill; 2],
}

const _: () = assert!(size_of::<SchedContext>() == 1 << pecan_abi::constants::MIN_SCHED_CONTEXT_BITS);

impl SchedContext {
    /// A link to this scheduling context.
    #[inline(always)]
    pub fn link(&self) -> Link<SchedContext> {
        Link::of(self)
    }

    /// Refills that fit, at most.
    #[inline(always)]
    pub fn refill_capacity(&self) -> usize {
        self.refill_capacity.get() as usize
    }

    /// The refill with index `i` of the ring's memory, `i < refill_capacity()`.
    #[inline(always)]
    pub fn refill(&self, i: usize) -> &Refill {
        debug_assert!(i < self.refill_capacity());
        let i = i.min(self.refill_capacity() - 1);
        // SAFETY: the index is below the capacity.
        unsafe { self.refill_at(i) }
    }

    /// Index of the first refill of the ring.
    #[inline(always)]
    pub fn refill_head(&self) -> usize {
        self.refill_head.get() as usize
    }

    /// Makes the refill with index `i`, `i < refill_capacity()`, the first of the ring.
    #[inline(always)]
    pub fn set_refill_head(&self, i: usize) {
        debug_assert!(i < self.refill_capacity());
        self.refill_head.set(i.min(self.refill_capacity() - 1) as u16);
    }

    /// The first refill of the ring.
    #[inline(always)]
    pub fn first_refill(&self) -> &Refill {
        // SAFETY: `set_refill_head` keeps the index below the capacity, which never changes.
        unsafe { self.refill_at(self.refill_head()) }
    }

    /// The refill with index `i` of the ring's memory.
    ///
    /// # Safety
    /// `i < refill_capacity()`
    #[inline(always)]
    unsafe fn refill_at(&self, i: usize) -> &Refill {
        // By address: a reference to the first ones reaches no further than this struct.
        let at = self.refills.as_ptr().addr() + i * size_of::<Refill>();
        // SAFETY: retype set `refill_capacity` to the refills that fit between `refills` and the end of the object (at least
        // two). They are made of cells, were zeroed, and live as long as the object.
        unsafe { &*core::ptr::with_exposed_provenance::<Refill>(at) }
    }
}
