//! Threads in every state while what they use is deleted, revoked or taken away.

use pecan::raw::{self, invocations as inv};
use pecan_abi::{CPtr, ObjectType, UserContext};

use crate::{
    Env,
    env::{HIGH, LOW, MIDDLE, ROOT, TEST, answer, call, delete, is_empty, poll, revoke, send, signal},
    machine,
    thread::Thread,
};

tests! {
    deleting_a_ready_thread: CNodeDelete / NoError;
    deleting_a_sending_thread: CNodeDelete / NoError;
    deleting_a_calling_thread: CNodeDelete / NoError;
    deleting_a_thread_that_waits_for_an_answer: CNodeDelete / NoError;
    deleting_a_receiving_thread: CNodeDelete / NoError;
    deleting_a_waiting_thread: CNodeDelete / NoError;
    deleting_a_thread_whose_fault_is_queued: CNodeDelete / NoError;
    deleting_a_thread_whose_fault_is_handled: CNodeDelete / NoError;
    deleting_a_thread_that_yielded_to_another: CNodeDelete / NoError;
    deleting_the_scheduling_context_yielded_to: CNodeDelete / NoError;
    a_thread_deletes_itself: CNodeDelete / NoError;
    suspending_a_calling_thread: TcbSuspend / NoError, TcbResume / NoError;
    suspending_a_thread_that_waits_for_an_answer: TcbSuspend / NoError;
    suspending_a_receiving_thread: TcbSuspend / NoError, TcbResume / NoError;
    suspending_a_waiting_thread: TcbSuspend / NoError, TcbResume / NoError;
    resuming_a_running_thread_changes_nothing: TcbResume / NoError;
    writing_the_registers_of_a_blocked_thread: TcbWriteRegisters / NoError;
    a_queue_keeps_its_order_when_its_middle_goes: CNodeDelete / NoError;
    a_new_priority_moves_a_waiting_sender: TcbSetPriority / NoError;
    a_new_priority_moves_a_ready_thread: TcbSetPriority / NoError;
    deleting_the_ipc_buffer_cuts_messages: CNodeDelete / NoError;
    deleting_the_reply_object_of_a_receiver: CNodeDelete / NoError;
    deleting_a_reply_object_in_the_middle_of_a_chain: CNodeDelete / NoError;
    deleting_the_middle_of_a_chain_of_calls: CNodeDelete / NoError;
    revoking_everything_at_once: CNodeRevoke / NoError;
    revoking_a_badge_stops_new_sends: CNodeRevoke / NoError;
    a_moved_reply_object_still_answers: CNodeMove / NoError;
    a_reply_object_used_again_loses_its_caller;
    binding_is_undone_when_the_notification_goes: CNodeDelete / NoError;
}

/// A thread that sends a word, with a priority above the test's.
fn sender(env: &Env, dest: CPtr, word: u64) -> Thread {
    env.spawn(HIGH, move || {
        send(dest, 0, &[word]);
        word
    })
}

/// An endpoint with a badged capability and a reply object.
fn channel(env: &Env) -> (CPtr, CPtr, CPtr) {
    let endpoint = env.endpoint();
    (endpoint, env.mint(endpoint, 0xc0de), env.reply())
}

fn nobody_sends(endpoint: CPtr, reply: CPtr) {
    assert_eq!(raw::nb_recv(endpoint, reply).badge, 0, "a message of a thread that is gone");
}

fn deleting_a_ready_thread(env: &Env) {
    let (gone, stays) = (env.spawn(LOW, || 1), env.spawn(LOW, || 2));
    delete(gone.tcb).expect("delete");
    assert_eq!(stays.join(), 2);
    assert!(!gone.has_returned(), "a deleted thread ran");
}

fn deleting_a_sending_thread(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    let (gone, stays) = (sender(env, badged, 1), sender(env, badged, 2));
    delete(gone.tcb).expect("delete");
    assert_eq!(raw::nb_recv(endpoint, reply).regs[0], 2);
    nobody_sends(endpoint, reply);
    assert_eq!(stays.join(), 2);
}

fn deleting_a_calling_thread(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    let gone = env.spawn(HIGH, move || call(badged, 0, &[1]).regs[0]);
    delete(gone.tcb).expect("delete");
    nobody_sends(endpoint, reply);
}

fn deleting_a_thread_that_waits_for_an_answer(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    let gone = env.spawn(HIGH, move || call(badged, 0, &[1]).regs[0]);
    assert_eq!(raw::recv(endpoint, reply).regs[0], 1);
    delete(gone.tcb).expect("delete");
    // The answer goes nowhere, and the reply object serves the next caller.
    answer(reply, 0, &[9]);
    let next = env.spawn(HIGH, move || call(badged, 0, &[2]).regs[0]);
    assert_eq!(raw::recv(endpoint, reply).regs[0], 2);
    answer(reply, 0, &[10]);
    assert_eq!(next.join(), 10);
}

fn deleting_a_receiving_thread(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    let gone = env.spawn(HIGH, move || raw::recv(endpoint, reply).regs[0]);
    delete(gone.tcb).expect("delete");
    // Its message goes to the next one, with the same reply object.
    let next = env.spawn(HIGH, move || raw::recv(endpoint, reply).regs[0]);
    send(badged, 0, &[4]);
    assert_eq!(next.join(), 4);
}

fn deleting_a_waiting_thread(env: &Env) {
    let notification = env.notification();
    let badged = env.mint(notification, 1);
    let gone = env.spawn(HIGH, move || raw::wait(notification).badge);
    delete(gone.tcb).expect("delete");
    signal(badged);
    assert_eq!(poll(notification), 1, "the signal went to a thread that is gone");
}

/// A thread that faults, with the fault in the queue of an endpoint.
fn faulted(env: &Env) -> (Thread, CPtr, CPtr) {
    let (endpoint, badged, reply) = channel(env);
    let thread = env.spawn_faulting(HIGH, badged, || crate::env::Mapped(0x10).read(0));
    (thread, endpoint, reply)
}

fn deleting_a_thread_whose_fault_is_queued(env: &Env) {
    let (thread, endpoint, reply) = faulted(env);
    delete(thread.tcb).expect("delete");
    nobody_sends(endpoint, reply);
}

fn deleting_a_thread_whose_fault_is_handled(env: &Env) {
    let (thread, endpoint, reply) = faulted(env);
    assert_eq!(raw::nb_recv(endpoint, reply).badge, 0xc0de);
    delete(thread.tcb).expect("delete");
    answer(reply, 0, &[]);
    nobody_sends(endpoint, reply);
}

/// Lets one thread yield to another of the same priority, which then does something to it.
fn yield_between<F>(env: &Env, target: F) -> (Thread, Thread)
where
    F: FnOnce(Thread, Thread) -> u64 + Send + 'static,
{
    let (yielder, other) = (env.thread(TEST), env.thread(TEST));
    yielder.start(move || u64::from(inv::sched_context_yield_to(other.sc).is_ok()));
    other.start(move || target(yielder, other));
    // The one that was started first runs first, and lets the other run before us.
    raw::yield_now();
    (yielder, other)
}

fn deleting_a_thread_that_yielded_to_another(env: &Env) {
    let (yielder, other) = yield_between(env, |yielder, _| {
        delete(yielder.tcb).expect("delete");
        raw::yield_now();
        5
    });
    assert_eq!(other.join(), 5);
    assert!(!yielder.has_returned());
    assert_eq!(env.spawn(TEST, || 6).join(), 6);
}

fn deleting_the_scheduling_context_yielded_to(env: &Env) {
    let (yielder, other) = yield_between(env, |_, other| {
        delete(other.sc).expect("delete");
        5
    });
    assert_eq!(yielder.join(), 1);
    assert!(!other.has_returned(), "a thread without a scheduling context ran on");
}

fn a_thread_deletes_itself(env: &Env) {
    let thread = env.thread(HIGH);
    let tcb = thread.tcb;
    thread.start(move || {
        let _ = delete(tcb);
        1
    });
    assert!(!thread.has_returned() && is_empty(tcb));
    // Everybody else goes on.
    assert_eq!(env.spawn(HIGH, || 2).join(), 2);
}

fn suspending_a_calling_thread(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    let thread = env.spawn(HIGH, move || call(badged, 0, &[1]).regs[0]);
    inv::tcb_suspend(thread.tcb).expect("suspend");
    nobody_sends(endpoint, reply);
    // Resumed, it calls again.
    inv::tcb_resume(thread.tcb).expect("resume");
    assert_eq!(raw::nb_recv(endpoint, reply).badge, 0xc0de);
    answer(reply, 0, &[5]);
    assert_eq!(thread.join(), 5);
}

fn suspending_a_thread_that_waits_for_an_answer(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    let thread = env.spawn(HIGH, move || call(badged, 0, &[1]).regs[0]);
    raw::recv(endpoint, reply);
    inv::tcb_suspend(thread.tcb).expect("suspend");
    answer(reply, 0, &[7]);
    assert!(!thread.has_returned(), "an answer woke a suspended thread");
    thread.start(|| 3);
    assert_eq!(thread.join(), 3);
}

fn suspending_a_receiving_thread(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    let thread = env.spawn(HIGH, move || raw::recv(endpoint, reply).regs[0]);
    inv::tcb_suspend(thread.tcb).expect("suspend");
    crate::env::nb_send(badged, 0, &[1]);
    assert!(!thread.has_returned());
    inv::tcb_resume(thread.tcb).expect("resume");
    crate::env::nb_send(badged, 0, &[2]);
    assert_eq!(thread.join(), 2);
}

fn suspending_a_waiting_thread(env: &Env) {
    let notification = env.notification();
    let badged = env.mint(notification, 6);
    let thread = env.spawn(HIGH, move || raw::wait(notification).badge);
    inv::tcb_suspend(thread.tcb).expect("suspend");
    signal(badged);
    assert!(!thread.has_returned());
    // The signal was kept for when it waits again.
    inv::tcb_resume(thread.tcb).expect("resume");
    assert_eq!(thread.join(), 6);
}

fn resuming_a_running_thread_changes_nothing(env: &Env) {
    let notification = env.notification();
    let badged = env.mint(notification, 1);
    let thread = env.spawn(LOW, move || {
        signal(badged);
        5
    });
    assert_eq!(raw::wait(notification).badge, 1);
    // It was preempted behind a system call, which it must not make again.
    let before = env.snapshot();
    inv::tcb_resume(thread.tcb).expect("resume");
    before.same(env);
    assert_eq!(thread.join(), 5);
    assert_eq!(poll(notification), 0, "it made its system call again");
}

fn writing_the_registers_of_a_blocked_thread(env: &Env) {
    let (endpoint, _, reply) = channel(env);
    let thread = env.spawn(HIGH, move || raw::recv(endpoint, reply).badge);
    let elsewhere = thread.registers(|| 8);
    inv::tcb_write_registers(thread.tcb, true, 0, UserContext::WORDS as u64, &elsewhere).expect("write");
    assert_eq!(thread.join(), 8);
    // It is in no queue any more.
    crate::env::nb_send(endpoint, 0, &[]);
    assert_eq!(env.spawn(HIGH, || 1).join(), 1);
}

fn a_queue_keeps_its_order_when_its_middle_goes(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    let threads = [1, 2, 3, 4, 5].map(|word| sender(env, badged, word));
    for index in [2, 0, 4] {
        delete(threads[index].tcb).expect("delete");
    }
    assert_eq!(raw::nb_recv(endpoint, reply).regs[0], 2);
    assert_eq!(raw::nb_recv(endpoint, reply).regs[0], 4);
    nobody_sends(endpoint, reply);
}

fn a_new_priority_moves_a_waiting_sender(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    let [_, last] = [1, 2].map(|word| {
        env.spawn(MIDDLE, move || {
            send(badged, 0, &[word]);
            0
        })
    });
    inv::tcb_set_priority(last.tcb, pecan_abi::boot::slot::INIT_THREAD_TCB, HIGH).expect("set priority");
    assert_eq!(raw::nb_recv(endpoint, reply).regs[0], 2, "the sender kept its place");
    assert_eq!(raw::nb_recv(endpoint, reply).regs[0], 1);
}

fn a_new_priority_moves_a_ready_thread(env: &Env) {
    let order = env.notification();
    let (first, second) = (env.mint(order, 1), env.mint(order, 2));
    let slow = env.spawn(LOW, move || {
        let seen = poll(order);
        signal(first);
        seen
    });
    let fast = env.spawn(LOW - 10, move || {
        signal(second);
        1
    });
    inv::tcb_set_priority(fast.tcb, pecan_abi::boot::slot::INIT_THREAD_TCB, LOW + 1).expect("set priority");
    assert_eq!(slow.join(), 2, "the thread was run in its old place");
}

fn deleting_the_ipc_buffer_cuts_messages(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    let frame = env.frame();
    let page = env.map(env.copy(frame));
    let thread = env.thread(HIGH);
    inv::tcb_set_ipc_buffer(thread.tcb, page.0, frame).expect("set the IPC buffer");
    // What the thread has is a copy; revoking the original takes it.
    thread.start(move || {
        raw::send(badged, pecan_abi::MessageInfo::new(0, 0, 0, 9), [1, 2, 3, 4]);
        0
    });
    revoke(frame).expect("revoke");
    let received = raw::recv(endpoint, reply);
    assert_eq!((received.info.length(), received.regs), (4, [1, 2, 3, 4]));
}

fn deleting_the_reply_object_of_a_receiver(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    let server = env.spawn(HIGH, move || raw::recv(endpoint, reply).regs[0]);
    delete(reply).expect("delete");
    // The receiver still receives; only nobody can be answered.
    crate::env::nb_send(badged, 0, &[3]);
    machine::spin(100);
    let restarted = !server.has_returned();
    if restarted {
        // Or it was made to receive again, and faulted for want of a reply object: then nobody takes this.
        crate::env::nb_send(badged, 0, &[4]);
        assert!(!server.has_returned());
    } else {
        assert_eq!(server.join(), 3);
    }
}

/// Three passive servers that call one another; the last waits for a notification and holds the time.
pub struct Chain {
    pub servers: [Thread; 3],
    pub replies: [CPtr; 3],
    pub never: CPtr,
    pub client: Thread,
}

/// Makes a chain with these reply objects, and has its client call.
pub fn chain(env: &Env, replies: [CPtr; 3]) -> Chain {
    let never = env.notification();
    let endpoints: [CPtr; 3] = core::array::from_fn(|_| env.endpoint());
    let servers: [Thread; 3] = core::array::from_fn(|index| {
        let (endpoint, reply) = (endpoints[index], replies[index]);
        let next = endpoints.get(index + 1).copied();
        let server = env.spawn(HIGH, move || {
            let request = raw::recv(endpoint, reply);
            let word = match next {
                Some(next) => call(next, 0, &[request.regs[0] + 1]).regs[0],
                None => {
                    raw::wait(never);
                    request.regs[0] + 100
                }
            };
            answer(reply, 0, &[word]);
            word
        });
        inv::sched_context_unbind(server.sc).expect("unbind");
        server
    });
    let first = endpoints[0];
    let client = env.spawn(MIDDLE, move || call(first, 0, &[1]).regs[0]);
    Chain { servers, replies, never, client }
}

fn deleting_a_reply_object_in_the_middle_of_a_chain(env: &Env) {
    let chain = chain(env, core::array::from_fn(|_| env.reply()));
    // The second server's caller is cut out; the time stays where it is, and goes to the client in the end.
    delete(chain.replies[1]).expect("delete");
    signal(chain.never);
    // The last server answers the second, which has the time now and nobody to answer.
    assert!(chain.servers[1].has_returned(), "the server that held the time lost it");
    assert!(!chain.servers[0].has_returned(), "a caller whose reply object is gone was answered");
}

fn deleting_the_middle_of_a_chain_of_calls(env: &Env) {
    let chain = chain(env, core::array::from_fn(|_| env.reply()));
    delete(chain.servers[1].tcb).expect("delete");
    signal(chain.never);
    assert!(chain.servers[2].has_returned());
    assert!(!chain.client.has_returned());
    // The client can be stopped and used again.
    inv::tcb_suspend(chain.client.tcb).expect("suspend");
    let _ = inv::sched_context_unbind(chain.client.sc);
    inv::sched_context_bind(chain.client.sc, chain.client.tcb).expect("bind");
    chain.client.start(|| 77);
    assert_eq!(chain.client.join(), 77);
}

fn revoking_everything_at_once(env: &Env) {
    // Objects of every kind, used by one another, made of one untyped.
    let untyped = env.child_untyped(18);
    let slots = env.slots(8);
    for (index, object_type) in
        [ObjectType::Endpoint, ObjectType::Notification, ObjectType::Reply, ObjectType::Tcb].into_iter().enumerate()
    {
        inv::untyped_retype(untyped, object_type.word(), 0, ROOT, 0, 0, slots + index as u64, 1).expect("retype");
    }
    let (endpoint, notification, reply, tcb) = (slots, slots + 1, slots + 2, slots + 3);
    inv::tcb_bind_notification(tcb, notification).expect("bind");
    let receiver = env.spawn(HIGH, move || raw::recv(endpoint, reply).badge);
    let (waiting, badged) = (env.thread(HIGH), env.mint(endpoint, 1));
    inv::tcb_set_space(waiting.tcb, badged, ROOT, 0, pecan_abi::boot::slot::INIT_THREAD_VSPACE, 0)
        .expect("set space");
    revoke(untyped).expect("revoke");
    assert!((0..4).all(|i| is_empty(slots + i)) && is_empty(badged));
    assert_eq!(crate::env::memory_left(untyped, env.end_slot), Some(1 << 18));
    assert!(!receiver.has_returned(), "a receiver got a message that nobody sent");
}

fn revoking_a_badge_stops_new_sends(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    let copied = env.copy(badged);
    revoke(endpoint).expect("revoke");
    assert!(is_empty(badged) && is_empty(copied));
    send(copied, 0, &[1]);
    nobody_sends(endpoint, reply);
}

fn a_moved_reply_object_still_answers(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    let caller = env.spawn(HIGH, move || call(badged, 0, &[]).regs[0]);
    raw::recv(endpoint, reply);
    let to = env.slot();
    inv::cnode_move(ROOT, to, 64, ROOT, reply, 64).expect("move");
    answer(to, 0, &[6]);
    assert_eq!(caller.join(), 6);
}

fn a_reply_object_used_again_loses_its_caller(env: &Env) {
    let (endpoint, badged, reply) = channel(env);
    let [first, second] = [1, 2].map(|word| env.spawn(HIGH, move || call(badged, 0, &[word]).regs[0]));
    assert_eq!(raw::recv(endpoint, reply).regs[0], 1);
    assert_eq!(raw::recv(endpoint, reply).regs[0], 2);
    // It has nothing to do with the first any more.
    inv::tcb_suspend(first.tcb).expect("suspend");
    answer(reply, 0, &[5]);
    assert_eq!(second.join(), 5);
    assert!(!first.has_returned(), "the answer to the second reached the first");
}

fn binding_is_undone_when_the_notification_goes(env: &Env) {
    let (notification, sc) = (env.notification(), env.sched_context(1_000, 1_000));
    inv::sched_context_bind(sc, notification).expect("bind");
    delete(notification).expect("delete");
    let second = env.notification();
    inv::sched_context_bind(sc, second).expect("bind another");
}
