//! The spec suite: the kernel in lockstep with its model (`spec/`).
//!
//! The program prints a line for each check, `FAILED: why` for one that failed, and at last the counts.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use super::{Length, Tally, leave_out};
use crate::{paths::Workspace, process, toolchain};

/// The kernel's configuration for the suite: two domains and small threads keep its states small.
const PROFILE: &str = "spec";

/// Builds and runs the checks, and counts.
pub fn run(ws: &Workspace, filter: Option<&str>, length: Length) -> Result<Tally> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    toolchain::clean(&mut command);
    // A folder of its own: the kernel's crates are configured differently there.
    command.current_dir(ws.root()).env("PECAN_PROFILE", PROFILE);
    // Much of the work is comparing memory, which wide registers do in fewer steps.
    #[cfg(target_arch = "x86_64")]
    if is_wide() {
        command.env("RUSTFLAGS", "-C target-cpu=x86-64-v3");
    }
    command.args([
        "run",
        "--package",
        "pecan-spec",
        "--profile",
        "spec",
        "--target-dir",
        "target/spec",
        "--",
    ]);
    command.args(length.of([Some("--quick"), None, Some("--long")])).args(filter);
    let shown = process::shown(&command);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start `{shown}`"))?;
    let stdout = child.stdout.take().context("the program's standard output is piped")?;
    let (mut tally, mut counts) = (Tally::default(), None);
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        match parse(&line) {
            Some(found) => counts = Some(found),
            None => println!("{line}"),
        }
        if let Some(why) = line.strip_prefix("FAILED: ") {
            tally.fail(format!("spec {why}"));
        }
    }
    let status = child.wait()?;
    let Some((passed, failed, skipped)) = counts else {
        bail!("`{shown}` failed before it had checked anything ({status}); see above")
    };
    (tally.passed, tally.skipped) = (passed, skipped);
    if length == Length::Quick {
        leave_out("families beyond half a minute, most random calls, and whether the checks see faults");
    }
    if failed != tally.failures.len() {
        tally.fail(format!("spec: {failed} checks failed and {} were named", tally.failures.len()));
    }
    Ok(tally)
}

/// True if this processor has what the third level of its architecture adds.
#[cfg(target_arch = "x86_64")]
fn is_wide() -> bool {
    use std::arch::is_x86_feature_detected as has;
    has!("avx2")
        && has!("bmi1")
        && has!("bmi2")
        && has!("f16c")
        && has!("fma")
        && has!("lzcnt")
        && has!("movbe")
}

/// The counts in `N passed, N failed, N skipped`.
fn parse(line: &str) -> Option<(usize, usize, usize)> {
    let mut fields = line.split(", ");
    let mut field = |what: &str| fields.next()?.strip_suffix(what)?.trim().parse().ok();
    Some((field("passed")?, field("failed")?, field("skipped")?))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_last_line_is_read() {
        assert_eq!(super::parse("12 passed, 1 failed, 0 skipped"), Some((12, 1, 0)));
        assert_eq!(super::parse("12 passed, x failed, 0 skipped"), None);
        assert_eq!(super::parse("messages 461 states"), None);
    }
}
