//! Who runs on which scheduling context, and what it has used.
//!
//! Invariants: a scheduling context and its thread name each other, as do a scheduling context and its
//! notification, and one that has been yielded to and the thread that yielded. A thread has at most one.
//! Calls, answers and signals lend it (`donate`) instead of copying budget, so what a server does is charged
//! to whom it does it for.

use pecan_mem::{Kernel, SchedContext, Tcb, ThreadState, follow};

use crate::{
    base::{
        error::{Decoded, SyscallError},
        message,
    },
    sched::{budget, next::Next, release, wake},
};

/// Moves a scheduling context to the thread `to`, which has none. The thread that had it becomes passive; if it
/// is the current one it does not go on (the scheduler finds out).
#[inline]
pub fn donate(k: &Kernel, sc: &SchedContext, to: &Tcb) {
    if let Some(from) = follow(sc.tcb.get(), k) {
        release::leave_queues(k, from);
        from.sched_context.set(None);
    }
    sc.tcb.set(Some(to.link()));
    to.sched_context.set(Some(sc.link()));
}

/// Takes a scheduling context away from the thread that runs on it.
pub fn unbind_tcb(k: &Kernel, sc: &SchedContext) {
    if let Some(thread) = follow(sc.tcb.take(), k) {
        release::leave_queues(k, thread);
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

/// Microseconds that were used since somebody last asked; from now on it counts anew (from the fraction of a
/// microsecond that remains).
pub fn take_consumed(_k: &Kernel, sc: &SchedContext) -> u64 {
    let ticks = sc.consumed.get();
    let us = pecan_arch::ticks_to_us(ticks);
    sc.consumed.set(ticks.saturating_sub(pecan_arch::us_to_ticks(us)));
    us
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

/// Binds a scheduling context to a thread; neither is bound to another.
pub fn bind_tcb(k: &Kernel, sc: &SchedContext, thread: &Tcb) -> Next {
    sc.tcb.set(Some(thread.link()));
    thread.sched_context.set(Some(sc.link()));
    if sc.sporadic.get() && k.core().current_sc.get() != sc.link() {
        budget::refill_unblock_check(k, sc);
    }
    wake::wake(k, thread)
}

/// Fails unless the scheduling context can be bound to the thread: both are free, and a thread that is blocked
/// gets one that has budget.
pub fn check_bindable(k: &Kernel, sc: &SchedContext, thread: &Tcb) -> Decoded<()> {
    let blocked = matches!(
        thread.state.get(),
        ThreadState::BlockedOnSend { .. }
            | ThreadState::BlockedOnReceive { .. }
            | ThreadState::BlockedOnReply { .. }
            | ThreadState::BlockedOnNotification { .. }
    );
    let free = sc.tcb.get().is_none() && thread.sched_context.get().is_none();
    if !free || blocked && !budget::has_budget(k, sc) {
        return Err(SyscallError::IllegalOperation);
    }
    Ok(())
}
