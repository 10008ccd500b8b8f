//! Scheduling contexts (manual 6.1.8 to 6.1.11).

use pecan_abi::{
    Label,
    constants::{max_extra_refills, sched_context_flag},
};

use super::{
    Answer, Cap, Doing, Failure, Invocation, Name, Step, illegal, invalid_capability, range, time::least,
};

/// Refills that every scheduling context has room for.
const MIN_REFILLS: u64 = 2;

impl Step {
    /// `SchedControl_ConfigureFlags` (manual 6.1.10): budget and period in microseconds; as long as one another,
    /// round robin.
    pub(super) fn sched_control(&mut self, inv: &Invocation) -> Answer {
        if Label::from_word(inv.label) != Some(Label::SchedControlConfigureFlags) {
            return Err(illegal());
        }
        inv.need(5, 1)?;
        let [budget, period, extra, badge, flags] = [0, 1, 2, 3, 4].map(|i| inv.words[i]);
        let (min, max) = (pecan_arch::ticks_to_us(least() as u64), pecan_arch::max_us());
        if ![budget, period].iter().all(|us| (min..=max).contains(us)) {
            return Err(range(min, max));
        }
        if budget > period {
            return Err(range(min, period));
        }
        let Some(Cap::SchedContext { sc, bits }) = self.cap(inv.extra[0]) else {
            return Err(invalid_capability(1));
        };
        // Round robin has no use for extra refills, and any number of them is ignored.
        let round_robin = budget == period;
        let most = max_extra_refills(bits) as u64;
        if !round_robin && extra > most {
            return Err(range(0, most));
        }
        let ticks = |us| pecan_arch::us_to_ticks(us) as i64;
        let (period, extra) = if round_robin { (0, 0) } else { (ticks(period), extra) };
        self.configure(sc, MIN_REFILLS + extra, ticks(budget), period);
        let context = self.context(sc);
        (context.badge, context.sporadic) = (badge, flags & sched_context_flag::SPORADIC != 0);
        self.configured(sc);
        Ok(vec![])
    }

    fn configure(&mut self, sc: Name, max_refills: u64, budget: i64, period: i64) {
        let thread = self.context(sc).thread;
        let runs = thread.is_some_and(|t| matches!(self.thread(t).doing, Doing::Running | Doing::Restarting));
        let context = self.context(sc);
        if runs && context.is_configured() {
            context.change(max_refills, budget, period);
        } else {
            context.start(max_refills, budget, period);
        }
    }

    /// Its thread is ready with it, or waits for its budget.
    fn configured(&mut self, sc: Name) {
        let Some(thread) = self.context(sc).thread else { return };
        self.unready(thread);
        if self.s.current == Some(thread) {
            self.wait_if_spent(thread);
            self.woken.anew = true;
        } else {
            self.wake(thread);
        }
    }

    pub(super) fn sched_context(&mut self, sc: Name, inv: &Invocation) -> Answer {
        match Label::from_word(inv.label) {
            Some(Label::SchedContextBind) => self.bind(sc, inv),
            Some(Label::SchedContextUnbind) => {
                if self.context(sc).thread == Some(inv.thread) {
                    return Err(illegal());
                }
                self.unbind_all(sc);
                Ok(vec![])
            }
            Some(Label::SchedContextUnbindObject) => self.unbind_object(sc, inv),
            Some(Label::SchedContextConsumed) => Ok(vec![self.answer_consumed(sc, inv)]),
            Some(Label::SchedContextYieldTo) => self.yield_to(sc, inv),
            _ => Err(illegal()),
        }
    }

    /// `SchedContext_Bind`.
    fn bind(&mut self, sc: Name, inv: &Invocation) -> Answer {
        inv.need(0, 1)?;
        match self.cap(inv.extra[0]) {
            Some(Cap::Thread { thread }) => {
                self.check_bindable(sc, thread)?;
                self.bind_thread(sc, thread);
            }
            Some(Cap::Notification { ntfn, .. }) => {
                if self.context(sc).notification.is_some() || self.ntfn(ntfn).sc.is_some() {
                    return Err(illegal());
                }
                self.context(sc).notification = Some(ntfn);
                self.ntfn(ntfn).sc = Some(sc);
            }
            _ => return Err(invalid_capability(1)),
        }
        Ok(vec![])
    }

    /// Both are free, and a blocked thread gets one with budget.
    pub(super) fn check_bindable(&mut self, sc: Name, thread: Name) -> Result<(), Failure> {
        let blocked =
            !matches!(self.thread(thread).doing, Doing::Nothing | Doing::Running | Doing::Restarting);
        let free = self.context(sc).thread.is_none() && self.thread(thread).sc.is_none();
        if !free || blocked && !self.context(sc).has_budget() { Err(illegal()) } else { Ok(()) }
    }

    pub(super) fn bind_thread(&mut self, sc: Name, thread: Name) {
        self.context(sc).thread = Some(thread);
        self.thread(thread).sc = Some(sc);
        self.refresh(thread);
        self.wake(thread);
    }

    /// `SchedContext_UnbindObject`.
    fn unbind_object(&mut self, sc: Name, inv: &Invocation) -> Answer {
        inv.need(0, 1)?;
        match self.cap(inv.extra[0]) {
            Some(Cap::Thread { thread })
                if self.context(sc).thread == Some(thread) && thread != inv.thread =>
            {
                self.unbind_thread(sc);
            }
            Some(Cap::Notification { ntfn, .. }) if self.context(sc).notification == Some(ntfn) => {
                self.unbind_notification(sc);
            }
            Some(Cap::Thread { .. } | Cap::Notification { .. }) => return Err(illegal()),
            _ => return Err(invalid_capability(1)),
        }
        Ok(vec![])
    }

    fn unbind_notification(&mut self, sc: Name) {
        if let Some(ntfn) = self.context(sc).notification.take() {
            self.ntfn(ntfn).sc = None;
        }
    }

    fn unbind_all(&mut self, sc: Name) {
        self.unbind_thread(sc);
        self.unbind_notification(sc);
        self.context(sc).calls.clear();
    }

    /// A scheduling context goes.
    pub(super) fn end_context(&mut self, sc: Name) {
        self.unbind_all(sc);
        if let Some(yielder) = self.context(sc).yielded_from {
            self.finish_yield_to(yielder);
        }
        self.s.contexts.remove(&sc);
    }

    /// `SchedContext_Consumed`: microseconds used since somebody asked.
    fn answer_consumed(&mut self, sc: Name, inv: &Invocation) -> u64 {
        let used = self.take_consumed(sc);
        if inv.call {
            self.put_word(inv.thread, 0, used);
        }
        used
    }

    pub(super) fn take_consumed(&mut self, sc: Name) -> u64 {
        let context = self.context(sc);
        let used = pecan_arch::ticks_to_us(context.consumed as u64);
        context.consumed -= pecan_arch::us_to_ticks(used) as i64;
        used
    }

    /// `SchedContext_YieldTo`: its thread runs next of its priority. The caller is answered when it runs again.
    fn yield_to(&mut self, sc: Name, inv: &Invocation) -> Answer {
        let caller = inv.thread;
        let thread = self.context(sc).thread.filter(|&t| {
            let may = self.s.threads[&t].priority <= self.s.threads[&caller].mcp;
            t != caller && may && self.s.threads[&caller].yielded_to.is_none()
        });
        let thread = thread.ok_or_else(illegal)?;
        if let Some(other) = self.context(sc).yielded_from {
            self.finish_yield_to(other);
        }
        self.wait_if_spent(thread);
        if !self.can_run(thread) {
            return Ok(vec![self.answer_consumed(sc, inv)]);
        }
        let (theirs, ours) = (self.thread(thread).priority, self.thread(caller).priority);
        self.unready(thread);
        self.queue(thread).insert(0, thread);
        if theirs < ours {
            return Ok(vec![self.answer_consumed(sc, inv)]);
        }
        if inv.call {
            self.context(sc).yielded_from = Some(caller);
            self.thread(caller).yielded_to = Some(sc);
        }
        // The word comes later.
        Ok(vec![self.word(caller, 0)])
    }

    /// A thread that yielded to a scheduling context runs again: it learns what was used meanwhile.
    pub(super) fn finish_yield_to(&mut self, thread: Name) {
        if let Some(sc) = self.thread(thread).yielded_to {
            let used = self.take_consumed(sc);
            self.put_word(thread, 0, used);
            self.cancel_yield_to(thread);
        }
    }

    pub(super) fn cancel_yield_to(&mut self, thread: Name) {
        if let Some(sc) = self.thread(thread).yielded_to.take() {
            self.context(sc).yielded_from = None;
        }
    }
}
