//! Boots that a root task cannot test on itself: several machines, and what the kernel says to bad input.
//!
//! They count among the conformance tests, under names that start with `boot::`.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};

use super::Tally;
use crate::{
    build,
    paths::Workspace,
    qemu::{Board, Boot, Machine, Wait},
    toolchain::Toolchain,
};

/// How the names of these tests start.
pub const PREFIX: &str = "boot::";

/// How long one boot may take.
const TIME: Duration = Duration::from_secs(60);

/// The root task that is booted, and its last words.
const ROOT_TASK: (&str, &str) = ("hello", "All done.");

/// Where the ELF header says which kind of machine the file is for.
const E_MACHINE: usize = 18;
/// Where the ELF header says whether the file is position-independent.
const E_TYPE: usize = 16;

/// What is made of the root task's file.
type Spoil = fn(Vec<u8>) -> Option<Vec<u8>>;

/// A boot and how it must go.
struct Case {
    name: &'static str,
    machine: (Board, &'static str, &'static str),
    spoil: Spoil,
    /// How a line of the console must start.
    expected: &'static str,
}

const MACHINE: (Board, &str, &str) = (Board::Pc, "max", "1G");

const fn good(name: &'static str, board: Board, cpu: &'static str, memory: &'static str) -> Case {
    Case { name, machine: (board, cpu, memory), spoil: Some, expected: ROOT_TASK.1 }
}

const fn bad(name: &'static str, expected: &'static str, spoil: Spoil) -> Case {
    Case { name, machine: MACHINE, spoil, expected }
}

const CASES: [Case; 13] = [
    good("pc_with_the_oldest_processor", Board::Pc, "qemu64", "1G"),
    good("q35_with_the_oldest_processor", Board::Q35, "qemu64", "1G"),
    good("q35_with_the_newest_processor", Board::Q35, "max", "1G"),
    good("pc_with_64_mib", Board::Pc, "max", "64M"),
    good("q35_with_64_mib", Board::Q35, "qemu64", "64M"),
    good("q35_with_16_gib", Board::Q35, "max", "16G"),
    bad("no_root_task", "Pecan cannot start: no root task", |_| None),
    bad(
        "a_root_task_that_is_cut_off",
        "Pecan cannot start: cannot load the root task: its file is cut off",
        |mut f| {
            f.truncate(3000);
            Some(f)
        },
    ),
    bad(
        "a_root_task_without_a_whole_header",
        "Pecan cannot start: cannot load the root task: its file is cut off",
        |mut f| {
            f.truncate(20);
            Some(f)
        },
    ),
    bad(
        "a_root_task_for_another_machine",
        "Pecan cannot start: cannot load the root task: it is for ELF machine 183",
        |mut f| {
            f[E_MACHINE] = 183;
            Some(f)
        },
    ),
    bad(
        "a_root_task_without_a_fixed_address",
        "Pecan cannot start: cannot load the root task: it is position-independent",
        |mut f| {
            f[E_TYPE] = 3;
            Some(f)
        },
    ),
    bad("a_root_task_that_is_a_text", "Pecan cannot start: the boot module is not an ELF file", |_| {
        Some(b"#!/bin/sh\n".repeat(1000))
    }),
    Case {
        name: "too_little_memory",
        machine: (Board::Pc, "max", "2M"),
        spoil: Some,
        expected: "Pecan cannot start: too little memory",
    },
];

/// Runs those whose name contains the filter.
pub fn run(ws: &Workspace, toolchain: &Toolchain, kernel: &Path, filter: Option<&str>) -> Result<Tally> {
    let mut tally = Tally::default();
    let chosen = |c: &&Case| filter.is_none_or(|f| format!("{PREFIX}{}", c.name).contains(f));
    let cases: Vec<&Case> = CASES.iter().filter(chosen).collect();
    if cases.is_empty() {
        return Ok(tally);
    }
    let program = build::program(ws, toolchain, ROOT_TASK.0)?;
    let program = fs::read(&program).with_context(|| format!("cannot read {}", program.display()))?;
    for case in cases {
        let name = format!("{PREFIX}{}", case.name);
        match play(ws, kernel, case, program.clone())? {
            None => {
                println!("test {name} ... ok");
                tally.passed += 1;
            }
            Some(why) => {
                println!("test {name} ... FAILED: {why}");
                tally.fail(format!("conformance {name}: {}", why.lines().next().unwrap_or_default()));
            }
        }
    }
    Ok(tally)
}

/// Boots; returns what went otherwise than it must, if anything.
fn play(ws: &Workspace, kernel: &Path, case: &Case, program: Vec<u8>) -> Result<Option<String>> {
    let root_task: Option<PathBuf> = match (case.spoil)(program) {
        None => None,
        Some(bytes) => {
            let path = ws.bare().join("boot-test.elf");
            fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
            Some(path)
        }
    };
    let (board, cpu, memory) = case.machine;
    let machine = Machine::of(board, cpu, memory);
    let boot = Boot { machine: &machine, kernel, root_task: root_task.as_deref(), gdb: None };
    let mut session = boot.session(false, TIME)?;
    let expected = |l: &String| l.starts_with(case.expected);
    let wait = session.wait(|c| c.lines().iter().any(expected).then_some(()))?;
    Ok(match wait {
        Wait::Found(()) => None,
        other => Some(session.failure(&other, &format!("`{}`", case.expected)).to_string()),
    })
}
