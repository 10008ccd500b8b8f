//! `cargo xtask test`: the suites, and one sum over all of them.

mod boot;
mod conformance;
mod fuzz;
mod held;
mod host;
pub mod latency;
mod pages;
mod run;
mod scenarios;
mod spec;
mod turns;

use std::fmt;

use anyhow::{Result, bail};

use crate::{Outcome, build::Form, doctor, paths::Workspace, ui};

/// Options of `cargo xtask test`.
#[derive(clap::Args)]
pub struct Args {
    /// Processor architecture, or `all`.
    #[arg(long, default_value = "x86_64", value_parser = ["x86_64", "all"])]
    arch: String,
    /// Configuration of the kernel for the suites that run on the target.
    #[arg(long, default_value = "default")]
    profile: String,
    /// Run only this suite; all there are without it.
    #[arg(long, value_enum)]
    suite: Option<Suite>,
    /// Measure how long the kernel keeps interrupts off and how much stack it uses, and compare with
    /// bench/latency.toml; chooses the profile `latency`.
    #[arg(long)]
    latency: bool,
    /// Run a shorter form of each suite, eight minutes in all on two cores; says what it leaves out.
    #[arg(long, conflicts_with_all = ["long", "latency", "asan", "miri", "matrix"])]
    quick: bool,
    /// Check for hours rather than minutes, where a suite can (`spec`, `fuzz`).
    #[arg(long)]
    long: bool,
    /// Run the kernel's tests of the suite `host` under AddressSanitizer, with overflow checks and assertions.
    #[arg(long)]
    asan: bool,
    /// Run tests of the suite `host` under Miri (nightly toolchain): a few under Tree Borrows, or with `--long` all of them,
    /// and again under Stacked Borrows.
    #[arg(long)]
    miri: bool,
    /// Instead of running tests, print which test of the suite `conformance` covers which error of which invocation.
    #[arg(long)]
    matrix: bool,
    /// Build the programs of the scenarios to be worked on: more quickly, with checks of overflow.
    #[arg(long)]
    develop: bool,
    /// Run the scenarios of a system somewhere else: those of the folder `scenarios` beside its description.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["suite", "latency", "asan", "miri", "matrix", "quick"])]
    system: Option<String>,
    /// Run only the tests whose name contains this text.
    filter: Option<String>,
}

/// How much is tested.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Length {
    /// A shorter form of each suite.
    Quick,
    /// What a change has to pass.
    Usual,
    /// Hours rather than minutes.
    Long,
}

impl Length {
    /// One of three, by length.
    fn of<T: Copy>(self, [quick, usual, long]: [T; 3]) -> T {
        match self {
            Length::Quick => quick,
            Length::Usual => usual,
            Length::Long => long,
        }
    }
}

/// Says what the short form of a suite does without.
fn leave_out(what: &str) {
    println!("left out by --quick: {what}");
}

impl Args {
    fn length(&self) -> Length {
        match (self.quick, self.long) {
            (true, _) => Length::Quick,
            (_, true) => Length::Long,
            _ => Length::Usual,
        }
    }

    fn profile(&self) -> &str {
        if self.latency { latency::PROFILE } else { &self.profile }
    }
}

/// The suites, from the inside out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Suite {
    /// The portable crates under plain `cargo test`.
    Host,
    /// Root tasks that test each invocation on the target.
    Conformance,
    /// The whole system, as shell transcripts.
    Scenarios,
    /// The kernel against its reference model.
    Spec,
    /// Random system calls.
    Fuzz,
}

impl Suite {
    const ALL: [Suite; 5] = [Suite::Host, Suite::Conformance, Suite::Scenarios, Suite::Spec, Suite::Fuzz];

    fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    fn exists(self, ws: &Workspace) -> bool {
        match self {
            Suite::Host => true,
            Suite::Conformance => conformance::packages(ws).is_ok_and(|p| !p.is_empty()),
            Suite::Scenarios => scenarios::files(ws).is_ok_and(|f| !f.is_empty()),
            Suite::Spec => true,
            Suite::Fuzz => ws.join("tests/fuzz/Cargo.toml").is_file(),
        }
    }
}

/// Counts of tests, and why those failed that did.
#[derive(Default, Debug, PartialEq, Eq)]
pub struct Tally {
    passed: usize,
    skipped: usize,
    /// One line for each test that failed.
    failures: Vec<String>,
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.passed += other.passed;
        self.skipped += other.skipped;
        self.failures.extend(other.failures);
    }

    fn fail(&mut self, why: impl Into<String>) {
        self.failures.push(why.into());
    }

    fn is_empty(&self) -> bool {
        self.passed + self.skipped + self.failures.len() == 0
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failures.len(), self.skipped)
    }
}

/// Runs the suites; the last line printed is the sum.
pub fn run(ws: &Workspace, args: &Args) -> Outcome {
    if args.matrix {
        return conformance::matrix(ws, &doctor::toolchain(ws)?, args.profile());
    }
    if args.asan && args.suite != Some(Suite::Host) {
        bail!("--asan is for one suite\n  to mend it: cargo xtask test --suite host --asan");
    }
    if args.miri && args.suite != Some(Suite::Host) {
        bail!("--miri is for one suite\n  to mend it: cargo xtask test --suite host --miri");
    }
    let filter = args.filter.as_deref();
    if let Some(system) = &args.system {
        let (toolchain, _) = (doctor::toolchain(ws)?, doctor::qemu()?);
        return Ok(finish(
            scenarios::of_system(
                ws,
                &toolchain,
                &args.profile,
                system,
                Form::of(args.develop),
                filter,
                args.long,
            )?,
            filter,
        ));
    }
    let mut sum = Tally::default();
    for suite in chosen(ws, args.suite)? {
        ui::heading(&format!("suite {}", suite.name()));
        let tally = match run_suite(ws, suite, args) {
            Ok(tally) => tally,
            // The other suites still run: one that cannot start is one failure.
            Err(error) => {
                ui::error(&error);
                Tally {
                    failures: vec![format!("the suite {} could not run: {error}", suite.name())],
                    ..Tally::default()
                }
            }
        };
        println!("suite {}: {tally}", suite.name());
        sum.add(tally);
    }
    Ok(finish(sum, filter))
}

/// Prints the sum, and says with which status the command ends.
fn finish(mut sum: Tally, filter: Option<&str>) -> u8 {
    if sum.is_empty() {
        sum.fail(match filter {
            Some(filter) => format!("no test has `{filter}` in its name"),
            None => "no test was run".into(),
        });
    }
    for failure in &sum.failures {
        println!("FAILED: {}", failure.lines().next().unwrap_or_default());
    }
    println!("{sum}");
    u8::from(!sum.failures.is_empty())
}

/// The suites to run: the one asked for, or all that exist.
fn chosen(ws: &Workspace, asked: Option<Suite>) -> Result<Vec<Suite>> {
    let existing: Vec<Suite> = Suite::ALL.into_iter().filter(|s| s.exists(ws)).collect();
    match asked {
        None => Ok(existing),
        Some(suite) if existing.contains(&suite) => Ok(vec![suite]),
        Some(suite) => {
            let names: Vec<_> = existing.into_iter().map(Suite::name).collect();
            bail!(
                "there is no suite `{}` yet\n  to mend it: choose one of {}",
                suite.name(),
                names.join(", ")
            )
        }
    }
}

fn run_suite(ws: &Workspace, suite: Suite, args: &Args) -> Result<Tally> {
    let (profile, filter, length) = (args.profile(), args.filter.as_deref(), args.length());
    let form = Form::of(args.develop);
    match suite {
        Suite::Host if args.asan => return host::run_sanitized(ws, filter),
        Suite::Host if args.miri => return host::run_miri(ws, filter, length == Length::Long),
        Suite::Host => return host::run(ws, filter, length),
        Suite::Spec => return spec::run(ws, filter, length),
        _ => {}
    }
    let mut tally = Tally::default();
    if suite == Suite::Fuzz {
        tally.add(fuzz::run_on_host(ws, filter, length)?);
    }
    let toolchain = doctor::toolchain(ws)?;
    doctor::qemu()?;
    tally.add(match suite {
        Suite::Conformance => conformance::run(ws, &toolchain, profile, filter, length)?,
        Suite::Scenarios => scenarios::run(ws, &toolchain, profile, form, filter, length)?,
        Suite::Fuzz => fuzz::run(ws, &toolchain, profile, filter, length)?,
        Suite::Host | Suite::Spec => unreachable!("these do not need the toolchain"),
    });
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_reads_as_the_contract_says() {
        let mut sum = Tally { passed: 2, skipped: 1, failures: vec![] };
        sum.add(Tally { passed: 3, skipped: 0, failures: vec!["a: b".into()] });
        assert_eq!(sum.to_string(), "5 passed, 1 failed, 1 skipped");
    }

    #[test]
    fn every_suite_exists_and_can_be_asked_for() {
        let ws = Workspace::find().unwrap();
        assert_eq!(chosen(&ws, None).unwrap(), Suite::ALL);
        assert_eq!(chosen(&ws, Some(Suite::Host)).unwrap(), [Suite::Host]);
    }
}
