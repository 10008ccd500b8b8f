//! A few seconds of what the `spec` suite does in minutes: the first states of every family, and short random runs.
//! It notices most of what can be wrong with a kernel.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use pecan_spec::{
    explore::{Bound, explore},
    families::{FAMILIES, find},
    lockstep::{FAST_PATHS, fast},
    random,
};

/// States of each family.
const STATES: usize = 1500;
/// Random runs.
const RUNS: u64 = 100;
/// The families are checked in so many tests, side by side.
const SHARDS: usize = 3;

/// Something differs: the other tests need not go on.
static DIFFERS: AtomicBool = AtomicBool::new(false);

/// Fails if there is a story of something that differs.
fn check(broken: Option<String>) {
    if let Some(story) = broken {
        DIFFERS.store(true, Ordering::Relaxed);
        panic!("{story}");
    }
}

fn families(shard: usize) {
    for family in FAMILIES.iter().skip(shard).step_by(SHARDS) {
        if DIFFERS.load(Ordering::Relaxed) {
            return;
        }
        let report = explore(family, Bound { states: STATES, ..Bound::NONE });
        assert!(report.transitions > 0);
        check(report.broken);
    }
}

#[test]
fn the_first_states_of_families_agree_with_the_model() {
    families(0);
}

#[test]
fn the_first_states_of_more_families_agree_with_the_model() {
    families(1);
}

#[test]
fn the_first_states_of_the_other_families_agree_with_the_model() {
    families(2);
}

#[test]
fn every_fast_path_is_taken() {
    for name in ["calls", "passive handler"] {
        let family = find(name).expect("there is such a family");
        check(explore(family, Bound { states: STATES, ..Bound::NONE }).broken);
    }
    for (path, count) in FAST_PATHS.iter().zip(fast()) {
        assert!(count > 0, "the fast path for {path} was not taken");
    }
}

#[test]
fn short_random_runs_agree_with_the_model() {
    let report = random::run(1..=RUNS, Duration::MAX);
    assert!(report.steps > 0);
    check(report.broken);
}
