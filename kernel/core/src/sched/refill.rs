//! The arithmetic of budgets: sporadic servers.
//!
//! A scheduling context holds a ring of refills, each an amount of time that may be used from a given moment
//! on. What has been used comes back one period after the moment from which it could be used. The amounts
//! always add up to the budget, and the times are in order. A round-robin scheduling context (period 0) has
//! two refills that are always ready: what is left of the time slice, and what has been used of it.
//!
//! All times are in ticks of the port's clock, and additions saturate: a time that far away never comes.

#[cfg(test)]
mod tests;

use pecan_mem::{Refill, SchedContext};

/// Refills that every scheduling context can have.
pub const MIN_REFILLS: usize = 2;

/// Refills of a scheduling context that are used at most, however many it could hold: charging one may look at all.
pub const MAX_REFILLS: usize = 64;

/// From here on a time is not postponed any further.
const NEVER: u64 = u64::MAX / 2;

/// The smallest budget worth a switch of threads, in ticks: entering and leaving the kernel.
#[inline(always)]
pub fn min_budget() -> u64 {
    2 * pecan_arch::kernel_wcet_ticks()
}

/// Scheduled round robin.
#[inline(always)]
pub fn is_round_robin(sc: &SchedContext) -> bool {
    sc.period.get() == 0
}

/// The refill that is in use.
#[inline(always)]
pub fn head(sc: &SchedContext) -> &Refill {
    sc.first_refill()
}

/// The index of the refill `n` places behind the head.
#[inline(always)]
fn index(sc: &SchedContext, n: u16) -> usize {
    let (i, max) = (sc.refill_head() + n as usize, sc.refill_max.get() as usize);
    if i >= max { i - max } else { i }
}

#[inline(always)]
fn tail(sc: &SchedContext) -> &Refill {
    sc.refill(index(sc, sc.refill_count.get().max(1) - 1))
}

/// Removes the head and returns its time and amount.
#[inline]
fn pop(sc: &SchedContext) -> (u64, u64) {
    let old = head(sc);
    let out = (old.time.get(), old.amount.get());
    sc.set_refill_head(index(sc, 1));
    sc.refill_count.set(sc.refill_count.get() - 1);
    out
}

#[inline]
fn push(sc: &SchedContext, time: u64, amount: u64) {
    sc.refill_count.set(sc.refill_count.get() + 1);
    let new = tail(sc);
    new.time.set(time);
    new.amount.set(amount);
}

/// The head can be used at `now`, allowing for the time it takes to get to user level.
#[inline(always)]
pub fn is_ready(sc: &SchedContext, now: u64) -> bool {
    head(sc).time.get() <= now.saturating_add(pecan_arch::kernel_wcet_ticks())
}

/// The head has the least budget left after `usage`.
#[inline(always)]
pub fn is_sufficient(sc: &SchedContext, usage: u64) -> bool {
    head(sc).amount.get() >= usage.saturating_add(min_budget())
}

/// Sets new parameters and makes the whole budget available at `now`. A period of 0 is round robin.
pub fn start(sc: &SchedContext, refills: usize, budget: u64, period: u64, now: u64) {
    sc.period.set(period);
    sc.refill_max.set(refills as u16);
    sc.set_refill_head(0);
    sc.refill_count.set(0);
    push(sc, now, budget);
    if period == 0 {
        push(sc, now, 0);
    }
}

/// Sets new parameters and keeps what has been used: only what is left at the head is available at once.
pub fn update(sc: &SchedContext, refills: usize, budget: u64, period: u64, now: u64) {
    let (time, amount) = (head(sc).time.get(), head(sc).amount.get().min(budget));
    let time = if is_ready(sc, now) { now } else { time };
    sc.period.set(period);
    sc.refill_max.set(refills as u16);
    sc.set_refill_head(0);
    sc.refill_count.set(0);
    push(sc, time, amount);
    if amount < budget || period == 0 {
        push(sc, time.saturating_add(period), budget - amount);
    }
}

/// Plans the return of an amount that has been used.
fn schedule_used(sc: &SchedContext, time: u64, amount: u64) {
    if sc.refill_count.get() == 0 {
        return push(sc, time, amount);
    }
    let last = tail(sc);
    let last_amount = last.amount.get();
    if last.time.get().saturating_add(last_amount) >= time {
        // It would begin before the last one could be used up: one refill does for both.
        last.amount.set(last_amount + amount);
    } else if sc.refill_count.get() < sc.refill_max.get() {
        push(sc, time, amount);
    } else {
        // No room: the last one is delayed so that both end together.
        last.time.set(time.saturating_sub(last_amount));
        last.amount.set(last_amount + amount);
    }
}

/// Charges `usage` to a scheduling context with a period.
pub fn charge(sc: &SchedContext, usage: u64) {
    let period = sc.period.get();
    let mut usage = usage;
    if usage > head(sc).amount.get() {
        // An overrun by more than the budget is not the thread's: the clock has jumped.
        let budget: u64 = (0..sc.refill_count.get()).map(|n| sc.refill(index(sc, n)).amount.get()).sum();
        usage = usage.min(2 * budget);
    }
    // Refills that are used up.
    while head(sc).amount.get() <= usage && head(sc).time.get() < NEVER {
        if sc.refill_count.get() == 1 {
            let only = head(sc);
            usage -= only.amount.get();
            only.time.set(only.time.get().saturating_add(period));
        } else {
            let (time, amount) = pop(sc);
            usage -= amount;
            schedule_used(sc, time.saturating_add(period), amount);
        }
    }
    // The part of a refill.
    if usage > 0 && head(sc).time.get() < NEVER {
        let first = head(sc);
        let time = first.time.get();
        first.amount.set(first.amount.get() - usage);
        first.time.set(time.saturating_add(usage));
        schedule_used(sc, time.saturating_add(period), usage);
    }
    // Too little to be worth while is used together with what comes next.
    while head(sc).amount.get() < min_budget() && sc.refill_count.get() > 1 {
        let (_, amount) = pop(sc);
        let first = head(sc);
        first.time.set(first.time.get().saturating_sub(amount));
        first.amount.set(first.amount.get() + amount);
    }
}

/// What is left of the time slice, and what has been used of it. They never move in the ring.
#[inline(always)]
fn slices(sc: &SchedContext) -> (&Refill, &Refill) {
    (&sc.refills[0], &sc.refills[1])
}

/// Charges `usage`, less than what is left, to a round-robin scheduling context.
#[inline]
pub fn charge_slice(sc: &SchedContext, usage: u64) {
    use_slice(sc, usage.min(slice(sc).amount.get()));
}

/// What is left of a round-robin scheduling context's time slice.
#[inline(always)]
pub fn slice(sc: &SchedContext) -> &Refill {
    slices(sc).0
}

/// Charges `usage`, which is no more than what is left, to a round-robin scheduling context.
#[inline(always)]
pub fn use_slice(sc: &SchedContext, usage: u64) {
    let (first, last) = slices(sc);
    debug_assert!(usage <= first.amount.get());
    first.amount.set(first.amount.get() - usage);
    last.amount.set(last.amount.get() + usage);
}

/// Gives a round-robin scheduling context its next time slice.
#[inline]
pub fn new_slice(sc: &SchedContext) {
    let (first, last) = slices(sc);
    first.amount.set(first.amount.get() + last.amount.get());
    last.amount.set(0);
}

/// Makes a scheduling context that was not used until `now` begin now: what it could have used before is not
/// saved up. Refills that are available by the time those before are used up are merged. True if something
/// could change.
pub fn unblock_check(sc: &SchedContext, now: u64) -> bool {
    if is_round_robin(sc) || !is_ready(sc, now) {
        return false;
    }
    head(sc).time.set(now);
    while sc.refill_count.get() > 1 {
        let amount = head(sc).amount.get();
        let second = sc.refill(index(sc, 1));
        if second.time.get() > now.saturating_add(amount) {
            break;
        }
        pop(sc);
        let first = head(sc);
        first.time.set(now);
        first.amount.set(first.amount.get() + amount);
    }
    true
}
