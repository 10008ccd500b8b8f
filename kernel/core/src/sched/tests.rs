//! Who runs when.

use pecan_abi::{Label, ObjectType, Syscall};
use pecan_arch::{Exception, IRQ_TIMER, host, reg, us_to_ticks};
use pecan_mem::{Link, Tcb, ThreadState};

use crate::{
    entry::{exception, interrupt},
    ipc::{end, stop},
    sched::{budget, choose, next::Next, ready, refill, units},
    testing::{DOMAIN, FREE, PRIORITY, SC, SCHED_CONTROL, TCB, World},
};

/// Threads are made from here on: a TCB and a scheduling context each.
const BASE: u64 = FREE + 16;

/// Invokes a capability in the name of the current thread. Returns who runs then.
fn invoke(w: &mut World, cptr: u64, label: Label, words: &[u64], extra: &[u64]) -> Link<Tcb> {
    let current = w.k.core().current.get();
    w.set_message(current, label as u64, words, extra);
    current.get(&w.k).context.set(reg::CAP, cptr);
    let next = w.syscall(Syscall::Call);
    assert_eq!(w.message(current).0, 0, "the invocation {label:?} failed");
    next
}

fn configure(w: &mut World, sc: u64, budget_us: u64, period_us: u64, extra_refills: u64, flags: u64) {
    let words = [budget_us, period_us, extra_refills, sc, flags];
    invoke(w, SCHED_CONTROL, Label::SchedControlConfigureFlags, &words, &[sc]);
}

/// Makes the thread number `n` with a budget of 1 ms every 10 ms, not started.
fn thread(w: &mut World, n: u64, priority: u64) -> Link<Tcb> {
    let (tcb, sc) = (BASE + 2 * n, BASE + 2 * n + 1);
    w.make(ObjectType::Tcb, 0, tcb);
    w.make(ObjectType::SchedContext, 8, sc);
    configure(w, sc, 1_000, 10_000, 0, 0);
    // The null capability at `FREE` is no fault handler.
    invoke(w, tcb, Label::TcbSetSchedParams, &[priority, priority], &[TCB, sc, FREE]);
    let pecan_mem::Cap::Tcb { tcb } = w.cap(tcb) else { unreachable!() };
    tcb
}

fn start(w: &mut World, n: u64) -> Link<Tcb> {
    invoke(w, BASE + 2 * n, Label::TcbResume, &[], &[])
}

fn timer(w: &mut World, after_us: u64) -> Link<Tcb> {
    host::advance_time(us_to_ticks(after_us));
    interrupt::interrupt(&mut w.k, IRQ_TIMER)
}

#[test]
fn a_higher_priority_preempts_and_a_lower_one_waits() {
    let mut w = World::new();
    let first = w.thread;
    let low = thread(&mut w, 0, PRIORITY as u64 - 1);
    let high = thread(&mut w, 1, PRIORITY as u64 + 1);
    assert_eq!(start(&mut w, 0), first);
    assert!(low.get(&w.k).is_queued.get());
    assert_eq!(start(&mut w, 1), high);
    assert!(first.get(&w.k).is_queued.get());
    assert!(!high.get(&w.k).is_queued.get());
    // It began at the start, not after it.
    assert_eq!(high.get(&w.k).state.get(), ThreadState::Running);
}

#[test]
fn what_two_operations_ask_for_comes_to_one_answer() {
    let mut w = World::new();
    let threads = [0, 1].map(|n| thread(&mut w, n, PRIORITY as u64));
    threads.iter().for_each(|t| t.get(&w.k).state.set(ThreadState::Running));
    let [a, b] = threads.map(Next::Switch);
    let queued = |t: Link<Tcb>| {
        let was = t.get(&w.k).is_queued.get();
        ready::dequeue(&w.k, t.get(&w.k));
        was
    };
    for (first, second, both) in [
        (Next::Resume, Next::Resume, Next::Resume),
        (Next::Resume, a, a),
        (a, Next::Resume, a),
        (a, a, a),
        (Next::Choose, Next::Resume, Next::Choose),
        (Next::Resume, Next::Choose, Next::Choose),
    ] {
        assert_eq!(first.and(&w.k, second), both, "{first:?} and {second:?}");
        assert!(!queued(threads[0]) && !queued(threads[1]));
    }
    assert_eq!(a.and(&w.k, b), Next::Choose);
    assert!(queued(threads[0]) && queued(threads[1]), "nobody gets lost");
    assert_eq!(b.and(&w.k, Next::Choose), Next::Choose);
    assert!(!queued(threads[0]) && queued(threads[1]));
    for (next, settled) in [(Next::Resume, Next::Resume), (a, Next::Choose), (Next::Choose, Next::Choose)] {
        assert_eq!(next.settle(&w.k), settled);
        assert_eq!(queued(threads[0]), next == a);
    }
    threads[0].get(&w.k).state.set(ThreadState::Inactive);
    assert_eq!(a.settle(&w.k), Next::Choose);
    assert!(!queued(threads[0]), "it has been stopped since");
}

#[test]
fn configuring_ones_own_scheduling_context_costs_no_turn() {
    let mut w = World::new();
    let first = w.thread;
    let equal = thread(&mut w, 0, PRIORITY as u64);
    assert_eq!(start(&mut w, 0), first);
    configure(&mut w, SC, 2_000, 2_000, 0, 0);
    assert_eq!(w.k.core().current.get(), first);
    assert!(equal.get(&w.k).is_queued.get() && !first.get(&w.k).is_queued.get());
    // That of a thread that is ready puts it behind its equals.
    let other = thread(&mut w, 1, PRIORITY as u64);
    assert_eq!(start(&mut w, 1), first);
    configure(&mut w, BASE + 1, 1_000, 10_000, 0, 0);
    assert_eq!(w.syscall(Syscall::Yield), other);
    assert_eq!(w.syscall(Syscall::Yield), equal);
}

#[test]
fn equals_take_turns_at_the_end_of_their_slices() {
    let mut w = World::new();
    let first = w.thread;
    configure(&mut w, SC, 2_000, 2_000, 0, 0);
    let others: Vec<_> = (0..3).map(|n| thread(&mut w, n, PRIORITY as u64)).collect();
    for n in 0..3 {
        configure(&mut w, BASE + 2 * n + 1, 2_000, 2_000, 0, 0);
        assert_eq!(start(&mut w, n), first);
    }
    for round in 0..3 {
        for (n, &thread) in others.iter().enumerate() {
            assert_eq!(timer(&mut w, 1_000), if n == 0 { first } else { others[n - 1] }, "round {round}");
            assert_eq!(timer(&mut w, 1_000), thread, "round {round}");
        }
        assert_eq!(timer(&mut w, 2_000), first);
    }
}

#[test]
fn yielding_goes_behind_equals() {
    let mut w = World::new();
    let first = w.thread;
    let other = thread(&mut w, 0, PRIORITY as u64);
    configure(&mut w, BASE + 1, 5_000, 5_000, 0, 0);
    assert_eq!(w.syscall(Syscall::Yield), first, "nobody else is ready");
    start(&mut w, 0);
    assert_eq!(w.syscall(Syscall::Yield), other);
    assert_eq!(w.syscall(Syscall::Yield), first);
}

#[test]
fn a_preempted_thread_keeps_its_turn() {
    let mut w = World::new();
    let first = w.thread;
    let equal = thread(&mut w, 0, PRIORITY as u64);
    let high = thread(&mut w, 1, PRIORITY as u64 + 1);
    start(&mut w, 0);
    assert_eq!(start(&mut w, 1), high);
    assert_eq!(w.syscall(Syscall::Yield), first, "the equal thread is behind it");
    assert!(equal.get(&w.k).is_queued.get());
}

#[test]
fn a_thread_without_budget_waits_for_its_refill() {
    let mut w = World::new();
    let first = w.thread;
    let high = thread(&mut w, 0, PRIORITY as u64 + 1);
    let released = pecan_arch::now() + us_to_ticks(10_000);
    assert_eq!(start(&mut w, 0), high);
    assert_eq!(host::machine().deadline.get(), pecan_arch::now() + us_to_ticks(1_000));
    assert_eq!(timer(&mut w, 1_000), first);
    assert!(high.get(&w.k).in_release_queue.get());
    assert_eq!(w.k.core().release_head.get(), Some(high));
    // The first thread's own slice ends before.
    assert_eq!(timer(&mut w, 5_000), first);
    assert_eq!(host::machine().deadline.get(), released);
    assert_eq!(timer(&mut w, 4_000), high);
    assert_eq!(w.k.core().release_head.get(), None);
    assert!(first.get(&w.k).is_queued.get());
}

#[test]
fn the_release_queue_is_in_order_of_time() {
    let mut w = World::new();
    let mut threads = Vec::new();
    for (n, period) in [(0, 30_000), (1, 10_000), (2, 20_000), (3, 10_000)] {
        threads.push(thread(&mut w, n, PRIORITY as u64 + 1));
        configure(&mut w, BASE + 2 * n + 1, 1_000, period, 0, 0);
        assert_eq!(start(&mut w, n), threads[n as usize]);
        assert_eq!(w.syscall(Syscall::Yield), w.thread);
    }
    let waiting = crate::invariants::release_order(&w.k);
    let order = waiting.iter().map(|t| threads.iter().position(|u| u == t).expect("one of the four"));
    assert_eq!(order.collect::<Vec<_>>(), [1, 3, 2, 0]);
    // Both that are due run, in this order.
    assert_eq!(timer(&mut w, 10_000), threads[1]);
    assert_eq!(w.syscall(Syscall::Yield), threads[3]);
    assert_eq!(w.syscall(Syscall::Yield), w.thread);
}

#[test]
fn a_long_entry_leaves_the_release_to_the_timer() {
    let mut w = World::new();
    let high = thread(&mut w, 0, PRIORITY as u64 + 1);
    assert_eq!(start(&mut w, 0), high);
    assert_eq!(timer(&mut w, 1_000), w.thread);
    assert!(high.get(&w.k).in_release_queue.get());
    host::advance_time(us_to_ticks(9_000));
    budget::update_time(&w.k);
    // From here on as at the end of a system call of so many ticks.
    let long = pecan_arch::kernel_wcet_ticks().div_ceil(budget::LONG);
    host::advance_time(long);
    assert_eq!(budget::awaken(&w.k), Next::Resume);
    assert!(high.get(&w.k).in_release_queue.get());
    assert_eq!(timer(&mut w, 0), high);
}

#[test]
fn nothing_is_due_early_once_who_was_first_has_left_the_release_queue() {
    let mut w = World::new();
    // A slice that ends after both are due: it begins with the system call.
    configure(&mut w, SC, 500_000, 500_000, 0, 0);
    w.syscall(Syscall::Yield);
    let threads: Vec<_> = [(0, 20_000), (1, 50_000)]
        .map(|(n, period)| {
            let thread = thread(&mut w, n, PRIORITY as u64 + 1);
            configure(&mut w, BASE + 2 * n + 1, 1_000, period, 0, 0);
            assert_eq!(start(&mut w, n), thread);
            assert_eq!(w.syscall(Syscall::Yield), w.thread);
            thread
        })
        .into();
    let due = |w: &World| w.k.core().quiet_until.get() - pecan_arch::now();
    assert_eq!(w.k.core().release_head.get(), Some(threads[0]));
    assert!(due(&w) < us_to_ticks(20_000));
    invoke(&mut w, BASE, Label::TcbSuspend, &[], &[]);
    assert_eq!(w.k.core().release_head.get(), Some(threads[1]));
    assert!((us_to_ticks(40_000)..us_to_ticks(50_000)).contains(&due(&w)));
}

#[test]
fn a_preempted_operation_that_stopped_its_caller_is_charged_and_makes_way() {
    let w = World::new();
    let (thread, sc) = (w.thread.get(&w.k), w.k.core().current_sc.get().get(&w.k));
    let used = us_to_ticks(100);
    assert_eq!(end::check_preempted(&w.k), Next::Resume);
    // It could go on: what it used is charged when somebody else runs.
    host::advance_time(used);
    assert_eq!(end::check_preempted(&w.k), Next::Resume);
    let consumed = sc.consumed.get();
    // It has stopped itself.
    thread.state.set(ThreadState::Inactive);
    assert_eq!(end::check_preempted(&w.k), Next::Choose);
    assert_eq!(sc.consumed.get() - consumed, used);
    // It has given its scheduling context away.
    thread.state.set(ThreadState::Running);
    host::advance_time(used);
    let other = w.k.core().idle_sc.link();
    thread.sched_context.set(Some(other));
    other.get(&w.k).refill_max.set(2);
    assert_eq!(end::check_preempted(&w.k), Next::Choose);
    assert_eq!(sc.consumed.get() - consumed, 2 * used);
}

#[test]
fn suspending_and_resuming_gives_no_budget() {
    let mut w = World::new();
    let first = w.thread;
    let high = thread(&mut w, 0, PRIORITY as u64 + 1);
    start(&mut w, 0);
    assert_eq!(w.syscall(Syscall::Yield), first);
    for _ in 0..3 {
        invoke(&mut w, BASE, Label::TcbSuspend, &[], &[]);
        assert_eq!(w.k.core().release_head.get(), None);
        assert_eq!(start(&mut w, 0), first);
        assert_eq!(w.k.core().release_head.get(), Some(high));
    }
}

#[test]
fn the_current_thread_suspending_itself_makes_way() {
    let mut w = World::new();
    assert_eq!(invoke_suspend_self(&mut w), w.k.core().idle_thread.link());
    assert_eq!(w.thread.get(&w.k).state.get(), ThreadState::Inactive);
    assert_eq!(host::machine().vspace.get(), None);
    // The timer comes once as it was set; then nothing wakes the idle thread for a long time.
    assert_eq!(timer(&mut w, 5_000), w.k.core().idle_thread.link());
    assert!(host::machine().deadline.get() > us_to_ticks(1_000_000_000));
}

fn invoke_suspend_self(w: &mut World) -> Link<Tcb> {
    let current = w.k.core().current.get();
    w.set_message(current, Label::TcbSuspend as u64, &[], &[]);
    current.get(&w.k).context.set(reg::CAP, TCB);
    w.syscall(Syscall::Call)
}

#[test]
fn the_idle_thread_yields_to_a_released_one() {
    let mut w = World::new();
    let high = thread(&mut w, 0, PRIORITY as u64);
    start(&mut w, 0);
    assert_eq!(invoke_suspend_self(&mut w), high);
    assert_eq!(timer(&mut w, 1_000), w.k.core().idle_thread.link());
    assert_eq!(timer(&mut w, 5_000), w.k.core().idle_thread.link());
    assert_eq!(timer(&mut w, 4_000), high);
}

#[test]
fn priorities_are_as_fine_as_they_say() {
    let mut w = World::new();
    // 40 threads over all words of the bitmap, started in a mixed order.
    let priority = |n: u64| (n * 6) % 100;
    let threads: Vec<_> = (0..40).map(|n| thread(&mut w, n, priority(n))).collect();
    for n in 0..40 {
        start(&mut w, (n * 7) % 40);
    }
    let mut runs = vec![invoke_suspend_self(&mut w)];
    while runs.len() < 40 {
        runs.push(w.syscall(Syscall::Yield));
    }
    let order: Vec<_> = runs.iter().map(|t| t.get(&w.k).priority.get()).collect();
    assert!(order.is_sorted_by(|a, b| a >= b), "{order:?}");
    assert!(threads.iter().all(|t| runs.contains(t)));
    assert_eq!(w.syscall(Syscall::Yield), w.k.core().idle_thread.link());
}

#[test]
fn changing_a_priority_moves_a_ready_thread() {
    let mut w = World::new();
    let first = w.thread;
    let a = thread(&mut w, 0, 10);
    start(&mut w, 0);
    let set = |w: &mut World, cptr, priority| invoke(w, cptr, Label::TcbSetPriority, &[priority], &[TCB]);
    assert_eq!(set(&mut w, BASE, 90), first);
    assert_eq!(set(&mut w, BASE, 101), a, "now it is above the first thread");
    // It has no CSpace to make system calls with; its budget ends.
    assert_eq!(timer(&mut w, 1_000), first);
    assert_eq!(set(&mut w, TCB, 5), first);
    assert_eq!(timer(&mut w, 9_000), a);
}

#[test]
fn lowering_ones_own_priority_makes_way() {
    let mut w = World::new();
    let a = thread(&mut w, 0, 50);
    start(&mut w, 0);
    assert_eq!(invoke(&mut w, TCB, Label::TcbSetPriority, &[49], &[TCB]), a);
    assert!(w.thread.get(&w.k).is_queued.get());
}

#[test]
fn time_is_charged_to_who_ran() {
    let mut w = World::new();
    let high = thread(&mut w, 0, PRIORITY as u64 + 1);
    host::advance_time(us_to_ticks(300));
    assert_eq!(start(&mut w, 0), high);
    host::advance_time(us_to_ticks(400));
    w.syscall(Syscall::Yield);
    let consumed = |w: &mut World, cptr| {
        invoke(w, cptr, Label::SchedContextConsumed, &[], &[]);
        w.message(w.thread).1
    };
    assert_eq!(consumed(&mut w, SC), [300]);
    assert_eq!(consumed(&mut w, SC), [0]);
    assert_eq!(consumed(&mut w, BASE + 1), [400]);
}

#[test]
fn only_a_sporadic_thread_saves_up_what_it_could_not_use() {
    for (flags, is_sporadic) in [(0, false), (1, true)] {
        let mut w = World::new();
        let low = thread(&mut w, 0, PRIORITY as u64 + 1);
        let high = thread(&mut w, 1, PRIORITY as u64 + 2);
        configure(&mut w, BASE + 1, 1_000, 10_000, 0, flags);
        assert_eq!(start(&mut w, 0), low);
        let sc = low.get(&w.k).sched_context.get().expect("it has one").get(&w.k);
        let begin = refill::head(sc).time.get();
        // A thread of a higher priority runs for a while.
        let next = stop::restart(&w.k, high.get(&w.k));
        assert_eq!(choose::schedule(&w.k, next).link(), high);
        host::advance_time(us_to_ticks(300));
        budget::update_time(&w.k);
        stop::suspend(&w.k, high.get(&w.k));
        assert_eq!(choose::schedule(&w.k, Next::Choose).link(), low);
        let expected = if is_sporadic { begin } else { pecan_arch::now() };
        assert_eq!(refill::head(sc).time.get(), expected, "sporadic: {is_sporadic}");
    }
}

#[test]
fn a_live_scheduling_context_can_be_configured() {
    let mut w = World::new();
    let high = thread(&mut w, 0, PRIORITY as u64 + 1);
    start(&mut w, 0);
    assert_eq!(w.syscall(Syscall::Yield), w.thread);
    // The whole budget of 1 ms has been used; 3 ms more are due a period after it comes back.
    configure(&mut w, BASE + 1, 4_000, 20_000, 0, 0);
    let sc = high.get(&w.k).sched_context.get().expect("bound").get(&w.k);
    assert_eq!(refill::head(sc).amount.get(), us_to_ticks(1_000));
    assert_eq!(w.k.core().release_head.get(), Some(high));
    // The thread that runs: what it has used of its slice counts.
    host::advance_time(us_to_ticks(1_000));
    configure(&mut w, SC, 3_000, 3_000, 0, 0);
    assert_eq!(w.k.core().current.get(), w.thread);
    assert_eq!(host::machine().deadline.get(), pecan_arch::now() + us_to_ticks(3_000));
    host::advance_time(us_to_ticks(1_000));
    configure(&mut w, SC, 4_000, 4_000, 0, 0);
    assert_eq!(host::machine().deadline.get(), pecan_arch::now() + us_to_ticks(2_000));
}

#[test]
fn vector_registers_follow_their_thread() {
    let mut w = World::new();
    let machine = host::machine();
    *machine.fpu_registers.borrow_mut() = vec![1; 64];
    let high = thread(&mut w, 0, PRIORITY as u64 + 1);
    assert_eq!(start(&mut w, 0), high);
    assert_eq!(machine.fpu_registers.borrow()[..64], [0; 64]);
    *machine.fpu_registers.borrow_mut() = vec![2; 64];
    assert_eq!(w.syscall(Syscall::Yield), w.thread);
    assert_eq!(machine.fpu_registers.borrow()[..64], [1; 64]);
    assert_eq!(w.k.core().fpu_owner.get(), Some(w.thread));
    // Without the unit nothing is loaded; the owner stays.
    invoke(&mut w, BASE, Label::TcbSetFlags, &[0, 1], &[]);
    assert_eq!(timer(&mut w, 10_000), high);
    assert!(!machine.fpu_enabled.get());
    assert_eq!(w.k.core().fpu_owner.get(), Some(w.thread));
    assert_eq!(w.syscall(Syscall::Yield), w.thread);
    assert!(machine.fpu_enabled.get());
    // A deleted owner is forgotten.
    invoke(&mut w, BASE, Label::TcbSetFlags, &[1, 0], &[]);
    assert_eq!(timer(&mut w, 10_000), high);
    assert_eq!(w.syscall(Syscall::Yield), w.thread);
    w.delete(BASE).expect("deletes");
    assert_ne!(w.k.core().fpu_owner.get(), Some(high));
}

#[test]
fn nobody_gets_the_registers_of_a_thread_when_nobody_runs() {
    let mut w = World::new();
    let first = w.thread;
    units::load_units(&w.k, first.get(&w.k));
    first.get(&w.k).context.set(reg::TLS_BASE, 7);
    pecan_arch::load_context(&first.get(&w.k).context);
    let live = || host::LIVE_REGISTERS.iter().zip(8..);
    live().for_each(|(r, value)| assert!(host::set_live(*r, value)));
    let idle = invoke_suspend_self(&mut w);
    assert_eq!(idle, w.k.core().idle_thread.link());
    // Its bases are saved, and its vector registers stay in the processor until somebody else wants the unit.
    let context = &first.get(&w.k).context;
    live().for_each(|(r, value)| assert_eq!(context.get(*r), value));
    assert_eq!(w.k.core().fpu_owner.get(), Some(first));
    live().for_each(|(r, value)| assert!(host::set_live(*r, value - 7)));
    let next = stop::restart(&w.k, first.get(&w.k));
    assert_eq!(choose::schedule(&w.k, next).link(), first);
    assert_eq!(w.k.core().fpu_owner.get(), Some(first));
    live().for_each(|(r, value)| assert_eq!(host::live(*r), Some(value)));
    let idle = &idle.get(&w.k).context;
    live().for_each(|(r, _)| assert_eq!(idle.get(*r), 0, "nor is anything saved in the idle thread"));
}

#[test]
fn a_thread_without_the_vector_unit_does_not_get_it_by_taking_it_from_another() {
    let mut w = World::new();
    let machine = host::machine();
    let high = thread(&mut w, 0, PRIORITY as u64 + 1);
    assert_eq!(start(&mut w, 0), high);
    assert_eq!(w.syscall(Syscall::Yield), w.thread);
    // The other thread's registers are in the unit, which this one may not use.
    w.k.core().fpu_owner.set(Some(high));
    invoke(&mut w, TCB, Label::TcbSetFlags, &[0, 1], &[]);
    assert!(!machine.fpu_enabled.get());
    assert_eq!(w.k.core().fpu_owner.get(), Some(high));
    invoke(&mut w, BASE, Label::TcbSetFlags, &[0, 1], &[]);
    assert_eq!(w.k.core().fpu_owner.get(), None);
    assert!(!machine.fpu_enabled.get());
}

#[test]
fn deleting_a_thread_or_its_scheduling_context_takes_it_from_every_queue() {
    let mut w = World::new();
    for n in 0..4 {
        thread(&mut w, n, PRIORITY as u64 + 1 - n / 2);
        start(&mut w, n);
        if n < 2 {
            // Into the release queue.
            assert_eq!(w.syscall(Syscall::Yield), w.thread);
        }
    }
    w.delete(BASE).expect("deletes");
    w.delete(BASE + 3).expect("deletes");
    assert_eq!(w.k.core().release_head.get(), None);
    w.delete(BASE + 4).expect("deletes");
    w.delete(BASE + 7).expect("deletes");
    let queues = &w.k.core().ready[0];
    assert!(queues.heads.iter().all(|head| head.get().is_none()));
    assert!(queues.bitmap.iter().all(|word| word.get() == 0));
}

#[test]
fn domains_take_turns() {
    if pecan_config::NUM_DOMAINS < 2 {
        return;
    }
    let mut w = World::new();
    let first = w.thread;
    let other = thread(&mut w, 0, PRIORITY as u64 + 1);
    assert_eq!(invoke(&mut w, DOMAIN, Label::DomainSetSet, &[1], &[BASE]), first);
    assert_eq!(start(&mut w, 0), first, "its domain has no time yet");
    let ms = us_to_ticks(1_000);
    for (index, domain, duration) in [(0, 0, 4 * ms), (1, 1, 2 * ms)] {
        invoke(&mut w, DOMAIN, Label::DomainScheduleConfigure, &[index, domain, duration], &[]);
    }
    assert_eq!(timer(&mut w, 1), first, "the schedule was begun before it was changed");
    assert_eq!(invoke(&mut w, DOMAIN, Label::DomainScheduleSetStart, &[0], &[]), first);
    assert_eq!(host::machine().deadline.get(), pecan_arch::now() + 4 * ms);
    let forgotten = host::machine().domains_forgotten.get();
    assert_eq!(timer(&mut w, 3_900), first);
    assert_eq!(host::machine().domains_forgotten.get(), forgotten, "within a domain");
    assert_eq!(timer(&mut w, 100), other);
    assert_eq!(host::machine().domains_forgotten.get(), forgotten + 1, "between two domains");
    assert_eq!(timer(&mut w, 1_000), w.k.core().idle_thread.link(), "its budget of 1 ms is used up");
    assert_eq!(timer(&mut w, 1_000), first);
    // Moving it here lets it run in this domain, once it has budget.
    assert_eq!(invoke(&mut w, DOMAIN, Label::DomainSetSet, &[0], &[BASE]), first);
    assert_eq!(timer(&mut w, 4_000), w.k.core().idle_thread.link(), "nothing is left in domain 1");
    assert_eq!(timer(&mut w, 2_000), first);
    assert_eq!(timer(&mut w, 2_000), other);
}

#[test]
fn a_domain_of_any_duration_gets_something_done() {
    if pecan_config::NUM_DOMAINS < 2 {
        return;
    }
    let least = refill::min_budget();
    for duration in [1, 20, least - 1, least, least + 1, 2 * least - 1, 2 * least, 2 * least + 1] {
        let mut w = World::new();
        let (first, other) = (w.thread, thread(&mut w, 0, PRIORITY as u64));
        invoke(&mut w, DOMAIN, Label::DomainSetSet, &[1], &[BASE]);
        start(&mut w, 0);
        for domain in [0, 1] {
            let entry = [domain, domain, duration];
            invoke(&mut w, DOMAIN, Label::DomainScheduleConfigure, &entry, &[]);
        }
        invoke(&mut w, DOMAIN, Label::DomainScheduleSetStart, &[0], &[]);
        for _ in 0..3 {
            let (begin, end) = (pecan_arch::now(), host::machine().deadline.get());
            assert_eq!(end - begin, duration.max(2 * least), "{duration}");
            // A system call that is made half of the time later is done, not put off.
            host::set_time(begin + least - 1);
            assert_eq!(invoke(&mut w, SC, Label::SchedContextConsumed, &[], &[]), first);
            host::set_time(end);
            assert_eq!(interrupt::interrupt(&mut w.k, IRQ_TIMER), other, "{duration}");
            host::set_time(host::machine().deadline.get());
            assert_eq!(interrupt::interrupt(&mut w.k, IRQ_TIMER), first, "{duration}");
        }
    }
}

#[test]
fn no_exception_is_lost_where_a_budget_ends() {
    let fault = FREE + 8;
    // From long before the end of the budget to long behind it, by the smallest budget and around it.
    let ends = [-3, -1, 0, 1, 3].map(|n| us_to_ticks(1_000) as i64 + n * refill::min_budget() as i64);
    let offsets = ends.into_iter().flat_map(|end| [end - 1, end, end + 1]);
    for (number, after) in (0..32).flat_map(|number| offsets.clone().map(move |after| (number, after))) {
        let mut w = World::new();
        let faulty = thread(&mut w, 0, PRIORITY as u64 + 1);
        let pecan_mem::Cap::Endpoint { ep, .. } = w.make(ObjectType::Endpoint, 0, fault) else {
            unreachable!()
        };
        let priority = PRIORITY as u64 + 1;
        invoke(&mut w, BASE, Label::TcbSetSchedParams, &[priority, priority], &[TCB, BASE + 1, fault]);
        assert_eq!(start(&mut w, 0), faulty);
        let ip = faulty.get(&w.k).context.get(reg::FAULT_IP);
        host::advance_time(after as u64);
        let raise = |w: &mut World| {
            let exception = pecan_arch::decode_exception(number, 0, 0);
            let exception = match exception {
                Exception::Debug { .. } => Exception::User { number, code: 0 },
                other => other,
            };
            exception::exception(&mut w.k, exception)
        };
        let mut next = raise(&mut w);
        let told = |w: &World| ep.get(&w.k).head() == Some(faulty);
        if !told(&w) {
            // It is put off until there is budget, and raised again by the same instruction.
            assert!(
                !pecan_arch::is_trap(number),
                "exception {number}, {after} ticks after the budget began, is lost"
            );
            assert_ne!(next, faulty);
            next = timer(&mut w, 20_000);
            assert_eq!(next, faulty);
            assert_eq!(faulty.get(&w.k).context.get(reg::NEXT_IP), ip);
            next = raise(&mut w);
        }
        assert!(told(&w), "exception {number}, {after} ticks after the budget began");
        assert_ne!(next, faulty);
        w.check();
    }
}

#[test]
fn a_higher_thread_takes_over_from_one_that_is_queued_already() {
    for queued in [false, true] {
        let mut w = World::new();
        let (first, high) = (w.thread, thread(&mut w, 0, PRIORITY as u64 + 1));
        let other = thread(&mut w, 1, PRIORITY as u64);
        start(&mut w, 1);
        high.get(&w.k).state.set(ThreadState::Running);
        if queued {
            ready::enqueue(&w.k, first.get(&w.k));
        }
        assert_eq!(choose::schedule(&w.k, Next::Switch(high)).link(), high);
        w.check();
        // The one that it was taken from comes before its peer.
        high.get(&w.k).state.set(ThreadState::Inactive);
        assert_eq!(choose::schedule(&w.k, Next::Choose).link(), first, "{queued}");
        assert!(other.get(&w.k).is_queued.get());
        w.check();
    }
}
