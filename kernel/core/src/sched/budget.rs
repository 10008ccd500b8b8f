//! Time: charging the scheduling context that runs, and what happens when its budget is used up.
//!
//! The clock is read once per kernel entry ([`update_time`]). The time is charged when the budget is used up or
//! another scheduling context begins; until `CoreState::quiet_until` nothing of the kind can be due, so that is
//! all that most entries look at. Threads whose scheduling context has no budget wait in the release queue,
//! ordered by the time at which they get some.
//!
//! Owns what `CoreState` says of time: `time`, `charged`, `quiet_until`, `timer`. Time between `charged` and
//! now is owed by `current_sc`; whoever makes another scheduling context the current one charges first. Every
//! entry on the slow path calls `update_time` and a check; the end of the entry sets the timer. Charging late
//! keeps messages between threads on one scheduling context free of clock reads.

use pecan_config::NUM_DOMAINS;
use pecan_mem::{Kernel, SchedContext, follow};

use crate::{
    cap::handler,
    sched::{domain, next::Next, ready, refill, release},
};

/// Starts the clock: the idle thread's time, the first domain, the timer. Called once, before the first thread
/// is made.
pub fn start(k: &Kernel) {
    k.core().time.set(pecan_arch::now());
    k.core().charged.set(k.core().time.get());
    k.core().reprogram.set(true);
    // A time slice that does not end.
    refill::start(&k.core().idle_sc, refill::MIN_REFILLS, 1 << 62, 0, k.core().time.get());
    domain::start(k);
}

/// Reads the clock. Every entry to the kernel that is not on a fast path does this first.
#[inline(always)]
pub fn update_time(k: &Kernel) {
    k.core().time.set(pecan_arch::now());
}

/// The part of the worst-case execution time ([`pecan_arch::kernel_wcet_ticks`]) that makes an entry a long one, as a divisor.
pub const LONG: u64 = 5;

/// True if this part, as a divisor, of the worst-case execution time has passed since the last [`update_time`].
#[inline(always)]
pub fn has_passed(k: &Kernel, part: u64) -> bool {
    pecan_arch::now().wrapping_sub(k.core().time.get()) * part >= pecan_arch::kernel_wcet_ticks()
}

/// What the scheduling context that runs has not been charged yet, in ticks.
#[inline(always)]
fn uncharged(k: &Kernel) -> u64 {
    k.core().time.get().wrapping_sub(k.core().charged.get())
}

/// Nothing that the scheduler must see to can be due at the time of the last [`update_time`].
#[inline(always)]
pub fn is_quiet(k: &Kernel) -> bool {
    k.core().time.get() <= k.core().quiet_until.get()
}

/// True if the scheduling context that runs, or the current domain, has no time left for more work. Looks at the
/// time of the last [`update_time`] and changes nothing. A thread that has stopped itself would not come back to go on, so
/// only interrupts keep it from the end of what it does.
#[inline(always)]
pub fn is_exhausted(k: &Kernel) -> bool {
    let (current, sc) = (k.core().current.get().get(k), k.core().current_sc.get());
    if !current.state.is_runnable() {
        return false;
    }
    current.sched_context.get() != Some(sc)
        || !refill::is_sufficient(sc.get(k), uncharged(k))
        || NUM_DOMAINS > 1 && domain::is_over(k)
}

/// Why the current thread does not go on.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spent {
    /// It waits for budget, or behind its peers, or its domain is over; this is what the scheduler must do.
    Settled(Next),
    /// Its time is out, and it has a handler for that: the fault is yet to be raised.
    Timeout,
}

/// After [`update_time`], where something may be due: fails if the current thread has used up its time. Its scheduling
/// context has then been charged.
#[cold]
pub fn check_due(k: &Kernel) -> Result<(), Spent> {
    let sc = k.core().current_sc.get().get(k);
    if !refill::is_sufficient(sc, uncharged(k)) {
        let ends = charge(k, uncharged(k));
        let (current, sc) = (k.core().current.get().get(k), k.core().current_sc.get().get(k));
        return Err(if ends && handler::has_timeout_handler(current) && !refill::is_round_robin(sc) {
            Spent::Timeout
        } else {
            Spent::Settled(end_slice(k, ends))
        });
    }
    if NUM_DOMAINS > 1 && domain::is_over(k) {
        return Err(Spent::Settled(Next::Choose));
    }
    Ok(())
}

/// [`check_budget`](crate::ipc::end::check_budget) where the current thread has just stopped and `next` is to be done:
/// its scheduling context, or whoever has been given it, waits for budget if that was all there was.
pub fn check_stopped(k: &Kernel, next: Next) -> Next {
    let sc = k.core().current_sc.get().get(k);
    if is_quiet(k) || refill::is_sufficient(sc, uncharged(k)) {
        return next;
    }
    next.queue(k);
    let ends = charge(k, uncharged(k));
    let next = end_slice(k, ends);
    resume(k, sc);
    next
}

/// Charges `usage` to the scheduling context that runs. True if this ends the time slice of the current thread, see
/// [`end_slice`].
fn charge(k: &Kernel, usage: u64) -> bool {
    let core = k.core();
    let sc = core.current_sc.get().get(k);
    core.charged.set(core.time.get());
    core.reprogram.set(true);
    if refill::is_round_robin(sc) {
        refill::new_slice(sc);
    } else {
        refill::charge(sc, usage);
    }
    sc.consumed.set(sc.consumed.get().wrapping_add(usage));
    let current = core.current.get().get(k);
    ready::is_schedulable(k, current) && current.sched_context.get() == Some(sc.link())
}

/// What the scheduler must do after [`charge`]. Where that `ends` the current thread's time slice, the thread goes behind
/// its peers, or waits for budget.
fn end_slice(k: &Kernel, ends: bool) -> Next {
    if !ends {
        return Next::Choose;
    }
    let (current, sc) = (k.core().current.get().get(k), k.core().current_sc.get().get(k));
    if has_budget(k, sc) {
        if ready::has_peers(k, current) {
            ready::append(k, current);
        }
    } else {
        postpone(k, sc);
    }
    Next::Choose
}

/// Gives up what is left of the head refill (the `Yield` system call).
#[inline]
pub fn yield_now(k: &Kernel) -> Next {
    let core = k.core();
    let sc = core.current_sc.get().get(k);
    // Only what was really used counts as consumed.
    let consumed = sc.consumed.get().wrapping_add(uncharged(k));
    if refill::is_round_robin(sc) && !ready::has_peers(k, core.current.get().get(k)) {
        // Nobody to make way for: a new time slice begins. The timer comes early, which does no harm.
        refill::new_slice(sc);
        core.charged.set(core.time.get());
        sc.consumed.set(consumed);
        return Next::Resume;
    }
    let ends = charge(k, refill::head(sc).amount.get());
    let next = end_slice(k, ends);
    sc.consumed.set(consumed);
    next
}

/// Charges what has been used so far to the scheduling context that runs.
#[inline(always)]
pub fn commit_time(k: &Kernel) {
    let core = k.core();
    let sc = core.current_sc.get().get(k);
    let usage = uncharged(k);
    core.charged.set(core.time.get());
    if usage > 0 {
        if refill::is_round_robin(sc) {
            refill::charge_slice(sc, usage);
        } else {
            refill::charge(sc, usage);
        }
        sc.consumed.set(sc.consumed.get().wrapping_add(usage));
    }
}

/// A scheduling context goes: if it is the one that runs, what it has not been charged is dropped, and the rest
/// of this kernel entry is nobody's time.
pub fn forget(k: &Kernel, sc: &SchedContext) {
    let core = k.core();
    if core.current_sc.get() == sc.link() {
        core.current_sc.set(core.idle_sc.link());
        core.charged.set(core.time.get());
        core.reprogram.set(true);
    }
}

/// The scheduling context is configured and has budget that can be used now.
#[inline(always)]
pub fn has_budget(k: &Kernel, sc: &SchedContext) -> bool {
    sc.refill_max.get() != 0 && refill::is_sufficient(sc, 0) && refill::is_ready(sc, k.core().time.get())
}

/// The head refill can be used now.
#[inline(always)]
pub fn refill_ready(k: &Kernel, sc: &SchedContext) -> bool {
    refill::is_ready(sc, k.core().time.get())
}

/// The head refill has the least budget left after `usage` ticks more.
#[inline(always)]
pub fn refill_sufficient(_k: &Kernel, sc: &SchedContext, usage: u64) -> bool {
    refill::is_sufficient(sc, usage)
}

/// The scheduling context begins to be used after a pause: see [`unblock_check`](crate::sched::refill::unblock_check).
#[inline(always)]
pub fn refill_unblock_check(k: &Kernel, sc: &SchedContext) {
    if sc.refill_max.get() != 0 && refill::unblock_check(sc, k.core().time.get()) {
        k.core().reprogram.set(true);
    }
}

/// The thread of a scheduling context without budget waits for its next refill.
pub fn postpone(k: &Kernel, sc: &SchedContext) {
    if let Some(thread) = follow(sc.tcb.get(), k) {
        release::leave_queues(k, thread);
        release::insert(k, thread, refill::head(sc).time.get());
        k.core().reprogram.set(true);
    }
}

/// The thread of a scheduling context, if it is schedulable, waits if there is no budget.
pub fn resume(k: &Kernel, sc: &SchedContext) {
    if let Some(thread) = follow(sc.tcb.get(), k)
        && ready::is_schedulable(k, thread)
        && !has_budget(k, sc)
    {
        postpone(k, sc);
    }
}

/// Threads that [`awaken`] releases at most. If more are due, the timer interrupts user level at once for the next.
const RELEASED_AT_ONCE: usize = 7;

/// Moves threads of the release queue whose time has come to their ready queues: they begin a new time slice, behind
/// their peers. At the end of an entry that has been long none or not all: the timer is set for the first of them.
pub fn awaken(k: &Kernel) -> Next {
    let mut next = Next::Resume;
    let limit = k.core().time.get().saturating_add(pecan_arch::kernel_wcet_ticks());
    for _ in 0..RELEASED_AT_ONCE {
        let due = follow(k.core().release_head.get(), k).filter(|t| release::time(t) <= limit);
        let Some(thread) = due.filter(|_| !has_passed(k, LONG)) else { break };
        release::leave(k, thread);
        if ready::is_schedulable(k, thread) {
            ready::append(k, thread);
            next = Next::Choose;
        }
    }
    next
}

/// Notes how long nothing is due, and sets the timer: to the end of the budget, the next release, or the end of
/// the domain, whichever comes first. The scheduling context that runs has just been charged.
#[inline(always)]
pub fn set_next_interrupt(k: &Kernel) {
    let core = k.core();
    let (now, amount) = (core.time.get(), refill::head(core.current_sc.get().get(k)).amount.get());
    core.quiet_until.set(quiet(k, now, amount.wrapping_sub(refill::min_budget())).unwrap_or(0));
    let mut at = now.wrapping_add(amount);
    if let Some(thread) = follow(core.release_head.get(), k) {
        at = at.min(release::time(thread));
    }
    if NUM_DOMAINS > 1 {
        at = at.min(core.domain_end.get());
    }
    // A timer that is set for earlier may stay so: it costs one needless interrupt at most, and this less than
    // setting it at every switch.
    let set_for = core.timer.get();
    if at < set_for || set_for <= now {
        core.timer.set(at);
        pecan_arch::set_deadline(at);
    }
}

/// Until when nothing is due, if the scheduling context that runs has so much `left` above the smallest budget. `None` if
/// the first release is due whenever.
#[inline(always)]
fn quiet(k: &Kernel, now: u64, left: u64) -> Option<u64> {
    let core = k.core();
    // Far from the end of the clock, and there is no less than the smallest budget.
    let mut quiet = now.wrapping_add(left);
    if let Some(thread) = follow(core.release_head.get(), k) {
        let early = release::time(thread).checked_sub(pecan_arch::kernel_wcet_ticks())?;
        quiet = quiet.min(early.checked_sub(1)?);
    }
    if NUM_DOMAINS > 1 {
        quiet = quiet.min(core.domain_end.get().saturating_sub(refill::min_budget() + 1));
    }
    Some(quiet)
}

/// One thread takes over from another while nothing is due and the timer may stay as it is, both on scheduling contexts
/// of the ordinary kind: round robin. See [`Handover::to`].
pub struct Handover<'k> {
    to: &'k SchedContext,
    now: u64,
    quiet: u64,
}

impl<'k> Handover<'k> {
    /// Looks, at the clock as well, whether a thread that was blocked can take over on this scheduling context from the
    /// thread that runs, which has just entered the kernel. Changes nothing.
    #[inline(always)]
    pub fn to(k: &'k Kernel, to: &'k SchedContext) -> Option<Self> {
        let core = k.core();
        if !refill::is_round_robin(to) || !refill::is_round_robin(core.current_sc.get().get(k)) {
            return None;
        }
        let slice = refill::slice(to);
        let amount = slice.amount.get();
        // One that is not configured has none.
        let left = amount.checked_sub(refill::min_budget())?;
        let now = pecan_arch::now();
        if slice.time.get() > now || now > core.quiet_until.get() {
            return None;
        }
        // The timer is to go off, and by the end of the budget. A release, or the end of the domain, is no earlier: it would
        // have been set anew.
        let set_for = core.timer.get();
        if set_for <= now || set_for - now > amount {
            return None;
        }
        Some(Handover { to, now, quiet: quiet(k, now, left)? })
    }

    /// Charges the scheduling context that runs, and begins the other one.
    #[inline(always)]
    pub fn commit(self, k: &Kernel) {
        let core = k.core();
        let from = core.current_sc.replace(self.to.link()).get(k);
        core.time.set(self.now);
        let usage = self.now.wrapping_sub(core.charged.replace(self.now));
        // As nothing is due there is more.
        refill::use_slice(from, usage);
        from.consumed.set(from.consumed.get().wrapping_add(usage));
        core.quiet_until.set(self.quiet);
    }
}

/// The timer's interrupt has come. Who gets budget now is seen when the next thread is chosen.
pub fn timer_fired(k: &Kernel) {
    k.core().timer.set(0);
    k.core().reprogram.set(true);
}
