//! Who runs (manual 6.1.6 to 6.1.12).

use super::{Doing, Fault, Name, Step, Thread};

/// Threads that became ready in a step.
#[derive(Default)]
pub(crate) struct Woken {
    /// In the order in which they did.
    pub threads: Vec<Name>,
    /// The choice is made anew, as if there had been several.
    pub anew: bool,
}

impl Step {
    /// True if a thread may run as far as it is concerned.
    pub(super) fn can_run(&self, thread: Name) -> bool {
        let Some(t) = self.s.threads.get(&thread) else { return false };
        matches!(t.doing, Doing::Running | Doing::Restarting)
            && t.sc.is_some_and(|sc| self.s.contexts[&sc].is_configured())
            && !self.s.waiting_for_budget.contains(&thread)
    }

    /// Manual 6.1.6: the first ready thread of the highest priority runs, and goes on until it blocks, yields,
    /// or one of a higher priority is ready. One that becomes ready goes before its peers, but behind them all
    /// if the thread that runs is one of them; of several, the last is first.
    pub(super) fn choose(&mut self) {
        // A thread that was lent time anew while it gave its own away goes on.
        if let Some(current) = self.s.current
            && self.can_run(current)
            && !self.is_ready(current)
        {
            self.queue(current).insert(0, current);
        }
        self.awaken();
        if self.over {
            self.next_domain();
            self.woken.anew = true;
        }
        let Woken { threads, anew } = std::mem::take(&mut self.woken);
        let mut distinct = threads.clone();
        distinct.dedup();
        let single = distinct.len() == 1 && !anew;
        for thread in threads {
            if self.can_run(thread) && !self.is_ready(thread) {
                let current = self.s.current;
                let queue = self.queue(thread);
                let at = match queue.first() {
                    Some(&first) if Some(first) == current => {
                        if single {
                            queue.len()
                        } else {
                            1
                        }
                    }
                    _ => 0,
                };
                queue.insert(at, thread);
            }
        }
        self.s.ready.retain(|_, queue| !queue.is_empty());
        let turn = self.s.schedule.domain;
        self.s.current =
            self.s.ready.range((turn, 0)..=(turn, u8::MAX)).next_back().map(|(_, queue)| queue[0]);
        if let Some(current) = self.s.current {
            self.go_on(current);
            self.finish_yield_to(current);
            self.begin_charging(current);
        }
    }

    /// The queue of the ready threads of a thread's domain and priority.
    pub(super) fn queue(&mut self, thread: Name) -> &mut Vec<Name> {
        let Thread { domain, priority, .. } = self.s.threads[&thread];
        self.s.ready.entry((domain, priority)).or_default()
    }

    pub(super) fn is_ready(&self, thread: Name) -> bool {
        self.s.ready.values().any(|queue| queue.contains(&thread))
    }

    /// A thread cannot run any more, or its place is about to change.
    pub(super) fn unready(&mut self, thread: Name) {
        self.s.ready.values_mut().for_each(|queue| queue.retain(|&t| t != thread));
        self.s.waiting_for_budget.retain(|&t| t != thread);
    }

    /// The running thread blocks.
    pub(super) fn block(&mut self, thread: Name, doing: Doing) {
        self.thread(thread).doing = doing;
        self.unready(thread);
    }

    /// A thread that waited for something can go on.
    pub(super) fn unblock(&mut self, thread: Name, doing: Doing) {
        self.refresh(thread);
        self.thread(thread).doing = doing;
        self.wake(thread);
    }

    /// A thread may be ready now, or wait for budget.
    pub(super) fn wake(&mut self, thread: Name) {
        if self.can_run(thread) {
            if self.has_budget(thread) {
                self.is_ready_now(thread);
            } else {
                self.wait_for_budget(thread);
            }
        }
    }

    /// A thread with budget is ready: it may be chosen, or goes before its peers until its domain's turn comes.
    pub(super) fn is_ready_now(&mut self, thread: Name) {
        if self.thread(thread).domain == self.s.schedule.domain {
            self.woken.threads.push(thread);
        } else if !self.is_ready(thread) {
            self.queue(thread).insert(0, thread);
        }
    }

    /// A caller got its answer. If it has no budget left that is a timeout, unless the answer was to one.
    pub(super) fn unblock_after_answer(&mut self, thread: Name, doing: Doing, fault: Option<Fault>) {
        self.thread(thread).doing = doing;
        let was_timeout = matches!(fault, Some(Fault::Timeout { .. }));
        if self.thread(thread).sc.is_some()
            && !self.has_budget(thread)
            && !was_timeout
            && self.has_timeout_handler(thread)
        {
            return self.time_out(thread);
        }
        self.wake(thread);
    }

    /// `TCB_SetPriority`.
    pub(super) fn set_priority(&mut self, thread: Name, priority: u8) {
        let ready = self.is_ready(thread);
        let is_current = self.s.current == Some(thread);
        if ready {
            self.unready(thread);
        }
        self.thread(thread).priority = priority;
        if ready && is_current {
            self.queue(thread).insert(0, thread);
            self.woken.anew = true;
        } else if ready {
            self.is_ready_now(thread);
        }
        match self.thread(thread).doing {
            Doing::Receiving { ep, .. } | Doing::Sending { ep, .. } => {
                self.dequeue(ep, thread);
                self.enqueue(ep, thread);
            }
            Doing::Waiting { ntfn } => {
                self.ntfn(ntfn).queue.retain(|&t| t != thread);
                self.enqueue_waiting(ntfn, thread);
            }
            _ => {}
        }
    }

    /// Manual 6.1.11: a scheduling context goes to a thread that has none; whoever had it is passive then.
    pub(super) fn donate(&mut self, sc: Name, to: Name) {
        self.unbind_thread(sc);
        self.context(sc).thread = Some(to);
        self.thread(to).sc = Some(sc);
    }

    /// A caller's scheduling context goes along with its message.
    pub(super) fn lend(&mut self, from: Name, to: Name) {
        if let Some(sc) = self.thread(from).sc {
            self.donate(sc, to);
        }
    }

    /// `SchedContext_UnbindObject` of a thread.
    pub(super) fn unbind_thread(&mut self, sc: Name) {
        if let Some(thread) = self.context(sc).thread.take() {
            self.unready(thread);
            self.thread(thread).sc = None;
        }
    }
}
