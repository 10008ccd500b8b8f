//! The log of entries into the kernel, in kernels that keep one.
//!
//! Now and then the runner's watchdog runs: what wants to see its own entries only is done again then.

use core::arch::asm;

use pecan::{
    Error,
    raw::{
        self, LogEntry, Logged, benchmark_finalize_log as finalize, benchmark_null_syscall as null, benchmark_reset_log as reset_log,
        benchmark_set_log_buffer as set_buffer, invocations as inv,
    },
};
use pecan_abi::{
    CPtr, CapRights, Label, MessageInfo, ObjectType, Syscall, UserContext,
    benchmark::{EntryPath, LOG_BITS, LOG_ENTRY_WORDS},
    boot::slot,
};

use crate::{
    Env,
    env::{HIGH, Mapped, ROOT, WINDOW, delete, nb_send, revoke, signal},
    machine,
    start::boot_info,
    thread::Spaces,
};

tests! {
    without_a_buffer_there_is_no_log;
    what_is_no_buffer_is_refused;
    calls_are_logged_in_order;
    the_fast_path_is_marked;
    faults_are_logged;
    interrupts_are_logged;
    a_finished_log_stays_as_it_is;
    a_full_log_ends;
    another_buffer_takes_over;
    the_kernel_has_a_capability_of_its_own;
    a_revoked_capability_takes_the_log_with_it;
    memory_that_is_no_buffer_any_more_is_not_written;
}

/// Words of a buffer.
const WORDS: u64 = 1 << (LOG_BITS - 3);
/// Where buffers are mapped: 2 MiB each.
const AT: u64 = WINDOW + (1 << 39);
/// An address that nothing is mapped at.
const NOWHERE: u64 = 0x1234_5678;

/// A buffer that is mapped.
#[derive(Clone, Copy)]
struct Buffer {
    frame: CPtr,
    memory: Mapped,
}

impl Buffer {
    /// A frame, mapped at the address of number `n`.
    fn new(env: &Env, n: u64) -> Self {
        Self::of(env, env.object(ObjectType::LargePage), n)
    }

    fn of(env: &Env, frame: CPtr, n: u64) -> Self {
        if n == 0 {
            env.map_tables(slot::INIT_THREAD_VSPACE, AT);
        }
        let at = AT + ((n + 1) << LOG_BITS);
        inv::page_map(frame, slot::INIT_THREAD_VSPACE, at, CapRights::READ_WRITE, 0).expect("map");
        Buffer { frame, memory: Mapped(at) }
    }

    /// A buffer that is the kernel's log.
    fn set(env: &Env) -> Self {
        let buffer = Buffer::new(env, 0);
        set_buffer(buffer.frame).expect("set the buffer");
        buffer
    }

    /// An entry of the log.
    fn entry(self, index: u64) -> LogEntry {
        let first = index * LOG_ENTRY_WORDS as u64;
        LogEntry::from_words([0, 1, 2].map(|i| self.memory.read(first + i))).expect("an entry")
    }

    /// What is logged of something that makes `N` entries.
    #[track_caller]
    fn logs<const N: usize>(self, mut work: impl FnMut()) -> [Logged; N] {
        let mut count = 0;
        for _ in 0..4 {
            let before = machine::tsc();
            reset_log().expect("reset the log");
            work();
            count = finalize();
            let after = machine::tsc();
            let entries = (0..count).map(|n| self.entry(n));
            if entries.clone().any(|entry| interrupt(entry.what).is_some()) || count != N as u64 {
                continue;
            }
            let end = entries.fold(before, |end, entry| {
                assert!(entry.start > end && entry.duration > 0, "{entry:?}, {end} being past");
                entry.start + u64::from(entry.duration)
            });
            assert!(end < after);
            return core::array::from_fn(|n| self.entry(n as u64).what);
        }
        (0..count.min(24)).for_each(|n| crate::println!("{:x?}", self.entry(n)));
        panic!("{count} entries, and not {N}");
    }
}

/// An entry for a system call on a capability, with a label.
fn call(call: Syscall, cap: CPtr, label: u64) -> Logged {
    let number = call.number().unsigned_abs();
    Logged::Syscall { number, cap_type: raw::debug_cap_identify(cap), fast: false, label }
}

/// The same, done by the fast path.
fn fast(kind: Syscall, cap: CPtr, label: u64) -> Logged {
    match call(kind, cap, label) {
        Logged::Syscall { number, cap_type, label, .. } => Logged::Syscall { number, cap_type, fast: true, label },
        other => other,
    }
}

/// An entry for a system call that not every kernel has, or none.
fn unknown(number: i64) -> Logged {
    Logged::Other { path: EntryPath::UnknownSyscall, detail: number as u64 & 0x3ff_ffff }
}

/// The number of the interrupt that an entry was for.
fn interrupt(what: Logged) -> Option<u64> {
    match what {
        Logged::Other { path: EntryPath::Interrupt, detail } => Some(detail),
        _ => None,
    }
}

fn without_a_buffer_there_is_no_log(_: &Env) {
    assert_eq!(reset_log(), Err(Error::IllegalOperation));
    (0..10).for_each(|_| null());
    assert_eq!(finalize(), 0);
}

fn what_is_no_buffer_is_refused(env: &Env) {
    let frame = env.object(ObjectType::LargePage);
    let bi = boot_info();
    let device = bi.untyped_list[..bi.untyped.len() as usize]
        .iter()
        .position(|u| u.is_device != 0 && u32::from(u.size_bits) >= LOG_BITS)
        .expect("a PC has that much device memory");
    let of_device = env.slot();
    let kind = ObjectType::LargePage.word();
    inv::untyped_retype(bi.untyped.start + device as u64, kind, 0, ROOT, 0, 0, of_device, 1).expect("retype");
    let wrong = [
        slot::NULL,
        env.slot(),
        u64::MAX,
        env.endpoint(),
        env.tcb(),
        env.untyped,
        env.frame(),
        // The kernel would write on behalf of one who may not.
        env.copy_with(frame, CapRights::READ),
        env.copy_with(frame, CapRights::NONE),
        of_device,
    ];
    for cap in wrong {
        env.refused(Error::IllegalOperation, || set_buffer(cap));
        env.refused(Error::IllegalOperation, reset_log);
    }
    // Refused, it leaves the buffer that there is.
    let buffer = Buffer::of(env, frame, 0);
    set_buffer(frame).expect("set the buffer");
    for cap in wrong {
        assert_eq!(set_buffer(cap), Err(Error::IllegalOperation));
    }
    assert_eq!(buffer.logs(null), [unknown(Syscall::BenchmarkNullSyscall.number())]);
}

fn calls_are_logged_in_order(env: &Env) {
    let buffer = Buffer::set(env);
    let (notification, endpoint, tcb) = (env.notification(), env.endpoint(), env.tcb());
    let entries = buffer.logs(|| {
        null();
        raw::debug_cap_identify(endpoint);
        raw::yield_now();
        signal(notification);
        raw::nb_wait(notification);
        nb_send(endpoint, 0x123, &[]);
        // The label is cut to the bits that there are.
        nb_send(endpoint, 0x5f_ffff, &[1, 2, 3, 4, 5]);
        nb_send(u64::MAX, 1, &[]);
        inv::tcb_read_registers(tcb, false, 0, UserContext::WORDS as u64).expect("read");
    });
    let none = slot::NULL;
    let want: [Logged; 9] = [
        unknown(Syscall::BenchmarkNullSyscall.number()),
        unknown(Syscall::DebugCapIdentify.number()),
        call(Syscall::Yield, none, 0),
        fast(Syscall::Send, notification, 0),
        fast(Syscall::NBWait, notification, 0),
        call(Syscall::NBSend, endpoint, 0x123),
        call(Syscall::NBSend, endpoint, 0x7_ffff),
        call(Syscall::NBSend, none, 1),
        call(Syscall::Call, tcb, Label::TcbReadRegisters.word()),
    ];
    assert_eq!(entries, want);
}

fn the_fast_path_is_marked(env: &Env) {
    let buffer = Buffer::set(env);
    let (endpoint, reply) = (env.endpoint(), env.reply());
    let server = env.passive_thread(HIGH);
    let sc = env.sched_context(10_000, 10_000);
    inv::sched_context_bind(sc, server.tcb).expect("bind");
    server.start(move || {
        raw::recv(endpoint, reply);
        loop {
            raw::reply_recv(endpoint, MessageInfo::new(9, 0, 0, 0), [0; 4], reply);
        }
    });
    inv::sched_context_unbind(sc).expect("unbind");
    let trip = |label, caps, words| {
        raw::set_cap(0, endpoint);
        raw::call(endpoint, MessageInfo::new(label, 0, caps, words), [0; 4]);
    };
    let back = fast(Syscall::ReplyRecv, endpoint, 9);
    // In registers, with words in the IPC buffers, and with a capability, which is for the slow path.
    assert_eq!(buffer.logs(|| trip(7, 0, 2)), [fast(Syscall::Call, endpoint, 7), back]);
    assert_eq!(buffer.logs(|| trip(8, 0, 20)), [fast(Syscall::Call, endpoint, 8), back]);
    assert_eq!(buffer.logs(|| trip(9, 1, 0)), [call(Syscall::Call, endpoint, 9), back]);
}

fn faults_are_logged(env: &Env) {
    let buffer = Buffer::set(env);
    let (endpoint, reply) = (env.endpoint(), env.reply());
    fn unknown_call() -> u64 {
        raw::any_syscall(-100, 0, MessageInfo(0), [0; 4], 0, 0).badge
    }
    fn read() -> u64 {
        Mapped(NOWHERE).read(0)
    }
    fn fetch() -> u64 {
        // SAFETY: there is nothing to be executed; the jump faults, and is never restarted.
        unsafe { asm!("jmp {}", in(reg) NOWHERE, options(noreturn)) }
    }
    fn undefined() -> u64 {
        // SAFETY: faults, and is never restarted.
        unsafe { asm!("ud2", options(noreturn)) }
    }
    let other = |path, detail| Logged::Other { path, detail };
    let faults: [(fn() -> u64, Logged); 4] = [
        (unknown_call, unknown(-100)),
        (read, other(EntryPath::VMFault, 0)),
        (fetch, other(EntryPath::VMFault, 1)),
        (undefined, other(EntryPath::UserLevelFault, 6)),
    ];
    for (function, want) in faults {
        let thread =
            env.thread_with(HIGH, env.sched_context(10_000, 10_000), Spaces { fault_ep: endpoint, ..Spaces::own() });
        let [start, fault] = buffer.logs(|| {
            thread.start(function);
            // In case that this is done again.
            finalize();
            raw::nb_recv(endpoint, reply);
        });
        assert_eq!([start, fault], [call(Syscall::Call, thread.tcb, Label::TcbWriteRegisters.word()), want]);
        inv::tcb_suspend(thread.tcb).expect("suspend");
        env.reuse(thread);
    }
}

fn interrupts_are_logged(env: &Env) {
    let buffer = Buffer::set(env);
    reset_log().expect("reset the log");
    // A sleeping thread is woken by the timer, while the idle thread runs.
    let thread = env.thread_with(HIGH, env.sched_context(1_000, 5_000), Spaces::own());
    thread.start(|| {
        (0..3).for_each(|_| raw::yield_now());
        7
    });
    assert_eq!(thread.join(), 7);
    let count = finalize();
    let mut interrupts = (0..count).filter_map(|n| interrupt(buffer.entry(n).what));
    let timer = interrupts.next().expect("an interrupt");
    assert!(interrupts.clone().all(|number| number == timer));
    assert!((1..20).contains(&interrupts.count()), "of {count} entries");
}

fn a_finished_log_stays_as_it_is(env: &Env) {
    let buffer = Buffer::set(env);
    let five: [Logged; 5] = buffer.logs(|| (0..5).for_each(|_| null()));
    let log = || core::array::from_fn::<_, 10, _>(|n| buffer.entry(n as u64));
    let before = log();
    raw::yield_now();
    assert_eq!((finalize(), log()), (5, before));
    // The next one begins at the front.
    assert_eq!(buffer.logs(raw::yield_now), [call(Syscall::Yield, slot::NULL, 0)]);
    assert_eq!(log()[1..], before[1..]);
    assert_eq!(five[0], five[4]);
    // The buffer set once more has no entries.
    set_buffer(buffer.frame).expect("set the buffer");
    (0..3).for_each(|_| null());
    assert_eq!(finalize(), 0, "tracking begins with a reset");
}

fn a_full_log_ends(env: &Env) {
    // The frame behind it would be next.
    let frames = env.retype(ObjectType::LargePage, 0, 2);
    let (buffer, next) = (Buffer::of(env, frames, 0), Buffer::of(env, frames + 1, 1));
    set_buffer(frames).expect("set the buffer");
    reset_log().expect("reset the log");
    let most = WORDS / LOG_ENTRY_WORDS as u64;
    (0..most + 10).for_each(|_| null());
    assert_eq!(finalize(), most);
    let last = |n| buffer.entry(most - 1 - n).start;
    assert!(last(1) < last(0) && last(2) < last(1));
    assert!((most * LOG_ENTRY_WORDS as u64..WORDS).all(|i| buffer.memory.read(i) == 0));
    assert!((0..1024).all(|i| next.memory.read(i) == 0));
}

fn another_buffer_takes_over(env: &Env) {
    let one = Buffer::set(env);
    let _: [Logged; 3] = one.logs(|| (0..3).for_each(|_| null()));
    let before = one.entry(0);
    let two = Buffer::new(env, 1);
    reset_log().expect("reset the log");
    null();
    set_buffer(two.frame).expect("set the buffer");
    assert_eq!(finalize(), 0);
    let first = one.entry(0);
    assert_ne!(first, before);
    assert_eq!(two.logs(raw::yield_now), [call(Syscall::Yield, slot::NULL, 0)]);
    assert_eq!(one.entry(0), first, "it is not written any more");
}

fn the_kernel_has_a_capability_of_its_own(env: &Env) {
    let buffer = Buffer::new(env, 0);
    let given = env.copy(buffer.frame);
    set_buffer(given).expect("set the buffer");
    delete(given).expect("delete");
    // The mapping of the one that is left is not the kernel's business.
    let [entry] = buffer.logs(null);
    assert_eq!(entry, unknown(Syscall::BenchmarkNullSyscall.number()));
    inv::page_unmap(buffer.frame).expect("unmap");
    reset_log().expect("reset the log");
    raw::yield_now();
    null();
    assert!(finalize() >= 2);
    inv::page_map(buffer.frame, slot::INIT_THREAD_VSPACE, buffer.memory.0, CapRights::READ, 0).expect("map");
    assert_eq!(buffer.entry(0).what, call(Syscall::Yield, slot::NULL, 0));
    // What happens when its capability is the last: see `memory_that_is_no_buffer_any_more_is_not_written`.
    delete(buffer.frame).expect("delete");
    assert_eq!(reset_log(), Ok(()));
}

fn a_revoked_capability_takes_the_log_with_it(env: &Env) {
    let buffer = Buffer::set(env);
    let _: [Logged; 2] = buffer.logs(|| (0..2).for_each(|_| null()));
    reset_log().expect("reset the log");
    revoke(buffer.frame).expect("revoke");
    let after = core::array::from_fn::<_, 8, _>(|n| buffer.entry(n as u64));
    (0..4).for_each(|_| null());
    assert_eq!(finalize(), 0);
    assert_eq!(reset_log(), Err(Error::IllegalOperation));
    assert_eq!(after, core::array::from_fn(|n| buffer.entry(n as u64)), "the kernel writes there no more");
    // The frame is still there, and can be the buffer again.
    set_buffer(buffer.frame).expect("set the buffer");
    assert_eq!(buffer.logs(raw::yield_now), [call(Syscall::Yield, slot::NULL, 0)]);
}

fn memory_that_is_no_buffer_any_more_is_not_written(env: &Env) {
    let (untyped, frame) = (env.child_untyped(LOG_BITS.into()), env.slot());
    let make = || inv::untyped_retype(untyped, ObjectType::LargePage.word(), 0, ROOT, 0, 0, frame, 1);
    make().expect("retype");
    set_buffer(frame).expect("set the buffer");
    reset_log().expect("reset the log");
    null();
    // As long as the kernel has its capability the memory is in use.
    delete(frame).expect("delete");
    env.refused(Error::NotEnoughMemory { available: 0 }, make);
    revoke(untyped).expect("revoke");
    make().expect("retype");
    let buffer = Buffer::of(env, frame, 0);
    (0..100).for_each(|_| null());
    assert!((0..WORDS).all(|i| buffer.memory.read(i) == 0));
    assert_eq!(finalize(), 0);
    assert_eq!(reset_log(), Err(Error::IllegalOperation));
}
