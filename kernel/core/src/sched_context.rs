//! Scheduling contexts: invocations on them and on the authority to configure them, and who runs on which.

use pecan_abi::{Label, constants::sched_context_flag};
use pecan_mem::{Cap, Kernel, Link, Notification, SchedContext, Tcb, ThreadState, follow};

use crate::{
    budget,
    error::{Decoded, Stop, SyscallError},
    invoke::{Done, Invocation, args},
    message, refill,
    scheduler::{self, Next},
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
    budget::forget(k, sc);
    sc.refill_max.set(0);
    sc.sporadic.set(false);
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
    scheduler::wake(k, thread)
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
    if !free || blocked && !budget::is_released(k, sc) {
        return Err(SyscallError::IllegalOperation);
    }
    Ok(())
}

/// A decoded invocation on a scheduling context.
enum Op {
    BindTcb(Link<Tcb>),
    BindNotification(Link<Notification>),
    Unbind,
    UnbindTcb,
    UnbindNotification,
    Consumed,
    YieldTo(Link<Tcb>),
}

/// An invocation on a scheduling context.
pub fn invoke(k: &mut Kernel, inv: Invocation<'_>) -> Result<Done, Stop> {
    let sc = inv.words.sched_context().ok_or(SyscallError::InvalidCapability(0))?.get(k);
    Ok(match decode(k, inv, sc)? {
        Op::BindTcb(thread) => Done::new(bind_tcb(k, sc, thread.get(k))),
        Op::BindNotification(ntfn) => {
            sc.notification.set(Some(ntfn));
            ntfn.get(k).sched_context.set(Some(sc.link()));
            Done::ok()
        }
        Op::Unbind => {
            unbind_all(k, sc);
            Done::ok()
        }
        Op::UnbindTcb => {
            unbind_tcb(k, sc);
            Done::ok()
        }
        Op::UnbindNotification => {
            unbind_notification(k, sc);
            Done::ok()
        }
        Op::Consumed => answer_consumed(k, inv, sc),
        Op::YieldTo(thread) => yield_to(k, inv, sc, thread.get(k)),
    })
}

fn decode(k: &Kernel, inv: Invocation<'_>, sc: &SchedContext) -> Decoded<Op> {
    let current = k.core().current.get();
    Ok(match inv.label() {
        Some(Label::SchedContextBind) => {
            let args::SchedContextBind { cap } = args::SchedContextBind::decode(k, inv)?;
            match cap.get(k).cap() {
                Cap::Tcb { tcb } => {
                    check_bindable(k, sc, tcb.get(k))?;
                    Op::BindTcb(tcb)
                }
                Cap::Notification { ntfn, .. } => {
                    if sc.notification.get().is_some() || ntfn.get(k).sched_context.get().is_some() {
                        return Err(SyscallError::IllegalOperation);
                    }
                    Op::BindNotification(ntfn)
                }
                _ => return Err(SyscallError::InvalidCapability(1)),
            }
        }
        Some(Label::SchedContextUnbind) => {
            if sc.tcb.get() == Some(current) {
                return Err(SyscallError::IllegalOperation);
            }
            Op::Unbind
        }
        Some(Label::SchedContextUnbindObject) => {
            let args::SchedContextUnbindObject { cap } = args::SchedContextUnbindObject::decode(k, inv)?;
            match cap.get(k).cap() {
                Cap::Tcb { tcb } if sc.tcb.get() == Some(tcb) && tcb != current => Op::UnbindTcb,
                Cap::Notification { ntfn, .. } if sc.notification.get() == Some(ntfn) => {
                    Op::UnbindNotification
                }
                Cap::Tcb { .. } | Cap::Notification { .. } => return Err(SyscallError::IllegalOperation),
                _ => return Err(SyscallError::InvalidCapability(1)),
            }
        }
        Some(Label::SchedContextConsumed) => Op::Consumed,
        Some(Label::SchedContextYieldTo) => {
            let this = current.get(k);
            match sc.tcb.get() {
                Some(tcb)
                    if tcb != current
                        && tcb.get(k).priority.get() <= this.mcp.get()
                        && this.yield_to.get().is_none() =>
                {
                    Op::YieldTo(tcb)
                }
                _ => return Err(SyscallError::IllegalOperation),
            }
        }
        _ => return Err(SyscallError::IllegalOperation),
    })
}

fn answer_consumed(k: &Kernel, inv: Invocation<'_>, sc: &SchedContext) -> Done {
    if sc.link() == k.core().current_sc.get() {
        // What has been used since the last switch, too.
        budget::commit_time(k);
    }
    let consumed = take_consumed(k, sc);
    if inv.call {
        message::put(k, inv.thread.get(k), 0, consumed);
    }
    Done::answer(1)
}

/// Puts the thread of a scheduling context at the head of its queue. If it can run before the caller does, the
/// caller gets its answer when it runs again, otherwise at once.
fn yield_to(k: &Kernel, inv: Invocation<'_>, sc: &SchedContext, thread: &Tcb) -> Done {
    let caller = inv.thread.get(k);
    if let Some(other) = follow(sc.yield_from.get(), k) {
        complete_yield_to(k, other);
    }
    budget::resume(k, sc);
    if !scheduler::is_schedulable(k, thread) {
        return answer_consumed(k, inv, sc);
    }
    scheduler::dequeue(k, thread);
    if thread.priority.get() < caller.priority.get() {
        scheduler::enqueue(k, thread);
        return answer_consumed(k, inv, sc);
    }
    if inv.call {
        sc.yield_from.set(Some(caller.link()));
        caller.yield_to.set(Some(sc.link()));
    }
    scheduler::enqueue(k, caller);
    scheduler::enqueue(k, thread);
    Done { next: Next::Choose, words: 1 }
}

/// Parameters for a scheduling context.
struct Configuration {
    sc: Link<SchedContext>,
    /// In ticks.
    budget: u64,
    /// In ticks; 0 for round robin.
    period: u64,
    refills: usize,
    badge: u64,
    sporadic: bool,
}

/// An invocation on the authority to configure scheduling contexts.
pub fn invoke_control(k: &mut Kernel, inv: Invocation<'_>) -> Result<Done, Stop> {
    let configuration = decode_configure(k, inv)?;
    Ok(Done::new(configure(k, configuration)))
}

fn decode_configure(k: &Kernel, inv: Invocation<'_>) -> Decoded<Configuration> {
    if inv.label() != Some(Label::SchedControlConfigureFlags) {
        return Err(SyscallError::IllegalOperation);
    }
    let args::SchedControlConfigureFlags { sched_context, budget, period, extra_refills, badge, flags } =
        args::SchedControlConfigureFlags::decode(k, inv)?;
    let (min, max) = (pecan_arch::ticks_to_us(refill::min_budget()), pecan_arch::max_us());
    for us in [budget, period] {
        if !(min..=max).contains(&us) {
            return Err(SyscallError::RangeError(min, max));
        }
    }
    if budget > period {
        return Err(SyscallError::RangeError(min, period));
    }
    let sc = sched_context.get(k).words().sched_context().ok_or(SyscallError::InvalidCapability(1))?;
    let round_robin = budget == period;
    let max_extra = (sc.get(k).refill_capacity() - refill::MIN_REFILLS) as u64;
    if !round_robin && extra_refills > max_extra {
        return Err(SyscallError::RangeError(0, max_extra));
    }
    Ok(Configuration {
        sc,
        budget: pecan_arch::us_to_ticks(budget),
        period: if round_robin { 0 } else { pecan_arch::us_to_ticks(period) },
        refills: match round_robin {
            true => refill::MIN_REFILLS,
            false => (refill::MIN_REFILLS + extra_refills as usize).min(refill::MAX_REFILLS),
        },
        badge,
        sporadic: flags & sched_context_flag::SPORADIC != 0,
    })
}

/// Sets the parameters of a scheduling context. If it is in use, what has been used of the old budget counts
/// for the new one.
fn configure(k: &Kernel, configuration: Configuration) -> Next {
    let Configuration { sc, budget, period, refills, badge, sporadic } = configuration;
    let sc = sc.get(k);
    if sc.link() == k.core().current_sc.get() {
        budget::commit_time(k);
        k.core().reprogram.set(true);
    }
    let thread = follow(sc.tcb.get(), k);
    if let Some(thread) = thread {
        // Its place in the release queue depends on the refills.
        scheduler::remove(k, thread);
    }
    sc.badge.set(badge);
    sc.sporadic.set(sporadic);
    let now = k.core().time.get();
    if sc.refill_max.get() != 0 && thread.is_some_and(|t| t.state.is_runnable()) {
        refill::update(sc, refills, budget, period, now);
    } else {
        refill::start(sc, refills, budget, period, now);
    }
    thread.map_or(Next::Resume, |thread| scheduler::wake(k, thread))
}

#[cfg(test)]
mod tests;
