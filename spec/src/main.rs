//! Checks the kernel against the model: `pecan-spec [--long] [--families] [FILTER]`.
//!
//! `--families`: only the families, and not whether the checks see faults.
#![forbid(unsafe_code)]

use std::{
    process::ExitCode,
    sync::Mutex,
    time::{Duration, Instant},
};

use pecan_spec::{
    bite::{Copy, FAULTS},
    coverage::{Coverage, Operation},
    explore::{Bound, Report, explore},
    families::FAMILIES,
    lockstep, random,
};

/// Host threads, each with a machine of its own.
const WORKERS: u64 = 2;

#[derive(Default)]
struct Sum {
    states: usize,
    stands_for: usize,
    transitions: u64,
    steps: u64,
    passed: usize,
    failed: usize,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let long = args.iter().any(|a| a == "--long");
    let filter = args.iter().find(|a| !a.starts_with("--"));
    // A panic of the kernel is told with the story that led to it.
    std::panic::set_hook(Box::new(|_| {}));

    let random_time = Duration::from_secs(if long { 3600 } else { 45 });
    let bound = if long {
        Bound { transitions: 500_000_000, ..Bound::NONE }
    } else {
        Bound { transitions: 5_000_000, time: Duration::from_secs(150), ..Bound::NONE }
    };
    let begin = Instant::now();
    let families: Vec<_> = FAMILIES.iter().filter(|f| filter.is_none_or(|t| f.name.contains(&**t))).collect();
    let (next, sum) = (Mutex::new(families.iter()), Mutex::new(Sum::default()));
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (next, sum) = (&next, &sum);
            scope.spawn(move || {
                loop {
                    let Some(family) = next.lock().expect("no worker panics").next() else { break };
                    let report = explore(family, bound);
                    count(&mut sum.lock().expect("no worker panics"), family.name, &report);
                }
                if filter.is_none_or(|t| "random".contains(&**t)) {
                    let report = random::run((worker + 1..).step_by(WORKERS as usize), random_time);
                    count_random(&mut sum.lock().expect("no worker panics"), worker, &report);
                }
            });
        }
    });
    let mut sum = sum.into_inner().expect("no worker panics");
    let counts = format!(
        "all families: {} states that stand for {}, {} transitions; random: {} steps; {:.0} s",
        sum.states,
        sum.stands_for,
        sum.transitions,
        sum.steps,
        begin.elapsed().as_secs_f64()
    );
    println!("operations were stopped at preemption points {} times", lockstep::stopped());
    if filter.is_none_or(|t| "coverage".contains(&**t)) {
        print_coverage();
    }
    if !args.iter().any(|a| a == "--families") {
        bite(&mut sum, filter.map(String::as_str));
    }
    println!("{counts}");
    println!("{} passed, {} failed, 0 skipped", sum.passed, sum.failed);
    ExitCode::from(u8::from(sum.failed > 0))
}

/// Tells what the families exercise.
fn print_coverage() {
    let coverage = Coverage::of(&FAMILIES, 2000);
    let (operations, missing) = (Operation::all().len(), coverage.missing());
    let (pairs, unseen) = coverage.all_pairs();
    println!(
        "operations that succeed in a family: {} of {operations} {missing:?}",
        operations - missing.len()
    );
    println!("pairs that share an object, one right after the other: {} of {pairs}", pairs - unseen.len());
    unseen.iter().for_each(|(a, b)| println!("  not seen: {a:?}, {b:?}"));
}

/// Tries whether faults are seen.
fn bite(sum: &mut Sum, filter: Option<&str>) {
    let faults = FAULTS.iter().filter(|f| filter.is_none_or(|t| format!("fault: {}", f.name).contains(t)));
    let faults: Vec<_> = faults.collect();
    if faults.is_empty() {
        return;
    }
    let copy = Copy::new().map_err(|e| format!("the sources cannot be copied: {e}"));
    for fault in faults {
        match copy.as_ref().map_err(String::clone).and_then(|copy| copy.bite(fault)) {
            Ok(story) => {
                println!("fault: {} ... seen:\n{story}", fault.name);
                sum.passed += 1;
            }
            Err(why) => {
                println!("FAILED: fault: {} ... {why}", fault.name);
                sum.failed += 1;
            }
        }
    }
}

fn count_random(sum: &mut Sum, worker: u64, report: &random::Report) {
    let (first, last) = (worker + 1, worker + 1 + (report.runs - 1) * WORKERS);
    println!(
        "random: {} steps, {} runs, seeds {first}, {}, ... {last}",
        report.steps,
        report.runs,
        first + WORKERS
    );
    sum.steps += report.steps;
    match &report.broken {
        None => sum.passed += 1,
        Some(story) => {
            sum.failed += 1;
            println!("{story}FAILED: random");
        }
    }
}

fn count(sum: &mut Sum, name: &str, report: &Report) {
    let end = match report.closed {
        true => "closed".to_string(),
        false => format!("not closed: stopped at its bound, all of {} events in a row", report.depth),
    };
    println!(
        "{name:<16} {:>8} states, for {:>9} ({:>3.1}x) {:>10} transitions {:>6.1} s  {end}",
        report.states,
        report.stands_for,
        report.stands_for as f64 / report.states as f64,
        report.transitions,
        report.time.as_secs_f64()
    );
    sum.states += report.states;
    sum.stands_for += report.stands_for;
    sum.transitions += report.transitions;
    match &report.broken {
        None => sum.passed += 1,
        Some(story) => {
            sum.failed += 1;
            println!("{story}FAILED: {name}");
        }
    }
}
