//! Whether a component that runs does what it should: gives signs of life in time, and does not use up its budget period
//! after period. A state machine without a clock of its own; times are in microseconds.

use alloc::vec::Vec;

/// What is expected of a component.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Expected {
    /// The most time between two signs of life; 0 if none is expected.
    pub heartbeat: u64,
    /// For how long each of its threads may use up its budget in every period; 0 for as long as it likes.
    pub overrun: u64,
    /// The period of each of its threads.
    pub periods: Vec<u64>,
}

/// What is known of a component that runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pulse {
    expected: Expected,
    /// Its last sign of life.
    alive: u64,
    /// For each thread, when it began to use up its budgets, and when it last did.
    overruns: Vec<Option<(u64, u64)>>,
}

impl Pulse {
    /// Of a component that was started now.
    pub fn new(expected: Expected, now: u64) -> Self {
        let overruns = alloc::vec![None; expected.periods.len()];
        Self { expected, alive: now, overruns }
    }

    /// Whether somebody has to look at the clock for it.
    pub const fn is_watched(&self) -> bool {
        self.expected.heartbeat > 0
    }

    /// It gives a sign of life.
    pub const fn beat(&mut self, now: u64) {
        self.alive = now;
    }

    /// Whether it is time to ask it for a sign of life: half of what it has is over.
    pub const fn is_to_be_asked(&self, now: u64) -> bool {
        self.is_watched() && now.saturating_sub(self.alive) >= self.expected.heartbeat / 2
    }

    /// Whether it has given no sign of life for too long.
    pub const fn is_silent(&self, now: u64) -> bool {
        self.is_watched() && now.saturating_sub(self.alive) > self.expected.heartbeat
    }

    /// One of its threads has used up the budget of a period. Whether it has done so for too long.
    pub fn used_up(&mut self, thread: usize, now: u64) -> bool {
        let Expected { overrun, ref periods, .. } = self.expected;
        let (Some(period), Some(known)) = (periods.get(thread), self.overruns.get_mut(thread)) else {
            return false;
        };
        // A period without that, and it begins anew. Budgets of two periods in a row end at most two periods apart.
        let begun = known.filter(|(_, last)| now.saturating_sub(*last) <= 2 * period);
        let since = begun.map_or(now, |(since, _)| since);
        *known = Some((since, now));
        overrun > 0 && now.saturating_sub(since) >= overrun
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1000;

    fn expected() -> Expected {
        Expected { heartbeat: 100 * MS, overrun: 50 * MS, periods: alloc::vec![10 * MS, 20 * MS] }
    }

    #[test]
    fn who_gives_signs_of_life_is_left_alone() {
        let mut pulse = Pulse::new(expected(), 7);
        for n in 1..100 {
            let now = 7 + n * 90 * MS;
            assert!(pulse.is_to_be_asked(now) && !pulse.is_silent(now));
            pulse.beat(now);
            assert!(!pulse.is_to_be_asked(now + 49 * MS));
        }
    }

    #[test]
    fn who_is_silent_for_longer_than_it_may_is_noticed() {
        let pulse = Pulse::new(expected(), 0);
        assert!(!pulse.is_silent(100 * MS) && pulse.is_silent(100 * MS + 1));
        let free = Pulse::new(Expected { heartbeat: 0, ..expected() }, 0);
        assert!(!free.is_silent(u64::MAX) && !free.is_to_be_asked(u64::MAX) && !free.is_watched());
    }

    #[test]
    fn a_budget_may_be_used_up_for_so_long() {
        let mut pulse = Pulse::new(expected(), 0);
        for n in 0..5 {
            assert!(!pulse.used_up(0, n * 10 * MS));
        }
        assert!(pulse.used_up(0, 50 * MS));
        let mut free = Pulse::new(Expected { overrun: 0, ..expected() }, 0);
        assert!(!(0..1000).any(|n| free.used_up(0, n * 10 * MS)));
    }

    #[test]
    fn who_rests_begins_anew() {
        let mut pulse = Pulse::new(expected(), 0);
        for round in 0..100 {
            for n in 0..5 {
                assert!(!pulse.used_up(0, round * 100 * MS + n * 10 * MS));
            }
        }
    }
    #[test]
    fn each_thread_has_a_budget_of_its_own() {
        let mut pulse = Pulse::new(expected(), 0);
        // The two take turns, and neither uses up its budget period after period.
        for n in 0..100 {
            assert!(!pulse.used_up(0, n * 60 * MS) && !pulse.used_up(1, n * 60 * MS + 30 * MS));
        }
        for n in 0..3 {
            assert!(!pulse.used_up(1, 7000 * MS + n * 20 * MS));
        }
        assert!(pulse.used_up(1, 7060 * MS) && !pulse.used_up(0, 7060 * MS));
        assert!(!pulse.used_up(2, 7060 * MS), "there is no such thread");
    }
}
