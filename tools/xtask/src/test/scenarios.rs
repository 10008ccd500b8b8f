//! The scenarios: the whole system, written as transcripts of its shell.
//!
//! A file of `tests/scenarios/` is one test on a machine of its own. Lines that start with the prompt are typed; the
//! lines below are what the command must print. `...` stands for any text within a line and, alone on a line, for
//! any number of lines. `(status N)` as the last line is the status with which the system ends. Lines that start
//! with `#` before the first command say what the scenario shows; a line `system NAME` there says which system it is
//! about, if not `default`.

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

use super::{Length, Tally, held, leave_out, pages};
use crate::{
    build::{self, Form, Kernel},
    console::PROMPT,
    paths::Workspace,
    qemu::{Boot, Machine},
    run,
    shell::{Done, Shell},
    system::{self, System},
    toolchain::Toolchain,
};

/// The systems whose components are compared with their descriptions, capability by capability.
const HELD: [&str; 5] = ["default", "hostile", "kit", "rings", "roles"];
/// How long a scenario may take.
const TIME: Duration = Duration::from_secs(120);

/// The folder of the scenarios.
const FOLDER: &str = "tests/scenarios";

/// The scenario files of Pecan's tree, sorted.
pub fn files(ws: &Workspace) -> Result<Vec<PathBuf>> {
    files_in(&ws.join(FOLDER))
}

fn files_in(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "txt") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Plays every scenario and counts; those whose names end with `_long` only if asked to.
pub fn run(
    ws: &Workspace,
    toolchain: &Toolchain,
    profile: &str,
    form: Form,
    filter: Option<&str>,
    length: Length,
) -> Result<Tally> {
    let kernel = build::kernel(ws, toolchain, profile)?;
    let machine = Machine::counting();
    let mut tally = Tally::default();
    let files = chosen(files(ws)?, filter, length == Length::Long);
    tally.add(play_files(ws, toolchain, &kernel, "default", form, files)?);
    let default = run::assemble(ws, toolchain, "default", form)?;
    for system in HELD {
        let name = format!("held_{system}");
        if filter.is_some_and(|filter| !name.contains(filter)) {
            continue;
        }
        let compared = run::assemble(ws, toolchain, system, form).and_then(|root_task| {
            let boot =
                Boot { machine: &machine, kernel: &kernel.image, root_task: Some(&root_task), gdb: None };
            held::compare(System::load(ws, system)?.manifest(), &boot)
        });
        match compared {
            Ok(()) => {
                println!("test {name} ... ok");
                tally.passed += 1;
            }
            Err(error) => {
                println!("test {name} ... FAILED\n{error}");
                tally.fail(format!("scenario {name}: capabilities differ from the description"));
            }
        }
    }
    tally.add(super::run::run(ws, &default, &kernel, filter)?);
    if length == Length::Quick {
        leave_out("the pages of the book that lead through something (`page::`)");
    } else {
        tally.add(pages::run(ws, filter)?);
    }
    Ok(tally)
}

/// Plays the scenarios of a system somewhere else: those of the folder `scenarios` beside its description.
pub fn of_system(
    ws: &Workspace,
    toolchain: &Toolchain,
    profile: &str,
    system: &str,
    form: Form,
    filter: Option<&str>,
    long: bool,
) -> Result<Tally> {
    let description = system::find(ws, system)?;
    let folder = description.with_file_name("scenarios");
    let kernel = build::kernel(ws, toolchain, profile)?;
    play_files(ws, toolchain, &kernel, system, form, chosen(files_in(&folder)?, filter, long))
}

fn name_of(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The files with a text in their names; those that end with `_long` only if asked to.
fn chosen(mut files: Vec<PathBuf>, filter: Option<&str>, long: bool) -> Vec<PathBuf> {
    files.retain(|f| filter.is_none_or(|filter| name_of(f).contains(filter)));
    files.retain(|f| long || !name_of(f).ends_with("_long"));
    files
}

/// Plays scenarios, each on the system that it names or the given one.
fn play_files(
    ws: &Workspace,
    toolchain: &Toolchain,
    kernel: &Kernel,
    system: &str,
    form: Form,
    files: Vec<PathBuf>,
) -> Result<Tally> {
    let mut root_tasks = BTreeMap::new();
    let machine = Machine::counting();
    let mut scenarios = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let ready = parse(&text).and_then(|scenario| {
            let system = scenario.system.as_deref().unwrap_or(system);
            if !root_tasks.contains_key(system) {
                let built = run::assemble(ws, toolchain, system, form)?;
                root_tasks.insert(system.to_string(), built);
            }
            Ok((scenario.steps, root_tasks[system].clone()))
        });
        scenarios.push((name_of(&file), ready));
    }
    Ok(play_all(scenarios, |steps, root_task| {
        let boot = Boot { machine: &machine, kernel: &kernel.image, root_task: Some(root_task), gdb: None };
        play(steps, Shell::start(boot.session(false, TIME)?)?)
    }))
}

/// A command and the lines expected of it.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    command: String,
    expected: Vec<String>,
}

/// What a file says.
#[derive(Debug)]
struct Scenario {
    /// The system that is booted, if it says which.
    system: Option<String>,
    steps: Vec<Step>,
}

fn parse(text: &str) -> Result<Scenario> {
    let mut system = None;
    let mut steps: Vec<Step> = Vec::new();
    for (n, line) in text.lines().enumerate() {
        if let Some(command) = line.strip_prefix(PROMPT) {
            steps.push(Step { command: command.trim().to_string(), expected: Vec::new() });
        } else if let Some(step) = steps.last_mut() {
            step.expected.push(line.trim_end().to_string());
        } else if let Some(name) = line.strip_prefix("system ") {
            system = Some(name.trim().to_string());
        } else if !line.trim().is_empty() && !line.starts_with('#') {
            bail!("line {}: before the first command there can only be comments and `system NAME`", n + 1);
        }
    }
    if steps.is_empty() {
        bail!("no line starts with `{PROMPT}`");
    }
    for step in &mut steps {
        while step.expected.last().is_some_and(String::is_empty) {
            step.expected.pop();
        }
    }
    Ok(Scenario { system, steps })
}

/// What a scenario needs: what is typed and must be printed, and the root task.
type Ready = (Vec<Step>, PathBuf);

/// Plays scenarios, as many at once as there are processors: the clock of each machine counts its own instructions, so they do
/// not notice one another.
fn play_all(
    scenarios: Vec<(String, Result<Ready>)>,
    play: impl Fn(&[Step], &Path) -> Result<()> + Sync,
) -> Tally {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let next = Mutex::new(scenarios.into_iter().enumerate());
    let failures = Mutex::new(Vec::new());
    let passed = AtomicUsize::new(0);
    let work = || {
        // Taken by itself: the lock would be held through the body of a `while let`.
        let take = || next.lock().unwrap_or_else(PoisonError::into_inner).next();
        while let Some((n, (name, ready))) = take() {
            match ready.and_then(|(steps, root_task)| play(&steps, &root_task)) {
                Ok(()) => {
                    println!("test {name} ... ok");
                    passed.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => {
                    println!("test {name} ... FAILED\n{error}");
                    let line = error.to_string().lines().next().unwrap_or_default().to_string();
                    let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
                    failures.push((n, format!("scenario {name}: {line}")));
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
    let mut failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    failures.sort();
    let mut tally = Tally { passed: passed.into_inner(), ..Tally::default() };
    failures.into_iter().for_each(|(_, failure)| tally.fail(failure));
    tally
}

fn play(steps: &[Step], mut shell: Shell) -> Result<()> {
    for (n, step) in steps.iter().enumerate() {
        let (done, mut printed) = shell.command(&step.command)?;
        let last = n + 1 == steps.len();
        if let Done::Ended(status) = done {
            if !last {
                bail!("`{}` ended the system with status {status}", step.command);
            }
            if step.expected.last().is_some_and(|l| l.starts_with("(status ")) {
                printed.push(format!("(status {status})"));
            }
        }
        let mut printed: Vec<&str> = printed.iter().map(|l| l.trim_end()).collect();
        while printed.last().is_some_and(|l| l.is_empty()) {
            printed.pop();
        }
        let expected: Vec<&str> = step.expected.iter().map(String::as_str).collect();
        if !lines_match(&expected, &printed) {
            let indented = |lines: &[&str]| lines.iter().map(|l| format!("    {l}\n")).collect::<String>();
            bail!(
                "`{}` printed something else\n  expected:\n{}  printed:\n{}",
                step.command,
                indented(&expected),
                indented(&printed)
            );
        }
    }
    Ok(())
}

/// Whether printed lines are what a transcript expects.
pub fn lines_match(expected: &[&str], printed: &[&str]) -> bool {
    match expected.split_first() {
        None => printed.is_empty(),
        Some((&"...", rest)) => (0..=printed.len()).any(|n| lines_match(rest, &printed[n..])),
        Some((line, rest)) => printed
            .split_first()
            .is_some_and(|(p, others)| line_matches(line, p) && lines_match(rest, others)),
    }
}

/// Whether a line is what a transcript expects, where `...` stands for any text.
fn line_matches(expected: &str, printed: &str) -> bool {
    let Some((head, tail)) = expected.split_once("...") else { return expected == printed };
    let Some(rest) = printed.strip_prefix(head) else { return false };
    rest.char_indices().map(|(at, _)| at).chain([rest.len()]).any(|at| line_matches(tail, &rest[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_scenarios_are_played_and_failures_are_told_in_order() {
        let step = |command: &str| Step { command: command.into(), expected: Vec::new() };
        let mut scenarios: Vec<(String, Result<Ready>)> =
            (0..40).map(|n| (format!("s{n}"), Ok((vec![step(&n.to_string())], PathBuf::new())))).collect();
        scenarios.push(("unread".into(), Err(anyhow::anyhow!("no line starts so\nand more"))));
        let tally = play_all(scenarios, |steps, _| {
            let n: u32 = steps[0].command.parse()?;
            if n % 10 == 3 { bail!("{n} is wrong") } else { Ok(()) }
        });
        let told = ["3", "13", "23", "33"].map(|n| format!("scenario s{n}: {n} is wrong"));
        assert_eq!(tally.failures[..4], told);
        assert_eq!(tally.failures[4..], ["scenario unread: no line starts so"]);
        assert_eq!(tally.passed, 36);
    }

    #[test]
    fn a_transcript_is_commands_and_what_they_print() {
        let text = "# Shows something.\n\npecan> ps\nNAME\n...\n\npecan> exit 3\n(status 3)\n";
        let scenario = parse(text).unwrap();
        let step = |command: &str, expected: &[&str]| Step {
            command: command.into(),
            expected: expected.iter().map(|l| l.to_string()).collect(),
        };
        assert_eq!(scenario.steps, [step("ps", &["NAME", "..."]), step("exit 3", &["(status 3)"])]);
        assert_eq!(scenario.system, None);
        assert_eq!(parse(&format!("system other\n{text}")).unwrap().system.as_deref(), Some("other"));
        assert!(parse("hello\npecan> ps\n").is_err());
        assert!(parse("# nothing\n").is_err());
    }

    #[test]
    fn dots_match_within_a_line() {
        assert!(line_matches("ping: ... instructions", "ping: 812 instructions"));
        assert!(line_matches("a...c...e", "abcde"));
        assert!(line_matches("...", ""));
        assert!(!line_matches("ping: ... instructions", "ping: 812 cycles"));
        assert!(!line_matches("abc", "abcd"));
        assert!(line_matches("ä...ü", "äöü"));
    }

    #[test]
    fn dots_alone_match_any_number_of_lines() {
        assert!(lines_match(&["a", "...", "d"], &["a", "b", "c", "d"]));
        assert!(lines_match(&["...", "d"], &["d"]));
        assert!(lines_match(&["..."], &[]));
        assert!(!lines_match(&["a", "...", "e"], &["a", "b", "c", "d"]));
        assert!(!lines_match(&["a"], &["a", "b"]));
    }
}
