//! The arithmetic against a reference model, and against what a sporadic server promises.

use super::*;
use pecan_mem::{Cap, retype::ObjectKind, testing::Machine};

/// Ticks of the smallest budget on the host port.
const MIN: u64 = 20_000;

/// A small generator of pseudo-random numbers (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % n
    }
}

/// Runs a test on a scheduling context with room for 12 refills.
fn with_sched_context(f: impl FnOnce(&SchedContext)) {
    let mut k = Machine::new();
    let Cap::SchedContext { sc, .. } = k.boot_object(ObjectKind::SchedContext { bits: 8 }) else {
        unreachable!()
    };
    assert_eq!(sc.get(&k).refill_capacity(), 10);
    f(sc.get(&k));
}

fn refills(sc: &SchedContext) -> Vec<(u64, u64)> {
    (0..sc.refill_count.get())
        .map(|n| sc.refill(index(sc, n)))
        .map(|r| (r.time.get(), r.amount.get()))
        .collect()
}

/// The same arithmetic on a plain list.
#[derive(Clone, Debug)]
struct Model {
    list: Vec<(u64, u64)>,
    max: usize,
    period: u64,
}

impl Model {
    fn give_back(&mut self, time: u64, amount: u64) {
        let full = self.list.len() == self.max;
        match self.list.last_mut() {
            Some(last) if last.0 + last.1 >= time => last.1 += amount,
            Some(last) if full => *last = (time - last.1, last.1 + amount),
            _ => self.list.push((time, amount)),
        }
    }

    fn charge(&mut self, mut usage: u64) {
        while usage > 0 {
            let (time, amount) = self.list[0];
            if amount <= usage {
                self.list.remove(0);
                self.give_back(time + self.period, amount);
                usage -= amount;
            } else {
                self.list[0] = (time + usage, amount - usage);
                self.give_back(time + self.period, usage);
                usage = 0;
            }
        }
        while self.list.len() > 1 && self.list[0].1 < MIN {
            let (_, amount) = self.list.remove(0);
            self.list[0] = (self.list[0].0 - amount, self.list[0].1 + amount);
        }
    }

    fn unblock(&mut self, now: u64) {
        if self.list[0].0 <= now + MIN / 2 {
            self.list[0].0 = now;
            while self.list.len() > 1 && self.list[1].0 <= now + self.list[0].1 {
                let (_, amount) = self.list.remove(0);
                self.list[0] = (now, self.list[0].1 + amount);
            }
        }
    }
}

#[test]
fn random_use_agrees_with_the_model_and_keeps_the_invariants() {
    with_sched_context(|sc| {
        for seed in 1..=200 {
            let mut random = Random(seed);
            let budget = MIN + random.below(10 * MIN);
            let period = budget + 1 + random.below(20 * MIN);
            let max = 2 + random.below(9) as usize;
            let mut now = 1_000_000;
            start(sc, max, budget, period, now);
            let mut model = Model { list: vec![(now, budget)], max, period };
            for step in 0..300 {
                match random.below(3) {
                    0 => {
                        now += random.below(2 * period);
                        unblock_check(sc, now);
                        model.unblock(now);
                    }
                    1 if is_ready(sc, now) => {
                        // Preempted: what is left is worth while.
                        let usage = random.below(head(sc).amount.get() - MIN + 1);
                        now += usage;
                        charge(sc, usage);
                        model.charge(usage);
                        assert!(is_ready(sc, now) && is_sufficient(sc, 0), "seed {seed} step {step}");
                    }
                    2 if is_ready(sc, now) => {
                        // Used up, and a little more than that.
                        let usage = head(sc).amount.get() + random.below(MIN / 2);
                        now += usage;
                        charge(sc, usage);
                        model.charge(usage);
                    }
                    _ => now = now.max(head(sc).time.get()),
                }
                let list = refills(sc);
                assert_eq!(list, model.list, "seed {seed} step {step}");
                assert_eq!(list.iter().map(|r| r.1).sum::<u64>(), budget, "seed {seed} step {step}");
                assert!(list.len() <= max);
                assert!(list[0].1 >= MIN);
                assert!(
                    list.windows(2).all(|w| w[0].0 + w[0].1 <= w[1].0),
                    "seed {seed} step {step}: {list:?}"
                );
            }
        }
    });
}

/// No window of one period holds more use than the budget, whatever the thread does and whenever it is
/// preempted.
#[test]
fn no_window_of_a_period_exceeds_the_budget() {
    with_sched_context(|sc| {
        for seed in 1..=100 {
            let mut random = Random(seed * 77);
            let budget = 2 * MIN + random.below(10 * MIN);
            let period = budget + 1 + random.below(10 * MIN);
            let mut now = 1_000_000;
            start(sc, 2 + random.below(9) as usize, budget, period, now);
            let mut uses: Vec<(u64, u64)> = Vec::new();
            for _ in 0..400 {
                if random.below(2) == 0 {
                    now += random.below(period);
                    // A refill counts as ready a little early; here the clock reaches its time first.
                    if is_ready(sc, now) {
                        now = now.max(head(sc).time.get());
                    }
                    unblock_check(sc, now);
                }
                now = now.max(head(sc).time.get());
                let amount = head(sc).amount.get();
                let usage = if random.below(3) == 0 { amount } else { random.below(amount - MIN + 1) };
                uses.push((now, now + usage));
                now += usage;
                charge(sc, usage);
            }
            for &(from, _) in &uses {
                let to = from + period;
                let used: u64 = uses.iter().map(|u| u.1.min(to).saturating_sub(u.0.max(from))).sum();
                assert!(used <= budget, "seed {seed}: {used} of {budget} used in a period from {from}");
            }
        }
    });
}

#[test]
fn a_budget_used_up_comes_back_one_period_after_it_began() {
    with_sched_context(|sc| {
        start(sc, 2, 5 * MIN, 20 * MIN, 1_000_000);
        charge(sc, 5 * MIN);
        assert_eq!(refills(sc), [(1_000_000 + 20 * MIN, 5 * MIN)]);
        assert!(!is_ready(sc, 1_000_000 + 5 * MIN));
        assert!(is_ready(sc, 1_000_000 + 20 * MIN));
    });
}

#[test]
fn an_overrun_is_paid_back() {
    with_sched_context(|sc| {
        start(sc, 2, 5 * MIN, 20 * MIN, 1_000_000);
        charge(sc, 6 * MIN);
        // One budget is due after a period; a fifth of that has been used already.
        assert_eq!(refills(sc), [(1_000_000 + 21 * MIN, 4 * MIN), (1_000_000 + 40 * MIN, MIN)]);
    });
}

#[test]
fn a_jump_of_the_clock_costs_no_more_than_another_budget() {
    with_sched_context(|sc| {
        start(sc, 2, 5 * MIN, 20 * MIN, 1_000_000);
        charge(sc, 1 << 60);
        assert_eq!(refills(sc), [(1_000_000 + 40 * MIN, 5 * MIN)]);
    });
}

#[test]
fn round_robin_slices_begin_anew_and_are_always_ready() {
    with_sched_context(|sc| {
        start(sc, 2, 10 * MIN, 0, 1_000_000);
        charge_slice(sc, 3 * MIN);
        assert_eq!(refills(sc), [(1_000_000, 7 * MIN), (1_000_000, 3 * MIN)]);
        assert!(is_ready(sc, 1_000_000));
        new_slice(sc);
        assert_eq!(refills(sc), [(1_000_000, 10 * MIN), (1_000_000, 0)]);
        assert!(!unblock_check(sc, 2_000_000));
    });
}

#[test]
fn an_update_keeps_what_has_been_used() {
    with_sched_context(|sc| {
        start(sc, 4, 10 * MIN, 100 * MIN, 1_000_000);
        charge(sc, 4 * MIN);
        let now = 1_000_000 + 4 * MIN;
        update(sc, 3, 8 * MIN, 50 * MIN, now);
        assert_eq!(refills(sc), [(now, 6 * MIN), (now + 50 * MIN, 2 * MIN)]);
        // All of the budget is there: nothing comes back.
        update(sc, 3, 6 * MIN, 50 * MIN, now);
        assert_eq!(refills(sc), [(now, 6 * MIN)]);
        update(sc, 2, 3 * MIN, 0, now);
        assert_eq!(refills(sc), [(now, 3 * MIN), (now, 0)]);
        update(sc, 2, 9 * MIN, 0, now);
        assert_eq!(refills(sc), [(now, 3 * MIN), (now, 6 * MIN)]);
    });
}

#[test]
fn times_far_away_do_not_overflow() {
    with_sched_context(|sc| {
        let period = pecan_arch::us_to_ticks(pecan_arch::max_us());
        start(sc, 2, MIN, period, 1_000_000);
        for _ in 0..100 {
            charge(sc, MIN);
        }
        assert!(!is_ready(sc, u64::MAX / 4));
        assert_eq!(refills(sc).iter().map(|r| r.1).sum::<u64>(), MIN);
    });
}
