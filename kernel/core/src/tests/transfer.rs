//! Messages with capabilities, from one thread to another.

use pecan_abi::{
    CapRights, MessageInfo, ObjectType,
    fault::FaultTag,
    ipc::{MSG_MAX_LENGTH, buffer},
};
use pecan_arch::{EXCEPTION_MESSAGE, reg};
use pecan_mem::{Cap, Endpoint, EndpointRights, Fault, Link, Tcb, ThreadState};

use crate::{
    base::message,
    cap::{derivation, extra},
    ipc::{
        endpoint::{self, Sending},
        transfer,
    },
    testing::*,
};

const EP: u64 = FREE;
/// Capabilities to the same endpoint, with the badges 71 and 72.
const BADGED: [u64; 2] = [FREE + 1, FREE + 2];
const OTHER: u64 = FREE + 3;
const THREAD: u64 = FREE + 4;
const FRAME: u64 = FREE + 5;
const EMPTY: u64 = FREE + 6;
/// Where the receiver wants a capability.
const DEST: u64 = FREE + 7;

/// A thread that receives: in the same CSpace, with an IPC buffer of its own.
fn world() -> (World, Link<Tcb>, Link<Endpoint>) {
    let mut w = World::new();
    let (Cap::Endpoint { ep, .. }, Cap::Tcb { tcb }) =
        (w.make(ObjectType::Endpoint, 0, EP), w.make(ObjectType::Tcb, 0, THREAD))
    else {
        unreachable!()
    };
    for (i, dest) in BADGED.into_iter().enumerate() {
        assert_eq!(w.mint(dest, EP, CapRights::ALL, 71 + i as u64), Ok(vec![]));
    }
    w.make(ObjectType::Notification, 0, OTHER);
    w.make(ObjectType::Page4K, 0, FRAME);
    let thread = tcb.get(&w.k);
    for (from, to) in [(CNODE, Tcb::SLOT_CSPACE), (FRAME, Tcb::SLOT_IPC_BUFFER)] {
        derivation::insert(&w.k, w.words(from), w.slot(from), thread.slots[to].link());
    }
    thread.ipc_buffer.set(0x1000);
    (w, tcb, ep)
}

/// Sends a message of five words with these capabilities. Returns what the receiver is told of them: how many came,
/// which of them as badges, and what stands in its buffer for the three.
fn send(
    w: &mut World,
    receiver: Link<Tcb>,
    ep: Option<Link<Endpoint>>,
    grant: bool,
    extra: &[u64],
) -> (u64, u64, [u64; 3]) {
    let sender = w.thread;
    w.set_message(sender, 9, &[1, 2, 3, 4, 5], extra);
    let (from, to) = (sender.get(&w.k), receiver.get(&w.k));
    let words = message::buffer_for_writing(&w.k, to);
    if let Some(words) = words {
        (0..3).for_each(|i| words.set(buffer::CAPS_OR_BADGES + i, 0));
        words.set(buffer::RECEIVE_CNODE, CNODE);
        words.set(buffer::RECEIVE_INDEX, DEST);
        words.set(buffer::RECEIVE_DEPTH, DEPTH);
    }
    transfer::message(&w.k, from, ep.map(|ep| ep.get(&w.k)), 33, grant, to, None);
    assert_eq!(to.context.get(reg::CAP), 33);
    let info = MessageInfo(to.context.get(reg::INFO));
    let length = if words.is_some() { 5 } else { 4 };
    assert_eq!((info.label(), info.length()), (9, length));
    assert!((0..length).all(|i| message::get(&w.k, to, i) == i as u64 + 1));
    let badges = [0, 1, 2].map(|i| words.map_or(0, |words| words.get(buffer::CAPS_OR_BADGES + i)));
    (info.extra_caps() as u64, info.caps_unwrapped(), badges)
}

#[test]
fn capabilities_to_the_endpoint_become_badges_and_one_other_is_handed_over() {
    let (mut w, receiver, ep) = world();
    let other = w.cap(OTHER);
    for (extra, came, unwrapped, badges, handed) in [
        (&[BADGED[0]][..], 1, 0b1, [71, 0, 0], false),
        (&[OTHER], 1, 0, [0; 3], true),
        (&[BADGED[0], OTHER, BADGED[1]], 3, 0b101, [71, 0, 72], true),
        (&[OTHER, BADGED[1], BADGED[0]], 3, 0b110, [0, 72, 71], true),
        // There is one slot only, and what comes behind what cannot be handed over does not come either.
        (&[OTHER, BADGED[1], OTHER], 2, 0b10, [0, 72, 0], true),
        (&[OTHER, OTHER, BADGED[1]], 1, 0, [0; 3], true),
        (&[EMPTY, OTHER], 0, 0, [0; 3], false),
        (&[BADGED[1], EMPTY, BADGED[0]], 1, 0b1, [72, 0, 0], false),
        // An address that does not resolve: the message goes without capabilities.
        (&[BADGED[0], OTHER, 1 << ROOT_RADIX], 0, 0, [0; 3], false),
        (&[BADGED[0], 1 << ROOT_RADIX], 0, 0, [0; 3], false),
        (&[], 0, 0, [0; 3], false),
    ] {
        assert_eq!(send(&mut w, receiver, Some(ep), true, extra), (came, unwrapped, badges), "{extra:?}");
        assert_eq!(w.cap(DEST), if handed { other } else { Cap::Null }, "{extra:?}");
        // It is a copy: a descendant of what was sent.
        assert_eq!(w.family(OTHER), if handed { vec![DEST] } else { vec![] });
        assert_eq!(w.delete(DEST), Ok(vec![]));
        assert_eq!(
            send(&mut w, receiver, Some(ep), false, extra),
            (0, 0, [0; 3]),
            "without the right to grant"
        );
        assert_eq!(w.cap(DEST), Cap::Null);
    }
    // A message that fits into registers takes them along, too.
    w.set_message(w.thread, 9, &[1], &[BADGED[0]]);
    let to = receiver.get(&w.k);
    transfer::message(&w.k, w.thread.get(&w.k), Some(ep.get(&w.k)), 33, true, to, None);
    let info = MessageInfo(to.context.get(reg::INFO));
    assert_eq!((info.length(), info.extra_caps(), info.caps_unwrapped()), (1, 1, 1));
    w.check();
}

#[test]
fn an_answer_hands_over_any_capability_where_there_is_a_slot() {
    let (mut w, receiver, _) = world();
    // No endpoint that it goes through, so none to become a badge.
    assert_eq!(send(&mut w, receiver, None, true, &[BADGED[0], BADGED[1]]), (1, 0, [0; 3]));
    let rights = EndpointRights { send: true, receive: true, grant: true, grant_reply: true };
    assert!(matches!(w.cap(DEST), Cap::Endpoint { badge: 71, rights: r, .. } if r == rights));
    // Now the slot is in use.
    assert_eq!(send(&mut w, receiver, None, true, &[OTHER]), (0, 0, [0; 3]));
    assert_eq!(w.delete(DEST), Ok(vec![]));
    // No CNode, no such slot.
    let words = message::buffer_for_writing(&w.k, receiver.get(&w.k)).expect("it has a buffer");
    for (cnode, index) in [(OTHER, DEST), (CNODE, 1 << ROOT_RADIX), (1 << ROOT_RADIX, DEST)] {
        let receive = |k| {
            words.set(buffer::RECEIVE_CNODE, cnode);
            words.set(buffer::RECEIVE_INDEX, index);
            transfer::message(k, w.thread.get(k), None, 0, true, receiver.get(k), None);
            MessageInfo(receiver.get(k).context.get(reg::INFO)).extra_caps()
        };
        assert_eq!(receive(&w.k), 0, "{cnode:#x} {index:#x}");
    }
    // Nobody to be told where.
    pecan_mem::testing::set_cap(&receiver.get(&w.k).slots[Tcb::SLOT_IPC_BUFFER], Cap::Null);
    assert_eq!(send(&mut w, receiver, None, true, &[OTHER]), (0, 0, [0; 3]));
    assert_eq!(w.cap(DEST), Cap::Null);
}

#[test]
fn without_a_buffer_a_message_is_what_fits_into_registers() {
    let (mut w, receiver, _) = world();
    let length = |w: &World, words| {
        message::sendable_length(&w.k, receiver.get(&w.k), MessageInfo::new(0, 0, 0, words)) as u64
    };
    for words in [0, 4, 5, 120] {
        assert_eq!(length(&w, words), words);
    }
    pecan_mem::testing::set_cap(&receiver.get(&w.k).slots[Tcb::SLOT_IPC_BUFFER], Cap::Null);
    for words in [0, 3, 4, 5, 120] {
        assert_eq!(length(&w, words), words.min(4));
    }
    w.set_message(w.thread, 0, &[1, 2, 3, 4, 5], &[]);
    transfer::message(&w.k, w.thread.get(&w.k), None, 0, true, receiver.get(&w.k), None);
    assert_eq!(w.message(receiver), (0, vec![1, 2, 3, 4]));
}

#[test]
fn only_who_calls_or_faults_waits_for_an_answer() {
    for (call, fault, waits) in [
        (false, Fault::None, false),
        (true, Fault::None, true),
        (false, Fault::UserException { number: 6, code: 0 }, true),
    ] {
        let (mut w, sender, ep) = world();
        let Cap::Reply { reply, .. } = w.make(ObjectType::Reply, 0, EMPTY) else { unreachable!() };
        let (from, to) = (sender.get(&w.k), w.thread.get(&w.k));
        from.set_fault(fault);
        let how = Sending {
            blocking: true,
            call,
            donate: false,
            badge: 5,
            grant: true,
            grant_reply: true,
            parcel: None,
        };
        let _ = endpoint::send(&w.k, from, ep.get(&w.k), how);
        assert!(matches!(from.state.get(), ThreadState::BlockedOnSend { .. }));
        let _ = endpoint::receive(&w.k, to, ep.get(&w.k), true, Some(reply));
        assert_eq!(to.context.get(reg::CAP), 5);
        // A fault is told instead of what happens to be in the registers of a message.
        let told = if fault == Fault::None {
            (0, 0)
        } else {
            (FaultTag::UserException as u64, EXCEPTION_MESSAGE.len() + 2)
        };
        let info = MessageInfo(to.context.get(reg::INFO));
        assert_eq!((info.label(), info.length()), told);
        let expected =
            if waits { ThreadState::BlockedOnReply { reply: Some(reply) } } else { ThreadState::Running };
        assert_eq!(from.state.get(), expected, "call: {call}, {fault:?}");
        assert_eq!(reply.get(&w.k).tcb.get(), waits.then_some(sender));
    }
}

#[test]
fn a_capability_goes_where_its_place_was_found_before() {
    let (mut w, receiver, _) = world();
    w.set_message(w.thread, 9, &[], &[OTHER]);
    let (k, to) = (&*w.k, receiver.get(&w.k));
    let words = message::buffer_for_writing(k, to).expect("it has a buffer");
    words.set(buffer::RECEIVE_CNODE, CNODE);
    words.set(buffer::RECEIVE_INDEX, DEST);
    words.set(buffer::RECEIVE_DEPTH, DEPTH);
    let info = MessageInfo(w.thread.get(k).context.get(reg::INFO));
    let Ok(mut parcel) = extra::Parcel::new(k, w.thread.get(k), info) else { panic!("it resolves") };
    parcel.find_place(k, to);
    words.set(buffer::RECEIVE_INDEX, DEST + 1);
    transfer::message(k, w.thread.get(k), None, 0, true, to, Some(&parcel));
    assert_eq!((w.cap(DEST), w.cap(DEST + 1)), (w.cap(OTHER), Cap::Null));
}

#[test]
fn words_beyond_the_longest_message_have_no_place() {
    let (w, receiver, _) = world();
    let (k, to) = (&*w.k, receiver.get(&w.k));
    let words = message::buffer_for_writing(k, to).expect("it has a buffer");
    let behind = buffer::MSG + MSG_MAX_LENGTH;
    words.set(behind, 7);
    assert_eq!(message::put_all(k, to, 1..), MSG_MAX_LENGTH);
    assert_eq!((words.get(behind - 1), words.get(behind)), (MSG_MAX_LENGTH as u64, 7));
}
