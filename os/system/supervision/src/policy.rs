//! What comes when a component has ended: a state machine without a clock of its own.
//!
//! A component that fails is started again: at once the first time, then after a time that doubles. One that has run for a
//! while starts afresh. After so many failures it is given up, which an operator can undo. What an operator does is no
//! failure.

/// When a component is started again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Restart {
    /// It stays dead.
    Never,
    /// After a failure or a kill, not when it exits by itself with success.
    OnFailure,
    /// However it ended.
    Always,
}

/// How long a component waits to be started again. Times are in microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BackOff {
    /// The time after the second failure in a row. The first one costs none.
    pub first: u64,
    /// The most that it grows to.
    pub most: u64,
    /// Who has run for so long is as good as new.
    pub calm: u64,
    /// After so many failures in a row it is given up.
    pub failures: u32,
}

impl BackOff {
    /// The wait after so many failures in a row.
    fn wait(&self, failures: u32) -> u64 {
        match failures {
            0 | 1 => 0,
            n => self
                .first
                .checked_shl(n - 2)
                .filter(|w| *w >= self.first)
                .map_or(self.most, |w| w.min(self.most)),
        }
    }
}

/// Why a component has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// It exited by itself, with success.
    Done,
    /// It exited with an error, died of a fault, hung, took too much time, or could not be started.
    Failed,
    /// An operator ended it.
    Operator,
}

/// What a component is doing. Times are in microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Health {
    /// It runs.
    Running,
    /// It is started again at this time.
    BackOff {
        /// When.
        until: u64,
    },
    /// It has ended and stays so, as its policy says.
    Ended,
    /// It was given up.
    Failed,
}

/// What is to be done now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// Nothing: it stays as it is.
    Stay,
    /// Start it.
    Start,
    /// Start it at this time.
    StartAt(u64),
    /// It is given up.
    GiveUp,
}

/// Looks after one component.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Watch {
    restart: Restart,
    back_off: BackOff,
    health: Health,
    failures: u32,
    /// Whether others were restarted for its sake since it last ran for a while.
    helped: bool,
    /// When it was last started.
    started: u64,
}

impl Watch {
    /// For a component that was not started yet.
    pub const fn new(restart: Restart, back_off: BackOff) -> Self {
        Self { restart, back_off, health: Health::Ended, failures: 0, helped: false, started: 0 }
    }

    /// For a component of which is known how it was: what it is doing, failures in a row, when it was last started, and whether
    /// others were restarted for its sake.
    pub const fn known(self, health: Health, failures: u32, started: u64, helped: bool) -> Self {
        Self { health, failures, started, helped, ..self }
    }

    /// What it is doing.
    pub const fn health(&self) -> Health {
        self.health
    }

    /// Failures in a row.
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// When it was last started.
    pub const fn last_started(&self) -> u64 {
        self.started
    }

    /// Whether others were restarted for its sake since it last ran for a while.
    pub const fn was_helped(&self) -> bool {
        self.helped
    }

    /// It runs, from now on.
    pub const fn started(&mut self, now: u64) {
        self.health = Health::Running;
        self.started = now;
    }

    /// It has ended; or could not be started, which is a failure.
    pub fn ended(&mut self, why: Why, now: u64) -> Next {
        if self.health == Health::Running && now.saturating_sub(self.started) >= self.back_off.calm {
            self.failures = 0;
            self.helped = false;
        }
        let again = match (self.restart, why) {
            (Restart::Never, _) | (Restart::OnFailure, Why::Done) => false,
            (Restart::OnFailure | Restart::Always, _) => true,
        };
        if !again {
            self.health = Health::Ended;
            return Next::Stay;
        }
        if why == Why::Operator {
            return Next::Start;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= self.back_off.failures {
            self.health = Health::Failed;
            return Next::GiveUp;
        }
        match self.back_off.wait(self.failures) {
            0 => Next::Start,
            wait => {
                let until = now.saturating_add(wait);
                self.health = Health::BackOff { until };
                Next::StartAt(until)
            }
        }
    }

    /// Whether it is to be started now, because its time has come.
    pub const fn due(&self, now: u64) -> bool {
        matches!(self.health, Health::BackOff { until } if until <= now)
    }

    /// It was given up, and others are restarted for its sake: then it begins anew. Once: returns `false` if that was done
    /// before and has not let it run for a while.
    pub const fn ask_for_help(&mut self) -> bool {
        if self.helped {
            return false;
        }
        self.helped = true;
        self.failures = 0;
        true
    }

    /// It is not started any more, for a reason of whoever keeps it.
    pub const fn give_up(&mut self) {
        self.health = Health::Failed;
    }

    /// An operator starts it: what was before does not count.
    pub const fn forgive(&mut self) {
        self.failures = 0;
        self.helped = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Given up at the eighth failure, that is, after 6.3 s of waiting.
    const USUAL: BackOff = BackOff { first: 100_000, most: 10_000_000, calm: 30_000_000, failures: 8 };

    const MS: u64 = 1000;
    const S: u64 = 1000 * MS;

    fn watch(restart: Restart) -> Watch {
        let mut watch = Watch::new(restart, USUAL);
        watch.started(0);
        watch
    }

    /// Lets it fail right after each start; returns the waits until it is given up.
    fn waits(watch: &mut Watch, mut now: u64) -> alloc::vec::Vec<u64> {
        let mut waits = alloc::vec::Vec::new();
        loop {
            match watch.ended(Why::Failed, now) {
                Next::Start => waits.push(0),
                Next::StartAt(until) => {
                    assert!(!watch.due(until - 1) && watch.due(until));
                    waits.push(until - now);
                    now = until;
                }
                Next::GiveUp => return waits,
                Next::Stay => panic!("it is started again"),
            }
            watch.started(now);
        }
    }

    #[test]
    fn the_wait_doubles_until_it_is_given_up() {
        let mut watch = watch(Restart::Always);
        let expected = [0, 100, 200, 400, 800, 1600, 3200].map(|ms| ms * MS);
        assert_eq!(waits(&mut watch, 0), expected);
        assert_eq!(watch.health(), Health::Failed);
    }

    #[test]
    fn the_wait_has_a_limit() {
        let back_off = BackOff { failures: 80, ..USUAL };
        let mut watch = Watch::new(Restart::OnFailure, back_off);
        watch.started(0);
        let waits = waits(&mut watch, 0);
        assert_eq!(waits.len(), 79);
        assert!(waits[9..].iter().all(|wait| *wait == 10 * S), "{waits:?}");
    }

    #[test]
    fn an_operator_can_kill_as_often_as_he_likes() {
        let mut watch = watch(Restart::OnFailure);
        for n in 0..1000 {
            assert_eq!(watch.ended(Why::Operator, n), Next::Start);
            watch.started(n);
        }
        assert_eq!(watch.failures(), 0);
        // Nor does a kill forgive what was before.
        let _ = watch.ended(Why::Failed, 2000);
        watch.started(2000);
        assert_eq!(watch.ended(Why::Operator, 2001), Next::Start);
        assert_eq!(watch.failures(), 1);
    }

    #[test]
    fn who_has_run_for_a_while_starts_afresh() {
        let mut watch = watch(Restart::Always);
        for n in 1..100 {
            assert_eq!(watch.ended(Why::Failed, n * 31 * S), Next::Start);
            watch.started(n * 31 * S);
        }
        // The time that it waited is not time that it ran.
        let mut watch = self::watch(Restart::Always);
        for _ in 0..7 {
            let _ = watch.ended(Why::Failed, 0);
        }
        assert_eq!(watch.ended(Why::Failed, 40 * S), Next::GiveUp);
    }

    #[test]
    fn the_policy_says_who_is_started_again() {
        let next = |restart, why| watch(restart).ended(why, 5);
        assert_eq!(next(Restart::Never, Why::Failed), Next::Stay);
        assert_eq!(next(Restart::Never, Why::Operator), Next::Stay);
        assert_eq!(next(Restart::OnFailure, Why::Done), Next::Stay);
        assert_eq!(next(Restart::OnFailure, Why::Failed), Next::Start);
        assert_eq!(next(Restart::Always, Why::Done), Next::Start);
        // Exiting again and again is not a way to run all the time.
        let mut watch = watch(Restart::Always);
        let _ = watch.ended(Why::Done, 0);
        watch.started(0);
        assert_eq!(watch.ended(Why::Done, 0), Next::StartAt(100 * MS));
    }

    #[test]
    fn help_comes_once_until_it_has_run_for_a_while() {
        let mut watch = watch(Restart::Always);
        waits(&mut watch, 0);
        assert!(watch.ask_for_help());
        watch.started(1);
        waits(&mut watch, 1);
        assert!(!watch.ask_for_help());
        // It is started by hand, and runs: help would do again.
        watch.started(2);
        let _ = watch.ended(Why::Failed, 40 * S);
        assert!(watch.ask_for_help());
    }

    #[test]
    fn an_operator_can_undo_the_end() {
        let mut watch = watch(Restart::Always);
        waits(&mut watch, 0);
        watch.forgive();
        watch.started(99);
        assert_eq!((watch.health(), watch.ended(Why::Failed, 100)), (Health::Running, Next::Start));
    }
}
