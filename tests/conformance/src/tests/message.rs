//! The shape of messages: every length by every way, threads without an IPC buffer, and messages whose capabilities cannot
//! be found.

use pecan::raw::{self, invocations as inv};
use pecan_abi::{
    CPtr, CapRights, Error as Kind, Label, LookupFailureKind, MessageInfo, UserContext,
    fault::{FaultTag, unknown_syscall, user_exception},
    ipc::{MESSAGE_REGISTERS, MSG_MAX_LENGTH},
};

use crate::{
    Env,
    env::{DEPTH, HIGH, LOW, MIDDLE, ROOT, answer, call, info, invoke_as, is_empty, nb_send, registers, send},
    start::{Memory, image_frame},
    thread::Thread,
};

tests! {
    sends_of_every_length;
    sends_of_every_length_that_wait;
    polling_sends_of_every_length;
    calls_and_answers_of_every_length;
    calls_of_every_length_that_wait;
    combined_answers_of_every_length;
    combined_sends_and_receives_of_every_length;
    combined_sends_and_waits_of_every_length;
    buffers_of_both_sides_decide_what_arrives;
    answers_need_buffers_on_both_sides;
    invocations_without_a_buffer: CNodeCopy / TruncatedMessage, TcbWriteRegisters / TruncatedMessage;
    answers_of_the_kernel_without_a_buffer: TcbReadRegisters / NoError;
    faults_to_a_handler_without_a_buffer;
    an_answer_to_a_fault_without_a_buffer_is_cut;
    an_answer_to_a_fault_may_be_too_long;
    an_answer_to_a_fault_carries_no_capabilities;
    a_bad_capability_in_each_place_stops_a_send;
    a_bad_capability_in_each_place_stops_a_call;
    a_bad_capability_stops_an_invocation: CNodeCopy / NoError;
    a_bad_capability_drops_a_polling_send;
    a_bad_capability_drops_an_answer;
    a_bad_capability_in_a_combined_call_drops_its_send;
    capabilities_without_a_buffer_are_not_looked_at;
    a_capability_that_vanishes_ends_the_transfer;
    a_cspace_that_vanishes_ends_the_transfer;
}

/// What a receiver's buffer holds before a message.
const CANARY: u64 = 0xca11_ab1e_ca11_ab1e;
/// Lengths that a message can claim.
const LENGTHS: core::ops::Range<usize> = 0..128;

fn pattern(length: usize, index: usize) -> u64 {
    0x0101_0101_0101_0101u64.wrapping_mul(index as u64 + 3) ^ (length as u64) << 56
}

/// Puts a message of this length in place, and words behind its end that must not be sent.
fn fill(length: usize) -> (MessageInfo, raw::Registers) {
    (MESSAGE_REGISTERS..MSG_MAX_LENGTH).for_each(|i| raw::set_message_word(i, pattern(length, i)));
    let registers = core::array::from_fn(|i| pattern(length, i));
    (MessageInfo::new(length as u64 + 1, 0, 0, length as u64), registers)
}

/// Makes the buffer ready for a message.
fn prepare() {
    (0..MSG_MAX_LENGTH).for_each(|i| raw::set_message_word(i, CANARY));
}

/// A message of this length, of which `most` words can arrive, has arrived, and nothing else.
#[track_caller]
fn check_cut(received: &raw::Reply, length: usize, most: usize) {
    let got = length.min(most);
    assert_eq!((received.info.label(), received.info.length()), (length as u64 + 1, got), "label, length");
    assert_eq!((received.info.extra_caps(), received.info.caps_unwrapped()), (0, 0));
    for index in 0..got {
        assert_eq!(received.word(index), pattern(length, index), "word {index} of {length}");
    }
    for index in got.max(MESSAGE_REGISTERS)..MSG_MAX_LENGTH {
        assert_eq!(raw::message_word(index), CANARY, "word {index} behind a message of {length}");
    }
    for index in got..MESSAGE_REGISTERS {
        assert_ne!(received.regs[index], pattern(length, index), "register {index} behind a message of {length}");
    }
}

#[track_caller]
fn check(received: &raw::Reply, length: usize) {
    check_cut(received, length, MSG_MAX_LENGTH);
}

/// Starts a thread that receives messages of every length.
fn receiver(env: &Env, priority: u64, endpoint: CPtr, reply: CPtr) -> Thread {
    env.spawn(priority, move || {
        for length in LENGTHS {
            prepare();
            check(&raw::recv(endpoint, reply), length);
        }
        1
    })
}

/// Starts a thread that sends messages of every length.
fn sender(env: &Env, priority: u64, endpoint: CPtr, how: fn(CPtr, MessageInfo, raw::Registers)) -> Thread {
    env.spawn(priority, move || {
        for length in LENGTHS {
            let (info, registers) = fill(length);
            how(endpoint, info, registers);
        }
        2
    })
}

fn sends_of_every_length(env: &Env) {
    let (endpoint, reply) = (env.endpoint(), env.reply());
    let threads = [receiver(env, HIGH, endpoint, reply), sender(env, MIDDLE, endpoint, raw::send)];
    assert_eq!(threads.map(Thread::join), [1, 2]);
}

fn sends_of_every_length_that_wait(env: &Env) {
    let (endpoint, reply) = (env.endpoint(), env.reply());
    let threads = [sender(env, HIGH, endpoint, raw::send), receiver(env, LOW, endpoint, reply)];
    assert_eq!(threads.map(Thread::join), [2, 1]);
}

fn polling_sends_of_every_length(env: &Env) {
    let (endpoint, reply) = (env.endpoint(), env.reply());
    let threads = [receiver(env, HIGH, endpoint, reply), sender(env, MIDDLE, endpoint, raw::nb_send)];
    assert_eq!(threads.map(Thread::join), [1, 2]);
}

/// The length of the answer to a message: all are, in another order.
fn answer_length(length: usize) -> usize {
    LENGTHS.end - 1 - length
}

/// Starts a thread that calls with messages of every length, and gets answers of every length.
fn caller(env: &Env, priority: u64, endpoint: CPtr) -> Thread {
    env.spawn(priority, move || {
        for length in LENGTHS {
            prepare();
            let (info, registers) = fill(length);
            // What is behind the message is what must be there when the answer has come.
            (MESSAGE_REGISTERS.max(length)..MSG_MAX_LENGTH).for_each(|i| raw::set_message_word(i, CANARY));
            let answer = raw::call(endpoint, info, registers);
            let expected = answer_length(length);
            assert_eq!(answer.info.length(), expected.min(MSG_MAX_LENGTH), "the answer to {length}");
            for index in 0..expected.min(MSG_MAX_LENGTH) {
                assert_eq!(answer.word(index), pattern(expected, index), "word {index} of {expected}");
            }
        }
        3
    })
}

/// Starts a thread that answers them.
fn server(env: &Env, priority: u64, endpoint: CPtr, reply: CPtr) -> Thread {
    env.spawn(priority, move || {
        for length in LENGTHS {
            prepare();
            let request = raw::recv(endpoint, reply);
            check_words(&request, length);
            let (info, registers) = fill(answer_length(length));
            raw::send(reply, info, registers);
        }
        4
    })
}

#[track_caller]
fn check_words(received: &raw::Reply, length: usize) {
    let got = length.min(MSG_MAX_LENGTH);
    assert_eq!((received.info.label(), received.info.length()), (length as u64 + 1, got), "label, length");
    for index in 0..got {
        assert_eq!(received.word(index), pattern(length, index), "word {index} of {length}");
    }
}

fn calls_and_answers_of_every_length(env: &Env) {
    let (endpoint, reply) = (env.endpoint(), env.reply());
    let threads = [server(env, HIGH, endpoint, reply), caller(env, MIDDLE, endpoint)];
    assert_eq!(threads.map(Thread::join), [4, 3]);
}

fn calls_of_every_length_that_wait(env: &Env) {
    let (endpoint, reply) = (env.endpoint(), env.reply());
    let threads = [caller(env, HIGH, endpoint), server(env, LOW, endpoint, reply)];
    assert_eq!(threads.map(Thread::join), [3, 4]);
}

fn combined_answers_of_every_length(env: &Env) {
    let (endpoint, reply) = (env.endpoint(), env.reply());
    env.spawn(HIGH, move || {
        let mut request = raw::recv(endpoint, reply);
        for length in LENGTHS {
            check_words(&request, length);
            let (info, registers) = fill(answer_length(length));
            request = raw::reply_recv(endpoint, info, registers, reply);
        }
        4
    });
    assert_eq!(caller(env, MIDDLE, endpoint).join(), 3);
}

fn combined_sends_and_receives_of_every_length(env: &Env) {
    let [there, back] = [(); 2].map(|()| (env.endpoint(), env.reply()));
    let echo = env.spawn(HIGH, move || {
        let mut got = raw::recv(there.0, there.1);
        for length in LENGTHS {
            check_words(&got, length);
            let (info, registers) = fill(answer_length(length));
            if length + 1 == LENGTHS.end {
                raw::nb_send(back.0, info, registers);
            } else {
                got = raw::nb_send_recv(back.0, info, registers, there.0, there.1);
            }
        }
        5
    });
    for length in LENGTHS {
        let (info, registers) = fill(length);
        let got = raw::nb_send_recv(there.0, info, registers, back.0, back.1);
        check_words(&got, answer_length(length));
    }
    assert_eq!(echo.join(), 5);
}

fn combined_sends_and_waits_of_every_length(env: &Env) {
    let (there, back) = (env.endpoint(), env.endpoint());
    let echo = env.spawn(HIGH, move || {
        let mut got = raw::wait(there);
        for length in LENGTHS {
            check_words(&got, length);
            let (info, registers) = fill(answer_length(length));
            if length + 1 == LENGTHS.end {
                raw::nb_send(back, info, registers);
            } else {
                got = raw::nb_send_wait(back, info, registers, there);
            }
        }
        5
    });
    for length in LENGTHS {
        let (info, registers) = fill(length);
        check_words(&raw::nb_send_wait(there, info, registers, back), answer_length(length));
    }
    assert_eq!(echo.join(), 5);
}

/// The IPC buffer that a thread has, as far as the kernel knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Buffer {
    None,
    ReadOnly,
    Whole,
}

const BUFFERS: [Buffer; 3] = [Buffer::None, Buffer::ReadOnly, Buffer::Whole];

impl Buffer {
    /// Gives it to a thread. The thread can go on using the memory.
    #[track_caller]
    fn give(self, env: &Env, thread: Thread) {
        let address = Memory::of(thread.index).ipc_buffer();
        match self {
            Buffer::None => inv::tcb_set_ipc_buffer(thread.tcb, 0, 0),
            Buffer::ReadOnly => {
                let frame = env.copy_with(image_frame(address), CapRights::READ);
                inv::tcb_set_ipc_buffer(thread.tcb, address, frame)
            }
            Buffer::Whole => Ok(()),
        }
        .expect("set the IPC buffer");
    }

    /// Words of a message that one with this buffer sends to one with that.
    fn most(self, to: Buffer) -> usize {
        if self != Buffer::None && to == Buffer::Whole { MSG_MAX_LENGTH } else { MESSAGE_REGISTERS }
    }
}

/// Lengths around those at which something changes.
const SOME_LENGTHS: [usize; 8] = [0, 1, 3, 4, 5, 60, 120, 127];

fn buffers_of_both_sides_decide_what_arrives(env: &Env) {
    let pairs = BUFFERS.iter().flat_map(|from| BUFFERS.iter().map(move |to| (*from, *to)));
    env.rounds(pairs, |env, (from, to)| {
        let (endpoint, reply) = (env.endpoint(), env.reply());
        let (receiver, sender) = (env.thread(MIDDLE), env.thread(HIGH));
        to.give(env, receiver);
        from.give(env, sender);
        receiver.start(move || {
            for length in SOME_LENGTHS {
                prepare();
                check_cut(&raw::recv(endpoint, reply), length, from.most(to));
            }
            1
        });
        sender.start(move || {
            for length in SOME_LENGTHS {
                let (info, registers) = fill(length);
                raw::send(endpoint, info, registers);
            }
            2
        });
        assert_eq!((receiver.join(), sender.join()), (1, 2));
    });
}

fn answers_need_buffers_on_both_sides(env: &Env) {
    let pairs = BUFFERS.iter().flat_map(|from| BUFFERS.iter().map(move |to| (*from, *to)));
    env.rounds(pairs, |env, (from, to)| {
        let (endpoint, reply) = (env.endpoint(), env.reply());
        let (server, caller) = (env.thread(HIGH), env.thread(MIDDLE));
        from.give(env, server);
        to.give(env, caller);
        server.start(move || {
            raw::recv(endpoint, reply);
            for length in SOME_LENGTHS {
                let (info, registers) = fill(length);
                raw::reply_recv(endpoint, info, registers, reply);
            }
            1
        });
        caller.start(move || {
            for length in SOME_LENGTHS {
                prepare();
                check_cut(&raw::call(endpoint, MessageInfo(0), [0; 4]), length, from.most(to));
            }
            2
        });
        assert_eq!(caller.join(), 2);
    });
}

/// Runs a function in a thread without an IPC buffer; returns what it returns.
#[track_caller]
fn without_buffer<F: FnOnce() -> u64 + Send + 'static>(env: &Env, function: F) -> u64 {
    let thread = env.thread(HIGH);
    Buffer::None.give(env, thread);
    thread.start(function);
    assert!(thread.has_returned(), "a thread without an IPC buffer is blocked");
    thread.join()
}

fn invocations_without_a_buffer(env: &Env) {
    let (dest, source, tcb) = (env.slot(), env.endpoint(), env.tcb());
    let registers = || inv::tcb_read_registers(tcb, false, 0, 20).expect("read registers");
    let before = registers();
    let truncated = Some(Kind::TruncatedMessage);
    let all = move || {
        let refused = |done: pecan::Result<raw::Reply>| done.err().and_then(|error| error.kind()) == truncated;
        let words = [dest, DEPTH.into(), source, DEPTH.into(), 15];
        // Neither its fifth word nor its capability is there.
        let copies = refused(invoke_as(ROOT, Label::CNodeCopy, &[ROOT], &words));
        // The words would do, the capability is not there.
        let sets = refused(invoke_as(tcb, Label::TcbSetPriority, &[tcb], &[1]));
        let writes = refused(invoke_as(tcb, Label::TcbWriteRegisters, &[], &[0, 3, 1, 2, 3]));
        // Four words are enough to write two registers.
        let writes_two = invoke_as(tcb, Label::TcbSetTlsBase, &[], &[0, 0, 0, 0]).is_ok();
        u64::from(copies && sets && writes && writes_two)
    };
    assert_eq!(without_buffer(env, all), 1);
    assert!(is_empty(dest));
    assert_eq!(registers(), before);
}

fn answers_of_the_kernel_without_a_buffer(env: &Env) {
    let tcb = env.tcb();
    let registers = UserContext { rip: 11, rsp: 22, rflags: 0x202, rax: 44, rbx: 55, ..UserContext::default() };
    inv::tcb_write_registers(tcb, false, 0, 20, &registers).expect("write registers");
    let read = move || {
        prepare();
        let answer = invoke_as(tcb, Label::TcbReadRegisters, &[], &[0, 20]).expect("read registers");
        assert_eq!(answer.regs, [11, 22, 0x202, 44]);
        assert!((4..20).all(|index| raw::message_word(index) == CANARY));
        answer.info.length() as u64
    };
    assert_eq!(without_buffer(env, read), 4, "the length of an answer of which four words have a place");
}

/// A thread that does this, and the message of its fault, as far as a handler without an IPC buffer gets it.
fn fault_without_buffer(env: &Env, function: impl FnOnce() -> u64 + Send + 'static) -> (u64, usize) {
    let (endpoint, reply) = (env.endpoint(), env.reply());
    let handler = env.thread(HIGH);
    Buffer::None.give(env, handler);
    handler.start(move || {
        prepare();
        let fault = raw::recv(endpoint, reply);
        assert!((4..MSG_MAX_LENGTH).all(|index| raw::message_word(index) == CANARY));
        fault.info.label() << 32 | fault.info.length() as u64
    });
    let thread = env.spawn_faulting(HIGH, endpoint, function);
    assert!(!thread.has_returned());
    let result = handler.join();
    (result >> 32, result as u32 as usize)
}

fn unknown_call() -> u64 {
    raw::any_syscall(-100, 0, MessageInfo(0), [0; 4], 0, 0);
    0
}

fn undefined() -> u64 {
    // SAFETY: faults, and is started elsewhere or not at all.
    unsafe { core::arch::asm!("ud2") };
    0
}

fn faults_to_a_handler_without_a_buffer(env: &Env) {
    assert_eq!(fault_without_buffer(env, unknown_call), (FaultTag::UnknownSyscall.word(), 4));
    assert_eq!(fault_without_buffer(env, undefined), (FaultTag::UserException.word(), 4));
    let outside = 1 << 40;
    let sends = move || {
        send(outside, 0, &[]);
        0
    };
    assert_eq!(fault_without_buffer(env, sends), (FaultTag::CapFault.word(), 4));
}

fn an_answer_to_a_fault_without_a_buffer_is_cut(env: &Env) {
    let (endpoint, reply) = (env.endpoint(), env.reply());
    let handler = env.thread(HIGH);
    Buffer::None.give(env, handler);
    handler.start(move || {
        raw::recv(endpoint, reply);
        let (_, registers) = fill(0);
        // With a label, so that it stays stopped.
        raw::send(reply, MessageInfo::new(1, 0, 0, unknown_syscall::LENGTH as u64), registers);
        1
    });
    let thread = env.spawn_faulting(HIGH, endpoint, unknown_call);
    assert_eq!(handler.join(), 1);
    let words: [u64; 4] = core::array::from_fn(|index| pattern(0, index));
    let after = thread.read();
    assert_eq!([after.rax, after.rbx, after.rcx, after.rdx], words);
    assert!((4..unknown_syscall::LENGTH).all(|i| !after.to_words().contains(&pattern(0, i))));
}

fn an_answer_to_a_fault_may_be_too_long(env: &Env) {
    let (endpoint, reply) = (env.endpoint(), env.reply());
    for length in [user_exception::LENGTH, MSG_MAX_LENGTH, 127] {
        let thread = env.spawn_faulting(HIGH, endpoint, undefined);
        raw::recv(endpoint, reply);
        let goes_on = thread.registers(|| 5);
        (4..MSG_MAX_LENGTH).for_each(|i| raw::set_message_word(i, CANARY));
        let registers = [goes_on.rip, goes_on.rsp, goes_on.rflags, CANARY];
        raw::send(reply, MessageInfo::new(1, 0, 0, length as u64), registers);
        let after = thread.read();
        assert_eq!((after.rip, after.rsp), (goes_on.rip, goes_on.rsp));
        assert!(!after.to_words().contains(&CANARY), "a word that means nothing became a register");
        inv::tcb_suspend(thread.tcb).expect("suspend");
        env.reuse(thread);
    }
}

fn an_answer_to_a_fault_carries_no_capabilities(env: &Env) {
    let (endpoint, reply, slot, sent) = (env.endpoint(), env.reply(), env.slot(), env.notification());
    let thread = env.spawn_faulting(HIGH, endpoint, move || {
        raw::set_receive_slot(ROOT, slot, DEPTH.into());
        undefined()
    });
    raw::recv(endpoint, reply);
    raw::send(reply, info(1, &[sent], &[]), [0; 4]);
    assert!(is_empty(slot) && !thread.has_returned());
}

/// An address that the guard of the root CNode does not match.
const OUTSIDE: u64 = 1 << 40;

/// The three places of a bad capability among good ones, and what stands before and behind it.
fn places(good: CPtr) -> [[CPtr; 3]; 3] {
    [[OUTSIDE, good, good], [good, OUTSIDE, good], [good, good, OUTSIDE]]
}

/// A fault of a thread whose extra capability cannot be found.
#[track_caller]
fn has_faulted(endpoint: CPtr, reply: CPtr) {
    let fault = raw::nb_recv(endpoint, reply);
    assert_eq!(fault.info.label(), FaultTag::CapFault.word(), "no capability fault");
    assert_eq!(fault.regs[1..], [OUTSIDE, 0, LookupFailureKind::GuardMismatch.word()]);
}

/// Sends, or whatever it is, with a bad capability in each place. Each time the thread must fault, and nothing arrive.
fn each_place_faults(env: &Env, how: fn(CPtr, MessageInfo)) {
    let (endpoint, reply, good) = (env.endpoint(), env.reply(), env.notification());
    let badged = env.mint(endpoint, 1);
    let (fault_ep, fault_reply) = (env.endpoint(), env.reply());
    for caps in places(good) {
        let thread = env.spawn_faulting(HIGH, fault_ep, move || {
            how(badged, info(0, &caps, &[]));
            0
        });
        has_faulted(fault_ep, fault_reply);
        assert_eq!(raw::nb_recv(endpoint, reply).badge, 0, "the message was sent all the same");
        assert!(!thread.has_returned());
        inv::tcb_suspend(thread.tcb).expect("suspend");
        env.reuse(thread);
    }
}

fn a_bad_capability_in_each_place_stops_a_send(env: &Env) {
    each_place_faults(env, |endpoint, info| raw::send(endpoint, info, [0; 4]));
}

fn a_bad_capability_in_each_place_stops_a_call(env: &Env) {
    each_place_faults(env, |endpoint, info| _ = raw::call(endpoint, info, [0; 4]));
}

fn a_bad_capability_stops_an_invocation(env: &Env) {
    let (fault_ep, fault_reply, source, dest) = (env.endpoint(), env.reply(), env.endpoint(), env.slot());
    let (depth, later) = (u64::from(DEPTH), env.slot());
    let thread = env.spawn_faulting(HIGH, fault_ep, move || {
        // The second capability means nothing to this invocation, but has to be there.
        u64::from(invoke_as(ROOT, Label::CNodeCopy, &[ROOT, OUTSIDE], &[dest, depth, source, depth, 15]).is_ok())
    });
    has_faulted(fault_ep, fault_reply);
    assert!(is_empty(dest));
    // An empty slot will do.
    inv::tcb_suspend(thread.tcb).expect("suspend");
    thread.start(move || {
        u64::from(invoke_as(ROOT, Label::CNodeCopy, &[ROOT, later], &[dest, depth, source, depth, 15]).is_ok())
    });
    assert_eq!(thread.join(), 1);
    assert!(!is_empty(dest));
}

fn a_bad_capability_drops_a_polling_send(env: &Env) {
    let (endpoint, reply, good) = (env.endpoint(), env.reply(), env.notification());
    let receiver = env.spawn(HIGH, move || raw::recv(endpoint, reply).regs[0]);
    for caps in places(good) {
        raw::nb_send(endpoint, info(0, &caps, &[1]), [1; 4]);
        assert!(!receiver.has_returned(), "a message arrived whose capabilities cannot be found");
    }
    nb_send(endpoint, 0, &[7]);
    assert_eq!(receiver.join(), 7);
}

fn a_bad_capability_drops_an_answer(env: &Env) {
    let (endpoint, reply, good) = (env.endpoint(), env.reply(), env.notification());
    let (fault_ep, fault_reply) = (env.endpoint(), env.reply());
    let caller = env.spawn(HIGH, move || call(endpoint, 0, &[]).regs[0]);
    raw::recv(endpoint, reply);
    for caps in places(good) {
        let thread = env.spawn_faulting(HIGH, fault_ep, move || {
            raw::send(reply, info(0, &caps, &[3]), [3; 4]);
            0
        });
        has_faulted(fault_ep, fault_reply);
        inv::tcb_suspend(thread.tcb).expect("suspend");
        env.reuse(thread);
    }
    assert!(!caller.has_returned());
    answer(reply, 0, &[4]);
    assert_eq!(caller.join(), 4);
}

fn a_bad_capability_in_a_combined_call_drops_its_send(env: &Env) {
    let (there, back, reply, good) = (env.endpoint(), env.endpoint(), env.reply(), env.notification());
    let other = env.reply();
    let receiver = env.spawn(HIGH, move || raw::recv(there, other).regs[0]);
    let badged = env.mint(back, 5);
    for caps in places(good) {
        for with_reply in [true, false] {
            let sender = env.spawn(HIGH, move || {
                send(badged, 0, &[9]);
                1
            });
            let message = info(0, &caps, &[1]);
            let got = if with_reply {
                raw::nb_send_recv(there, message, [1; 4], back, reply)
            } else {
                raw::nb_send_wait(there, message, [1; 4], back)
            };
            assert_eq!((got.badge, got.regs[0]), (5, 9), "the second half was not done");
            assert!(!receiver.has_returned(), "the first half was done");
            assert_eq!(sender.join(), 1);
            env.reuse(sender);
        }
    }
    // An answer that cannot be sent leaves the caller without one; its reply object is used for the next.
    let caller = env.spawn(HIGH, move || call(back, 0, &[]).regs[0]);
    raw::recv(back, reply);
    let sender = env.spawn(HIGH, move || {
        send(badged, 0, &[9]);
        1
    });
    let got = raw::reply_recv(back, info(0, &[OUTSIDE], &[1]), [1; 4], reply);
    assert_eq!((got.badge, got.regs[0], sender.join()), (5, 9, 1));
    assert!(!caller.has_returned());
}

fn capabilities_without_a_buffer_are_not_looked_at(env: &Env) {
    let (endpoint, reply) = (env.endpoint(), env.reply());
    let slot = env.slot();
    raw::set_receive_slot(ROOT, slot, DEPTH.into());
    for count in 1..=3 {
        let thread = env.thread(HIGH);
        Buffer::None.give(env, thread);
        thread.start(move || {
            (0..3).for_each(|index| raw::set_cap(index, OUTSIDE));
            raw::send(endpoint, MessageInfo::new(2, 0, count, 2), [1, 2, 3, 4]);
            1
        });
        let received = raw::recv(endpoint, reply);
        assert_eq!((received.info.extra_caps(), received.info.length(), received.regs[1]), (0, 2, 2));
        assert_eq!(thread.join(), 1);
        env.reuse(thread);
    }
    // Nor does one arrive at a receiver without a buffer, as itself or as a badge.
    for sent in [env.notification(), env.mint(endpoint, 8)] {
        let receiver = env.thread(HIGH);
        Buffer::None.give(env, receiver);
        receiver.start(move || {
            raw::set_receive_slot(ROOT, slot, DEPTH.into());
            let info = raw::recv(endpoint, reply).info;
            (info.extra_caps() as u64) << 8 | info.caps_unwrapped() as u64
        });
        raw::send(endpoint, info(0, &[sent], &[]), [0; 4]);
        assert_eq!(receiver.join(), 0);
        env.reuse(receiver);
    }
    assert!(is_empty(slot));
}

fn a_capability_that_vanishes_ends_the_transfer(env: &Env) {
    let (endpoint, reply, slot) = (env.endpoint(), env.reply(), env.slot());
    let (own, other) = (env.mint(endpoint, 4), env.notification());
    let thread = env.spawn(HIGH, move || {
        raw::send(endpoint, info(0, &[own, other, own], &[7]), registers(&[7]));
        1
    });
    // Blocked, it loses the second.
    crate::env::delete(other).expect("delete");
    raw::set_receive_slot(ROOT, slot, DEPTH.into());
    let received = raw::recv(endpoint, reply);
    assert_eq!((received.info.extra_caps(), received.info.caps_unwrapped(), received.regs[0]), (1, 1, 7));
    assert_eq!((raw::unwrapped_badge(0), thread.join()), (4, 1));
    assert!(is_empty(slot));
}

fn a_cspace_that_vanishes_ends_the_transfer(env: &Env) {
    let (endpoint, reply, slot, small) = (env.endpoint(), env.reply(), env.slot(), env.cnode(2));
    let (own, other) = (env.mint(endpoint, 4), env.notification());
    let thread = env.spawn(HIGH, move || {
        raw::send(endpoint, info(0, &[own, other], &[7]), registers(&[7]));
        1
    });
    // In its new CSpace the addresses mean nothing: what has been found when it sent does not count.
    let (guard, vspace) = (pecan::CNodeCapData::new(1, 62).0, pecan_abi::boot::slot::INIT_THREAD_VSPACE);
    inv::tcb_set_space(thread.tcb, 0, small.cap, guard, vspace, 0).expect("set space");
    raw::set_receive_slot(ROOT, slot, DEPTH.into());
    let received = raw::recv(endpoint, reply);
    assert_eq!((received.info.extra_caps(), received.info.length(), received.regs[0]), (0, 1, 7));
    assert!(is_empty(slot));
}
