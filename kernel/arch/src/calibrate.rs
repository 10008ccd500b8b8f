//! How fast a clock of unknown speed runs, measured against one of known speed. No hardware is touched here: a port reads
//! its clocks through [`Clocks`].
//!
//! The machine can stand still at any time: firmware takes the processor away, or a busy host does not let an emulator run.
//! A stop between two reads of one look only widens the bounds of what was seen. A stop in which the reference runs out, or
//! wraps unseen, makes a measurement worthless; such a one disagrees with the others. So several are made, and the result is
//! the median of some that agree.

/// A measurement ends when its bounds are this small a part of it,
const PRECISION: u64 = 2000;
/// and is of no use if they are not at least so small.
const USELESS: u64 = 50;
/// Measurements agree if they differ by no more than their bounds and this part of them.
const SLACK: u64 = 1000;
/// Measurements that must agree.
const QUORUM: usize = 3;
/// Measurements made at most.
const ROUNDS: usize = 40;
/// The reference stands still if so many looks in a row see no change.
const PATIENCE: u32 = 10_000;

/// One look at both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// The unknown clock, read before the reference.
    pub before: u64,
    /// The reference, in its ticks since it was started.
    pub reference: u64,
    /// The unknown clock, read after the reference.
    pub after: u64,
}

/// Two clocks to compare.
pub trait Clocks {
    /// Starts the reference from 0, and the unknown clock if it has to be.
    fn start(&mut self);
    /// Looks at both; `None` if one of them has run out since [`start`](Self::start).
    fn look(&mut self) -> Option<Look>;
}

/// Why there is no result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The reference does not count.
    Stopped,
    /// Too few measurements agree.
    Disagree,
}

/// What one measurement says: ticks of the unknown clock per tick of the reference, times 2^32.
#[derive(Clone, Copy)]
struct Round {
    ratio: u64,
    /// How far the ratio can be off, if nothing went wrong unseen.
    error: u64,
}

impl Round {
    /// Between two looks the reference advanced by `reference` ticks, give or take one, and the unknown clock by at least
    /// `least` and at most `most`.
    fn new(reference: u64, least: u64, most: u64) -> Self {
        let per_tick =
            |ticks: u64| u64::try_from((u128::from(ticks) << 32) / u128::from(reference)).unwrap_or(u64::MAX);
        let ratio = per_tick(least + (most - least) / 2);
        Round { ratio, error: per_tick((most - least).div_ceil(2)).saturating_add(ratio / reference) }
    }

    /// The error is at most so small a part of the ratio.
    fn within(self, part: u64) -> bool {
        self.error <= self.ratio / part
    }

    fn agrees(self, other: Self) -> bool {
        let slack = self.error.saturating_add(other.error).saturating_add(self.ratio / SLACK);
        self.ratio.abs_diff(other.ratio) <= slack
    }
}

/// Ticks of the unknown clock per tick of the reference, times 2^32. One measurement takes at most `limit` ticks of the
/// reference, which must not come near the end of what it can count.
///
/// # Errors
/// The reference stands still, or [`ROUNDS`] measurements do not yield [`QUORUM`] that agree.
pub fn ratio(clocks: &mut impl Clocks, limit: u64) -> Result<u64, Failure> {
    let mut rounds = [Round { ratio: 0, error: 0 }; ROUNDS];
    let mut count = 0;
    for _ in 0..ROUNDS {
        let Some(new) = measure(clocks, limit)? else { continue };
        rounds[count] = new;
        count += 1;
        // Those that agree with the new one, sorted.
        let (mut agreeing, mut len) = ([0; ROUNDS], 0);
        for round in rounds[..count].iter().filter(|round| round.agrees(new)) {
            let at = agreeing[..len].iter().take_while(|&&ratio| ratio < round.ratio).count();
            agreeing.copy_within(at..len, at + 1);
            agreeing[at] = round.ratio;
            len += 1;
        }
        if len >= QUORUM {
            return Ok(agreeing[len / 2]);
        }
    }
    Err(Failure::Disagree)
}

/// One measurement; `None` if something is seen to have gone wrong.
fn measure(clocks: &mut impl Clocks, limit: u64) -> Result<Option<Round>, Failure> {
    clocks.start();
    let Some(first) = clocks.look() else { return Ok(None) };
    let (mut last, mut unchanged) = (first.reference, 0);
    loop {
        let Some(now) = clocks.look() else { return Ok(None) };
        if now.reference == last {
            unchanged += 1;
            if unchanged == PATIENCE {
                return Err(Failure::Stopped);
            }
            continue;
        }
        let backwards = now.reference < last || now.before < first.after;
        if backwards {
            return Ok(None);
        }
        (last, unchanged) = (now.reference, 0);
        let reference = now.reference - first.reference;
        // A clock that shows n is anywhere from n up to n + 1.
        let (least, most) = ((now.before - first.after).saturating_sub(1), now.after - first.before + 1);
        let round = Round::new(reference, least, most);
        if round.within(PRECISION) || reference >= limit {
            return Ok(Some(round).filter(|round| round.within(USELESS)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIT_HZ: u64 = 1_193_182;
    const LIMIT: u64 = PIT_HZ / 25;
    const MS: u64 = 1_000_000;

    /// A machine with a counter of 16 bits as the reference, that stands still at some times.
    struct Machine {
        /// Nanoseconds since it was switched on.
        now: u64,
        hz: u64,
        reference_hz: u64,
        started: u64,
        /// Whether the reference shows that it has run out, as the PIT's output does.
        output: bool,
        /// When it stops next, as the time and what there is of clock reads by then, and for how long.
        stops: Box<dyn FnMut(&Machine) -> u64>,
        reads: u64,
        rounds: u64,
        /// Ticks by which the reference is behind.
        lag: u64,
    }

    impl Machine {
        fn new(hz: u64) -> Self {
            Machine {
                now: 5 * MS,
                hz,
                reference_hz: PIT_HZ,
                started: 0,
                output: true,
                stops: Box::new(|_| 0),
                reads: 0,
                rounds: 0,
                lag: 0,
            }
        }

        fn stopping(self, stops: impl FnMut(&Machine) -> u64 + 'static) -> Self {
            Machine { stops: Box::new(stops), ..self }
        }

        /// A read of a clock takes 800 ns, and the time of a stop.
        fn read(&mut self, since: u64, hz: u64) -> u64 {
            self.reads += 1;
            let mut stops = std::mem::replace(&mut self.stops, Box::new(|_| 0));
            self.now += 800 + stops(self);
            self.stops = stops;
            u64::try_from(u128::from(self.now - since) * u128::from(hz) / 1_000_000_000).unwrap()
        }

        fn measure(&mut self) -> Result<u64, Failure> {
            ratio(self, LIMIT).map(|ratio| ((u128::from(ratio) * u128::from(self.reference_hz)) >> 32) as u64)
        }
    }

    impl Clocks for Machine {
        fn start(&mut self) {
            self.started = self.now;
            self.reads = 0;
            self.rounds += 1;
        }

        fn look(&mut self) -> Option<Look> {
            let before = self.read(0, self.hz);
            let ticks = self.read(self.started, self.reference_hz).saturating_sub(self.lag);
            let ran_out = ticks > 0xffff;
            let after = self.read(0, self.hz);
            let look = Look { before, reference: ticks & 0xffff, after };
            Some(look).filter(|_| !(ran_out && self.output))
        }
    }

    #[track_caller]
    fn assert_right(machine: &mut Machine) {
        let (hz, measured) = (machine.hz, machine.measure());
        let off = measured.unwrap_or_else(|e| panic!("{e:?}")).abs_diff(hz);
        assert!(off <= hz / 1000, "{measured:?} Hz instead of {hz}");
    }

    /// More than one turn of the reference; in each round another time.
    fn some_turns(round: u64) -> u64 {
        (56 + round * round * 37 % 101) * MS
    }

    #[test]
    fn clocks_of_all_speeds_are_measured() {
        for mhz in [1, 33, 100, 1000, 2595, 3100, 6000] {
            let mut machine = Machine::new(mhz * 1_000_000);
            assert_right(&mut machine);
            assert_eq!(machine.rounds, QUORUM as u64, "a quiet machine needs no more");
            assert!(machine.now < 100 * MS);
        }
    }

    #[test]
    fn a_reference_that_is_faster_than_the_clock_will_do() {
        let mut machine = Machine::new(25_000_000);
        machine.reference_hz = 3_000_000_000;
        // It wraps within 22 us: 64 bits do not.
        struct Wide(Machine);
        impl Clocks for Wide {
            fn start(&mut self) {
                self.0.start();
            }
            fn look(&mut self) -> Option<Look> {
                let before = self.0.read(0, self.0.hz);
                let reference = self.0.read(self.0.started, self.0.reference_hz);
                Some(Look { before, reference, after: self.0.read(0, self.0.hz) })
            }
        }
        let ratio = ratio(&mut Wide(machine), 60_000_000).unwrap();
        let right = (25u64 << 32) / 3000;
        assert!(ratio.abs_diff(right) <= right / 1000);
    }

    #[test]
    fn short_stops_do_no_harm() {
        // Some in each look, or few of them.
        for (every, stop) in [(1, 100_000), (3, 300_000), (7, 300_000), (100, 2 * MS), (1000, 10 * MS)] {
            let stops = move |m: &Machine| if m.reads.is_multiple_of(every) { stop } else { 0 };
            assert_right(&mut Machine::new(2_595_000_000).stopping(stops));
        }
    }

    #[test]
    fn a_stop_in_which_the_reference_wraps_is_seen() {
        // Right after a look, and between the reads of one; a little more than one turn, and almost two.
        for at in [20, 22, 40, 61] {
            for stop in [55, 56, 60, 75, 109, 111, 300] {
                let stops = move |m: &Machine| if m.reads == at && m.rounds < 6 { stop * MS } else { 0 };
                assert_right(&mut Machine::new(2_595_000_000).stopping(stops));
            }
        }
    }

    #[test]
    fn a_wrap_that_is_not_shown_is_outvoted() {
        let stops = |m: &Machine| {
            if m.reads == 31 && !m.rounds.is_multiple_of(3) { some_turns(m.rounds) } else { 0 }
        };
        let mut machine = Machine::new(2_595_000_000).stopping(stops);
        machine.output = false;
        assert_right(&mut machine);
    }

    #[test]
    fn a_machine_that_always_stops_is_refused() {
        for output in [true, false] {
            let stops = |m: &Machine| if m.reads == 31 { some_turns(m.rounds) } else { 0 };
            let mut machine = Machine::new(2_595_000_000).stopping(stops);
            machine.output = output;
            assert_eq!(machine.measure(), Err(Failure::Disagree));
            assert_eq!(machine.rounds, ROUNDS as u64);
        }
    }

    #[test]
    fn a_reference_that_stands_still_is_noticed() {
        let mut machine = Machine::new(2_595_000_000);
        machine.lag = u64::MAX;
        assert_eq!(machine.measure(), Err(Failure::Stopped));
        // One that ends in the middle, too.
        let mut machine = Machine::new(2_595_000_000);
        machine.reference_hz = 1;
        assert_eq!(machine.measure(), Err(Failure::Stopped));
    }

    #[test]
    fn clocks_that_run_backwards_spoil_a_measurement_only() {
        struct Back(Machine);
        impl Clocks for Back {
            fn start(&mut self) {
                self.0.start();
            }
            fn look(&mut self) -> Option<Look> {
                let mut look = self.0.look()?;
                if self.0.rounds < 3 && self.0.reads == 60 {
                    look.reference = 0;
                }
                if self.0.rounds == 3 && self.0.reads == 60 {
                    look.before = 0;
                }
                Some(look)
            }
        }
        let ratio = ratio(&mut Back(Machine::new(2_595_000_000)), LIMIT).unwrap();
        let hz = ((u128::from(ratio) * u128::from(PIT_HZ)) >> 32) as u64;
        assert!(hz.abs_diff(2_595_000_000) < 2_595_000);
    }
}
