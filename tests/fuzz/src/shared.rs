//! Memory that the random threads and their supervisor share, and where it lies in each address space.
//!
//! It belongs to the supervisor. The random threads get it mapped, without a capability to it, at the same addresses
//! as the supervisor.

use core::sync::atomic::{
    AtomicU64,
    Ordering::{Relaxed, SeqCst},
};

use pecan_abi::{INVOCATIONS, ipc::IpcBuffer};

use crate::plan::Plan;

/// Threads that choose and make random calls.
pub const GENERATORS: usize = 4;
/// Threads that do what they are set to do by others.
pub const PUPPETS: usize = 4;
/// All random threads: generators, then puppets.
pub const THREADS: usize = GENERATORS + PUPPETS;

/// Where [`Shared`] is mapped: at no address that a random word is likely to be.
pub const SHARED: u64 = 0x35_a5a0_0000;
/// Where the areas of the random threads are mapped; in the same 2 MiB.
pub const AREAS: u64 = SHARED + 0x10_0000;
/// From one area to the next.
pub const AREA_STRIDE: u64 = 0x8000;
/// Pages of an area: one with the thread's IPC buffer and state, and its stack.
pub const AREA_PAGES: u64 = 5;
/// The addresses that random threads map things at begin here: nothing of theirs lies above.
pub const WINDOW: u64 = 0x80_0000_0000;

/// Slots of a CNode that somebody keeps book of.
pub const SLOTS: usize = 256;
/// CNodes that somebody keeps book of: those of the random threads, and the supervisor's part for its own calls.
pub const TABLES: usize = 4;
/// The table of the supervisor's own calls.
pub const DIRECTOR: usize = 3;

/// Calls that the ring holds.
pub const RING: usize = 512;
/// Words of an entry of the ring.
pub const RING_WORDS: usize = 16;
/// What the ring starts with, so that the host finds it.
pub const RING_MAGIC: u64 = u64::from_le_bytes(*b"PECANRNG");

/// What can become of an invocation: an error of the interface (0 for success), or one of these.
pub const OUTCOMES: usize = 14;
/// It ended in a fault.
pub const FAULTED: usize = 11;
/// It was sent so that no answer comes.
pub const UNANSWERED: usize = 12;
/// It did not come back: the thread was stopped in it.
pub const LOST: usize = 13;

/// Kinds of calls that are not invocations, which are counted apart.
pub const KINDS: usize = 24;

/// What all share.
#[repr(C, align(4096))]
pub struct Shared {
    /// [`RING_MAGIC`], and the number of calls made so far. The entry of call `n` is `ring[n % RING]`.
    pub magic: AtomicU64,
    /// Calls made so far.
    pub calls: AtomicU64,
    /// An untyped without room.
    pub exhausted: AtomicU64,
    rest: [AtomicU64; 13],
    /// The last calls.
    pub ring: [[AtomicU64; RING_WORDS]; RING],
    /// What is thought to be in the slots of the CNodes that somebody keeps book of.
    pub slots: [[AtomicU64; SLOTS]; TABLES],
    /// How invocations ended, by their place in the table.
    pub outcomes: [[AtomicU64; OUTCOMES]; INVOCATIONS.len()],
    /// How often each other thing was done: those that came back, and those that did not.
    pub kinds: [[AtomicU64; 2]; KINDS],
}

/// Pages of [`Shared`].
pub const SHARED_PAGES: u64 = (size_of::<Shared>() as u64).div_ceil(4096);
const _: () = assert!(SHARED_PAGES * 4096 <= AREAS - SHARED);
const _: () = assert!(THREADS as u64 * AREA_STRIDE <= 0x10_0000);

/// The first page of a random thread's area.
#[repr(C, align(4096))]
pub struct Area {
    /// The IPC buffer.
    pub buffer: IpcBuffer,
    /// State of the random numbers.
    pub rng: AtomicU64,
    /// Calls made.
    pub calls: AtomicU64,
    /// Set while a call is under way.
    pub in_flight: AtomicU64,
    /// The label of the fault that stopped the thread, plus 1; 0 if none did.
    pub fault: AtomicU64,
    /// The address of the capability that was missing, if that was the fault.
    pub missing: AtomicU64,
    /// The reply object that the thread owes an answer through, plus 1.
    pub owes: AtomicU64,
    /// What was to be done.
    pub plan: Plan,
}

const _: () = assert!(size_of::<Area>() == 4096);

/// What all share. Only for code that runs where it is mapped: the supervisor, once it is, and random threads.
#[inline]
pub fn shared() -> &'static Shared {
    // SAFETY: it is mapped for as long as anyone of those runs, zeroed at first, and made of atomics.
    unsafe { &*(SHARED as *const Shared) }
}

/// The area of a random thread, where it is mapped.
#[inline]
pub fn area(index: usize) -> *mut Area {
    (AREAS + index as u64 * AREA_STRIDE) as *mut Area
}

/// The words of an area that everybody may look at.
#[inline]
pub fn words(index: usize) -> Words {
    let area = area(index);
    // SAFETY: mapped as in `shared`, and atomics.
    unsafe {
        Words {
            rng: &(*area).rng,
            calls: &(*area).calls,
            in_flight: &(*area).in_flight,
            fault: &(*area).fault,
            missing: &(*area).missing,
            owes: &(*area).owes,
        }
    }
}

/// The atomic part of an [`Area`].
#[allow(missing_docs, reason = "as in `Area`")]
pub struct Words {
    pub rng: &'static AtomicU64,
    pub calls: &'static AtomicU64,
    pub in_flight: &'static AtomicU64,
    pub fault: &'static AtomicU64,
    pub missing: &'static AtomicU64,
    pub owes: &'static AtomicU64,
}

/// Counts.
#[inline]
pub fn count(counter: &AtomicU64) {
    // The threads run on one core, but can be interrupted anywhere.
    counter.fetch_add(1, Relaxed);
}

/// Takes the number of the next call.
#[inline]
pub fn next_call() -> u64 {
    shared().calls.fetch_add(1, SeqCst)
}
