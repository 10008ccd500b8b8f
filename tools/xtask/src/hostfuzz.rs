//! `cargo xtask fuzz --host`: the portable kernel on the host, beside its model, on events that coverage leads to.
//!
//! The fuzzer is `spec/fuzz`, in the layout of cargo-fuzz. It is built with the flags that cargo-fuzz gives, so that
//! it need not be installed here; `cargo fuzz` serves as well. Where the toolchain has no AddressSanitizer, the
//! fuzzer does without.

use std::{
    fmt, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{
    Outcome, doctor,
    paths::Workspace,
    process::{self, which},
    toolchain,
    ui::{self, Step},
};

/// The crate of the fuzzer.
const CRATE: &str = "spec/fuzz";
/// Its program.
const TARGET: &str = "lockstep";
/// Longest input, in bytes: about 200 events.
const LONGEST: usize = 8192;
/// A run that takes longer than this hangs.
const HANGS: Duration = Duration::from_secs(60);
/// Passes and options of LLVM that count the edges that a run takes, as cargo-fuzz has them.
const COUNT_EDGES: [&str; 7] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "--cfg=fuzzing",
];
/// What has AddressSanitizer check a program.
pub const ADDRESS_SANITIZER: &str = "-Zsanitizer=address";

/// The processor and system that this is built for, in the toolchain's words.
pub fn host() -> Result<String> {
    let about = process::output(rustc().arg("-vV"))?;
    let host = about.lines().find_map(|l| l.strip_prefix("host: "));
    host.map(str::to_string).with_context(|| format!("rustc does not say what its host is:\n{about}"))
}

/// Whether the toolchain for the host has the library of AddressSanitizer.
pub fn has_address_sanitizer() -> Result<bool> {
    let folder = process::output(rustc().args(["--print", "target-libdir"]))?;
    let mut files = fs::read_dir(folder.trim()).with_context(|| format!("cannot read {}", folder.trim()))?;
    Ok(files.any(|f| f.is_ok_and(|f| f.file_name().to_string_lossy().ends_with("_rt.asan.a"))))
}

fn rustc() -> Command {
    let mut command = Command::new("rustc");
    toolchain::clean(&mut command);
    command
}

/// What a run came to.
#[derive(Default, Debug, PartialEq, Eq)]
pub struct Report {
    /// Inputs that were run.
    pub executions: u64,
    /// Inputs of the corpus in the repository, each run first.
    pub corpus: u64,
    /// Edges that the corpus reaches.
    pub edges_before: u64,
    /// Edges that are reached at the end.
    pub edges: u64,
    /// Inputs that reach something which none before did.
    pub new_inputs: u64,
    /// AddressSanitizer was on.
    pub sanitized: bool,
    /// What was found, if anything.
    pub found: Option<String>,
}

impl Report {
    /// Takes in a line that libFuzzer prints: `#N KIND cov: EDGES ... corp: INPUTS/SIZE ...`, or a figure at the end.
    fn line(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let after =
            |what: &str| words.iter().position(|w| *w == what).and_then(|i| words.get(i + 1).copied());
        let number = |what: &str| after(what).and_then(|w| w.parse::<u64>().ok());
        if let Some(executions) = number("stat::number_of_executed_units:") {
            self.executions = executions;
        }
        if let Some(inputs) = number("stat::new_units_added:") {
            self.new_inputs = inputs;
        }
        if !line.starts_with('#') {
            return;
        }
        if let Some(edges) = number("cov:") {
            self.edges = edges;
            if words.get(1) == Some(&"INITED") {
                self.edges_before = edges;
            }
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} executions{}, {} edges covered, {} of them not by the corpus of {} inputs; {} new inputs; {}",
            self.executions,
            if self.sanitized { " under AddressSanitizer" } else { "" },
            self.edges,
            self.edges.saturating_sub(self.edges_before),
            self.corpus,
            self.new_inputs,
            if self.found.is_some() { "1 crash" } else { "no crash" }
        )
    }
}

/// Runs the command.
pub fn run(ws: &Workspace, seconds: u64, seed: u64, coverage: bool) -> Outcome {
    if coverage {
        println!("{}", measure(ws)?);
        return Ok(0);
    }
    let report = play(ws, seconds, seed)?;
    if let Some(why) = &report.found {
        println!("{why}");
    }
    println!("fuzz --host: {report}");
    Ok(u8::from(report.found.is_some()))
}

/// Builds the fuzzer and runs it for some time, from the corpus of the repository on. What it finds is kept in
/// `target/fuzz/`, for a developer to look at.
pub fn play(ws: &Workspace, seconds: u64, seed: u64) -> Result<Report> {
    doctor::cxx()?;
    let sanitized = has_address_sanitizer()?;
    if !sanitized {
        ui::note("the toolchain has no AddressSanitizer: the fuzzer runs without");
    }
    let mut flags = COUNT_EDGES.to_vec();
    flags.extend(sanitized.then_some(ADDRESS_SANITIZER));
    let program = build(ws, "edges", &flags)?;
    let (corpus, grown) = (corpus(ws), ws.join("target/fuzz/corpus"));
    let artifacts = ws.join("target/fuzz/artifacts");
    for folder in [&grown, &artifacts] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let corpus_count = fs::read_dir(&corpus).map_or(0, |files| files.count() as u64);
    // Only what this run finds counts as new.
    fs::remove_dir_all(&grown)?;
    fs::create_dir_all(&grown)?;
    let mut command = Command::new(&program);
    toolchain::clean(&mut command);
    command
        .arg(&grown)
        .arg(&corpus)
        .args([
            format!("-max_total_time={seconds}"),
            format!("-max_len={LONGEST}"),
            format!("-seed={seed}"),
            format!("-timeout={}", HANGS.as_secs()),
            format!("-artifact_prefix={}/", artifacts.display()),
            "-print_final_stats=1".into(),
            "-reload=0".into(),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let shown = process::shown(&command);
    let mut step = Step::start(format!("fuzzing the kernel on the host for {seconds} s"));
    let mut child = command.spawn().with_context(|| format!("cannot start `{shown}`"))?;
    let stderr = child.stderr.take().context("the fuzzer's standard error is piped")?;
    let mut report = Report { corpus: corpus_count, sanitized, ..Report::default() };
    let mut other = String::new();
    for line in BufReader::new(stderr).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        report.line(&line);
        if ui::verbose() {
            eprintln!("{line}");
        }
        if line.starts_with('#') {
            step.at(&line);
        } else if !line.starts_with("INFO:") {
            other += &(line + "\n");
        }
    }
    let status = child.wait()?;
    if !status.success() {
        if report.executions == 0 && report.edges == 0 && !other.contains("Test unit written") {
            bail!("`{shown}` failed ({status})\n{other}");
        }
        report.found = Some(format!(
            "{other}what led to it is in {}\n  to see it again: {} FILE",
            artifacts.display(),
            program.display()
        ));
    }
    step.done();
    Ok(report)
}

fn corpus(ws: &Workspace) -> PathBuf {
    ws.join(CRATE).join("corpus").join(TARGET)
}

/// Builds the fuzzer with flags of its own, in a folder for them.
fn build(ws: &Workspace, folder: &str, flags: &[&str]) -> Result<PathBuf> {
    let (host, folder) = (host()?, ws.join("target/fuzz").join(folder));
    let mut command = cargo(ws, flags);
    command.args(["build", "--release", "--locked", "--target", &host, "--bin", TARGET]);
    command.arg("--manifest-path").arg(ws.join(CRATE).join("Cargo.toml"));
    command.arg("--target-dir").arg(&folder);
    process::step("building the fuzzer for the host", &mut command)?;
    Ok(folder.join(host).join("release").join(TARGET))
}

/// Cargo with flags of compilers that are not stable, and the kernel as the suite `spec` has it.
fn cargo(ws: &Workspace, flags: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    toolchain::clean(&mut command);
    command.current_dir(ws.root());
    command.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", flags.join(" ")).env("PECAN_PROFILE", "spec");
    command
}

/// A program of LLVM in rustc's version: rustup's, Debian's, or the one on the search path.
fn llvm(name: &str) -> Result<PathBuf> {
    let about = process::output(rustc().arg("-vV"))?;
    let version = about.lines().find_map(|l| l.strip_prefix("LLVM version: ")?.split('.').next());
    let version = version.with_context(|| format!("rustc does not say what its LLVM is:\n{about}"))?;
    let libraries = process::output(rustc().args(["--print", "target-libdir"]))?;
    let rustups = Path::new(libraries.trim()).with_file_name("bin").join(name);
    if rustups.is_file() {
        return Ok(rustups);
    }
    which(&format!("{name}-{version}")).or_else(|| which(name)).with_context(|| {
        format!("`{name}` of LLVM {version} is missing\n  to mend it: rustup component add llvm-tools")
    })
}

/// How much of the portable kernel the corpus reaches, as a table of its files.
pub fn measure(ws: &Workspace) -> Result<String> {
    doctor::cxx()?;
    let (profdata, cov) = (llvm("llvm-profdata")?, llvm("llvm-cov")?);
    let program = build(ws, "coverage", &["-Cinstrument-coverage", "--cfg=fuzzing"])?;
    let raw = ws.join("target/fuzz/coverage/corpus.profraw");
    let merged = raw.with_extension("profdata");
    let mut command = Command::new(&program);
    command.env("LLVM_PROFILE_FILE", &raw).arg("-runs=0").arg(corpus(ws));
    process::step("running the corpus", &mut command)?;
    process::output(Command::new(profdata).args(["merge", "-sparse", "-o"]).arg(&merged).arg(&raw))?;
    let mut command = Command::new(cov);
    command.args(["report", "--ignore-filename-regex", "(testing|tests?)(/.*)?\\.rs$"]);
    command.arg("--instr-profile").arg(&merged).arg(&program).arg(ws.join("kernel/core/src"));
    let table = process::output(&mut command)?;
    if !table.contains("TOTAL") {
        bail!("llvm-cov says nothing of {}:\n{table}", Path::new("kernel/core/src").display());
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libfuzzers_output_is_read() {
        let mut report = Report { corpus: 3, ..Report::default() };
        for line in [
            "INFO: seed corpus: files: 3 min: 1b max: 80b total: 121b rss: 40Mb",
            "#4\tINITED cov: 1200 ft: 3000 corp: 3/121b exec/s: 0 rss: 50Mb",
            "#900\tNEW    cov: 1207 ft: 3011 corp: 4/161b lim: 80 exec/s: 450 rss: 51Mb L: 40/80 MS: 1 Custom-",
            "#2000\tDONE   cov: 1207 ft: 3011 corp: 4/161b lim: 80 exec/s: 400 rss: 51Mb",
            "stat::number_of_executed_units: 2000",
            "stat::new_units_added:          1",
        ] {
            report.line(line);
        }
        assert_eq!(
            report.to_string(),
            "2000 executions, 1207 edges covered, 7 of them not by the corpus of 3 inputs; 1 new inputs; no crash"
        );
    }
}
