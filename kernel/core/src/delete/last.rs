//! What the end of an object undoes, one function for each kind that has more to undo than its queue.

use pecan_mem::{Kernel, Link, Reply, SchedContext, Tcb, ThreadState, follow};

use crate::{
    base::track,
    ipc::{cancel, notification, reply, stop},
    sched::{budget, context, next::Next, units},
};

/// The last capability to a reply object goes: whoever waits on it stops waiting.
pub fn end_reply(k: &Kernel, reply: &Reply) {
    let Some(thread) = reply.tcb.get() else { return };
    let thread = thread.get(k);
    match thread.state.get() {
        ThreadState::BlockedOnReply { .. } => reply::remove(k, reply, thread),
        _ => cancel::cancel_ipc(k, thread),
    }
}

/// What deletion of the last capability to a scheduling context does.
pub fn end_sched_context(k: &Kernel, sc: &SchedContext) {
    context::unbind_all(k, sc);
    if let Some(yielder) = follow(sc.yield_from.get(), k) {
        context::complete_yield_to(k, yielder);
    }
    budget::forget(k, sc);
    sc.refill_max.set(0);
    sc.sporadic.set(false);
}

/// What deletion of the last capability to a thread does before its slots are emptied: the thread stops for
/// good, and nothing refers to it any more but the scheduler, which leaves it in this kernel entry.
pub fn end_thread(k: &mut Kernel, tcb: Link<Tcb>) -> Next {
    let thread = tcb.get(k);
    notification::unbind_tcb(k, thread);
    if let Some(sc) = follow(thread.sched_context.get(), k) {
        context::unbind_tcb(k, sc);
        if let Some(yielder) = follow(sc.yield_from.get(), k) {
            context::complete_yield_to(k, yielder);
        }
    }
    stop::suspend(k, thread);
    units::release_fpu(k, thread, false);
    track::forget(k, thread);
    Next::Resume
}
