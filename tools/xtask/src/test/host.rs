//! The host suite: `cargo test` of the crates that build here.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use super::{Length, Tally, leave_out};
use crate::{hostfuzz, paths::Workspace, process, toolchain, ui};

/// Packages that are for bare metal, so not among the default members, but have tests that need no kernel.
const USER_PACKAGES: [&str; 1] = ["pecan"];

/// Packages whose tests named `loom` run under the checker of that name: in every interleaving of their threads.
const LOOM_PACKAGES: [&str; 1] = ["pecan-ring"];

/// What only profiles other than `default` compile in: the profile, the package, and the module of its tests.
const OTHER_PROFILES: [(&str, &str, &str); 3] = [
    ("latency", "pecan-core", "base::latency::"),
    ("utilisation", "pecan-core", "tests::benchmark::"),
    ("entries", "pecan-core", "tests::benchmark::"),
];

/// The architectures of which the portable kernel is tested beside that of the host's port.
const OTHER_ARCHITECTURES: [&str; 2] = ["aarch64", "riscv64"];

/// How tests are built.
#[derive(Clone, Copy)]
enum Build {
    /// As `cargo test` builds them.
    Plain,
    /// The same, without what takes seconds of itself.
    Fast,
    /// As the kernel of this architecture, and as [`Build::Fast`].
    Architecture(&'static str),
    /// With AddressSanitizer, overflow checks and assertions.
    Sanitized,
    /// For this profile of the kernel.
    Profile(&'static str),
    /// For Miri, with these flags for the rules of references.
    Miri(&'static str),
    /// With the atomics, threads and locks of `loom` in place of the real ones.
    Loom,
}

/// Runs `cargo test` on the workspace's default members and on the user-level libraries, and counts.
pub fn run(ws: &Workspace, filter: Option<&str>, length: Length) -> Result<Tally> {
    let build = if length == Length::Quick { Build::Fast } else { Build::Plain };
    let mut tally = cargo_test(ws, &[], filter.as_slice(), build)?;
    tally.add(cargo_test(ws, &USER_PACKAGES, filter.as_slice(), build)?);
    if length == Length::Quick {
        leave_out(
            "three quarters of the rounds of random tests, what only other profiles and architectures compile in, \
             and loom",
        );
        return Ok(tally);
    }
    tally.add(cargo_test(ws, &LOOM_PACKAGES, filter.as_slice(), Build::Loom)?);
    for (profile, package, tests) in OTHER_PROFILES {
        let filter = match filter {
            Some(filter) if filter.starts_with(tests) => filter,
            Some(filter) if !tests.starts_with(filter) => continue,
            _ => tests,
        };
        tally.add(cargo_test(ws, &[package], &[filter], Build::Profile(profile))?);
    }
    for arch in OTHER_ARCHITECTURES {
        tally.add(cargo_test(ws, &KERNEL_PACKAGES, filter.as_slice(), Build::Architecture(arch))?);
    }
    Ok(tally)
}

/// The kernel's packages that have tests.
const KERNEL_PACKAGES: [&str; 3] = ["pecan-arch", "pecan-mem", "pecan-core"];

/// Runs the tests of the kernel's packages under AddressSanitizer, with overflow checks and assertions, and counts.
pub fn run_sanitized(ws: &Workspace, filter: Option<&str>) -> Result<Tally> {
    if !hostfuzz::has_address_sanitizer()? {
        println!("test host::address_sanitizer ... ignored, the toolchain has no library for it");
        return Ok(Tally { skipped: 1, ..Tally::default() });
    }
    cargo_test(ws, &KERNEL_PACKAGES, filter.as_slice(), Build::Sanitized)
}

/// The tests that Miri runs in less than a minute: of links into the kernel's own state, and of memory at boot. Most others
/// take it several.
const MIRI_SHORT: [&str; 4] = [
    "tests::token::",
    "boot::tests::all_memory_is_given_out_once",
    "boot::tests::every_error_in_an_elf_file_has_a_message",
    "boot::tests::extra_boot_information_is_a_chain_of_chunks",
];

/// Runs the kernel's tests under Miri, which finds undefined behaviour that does no harm yet, and counts: a few under Tree
/// Borrows; or those that the filter names; or, if `long`, all of them, and again under Stacked Borrows.
pub fn run_miri(ws: &Workspace, filter: Option<&str>, long: bool) -> Result<Tally> {
    let probe = ["run", "nightly", "cargo", "miri", "--version"];
    if !Command::new("rustup").args(probe).output().is_ok_and(|o| o.status.success()) {
        println!(
            "test host::miri ... ignored, there is no Miri here (it takes rustup: `rustup toolchain install nightly \
             --component miri,rust-src`)"
        );
        return Ok(Tally { skipped: 1, ..Tally::default() });
    }
    let filters = match filter {
        Some(_) => filter.as_slice(),
        None if long => &[],
        None => &MIRI_SHORT,
    };
    let mut tally = cargo_test(ws, &MIRI_PACKAGES, filters, Build::Miri("-Zmiri-tree-borrows"))?;
    if long {
        tally.add(cargo_test(ws, &MIRI_PACKAGES, filters, Build::Miri(""))?);
    }
    Ok(tally)
}

/// The packages whose tests Miri runs.
const MIRI_PACKAGES: [&str; 2] = ["pecan-mem", "pecan-core"];

/// Runs `cargo test` on some packages, or on the default members, and counts.
fn cargo_test(ws: &Workspace, packages: &[&str], filters: &[&str], build: Build) -> Result<Tally> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = match build {
        Build::Miri(_) => Command::new("rustup"),
        _ => Command::new(cargo),
    };
    toolchain::clean(&mut command);
    if let Build::Miri(_) = build {
        command.args(["run", "nightly", "cargo", "miri"]);
    }
    command.current_dir(ws.root()).args(["test", "--no-fail-fast"]);
    match build {
        Build::Plain | Build::Miri(_) => {}
        Build::Fast => {
            command.env("PECAN_FAST", "1");
        }
        Build::Architecture(arch) => {
            command.env("PECAN_ARCH", arch).env("PECAN_FAST", "1").args(["--lib", "--target-dir"]);
            command.arg(format!("target/host-{arch}"));
        }
        Build::Sanitized => {
            // A folder of its own, and a target named, so that build scripts and macros are left alone. Doc tests are
            // built by a program that has not these flags.
            let flags = format!("{} -Coverflow-checks=on -Cdebug-assertions=on", hostfuzz::ADDRESS_SANITIZER);
            command.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", flags);
            // Emulated machines and their memory live as long as the test program, on purpose.
            command.env("ASAN_OPTIONS", "detect_leaks=0");
            command.args(["--lib", "--tests", "--target-dir", "target/asan", "--target", &hostfuzz::host()?]);
        }
        Build::Loom => {
            command.env("RUSTFLAGS", "--cfg loom").args(["--test", "loom", "--target-dir", "target/loom"]);
        }
        Build::Profile(profile) => {
            // A folder of its own: the same programs of several profiles would be built anew by turns.
            command.env("PECAN_PROFILE", profile).args(["--lib", "--target-dir"]);
            command.arg(format!("target/host-{profile}"));
        }
    }
    if let Build::Miri(rules) = build {
        // Links in packed form are addresses, from which pointers are made; machines live as long as the test program;
        // tests look at the environment.
        let flags =
            format!("{rules} -Zmiri-permissive-provenance -Zmiri-ignore-leaks -Zmiri-disable-isolation");
        command.env("MIRIFLAGS", flags.trim_start()).env("PECAN_FAST", "1");
        command.args(["--lib", "--target-dir", "target/miri"]);
    }
    packages.iter().for_each(|p| {
        command.args(["--package", p]);
    });
    if ui::on_terminal() {
        command.args(["--color", "always"]);
    }
    if !filters.is_empty() {
        command.arg("--").args(filters);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let shown = process::shown(&command);
    let mut child = command.spawn().with_context(|| format!("cannot start `{shown}`"))?;
    let stdout = child.stdout.take().context("cargo's standard output is piped")?;
    let mut count = Count::default();
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        // Crates without tests would fill the screen with nothing.
        if !count.line(&line) {
            println!("{line}");
        }
    }
    let status = child.wait()?;
    if !status.success() && count.binaries == 0 {
        bail!("`{shown}` failed before any test ran ({status}); see above");
    }
    if !status.success() && count.tally.failures.is_empty() {
        count.tally.fail(format!(
            "`{shown}` failed ({status}): a test program crashed or a doc test does not build"
        ));
    }
    Ok(count.tally)
}

/// What the output of libtest says.
#[derive(Default)]
struct Count {
    tally: Tally,
    /// Test programs that ran to their end.
    binaries: usize,
}

impl Count {
    /// Takes in a line; returns whether it need not be shown.
    fn line(&mut self, line: &str) -> bool {
        let line = strip_colors(line);
        if let Some(name) = line.strip_prefix("test ").and_then(|l| l.strip_suffix(" ... FAILED")) {
            self.tally.fail(format!("host {name}"));
        }
        let Some(result) = line.strip_prefix("test result: ") else {
            return line.trim().is_empty() || line == "running 0 tests";
        };
        self.binaries += 1;
        let number = |what: &str| -> usize {
            let field = result.split([';', '.']).find_map(|f| f.trim().strip_suffix(what));
            field.and_then(|n| n.trim().parse().ok()).unwrap_or(0)
        };
        let (passed, skipped) = (number("passed"), number("ignored"));
        self.tally.passed += passed;
        self.tally.skipped += skipped;
        passed + skipped + number("failed") == 0
    }
}

fn strip_colors(line: &str) -> String {
    let mut console = crate::console::Console::default();
    console.feed(line.as_bytes());
    console.partial()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtests_output_is_counted() {
        let mut count = Count::default();
        let output = "\nrunning 3 tests\ntest a ... ok\ntest b::c ... FAILED\ntest d ... ignored\n\
            test result: \x1b[31mFAILED\x1b[0m. 1 passed; 1 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.00s\n\
            running 0 tests\n\
            test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        let hidden = output.lines().filter(|l| count.line(l)).count();
        assert_eq!(count.tally, Tally { passed: 1, skipped: 1, failures: vec!["host b::c".into()] });
        assert_eq!((count.binaries, hidden), (2, 3));
    }
}
