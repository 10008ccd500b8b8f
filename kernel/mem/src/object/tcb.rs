//! Threads, and the one that runs.

use core::{cell::Cell, hint::cold_path};

use pecan_arch::{DebugRegisters, FpuState, Space, UserContext};

use super::{Fault, Notification, SchedContext, StateCell};
use crate::{Kernel, cap::Words, link::Link, slot::Slot, vspace};

/// Links of a doubly linked queue of threads.
pub struct QueueLinks {
    /// Towards the head.
    pub prev: Cell<Option<Link<Tcb>>>,
    /// Towards the tail.
    pub next: Cell<Option<Link<Tcb>>>,
}

/// A thread's place in the release queue, a heap (`pecan_core::release`).
pub struct ReleaseLinks {
    /// Children: threads that are released later. The left subtree has the greater or equal rank.
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

/// The address space of a thread without one.
// SAFETY: a thread with it is marked by `rare::NO_SPACE`, or nothing is known of its spaces; then nobody gets it.
const NO_SPACE: Space = unsafe { Space::none() };

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
            (&raw mut (*this).space).write(Cell::new(NO_SPACE));
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
    pub fn known_space<'k>(&self, k: &'k Kernel) -> Option<vspace::Space<'k>> {
        // SAFETY: the epoch has not ended.
        (self.knows_spaces(k) && self.ready.get() & rare::NO_SPACE == 0)
            .then(|| unsafe { vspace::Space::known(self.space.get()) })
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
    pub fn ready<'k>(&self, k: &'k Kernel) -> Option<vspace::Space<'k>> {
        // SAFETY: the epoch has not ended, and there is a space (see `rare`).
        (self.ready.get() == k.core().ordinary.get())
            .then(|| unsafe { vspace::Space::known(self.space.get()) })
    }

    /// The same if no more is missing than that the vector unit, which is on, has the thread's registers: that is what
    /// `load_vectors` sees to. With `FAULT`, the thread waits for the answer to a fault, which is about to end.
    #[inline(always)]
    pub fn make_ready<'k, const FAULT: bool>(
        &self,
        k: &'k Kernel,
        load_vectors: impl FnOnce(),
    ) -> Option<vspace::Space<'k>> {
        let fault = if FAULT { rare::FAULT } else { 0 };
        let differs = self.ready.get() ^ k.core().ordinary.get();
        if differs != fault {
            cold_path();
            if differs != fault | rare::FPU | rare::VECTORS {
                return None;
            }
            // What is known afterwards may be that there is none.
            let space = self.space.get();
            load_vectors();
            // SAFETY: as in `ready`: so it was before, and the epoch does not end as long as the lock is lent.
            return Some(unsafe { vspace::Space::known(space) });
        }
        // SAFETY: as in `ready`.
        Some(unsafe { vspace::Space::known(self.space.get()) })
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
        let space = vspace::root(k, self).map(|root| root.space().get());
        self.space.set(space.unwrap_or(NO_SPACE));
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
