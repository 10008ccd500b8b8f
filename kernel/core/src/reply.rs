//! Reply objects: who waits for an answer, and the call stack along which a scheduling context was lent.
//!
//! The reply objects of nested calls form a list, from the bottom (the first caller) to the top. The scheduling
//! context that was lent along them points to the top, and the top points back to it. Answering the top gives
//! the scheduling context back to its caller. Taking a reply object out of the middle cuts the stack there.

use pecan_mem::{Kernel, Reply, ReplyNext, Tcb, ThreadState};

use crate::{
    budget, endpoint, fault, sched_context,
    scheduler::{self, Next},
    thread,
    transfer::{self, Parcel},
};

/// Ends the bond of a reply object and its thread; the thread waits for nothing then.
pub fn unlink(reply: &Reply, thread: &Tcb) {
    reply.tcb.set(None);
    thread.state.set(ThreadState::Inactive);
}

/// `caller` waits for `reply`; with `donate` its scheduling context is lent to `callee`, if that has none.
pub fn push(k: &Kernel, caller: &Tcb, callee: &Tcb, reply: &Reply, donate: bool) {
    reply.tcb.set(Some(caller.link()));
    caller.state.set(ThreadState::BlockedOnReply { reply: Some(reply.link()) });
    if let Some(sc) = caller.sched_context.get()
        && donate
        && callee.sched_context.get().is_none()
    {
        let below = sc.get(k).reply.get();
        reply.prev.set(below);
        if let Some(below) = below {
            below.get(k).set_next(ReplyNext::Reply(reply.link()));
        }
        reply.set_next(ReplyNext::SchedContext(sc));
        sc.get(k).reply.set(Some(reply.link()));
        sched_context::donate(k, sc.get(k), callee);
    }
}

/// Takes the reply object out of its call stack and ends the caller's wait. From the top of the stack the
/// scheduling context goes back to the caller, unless that has one by now.
pub fn remove(k: &Kernel, reply: &Reply, caller: &Tcb) {
    let prev = reply.prev.take();
    match reply.next() {
        ReplyNext::SchedContext(sc) => {
            sc.get(k).reply.set(prev);
            if let Some(prev) = prev {
                prev.get(k).set_next(ReplyNext::SchedContext(sc));
            }
            if caller.sched_context.get().is_none() {
                sched_context::donate(k, sc.get(k), caller);
            }
        }
        ReplyNext::Reply(next) => {
            next.get(k).prev.set(None);
            cut_below(k, prev);
        }
        ReplyNext::None => cut_below(k, prev),
    }
    reply.set_next(ReplyNext::None);
    unlink(reply, caller);
}

/// The same when it is the caller that goes: no scheduling context comes back.
pub fn remove_caller(k: &Kernel, reply: &Reply, caller: &Tcb) {
    let prev = reply.prev.take();
    match reply.next() {
        ReplyNext::SchedContext(sc) => sc.get(k).reply.set(None),
        ReplyNext::Reply(next) => next.get(k).prev.set(None),
        ReplyNext::None => {}
    }
    cut_below(k, prev);
    reply.set_next(ReplyNext::None);
    unlink(reply, caller);
}

fn cut_below(k: &Kernel, prev: Option<pecan_mem::Link<Reply>>) {
    if let Some(prev) = prev {
        prev.get(k).set_next(ReplyNext::None);
    }
}

/// The last capability to a reply object goes: whoever waits on it stops waiting.
pub fn finalise(k: &Kernel, reply: &Reply) {
    let Some(thread) = reply.tcb.get() else { return };
    let thread = thread.get(k);
    match thread.state.get() {
        ThreadState::BlockedOnReply { .. } => remove(k, reply, thread),
        _ => endpoint::cancel_ipc(k, thread),
    }
}

/// Answers the caller that waits on a reply object with the message of `sender`, and the parcel, if it has been made. Does
/// nothing if nobody waits.
pub fn send(k: &Kernel, sender: &Tcb, reply: &Reply, grant: bool, parcel: Option<&Parcel>) -> Next {
    let Some(receiver) = reply.tcb.get() else { return Next::Resume };
    let receiver = receiver.get(k);
    if !matches!(receiver.state.get(), ThreadState::BlockedOnReply { .. }) {
        return Next::Resume;
    }
    remove(k, reply, receiver);
    thread::refresh_budget(k, receiver);

    let fault = receiver.fault();
    receiver.set_fault(pecan_mem::Fault::None);
    let state = if fault == pecan_mem::Fault::None {
        transfer::message(k, sender, None, 0, grant, receiver, parcel);
        ThreadState::Running
    } else if fault::apply_reply(k, fault, sender, receiver) {
        ThreadState::Restart
    } else {
        ThreadState::Inactive
    };
    receiver.state.set(state);

    let Some(sc) = receiver.sched_context.get().filter(|_| state.is_runnable()) else { return Next::Resume };
    let sc = sc.get(k);
    if budget::refill_ready(k, sc) && budget::refill_sufficient(k, sc, 0) {
        return scheduler::wake(k, receiver);
    }
    // The budget that came back is used up. That the handler of such a fault answers is not another one.
    let was_timeout = matches!(fault, pecan_mem::Fault::Timeout { .. });
    if !was_timeout && fault::has_timeout_handler(receiver) {
        fault::timeout(k, receiver)
    } else {
        budget::postpone(k, sc);
        Next::Resume
    }
}
