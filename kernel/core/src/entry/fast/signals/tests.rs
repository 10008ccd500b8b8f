//! Messages without an answer against the slow path: two machines in the same state make the same system call, one of
//! them on the fast path, and must agree on every word of kernel memory and on the timer.

use std::thread;

use pecan_abi::{MessageInfo, Syscall};
use pecan_arch::{host, reg, us_to_ticks};
use pecan_config::NUM_DOMAINS;
use pecan_mem::{Cap, Kernel, Link, Notification, SchedContext, Tcb, ThreadState, retype::ObjectKind};

use crate::{
    entry::{
        fast::{
            signals::{self, Unsent},
            tests::{self, EP, NTFN, REPLY, Random},
        },
        syscall,
    },
    ipc::{endpoint, notification, stop},
    sched::{budget, choose, next::Next, ready, refill, release},
    testing::{World, rounds},
};

/// What the thread waits for, and with what it is woken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wakes {
    /// It waits for a signal.
    Signal,
    /// It receives, and has the notification bound.
    BoundSignal,
    /// It receives.
    Message,
}

/// A scheduling context.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Time {
    /// None.
    Passive,
    /// One that is not configured.
    Nothing,
    RoundRobin,
    Periodic,
    Sporadic,
}

/// A state and a system call; by default what the fast path is for.
#[derive(Clone, Copy, Debug)]
struct Case {
    wakes: Wakes,
    /// Words of a message.
    words: u64,
    call: Syscall,
    /// How much more priority the thread that is woken has than the one that runs.
    above: i16,
    time: Time,
    /// Microseconds that are left of its budget.
    left: u64,
    /// Microseconds until it has that.
    until: u64,
    /// The scheduling context of the thread that runs.
    own_time: Time,
    /// Microseconds that have passed since the thread runs.
    passed: u64,
    /// Other threads wait in the same queue.
    others: u64,
    /// Another thread of the priority of the one that runs is ready.
    peer: bool,
    /// Microseconds until another thread is released; 0 if none waits for that.
    release: u64,
    other_domain: bool,
    fpu: bool,
    own_fpu: bool,
    /// The spaces of the woken thread are known.
    known: bool,
    /// It receives with a reply object.
    reply: bool,
    /// Somebody has yielded to its scheduling context.
    yielded_to: bool,
}

const PLAIN: Case = Case {
    wakes: Wakes::Signal,
    words: 0,
    call: Syscall::Send,
    above: 1,
    time: Time::RoundRobin,
    left: 5_000,
    until: 0,
    own_time: Time::RoundRobin,
    passed: 3,
    others: 0,
    peer: false,
    release: 0,
    other_domain: false,
    fpu: false,
    own_fpu: false,
    known: true,
    reply: true,
    yielded_to: false,
};

/// Gives a thread, which has none, a scheduling context with 5,000 us of time of which some are used.
fn give_time(w: &mut World, thread: Link<Tcb>, time: Time, left: u64, until: u64) {
    if time == Time::Passive {
        return;
    }
    let Cap::SchedContext { sc, .. } = w.k.boot_object(ObjectKind::SchedContext { bits: 8 }) else {
        unreachable!()
    };
    let (k, budget) = (&*w.k, us_to_ticks(5_000));
    thread.get(k).sched_context.set(Some(sc));
    let sc: &SchedContext = sc.get(k);
    sc.tcb.set(Some(thread));
    sc.sporadic.set(time == Time::Sporadic);
    let now = pecan_arch::now();
    let used = budget - us_to_ticks(left);
    match time {
        Time::RoundRobin => {
            refill::start(sc, 2, budget, 0, now);
            refill::charge_slice(sc, used);
        }
        Time::Periodic | Time::Sporadic => {
            refill::start(sc, 2, budget, 2 * budget, now);
            refill::charge(sc, used);
        }
        Time::Nothing | Time::Passive => return,
    }
    refill::head(sc).time.set(now + us_to_ticks(until));
}

/// Puts a machine into the state of a case. Returns its threads, of which the first one runs.
fn set_up(case: &Case) -> (World, Vec<Link<Tcb>>) {
    let (mut w, threads) = tests::world();
    let ntfn = ntfn(&w);
    let [runs, first, peer, woken, other] = threads[..] else { unreachable!() };
    {
        let k = &*w.k;
        notification::unbind_notification(k, ntfn.get(k));
        for thread in &threads {
            stop::suspend(k, thread.get(k));
            thread.get(k).set_flags(pecan_abi::constants::tcb_flag::FPU_DISABLED as u8);
        }
        // The thread that runs has had its time from the start.
        for thread in [runs, first, peer] {
            let thread = thread.get(k);
            if let Some(sc) = thread.sched_context.take() {
                sc.get(k).tcb.set(None);
            }
        }
        if case.fpu {
            woken.get(k).set_flags(0);
        }
        if case.own_fpu {
            runs.get(k).set_flags(0);
        }
        runs.get(k).priority.set(100);
        peer.get(k).priority.set(100);
        first.get(k).priority.set(90);
        woken.get(k).priority.set((100 + case.above) as u8);
        other.get(k).priority.set((99 + case.above) as u8);
        // What it was given by the last message, which a signal leaves.
        woken.get(k).context.set(reg::INFO, 0x7000);
    }
    give_time(&mut w, runs, case.own_time, 5_000, 0);
    give_time(&mut w, woken, case.time, case.left, case.until);
    give_time(&mut w, peer, Time::RoundRobin, 5_000, 0);
    give_time(&mut w, first, Time::Periodic, 1_000, case.release);
    give_time(&mut w, other, Time::RoundRobin, 5_000, 0);
    let k = &*w.k;
    let (Cap::Endpoint { ep, .. }, Cap::Reply { reply, .. }) = (w.cap(EP), w.cap(REPLY)) else {
        unreachable!()
    };
    let wait = |thread: &Tcb, wakes| match wakes {
        Wakes::Signal => notification::wait(k, thread, ntfn.get(k), true),
        _ => {
            let reply = (case.reply && thread.link() == woken).then_some(reply);
            let _ = endpoint::receive(k, thread, ep.get(k), true, reply);
        }
    };
    wait(woken.get(k), case.wakes);
    if case.others > 0 {
        wait(other.get(k), if case.wakes == Wakes::Signal { Wakes::Signal } else { Wakes::Message });
    }
    if case.wakes == Wakes::BoundSignal {
        notification::bind(woken.get(k), ntfn.get(k));
    }
    if case.other_domain {
        woken.get(k).domain.set(1);
    }
    if case.known {
        woken.get(k).learn_spaces(k);
    }
    if case.peer {
        peer.get(k).state.set(ThreadState::Running);
        ready::append(k, peer.get(k));
    }
    if case.release > 0 {
        first.get(k).state.set(ThreadState::Running);
        let sc = first.get(k).sched_context.get().expect("it has one");
        release::insert(k, first.get(k), refill::head(sc.get(k)).time.get());
    }
    if case.yielded_to
        && let Some(sc) = woken.get(k).sched_context.get()
    {
        peer.get(k).yield_to.set(Some(sc));
        sc.get(k).yield_from.set(Some(peer));
        peer.get(k).state.set(ThreadState::Running);
        ready::enqueue(k, peer.get(k));
    }
    runs.get(k).state.set(ThreadState::Running);
    // As if nobody had run before: what the processor holds of a thread becomes that of this one.
    k.set_current(&k.core().idle_thread);
    k.core().reprogram.set(true);
    budget::update_time(k);
    let next = choose::schedule(k, Next::Switch(runs)).link();
    assert_eq!(next, runs, "{case:?}");
    host::advance_time(us_to_ticks(case.passed));
    (w, threads)
}

fn ntfn(w: &World) -> Link<Notification> {
    let Cap::Notification { ntfn, .. } = w.cap(NTFN) else { unreachable!() };
    ntfn
}

/// What has become of a machine: its memory, its timer, and whether the thread that was woken runs.
#[derive(PartialEq, Eq, Debug)]
struct Ended {
    memory: u64,
    deadline: u64,
    switched: bool,
}

/// Makes the system call of a case; on the fast path if `fast` and that does not decline. True if it did not.
fn run(case: &Case, fast: bool) -> (Ended, bool) {
    let (mut w, threads) = set_up(case);
    let cptr = if case.wakes == Wakes::Message { EP } else { NTFN };
    let info = MessageInfo::new(0x1234, 0, 0, case.words).0;
    let context = &threads[0].get(&w.k).context;
    context.set(reg::CAP, cptr);
    context.set(reg::INFO, info);
    context.set(reg::SYSCALL, case.call as i64 as u64);
    for (i, &r) in reg::MSG.iter().enumerate() {
        context.set(r, 100 + i as u64);
    }
    let taken = fast && take(&w.k, cptr, info);
    if !taken {
        syscall::syscall::<syscall::Scheduled>(&mut w.k, case.call as i64);
    }
    let switched = w.k.core().current.get() == threads[3];
    let deadline = host::machine().deadline.get();
    (Ended { memory: tests::digest(&w, &threads), deadline, switched }, taken)
}

/// Tries the fast path. A message that it takes half-way for is the slow path's here.
fn take(k: &Kernel, cptr: u64, info: u64) -> bool {
    match signals::send(k, k.running(), cptr, info) {
        Ok(outcome) => {
            outcome.settle(k);
            true
        }
        Err(Unsent::Directly | Unsent::Slow) => false,
    }
}

/// Runs a case on both machines, which must agree. True if the fast path was taken and the thread that was woken
/// runs.
fn agree(case: Case) -> bool {
    // A machine belongs to its host thread.
    let [fast, slow] = [true, false].map(|fast| thread::spawn(move || run(&case, fast)));
    let (fast, taken) = fast.join().expect("the run on the fast path ends");
    let (slow, _) = slow.join().expect("the run on the slow path ends");
    assert_eq!(fast, slow, "{case:?}");
    taken && fast.switched
}

#[test]
fn a_thread_that_waits_with_time_of_its_own_takes_over_at_once() {
    for wakes in [Wakes::Signal, Wakes::BoundSignal, Wakes::Message] {
        let plain = Case { wakes, ..PLAIN };
        for case in [
            plain,
            Case { call: Syscall::NBSend, ..plain },
            Case { above: 100, ..plain },
            Case { passed: 0, ..plain },
            Case { passed: 4_900, ..plain },
            Case { peer: true, ..plain },
            Case { release: 9_000, ..plain },
            Case { reply: false, ..plain },
            Case { yielded_to: true, ..plain },
        ] {
            assert!(agree(case), "{case:?}");
        }
    }
}

#[test]
fn what_is_out_of_the_ordinary_is_for_the_slow_path() {
    for wakes in [Wakes::Signal, Wakes::BoundSignal, Wakes::Message] {
        let plain = Case { wakes, ..PLAIN };
        for case in [
            Case { above: 0, ..plain },
            Case { above: -1, ..plain },
            Case { time: Time::Passive, ..plain },
            Case { time: Time::Nothing, ..plain },
            Case { time: Time::Periodic, ..plain },
            Case { time: Time::Sporadic, ..plain },
            Case { own_time: Time::Periodic, ..plain },
            Case { own_time: Time::Sporadic, ..plain },
            Case { left: 15, ..plain },
            // The timer must be set for earlier.
            Case { left: 4_000, ..plain },
            Case { until: 5, ..plain },
            Case { until: 15, ..plain },
            Case { passed: 4_990, ..plain },
            Case { passed: 6_000, ..plain },
            Case { release: 100, passed: 95, ..plain },
            Case { others: 1, ..plain },
            Case { fpu: true, ..plain },
            Case { own_fpu: true, ..plain },
            Case { fpu: true, own_fpu: true, ..plain },
            Case { known: false, ..plain },
        ] {
            assert!(!agree(case), "{case:?}");
        }
    }
    assert!(!agree(Case { wakes: Wakes::Message, words: 1, ..PLAIN }));
    assert!(!agree(Case { wakes: Wakes::Message, words: 5, ..PLAIN }));
    if NUM_DOMAINS > 1 {
        assert!(!agree(Case { other_domain: true, ..PLAIN }));
    }
}

#[test]
fn in_any_state_both_paths_do_the_same() {
    let mut random = Random(7);
    let (rounds, mut taken) = (rounds(200), 0);
    for _ in 0..rounds {
        let r = &mut random;
        let rarely = |r: &mut Random| r.next(8) == 0;
        let time = |r: &mut Random| {
            let times = [Time::Passive, Time::Nothing, Time::Periodic, Time::Sporadic];
            if rarely(r) { r.pick(&times) } else { Time::RoundRobin }
        };
        let own_time = match time(r) {
            Time::Passive | Time::Nothing => Time::RoundRobin,
            other => other,
        };
        taken += agree(Case {
            wakes: r.pick(&[Wakes::Signal, Wakes::BoundSignal, Wakes::Message]),
            words: if rarely(r) { r.next(7) } else { 0 },
            call: r.pick(&[Syscall::Send, Syscall::NBSend]),
            above: if rarely(r) { r.next(3) as i16 - 1 } else { 1 + r.next(9) as i16 },
            time: time(r),
            left: if rarely(r) { 10 + r.next(4_990) } else { 5_000 },
            until: if rarely(r) { r.next(30) } else { 0 },
            own_time,
            passed: if rarely(r) { r.next(6_000) } else { r.next(4_000) },
            others: rarely(r).into(),
            peer: r.next(2) == 0,
            release: if r.next(2) == 0 { 0 } else { 30 + r.next(9_000) },
            other_domain: NUM_DOMAINS > 1 && rarely(r),
            fpu: rarely(r),
            own_fpu: rarely(r),
            known: !rarely(r),
            reply: r.next(2) == 0,
            yielded_to: rarely(r),
        }) as u64;
    }
    assert!(taken > rounds / 20, "{taken} of {rounds}");
}
