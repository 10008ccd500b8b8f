//! Notifications.

use pecan::raw::{self, invocations as inv};
use pecan_abi::{CPtr, CapRights};

use crate::{
    Env,
    env::{HIGH, LOW, MIDDLE, delete, poll, revoke, send, signal},
    thread::Thread,
};

tests! {
    a_signal_is_kept;
    signals_are_or_ed;
    a_poll_takes_the_signals;
    a_signal_wakes_a_waiter;
    a_signal_without_a_badge_wakes_a_waiter;
    each_signal_wakes_one_waiter;
    waiters_are_woken_in_order;
    waiters_are_woken_by_priority;
    a_message_to_a_notification_is_a_signal;
    a_call_to_a_notification_is_a_signal;
    a_signal_without_the_right_is_dropped;
    a_wait_without_the_right_faults;
    recv_waits_for_a_notification_without_a_reply_object;
    only_the_bound_thread_may_wait;
    a_bound_notification_wakes_its_waiter;
    a_signal_to_a_running_bound_thread_is_kept;
    deleting_a_bound_notification_unbinds_it: CNodeDelete / NoError;
    deleting_a_bound_thread_unbinds_it: CNodeDelete / NoError;
    deleting_a_notification_wakes_its_waiters: CNodeDelete / NoError;
    a_signal_from_a_higher_priority_does_not_switch;
}

fn waiter(env: &Env, priority: u64, notification: CPtr) -> Thread {
    env.spawn(priority, move || raw::wait(notification).badge)
}

fn a_signal_is_kept(env: &Env) {
    let notification = env.notification();
    signal(env.mint(notification, 0xf00d));
    assert_eq!(raw::wait(notification).badge, 0xf00d);
}

fn signals_are_or_ed(env: &Env) {
    let notification = env.notification();
    for badge in [1, 4, 4, 0x8000_0000_0000_0000] {
        signal(env.mint(notification, badge));
    }
    assert_eq!(raw::wait(notification).badge, 0x8000_0000_0000_0005);
}

fn a_poll_takes_the_signals(env: &Env) {
    let notification = env.notification();
    assert_eq!(poll(notification), 0);
    signal(env.mint(notification, 2));
    assert_eq!((poll(notification), poll(notification)), (2, 0));
    // Nothing is left that a thread would not have to wait for.
    assert!(!waiter(env, HIGH, notification).has_returned());
}

fn a_signal_wakes_a_waiter(env: &Env) {
    let notification = env.notification();
    let thread = waiter(env, HIGH, notification);
    assert!(!thread.has_returned());
    signal(env.mint(notification, 9));
    assert!(thread.has_returned(), "a waiter of a higher priority did not run at once");
    assert_eq!((thread.join(), poll(notification)), (9, 0));
}

fn a_signal_without_a_badge_wakes_a_waiter(env: &Env) {
    let notification = env.notification();
    let thread = waiter(env, HIGH, notification);
    signal(notification);
    assert_eq!(thread.join(), 0);
}

fn each_signal_wakes_one_waiter(env: &Env) {
    let notification = env.notification();
    let badged = env.mint(notification, 1);
    let threads: [Thread; 3] = core::array::from_fn(|_| waiter(env, HIGH, notification));
    for woken in 1..=3 {
        signal(badged);
        assert_eq!(threads.iter().filter(|t| t.has_returned()).count(), woken);
    }
    signal(badged);
    assert_eq!(poll(notification), 1, "with nobody left to wake a signal is kept");
}

fn waiters_are_woken_in_order(env: &Env) {
    let notification = env.notification();
    let threads: [Thread; 3] = core::array::from_fn(|_| waiter(env, HIGH, notification));
    for badge in [1, 2, 4] {
        signal(env.mint(notification, badge));
    }
    assert_eq!(threads.map(Thread::join), [1, 2, 4]);
}

fn waiters_are_woken_by_priority(env: &Env) {
    let notification = env.notification();
    let threads = [MIDDLE, HIGH, MIDDLE, HIGH].map(|priority| waiter(env, priority, notification));
    for badge in [1, 2, 4, 8] {
        signal(env.mint(notification, badge));
    }
    assert_eq!(threads.map(Thread::join), [4, 1, 8, 2], "the highest priority comes first");
}

fn a_message_to_a_notification_is_a_signal(env: &Env) {
    let notification = env.notification();
    let badged = env.mint(notification, 3);
    send(badged, 77, &[1, 2, 3, 4, 5, 6]);
    let received = raw::wait(notification);
    assert_eq!(received.badge, 3);
}

fn a_call_to_a_notification_is_a_signal(env: &Env) {
    let notification = env.notification();
    let badged = env.mint(notification, 3);
    // It does not wait for an answer: there is nobody to give one.
    crate::env::call(badged, 0, &[]);
    assert_eq!(poll(notification), 3);
}

fn a_signal_without_the_right_is_dropped(env: &Env) {
    let notification = env.notification();
    let read_only = env.mint_with(notification, CapRights::READ, 1);
    signal(read_only);
    assert_eq!(poll(notification), 0);
    let answer = crate::env::call(read_only, 0, &[]);
    assert_eq!(answer.info.label(), pecan_abi::Error::InvalidCapability.word());
    assert_eq!(poll(notification), 0);
}

fn a_wait_without_the_right_faults(env: &Env) {
    let (notification, fault_ep, reply) = (env.notification(), env.endpoint(), env.reply());
    let write_only = env.copy_with(notification, CapRights::WRITE);
    for call in [raw::wait, raw::nb_wait] {
        env.spawn_faulting(HIGH, fault_ep, move || call(write_only).badge);
        let fault = raw::nb_recv(fault_ep, reply);
        assert_eq!((fault.info.label(), fault.regs[1], fault.regs[2]), (1, write_only, 1));
    }
}

fn recv_waits_for_a_notification_without_a_reply_object(env: &Env) {
    let notification = env.notification();
    let thread = env.spawn(HIGH, move || raw::recv(notification, 0).badge);
    signal(env.mint(notification, 6));
    assert_eq!(thread.join(), 6);
    assert_eq!(raw::nb_recv(notification, 0).badge, 0);
}

fn only_the_bound_thread_may_wait(env: &Env) {
    let (notification, fault_ep, reply, owner) =
        (env.notification(), env.endpoint(), env.reply(), env.tcb());
    inv::tcb_bind_notification(owner, notification).expect("bind");
    env.spawn_faulting(HIGH, fault_ep, move || raw::wait(notification).badge);
    let fault = raw::nb_recv(fault_ep, reply);
    assert_eq!((fault.info.label(), fault.regs[1], fault.regs[2]), (1, notification, 1));
}

fn a_bound_notification_wakes_its_waiter(env: &Env) {
    let notification = env.notification();
    let thread = env.thread(HIGH);
    inv::tcb_bind_notification(thread.tcb, notification).expect("bind");
    thread.start(move || raw::wait(notification).badge);
    signal(env.mint(notification, 0x12));
    assert_eq!(thread.join(), 0x12);
}

fn a_signal_to_a_running_bound_thread_is_kept(env: &Env) {
    let notification = env.notification();
    let thread = env.thread(LOW);
    inv::tcb_bind_notification(thread.tcb, notification).expect("bind");
    thread.start(move || poll(notification));
    signal(env.mint(notification, 0x21));
    assert_eq!(thread.join(), 0x21);
}

/// A thread that has a notification bound and receives on an endpoint with a reply object of its own.
fn bound_receiver(env: &Env, notification: CPtr, endpoint: CPtr) -> Thread {
    let (thread, reply) = (env.thread(HIGH), env.reply());
    inv::tcb_bind_notification(thread.tcb, notification).expect("bind");
    thread.start(move || raw::recv(endpoint, reply).badge);
    thread
}

fn deleting_a_bound_notification_unbinds_it(env: &Env) {
    let (notification, endpoint) = (env.notification(), env.endpoint());
    let thread = bound_receiver(env, notification, endpoint);
    delete(notification).expect("delete");
    assert!(!thread.has_returned());
    // The thread still receives, and can have another notification.
    let second = env.notification();
    inv::tcb_bind_notification(thread.tcb, second).expect("bind another");
    signal(env.mint(second, 5));
    assert_eq!(thread.join(), 5);
}

fn deleting_a_bound_thread_unbinds_it(env: &Env) {
    let (notification, endpoint) = (env.notification(), env.endpoint());
    let thread = bound_receiver(env, notification, endpoint);
    delete(thread.tcb).expect("delete");
    signal(env.mint(notification, 7));
    assert_eq!(poll(notification), 7, "a signal went to a thread that is gone");
    let other = env.tcb();
    inv::tcb_bind_notification(other, notification).expect("bind to another");
}

fn deleting_a_notification_wakes_its_waiters(env: &Env) {
    let (notification, fault_ep, reply) = (env.notification(), env.endpoint(), env.reply());
    let fault_badged = env.mint(fault_ep, 5);
    env.spawn_faulting(HIGH, fault_badged, move || raw::wait(notification).badge);
    revoke(notification).expect("revoke");
    delete(notification).expect("delete");
    // It waits again, and there is nothing there.
    let fault = raw::nb_recv(fault_ep, reply);
    assert_eq!((fault.badge, fault.info.label(), fault.regs[1], fault.regs[2]), (5, 1, notification, 1));
}

fn a_signal_from_a_higher_priority_does_not_switch(env: &Env) {
    let notification = env.notification();
    let thread = env.spawn(LOW, move || raw::wait(notification).badge);
    // Let it come to its wait.
    let arrived = env.spawn(LOW, || 1);
    arrived.join();
    signal(env.mint(notification, 1));
    assert!(!thread.has_returned(), "a thread of a lower priority ran");
    assert_eq!(thread.join(), 1);
}
