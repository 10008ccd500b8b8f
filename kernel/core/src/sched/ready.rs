//! The ready queues: a ring of threads for each priority of each domain, a bitmap of those that are not empty, and the
//! highest of them, kept at hand.
//!
//! A thread is in its queue exactly if it says so (`is_queued`); who changes its priority or domain takes it out first.

use pecan_config::NUM_DOMAINS;
use pecan_mem::{Kernel, Tcb, follow, state::ReadyQueues};

/// True if the thread may run as far as it is concerned: it is runnable, has a configured scheduling context,
/// and that has budget now.
#[inline(always)]
pub fn is_schedulable(k: &Kernel, thread: &Tcb) -> bool {
    thread.state.is_runnable()
        && !thread.in_release_queue.get()
        && follow(thread.sched_context.get(), k).is_some_and(|sc| sc.refill_max.get() != 0)
}

/// The ready queues of a domain.
#[inline(always)]
pub fn queues(k: &Kernel, domain: u8) -> &ReadyQueues {
    &k.core().ready[if NUM_DOMAINS > 1 { domain as usize % NUM_DOMAINS } else { 0 }]
}

/// The highest priority that has a thread in a queue of the current domain.
#[inline(always)]
pub fn highest(k: &Kernel) -> Option<u8> {
    let queues = queues(k, k.core().domain.get());
    let top = queues.top.get();
    queues.heads[top as usize].get().is_some().then_some(top)
}

/// True if nobody in the queues of the current domain has a higher priority than this.
#[inline(always)]
pub fn is_highest(k: &Kernel, priority: u8) -> bool {
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
pub fn put_back(k: &Kernel, current: &Tcb) {
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

/// True if another thread is queued at this thread's priority.
#[inline]
pub fn has_peers(k: &Kernel, thread: &Tcb) -> bool {
    queues(k, thread.domain.get()).heads[thread.priority.get() as usize].get().is_some()
}

/// True if the thread is of the domain that runs.
#[inline(always)]
pub fn in_current_domain(k: &Kernel, thread: &Tcb) -> bool {
    NUM_DOMAINS == 1 || thread.domain.get() == k.core().domain.get()
}
