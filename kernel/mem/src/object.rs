//! Layouts of kernel objects. Data only; what happens to them is `pecan_core`'s.
//!
//! Sizes are the ABI's and asserted below. Objects are made by [`crate::retype`] in zeroed memory, so for
//! each of them all-zero bytes are a valid initial value, or `retype` writes what differs.

use core::{
    cell::Cell,
    ops::Range,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use pecan_abi::breakpoint::BreakpointType;
use pecan_arch::{DebugRegisters, FpuState, Space, UserContext};

use crate::{
    Kernel,
    link::Link,
    slot::{CNodeRef, Slot},
    vspace,
};

/// Bits of a word with a link that hold something else: what links refer to is aligned to 16 bytes or more.
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
#[repr(C)]
pub struct Endpoint {
    /// First thread; the state in bits 0 and 1.
    head: Cell<u64>,
    tail: Cell<u64>,
}

impl Endpoint {
    /// What the queued threads are there for.
    #[inline(always)]
    pub fn state(&self) -> EndpointState {
        match self.head.get() & FLAGS {
            1 => EndpointState::Sending,
            2 => EndpointState::Receiving,
            _ => EndpointState::Idle,
        }
    }

    /// The first queued thread.
    #[inline(always)]
    pub fn head(&self) -> Option<Link<Tcb>> {
        unpack(self.head.get())
    }

    /// The first queued thread, if the queue is one of receivers.
    #[inline(always)]
    pub fn receiver(&self) -> Option<Link<Tcb>> {
        const RECEIVING: u64 = EndpointState::Receiving as u64;
        let head = self.head.get();
        // SAFETY: alignment and 2. life: `set_queue` packs links; 1. not null: it gives this state to heads only.
        (head & FLAGS == RECEIVING).then(|| unsafe { Link::from_addr((head - RECEIVING) as usize) })
    }

    /// The last queued thread.
    #[inline(always)]
    pub fn tail(&self) -> Option<Link<Tcb>> {
        unpack(self.tail.get())
    }

    /// Sets the queue's ends. With no head the state becomes `Idle` whatever `state` says.
    #[inline(always)]
    pub fn set_queue(&self, state: EndpointState, head: Option<Link<Tcb>>, tail: Option<Link<Tcb>>) {
        let state = if head.is_some() { state } else { EndpointState::Idle };
        self.head.set(pack(head) | state as u64);
        self.tail.set(pack(tail));
    }

    /// A link to this endpoint.
    #[inline(always)]
    pub fn link(&self) -> Link<Endpoint> {
        Link::of(self)
    }
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
#[repr(C)]
pub struct Reply {
    /// The thread that waits: for the answer (`BlockedOnReply`), or for a call to fill the object
    /// (`BlockedOnReceive`).
    pub tcb: Cell<Option<Link<Tcb>>>,
    /// The call before, towards the bottom of the stack.
    pub prev: Cell<Option<Link<Reply>>>,
    /// Towards the top; bit 0 marks a scheduling context.
    next: Cell<u64>,
    _unused: Cell<u64>,
}

impl Reply {
    /// What follows towards the top of the call stack.
    #[inline(always)]
    pub fn next(&self) -> ReplyNext {
        let word = self.next.get();
        if word & 1 != 0 {
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
            ReplyNext::Reply(reply) => pack(Some(reply)),
            ReplyNext::SchedContext(sc) => pack(Some(sc)) | 1,
        });
    }

    /// A link to this reply object.
    #[inline(always)]
    pub fn link(&self) -> Link<Reply> {
        Link::of(self)
    }
}

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

/// What a thread is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ThreadState {
    /// Suspended, or never started.
    Inactive,
    /// Runs or is ready to run.
    Running,
    /// Ready to run, beginning with the instruction that it was interrupted in.
    Restart,
    /// Waits for a message.
    BlockedOnReceive {
        /// Where.
        ep: Link<Endpoint>,
        /// The endpoint capability had the right to grant.
        grant: bool,
        /// Takes the caller.
        reply: Option<Link<Reply>>,
    },
    /// Waits for a receiver.
    BlockedOnSend {
        /// Where.
        ep: Link<Endpoint>,
        /// Badge of the endpoint capability.
        badge: u64,
        /// The endpoint capability had the right to grant.
        grant: bool,
        /// The endpoint capability had the right to grant-reply.
        grant_reply: bool,
        /// Calls, and wants an answer.
        call: bool,
    },
    /// Waits for an answer.
    BlockedOnReply {
        /// The reply object that holds it; `None` when the call stack was cut.
        reply: Option<Link<Reply>>,
    },
    /// Waits for a signal.
    BlockedOnNotification {
        /// Where.
        ntfn: Link<Notification>,
    },
    /// Runs when nothing else does.
    Idle,
}

impl ThreadState {
    /// True for a thread that the scheduler may pick.
    #[inline(always)]
    pub fn is_runnable(self) -> bool {
        matches!(self, ThreadState::Running | ThreadState::Restart)
    }
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

/// What the roots of a thread's spaces come to, so that not every system call works it out anew. True while the
/// epoch is the kernel's ([`Kernel::end_epoch`]).
pub struct Spaces {
    /// The epoch in which this was worked out; 0 for never.
    epoch: Cell<u64>,
    /// The address space; `None` if the thread has no valid one.
    space: Cell<Option<Space>>,
    /// Address of the first slot of a CNode that takes capability addresses as they are, without a guard's value.
    slots: Cell<usize>,
    /// Slots of that CNode; 0 if the CSpace is another.
    slot_count: Cell<u64>,
    /// One less: a processor that takes an address for one of the CNode's before it knows stays within it nevertheless.
    slot_mask: Cell<u64>,
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
#[repr(C)]
pub struct Tcb {
    /// Vector registers, while another thread's are in the processor.
    pub fpu: FpuState,
    /// The other user registers.
    pub context: UserContext,
    /// The thread's own slots; see the `SLOT_*` constants.
    pub slots: [Slot; Tcb::SLOTS],
    /// Links in a ready queue.
    pub sched_queue: QueueLinks,
    /// The scheduling context that this thread has yielded to.
    pub yield_to: Cell<Option<Link<SchedContext>>>,
    /// User address of the IPC buffer; 0 for none.
    pub ipc_buffer: Cell<u64>,
    // From here on two cache lines hold what every message looks at.
    /// What the first two slots come to.
    pub spaces: Spaces,
    /// What the thread runs on; without one it is passive.
    pub sched_context: Cell<Option<Link<SchedContext>>>,
    /// The notification bound to the thread.
    pub bound_notification: Cell<Option<Link<Notification>>>,
    /// Priority.
    pub priority: Cell<u8>,
    /// The highest priority that this thread may give to others.
    pub mcp: Cell<u8>,
    /// Scheduling domain.
    pub domain: Cell<u8>,
    /// The ABI's TCB flags.
    pub flags: Cell<u8>,
    /// In a ready queue.
    pub is_queued: Cell<bool>,
    /// In the release queue.
    pub is_released_later: Cell<bool>,
    _unused: [Cell<u8>; 2],
    /// What the thread is doing.
    pub state: Cell<ThreadState>,
    /// Links in the queue of an endpoint or a notification.
    pub ipc_queue: QueueLinks,
    /// Why the thread cannot go on.
    pub fault: Cell<Fault>,
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
}

impl Tcb {
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

    /// The thread's address space, as far as it has been worked out in this epoch.
    #[inline(always)]
    pub fn known_space(&self, k: &Kernel) -> Option<Space> {
        if self.spaces.epoch.get() == k.epoch() { self.spaces.space.get() } else { None }
    }

    /// The slot that a capability address means, as far as the thread's CSpace has been worked out in this epoch
    /// and is a single CNode.
    #[inline(always)]
    pub fn known_slot(&self, k: &Kernel, cptr: u64) -> Option<Link<Slot>> {
        let known = self.spaces.epoch.get() == k.epoch() && cptr < self.spaces.slot_count.get();
        // SAFETY: 1. and 2.: `learn_spaces` took address and count from a CNode, which lives: the epoch ends
        // before a CNode does. The index is below the count.
        known.then(|| unsafe {
            let index = (cptr & self.spaces.slot_mask.get()) as usize;
            Link::from_addr(self.spaces.slots.get() + index * size_of::<Slot>())
        })
    }

    /// True if the roots of the thread's spaces have been worked out in this epoch.
    #[inline(always)]
    pub fn knows_spaces(&self, k: &Kernel) -> bool {
        self.spaces.epoch.get() == k.epoch()
    }

    /// Works out what the roots of the thread's spaces come to: the address space, and the CNode if it takes capability
    /// addresses as they are.
    pub fn learn_spaces(&self, k: &Kernel) {
        self.spaces.space.set(vspace::root(k, self).map(|(root, asid)| root.space(asid)));
        let cnode = vspace::direct_cspace(self);
        self.spaces.slots.set(cnode.map_or(0, CNodeRef::addr));
        let count = cnode.map_or(0, |cnode| 1 << cnode.radix());
        self.spaces.slot_count.set(count);
        self.spaces.slot_mask.set(count.wrapping_sub(1));
        self.spaces.epoch.set(k.epoch());
    }

    /// Forgets what the roots of the thread's spaces come to.
    pub fn forget_spaces(&self) {
        self.spaces.epoch.set(0);
    }

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

    /// Copies the words with these indices, of which there are at most 128, to another buffer.
    #[inline(always)]
    pub fn copy(&self, to: &IpcBuffer, words: Range<usize>) {
        if let (Some(source), Some(dest)) = (self.words.get(words.clone()), to.words.get(words)) {
            for (dest, source) in dest.iter().zip(source) {
                dest.store(source.load(Relaxed), Relaxed);
            }
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
    assert!(core::mem::offset_of!(Tcb, spaces) % 64 == 0 && core::mem::offset_of!(Tcb, state) % 64 == 0);
    assert!(size_of::<Endpoint>() == 16);
    assert!(size_of::<Notification>() == 64);
    assert!(size_of::<Reply>() == 32);
    assert!(size_of::<Refill>() == 16);
    assert!(size_of::<Tcb>() <= if pecan_config::XSAVE_SIZE >= 832 { 4096 } else { 2048 });
    assert!(size_of::<PageTable>() == 4096);
    assert!(size_of::<IpcBuffer>() == 1024);
};
