//! Checks the kernel against the model: `pecan-spec [--quick | --long] [--minutes N] [--families] [--seed N] [FILTER]`.
//!
//! `--quick`: about a minute, and not whether the checks see faults. `--long`: a billion transitions, and random calls for
//! some minutes. `--minutes`: the families come to an end after so long, wherever they are. `--families`: only the
//! families, and not whether the checks see faults. `--seed`: only the random run with this seed.
#![forbid(unsafe_code)]

use std::{
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use pecan_spec::{
    bite::{Copy, FAULTS},
    coverage::{Coverage, IMPOSSIBLE, Operation},
    explore::{Bound, Report, compared, explore},
    families::FAMILIES,
    lockstep::{self, FAST_PATHS},
    random,
};

/// States are many small things that come and go; this allocator makes a tenth of the time of that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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

/// What was asked for.
struct Options {
    quick: bool,
    long: bool,
    /// When the families come to an end.
    end: Option<Duration>,
    only_families: bool,
    /// The one random run that is wanted.
    seed: Option<u64>,
    filter: Option<String>,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options =
            Options { quick: false, long: false, end: None, only_families: false, seed: None, filter: None };
        while let Some(arg) = args.next() {
            match &*arg {
                "--quick" => {
                    options.quick = true;
                    options.only_families = true;
                    options.end = Some(Duration::from_secs(30));
                }
                "--long" => options.long = true,
                "--families" => options.only_families = true,
                "--minutes" => {
                    let minutes = args.next().and_then(|n| n.parse().ok()).filter(|&n| n > 0);
                    let minutes: u64 = minutes.ok_or("`--minutes` wants a number of minutes")?;
                    options.end = Some(Duration::from_secs(60 * minutes));
                }
                "--seed" => {
                    let seed = args.next().and_then(|n| n.parse().ok());
                    options.seed = Some(seed.ok_or("`--seed` wants a number")?);
                }
                _ if arg.starts_with('-') => return Err(format!("there is no option `{arg}`")),
                _ => options.filter = Some(arg),
            }
        }
        if options.quick && options.long {
            return Err("a run is `--quick` or `--long`, not both".into());
        }
        let names =
            FAMILIES.iter().map(|f| f.name.to_string()).chain(["random", "coverage"].map(String::from));
        let mut names = names.chain(FAULTS.iter().map(|f| format!("fault: {}", f.name)));
        match &options.filter {
            Some(filter) if !names.any(|name| options.wants(&name)) => Err(format!(
                "nothing here is called `{filter}`: there are families, `random`, `coverage` and `fault: ...`"
            )),
            _ => Ok(options),
        }
    }

    fn wants(&self, name: &str) -> bool {
        self.filter.as_ref().is_none_or(|filter| name.contains(&**filter))
    }

    /// How long random calls are made.
    fn random_time(&self) -> Duration {
        Duration::from_secs(match (self.quick, self.long) {
            (true, _) => 15,
            (_, true) => 300,
            _ => 60,
        })
    }

    /// How far a family goes that begins now and after which `after` others come. In a long run each that does not
    /// close may use its share of what all are to come to, and what those before it have left; of the time, too.
    fn bound(&self, after: usize, begin: Instant) -> Bound {
        let rounds = (after + 1).div_ceil(WORKERS as usize) as u32;
        let left = self.end.map_or(Duration::MAX, |end| end.saturating_sub(begin.elapsed()) / rounds);
        if self.long {
            // The last ones come to an end together: no worker waits for another.
            let shares = ENDLESS.len() as u64;
            let of_all = match after as u64 {
                n if n < WORKERS => GOAL,
                n => GOAL - GOAL / shares * n.min(shares - 1),
            };
            Bound { states: LONG_STATES, of_all, time: left, ..Bound::NONE }
        } else {
            let time = left.min(Duration::from_secs(150));
            Bound { transitions: 5_000_000, time, ..Bound::NONE }
        }
    }
}

/// Transitions of a long run.
const GOAL: u64 = 1_001_000_000;
/// States of a family in a long run: they take some 50 bytes of memory each.
const LONG_STATES: usize = 80_000_000;
/// Families that go on for longer than a run has time, or nearly so. They come last in a long run, in this order, the
/// ones whose transitions are cheap at the end.
const ENDLESS: [&str; 9] = [
    "fault answers",
    "registers",
    "large frames",
    "memory",
    "one CNode",
    "parameters",
    "domains",
    "short turns",
    "many slots",
];

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("pecan-spec: {why}");
            return ExitCode::from(2);
        }
    };
    // A panic of the kernel is told with the story that led to it.
    std::panic::set_hook(Box::new(|_| {}));

    if let Some(seed) = options.seed {
        let report = random::run([seed].into_iter(), Duration::MAX);
        println!("random: {} steps, seed {seed}", report.steps);
        println!("{}", report.broken.as_deref().unwrap_or("nothing differs"));
        return ExitCode::from(u8::from(report.broken.is_some()));
    }
    let begin = Instant::now();
    let mut families: Vec<_> = FAMILIES.iter().filter(|f| options.wants(f.name)).collect();
    if options.long {
        families.sort_by_key(|f| ENDLESS.iter().position(|name| *name == f.name).map_or(0, |at| at + 1));
    }
    let next = Mutex::new(families.iter().enumerate());
    let (sum, busy) = (Mutex::new(Sum::default()), AtomicUsize::new(WORKERS as usize));
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (next, sum, busy, options, count) = (&next, &sum, &busy, &options, families.len());
            scope.spawn(move || {
                loop {
                    let Some((n, family)) = next.lock().expect("no worker panics").next() else { break };
                    let report = explore(family, options.bound(count - 1 - n, begin));
                    tell(&mut sum.lock().expect("no worker panics"), family.name, &report);
                }
                if options.wants("random") {
                    let seeds = (worker + 1..).step_by(WORKERS as usize);
                    let report = random::run(seeds, options.random_time());
                    tell_random(&mut sum.lock().expect("no worker panics"), worker, &report);
                }
                busy.fetch_sub(1, Relaxed);
            });
        }
        if options.long {
            tell_progress(&busy, begin);
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
    let fast = FAST_PATHS.iter().zip(lockstep::fast()).map(|(path, count)| format!("{count} {path}"));
    println!("taken on a fast path, too: {}", fast.collect::<Vec<_>>().join(", "));
    if options.wants("coverage") {
        tell_coverage(&mut sum);
    }
    if !options.only_families {
        bite(&mut sum, &options);
    }
    println!("{counts}");
    println!("{} passed, {} failed, 0 skipped", sum.passed, sum.failed);
    ExitCode::from(u8::from(sum.failed > 0))
}

/// Tells every minute how far a long run is.
fn tell_progress(busy: &AtomicUsize, begin: Instant) {
    let mut next = Duration::from_secs(60);
    while busy.load(Relaxed) > 0 {
        std::thread::sleep(Duration::from_millis(500));
        if begin.elapsed() >= next {
            println!("after {} min: {} million transitions", next.as_secs() / 60, compared() / 1_000_000);
            next += Duration::from_secs(60);
        }
    }
}

/// Tells what the families exercise, which should be all that can happen.
fn tell_coverage(sum: &mut Sum) {
    let coverage = Coverage::of(&FAMILIES, 2000);
    let (operations, missing) = (Operation::all().len(), coverage.missing());
    let (pairs, unseen) = coverage.all_pairs();
    println!(
        "operations that succeed in a family: {} of {operations} {missing:?}",
        operations - missing.len()
    );
    println!("pairs that share an object, one right after the other: {} of {pairs}", pairs - unseen.len());
    let mut complete = missing.is_empty();
    for (a, b) in unseen {
        let why = IMPOSSIBLE.iter().find(|impossible| (impossible.0, impossible.1) == (a, b));
        complete &= why.is_some();
        println!("  not seen: {a:?}, {b:?}: {}", why.map_or("it could be", |why| why.2));
    }
    if complete {
        sum.passed += 1;
    } else {
        sum.failed += 1;
        println!("FAILED: coverage");
    }
}

/// Tries whether faults are seen.
fn bite(sum: &mut Sum, options: &Options) {
    let faults: Vec<_> = FAULTS.iter().filter(|f| options.wants(&format!("fault: {}", f.name))).collect();
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

fn tell_random(sum: &mut Sum, worker: u64, report: &random::Report) {
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

fn tell(sum: &mut Sum, name: &str, report: &Report) {
    let end = match report.closed {
        true => "closed".to_string(),
        false => format!(
            "not closed: stopped at the bound of {}, all of {} events in a row",
            report.bound.unwrap_or("the first difference"),
            report.depth
        ),
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
