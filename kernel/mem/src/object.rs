//! Layouts of kernel objects. Data only; what happens to them is `pecan_core`'s.
//!
//! Sizes are the ABI's and asserted below. Objects are made by [`crate::retype`] in zeroed memory, so for
//! each of them all-zero bytes are a valid initial value, or `retype` writes what differs.
//!
//! Fields are cells, as several links may lead to one object, and are ordered by who looks at them: what the
//! fast paths touch shares cache lines. `pecan_core` reads and writes them; fields on which the safety of
//! this crate rests are private, with methods that keep it. What must hold between fields of different
//! objects is in `pecan_core::invariants`.

use core::{
    cell::Cell,
    hint::cold_path,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use pecan_abi::breakpoint::BreakpointType;
use pecan_arch::{DebugRegisters, FpuState, Space, UserContext};

use crate::{Kernel, cap::Words, link::Link, slot::Slot, vspace};

mod ipc;
mod thread_state;

pub use ipc::{Endpoint, EndpointState, Notification, NotificationState, Reply, ReplyNext};
pub use thread_state::{StateCell, ThreadState};

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

/// Why a thread cannot go on, for its fault handler.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// None.
    None,
    /// A capability lookup failed.
    Cap {
        /// The address that was looked up.
        address: u64,
        /// While receiving.
        receive_phase: bool,
        /// How it failed.
        failure: LookupFailure,
    },
    /// A system call number that the kernel does not know.
    UnknownSyscall {
        /// The number.
        number: u64,
    },
    /// An exception of the processor.
    UserException {
        /// Exception number.
        number: u64,
        /// Error code.
        code: u64,
    },
    /// A breakpoint, a single step, or a breakpoint instruction.
    Debug {
        /// Which of them.
        reason: BreakpointType,
        /// The address of the breakpoint.
        address: u64,
        /// Its number.
        number: u8,
    },
    /// A memory access that the address space does not allow.
    Vm {
        /// The address.
        address: u64,
        /// An instruction fetch.
        instruction: bool,
        /// The port's fault status.
        status: u64,
    },
    /// The budget ran out.
    Timeout {
        /// The scheduling context's badge.
        badge: u64,
    },
}

/// How a capability lookup failed (the ABI's lookup failure descriptions).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LookupFailure {
    /// The root is not a CNode.
    InvalidRoot,
    /// An empty slot, or the wrong kind of capability.
    MissingCapability {
        /// Bits of the address that were left.
        bits_left: u8,
    },
    /// The address does not end at a slot.
    DepthMismatch {
        /// Bits of the address that were left.
        bits_left: u8,
        /// Bits that the CNode resolves.
        bits_found: u8,
    },
    /// A guard differs from the address.
    GuardMismatch {
        /// Bits of the address that were left.
        bits_left: u8,
        /// The guard.
        guard: u64,
        /// Its length.
        guard_bits: u8,
    },
}

/// Links of a doubly linked queue of threads.
pub struct QueueLinks {
    /// Towards the head.
    pub prev: Cell<Option<Link<Tcb>>>,
    /// Towards the tail.
    pub next: Cell<Option<Link<Tcb>>>,
}

/// A thread's place in the release queue, a heap (`pecan_core::release`).
pub struct ReleaseLinks {
    /// Children: threads that are released later. Ways down the left are the longer ones.
    pub left: Cell<Option<Link<Tcb>>>,
    /// See `left`.
    pub right: Cell<Option<Link<Tcb>>>,
    /// The thread that this one is a child of.
    pub parent: Cell<Option<Link<Tcb>>>,
    /// When the thread gets budget, in ticks.
    pub time: Cell<u64>,
    /// Decides between threads of the same time.
    pub turn: Cell<u64>,
    /// Steps down to the right until a child is missing, and one.
    pub rank: Cell<u64>,
}

/// Bytes of a thread's name that the kernel keeps for debugging.
pub const NAME_LEN: usize = 24;

/// What is out of the ordinary with a thread or a core, a bit each: one byte, so that the fast paths look at all of it at
/// once ([`Tcb::ready`]).
pub mod rare {
    /// The thread may use the vector unit.
    pub const FPU: u64 = 1;
    /// The thread waits for the answer to a fault.
    pub const FAULT: u64 = 2;
    /// The thread has breakpoints, or is stepped.
    pub const DEBUG: u64 = 4;
    /// The thread has no valid address space.
    pub const NO_SPACE: u64 = 8;
    /// The core's vector unit is on.
    pub const VECTORS: u64 = 64;
    /// The core must do more to switch to another thread, whatever the unit: breakpoints are on, say.
    pub const CORE: u64 = 128;
    /// Bits there are.
    pub const BITS: u32 = 8;
}

/// A slot that is always empty.
struct NoSlot(Slot);

// SAFETY: nobody writes to it: links to it leave this module only for reading ([`Running::words`]).
unsafe impl Sync for NoSlot {}

static NO_SLOT: NoSlot = NoSlot(Slot::empty());

fn no_slots() -> usize {
    &raw const NO_SLOT.0 as usize
}

/// How a thread is being debugged. All zero: not at all.
pub struct Debug {
    /// Its breakpoints.
    pub registers: DebugRegisters,
    /// Instructions after which it faults, each time; 0 if it is not single-stepped.
    pub step_every: Cell<u64>,
    /// How many of them it has yet to execute.
    pub step_left: Cell<u64>,
}

/// How much of the processor a thread has used, or all of them, while the kernel tracked that; times in ticks.
pub struct Usage {
    /// When what is under way began: since then the thread runs, if it is the one that does; what went before is part
    /// of `time` or does not count.
    pub start: Cell<u64>,
    /// For how long it ran.
    pub time: Cell<u64>,
    /// How often it was switched to.
    pub schedules: Cell<u64>,
    /// Time in the kernel.
    pub kernel: Cell<u64>,
    /// Entries into the kernel.
    pub entries: Cell<u64>,
    /// Neighbours in the list of all threads that have run since the kernel tracks: the one that came to it later,
    pub newer: Cell<Option<Link<Tcb>>>,
    /// and the one that came to it before.
    pub older: Cell<Option<Link<Tcb>>>,
    /// The thread is in that list.
    pub is_listed: Cell<bool>,
}

/// A thread.
#[repr(C, align(256))]
pub struct Tcb {
    // What every message looks at is in one cache line; with the registers, four.
    // What the roots of the thread's spaces come to, so that not every system call works it out anew:
    /// The epoch in which this was worked out, above the byte of [`rare`] bits; epoch 0 if it was not.
    ready: Cell<u64>,
    /// The address space.
    space: Cell<Space>,
    /// Address of the first slot of a CNode that takes capability addresses as they are, without a guard's value; if the
    /// CSpace is another one, or not known, of a slot that is always empty.
    slots_at: Cell<usize>,
    /// Slots of that CNode, less one; 0 with the slot that is always empty. A processor that takes an address for one of the
    /// CNode's before it knows stays within it nevertheless.
    slot_mask: Cell<u32>,
    /// Priority.
    pub priority: Cell<u8>,
    /// Scheduling domain.
    pub domain: Cell<u8>,
    /// [`Tcb::bound_notification`] is one.
    has_notification: Cell<bool>,
    /// The ABI's TCB flags.
    flags: Cell<u8>,
    /// What the thread runs on; without one it is passive.
    pub sched_context: Cell<Option<Link<SchedContext>>>,
    /// What the thread is doing.
    pub state: StateCell,
    /// The user registers, but for the vector unit's.
    pub context: UserContext,
    // From here on what messages between threads that are not all of the ordinary kind look at, too.
    /// See [`Tcb::bound_notification`].
    bound_notification: Cell<Option<Link<Notification>>>,
    /// Links in the queue of an endpoint or a notification.
    pub ipc_queue: QueueLinks,
    /// In a ready queue.
    pub is_queued: Cell<bool>,
    /// In the release queue.
    pub in_release_queue: Cell<bool>,
    /// The highest priority that this thread may give to others.
    pub mcp: Cell<u8>,
    /// Links in a ready queue.
    pub sched_queue: QueueLinks,
    /// The scheduling context that this thread has yielded to.
    pub yield_to: Cell<Option<Link<SchedContext>>>,
    /// The thread's own slots; see the `SLOT_*` constants.
    pub slots: [Slot; Tcb::SLOTS],
    /// User address of the IPC buffer; 0 for none.
    pub ipc_buffer: Cell<u64>,
    /// See [`Tcb::fault`].
    fault: Cell<Fault>,
    /// For debugging; zero-terminated if shorter.
    pub name: Cell<[u8; NAME_LEN]>,
    /// Of the first and the last of several neighbours in the queue of an endpoint or a notification that have the same
    /// priority: the other one.
    pub ipc_peer: Cell<Option<Link<Tcb>>>,
    /// Place in the release queue.
    pub release: ReleaseLinks,
    /// See [`Tcb::debug`].
    debug: [Debug; pecan_config::HARDWARE_DEBUG as usize],
    /// See [`Tcb::usage`].
    usage: [Usage; pecan_config::TRACK_UTILISATION as usize],
    /// Vector registers, while another thread's are in the processor.
    pub fpu: FpuState,
}

impl Tcb {
    /// Completes a thread in zeroed memory.
    ///
    /// # Safety
    /// `this` points to zeroed memory for a TCB that nothing refers to.
    pub(crate) unsafe fn complete(this: *mut Tcb) {
        // SAFETY: by the obligation; only the fields for which zero is not the initial value are written.
        unsafe {
            (*this).context.start();
            (*this).fpu.start();
            (&raw mut (*this).space).write(Cell::new(Space::NONE));
            (&raw mut (*this).slots_at).write(Cell::new(no_slots()));
            (*this).state.start();
            (&raw mut (*this).fault).write(Cell::new(Fault::None));
        }
    }

    /// Makes a thread that [`Tcb::complete`] has made all zero again.
    ///
    /// # Safety
    /// `this` is a thread that nothing has been done with since, and that nothing refers to or will refer to.
    pub(crate) unsafe fn revert(this: *mut Tcb) {
        // SAFETY: by the obligation. Nobody reads what is written here before it is memory for an object again.
        unsafe {
            (*this).context.clear_start();
            (*this).fpu.clear_start();
            (&raw mut (*this).space).write_bytes(0, 1);
            (&raw mut (*this).slots_at).write_bytes(0, 1);
            (&raw mut (*this).state).write_bytes(0, 1);
            (&raw mut (*this).fault).write_bytes(0, 1);
        }
    }

    /// Slots that a thread has.
    pub const SLOTS: usize = 5;
    /// Root of the capability space.
    pub const SLOT_CSPACE: usize = 0;
    /// Root of the address space.
    pub const SLOT_VSPACE: usize = 1;
    /// Frame of the IPC buffer.
    pub const SLOT_IPC_BUFFER: usize = 2;
    /// Endpoint for faults.
    pub const SLOT_FAULT_HANDLER: usize = 3;
    /// Endpoint for timeout faults.
    pub const SLOT_TIMEOUT_HANDLER: usize = 4;

    /// How the thread is being debugged, in profiles with hardware breakpoints.
    #[inline(always)]
    pub fn debug(&self) -> Option<&Debug> {
        self.debug.first()
    }

    /// What the thread has used, in kernels that track it.
    #[inline(always)]
    pub fn usage(&self) -> Option<&Usage> {
        self.usage.first()
    }

    /// The thread's address space, as far as it has been worked out in this epoch; `None` if it has no valid one.
    #[inline(always)]
    pub fn known_space(&self, k: &Kernel) -> Option<Space> {
        (self.knows_spaces(k) && self.ready.get() & rare::NO_SPACE == 0).then(|| self.space.get())
    }

    /// The slot that a capability address means, as far as the thread's CSpace has been worked out in this epoch
    /// and is a single CNode.
    #[inline(always)]
    pub fn known_slot(&self, k: &Kernel, cptr: u64) -> Option<Link<Slot>> {
        if self.knows_spaces(k) { self.slot(cptr) } else { None }
    }

    #[inline(always)]
    fn slot(&self, cptr: u64) -> Option<Link<Slot>> {
        // SAFETY: 1. and 2.: where the mask is not 0, `learn_spaces` took it and the address from a CNode, which lives: before
        // it does not, the epoch ends and the running thread forgets it. The index is not above the mask.
        self.slot_address(cptr).filter(|_| self.slot_mask.get() != 0).map(|at| unsafe { Link::from_addr(at) })
    }

    /// The address of the slot that a capability address means.
    #[inline(always)]
    fn slot_address(&self, cptr: u64) -> Option<usize> {
        let mask = u64::from(self.slot_mask.get());
        // The mask is all ones from the lowest bit up.
        (cptr <= mask)
            .then(|| self.slots_at.get() + pecan_arch::mask_surely(cptr, mask) as usize * size_of::<Slot>())
    }

    /// True if the roots of the thread's spaces have been worked out in this epoch.
    #[inline(always)]
    pub fn knows_spaces(&self, k: &Kernel) -> bool {
        self.ready.get() >> rare::BITS == k.epoch()
    }

    /// The address space, if the roots of the thread's spaces have been worked out in this epoch and the core
    /// can run the thread as it is.
    #[inline(always)]
    pub fn ready(&self, k: &Kernel) -> Option<Space> {
        (self.ready.get() == k.core().ordinary.get()).then(|| self.space.get())
    }

    /// The same if no more is missing than that the vector unit, which is on, has the thread's registers: that is what
    /// `load_vectors` sees to. With `FAULT`, the thread waits for the answer to a fault, which is about to end.
    #[inline(always)]
    pub fn make_ready<const FAULT: bool>(&self, k: &Kernel, load_vectors: impl FnOnce()) -> Option<Space> {
        let fault = if FAULT { rare::FAULT } else { 0 };
        let differs = self.ready.get() ^ k.core().ordinary.get();
        if differs != fault {
            cold_path();
            if differs != fault | rare::FPU | rare::VECTORS {
                return None;
            }
            load_vectors();
        }
        Some(self.space.get())
    }

    /// Works out what the roots of the thread's spaces come to: the address space, and the CNode if it takes capability
    /// addresses as they are.
    pub fn learn_spaces(&self, k: &Kernel) {
        match vspace::direct_cspace(self) {
            Some(cnode) if cnode.radix() <= u32::BITS => {
                self.slots_at.set(cnode.addr());
                self.slot_mask.set(((1u64 << cnode.radix()) - 1) as u32);
            }
            _ => self.forget_slots(),
        }
        let space = vspace::root(k, self).map(|(root, asid)| root.space(asid));
        self.space.set(space.unwrap_or(Space::NONE));
        let no_space = if space.is_some() { 0 } else { rare::NO_SPACE };
        self.ready.set(k.epoch() << rare::BITS | self.rare() | no_space);
    }

    /// True if what is noted of the thread's [`rare`] bits is what they are, as far as its spaces are known.
    pub fn rare_is_true(&self, k: &Kernel) -> bool {
        const KNOWN: u64 = ((1 << rare::BITS) - 1) & !rare::NO_SPACE;
        !self.knows_spaces(k) || self.ready.get() & KNOWN == self.rare()
    }

    /// The thread has breakpoints, or is stepped.
    #[inline(always)]
    pub fn is_debugged(&self) -> bool {
        self.debug().is_some_and(|d| d.registers.control() != 0 || d.step_every.get() != 0)
    }

    /// The thread's bits of [`rare`], but for what depends on its spaces.
    pub fn rare(&self) -> u64 {
        let flag = |on, flag| if on { flag } else { 0 };
        flag(self.may_use_fpu(), rare::FPU)
            | flag(self.fault.get() != Fault::None, rare::FAULT)
            | flag(self.is_debugged(), rare::DEBUG)
    }

    /// Forgets what the roots of the thread's spaces come to. Also to be called when its breakpoints change.
    pub fn forget_spaces(&self) {
        self.ready.set(0);
        self.forget_slots();
    }

    /// Forgets what the root of the thread's CSpace comes to.
    #[inline]
    pub(crate) fn forget_slots(&self) {
        self.slots_at.set(no_slots());
        self.slot_mask.set(0);
    }

    /// The ABI's TCB flags.
    #[inline(always)]
    pub fn flags(&self) -> u8 {
        self.flags.get()
    }

    /// Sets the ABI's TCB flags.
    pub fn set_flags(&self, flags: u8) {
        self.flags.set(flags);
        self.forget_spaces();
    }

    /// The flags let the thread use the vector unit.
    #[inline(always)]
    pub fn may_use_fpu(&self) -> bool {
        u64::from(self.flags.get()) & pecan_abi::constants::tcb_flag::FPU_DISABLED == 0
    }

    /// Why the thread cannot go on.
    #[inline(always)]
    pub fn fault(&self) -> Fault {
        self.fault.get()
    }

    /// True if the thread waits for the answer to a fault, as far as its spaces have been worked out.
    #[inline(always)]
    pub fn is_faulty(&self) -> bool {
        self.ready.get() & rare::FAULT != 0
    }

    /// Where that is kept, for tests: the kinds are of different lengths, and what lies behind the shorter ones is left over.
    #[cfg(not(target_os = "none"))]
    pub fn fault_memory(&self) -> core::ops::Range<usize> {
        let at = self.fault.as_ptr() as usize;
        at..at + size_of_val(&self.fault)
    }

    /// Sets why the thread cannot go on.
    #[inline]
    pub fn set_fault(&self, fault: Fault) {
        let bits = self.ready.get() & !rare::FAULT;
        // Where nothing is known it stays so: what matters is the epoch.
        self.ready.set(if fault == Fault::None { bits } else { bits | rare::FAULT });
        self.fault.set(fault);
    }

    /// The notification bound to the thread.
    #[inline(always)]
    pub fn bound_notification(&self) -> Option<Link<Notification>> {
        self.bound_notification.get()
    }

    /// True if a notification is bound to the thread.
    #[inline(always)]
    pub fn has_notification(&self) -> bool {
        self.has_notification.get()
    }

    /// Binds a notification to the thread, or none.
    pub fn set_bound_notification(&self, ntfn: Option<Link<Notification>>) {
        self.bound_notification.set(ntfn);
        self.has_notification.set(ntfn.is_some());
    }

    /// Where the user registers end.
    pub const CONTEXT_END: usize = core::mem::offset_of!(Tcb, context) + size_of::<UserContext>();

    /// A link to this thread.
    #[inline(always)]
    pub fn link(&self) -> Link<Tcb> {
        // TCBs are made by `retype` and as part of `Kernel` only.
        Link::of(self)
    }

    /// The first of the thread's slots.
    #[inline(always)]
    pub fn first_slot(&self) -> Link<Slot> {
        self.slots[0].link()
    }

    /// The thread whose first slot this is.
    ///
    /// Only for slots of a [`crate::ZombieKind::Tcb`].
    pub(crate) fn from_first_slot(slot: Link<Slot>) -> Link<Tcb> {
        // SAFETY: the slot is at this offset in a TCB, by the caller.
        unsafe { Link::from_addr(slot.addr() - core::mem::offset_of!(Tcb, slots)) }
    }
}

/// The thread that runs on this core. What it knows of its CSpace is true whatever the epoch, as [`Kernel::end_epoch`] makes
/// it forget.
#[derive(Clone, Copy)]
pub struct Running<'k>(pub(crate) &'k Tcb);

impl<'k> Running<'k> {
    /// The thread.
    #[inline(always)]
    pub fn get(self) -> &'k Tcb {
        self.0
    }

    /// The capability that a capability address means, packed, as far as the thread's CSpace is known to be a single CNode;
    /// if it is not known or another, that may be the null capability.
    #[inline(always)]
    pub fn words(self, k: &'k Kernel, cptr: u64) -> Option<Words> {
        // SAFETY: 1. and 2.: as in `Tcb::slot`; what else the address may be of is `NO_SLOT`.
        self.0.slot_address(cptr).map(|at| unsafe { Link::<Slot>::from_addr(at) }.get(k).words())
    }

    /// The slot that a capability address means, as far as that is known.
    #[inline(always)]
    pub fn slot(self, cptr: u64) -> Option<Link<Slot>> {
        self.0.slot(cptr)
    }
}

/// A paging structure.
///
/// The processor sets accessed and dirty bits behind our back, hence atomics (relaxed: plain moves).
#[repr(C, align(4096))]
pub struct PageTable {
    entries: [AtomicU64; 1 << pecan_arch::PT_INDEX_BITS],
}

impl PageTable {
    /// The entry at `index`, of which the low nine bits count.
    #[inline(always)]
    pub fn entry(&self, index: usize) -> pecan_arch::Pte {
        pecan_arch::Pte(self.entries[index % self.entries.len()].load(Relaxed))
    }

    /// Sets the entry at `index`, of which the low nine bits count.
    ///
    /// Whoever calls this keeps the translation lookaside buffer true, and puts nothing there but what may be in a table of
    /// this level (see [`crate::vspace`]).
    #[inline(always)]
    pub(crate) fn set_entry(&self, index: usize, pte: pecan_arch::Pte) {
        self.entries[index % self.entries.len()].store(pte.0, Relaxed);
    }

    /// A link to this table.
    #[inline(always)]
    pub fn link(&self) -> Link<PageTable> {
        Link::of(self)
    }
}

/// A thread's IPC buffer: memory shared with user level, so read and written word by word.
#[repr(C, align(1024))]
pub struct IpcBuffer {
    words: [AtomicU64; 128],
}

impl IpcBuffer {
    /// The word at `index`, of which the low seven bits count.
    #[inline(always)]
    pub fn get(&self, index: usize) -> u64 {
        self.words[index & 127].load(Relaxed)
    }

    /// Sets the word at `index`, of which the low seven bits count.
    #[inline(always)]
    pub fn set(&self, index: usize, value: u64) {
        self.words[index & 127].store(value, Relaxed);
    }

    /// Copies `count` words from the one with index `FIRST` on to another buffer, as far as there are so many.
    #[inline(always)]
    pub fn copy_tail<const FIRST: usize>(&self, to: &IpcBuffer, count: usize) {
        let (from, to) = (&self.words[FIRST..], &to.words[FIRST..]);
        let count = count.min(from.len());
        // By slices of the same length, so that it is not compared for each word.
        for (dest, source) in to[..count].iter().zip(&from[..count]) {
            dest.store(source.load(Relaxed), Relaxed);
        }
    }
}

/// Follows an optional link.
#[inline(always)]
pub fn follow<T>(link: Option<Link<T>>, k: &Kernel) -> Option<&T> {
    link.map(|l| l.get(k))
}

const _: () = {
    // The lines that every message looks at (see `Tcb`).
    assert!(core::mem::offset_of!(Tcb, context) == 64);
    assert!(size_of::<Endpoint>() == 16);
    assert!(size_of::<Notification>() == 64);
    assert!(size_of::<Reply>() == 32);
    assert!(size_of::<Refill>() == 16);
    assert!(size_of::<Tcb>() <= 1 << pecan_abi::constants::tcb_bits(size_of::<FpuState>()));
    assert!(size_of::<PageTable>() == 4096);
    assert!(size_of::<IpcBuffer>() == 1024);
};
