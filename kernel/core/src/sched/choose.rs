//! The choice of the thread that runs next: the end of every kernel entry that is not on a fast path.
//!
//! Who is ready, and who runs, is changed by nobody else: other modules return a `Next` that says what has
//! changed, and each entry ends in one call of `schedule`. Values instead of calls keep operations from
//! seeing a half-made choice, and let most entries end without one.

use pecan_config::NUM_DOMAINS;
use pecan_mem::{Kernel, Tcb, ThreadState, follow};

use crate::sched::{budget, domain, next::Next, ready, switch};

/// Ends a kernel entry: wakes threads whose time has come, changes the domain when its time is up, chooses the
/// thread that runs next, charges the scheduling context that ends and begins the next one, sets the timer, and
/// makes the thread ready to enter user level. Returns the thread, which is the current one now.
#[inline(always)]
pub fn schedule(k: &Kernel, next: Next) -> &Tcb {
    let core = k.core();
    let current = core.current.get().get(k);
    if next == Next::Stay && stays(k) {
        return current;
    }
    if is_undisturbed(k) && budget::is_quiet(k) {
        debug_assert!(ready::is_schedulable(k, current));
        match next {
            Next::Stay | Next::Resume => {
                debug_assert!(!current.is_queued.get() && current.yield_to.get().is_none());
                return current;
            }
            Next::Switch(thread) => {
                let thread = thread.get(k);
                let wins = thread.priority.get() > current.priority.get() && ready::is_schedulable(k, thread);
                if wins && !current.is_queued.get() {
                    preempt(k, current, thread);
                    return thread;
                }
            }
            Next::Choose => {}
        }
    }
    reschedule(k, current, next)
}

/// The current thread runs on the time that is charged: then it is schedulable.
#[inline(always)]
fn is_undisturbed(k: &Kernel) -> bool {
    let core = k.core();
    let current = core.current.get().get(k);
    matches!(current.state.get(), ThreadState::Running)
        && current.sched_context.get() == Some(core.current_sc.get())
        && !core.reprogram.get()
}

/// True if nothing is due, where an entry has changed nothing that the scheduler looks at
/// ([`Next::Stay`]): then the current thread goes on.
#[inline(always)]
pub fn stays(k: &Kernel) -> bool {
    // It was so when the entry began.
    debug_assert!(is_undisturbed(k) && ready::is_schedulable(k, k.core().current.get().get(k)));
    budget::is_quiet(k)
}

/// [`schedule`] when something has changed or may be due.
#[inline(never)]
fn reschedule<'k>(k: &'k Kernel, current: &'k Tcb, next: Next) -> &'k Tcb {
    let mut next = next;
    if !budget::is_quiet(k) {
        next = next.and(k, budget::awaken(k));
        if NUM_DOMAINS > 1 && domain::is_over(k) {
            next.queue(k);
            if ready::is_schedulable(k, current) {
                ready::enqueue(k, current);
            }
            domain::advance(k);
            next = Next::Choose;
        }
    }
    let thread = match next {
        Next::Stay | Next::Resume if ready::is_schedulable(k, current) && !current.is_queued.get() => current,
        Next::Switch(thread) => switch_or_queue(k, current, thread.get(k)),
        _ => choose(k, current),
    };
    if thread.link() != current.link() {
        if switch::is_idle(k, thread) || switch::is_idle(k, current) {
            switch::switch_idle(k, current, thread);
        } else {
            switch::switch_to(k, thread);
        }
    }
    switch::activate(k, thread);
    switch::switch_sched_context(k, thread);
    thread
}

/// Switches from the current thread, which could go on, to one of a higher priority.
#[inline(always)]
fn preempt(k: &Kernel, current: &Tcb, thread: &Tcb) {
    ready::put_back(k, current);
    if thread.is_queued.get() {
        ready::dequeue(k, thread);
    }
    switch::switch_to(k, thread);
    switch::activate(k, thread);
    switch::switch_sched_context(k, thread);
}

/// Chooses between the current thread, one that became ready, and the queues.
#[inline]
fn switch_or_queue<'k>(k: &'k Kernel, current: &'k Tcb, thread: &'k Tcb) -> &'k Tcb {
    if !ready::is_schedulable(k, thread) || thread.link() == current.link() {
        return choose(k, current);
    }
    let (new, old) = (thread.priority.get(), current.priority.get());
    if current.is_queued.get() {
        ready::enqueue(k, thread);
        return choose(k, current);
    }
    if ready::is_schedulable(k, current) && ready::in_current_domain(k, current) {
        if new > old {
            ready::enqueue(k, current);
            ready::dequeue(k, thread);
            return thread;
        }
        if new == old {
            ready::append(k, thread);
        } else {
            ready::enqueue(k, thread);
        }
        return current;
    }
    if ready::highest(k).is_some_and(|top| top > new) {
        ready::enqueue(k, thread);
        return choose(k, current);
    }
    ready::dequeue(k, thread);
    thread
}

/// The current thread if it is schedulable and nothing in the queues beats it; otherwise what the queues have,
/// or the idle thread.
fn choose<'k>(k: &'k Kernel, current: &'k Tcb) -> &'k Tcb {
    let top = ready::highest(k);
    if !current.is_queued.get() && ready::is_schedulable(k, current) {
        if ready::in_current_domain(k, current) && top.is_none_or(|top| top <= current.priority.get()) {
            return current;
        }
        ready::enqueue(k, current);
    }
    let head = top.and_then(|top| ready::queues(k, k.core().domain.get()).heads[top as usize].get());
    match follow(head, k) {
        Some(thread) => {
            ready::dequeue(k, thread);
            thread
        }
        None => &k.core().idle_thread,
    }
}
