//! The kernel's own state: one value, which is also the kernel lock.

use core::{cell::Cell, marker::PhantomData, ptr::addr_of_mut};

use pecan_arch::Space;
use pecan_config::{
    MAX_NUM_NODES, MEASURE_LATENCY, NUM_DOMAIN_SCHEDULES, NUM_DOMAINS, TRACK_KERNEL_ENTRIES,
    TRACK_UTILISATION,
};

use crate::{
    link::Link,
    object::{AsidPool, Endpoint, PageTable, SchedContext, Tcb, ThreadState, Usage},
    slot::Slot,
};

/// Priorities.
pub const PRIORITIES: usize = 256;
/// Words of [`CoreState::latency`] where there are any.
pub const LATENCY_WORDS: usize = 6;
/// ASID pools.
pub const ASID_POOLS: usize = 8;

/// The kernel's state, and the lock on it: whoever holds a reference is the only one in the kernel.
pub struct Kernel {
    /// The state of the core.
    pub core: CoreState,
    /// One slot for each interrupt, with the capability to the notification that it signals.
    pub irq_slots: [Slot; pecan_arch::MAX_IRQ],
    /// What each interrupt is used for.
    pub irq_states: [Cell<IrqState>; pecan_arch::MAX_IRQ],
    /// The ASID pools.
    pub asid_pools: [Cell<Option<Link<AsidPool>>>; ASID_POOLS],
    /// I/O ports that have been given out, a bit each.
    pub io_ports: [Cell<u64>; 65536 / 64],
    /// The domain schedule.
    pub domain_schedule: [DomainScheduleEntry; NUM_DOMAIN_SCHEDULES],
    /// Where the domain schedule begins anew.
    pub domain_start: Cell<usize>,
    /// Neither sent to nor shared with another host thread.
    _not_send: PhantomData<*const ()>,
}

/// What an interrupt is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum IrqState {
    /// Not used.
    Inactive = 0,
    /// There is a handler capability for it.
    Handler = 1,
    /// The kernel's timer.
    Timer = 2,
    /// Otherwise the kernel's own.
    Reserved = 3,
}

/// An entry of the domain schedule.
pub struct DomainScheduleEntry {
    /// The domain.
    pub domain: Cell<u8>,
    /// For how many ticks; 0 ends the schedule.
    pub duration: Cell<u64>,
}

/// How far a cancelling of badged sends has come: of the threads queued at `endpoint`, none before `next` sends with
/// `badge`.
pub struct Cancelling {
    /// The endpoint; `None` if no cancelling is under way.
    pub endpoint: Cell<Option<Link<Endpoint>>>,
    /// The badge.
    pub badge: Cell<u64>,
    /// The first thread not looked at yet; `None` at the end of the queue.
    pub next: Cell<Option<Link<Tcb>>>,
}

/// What a kernel that tracks utilisation or its entries knows (`pecan_core::benchmark`).
pub struct Tracking {
    /// It tracks now.
    pub on: Cell<bool>,
    /// The thread that the kernel was last entered from; `None` if it has been deleted since.
    pub from: Cell<Option<Link<Tcb>>>,
    /// When that was, in ticks.
    pub entered: Cell<u64>,
    /// What for (`pecan_abi::benchmark::KernelEntry`).
    pub entry: Cell<u64>,
    /// What all threads together have used.
    pub total: Usage,
    /// The thread that was the last to run for the first time since the kernel tracks.
    pub newest: Cell<Option<Link<Tcb>>>,
    /// A capability of the kernel's own to the frame that the log of entries lies in, if there is one.
    pub log: Slot,
    /// Entries in the log.
    pub logged: Cell<u64>,
}

/// The ready threads of one domain.
pub struct ReadyQueues {
    /// The first thread of each priority. Queues are rings: the head's `prev` is the tail.
    pub heads: [Cell<Option<Link<Tcb>>>; PRIORITIES],
    /// Priorities that have a thread, a bit each; the lowest priorities in the first word.
    pub bitmap: [Cell<u64>; PRIORITIES / 64],
    /// The highest priority that has a thread; 0 if none has.
    pub top: Cell<u8>,
}

/// The state of one core.
#[repr(C)]
pub struct CoreState {
    /// The thread that runs (or whose system call is being handled).
    pub current: Cell<Link<Tcb>>,
    /// The scheduling context that is being charged.
    pub current_sc: Cell<Link<SchedContext>>,
    /// Time of the last look at the clock, in ticks.
    pub time: Cell<u64>,
    /// Up to when, on the same clock, `current_sc` has been charged.
    pub charged: Cell<u64>,
    /// Until then (inclusive) the scheduler has nothing to do: the budget lasts, no thread is released, the
    /// domain does not end.
    pub quiet_until: Cell<u64>,
    /// For when the timer is set, as far as known; 0 once it has fired.
    pub timer: Cell<u64>,
    /// `current_sc` must be charged, and the two above be set anew, before user level runs.
    pub reprogram: Cell<bool>,
    /// Ends, and another one begins, when the root of some thread's spaces goes or changes; see [`Kernel::end_epoch`].
    pub epoch: Cell<u64>,
    /// The current domain.
    pub domain: Cell<u8>,
    /// Index in the domain schedule.
    pub domain_index: Cell<usize>,
    /// When the current domain ends, in ticks; all ones for never.
    pub domain_end: Cell<u64>,
    /// Whose vector registers are in the processor.
    pub fpu_owner: Cell<Option<Link<Tcb>>>,
    /// Of the threads without budget the one that gets some first.
    pub release_head: Cell<Option<Link<Tcb>>>,
    /// Where preemption points count their work.
    pub work_units: Cell<usize>,
    /// The threads that are ready to run, by domain.
    pub ready: [ReadyQueues; NUM_DOMAINS],
    /// Threads that have waited for budget so far.
    pub release_turn: Cell<u64>,
    /// Where the cancelling of badged sends goes on that was last preempted.
    pub cancelling: Cancelling,
    /// What a kernel that measures itself knows of its latency; nothing otherwise.
    pub latency: [Cell<u64>; if MEASURE_LATENCY { LATENCY_WORDS } else { 0 }],
    /// See [`Tracking`]; nothing in a kernel that does not track.
    pub tracking: [Tracking; (TRACK_UTILISATION || TRACK_KERNEL_ENTRIES) as usize],
    /// Runs when nothing else does.
    pub idle_thread: Tcb,
    /// What the idle thread runs on.
    pub idle_sc: SchedContext,
}

const _: () = assert!(MAX_NUM_NODES == 1, "more than one core is not there yet");

impl Kernel {
    /// Writes the initial state to `at`: the idle thread runs, nothing else exists.
    ///
    /// # Safety
    /// 1. `at` is valid for writes, aligned, and not otherwise used for `'a`.
    /// 2. The value is not moved: it holds links to its own parts.
    pub unsafe fn init<'a>(at: *mut Kernel) -> &'a mut Kernel {
        // SAFETY: 1. covers the writes. All-zero bytes are a value of every field but those set here:
        // links in options are null pointers (`None`), enums begin at 0, slots are empty.
        unsafe {
            at.write_bytes(0, 1);
            let core = addr_of_mut!((*at).core);
            let (idle, idle_sc) = (addr_of_mut!((*core).idle_thread), addr_of_mut!((*core).idle_sc));
            crate::retype::init_tcb(idle);
            (*core).current = Cell::new(Link::from_addr(idle as usize));
            (*core).epoch = Cell::new(1);
            (*core).current_sc = Cell::new(Link::from_addr(idle_sc as usize));
            let (k, idle, idle_sc) = (&mut *at, (*core).current.get(), (*core).current_sc.get());
            idle.get(k).state.set(ThreadState::Idle);
            idle.get(k).sched_context.set(Some(idle_sc));
            let sc = idle_sc.get(k);
            sc.tcb.set(Some(idle));
            sc.refill_capacity.set(2);
            k
        }
    }

    /// What threads know of their spaces ([`Tcb::known_space`], [`Tcb::known_slot`]) is not true any more: to be called
    /// before a capability to a CNode or a root table leaves a slot, and when an address space loses its ASID.
    #[inline]
    pub fn end_epoch(&self) {
        self.core.epoch.set(self.core.epoch.get() + 1);
    }

    /// Switches the processor to an address space.
    #[inline(always)]
    pub fn switch_vspace(&self, space: Space) {
        // SAFETY: there is a live root table behind it (`space` below): the upper half is the kernel's (retype put
        // it there), the lower half holds what user level has mapped.
        unsafe { pecan_arch::switch_vspace(space) }
    }

    /// The address space of a root table and its ASID.
    #[inline(always)]
    pub fn space(&self, root: Link<PageTable>, asid: u16) -> Space {
        pecan_arch::space(pecan_arch::virt_to_phys(root.addr()), asid)
    }
}
