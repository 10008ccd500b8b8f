//! Endpoints, notifications and reply objects in every state when their capabilities go.

use pecan::raw::{self, invocations as inv};
use pecan_abi::{CPtr, ObjectType, boot::slot, fault::FaultTag};

use super::{
    deletion::{ALL, Place, Way},
    state::{Chain, chain},
};
use crate::{
    Env,
    env::{HIGH, MIDDLE, answer, call, delete, nb_send, poll, send, signal},
    thread::{Spaces, Thread},
};

states! {
    idle_endpoint: "Endpoint" "idle", ALL;
    endpoint_with_senders: "Endpoint" "senders are queued", ALL;
    endpoint_with_callers: "Endpoint" "callers are queued", ALL;
    endpoint_with_receivers: "Endpoint" "receivers are queued", ALL;
    endpoint_with_bound_receiver: "Endpoint" "a receiver with a bound notification is queued", ALL;
    endpoint_with_faults: "Endpoint" "faults are queued", ALL;
    badged_endpoint_with_senders: "Endpoint" "senders are queued, some with a badge", ALL;
    endpoint_after_a_call: "Endpoint" "a caller waits for an answer", ALL;
    endpoint_of_a_fault_handler: "Endpoint" "is a thread's fault handler", ALL;
    idle_notification: "Notification" "idle", ALL;
    active_notification: "Notification" "signalled", ALL;
    notification_with_waiters: "Notification" "waited for", ALL;
    bound_notification: "Notification" "bound to a thread that receives", ALL;
    bound_and_waited_for: "Notification" "bound to the thread that waits for it", ALL;
    notification_with_time: "Notification" "bound to a scheduling context", ALL;
    notification_with_lent_time: "Notification" "its scheduling context is lent to its waiter", ALL;
    unused_reply: "Reply" "unused", ALL;
    reply_of_a_receiver: "Reply" "a receiver waits with it", ALL;
    reply_of_a_caller: "Reply" "a caller waits for it, with its time", ALL;
    reply_with_lent_time: "Reply" "a caller waits for it, its time is lent", ALL;
    reply_of_a_fault: "Reply" "a faulted thread waits for it", ALL;
    reply_at_the_bottom: "Reply" "bottom of a chain of calls", ALL;
    reply_in_the_middle: "Reply" "middle of a chain of calls", ALL;
    reply_at_the_top: "Reply" "top of a chain of calls", ALL;
}

/// Where the faults of threads go that find their capability gone.
struct Faults {
    endpoint: CPtr,
    reply: CPtr,
}

impl Faults {
    #[track_caller]
    fn new(env: &Env) -> Self {
        Faults { endpoint: env.endpoint(), reply: env.reply() }
    }

    /// Starts a thread whose faults come here, with a badge.
    #[track_caller]
    fn spawn<F: FnOnce() -> u64 + Send + 'static>(&self, env: &Env, badge: u64, function: F) -> Thread {
        env.spawn_faulting(HIGH, env.mint(self.endpoint, badge), function)
    }

    /// The threads with badges up to this one have each tried to receive from a slot that is empty now.
    #[track_caller]
    fn have_lost(&self, badges: u64, cap: CPtr) {
        let mut seen = 0;
        for _ in 0..badges {
            let fault = raw::nb_recv(self.endpoint, self.reply);
            assert_eq!(fault.info.label(), FaultTag::CapFault.word(), "no capability fault");
            assert_eq!(fault.regs[1..3], [cap, 1], "address and phase");
            seen |= 1 << fault.badge;
        }
        assert_eq!(seen, (1 << (badges + 1)) - 2, "the badges of those that have faulted, a bit each");
    }

    #[track_caller]
    fn none(&self) {
        assert_eq!(raw::nb_recv(self.endpoint, self.reply).badge, 0, "a thread has faulted");
    }
}

fn idle_endpoint(env: &Env, way: Way) {
    let (place, reply) = (Place::new(env), env.reply());
    let endpoint = place.object(ObjectType::Endpoint);
    let alive = || {
        let caller = env.spawn(HIGH, move || call(endpoint, 0, &[3]).regs[0]);
        assert_eq!(raw::recv(endpoint, reply).regs[0], 3);
        answer(reply, 0, &[4]);
        assert_eq!(caller.join(), 4);
    };
    way.go(&place, endpoint, alive, || nb_send(endpoint, 0, &[]));
}

fn endpoint_with_senders(env: &Env, way: Way) {
    let (place, faults, reply) = (Place::new(env), Faults::new(env), env.reply());
    let endpoint = place.object(ObjectType::Endpoint);
    let threads = [1, 2, 3].map(|word| {
        faults.spawn(env, word, move || {
            send(endpoint, 0, &[word]);
            word
        })
    });
    let alive = || {
        for word in [1, 2, 3] {
            assert_eq!(raw::recv(endpoint, reply).regs[0], word);
        }
    };
    // Deleted, the endpoint is missing: a send to nothing is dropped.
    way.go(&place, endpoint, alive, || faults.none());
    assert_eq!(threads.map(Thread::join), [1, 2, 3]);
}

fn endpoint_with_callers(env: &Env, way: Way) {
    let (place, faults, reply) = (Place::new(env), Faults::new(env), env.reply());
    let endpoint = place.object(ObjectType::Endpoint);
    let threads =
        [1, 2, 3].map(|word| faults.spawn(env, word, move || call(endpoint, 9, &[word]).info.label()));
    let alive = || {
        for word in [1, 2, 3] {
            assert_eq!(raw::recv(endpoint, reply).regs[0], word);
            answer(reply, word, &[]);
        }
        assert_eq!(threads.map(Thread::join), [1, 2, 3]);
    };
    let gone = || {
        faults.none();
        let invalid = pecan_abi::Error::InvalidCapability.word();
        assert_eq!(threads.map(Thread::join), [invalid; 3], "the label that callers of nothing get");
    };
    way.go(&place, endpoint, alive, gone);
}

fn endpoint_with_receivers(env: &Env, way: Way) {
    let (place, faults) = (Place::new(env), Faults::new(env));
    let endpoint = place.object(ObjectType::Endpoint);
    let threads = [1, 2, 3].map(|badge| {
        let reply = env.reply();
        faults.spawn(env, badge, move || raw::recv(endpoint, reply).regs[0])
    });
    let alive = || {
        for word in [4, 5, 6] {
            send(endpoint, 0, &[word]);
        }
        assert_eq!(threads.map(Thread::join), [4, 5, 6]);
    };
    let gone = || {
        faults.have_lost(3, endpoint);
        assert!(threads.iter().all(|t| !t.has_returned()));
    };
    way.go(&place, endpoint, alive, gone);
}

fn endpoint_with_bound_receiver(env: &Env, way: Way) {
    let (place, faults, reply, notification) = (Place::new(env), Faults::new(env), env.reply(), env.notification());
    let endpoint = place.object(ObjectType::Endpoint);
    let badged = env.mint(notification, 7);
    let spaces = Spaces { fault_ep: env.mint(faults.endpoint, 1), ..Spaces::own() };
    let thread = env.thread_with(HIGH, env.sched_context(10_000, 10_000), spaces);
    inv::tcb_bind_notification(thread.tcb, notification).expect("bind");
    thread.start(move || raw::recv(endpoint, reply).badge);
    let alive = || {
        signal(badged);
        assert_eq!(thread.join(), 7);
    };
    let gone = || {
        faults.have_lost(1, endpoint);
        signal(badged);
        assert_eq!(poll_unbound(thread, notification), 7, "the signal reached a thread that does not receive");
    };
    way.go(&place, endpoint, alive, gone);
}

/// Unbinds a notification, so that others may poll it, and does so.
#[track_caller]
fn poll_unbound(thread: Thread, notification: CPtr) -> u64 {
    inv::tcb_unbind_notification(thread.tcb).expect("unbind");
    poll(notification)
}

/// A thread that faults at once.
#[track_caller]
fn faulting(env: &Env, fault_ep: CPtr) -> Thread {
    env.spawn_faulting(HIGH, fault_ep, || {
        // SAFETY: faults; the handler stops it or starts it elsewhere.
        unsafe { core::arch::asm!("ud2") };
        0
    })
}

fn endpoint_with_faults(env: &Env, way: Way) {
    let (place, reply) = (Place::new(env), env.reply());
    let endpoint = place.object(ObjectType::Endpoint);
    let threads = [1, 2].map(|_| faulting(env, endpoint));
    // The threads hold copies; those go, too, where the endpoint is to.
    if way == Way::Last {
        for thread in threads {
            inv::tcb_set_sched_params(thread.tcb, slot::INIT_THREAD_TCB, HIGH, HIGH, thread.sc, 0).expect("no handler");
        }
    }
    // Revoked, the threads have lost their handler, but the faults that are queued stay.
    let alive = || {
        for thread in threads {
            let fault = raw::nb_recv(endpoint, reply);
            assert_eq!(fault.info.label(), FaultTag::UserException.word());
            let elsewhere = thread.registers(|| 8);
            inv::tcb_write_registers(thread.tcb, true, 0, 20, &elsewhere).expect("write registers");
            assert_eq!(thread.join(), 8);
        }
    };
    let gone = || {
        // Nobody hears of their faults any more: they are stopped, and can be started.
        for thread in threads {
            assert!(!thread.has_returned());
            thread.start(|| 9);
            assert_eq!(thread.join(), 9);
        }
    };
    way.go(&place, endpoint, alive, gone);
}

fn badged_endpoint_with_senders(env: &Env, way: Way) {
    // The badged capability is the one that goes first; the unbadged one keeps the endpoint where it is not the parent
    // that goes.
    let (place, reply) = (Place::new(env), env.reply());
    let endpoint = place.object(ObjectType::Endpoint);
    let badged = env.mint(endpoint, 0xbad);
    let threads = [badged, endpoint, badged].map(|dest| {
        env.spawn(HIGH, move || {
            send(dest, 0, &[]);
            1
        })
    });
    way.apply(place.parent, badged, env.slot());
    if way == Way::Parent {
        place.overwrite();
    } else {
        let badges: [u64; 3] = core::array::from_fn(|_| raw::recv(endpoint, reply).badge);
        assert_eq!(badges, [0xbad, 0, 0xbad], "what was sent with a capability that is gone is still sent");
    }
    assert_eq!(threads.map(Thread::join), [1; 3]);
}

fn endpoint_after_a_call(env: &Env, way: Way) {
    let (place, reply) = (Place::new(env), env.reply());
    let endpoint = place.object(ObjectType::Endpoint);
    let caller = env.spawn(HIGH, move || call(endpoint, 0, &[3]).regs[0]);
    assert_eq!(raw::recv(endpoint, reply).regs[0], 3);
    // The answer does not need the endpoint.
    let answered = || {
        answer(reply, 0, &[4]);
        assert_eq!(caller.join(), 4);
    };
    way.go(&place, endpoint, answered, answered);
}

fn endpoint_of_a_fault_handler(env: &Env, way: Way) {
    let (place, reply, go) = (Place::new(env), env.reply(), env.notification());
    let endpoint = place.object(ObjectType::Endpoint);
    let thread = env.spawn_faulting(HIGH, endpoint, move || {
        raw::wait(go);
        // SAFETY: faults, and is started elsewhere.
        unsafe { core::arch::asm!("ud2") };
        0
    });
    // The thread has a copy: that is left where only one capability is deleted.
    way.apply(place.parent, endpoint, env.slot());
    match way {
        Way::Last => assert!(!thread.has_returned()),
        Way::Parent => place.overwrite(),
        _ => {}
    }
    signal(go);
    let fault = if way.ends() { 0 } else { raw::nb_recv(endpoint, reply).info.label() };
    // Revoked, the thread has lost its handler; copied and deleted, it has not.
    let handled = matches!(way, Way::Copy | Way::Original);
    assert_eq!(fault, if handled { FaultTag::UserException.word() } else { 0 });
    assert!(!thread.has_returned());
    thread.start(|| 5);
    assert_eq!(thread.join(), 5);
}

fn idle_notification(env: &Env, way: Way) {
    let place = Place::new(env);
    let notification = place.object(ObjectType::Notification);
    let alive = || {
        signal(env.mint(notification, 3));
        assert_eq!(poll(notification), 3);
    };
    way.go(&place, notification, alive, || signal(notification));
}

fn active_notification(env: &Env, way: Way) {
    let place = Place::new(env);
    let notification = place.object(ObjectType::Notification);
    let badged = env.mint(notification, 3);
    signal(badged);
    delete(badged).expect("delete");
    way.go(&place, notification, || assert_eq!(poll(notification), 3), || signal(notification));
}

fn notification_with_waiters(env: &Env, way: Way) {
    let (place, faults) = (Place::new(env), Faults::new(env));
    let notification = place.object(ObjectType::Notification);
    let threads = [1, 2, 3].map(|badge| faults.spawn(env, badge, move || raw::wait(notification).badge + 1));
    let alive = || {
        (0..3).for_each(|_| signal(notification));
        assert_eq!(threads.map(Thread::join), [1; 3]);
    };
    let gone = || {
        faults.have_lost(3, notification);
        assert!(threads.iter().all(|t| !t.has_returned()));
    };
    way.go(&place, notification, alive, gone);
}

fn bound_notification(env: &Env, way: Way) {
    let (place, endpoint, reply) = (Place::new(env), env.endpoint(), env.reply());
    let notification = place.object(ObjectType::Notification);
    let thread = env.thread(HIGH);
    inv::tcb_bind_notification(thread.tcb, notification).expect("bind");
    thread.start(move || raw::recv(endpoint, reply).badge + 1);
    let alive = || {
        signal(notification);
        assert_eq!(thread.join(), 1);
    };
    let gone = || {
        assert!(!thread.has_returned());
        let second = env.notification();
        inv::tcb_bind_notification(thread.tcb, second).expect("bind another");
        signal(env.mint(second, 5));
        assert_eq!(thread.join(), 6);
    };
    way.go(&place, notification, alive, gone);
}

fn bound_and_waited_for(env: &Env, way: Way) {
    let (place, faults) = (Place::new(env), Faults::new(env));
    let notification = place.object(ObjectType::Notification);
    let spaces = Spaces { fault_ep: env.mint(faults.endpoint, 1), ..Spaces::own() };
    let thread = env.thread_with(HIGH, env.sched_context(10_000, 10_000), spaces);
    inv::tcb_bind_notification(thread.tcb, notification).expect("bind");
    thread.start(move || raw::wait(notification).badge + 1);
    let alive = || {
        signal(notification);
        assert_eq!(thread.join(), 1);
    };
    let gone = || {
        faults.have_lost(1, notification);
        inv::tcb_bind_notification(thread.tcb, env.notification()).expect("bind another");
    };
    way.go(&place, notification, alive, gone);
}

fn notification_with_time(env: &Env, way: Way) {
    let (place, sc) = (Place::new(env), env.sched_context(10_000, 10_000));
    let notification = place.object(ObjectType::Notification);
    inv::sched_context_bind(sc, notification).expect("bind");
    let another = env.notification();
    let bind = || inv::sched_context_bind(sc, another);
    way.go(&place, notification, || assert!(bind().is_err()), || assert_eq!(bind(), Ok(())));
}

fn notification_with_lent_time(env: &Env, way: Way) {
    let (place, sc, never) = (Place::new(env), env.sched_context(10_000, 10_000), env.notification());
    let notification = place.object(ObjectType::Notification);
    let thread = env.spawn(HIGH, move || {
        raw::wait(notification);
        raw::wait(never).badge
    });
    inv::sched_context_unbind(thread.sc).expect("unbind");
    inv::sched_context_bind(sc, notification).expect("bind");
    signal(notification);
    assert!(!thread.has_returned());
    // It runs on the notification's time, and keeps it.
    let ends = || {
        signal(env.mint(never, 4));
        assert_eq!(thread.join(), 4);
    };
    way.go(&place, notification, ends, ends);
}

fn unused_reply(env: &Env, way: Way) {
    let (place, endpoint) = (Place::new(env), env.endpoint());
    let reply = place.object(ObjectType::Reply);
    let alive = || {
        let caller = env.spawn(HIGH, move || call(endpoint, 0, &[]).regs[0]);
        raw::recv(endpoint, reply);
        answer(reply, 0, &[4]);
        assert_eq!(caller.join(), 4);
    };
    way.go(&place, reply, alive, || nb_send(reply, 0, &[]));
}

fn reply_of_a_receiver(env: &Env, way: Way) {
    let (place, endpoint) = (Place::new(env), env.endpoint());
    let reply = place.object(ObjectType::Reply);
    let server = env.spawn(HIGH, move || raw::recv(endpoint, reply).regs[0]);
    let alive = || {
        let caller = env.spawn(HIGH, move || call(endpoint, 0, &[3]).regs[0]);
        assert_eq!(server.join(), 3);
        answer(reply, 0, &[4]);
        assert_eq!(caller.join(), 4);
    };
    let gone = || {
        // The receiver is stopped; nobody is queued at the endpoint.
        nb_send(endpoint, 0, &[3]);
        assert!(!server.has_returned());
        server.start(|| 6);
        assert_eq!(server.join(), 6);
    };
    way.go(&place, reply, alive, gone);
}

/// A caller that gets no answer any more, but can be started anew.
#[track_caller]
fn is_left_alone(caller: Thread) {
    assert!(!caller.has_returned(), "the caller got an answer that nobody gave");
    caller.start(|| 77);
    assert_eq!(caller.join(), 77);
}

fn reply_of_a_caller(env: &Env, way: Way) {
    let (place, endpoint) = (Place::new(env), env.endpoint());
    let reply = place.object(ObjectType::Reply);
    let caller = env.spawn(HIGH, move || call(endpoint, 0, &[]).regs[0]);
    raw::recv(endpoint, reply);
    let alive = || {
        answer(reply, 0, &[4]);
        assert_eq!(caller.join(), 4);
    };
    way.go(&place, reply, alive, || is_left_alone(caller));
}

fn reply_with_lent_time(env: &Env, way: Way) {
    let (place, endpoint, never) = (Place::new(env), env.endpoint(), env.notification());
    let reply = place.object(ObjectType::Reply);
    let server = env.spawn(HIGH, move || {
        raw::recv(endpoint, reply);
        raw::wait(never);
        answer(reply, 0, &[4]);
        5
    });
    inv::sched_context_unbind(server.sc).expect("unbind");
    let caller = env.spawn(MIDDLE, move || call(endpoint, 0, &[]).regs[0]);
    let alive = || {
        signal(never);
        assert_eq!(caller.join(), 4);
    };
    let gone = || {
        // The time is the caller's again, and the server has none.
        signal(never);
        assert!(!server.has_returned());
        is_left_alone(caller);
        inv::sched_context_bind(server.sc, server.tcb).expect("bind");
        assert_eq!(server.join(), 5);
    };
    way.go(&place, reply, alive, gone);
}

fn reply_of_a_fault(env: &Env, way: Way) {
    let (place, endpoint) = (Place::new(env), env.endpoint());
    let reply = place.object(ObjectType::Reply);
    let thread = faulting(env, endpoint);
    assert_eq!(raw::nb_recv(endpoint, reply).info.label(), FaultTag::UserException.word());
    let alive = || {
        // Answered without a word, it faults again.
        answer(reply, 0, &[]);
        assert_eq!(raw::nb_recv(endpoint, reply).info.label(), FaultTag::UserException.word());
    };
    let gone = || {
        is_left_alone(thread);
        assert_eq!(raw::nb_recv(endpoint, env.reply()).info.label(), 0);
    };
    way.go(&place, reply, alive, gone);
}

/// Lets the reply object number `index` of a chain go.
fn reply_of_a_chain(env: &Env, way: Way, index: usize) {
    let place = Place::new(env);
    let mut replies: [CPtr; 3] = core::array::from_fn(|_| env.reply());
    replies[index] = place.object(ObjectType::Reply);
    let Chain { servers, client, never, .. } = chain(env, replies);
    let alive = || {
        signal(never);
        assert_eq!(client.join(), 103);
    };
    let gone = || {
        signal(never);
        assert!(!client.has_returned(), "an answer went past the reply object that is gone");
        // The servers above the gap have answered one another, and the time ends with the lowest of them. If the gap is at
        // the top, the time has gone back to the caller there.
        let runs = if index == 2 { [false; 3] } else { core::array::from_fn(|server| server == index) };
        assert_eq!(servers.map(Thread::has_returned), runs);
        is_left_alone(with_time(if index == 0 { client } else { servers[index - 1] }));
    };
    way.go(&place, replies[index], alive, gone);
}

/// A thread, with its own scheduling context unless it has one.
fn with_time(thread: Thread) -> Thread {
    let _ = inv::sched_context_unbind(thread.sc);
    let _ = inv::sched_context_bind(thread.sc, thread.tcb);
    thread
}

fn reply_at_the_bottom(env: &Env, way: Way) {
    reply_of_a_chain(env, way, 0);
}

fn reply_in_the_middle(env: &Env, way: Way) {
    reply_of_a_chain(env, way, 1);
}

fn reply_at_the_top(env: &Env, way: Way) {
    reply_of_a_chain(env, way, 2);
}
