//! The random threads: they choose calls, make them, and learn from how they end.
//!
//! This runs in address spaces in which the program's code and constants are mapped and nothing else of it: no
//! variable of the program may be used here, only what is in [`crate::shared`].

use core::{
    arch::asm,
    sync::atomic::{
        AtomicU64,
        Ordering::{Relaxed, SeqCst},
    },
};

use pecan::raw;
use pecan_abi::{MessageInfo, Syscall, ipc::IpcBuffer};

use crate::{
    learn,
    plan::{self, Call, Plan, View},
    rng::Rng,
    shared::{self, Area, FAULTED, KINDS, LOST, RING, UNANSWERED, count, shared},
    slots::{self, Entry, Kind, Place},
    wild,
};

/// Kinds of calls that are not invocations: the system calls by number, then these.
const UNKNOWN_CALL: usize = 12;
const SET_TLS_BASE: usize = 13;
const WILD: usize = 14;
const READ: usize = 15;
const WRITE: usize = 16;

/// The names of kinds of calls.
pub const KIND_NAMES: [&str; KINDS] = [
    "",
    "Call",
    "ReplyRecv",
    "NBSendRecv",
    "NBSendWait",
    "Send",
    "NBSend",
    "Recv",
    "NBRecv",
    "Wait",
    "NBWait",
    "Yield",
    "unknown",
    "SetTLSBase",
    "wild",
    "read",
    "write",
    "jump",
    "",
    "",
    "",
    "",
    "",
    "",
];

/// Which CNode each random thread calls its CSpace.
pub const TABLE_OF: [usize; shared::GENERATORS] = [0, 0, 1, 2];

/// Where a random thread begins, and begins again after each time that it was stopped.
pub extern "C" fn run(index: usize) -> ! {
    let area = shared::area(index);
    let words = shared::words(index);
    let view = View { table: TABLE_OF[index % TABLE_OF.len()], base: 0 };
    if words.in_flight.swap(0, Relaxed) != 0 {
        // SAFETY: the thread's own area, which is mapped; nobody else touches the plan.
        let plan = unsafe { (&raw const (*area).plan).read() };
        record(&plan, if words.fault.load(Relaxed) != 0 { FAULTED } else { LOST });
        let missing = words.missing.load(Relaxed) as usize;
        // A capability fault: there is nothing of use where a capability was thought to be.
        if words.fault.swap(0, Relaxed) == pecan_abi::fault::FaultTag::CapFault as u64 + 1
            && (1..shared::SLOTS).contains(&missing)
            && slots::get(view.table, missing) != Entry::EMPTY
        {
            slots::set(view.table, missing, Entry::UNKNOWN);
        }
    }
    loop {
        let mut rng = Rng(words.rng.load(Relaxed));
        step(&mut rng, area, &words, view, index);
        words.rng.store(rng.0, Relaxed);
    }
}

fn record(plan: &Plan, outcome: usize) {
    let shared = shared();
    match shared.outcomes.get(plan.invocation as usize) {
        Some(outcomes) => count(&outcomes[outcome.min(LOST)]),
        None => count(&shared.kinds[plan.kind as usize % KINDS][usize::from(outcome != 0)]),
    }
}

/// One random thing.
fn step(rng: &mut Rng, area: *mut Area, words: &shared::Words, view: View, index: usize) {
    let choice = rng.below(100);
    if words.owes.load(Relaxed) != 0 && rng.percent(80) {
        return answer(rng, area, words, view, index);
    }
    match choice {
        0..66 => {
            if let Some((call, plan)) = plan::invocation(rng, view) {
                perform(rng, area, words, index, &call, &plan);
            }
        }
        66..88 => message(rng, area, words, view, index),
        88..92 => {
            let call = wild::wild(rng, view);
            perform(rng, area, words, index, &call, &Plan::other(WILD as u8));
        }
        92..94 => {
            let number = wild::number(rng);
            let set_tls = number == Syscall::SetTLSBase.number();
            let (number, kind) = match number {
                _ if set_tls => (number, SET_TLS_BASE),
                // What would block is not meant here.
                -11..=-1 => (Syscall::Yield.number(), 11),
                _ => (number, UNKNOWN_CALL),
            };
            let call = Call { number, cap: wild::address(rng), ..Call::default() };
            perform(rng, area, words, index, &call, &Plan::other(kind as u8));
        }
        94..97 => touch(rng, area, words, index),
        _ => {
            let number = if rng.percent(10) { Syscall::Yield.number() } else { Syscall::NBWait.number() };
            let notification = slots::find_kind(rng, view.table, Kind::Notification).unwrap_or(0) as u64;
            let call = Call { number, cap: notification, ..Call::default() };
            perform(rng, area, words, index, &call, &Plan::other(-number as u8));
        }
    }
}

/// An access to memory that may not be there.
fn touch(rng: &mut Rng, area: *mut Area, words: &shared::Words, index: usize) {
    let at = if rng.percent(80) { wild::address(rng) } else { wild::odd_word(rng) | 1 << 47 };
    let kind = READ + rng.below(3) as usize;
    let plan = Plan::other(kind as u8);
    begin(rng, area, words, &plan);
    log(words, index, &Call { number: kind as i64, cap: at, ..Call::default() });
    // SAFETY: these are accesses to memory that no Rust object lies in, or that fault; the jump goes to memory that
    // cannot be executed, or in which there is nothing that comes back.
    unsafe {
        match kind {
            READ => asm!("mov {}, [{}]", out(reg) _, in(reg) at, options(nostack, readonly)),
            WRITE => asm!("mov [{}], {}", in(reg) at, in(reg) at, options(nostack)),
            _ => asm!("jmp {}", in(reg) at, options(nostack)),
        }
    }
    end(words, &plan, 0);
}

/// An answer to somebody who was received from.
fn answer(rng: &mut Rng, area: *mut Area, words: &shared::Words, view: View, index: usize) {
    let reply = words.owes.swap(0, Relaxed) - 1;
    let mut call = wild::wild(rng, view);
    call.info = MessageInfo::new(rng.below(4), 0, rng.below(3), rng.below(24));
    let kind = if rng.percent(40) && reply_recv(rng, view, &mut call) {
        call.reply = reply;
        Syscall::ReplyRecv
    } else {
        call.cap = reply;
        Syscall::Send
    };
    call.number = kind.number();
    perform(rng, area, words, index, &call, &Plan::other(-kind.number() as u8));
}

fn reply_recv(rng: &mut Rng, view: View, call: &mut Call) -> bool {
    let Some(ep) = slots::find_kind(rng, view.table, Kind::Endpoint) else { return false };
    call.cap = ep as u64;
    true
}

/// A message, or the wait for one.
fn message(rng: &mut Rng, area: *mut Area, words: &shared::Words, view: View, index: usize) {
    // Those that can wait forever are few: whoever waits is started again only after a while.
    let call = match rng.below(36) {
        // These are answered mostly: there are servers.
        0 | 26..30 => Syscall::Call,
        1 => Syscall::Send,
        2 => Syscall::Recv,
        3 => Syscall::Wait,
        4 => Syscall::ReplyRecv,
        5 => Syscall::NBSendRecv,
        6 => Syscall::NBSendWait,
        7..13 => Syscall::NBSend,
        13..17 => Syscall::NBWait,
        17..26 => Syscall::NBRecv,
        // A signal: mostly done at once.
        _ => Syscall::Send,
    };
    let mut chosen = wild::wild(rng, view);
    chosen.number = call.number();
    chosen.info = MessageInfo::new(
        rng.below(64),
        0,
        if rng.percent(30) { rng.below(4) } else { 0 },
        if rng.percent(70) { rng.below(5) } else { rng.below(128) },
    );
    let table = view.table;
    let mut find = |kind| slots::find_kind(rng, table, kind).unwrap_or(0) as u64;
    let (endpoint, notification, reply) = (find(Kind::Endpoint), find(Kind::Notification), find(Kind::Reply));
    let signal = rng.percent(40);
    let one = if signal { notification } else { endpoint };
    (chosen.cap, chosen.reply, chosen.dest) = match call {
        Syscall::Call => (endpoint, 0, 0),
        Syscall::Recv | Syscall::NBRecv => (one, reply, 0),
        Syscall::ReplyRecv => (endpoint, reply, 0),
        Syscall::NBSendRecv => (endpoint, reply, one),
        Syscall::NBSendWait => (notification, one, 0),
        _ => (one, 0, 0),
    };
    // Where a capability that comes goes: an empty slot.
    if let (Some(cnode), Some(slot)) = (
        slots::find(rng, table, |e| e.b() == table as u64 + 1 && e.kind() == Kind::CNode && e.a() != 0),
        slots::find_kind(rng, table, Kind::Empty),
    ) {
        chosen.receive = [cnode as u64, slot as u64, 64];
    }
    let mut plan = Plan::other(-call.number() as u8);
    plan.service = if chosen.cap == 0 { Place::NONE } else { Place::new(table, chosen.cap as usize) };
    let reply = perform(rng, area, words, index, &chosen, &plan);
    let receives = !matches!(call, Syscall::Send | Syscall::NBSend | Syscall::Call);
    if receives && reply.info.extra_caps() > 0 {
        slots::set(table, chosen.receive[1] as usize, Entry::UNKNOWN);
    }
    if matches!(call, Syscall::Recv | Syscall::NBRecv | Syscall::ReplyRecv | Syscall::NBSendRecv)
        && reply.badge != 0
    {
        words.owes.store(chosen.reply + 1, Relaxed);
    }
}

fn begin(rng: &mut Rng, area: *mut Area, words: &shared::Words, plan: &Plan) {
    // Should the thread be stopped, it goes on with other numbers.
    words.rng.store(rng.next(), Relaxed);
    // SAFETY: the thread's own area; see `run`.
    unsafe { (&raw mut (*area).plan).write(*plan) };
    words.fault.store(0, Relaxed);
    words.in_flight.store(1, SeqCst);
    count(words.calls);
}

fn end(words: &shared::Words, plan: &Plan, outcome: usize) {
    words.in_flight.store(0, SeqCst);
    record(plan, outcome);
}

/// Makes a call, with all that belongs to it.
fn perform(
    rng: &mut Rng,
    area: *mut Area,
    words: &shared::Words,
    index: usize,
    call: &Call,
    plan: &Plan,
) -> raw::Reply {
    begin(rng, area, words, plan);
    log(words, index, call);
    // SAFETY: the IPC buffer is the first part of the area.
    let reply = unsafe { execute(call, (&raw mut (*area).buffer).cast()) };
    let is_invocation = plan.invocation < Plan::other(0).invocation;
    if !is_invocation {
        end(words, plan, 0);
    } else if call.number == Syscall::Call.number() {
        let error = reply.info.label();
        learn::learn(plan, error, reply.regs[0]);
        end(words, plan, (error as usize).min(10));
    } else {
        end(words, plan, UNANSWERED);
    }
    reply
}

/// Puts a message into an IPC buffer and makes the call.
///
/// # Safety
/// The buffer must be mapped, and nobody may hold a reference to it.
pub unsafe fn execute(call: &Call, buffer: *mut IpcBuffer) -> raw::Reply {
    // SAFETY: by the caller.
    unsafe {
        let words = call.info.length_capped().min(call.words.len());
        for (index, word) in call.words.iter().enumerate().take(words).skip(4) {
            (&raw mut (*buffer).msg[index]).write_volatile(*word);
        }
        for (index, cap) in call.caps.iter().enumerate().take(call.info.extra_caps()) {
            (&raw mut (*buffer).caps_or_badges[index]).write_volatile(*cap);
        }
        (&raw mut (*buffer).receive_cnode).write_volatile(call.receive[0]);
        (&raw mut (*buffer).receive_index).write_volatile(call.receive[1]);
        (&raw mut (*buffer).receive_depth).write_volatile(call.receive[2]);
    }
    let w = &call.words;
    raw::any_syscall(call.number, call.cap, call.info, [w[0], w[1], w[2], w[3]], call.reply, call.dest)
}

/// Writes a call to the ring.
fn log(words: &shared::Words, index: usize, call: &Call) {
    log_as(index as u64, words.calls.load(Relaxed), call);
}

/// Writes a call of somebody to the ring.
pub fn log_as(who: u64, own_number: u64, call: &Call) {
    let number = shared::next_call();
    let w = &call.words;
    let entry = [
        number,
        who | own_number << 8,
        call.number as u64,
        call.cap,
        call.info.0,
        w[0],
        w[1],
        w[2],
        w[3],
        call.caps[0],
        call.caps[1],
        call.caps[2],
        call.reply,
        call.dest,
        w[4],
        w[5],
    ];
    let place: &[AtomicU64; 16] = &shared().ring[number as usize % RING];
    for (place, word) in place.iter().zip(entry) {
        place.store(word, Relaxed);
    }
}
