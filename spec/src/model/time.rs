//! Budgets (manual 6.1.8, 6.1.12): each scheduling context is a sporadic server.
//!
//! Time is counted in ticks and relative to now. What has been used of a refill comes back one period after the
//! moment from which it could be used. The model charges time as it passes; a kernel may do so later.

use super::{Doing, Event, Fault, Name, Refill, SchedContext, Slot, Step, fault::is_handler, thread_slot};

/// The kernel's longest stay: a time so near is now.
fn soon() -> i64 {
    pecan_arch::kernel_wcet_ticks() as i64
}

/// Less is not worth running for.
pub(super) fn least() -> i64 {
    2 * soon()
}

impl SchedContext {
    pub(super) fn is_configured(&self) -> bool {
        self.max_refills != 0
    }

    /// After so many ticks more there is enough left to go on.
    pub(super) fn has_left(&self, ticks: u64) -> bool {
        self.refills[0].amount >= ticks as i64 + least()
    }

    fn is_round_robin(&self) -> bool {
        self.period == 0
    }

    /// It can be run on now.
    pub(super) fn has_budget(&self) -> bool {
        self.is_configured() && self.refills[0].amount >= least() && self.refills[0].time <= soon()
    }

    /// Charges time. A round-robin context keeps what was used for its next slice.
    pub(super) fn charge(&mut self, used: i64) {
        self.consumed += used;
        if self.is_round_robin() {
            let used = used.min(self.refills[0].amount);
            self.refills[0].amount -= used;
            self.refills[1].amount += used;
            return;
        }
        let budget: i64 = self.refills.iter().map(|r| r.amount).sum();
        // An overrun of more than that is the clock's, not the thread's.
        let mut used = used.min(self.refills[0].amount.max(2 * budget));
        while self.refills[0].amount <= used {
            let Refill { time, amount } = self.refills.remove(0);
            used -= amount;
            self.give_back(time + self.period, amount);
        }
        if used > 0 {
            let time = self.refills[0].time;
            self.refills[0].amount -= used;
            self.refills[0].time += used;
            self.give_back(time + self.period, used);
        }
        // Too little to be worth while is used together with what comes next.
        while self.refills[0].amount < least() && self.refills.len() > 1 {
            let Refill { amount, .. } = self.refills.remove(0);
            self.refills[0].time -= amount;
            self.refills[0].amount += amount;
        }
    }

    /// Plans the return of time that was used. Refills that touch are one; where there is room for no more, the
    /// last waits for the new one, so that both end together.
    fn give_back(&mut self, time: i64, amount: i64) {
        let full = self.refills.len() as u64 == self.max_refills;
        match self.refills.last_mut() {
            Some(last) if last.time + last.amount >= time => last.amount += amount,
            Some(last) if full => *last = Refill { time: time - last.amount, amount: last.amount + amount },
            _ => self.refills.push(Refill { time, amount }),
        }
    }

    /// Ends a time slice. Round robin, the next is as long as all of them.
    fn end_slice(&mut self) {
        if self.is_round_robin() {
            self.refills[0].amount += self.refills[1].amount;
            self.refills[1].amount = 0;
        }
    }

    /// Its parameters are set, and all of the budget is there.
    pub(super) fn start(&mut self, max_refills: u64, budget: i64, period: i64) {
        (self.max_refills, self.period) = (max_refills, period);
        self.refills = vec![Refill { time: 0, amount: budget }];
        if period == 0 {
            self.refills.push(Refill { time: 0, amount: 0 });
        }
    }

    /// Its parameters are changed while its thread is running: what has been used stays used.
    pub(super) fn change(&mut self, max_refills: u64, budget: i64, period: i64) {
        let Refill { time, amount } = self.refills[0];
        let (time, amount) = (if time <= soon() { 0 } else { time }, amount.min(budget));
        (self.max_refills, self.period) = (max_refills, period);
        self.refills = vec![Refill { time, amount }];
        if amount < budget || period == 0 {
            self.refills.push(Refill { time: time + period, amount: budget - amount });
        }
    }

    /// It begins to be used after a pause: time that could have been used before is not saved up.
    fn begin(&mut self) {
        if self.is_round_robin() || !self.is_configured() || self.refills[0].time > soon() {
            return;
        }
        self.refills[0].time = 0;
        while self.refills.len() > 1 && self.refills[1].time <= self.refills[0].amount {
            let Refill { amount, .. } = self.refills.remove(0);
            self.refills[0].time = 0;
            self.refills[0].amount += amount;
        }
    }
}

impl Step {
    /// Time passes for the running thread. False if that used up its slice: then the event does not happen, and a
    /// system call is made again later.
    pub(super) fn pass(&mut self, event: &Event) -> bool {
        let ticks = match event {
            Event::Tick { ticks } => *ticks,
            Event::Syscall(call) => call.after,
            _ => 0,
        };
        self.time_passes(ticks);
        let Some(current) = self.s.current.filter(|_| self.charged.is_some()) else { return !self.over };
        let exhausted = self.charge(current, ticks);
        if exhausted || self.over {
            let interrupt = matches!(event, Event::Tick { .. } | Event::Interrupt { .. });
            if !interrupt && self.thread(current).doing == Doing::Running {
                self.thread(current).doing = Doing::Restarting;
            }
        }
        !exhausted && !self.over
    }

    /// The clock goes on.
    pub(super) fn time_passes(&mut self, ticks: u64) {
        for context in self.s.contexts.values_mut() {
            context.refills.iter_mut().for_each(|r| r.time -= ticks as i64);
        }
        self.s.schedule.left = self.s.schedule.left.map(|left| left - ticks as i64);
        self.over = self.domain_is_over();
    }

    /// Charges the running thread, whose slice ends if there is not enough left to go on. True if so.
    pub(super) fn charge(&mut self, current: Name, ticks: u64) -> bool {
        let Some(sc) = self.charged else { return false };
        let context = self.context(sc);
        let exhausted = !context.has_left(ticks);
        context.charge(ticks as i64);
        if exhausted {
            context.end_slice();
            self.slice_ended(current, true);
        }
        exhausted
    }

    /// Manual 2.2, `Yield`: what is left of the slice is given up. Only what was used counts as consumed.
    pub(super) fn yield_now(&mut self, current: Name) {
        let Some(sc) = self.charged else { return };
        let context = self.context(sc);
        let consumed = context.consumed;
        context.charge(context.refills[0].amount);
        context.consumed = consumed;
        context.end_slice();
        self.slice_ended(current, false);
    }

    /// Manual 6.1.8, 6.1.13.2, 6.2.6: a thread whose slice has ended tells its timeout handler, or goes behind its peers,
    /// or waits for budget.
    fn slice_ended(&mut self, thread: Name, may_fault: bool) {
        self.woken.anew = true;
        let round_robin = self.thread(thread).sc.is_some_and(|sc| self.s.contexts[&sc].is_round_robin());
        let handler = self.cap(Slot { object: thread, index: thread_slot::TIMEOUT });
        if may_fault && handler.is_some() && !round_robin {
            self.time_out(thread);
        } else if self.has_budget(thread) {
            self.unready(thread);
            self.queue(thread).push(thread);
        } else {
            self.wait_for_budget(thread);
        }
    }

    pub(super) fn time_out(&mut self, thread: Name) {
        let badge = self.thread(thread).sc.map_or(0, |sc| self.s.contexts[&sc].badge);
        self.raise(thread, Fault::Timeout { badge });
    }

    pub(super) fn has_timeout_handler(&self, thread: Name) -> bool {
        self.cap(Slot { object: thread, index: thread_slot::TIMEOUT }).is_some_and(is_handler)
    }

    pub(super) fn has_budget(&self, thread: Name) -> bool {
        self.s.threads[&thread].sc.is_some_and(|sc| self.s.contexts[&sc].has_budget())
    }

    fn release_time(&self, thread: Name) -> i64 {
        self.s.threads[&thread].sc.map_or(0, |sc| self.s.contexts[&sc].refills[0].time)
    }

    /// A thread waits for budget, behind those that get theirs at the same time.
    pub(super) fn wait_for_budget(&mut self, thread: Name) {
        self.unready(thread);
        let time = self.release_time(thread);
        let waiting = &self.s.waiting_for_budget;
        let at = waiting.iter().position(|&t| self.release_time(t) > time).unwrap_or(waiting.len());
        self.s.waiting_for_budget.insert(at, thread);
    }

    /// A thread that could run waits if it has no budget.
    pub(super) fn wait_if_spent(&mut self, thread: Name) {
        if self.can_run(thread) && !self.has_budget(thread) {
            self.wait_for_budget(thread);
        }
    }

    /// Threads whose time has come begin behind their peers.
    pub(super) fn awaken(&mut self) {
        while let Some(&thread) = self.s.waiting_for_budget.first()
            && self.release_time(thread) <= soon()
        {
            self.s.waiting_for_budget.remove(0);
            if self.can_run(thread) {
                self.queue(thread).push(thread);
                self.woken.anew = true;
            }
        }
    }

    /// Another scheduling context begins to be charged.
    pub(super) fn begin_charging(&mut self, current: Name) {
        if let Some(sc) = self.thread(current).sc
            && self.charged != Some(sc)
            && !self.s.contexts[&sc].sporadic
        {
            self.context(sc).begin();
        }
    }

    /// With the sporadic flag it begins when its thread becomes ready.
    pub(super) fn refresh(&mut self, thread: Name) {
        if let Some(sc) = self.thread(thread).sc
            && self.charged != Some(sc)
            && self.s.contexts[&sc].sporadic
        {
            self.context(sc).begin();
        }
    }
}
