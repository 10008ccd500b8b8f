//! Invocations of scheduling contexts and of the authority to configure them.

#[cfg(test)]
mod tests;

use pecan_abi::{Label, constants::sched_context_flag};
use pecan_mem::{Cap, Kernel, Link, Notification, SchedContext, Tcb, follow};

use crate::{
    base::{
        error::{Decoded, Stop, SyscallError},
        message,
    },
    invoke::{
        args,
        invocation::{Done, Invocation},
    },
    sched::{budget, context, next::Next, ready, refill, release, wake},
};

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
        Op::BindTcb(thread) => Done::new(context::bind_tcb(k, sc, thread.get(k))),
        Op::BindNotification(ntfn) => {
            sc.notification.set(Some(ntfn));
            ntfn.get(k).sched_context.set(Some(sc.link()));
            Done::ok()
        }
        Op::Unbind => {
            context::unbind_all(k, sc);
            Done::ok()
        }
        Op::UnbindTcb => {
            context::unbind_tcb(k, sc);
            Done::ok()
        }
        Op::UnbindNotification => {
            context::unbind_notification(k, sc);
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
                    context::check_bindable(k, sc, tcb.get(k))?;
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
    let consumed = context::take_consumed(k, sc);
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
        context::complete_yield_to(k, other);
    }
    budget::resume(k, sc);
    if !ready::is_schedulable(k, thread) {
        return answer_consumed(k, inv, sc);
    }
    ready::dequeue(k, thread);
    if thread.priority.get() < caller.priority.get() {
        ready::enqueue(k, thread);
        return answer_consumed(k, inv, sc);
    }
    if inv.call {
        sc.yield_from.set(Some(caller.link()));
        caller.yield_to.set(Some(sc.link()));
    }
    ready::enqueue(k, caller);
    ready::enqueue(k, thread);
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
        release::leave_queues(k, thread);
    }
    sc.badge.set(badge);
    sc.sporadic.set(sporadic);
    let now = k.core().time.get();
    if sc.refill_max.get() != 0 && thread.is_some_and(|t| t.state.is_runnable()) {
        refill::update(sc, refills, budget, period, now);
    } else {
        refill::start(sc, refills, budget, period, now);
    }
    thread.map_or(Next::Resume, |thread| wake::wake(k, thread))
}
