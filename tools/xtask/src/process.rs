//! Running other programs.

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::ui::{self, Step};

/// Finds a program on the search path.
pub fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|p| is_executable(p))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

/// A command as one would type it, without its environment.
pub fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let quoted = |w: &std::ffi::OsStr| {
        let w = w.to_string_lossy().into_owned();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,+@%".contains(c);
        if !w.is_empty() && w.chars().all(plain) { w } else { format!("'{}'", w.replace('\'', r"'\''")) }
    };
    words.map(quoted).collect::<Vec<_>>().join(" ")
}

/// Standard output of a command that is expected to succeed at once.
pub fn output(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let out = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{shown}`"))?;
    if !out.status.success() {
        bail!("`{shown}` failed ({})\n{}", out.status, String::from_utf8_lossy(&out.stderr).trim_end());
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// Does two things at the same time, such as builds, which leave a processor idle while they link. The first one's error
/// is returned if both fail.
pub fn both<A: Send, B>(
    first: impl FnOnce() -> Result<A> + Send,
    second: impl FnOnce() -> Result<B>,
) -> Result<(A, B)> {
    std::thread::scope(|scope| {
        let first = scope.spawn(first);
        let second = second();
        let first = first.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((first?, second?))
    })
}

/// Runs a command as a step: its standard error is followed line by line and shown in full when the command fails
/// or warns (always with `--verbose`). Returns its standard output.
pub fn step(what: &str, command: &mut Command) -> Result<String> {
    Ok(followed(what, command)?.0)
}

/// What cargo reports to have built, of its report with `--message-format=json-render-diagnostics`.
pub fn artifacts(report: &str) -> Result<Vec<serde_json::Value>> {
    let lines = report.lines().filter(|l| l.starts_with('{'));
    lines.map(|line| serde_json::from_str(line).context("cargo's report is not JSON")).collect()
}

/// Runs a command as a step that fails when the command warns, too.
pub fn strict_step(what: &str, command: &mut Command) -> Result<()> {
    let (_, warned) = followed(what, command)?;
    if warned {
        bail!("{what} gave warnings; see above");
    }
    Ok(())
}

/// Runs a command as a step; returns its standard output and whether it warned.
fn followed(what: &str, command: &mut Command) -> Result<(String, bool)> {
    let shown = shown(command);
    if ui::verbose() {
        eprintln!("$ {shown}");
    }
    let mut step = Step::start(what);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{shown}`\n  to mend it: cargo xtask setup"))?;
    let mut stdout = child.stdout.take().context("the command's standard output is piped")?;
    let stderr = child.stderr.take().context("the command's standard error is piped")?;
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stdout.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    let mut log = String::new();
    let mut lines = BufReader::new(stderr);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        if ui::verbose() {
            eprint!("{text}");
        }
        if !text.trim_start().starts_with("Finished") {
            step.at(&text);
        }
        log.push_str(&text);
        line.clear();
    }
    let status = child.wait()?;
    let stdout = reader.join().unwrap_or_default();
    if !status.success() {
        drop(step);
        if !ui::verbose() {
            eprint!("{log}");
        }
        bail!("{what} failed ({status})\n  the command was: {shown}");
    }
    step.done();
    let warned = log.contains("warning");
    if !ui::verbose() && warned {
        eprint!("{log}");
    }
    Ok((stdout, warned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_things_both_are_done_and_the_first_error_counts() {
        assert_eq!(both(|| Ok(1), || Ok("a")).unwrap(), (1, "a"));
        let fails = |why: &'static str| move || -> Result<()> { bail!(why) };
        assert_eq!(both(fails("first"), fails("second")).unwrap_err().to_string(), "first");
        assert_eq!(both(|| Ok(1), fails("second")).unwrap_err().to_string(), "second");
    }
}
