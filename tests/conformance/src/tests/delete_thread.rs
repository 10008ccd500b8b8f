//! TCBs in every state when their capabilities go.

use core::arch::asm;

use pecan::raw::{self, invocations as inv};
use pecan_abi::{CPtr, CapRights, ObjectType, UserContext, boot::slot, constants::tcb_flag, fault::FaultTag};

use super::{
    deletion::{ALL, Place, Way},
    domain,
};
use crate::{
    Env,
    env::{
        DEPTH, HIGH, LOW, MIDDLE, Mapped, ROOT, TEST, answer, call, delete, memory_left, poll, sched_control, send,
        signal,
    },
    machine,
    thread::{Spaces, Thread},
};

states! {
    not_started: "TCB" "not started", ALL;
    ready: "TCB" "ready", ALL;
    running: "TCB" "running: it does it itself", ALL;
    sending: "TCB" "blocked in a send", ALL;
    calling: "TCB" "blocked in a call's send", ALL;
    receiving: "TCB" "blocked in a receive", ALL;
    waiting: "TCB" "blocked on a notification", ALL;
    in_the_middle_of_a_queue: "TCB" "between others in an endpoint's queue", ALL;
    awaiting_an_answer: "TCB" "waiting for an answer", ALL;
    fault_queued: "TCB" "faulted, the fault is queued", ALL;
    fault_being_handled: "TCB" "faulted, the fault is being handled", ALL;
    stopped_by_a_fault: "TCB" "stopped by a fault that nobody handles", ALL;
    yielded: "TCB" "yielded to another", ALL;
    yielded_to: "TCB" "yielded to by another", ALL;
    bound_and_receiving: "TCB" "bound to a notification, in a receive", ALL;
    bound_and_ready: "TCB" "bound to a notification, ready", ALL;
    with_vector_registers: "TCB" "its vector registers are in the processor", ALL;
    out_of_budget: "TCB" "in the release queue", ALL;
    timed_out: "TCB" "its timeout fault is queued", ALL;
    in_another_domain: "TCB" "ready in another domain", ALL;
    passive: "TCB" "passive server, receiving", ALL;
    on_lent_time: "TCB" "running on its caller's time", ALL;
    first_of_a_chain: "TCB" "bottom of a chain of calls", ALL;
    middle_of_a_chain: "TCB" "middle of a chain of calls", ALL;
    holding_the_last_capabilities: "TCB" "holds the last capability to its CSpace", ALL;
    in_its_own_cspace: "TCB" "its last capability is in a CSpace that only it holds", &[Way::Parent];
}

const WORDS: u64 = UserContext::WORDS as u64;

/// An endpoint with a badged capability and a reply object.
fn channel(env: &Env) -> (CPtr, CPtr, CPtr) {
    let endpoint = env.endpoint();
    (endpoint, env.mint(endpoint, 0xc0de), env.reply())
}

#[track_caller]
fn nobody_sends(endpoint: CPtr, reply: CPtr) {
    assert_eq!(raw::nb_recv(endpoint, reply).badge, 0, "a message of a thread that is gone");
}

/// The thread's scheduling context lets another thread run.
#[track_caller]
fn its_time_is_free(env: &Env, gone: Thread) {
    assert!(!gone.has_returned(), "a thread ran on after it was deleted");
    let other = env.passive_thread(HIGH);
    other.start(|| 31);
    inv::sched_context_bind(gone.sc, other.tcb).expect("bind the scheduling context of a thread that is gone");
    assert_eq!(other.join(), 31);
}

fn not_started(env: &Env, way: Way) {
    let place = Place::new(env);
    let thread = place.thread(HIGH);
    let registers = thread.registers(|| 2);
    inv::tcb_write_registers(thread.tcb, false, 0, WORDS, &registers).expect("write registers");
    let alive = || {
        inv::tcb_resume(thread.tcb).expect("resume");
        assert_eq!(thread.join(), 2);
    };
    way.go(&place, thread.tcb, alive, || its_time_is_free(env, thread));
}

fn ready(env: &Env, way: Way) {
    let place = Place::new(env);
    let thread = place.spawn(LOW, || 2);
    let gone = || {
        assert_eq!(env.spawn(LOW, || 3).join(), 3);
        its_time_is_free(env, thread);
    };
    way.go(&place, thread.tcb, || assert_eq!(thread.join(), 2), gone);
}

fn running(env: &Env, way: Way) {
    let place = Place::new(env);
    let (thread, parent, scratch) = (place.thread(HIGH), place.parent, env.slot());
    thread.start(move || {
        way.apply(parent, thread.tcb, scratch);
        2
    });
    if way.ends() {
        place.overwrite();
        its_time_is_free(env, thread);
    } else {
        assert_eq!(thread.join(), 2);
    }
}

fn sending(env: &Env, way: Way) {
    let (place, (endpoint, badged, reply)) = (Place::new(env), channel(env));
    let thread = place.spawn(HIGH, move || {
        send(badged, 0, &[7]);
        2
    });
    let alive = || {
        assert_eq!(raw::nb_recv(endpoint, reply).regs[0], 7);
        assert_eq!(thread.join(), 2);
    };
    let gone = || {
        nobody_sends(endpoint, reply);
        its_time_is_free(env, thread);
    };
    way.go(&place, thread.tcb, alive, gone);
}

fn calling(env: &Env, way: Way) {
    let (place, (endpoint, badged, reply)) = (Place::new(env), channel(env));
    let thread = place.spawn(HIGH, move || call(badged, 0, &[7]).regs[0]);
    let alive = || {
        assert_eq!(raw::nb_recv(endpoint, reply).regs[0], 7);
        answer(reply, 0, &[8]);
        assert_eq!(thread.join(), 8);
    };
    let gone = || {
        nobody_sends(endpoint, reply);
        its_time_is_free(env, thread);
    };
    way.go(&place, thread.tcb, alive, gone);
}

fn receiving(env: &Env, way: Way) {
    let (place, (endpoint, badged, reply)) = (Place::new(env), channel(env));
    let thread = place.spawn(HIGH, move || raw::recv(endpoint, reply).regs[0]);
    let alive = || {
        send(badged, 0, &[7]);
        assert_eq!(thread.join(), 7);
    };
    let gone = || {
        // Its message goes to the next one, with the same reply object.
        let next = env.spawn(HIGH, move || raw::recv(endpoint, reply).regs[0]);
        assert_eq!(call_answered(env, badged, reply, next), 8);
        its_time_is_free(env, thread);
    };
    way.go(&place, thread.tcb, alive, gone);
}

/// Calls a thread that receives, and answers for it; returns what the caller got.
#[track_caller]
fn call_answered(env: &Env, badged: CPtr, reply: CPtr, receiver: Thread) -> u64 {
    let caller = env.spawn(HIGH, move || call(badged, 0, &[7]).regs[0]);
    assert_eq!(receiver.join(), 7);
    answer(reply, 0, &[8]);
    caller.join()
}

fn waiting(env: &Env, way: Way) {
    let (place, notification) = (Place::new(env), env.notification());
    let badged = env.mint(notification, 5);
    let thread = place.spawn(HIGH, move || raw::wait(notification).badge);
    let alive = || {
        signal(badged);
        assert_eq!(thread.join(), 5);
    };
    let gone = || {
        signal(badged);
        assert_eq!(poll(notification), 5, "a signal went to a thread that is gone");
        its_time_is_free(env, thread);
    };
    way.go(&place, thread.tcb, alive, gone);
}

fn in_the_middle_of_a_queue(env: &Env, way: Way) {
    let (place, (endpoint, badged, reply)) = (Place::new(env), channel(env));
    let sends = |word| {
        move || {
            send(badged, 0, &[word]);
            word
        }
    };
    let first = env.spawn(HIGH, sends(1));
    let thread = place.spawn(HIGH, sends(2));
    let last = env.spawn(HIGH, sends(3));
    let take = || raw::nb_recv(endpoint, reply).regs[0];
    let alive = || {
        assert_eq!([take(), take(), take()], [1, 2, 3]);
        assert_eq!(thread.join(), 2);
    };
    let gone = || {
        assert_eq!([take(), take()], [1, 3]);
        nobody_sends(endpoint, reply);
        its_time_is_free(env, thread);
    };
    way.go(&place, thread.tcb, alive, gone);
    assert_eq!([first.join(), last.join()], [1, 3]);
}

fn awaiting_an_answer(env: &Env, way: Way) {
    let (place, (endpoint, badged, reply)) = (Place::new(env), channel(env));
    let thread = place.spawn(HIGH, move || call(badged, 0, &[7]).regs[0]);
    assert_eq!(raw::recv(endpoint, reply).regs[0], 7);
    let alive = || {
        answer(reply, 0, &[8]);
        assert_eq!(thread.join(), 8);
    };
    let gone = || {
        // The answer goes nowhere, and the reply object serves the next caller.
        answer(reply, 0, &[9]);
        let next = env.spawn(HIGH, move || call(badged, 0, &[10]).regs[0]);
        assert_eq!(raw::recv(endpoint, reply).regs[0], 10);
        answer(reply, 0, &[11]);
        assert_eq!(next.join(), 11);
        its_time_is_free(env, thread);
    };
    way.go(&place, thread.tcb, alive, gone);
}

/// An address that nothing is mapped at.
const NOWHERE: Mapped = Mapped(0x1234_5000);

/// A thread that touches an address that nothing is mapped at; the fault goes to `fault_ep`.
fn touching(place: &Place, fault_ep: CPtr) -> Thread {
    let sc = place.env.sched_context(10_000, 10_000);
    let thread = place.thread_with(HIGH, sc, Spaces { fault_ep, ..Spaces::own() });
    thread.start(|| NOWHERE.read(0));
    thread
}

/// The handler sends the thread elsewhere.
#[track_caller]
fn rescue(thread: Thread, reply: CPtr) {
    let elsewhere = thread.registers(|| 6);
    inv::tcb_write_registers(thread.tcb, true, 0, WORDS, &elsewhere).expect("write registers");
    assert_eq!(thread.join(), 6);
    answer(reply, 0, &[]);
}

fn fault_queued(env: &Env, way: Way) {
    let (place, (endpoint, badged, reply)) = (Place::new(env), channel(env));
    let thread = touching(&place, badged);
    let alive = || {
        assert_eq!(raw::nb_recv(endpoint, reply).info.label(), FaultTag::VMFault.word());
        rescue(thread, reply);
    };
    let gone = || {
        nobody_sends(endpoint, reply);
        its_time_is_free(env, thread);
    };
    way.go(&place, thread.tcb, alive, gone);
}

fn fault_being_handled(env: &Env, way: Way) {
    let (place, (endpoint, badged, reply)) = (Place::new(env), channel(env));
    let thread = touching(&place, badged);
    assert_eq!(raw::nb_recv(endpoint, reply).badge, 0xc0de);
    let gone = || {
        answer(reply, 0, &[]);
        nobody_sends(endpoint, reply);
        its_time_is_free(env, thread);
    };
    way.go(&place, thread.tcb, || rescue(thread, reply), gone);
}

fn stopped_by_a_fault(env: &Env, way: Way) {
    let place = Place::new(env);
    let thread = touching(&place, 0);
    let alive = || {
        thread.start(|| 4);
        assert_eq!(thread.join(), 4);
    };
    way.go(&place, thread.tcb, alive, || its_time_is_free(env, thread));
}

fn yielded(env: &Env, way: Way) {
    let place = Place::new(env);
    one_of_a_yield(&place, way, place.thread(TEST), env.thread(TEST), true);
}

fn yielded_to(env: &Env, way: Way) {
    let place = Place::new(env);
    one_of_a_yield(&place, way, env.thread(TEST), place.thread(TEST), false);
}

/// One thread yields to another, which lets the capabilities to one of them go.
fn one_of_a_yield(place: &Place, way: Way, yielder: Thread, other: Thread, yielder_goes: bool) {
    let (env, scratch, parent) = (place.env, place.env.slot(), place.parent);
    let (goes, stays, result) = if yielder_goes { (yielder, other, 5) } else { (other, yielder, 1) };
    yielder.start(move || u64::from(inv::sched_context_yield_to(other.sc).is_ok()));
    other.start(move || {
        way.apply(parent, goes.tcb, scratch);
        5
    });
    // The one that was started first runs first, and lets the other run before us.
    raw::yield_now();
    if way.ends() {
        place.overwrite();
        assert_eq!(stays.join(), result, "the one that stays goes on");
        its_time_is_free(env, goes);
        place.is_untouched();
    } else {
        assert_eq!((other.join(), yielder.join()), (5, 1));
    }
}

fn bound_and_receiving(env: &Env, way: Way) {
    let (place, (endpoint, badged, reply)) = (Place::new(env), channel(env));
    let notification = env.notification();
    let signals = env.mint(notification, 3);
    let thread = place.thread(HIGH);
    inv::tcb_bind_notification(thread.tcb, notification).expect("bind");
    thread.start(move || raw::recv(endpoint, reply).badge);
    let alive = || {
        signal(signals);
        assert_eq!(thread.join(), 3);
    };
    let gone = || {
        signal(signals);
        assert_eq!(poll(notification), 3, "a signal went to a thread that is gone");
        inv::tcb_bind_notification(env.tcb(), notification).expect("bind to another");
        let next = env.spawn(HIGH, move || raw::recv(endpoint, reply).regs[0]);
        assert_eq!(call_answered(env, badged, reply, next), 8);
        its_time_is_free(env, thread);
    };
    way.go(&place, thread.tcb, alive, gone);
}

fn bound_and_ready(env: &Env, way: Way) {
    let (place, notification) = (Place::new(env), env.notification());
    let signals = env.mint(notification, 3);
    let thread = place.thread(LOW);
    inv::tcb_bind_notification(thread.tcb, notification).expect("bind");
    thread.start(move || poll(notification));
    signal(signals);
    let gone = || {
        assert_eq!(poll(notification), 3, "the signal went with the thread");
        inv::tcb_bind_notification(env.tcb(), notification).expect("bind to another");
        its_time_is_free(env, thread);
    };
    way.go(&place, thread.tcb, || assert_eq!(thread.join(), 3), gone);
}

/// Puts a word into a vector register, which the compiler does not use here.
fn set_vector(word: u64) {
    // SAFETY: see above.
    unsafe { asm!("movq xmm5, {0}", in(reg) word) };
}

fn vector() -> u64 {
    let word;
    // SAFETY: as in `set_vector`.
    unsafe { asm!("movq {0}, xmm5", out(reg) word) };
    word
}

fn with_vector_registers(env: &Env, way: Way) {
    let (place, notification) = (Place::new(env), env.notification());
    // The registers in the unit are still the thread's: we do not use the unit before the capabilities have gone.
    let ourselves = raw::ThreadBlock::current().tcb;
    let may_use = |yes| {
        let (clear, set) = if yes { (tcb_flag::FPU_DISABLED, 0) } else { (0, tcb_flag::FPU_DISABLED) };
        inv::tcb_set_flags(ourselves, clear, set).expect("set flags");
    };
    may_use(false);
    let thread = place.spawn(HIGH, move || {
        set_vector(0x7ec);
        raw::wait(notification);
        vector()
    });
    let alive = || {
        may_use(true);
        set_vector(1);
        signal(notification);
        assert_eq!((thread.join(), vector()), (0x7ec, 1));
    };
    let gone = || {
        may_use(true);
        set_vector(2);
        assert_eq!(env.spawn(HIGH, vector_of_a_new_thread).join(), 0);
        assert_eq!(vector(), 2);
        its_time_is_free(env, thread);
    };
    way.go(&place, thread.tcb, alive, gone);
}

fn vector_of_a_new_thread() -> u64 {
    vector()
}

#[track_caller]
fn configure(sc: CPtr, budget: u64, period: u64) {
    inv::sched_control_configure_flags(sched_control(), sc, budget, period, 0, 0, 0).expect("configure");
}

/// Binds a scheduling context to a new thread, once it has budget.
#[track_caller]
fn its_time_serves_another(env: &Env, gone: Thread) {
    assert!(!gone.has_returned());
    let other = env.passive_thread(HIGH);
    other.start(|| 6);
    inv::sched_context_bind(gone.sc, other.tcb).expect("bind");
    assert!(!other.has_returned(), "the budget came back with another thread");
    configure(gone.sc, 5_000, 5_000);
    assert_eq!(other.join(), 6);
}

fn out_of_budget(env: &Env, way: Way) {
    let place = Place::new(env);
    let thread = place.thread_with(HIGH, env.sched_context(1_000, 1_000_000), Spaces::own());
    thread.start(|| {
        machine::spin(2_000);
        1
    });
    assert!(!thread.has_returned());
    let alive = || {
        configure(thread.sc, 50_000, 50_000);
        assert_eq!(thread.join(), 1);
    };
    way.go(&place, thread.tcb, alive, || its_time_serves_another(env, thread));
}

fn timed_out(env: &Env, way: Way) {
    let (place, (endpoint, badged, reply)) = (Place::new(env), channel(env));
    let thread = place.thread_with(HIGH, env.sched_context(1_000, 1_000_000), Spaces::own());
    inv::tcb_set_timeout_endpoint(thread.tcb, badged).expect("set the timeout endpoint");
    thread.start(|| {
        machine::spin(2_000);
        1
    });
    let alive = || {
        assert_eq!(raw::nb_recv(endpoint, reply).info.label(), FaultTag::Timeout.word());
        configure(thread.sc, 50_000, 50_000);
        answer(reply, 0, &[]);
        assert_eq!(thread.join(), 1);
    };
    let gone = || {
        nobody_sends(endpoint, reply);
        its_time_serves_another(env, thread);
    };
    way.go(&place, thread.tcb, alive, gone);
}

fn in_another_domain(env: &Env, way: Way) {
    let place = Place::new(env);
    let thread = place.thread(HIGH);
    inv::domain_set_set(slot::DOMAIN, 1, thread.tcb).expect("set the domain");
    thread.start(|| 4);
    assert!(!thread.has_returned());
    let turns = || {
        domain::turns(1_000, 1_000);
        machine::spin(5_000);
        domain::reset();
    };
    let alive = || {
        turns();
        assert_eq!(thread.join(), 4);
    };
    let gone = || {
        turns();
        its_time_is_free(env, thread);
    };
    way.go(&place, thread.tcb, alive, gone);
}

fn passive(env: &Env, way: Way) {
    let (place, (endpoint, badged, reply)) = (Place::new(env), channel(env));
    let server = place.spawn(HIGH, move || {
        let got = raw::recv(endpoint, reply).regs[0];
        answer(reply, 0, &[got + 1]);
        1
    });
    inv::sched_context_unbind(server.sc).expect("unbind");
    let alive = || assert_eq!(call(badged, 0, &[7]).regs[0], 8);
    let gone = || {
        let next = env.spawn(HIGH, move || raw::recv(endpoint, reply).regs[0]);
        assert_eq!(call_answered(env, badged, reply, next), 8);
        its_time_is_free(env, server);
    };
    way.go(&place, server.tcb, alive, gone);
}

/// A caller, and a passive server that keeps its time, waiting for a notification; and that.
fn lent(env: &Env, server: Thread, caller: Thread) -> CPtr {
    let (endpoint, reply, never) = (env.endpoint(), env.reply(), env.notification());
    server.start(move || {
        raw::recv(endpoint, reply);
        raw::wait(never);
        answer(reply, 0, &[9]);
        3
    });
    inv::sched_context_unbind(server.sc).expect("unbind");
    caller.start(move || call(endpoint, 0, &[]).regs[0]);
    never
}

fn on_lent_time(env: &Env, way: Way) {
    let place = Place::new(env);
    let (server, caller) = (place.thread(HIGH), env.thread(MIDDLE));
    let never = lent(env, server, caller);
    let alive = || {
        signal(never);
        assert_eq!(caller.join(), 9);
    };
    let gone = || {
        // The time is nobody's now, and the caller still waits.
        signal(never);
        assert!(!server.has_returned() && !caller.has_returned());
        inv::tcb_suspend(caller.tcb).expect("suspend");
        inv::sched_context_bind(caller.sc, caller.tcb).expect("bind");
        caller.start(|| 12);
        assert_eq!(caller.join(), 12);
    };
    way.go(&place, server.tcb, alive, gone);
}

fn first_of_a_chain(env: &Env, way: Way) {
    let place = Place::new(env);
    let (server, caller) = (env.thread(HIGH), place.thread(MIDDLE));
    let never = lent(env, server, caller);
    let alive = || {
        signal(never);
        assert_eq!(caller.join(), 9);
    };
    let gone = || {
        // The server keeps the time that it was lent.
        signal(never);
        assert_eq!(server.join(), 3);
        assert!(!caller.has_returned());
    };
    way.go(&place, caller.tcb, alive, gone);
}

/// Lets a client call a passive server, made here, that calls another, which has the time until `never` is signalled.
/// Returns the other server and `never`; the client gets 51.
#[track_caller]
pub fn call_through(env: &Env, middle: Thread, client: Thread) -> (Thread, CPtr) {
    let never = env.notification();
    let [outer, inner] = [(); 2].map(|()| (env.endpoint(), env.reply()));
    middle.start(move || {
        let got = raw::recv(outer.0, outer.1).regs[0];
        let part = call(inner.0, 0, &[got + 1]).regs[0];
        answer(outer.1, 0, &[part + 1]);
        1
    });
    let last = env.spawn(HIGH, move || {
        let got = raw::recv(inner.0, inner.1).regs[0];
        raw::wait(never);
        answer(inner.1, 0, &[got * 10]);
        2
    });
    for server in [middle, last] {
        inv::sched_context_unbind(server.sc).expect("unbind");
    }
    client.start(move || call(outer.0, 0, &[4]).regs[0]);
    (last, never)
}

fn middle_of_a_chain(env: &Env, way: Way) {
    let place = Place::new(env);
    let (middle, client) = (place.thread(HIGH), env.thread(MIDDLE));
    let (last, never) = call_through(env, middle, client);
    let alive = || {
        signal(never);
        assert_eq!(client.join(), 51);
    };
    let gone = || {
        // The last server still has the time; nobody is left who would answer the client.
        signal(never);
        assert_eq!(last.join(), 2);
        assert!(!middle.has_returned() && !client.has_returned());
    };
    way.go(&place, middle.tcb, alive, gone);
}

fn holding_the_last_capabilities(env: &Env, way: Way) {
    let (place, cnode, other) = (Place::new(env), env.retype_cnode(4), env.child_untyped(10));
    // The last capability to a notification is in the CNode, and the last to that is the thread's.
    inv::untyped_retype(other, ObjectType::Notification.word(), 0, cnode, 0, 0, 3, 1).expect("retype");
    let (thread, registers) = (place.thread(HIGH), |thread: Thread| thread.registers(|| raw::nb_wait(3).badge + 1));
    let guard = pecan::CNodeCapData::new(0, 60).0;
    inv::tcb_set_space(thread.tcb, 0, cnode, guard, slot::INIT_THREAD_VSPACE, 0).expect("set space");
    inv::tcb_write_registers(thread.tcb, false, 0, WORDS, &registers(thread)).expect("write registers");
    delete(cnode).expect("delete");
    let left = || memory_left(other, env.end_slot);
    assert_eq!(left(), Some((1 << 10) - 64));
    let alive = || {
        inv::tcb_resume(thread.tcb).expect("resume");
        assert!(thread.has_returned());
    };
    let gone = || assert_eq!(left(), Some(1 << 10), "what only the thread held is still there");
    way.go(&place, thread.tcb, alive, gone);
}

fn in_its_own_cspace(env: &Env, way: Way) {
    let place = Place::with_bits(env, 13);
    let (cnode, thread) = (place.make(ObjectType::CNode, 4), place.thread(HIGH));
    let guard = pecan::CNodeCapData::new(0, 60).0;
    inv::tcb_set_space(thread.tcb, 0, cnode, guard, slot::INIT_THREAD_VSPACE, 0).expect("set space");
    let shared = env.notification();
    inv::cnode_copy(cnode, 4, 4, ROOT, shared, DEPTH, CapRights::ALL).expect("copy");
    thread.start(|| {
        raw::wait(4);
        1
    });
    inv::cnode_move(cnode, 5, 4, ROOT, thread.tcb, DEPTH).expect("move");
    // Nobody can reach either any more, but the thread lives.
    delete(cnode).expect("delete");
    way.go(&place, cnode, || {}, || {
        signal(shared);
        assert!(!thread.has_returned());
        signal(env.mint(shared, 2));
        assert_eq!(poll(shared), 2, "a signal went to a thread that is gone");
    });
}
