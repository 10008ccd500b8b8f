//! What is half deleted: a slot whose deletion has been stopped, seen by others.

use pecan_abi::{Error, Label, ObjectType, Syscall};
use pecan_arch::{IRQ_FIRST_NUMBER, IRQ_USER_MIN, host, reg, us_to_ticks};
use pecan_mem::{Cap, Endpoint, Link, Tcb, ThreadState};

use crate::{
    invoke::arch::testing::request,
    ipc::notification,
    sched::{budget, refill},
    testing::*,
    tests::deletion::{put, sender},
};

const OK: Answer = Ok(Vec::new());

/// Makes a call that is stopped at its first preemption point.
fn stopped(w: &mut World, cptr: u64, label: Label, words: &[u64], extra: &[u64]) {
    w.preempt_soon();
    assert!(w.try_call(cptr, label, words, extra).is_err(), "{label:?} is not stopped");
    while pecan_arch::take_pending_irq().is_some() {}
    w.check();
}

/// An endpoint at `at` with threads that wait to send, at `at + 1` to `at + 3`.
fn endpoint_with_senders(w: &mut World, at: u64) -> (Link<Endpoint>, Vec<Link<Tcb>>) {
    let Cap::Endpoint { ep, .. } = w.make(ObjectType::Endpoint, 0, at) else { panic!() };
    let senders = (1..4).map(|i| sender(w, ep, at + i, 0, 0)).collect();
    (ep, senders)
}

fn is_restarted(w: &World, thread: Link<Tcb>) -> bool {
    thread.get(&w.k).state.get() == ThreadState::Restart
}

/// What is in a slot cannot be used and not be copied in any way; it can be moved, and deleted where it is then.
fn is_half_deleted(w: &mut World, at: u64, free: u64) {
    for (label, words) in [
        (Label::CNodeCopy, vec![free, DEPTH, at, DEPTH, 15]),
        (Label::CNodeCopy, vec![free, DEPTH, at, DEPTH, 0]),
        (Label::CNodeMint, vec![free, DEPTH, at, DEPTH, 15, 0]),
        (Label::CNodeMint, vec![free, DEPTH, at, DEPTH, 15, 7]),
    ] {
        w.fails((CNODE, label), &words, &[CNODE], Error::IllegalOperation, &[]);
    }
    w.fails((CNODE, Label::CNodeCancelBadgedSends), &[at, DEPTH], &[], Error::IllegalOperation, &[]);
    for label in [Label::IrqAckIrq, Label::IrqClearIrqHandler, Label::CNodeRevoke] {
        w.fails((at, label), &[], &[], Error::InvalidCapability, &[0]);
    }
    w.fails((SC, Label::SchedContextBind), &[], &[at], Error::InvalidCapability, &[1]);
    w.fails((TCB, Label::TcbSetTimeoutEndpoint), &[], &[at], Error::InvalidCapability, &[1]);
    w.fails((TCB, Label::TcbBindNotification), &[], &[at], Error::IllegalOperation, &[]);
    assert_eq!(w.revoke(at), OK);
    assert_eq!(w.call(CNODE, Label::CNodeMove, &[free, DEPTH, at, DEPTH], &[CNODE]), OK);
    w.check();
    assert_eq!(w.delete(free), OK);
    assert_eq!((w.cap(at), w.cap(free)), (Cap::Null, Cap::Null));
    w.check();
}

#[test]
fn an_endpoint_that_is_half_deleted_cannot_be_copied() {
    let mut w = World::new();
    let (_, senders) = endpoint_with_senders(&mut w, FREE);
    stopped(&mut w, CNODE, Label::CNodeDelete, &[FREE, DEPTH], &[]);
    is_half_deleted(&mut w, FREE, FREE + 8);
    assert!(senders.iter().all(|&t| is_restarted(&w, t)), "a sender waits for ever");
}

/// Makes a notification at `at` with threads that wait, at `at + 1` to `at + 3`.
fn notification_with_waiters(w: &mut World, at: u64) -> Vec<Link<Tcb>> {
    let Cap::Notification { ntfn, .. } = w.make(ObjectType::Notification, 0, at) else { panic!() };
    (1..4)
        .map(|i| {
            let Cap::Tcb { tcb } = w.make(ObjectType::Tcb, 0, at + i) else { panic!() };
            notification::wait(&w.k, tcb.get(&w.k), ntfn.get(&w.k), true);
            tcb
        })
        .collect()
}

#[test]
fn a_notification_that_is_half_deleted_cannot_be_copied() {
    let mut w = World::new();
    let waiters = notification_with_waiters(&mut w, FREE);
    stopped(&mut w, CNODE, Label::CNodeDelete, &[FREE, DEPTH], &[]);
    is_half_deleted(&mut w, FREE, FREE + 8);
    assert!(waiters.iter().all(|&t| is_restarted(&w, t)), "a thread waits for ever");
}

#[test]
fn an_interrupt_handler_that_is_half_deleted_cannot_be_copied() {
    for revoked in [false, true] {
        let mut w = World::new();
        let waiters = notification_with_waiters(&mut w, FREE);
        const HANDLER: u64 = FREE + 7;
        let number = IRQ_FIRST_NUMBER + 5;
        let (label, words) = request(HANDLER, number);
        assert_eq!(w.call(IRQ_CONTROL, label, &words, &[CNODE]), OK);
        assert_eq!(w.call(HANDLER, Label::IrqSetIrqHandler, &[], &[FREE]), OK);
        assert_eq!(w.delete(FREE), OK);
        stopped(&mut w, CNODE, Label::CNodeDelete, &[HANDLER, DEPTH], &[]);
        let again = request(FREE + 9, number).1;
        w.fails((IRQ_CONTROL, label), &again, &[CNODE], Error::RevokeFirst, &[]);
        let irq = IRQ_USER_MIN + 5;
        assert!(host::irq_line(irq).masked);
        if revoked {
            // Who revokes the authority goes on where the other stopped.
            assert_eq!(w.revoke(IRQ_CONTROL), OK);
            assert_eq!(w.cap(HANDLER), Cap::Null);
        } else {
            is_half_deleted(&mut w, HANDLER, FREE + 8);
        }
        assert!(waiters.iter().all(|&t| is_restarted(&w, t)), "a thread waits for ever");
        assert_eq!(w.call(IRQ_CONTROL, label, &words, &[CNODE]), OK);
        w.check();
    }
}

#[test]
fn a_timeout_handler_that_is_half_deleted_is_none() {
    let mut w = World::new();
    let (ep, senders) = endpoint_with_senders(&mut w, FREE);
    let thread = w.thread;
    // The last capability to the endpoint is the thread's timeout handler.
    assert_eq!(w.call(TCB, Label::TcbSetTimeoutEndpoint, &[], &[FREE]), OK);
    assert_eq!(w.delete(FREE), OK);
    let sc = w.make(ObjectType::SchedContext, 8, FREE + 8);
    stopped(&mut w, TCB, Label::TcbSetTimeoutEndpoint, &[], &[FREE + 9]);
    assert!(is_restarted(&w, senders[0]) && ep.get(&w.k).head() == Some(senders[1]));
    // Its budget ends, and it waits for the next.
    let Cap::SchedContext { sc, .. } = sc else { panic!() };
    let (k, now) = (&*w.k, pecan_arch::now());
    let (old, t) = (thread.get(k).sched_context.get().expect("it runs"), thread.get(k));
    old.get(k).tcb.set(None);
    refill::start(sc.get(k), refill::MIN_REFILLS, us_to_ticks(1_000), us_to_ticks(10_000), now);
    sc.get(k).tcb.set(Some(thread));
    t.sched_context.set(Some(sc));
    t.state.set(ThreadState::Running);
    k.core().current_sc.set(sc);
    k.core().charged.set(now);
    budget::set_next_interrupt(k);
    host::advance_time(us_to_ticks(1_000));
    t.context.set(reg::CAP, 0);
    let runs = w.syscall(Syscall::NBSend);
    assert_eq!(runs, w.k.core().idle_thread.link());
    assert_eq!(thread.get(&w.k).state.get(), ThreadState::Restart, "it has no handler, and is not stopped");
    assert_eq!(w.k.core().release_head.get(), Some(thread));
    w.check();
}

#[test]
fn a_revocation_that_is_stopped_anywhere_leaves_nothing() {
    // The outer CNode is of the memory that is revoked, the inner ones in it, and the innermost in those, of other.
    for (outer_index, inner_index) in (0..4).flat_map(|i| (0..4).map(move |j| (i, j))) {
        for (every, circle) in [(1, false), (2, false), (3, false), (1, true), (2, true)] {
            let mut w = World::new();
            w.make(ObjectType::Untyped, 12, FREE);
            assert_eq!(w.retype(FREE, ObjectType::CNode, 2, FREE + 1, 1), OK);
            for i in 2..5 {
                w.make(ObjectType::CNode, 2, FREE + i);
                w.make(ObjectType::Endpoint, 0, FREE + 8);
                put(&mut w, FREE + i, 2, (inner_index + 1) % 4, FREE + 8);
            }
            if circle {
                // The only capability to the outer one lies in the innermost.
                assert_eq!(
                    w.call(
                        FREE + 3,
                        Label::CNodeCopy,
                        &[(inner_index + 2) % 4, 2, FREE + 1, DEPTH, 15],
                        &[CNODE]
                    ),
                    OK
                );
            }
            put(&mut w, FREE + 2, 2, inner_index, FREE + 3);
            put(&mut w, FREE + 1, 2, outer_index, FREE + 2);
            put(&mut w, FREE + 1, 2, (outer_index + 1) % 4, FREE + 4);
            if circle {
                assert_eq!(w.delete(FREE + 1), OK);
            }
            let mut calls = 0;
            loop {
                calls += 1;
                assert!(calls < 200, "it does not end");
                if calls % every == 0 {
                    w.preempt_soon();
                } else {
                    // At a later point.
                    host::raise_irq_later(every - 1, IRQ_USER_MIN);
                }
                let done = w.try_call(CNODE, Label::CNodeRevoke, &[FREE, DEPTH], &[]);
                host::nothing_later();
                while pecan_arch::take_pending_irq().is_some() {}
                w.check();
                if done.is_ok() {
                    break;
                }
            }
            assert_eq!(w.cap(FREE + 1), Cap::Null, "{outer_index} {inner_index} {every} {circle}");
            assert_eq!(w.descendants(UNTYPED_2M), 1, "{outer_index} {inner_index} {every} {circle}");
        }
    }
}
