//! Budgets: their enforcement, and timeout faults.

use pecan::raw::{self, invocations as inv};
use pecan_abi::{
    CPtr, boot::slot,
    constants::sched_context_flag,
    fault::{FaultTag, Holds, timeout, timeout_reply},
};

use crate::{
    Env,
    env::{HIGH, MIDDLE, answer, call, info, registers, sched_control},
    machine,
    tests::fault::check,
    thread::{Spaces, Thread},
};

tests! {
    a_thread_gets_no_more_than_its_budget;
    a_thread_out_of_budget_lets_lower_priorities_run;
    a_thread_out_of_budget_runs_again;
    a_full_budget_never_runs_out;
    yield_waits_for_the_next_period;
    a_budget_is_charged_across_blocking;
    a_sporadic_server_keeps_what_it_has_not_used: SchedControlConfigureFlags / NoError;
    a_sporadic_servers_period_begins_when_it_becomes_ready: SchedControlConfigureFlags / NoError;
    preemption_uses_no_budget;
    a_timeout_fault_word_by_word: TcbSetTimeoutEndpoint / NoError;
    a_timeout_fault_is_answered: TcbSetTimeoutEndpoint / NoError;
    a_timeout_answer_sets_registers;
    a_timeout_answer_with_a_label_stops_the_thread;
    without_a_timeout_endpoint_there_is_no_fault: TcbSetTimeoutEndpoint / NoError;
    a_server_out_of_its_callers_budget_faults: TcbSetTimeoutEndpoint / NoError;
    a_larger_budget_lets_the_thread_go_on: SchedControlConfigureFlags / NoError;
    a_smaller_budget_stops_the_thread: SchedControlConfigureFlags / NoError;
    a_call_out_of_budget_goes_on_later;
    suspending_a_thread_out_of_budget: TcbSuspend / NoError;
    deleting_a_thread_out_of_budget: CNodeDelete / NoError;
    deleting_the_scheduling_context_of_a_thread_out_of_budget: CNodeDelete / NoError;
    unbinding_a_thread_out_of_budget: SchedContextUnbind / NoError;
    a_new_priority_while_out_of_budget: TcbSetPriority / NoError;
}

/// Starts a function in a thread with a budget in each period.
fn limited<F: FnOnce() -> u64 + Send + 'static>(env: &Env, budget: u64, period: u64, function: F) -> Thread {
    let thread = env.thread_with(HIGH, env.sched_context(budget, period), Spaces::own());
    thread.start(function);
    thread
}

fn forever() -> u64 {
    loop {
        core::hint::spin_loop();
    }
}

/// A thread that has used its budget up and has to wait for most of ten seconds.
fn waiting(env: &Env) -> Thread {
    let thread = limited(env, 1_000, 10_000_000, || {
        machine::spin(3_000);
        1
    });
    assert!(!thread.has_returned());
    thread
}

fn a_thread_gets_no_more_than_its_budget(env: &Env) {
    let thread = limited(env, 2_000, 20_000, forever);
    inv::sched_context_consumed(thread.sc).expect("consumed");
    let start = machine::tsc();
    machine::spin(100_000);
    let elapsed = machine::us_since(start);
    let used = inv::sched_context_consumed(thread.sc).expect("consumed");
    // A tenth, and what falls into the periods that were cut at both ends.
    assert!(used <= elapsed / 10 + 4_000, "{used} us of {elapsed} us");
    assert!(used >= 2_000, "{used} us of {elapsed} us: it hardly ran");
}

fn a_thread_out_of_budget_lets_lower_priorities_run(env: &Env) {
    let start = machine::tsc();
    limited(env, 1_000, 1_000_000, forever);
    // We run again although a thread of a higher priority never blocks.
    assert!(machine::us_since(start) >= 990);
}

fn a_thread_out_of_budget_runs_again(env: &Env) {
    let start = machine::tsc();
    let thread = limited(env, 2_000, 10_000, || {
        machine::spin(15_000);
        1
    });
    assert!(!thread.has_returned());
    assert_eq!(thread.join(), 1);
    // Its work is measured in time that passes, so it had to wait once.
    assert!(machine::us_since(start) >= 15_000);
}

fn a_full_budget_never_runs_out(env: &Env) {
    let thread = limited(env, 1_000, 1_000, || {
        machine::spin(10_000);
        1
    });
    assert!(thread.has_returned(), "a thread of a lower priority ran meanwhile");
}

fn yield_waits_for_the_next_period(env: &Env) {
    let thread = limited(env, 5_000, 30_000, || {
        let start = machine::tsc();
        raw::yield_now();
        machine::us_since(start)
    });
    assert!(!thread.has_returned());
    let away = thread.join();
    assert!((25_000..2_000_000).contains(&away), "{away} us after a yield in a period of 30,000 us");
}

fn a_budget_is_charged_across_blocking(env: &Env) {
    // It blocks after each millisecond of work; its budget is three of them.
    let (notification, progress) = (env.notification(), env.notification());
    let badged = env.mint(progress, 1);
    limited(env, 3_000, 10_000_000, move || {
        loop {
            machine::spin(1_000);
            crate::env::signal(badged);
            raw::wait(notification);
        }
    });
    let mut rounds = 0;
    for _ in 0..10 {
        rounds += crate::env::poll(progress);
        crate::env::signal(notification);
    }
    assert!((1..=4).contains(&rounds), "{rounds} ms of work with a budget of three");
}

fn a_sporadic_server_keeps_what_it_has_not_used(env: &Env) {
    // It blocks early, twice, and still has budget in the same period.
    let notification = env.notification();
    let sc = env.empty_sched_context();
    inv::sched_control_configure_flags(sched_control(), sc, 4_000, 10_000_000, 6, 0, sched_context_flag::SPORADIC)
        .expect("configure");
    let thread = env.thread_with(HIGH, sc, Spaces::own());
    thread.start(move || {
        for _ in 0..2 {
            machine::spin(500);
            raw::wait(notification);
        }
        1
    });
    crate::env::signal(notification);
    crate::env::signal(notification);
    assert!(thread.has_returned(), "what was left of the budget was lost by blocking");
}

/// How long a thread takes that becomes ready, and wants almost two budgets, if one of a higher priority runs for half of the
/// period first.
fn delayed(env: &Env, flags: u64) -> u64 {
    let (go, sc) = (env.notification(), env.empty_sched_context());
    inv::sched_control_configure_flags(sched_control(), sc, 4_000, 100_000, 6, 0, flags).expect("configure");
    let thread = env.thread_with(HIGH, sc, Spaces::own());
    thread.start(move || {
        raw::wait(go);
        machine::work(7_000);
        machine::tsc()
    });
    // What it could have used by now does not count.
    machine::spin(60_000);
    let other = env.spawn(HIGH + 1, move || {
        let start = machine::tsc();
        crate::env::signal(go);
        machine::spin(50_000);
        start
    });
    let start = other.join();
    (thread.join() - start) / machine::ticks(1)
}

fn a_sporadic_servers_period_begins_when_it_becomes_ready(env: &Env) {
    let (sporadic, other) = (delayed(env, sched_context_flag::SPORADIC), delayed(env, 0));
    assert!((99_000..130_000).contains(&sporadic), "{sporadic} us: not a period after it became ready");
    assert!((149_000..180_000).contains(&other), "{other} us: not a period after it began to run");
}

fn preemption_uses_no_budget(env: &Env) {
    // A thread of a lower priority, preempted for longer than its budget, has that budget afterwards.
    let thread = env.thread_with(MIDDLE, env.sched_context(4_000, 10_000_000), Spaces::own());
    let other = env.spawn(HIGH, || {
        raw::yield_now();
        machine::spin(20_000);
        1
    });
    thread.start(|| {
        machine::spin(100);
        2
    });
    let start = machine::tsc();
    assert!(other.has_returned() || other.join() == 1);
    assert_eq!(thread.join(), 2);
    let elapsed = machine::us_since(start);
    assert!(elapsed < 5_000_000, "{elapsed} us: it has waited for another budget");
}

/// A thread with a timeout endpoint, a badge in its scheduling context, and a reply object for the handler.
struct Timed {
    thread: Thread,
    endpoint: CPtr,
    reply: CPtr,
}

const BADGE: u64 = 0x71e0;

fn timed<F: FnOnce() -> u64 + Send + 'static>(env: &Env, function: F) -> Timed {
    timed_with(env, 10_000_000, function)
}

fn timed_with<F: FnOnce() -> u64 + Send + 'static>(env: &Env, period: u64, function: F) -> Timed {
    let (endpoint, reply, sc) = (env.endpoint(), env.reply(), env.empty_sched_context());
    inv::sched_control_configure_flags(sched_control(), sc, 2_000, period, 0, BADGE, 0).expect("configure");
    let thread = env.thread_with(HIGH, sc, Spaces::own());
    inv::tcb_set_timeout_endpoint(thread.tcb, env.mint(endpoint, 0x99)).expect("set the timeout endpoint");
    thread.start(function);
    Timed { thread, endpoint, reply }
}

impl Timed {
    #[track_caller]
    fn take(&self) -> raw::Reply {
        let fault = raw::nb_recv(self.endpoint, self.reply);
        assert_eq!((fault.badge, fault.info.label()), (0x99, FaultTag::Timeout.word()), "no timeout fault");
        fault
    }

    fn refill(&self) {
        inv::sched_control_configure_flags(sched_control(), self.thread.sc, 50_000, 50_000, 0, BADGE, 0)
            .expect("configure");
    }
}

fn a_timeout_fault_word_by_word(env: &Env) {
    let timed = timed(env, forever);
    let fault = timed.take();
    check(&fault, FaultTag::Timeout.words(), |holds| match holds {
        Holds::SchedContextBadge => Some(BADGE),
        Holds::Consumed => None,
        other => panic!("{other:?}"),
    });
    let consumed = fault.word(timeout::CONSUMED);
    assert!((1_900..1_000_000).contains(&consumed), "{consumed} us of a budget of 2,000 us");
    assert_eq!(inv::sched_context_consumed(timed.thread.sc), Ok(0), "the fault reported it");
}

fn a_timeout_fault_is_answered(env: &Env) {
    let timed = timed(env, || {
        machine::spin(6_000);
        4
    });
    timed.take();
    timed.refill();
    assert!(!timed.thread.has_returned());
    answer(timed.reply, 0, &[]);
    assert_eq!(timed.thread.join(), 4);
}

fn a_timeout_answer_sets_registers(env: &Env) {
    let timed = timed(env, forever);
    timed.take();
    timed.refill();
    let start = timed.thread.registers(|| 17);
    let mut words = [0; timeout_reply::LENGTH];
    words[timeout_reply::FAULT_IP] = start.rip;
    words[timeout_reply::RSP] = start.rsp;
    words[timeout_reply::FLAGS] = start.rflags;
    words[timeout_reply::RDI] = start.rdi;
    words[timeout_reply::RSI] = start.rsi;
    words[timeout_reply::TLS_BASE] = start.fs_base;
    answer(timed.reply, 0, &words);
    assert_eq!(timed.thread.join(), 17);
}

fn a_timeout_answer_with_a_label_stops_the_thread(env: &Env) {
    let timed = timed(env, || {
        machine::spin(6_000);
        4
    });
    timed.take();
    timed.refill();
    answer(timed.reply, 1, &[]);
    machine::spin(10_000);
    assert!(!timed.thread.has_returned());
    inv::tcb_resume(timed.thread.tcb).expect("resume");
    assert_eq!(timed.thread.join(), 4);
}

fn without_a_timeout_endpoint_there_is_no_fault(env: &Env) {
    let timed = timed_with(env, 10_000, || {
        raw::yield_now();
        machine::work(3_000);
        1
    });
    // Taken away before the budget runs out, which it does once.
    inv::tcb_set_timeout_endpoint(timed.thread.tcb, 0).expect("take it away");
    assert!(!timed.thread.has_returned());
    machine::spin(50_000);
    assert_eq!(raw::nb_recv(timed.endpoint, timed.reply).badge, 0);
    assert!(timed.thread.has_returned(), "it does not go on in the next period");
}

fn a_server_out_of_its_callers_budget_faults(env: &Env) {
    let (endpoint, reply, fault_ep, fault_reply) = (env.endpoint(), env.reply(), env.endpoint(), env.reply());
    let server = env.spawn(HIGH, move || {
        raw::recv(endpoint, reply);
        forever()
    });
    inv::sched_context_unbind(server.sc).expect("unbind");
    inv::tcb_set_timeout_endpoint(server.tcb, env.mint(fault_ep, 0x99)).expect("set the timeout endpoint");
    let sc = env.empty_sched_context();
    inv::sched_control_configure_flags(sched_control(), sc, 2_000, 10_000_000, 0, 0xca11, 0).expect("configure");
    let client = env.thread_with(MIDDLE, sc, Spaces::own());
    client.start(move || call(endpoint, 0, &[]).regs[0]);
    let fault = raw::nb_recv(fault_ep, fault_reply);
    assert_eq!((fault.badge, fault.info.label()), (0x99, FaultTag::Timeout.word()));
    assert_eq!(fault.word(timeout::DATA), 0xca11, "the budget is the caller's");
    // The handler answers the client in the server's place.
    inv::sched_control_configure_flags(sched_control(), sc, 10_000, 10_000, 0, 0, 0).expect("configure");
    answer(reply, 0, &[0xdead]);
    assert_eq!(client.join(), 0xdead);
    assert!(!server.has_returned());
}

fn a_larger_budget_lets_the_thread_go_on(env: &Env) {
    // With the old budget its work would take five periods.
    const PERIOD: u64 = 200_000;
    let start = machine::tsc();
    let thread = limited(env, 1_000, PERIOD, || {
        machine::work(5_000);
        1
    });
    inv::sched_control_configure_flags(sched_control(), thread.sc, 50_000, 50_000, 0, 0, 0).expect("configure");
    assert_eq!(thread.join(), 1);
    let elapsed = machine::us_since(start);
    assert!(elapsed < 4 * PERIOD, "{elapsed} us for work of 5,000 us");
}

fn a_smaller_budget_stops_the_thread(env: &Env) {
    let thread = env.thread_with(HIGH, env.sched_context(5_000, 5_000), Spaces::own());
    // It never blocks, so we run only once a thread of a still higher priority has cut its budget.
    let (sc, never) = (thread.sc, env.notification());
    let limiter = env.thread_with(HIGH + 1, env.sched_context(1_000, 20_000), Spaces::own());
    limiter.start(move || {
        raw::yield_now();
        inv::sched_control_configure_flags(sched_control(), sc, 1_000, 10_000_000, 0, 0, 0).expect("configure");
        raw::wait(never).badge
    });
    thread.start(forever);
    assert!(!thread.has_returned());
    let used = inv::sched_context_consumed(sc).expect("consumed");
    assert!(used >= 10_000, "{used} us: it was stopped too early");
}

fn a_call_out_of_budget_goes_on_later(env: &Env) {
    // The budget runs out between two calls, or within one; each is answered once.
    let (endpoint, reply) = (env.endpoint(), env.reply());
    let server = env.spawn(HIGH + 1, move || {
        let mut request = raw::recv(endpoint, reply);
        loop {
            let words = [request.regs[0] + 1];
            request = raw::reply_recv(endpoint, info(0, &[], &words), registers(&words), reply);
        }
    });
    inv::sched_context_unbind(server.sc).expect("unbind");
    let client = limited(env, 300, 2_000, move || {
        let mut n = 0;
        let start = machine::tsc();
        while machine::us_since(start) < 20_000 {
            let next = call(endpoint, 0, &[n]).regs[0];
            assert_eq!(next, n + 1);
            n = next;
        }
        1
    });
    assert_eq!(client.join(), 1);
}

fn suspending_a_thread_out_of_budget(env: &Env) {
    let thread = waiting(env);
    inv::tcb_suspend(thread.tcb).expect("suspend");
    inv::sched_control_configure_flags(sched_control(), thread.sc, 50_000, 50_000, 0, 0, 0).expect("configure");
    assert!(!thread.has_returned());
    inv::tcb_resume(thread.tcb).expect("resume");
    assert_eq!(thread.join(), 1);
}

fn deleting_a_thread_out_of_budget(env: &Env) {
    let thread = waiting(env);
    crate::env::delete(thread.tcb).expect("delete");
    // The scheduling context lives on, and serves another.
    let other = env.passive_thread(HIGH);
    other.start(|| 6);
    inv::sched_context_bind(thread.sc, other.tcb).expect("bind");
    assert!(!other.has_returned(), "the budget came back with another thread");
    inv::sched_control_configure_flags(sched_control(), thread.sc, 5_000, 5_000, 0, 0, 0).expect("configure");
    assert_eq!(other.join(), 6);
}

fn deleting_the_scheduling_context_of_a_thread_out_of_budget(env: &Env) {
    let thread = waiting(env);
    crate::env::delete(thread.sc).expect("delete");
    inv::sched_context_bind(env.sched_context(5_000, 5_000), thread.tcb).expect("bind another");
    assert_eq!(thread.join(), 1);
}

fn unbinding_a_thread_out_of_budget(env: &Env) {
    let thread = waiting(env);
    inv::sched_context_unbind(thread.sc).expect("unbind");
    inv::sched_context_bind(env.sched_context(5_000, 5_000), thread.tcb).expect("bind another");
    assert_eq!(thread.join(), 1);
}

fn a_new_priority_while_out_of_budget(env: &Env) {
    let thread = waiting(env);
    inv::tcb_set_priority(thread.tcb, slot::INIT_THREAD_TCB, HIGH + 10).expect("set priority");
    assert!(!thread.has_returned(), "a thread without budget ran");
    inv::sched_control_configure_flags(sched_control(), thread.sc, 50_000, 50_000, 0, 0, 0).expect("configure");
    assert_eq!(thread.join(), 1);
}
