//! The scheduler: ready queues by domain and priority, the choice of the next thread, and the switch to it.
//!
//! Of the threads of the current domain that are schedulable, the first of the highest priority runs. The
//! thread that runs is in no queue, and no queued thread of its domain has a higher priority. A thread that is
//! preempted goes to the head of its queue, one whose time slice has ended to the tail.

use pecan_arch::{Space, reg};
use pecan_config::NUM_DOMAINS;
use pecan_mem::{Kernel, Link, Tcb, ThreadState, follow, state::ReadyQueues};

use crate::{breakpoint, budget, domain, endpoint, notification, refill, sched_context, vspace};

/// What the scheduler must do after an operation. Whoever makes threads ready or blocks them returns one.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// Nothing, and nothing has changed that the scheduler looks at since the entry began.
    Stay,
    /// Nothing: the current thread goes on if it still can.
    Resume,
    /// The thread became ready and is in no queue: run it if it may run now.
    Switch(Link<Tcb>),
    /// Choose anew from the queues.
    Choose,
}

impl Next {
    /// What to do after two operations: this one, then `other`.
    #[inline]
    pub fn and(self, k: &Kernel, other: Next) -> Next {
        match (self, other) {
            (Next::Stay, next) | (next, Next::Stay) => next,
            (Next::Resume, next) | (next, Next::Resume) => next,
            (Next::Switch(a), Next::Switch(b)) if a == b => self,
            _ => {
                self.queue(k);
                other.queue(k);
                Next::Choose
            }
        }
    }

    /// The same with the thread that was to be switched to in its queue, so that this may get lost as long as
    /// the scheduler chooses anew.
    pub fn settle(self, k: &Kernel) -> Next {
        self.queue(k);
        if matches!(self, Next::Stay | Next::Resume) { self } else { Next::Choose }
    }

    /// Puts the thread that was to be switched to into its queue instead.
    pub fn queue(self, k: &Kernel) {
        if let Next::Switch(thread) = self {
            let thread = thread.get(k);
            // It may have been stopped since.
            if is_schedulable(k, thread) {
                enqueue(k, thread);
            }
        }
    }
}

/// True if the thread may run as far as it is concerned: it is runnable, has a configured scheduling context,
/// and that has budget now.
#[inline(always)]
pub fn is_schedulable(k: &Kernel, thread: &Tcb) -> bool {
    thread.state.is_runnable()
        && !thread.is_released_later.get()
        && follow(thread.sched_context.get(), k).is_some_and(|sc| sc.refill_max.get() != 0)
}

/// The thread became runnable. If it cannot run for want of budget it waits in the release queue; otherwise it
/// is a candidate for the processor.
#[inline(always)]
pub fn wake(k: &Kernel, thread: &Tcb) -> Next {
    let Some(sc) = follow(thread.sched_context.get(), k) else { return Next::Resume };
    if !is_schedulable(k, thread) {
        return Next::Resume;
    }
    if !budget::is_released(k, sc) {
        budget::postpone(k, sc);
        return Next::Resume;
    }
    candidate(k, thread)
}

/// A schedulable thread, in no queue, wants to run.
#[inline(always)]
pub(crate) fn candidate(k: &Kernel, thread: &Tcb) -> Next {
    if NUM_DOMAINS > 1 && thread.domain.get() != k.core().domain.get() {
        enqueue(k, thread);
        Next::Resume
    } else {
        Next::Switch(thread.link())
    }
}

#[inline(always)]
fn queues(k: &Kernel, domain: u8) -> &ReadyQueues {
    &k.core().ready[if NUM_DOMAINS > 1 { domain as usize % NUM_DOMAINS } else { 0 }]
}

/// The highest priority that has a thread in a queue of the current domain.
#[inline(always)]
pub(crate) fn highest(k: &Kernel) -> Option<u8> {
    let queues = queues(k, k.core().domain.get());
    let top = queues.top.get();
    queues.heads[top as usize].get().is_some().then_some(top)
}

/// True if nobody in the queues of the current domain has a higher priority than this.
#[inline(always)]
pub(crate) fn is_highest(k: &Kernel, priority: u8) -> bool {
    queues(k, k.core().domain.get()).top.get() <= priority
}

/// Notes that a priority has no thread any more.
#[inline(always)]
fn priority_is_empty(queues: &ReadyQueues, priority: usize) {
    let word = &queues.bitmap[priority / 64];
    word.set(word.get() & !(1 << (priority % 64)));
    if queues.top.get() as usize == priority {
        // The next one below, from the word that the old one is in on.
        let mut i = priority / 64;
        let mut left = word.get();
        while left == 0 && i > 0 {
            i -= 1;
            left = queues.bitmap[i].get();
        }
        queues.top.set((i << 6) as u8 | left.checked_ilog2().unwrap_or(0) as u8);
    }
}

/// Puts a thread at the head of its ready queue, unless it is in it.
#[inline]
pub fn enqueue(k: &Kernel, thread: &Tcb) {
    if !thread.is_queued.get() {
        insert(k, thread, true);
    }
}

/// Puts a thread at the tail of its ready queue, unless it is in it.
#[inline]
pub fn append(k: &Kernel, thread: &Tcb) {
    if !thread.is_queued.get() {
        insert(k, thread, false);
    }
}

/// Puts the current thread, which is preempted, at the head of its ready queue.
#[inline(always)]
pub(crate) fn put_back(k: &Kernel, current: &Tcb) {
    debug_assert!(!current.is_queued.get() && is_highest(k, current.priority.get()));
    queues(k, current.domain.get()).top.set(link(k, current, true));
}

/// Links a thread into its ring, and notes that its priority has one.
#[inline(always)]
fn insert(k: &Kernel, thread: &Tcb, first: bool) {
    let priority = link(k, thread, first);
    let top = &queues(k, thread.domain.get()).top;
    top.set(top.get().max(priority));
}

/// Links a thread into its ring, before the head: at the end, or as the new head. Returns its priority; whether that is the
/// highest now is the caller's to note.
#[inline(always)]
fn link(k: &Kernel, thread: &Tcb, first: bool) -> u8 {
    let priority = thread.priority.get() as usize;
    let queues = queues(k, thread.domain.get());
    let this = thread.link();
    match queues.heads[priority].get() {
        None => {
            thread.sched_queue.prev.set(Some(this));
            thread.sched_queue.next.set(Some(this));
            queues.heads[priority].set(Some(this));
            let word = &queues.bitmap[priority / 64];
            word.set(word.get() | 1 << (priority % 64));
        }
        Some(head) => {
            let head_ref = head.get(k);
            let tail = head_ref.sched_queue.prev.get();
            thread.sched_queue.prev.set(tail);
            thread.sched_queue.next.set(Some(head));
            head_ref.sched_queue.prev.set(Some(this));
            if let Some(tail) = follow(tail, k) {
                tail.sched_queue.next.set(Some(this));
            }
            if first {
                queues.heads[priority].set(Some(this));
            }
        }
    }
    thread.is_queued.set(true);
    priority as u8
}

/// Takes a thread out of its ready queue, if it is in it.
#[inline]
pub fn dequeue(k: &Kernel, thread: &Tcb) {
    if !thread.is_queued.get() {
        return;
    }
    let priority = thread.priority.get() as usize;
    let queues = queues(k, thread.domain.get());
    let (prev, next) = (thread.sched_queue.prev.get(), thread.sched_queue.next.get());
    if next == Some(thread.link()) {
        queues.heads[priority].set(None);
        priority_is_empty(queues, priority);
    } else {
        if let Some(prev) = follow(prev, k) {
            prev.sched_queue.next.set(next);
        }
        if let Some(next) = follow(next, k) {
            next.sched_queue.prev.set(prev);
        }
        let head = &queues.heads[priority];
        if head.get() == Some(thread.link()) {
            head.set(next);
        }
    }
    thread.sched_queue.prev.set(None);
    thread.sched_queue.next.set(None);
    thread.is_queued.set(false);
}

/// Takes a thread out of the ready and the release queue: it stops being schedulable, or what its place there
/// depends on is about to change.
pub fn remove(k: &Kernel, thread: &Tcb) {
    dequeue(k, thread);
    budget::release_remove(k, thread);
}

/// True if another thread is queued at this thread's priority.
#[inline]
pub(crate) fn has_peers(k: &Kernel, thread: &Tcb) -> bool {
    queues(k, thread.domain.get()).heads[thread.priority.get() as usize].get().is_some()
}

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
        debug_assert!(is_schedulable(k, current));
        match next {
            Next::Stay | Next::Resume => {
                debug_assert!(!current.is_queued.get() && current.yield_to.get().is_none());
                return current;
            }
            Next::Switch(thread) => {
                let thread = thread.get(k);
                let wins = thread.priority.get() > current.priority.get() && is_schedulable(k, thread);
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

/// True if nothing is due, where an entry has changed nothing that the scheduler looks at ([`Next::Stay`]): then the current
/// thread goes on.
#[inline(always)]
pub fn stays(k: &Kernel) -> bool {
    // It was so when the entry began.
    debug_assert!(is_undisturbed(k) && is_schedulable(k, k.core().current.get().get(k)));
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
            if is_schedulable(k, current) {
                enqueue(k, current);
            }
            domain::advance(k);
            next = Next::Choose;
        }
    }
    let thread = match next {
        Next::Stay | Next::Resume if is_schedulable(k, current) && !current.is_queued.get() => current,
        Next::Switch(thread) => switch_or_queue(k, current, thread.get(k)),
        _ => choose(k, current),
    };
    if thread.link() != current.link() {
        if is_idle(k, thread) || is_idle(k, current) {
            switch_idle(k, current, thread);
        } else {
            switch_to(k, thread);
        }
    }
    activate(k, thread);
    switch_sched_context(k, thread);
    thread
}

/// Switches from the current thread, which could go on, to one of a higher priority.
#[inline(always)]
fn preempt(k: &Kernel, current: &Tcb, thread: &Tcb) {
    put_back(k, current);
    if thread.is_queued.get() {
        dequeue(k, thread);
    }
    switch_to(k, thread);
    activate(k, thread);
    switch_sched_context(k, thread);
}

/// Chooses between the current thread, one that became ready, and the queues.
#[inline]
fn switch_or_queue<'k>(k: &'k Kernel, current: &'k Tcb, thread: &'k Tcb) -> &'k Tcb {
    if !is_schedulable(k, thread) || thread.link() == current.link() {
        return choose(k, current);
    }
    let (new, old) = (thread.priority.get(), current.priority.get());
    if current.is_queued.get() {
        enqueue(k, thread);
        return choose(k, current);
    }
    if is_schedulable(k, current) && in_current_domain(k, current) {
        if new > old {
            enqueue(k, current);
            dequeue(k, thread);
            return thread;
        }
        if new == old {
            append(k, thread);
        } else {
            enqueue(k, thread);
        }
        return current;
    }
    if highest(k).is_some_and(|top| top > new) {
        enqueue(k, thread);
        return choose(k, current);
    }
    dequeue(k, thread);
    thread
}

#[inline(always)]
fn in_current_domain(k: &Kernel, thread: &Tcb) -> bool {
    NUM_DOMAINS == 1 || thread.domain.get() == k.core().domain.get()
}

/// The current thread if it is schedulable and nothing in the queues beats it; otherwise what the queues have,
/// or the idle thread.
fn choose<'k>(k: &'k Kernel, current: &'k Tcb) -> &'k Tcb {
    let top = highest(k);
    if !current.is_queued.get() && is_schedulable(k, current) {
        if in_current_domain(k, current) && top.is_none_or(|top| top <= current.priority.get()) {
            return current;
        }
        enqueue(k, current);
    }
    let head = top.and_then(|top| queues(k, k.core().domain.get()).heads[top as usize].get());
    match follow(head, k) {
        Some(thread) => {
            dequeue(k, thread);
            thread
        }
        None => &k.core().idle_thread,
    }
}

/// Makes a thread the current one: address space, vector registers, and what else the processor holds of it.
/// The scheduling context stays as it is. Not for the idle thread.
#[inline(always)]
pub fn switch_to(k: &Kernel, thread: &Tcb) {
    let from = k.core().current.get().get(k);
    k.set_current(thread);
    load_vspace(k, thread);
    switch_units(k, thread);
    pecan_arch::context_switch(&from.context, &thread.context);
}

#[inline(always)]
fn is_idle(k: &Kernel, thread: &Tcb) -> bool {
    core::ptr::eq(thread, &k.core().idle_thread)
}

/// The switch from or to the idle thread, which has no registers and no address space of its own.
#[cold]
fn switch_idle(k: &Kernel, from: &Tcb, to: &Tcb) {
    k.set_current(to);
    if !is_idle(k, from) {
        pecan_arch::sync_context(&from.context);
    }
    if is_idle(k, to) {
        pecan_arch::switch_kernel_vspace();
    } else {
        load_vspace(k, to);
        load_units(k, to);
        pecan_arch::load_context(&to.context);
    }
}

/// Switches to the address space of a thread; to the kernel's own if it has no valid one.
#[inline(always)]
pub fn load_vspace(k: &Kernel, thread: &Tcb) {
    match vspace::space(k, thread) {
        Some(space) => k.switch_vspace(space),
        None => pecan_arch::switch_kernel_vspace(),
    }
}

/// Puts what is a thread's own of the vector unit and the debug registers into the processor, whatever is in it.
#[inline(never)]
pub fn load_units(k: &Kernel, thread: &Tcb) {
    load_fpu(k, thread);
    breakpoint::load(thread);
    let short = pecan_arch::has_short_switch();
    k.note_units(thread.may_use_fpu(), !short || thread.is_debugged());
}

/// The same where a thread is switched to: nothing, if the core has nothing switched on and the thread wants nothing.
#[inline(always)]
pub(crate) fn switch_units(k: &Kernel, thread: &Tcb) {
    if thread.ready(k).is_none() {
        load_units(k, thread);
    }
}

/// The same for a fast path that has nothing else left to ask: the thread's address space. `None` if more than the vector
/// registers would have to be exchanged; then nothing has changed.
#[inline(always)]
pub(crate) fn make_ready(k: &Kernel, thread: &Tcb) -> Option<Space> {
    thread.make_ready::<false>(k, || take_fpu(k, thread))
}

/// The same for a thread whose fault has been answered.
#[inline(always)]
pub(crate) fn make_ready_after_fault(k: &Kernel, thread: &Tcb) -> Option<Space> {
    thread.make_ready::<true>(k, || take_fpu(k, thread))
}

/// Puts a thread's vector registers into the processor, or forbids it to use them.
#[inline(always)]
fn load_fpu(k: &Kernel, thread: &Tcb) {
    if !thread.may_use_fpu() {
        pecan_arch::fpu_disable();
        return;
    }
    pecan_arch::fpu_enable();
    take_fpu(k, thread);
}

/// Puts a thread's vector registers into the unit, which is on, if another's are there.
#[inline(always)]
fn take_fpu(k: &Kernel, thread: &Tcb) {
    let owner = k.core().fpu_owner.get();
    if owner != Some(thread.link()) {
        k.core().fpu_owner.set(Some(thread.link()));
        if let Some(owner) = follow(owner, k) {
            pecan_arch::fpu_save(&owner.fpu);
        }
        pecan_arch::fpu_load(&thread.fpu);
    }
}

/// Takes a thread's vector registers out of the processor. They are kept in the thread if `keep`, and lost
/// otherwise.
pub fn release_fpu(k: &Kernel, thread: &Tcb, keep: bool) {
    if k.core().fpu_owner.get() == Some(thread.link()) {
        if keep {
            pecan_arch::fpu_enable();
            pecan_arch::fpu_save(&thread.fpu);
        }
        k.core().fpu_owner.set(None);
    }
}

/// What remains to be done before a chosen thread can enter user level.
#[inline(always)]
fn activate(k: &Kernel, thread: &Tcb) {
    if thread.state.is_restart() {
        thread.context.set(reg::NEXT_IP, thread.context.get(reg::FAULT_IP));
        thread.state.set(ThreadState::Running);
    }
    if thread.yield_to.get().is_some() {
        sched_context::complete_yield_to(k, thread);
    }
}

/// Charges the scheduling context that ends, begins that of `thread`, and sets the timer, as far as needed.
#[inline(always)]
fn switch_sched_context(k: &Kernel, thread: &Tcb) {
    let core = k.core();
    // Every thread that is chosen has one; the idle thread has its own.
    let Some(sc) = thread.sched_context.get() else { return };
    if sc != core.current_sc.get() {
        let sc = sc.get(k);
        if !refill::is_round_robin(sc) && !sc.sporadic.get() {
            budget::refill_unblock_check(k, sc);
        }
    } else if !core.reprogram.get() {
        return;
    }
    budget::commit_time(k);
    core.current_sc.set(sc);
    budget::set_next_interrupt(k);
    core.reprogram.set(false);
}

/// Sets a thread's priority and moves it in the queue it is in.
pub fn set_priority(k: &Kernel, thread: &Tcb, priority: u8) -> Next {
    if thread.state.is_runnable() {
        let is_current = thread.link() == k.core().current.get();
        let queued = thread.is_queued.get();
        dequeue(k, thread);
        thread.priority.set(priority);
        if is_current {
            Next::Choose
        } else if queued {
            candidate(k, thread)
        } else {
            // Without scheduling context, or waiting for budget.
            Next::Resume
        }
    } else {
        // The queues of endpoints and notifications are in order of priority.
        match thread.state.get() {
            ThreadState::BlockedOnReceive { ep, .. } | ThreadState::BlockedOnSend { ep, .. } => {
                endpoint::reorder(k, thread, ep.get(k), priority);
            }
            ThreadState::BlockedOnNotification { ntfn } => {
                notification::reorder(k, thread, ntfn.get(k), priority);
            }
            _ => thread.priority.set(priority),
        }
        Next::Resume
    }
}

#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;
