//! Random system calls in a larger system, with arguments that are mostly near the mark.

mod devices;
pub mod fuzz;

use std::time::{Duration, Instant};

use pecan_abi::{CNodeCapData, CapRights, Label, ObjectType, Syscall};
use pecan_mem::{Cap, retype::ObjectKind};

use crate::{
    explore::happens_alone,
    lockstep::{self, named},
    model::{Call, Event, FIRST_INTERRUPT, State},
    properties,
    system::System,
};

/// Events in one run, before the next begins with a fresh system.
const RUN: usize = 400;
/// Slots of the CSpace, log2.
const RADIX: u8 = 6;

/// What random runs found.
pub struct Report {
    /// Events, each compared.
    pub steps: u64,
    /// Runs, one with each seed.
    pub runs: u64,
    /// The story of the first difference, shortened.
    pub broken: Option<String>,
}

/// Where choices come from.
enum Random<'a> {
    /// A small random number generator (splitmix64).
    Seed(u64),
    /// Bytes, few for each choice; then zeros.
    Bytes(&'a [u8]),
}

impl Random<'_> {
    /// A number less than `n`, which is not 0.
    fn below(&mut self, n: u64) -> u64 {
        match self {
            Random::Seed(seed) => {
                *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let z = (*seed ^ *seed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
                (z ^ z >> 31) % n
            }
            Random::Bytes(bytes) => {
                let count = if n <= 1 << 8 { 1 } else { 8 };
                let (taken, rest) = bytes.split_at(count.min(bytes.len()));
                *bytes = rest;
                taken.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)) % n
            }
        }
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    fn list(&mut self, most: u64, mut one: impl FnMut(&mut Self) -> u64) -> Vec<u64> {
        (0..self.below(most + 1)).map(|_| one(self)).collect()
    }
}

/// Slots of the system.
const CNODE: u64 = 1;
const VSPACE: u64 = 2;
const UNTYPED: u64 = 3;
const ASID_UNTYPED: u64 = 33;
const EP: u64 = 5;
const NTFN: u64 = 9;
const REPLY: u64 = 11;
const THREAD: u64 = 13;
const SC: u64 = 17;
const FRAME: u64 = 20;
/// Tables of all levels, the last an address space.
const TABLE: u64 = 23;
/// Authorities over time and hardware.
const CONTROL: u64 = 27;
/// Nothing is here at first.
const FREE: u64 = 34;

fn system() -> System {
    let mut s = System::new(RADIX);
    s.own_cspace(CNODE);
    s.own_vspace(VSPACE);
    s.make(UNTYPED, ObjectKind::Untyped { bits: 13 }, "untyped1");
    s.make(UNTYPED + 1, ObjectKind::Untyped { bits: 10 }, "untyped2");
    for i in 0..2 {
        s.make(EP + 2 * i, ObjectKind::Endpoint, &format!("ep{i}"));
        s.mint(EP + 2 * i, EP + 2 * i + 1, CapRights::ALL, 5 + i);
        s.make(NTFN + i, ObjectKind::Notification, &format!("ntfn{i}"));
        s.make(REPLY + i, ObjectKind::Reply, &format!("reply{i}"));
        s.make(FRAME + i, ObjectKind::Frame { level: 0 }, &format!("frame{i}"));
    }
    s.make(ASID_UNTYPED, ObjectKind::Untyped { bits: 12 }, "untyped3");
    for level in 0..4 {
        s.make(TABLE + level as u64, ObjectKind::PageTable { level }, &format!("table{level}"));
    }
    for i in 0..4 {
        let thread = s.thread(Some(THREAD + i), 100 + (i / 2) as u8, &format!("thread{i}"));
        if i < 3 {
            s.start(thread, Some(SC + i), &format!("sc{i}"));
        }
        if i == 2 {
            s.handler(thread, EP + 1, false);
        }
    }
    let controls =
        [Cap::SchedControl { core: 0 }, Cap::IrqControl, Cap::IoPortControl, Cap::Domain, Cap::AsidControl];
    controls.into_iter().enumerate().for_each(|(i, cap)| s.control(CONTROL + i as u64, cap));
    s.interrupts(&[0, 1]);
    s.ports(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    s.remember();
    let supervisor = s.thread(None, 90, "supervisor");
    s.start(supervisor, None, "scSupervisor");
    s.boot()
}

/// A random event. The supervisor, the thread of the lowest priority, does what keeps the others going.
fn event(r: &mut Random, state: &State) -> Event {
    let supervises = state.current.is_some_and(|t| state.threads[&t].priority < 99);
    match r.below(20) {
        _ if supervises => match r.below(4) {
            0 => Event::Tick { ticks: 5_000_000 },
            1 => invocation(r),
            _ => {
                let (thread, sc) = (THREAD + r.below(4), SC + r.below(3));
                let (cap, label, extra) = match r.below(3) {
                    0 => (sc, Label::SchedContextBind, vec![thread]),
                    _ => (thread, Label::TcbResume, vec![]),
                };
                let label = label as u64;
                let call = Syscall::Call;
                Event::Syscall(Call {
                    call,
                    cap,
                    reply: 0,
                    dest: 0,
                    label,
                    words: vec![],
                    extra,
                    receive: None,
                    after: 0,
                })
            }
        },
        0 => Event::Tick { ticks: r.pick(&[1_000, 100_000, 5_000_000]) },
        1 => Event::Exception { number: r.below(20), code: r.below(3) },
        2 => match r.below(6) {
            0 => Event::UnknownSyscall { number: 77 },
            1 => Event::PageFault {
                address: r.below(1 << 48),
                instruction: r.below(2) == 0,
                status: r.below(8),
            },
            2 | 3 => Event::Interrupt { irq: FIRST_INTERRUPT + r.below(2) },
            _ => message(r),
        },
        3..=10 => message(r),
        _ => invocation(r),
    }
}

fn slot(r: &mut Random) -> u64 {
    if r.below(40) == 0 { r.below(100) } else { r.below(1 << RADIX) }
}

fn message(r: &mut Random) -> Event {
    let calls = [
        Syscall::Call,
        Syscall::Call,
        Syscall::ReplyRecv,
        Syscall::ReplyRecv,
        Syscall::NBSendRecv,
        Syscall::NBSendWait,
        Syscall::Send,
        Syscall::NBSend,
        Syscall::Recv,
        Syscall::Recv,
        Syscall::NBRecv,
        Syscall::Wait,
        Syscall::NBWait,
        Syscall::Yield,
    ];
    let near = |r: &mut Random| r.pick(&[EP, EP + 1, EP + 2, EP + 3, NTFN, NTFN + 1]);
    let cap = if r.below(8) == 0 { slot(r) } else { near(r) };
    let reply = if r.below(8) == 0 { slot(r) } else { REPLY + r.below(2) };
    let receive = (r.below(2) == 0).then(|| [CNODE, slot(r), 64]);
    let (words, extra) = (r.list(6, |r| r.below(9)), if r.below(2) == 0 { r.list(3, slot) } else { vec![] });
    Event::Syscall(Call {
        call: r.pick(&calls),
        cap,
        reply,
        dest: near(r),
        label: r.pick(&[0, 1, 500]),
        words,
        extra,
        receive,
        after: 0,
    })
}

fn invocation(r: &mut Random) -> Event {
    use Label::*;
    let depth = if r.below(30) == 0 { r.below(70) } else { 64 };
    let (a, b, c) = (slot(r), slot(r), slot(r));
    let (rights, badge) =
        (r.below(16), r.pick(&[0, 5, 6, CNodeCapData::skip_to(3).0, CNodeCapData::skip_to(5).0]));
    let page = 0x40_0000 + 4096 * r.below(3);
    let thread = THREAD + r.below(4);
    let (cap, label, words, extra): (u64, Label, Vec<u64>, Vec<u64>) = match r.below(21) {
        16 => devices::registers(r),
        17 if r.below(3) == 0 => devices::spaces(r),
        18 | 19 => devices::hardware(r),
        17 | 20 => devices::time(r),
        0 => {
            let kinds = [
                (ObjectType::Tcb, 0),
                (ObjectType::Endpoint, 0),
                (ObjectType::Notification, 0),
                (ObjectType::CNode, 1 + r.below(3)),
                (ObjectType::Reply, 0),
                (ObjectType::SchedContext, 7 + r.below(2)),
                (ObjectType::Untyped, 3 + r.below(9)),
                (ObjectType::Page4K, 0),
                (ObjectType::PageTable, 0),
            ];
            let (kind, size) = r.pick(&kinds);
            let count = 1 + r.below(3);
            (UNTYPED + r.below(2), UntypedRetype, vec![kind as u64, size, 0, 0, a, count], vec![CNODE])
        }
        1 | 2 => (CNODE, CNodeCopy, vec![a, depth, b, 64, rights], vec![CNODE]),
        3 => (CNODE, CNodeMint, vec![a, 64, b, depth, rights, badge], vec![CNODE]),
        4 => (CNODE, CNodeMove, vec![a, 64, b, depth], vec![CNODE]),
        5 => (CNODE, CNodeMutate, vec![a, 64, b, 64, badge], vec![CNODE]),
        6 => (CNODE, CNodeRotate, vec![a, 64, 0, b, 64, 0, c, 64], vec![CNODE, CNODE]),
        7 if r.below(3) == 0 => (CNODE, CNodeRevoke, vec![a, depth], vec![]),
        7 => (CNODE, CNodeDelete, vec![a, depth], vec![]),
        8 => (CNODE, CNodeCancelBadgedSends, vec![EP + r.below(4), 64], vec![]),
        9 => (thread, r.pick(&[TcbSuspend, TcbResume, TcbResume, TcbUnbindNotification]), vec![], vec![]),
        10 => (
            thread,
            r.pick(&[TcbSetPriority, TcbSetMcPriority]),
            vec![98 + r.below(4)],
            vec![THREAD + r.below(4)],
        ),
        11 => (thread, TcbBindNotification, vec![], vec![NTFN + r.below(2)]),
        12 => {
            let labels = [
                SchedContextBind,
                SchedContextUnbindObject,
                SchedContextUnbind,
                SchedContextYieldTo,
                SchedContextConsumed,
            ];
            (SC + r.below(3), r.pick(&labels), vec![], vec![r.pick(&[thread, thread, NTFN, NTFN + 1])])
        }
        13 => (
            thread,
            TcbSetSchedParams,
            vec![100, 99 + r.below(3)],
            vec![THREAD, SC + r.below(4), EP + r.below(8)],
        ),
        14 => {
            let labels = [X86PageMap, X86PageMap, X86PageUnmap, X86PageGetAddress];
            (FRAME + r.below(2), r.pick(&labels), vec![page, rights, 0], vec![VSPACE])
        }
        _ => {
            let level = r.below(3);
            let labels = [
                [X86PageTableMap, X86PageTableUnmap],
                [X86PageDirectoryMap, X86PageDirectoryUnmap],
                [X86PdptMap, X86PdptUnmap],
            ][level as usize];
            (TABLE + level, labels[(r.below(4) == 0) as usize], vec![page, 0], vec![VSPACE])
        }
    };
    // Now and then to the wrong capability, with the wrong number of things, or without waiting for an answer.
    let cap = if r.below(25) == 0 { slot(r) } else { cap };
    let words = if r.below(40) == 0 { words[..words.len() / 2].to_vec() } else { words };
    let extra = if r.below(40) == 0 { r.list(3, slot) } else { extra };
    let call = if r.below(20) == 0 { Syscall::Send } else { Syscall::Call };
    Event::Syscall(Call {
        call,
        cap,
        reply: 0,
        dest: 0,
        label: label as u64,
        words,
        extra,
        receive: None,
        after: 0,
    })
}

/// Plays events from the start, as `next` gives them. Returns those that happened, and what differed after the
/// last.
fn play(mut next: impl FnMut(&System, &State) -> Option<Event>) -> (Vec<Event>, Option<String>) {
    let mut system = system();
    let mut state = system.state();
    let mut done = vec![];
    while let Some(event) = next(&system, &state) {
        if state.current.is_none() && !happens_alone(&event) {
            continue;
        }
        let here = system.here();
        let result = lockstep::step(&mut system, &here, &event)
            .map(|next| next.settle(&mut system))
            .and_then(|next| properties::check(&state, &event, &next).map(|()| next));
        done.push(event);
        match result.and_then(|next| system.check().map(|()| next)) {
            Ok(next) => state = next,
            Err(why) => return (done, Some(named(&why, &system))),
        }
    }
    (done, None)
}

fn replay(events: &[Event]) -> (Vec<Event>, Option<String>) {
    let mut events = events.iter().cloned();
    play(|_, _| events.next())
}

/// Leaves out every event that a difference does not need.
fn shrink(mut events: Vec<Event>) -> Vec<Event> {
    let mut chunk = events.len() / 2;
    while chunk > 0 {
        let mut at = 0;
        while at + chunk <= events.len() {
            let mut fewer = events.clone();
            fewer.drain(at..at + chunk);
            match replay(&fewer) {
                (done, Some(_)) => events = done,
                _ => at += chunk,
            }
        }
        chunk /= 2;
    }
    events
}

/// Plays random runs with these seeds until the time is up.
pub fn run(seeds: impl Iterator<Item = u64>, time: Duration) -> Report {
    let begin = Instant::now();
    let mut report = Report { steps: 0, runs: 0, broken: None };
    for seed in seeds.take_while(|_| begin.elapsed() < time) {
        let mut random = Random::Seed(seed.wrapping_mul(0xda94_2042_e4dd_58b5));
        report.runs += 1;
        let mut left = RUN;
        let (events, broken) = play(|_, state| {
            left = left.checked_sub(1)?;
            Some(event(&mut random, state))
        });
        report.steps += events.len() as u64;
        if broken.is_some() {
            let mut events = shrink(events).into_iter();
            let (mut text, mut n) = (format!("With seed {seed}, shortened:\n"), 0);
            let (_, why) = play(|system, state| {
                let event = events.next()?;
                n += 1;
                let who = state.current.map_or("nobody".into(), |t| format!("{t:?}"));
                text += &format!("  {n}. {} runs: {event}\n", named(&who, system));
                Some(event)
            });
            report.broken = Some(text + &why.unwrap_or_default());
            return report;
        }
    }
    report
}
