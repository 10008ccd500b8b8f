//! Random system calls of many threads, with the clock going on: every invariant holds after each step, no
//! thread is lost, and the one that runs is the one that should.

use pecan_abi::{Label, ObjectType, Syscall};
use pecan_arch::{IRQ_TIMER, host, reg, us_to_ticks};
use pecan_mem::{Cap, Kernel, Link, Tcb, ThreadState};

use crate::{
    cap::derivation,
    entry::interrupt,
    ipc::{end, endpoint, stop},
    sched::{budget, choose, context, next, ready, refill},
    testing::{CNODE, DOMAIN, FREE, SC, SCHED_CONTROL, TCB, World},
};

const THREADS: u64 = 6;
const TCBS: u64 = FREE;
const SCS: u64 = TCBS + THREADS;
const FRAMES: u64 = SCS + THREADS;
const EPS: u64 = FRAMES + THREADS;
const NTFNS: u64 = EPS + 3;
const REPLIES: u64 = NTFNS + 3;
const END: u64 = REPLIES + 4;

/// A small generator of pseudo-random numbers (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % n
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// Makes the objects; the threads share the first one's CSpace.
fn populate(w: &mut World) {
    let kinds = [
        (ObjectType::SchedContext, 8, SCS, THREADS),
        (ObjectType::Page4K, 0, FRAMES, THREADS),
        (ObjectType::Endpoint, 0, EPS, 3),
        (ObjectType::Notification, 0, NTFNS, 3),
        (ObjectType::Reply, 0, REPLIES, 4),
        (ObjectType::Tcb, 0, TCBS, THREADS),
    ];
    for (ty, bits, first, count) in kinds {
        for slot in first..first + count {
            w.make(ty, bits, slot);
        }
    }
    for n in 0..THREADS {
        let Cap::Tcb { tcb } = w.cap(TCBS + n) else { unreachable!() };
        let t = tcb.get(&w.k);
        let put = |from: u64, to: usize| {
            derivation::insert(&w.k, w.words(from), w.slot(from), t.slots[to].link());
        };
        put(CNODE, Tcb::SLOT_CSPACE);
        put(FRAMES + n, Tcb::SLOT_IPC_BUFFER);
        put(EPS, Tcb::SLOT_FAULT_HANDLER);
        if n == 0 {
            put(EPS + 1, Tcb::SLOT_TIMEOUT_HANDLER);
        }
        t.ipc_buffer.set(0x1000);
        t.priority.set(99 + n as u8 % 3);
        t.mcp.set(255);
    }
}

/// Arguments of a random invocation of a random capability.
fn invocation(r: &mut Random) -> (u64, Label, Vec<u64>, Vec<u64>) {
    let tcb = if r.one_in(6) { TCB } else { TCBS + r.below(THREADS) };
    let sc = if r.one_in(6) { SC } else { SCS + r.below(THREADS) };
    let ntfn = NTFNS + r.below(3);
    let either = if r.one_in(3) { ntfn } else { tcb };
    let priority = 99 + r.below(3);
    match r.below(20) {
        0..4 => (tcb, Label::TcbResume, vec![], vec![]),
        4 => (tcb, Label::TcbSuspend, vec![], vec![]),
        5 | 6 => (tcb, Label::TcbSetPriority, vec![priority], vec![TCB]),
        7 | 8 => {
            let sc = if r.one_in(4) { END } else { sc };
            (tcb, Label::TcbSetSchedParams, vec![255, priority], vec![TCB, sc, EPS])
        }
        9 => (tcb, Label::TcbBindNotification, vec![], vec![ntfn]),
        10 => (tcb, Label::TcbUnbindNotification, vec![], vec![]),
        11 | 12 => (sc, Label::SchedContextBind, vec![], vec![either]),
        13 => (sc, Label::SchedContextUnbind, vec![], vec![]),
        14 => (sc, Label::SchedContextUnbindObject, vec![], vec![either]),
        15..=17 => (sc, Label::SchedContextYieldTo, vec![], vec![]),
        18 => {
            let budget = 20 + r.below(300);
            let period = budget + r.below(2) * r.below(2_000);
            let words = vec![budget, period, r.below(9), 0, r.below(2)];
            (SCHED_CONTROL, Label::SchedControlConfigureFlags, words, vec![sc])
        }
        19 if r.one_in(2) => {
            let domain = if pecan_config::NUM_DOMAINS > 1 { r.below(2) } else { 0 };
            (DOMAIN, Label::DomainSetSet, vec![domain], vec![tcb])
        }
        _ if r.one_in(3) => (CNODE, Label::CNodeDelete, vec![TCBS + r.below(END - TCBS), 64], vec![]),
        _ => (sc, Label::SchedContextConsumed, vec![], vec![]),
    }
}

/// One system call of the current thread.
fn system_call(w: &mut World, r: &mut Random, current: Link<Tcb>) -> String {
    let (ep, ntfn, reply) = (EPS + r.below(3), NTFNS + r.below(3), REPLIES + r.below(4));
    let set = |w: &World, register, value| current.get(&w.k).context.set(register, value);
    let words = vec![0; r.below(6) as usize];
    set(w, reg::REPLY, reply);
    set(w, reg::SEND_DEST, r.of(&[ep, ntfn]));
    let call = match r.below(10) {
        0..4 => {
            let (cptr, label, words, extra) = invocation(r);
            w.set_message(current, label as u64, &words[..], &extra[..]);
            set(w, reg::CAP, cptr);
            w.syscall(Syscall::Call);
            return format!("{label:?} on {cptr} {words:?} {extra:?}");
        }
        4 | 5 => Syscall::Call,
        6 => r.of(&[Syscall::Send, Syscall::NBSend]),
        9 => Syscall::Yield,
        _ => r.of(&[
            Syscall::Recv,
            Syscall::NBRecv,
            Syscall::Wait,
            Syscall::NBWait,
            Syscall::ReplyRecv,
            Syscall::NBSendRecv,
            Syscall::NBSendWait,
        ]),
    };
    w.set_message(current, 0, &words[..], &[]);
    let cptr = match call {
        Syscall::Send | Syscall::NBSend => r.of(&[ep, ntfn, ntfn, reply]),
        Syscall::Wait | Syscall::NBWait => r.of(&[ep, ntfn]),
        _ => ep,
    };
    set(w, reg::CAP, cptr);
    w.syscall(call);
    format!("{call:?} on {cptr}, reply {reply}")
}

fn threads(w: &World) -> Vec<Link<Tcb>> {
    (TCBS..TCBS + THREADS)
        .chain([TCB])
        .filter_map(|slot| match w.cap(slot) {
            Cap::Tcb { tcb } => Some(tcb),
            _ => None,
        })
        .collect()
}

fn step(w: &mut World, r: &mut Random) -> String {
    host::advance_time(if r.one_in(4) { r.below(us_to_ticks(60)) } else { r.below(2_000) });
    let current = w.k.core().current.get();
    let idle = current == w.k.core().idle_thread.link();
    if host::machine().deadline.get() <= pecan_arch::now() {
        interrupt::interrupt(&mut w.k, IRQ_TIMER);
        return "timer".into();
    }
    if !idle && !r.one_in(8) {
        return system_call(w, r, current);
    }
    if r.one_in(2) {
        // Nobody does anything until the timer.
        host::set_time(host::machine().deadline.get().min(pecan_arch::now() + us_to_ticks(3_000)));
        interrupt::interrupt(&mut w.k, IRQ_TIMER);
        return "pause".into();
    }
    // From outside: somebody is started who may have been stopped for good, with time to run on.
    let k = &w.k;
    budget::update_time(k);
    let mut next = end::check_budget(k).err().unwrap_or(next::Next::Resume);
    let list = threads(w);
    let thread = r.of(&list).get(k);
    if thread.state.get() == ThreadState::Inactive && thread.sched_context.get().is_none() && !r.one_in(3) {
        // A passive server waits for a caller.
        let (ep, reply) = (EPS + r.below(3), REPLIES + r.below(4));
        if let (Cap::Endpoint { ep, .. }, Cap::Reply { reply, .. }) = (w.cap(ep), w.cap(reply))
            && reply.get(k).tcb.get().is_none()
        {
            next = next.and(k, endpoint::receive(k, thread, ep.get(k), true, Some(reply)));
        }
        choose::schedule(k, next);
        return "serve".into();
    }
    let free = (SCS..SCS + THREADS).find_map(|slot| match w.cap(slot) {
        Cap::SchedContext { sc, .. } if sc.get(k).tcb.get().is_none() => Some(sc.get(k)),
        _ => None,
    });
    next = next.and(k, stop::restart(k, thread));
    if let (None, Some(sc)) = (thread.sched_context.get(), free) {
        if sc.refill_max.get() == 0 {
            let period = if r.one_in(2) { 0 } else { us_to_ticks(1_000) };
            refill::start(sc, 2, us_to_ticks(200), period, k.core().time.get());
        }
        next = next.and(k, context::bind_tcb(k, sc, thread));
    }
    choose::schedule(k, next);
    "start".into()
}

/// What the scheduler promises between two system calls.
fn check(w: &World, all: bool) -> Result<(), String> {
    let k: &Kernel = &w.k;
    if all {
        crate::invariants::check(k, &[w.cap(CNODE), w.cap(TCB)]).map_err(|broken| broken.to_string())?;
    }
    let core = k.core();
    let current = core.current.get();
    let idle = current == core.idle_thread.link();
    let ensure = |condition: bool, text: &str| if condition { Ok(()) } else { Err(text.to_string()) };
    ensure(current.get(k).sched_context.get() == Some(core.current_sc.get()), "another one is charged")?;
    ensure(idle || ready::is_schedulable(k, current.get(k)), "the current thread cannot run")?;
    ensure(!current.get(k).is_queued.get(), "the current thread is queued")?;
    ensure(current.get(k).yield_to.get().is_none(), "the current thread waits for its answer")?;
    ensure(!core.reprogram.get(), "the timer was forgotten")?;
    let head = refill::head(core.current_sc.get().get(k));
    ensure(host::machine().deadline.get() <= core.time.get() + head.amount.get(), "the timer is late")?;
    for thread in threads(w) {
        let t = thread.get(k);
        if thread != current {
            ensure(ready::is_schedulable(k, t) == t.is_queued.get(), &format!("{thread:?} is lost"))?;
        }
        if t.is_queued.get() && t.domain.get() == core.domain.get() {
            let beaten = !idle && t.priority.get() <= current.get(k).priority.get();
            ensure(beaten, &format!("{thread:?} should run"))?;
        }
        if t.in_release_queue.get() {
            ensure(!t.is_queued.get(), "both ready and waiting for budget")?;
            ensure(t.state.is_runnable(), "waits for budget and cannot run")?;
        } else if let Some(sc) = t.sched_context.get().filter(|_| t.state.is_runnable()) {
            let sc = sc.get(k);
            ensure(sc.refill_max.get() == 0 || refill::is_sufficient(sc, 0), "ready without budget")?;
        }
    }
    let mut last = 0;
    for thread in crate::invariants::release_order(k) {
        let sc = thread.get(k).sched_context.get().ok_or("waits for budget without scheduling context")?;
        let time = refill::head(sc.get(k)).time.get();
        ensure(time >= last, "the release queue is not in order")?;
        ensure(host::machine().deadline.get() <= time, "the timer is late for a release")?;
        last = time;
    }
    Ok(())
}

#[test]
fn random_system_calls_keep_every_promise() {
    let (mut steps, mut idle, mut waiting, mut lent, mut timeouts, mut yields) = (0, 0, 0, 0, 0, 0);
    for seed in 1..=16u64 {
        let mut r = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut w = World::new();
        populate(&mut w);
        let mut history: Vec<String> = Vec::new();
        for i in 0..400 {
            history.push(step(&mut w, &mut r));
            steps += 1;
            idle += (w.k.core().current.get() == w.k.core().idle_thread.link()) as u32;
            waiting += w.k.core().release_head.get().is_some() as u32;
            for thread in threads(&w) {
                let t = thread.get(&w.k);
                lent += t.sched_context.get().is_some_and(|sc| sc.get(&w.k).reply.get().is_some()) as u32;
                timeouts += matches!(t.fault(), pecan_mem::Fault::Timeout { .. }) as u32;
                yields += t.yield_to.get().is_some() as u32;
            }
            if let Err(broken) = check(&w, i % 8 == 0) {
                let last = history[history.len().saturating_sub(12)..].join("\n");
                panic!("seed {seed}, step {i}: {broken}\n{last}");
            }
        }
    }
    let seen = [steps - idle, waiting, lent, timeouts, 50 * yields];
    assert!(seen.iter().all(|&n| n > steps / 50), "hardly tested: {seen:?} of {steps} steps");
}
