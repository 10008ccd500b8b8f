//! What a kernel that measures itself (`measure_latency` in its profile) says, and what it may say.

use std::{fmt, fs};

use anyhow::{Context, Result};
use pecan_abi::{Label, Syscall};
use serde::Deserialize;

use super::Tally;
use crate::paths::Workspace;

/// The profile whose kernel measures itself.
pub const PROFILE: &str = "latency";

/// The budgets, in the root of the workspace.
const BUDGETS: &str = "bench/latency.toml";

/// What the figures must not exceed, and what we want them to be.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Budgets {
    instructions: Budget,
    stack: Budget,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Budget {
    #[allow(dead_code, reason = "for whoever reads the file")]
    what: String,
    budget: u64,
    aim: u64,
}

/// The line that the kernel prints when it halts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Figures {
    /// The longest stretch with interrupts off, in instructions.
    instructions: u64,
    /// What it was part of, as `kernel/core/src/base/latency.rs` packs it.
    cause: u64,
    /// Bytes of stack that the kernel has used at most.
    stack: u64,
}

impl Figures {
    /// Reads `latency: INSTRUCTIONS CAUSE stack: BYTES`.
    pub fn parse(line: &str) -> Option<Self> {
        let (latency, stack) = line.trim().strip_prefix("latency: ")?.split_once(" stack: ")?;
        let (instructions, cause) = latency.split_once(" 0x")?;
        Some(Figures {
            instructions: instructions.parse().ok()?,
            cause: u64::from_str_radix(cause, 16).ok()?,
            stack: stack.parse().ok()?,
        })
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures { instructions, stack, .. } = self;
        write!(f, "longest stretch with interrupts off: {instructions} instructions (")?;
        let number = (self.cause >> 48 & 0xff) as i64;
        match self.cause >> 56 {
            1 => match Syscall::from_number(-number) {
                Some(call) => write!(f, "{call:?}")?,
                None => write!(f, "system call {}", -number)?,
            },
            2 => write!(f, "exception {number}")?,
            _ => write!(f, "interrupt, vector {number}")?,
        }
        if self.cause as u32 != 0 {
            match Label::from_word(self.cause & 0xffff_ffff) {
                Some(label) => write!(f, ", {label:?}")?,
                None => write!(f, ", label {}", self.cause as u32)?,
            }
        }
        let end = |point, other| if point { "a preemption point" } else { other };
        let (from, to) = (self.cause >> 40 & 1 != 0, self.cause >> 41 & 1 != 0);
        write!(f, ", from {} to {}); ", end(from, "entry"), end(to, "exit"))?;
        write!(f, "kernel stack: {stack} bytes")
    }
}

/// Prints what the kernel said while `program` ran; figures over their budgets, or none, are a failure.
pub fn check(ws: &Workspace, program: &str, figures: Option<Figures>, tally: &mut Tally) -> Result<()> {
    let Some(figures) = figures else {
        tally.fail(format!("latency {program}: the kernel did not say what it measured"));
        return Ok(());
    };
    println!("latency {program}: {figures}");
    for why in over_budget(ws, figures)? {
        tally.fail(format!("latency {program}: {why}"));
    }
    Ok(())
}

/// What of the figures is over its budget.
pub fn over_budget(ws: &Workspace, figures: Figures) -> Result<Vec<String>> {
    let text = fs::read_to_string(ws.join(BUDGETS)).with_context(|| format!("cannot read {BUDGETS}"))?;
    let budgets: Budgets = toml::from_str(&text).with_context(|| format!("cannot understand {BUDGETS}"))?;
    Ok(over(&budgets, figures))
}

/// The figures that are over their budgets.
fn over(budgets: &Budgets, figures: Figures) -> Vec<String> {
    let rows = [
        (&budgets.instructions, figures.instructions, "instructions with interrupts off"),
        (&budgets.stack, figures.stack, "bytes of stack"),
    ];
    let rows = rows.into_iter().filter(|(budget, figure, _)| *figure > budget.budget);
    rows.map(|(budget, figure, what)| {
        format!("{figure} {what}, the budget is {} and the aim {}", budget.budget, budget.aim)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_line_is_read_and_told() {
        assert_eq!(Figures::parse("halted by x"), None);
        assert_eq!(Figures::parse("latency: many 0x1 stack: 3"), None);
        let cause = 1 << 56 | 1 << 48 | 1 << 41 | 2 << 32 | Label::UntypedRetype as u64;
        let figures = Figures::parse(&format!("latency: 4321 {cause:#x} stack: 1888")).unwrap();
        assert_eq!(figures, Figures { instructions: 4321, cause, stack: 1888 });
        assert_eq!(
            figures.to_string(),
            "longest stretch with interrupts off: 4321 instructions (Call, UntypedRetype, from entry to a preemption \
             point); kernel stack: 1888 bytes"
        );
    }

    #[test]
    fn what_is_over_its_budget_is_told() {
        let row = |budget| Budget { what: String::new(), budget, aim: 1 };
        let budgets = Budgets { instructions: row(12_000), stack: row(4096) };
        let figures = |instructions, stack| Figures { instructions, cause: 0, stack };
        assert!(over(&budgets, figures(12_000, 4096)).is_empty());
        assert_eq!(over(&budgets, figures(12_001, 4096)).len(), 1);
        assert_eq!(over(&budgets, figures(12_001, 4097)).len(), 2);
    }
}
