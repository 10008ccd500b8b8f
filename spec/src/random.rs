//! Random system calls in larger systems, with arguments that are mostly near the mark: by the library proptest, whose
//! reference machine is the model.

mod choices;
mod devices;
mod events;
pub mod fuzz;
mod machine;
mod systems;
#[cfg(test)]
mod tests;

use std::{
    cell::Cell,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use proptest_state_machine::ReferenceStateMachine;

use crate::{
    lockstep::{self, Broken, named},
    model::{Event, State},
    properties,
    system::{Here, System},
};
use machine::{Machine, Reference, can_happen};
pub use systems::Shape;

/// Events in one run, before the next begins with another system.
const RUN: usize = 400;
/// How often a run that differs is run with something left out of it or made simpler, at most, and for how long, in
/// milliseconds.
const SHRINK: (u32, u32) = (20_000, 120_000);
/// Steps between two looks at all of the kernel's state, which must be what has been found by looking at changes.
const ANEW: u32 = 50;

/// What random runs found.
pub struct Report {
    /// Events, each compared.
    pub steps: u64,
    /// Runs, one with each seed.
    pub runs: u64,
    /// The story of the first difference, shortened.
    pub broken: Option<String>,
}

/// Something that must hold of every step besides: the state before, the event, and the state that it has led to.
type Rule = fn(&State, &Event, &State) -> Result<(), Broken>;

/// A kernel that is led from event to event beside the model.
struct Walk {
    system: System,
    here: Here,
    /// Steps until all is looked at anew.
    anew: u32,
}

impl Walk {
    fn begin(mut system: System) -> Walk {
        let here = system.here();
        Walk { system, here, anew: ANEW }
    }

    fn state(&self) -> &State {
        self.here.state()
    }

    /// Makes the kernel and the model do one thing, and checks everything.
    fn step(&mut self, event: &Event, rule: Rule) -> Result<(), Broken> {
        let system = &mut self.system;
        let before = self.here.state().clone();
        let next = lockstep::step(system, &self.here, event)?.settle(system);
        properties::check(&before, event, &next)?;
        rule(&before, event, &next)?;
        system.check()?;
        self.anew -= 1;
        if self.anew > 0 {
            system.follow(&mut self.here);
        } else {
            system.leave(&mut self.here);
            self.anew = ANEW;
        }
        if *self.here.state() == next {
            Ok(())
        } else {
            Err("looked at anew, the kernel's state differs\n".into())
        }
    }

    /// Who runs, in a story.
    fn who(&self) -> String {
        self.state().current.map_or("nobody".into(), |thread| format!("{thread:?}"))
    }
}

/// Plays random runs with these seeds until the time is up.
pub fn run(seeds: impl Iterator<Item = u64>, time: Duration) -> Report {
    run_with(seeds, time, |_, _, _| Ok(()))
}

/// The same, where `rule` must hold, too.
fn run_with(seeds: impl Iterator<Item = u64>, time: Duration, rule: Rule) -> Report {
    let begin = Instant::now();
    let mut report = Report { steps: 0, runs: 0, broken: None };
    for seed in seeds.take_while(|_| begin.elapsed() < time) {
        let steps = Cell::new(0);
        let result = runner(seed).run(&Machine::sequential_strategy(RUN), |(first, events, seen)| {
            let mut walk = Walk::begin(first.shape.boot());
            for event in &events {
                if let Some(seen) = &seen {
                    seen.fetch_add(1, Relaxed);
                }
                if can_happen(walk.state(), event) {
                    steps.set(steps.get() + 1);
                    walk.step(event, rule).map_err(TestCaseError::fail)?;
                }
            }
            Ok(())
        });
        report.runs += 1;
        report.steps += steps.get();
        if let Err(error) = result {
            let story = match error {
                TestError::Fail(_, (first, events, _)) => tell(first, &events, rule),
                TestError::Abort(why) => format!("{why}\n"),
            };
            report.broken = Some(format!("With seed {seed} (again: --seed {seed}), shortened:\n{story}"));
            break;
        }
    }
    report
}

/// Runs one case with the choices that a seed stands for. Nothing is written to files.
fn runner(seed: u64) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases: 1,
        failure_persistence: None,
        fork: false,
        timeout: 0,
        max_shrink_iters: SHRINK.0,
        max_shrink_time: SHRINK.1,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// The story of events, and of what differs after the last.
fn tell(first: Reference, events: &[Event], rule: Rule) -> String {
    let mut walk = Walk::begin(first.shape.boot());
    let (mut text, mut n) = (format!("  In a system of {:?}:\n", first.shape), 0);
    for event in events.iter() {
        if !can_happen(walk.state(), event) {
            continue;
        }
        n += 1;
        text += &format!("  {n}. {} runs: {event}\n", walk.who());
        if let Err(why) = walk.step(event, rule) {
            text += &why;
            break;
        }
    }
    named(&text, &walk.system)
}
