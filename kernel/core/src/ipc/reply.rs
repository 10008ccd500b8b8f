//! Reply objects: who waits for an answer, and the call stack along which a scheduling context was lent.
//!
//! The reply objects of nested calls form a list, from the bottom (the first caller) to the top. The scheduling
//! context that was lent along them points to the top, and the top points back to it. Answering the top gives
//! the scheduling context back to its caller. Taking a reply object out of the middle cuts the stack there.
//!
//! Invariants: a thread that is BlockedOnReply with a reply object is what that object's `tcb` names, and the
//! other way round; only the top of a stack refers to a scheduling context, and the scheduling context back
//! to it. Calls and faults push (`push`), answers and the deletion of a reply object remove. The links run
//! both ways, so removal from the middle looks at two neighbours only, whatever the depth of the stack.

use pecan_mem::{Kernel, Reply, ReplyNext, Tcb, ThreadState};

use crate::sched::context;

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
        context::donate(k, sc.get(k), callee);
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
                context::donate(k, sc.get(k), caller);
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
