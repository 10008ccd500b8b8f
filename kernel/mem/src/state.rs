//! The kernel lock, and the state that is the kernel's own.
//!
//! [`Kernel`] is the lock: a token that owns no object. Whoever holds one is the only one in the kernel. `&Kernel` lets
//! follow links ([`Link::get`]); `&mut Kernel`, which whatever destroys objects takes, says that no followed link is
//! alive. A reference to the token is a reference to no object, so `&mut Kernel` is unique as Rust demands, while links
//! lead to the same objects as [`Kernel::core`] and [`Kernel::global`] do. On a machine the token has no size and
//! the state is a static, so neither costs a register. On the host there are many machines, and the token knows its own.
//!
//! The state is made of cells and only ever borrowed shared. It has two parts.
//!
//! - [`CoreState`] is what one core owns: what it runs and charges, its clock and timer, its queues of ready threads and of
//!   threads that wait for budget, its idle thread. Only this core changes it, or another one that holds the kernel lock
//!   and has stopped this one. Today there is one core.
//! - [`GlobalState`] is what all cores share: interrupts, address-space identifiers, what the architecture adds, the domain schedule, and
//!   progress of operations that go on at any core. It is changed under the kernel lock only.
//!
//! **Who owns a running thread's context.** The TCB in [`CoreState::current`] belongs to that core: while user level runs
//! the core's entry code writes the registers there before it has any lock, and the core's processor may hold newer values
//! of what is loaded lazily ([`CoreState::fpu_owner`]). So nobody else reads or writes the context of a thread that is
//! current on a core, or whose vector registers are in it, before that core has been made to enter the kernel
//! and to store them. A thread that is current on no core belongs to whoever holds the kernel lock.
//!
//! **The epoch is global** ([`Kernel::end_epoch`]). What threads know of their spaces is used on the fast paths without a
//! look at the capabilities. The epoch ends when a CNode, a root table or an ASID goes; that concerns the current thread of
//! every core, not only the one that deletes: it too may use a space that is about to go, and forgets what it knows of its
//! CSpace, so that a running thread looks slots up without asking for the epoch. Each core has the number of the epoch in
//! `CoreState::ordinary`, beside what else it compares with a thread's. With several cores whoever ends the epoch must also
//! make every core leave the address space that goes before its memory is given back.
//!
//! Invariants, checked by `pecan_core::invariants`: [`CoreState::current`] and [`CoreState::current_sc`] live; each thread in
//! [`CoreState::ready`] is of the queue's domain and priority and each in the release queue waits for its budget; each
//! slot in [`GlobalState::irq_slots`] is in the derivation list. `pecan_core` calls everything here, and the image makes the
//! token, once per entry.

use core::{cell::Cell, marker::PhantomData};
#[cfg(target_os = "none")]
use core::{cell::UnsafeCell, mem::MaybeUninit};

use pecan_arch::UserContext;
use pecan_config::{
    MAX_NUM_NODES, MEASURE_LATENCY, NUM_DOMAIN_SCHEDULES, NUM_DOMAINS, TRACK_KERNEL_ENTRIES,
    TRACK_UTILISATION,
};

use crate::{
    cap::{Words, arch::ArchState},
    link::Link,
    object::{Endpoint, Running, SchedContext, Tcb, ThreadState, Usage, rare},
    slot::Slot,
    vspace::{PoolCell, Space},
};

/// Priorities.
pub const PRIORITIES: usize = 256;
/// Lookups that are noted at most ([`Route`]): a system call that receives needs seven, and each may go on in the CNode that
/// a message brings.
pub const ROUTES: usize = 14;
/// Words of [`CoreState::latency`] where there are any.
pub const LATENCY_WORDS: usize = 6;
/// ASID pools that there can be.
pub const ASID_POOLS: usize = 1 << pecan_abi::constants::NUM_ASID_POOLS_BITS;
/// Ranges of identifiers, one for a pool each, that the words of capabilities have room for. Those from [`ASID_POOLS`] on have
/// no pool; as they have a place, nobody who looks for an identifier needs to check it.
pub const ASID_RANGES: usize = (1 << u16::BITS) / crate::vspace::AsidPool::LEN;
const _: () = assert!(ASID_POOLS <= ASID_RANGES);

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

/// Where an address leads, looked up ahead of when it is needed (`pecan_core::cap::route`).
#[derive(Clone, Copy)]
pub struct Route {
    /// The capability to the CNode that it begins at.
    pub root: Words,
    /// The address.
    pub address: u64,
    /// Bits of the address that count.
    pub depth: u32,
    /// The slot.
    pub slot: Link<Slot>,
    /// Bits that are left there.
    pub left: u32,
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
#[repr(C)]
pub struct ReadyQueues {
    /// The highest priority that has a thread; 0 if none has.
    pub top: Cell<u8>,
    /// Priorities that have a thread, a bit each; the lowest priorities in the first word.
    pub bitmap: [Cell<u64>; PRIORITIES / 64],
    /// The first thread of each priority. Queues are rings: the head's `prev` is the tail.
    pub heads: [Cell<Option<Link<Tcb>>>; PRIORITIES],
}

/// What all cores share.
pub struct GlobalState {
    /// One slot for each interrupt, with the capability to the notification that it signals.
    pub irq_slots: [Slot; pecan_arch::MAX_IRQ],
    /// What each interrupt is used for.
    pub irq_states: [Cell<IrqState>; pecan_arch::MAX_IRQ],
    /// The ASID pools, by the ranges of their identifiers.
    pub asid_pools: [PoolCell; ASID_RANGES],
    /// What is kept of capabilities that only this architecture has.
    pub arch: ArchState,
    /// The domain schedule.
    pub domain_schedule: [DomainScheduleEntry; NUM_DOMAIN_SCHEDULES],
    /// Where the domain schedule begins anew.
    pub domain_start: Cell<usize>,
    /// Where the cancelling of badged sends goes on that was last preempted.
    pub cancelling: Cancelling,
}

/// A link to the current thread. It is set by [`Kernel::set_current`].
pub struct Current(Cell<Link<Tcb>>);

impl Current {
    /// The current thread.
    #[inline(always)]
    pub fn get(&self) -> Link<Tcb> {
        self.0.get()
    }
}

/// What one core owns.
#[repr(C)]
pub struct CoreState {
    /// The thread that runs (or whose system call is being handled); on a fast path the one that it began with. See
    /// [`Kernel::set_current`].
    pub current: Current,
    /// The scheduling context that is being charged.
    pub current_sc: Cell<Link<SchedContext>>,
    /// What threads have in the same form that this core can run as they are: the epoch, see [`Kernel::end_epoch`], above
    /// the core's byte of [`rare`](crate::object::rare) bits.
    pub(crate) ordinary: Cell<u64>,
    /// The threads that are ready to run, by domain. The first one's head shares a cache line with what is above, for the
    /// fast paths.
    pub ready: [ReadyQueues; NUM_DOMAINS],
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
    /// Lookups made ahead in this entry.
    pub routes: [Cell<Option<Route>>; ROUTES],
    /// How many of them there are. Between entries, none: what is noted then is of another time.
    pub route_count: Cell<usize>,
    /// Threads that have waited for budget so far.
    pub release_turn: Cell<u64>,
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

/// All of the kernel's own state. It holds links to its own parts, so it stays where it was made.
pub(crate) struct State {
    core: CoreState,
    global: GlobalState,
}

impl State {
    /// Writes the initial state to `at`: the idle thread runs, nothing else exists.
    ///
    /// # Safety
    /// `at` is valid for writes, aligned, and not otherwise used.
    unsafe fn init(at: *mut State) {
        // SAFETY: the obligation covers the writes. All-zero bytes are a value of every field but those set here:
        // links in options are null pointers (`None`), enums begin at 0, slots are empty. The references that calls make
        // are to cells that have their value.
        unsafe {
            at.write_bytes(0, 1);
            // Links in packed form are addresses, from which pointers to this memory are made again.
            at.expose_provenance();
            let core = &raw mut (*at).core;
            let (idle, idle_sc) = (&raw mut (*core).idle_thread, &raw mut (*core).idle_sc);
            let (thread, sc) = (Link::from_ptr(idle), Link::from_ptr(idle_sc));
            Tcb::complete(idle);
            (*idle).state.set(ThreadState::Idle);
            (*idle).sched_context.set(Some(sc));
            (*idle_sc).tcb.set(Some(thread));
            (*idle_sc).refill_capacity.set(2);
            (*core).current = Current(Cell::new(thread));
            (*core).current_sc = Cell::new(sc);
            (*core).ordinary = Cell::new(1 << rare::BITS | rare::CORE);
        }
    }
}

/// The kernel lock: a token that owns nothing (see the module's documentation). Whoever holds it is the only one in the
/// kernel.
pub struct Kernel {
    /// The state of this machine, one of many.
    #[cfg(not(target_os = "none"))]
    state: core::ptr::NonNull<State>,
    /// Neither sent to nor shared with another host thread.
    _not_send: PhantomData<*const ()>,
}

/// An entry into the kernel that has not done anything yet: the lock, and the thread that entered, which ran until now. A
/// fast path need not have noted it as the current one.
pub struct Entered<'k> {
    k: &'k mut Kernel,
    thread: Link<Tcb>,
}

impl<'k> Entered<'k> {
    /// The lock.
    #[inline(always)]
    pub fn kernel(&self) -> &Kernel {
        self.k
    }

    /// The thread that entered.
    #[inline(always)]
    pub fn running(&self) -> Running<'_> {
        // As `set_current` and the fast paths, which ask `Tcb::ready`, left it, what it knew of its CSpace was true; since
        // then `end_epoch` made it forget what was not.
        Running(self.thread.get(self.k))
    }

    /// Notes the thread as the current one.
    #[inline(always)]
    pub fn note(&self) {
        self.k.core().current.0.set(self.thread);
    }

    /// Goes on on the slow path: the thread is the current one.
    #[inline(always)]
    pub fn settle(self) -> &'k mut Kernel {
        self.note();
        self.k
    }
}

/// Where the state lies on a machine.
#[cfg(target_os = "none")]
struct Storage(UnsafeCell<MaybeUninit<State>>);

// SAFETY: only `Kernel` reaches the contents, and there is one at a time (obligations of `boot` and `enter`).
#[cfg(target_os = "none")]
unsafe impl Sync for Storage {}

#[cfg(target_os = "none")]
static STATE: Storage = Storage(UnsafeCell::new(MaybeUninit::uninit()));

#[cfg(target_os = "none")]
const _: () = assert!(size_of::<Kernel>() == 0);

#[cfg(target_os = "none")]
impl Kernel {
    /// Makes the initial state, in which the idle thread runs and nothing else exists, and the lock on it.
    ///
    /// # Safety
    /// To be called once, before any [`Kernel::enter`].
    pub unsafe fn boot() -> Kernel {
        // SAFETY: the storage is used for nothing else, and by the obligation not yet.
        unsafe { State::init(STATE.0.get().cast()) };
        Kernel { _not_send: PhantomData }
    }

    /// Takes the lock for the length of one entry.
    ///
    /// # Safety
    /// 1. What [`Kernel::boot`] returned has been dropped, or is not used any more.
    /// 2. To be called at most once an entry. Entries do not overlap: one core runs the kernel, and interrupts that it
    ///    lets in run no Rust code.
    #[inline(always)]
    pub unsafe fn enter() -> Kernel {
        Kernel { _not_send: PhantomData }
    }

    #[inline(always)]
    fn state(&self) -> &State {
        // SAFETY: `boot` has initialised it (obligation 1 of `enter`); it is only ever borrowed shared, and the lock is in
        // hand.
        unsafe { &*STATE.0.get().cast::<State>() }
    }
}

#[cfg(not(target_os = "none"))]
impl Kernel {
    /// Makes the initial state at `at`, in which the idle thread runs and nothing else exists, and the lock on it.
    ///
    /// # Safety
    /// `at` is valid for writes, aligned, and used for nothing else as long as the lock lives.
    pub(crate) unsafe fn boot(at: core::ptr::NonNull<State>) -> Kernel {
        // SAFETY: the caller's obligation.
        unsafe { State::init(at.as_ptr()) };
        Kernel { state: at, _not_send: PhantomData }
    }

    #[inline(always)]
    fn state(&self) -> &State {
        // SAFETY: `boot` has initialised it; it is only ever borrowed shared, and lives as long as the lock.
        unsafe { self.state.as_ref() }
    }
}

impl Kernel {
    /// What this core owns.
    #[inline(always)]
    pub fn core(&self) -> &CoreState {
        &self.state().core
    }

    /// What all cores share.
    #[inline(always)]
    pub fn global(&self) -> &GlobalState {
        &self.state().global
    }

    /// What threads know of their spaces ([`Tcb::known_space`], [`Tcb::known_slot`]) is not true any more: to be called
    /// before a capability to a CNode or a root table leaves a slot, and when an address space loses its ASID. It
    /// concerns the current thread of every core. So nobody who has got hold of the running thread ([`Running`], [`Entered`])
    /// can go on with what it knew.
    #[inline]
    pub fn end_epoch(&mut self) {
        let ordinary = &self.core().ordinary;
        ordinary.set(ordinary.get() + (1 << rare::BITS));
        self.core().current.get().get(self).forget_slots();
    }

    /// The epoch, from 1 on: see [`Kernel::end_epoch`].
    #[inline(always)]
    pub fn epoch(&self) -> u64 {
        self.core().ordinary.get() >> rare::BITS
    }

    /// Notes whether the vector unit is on, and whether the core must do more (`other`) to switch to another thread than to
    /// exchange what the unit and [`UserContext`] hold.
    #[inline(always)]
    pub fn note_units(&self, vectors: bool, other: bool) {
        let ordinary = self.core().ordinary.get() & !(rare::VECTORS | rare::CORE);
        let flag = |on, flag| if on { flag } else { 0 };
        self.core().ordinary.set(ordinary | flag(vectors, rare::VECTORS) | flag(other, rare::CORE));
    }

    /// What is noted of the vector unit: it is on.
    pub fn notes_vectors(&self) -> bool {
        self.core().ordinary.get() & rare::VECTORS != 0
    }

    /// Makes a thread the current one.
    #[inline(always)]
    pub fn set_current(&self, thread: &Tcb) {
        // While it runs what it knows of its CSpace counts, whatever the epoch.
        if !thread.knows_spaces(self) {
            thread.forget_slots();
        }
        self.core().current.0.set(thread.link());
    }

    /// The current thread.
    #[inline(always)]
    pub fn running(&self) -> Running<'_> {
        Running(self.core().current.get().get(self))
    }

    /// An entry by the thread whose registers are at `context`.
    ///
    /// # Safety
    /// 1. They are those of a thread.
    /// 2. It was running: the last thread that the portable kernel chose.
    #[inline(always)]
    pub unsafe fn entered(&mut self, context: *const UserContext) -> Entered<'_> {
        // SAFETY: the registers of a thread are at this offset in it (1.).
        let thread = unsafe { context.byte_sub(core::mem::offset_of!(Tcb, context)).cast::<Tcb>() };
        // SAFETY: as above; what runs has not been freed (2.).
        Entered { thread: unsafe { Link::from_ptr(thread.cast_mut()) }, k: self }
    }

    /// An entry by the current thread, where that is noted.
    pub fn entered_by_current(&mut self) -> Entered<'_> {
        Entered { thread: self.core().current.get(), k: self }
    }

    /// Switches the processor to an address space.
    #[inline(always)]
    pub fn switch_vspace(&self, space: Space<'_>) {
        // SAFETY: there is a root table behind it (`Root::space`), which lives (it loses its ASID before it goes): the
        // upper half is the kernel's, the lower half holds what user level has mapped.
        unsafe { pecan_arch::switch_vspace(space.get()) }
    }
}
