//! Scheduling contexts and the authority over time: configuring, binding, donation.

use pecan::{Error, raw::{self, invocations as inv}};
use pecan_abi::{CPtr, Error as Kind, ObjectType, boot::slot, constants::{self as c, sched_context_flag}};

use crate::{
    Env,
    env::{HIGH, LOW, MIDDLE, TEST, answer, call, delete, poll, sched_control, send, signal},
    machine,
    thread::{Spaces, Thread},
};

tests! {
    configure_gives_time: SchedControlConfigureFlags / NoError;
    configure_of_what_is_no_scheduling_context: SchedControlConfigureFlags / InvalidCapability;
    configure_with_times_out_of_range: SchedControlConfigureFlags / RangeError;
    configure_with_too_many_refills: SchedControlConfigureFlags / RangeError;
    configure_takes_as_many_refills_as_fit: SchedControlConfigureFlags / NoError;
    configure_ignores_extra_refills_of_round_robin: SchedControlConfigureFlags / NoError;
    configure_looks_at_the_times_first: SchedControlConfigureFlags / RangeError;
    configure_leaves_a_waiting_thread_its_refill: SchedControlConfigureFlags / NoError;
    configure_counts_what_a_running_thread_has_used: SchedControlConfigureFlags / NoError;
    configure_gives_a_stopped_thread_all_of_the_budget: SchedControlConfigureFlags / NoError;
    bind_makes_a_thread_run: SchedContextBind / NoError;
    bind_of_what_cannot_be_bound: SchedContextBind / InvalidCapability;
    bind_of_what_is_bound: SchedContextBind / IllegalOperation;
    bind_of_a_blocked_thread_without_time: SchedContextBind / IllegalOperation;
    bind_to_a_notification_lends_time: SchedContextBind / NoError;
    unbind_stops_the_thread: SchedContextUnbind / NoError;
    unbind_of_nothing: SchedContextUnbind / NoError;
    unbind_of_ones_own: SchedContextUnbind / IllegalOperation;
    unbind_object_stops_the_thread: SchedContextUnbindObject / NoError;
    unbind_object_of_a_notification: SchedContextUnbindObject / NoError;
    unbind_object_that_is_not_bound: SchedContextUnbindObject / IllegalOperation;
    unbind_object_of_the_wrong_type: SchedContextUnbindObject / InvalidCapability;
    unbind_object_of_oneself: SchedContextUnbindObject / IllegalOperation;
    consumed_counts_time: SchedContextConsumed / NoError;
    yield_to_runs_the_other: SchedContextYieldTo / NoError;
    yield_to_reports_what_was_used: SchedContextYieldTo / NoError;
    yield_to_a_lower_priority_returns_later: SchedContextYieldTo / NoError;
    yield_to_nobody: SchedContextYieldTo / IllegalOperation;
    yield_to_a_higher_priority_than_allowed: SchedContextYieldTo / IllegalOperation;
    yield_to_oneself: SchedContextYieldTo / IllegalOperation;
    deleting_a_scheduling_context_stops_its_thread: CNodeDelete / NoError;
    the_highest_priority_runs;
    equal_priorities_take_turns;
    yield_lets_an_equal_run;
    a_passive_server_runs_on_its_callers_time;
    a_passive_server_returns_the_time;
    time_is_lent_along_a_chain_of_calls;
    deleting_the_reply_object_returns_the_time: CNodeDelete / NoError;
    deleting_a_passive_server_frees_the_time: CNodeDelete / NoError;
    suspending_the_caller_keeps_the_server_running;
    an_active_server_keeps_its_own_time;
    a_send_to_a_passive_receiver_lends_nothing;
    nb_send_recv_lends_time;
    a_bound_notification_lends_time_to_a_passive_receiver;
    lent_time_goes_back_when_the_thread_waits_again;
    all_time_is_charged_where_threads_wake_each_other;
}

fn configure(sc: CPtr, budget: u64, period: u64, refills: u64) -> pecan::Result<()> {
    inv::sched_control_configure_flags(sched_control(), sc, budget, period, refills, 0, 0)
}

fn configure_gives_time(env: &Env) {
    let thread = env.passive_thread(HIGH);
    let sc = env.empty_sched_context();
    inv::sched_context_bind(sc, thread.tcb).expect("bind");
    thread.start(|| 4);
    assert!(!thread.has_returned(), "a scheduling context without parameters gave time");
    configure(sc, 10_000, 10_000, 0).expect("configure");
    assert_eq!(thread.join(), 4);
    // Also as a sporadic server, and with other parameters while it is bound.
    inv::sched_control_configure_flags(sched_control(), sc, 2_000, 5_000, 0, 9, sched_context_flag::SPORADIC)
        .expect("configure");
}

fn configure_of_what_is_no_scheduling_context(env: &Env) {
    let (endpoint, empty) = (env.endpoint(), env.slot());
    for wrong in [endpoint, slot::INIT_THREAD_TCB, empty] {
        env.refused(Error::InvalidCapability { index: 1 }, || configure(wrong, 1_000, 1_000, 0));
    }
}

fn configure_with_times_out_of_range(env: &Env) {
    let sc = env.empty_sched_context();
    for (budget, period) in
        [(0, 0), (0, 1_000), (u64::MAX, u64::MAX), (1_000, u64::MAX), (1_000, 0), (2_000, 1_000), (1, 1_000)]
    {
        env.refused_as(Kind::RangeError, || configure(sc, budget, period, 0));
    }
    // Nothing was configured: a thread bound to it does not run.
    let thread = env.passive_thread(HIGH);
    inv::sched_context_bind(sc, thread.tcb).expect("bind");
    thread.start(|| 1);
    assert!(!thread.has_returned());
}

fn configure_with_too_many_refills(env: &Env) {
    for bits in [c::MIN_SCHED_CONTEXT_BITS, 8, 10] {
        let sc = env.retype(ObjectType::SchedContext, bits.into(), 1);
        let most = c::max_extra_refills(bits) as u64;
        for refills in [most + 1, most + 100, u64::MAX] {
            env.refused(Error::RangeError { min: 0, max: most }, || configure(sc, 1_000, 2_000, refills));
        }
    }
}

fn configure_takes_as_many_refills_as_fit(env: &Env) {
    for bits in [c::MIN_SCHED_CONTEXT_BITS, 8, 10] {
        let sc = env.retype(ObjectType::SchedContext, bits.into(), 1);
        configure(sc, 1_000, 2_000, c::max_extra_refills(bits) as u64).expect("configure");
    }
}

fn configure_ignores_extra_refills_of_round_robin(env: &Env) {
    let thread = env.passive_thread(HIGH);
    let sc = env.retype(ObjectType::SchedContext, c::MIN_SCHED_CONTEXT_BITS.into(), 1);
    for refills in [1, 1000, u64::MAX] {
        configure(sc, 10_000, 10_000, refills).expect("configure");
    }
    inv::sched_context_bind(sc, thread.tcb).expect("bind");
    thread.start(|| 5);
    assert_eq!(thread.join(), 5);
}

fn configure_looks_at_the_times_first(env: &Env) {
    let (endpoint, empty) = (env.endpoint(), env.slot());
    for wrong in [endpoint, empty] {
        for (budget, period) in [(0, 0), (1, 1_000), (1_000, u64::MAX), (2_000, 1_000)] {
            env.refused_as(Kind::RangeError, || configure(wrong, budget, period, 0));
        }
        env.refused(Error::InvalidCapability { index: 1 }, || configure(wrong, 1_000, 2_000, u64::MAX));
    }
}

/// A thread that uses its budget up, once a period of so many microseconds, and has a little work left.
fn out_of_budget(env: &Env, period: u64) -> Thread {
    let thread = env.thread_with(HIGH, env.sched_context(1_000, period), Spaces::own());
    thread.start(|| {
        machine::spin(3_000);
        8
    });
    assert!(!thread.has_returned());
    thread
}

fn configure_leaves_a_waiting_thread_its_refill(env: &Env) {
    let start = machine::tsc();
    let thread = out_of_budget(env, 100_000);
    configure(thread.sc, 10_000, 10_000, 0).expect("configure");
    for _ in 0..8 {
        let (early, elapsed) = (thread.has_returned(), machine::us_since(start));
        assert!(!early || elapsed >= 99_000, "after {elapsed} us: what it had used came back before its time");
        machine::spin(10_000);
    }
    assert_eq!(thread.join(), 8);
    let elapsed = machine::us_since(start);
    assert!(elapsed < 1_000_000, "after {elapsed} us: what it had used came back late");
}

fn configure_counts_what_a_running_thread_has_used(env: &Env) {
    // Of ten milliseconds six are used when they are configured again, and six more are wanted.
    let (go, never) = (env.notification(), env.notification());
    let sc = env.empty_sched_context();
    configure(sc, 10_000, 10_000_000, 0).expect("configure");
    let thread = env.thread_with(HIGH, sc, Spaces::own());
    let configurer = env.spawn(HIGH + 1, move || {
        raw::wait(go);
        configure(sc, 10_000, 10_000_000, 0).expect("configure");
        raw::wait(never).badge
    });
    thread.start(move || {
        machine::work(6_000);
        signal(go);
        machine::work(6_000);
        1
    });
    assert!(!thread.has_returned() && !configurer.has_returned(), "what had been used was given again");
}

fn configure_gives_a_stopped_thread_all_of_the_budget(env: &Env) {
    let thread = out_of_budget(env, 10_000_000);
    inv::tcb_suspend(thread.tcb).expect("suspend");
    configure(thread.sc, 50_000, 10_000_000, 0).expect("configure");
    inv::tcb_resume(thread.tcb).expect("resume");
    assert!(thread.has_returned(), "it still waits for its refill");
    assert_eq!(thread.join(), 8);
}

fn bind_makes_a_thread_run(env: &Env) {
    let thread = env.passive_thread(HIGH);
    thread.start(|| 2);
    assert!(!thread.has_returned());
    inv::sched_context_bind(env.sched_context(5_000, 5_000), thread.tcb).expect("bind");
    assert!(thread.has_returned());
}

fn bind_of_what_cannot_be_bound(env: &Env) {
    let (sc, endpoint, other) = (env.sched_context(1_000, 1_000), env.endpoint(), env.sched_context(1_000, 1_000));
    for wrong in [endpoint, other] {
        env.refused(Error::InvalidCapability { index: 1 }, || inv::sched_context_bind(sc, wrong));
    }
}

fn bind_of_what_is_bound(env: &Env) {
    let (one, two) = (env.sched_context(1_000, 1_000), env.sched_context(1_000, 1_000));
    let (tcb, other) = (env.tcb(), env.tcb());
    inv::sched_context_bind(one, tcb).expect("bind");
    env.refused(Error::IllegalOperation, || inv::sched_context_bind(one, tcb));
    env.refused(Error::IllegalOperation, || inv::sched_context_bind(one, other));
    env.refused(Error::IllegalOperation, || inv::sched_context_bind(two, tcb));
    let (notification, second) = (env.notification(), env.notification());
    let three = env.sched_context(1_000, 1_000);
    inv::sched_context_bind(three, notification).expect("bind");
    env.refused(Error::IllegalOperation, || inv::sched_context_bind(three, notification));
    env.refused(Error::IllegalOperation, || inv::sched_context_bind(three, second));
    env.refused(Error::IllegalOperation, || inv::sched_context_bind(two, notification));
    inv::sched_context_bind(two, other).expect("both are free");
}

fn bind_of_a_blocked_thread_without_time(env: &Env) {
    let (endpoint, reply) = (env.endpoint(), env.reply());
    let server = passive_server(env, endpoint, reply);
    // A scheduling context that has used its budget up.
    let sc = env.sched_context(1_000, 10_000_000);
    let waster = env.passive_thread(HIGH);
    inv::sched_context_bind(sc, waster.tcb).expect("bind");
    waster.start(|| {
        machine::spin(3_000);
        0
    });
    assert!(!waster.has_returned());
    inv::sched_context_unbind(sc).expect("unbind");
    env.refused(Error::IllegalOperation, || inv::sched_context_bind(sc, server.tcb));
}

fn bind_to_a_notification_lends_time(env: &Env) {
    let (notification, sc) = (env.notification(), env.sched_context(10_000, 10_000));
    let thread = env.thread(HIGH);
    thread.start(move || {
        raw::wait(notification);
        raw::wait(notification).badge
    });
    // Passive from here on.
    inv::sched_context_unbind(thread.sc).expect("unbind");
    inv::sched_context_bind(sc, notification).expect("bind");
    signal(notification);
    assert!(!thread.has_returned());
    signal(env.mint(notification, 5));
    assert!(thread.has_returned(), "a passive thread was not lent the notification's time");
}

/// A thread that counts as long as it has time.
fn counting(env: &Env, priority: u64) -> (Thread, &'static core::sync::atomic::AtomicU64) {
    static COUNT: core::sync::atomic::AtomicU64 = core::sync::atomic::AtomicU64::new(0);
    let thread = env.spawn(priority, || {
        loop {
            COUNT.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
        }
    });
    (thread, &COUNT)
}

/// Whether the counter moves while others of our priority may run.
fn moves(count: &core::sync::atomic::AtomicU64) -> bool {
    let read = || count.load(core::sync::atomic::Ordering::Relaxed);
    let before = read();
    raw::yield_now();
    raw::yield_now();
    read() != before
}

fn unbind_stops_the_thread(env: &Env) {
    let (thread, count) = counting(env, TEST);
    assert!(moves(count));
    inv::sched_context_unbind(thread.sc).expect("unbind");
    assert!(!moves(count), "a thread without a scheduling context runs");
    inv::sched_context_bind(thread.sc, thread.tcb).expect("bind");
    assert!(moves(count));
}

fn unbind_of_nothing(env: &Env) {
    let sc = env.sched_context(1_000, 1_000);
    let before = env.snapshot();
    inv::sched_context_unbind(sc).expect("unbind");
    before.same(env);
}

/// The scheduling context of the running test: the one that no other thread has.
fn with_own(env: &Env, check: impl FnOnce(CPtr, CPtr) + Send + 'static) {
    let thread = env.thread(HIGH);
    thread.start(move || {
        check(thread.tcb, thread.sc);
        1
    });
    assert_eq!(thread.join(), 1);
}

fn unbind_of_ones_own(env: &Env) {
    with_own(env, |_, sc| {
        assert_eq!(inv::sched_context_unbind(sc), Err(Error::IllegalOperation));
        assert_eq!(inv::sched_context_unbind(sc), Err(Error::IllegalOperation), "still bound");
    });
}

fn unbind_object_stops_the_thread(env: &Env) {
    let (thread, count) = counting(env, TEST);
    assert!(moves(count));
    inv::sched_context_unbind_object(thread.sc, thread.tcb).expect("unbind");
    assert!(!moves(count));
    inv::sched_context_bind(thread.sc, thread.tcb).expect("bind");
    assert!(moves(count));
}

fn unbind_object_of_a_notification(env: &Env) {
    let (sc, notification) = (env.sched_context(1_000, 1_000), env.notification());
    inv::sched_context_bind(sc, notification).expect("bind");
    inv::sched_context_unbind_object(sc, notification).expect("unbind");
    inv::sched_context_bind(sc, notification).expect("bind again");
}

fn unbind_object_that_is_not_bound(env: &Env) {
    let (sc, tcb, notification) = (env.sched_context(1_000, 1_000), env.tcb(), env.notification());
    for object in [tcb, notification] {
        env.refused(Error::IllegalOperation, || inv::sched_context_unbind_object(sc, object));
    }
    inv::sched_context_bind(sc, tcb).expect("bind");
    let other = env.tcb();
    env.refused(Error::IllegalOperation, || inv::sched_context_unbind_object(sc, other));
    env.refused(Error::IllegalOperation, || inv::sched_context_unbind_object(sc, notification));
}

fn unbind_object_of_the_wrong_type(env: &Env) {
    let (sc, endpoint) = (env.sched_context(1_000, 1_000), env.endpoint());
    for wrong in [endpoint, sc] {
        env.refused(Error::InvalidCapability { index: 1 }, || inv::sched_context_unbind_object(sc, wrong));
    }
}

fn unbind_object_of_oneself(env: &Env) {
    with_own(env, |tcb, sc| {
        assert_eq!(inv::sched_context_unbind_object(sc, tcb), Err(Error::IllegalOperation));
    });
}

fn consumed_counts_time(env: &Env) {
    let thread = env.spawn(HIGH, || {
        machine::spin(4_000);
        0
    });
    thread.join();
    let used = inv::sched_context_consumed(thread.sc).expect("consumed");
    assert!((3_900..400_000).contains(&used), "{used} us for work of 4,000 us");
    assert_eq!(inv::sched_context_consumed(thread.sc), Ok(0), "it starts over when asked");
    // A thread that asks of its own is told what it has used up to now.
    let thread = env.thread(HIGH);
    thread.start(move || {
        machine::spin(4_000);
        inv::sched_context_consumed(thread.sc).expect("consumed")
    });
    let used = thread.join();
    assert!((3_900..400_000).contains(&used), "{used} us for work of 4,000 us");
}

/// A thread of the test's priority that returns at once when it gets to run.
fn idle_equal(env: &Env) -> Thread {
    env.spawn(TEST, || 1)
}

fn yield_to_runs_the_other(env: &Env) {
    let (first, second) = (idle_equal(env), idle_equal(env));
    assert!(!first.has_returned() && !second.has_returned());
    inv::sched_context_yield_to(second.sc).expect("yield to");
    assert!(second.has_returned() && !first.has_returned(), "it goes before others of its priority");
}

fn yield_to_reports_what_was_used(env: &Env) {
    let thread = env.spawn(TEST, || {
        machine::spin(3_000);
        raw::yield_now();
        0
    });
    let used = inv::sched_context_yield_to(thread.sc).expect("yield to");
    assert!((2_900..400_000).contains(&used), "{used} us for work of 3,000 us");
}

fn yield_to_a_lower_priority_returns_later(env: &Env) {
    let thread = env.spawn(LOW, || 1);
    inv::sched_context_yield_to(thread.sc).expect("yield to");
    assert!(!thread.has_returned(), "a thread of a lower priority ran");
    assert_eq!(thread.join(), 1);
}

fn yield_to_nobody(env: &Env) {
    let sc = env.sched_context(1_000, 1_000);
    env.refused(Error::IllegalOperation, || inv::sched_context_yield_to(sc).map(drop));
}

fn yield_to_a_higher_priority_than_allowed(env: &Env) {
    let target = env.thread(HIGH);
    let thread = env.thread(MIDDLE);
    inv::tcb_set_mc_priority(thread.tcb, slot::INIT_THREAD_TCB, HIGH - 1).expect("set MCP");
    let sc = target.sc;
    thread.start(move || u64::from(inv::sched_context_yield_to(sc).map(drop) == Err(Error::IllegalOperation)));
    assert_eq!(thread.join(), 1);
}

fn yield_to_oneself(env: &Env) {
    with_own(env, |_, sc| {
        assert_eq!(inv::sched_context_yield_to(sc).map(drop), Err(Error::IllegalOperation));
    });
}

fn deleting_a_scheduling_context_stops_its_thread(env: &Env) {
    let (thread, count) = counting(env, TEST);
    assert!(moves(count));
    delete(thread.sc).expect("delete");
    assert!(!moves(count));
    inv::sched_context_bind(env.sched_context(1_000, 1_000), thread.tcb).expect("bind another");
    assert!(moves(count));
}

fn the_highest_priority_runs(env: &Env) {
    let order = env.notification();
    let low = env.spawn(LOW, move || poll(order));
    let middle_badge = env.mint(order, 1);
    let middle = env.thread(LOW + 1);
    middle.start(move || {
        signal(middle_badge);
        0
    });
    assert!(!low.has_returned() && !middle.has_returned());
    assert_eq!(low.join(), 1, "the lower priority ran first");
}

fn equal_priorities_take_turns(env: &Env) {
    // Two threads that never block, with slices of a millisecond.
    static TURNS: core::sync::atomic::AtomicU64 = core::sync::atomic::AtomicU64::new(0);
    static LAST: core::sync::atomic::AtomicU64 = core::sync::atomic::AtomicU64::new(0);
    use core::sync::atomic::Ordering::Relaxed;
    TURNS.store(0, Relaxed);
    let threads: [Thread; 2] = [1, 2].map(|me| {
        let thread = env.thread_with(LOW, env.sched_context(1_000, 1_000), Spaces::own());
        thread.start(move || {
            while TURNS.load(Relaxed) < 20 {
                if LAST.swap(me, Relaxed) != me {
                    TURNS.fetch_add(1, Relaxed);
                }
            }
            1
        });
        thread
    });
    assert_eq!(threads.map(Thread::join), [1, 1]);
}

fn yield_lets_an_equal_run(env: &Env) {
    let thread = idle_equal(env);
    raw::yield_now();
    assert!(thread.has_returned());
}

/// A thread that serves calls and has no scheduling context once it waits for them. It adds one to the first word.
fn passive_server(env: &Env, endpoint: CPtr, reply: CPtr) -> Thread {
    let server = env.spawn(HIGH, move || {
        let mut request = raw::recv(endpoint, reply);
        loop {
            let words = [request.regs[0] + 1];
            request = raw::reply_recv(endpoint, crate::env::info(0, &[], &words), crate::env::registers(&words), reply);
        }
    });
    inv::sched_context_unbind(server.sc).expect("unbind");
    server
}

fn a_passive_server_runs_on_its_callers_time(env: &Env) {
    let (endpoint, reply) = (env.endpoint(), env.reply());
    passive_server(env, endpoint, reply);
    for n in 0..5 {
        assert_eq!(call(endpoint, 0, &[n]).regs[0], n + 1);
    }
}

fn a_passive_server_returns_the_time(env: &Env) {
    let (endpoint, reply) = (env.endpoint(), env.reply());
    let server = passive_server(env, endpoint, reply);
    let caller = env.spawn(MIDDLE, move || {
        call(endpoint, 0, &[1]);
        machine::spin(2_000);
        7
    });
    assert_eq!(caller.join(), 7);
    // The server has none now, so it can be given one; and the caller's is the caller's.
    let used = inv::sched_context_consumed(caller.sc).expect("consumed");
    assert!(used >= 1_900, "{used} us: the caller has run on other time");
    inv::sched_context_bind(server.sc, server.tcb).expect("bind");
}

fn time_is_lent_along_a_chain_of_calls(env: &Env) {
    let (outer, outer_reply) = (env.endpoint(), env.reply());
    let (inner, inner_reply) = (env.endpoint(), env.reply());
    passive_server(env, inner, inner_reply);
    let middle = env.spawn(HIGH, move || {
        let request = raw::recv(outer, outer_reply);
        let part = call(inner, 0, &[request.regs[0]]);
        answer(outer_reply, 0, &[part.regs[0] * 10]);
        0
    });
    inv::sched_context_unbind(middle.sc).expect("unbind");
    assert_eq!(call(outer, 0, &[4]).regs[0], 50);
}

/// A caller of the test's own priority, and a server that keeps its time: it waits for a notification.
fn lent(env: &Env) -> (Thread, Thread, CPtr, CPtr) {
    let (endpoint, reply, never) = (env.endpoint(), env.reply(), env.notification());
    let server = env.spawn(HIGH, move || {
        raw::recv(endpoint, reply);
        raw::wait(never).badge
    });
    inv::sched_context_unbind(server.sc).expect("unbind");
    let caller = env.spawn(MIDDLE, move || {
        call(endpoint, 0, &[]);
        3
    });
    (server, caller, reply, never)
}

fn deleting_the_reply_object_returns_the_time(env: &Env) {
    let (server, caller, reply, never) = lent(env);
    // The server has the caller's time.
    let own = env.sched_context(1_000, 1_000);
    env.refused(Error::IllegalOperation, || inv::sched_context_bind(own, server.tcb));
    delete(reply).expect("delete");
    // Now it has none, and can have another.
    inv::sched_context_bind(own, server.tcb).expect("bind");
    signal(env.mint(never, 6));
    assert_eq!(server.join(), 6);
    assert!(!caller.has_returned(), "the caller got an answer that nobody gave");
    let other = env.tcb();
    env.refused(Error::IllegalOperation, || inv::sched_context_bind(caller.sc, other));
}

fn deleting_a_passive_server_frees_the_time(env: &Env) {
    let (server, caller, ..) = lent(env);
    delete(server.tcb).expect("delete");
    // The time is nobody's now. Bound again and started elsewhere, the caller runs.
    inv::tcb_suspend(caller.tcb).expect("suspend");
    inv::sched_context_bind(caller.sc, caller.tcb).expect("bind");
    caller.start(|| 12);
    assert_eq!(caller.join(), 12);
}

fn suspending_the_caller_keeps_the_server_running(env: &Env) {
    let (server, caller, _, never) = lent(env);
    inv::tcb_suspend(caller.tcb).expect("suspend");
    signal(env.mint(never, 9));
    assert_eq!(server.join(), 9, "the server lost the time it was lent");
}

fn an_active_server_keeps_its_own_time(env: &Env) {
    let (endpoint, reply) = (env.endpoint(), env.reply());
    let server = env.spawn(HIGH, move || {
        raw::recv(endpoint, reply);
        machine::spin(3_000);
        answer(reply, 0, &[]);
        1
    });
    call(endpoint, 0, &[]);
    let used = inv::sched_context_consumed(server.sc).expect("consumed");
    assert!(used >= 2_900, "{used} us: the server has run on its caller's time");
}

fn a_send_to_a_passive_receiver_lends_nothing(env: &Env) {
    let (endpoint, reply) = (env.endpoint(), env.reply());
    let server = env.spawn(HIGH, move || raw::recv(endpoint, reply).regs[0]);
    inv::sched_context_unbind(server.sc).expect("unbind");
    send(endpoint, 0, &[33]);
    assert!(!server.has_returned(), "a passive receiver ran on a send");
    // The message has arrived; it only wants time.
    inv::sched_context_bind(server.sc, server.tcb).expect("bind");
    assert_eq!(server.join(), 33);
}

fn nb_send_recv_lends_time(env: &Env) {
    let (there, there_reply, back, back_reply) = (env.endpoint(), env.reply(), env.endpoint(), env.reply());
    let (first, second) = (env.endpoint(), env.reply());
    let passive = env.spawn(HIGH, move || {
        let got = raw::recv(there, there_reply).regs[0];
        // On to whoever waits, together with the time.
        let words = [got + 1];
        raw::nb_send_recv(back, crate::env::info(0, &[], &words), crate::env::registers(&words), first, second);
        0
    });
    inv::sched_context_unbind(passive.sc).expect("unbind");
    let words = [5];
    let got = raw::nb_send_recv(there, crate::env::info(0, &[], &words), crate::env::registers(&words), back, back_reply);
    assert_eq!(got.regs[0], 6);
}

fn a_bound_notification_lends_time_to_a_passive_receiver(env: &Env) {
    let (endpoint, reply, notification) = (env.endpoint(), env.reply(), env.notification());
    let thread = env.thread(HIGH);
    inv::tcb_bind_notification(thread.tcb, notification).expect("bind");
    thread.start(move || raw::recv(endpoint, reply).badge);
    inv::sched_context_unbind(thread.sc).expect("unbind");
    inv::sched_context_bind(env.sched_context(10_000, 10_000), notification).expect("bind");
    signal(env.mint(notification, 0x31));
    assert!(thread.has_returned());
    assert_eq!(thread.join(), 0x31);
}

fn lent_time_goes_back_when_the_thread_waits_again(env: &Env) {
    let notification = env.notification();
    let sc = env.sched_context(10_000, 10_000);
    let thread = env.spawn(HIGH, move || {
        loop {
            raw::wait(notification);
        }
    });
    inv::sched_context_unbind(thread.sc).expect("unbind");
    inv::sched_context_bind(sc, notification).expect("bind");
    for _ in 0..3 {
        signal(notification);
        // Waiting again, the thread has no scheduling context: it can be bound to its own.
        inv::sched_context_bind(thread.sc, thread.tcb).expect("bind");
        inv::sched_context_unbind(thread.sc).expect("unbind");
    }
}

/// The thread that a signal or a message wakes takes over at once, many times in one time slice. Each has its own time
/// charged, and none is lost or charged twice.
fn all_time_is_charged_where_threads_wake_each_other(env: &Env) {
    env.rounds([false, true], |env, by_message| {
        let place = if by_message { env.endpoint() } else { env.notification() };
        let reply = env.reply();
        let woken = env.spawn(HIGH, move || loop {
            if by_message { raw::recv(place, reply) } else { raw::wait(place) };
            machine::spin(60);
        });
        let wakes = env.thread(MIDDLE);
        inv::sched_context_consumed(woken.sc).expect("consumed");
        wakes.start(move || {
            let start = machine::tsc();
            while machine::us_since(start) < 60_000 {
                machine::spin(20);
                if by_message { send(place, 0, &[]) } else { signal(place) }
            }
            machine::us_since(start)
        });
        let passed = wakes.join();
        let used = [woken, wakes].map(|thread| inv::sched_context_consumed(thread.sc).expect("consumed"));
        let sum = used[0] + used[1];
        assert!((passed * 97 / 100..passed * 103 / 100 + 500).contains(&sum), "{used:?} us of {passed} us");
        assert!(used[0] > used[1] && used[1] * 8 > used[0], "{used:?} us: one ran on the other's time");
    });
}
