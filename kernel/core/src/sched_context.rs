//! Scheduling contexts: invocations on them and on the authority to configure them, and who runs on which.

use pecan_mem::{Kernel, SchedContext, Tcb, follow};

use crate::{
    error::Stop,
    invoke::{Done, Invocation},
    message, scheduler,
};

/// Moves a scheduling context to the thread `to`, which has none. The thread that had it becomes passive; if it
/// is the current one it does not go on (the scheduler finds out).
#[inline]
pub fn donate(k: &Kernel, sc: &SchedContext, to: &Tcb) {
    if let Some(from) = follow(sc.tcb.get(), k) {
        scheduler::remove(k, from);
        from.sched_context.set(None);
    }
    sc.tcb.set(Some(to.link()));
    to.sched_context.set(Some(sc.link()));
}

/// Takes a scheduling context away from the thread that runs on it.
pub fn unbind_tcb(k: &Kernel, sc: &SchedContext) {
    if let Some(thread) = follow(sc.tcb.take(), k) {
        scheduler::remove(k, thread);
        thread.sched_context.set(None);
    }
}

/// Unbinds a scheduling context from its notification.
pub fn unbind_notification(k: &Kernel, sc: &SchedContext) {
    if let Some(notification) = follow(sc.notification.take(), k) {
        notification.sched_context.set(None);
    }
}

/// Unbinds a scheduling context from the thread and the notification, and from the calls along which it was
/// lent.
pub fn unbind_all(k: &Kernel, sc: &SchedContext) {
    unbind_tcb(k, sc);
    unbind_notification(k, sc);
    if let Some(reply) = follow(sc.reply.take(), k) {
        reply.set_next(pecan_mem::ReplyNext::None);
    }
}

/// What deletion of the last capability to a scheduling context does.
pub fn finalise(k: &Kernel, sc: &SchedContext) {
    unbind_all(k, sc);
    if let Some(yielder) = follow(sc.yield_from.get(), k) {
        complete_yield_to(k, yielder);
    }
    // It no longer counts as configured: what is left to charge is dropped.
    sc.refill_max.set(0);
    sc.sporadic.set(false);
}

/// Microseconds that were used since somebody last asked; from now on it counts anew.
pub fn take_consumed(_k: &Kernel, sc: &SchedContext) -> u64 {
    pecan_arch::ticks_to_us(sc.consumed.take())
}

/// A thread that has yielded to a scheduling context runs again, or cannot wait any longer: it gets the time
/// that was used meanwhile.
pub fn complete_yield_to(k: &Kernel, thread: &Tcb) {
    if let Some(sc) = follow(thread.yield_to.get(), k) {
        message::put(k, thread, 0, take_consumed(k, sc));
        cancel_yield_to(k, thread);
    }
}

/// A thread that may have yielded to a scheduling context no longer waits for an answer.
pub fn cancel_yield_to(k: &Kernel, thread: &Tcb) {
    if let Some(sc) = follow(thread.yield_to.take(), k) {
        sc.yield_from.set(None);
    }
}

/// An invocation on a scheduling context.
pub fn invoke(_k: &mut Kernel, _inv: &Invocation) -> Result<Done, Stop> {
    todo!()
}

/// An invocation on the authority to configure scheduling contexts.
pub fn invoke_control(_k: &mut Kernel, _inv: &Invocation) -> Result<Done, Stop> {
    todo!()
}
