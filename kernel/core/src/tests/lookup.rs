use pecan_abi::{CNodeCapData, CapRights, Label, ObjectType, Syscall, ipc::buffer};
use pecan_arch::reg;
use pecan_mem::{Cap, LookupFailure, NotificationState, Tcb, ThreadState};

use crate::{
    base::{
        error::{Preempted, SyscallError},
        message,
    },
    cap::{derivation, lookup},
    delete,
    invoke::{self, How},
    ipc::{
        endpoint::{self, Sending},
        fault_message,
    },
    testing::*,
};

const MISSING: fn(u8) -> LookupFailure = |bits_left| LookupFailure::MissingCapability { bits_left };

#[test]
fn the_common_cspace_resolves_in_one_step() {
    let w = World::new();
    assert_eq!(lookup::cap(&w.k, w.thread.get(&w.k), UNTYPED), Ok(w.slot(UNTYPED)));
    let failure = lookup::cap(&w.k, w.thread.get(&w.k), 1 << ROOT_RADIX).unwrap_err();
    let guard_bits = (64 - ROOT_RADIX) as u8;
    assert_eq!(failure, LookupFailure::GuardMismatch { bits_left: 64, guard: 0, guard_bits });
}

#[test]
fn only_a_cnode_that_takes_addresses_as_they_are_is_kept_for_a_thread() {
    let mut w = World::new();
    w.make(ObjectType::CNode, 4, FREE);
    let Cap::CNode { cnode, .. } = w.cap(FREE) else { panic!("not a CNode") };
    let thread = w.thread.get(&w.k);
    for (guard, guard_bits, kept) in [(0, 60, true), (1, 60, false), (0, 59, false), (0, 0, false)] {
        pecan_mem::testing::set_cap(&thread.slots[Tcb::SLOT_CSPACE], Cap::CNode { cnode, guard, guard_bits });
        thread.learn_spaces(&w.k);
        let known = |cptr| thread.known_slot(&w.k, cptr);
        assert_eq!(known(15), kept.then(|| cnode.slot(15)), "guard {guard} of {guard_bits} bits");
        assert_eq!(known(16), None);
    }
}

#[test]
fn sixty_four_levels_of_one_bit_resolve_every_bit() {
    let mut w = World::new();
    let first = FREE;
    for i in 0..64 {
        w.make(ObjectType::CNode, 1, first + i);
    }
    w.make(ObjectType::Endpoint, 0, FREE + 64);
    // CNode i lies in slot i % 2 of CNode i - 1.
    let mut address = 0u64;
    for i in 1..=64 {
        let bit = i % 2;
        let answer = w.call(first + i - 1, Label::CNodeCopy, &[bit, 1, first + i, DEPTH, 15], &[CNODE]);
        assert_eq!(answer, Ok(vec![]));
        address = address << 1 | bit;
    }
    let root = w.slot(first);
    let (slot, left) = lookup::walk(&w.k, root, address, 64).unwrap();
    assert_eq!((slot.get(&w.k).cap(), left), (w.cap(FREE + 64), 0));
    for bit in 0..64 {
        // Any other path ends early, in an empty slot.
        let (slot, left) = lookup::walk(&w.k, root, address ^ 1 << bit, 64).unwrap();
        assert_eq!((slot.get(&w.k).cap(), left), (Cap::Null, bit), "bit {bit}");
    }
}

#[test]
fn guards_are_compared_and_consumed() {
    let mut w = World::new();
    w.make(ObjectType::CNode, 4, FREE);
    let data = CNodeCapData::new(0b101, 3).0;
    assert_eq!(w.mint(FREE + 1, FREE, CapRights::ALL, data), Ok(vec![]));
    let (root, Cap::CNode { cnode, .. }) = (w.slot(FREE + 1), w.cap(FREE)) else { panic!("not a CNode") };
    assert_eq!(lookup::walk(&w.k, root, 0b101_0111, 7), Ok((cnode.slot(7), 0)));
    assert_eq!(lookup::walk(&w.k, root, 0b1_0101_1111, 9), Ok((cnode.slot(7), 2)));
    assert_eq!(
        lookup::walk(&w.k, root, 0b100_0111, 7),
        Err(LookupFailure::GuardMismatch { bits_left: 7, guard: 0b101, guard_bits: 3 })
    );
    assert_eq!(
        lookup::walk(&w.k, root, 0b10, 2),
        Err(LookupFailure::GuardMismatch { bits_left: 2, guard: 0b101, guard_bits: 3 })
    );
    assert_eq!(
        lookup::walk(&w.k, root, 0b101_011, 6),
        Err(LookupFailure::DepthMismatch { bits_left: 6, bits_found: 7 })
    );
}

#[test]
fn a_guard_of_63_bits_works() {
    let mut w = World::new();
    w.make(ObjectType::CNode, 1, FREE);
    assert_eq!(w.mint_cnode(FREE + 1, FREE, 1), Ok(vec![]));
    let (root, Cap::CNode { cnode, .. }) = (w.slot(FREE + 1), w.cap(FREE)) else { panic!("not a CNode") };
    assert_eq!(lookup::walk(&w.k, root, 1, 64), Ok((cnode.slot(1), 0)));
    assert!(matches!(lookup::walk(&w.k, root, 2, 64), Err(LookupFailure::GuardMismatch { .. })));
}

#[test]
fn a_target_must_resolve_completely() {
    let w = World::new();
    let root = w.slot(CNODE);
    let failed = |source, failure| Err(SyscallError::FailedLookup { source, failure });
    let target = |source, root, index, depth| lookup::target_slot(&w.k, source, root, index, depth);
    assert_eq!(target(false, root, UNTYPED, 64), Ok(w.slot(UNTYPED)));
    assert_eq!(target(false, w.slot(UNTYPED), 0, 64), failed(false, LookupFailure::InvalidRoot));
    assert_eq!(target(true, w.slot(UNTYPED), 0, 0), failed(true, LookupFailure::InvalidRoot));
    for depth in [0, 65, u64::MAX, 1 << 32 | 64] {
        assert_eq!(target(false, root, UNTYPED, depth), Err(SyscallError::RangeError(1, 64)));
    }
    assert!(matches!(
        target(true, root, 0, 63),
        Err(SyscallError::FailedLookup {
            source: true,
            failure: LookupFailure::DepthMismatch { bits_left: 63, .. }
        })
    ));
}

#[test]
fn bits_left_over_at_a_target_are_an_error() {
    let mut w = World::new();
    w.make(ObjectType::CNode, 4, FREE);
    w.make(ObjectType::Endpoint, 0, FREE + 1);
    assert_eq!(w.call(FREE, Label::CNodeCopy, &[2, 4, FREE + 1, DEPTH, 15], &[CNODE]), Ok(vec![]));
    let failure = LookupFailure::DepthMismatch { bits_left: 3, bits_found: 0 };
    assert_eq!(
        lookup::target_slot(&w.k, true, w.slot(FREE), 2 << 3, 7),
        Err(SyscallError::FailedLookup { source: true, failure })
    );
}

#[test]
fn an_empty_source_is_a_missing_capability() {
    let mut w = World::new();
    let (error, words) = w.copy(FREE, FREE + 1, CapRights::ALL).unwrap_err();
    assert_eq!(error, pecan_abi::Error::FailedLookup);
    let failure = fault_message::lookup_failure_words(MISSING(64));
    assert_eq!(words[0], 1);
    assert_eq!(words[1..], failure.0[..failure.1]);
}

#[test]
fn the_short_way_to_a_slot_leads_where_the_long_one_does() {
    let mut w = World::new();
    let data = |bits: u32| CNodeCapData::new(0b101 & ((1 << bits) - 1), bits as u64).0;
    w.make(ObjectType::CNode, 4, FREE);
    let mut roots = vec![(w.slot(CNODE), 64), (w.slot(FREE), 4)];
    for (i, guard_bits) in [1, 3, 60].into_iter().enumerate() {
        let at = FREE + 1 + i as u64;
        assert_eq!(w.mint(at, FREE, CapRights::ALL, data(guard_bits)), Ok(vec![]));
        roots.push((w.slot(at), guard_bits + 4));
    }
    for (root, whole) in roots {
        let mut found = 0;
        for depth in 0..70 {
            for index in [0, 1, 7, 0b101_0011, 0b1_0011, 0b10_0000, 1 << 54, 1 << 60, 1 << 63 | 2, !0] {
                let long = lookup::target_slot(&w.k, true, root, index, depth);
                assert_eq!(lookup::target(&w.k, true, root, index, depth), long, "{index:#x}, {depth} bits");
                assert!(depth == whole as u64 || long.is_err(), "only the whole address will do");
                found += long.is_ok() as usize;
            }
        }
        assert!(found > 0, "some resolve");
    }
}

#[test]
fn a_capability_to_send_along_that_is_not_there_is_a_fault() {
    let mut w = World::new();
    let Cap::Endpoint { ep, .. } = w.make(ObjectType::Endpoint, 0, FREE) else { panic!() };
    for (blocking, state) in [(false, ThreadState::Running), (true, ThreadState::Inactive)] {
        w.set_message(w.thread, 0, &[1], &[1 << ROOT_RADIX]);
        w.k.set_current(w.thread.get(&w.k));
        let how = if blocking { How::Send } else { How::NBSend };
        assert!(invoke::invoke::<Told>(&mut w.k, FREE, how).is_ok());
        // Nobody handles it, and nothing is sent.
        assert_eq!((w.thread.get(&w.k).state.get(), ep.get(&w.k).head()), (state, None));
    }
}

#[test]
fn a_call_in_a_cspace_of_several_cnodes_can_be_stopped_before_it_does_anything() {
    let mut w = World::new();
    // The root CNode below one of two slots: addresses stay as they are.
    w.make(ObjectType::CNode, 1, FREE);
    let guard = CNodeCapData::new(0, 63 - ROOT_RADIX as u64).0;
    let minted = w.call(FREE, Label::CNodeMint, &[0, 1, CNODE, DEPTH, CapRights::ALL.0, guard], &[CNODE]);
    assert_eq!(minted, Ok(vec![]));
    let cspace = w.thread.get(&w.k).slots[Tcb::SLOT_CSPACE].link();
    assert!(delete::delete(&mut w.k, cspace).is_ok());
    derivation::insert(&w.k, w.slot(FREE).get(&w.k).words(), w.slot(FREE), cspace);

    let how = How::Send;
    let ntfn = w.make(ObjectType::Notification, 0, FREE + 1);
    let Cap::Notification { ntfn, .. } = ntfn else { panic!("not a notification") };
    let mut signal = |late| {
        w.set_message(w.thread, 0, &[], &[UNTYPED, CNODE]);
        w.k.core().time.set(pecan_arch::now() - late);
        let result = invoke::invoke::<Told>(&mut w.k, FREE + 1, how).map(|_| ());
        while pecan_arch::take_pending_irq().is_some() {}
        let (k, thread) = (&w.k, w.thread);
        (result, thread.get(k).state.get(), ntfn.get(k).state.get())
    };
    let wcet = pecan_arch::kernel_wcet_ticks();
    pecan_arch::host::advance_time(wcet);
    let (done, idle, active) = (Ok(()), NotificationState::Idle, NotificationState::Active);
    pecan_arch::host::raise_irq(pecan_arch::IRQ_USER_MIN);
    assert_eq!(signal(wcet), (Err(Preempted), ThreadState::Restart, idle), "an interrupt came");
    assert_eq!(signal(wcet), (done, ThreadState::Running, active), "none came");
    pecan_arch::host::raise_irq(pecan_arch::IRQ_USER_MIN);
    assert_eq!(signal(0), (done, ThreadState::Running, active), "it has not been long");
}

/// A thread in whose CSpace every way has two steps at least, and four bits are left at the slots of the root CNode. It
/// sends a CNode to a place in that CSpace and receives through it, by names that led nowhere when the system call began.
#[test]
fn what_is_looked_up_ahead_is_what_is_there_when_it_is_needed() {
    const SPARE: u32 = 4;
    const ENDPOINTS: [u64; 2] = [FREE + 2, FREE + 3];
    // CNodes of 16 slots: one is sent, the other holds the capability to it.
    let (sent, holder, place) = (FREE + 4, FREE + 5, FREE + 6);
    // Of the thread that receives the CNode, and of the one that waits to send.
    let (tcbs, frames) = ([FREE + 7, FREE + 8], [FREE + 9, FREE + 10]);
    for (grant, message_waits) in [(true, true), (true, false), (false, true)] {
        let mut w = World::new();
        w.make(ObjectType::CNode, 1, FREE);
        let guard = CNodeCapData::new(0, u64::from(63 - SPARE) - ROOT_RADIX as u64).0;
        let words = [0, 1, CNODE, DEPTH, CapRights::ALL.0, guard];
        assert_eq!(w.call(FREE, Label::CNodeMint, &words, &[CNODE]), Ok(vec![]));
        for at in ENDPOINTS {
            w.make(ObjectType::Endpoint, 0, at);
        }
        for at in [sent, holder] {
            w.make(ObjectType::CNode, SPARE.into(), at);
        }
        w.make(ObjectType::Reply, 0, FREE + 1);
        for (node, at, from) in [(sent, 5, ENDPOINTS[1]), (sent, 6, FREE + 1), (holder, 3, sent)] {
            let words = [at, SPARE as u64, from, DEPTH, CapRights::ALL.0];
            assert_eq!(w.call(node, Label::CNodeCopy, &words, &[CNODE]), Ok(vec![]));
        }
        if !grant {
            let rights = CapRights::new(false, false, true, true);
            assert_eq!(w.copy(FREE + 11, ENDPOINTS[0], rights), Ok(vec![]));
        }
        let to = if grant { ENDPOINTS[0] } else { FREE + 11 };
        let [receiver, sender] = [0, 1].map(|n| {
            let Cap::Tcb { tcb } = w.make(ObjectType::Tcb, 0, tcbs[n]) else { unreachable!() };
            w.make(ObjectType::Page4K, 0, frames[n]);
            for (from, to) in [(CNODE, Tcb::SLOT_CSPACE), (frames[n], Tcb::SLOT_IPC_BUFFER)] {
                derivation::insert(&w.k, w.words(from), w.slot(from), tcb.get(&w.k).slots[to].link());
            }
            tcb.get(&w.k).ipc_buffer.set(0x1000);
            tcb
        });
        let endpoints = ENDPOINTS.map(|at| match w.cap(at) {
            Cap::Endpoint { ep, .. } => ep,
            _ => unreachable!(),
        });
        let k = &*w.k;
        let words = message::buffer_for_writing(k, receiver.get(k)).expect("it has a buffer");
        words.set(buffer::RECEIVE_CNODE, CNODE);
        words.set(buffer::RECEIVE_INDEX, place);
        words.set(buffer::RECEIVE_DEPTH, DEPTH);
        let _ = endpoint::receive(k, receiver.get(k), endpoints[0].get(k), true, None);
        if message_waits {
            w.set_message(sender, 77, &[1, 2, 3, 4, 5], &[]);
            let how = Sending {
                blocking: true,
                call: false,
                donate: false,
                badge: 9,
                grant: true,
                grant_reply: true,
                parcel: None,
            };
            let _ = endpoint::send(&w.k, sender.get(&w.k), endpoints[1].get(&w.k), how);
        }

        // From here on in the CSpace of several CNodes.
        let cspace = w.thread.get(&w.k).slots[Tcb::SLOT_CSPACE].link();
        assert!(delete::delete(&mut w.k, cspace).is_ok());
        derivation::insert(&w.k, w.slot(FREE).get(&w.k).words(), w.slot(FREE), cspace);
        let thread = w.thread;
        w.set_message(thread, 0, &[], &[holder << SPARE | 3]);
        for (register, value) in
            [(reg::CAP, place << SPARE | 5), (reg::REPLY, place << SPARE | 6), (reg::SEND_DEST, to << SPARE)]
        {
            thread.get(&w.k).context.set(register, value);
        }
        w.syscall(Syscall::NBSendRecv);
        w.check();
        assert_eq!(w.cap(place) == w.cap(sent), grant);
        let state = thread.get(&w.k).state.get();
        match (grant, message_waits) {
            (true, true) => assert_eq!((state, w.message(thread).0), (ThreadState::Running, 77)),
            (true, false) => assert!(matches!(state, ThreadState::BlockedOnReceive { reply: Some(_), .. })),
            // There is no endpoint, and nobody handles the fault.
            (false, _) => assert_eq!(state, ThreadState::Inactive),
        }
    }
}
