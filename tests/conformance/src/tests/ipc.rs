//! Endpoints and reply objects: messages, their order, badges, and capabilities in messages.

use pecan::{raw::{self, invocations as inv}};
use pecan_abi::{CPtr, CapRights, Error as Kind, MessageInfo, ObjectType, ipc::MSG_MAX_LENGTH};

use crate::{
    Env,
    env::{DEPTH, HIGH, LOW, MIDDLE, ROOT, answer, call, delete, info, is_empty, nb_send, registers, send, signal},
    thread::Thread,
};

tests! {
    a_message_waits_for_its_receiver;
    a_receiver_waits_for_a_message;
    words_in_registers_arrive;
    words_in_the_buffer_arrive;
    a_message_of_full_length_arrives;
    a_message_that_is_too_long_is_cut;
    all_bits_of_the_label_arrive;
    the_badge_of_the_sender_arrives;
    senders_are_served_in_order;
    senders_are_served_by_priority;
    receivers_are_served_in_order;
    nb_send_without_a_receiver_is_dropped;
    nb_send_to_a_receiver_arrives;
    nb_recv_without_a_sender_returns;
    a_send_without_the_right_is_dropped;
    a_call_without_the_right_is_refused;
    a_receive_without_the_right_faults;
    a_receive_without_a_reply_object_faults;
    call_and_reply;
    a_reply_carries_a_long_message;
    calls_nest;
    a_call_without_grant_stops_the_caller;
    a_call_with_grant_reply_is_answered;
    a_reply_object_answers_once;
    an_unused_reply_object_swallows_messages;
    deleting_the_reply_object_leaves_the_caller_waiting;
    reply_recv_answers_and_receives;
    reply_recv_without_a_caller_receives;
    nb_send_recv_sends_and_receives;
    nb_send_recv_without_a_receiver_receives;
    nb_send_wait_sends_and_waits;
    wait_takes_a_message_nobody_can_answer;
    a_call_that_is_waited_for_cannot_be_answered;
    a_capability_is_transferred;
    a_capability_arrives_in_the_slot_named;
    a_transferred_capability_keeps_its_rights;
    a_capability_without_grant_stays;
    a_capability_for_a_used_slot_stays;
    a_capability_without_a_slot_stays;
    only_the_first_capability_is_transferred;
    capabilities_to_the_endpoint_are_unwrapped;
    unwrapped_and_transferred_capabilities_mix;
    a_capability_that_does_not_exist_faults;
    a_null_capability_is_not_transferred;
    a_capability_that_cannot_be_derived_stays;
    a_reply_transfers_a_capability;
    a_reply_without_grant_transfers_none;
    a_sender_without_a_buffer_sends_four_words;
    a_thread_can_call_itself_to_no_end;
    deleting_an_endpoint_wakes_its_senders: CNodeDelete / NoError;
    deleting_an_endpoint_wakes_its_receivers: CNodeDelete / NoError;
}

/// An endpoint, a badged capability to it, and a reply object.
fn channel(env: &Env) -> (CPtr, CPtr, CPtr) {
    let endpoint = env.endpoint();
    (endpoint, env.mint(endpoint, 0xc0de), env.reply())
}

/// Starts a thread that sends words and returns 1.
fn sender(env: &Env, priority: u64, dest: CPtr, label: u64, words: &'static [u64]) -> Thread {
    env.spawn(priority, move || {
        send(dest, label, words);
        1
    })
}

fn a_message_waits_for_its_receiver(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    let thread = sender(env, HIGH, badged, 5, &[6]);
    assert!(!thread.has_returned(), "a send did not wait for a receiver");
    let received = raw::recv(endpoint, reply);
    assert_eq!((received.badge, received.info.label(), received.regs[0]), (0xc0de, 5, 6));
    assert_eq!(thread.join(), 1);
}

fn a_receiver_waits_for_a_message(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    let thread = env.spawn(HIGH, move || raw::recv(endpoint, reply).regs[0]);
    assert!(!thread.has_returned());
    send(badged, 0, &[0x1234]);
    assert!(thread.has_returned(), "a receiver of a higher priority did not run at once");
    assert_eq!(thread.join(), 0x1234);
}

fn words_in_registers_arrive(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    for count in 0..=4 {
        let thread = env.spawn(HIGH, move || {
            send(badged, 1, &[11, 22, 33, 44][..count]);
            0
        });
        let received = raw::recv(endpoint, reply);
        assert_eq!((received.info.length(), received.info.extra_caps()), (count, 0));
        assert_eq!(received.regs[..count], [11, 22, 33, 44][..count]);
        thread.join();
    }
}

fn words_in_the_buffer_arrive(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    sender(env, HIGH, badged, 1, &[1, 2, 3, 4, 5, 6, 7]);
    let received = raw::recv(endpoint, reply);
    assert_eq!(received.info.length(), 7);
    assert!((0..7).all(|i| received.word(i) == i as u64 + 1));
}

fn pattern(index: usize) -> u64 {
    0x0101_0101_0101_0101u64.wrapping_mul(index as u64 + 3)
}

fn a_message_of_full_length_arrives(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    env.spawn(HIGH, move || {
        let words: [u64; MSG_MAX_LENGTH] = core::array::from_fn(pattern);
        send(badged, 2, &words);
        0
    });
    let received = raw::recv(endpoint, reply);
    assert_eq!(received.info.length(), MSG_MAX_LENGTH);
    for index in 0..MSG_MAX_LENGTH {
        assert_eq!(received.word(index), pattern(index), "word {index}");
    }
}

fn a_message_that_is_too_long_is_cut(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    for length in [121, 127] {
        env.spawn(HIGH, move || {
            (4..MSG_MAX_LENGTH).for_each(|i| raw::set_message_word(i, pattern(i)));
            raw::send(badged, MessageInfo::new(3, 0, 0, length), [0; 4]);
            0
        });
        let received = raw::recv(endpoint, reply);
        assert_eq!(received.info.length(), MSG_MAX_LENGTH);
        assert_eq!(received.word(MSG_MAX_LENGTH - 1), pattern(MSG_MAX_LENGTH - 1));
    }
}

fn all_bits_of_the_label_arrive(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    for label in [0, 1, 0xa_5a5a_5a5a_5a5a, (1 << 52) - 1] {
        env.spawn(HIGH, move || {
            // What the sender claims to have unwrapped does not arrive.
            raw::send(badged, MessageInfo::new(label, 7, 0, 0), [0; 4]);
            0
        });
        let info = raw::recv(endpoint, reply).info;
        assert_eq!((info.label(), info.caps_unwrapped(), info.length()), (label, 0, 0));
    }
}

fn the_badge_of_the_sender_arrives(env: &Env) {
    let (endpoint, _, reply) = channel(env);
    for badge in [1, 0x8000_0000_0000_0001, u64::MAX] {
        let badged = env.mint(endpoint, badge);
        sender(env, HIGH, badged, 0, &[]);
        assert_eq!(raw::recv(endpoint, reply).badge, badge);
    }
    sender(env, HIGH, endpoint, 0, &[]);
    assert_eq!(raw::recv(endpoint, reply).badge, 0, "an unbadged capability");
}

fn senders_are_served_in_order(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    for word in 0..5 {
        env.spawn(HIGH, move || {
            send(badged, 0, &[word]);
            0
        });
    }
    let order: [u64; 5] = core::array::from_fn(|_| raw::recv(endpoint, reply).regs[0]);
    assert_eq!(order, [0, 1, 2, 3, 4]);
}

fn senders_are_served_by_priority(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    for (word, priority) in [(0, MIDDLE), (1, HIGH), (2, MIDDLE), (3, HIGH)] {
        env.spawn(priority, move || {
            send(badged, 0, &[word]);
            0
        });
    }
    let order: [u64; 4] = core::array::from_fn(|_| raw::recv(endpoint, reply).regs[0]);
    assert_eq!(order, [1, 3, 0, 2], "the highest priority comes first, in order within one");
}

fn receivers_are_served_in_order(env: &Env) {
    let (endpoint, badged, _) = channel(env);
    let threads: [Thread; 3] = core::array::from_fn(|_| {
        let reply = env.reply();
        env.spawn(HIGH, move || raw::recv(endpoint, reply).regs[0])
    });
    for word in [10, 20, 30] {
        send(badged, 0, &[word]);
    }
    assert_eq!(threads.map(Thread::join), [10, 20, 30]);
}

fn nb_send_without_a_receiver_is_dropped(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    nb_send(badged, 0, &[1]);
    assert_eq!(raw::nb_recv(endpoint, reply).badge, 0, "the message waited");
}

fn nb_send_to_a_receiver_arrives(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    let thread = env.spawn(HIGH, move || raw::recv(endpoint, reply).word(5));
    nb_send(badged, 0, &[0, 1, 2, 3, 4, 55]);
    assert_eq!(thread.join(), 55);
}

fn nb_recv_without_a_sender_returns(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    assert_eq!(raw::nb_recv(endpoint, reply).badge, 0);
    sender(env, HIGH, badged, 0, &[7]);
    let received = raw::nb_recv(endpoint, reply);
    assert_eq!((received.badge, received.regs[0]), (0xc0de, 7));
}

fn a_send_without_the_right_is_dropped(env: &Env) {
    let (endpoint, _, reply) = channel(env);
    let read_only = env.mint_with(endpoint, CapRights::NO_WRITE, 1);
    send(read_only, 0, &[1]);
    nb_send(read_only, 0, &[1]);
    assert_eq!(raw::nb_recv(endpoint, reply).badge, 0);
}

fn a_call_without_the_right_is_refused(env: &Env) {
    let (endpoint, _, reply) = channel(env);
    let read_only = env.mint_with(endpoint, CapRights::NO_WRITE, 1);
    let answer = call(read_only, 9, &[1]);
    assert_eq!(answer.info.label(), Kind::InvalidCapability.word());
    assert_eq!(answer.regs[0], 0, "the index of the capability");
    assert_eq!(raw::nb_recv(endpoint, reply).badge, 0);
}

fn a_receive_without_the_right_faults(env: &Env) {
    let (endpoint, _, reply) = channel(env);
    let (fault_ep, fault_reply) = (env.endpoint(), env.reply());
    let write_only = env.copy_with(endpoint, CapRights::NO_READ);
    env.spawn_faulting(HIGH, fault_ep, move || raw::recv(write_only, reply).badge);
    let fault = raw::nb_recv(fault_ep, fault_reply);
    assert_eq!((fault.info.label(), fault.regs[1], fault.regs[2]), (1, write_only, 1));
}

fn a_receive_without_a_reply_object_faults(env: &Env) {
    let (endpoint, ..) = channel(env);
    let (fault_ep, fault_reply, empty) = (env.endpoint(), env.reply(), env.slot());
    for not_a_reply in [endpoint, empty] {
        env.spawn_faulting(HIGH, fault_ep, move || raw::recv(endpoint, not_a_reply).badge);
        let fault = raw::nb_recv(fault_ep, fault_reply);
        assert_eq!((fault.info.label(), fault.regs[1], fault.regs[2]), (1, not_a_reply, 1));
    }
}

fn call_and_reply(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    let caller = env.spawn(HIGH, move || {
        let answer = call(badged, 4, &[20, 22]);
        assert_eq!((answer.info.label(), answer.info.length(), answer.badge), (6, 1, 0));
        answer.regs[0]
    });
    let request = raw::recv(endpoint, reply);
    assert_eq!((request.badge, request.info.label(), request.info.length()), (0xc0de, 4, 2));
    assert!(!caller.has_returned());
    answer(reply, 6, &[request.regs[0] + request.regs[1]]);
    assert_eq!(caller.join(), 42);
}

fn a_reply_carries_a_long_message(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    let caller = env.spawn(HIGH, move || {
        let answer = call(badged, 0, &[]);
        u64::from(answer.info.length() == 100 && (0..100).all(|i| answer.word(i) == pattern(i)))
    });
    raw::recv(endpoint, reply);
    let words: [u64; 100] = core::array::from_fn(pattern);
    answer(reply, 0, &words);
    assert_eq!(caller.join(), 1);
}

fn calls_nest(env: &Env) {
    let (outer, outer_badged, outer_reply) = channel(env);
    let (inner, inner_badged, inner_reply) = channel(env);
    env.spawn(HIGH, move || {
        let request = raw::recv(outer, outer_reply);
        let part = call(inner_badged, 0, &[request.regs[0] + 1]);
        answer(outer_reply, 0, &[part.regs[0] + 1]);
        0
    });
    env.spawn(HIGH, move || {
        let request = raw::recv(inner, inner_reply);
        answer(inner_reply, 0, &[request.regs[0] * 10]);
        0
    });
    assert_eq!(call(outer_badged, 0, &[4]).regs[0], 51);
}

fn a_call_without_grant_stops_the_caller(env: &Env) {
    let (endpoint, _, reply) = channel(env);
    let plain = env.mint_with(endpoint, CapRights::READ_WRITE, 3);
    let caller = env.spawn(HIGH, move || call(plain, 1, &[2]).regs[0]);
    let request = raw::recv(endpoint, reply);
    assert_eq!((request.badge, request.regs[0]), (3, 2), "the message itself arrives");
    answer(reply, 0, &[9]);
    assert!(!caller.has_returned(), "a call without a right to be answered was answered");
    // The same where the receiver is there first.
    let server = env.spawn(HIGH, move || {
        let request = raw::recv(endpoint, reply);
        answer(reply, 0, &[9]);
        request.regs[0]
    });
    let caller = env.spawn(HIGH, move || call(plain, 1, &[4]).regs[0]);
    assert_eq!(server.join(), 4, "the message itself arrives");
    assert!(!caller.has_returned(), "a call without a right to be answered was answered");
}

fn a_call_with_grant_reply_is_answered(env: &Env) {
    let (endpoint, _, reply) = channel(env);
    let rights = CapRights::WRITE.or(CapRights::GRANT_REPLY);
    let plain = env.mint_with(endpoint, rights, 3);
    let caller = env.spawn(HIGH, move || call(plain, 1, &[2]).regs[0]);
    raw::recv(endpoint, reply);
    answer(reply, 0, &[9]);
    assert_eq!(caller.join(), 9);
}

fn a_reply_object_answers_once(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    let caller = env.spawn(HIGH, move || {
        let first = call(badged, 0, &[]).regs[0];
        // Nobody answers this one.
        call(badged, 0, &[first]).regs[0]
    });
    raw::recv(endpoint, reply);
    answer(reply, 0, &[1]);
    answer(reply, 0, &[2]);
    assert!(!caller.has_returned());
    let second = raw::nb_recv(endpoint, reply);
    assert_eq!(second.regs[0], 1);
}

fn an_unused_reply_object_swallows_messages(env: &Env) {
    let reply = env.reply();
    let before = env.snapshot();
    answer(reply, 1, &[2]);
    nb_send(reply, 1, &[2]);
    before.same(env);
}

fn deleting_the_reply_object_leaves_the_caller_waiting(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    let caller = env.spawn(HIGH, move || call(badged, 0, &[]).regs[0]);
    raw::recv(endpoint, reply);
    delete(reply).expect("delete");
    assert!(!caller.has_returned(), "the caller got an answer that nobody gave");
}

fn reply_recv_answers_and_receives(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    env.spawn(LOW, move || {
        let mut request = raw::recv(endpoint, reply);
        loop {
            let sum = request.regs[0] + request.regs[1];
            let words = [sum, 0, 0, 0, 5];
            request = raw::reply_recv(endpoint, info(8, &[], &words), registers(&words), reply);
        }
    });
    for n in 0..5 {
        let answer = call(badged, 0, &[n, 100]);
        assert_eq!((answer.info.label(), answer.regs[0], answer.word(4)), (8, n + 100, 5));
    }
}

fn reply_recv_without_a_caller_receives(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    sender(env, HIGH, badged, 0, &[3]);
    let received = raw::reply_recv(endpoint, MessageInfo(0), [0; 4], reply);
    assert_eq!((received.badge, received.regs[0]), (0xc0de, 3));
}

fn nb_send_recv_sends_and_receives(env: &Env) {
    let (there, there_badged, there_reply) = channel(env);
    let (back, back_badged, back_reply) = channel(env);
    let echo = env.spawn(HIGH, move || {
        let got = raw::recv(there, there_reply);
        send(back_badged, 0, &[got.regs[0] + 1]);
        1
    });
    let got = raw::nb_send_recv(there_badged, info(0, &[], &[6]), registers(&[6]), back, back_reply);
    assert_eq!((got.badge, got.regs[0]), (0xc0de, 7));
    assert_eq!(echo.join(), 1);
}

fn nb_send_recv_without_a_receiver_receives(env: &Env) {
    let (there, there_badged, there_reply) = channel(env);
    let (back, back_badged, back_reply) = channel(env);
    sender(env, HIGH, back_badged, 0, &[9]);
    let got = raw::nb_send_recv(there_badged, MessageInfo(0), [0; 4], back, back_reply);
    assert_eq!(got.regs[0], 9);
    assert_eq!(raw::nb_recv(there, there_reply).badge, 0, "the message waited");
}

fn nb_send_wait_sends_and_waits(env: &Env) {
    let (there, there_badged, there_reply) = channel(env);
    let notification = env.notification();
    let badged = env.mint(notification, 0x40);
    let other = env.spawn(HIGH, move || {
        let got = raw::recv(there, there_reply).regs[0];
        signal(badged);
        got
    });
    let got = raw::nb_send_wait(there_badged, info(0, &[], &[6]), registers(&[6]), notification);
    assert_eq!(got.badge, 0x40);
    assert_eq!(other.join(), 6);
}

fn wait_takes_a_message_nobody_can_answer(env: &Env) {
    let (endpoint, badged, _) = channel(env);
    let thread = sender(env, HIGH, badged, 2, &[1]);
    let got = raw::wait(endpoint);
    assert_eq!((got.badge, got.info.label(), got.regs[0]), (0xc0de, 2, 1));
    assert_eq!(thread.join(), 1);
    sender(env, HIGH, badged, 3, &[1]);
    assert_eq!(raw::nb_wait(endpoint).info.label(), 3);
    assert_eq!(raw::nb_wait(endpoint).badge, 0);
}

fn a_call_that_is_waited_for_cannot_be_answered(env: &Env) {
    let (endpoint, badged, _) = channel(env);
    let caller = env.spawn(HIGH, move || call(badged, 2, &[1]).regs[0]);
    assert_eq!(raw::wait(endpoint).regs[0], 1);
    assert!(!caller.has_returned());
}

/// Receives with a slot of the root CNode as the receive slot; returns it with the message.
fn receive_cap(env: &Env, endpoint: CPtr, reply: CPtr) -> (CPtr, raw::Reply) {
    let slot = env.slot();
    raw::set_receive_slot(ROOT, slot, DEPTH.into());
    (slot, raw::recv(endpoint, reply))
}

/// Starts a thread that sends capabilities.
fn cap_sender<const N: usize>(env: &Env, dest: CPtr, caps: [CPtr; N]) -> Thread {
    env.spawn(HIGH, move || {
        raw::send(dest, info(0, &caps, &[7]), registers(&[7]));
        1
    })
}

fn a_capability_is_transferred(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    let notification = env.notification();
    let sent = env.mint(notification, 0x20);
    cap_sender(env, badged, [sent]);
    let (slot, received) = receive_cap(env, endpoint, reply);
    let info = received.info;
    assert_eq!((info.extra_caps(), info.caps_unwrapped(), info.length()), (1, 0, 1));
    signal(slot);
    assert_eq!(crate::env::poll(notification), 0x20);
    assert!(!is_empty(sent), "the sender lost its capability");
}

fn a_capability_arrives_in_the_slot_named(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    let (cnode, sent) = (env.cnode(3), env.notification());
    cap_sender(env, badged, [sent]);
    raw::set_receive_slot(cnode.cap, 5, 3);
    assert_eq!(raw::recv(endpoint, reply).info.extra_caps(), 1);
    let found: [u8; 8] = core::array::from_fn(|i| crate::snapshot::peek(cnode.cap, i as u64, 3, env.end_slot));
    assert!((0..8).all(|i| (found[i] != 0) == (i == 5)), "{found:?}");
}

fn a_transferred_capability_keeps_its_rights(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    let notification = env.notification();
    let read_only = env.mint_with(notification, CapRights::READ, 1);
    cap_sender(env, badged, [read_only]);
    let (slot, _) = receive_cap(env, endpoint, reply);
    signal(slot);
    assert_eq!(crate::env::poll(notification), 0, "a right was gained on the way");
}

/// Nothing must arrive, but the message itself does.
#[track_caller]
fn no_cap(slot: CPtr, received: raw::Reply) {
    assert_eq!((received.info.extra_caps(), received.info.length(), received.regs[0]), (0, 1, 7));
    assert!(slot == 0 || is_empty(slot), "a capability arrived");
}

fn a_capability_without_grant_stays(env: &Env) {
    let (endpoint, _, reply) = channel(env);
    let plain = env.mint_with(endpoint, CapRights::new(true, false, true, true), 1);
    let sent = env.notification();
    cap_sender(env, plain, [sent]);
    let (slot, received) = receive_cap(env, endpoint, reply);
    no_cap(slot, received);
}

fn a_capability_for_a_used_slot_stays(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    let (sent, used) = (env.notification(), env.tcb());
    raw::set_receive_slot(ROOT, used, DEPTH.into());
    cap_sender(env, badged, [sent]);
    no_cap(0, raw::recv(endpoint, reply));
    assert_eq!(raw::debug_cap_identify(used), raw::debug_cap_identify(env.tcb()), "the slot was overwritten");
}

fn a_capability_without_a_slot_stays(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    let sent = env.notification();
    for (root, index, depth) in [(endpoint, 1, 64), (ROOT, 1 << 20, 64), (ROOT, 1, 0), (ROOT, 1, 65), (0, 0, 0)] {
        raw::set_receive_slot(root, index, depth);
        cap_sender(env, badged, [sent]);
        no_cap(0, raw::recv(endpoint, reply));
    }
}

fn only_the_first_capability_is_transferred(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    let (one, two, three) = (env.notification(), env.endpoint(), env.tcb());
    cap_sender(env, badged, [one, two, three]);
    let (slot, received) = receive_cap(env, endpoint, reply);
    assert_eq!((received.info.extra_caps(), received.info.caps_unwrapped()), (1, 0));
    assert_eq!(raw::debug_cap_identify(slot), raw::debug_cap_identify(one));
}

fn capabilities_to_the_endpoint_are_unwrapped(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    let (a, b) = (env.mint(endpoint, 0xaaa), env.mint(endpoint, 0xbbb));
    cap_sender(env, badged, [a, b, endpoint]);
    let (slot, received) = receive_cap(env, endpoint, reply);
    assert_eq!((received.info.extra_caps(), received.info.caps_unwrapped()), (3, 0b111));
    let badges: [u64; 3] = core::array::from_fn(raw::unwrapped_badge);
    assert_eq!(badges, [0xaaa, 0xbbb, 0]);
    assert!(is_empty(slot), "an unwrapped capability was transferred, too");
}

fn unwrapped_and_transferred_capabilities_mix(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    let (own, other) = (env.mint(endpoint, 0xaaa), env.notification());
    cap_sender(env, badged, [own, other, own]);
    let (slot, received) = receive_cap(env, endpoint, reply);
    assert_eq!((received.info.extra_caps(), received.info.caps_unwrapped()), (3, 0b101));
    assert_eq!((raw::unwrapped_badge(0), raw::unwrapped_badge(2)), (0xaaa, 0xaaa));
    assert_eq!(raw::debug_cap_identify(slot), raw::debug_cap_identify(other));
}

fn a_capability_that_does_not_exist_faults(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    let (fault_ep, fault_reply) = (env.endpoint(), env.reply());
    let nowhere = 1 << 40;
    env.spawn_faulting(HIGH, fault_ep, move || {
        raw::send(badged, info(0, &[nowhere], &[]), [0; 4]);
        0
    });
    let fault = raw::nb_recv(fault_ep, fault_reply);
    // While sending, at the address of the extra capability, which the guard of the CSpace does not match.
    assert_eq!((fault.info.label(), fault.regs[1], fault.regs[2], fault.regs[3]), (1, nowhere, 0, 4));
    assert_eq!(raw::nb_recv(endpoint, reply).badge, 0, "the message was sent all the same");
}

fn a_null_capability_is_not_transferred(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    let empty = env.slot();
    cap_sender(env, badged, [empty]);
    let (slot, received) = receive_cap(env, endpoint, reply);
    assert_eq!((received.info.length(), received.regs[0]), (1, 7));
    assert!(is_empty(slot));
}

fn a_capability_that_cannot_be_derived_stays(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    let (untyped, child) = (env.child_untyped(12), env.slot());
    inv::untyped_retype(untyped, ObjectType::Endpoint.word(), 0, ROOT, 0, 0, child, 1).expect("retype");
    cap_sender(env, badged, [untyped]);
    let (slot, received) = receive_cap(env, endpoint, reply);
    no_cap(slot, received);
}

fn transfer_by_reply(env: &Env, reply_rights: CapRights) -> (CPtr, u64) {
    let (endpoint, badged, reply) = channel(env);
    let answering = env.copy_with(reply, reply_rights);
    let (slot, sent) = (env.slot(), env.notification());
    let caller = env.spawn(HIGH, move || {
        raw::set_receive_slot(ROOT, slot, DEPTH.into());
        let answer = call(badged, 0, &[]);
        assert_eq!(answer.regs[0], 7);
        answer.info.extra_caps() as u64
    });
    raw::recv(endpoint, reply);
    raw::send(answering, info(0, &[sent], &[7]), registers(&[7]));
    (slot, caller.join())
}

fn a_reply_transfers_a_capability(env: &Env) {
    let (slot, caps) = transfer_by_reply(env, CapRights::ALL);
    assert_eq!(caps, 1);
    assert!(!is_empty(slot));
}

fn a_reply_without_grant_transfers_none(env: &Env) {
    let (slot, caps) = transfer_by_reply(env, CapRights::READ_WRITE);
    assert_eq!(caps, 0);
    assert!(is_empty(slot), "the reply capability had no right to grant");
}

fn a_sender_without_a_buffer_sends_four_words(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    let thread = env.thread(HIGH);
    inv::tcb_set_ipc_buffer(thread.tcb, 0, 0).expect("take the IPC buffer away");
    thread.start(move || {
        raw::send(badged, MessageInfo::new(2, 0, 0, 60), [1, 2, 3, 4]);
        0
    });
    let received = raw::recv(endpoint, reply);
    assert_eq!((received.info.length(), received.regs), (4, [1, 2, 3, 4]));
}

fn a_thread_can_call_itself_to_no_end(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    // It waits for itself; everybody else goes on.
    let thread = env.spawn(HIGH, move || call(badged, 1, &[]).badge);
    assert!(!thread.has_returned());
    inv::tcb_suspend(thread.tcb).expect("suspend");
    assert_eq!(raw::nb_recv(endpoint, reply).badge, 0);
}

fn deleting_an_endpoint_wakes_its_senders(env: &Env) {
    let (endpoint, badged, _) = channel(env);
    let (fault_ep, fault_reply) = (env.endpoint(), env.reply());
    let fault_badged = env.mint(fault_ep, 5);
    let thread = env.spawn_faulting(HIGH, fault_badged, move || {
        send(badged, 1, &[]);
        4
    });
    crate::env::revoke(endpoint).expect("revoke");
    assert!(!thread.has_returned(), "the badged capability is gone, but the endpoint is not");
    delete(endpoint).expect("delete");
    // It sends again, through an empty slot, which is not an error that a send reports.
    assert_eq!(thread.join(), 4);
    assert_eq!(raw::nb_recv(fault_ep, fault_reply).badge, 0);
}

fn deleting_an_endpoint_wakes_its_receivers(env: &Env) {
    let (endpoint, _, reply) = channel(env);
    let (fault_ep, fault_reply) = (env.endpoint(), env.reply());
    let fault_badged = env.mint(fault_ep, 5);
    env.spawn_faulting(HIGH, fault_badged, move || raw::recv(endpoint, reply).badge);
    crate::env::revoke(endpoint).expect("revoke");
    delete(endpoint).expect("delete");
    // It receives again, and there is no endpoint there.
    let fault = raw::nb_recv(fault_ep, fault_reply);
    assert_eq!((fault.badge, fault.info.label(), fault.regs[1], fault.regs[2]), (5, 1, endpoint, 1));
}
