//! How much of the processor threads use, in kernels that track it.
//!
//! Now and then the runner's watchdog runs, or a timer fires: a measurement that wants exact figures is made again then.

use pecan::{
    Error,
    raw::{
        self, Usage, Utilisation, benchmark_finalize_log as finalize, benchmark_get_thread_utilisation as get,
        benchmark_null_syscall as null, benchmark_reset_all_threads_utilisation as reset_all,
        benchmark_reset_log as reset_log, benchmark_reset_thread_utilisation as reset, invocations as inv,
    },
};
use pecan_abi::{CPtr, MessageInfo, Syscall, boot::slot, ipc::buffer};

use crate::{
    Env,
    env::{HIGH, LOW, delete, signal},
    machine,
    thread::{Spaces, Thread},
};

tests! {
    a_spinning_thread_uses_the_time_and_a_waiting_one_none;
    the_idle_thread_uses_the_time_in_which_all_sleep;
    the_times_of_all_threads_add_up;
    every_entry_into_the_kernel_is_counted_once;
    a_round_trip_counts_for_both_sides;
    faults_count_for_the_faulting_thread;
    the_time_up_to_now_counts_while_tracking;
    nothing_counts_while_not_tracking;
    a_thread_is_reset_alone;
    resetting_the_log_keeps_what_other_threads_have;
    all_threads_are_reset;
    a_dump_returns;
    what_is_no_thread_is_refused;
    a_thread_without_an_ipc_buffer_is_told_nothing;
    deleted_threads_are_forgotten;
    a_thread_that_deletes_itself_is_forgotten;
}

/// Most of what an entry into the kernel takes here, in ticks.
const ENTRY: u64 = 4_000;

fn me() -> CPtr {
    raw::ThreadBlock::current().tcb
}

/// Measures until nobody else has disturbed it: what `measure` gives once `is_clean` likes it.
#[track_caller]
fn undisturbed<T: core::fmt::Debug>(measure: impl Fn() -> T, is_clean: impl Fn(&T) -> bool) -> T {
    let mut last = None;
    for _ in 0..4 {
        let measured = measure();
        if is_clean(&measured) {
            return measured;
        }
        last = Some(measured);
    }
    panic!("never as it should be; at last {last:?}")
}

/// What the calling thread, and all, have used while it did something.
fn tracked(work: impl FnOnce()) -> Utilisation {
    reset(me()).expect("reset");
    reset_log().expect("reset the log");
    work();
    assert_eq!(finalize(), 0, "there is no log");
    get(me()).expect("get")
}

/// A thread that, whenever `go` is signalled, spins for so many microseconds.
fn spinner(env: &Env, go: CPtr, us: u64) -> Thread {
    env.spawn(HIGH, move || {
        loop {
            raw::wait(go);
            machine::spin(us);
        }
    })
}

fn a_spinning_thread_uses_the_time_and_a_waiting_one_none(env: &Env) {
    const US: u64 = 200;
    let (go, never) = (env.notification(), env.notification());
    let (spins, waits) = (spinner(env, go, US), spinner(env, never, US));
    let measure = || {
        reset(spins.tcb).expect("reset");
        reset(waits.tcb).expect("reset");
        let mine = tracked(|| signal(go));
        let [spins, waits] = [spins, waits].map(|thread| get(thread.tcb).expect("get"));
        assert_eq!((spins.total, spins.idle), (mine.total, mine.idle), "they are no thread's own");
        (mine, spins.thread, waits.thread)
    };
    // There and back again.
    let (mine, spins, waits) = undisturbed(measure, |(mine, ..)| mine.total.kernel_entries == 2);
    let time = machine::ticks(US);
    assert!((time..time + ENTRY).contains(&spins.time), "{} ticks of {time}", spins.time);
    assert_eq!((spins.schedules, spins.kernel_entries), (1, 1), "one turn, which ends when it waits");
    assert_eq!(waits, Usage::default());
    assert!(mine.thread.time < 2 * ENTRY && mine.thread.schedules == 1, "{mine:?}");
    assert_eq!(mine.thread.time + spins.time, mine.total.time);
    assert_eq!(mine.idle, Usage::default());
}

/// A thread that sleeps until its next period, and for how many microseconds at least.
fn sleeper(env: &Env) -> (Thread, u64) {
    const PERIOD_US: u64 = 20_000;
    let thread = env.thread_with(HIGH, env.sched_context(1_000, PERIOD_US), Spaces::own());
    thread.start(|| {
        raw::yield_now();
        7
    });
    (thread, PERIOD_US - 1_000)
}

fn the_idle_thread_uses_the_time_in_which_all_sleep(env: &Env) {
    let (mut thread, mut least) = (None, 0);
    let used = tracked(|| {
        let (sleeper, us) = sleeper(env);
        assert_eq!(sleeper.join(), 7);
        (thread, least) = (Some(sleeper), machine::ticks(us));
    });
    let sleeps = get(thread.expect("a thread").tcb).expect("get").thread;
    assert!(used.idle.time > least * 9 / 10 && used.idle.time < used.total.time, "{used:?}");
    assert!(used.idle.schedules >= 1 && used.idle.kernel_entries >= 1, "{used:?}");
    // What an interrupt takes from the idle thread is in the kernel; the rest of its time it waits.
    assert!((1..used.idle.time / 10).contains(&used.idle.kernel_time), "{used:?}");
    assert!(sleeps.schedules >= 2 && sleeps.time < 8 * ENTRY, "{sleeps:?}");
}

fn the_times_of_all_threads_add_up(env: &Env) {
    let measure = || {
        let go = env.notification();
        let thread = spinner(env, go, 30);
        reset(thread.tcb).expect("reset");
        let (mut other, mut used) = (None, None);
        used.replace(tracked(|| {
            (0..5).for_each(|_| signal(go));
            let (sleeper, _) = sleeper(env);
            sleeper.join();
            other = Some(sleeper);
            null();
        }));
        let used: Utilisation = used.expect("measured");
        let [spins, sleeps] = [thread, other.expect("a thread")].map(|thread| {
            let usage = get(thread.tcb).expect("get").thread;
            inv::tcb_suspend(thread.tcb).expect("suspend");
            usage
        });
        env.reuse(other.expect("a thread"));
        env.reuse(thread);
        (used.total, [used.thread, used.idle, spins, sleeps])
    };
    let sum = |of: &[Usage; 4], field: fn(&Usage) -> u64| of.iter().map(field).sum::<u64>();
    // Where the numbers of turns agree, nobody else had any.
    let (total, of) = undisturbed(measure, |(total, of)| sum(of, |u| u.schedules) == total.schedules);
    assert_eq!(sum(&of, |u| u.time), total.time);
    assert_eq!(sum(&of, |u| u.kernel_time), total.kernel_time);
    assert_eq!(sum(&of, |u| u.kernel_entries), total.kernel_entries);
    assert!(of.iter().all(|u| u.time > u.kernel_time && u.kernel_time > 0), "{of:?}");
}

fn every_entry_into_the_kernel_is_counted_once(env: &Env) {
    let notification = env.notification();
    let calls = || {
        null();
        raw::yield_now();
        signal(notification);
        raw::nb_wait(notification);
        // Invocations, one of them refused.
        inv::tcb_set_priority(me(), me(), 100).expect("priority");
        inv::tcb_set_priority(me(), notification, 100).expect_err("that is no thread");
        raw::debug_cap_identify(notification);
    };
    let used = undisturbed(|| tracked(calls), |used| used.total.kernel_entries == 7);
    assert_eq!(used.thread.kernel_entries, 7, "neither the first nor the last call counts");
    assert_eq!(used.thread.kernel_time, used.total.kernel_time);
    let seven = undisturbed(|| tracked(|| (0..7).for_each(|_| null())), |used| used.total.kernel_entries == 7);
    assert!(seven.thread.kernel_time < used.thread.kernel_time, "{seven:?} {used:?}");
}

fn a_round_trip_counts_for_both_sides(env: &Env) {
    const TRIPS: u64 = 10;
    let (endpoint, reply) = (env.endpoint(), env.reply());
    let server = env.passive_thread(HIGH);
    let sc = env.sched_context(10_000, 10_000);
    inv::sched_context_bind(sc, server.tcb).expect("bind");
    server.start(move || {
        let nothing = MessageInfo::new(0, 0, 0, 0);
        raw::recv(endpoint, reply);
        loop {
            raw::reply_recv(endpoint, nothing, [0; 4], reply);
        }
    });
    inv::sched_context_unbind(sc).expect("unbind");
    // A message without words takes the fast path, one of six words and with a capability do not take its first form.
    for words in [0, 6] {
        let measure = || {
            reset(server.tcb).expect("reset");
            let call = || raw::call(endpoint, MessageInfo::new(1, 0, 0, words), [0; 4]);
            let mine = tracked(|| (0..TRIPS).for_each(|_| _ = call()));
            (mine, get(server.tcb).expect("get").thread)
        };
        let (mine, its) = undisturbed(measure, |(mine, _)| mine.total.kernel_entries == 2 * TRIPS);
        assert_eq!((mine.thread.schedules, mine.thread.kernel_entries), (TRIPS, TRIPS));
        assert_eq!((its.schedules, its.kernel_entries), (TRIPS, TRIPS));
        assert_eq!(mine.thread.time + its.time, mine.total.time);
        assert_eq!(mine.thread.kernel_time + its.kernel_time, mine.total.kernel_time);
    }
}

fn faults_count_for_the_faulting_thread(env: &Env) {
    let (endpoint, reply) = (env.endpoint(), env.reply());
    let measure = || {
        let thread = env.thread_with(HIGH, env.sched_context(10_000, 10_000), Spaces { fault_ep: endpoint, ..Spaces::own() });
        let mine = tracked(|| {
            thread.start(|| {
                raw::any_syscall(-100, 0, MessageInfo(0), [0; 4], 0, 0);
                0
            });
        });
        assert_ne!(raw::nb_recv(endpoint, reply).info.length(), 0, "a fault has arrived");
        env.reuse(thread);
        (mine, get(thread.tcb).expect("get").thread)
    };
    let (mine, its) = undisturbed(measure, |(mine, _)| mine.total.kernel_entries == 2);
    assert_eq!((its.schedules, its.kernel_entries), (1, 1));
    assert_eq!(mine.thread.kernel_entries, 1, "the one that started it");
}

fn the_time_up_to_now_counts_while_tracking(_: &Env) {
    const US: u64 = 100;
    reset(me()).expect("reset");
    reset_log().expect("reset the log");
    let before = get(me()).expect("get");
    machine::spin(US);
    let after = get(me()).expect("get");
    finalize();
    let last = get(me()).expect("get");
    for (early, late) in [(before, after), (before, last)] {
        assert!(late.thread.time - early.thread.time >= machine::ticks(US), "{early:?} {late:?}");
        assert!(late.total.time - early.total.time >= machine::ticks(US), "{early:?} {late:?}");
    }
}

fn nothing_counts_while_not_tracking(env: &Env) {
    let go = env.notification();
    let thread = spinner(env, go, 50);
    reset(thread.tcb).expect("reset");
    let used = tracked(|| signal(go));
    let its = get(thread.tcb).expect("get").thread;
    assert_ne!(its, Usage::default());
    signal(go);
    machine::spin(100);
    assert_eq!(finalize(), 0);
    assert_eq!(get(me()).expect("get"), used);
    assert_eq!(get(thread.tcb).expect("get").thread, its);
}

fn a_thread_is_reset_alone(env: &Env) {
    let go = env.notification();
    let (one, two) = (spinner(env, go, 50), spinner(env, go, 50));
    // Both wait, so two signals reach both.
    tracked(|| (0..2).for_each(|_| signal(go)));
    let before = get(two.tcb).expect("get");
    assert_ne!(get(one.tcb).expect("get").thread, Usage::default());
    assert_ne!(before.thread, Usage::default());
    reset(one.tcb).expect("reset");
    assert_eq!(get(one.tcb).expect("get").thread, Usage::default());
    assert_eq!(get(two.tcb).expect("get"), before);
    // The caller itself, while its time counts.
    reset_log().expect("reset the log");
    machine::spin(100);
    reset(me()).expect("reset");
    let used = get(me()).expect("get");
    finalize();
    assert!(used.thread.time < machine::ticks(50) && used.total.time >= machine::ticks(100), "{used:?}");
}

fn resetting_the_log_keeps_what_other_threads_have(env: &Env) {
    let go = env.notification();
    let thread = spinner(env, go, 50);
    reset(thread.tcb).expect("reset");
    let first = tracked(|| signal(go));
    assert_ne!(first.total.schedules, 0);
    let its = get(thread.tcb).expect("get").thread;
    let used = undisturbed(|| tracked(|| ()), |used| used.total.kernel_entries == 0);
    assert_eq!((used.total.schedules, used.thread.schedules), (0, 0));
    assert_eq!(get(thread.tcb).expect("get").thread, its);
    // And it is added to.
    tracked(|| signal(go));
    let more = get(thread.tcb).expect("get").thread;
    assert!(more.time > its.time && more.schedules > its.schedules, "{its:?} {more:?}");
}

fn all_threads_are_reset(env: &Env) {
    let go = env.notification();
    let threads = [50, 60, 70].map(|us| spinner(env, go, us));
    tracked(|| (0..threads.len()).for_each(|_| signal(go)));
    assert!(threads.iter().all(|thread| get(thread.tcb).expect("get").thread.time > 0));
    reset_all();
    assert!(threads.iter().all(|thread| get(thread.tcb).expect("get").thread == Usage::default()));
    assert_eq!(get(me()).expect("get").thread, Usage::default());
}

fn a_dump_returns(env: &Env) {
    let go = env.notification();
    let thread = spinner(env, go, 50);
    raw::debug_name_thread(thread.tcb, "spinner");
    let used = tracked(|| signal(go));
    raw::benchmark_dump_all_threads_utilisation();
    assert_eq!(get(me()).expect("get"), used, "it changes nothing");
}

/// Marks the words of an answer in the IPC buffer.
fn mark() {
    (0..16).for_each(|i| raw::set_message_word(i, 0xabc0 + i as u64));
}

/// The words are as they were marked.
fn is_marked() -> bool {
    (0..16).all(|i| raw::message_word(i) == 0xabc0 + i as u64)
}

fn what_is_no_thread_is_refused(env: &Env) {
    tracked(|| machine::spin(10));
    let before = get(me()).expect("get");
    for cap in [env.endpoint(), env.slot(), slot::NULL, slot::INIT_THREAD_CNODE, 1 << 40, u64::MAX] {
        mark();
        assert_eq!(get(cap), Err(Error::IllegalOperation));
        assert_eq!(reset(cap), Err(Error::IllegalOperation));
        assert!(is_marked(), "nothing is told of {cap:#x}");
    }
    assert_eq!(get(me()), Ok(before));
    // The words behind the answer stay.
    mark();
    get(me()).expect("get");
    assert!((13..16).all(|i| raw::message_word(i) == 0xabc0 + i as u64) && buffer::MSG == 1);
}

fn a_thread_without_an_ipc_buffer_is_told_nothing(env: &Env) {
    let tcb = me();
    let thread = env.thread(LOW);
    inv::tcb_set_ipc_buffer(thread.tcb, 0, 0).expect("no IPC buffer");
    thread.start(move || {
        let call = |call: Syscall| raw::any_syscall(call.number(), tcb, MessageInfo(0), [1, 2, 3, 4], 0, 0);
        let (get, reset) = (call(Syscall::BenchmarkGetThreadUtilisation), call(Syscall::BenchmarkResetThreadUtilisation));
        assert_eq!((get.regs, reset.regs), ([1, 2, 3, 4], [1, 2, 3, 4]));
        get.badge << 8 | reset.badge
    });
    assert_eq!(thread.join(), pecan_abi::Error::IllegalOperation.word() << 8);
}

fn deleted_threads_are_forgotten(env: &Env) {
    let go = env.notification();
    let threads = [0; 5].map(|_| spinner(env, go, 10));
    let alive = || threads.iter().filter(|thread| get(thread.tcb).is_ok()).count();
    // The first, the last and one in the middle of what the kernel lists.
    for index in [0, 4, 2] {
        // All have used something that is to be reset.
        let all = alive();
        tracked(|| (0..all).for_each(|_| signal(go)));
        delete(threads[index].tcb).expect("delete");
        let left = alive();
        reset_all();
        raw::benchmark_dump_all_threads_utilisation();
        assert_eq!(left, threads.iter().filter(|thread| get(thread.tcb).is_ok_and(|u| u.thread == Usage::default())).count());
    }
    let used = tracked(|| (0..2).for_each(|_| signal(go)));
    assert!(used.total.schedules >= 4);
    assert!([1, 3].iter().all(|&index| get(threads[index].tcb).expect("get").thread.time > 0));
}

fn a_thread_that_deletes_itself_is_forgotten(env: &Env) {
    let thread = env.thread(HIGH);
    let used = tracked(|| {
        let tcb = thread.tcb;
        thread.start(move || {
            machine::spin(50);
            let _ = delete(tcb);
            unreachable!()
        });
    });
    assert!(get(thread.tcb).is_err(), "it is gone");
    // Its time is nobody's; the core's is all of it.
    assert!(used.total.time > used.thread.time + machine::ticks(50), "{used:?}");
    reset_all();
    raw::benchmark_dump_all_threads_utilisation();
    assert!(tracked(null).thread.kernel_entries >= 1);
}
