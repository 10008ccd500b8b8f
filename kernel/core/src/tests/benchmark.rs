//! The benchmark system calls in the profile that the tests are built with: in most there are none. The clock stands
//! still but where a test moves it, so all figures are exact.
//!
//! `PECAN_PROFILE=utilisation` and `PECAN_PROFILE=entries` build those that track something.

use pecan_abi::{
    CapRights, Error, Label, ObjectType, Syscall,
    benchmark::{EntryPath, KernelEntry, LOG_BITS, LOG_ENTRY_WORDS, utilisation},
    ipc::buffer,
};
use pecan_arch::{Exception, IRQ_TIMER, host, reg};
use pecan_config::{BENCHMARK, DEBUG, TRACK_KERNEL_ENTRIES, TRACK_UTILISATION};
use pecan_mem::{Cap, Kernel, Link, Tcb, ThreadState, cap::tag, retype};

use crate::{
    base::{latency::EntryKind, message},
    cap::derivation,
    delete::last,
    entry::{benchmark, leave, syscall},
    sched::{choose, next},
    testing::{CNODE, FREE, TCB, UNTYPED_4M, World},
};

const REFUSED: u64 = Error::IllegalOperation.word();
/// Ticks that each entry takes in these tests.
const ENTRY: u64 = 10;

/// Makes a benchmark system call as user level does; the thread that runs then.
fn enter(w: &mut World, call: Syscall, arg: u64) -> Link<Tcb> {
    w.k.core().current.get().get(&w.k).context.set(reg::CAP, arg);
    leave::begin(&w.k, EntryKind::Syscall, call as u64);
    host::advance_time(ENTRY);
    let next = syscall::special_syscall(&mut w.k, call as i64);
    leave::leave(&w.k);
    next
}

/// The answer to a call that the kernel has.
#[track_caller]
fn ask(w: &mut World, call: Syscall, arg: u64) -> u64 {
    let thread = w.k.core().current.get();
    assert_eq!(enter(w, call, arg), thread, "{call:?} is unknown");
    thread.get(&w.k).context.get(reg::CAP)
}

/// An entry that switches to a thread.
fn switch(k: &Kernel, to: Link<Tcb>) {
    leave::begin(k, EntryKind::Syscall, Syscall::Yield as u64);
    host::advance_time(ENTRY);
    k.set_current(to.get(k));
    leave::leave(k);
}

/// The words of a utilisation: of the thread, the idle thread and all.
fn told(w: &mut World, tcb: u64) -> [[u64; 4]; 3] {
    assert_eq!(ask(w, Syscall::BenchmarkGetThreadUtilisation, tcb), 0);
    let buffer =
        message::buffer_for_reading(&w.k, w.k.core().current.get().get(&w.k)).expect("an IPC buffer");
    let word = |i| buffer.get(buffer::MSG + i);
    assert_eq!(word(utilisation::IDLE_LOCAL), word(utilisation::IDLE_TCB));
    [utilisation::TCB, utilisation::IDLE_TCB, utilisation::TOTAL]
        .map(|first| [0, 1, 2, 3].map(|i| word(first + i)))
}

#[test]
fn a_kernel_has_the_calls_of_its_profile() {
    let some = [
        Syscall::BenchmarkFlushCaches,
        Syscall::BenchmarkResetLog,
        Syscall::BenchmarkFinalizeLog,
        Syscall::BenchmarkSetLogBuffer,
        Syscall::BenchmarkNullSyscall,
    ];
    let tracking = [Syscall::BenchmarkGetThreadUtilisation, Syscall::BenchmarkResetThreadUtilisation];
    let debug = [Syscall::BenchmarkDumpAllThreadsUtilisation, Syscall::BenchmarkResetAllThreadsUtilisation];
    let all = some.map(|call| (call, BENCHMARK)).into_iter();
    let all = all.chain(tracking.map(|call| (call, TRACK_UTILISATION)));
    for (call, exists) in all.chain(debug.map(|call| (call, TRACK_UTILISATION && DEBUG))) {
        let mut w = World::new();
        // Of an unknown call the thread dies, as it has no fault handler.
        let goes_on = enter(&mut w, call, 0) == w.thread;
        assert_eq!(goes_on, exists, "{call:?}");
        assert_eq!(w.thread.get(&w.k).state.get() == ThreadState::Running, exists, "{call:?}");
    }
}

#[test]
fn calls_without_an_answer_keep_their_argument() {
    let calls = [Syscall::BenchmarkNullSyscall, Syscall::BenchmarkFlushCaches];
    for call in calls.into_iter().filter(|_| BENCHMARK) {
        assert_eq!(ask(&mut World::new(), call, 0x1234), 0x1234);
    }
}

#[test]
fn a_kernel_that_tracks_nothing_answers() {
    if BENCHMARK && !TRACK_KERNEL_ENTRIES {
        let mut w = World::new();
        w.retype(UNTYPED_4M, ObjectType::LargePage, 0, FREE, 1).expect("a frame");
        assert_eq!(ask(&mut w, Syscall::BenchmarkSetLogBuffer, FREE), REFUSED);
        assert_eq!(ask(&mut w, Syscall::BenchmarkResetLog, FREE), 0);
        assert_eq!(ask(&mut w, Syscall::BenchmarkFinalizeLog, FREE), 0);
        assert_eq!(w.descendants(FREE), 0);
    }
}

#[test]
fn time_goes_to_who_runs() {
    if !TRACK_UTILISATION {
        return;
    }
    let mut w = World::new();
    host::set_time(1_000);
    let Cap::Tcb { tcb: other } = w.make(ObjectType::Tcb, 0, FREE) else { unreachable!() };
    let (first, idle) = (w.thread, w.k.core().idle_thread.link());
    assert_eq!(told(&mut w, TCB), [[0; 4]; 3]);
    assert_eq!(ask(&mut w, Syscall::BenchmarkResetLog, 0), 0);
    // The first thread runs for 100, the other one for 30, nobody for 500, the first again for 7; each turn ends with the
    // entry that takes another 10.
    host::advance_time(100);
    switch(&w.k, other);
    host::advance_time(30);
    switch(&w.k, idle);
    host::advance_time(500);
    switch(&w.k, first);
    host::advance_time(7);
    // An entry that switches to nobody.
    assert_eq!(enter(&mut w, Syscall::BenchmarkNullSyscall, 0), first);
    // Up to now; the first of these two entries counts in the second.
    let now = [100 + ENTRY + 7 + 2 * ENTRY, 1, 2 * ENTRY, 2];
    assert_eq!(told(&mut w, TCB)[0][..2], now[..2]);
    assert_eq!(ask(&mut w, Syscall::BenchmarkFinalizeLog, 0), 0);
    let rest = |w: &mut World, tcb| {
        host::advance_time(1_000);
        told(w, tcb)
    };
    let its = [now[0] + ENTRY, 1, 3 * ENTRY, 3];
    let of_idle = [510, 1, ENTRY, 1];
    // The three switches, the null call, the first question.
    let all = [637 + 6 * ENTRY, 3, 5 * ENTRY, 5];
    assert_eq!(rest(&mut w, TCB), [its, of_idle, all]);
    assert_eq!(rest(&mut w, FREE), [[40, 1, ENTRY, 1], of_idle, all]);
    assert_eq!(its[0] + of_idle[0] + 40, all[0], "all time is somebody's");
    // Tracking again keeps what the threads have, and nothing else.
    assert_eq!(ask(&mut w, Syscall::BenchmarkResetLog, 0), 0);
    assert_eq!(ask(&mut w, Syscall::BenchmarkFinalizeLog, 0), 0);
    assert_eq!(rest(&mut w, TCB), [[its[0] + ENTRY, 1, 3 * ENTRY, 3], [0; 4], [ENTRY, 0, 0, 0]]);
    assert_eq!(ask(&mut w, Syscall::BenchmarkResetThreadUtilisation, TCB), 0);
    assert_eq!(rest(&mut w, TCB)[0], [0; 4]);
    assert_eq!(rest(&mut w, FREE)[0], [40, 1, ENTRY, 1]);
}

#[test]
fn what_is_no_thread_is_refused() {
    if !TRACK_UTILISATION {
        return;
    }
    let mut w = World::new();
    for cptr in [CNODE, FREE, u64::MAX] {
        assert_eq!(ask(&mut w, Syscall::BenchmarkGetThreadUtilisation, cptr), REFUSED);
        assert_eq!(ask(&mut w, Syscall::BenchmarkResetThreadUtilisation, cptr), REFUSED);
    }
    w.thread.get(&w.k).ipc_buffer.set(0);
    derivation::remove(&w.k, w.thread.get(&w.k).slots[Tcb::SLOT_IPC_BUFFER].link());
    assert_eq!(ask(&mut w, Syscall::BenchmarkGetThreadUtilisation, TCB), REFUSED);
    assert_eq!(ask(&mut w, Syscall::BenchmarkResetThreadUtilisation, TCB), 0);
}

#[test]
fn a_dump_has_a_line_for_each_thread_that_ran() {
    if !TRACK_UTILISATION || !DEBUG {
        return;
    }
    let mut w = World::new();
    let threads = [0, 1, 2].map(|i| {
        let Cap::Tcb { tcb } = w.make(ObjectType::Tcb, 0, FREE + i) else { unreachable!() };
        let mut name = [0; 24];
        name[..2].copy_from_slice(&[b't', b'0' + i as u8]);
        tcb.get(&w.k).name.set(name);
        tcb
    });
    w.thread.get(&w.k).name.set(*b"first\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    let (first, idle) = (w.thread, w.k.core().idle_thread.link());
    let dump = |w: &mut World| {
        host::take_console();
        ask(w, Syscall::BenchmarkDumpAllThreadsUtilisation, 0);
        host::take_console()
    };
    assert_eq!(dump(&mut w), "");
    ask(&mut w, Syscall::BenchmarkResetLog, 0);
    for (n, to) in [threads[0], threads[1], idle, threads[2], first].into_iter().enumerate() {
        host::advance_time(n as u64);
        switch(&w.k, to);
    }
    ask(&mut w, Syscall::BenchmarkFinalizeLog, 0);
    assert_eq!(dump(&mut w), "t2,14\nidle,13\nt1,12\nt0,11\nfirst,20\n");
    // One in the middle, the newest, and the oldest but one go.
    for (gone, left) in
        [(FREE + 1, "t2,14\nidle,13\nt0,11\nfirst,20\n"), (FREE + 2, "idle,13\nt0,11\nfirst,20\n")]
    {
        w.delete(gone).expect("delete");
        w.check();
        assert_eq!(dump(&mut w), left);
    }
    ask(&mut w, Syscall::BenchmarkResetAllThreadsUtilisation, 0);
    assert_eq!(dump(&mut w), "idle,0\nt0,0\nfirst,0\n");
    w.delete(FREE).expect("delete");
    assert_eq!(dump(&mut w), "idle,0\nfirst,0\n");
}

#[test]
fn a_thread_that_goes_while_it_is_in_the_kernel_is_forgotten() {
    if !TRACK_UTILISATION {
        return;
    }
    let mut w = World::new();
    let Cap::Tcb { tcb: other } = w.make(ObjectType::Tcb, 0, FREE) else { unreachable!() };
    let first = w.thread;
    ask(&mut w, Syscall::BenchmarkResetLog, 0);
    switch(&w.k, other);
    host::advance_time(50);
    leave::begin(&w.k, EntryKind::Syscall, Syscall::Call as u64);
    let _ = last::end_thread(&mut w.k, other);
    let _ = choose::schedule(&w.k, next::Next::Choose);
    w.k.set_current(first.get(&w.k));
    host::advance_time(ENTRY);
    leave::leave(&w.k);
    ask(&mut w, Syscall::BenchmarkFinalizeLog, 0);
    let [its, _, total] = told(&mut w, TCB);
    assert_eq!(total, [50 + 3 * ENTRY, 2, 2 * ENTRY, 2], "the time is nobody's, and counts");
    assert_eq!(its[..2], [2 * ENTRY, 1]);
    assert!(w.k.core().tracking.iter().all(|t| t.newest.get() == Some(first) && t.from.get() == Some(first)));
}

/// A world whose kernel logs into the frame in slot `FREE`.
fn logging() -> World {
    let mut w = World::new();
    w.retype(UNTYPED_4M, ObjectType::LargePage, 0, FREE, 1).expect("a frame");
    assert_eq!(ask(&mut w, Syscall::BenchmarkResetLog, 0), REFUSED);
    assert_eq!(ask(&mut w, Syscall::BenchmarkSetLogBuffer, FREE), 0);
    assert_eq!(ask(&mut w, Syscall::BenchmarkResetLog, 0), 0);
    w.check();
    w
}

/// An entry of the log in a frame.
fn logged(w: &World, frame: u64, index: u64) -> (KernelEntry, u64, u32) {
    let words = w.slot(frame).get(&w.k).words();
    let word =
        |at: u64| retype::ipc_buffer(words, 8 * at, false).expect("a frame").get(&w.k).get(at as usize);
    let [start, low, high] = [0, 1, 2].map(|i| word(index * LOG_ENTRY_WORDS as u64 + i));
    (KernelEntry(low >> 32 | high << 32), start, low as u32)
}

#[test]
fn each_kind_of_entry_is_logged() {
    if !TRACK_KERNEL_ENTRIES {
        return;
    }
    let mut w = logging();
    let k = &*w.k;
    let context = &w.thread.get(k).context;
    host::set_time(5_000);
    type Note = fn(&Kernel);
    let entry = KernelEntry::other;
    let call = |number, cap_type, label| KernelEntry::syscall(number, cap_type, label);
    let page_fault = |instruction| Exception::PageFault { address: 1, instruction, status: 2 };
    context.set(reg::INFO, 0x12345 << 12 | 3);
    let cases: &[(EntryKind, i64, u64, Note, KernelEntry)] = &[
        (EntryKind::Syscall, -1, TCB, |_| (), call(1, tag::TCB.number(), 0x12345)),
        (
            EntryKind::Syscall,
            -2,
            CNODE,
            |k| benchmark::note_fast(k),
            call(2, tag::CNODE.number(), 0x12345).fast(),
        ),
        (EntryKind::Syscall, -11, FREE + 1, |_| (), call(11, tag::NULL.number(), 0x12345)),
        (EntryKind::Syscall, -5, u64::MAX, |_| (), call(5, tag::NULL.number(), 0x12345)),
        (EntryKind::Syscall, -25, TCB, |_| (), entry(EntryPath::UnknownSyscall, -25_i64 as u64)),
        (EntryKind::Syscall, 99, TCB, |_| (), entry(EntryPath::UnknownSyscall, 99)),
        (
            EntryKind::Interrupt,
            32,
            TCB,
            |k| benchmark::note_interrupt(k, IRQ_TIMER),
            entry(EntryPath::Interrupt, IRQ_TIMER as u64),
        ),
        (
            EntryKind::Exception,
            14,
            TCB,
            |k| benchmark::note_exception(k, Exception::User { number: 6, code: 0 }),
            entry(EntryPath::UserLevelFault, 6),
        ),
        (
            EntryKind::Exception,
            1,
            TCB,
            |k| benchmark::note_exception(k, Exception::Debug { software: true }),
            entry(EntryPath::DebugFault, 1),
        ),
        (EntryKind::Exception, 7, TCB, |_| (), entry(EntryPath::Unknown, 7)),
    ];
    let run = |k: &Kernel, why, number: i64, cptr, note: &dyn Fn(&Kernel)| {
        context.set(reg::CAP, cptr);
        leave::begin(k, why, number as u64);
        note(k);
        host::advance_time(ENTRY);
        leave::leave(k);
        host::advance_time(90);
    };
    for &(why, number, cptr, note, _) in cases {
        run(k, why, number, cptr, &note);
    }
    for instruction in [false, true] {
        run(k, EntryKind::Exception, 14, TCB, &|k| benchmark::note_exception(k, page_fault(instruction)));
    }
    let count = cases.len() as u64 + 2;
    assert_eq!(ask(&mut w, Syscall::BenchmarkFinalizeLog, 0), count);
    let faults = [0, 1].map(|detail| entry(EntryPath::VMFault, detail));
    for (n, want) in cases.iter().map(|case| case.4).chain(faults).enumerate() {
        assert_eq!(logged(&w, FREE, n as u64), (want, 5_000 + 100 * n as u64, ENTRY as u32), "entry {n}");
    }
    assert_eq!(logged(&w, FREE, count), (KernelEntry(0), 0, 0));
    // A time that is too long for its field.
    assert_eq!(ask(&mut w, Syscall::BenchmarkResetLog, 0), 0);
    leave::begin(&w.k, EntryKind::Interrupt, 0);
    host::advance_time(1 << 40);
    leave::leave(&w.k);
    assert_eq!(ask(&mut w, Syscall::BenchmarkFinalizeLog, 0), 1);
    assert_eq!(logged(&w, FREE, 0).2, u32::MAX);
}

#[test]
fn a_log_is_no_longer_than_its_buffer() {
    if !TRACK_KERNEL_ENTRIES {
        return;
    }
    let mut w = logging();
    let most = (1 << LOG_BITS) / (8 * LOG_ENTRY_WORDS as u64);
    for _ in 0..most + 2 {
        enter(&mut w, Syscall::BenchmarkNullSyscall, 0);
    }
    assert_eq!(ask(&mut w, Syscall::BenchmarkFinalizeLog, 0), most);
    let null = KernelEntry::other(EntryPath::UnknownSyscall, Syscall::BenchmarkNullSyscall as u64);
    assert_eq!([0, most - 1].map(|n| logged(&w, FREE, n).0), [null; 2]);
}

#[test]
fn the_log_goes_with_the_capability_that_it_was_given() {
    if !TRACK_KERNEL_ENTRIES {
        return;
    }
    let mut w = logging();
    let log = |w: &World| w.k.core().tracking.first().expect("it tracks").log.link();
    assert_eq!(log(&w).get(&w.k).cap(), w.cap(FREE), "a copy");
    // A frame may be the buffer twice; the old copy goes.
    assert_eq!(ask(&mut w, Syscall::BenchmarkSetLogBuffer, FREE), 0);
    assert_eq!(w.descendants(FREE), 1);
    // Refused, everything stays.
    w.retype(UNTYPED_4M, ObjectType::Page4K, 0, FREE + 1, 1).expect("a page");
    w.copy(FREE + 2, FREE, CapRights::READ).expect("a copy");
    for wrong in [TCB, FREE + 1, FREE + 2, FREE + 3, u64::MAX] {
        assert_eq!(ask(&mut w, Syscall::BenchmarkSetLogBuffer, wrong), REFUSED);
    }
    assert_eq!(log(&w).get(&w.k).cap(), w.cap(FREE));
    w.check();
    // The copy alone keeps the frame.
    w.delete(FREE).expect("delete");
    w.delete(FREE + 2).expect("delete");
    w.check();
    assert_eq!(ask(&mut w, Syscall::BenchmarkResetLog, 0), 0);
    w.revoke(UNTYPED_4M).expect("revoke");
    w.check();
    assert!(log(&w).get(&w.k).is_empty());
    enter(&mut w, Syscall::BenchmarkNullSyscall, 0);
    assert_eq!(ask(&mut w, Syscall::BenchmarkFinalizeLog, 0), 0);
    assert_eq!(ask(&mut w, Syscall::BenchmarkResetLog, 0), REFUSED);
    assert_eq!(
        w.call(UNTYPED_4M, Label::UntypedRetype, &[ObjectType::LargePage as u64, 0, 0, 0, FREE, 2], &[CNODE]),
        Ok(vec![])
    );
    enter(&mut w, Syscall::BenchmarkNullSyscall, 0);
    assert_eq!([logged(&w, FREE, 0), logged(&w, FREE + 1, 0)], [(KernelEntry(0), 0, 0); 2]);
}
