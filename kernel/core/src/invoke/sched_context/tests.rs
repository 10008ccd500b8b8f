//! Invocations on scheduling contexts and on the authority over them, and how they change hands.

use pecan_abi::{Error, Label, ObjectType, Syscall, fault::FaultTag};
use pecan_arch::{Exception, IRQ_TIMER, host, reg, us_to_ticks};
use pecan_mem::{Cap, Fault, Link, SchedContext, Tcb, ThreadState};

use crate::{
    cap::derivation,
    delete,
    entry::{exception, interrupt},
    ipc::{answer, endpoint, notification, reply},
    sched::{choose, next, refill},
    testing::{Answer, DOMAIN, FREE, PRIORITY, SC, SCHED_CONTROL, TCB, World},
};

/// The scheduling context under test, with room for ten refills.
const TARGET: u64 = FREE;
const SMALL: u64 = FREE + 1;
const THREAD: u64 = FREE + 2;
const OTHER: u64 = FREE + 3;
const NTFN: u64 = FREE + 4;
const OTHER_NTFN: u64 = FREE + 5;
const EP: u64 = FREE + 6;
const REPLY: u64 = FREE + 7;

struct Objects {
    sc: Link<SchedContext>,
    thread: Link<Tcb>,
    other: Link<Tcb>,
}

fn world() -> (World, Objects) {
    let mut w = World::new();
    let made = [
        (ObjectType::SchedContext, 8, TARGET),
        (ObjectType::SchedContext, 7, SMALL),
        (ObjectType::Tcb, 0, THREAD),
        (ObjectType::Tcb, 0, OTHER),
        (ObjectType::Notification, 0, NTFN),
        (ObjectType::Notification, 0, OTHER_NTFN),
        (ObjectType::Endpoint, 0, EP),
        (ObjectType::Reply, 0, REPLY),
    ];
    for (ty, bits, slot) in made {
        w.make(ty, bits, slot);
    }
    let (Cap::SchedContext { sc, .. }, Cap::Tcb { tcb: thread }, Cap::Tcb { tcb: other }) =
        (w.cap(TARGET), w.cap(THREAD), w.cap(OTHER))
    else {
        unreachable!()
    };
    (w, Objects { sc, thread, other })
}

/// A digest of all objects made from the 2 MiB of untyped memory: those under test.
fn digest(w: &World) -> u64 {
    (0..0x1_0000).step_by(8).fold(0, |d: u64, at| d.rotate_left(5) ^ w.k.word((2 << 20) + at))
}

fn fails(w: &mut World, on: u64, label: Label, words: &[u64], extra: &[u64], error: Error, details: &[u64]) {
    let before = digest(w);
    let answer: Answer = w.call(on, label, words, extra);
    assert_eq!(answer, Err((error, details.to_vec())), "{label:?} {words:?} {extra:?}");
    assert_eq!(digest(w), before, "{label:?} {words:?} {extra:?} changed something");
}

fn configure(w: &mut World, sc: u64, budget: u64, period: u64, extra: u64) {
    let words = [budget, period, extra, 0, 0];
    w.call(SCHED_CONTROL, Label::SchedControlConfigureFlags, &words, &[sc]).expect("configures");
}

fn bind(w: &mut World, sc: u64, object: u64) {
    w.call(sc, Label::SchedContextBind, &[], &[object]).expect("binds");
}

#[test]
fn configuring_sets_what_was_asked_for() {
    let (mut w, o) = world();
    let words = [1_000, 5_000, 8, 77, 1];
    w.call(SCHED_CONTROL, Label::SchedControlConfigureFlags, &words, &[TARGET]).expect("configures");
    let sc = o.sc.get(&w.k);
    assert_eq!(sc.period.get(), us_to_ticks(5_000));
    assert_eq!((sc.refill_max.get(), sc.badge.get(), sc.sporadic.get()), (10, 77, true));
    assert_eq!(refill::head(sc).amount.get(), us_to_ticks(1_000));
    // Budget and period the same: round robin, and the number of refills is ignored.
    for extra in [4, 9, u64::MAX] {
        configure(&mut w, TARGET, 20, 20, extra);
    }
    let sc = o.sc.get(&w.k);
    assert_eq!((sc.period.get(), sc.refill_max.get(), sc.sporadic.get()), (0, 2, false));
}

#[test]
fn configuration_errors() {
    let (mut w, _) = world();
    let label = Label::SchedControlConfigureFlags;
    let max = pecan_arch::max_us();
    let on = SCHED_CONTROL;
    fails(&mut w, on, label, &[100, 100, 0, 0], &[TARGET], Error::TruncatedMessage, &[]);
    fails(&mut w, on, label, &[100, 100, 0, 0, 0], &[], Error::TruncatedMessage, &[]);
    fails(&mut w, on, label, &[100, 100, 0, 0, 0], &[THREAD], Error::InvalidCapability, &[1]);
    for (budget, period) in
        [(0, 5000), (19, 5000), (max + 1, 5000), (5000, 0), (5000, 19), (5000, max + 1), (0, 0)]
    {
        for sc in [TARGET, THREAD] {
            fails(&mut w, on, label, &[budget, period, 0, 0, 0], &[sc], Error::RangeError, &[20, max]);
        }
    }
    fails(&mut w, on, label, &[5000, 4999, 0, 0, 0], &[TARGET], Error::RangeError, &[20, 4999]);
    fails(&mut w, on, label, &[100, 200, 9, 0, 0], &[TARGET], Error::RangeError, &[0, 8]);
    fails(&mut w, on, label, &[100, 200, 1, 0, 0], &[SMALL], Error::RangeError, &[0, 0]);
    fails(&mut w, on, Label::SchedContextBind, &[], &[THREAD], Error::IllegalOperation, &[]);
}

#[test]
fn binding_and_unbinding() {
    let (mut w, o) = world();
    let (bind_label, unbind) = (Label::SchedContextBind, Label::SchedContextUnbindObject);
    fails(&mut w, TARGET, bind_label, &[], &[], Error::TruncatedMessage, &[]);
    fails(&mut w, TARGET, unbind, &[], &[], Error::TruncatedMessage, &[]);
    fails(&mut w, TARGET, bind_label, &[], &[EP], Error::InvalidCapability, &[1]);
    fails(&mut w, TARGET, unbind, &[], &[EP], Error::InvalidCapability, &[1]);
    fails(&mut w, TARGET, unbind, &[], &[THREAD], Error::IllegalOperation, &[]);
    fails(&mut w, TARGET, unbind, &[], &[NTFN], Error::IllegalOperation, &[]);
    fails(&mut w, TARGET, bind_label, &[], &[TCB], Error::IllegalOperation, &[]);
    bind(&mut w, TARGET, THREAD);
    fails(&mut w, TARGET, bind_label, &[], &[THREAD], Error::IllegalOperation, &[]);
    fails(&mut w, TARGET, bind_label, &[], &[OTHER], Error::IllegalOperation, &[]);
    fails(&mut w, SMALL, bind_label, &[], &[THREAD], Error::IllegalOperation, &[]);
    bind(&mut w, TARGET, NTFN);
    fails(&mut w, TARGET, bind_label, &[], &[OTHER_NTFN], Error::IllegalOperation, &[]);
    fails(&mut w, SMALL, bind_label, &[], &[NTFN], Error::IllegalOperation, &[]);
    fails(&mut w, TARGET, unbind, &[], &[OTHER], Error::IllegalOperation, &[]);
    w.call(TARGET, unbind, &[], &[NTFN]).expect("unbinds");
    assert!(o.sc.get(&w.k).notification.get().is_none());
    w.call(TARGET, unbind, &[], &[THREAD]).expect("unbinds");
    assert!(o.thread.get(&w.k).sched_context.get().is_none());
    bind(&mut w, TARGET, THREAD);
    bind(&mut w, TARGET, NTFN);
    w.call(TARGET, Label::SchedContextUnbind, &[], &[]).expect("unbinds all");
    let sc = o.sc.get(&w.k);
    assert!(sc.tcb.get().is_none() && sc.notification.get().is_none());
    // Nobody takes the time away from under his own feet.
    for (label, extra) in [(Label::SchedContextUnbind, vec![]), (unbind, vec![TCB])] {
        assert_eq!(w.call(SC, label, &[], &extra), Err((Error::IllegalOperation, vec![])));
    }
    fails(&mut w, TARGET, Label::TcbSuspend, &[], &[], Error::IllegalOperation, &[]);
}

#[test]
fn a_blocked_thread_is_bound_only_to_a_budget() {
    let (mut w, o) = world();
    o.thread.get(&w.k).state.set(ThreadState::BlockedOnReply { reply: None });
    fails(&mut w, TARGET, Label::SchedContextBind, &[], &[THREAD], Error::IllegalOperation, &[]);
    configure(&mut w, TARGET, 1_000, 10_000, 0);
    bind(&mut w, TARGET, THREAD);
}

#[test]
fn binding_starts_a_runnable_thread() {
    let (mut w, o) = world();
    w.call(THREAD, Label::TcbResume, &[], &[]).expect("resumes");
    assert!(!o.thread.get(&w.k).is_queued.get());
    bind(&mut w, TARGET, THREAD);
    assert!(!o.thread.get(&w.k).is_queued.get(), "not configured yet");
    configure(&mut w, TARGET, 1_000, 10_000, 0);
    assert!(o.thread.get(&w.k).is_queued.get());
    w.delete(TARGET).expect("deletes");
    let thread = o.thread.get(&w.k);
    assert!(!thread.is_queued.get() && thread.sched_context.get().is_none());
}

#[test]
fn yielding_to_errors() {
    let (mut w, o) = world();
    let label = Label::SchedContextYieldTo;
    fails(&mut w, TARGET, label, &[], &[], Error::IllegalOperation, &[]);
    assert_eq!(w.call(SC, label, &[], &[]), Err((Error::IllegalOperation, vec![])), "one's own");
    bind(&mut w, TARGET, THREAD);
    o.thread.get(&w.k).priority.set(201);
    w.thread.get(&w.k).mcp.set(200);
    fails(&mut w, TARGET, label, &[], &[], Error::IllegalOperation, &[]);
    // One that cannot run answers at once.
    o.thread.get(&w.k).priority.set(200);
    assert_eq!(w.call(TARGET, label, &[], &[]), Ok(vec![0]));
}

/// Calls a capability in the name of the current thread; the scheduler chooses who goes on.
fn system_call(w: &mut World, cptr: u64, label: Label, words: &[u64], extra: &[u64]) -> Link<Tcb> {
    let current = w.k.core().current.get();
    w.set_message(current, label as u64, words, extra);
    current.get(&w.k).context.set(reg::CAP, cptr);
    w.syscall(Syscall::Call)
}

#[test]
fn yielding_to_an_equal_runs_it_and_tells_what_it_used() {
    let (mut w, o) = world();
    configure(&mut w, TARGET, 2_000, 2_000, 0);
    configure(&mut w, SMALL, 2_000, 2_000, 0);
    bind(&mut w, TARGET, THREAD);
    bind(&mut w, SMALL, OTHER);
    for tcb in [THREAD, OTHER] {
        w.call(tcb, Label::TcbSetPriority, &[PRIORITY as u64], &[TCB]).expect("sets");
        assert_eq!(system_call(&mut w, tcb, Label::TcbResume, &[], &[]), w.thread);
    }
    // The one behind in the queue comes first, then the caller.
    assert_eq!(system_call(&mut w, SMALL, Label::SchedContextYieldTo, &[], &[]), o.other);
    assert!(w.thread.get(&w.k).yield_to.get().is_some());
    host::advance_time(us_to_ticks(700));
    assert_eq!(w.syscall(Syscall::Yield), w.thread);
    assert_eq!(w.message(w.thread), (0, vec![700]));
    assert!(w.thread.get(&w.k).yield_to.get().is_none());
    // One of a lower priority is only moved to the head of its queue.
    w.call(OTHER, Label::TcbSetPriority, &[1], &[TCB]).expect("sets");
    w.call(THREAD, Label::TcbSetPriority, &[1], &[TCB]).expect("sets");
    for (sc, thread) in [(TARGET, o.thread), (SMALL, o.other)] {
        assert_eq!(system_call(&mut w, sc, Label::SchedContextYieldTo, &[], &[]), w.thread);
        assert_eq!(w.k.core().ready[0].heads[1].get(), Some(thread));
    }
}

#[test]
fn who_yielded_gets_its_answer_when_the_other_goes() {
    for end in [THREAD, TARGET] {
        let (mut w, o) = world();
        configure(&mut w, TARGET, 2_000, 2_000, 0);
        bind(&mut w, TARGET, THREAD);
        w.call(THREAD, Label::TcbSetPriority, &[PRIORITY as u64], &[TCB]).expect("sets");
        system_call(&mut w, THREAD, Label::TcbResume, &[], &[]);
        assert_eq!(system_call(&mut w, TARGET, Label::SchedContextYieldTo, &[], &[]), o.thread);
        let slot = w.slot(end);
        delete::delete(&mut w.k, slot).map(|next| choose::schedule(&w.k, next).link()).ok();
        assert_eq!(w.k.core().current.get(), w.thread);
        assert!(w.thread.get(&w.k).yield_to.get().is_none());
        assert_eq!(w.message(w.thread), (0, vec![0]));
    }
}

/// A server waits at the endpoint.
fn serve(w: &mut World, o: &Objects) {
    let (Cap::Endpoint { ep, .. }, Cap::Reply { reply, .. }) = (w.cap(EP), w.cap(REPLY)) else {
        unreachable!()
    };
    let server = o.thread.get(&w.k);
    let next = endpoint::receive(&w.k, server, ep.get(&w.k), true, Some(reply));
    assert_eq!(next, next::Next::Resume);
}

/// A passive server waits at the endpoint, and the first thread calls it.
fn call_server(w: &mut World, o: &Objects) {
    serve(w, o);
    assert_eq!(system_call(w, EP, Label::InvalidInvocation, &[], &[]), o.thread);
}

#[test]
fn a_call_lends_the_scheduling_context_and_deleting_the_reply_returns_it() {
    let (mut w, o) = world();
    let Cap::SchedContext { sc, .. } = w.cap(SC) else { unreachable!() };
    call_server(&mut w, &o);
    assert_eq!(sc.get(&w.k).tcb.get(), Some(o.thread));
    assert_eq!(w.k.core().current_sc.get(), sc);
    assert!(w.thread.get(&w.k).sched_context.get().is_none());
    let slot = w.slot(REPLY);
    let next = delete::delete(&mut w.k, slot).expect("is not preempted");
    let next = choose::schedule(&w.k, next).link();
    assert_eq!(sc.get(&w.k).tcb.get(), Some(w.thread));
    assert!(o.thread.get(&w.k).sched_context.get().is_none());
    assert_eq!(next, w.k.core().idle_thread.link(), "the caller was not answered");
}

#[test]
fn the_time_of_a_call_is_the_callers() {
    let (mut w, o) = world();
    configure(&mut w, SC, 1_000, 10_000, 0);
    call_server(&mut w, &o);
    host::advance_time(us_to_ticks(1_000));
    assert_eq!(interrupt::interrupt(&mut w.k, IRQ_TIMER), w.k.core().idle_thread.link());
    assert!(o.thread.get(&w.k).in_release_queue.get(), "the server waits on its client's budget");
    host::advance_time(us_to_ticks(9_000));
    assert_eq!(interrupt::interrupt(&mut w.k, IRQ_TIMER), o.thread);
}

#[test]
fn a_trap_where_the_budget_ends_is_told_and_charged() {
    let Some(number) = (0..256).find(|number| pecan_arch::is_trap(*number)) else {
        // No exception of this architecture is one.
        return;
    };
    for passive in [true, false] {
        let (mut w, o) = world();
        configure(&mut w, SC, 1_000, 10_000, 0);
        if !passive {
            configure(&mut w, TARGET, 1_000, 1_000, 0);
            bind(&mut w, TARGET, THREAD);
        }
        serve(&mut w, &o);
        let (k, thread) = (&w.k, w.thread);
        let handler = thread.get(k).slots[Tcb::SLOT_FAULT_HANDLER].link();
        derivation::insert(k, w.words(EP), w.slot(EP), handler);
        interrupt::interrupt(&mut w.k, IRQ_TIMER);
        host::advance_time(us_to_ticks(1_000));
        let runs = exception::exception(&mut w.k, Exception::User { number, code: 0 });
        assert_eq!(w.message(o.thread).0, FaultTag::UserException.word());
        assert!(matches!(thread.get(&w.k).state.get(), ThreadState::BlockedOnReply { .. }));
        // Whoever would go on with the thread's time waits for it; a handler with time of its own does not.
        let Cap::SchedContext { sc, .. } = w.cap(SC) else { unreachable!() };
        assert_eq!(sc.get(&w.k).consumed.get(), us_to_ticks(1_000));
        assert_eq!(o.thread.get(&w.k).in_release_queue.get(), passive);
        assert_eq!(runs, if passive { w.k.core().idle_thread.link() } else { o.thread });
        w.check();
        if passive {
            host::advance_time(us_to_ticks(9_000));
            assert_eq!(interrupt::interrupt(&mut w.k, IRQ_TIMER), o.thread);
        }
    }
    // A fault comes again, so that it can wait.
    let (mut w, o) = world();
    configure(&mut w, SC, 1_000, 10_000, 0);
    serve(&mut w, &o);
    interrupt::interrupt(&mut w.k, IRQ_TIMER);
    host::advance_time(us_to_ticks(1_000));
    exception::exception(&mut w.k, Exception::User { number: 6, code: 0 });
    let thread = w.thread.get(&w.k);
    assert!(thread.state.is_restart() && thread.in_release_queue.get());
}

#[test]
fn a_timeout_is_told_to_the_handler_if_there_is_one() {
    let (mut w, o) = world();
    configure(&mut w, SC, 1_000, 10_000, 0);
    call_server(&mut w, &o);
    w.k.set_current(w.thread.get(&w.k));
    let handler = w.call(THREAD, Label::TcbSetTimeoutEndpoint, &[], &[EP]);
    w.k.set_current(o.thread.get(&w.k));
    assert_eq!(handler, Ok(vec![]));
    o.thread.get(&w.k).state.set(ThreadState::Running);
    host::advance_time(us_to_ticks(1_000));
    assert_eq!(interrupt::interrupt(&mut w.k, IRQ_TIMER), w.k.core().idle_thread.link());
    assert!(matches!(o.thread.get(&w.k).fault(), Fault::Timeout { .. }));
    assert!(matches!(o.thread.get(&w.k).state.get(), ThreadState::BlockedOnSend { .. }));
    assert!(!o.thread.get(&w.k).in_release_queue.get());
}

#[test]
fn who_is_answered_without_budget_waits_or_faults_once() {
    let timeout = Fault::Timeout { badge: 0 };
    for (fault, handled, again) in [
        (Fault::None, false, false),
        (Fault::None, true, true),
        (timeout, true, false),
        (timeout, false, false),
    ] {
        let (mut w, o) = world();
        configure(&mut w, TARGET, 1_000, 10_000, 0);
        bind(&mut w, TARGET, THREAD);
        let handler = if handled { EP } else { FREE + 8 };
        w.call(THREAD, Label::TcbSetTimeoutEndpoint, &[], &[handler]).expect("sets");
        let first = w.thread;
        w.set_message(first, 0, &[], &[]);
        let (t, Cap::Reply { reply, .. }) = (o.thread.get(&w.k), w.cap(REPLY)) else { unreachable!() };
        reply::push(&w.k, t, w.thread.get(&w.k), reply.get(&w.k), false);
        t.set_fault(fault);
        refill::head(o.sc.get(&w.k)).time.set(pecan_arch::now() + us_to_ticks(5_000));
        let next = answer::send(&w.k, w.thread.get(&w.k), reply.get(&w.k), false, None);
        assert_eq!(next, next::Next::Resume);
        // Either way it is told or waits, and is not lost.
        let faults = matches!(t.state.get(), ThreadState::BlockedOnSend { .. });
        assert_eq!((faults, t.in_release_queue.get()), (again, !again), "{fault:?}, handled: {handled}");
        assert!(faults || t.state.is_runnable());
    }
}

#[test]
fn a_notification_lends_its_scheduling_context() {
    let (mut w, o) = world();
    configure(&mut w, TARGET, 1_000, 10_000, 0);
    bind(&mut w, TARGET, NTFN);
    let Cap::Notification { ntfn, .. } = w.cap(NTFN) else { unreachable!() };
    let thread = o.thread.get(&w.k);
    thread.priority.set(PRIORITY + 1);
    notification::wait(&w.k, thread, ntfn.get(&w.k), true);
    let next = notification::signal(&w.k, ntfn.get(&w.k), 5);
    assert_eq!(choose::schedule(&w.k, next).link(), o.thread);
    assert_eq!(o.sc.get(&w.k).tcb.get(), Some(o.thread));
    notification::wait(&w.k, o.thread.get(&w.k), ntfn.get(&w.k), true);
    assert_eq!(choose::schedule(&w.k, next::Next::Resume).link(), w.thread);
    assert!(o.sc.get(&w.k).tcb.get().is_none());
    assert!(o.sc.get(&w.k).notification.get().is_some());
}

#[test]
fn domain_errors() {
    let (mut w, o) = world();
    let domains = pecan_config::NUM_DOMAINS as u64;
    let last = pecan_config::NUM_DOMAIN_SCHEDULES as u64 - 1;
    let (set, entry, begin) =
        (Label::DomainSetSet, Label::DomainScheduleConfigure, Label::DomainScheduleSetStart);
    fails(&mut w, DOMAIN, set, &[], &[THREAD], Error::TruncatedMessage, &[]);
    fails(&mut w, DOMAIN, set, &[0], &[], Error::TruncatedMessage, &[]);
    fails(&mut w, DOMAIN, set, &[domains], &[THREAD], Error::InvalidArgument, &[0]);
    fails(&mut w, DOMAIN, set, &[0], &[EP], Error::InvalidArgument, &[1]);
    fails(&mut w, DOMAIN, entry, &[0, 0], &[], Error::TruncatedMessage, &[]);
    fails(&mut w, DOMAIN, entry, &[last, 0, 5], &[], Error::RangeError, &[0, last - 1]);
    fails(&mut w, DOMAIN, entry, &[!0, 0, 5], &[], Error::RangeError, &[0, last - 1]);
    fails(&mut w, DOMAIN, entry, &[0, domains, 5], &[], Error::RangeError, &[0, domains - 1]);
    fails(&mut w, DOMAIN, entry, &[0, 0, 0], &[], Error::InvalidArgument, &[2]);
    fails(&mut w, DOMAIN, entry, &[1, 0, 1 << 56], &[], Error::InvalidArgument, &[2]);
    let longest = (1 << 56) - 1;
    w.call(DOMAIN, entry, &[last - 1, 0, longest], &[]).expect("it is the longest there is");
    assert_eq!(w.k.global().domain_schedule[last as usize - 1].duration.get(), longest);
    if domains > 1 {
        fails(&mut w, DOMAIN, entry, &[1, 1, 0], &[], Error::InvalidArgument, &[2]);
        w.call(DOMAIN, set, &[1], &[THREAD]).expect("sets");
        assert_eq!(o.thread.get(&w.k).domain.get(), 1);
    }
    fails(&mut w, DOMAIN, begin, &[], &[], Error::TruncatedMessage, &[]);
    fails(&mut w, DOMAIN, begin, &[last + 1], &[], Error::RangeError, &[0, last]);
    fails(&mut w, DOMAIN, begin, &[1], &[], Error::InvalidArgument, &[0]);
    fails(&mut w, DOMAIN, begin, &[last], &[], Error::InvalidArgument, &[0]);
    fails(&mut w, DOMAIN, Label::TcbSuspend, &[], &[], Error::IllegalOperation, &[]);
    assert_eq!((w.k.core().domain.get(), w.k.global().domain_start.get()), (0, 0));
}

#[test]
fn what_has_just_been_used_counts_as_consumed() {
    let mut w = World::new();
    let ask = |w: &mut World| w.call(SC, Label::SchedContextConsumed, &[], &[]).expect("answers")[0];
    w.k.core().time.set(pecan_arch::now());
    ask(&mut w);
    host::advance_time(us_to_ticks(30));
    w.k.core().time.set(pecan_arch::now());
    assert_eq!((ask(&mut w), ask(&mut w)), (30, 0));
}
