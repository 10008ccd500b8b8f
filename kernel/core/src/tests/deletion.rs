use pecan_abi::{CapRights, Label, ObjectType, Syscall};
use pecan_arch::reg;
use pecan_mem::{Cap, Ending, Endpoint, EndpointState, Link, Tcb, ThreadState, ZombieKind};

use crate::{cap::derivation, delete, ipc::endpoint, sched::next, testing::*};

const ALL: CapRights = CapRights::ALL;
const OK: Answer = Ok(Vec::new());

/// Moves a capability from the root CNode into slot `index` of the CNode of `2^radix` slots at `cnode`.
pub(super) fn put(w: &mut World, cnode: u64, radix: u64, index: u64, src: u64) {
    assert_eq!(w.call(cnode, Label::CNodeMove, &[index, radix, src, DEPTH], &[CNODE]), OK);
}

/// Makes a CNode of `2^radix` slots at `dest` and returns its capability.
fn cnode(w: &mut World, radix: u64, dest: u64) -> Cap {
    w.make(ObjectType::CNode, radix, dest)
}

#[test]
fn a_cnode_takes_its_contents_with_it() {
    let mut w = World::new();
    w.make(ObjectType::Endpoint, 0, FREE);
    cnode(&mut w, 6, FREE + 1);
    for i in 0..64 {
        assert_eq!(w.call(FREE + 1, Label::CNodeCopy, &[i, 6, FREE, DEPTH, 15], &[CNODE]), OK);
    }
    assert_eq!(w.descendants(FREE), 64);
    // Not the last capability: nothing happens to the CNode.
    assert_eq!(w.copy(FREE + 2, FREE + 1, ALL), OK);
    assert_eq!(w.delete(FREE + 1), OK);
    assert_eq!(w.descendants(FREE), 64);
    assert_eq!(w.delete(FREE + 2), OK);
    assert_eq!(w.descendants(FREE), 0);
    assert_eq!(w.descendants(UNTYPED_2M), 1);
    w.check();
}

#[test]
fn a_chain_of_cnodes_goes_with_its_head() {
    let mut w = World::new();
    w.make(ObjectType::Endpoint, 0, FREE);
    let endpoint = w.cap(FREE);
    const LEN: u64 = 200;
    for i in 0..LEN {
        cnode(&mut w, 2, FREE + 1 + i);
        // The endpoint into one slot, the CNode before into another.
        let slot = i % 4;
        assert_eq!(w.call(FREE + 1 + i, Label::CNodeCopy, &[slot, 2, FREE, DEPTH, 15], &[CNODE]), OK);
        if i > 0 {
            put(&mut w, FREE + 1 + i, 2, (i + 1) % 4, FREE + i);
        }
    }
    w.check();
    assert_eq!(w.delete(FREE + LEN), OK);
    assert_eq!((w.descendants(UNTYPED_2M), w.descendants(FREE)), (1, 0));
    assert_eq!(w.cap(FREE), endpoint);
    w.check();
}

#[test]
fn a_tree_of_cnodes_goes_with_its_root_however_often_it_is_preempted() {
    for often in [false, true] {
        let mut w = World::new();
        cnode(&mut w, 3, FREE);
        for i in 0..8 {
            cnode(&mut w, 3, FREE + 1 + i);
            for j in 0..8 {
                cnode(&mut w, 1, FREE + 20 + j);
                w.make(ObjectType::Notification, 0, FREE + 40);
                put(&mut w, FREE + 20 + j, 1, j % 2, FREE + 40);
                put(&mut w, FREE + 1 + i, 3, j, FREE + 20 + j);
            }
            put(&mut w, FREE, 3, i, FREE + 1 + i);
        }
        w.check();
        loop {
            if often {
                w.preempt_soon();
            }
            let result = w.try_call(CNODE, Label::CNodeDelete, &[FREE, DEPTH], &[]);
            while pecan_arch::take_pending_irq().is_some() {}
            if w.preemptions.is_multiple_of(8) || result.is_ok() {
                w.check();
            }
            if result.is_ok() {
                break;
            }
            w.preemptions += 1;
            assert!(matches!(w.cap(FREE), Cap::Zombie { .. }));
        }
        assert!(!often || w.preemptions > 100);
        assert_eq!(w.cap(FREE), Cap::Null);
        assert_eq!(w.descendants(UNTYPED_2M), 0);
    }
}

#[test]
fn a_zombie_cannot_be_copied_or_used_but_deleted() {
    let mut w = World::new();
    cnode(&mut w, 6, FREE);
    w.preempt_soon();
    assert!(w.try_call(CNODE, Label::CNodeDelete, &[FREE, DEPTH], &[]).is_err());
    while pecan_arch::take_pending_irq().is_some() {}
    let zombie = w.cap(FREE);
    let Cap::Zombie { zombie, remaining } = zombie else { panic!("{zombie:?}") };
    assert_eq!((zombie.kind(), remaining), (ZombieKind::CNode { radix: 6 }, 31));
    assert!(w.copy(FREE + 1, FREE, ALL).is_err());
    assert!(w.mint(FREE + 1, FREE, ALL, 0).is_err());
    assert!(w.call(FREE, Label::CNodeRevoke, &[0, 6], &[]).is_err());
    assert_eq!(w.family(UNTYPED_2M), [FREE], "its memory is not free yet");
    w.check();
    assert_eq!(w.revoke(UNTYPED_2M), OK);
    assert_eq!(w.cap(FREE), Cap::Null);
    w.check();
}

#[test]
fn cnodes_in_a_circle_go_when_their_memory_is_revoked() {
    let mut w = World::new();
    w.make(ObjectType::Untyped, 16, FREE);
    for i in 1..=3 {
        assert_eq!(w.retype(FREE, ObjectType::CNode, 2, FREE + i, 1), OK);
    }
    // 1 in 2, 2 in 3, 3 in 1, and 1 in itself.
    for (inside, of, index) in [(1, 2, 0), (2, 3, 3), (3, 1, 1), (1, 1, 2), (2, 2, 0), (3, 3, 1)] {
        let words = [index, 2, FREE + inside, DEPTH, 15];
        let answer = w.call(FREE + of, Label::CNodeCopy, &words, &[CNODE]);
        if index == 0 && of == 2 && inside == 2 {
            assert!(answer.is_err());
        } else {
            assert_eq!(answer, OK);
        }
    }
    for i in 1..=3 {
        assert_eq!(w.delete(FREE + i), OK);
    }
    w.check();
    assert_ne!(w.descendants(FREE), 0, "the circle keeps itself alive");
    assert_eq!(w.revoke(FREE), OK);
    assert_eq!(w.descendants(FREE), 0);
    w.check();
    assert_eq!(w.retype(FREE, ObjectType::CNode, 11, FREE + 1, 1), OK);
    w.check();
}

#[test]
fn a_slot_in_the_cnode_that_it_names_can_be_revoked() {
    for index in 0..4 {
        let mut w = World::new();
        w.make(ObjectType::Untyped, 12, FREE);
        assert_eq!(w.retype(FREE, ObjectType::CNode, 2, FREE + 1, 1), OK);
        for i in 0..4 {
            w.make(ObjectType::Endpoint, 0, FREE + 2);
            if i != index {
                put(&mut w, FREE + 1, 2, i, FREE + 2);
            }
            assert_eq!(w.delete(FREE + 2), OK);
        }
        // The CNode's only capability goes into the CNode.
        put(&mut w, FREE + 1, 2, index, FREE + 1);
        w.check();
        assert_eq!((w.family(UNTYPED_2M), w.descendants(UNTYPED_2M)), (vec![FREE], 5));
        assert_eq!(w.revoke(FREE), OK);
        assert!(crate::invariants::descendants(&w.k, w.slot(UNTYPED_2M)).eq([w.slot(FREE)]));
        w.check();
    }
}

#[test]
fn revoking_may_delete_the_capability_that_is_revoked() {
    let mut w = World::new();
    w.make(ObjectType::Untyped, 12, FREE);
    assert_eq!(w.retype(FREE, ObjectType::CNode, 2, FREE + 1, 1), OK);
    assert_eq!(w.retype(FREE, ObjectType::Endpoint, 0, FREE + 2, 2), OK);
    let Cap::CNode { cnode: node, .. } = w.cap(FREE + 1) else { panic!() };
    // The untyped lies in a CNode made of it. Its descendants in the order of the list: endpoints, then the CNode.
    put(&mut w, FREE + 1, 2, 1, FREE);
    w.check();
    let Ok(next) = delete::revoke(&mut w.k, node.slot(1)) else { panic!("nothing preempts") };
    let _ = next.and(&w.k, next::Next::Choose);
    assert!(node.get(&w.k, 1).is_empty());
    assert_eq!(w.descendants(UNTYPED_2M), 0);
    w.check();
}

/// A thread with an own CSpace and IPC buffer; its TCB is at `at`.
fn thread(w: &mut World, at: u64) -> Link<Tcb> {
    let Cap::Tcb { tcb } = w.make(ObjectType::Tcb, 0, at) else { panic!() };
    tcb
}

#[test]
fn a_blocked_thread_is_taken_out_of_its_queue() {
    let mut w = World::new();
    let Cap::Endpoint { ep, .. } = w.make(ObjectType::Endpoint, 0, FREE) else { panic!() };
    let threads: Vec<_> = (1..4).map(|i| sender(&mut w, ep, FREE + i, 0, 0)).collect();
    w.check();
    assert_eq!(w.delete(FREE + 2), OK);
    w.check();
    assert_eq!(ep.get(&w.k).head(), Some(threads[0]));
    assert_eq!(ep.get(&w.k).tail(), Some(threads[2]));
    // The endpoint goes: those that are left are to make their system call again.
    assert_eq!(w.delete(FREE), OK);
    assert_eq!(threads[0].get(&w.k).state.get(), ThreadState::Restart);
    w.check();
    assert_eq!(w.delete(FREE + 1), OK);
    assert_eq!(w.delete(FREE + 3), OK);
    assert_eq!(w.descendants(UNTYPED_2M), 0);
    w.check();
}

#[test]
fn nobody_comes_to_an_endpoint_that_is_half_deleted() {
    let mut w = World::new();
    let Cap::Endpoint { ep, .. } = w.make(ObjectType::Endpoint, 0, FREE) else { panic!() };
    let threads: Vec<_> = (1..4).map(|i| sender(&mut w, ep, FREE + i, 0, 0)).collect();
    w.preempt_soon();
    assert!(w.try_call(CNODE, Label::CNodeDelete, &[FREE, DEPTH], &[]).is_err(), "stopped");
    while pecan_arch::take_pending_irq().is_some() {}
    assert_eq!(threads[0].get(&w.k).state.get(), ThreadState::Restart);
    assert_eq!(ep.get(&w.k).head(), Some(threads[1]));
    assert_eq!(w.cap(FREE), Cap::Ending { what: Ending::Endpoint(ep) });
    w.check();
    assert_eq!(w.delete(FREE), OK);
    assert_eq!(w.cap(FREE), Cap::Null);
    assert!(threads.iter().all(|t| t.get(&w.k).state.get() == ThreadState::Restart));
    w.check();
}

#[test]
fn badged_sends_are_cancelled_by_badge() {
    let mut w = World::new();
    let Cap::Endpoint { ep, .. } = w.make(ObjectType::Endpoint, 0, FREE) else { panic!() };
    assert_eq!(w.mint(FREE + 1, FREE, ALL, 7), OK);
    let threads: Vec<_> = (2..8).map(|i| sender(&mut w, ep, FREE + i, [7, 8][i as usize % 2], 0)).collect();
    assert_eq!(w.call(CNODE, Label::CNodeCancelBadgedSends, &[FREE, DEPTH], &[]), OK);
    assert!(threads.iter().all(|t| t.get(&w.k).state.get() != ThreadState::Restart), "badge 0 is none");
    assert_eq!(w.call(CNODE, Label::CNodeCancelBadgedSends, &[FREE + 1, DEPTH], &[]), OK);
    for (i, &t) in threads.iter().enumerate() {
        assert_eq!(t.get(&w.k).state.get() == ThreadState::Restart, i % 2 == 0, "thread {i}");
    }
    assert_eq!(ep.get(&w.k).state(), EndpointState::Sending);
    w.check();
}

/// Makes a thread at `at` that waits to send to an endpoint.
pub(super) fn sender(w: &mut World, ep: Link<Endpoint>, at: u64, badge: u64, priority: u8) -> Link<Tcb> {
    let thread = thread(w, at);
    thread.get(&w.k).priority.set(priority);
    let how = endpoint::Sending {
        blocking: true,
        call: false,
        donate: false,
        badge,
        grant: false,
        grant_reply: false,
        parcel: None,
    };
    let _ = endpoint::send(&w.k, thread.get(&w.k), ep.get(&w.k), how);
    thread
}

/// Lets the cancelling of badged sends look at one thread. True if it was stopped then.
fn cancel_a_step(w: &mut World, cap: u64) -> bool {
    w.preempt_soon();
    let result = w.try_call(CNODE, Label::CNodeCancelBadgedSends, &[cap, DEPTH], &[]);
    while pecan_arch::take_pending_irq().is_some() {}
    result.is_err()
}

#[test]
fn a_stopped_cancelling_ends_with_its_endpoint() {
    let mut w = World::new();
    let endpoints = [FREE, FREE + 1].map(|at| {
        let Cap::Endpoint { ep, .. } = w.make(ObjectType::Endpoint, 0, at) else { panic!() };
        ep
    });
    assert_eq!(w.mint(FREE + 2, FREE, ALL, 7), OK);
    for at in [3, 4] {
        sender(&mut w, endpoints[0], FREE + at, 7, 1);
    }
    assert!(cancel_a_step(&mut w, FREE + 2));
    let under_way = |w: &World| w.k.global().cancelling.endpoint.get();
    assert_eq!(under_way(&w), Some(endpoints[0]));
    assert_eq!(w.delete(FREE + 1), OK);
    assert_eq!(under_way(&w), Some(endpoints[0]), "another endpoint is no matter");
    assert_eq!(w.delete(FREE + 2), OK);
    assert_eq!(under_way(&w), Some(endpoints[0]), "nor is a capability of several");
    assert_eq!(w.delete(FREE), OK);
    assert_eq!(under_way(&w), None);
    w.check();
}

#[test]
fn who_comes_while_badged_sends_are_being_cancelled_is_not_missed() {
    let mut w = World::new();
    let Cap::Endpoint { ep, .. } = w.make(ObjectType::Endpoint, 0, FREE) else { panic!() };
    assert_eq!(w.mint(FREE + 1, FREE, ALL, 7), OK);
    let send = |w: &mut World, at: u64, badge: u64, priority: u8| sender(w, ep, at, badge, priority);
    let step = |w: &mut World| cancel_a_step(w, FREE + 1);
    let is_cancelled = |w: &World, t: Link<Tcb>| t.get(&w.k).state.get() == ThreadState::Restart;

    let first: Vec<_> = [(2, 7, 90), (3, 7, 80), (4, 8, 80), (5, 7, 70), (6, 7, 60)]
        .map(|(at, badge, priority)| send(&mut w, FREE + at, badge, priority))
        .into();
    assert!(step(&mut w), "stopped after the first");
    assert!(is_cancelled(&w, first[0]) && !is_cancelled(&w, first[1]));
    // Before the one to go on with, behind it, and with another badge before it.
    let before = send(&mut w, FREE + 7, 7, 85);
    let behind = send(&mut w, FREE + 8, 7, 80);
    let other = send(&mut w, FREE + 9, 8, 88);
    assert!(step(&mut w), "stopped after the one that came before");
    assert!(is_cancelled(&w, before) && !is_cancelled(&w, first[1]));
    // The one to go on with goes away, and one of the same priority comes in its stead.
    assert_eq!(w.delete(FREE + 3), OK);
    let again = send(&mut w, FREE + 3, 7, 80);
    w.check();
    for left in [behind, again, first[3], first[4]] {
        assert!(!is_cancelled(&w, left));
    }
    while step(&mut w) {
        w.check();
    }
    for cancelled in [behind, again, first[3], first[4]] {
        assert!(is_cancelled(&w, cancelled));
    }
    assert!(!is_cancelled(&w, first[2]) && !is_cancelled(&w, other), "of another badge");
    assert_eq!((ep.get(&w.k).head(), ep.get(&w.k).tail()), (Some(other), Some(first[2])));
    // At the end of the queue, too.
    let last = send(&mut w, FREE + 10, 7, 10);
    assert!(step(&mut w) && step(&mut w), "stopped behind the first two, of another badge");
    assert!(step(&mut w) && is_cancelled(&w, last), "stopped at the end");
    let later = send(&mut w, FREE + 11, 7, 10);
    assert!(step(&mut w) && is_cancelled(&w, later));
    w.check();
}

#[test]
fn a_stopped_cancelling_does_not_follow_receivers() {
    let mut w = World::new();
    let [ep, other] = [FREE, FREE + 1].map(|at| {
        let Cap::Endpoint { ep, .. } = w.make(ObjectType::Endpoint, 0, at) else { panic!() };
        ep
    });
    assert_eq!(w.mint(FREE + 2, FREE, ALL, 7), OK);
    for at in [3, 4] {
        let receiver = thread(&mut w, FREE + at);
        let _ = endpoint::receive(&w.k, receiver.get(&w.k), ep.get(&w.k), true, None);
    }
    // It may be stopped, although there is nothing to cancel.
    let _ = cancel_a_step(&mut w, FREE + 2);
    // Both get something, and the second sends with the same badge, to another endpoint.
    sender(&mut w, ep, FREE + 5, 0, 0);
    sender(&mut w, ep, FREE + 6, 0, 0);
    let Cap::Tcb { tcb } = w.cap(FREE + 4) else { panic!() };
    assert_eq!(tcb.get(&w.k).state.get(), ThreadState::Running);
    let how = endpoint::Sending {
        blocking: true,
        call: false,
        donate: false,
        badge: 7,
        grant: false,
        grant_reply: false,
        parcel: None,
    };
    let _ = endpoint::send(&w.k, tcb.get(&w.k), other.get(&w.k), how);
    while cancel_a_step(&mut w, FREE + 2) {}
    assert!(matches!(tcb.get(&w.k).state.get(), ThreadState::BlockedOnSend { ep, .. } if ep == other));
    w.check();
}

#[test]
fn a_thread_that_deletes_itself_takes_its_cspace_along() {
    let mut w = World::new();
    // The second thread's CSpace is a CNode that only its TCB and itself hold, with the TCB in it.
    let tcb = thread(&mut w, FREE);
    cnode(&mut w, 4, FREE + 1);
    w.make(ObjectType::Endpoint, 0, FREE + 2);
    put(&mut w, FREE + 1, 4, 9, FREE + 2);
    let slot = tcb.get(&w.k).slots[Tcb::SLOT_CSPACE].link();
    derivation::insert(&w.k, w.words(FREE + 1), w.slot(FREE + 1), slot);
    put(&mut w, FREE + 1, 4, 5, FREE);
    let Cap::CNode { cnode: node, .. } = w.cap(FREE + 1) else { panic!() };
    assert_eq!(w.delete(FREE + 1), OK);
    w.check();
    let Ok(next) = delete::delete(&mut w.k, node.slot(5)) else { panic!("nothing preempts") };
    let _ = next.and(&w.k, next::Next::Choose);
    assert_eq!(w.descendants(UNTYPED_2M), 0);
    w.check();
}

#[test]
fn a_thread_that_deletes_itself_on_a_slow_processor_is_gone() {
    let mut w = World::new();
    w.set_message(w.thread, Label::CNodeDelete as u64, &[TCB, DEPTH], &[]);
    w.thread.get(&w.k).context.set(reg::CAP, CNODE);
    // The first preemption point looks whether something more urgent waits.
    w.k.core().work_units.set(pecan_config::MAX_NUM_WORK_UNITS_PER_PREEMPTION);
    assert_eq!(w.syscall(Syscall::Call), w.k.core().idle_thread.link());
    assert_eq!(w.cap(TCB), Cap::Null, "nobody comes back to delete the rest");
    w.check();
}

#[test]
fn a_long_revoke_stops_for_interrupts() {
    let mut w = World::new();
    w.make(ObjectType::Endpoint, 0, FREE);
    for i in 1..=300 {
        assert_eq!(w.copy(FREE + i, FREE, ALL), OK);
    }
    pecan_arch::host::raise_irq(20);
    assert_eq!(w.revoke(FREE), OK);
    assert_eq!(w.preemptions, 1);
    assert_eq!(w.family(FREE), []);
    w.check();
}
