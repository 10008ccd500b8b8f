//! Scheduling domains and their schedule.

use pecan::{Error, raw::{self, invocations as inv}};
use pecan_abi::{CPtr, Error as Kind, Label, boot::slot};

use crate::{
    Env,
    env::{HIGH, LOW, ROOT, TEST, delete, invoke_as, poll, signal},
    machine,
    thread::Spaces,
};

tests! {
    a_thread_of_another_domain_does_not_run: DomainSetSet / NoError;
    a_thread_moves_back: DomainSetSet / NoError;
    set_of_a_domain_out_of_range: DomainSetSet / InvalidArgument;
    set_of_what_is_no_thread: DomainSetSet / InvalidArgument;
    set_looks_at_the_domain_first: DomainSetSet / InvalidArgument, DomainSetSet / TruncatedMessage;
    two_domains_take_turns: DomainScheduleConfigure / NoError, DomainScheduleSetStart / NoError;
    each_domain_gets_its_time: DomainScheduleConfigure / NoError;
    the_schedule_wraps_at_an_end_marker: DomainScheduleConfigure / NoError;
    a_schedule_can_be_prepared_and_switched_to: DomainScheduleSetStart / NoError;
    messages_cross_domains;
    configure_of_an_index_out_of_range: DomainScheduleConfigure / RangeError;
    configure_of_a_domain_out_of_range: DomainScheduleConfigure / RangeError;
    configure_without_a_duration: DomainScheduleConfigure / InvalidArgument;
    configure_with_too_long_a_duration: DomainScheduleConfigure / InvalidArgument;
    configure_of_the_start_as_an_end: DomainScheduleConfigure / InvalidArgument;
    start_out_of_range: DomainScheduleSetStart / RangeError;
    start_at_an_end_marker: DomainScheduleSetStart / InvalidArgument;
    deleting_a_thread_of_another_domain: CNodeDelete / NoError;
    every_domain_can_be_had: DomainSetSet / NoError, DomainSetSet / InvalidArgument,
        DomainScheduleConfigure / RangeError;
    the_last_entry_always_ends_the_schedule: DomainScheduleConfigure / NoError, DomainScheduleConfigure / RangeError,
        DomainScheduleSetStart / InvalidArgument, DomainScheduleSetStart / RangeError;
    a_change_of_the_running_entry_waits: DomainScheduleConfigure / NoError, DomainScheduleSetStart / NoError;
    a_thread_that_moves_itself_stops: DomainSetSet / NoError;
    a_blocked_thread_moves: DomainSetSet / NoError;
    a_thread_out_of_budget_moves: DomainSetSet / NoError;
    turns_of_any_duration_let_threads_go_on: DomainScheduleConfigure / NoError, DomainScheduleSetStart / NoError;
}

const DOMAIN: CPtr = slot::DOMAIN;
/// The longest duration.
const ALWAYS: u64 = (1 << 56) - 1;

fn configure(index: u64, domain: u8, duration: u64) -> pecan::Result<()> {
    inv::domain_set_schedule_configure(DOMAIN, index, domain, duration)
}

/// The schedule as it is after boot: our domain, for ever.
pub fn reset() {
    // Where the kernel has one domain only, there is nothing to reset.
    let _ = configure(0, 0, ALWAYS);
    let _ = inv::domain_set_schedule_set_start(DOMAIN, 0);
    for index in 1..8 {
        let _ = configure(index, 0, 0);
    }
}

/// Our domain and another take turns of so many microseconds.
#[track_caller]
pub fn turns(own: u64, other: u64) {
    configure(0, 0, machine::ticks(own)).expect("configure");
    configure(1, 1, machine::ticks(other)).expect("configure");
    configure(2, 0, 0).expect("configure");
    inv::domain_set_schedule_set_start(DOMAIN, 0).expect("set start");
}

/// A thread of domain 1.
fn in_other_domain<F: FnOnce() -> u64 + Send + 'static>(env: &Env, function: F) -> crate::thread::Thread {
    let thread = env.thread(HIGH);
    inv::domain_set_set(DOMAIN, 1, thread.tcb).expect("set the domain");
    thread.start(function);
    thread
}

fn a_thread_of_another_domain_does_not_run(env: &Env) {
    let thread = in_other_domain(env, || 1);
    machine::spin(20_000);
    raw::yield_now();
    assert!(!thread.has_returned(), "the schedule has our domain only");
}

fn a_thread_moves_back(env: &Env) {
    let thread = in_other_domain(env, || 1);
    assert!(!thread.has_returned());
    inv::domain_set_set(DOMAIN, 0, thread.tcb).expect("set the domain");
    assert!(thread.has_returned(), "a thread of a higher priority came to our domain and did not run");
    // One of a lower priority runs as soon as we wait.
    let thread = in_other_domain(env, || 2);
    inv::tcb_set_priority(thread.tcb, slot::INIT_THREAD_TCB, LOW).expect("set the priority");
    inv::domain_set_set(DOMAIN, 0, thread.tcb).expect("set the domain");
    assert!(!thread.has_returned());
    assert_eq!(thread.join(), 2);
}

fn set_of_a_domain_out_of_range(env: &Env) {
    let tcb = env.tcb();
    for domain in [200, 255] {
        env.refused(Error::InvalidArgument { index: 0 }, || inv::domain_set_set(DOMAIN, domain, tcb));
    }
}

fn set_of_what_is_no_thread(env: &Env) {
    let (endpoint, empty) = (env.endpoint(), env.slot());
    for wrong in [endpoint, ROOT, empty] {
        env.refused(Error::InvalidArgument { index: 1 }, || inv::domain_set_set(DOMAIN, 0, wrong));
    }
}

fn set_looks_at_the_domain_first(env: &Env) {
    let set = |domain| invoke_as(DOMAIN, Label::DomainSetSet, &[], &[domain]).map(drop);
    for domain in [256, u64::MAX] {
        env.refused(Error::InvalidArgument { index: 0 }, || set(domain));
    }
    env.refused_as(Kind::TruncatedMessage, || set(0));
}

fn two_domains_take_turns(env: &Env) {
    let notification = env.notification();
    let badged = env.mint(notification, 1);
    in_other_domain(env, move || {
        loop {
            signal(badged);
        }
    });
    turns(3_000, 2_000);
    // The other domain runs although we never block, and we run although it never does.
    for _ in 0..3 {
        let start = machine::tsc();
        while poll(notification) == 0 {
            assert!(machine::us_since(start) < 2_000_000, "the other domain does not run");
        }
    }
    reset();
    poll(notification);
    machine::spin(10_000);
    assert_eq!(poll(notification), 0, "the other domain still runs");
}

fn each_domain_gets_its_time(env: &Env) {
    let thread = in_other_domain(env, || {
        loop {
            core::hint::spin_loop();
        }
    });
    turns(6_000, 2_000);
    inv::sched_context_consumed(thread.sc).expect("consumed");
    let start = machine::tsc();
    machine::spin(64_000);
    let elapsed = machine::us_since(start);
    let used = inv::sched_context_consumed(thread.sc).expect("consumed");
    reset();
    // A quarter, give or take a turn at each end.
    assert!(used <= elapsed / 4 + 4_000, "{used} us of {elapsed} us");
    assert!(used >= 4_000, "{used} us of {elapsed} us");
}

fn the_schedule_wraps_at_an_end_marker(env: &Env) {
    // Behind the end marker there is an entry that must not be reached.
    let beyond = env.thread(HIGH);
    inv::domain_set_set(DOMAIN, 2, beyond.tcb).expect("set the domain");
    beyond.start(|| 1);
    configure(3, 2, machine::ticks(1_000)).expect("configure");
    let other = in_other_domain(env, || 1);
    turns(1_000, 1_000);
    machine::spin(20_000);
    reset();
    assert!(other.has_returned());
    assert!(!beyond.has_returned(), "an entry behind the end was reached");
}

fn a_schedule_can_be_prepared_and_switched_to(env: &Env) {
    let other = in_other_domain(env, || 1);
    configure(4, 0, machine::ticks(1_000)).expect("configure");
    configure(5, 1, machine::ticks(1_000)).expect("configure");
    configure(6, 0, 0).expect("configure");
    machine::spin(10_000);
    assert!(!other.has_returned(), "entries that are not part of the schedule were used");
    inv::domain_set_schedule_set_start(DOMAIN, 4).expect("set start");
    machine::spin(10_000);
    reset();
    assert!(other.has_returned());
}

fn messages_cross_domains(env: &Env) {
    let (endpoint, reply) = (env.endpoint(), env.reply());
    let server = in_other_domain(env, move || {
        let request = raw::recv(endpoint, reply);
        crate::env::answer(reply, 0, &[request.regs[0] * 2]);
        1
    });
    turns(1_000, 1_000);
    let answer = crate::env::call(endpoint, 0, &[21]).regs[0];
    assert_eq!(server.join(), 1);
    reset();
    assert_eq!(answer, 42);
}

fn configure_of_an_index_out_of_range(env: &Env) {
    for index in [256, 1 << 32, u64::MAX] {
        env.refused_as(Kind::RangeError, || configure(index, 0, 1_000));
    }
}

fn configure_of_a_domain_out_of_range(env: &Env) {
    for domain in [200, 255] {
        env.refused_as(Kind::RangeError, || configure(1, domain, 1_000));
    }
}

fn configure_without_a_duration(env: &Env) {
    env.refused_as(Kind::InvalidArgument, || configure(1, 1, 0));
}

fn configure_with_too_long_a_duration(env: &Env) {
    for duration in [ALWAYS + 1, u64::MAX] {
        env.refused_as(Kind::InvalidArgument, || configure(1, 0, duration));
    }
    configure(1, 0, ALWAYS).expect("the longest");
    reset();
}

fn configure_of_the_start_as_an_end(env: &Env) {
    env.refused_as(Kind::InvalidArgument, || configure(0, 0, 0));
}

fn start_out_of_range(env: &Env) {
    for index in [256, u64::MAX] {
        env.refused_as(Kind::RangeError, || inv::domain_set_schedule_set_start(DOMAIN, index));
    }
}

fn start_at_an_end_marker(env: &Env) {
    configure(1, 0, 0).expect("an end marker");
    env.refused_as(Kind::InvalidArgument, || inv::domain_set_schedule_set_start(DOMAIN, 1));
}

fn deleting_a_thread_of_another_domain(env: &Env) {
    let thread = in_other_domain(env, || 1);
    delete(thread.tcb).expect("delete");
    // The domain is empty now: its turns pass with nobody running.
    turns(1_000, 1_000);
    machine::spin(5_000);
    reset();
    let again = in_other_domain(env, || 2);
    inv::domain_set_set(DOMAIN, 0, again.tcb).expect("set the domain");
    inv::tcb_set_priority(again.tcb, slot::INIT_THREAD_TCB, TEST + 1).expect("set priority");
    assert_eq!(again.join(), 2);
}

/// The greatest number that is accepted, as the error for a greater one says.
#[track_caller]
fn greatest(refused: pecan::Result<()>) -> u64 {
    match refused {
        Err(Error::RangeError { min: 0, max }) => max,
        other => panic!("expected a range from 0, got {other:?}"),
    }
}

fn every_domain_can_be_had(env: &Env) {
    let (tcb, last) = (env.tcb(), greatest(configure(1, 255, 1_000)));
    for domain in 0..=last {
        inv::domain_set_set(DOMAIN, domain as u8, tcb).expect("set the domain");
        configure(1, domain as u8, ALWAYS).expect("configure");
    }
    assert_eq!(configure(1, last as u8 + 1, 1_000), Err(Error::RangeError { min: 0, max: last }));
    // The whole word counts, not what a domain needs of it.
    for domain in [last + 1, 256, 1 << 32, u64::MAX] {
        env.refused(Error::InvalidArgument { index: 0 }, || {
            invoke_as(DOMAIN, Label::DomainSetSet, &[tcb], &[domain]).map(drop)
        });
    }
    reset();
}

fn the_last_entry_always_ends_the_schedule(env: &Env) {
    let last = greatest(configure(u64::MAX, 0, 1_000));
    let other = in_other_domain(env, || 1);
    configure(last - 1, 0, machine::ticks(1_000)).expect("configure");
    configure(last, 1, machine::ticks(1_000)).expect("configure");
    assert_eq!(configure(last + 1, 1, 1_000), Err(Error::RangeError { min: 0, max: last }));
    let set_start = |index| inv::domain_set_schedule_set_start(DOMAIN, index);
    assert_eq!(set_start(last + 1), Err(Error::InvalidArgument { index: 0 }));
    assert_eq!(set_start(last + 2), Err(Error::RangeError { min: 0, max: last + 1 }));
    set_start(last - 1).expect("set start");
    // Behind its end the schedule goes on where it starts.
    machine::spin(10_000);
    reset();
    configure(last - 1, 0, 0).expect("an end marker");
    configure(last, 0, 0).expect("an end marker");
    assert!(other.has_returned());
}

fn a_change_of_the_running_entry_waits(env: &Env) {
    let other = in_other_domain(env, || 1);
    configure(0, 1, machine::ticks(1_000)).expect("configure");
    configure(1, 0, machine::ticks(1_000)).expect("configure");
    machine::spin(5_000);
    assert!(!other.has_returned(), "the entry that runs was changed at once");
    inv::domain_set_schedule_set_start(DOMAIN, 0).expect("set start");
    machine::spin(5_000);
    reset();
    assert!(other.has_returned());
}

/// A while in which both domains have turns.
fn some_turns() {
    turns(1_000, 1_000);
    machine::spin(5_000);
    reset();
}

fn a_thread_that_moves_itself_stops(env: &Env) {
    let thread = env.thread(HIGH);
    thread.start(move || u64::from(inv::domain_set_set(DOMAIN, 1, thread.tcb).is_ok()));
    assert!(!thread.has_returned(), "it ran on in a domain that has no turns");
    some_turns();
    assert!(thread.has_returned());
    assert_eq!(thread.join(), 1);
}

fn a_blocked_thread_moves(env: &Env) {
    let notification = env.notification();
    let thread = env.spawn(HIGH, move || raw::wait(notification).badge);
    inv::domain_set_set(DOMAIN, 1, thread.tcb).expect("set the domain");
    signal(env.mint(notification, 3));
    assert!(!thread.has_returned(), "it was woken in the domain that it has left");
    some_turns();
    assert!(thread.has_returned());
    assert_eq!((thread.join(), poll(notification)), (3, 0));
}

fn a_thread_out_of_budget_moves(env: &Env) {
    let thread = env.thread_with(HIGH, env.sched_context(1_000, 20_000), Spaces::own());
    thread.start(|| {
        machine::spin(2_000);
        4
    });
    inv::domain_set_set(DOMAIN, 1, thread.tcb).expect("set the domain");
    machine::spin(30_000);
    assert!(!thread.has_returned(), "it was released into the domain that it has left");
    some_turns();
    assert!(thread.has_returned());
    inv::domain_set_set(DOMAIN, 0, thread.tcb).expect("set the domain");
    assert_eq!(thread.join(), 4);
}

/// Durations that are over before a thread can do anything, and those around the smallest budget (20 us), as ticks: none
/// of them keeps threads from making system calls, in either domain.
fn turns_of_any_duration_let_threads_go_on(env: &Env) {
    let notification = env.notification();
    let badged = env.mint(notification, 1);
    in_other_domain(env, move || {
        loop {
            signal(badged);
        }
    });
    let us = machine::ticks(1);
    for duration in [1, 20, us, 10 * us, 20 * us - 1, 20 * us, 20 * us + 1, 21 * us, 40 * us, 41 * us] {
        configure(0, 0, duration).expect("configure");
        configure(1, 1, duration).expect("configure");
        configure(2, 0, 0).expect("configure");
        inv::domain_set_schedule_set_start(DOMAIN, 0).expect("set start");
        for _ in 0..3 {
            let start = machine::tsc();
            while poll(notification) == 0 {
                assert!(machine::us_since(start) < 2_000_000, "the other domain does not run");
            }
        }
        reset();
    }
}
