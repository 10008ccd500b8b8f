//! The benchmark system calls, and what the kernel tracks for them: with `benchmark = "track_utilisation"` how much of
//! the processor each thread uses, with `"track_kernel_entries"` each entry into the kernel, in a log. With any other
//! profile the tracking compiles to nothing.
//!
//! All of it happens where the kernel is entered ([`begin`]) and left ([`leave`]): a thread's time goes from the end of
//! the entry that switches to it to the end of the one that switches away. The log lies in a frame of user level, to which
//! the kernel has a capability of its own, a copy of the one it was given. So the frame stays a frame for as long as the
//! kernel writes to it: who revokes it takes the kernel's capability away first.

use core::cell::Cell;

use pecan_abi::{
    Error, MessageInfo, Syscall,
    benchmark::{EntryPath, KernelEntry, LOG_BITS, LOG_ENTRY_WORDS, utilisation},
    ipc::buffer,
};
use pecan_arch::{Exception, now, reg};
use pecan_config::{DEBUG, TRACK_KERNEL_ENTRIES, TRACK_UTILISATION};
use pecan_mem::{Kernel, Tcb, follow, object::Usage, retype, state::Tracking};

use crate::{
    base::{latency::EntryKind, message, track},
    cap::{derivation, lookup},
    entry::debug,
};

/// What a call answers that has been refused.
const REFUSED: u64 = Error::IllegalOperation.word();

/// Entries that the log has room for.
const MOST_ENTRIES: u64 = (1 << LOG_BITS) / (8 * LOG_ENTRY_WORDS as u64);

fn add(to: &Cell<u64>, n: u64) {
    to.set(to.get().wrapping_add(n));
}

/// The kernel is entered.
#[inline(always)]
pub fn begin(k: &Kernel, why: EntryKind, number: u64) {
    if let Some(t) = track::tracking(k) {
        t.from.set(Some(k.core().current.get()));
        if TRACK_KERNEL_ENTRIES {
            t.entry.set(entry_of(k, why, number).0);
        }
        t.entered.set(now());
    }
}

/// What is known of an entry from the first. That of an interrupt or an exception is told later ([`note`]).
fn entry_of(k: &Kernel, why: EntryKind, number: u64) -> KernelEntry {
    match why {
        EntryKind::Syscall if Syscall::is_core(number as i64) => {
            let thread = k.core().current.get().get(k);
            let cap = lookup::cap(k, thread, thread.context.get(reg::CAP));
            let cap_type = cap.map_or(0, |slot| slot.get(k).words().type_number());
            let label = MessageInfo(thread.context.get(reg::INFO)).label();
            KernelEntry::syscall((number as i64).unsigned_abs(), cap_type, label)
        }
        EntryKind::Syscall => KernelEntry::other(EntryPath::UnknownSyscall, number),
        EntryKind::Exception | EntryKind::Interrupt => KernelEntry::other(EntryPath::Unknown, number),
    }
}

#[inline(always)]
fn note(k: &Kernel, entry: impl FnOnce(KernelEntry) -> KernelEntry) {
    if TRACK_KERNEL_ENTRIES && let Some(t) = track::tracking(k) {
        t.entry.set(entry(KernelEntry(t.entry.get())).0);
    }
}

/// The entry is for this interrupt.
#[inline(always)]
pub fn note_interrupt(k: &Kernel, irq: usize) {
    note(k, |_| KernelEntry::other(EntryPath::Interrupt, irq as u64));
}

/// The entry is for this exception.
#[inline(always)]
pub fn note_exception(k: &Kernel, exception: Exception) {
    note(k, |_| match exception {
        Exception::PageFault { instruction, .. } => {
            KernelEntry::other(EntryPath::VMFault, instruction.into())
        }
        Exception::Debug { software } => KernelEntry::other(EntryPath::DebugFault, software.into()),
        Exception::User { number, .. } => KernelEntry::other(EntryPath::UserLevelFault, number),
    });
}

/// The fast path has done the system call.
#[inline(always)]
pub fn note_fast(k: &Kernel) {
    note(k, KernelEntry::fast);
}

/// The kernel is left, for the current thread.
#[inline(always)]
pub fn leave(k: &Kernel) {
    if let Some(t) = track::tracking(k).filter(|t| t.on.get()) {
        end(k, t);
    }
}

/// What began before the last reset does not count.
#[inline(never)]
fn end(k: &Kernel, t: &Tracking) {
    let (now, entered) = (now(), t.entered.get());
    let counts = |usage: &Usage| usage.start.get() <= entered;
    if TRACK_KERNEL_ENTRIES {
        if counts(&t.total) {
            log(k, t, now.saturating_sub(entered));
        }
        return;
    }
    let (from, to) = (follow(t.from.get(), k), k.core().current.get().get(k));
    let of_from = from.and_then(Tcb::usage);
    for usage in [Some(&t.total), of_from].into_iter().flatten().filter(|usage| counts(usage)) {
        add(&usage.kernel, now.saturating_sub(entered));
        add(&usage.entries, 1);
    }
    if !from.is_some_and(|from| core::ptr::eq(from, to)) {
        of_from.inspect(|usage| add(&usage.time, now.saturating_sub(usage.start.get())));
        add(&t.total.schedules, 1);
        if let Some(usage) = begin_turn(k, t, to, now) {
            add(&usage.schedules, 1);
        }
    }
}

/// A thread runs from now on.
fn begin_turn<'k>(k: &'k Kernel, t: &Tracking, thread: &'k Tcb, now: u64) -> Option<&'k Usage> {
    let usage = thread.usage()?;
    usage.start.set(now);
    if !usage.is_listed.replace(true) {
        let older = t.newest.replace(Some(thread.link()));
        usage.older.set(older);
        if let Some(older) = follow(older, k).and_then(Tcb::usage) {
            older.newer.set(Some(thread.link()));
        }
    }
    Some(usage)
}

/// Writes the entry that ends into the log, if there is one with room for it.
fn log(k: &Kernel, t: &Tracking, duration: u64) {
    let index = t.logged.get();
    let words = KernelEntry(t.entry.get()).to_log(t.entered.get(), duration.try_into().unwrap_or(u32::MAX));
    for (i, word) in words.into_iter().enumerate() {
        let at = index * LOG_ENTRY_WORDS as u64 + i as u64;
        // A frame is made of IPC buffers.
        let Some(piece) = retype::ipc_buffer(t.log.words(), 8 * at, true).filter(|_| index < MOST_ENTRIES)
        else {
            return;
        };
        piece.get(k).set(at as usize, word);
    }
    t.logged.set(index + 1);
}

/// Does the benchmark system call `call`, other than the null one, for the current thread, which has its argument in the
/// first register and finds the answer there. False if the profile does not have it, or it is none: then it is unknown.
pub fn syscall(k: &Kernel, call: Syscall) -> bool {
    let caller = k.core().current.get().get(k);
    let arg = caller.context.get(reg::CAP);
    let answer = match call {
        Syscall::BenchmarkFlushCaches => {
            pecan_arch::flush_caches();
            arg
        }
        Syscall::BenchmarkResetLog => reset_log(k),
        Syscall::BenchmarkFinalizeLog => finalize_log(k),
        Syscall::BenchmarkSetLogBuffer => set_log_buffer(k, caller, arg).map_or(REFUSED, |()| 0),
        Syscall::BenchmarkGetThreadUtilisation if TRACK_UTILISATION => {
            tell(k, caller, arg).map_or(REFUSED, |()| 0)
        }
        Syscall::BenchmarkResetThreadUtilisation if TRACK_UTILISATION => {
            let usage = thread(k, caller, arg).and_then(Tcb::usage);
            usage.map_or(REFUSED, |usage| reset(usage, now()))
        }
        Syscall::BenchmarkDumpAllThreadsUtilisation if TRACK_UTILISATION && DEBUG => {
            let now = now();
            all(k).for_each(|(thread, usage)| debug::print_usage(thread, time(k, thread, usage, now)));
            0
        }
        Syscall::BenchmarkResetAllThreadsUtilisation if TRACK_UTILISATION && DEBUG => {
            let now = now();
            all(k).map(|(_, usage)| reset(usage, now)).max().unwrap_or(0)
        }
        _ => return false,
    };
    caller.context.set(reg::CAP, answer);
    true
}

/// All threads that have used time while the kernel tracked it.
fn all(k: &Kernel) -> impl Iterator<Item = (&Tcb, &Usage)> {
    let first = track::tracking(k).and_then(|t| follow(t.newest.get(), k));
    let threads = core::iter::successors(first, |thread| follow(thread.usage()?.older.get(), k));
    threads.filter_map(|thread| Some((thread, thread.usage()?)))
}

fn thread<'k>(k: &'k Kernel, caller: &Tcb, cptr: u64) -> Option<&'k Tcb> {
    let slot = lookup::cap(k, caller, cptr).ok()?;
    follow(slot.get(k).words().tcb(), k)
}

/// Counts from nothing again.
fn reset(usage: &Usage, now: u64) -> u64 {
    usage.start.set(now);
    [&usage.time, &usage.schedules, &usage.kernel, &usage.entries].into_iter().for_each(|n| n.set(0));
    0
}

/// The time that a thread has used up to now.
fn time(k: &Kernel, thread: &Tcb, usage: &Usage, now: u64) -> u64 {
    if thread.link() == k.core().current.get() { with_turn(k, usage, now) } else { usage.time.get() }
}

/// The time used by who runs now, if the kernel tracks.
fn with_turn(k: &Kernel, usage: &Usage, now: u64) -> u64 {
    let tracks = track::tracking(k).is_some_and(|t| t.on.get());
    usage.time.get() + if tracks { now.saturating_sub(usage.start.get()) } else { 0 }
}

fn reset_log(k: &Kernel) -> u64 {
    let Some(t) = track::tracking(k) else { return 0 };
    if TRACK_KERNEL_ENTRIES && t.log.is_empty() {
        return REFUSED;
    }
    let now = now();
    t.logged.set(0);
    k.core().idle_thread.usage().map(|usage| reset(usage, now));
    begin_turn(k, t, k.core().current.get().get(k), now);
    t.on.set(true);
    reset(&t.total, now)
}

fn finalize_log(k: &Kernel) -> u64 {
    let Some(t) = track::tracking(k) else { return 0 };
    let now = now();
    let of_current = k.core().current.get().get(k).usage();
    for usage in [Some(&t.total), of_current].into_iter().flatten() {
        usage.time.set(with_turn(k, usage, now));
    }
    t.on.set(false);
    if t.log.is_empty() { 0 } else { t.logged.get() }
}

/// Takes a copy of the capability at `cptr` for the log, instead of what was there. `None` if it is not one to a large
/// frame of memory that its holder may write, or the kernel keeps no log.
fn set_log_buffer(k: &Kernel, caller: &Tcb, cptr: u64) -> Option<()> {
    let t = track::tracking(k).filter(|_| TRACK_KERNEL_ENTRIES)?;
    let slot = lookup::cap(k, caller, cptr).ok()?;
    let cap = slot.get(k).words();
    let (_, level) = cap.user_memory(true)?;
    if pecan_arch::level_shift(level) != LOG_BITS {
        return None;
    }
    t.on.set(false);
    t.logged.set(0);
    if !t.log.is_empty() {
        // Without a mapping there is no more to the end of a frame's capability.
        derivation::remove(k, t.log.link());
    }
    derivation::insert(k, cap.unmapped_frame(), slot, t.log.link());
    Some(())
}

/// Writes into the caller's IPC buffer what the thread at `cptr`, the idle thread and all have used.
fn tell(k: &Kernel, caller: &Tcb, cptr: u64) -> Option<()> {
    let (t, idle) = (track::tracking(k)?, &k.core().idle_thread);
    let thread = thread(k, caller, cptr)?;
    let buffer = message::buffer_for_writing(k, caller)?;
    let now = now();
    let words = |usage: &Usage, time| [time, usage.schedules.get(), usage.kernel.get(), usage.entries.get()];
    let of = |thread: &Tcb| thread.usage().map(|usage| words(usage, time(k, thread, usage, now)));
    use utilisation::{IDLE_LOCAL, IDLE_TCB, TCB, TOTAL};
    let of_idle = of(idle)?;
    for (first, words) in
        [(TCB, of(thread)?), (IDLE_TCB, of_idle), (TOTAL, words(&t.total, with_turn(k, &t.total, now)))]
    {
        words.into_iter().enumerate().for_each(|(i, word)| buffer.set(buffer::MSG + first + i, word));
    }
    buffer.set(buffer::MSG + IDLE_LOCAL, of_idle[0]);
    Some(())
}
