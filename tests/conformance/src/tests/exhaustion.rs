//! Budgets that end in the middle of every operation: a thread with a tiny budget does each of them many times, with pauses
//! of all lengths between them. Each must be done exactly once, whether the thread waits for its next period or a handler
//! of its timeout gives it more.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pecan::{
    CNodeCapData, UserContext,
    raw::{self, invocations as inv},
};
use pecan_abi::{CPtr, CapRights, MessageInfo, ObjectType, boot::slot, fault::FaultTag};

use crate::{
    Env,
    env::{
        DEPTH, HIGH, Mapped, MIDDLE, ROOT, WINDOW, answer, call, delete, info, is_empty, nb_send, poll, registers,
        revoke, sched_control, send, signal,
    },
    machine,
    thread::{Spaces, Thread},
};

tests! {
    in_messages;
    in_signals;
    in_faults;
    in_operations_on_slots: CNodeCopy / NoError, CNodeMint / NoError, CNodeMove / NoError, CNodeMutate / NoError,
        CNodeRotate / NoError, CNodeDelete / NoError, CNodeRevoke / NoError, CNodeCancelBadgedSends / NoError,
        UntypedRetype / NoError;
    in_operations_on_threads: TcbReadRegisters / NoError, TcbWriteRegisters / NoError, TcbCopyRegisters / NoError,
        TcbConfigure / NoError, TcbSetSchedParams / NoError, TcbSuspend / NoError, TcbResume / NoError,
        TcbBindNotification / NoError, TcbUnbindNotification / NoError;
    in_operations_on_time: SchedControlConfigureFlags / NoError, SchedContextBind / NoError,
        SchedContextUnbind / NoError, SchedContextUnbindObject / NoError, SchedContextConsumed / NoError,
        SchedContextYieldTo / NoError;
    in_operations_on_memory: PageMap / NoError, PageUnmap / NoError, PageTableMap / NoError,
        PageTableUnmap / NoError, AsidPoolAssign / NoError, AsidControlMakePool / NoError;
    in_operations_on_devices: X86IrqIssueIrqHandlerMsi / NoError, IrqSetIrqHandler / NoError, IrqAckIrq / NoError,
        IrqClearIrqHandler / NoError, X86IoPortControlIssue / NoError, X86IoPortIn8 / NoError, X86IoPortOut8 / NoError;
    in_long_operations: CNodeDelete / NoError, CNodeRevoke / NoError, UntypedRetype / NoError;
}

/// How often each operation is done.
const TIMES: u64 = 200;
/// Budget and period of the thread that does it, in microseconds. What the kernel itself may need is kept back of a budget,
/// 20 us, so that it ends after 5 us in system calls.
const BUDGET: u64 = 25;
const PERIOD: u64 = 50;
/// The period where a handler gives the thread more.
const LONG: u64 = 10_000;

/// What operations work on; all of it is made anew for each.
#[derive(Clone, Copy)]
struct Things {
    endpoint: CPtr,
    reply: CPtr,
    back: CPtr,
    back_reply: CPtr,
    notification: CPtr,
    /// Has badge 1.
    badged: CPtr,
    /// Slots that are empty before and after each operation.
    slots: [CPtr; 3],
    untyped: CPtr,
    cnode: CPtr,
    tcb: CPtr,
    /// Waits for ever.
    idle: Thread,
    sc: CPtr,
    frame: CPtr,
    table: CPtr,
}

/// What a thread beside the one with the budget has counted.
static COUNT: AtomicU64 = AtomicU64::new(0);
/// How often a budget has ended.
static ENDS: AtomicU64 = AtomicU64::new(0);

/// An operation.
struct Operation {
    name: &'static str,
    /// What a thread of a higher priority does meanwhile, for ever.
    partner: Option<fn(&Things)>,
    /// Does it once, and panics if it has not been done exactly once. Is given its number.
    once: fn(&Things, u64),
    /// How often the partner counts for each.
    counts: u64,
    /// The thread's faults go to the partner, at `back`.
    faults: bool,
    /// The partner has no time of its own.
    is_passive: bool,
    /// The kernel does it without a look at the time.
    is_untimed: bool,
}

const fn alone(name: &'static str, once: fn(&Things, u64)) -> Operation {
    Operation { name, partner: None, once, counts: 0, faults: false, is_passive: false, is_untimed: false }
}

const fn with(name: &'static str, partner: fn(&Things), once: fn(&Things, u64)) -> Operation {
    Operation { name, partner: Some(partner), once, counts: 1, faults: false, is_passive: false, is_untimed: false }
}

const fn faulting(name: &'static str, partner: fn(&Things), once: fn(&Things, u64)) -> Operation {
    Operation { faults: true, ..with(name, partner, once) }
}

const fn untimed(name: &'static str, once: fn(&Things, u64)) -> Operation {
    Operation { is_untimed: true, ..alone(name, once) }
}

fn count() {
    COUNT.fetch_add(1, Relaxed);
}

impl Things {
    #[track_caller]
    fn new(env: &Env) -> Self {
        let (notification, idle, never) = (env.notification(), env.thread(HIGH), env.notification());
        idle.start(move || raw::wait(never).badge);
        env.map_tables(slot::INIT_THREAD_VSPACE, WINDOW);
        Things {
            endpoint: env.endpoint(),
            reply: env.reply(),
            back: env.endpoint(),
            back_reply: env.reply(),
            notification,
            badged: env.mint(notification, 1),
            slots: [(); 3].map(|()| env.slot()),
            untyped: env.child_untyped(12),
            cnode: env.cnode(4).cap,
            tcb: env.tcb(),
            idle,
            sc: env.sched_context(1_000, 1_000),
            frame: env.frame(),
            table: env.object(ObjectType::PageTable),
        }
    }
}

/// Executes about so many instructions.
fn pause(instructions: u64) {
    for _ in 0..instructions / 4 {
        core::hint::spin_loop();
    }
}

#[track_caller]
fn configure(sc: CPtr, period: u64) {
    inv::sched_control_configure_flags(sched_control(), sc, BUDGET, period, 0, 0, 0).expect("configure");
}

/// Does an operation many times, with budgets that end; `handled`: there is a handler that gives more.
fn run(env: &Env, operation: &'static Operation, handled: bool) {
    COUNT.store(0, Relaxed);
    ENDS.store(0, Relaxed);
    let things = Things::new(env);
    if let Some(partner) = operation.partner {
        let partner = env.spawn(HIGH, move || {
            partner(&things);
            0
        });
        if operation.is_passive {
            inv::sched_context_unbind(partner.sc).expect("unbind");
        }
    }
    let sc = env.empty_sched_context();
    configure(sc, if handled { LONG } else { PERIOD });
    let mut spaces = Spaces::own();
    if operation.faults {
        spaces.fault_ep = things.back;
    }
    let thread = env.thread_with(MIDDLE, sc, spaces);
    inv::tcb_set_mc_priority(thread.tcb, AUTHORITY, HIGH).expect("set MCP");
    if handled {
        let (endpoint, reply) = (env.endpoint(), env.reply());
        inv::tcb_set_timeout_endpoint(thread.tcb, endpoint).expect("set the timeout endpoint");
        env.spawn(HIGH + 1, move || {
            let mut fault = raw::recv(endpoint, reply);
            loop {
                assert_eq!(fault.info.label(), FaultTag::Timeout.word());
                ENDS.fetch_add(1, Relaxed);
                configure(sc, LONG);
                fault = raw::reply_recv(endpoint, MessageInfo(0), [0; 4], reply);
            }
        });
    }
    thread.start(move || {
        for number in 0..TIMES {
            // All remainders of a large number, in an order that hardly repeats.
            pause(number * 1_009 % 4_093);
            (operation.once)(&things, number);
        }
        1
    });
    let ends = ends(thread, handled);
    // Between two short calls of a passive server nobody looks at the time, nor between two signals that nobody waits for: it
    // ends with the timer's interrupt, and where the thread has no handler, it waits for the next period.
    let least = if operation.is_passive || operation.is_untimed { 5 } else { TIMES / 20 };
    assert!(ends >= least, "{}: the budget has ended {ends} times only", operation.name);
    assert_eq!(COUNT.load(Relaxed), operation.counts * TIMES, "{}: what the partner has counted", operation.name);
}

/// Waits for a thread to return; how often its budget has ended. Without a handler we run whenever it has.
fn ends(thread: Thread, handled: bool) -> u64 {
    let (mut gaps, mut last) = (0, machine::tsc());
    while !thread.has_returned() {
        // Somebody else has run, and for longer than the kernel does.
        let now = machine::tsc();
        gaps += u64::from(now - last >= machine::ticks(3));
        last = now;
    }
    if handled { ENDS.load(Relaxed) } else { gaps }
}

fn all(env: &Env, operations: &'static [Operation]) {
    let both = operations.iter().flat_map(|operation| [(operation, false), (operation, true)]);
    env.rounds(both, |env, (operation, handled)| {
        crate::runner::note(&operation.name);
        run(env, operation, handled);
    });
}

/// Receives messages with the numbers from 0 on.
fn receives_in_order(things: &Things) {
    for number in 0.. {
        assert_eq!(raw::recv(things.endpoint, things.reply).regs[0], number, "a message was lost or came twice");
        count();
    }
}

/// Sends messages with the numbers from 0 on.
fn sends_in_order(things: &Things) {
    for number in 0.. {
        send(things.endpoint, 0, &[number]);
        count();
    }
}

/// Answers calls with the next number; what is called must come in order.
fn serves_in_order(things: &Things) {
    let mut request = raw::recv(things.endpoint, things.reply);
    for number in 0.. {
        assert_eq!(request.regs[0], number, "a call was lost or came twice");
        count();
        let words = [number + 1, 0, 0, 0, 0, 5];
        request = raw::reply_recv(things.endpoint, info(0, &[], &words), registers(&words), things.reply);
    }
}

fn calls_in_order(things: &Things) {
    for number in 0.. {
        let answer = call(things.endpoint, 0, &[number, 0, 0, 0, 0, 7]);
        assert_eq!((answer.regs[0], answer.word(5)), (number + 1, 9), "a wrong answer");
        count();
    }
}

fn echoes(things: &Things) {
    let mut got = raw::recv(things.endpoint, things.reply);
    for number in 0.. {
        assert_eq!(got.regs[0], number, "a message was lost or came twice");
        count();
        let words = [number + 1];
        got = raw::nb_send_recv(things.back, info(0, &[], &words), registers(&words), things.endpoint, things.reply);
    }
}

fn in_messages(env: &Env) {
    all(env, MESSAGES);
}

const MESSAGES: &[Operation] = &[
    with("send", receives_in_order, |t, n| send(t.endpoint, 0, &[n])),
    with("send of many words", receives_in_order, |t, n| send(t.endpoint, 0, &[n, 1, 2, 3, 4, 5, 6, 7, 8, 9])),
    with("polling send", receives_in_order, |t, n| nb_send(t.endpoint, 0, &[n])),
    with(
        "send of a capability",
        |t| {
            for number in 0.. {
                raw::set_receive_slot(ROOT, t.slots[0], DEPTH.into());
                let got = raw::recv(t.endpoint, t.reply);
                assert_eq!((got.regs[0], got.info.extra_caps()), (number, 1));
                delete(t.slots[0]).expect("delete");
                count();
            }
        },
        |t, n| raw::send(t.endpoint, info(0, &[t.tcb], &[n]), registers(&[n])),
    ),
    with("call", serves_in_order, |t, n| {
        let answer = call(t.endpoint, 0, &[n]);
        assert_eq!((answer.regs[0], answer.word(5)), (n + 1, 5));
    }),
    with("call of many words", serves_in_order, |t, n| {
        assert_eq!(call(t.endpoint, 0, &[n, 1, 2, 3, 4, 5, 6, 7]).word(5), 5);
    }),
    Operation {
        is_passive: true,
        ..with("call of a passive server", serves_in_order, |t, n| {
            assert_eq!(call(t.endpoint, 0, &[n]).regs[0], n + 1);
        })
    },
    with("receive", sends_in_order, |t, n| assert_eq!(raw::recv(t.endpoint, t.reply).regs[0], n)),
    with("polling receive", sends_in_order, |t, n| assert_eq!(raw::nb_recv(t.endpoint, t.reply).regs[0], n)),
    with("wait for a message", sends_in_order, |t, n| assert_eq!(raw::wait(t.endpoint).regs[0], n)),
    with("answer", calls_in_order, |t, n| {
        let request = raw::recv(t.endpoint, t.reply);
        assert_eq!((request.regs[0], request.word(5)), (n, 7));
        answer(t.reply, 0, &[n + 1, 0, 0, 0, 0, 9]);
    }),
    with("answer and receive", calls_in_order, |t, n| {
        let words = [n, 0, 0, 0, 0, 9];
        let request = match n {
            0 => raw::recv(t.endpoint, t.reply),
            _ => raw::reply_recv(t.endpoint, info(0, &[], &words), registers(&words), t.reply),
        };
        assert_eq!((request.regs[0], request.word(5)), (n, 7));
        if n + 1 == TIMES {
            answer(t.reply, 0, &[n + 1, 0, 0, 0, 0, 9]);
        }
    }),
    with("send and receive", echoes, |t, n| {
        let got = raw::nb_send_recv(t.endpoint, info(0, &[], &[n]), registers(&[n]), t.back, t.back_reply);
        assert_eq!(got.regs[0], n + 1);
    }),
    with("send and wait", echoes, |t, n| {
        let got = raw::nb_send_wait(t.endpoint, info(0, &[], &[n]), registers(&[n]), t.back);
        assert_eq!(got.regs[0], n + 1);
    }),
];

fn in_signals(env: &Env) {
    all(env, SIGNALS);
}

const SIGNALS: &[Operation] = &[
    with(
        "signal",
        |t| {
            loop {
                assert_eq!(raw::wait(t.notification).badge, 1);
                count();
            }
        },
        |t, _| signal(t.badged),
    ),
    untimed("wait", |t, _| {
        signal(t.badged);
        assert_eq!(raw::wait(t.notification).badge, 1, "a signal was lost");
        assert_eq!(poll(t.notification), 0, "a signal came twice");
    }),
    untimed("poll", |t, _| {
        signal(t.badged);
        assert_eq!([poll(t.notification), poll(t.notification)], [1, 0]);
    }),
    with(
        "wait that blocks",
        |t| {
            loop {
                raw::recv(t.endpoint, t.reply);
                count();
                signal(t.badged);
            }
        },
        |t, _| {
            nb_send(t.endpoint, 0, &[]);
            assert_eq!(raw::wait(t.notification).badge, 1);
        },
    ),
    // It gives up the whole budget: now and then only, so that some end by themselves.
    alone("yield", |t, n| if n % 16 == 0 { raw::yield_now() } else { signal(t.badged) }),
];

/// Handles faults of this kind: the thread goes on behind an instruction of so many bytes.
fn skips(things: &Things, tag: FaultTag, ip: usize, bytes: u64) {
    let mut fault = raw::recv(things.back, things.back_reply);
    loop {
        assert_eq!(fault.info.label(), tag.word(), "another fault");
        count();
        let length = fault.info.length();
        let mut words: [u64; 20] = core::array::from_fn(|index| fault.word(index));
        words[ip] += bytes;
        let words = &words[..length.min(18)];
        fault = raw::reply_recv(things.back, info(0, &[], words), registers(words), things.back_reply);
    }
}

fn in_faults(env: &Env) {
    all(env, FAULTS);
}

const FAULTS: &[Operation] = &[
    faulting(
        "undefined instruction",
        |t| skips(t, FaultTag::UserException, 0, 2),
        |_, n| {
            let after: u64;
            // SAFETY: faults, and goes on behind it.
            unsafe { core::arch::asm!("ud2", "lea {0}, [{1} + 1]", out(reg) after, in(reg) n) };
            assert_eq!(after, n + 1);
        },
    ),
    faulting(
        "unknown system call",
        |t| skips(t, FaultTag::UnknownSyscall, pecan_abi::fault::unknown_syscall::FAULT_IP, 2),
        |_, _| {
            raw::any_syscall(-100, 0, MessageInfo(0), [0; 4], 0, 0);
        },
    ),
    faulting(
        "page fault",
        |t| {
            let mut fault = raw::recv(t.back, t.back_reply);
            loop {
                assert_eq!((fault.info.label(), fault.regs[1]), (FaultTag::VMFault.word(), WINDOW));
                count();
                inv::page_map(t.frame, slot::INIT_THREAD_VSPACE, WINDOW, CapRights::READ_WRITE, 0).expect("map");
                fault = raw::reply_recv(t.back, MessageInfo(0), [0; 4], t.back_reply);
            }
        },
        |t, n| {
            assert_eq!(Mapped(WINDOW).read(0), n);
            Mapped(WINDOW).write(0, n + 1);
            inv::page_unmap(t.frame).expect("unmap");
        },
    ),
    faulting(
        "capability fault",
        |t| {
            let mut fault = raw::recv(t.back, t.back_reply);
            loop {
                assert_eq!((fault.info.label(), fault.regs[1]), (FaultTag::CapFault.word(), t.slots[0]));
                count();
                crate::env::copy(t.slots[0], t.notification, CapRights::ALL).expect("copy");
                fault = raw::reply_recv(t.back, MessageInfo(0), [0; 4], t.back_reply);
            }
        },
        |t, _| {
            signal(t.badged);
            assert_eq!(raw::wait(t.slots[0]).badge, 1);
            delete(t.slots[0]).expect("delete");
        },
    ),
];

fn in_operations_on_slots(env: &Env) {
    all(env, SLOTS);
}

/// What is in the three slots, as far as that there is something.
#[track_caller]
fn used(things: &Things, expected: [bool; 3]) {
    assert_eq!(things.slots.map(|slot| !is_empty(slot)), expected);
}

#[track_caller]
fn remove(slot: CPtr) {
    delete(slot).expect("delete");
    assert!(is_empty(slot));
}

const SLOTS: &[Operation] = &[
    alone("copy and delete", |t, _| {
        crate::env::copy(t.slots[0], t.endpoint, CapRights::ALL).expect("copy");
        used(t, [true, false, false]);
        remove(t.slots[0]);
    }),
    alone("mint", |t, n| {
        let [minted, ..] = t.slots;
        inv::cnode_mint(ROOT, minted, DEPTH, ROOT, t.notification, DEPTH, CapRights::ALL, n + 1).expect("mint");
        signal(minted);
        assert_eq!(poll(t.notification), n + 1);
        remove(minted);
    }),
    alone("move there and back", |t, _| {
        let [to, ..] = t.slots;
        inv::cnode_move(ROOT, to, DEPTH, ROOT, t.frame, DEPTH).expect("move");
        assert!(is_empty(t.frame) && !is_empty(to));
        inv::cnode_move(ROOT, t.frame, DEPTH, ROOT, to, DEPTH).expect("move back");
        assert!(is_empty(to));
    }),
    alone("mutate there and back", |t, _| {
        let [to, ..] = t.slots;
        inv::cnode_mutate(ROOT, to, DEPTH, ROOT, t.cnode, DEPTH, CNodeCapData::new(1, 2).0).expect("mutate");
        inv::cnode_mutate(ROOT, t.cnode, DEPTH, ROOT, to, DEPTH, CNodeCapData::new(0, 0).0).expect("mutate back");
        assert!(is_empty(to));
    }),
    alone("rotate there and back", |t, _| {
        let [to, ..] = t.slots;
        let kinds = || [t.frame, t.tcb, to].map(raw::debug_cap_identify);
        let [frame, tcb, _] = kinds();
        inv::cnode_rotate(ROOT, to, DEPTH, 0, ROOT, t.frame, DEPTH, 0, ROOT, t.tcb, DEPTH).expect("rotate");
        assert_eq!(kinds(), [tcb, 0, frame]);
        inv::cnode_rotate(ROOT, t.tcb, DEPTH, 0, ROOT, t.frame, DEPTH, 0, ROOT, to, DEPTH).expect("rotate back");
        assert_eq!(kinds(), [frame, tcb, 0]);
    }),
    alone("revoke", |t, _| {
        for slot in t.slots {
            crate::env::copy(slot, t.endpoint, CapRights::ALL).expect("copy");
        }
        revoke(t.endpoint).expect("revoke");
        used(t, [false; 3]);
    }),
    alone("retype and delete", |t, _| {
        let [first, ..] = t.slots;
        inv::untyped_retype(t.untyped, ObjectType::Tcb.word(), 0, ROOT, 0, 0, first, 1).expect("retype");
        remove(first);
    }),
    alone("retype of several and revoke", |t, _| {
        inv::untyped_retype(t.untyped, ObjectType::CNode.word(), 3, t.cnode, 0, 0, 2, 8).expect("retype");
        revoke(t.untyped).expect("revoke");
        assert_eq!(inv::untyped_retype(t.untyped, ObjectType::Untyped.word(), 12, ROOT, 0, 0, t.slots[0], 1), Ok(()));
        remove(t.slots[0]);
    }),
    with(
        "cancel badged sends",
        |t| {
            loop {
                raw::recv(t.back, t.back_reply);
                count();
                // Cancelled, it finds nothing to send to.
                send(t.slots[0], 0, &[]);
            }
        },
        |t, _| {
            let [badged, aside, ..] = t.slots;
            inv::cnode_mint(ROOT, badged, DEPTH, ROOT, t.endpoint, DEPTH, CapRights::ALL, 9).expect("mint");
            nb_send(t.back, 0, &[]);
            inv::cnode_move(ROOT, aside, DEPTH, ROOT, badged, DEPTH).expect("move");
            inv::cnode_cancel_badged_sends(ROOT, aside, DEPTH).expect("cancel");
            remove(aside);
        },
    ),
];

fn in_operations_on_threads(env: &Env) {
    all(env, THREADS);
}

const WORDS: u64 = UserContext::WORDS as u64;
const AUTHORITY: CPtr = slot::INIT_THREAD_TCB;

const THREADS: &[Operation] = &[
    alone("write and read registers", |t, n| {
        let written = UserContext { rip: n, rsp: n + 1, rflags: 0x202, r15: n + 2, ..UserContext::default() };
        inv::tcb_write_registers(t.tcb, false, 0, WORDS, &written).expect("write registers");
        assert_eq!(inv::tcb_read_registers(t.tcb, false, 0, WORDS), Ok(written));
    }),
    alone("copy registers", |t, _| {
        inv::tcb_copy_registers(t.tcb, t.idle.tcb, false, false, true, true, 0).expect("copy registers");
        let [from, to] = [t.idle.tcb, t.tcb].map(|tcb| inv::tcb_read_registers(tcb, false, 0, WORDS).expect("read"));
        assert_eq!((from.rip, from.rsp), (to.rip, to.rsp));
    }),
    alone("configure", |t, _| {
        let buffer = 0x10_0000;
        inv::tcb_configure(t.tcb, ROOT, 0, slot::INIT_THREAD_VSPACE, 0, buffer, t.frame).expect("configure");
        inv::tcb_set_ipc_buffer(t.tcb, 0, 0).expect("set the IPC buffer");
        inv::tcb_set_space(t.tcb, t.endpoint, t.cnode, 0, slot::INIT_THREAD_VSPACE, 0).expect("set space");
        // What it holds are copies: they go with the originals.
        revoke(t.cnode).expect("revoke");
    }),
    alone("priorities", |t, n| {
        inv::tcb_set_priority(t.tcb, AUTHORITY, n).expect("set priority");
        inv::tcb_set_mc_priority(t.tcb, AUTHORITY, n).expect("set MCP");
        let range = Err(pecan::Error::RangeError { min: 0, max: n });
        assert_eq!(inv::tcb_set_priority(t.tcb, t.tcb, n + 1), range);
    }),
    alone("scheduling parameters", |t, n| {
        inv::tcb_set_sched_params(t.tcb, AUTHORITY, n, n, t.sc, t.endpoint).expect("set scheduling parameters");
        assert!(inv::sched_context_bind(t.sc, t.idle.tcb).is_err(), "it was not bound");
        inv::tcb_set_sched_params(t.tcb, AUTHORITY, n, n, 0, 0).expect("take them back");
    }),
    alone("suspend and resume", |t, _| {
        inv::tcb_suspend(t.idle.tcb).expect("suspend");
        inv::tcb_resume(t.idle.tcb).expect("resume");
    }),
    alone("bind and unbind a notification", |t, _| {
        inv::tcb_bind_notification(t.tcb, t.notification).expect("bind");
        assert!(inv::tcb_bind_notification(t.tcb, t.notification).is_err());
        inv::tcb_unbind_notification(t.tcb).expect("unbind");
    }),
    alone("TLS base, flags, timeout endpoint, domain", |t, n| {
        inv::tcb_set_tls_base(t.tcb, n).expect("set TLS base");
        assert_eq!(inv::tcb_read_registers(t.tcb, false, 0, WORDS).expect("read").fs_base, n);
        assert_eq!(inv::tcb_set_flags(t.tcb, n & 1 ^ 1, n & 1), Ok(n & 1));
        inv::tcb_set_timeout_endpoint(t.tcb, t.endpoint).expect("set the timeout endpoint");
        inv::domain_set_set(slot::DOMAIN, (n & 1) as u8, t.tcb).expect("set the domain");
    }),
];

fn in_operations_on_time(env: &Env) {
    all(env, TIME);
}

const TIME: &[Operation] = &[
    alone("configure", |t, n| {
        inv::sched_control_configure_flags(sched_control(), t.sc, 1_000 + n, 2_000, 0, n, n & 1).expect("configure");
    }),
    alone("bind and unbind", |t, _| {
        inv::sched_context_bind(t.sc, t.tcb).expect("bind");
        inv::sched_context_unbind(t.sc).expect("unbind");
        inv::sched_context_bind(t.sc, t.notification).expect("bind");
        inv::sched_context_unbind_object(t.sc, t.notification).expect("unbind");
    }),
    alone("consumed", |t, _| assert_eq!(inv::sched_context_consumed(t.sc), Ok(0))),
    alone("yield to", |t, _| {
        inv::sched_context_yield_to(t.idle.sc).expect("yield to");
    }),
    alone("unbind and bind what another waits with", |t, _| {
        inv::sched_context_unbind(t.idle.sc).expect("unbind");
        inv::sched_context_bind(t.idle.sc, t.idle.tcb).expect("bind");
    }),
];

fn in_operations_on_memory(env: &Env) {
    all(env, MEMORY);
}

/// Where operations map structures.
const AT: u64 = WINDOW + (1 << 21);

const MEMORY: &[Operation] = &[
    alone("map and unmap a page", |t, n| {
        inv::page_map(t.frame, slot::INIT_THREAD_VSPACE, WINDOW, CapRights::READ_WRITE, 0).expect("map");
        assert_eq!(Mapped(WINDOW).read(0), n);
        Mapped(WINDOW).write(0, n + 1);
        inv::page_unmap(t.frame).expect("unmap");
    }),
    alone("map and unmap a table", |t, _| {
        inv::page_table_map(t.table, slot::INIT_THREAD_VSPACE, AT, 0).expect("map");
        inv::page_map(t.frame, slot::INIT_THREAD_VSPACE, AT, CapRights::READ_WRITE, 0).expect("map");
        inv::page_table_unmap(t.table).expect("unmap");
        inv::page_unmap(t.frame).expect("unmap");
    }),
    alone("the address of a page", |t, _| {
        assert_eq!(inv::page_get_address(t.frame), inv::page_get_address(t.frame));
    }),
    alone("make an address space and delete it", |t, _| {
        let [vspace, ..] = t.slots;
        inv::untyped_retype(t.untyped, ObjectType::VSPACE.word(), 0, ROOT, 0, 0, vspace, 1).expect("retype");
        inv::asid_pool_assign(slot::INIT_THREAD_ASID_POOL, vspace).expect("assign");
        remove(vspace);
    }),
    alone("make an ASID pool and delete it", |t, _| {
        let [pool, ..] = t.slots;
        inv::asid_control_make_pool(slot::ASID_CONTROL, t.untyped, ROOT, pool, DEPTH).expect("make pool");
        remove(pool);
    }),
];

fn in_operations_on_devices(env: &Env) {
    all(env, DEVICES);
}

const DEVICES: &[Operation] = &[
    alone("get an interrupt and delete it", |t, _| {
        let [handler, ..] = t.slots;
        inv::irq_control_get_msi(slot::IRQ_CONTROL, ROOT, handler, DEPTH, 0, 0, 0, 0, 88).expect("get MSI");
        inv::irq_handler_set_notification(handler, t.badged).expect("set notification");
        inv::irq_handler_ack(handler).expect("ack");
        inv::irq_handler_clear(handler).expect("clear");
        remove(handler);
    }),
    alone("get I/O ports, use and delete them", |t, n| {
        let ([ports, ..], scratch) = (t.slots, 0x3ff);
        inv::io_port_control_issue(slot::IO_PORT_CONTROL, 0x3f8, scratch, ROOT, ports, DEPTH).expect("issue");
        inv::io_port_out8(ports, scratch, n & 0xff).expect("out");
        assert_eq!(inv::io_port_in8(ports, scratch as u16).map(u64::from), Ok(n & 0xff));
        remove(ports);
    }),
];

/// Starts a long operation in a thread with a small budget; returns in how many pieces it was done.
fn in_pieces(env: &Env, handled: bool, operation: impl FnOnce() + Send + 'static) -> u64 {
    ENDS.store(0, Relaxed);
    let (sc, endpoint, reply) = (env.empty_sched_context(), env.endpoint(), env.reply());
    configure(sc, if handled { LONG } else { PERIOD });
    let thread = env.thread_with(MIDDLE, sc, Spaces::own());
    if handled {
        inv::tcb_set_timeout_endpoint(thread.tcb, endpoint).expect("set the timeout endpoint");
        env.spawn(HIGH, move || {
            raw::recv(endpoint, reply);
            loop {
                ENDS.fetch_add(1, Relaxed);
                configure(sc, LONG);
                raw::reply_recv(endpoint, MessageInfo(0), [0; 4], reply);
            }
        });
    }
    thread.start(move || {
        operation();
        1
    });
    ends(thread, handled)
}

fn in_long_operations(env: &Env) {
    const RADIX: u8 = 10;
    env.rounds([false, true], |env, handled| {
        let (endpoint, cnode, untyped) = (env.endpoint(), env.retype_cnode(RADIX.into()), env.child_untyped(21));
        let fill = || {
            for index in 0..1 << RADIX {
                inv::cnode_copy(cnode, index, RADIX, ROOT, endpoint, DEPTH, CapRights::ALL).expect("copy");
            }
        };
        fill();
        let pieces = in_pieces(env, handled, move || revoke(endpoint).expect("revoke"));
        assert!(pieces > 1, "a long revoke was done in {pieces} pieces");
        let left = (0..1 << RADIX).filter(|index| crate::snapshot::peek(cnode, *index, RADIX, env.end_slot) != 0);
        assert_eq!((left.count(), is_empty(endpoint)), (0, false));
        fill();
        let pieces = in_pieces(env, handled, move || delete(cnode).expect("delete"));
        assert!(pieces > 1 && is_empty(cnode), "a long deletion was done in {pieces} pieces");
        // Memory that has been in use is zeroed.
        let page = env.slot();
        let make = move || {
            inv::untyped_retype(untyped, ObjectType::LargePage.word(), 0, ROOT, 0, 0, page, 1).expect("retype");
        };
        make();
        delete(page).expect("delete");
        let pieces = in_pieces(env, handled, make);
        assert!(pieces > 1 && !is_empty(page), "a long retype was done in {pieces} pieces");
    });
}
