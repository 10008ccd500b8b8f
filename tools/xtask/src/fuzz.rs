//! `cargo xtask fuzz`, and the suite `fuzz`: random system calls on the target.
//!
//! The root task `tests/fuzz` makes them. Its options are written into its symbol `PECAN_FUZZ_OPTIONS`. It prints
//! lines that start with `fuzz: `: where the ring of the last calls lies in physical memory, signs of life, and at
//! the end what happened, or why it failed. Where it fails, or where the kernel stops, the ring is read out of the
//! machine's memory and printed.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use pecan_abi::{
    INVOCATIONS, MessageInfo, Syscall,
    label::{Configuration, Setting},
};

use crate::{
    Outcome, build, doctor, hostfuzz,
    paths::Workspace,
    profile::Profile,
    qemu::{Boot, Machine, Session, Wait},
    test::latency::Figures,
    toolchain::Toolchain,
};

/// Options of `cargo xtask fuzz`.
#[derive(clap::Args)]
pub struct Args {
    /// Configuration of the kernel: `fuzz` checks itself as it runs, `release` is what products ship.
    #[arg(long, default_value = "fuzz")]
    profile: String,
    /// The seed; with --seeds, the first of several.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds, one after the other.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Calls for each seed.
    #[arg(long, default_value_t = 1_000_000)]
    calls: u64,
    /// Calls between two times that everything is torn down and made anew.
    #[arg(long, default_value_t = 20_000)]
    round: u64,
    /// Fuzz the portable kernel on the host, beside its model, led by coverage; of the options above, only the seed
    /// is used.
    #[arg(long)]
    host: bool,
    /// With --host, for how long.
    #[arg(long, default_value_t = 120, requires = "host")]
    seconds: u64,
    /// With --host, only print how much of the portable kernel the corpus reaches (needs llvm-cov).
    #[arg(long, requires = "host")]
    coverage: bool,
    /// Let time go by as it does for the host: quicker, but what happens is not the same each time.
    #[arg(long)]
    real_time: bool,
}

/// How long the root task may print nothing before it counts as hanging.
const SILENCE: Duration = Duration::from_secs(180);
/// Where the root task finds its options.
const OPTIONS_SYMBOL: &str = "PECAN_FUZZ_OPTIONS";
/// What the root task's lines start with.
const PREFIX: &str = "fuzz: ";

/// What one boot is to do.
pub struct Play<'a> {
    /// The kernel's profile.
    pub profile: &'a str,
    /// The seed.
    pub seed: u64,
    /// How many calls.
    pub calls: u64,
    /// Calls of a round.
    pub round: u64,
    /// Time is the host's.
    pub real_time: bool,
}

/// Runs the command.
pub fn run(ws: &Workspace, args: &Args) -> Outcome {
    if args.host {
        return hostfuzz::run(ws, args.seconds, args.seed, args.coverage);
    }
    let toolchain = doctor::toolchain(ws)?;
    doctor::qemu()?;
    let fuzzer = Fuzzer::build(ws, &toolchain, &[&args.profile])?;
    let mut sum = Report::default();
    let start = Instant::now();
    let mut failed = false;
    for seed in args.seed..args.seed + args.seeds {
        let play = Play {
            profile: &args.profile,
            seed,
            calls: args.calls,
            round: args.round,
            real_time: args.real_time,
        };
        match fuzzer.play(&play)? {
            Ok(report) => {
                println!("{}", report.summary(&play));
                sum.add(report);
            }
            Err(why) => {
                println!("{why}");
                failed = true;
            }
        }
    }
    print!("{}", sum.table());
    println!("{}", sum.sum(start.elapsed()));
    Ok(u8::from(failed))
}

/// A kernel, and the root task for it.
struct Built {
    profile: Profile,
    kernel: PathBuf,
    program: PathBuf,
}

/// The root task and kernels, built.
pub struct Fuzzer {
    copy: PathBuf,
    /// By the kernel's profile.
    built: BTreeMap<String, Built>,
}

impl Fuzzer {
    /// Builds the root task and kernels with these profiles.
    pub fn build(ws: &Workspace, toolchain: &Toolchain, profiles: &[&str]) -> Result<Self> {
        let mut built = BTreeMap::new();
        for name in profiles {
            let profile = Profile::load(ws, name)?;
            let kernel = build::kernel(ws, toolchain, name)?.image;
            let programs =
                build::root_tasks(ws, toolchain, "building fuzz", &["fuzz"], profile.hardware_debug)?;
            let program =
                programs.get("fuzz").context("the package fuzz has no program of its name")?.clone();
            built.insert(name.to_string(), Built { profile, kernel, program });
        }
        Ok(Fuzzer { copy: ws.bare().join("fuzz-with-options"), built })
    }

    /// Boots once. The inner error is why the kernel or the fuzzer failed.
    pub fn play(&self, play: &Play) -> Result<Result<Report, String>> {
        let built = self.built.get(play.profile).context("the kernel was not built")?;
        let options = format!(
            "seed={} calls={} round={} strict={}",
            play.seed,
            play.calls,
            play.round,
            // A kernel that checks itself takes time that nobody can be held to.
            u8::from(!play.real_time && built.profile.check_invariants_every == 0)
        );
        let root_task = build::with_text(&built.program, OPTIONS_SYMBOL, &options, &self.copy)?;
        let machine = if play.real_time { Machine::default() } else { Machine::counting() };
        let boot = Boot { machine: &machine, kernel: &built.kernel, root_task: Some(&root_task), gdb: None };
        let start = Instant::now();
        let mut session = boot.session_with_monitor(SILENCE)?;
        let (mut seen, mut report) = (0, Report::default());
        loop {
            let (wait, lines) = session.more_lines(&mut seen, SILENCE)?;
            lines.iter().for_each(|line| report.line(line));
            // A kernel that measures itself says so when it halts, after the root task's last word.
            if report.done && (!built.profile.measure_latency || report.latency.is_some()) {
                report.seconds = start.elapsed().as_secs_f64();
                report.seeds = 1;
                return Ok(Ok(report));
            }
            let failed = report.failed.clone();
            if failed.is_some() || !matches!(wait, Wait::Found(())) {
                let what = match failed {
                    Some(why) => why,
                    None => session.failure(&wait, "the end of the calls").to_string(),
                };
                return Ok(Err(self.told(play, built, &what, &mut session, &report)));
            }
        }
    }

    /// A failure, with the last calls and how to have it again.
    fn told(&self, play: &Play, built: &Built, what: &str, session: &mut Session, report: &Report) -> String {
        let mut text = format!("FAILED: profile {}, seed {}: {what}\n", play.profile, play.seed);
        match last_calls(session, report.ring, &self.copy, built.profile.hardware_debug) {
            Ok(calls) => text += &format!("the last calls:\n{calls}"),
            Err(error) => text += &format!("the last calls cannot be told: {error}\n"),
        }
        text += &format!(
            "to see it again: cargo xtask fuzz --profile {} --seed {} --calls {} --round {}{}",
            play.profile,
            play.seed,
            play.calls,
            play.round,
            if play.real_time { " --real-time (not always the same)" } else { "" }
        );
        text
    }
}

/// Entries of the ring, words of each, and where they start in it, in words; as in `tests/fuzz/src/shared.rs`.
const RING: (usize, usize, usize) = (512, 16, 16);
/// Calls of the ring that are printed.
const CALLS_TOLD: usize = 40;

/// Reads the ring out of the machine's memory and tells the last calls.
fn last_calls(session: &mut Session, at: Option<u64>, beside: &Path, hardware_debug: bool) -> Result<String> {
    let Some(at) = at else { bail!("the fuzzer has not said where they are") };
    let file = beside.with_extension("ring");
    // The frames of the ring follow each other in memory, as they were made one after the other.
    let bytes = session.memory(at, 8 * (RING.2 + RING.0 * RING.1), &file)?;
    let words: Vec<u64> =
        bytes.chunks_exact(8).map(|c| u64::from_le_bytes(c.try_into().unwrap_or_default())).collect();
    ring(&words, hardware_debug)
}

/// The calls at the end of the ring; `hardware_debug` says which numbers labels have.
fn ring(words: &[u64], hardware_debug: bool) -> Result<String> {
    let (Some(&magic), Some(&calls)) = (words.first(), words.get(1)) else { bail!("too little was read") };
    if magic != u64::from_le_bytes(*b"PECANRNG") {
        bail!("there is no ring at its place");
    }
    let mut text = String::new();
    for number in calls.saturating_sub(CALLS_TOLD as u64)..calls {
        let start = RING.2 + number as usize % RING.0 * RING.1;
        let Some(entry) = words.get(start..start + RING.1) else { continue };
        text += &call(entry, hardware_debug);
    }
    Ok(text)
}

/// A call of the ring, on a line.
fn call(entry: &[u64], hardware_debug: bool) -> String {
    let (number, who, own, info) = (entry[0], entry[1] & 0xff, entry[1] >> 8, MessageInfo(entry[4]));
    let syscall = match (entry[2] as i64, Syscall::from_number(entry[2] as i64)) {
        (_, Some(call)) => format!("{call:?}"),
        (15, _) => "read".into(),
        (16, _) => "write".into(),
        (17, _) => "jump".into(),
        (other, _) => format!("call {other}"),
    };
    let configuration = match hardware_debug {
        true => Configuration::PLAIN.with(Setting::HardwareDebug),
        false => Configuration::PLAIN,
    };
    let label = INVOCATIONS
        .iter()
        .find(|i| i.label.word_in(configuration) == Some(info.label()))
        .map_or_else(|| info.label().to_string(), |i| format!("{}.{}", i.object.name(), i.method));
    let words: Vec<String> = entry[5..9].iter().chain(&entry[14..16]).map(|w| format!("{w:#x}")).collect();
    format!(
        "  {number} thread {who} ({own}): {syscall} {:#x} {label}, {} words [{}], {} caps [{:#x} {:#x} {:#x}], reply {:#x}, dest {:#x}\n",
        entry[3],
        info.length(),
        words.join(" "),
        info.extra_caps(),
        entry[9],
        entry[10],
        entry[11],
        entry[12],
        entry[13],
    )
}

/// What became of calls, as the root task counts it: errors of the interface by their number (0 is success), then
/// faults, calls without an answer, and calls in which the thread was stopped.
const OUTCOMES: [&str; 14] = [
    "ok",
    "InvalidArgument",
    "InvalidCapability",
    "IllegalOperation",
    "RangeError",
    "AlignmentError",
    "FailedLookup",
    "TruncatedMessage",
    "DeleteFirst",
    "RevokeFirst",
    "NotEnoughMemory",
    "fault",
    "no answer",
    "stopped",
];

/// What the fuzzer said.
#[derive(Default)]
pub struct Report {
    ring: Option<u64>,
    rows: BTreeMap<String, Vec<u64>>,
    kinds: BTreeMap<String, Vec<u64>>,
    faults: Vec<u64>,
    /// Lines of other figures.
    said: Vec<String>,
    calls: u64,
    rounds: u64,
    seeds: u64,
    seconds: f64,
    done: bool,
    failed: Option<String>,
    /// What a kernel that measures itself has found.
    pub latency: Option<Figures>,
}

impl Report {
    fn line(&mut self, line: &str) {
        let numbers = |text: &str| -> Vec<u64> { text.split(' ').filter_map(|n| n.parse().ok()).collect() };
        // The kernel's own words can come before ours on a line.
        let Some(at) = line.find(PREFIX) else {
            // The root task's own panic says where it was.
            if line.contains("panicked at") && !line.contains("KERNEL PANIC") {
                self.failed.get_or_insert(line.to_string());
            }
            self.latency = Figures::parse(line).or(self.latency.take());
            return;
        };
        let line = &line[at + PREFIX.len()..];
        if let Some(address) = line.strip_prefix("ring at 0x") {
            self.ring = u64::from_str_radix(address.trim(), 16).ok();
        } else if let Some((name, rest)) = line.strip_prefix("row ").and_then(|l| l.split_once(' ')) {
            self.rows.insert(name.into(), numbers(rest));
        } else if let Some((name, rest)) = line.strip_prefix("kind ").and_then(|l| l.split_once(' ')) {
            self.kinds.insert(name.into(), numbers(rest));
        } else if let Some(rest) = line.strip_prefix("faults ") {
            self.faults = numbers(rest);
        } else if let Some(why) = line.strip_prefix("FAILED: ") {
            self.failed = Some(why.into());
        } else if let Some(rest) = line.strip_prefix("done: ") {
            let count = |what: &str| {
                rest.split(", ").find_map(|f| f.strip_suffix(what)?.parse().ok()).unwrap_or_default()
            };
            (self.calls, self.rounds, self.done) = (count(" calls"), count(" rounds"), true);
        } else if !line.starts_with("at ") {
            self.said.push(line.into());
        }
    }

    /// Adds what another boot said.
    pub fn add(&mut self, other: Report) {
        let add = |to: &mut Vec<u64>, from: &[u64]| {
            to.resize(to.len().max(from.len()), 0);
            to.iter_mut().zip(from).for_each(|(a, b)| *a += b);
        };
        for (name, counts) in other.rows {
            add(self.rows.entry(name).or_default(), &counts);
        }
        for (name, counts) in other.kinds {
            add(self.kinds.entry(name).or_default(), &counts);
        }
        add(&mut self.faults, &other.faults);
        self.calls += other.calls;
        self.rounds += other.rounds;
        self.seeds += other.seeds;
        self.seconds += other.seconds;
    }

    /// Invocations that came back: how many, and how many of them succeeded.
    fn answered(&self) -> (u64, u64) {
        let answered = self.rows.values().map(|r| r.iter().take(11).sum::<u64>()).sum();
        (answered, self.rows.values().filter_map(|r| r.first()).sum())
    }

    /// Invocations that never succeeded, and those that were never refused.
    pub fn gaps(&self) -> (Vec<&str>, Vec<&str>) {
        let all = |wrong: fn(&[u64]) -> bool| {
            self.rows.iter().filter(|(_, r)| wrong(r)).map(|(n, _)| n.as_str()).collect()
        };
        (all(|r| r.first() == Some(&0)), all(|r| r.iter().take(11).skip(1).sum::<u64>() == 0))
    }

    /// What the report lacks, if anything, to have tested enough: `share` of a hundred invocations must have
    /// succeeded, each has been accepted and refused at least once, but those that `never` succeed.
    pub fn lacks(&self, share: u64, never: &[&str]) -> Option<String> {
        let (answered, ok) = self.answered();
        let (refused, accepted) = self.gaps();
        let refused: Vec<&str> = refused.into_iter().filter(|name| !never.contains(name)).collect();
        if ok * 100 < answered * share {
            Some(format!("of {answered} invocations only {ok} succeeded"))
        } else if !refused.is_empty() {
            Some(format!("never succeeded: {}", refused.join(", ")))
        } else if !accepted.is_empty() {
            Some(format!("never refused: {}", accepted.join(", ")))
        } else {
            None
        }
    }

    /// A line about one boot.
    pub fn summary(&self, play: &Play) -> String {
        let (answered, ok) = self.answered();
        let latency = self.latency.map(|figures| format!("; latency: {figures}")).unwrap_or_default();
        format!(
            "profile {}, seed {}: {} calls in {} rounds, {:.0} s; of {answered} invocations answered, {:.0} % succeeded; {}{latency}",
            play.profile,
            play.seed,
            self.calls,
            self.rounds,
            self.seconds,
            100.0 * ok as f64 / answered.max(1) as f64,
            self.said.join("; "),
        )
    }

    /// The table of what was called and what became of it.
    fn table(&self) -> String {
        let mut text = String::new();
        let share = |n: u64, of: u64| 100.0 * n as f64 / of.max(1) as f64;
        for invocation in INVOCATIONS {
            let name = format!("{}.{}", invocation.object.name(), invocation.method);
            let Some(row) = self.rows.get(&name) else { continue };
            let rest: Vec<String> = row
                .iter()
                .zip(OUTCOMES)
                .skip(1)
                .filter(|(n, _)| **n > 0)
                .map(|(n, what)| format!("{what} {n}"))
                .collect();
            let (all, ok) = (row.iter().sum::<u64>(), row[0]);
            text +=
                &format!("{name:<34}{all:>9}  ok {ok:>8} ({:>3.0} %)  {}\n", share(ok, all), rest.join(", "));
        }
        for (name, counts) in &self.kinds {
            if let [done, lost] = counts[..] {
                text +=
                    &format!("{name:<34}{:>9}  came back {done}, stopped or faulted {lost}\n", done + lost);
            }
        }
        const FAULTS: [&str; 8] = [
            "none",
            "capability",
            "unknown system call",
            "user exception",
            "debug",
            "timeout",
            "memory",
            "other",
        ];
        let faults: Vec<String> = self
            .faults
            .iter()
            .zip(FAULTS)
            .filter(|(n, _)| **n > 0)
            .map(|(n, what)| format!("{what} {n}"))
            .collect();
        text + &format!("faults: {}\n", faults.join(", "))
    }

    /// The sum over all boots.
    fn sum(&self, elapsed: Duration) -> String {
        let (answered, ok) = self.answered();
        let (never, always) = self.gaps();
        format!(
            "{} calls in {} rounds with {} seeds in {:.0} s ({:.0} a second); of {answered} invocations answered {:.1} % succeeded\nnever succeeded: {}; never refused: {}",
            self.calls,
            self.rounds,
            self.seeds,
            elapsed.as_secs_f64(),
            self.calls as f64 / self.seconds.max(0.001),
            100.0 * ok as f64 / answered.max(1) as f64,
            if never.is_empty() { "none".into() } else { never.join(", ") },
            if always.is_empty() { "none".into() } else { always.join(", ") },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "fuzz: ring at 0x1000\nfuzz: row Untyped.retype 3 0 1 0 0 0 0 0 0 0 0 2 0 0\n\
                        fuzz: row Tcb.suspend 0 0 0 1 0 0 0 0 0 0 0 0 0 0\nfuzz: kind Yield 5 1\n\
                        fuzz: faults 0 1 2\nx stopped fuzz: done: seed 1, 12 calls, 2 rounds\n";

    fn report(text: &str) -> Report {
        let mut report = Report::default();
        text.lines().for_each(|l| report.line(l));
        report
    }

    #[test]
    fn the_fuzzers_words_are_understood() {
        let report = report(TEXT);
        assert_eq!((report.ring, report.calls, report.rounds, report.done), (Some(0x1000), 12, 2, true));
        assert_eq!(report.answered(), (5, 3));
        assert_eq!(report.gaps(), (vec!["Tcb.suspend"], vec![]));
        assert_eq!(report.lacks(25, &["Tcb.suspend"]), None);
        assert!(report.lacks(25, &[]).unwrap().contains("Tcb.suspend"));
        assert!(report.lacks(61, &[]).unwrap().contains("only 3"));
        assert!(
            report.table().contains("ok        3 ( 50 %)  InvalidCapability 1, fault 2"),
            "{}",
            report.table()
        );
    }

    #[test]
    fn reports_add_up() {
        let mut sum = report(TEXT);
        sum.add(report(TEXT));
        assert_eq!((sum.calls, sum.answered(), &sum.faults[..]), (24, (10, 6), &[0, 2, 4][..]));
    }

    #[test]
    fn a_failure_is_a_failure() {
        assert_eq!(report("fuzz: FAILED: memory is missing\n").failed.as_deref(), Some("memory is missing"));
        assert!(report("panicked at src/main.rs:1:2:\n").failed.is_some());
        assert!(report("KERNEL PANIC: panicked at x\n").failed.is_none(), "the session sees that itself");
    }

    #[test]
    fn the_ring_is_told_in_order() {
        let mut words = vec![0; RING.2 + RING.0 * RING.1];
        words[0] = u64::from_le_bytes(*b"PECANRNG");
        words[1] = 2;
        for (n, number) in [(0, -1i64), (1, -11)] {
            let at = RING.2 + n * RING.1;
            words[at] = n as u64;
            words[at + 2] = number as u64;
            words[at + 4] = MessageInfo::new(1, 0, 1, 6).0;
        }
        let text = ring(&words, false).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].contains("0 thread 0 (0): Call 0x0 Untyped.retype, 6 words"), "{text}");
        assert!(lines[1].contains("Yield"), "{text}");
        assert!(ring(&[1, 2], false).is_err());
    }
}
