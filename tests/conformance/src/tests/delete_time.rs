//! Scheduling contexts in every state when their capabilities go.

use pecan::raw::{self, invocations as inv};
use pecan_abi::{CPtr, ObjectType};

use super::{
    delete_thread::call_through,
    deletion::{ALL, Place, Way},
};
use crate::{
    Env,
    env::{HIGH, LOW, MIDDLE, TEST, answer, call, sched_control, signal},
    machine,
    thread::{Spaces, Thread},
};

states! {
    without_parameters: "SchedContext" "without parameters", ALL;
    unbound: "SchedContext" "configured, not bound", ALL;
    of_a_stopped_thread: "SchedContext" "bound to a stopped thread", ALL;
    of_a_ready_thread: "SchedContext" "bound to a ready thread", ALL;
    of_the_running_thread: "SchedContext" "the running thread's: it does it itself", ALL;
    of_a_blocked_thread: "SchedContext" "bound to a blocked thread", ALL;
    of_a_thread_out_of_budget: "SchedContext" "bound to a thread in the release queue", ALL;
    of_a_notification: "SchedContext" "bound to a notification", ALL;
    lent_to_a_waiter: "SchedContext" "a notification's, lent to its waiter", ALL;
    lent_to_a_server: "SchedContext" "lent to a server", ALL;
    lent_along_a_chain: "SchedContext" "lent along a chain of calls", ALL;
    yielded_to: "SchedContext" "yielded to", ALL;
}

/// A scheduling context made here, with parameters.
#[track_caller]
fn sched_context(place: &Place, budget: u64, period: u64) -> CPtr {
    let sc = place.make(ObjectType::SchedContext, 8);
    configure(sc, budget, period);
    sc
}

#[track_caller]
fn configure(sc: CPtr, budget: u64, period: u64) {
    inv::sched_control_configure_flags(sched_control(), sc, budget, period, 0, 0, 0).expect("configure");
}

/// The thread has no time, and runs on another scheduling context.
#[track_caller]
fn takes_another(env: &Env, thread: Thread, returns: u64) {
    assert!(!thread.has_returned(), "a thread ran without a scheduling context");
    inv::sched_context_bind(env.sched_context(10_000, 10_000), thread.tcb).expect("bind another");
    assert_eq!(thread.join(), returns);
}

fn without_parameters(env: &Env, way: Way) {
    let place = Place::new(env);
    let sc = place.make(ObjectType::SchedContext, 8);
    way.go(&place, sc, || configure(sc, 1_000, 1_000), || {});
}

fn unbound(env: &Env, way: Way) {
    let place = Place::new(env);
    let sc = sched_context(&place, 5_000, 5_000);
    let thread = env.passive_thread(HIGH);
    thread.start(|| 2);
    let alive = || {
        inv::sched_context_bind(sc, thread.tcb).expect("bind");
        assert_eq!(thread.join(), 2);
    };
    way.go(&place, sc, alive, || takes_another(env, thread, 2));
}

/// A thread on a scheduling context that is made here.
fn thread_on(place: &Place, priority: u64) -> Thread {
    let sc = sched_context(place, 10_000, 10_000);
    place.env.thread_with(priority, sc, Spaces::own())
}

fn of_a_stopped_thread(env: &Env, way: Way) {
    let place = Place::new(env);
    let thread = thread_on(&place, HIGH);
    let start = || thread.start(|| 2);
    let alive = || {
        start();
        assert_eq!(thread.join(), 2);
    };
    let gone = || {
        start();
        takes_another(env, thread, 2);
    };
    way.go(&place, thread.sc, alive, gone);
}

fn of_a_ready_thread(env: &Env, way: Way) {
    let place = Place::new(env);
    let thread = thread_on(&place, LOW);
    thread.start(|| 2);
    let gone = || {
        assert_eq!(env.spawn(LOW, || 3).join(), 3);
        takes_another(env, thread, 2);
    };
    way.go(&place, thread.sc, || assert_eq!(thread.join(), 2), gone);
}

fn of_the_running_thread(env: &Env, way: Way) {
    let place = Place::new(env);
    let (thread, parent, scratch) = (thread_on(&place, HIGH), place.parent, env.slot());
    thread.start(move || {
        way.apply(parent, thread.sc, scratch);
        2
    });
    if way.ends() {
        place.overwrite();
        takes_another(env, thread, 2);
        place.is_untouched();
    } else {
        assert_eq!(thread.join(), 2);
    }
}

fn of_a_blocked_thread(env: &Env, way: Way) {
    let (place, notification) = (Place::new(env), env.notification());
    let thread = thread_on(&place, HIGH);
    thread.start(move || raw::wait(notification).badge + 1);
    let alive = || {
        signal(notification);
        assert_eq!(thread.join(), 1);
    };
    let gone = || {
        signal(notification);
        takes_another(env, thread, 1);
    };
    way.go(&place, thread.sc, alive, gone);
}

fn of_a_thread_out_of_budget(env: &Env, way: Way) {
    let place = Place::new(env);
    let sc = sched_context(&place, 1_000, 100_000);
    let thread = env.thread_with(HIGH, sc, Spaces::own());
    thread.start(|| {
        machine::spin(2_000);
        2
    });
    assert!(!thread.has_returned());
    way.go(&place, sc, || assert_eq!(thread.join(), 2), || takes_another(env, thread, 2));
}

fn of_a_notification(env: &Env, way: Way) {
    let (place, notification) = (Place::new(env), env.notification());
    let sc = sched_context(&place, 10_000, 10_000);
    let thread = env.spawn(HIGH, move || raw::wait(notification).badge + 1);
    inv::sched_context_unbind(thread.sc).expect("unbind");
    inv::sched_context_bind(sc, notification).expect("bind");
    let alive = || {
        signal(notification);
        assert_eq!(thread.join(), 1);
    };
    let gone = || {
        signal(notification);
        assert!(!thread.has_returned());
        inv::sched_context_bind(env.sched_context(1_000, 1_000), notification).expect("bind another");
        takes_another(env, thread, 1);
    };
    way.go(&place, sc, alive, gone);
}

fn lent_to_a_waiter(env: &Env, way: Way) {
    let (place, notification, never) = (Place::new(env), env.notification(), env.notification());
    let sc = sched_context(&place, 10_000, 10_000);
    let thread = env.spawn(HIGH, move || {
        raw::wait(notification);
        raw::wait(never).badge + 1
    });
    inv::sched_context_unbind(thread.sc).expect("unbind");
    inv::sched_context_bind(sc, notification).expect("bind");
    signal(notification);
    let alive = || {
        signal(never);
        assert_eq!(thread.join(), 1);
    };
    let gone = || {
        signal(never);
        takes_another(env, thread, 1);
    };
    way.go(&place, sc, alive, gone);
}

fn lent_to_a_server(env: &Env, way: Way) {
    let (place, endpoint, reply, never) = (Place::new(env), env.endpoint(), env.reply(), env.notification());
    let server = env.spawn(HIGH, move || {
        raw::recv(endpoint, reply);
        raw::wait(never);
        answer(reply, 0, &[4]);
        5
    });
    inv::sched_context_unbind(server.sc).expect("unbind");
    let caller = thread_on(&place, MIDDLE);
    caller.start(move || call(endpoint, 0, &[]).regs[0]);
    let alive = || {
        signal(never);
        assert_eq!(caller.join(), 4);
    };
    let gone = || {
        signal(never);
        // On another scheduling context the server answers; that one is its own.
        takes_another(env, server, 5);
        takes_another(env, caller, 4);
    };
    way.go(&place, caller.sc, alive, gone);
}

fn lent_along_a_chain(env: &Env, way: Way) {
    let place = Place::new(env);
    let (middle, client) = (env.thread(HIGH), thread_on(&place, MIDDLE));
    let (last, never) = call_through(env, middle, client);
    let alive = || {
        signal(never);
        assert_eq!(client.join(), 51);
    };
    let gone = || {
        signal(never);
        // Each has to be given time to answer the next.
        takes_another(env, last, 2);
        takes_another(env, middle, 1);
        takes_another(env, client, 51);
    };
    way.go(&place, client.sc, alive, gone);
}

fn yielded_to(env: &Env, way: Way) {
    let (place, scratch) = (Place::new(env), env.slot());
    let (yielder, parent) = (env.thread(TEST), place.parent);
    let target = thread_on(&place, TEST);
    yielder.start(move || u64::from(inv::sched_context_yield_to(target.sc).is_ok()));
    target.start(move || {
        way.apply(parent, target.sc, scratch);
        5
    });
    raw::yield_now();
    if way.ends() {
        place.overwrite();
        assert_eq!(yielder.join(), 1, "who yielded to a scheduling context that is gone goes on");
        takes_another(env, target, 5);
        place.is_untouched();
    } else {
        assert_eq!((target.join(), yielder.join()), (5, 1));
    }
}
