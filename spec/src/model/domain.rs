//! Domains (manual 6.3): a schedule divides time among groups of threads.

use pecan_abi::{Error, Label};
use pecan_config::{NUM_DOMAIN_SCHEDULES, NUM_DOMAINS};

use super::{Answer, Cap, Failure, Invocation, Step, illegal, range, time::least};

/// As long as this is for ever.
const FOR_EVER: u64 = (1 << 56) - 1;
/// The last entry, which always ends the schedule.
const LAST: u64 = NUM_DOMAIN_SCHEDULES as u64 - 1;

impl Step {
    /// `DomainSet_Set`, `DomainSet_ScheduleConfigure`, `DomainSet_ScheduleSetStart`.
    pub(super) fn domain_set(&mut self, inv: &Invocation) -> Answer {
        match Label::from_word(inv.label) {
            Some(Label::DomainSetSet) => self.set_domain(inv),
            Some(Label::DomainScheduleConfigure) => self.configure_schedule(inv),
            Some(Label::DomainScheduleSetStart) => self.start_schedule(inv),
            _ => Err(illegal()),
        }
    }

    /// A thread moves to a domain.
    fn set_domain(&mut self, inv: &Invocation) -> Answer {
        inv.need(1, 0)?;
        let domain = inv.words[0];
        if domain >= NUM_DOMAINS as u64 {
            return Err(wrong(0));
        }
        inv.need(1, 1)?;
        let Some(Cap::Thread { thread }) = self.cap(inv.extra[0]) else { return Err(wrong(1)) };
        let ready = self.is_ready(thread);
        if ready {
            self.unready(thread);
        }
        self.thread(thread).domain = domain as u8;
        if ready && self.s.current == Some(thread) {
            self.queue(thread).insert(0, thread);
            self.woken.anew = true;
        } else if ready {
            self.is_ready_now(thread);
        }
        Ok(vec![])
    }

    /// An entry of the schedule: a domain, and for how many ticks it runs. An entry of no time ends the schedule.
    fn configure_schedule(&mut self, inv: &Invocation) -> Answer {
        inv.need(3, 0)?;
        let [index, domain, duration] = [0, 1, 2].map(|i| inv.words[i]);
        if index >= LAST {
            return Err(range(0, LAST - 1));
        }
        if domain >= NUM_DOMAINS as u64 {
            return Err(range(0, NUM_DOMAINS as u64 - 1));
        }
        let ends = duration == 0;
        if ends && (domain != 0 || index == self.s.schedule.start) || duration > FOR_EVER {
            return Err(wrong(2));
        }
        match ends {
            true => self.s.schedule.entries.remove(&index),
            false => self.s.schedule.entries.insert(index, (domain as u8, duration)),
        };
        Ok(vec![])
    }

    /// Where the schedule starts over; it does so at once.
    fn start_schedule(&mut self, inv: &Invocation) -> Answer {
        inv.need(1, 0)?;
        let index = inv.words[0];
        if index > LAST {
            return Err(range(0, LAST));
        }
        if !self.s.schedule.entries.contains_key(&index) {
            return Err(wrong(0));
        }
        self.s.schedule.start = index;
        self.begin_domain(index);
        self.woken.anew = true;
        Ok(vec![])
    }

    /// A turn is long enough for its threads to do something: twice what it takes to begin with anything.
    fn begin_domain(&mut self, index: u64) {
        let schedule = &mut self.s.schedule;
        let (domain, duration) = schedule.entries[&index];
        schedule.at = index;
        schedule.domain = domain;
        schedule.left = (duration != FOR_EVER).then_some((duration as i64).max(2 * least()));
    }

    /// The domain's time is up, or so nearly that nobody can begin with anything.
    pub(super) fn domain_is_over(&self) -> bool {
        self.s.schedule.left.is_some_and(|left| left <= least())
    }

    /// The next domain's turn.
    pub(super) fn next_domain(&mut self) {
        let schedule = &self.s.schedule;
        let next = schedule.at + 1;
        self.begin_domain(if schedule.entries.contains_key(&next) { next } else { schedule.start });
    }
}

fn wrong(n: u64) -> Failure {
    Failure(Error::InvalidArgument, vec![n])
}
