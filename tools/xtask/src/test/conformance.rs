//! The conformance suite: root tasks that test the kernel's interface on the target.
//!
//! Every program of these packages is a root task. It prints `test NAME ... ` before it starts a test
//! and `ok`, `FAILED: why` or `skipped: why` after it, and at its end `conformance: N passed, N failed, N skipped`.
//! A FILTER is written into the program's symbol `PECAN_TEST_FILTER` (bytes, padded with zeros) if it has one;
//! in any case only tests whose name contains it are counted. The benchmark system calls that the kernel has are
//! written into the symbol `PECAN_BENCHMARK`, as profiles name them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::{
    Length, Tally, boot,
    latency::{self, Figures},
    leave_out,
    turns::Turns,
};
use crate::{
    Outcome, build,
    paths::Workspace,
    profile::{Benchmark, Profile},
    qemu::{Boot, Machine, Wait},
    toolchain::Toolchain,
};

/// How long a root task may print nothing before it counts as hanging.
const SILENCE: Duration = Duration::from_secs(60);

/// The packages whose programs are booted: the tests of the interface, and of the libraries on top of it.
const PACKAGES: [&str; 2] = ["conformance", "library"];

/// The processors, in QEMU's names, that they are booted on: one with all that QEMU has, and one on which user level must
/// not have the kernel mapped.
const CPUS: [&str; 2] = ["max", "Nehalem"];

/// What only profiles other than `default` have, and is tested with it: the profile, and the module of its tests.
const OTHER_PROFILES: [(&str, &str); 4] = [
    ("utilisation", "utilisation::"),
    ("entries", "entries::"),
    ("hwdebug", "breakpoint::"),
    ("hwdebug", "step::"),
];

/// A processor that does not say that it is QEMU's own, so that the kernel has to make its x87 unit forget what another thread
/// did; the program and the test that look at it.
const X87: (&str, &str, &str) =
    ("max,tcg-cpuid=off", "conformance", "register::what_the_x87_unit_did_last_is_not_seen_by_others");

/// The program that tests the libraries, and a word that is in the names of those of its tests that depend on the processor:
/// of which the vector unit differs. Its other tests run on the first processor only.
const LIBRARY: (&str, &str) = ("library-tests", "vector");

const FILTER_SYMBOL: &str = "PECAN_TEST_FILTER";
const BENCHMARK_SYMBOL: &str = "PECAN_BENCHMARK";

/// Boots every conformance root task and counts.
pub fn run(
    ws: &Workspace,
    toolchain: &Toolchain,
    profile: &str,
    filter: Option<&str>,
    length: Length,
) -> Result<Tally> {
    let programs = build_for(ws, toolchain, profile, &PACKAGES)?;
    if programs.is_empty() {
        bail!("the packages {} have no programs", PACKAGES.join(", "));
    }
    let kernel = build::kernel(ws, toolchain, profile)?;
    let Profile { hardware_debug, benchmark, measure_latency, .. } = Profile::load(ws, profile)?;
    let mut tally = boot::run(ws, toolchain, &kernel, hardware_debug, filter, length)?;
    let mut plays = Vec::new();
    for (name, path) in &programs {
        for (n, cpu) in CPUS.into_iter().enumerate() {
            let filter = match LIBRARY {
                (library, module) if n > 0 && name == library => match within(module, filter) {
                    Some(filter) => Some(filter),
                    None => continue,
                },
                _ => filter,
            };
            plays.push(Play {
                title: format!("{name} on a processor {cpu}:"),
                program: name,
                root_task: told(ws, &format!("{name}-{cpu}"), path, benchmark, filter)?,
                kernel: kernel.image.clone(),
                cpu,
                filter,
                measures: measure_latency,
            });
        }
    }
    let (cpu, name, test) = X87;
    if filter.is_none_or(|filter| test.contains(filter))
        && let Some(path) = programs.get(name)
    {
        plays.push(Play {
            title: format!("{name} on a processor {cpu}:"),
            program: name,
            root_task: told(ws, &format!("{name}-x87"), path, benchmark, Some(test))?,
            kernel: kernel.image.clone(),
            cpu,
            filter: Some(test),
            measures: measure_latency,
        });
    }
    if length == Length::Quick {
        let profiles: Vec<&str> = OTHER_PROFILES.iter().map(|p| p.1.trim_end_matches(':')).collect();
        leave_out(&format!(
            "the processor {}, and the modules {}",
            CPUS[1..].join(", "),
            profiles.join(", ")
        ));
        plays.retain(|play| play.cpu == CPUS[0]);
    } else if profile == "default" {
        for (profile, module) in OTHER_PROFILES {
            let Some(filter) = within(module, filter) else { continue };
            let name = "conformance";
            // Hardware breakpoints change the labels, so such a kernel has programs of its own.
            let programs = build_for(ws, toolchain, profile, &[name])?;
            let path = programs.get(name).with_context(|| format!("there is no program {name}"))?;
            let Profile { benchmark, measure_latency, .. } = Profile::load(ws, profile)?;
            plays.push(Play {
                title: format!("{name} on the kernel of the profile {profile}:"),
                program: name,
                root_task: told(
                    ws,
                    &format!("{name}-{}", module.trim_end_matches(':')),
                    path,
                    benchmark,
                    Some(filter),
                )?,
                kernel: build::kernel(ws, toolchain, profile)?.image,
                cpu: CPUS[0],
                filter: Some(filter),
                measures: measure_latency,
            });
        }
    }
    for (play, (played, measured)) in plays.iter().zip(play_all(&plays)?) {
        tally.add(played);
        if play.measures {
            latency::check(ws, play.program, measured, &mut tally)?;
        }
    }
    Ok(tally)
}

/// The filter that chooses, of the tests that `filter` chooses, those of a module. `None` if there are none.
fn within<'a>(module: &'a str, filter: Option<&'a str>) -> Option<&'a str> {
    match filter {
        Some(filter) if filter.starts_with(module) => Some(filter),
        Some(filter) if !module.starts_with(filter) => None,
        _ => Some(module),
    }
}

/// A copy of a program that is told which benchmark system calls its kernel has, and which tests to run.
fn told(
    ws: &Workspace,
    copy: &str,
    path: &Path,
    benchmark: Benchmark,
    filter: Option<&str>,
) -> Result<PathBuf> {
    let copy = |what| ws.bare().join(format!("{copy}-{what}"));
    let path = build::with_text(path, BENCHMARK_SYMBOL, benchmark.name(), &copy("told"))?;
    match filter {
        Some(filter) => build::with_text(&path, FILTER_SYMBOL, filter, &copy("filtered")),
        None => Ok(path),
    }
}

/// Builds programs for the kernel of a profile.
fn build_for(
    ws: &Workspace,
    toolchain: &Toolchain,
    profile: &str,
    packages: &[&str],
) -> Result<BTreeMap<String, PathBuf>> {
    let hardware_debug = Profile::load(ws, profile)?.hardware_debug;
    build::root_tasks(ws, toolchain, "building the conformance tests", packages, hardware_debug)
}

/// The names of the packages in `tests/`, sorted.
pub fn packages(ws: &Workspace) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Manifest {
        package: Package,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(ws.join("tests")).context("cannot list tests/")? {
        let manifest = entry?.path().join("Cargo.toml");
        if let Ok(text) = fs::read_to_string(&manifest) {
            let manifest: Manifest =
                toml::from_str(&text).with_context(|| format!("cannot understand {}", manifest.display()))?;
            names.push(manifest.package.name);
        }
    }
    names.sort();
    Ok(names)
}

/// What the program prints of its coverage when this is its filter.
const MATRIX: &str = "--matrix";

/// What raises messages as interrupts when a test tells it to.
const DEVICE: &str = "edu";

/// Prints the table of invocations and errors, with the tests that cover each cell or the reason why none can.
pub fn matrix(ws: &Workspace, toolchain: &Toolchain, profile: &str) -> Outcome {
    let programs = build_for(ws, toolchain, profile, &["conformance"])?;
    let program =
        programs.get("conformance").context("the package conformance has no program of that name")?;
    let root_task = build::with_text(program, FILTER_SYMBOL, MATRIX, &ws.bare().join("conformance-matrix"))?;
    let kernel = build::kernel(ws, toolchain, profile)?;
    let machine = Machine::counting();
    let boot = Boot { machine: &machine, kernel: &kernel.image, root_task: Some(&root_task), gdb: None };
    let mut session = boot.session(false, SILENCE)?;
    let wait = session.wait(|c| c.lines().iter().any(|l| l.starts_with("conformance: ")).then_some(()))?;
    if !matches!(wait, Wait::Found(())) {
        return Err(session.failure(&wait, "the end of the table"));
    }
    let cells: Vec<Cell> = session.console.lines().iter().filter_map(|l| Cell::parse(l)).collect();
    let mut last = "";
    for cell in &cells {
        if cell.invocation != last {
            println!("{}", cell.invocation);
            last = &cell.invocation;
        }
        println!("  {:<18} {}", cell.error, cell.covered_by());
    }
    let empty = cells.iter().filter(|c| c.tests.is_empty() && c.reason.is_none()).count();
    let excused = cells.iter().filter(|c| c.tests.is_empty() && c.reason.is_some()).count();
    println!("{} cells, {excused} that cannot occur, {empty} empty", cells.len());
    let deletions: Vec<Deletion> =
        session.console.lines().iter().filter_map(|l| Deletion::parse(l)).collect();
    println!(
        "\nstates of objects when capabilities to them go: a copy is deleted, the original is, the original is revoked,"
    );
    println!("the last is deleted, the parent is revoked");
    for (index, deletion) in deletions.iter().enumerate() {
        if index == 0 || deletions[index - 1].object != deletion.object {
            println!("{}", deletion.object);
        }
        println!("  {:<58} {:<33} {}", deletion.state, deletion.ways.join(" "), deletion.test);
    }
    let ways: usize = deletions.iter().map(|d| d.ways.len()).sum();
    println!("{} states, {ways} cells", deletions.len());
    Ok(u8::from(empty * 20 > cells.len()))
}

/// One invocation with one of its errors, or with success.
struct Cell {
    invocation: String,
    error: String,
    tests: Vec<String>,
    /// Why it cannot occur.
    reason: Option<String>,
}

impl Cell {
    /// Reads `cell INVOCATION ERROR: TESTS -- REASON`.
    fn parse(line: &str) -> Option<Self> {
        let (what, by) = line.trim().strip_prefix("cell ")?.split_once(':')?;
        let (invocation, error) = what.split_once(' ')?;
        let (tests, reason) = match by.split_once(" -- ") {
            Some((tests, reason)) => (tests, Some(reason.to_string())),
            None => (by, None),
        };
        let tests = tests.split_whitespace().map(str::to_string).collect();
        Some(Cell { invocation: invocation.into(), error: error.into(), tests, reason })
    }

    fn covered_by(&self) -> String {
        match (&self.tests[..], &self.reason) {
            ([], Some(reason)) => format!("cannot occur: {reason}"),
            ([], None) => "EMPTY".into(),
            ([first], _) => first.clone(),
            ([first, rest @ ..], _) => format!("{first} and {} more", rest.len()),
        }
    }
}

/// A state of an object, and the ways in which capabilities to it go in the test of that state.
struct Deletion {
    object: String,
    state: String,
    ways: Vec<String>,
    test: String,
}

impl Deletion {
    /// Reads `state OBJECT | STATE | WAYS | TEST`.
    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.trim().strip_prefix("state ")?.split(" | ").collect();
        let [object, state, ways, test] = fields[..] else { return None };
        let ways = ways.split_whitespace().map(str::to_string).collect();
        Some(Deletion { object: object.into(), state: state.into(), ways, test: test.into() })
    }
}

/// A boot of a program that tests.
struct Play<'a> {
    /// What stands above its output.
    title: String,
    program: &'a str,
    root_task: PathBuf,
    kernel: PathBuf,
    cpu: &'static str,
    filter: Option<&'a str>,
    /// The kernel measures its latency.
    measures: bool,
}

/// What came of a play: its tests, and the kernel's latency if that was measured.
type Played = (Tally, Option<Figures>);

/// Plays as many at once as there are processors: the clock of each machine counts its own instructions, so they do not
/// notice one another.
fn play_all(plays: &[Play<'_>]) -> Result<Vec<Played>> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let (next, turns, played) = (AtomicUsize::new(0), Turns::new(), Mutex::new(BTreeMap::new()));
    let work = || {
        while let n = next.fetch_add(1, Ordering::Relaxed)
            && let Some(play) = plays.get(n)
        {
            let result = play.play(|line| turns.line(n, line));
            turns.end(n);
            played.lock().unwrap_or_else(PoisonError::into_inner).insert(n, result);
        }
    };
    thread::scope(|scope| (0..workers.min(plays.len())).for_each(|_| drop(scope.spawn(work))));
    played.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
}

impl Play<'_> {
    fn play(&self, print: impl Fn(&str)) -> Result<Played> {
        print(&self.title);
        // With counted instructions time passes for the guest alone, so a busy host cannot fail a test of budgets.
        let machine = Machine::counting().with_cpu(self.cpu).with_device(DEVICE);
        let boot =
            Boot { machine: &machine, kernel: &self.kernel, root_task: Some(&self.root_task), gdb: None };
        let mut session = boot.session(false, SILENCE)?;
        let mut report = Report::new(self.filter);
        let mut seen = 0;
        loop {
            let (wait, lines) = session.more_lines(&mut seen, SILENCE)?;
            for line in &lines {
                print(line);
                report.line(line);
            }
            if report.finished.is_some() && (!self.measures || report.latency.is_some()) {
                break;
            }
            if !matches!(wait, Wait::Found(())) {
                let running = report.running.clone();
                let place = running.as_deref().unwrap_or("between two tests");
                let failure = session.failure(&wait, "the end of the test").to_string();
                print(&format!("\n{}: {place}: {failure}\nthe tests after it did not run", self.program));
                report.interrupted(failure.lines().next().unwrap_or_default());
                break;
            }
        }
        print("");
        let measured = report.latency.take();
        Ok((report.verdict(self.program), measured))
    }
}

/// What a root task has said about its tests.
struct Report<'a> {
    filter: Option<&'a str>,
    tally: Tally,
    /// Tests seen, those that the filter leaves out included: passed, failed, skipped.
    seen: [usize; 3],
    running: Option<String>,
    /// The counts of the last line.
    finished: Option<[usize; 3]>,
    /// What a kernel that measures itself has said.
    latency: Option<Figures>,
}

impl<'a> Report<'a> {
    fn new(filter: Option<&'a str>) -> Self {
        Report { filter, tally: Tally::default(), seen: [0; 3], running: None, finished: None, latency: None }
    }

    fn line(&mut self, line: &str) {
        if let Some(figures) = Figures::parse(line) {
            self.latency = Some(figures);
            return;
        }
        if let Some(counts) = line.strip_prefix("conformance: ") {
            self.finished = Some(counts_of(counts));
            return;
        }
        let mut result = line.trim();
        if let Some((name, rest)) = line.strip_prefix("test ").and_then(|l| l.split_once(" ... ")) {
            if self.running.is_some() {
                self.interrupted("it did not say how it ended");
            }
            self.running = Some(name.to_string());
            result = rest.trim();
        }
        let Some(name) = self.running.clone() else { return };
        // The kernel may print in the middle of the line, so that the result stands at its end or on a later one.
        let (kind, why) = if result == "ok" || result.ends_with(" ok") {
            (0, "")
        } else if let Some(at) = result.find("FAILED") {
            (1, result[at..].trim_start_matches("FAILED").trim_start_matches(':').trim())
        } else if result.starts_with("skipped") {
            (2, "")
        } else {
            return;
        };
        self.running = None;
        self.seen[kind] += 1;
        if self.filter.is_some_and(|f| !name.contains(f)) {
            return;
        }
        match kind {
            0 => self.tally.passed += 1,
            1 => self.tally.fail(format!("conformance {name}: {why}")),
            _ => self.tally.skipped += 1,
        }
    }

    /// The test that runs, if any, has not come to its end.
    fn interrupted(&mut self, why: &str) {
        let name = self.running.take().unwrap_or_else(|| "between two tests".into());
        self.tally.fail(format!("conformance {name}: {why}"));
    }

    fn verdict(mut self, program: &str) -> Tally {
        if let Some(said) = self.finished.filter(|&said| said != self.seen) {
            let [passed, failed, skipped] = self.seen;
            self.tally.fail(format!(
                "conformance: {program} says {} passed, {} failed, {} skipped, but its lines say {passed}, {failed}, {skipped}",
                said[0], said[1], said[2],
            ));
        }
        self.tally
    }
}

/// `N passed, N failed, N skipped`.
fn counts_of(text: &str) -> [usize; 3] {
    let number = |what: &str| {
        text.split(',')
            .find_map(|f| f.trim().strip_suffix(what))
            .and_then(|n| n.trim().parse().ok())
            .unwrap_or(0)
    };
    [number("passed"), number("failed"), number("skipped")]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report<'a>(text: &str, filter: Option<&'a str>) -> Report<'a> {
        let mut report = Report::new(filter);
        text.lines().for_each(|l| report.line(l));
        report
    }

    #[test]
    fn results_are_counted() {
        let text = "booting\ntest a ... ok\ntest b ... FAILED: got 3\ntest c ... skipped: no HPET\n\
                    conformance: 1 passed, 1 failed, 1 skipped\n";
        let report = report(text, None);
        assert!(report.finished.is_some());
        let failures = vec!["conformance b: got 3".to_string()];
        assert_eq!(report.verdict("p"), Tally { passed: 1, skipped: 1, failures });
    }

    #[test]
    fn the_kernel_may_print_in_the_middle_of_a_test() {
        let report = report("test a ... a fault was reported\nregisters\nok\ntest b ... ok\n", None);
        assert_eq!(report.verdict("p").passed, 2);
    }

    #[test]
    fn a_test_that_does_not_end_has_failed() {
        let mut report = report("test a ... ok\ntest b ... \n", None);
        assert_eq!(report.running.as_deref(), Some("b"));
        report.interrupted("the kernel panicked");
        assert_eq!(report.verdict("p").failures, ["conformance b: the kernel panicked"]);
        let next = super::tests::report("test a ... \ntest b ... ok\n", None);
        assert_eq!(next.verdict("p").failures, ["conformance a: it did not say how it ended"]);
    }

    #[test]
    fn a_sum_that_is_wrong_is_a_failure() {
        let report = report("test a ... ok\nconformance: 2 passed, 0 failed, 0 skipped\n", None);
        assert!(report.verdict("p").failures[0].contains("says 2 passed"));
    }

    #[test]
    fn a_module_is_played_where_the_filter_has_tests_of_it() {
        assert_eq!(within("float::", None), Some("float::"));
        assert_eq!(within("float::", Some("flo")), Some("float::"));
        assert_eq!(within("float::", Some("float::moves")), Some("float::moves"));
        assert_eq!(within("float::", Some("threads::")), None);
    }

    #[test]
    fn cells_of_the_matrix_are_read() {
        let cell = Cell::parse("cell CNode.copy NoError: a::b c::d").unwrap();
        assert_eq!((cell.invocation.as_str(), cell.covered_by().as_str()), ("CNode.copy", "a::b and 1 more"));
        let cell = Cell::parse("cell Pdpt.map FailedLookup: -- nothing is above it").unwrap();
        assert_eq!(cell.covered_by(), "cannot occur: nothing is above it");
        assert_eq!(Cell::parse("cell A.b RangeError:").unwrap().covered_by(), "EMPTY");
        assert!(Cell::parse("test a ... ok").is_none());
    }

    #[test]
    fn states_at_deletion_are_read() {
        let line = "state TCB | running: it does it itself | last parent | delete_thread::running";
        let Some(Deletion { object, state, ways, test }) = Deletion::parse(line) else { panic!("not read") };
        assert_eq!((object.as_str(), state.as_str()), ("TCB", "running: it does it itself"));
        assert_eq!(
            (ways.as_slice(), test.as_str()),
            (&["last".into(), "parent".into()][..], "delete_thread::running")
        );
        assert!(Deletion::parse("state TCB | ready | last").is_none());
    }

    #[test]
    fn only_tests_that_match_the_filter_count() {
        let report = report("test cnode_copy ... ok\ntest tcb_resume ... FAILED: x\n", Some("cnode"));
        assert_eq!(report.verdict("p"), Tally { passed: 1, ..Tally::default() });
    }
}
