//! Estimated cycles of what was followed: the straight line of instructions, as LLVM's models of two processors see it
//! (`llvm-mca`).
//!
//! The estimate knows caches that always hit and branches that are always foretold. Two things are put right before:
//!
//! - The models have `push` and `pop` wait for one another's stack pointer, which processors have not done for twenty
//!   years. They become stores and loads at fixed distances from the last value that was computed; where an instruction
//!   needs the true value, one addition brings it up to date, as in hardware.
//! - Of *system instructions* (`syscall`, writes to control registers and segment bases, the clock, vector registers as a
//!   whole, ...) the models know nothing: 100 cycles, whatever it is. They are left out, and counted apart.

use std::{fmt::Write, fs, process::Command};

use anyhow::{Context, Result};
use iced_x86::{
    Code, Formatter, GasFormatter, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register,
};
use serde::Deserialize;

use super::trace::Step;
use crate::{doctor, paths::Workspace, process};

/// The processors, as LLVM names them.
pub const PROCESSORS: [&str; 2] = ["skylake", "znver3"];

/// Whether the models know nothing of an instruction.
pub fn is_system(instruction: &Instruction) -> bool {
    instruction.is_privileged()
        || instruction.has_rep_prefix()
        || instruction.has_repne_prefix()
        || matches!(
            instruction.mnemonic(),
            Mnemonic::Syscall
                | Mnemonic::Sysretq
                | Mnemonic::Iretq
                | Mnemonic::Swapgs
                | Mnemonic::Rdfsbase
                | Mnemonic::Rdgsbase
                | Mnemonic::Wrfsbase
                | Mnemonic::Wrgsbase
                | Mnemonic::Rdtsc
                | Mnemonic::Rdtscp
                | Mnemonic::In
                | Mnemonic::Out
                | Mnemonic::Cpuid
                | Mnemonic::Verw
                | Mnemonic::Lfence
                | Mnemonic::Mfence
                | Mnemonic::Pause
                | Mnemonic::Fxsave64
                | Mnemonic::Fxrstor64
                | Mnemonic::Xsave64
                | Mnemonic::Xsaveopt64
                | Mnemonic::Xsaves64
                | Mnemonic::Xrstor64
                | Mnemonic::Xrstors64
        )
}

/// Estimates: of each run, for each processor, the cycles of each of its steps.
pub type Estimates = Vec<[Vec<u64>; PROCESSORS.len()]>;

/// Who estimates, and the estimates.
pub struct Estimated {
    /// `LLVM 14.0.6` or the like: other versions have other models.
    pub by: String,
    /// In the order of the runs.
    pub runs: Estimates,
}

/// Estimates runs. Fails where there is no `llvm-mca`, and where it does not know an instruction.
pub fn estimate(ws: &Workspace, runs: &[&[Step]]) -> Result<Estimated> {
    doctor::llvm()?;
    let path = ws.bare().join("bench-runs.s");
    let lines: Vec<Vec<Line>> = runs.iter().map(|run| straight(run)).collect();
    fs::write(&path, assembly(&lines)).with_context(|| format!("cannot write {}", path.display()))?;
    let mut estimates: Estimates = runs.iter().map(|run| PROCESSORS.map(|_| vec![0; run.len()])).collect();
    for (which, processor) in PROCESSORS.iter().enumerate() {
        let mut mca = Command::new("llvm-mca");
        mca.args(["-mtriple=x86_64", "-iterations=1", "-timeline", "-timeline-max-cycles=0", "-json"]);
        let out = process::output(mca.arg(format!("-mcpu={processor}")).arg(&path))?;
        let model: Model = serde_json::from_str(&out).context("cannot understand llvm-mca")?;
        for region in &model.regions {
            let run: usize = region.name.parse().context("llvm-mca names a run that is none")?;
            let retired: Vec<u64> = region.timeline.instructions.iter().map(|i| i.retired).collect();
            attribute(&retired, &lines[run], &mut estimates[run][which]);
        }
    }
    let version = process::output(Command::new("llvm-mca").arg("--version"))?;
    let by = version.lines().find_map(|l| Some(l.split_once("LLVM version ")?.1.trim()));
    Ok(Estimated { by: format!("LLVM {}", by.unwrap_or("of unknown version")), runs: estimates })
}

/// Gives each step the cycles that pass from the end of the instruction before to the end of its own.
fn attribute(retired: &[u64], lines: &[Line], steps: &mut [u64]) {
    let mut before = 0;
    for (retired, line) in retired.iter().zip(lines) {
        // Cycles are counted from 0.
        steps[line.step] += (retired + 1).saturating_sub(before);
        before = before.max(retired + 1);
    }
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "CodeRegions")]
    regions: Vec<Region>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Region {
    name: String,
    #[serde(rename = "TimelineView")]
    timeline: Timeline,
}

#[derive(Deserialize)]
struct Timeline {
    #[serde(rename = "TimelineInfo")]
    instructions: Vec<Retired>,
}

#[derive(Deserialize)]
struct Retired {
    #[serde(rename = "CycleRetired")]
    retired: u64,
}

/// An instruction for the models.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    /// The step that it stands for.
    step: usize,
    text: String,
}

fn assembly(runs: &[Vec<Line>]) -> String {
    let mut text = String::new();
    for (run, lines) in runs.iter().enumerate() {
        let _ = writeln!(text, "# LLVM-MCA-BEGIN {run}");
        lines.iter().for_each(|line| text += &format!("{}\n", line.text));
        text += "# LLVM-MCA-END\n";
    }
    text
}

/// A run as the models take it, in LLVM's notation.
fn straight(steps: &[Step]) -> Vec<Line> {
    let mut formatter = GasFormatter::new();
    formatter.options_mut().set_rip_relative_addresses(true);
    let mut info = InstructionInfoFactory::new();
    let mut lines = Vec::new();
    // What pushes and pops have added to the stack pointer since it was computed last.
    let mut moved = 0_i64;
    for (step, Step { instruction, .. }) in steps.iter().enumerate() {
        if is_system(instruction) {
            continue;
        }
        let mut emit = |text: String| lines.push(Line { step, text });
        let operand = |formatter: &mut GasFormatter| {
            let mut text = String::new();
            // Only of instructions that have one.
            let _ = formatter.format_operand(instruction, &mut text, 0);
            text
        };
        let own_stack =
            instruction.op0_kind() == OpKind::Memory && instruction.memory_base() == Register::RSP;
        match instruction.mnemonic() {
            Mnemonic::Push if !own_stack => {
                moved -= WORD;
                let mut source = operand(&mut formatter);
                if instruction.op0_kind() == OpKind::Memory {
                    emit(format!("movq {source}, {SPARE}"));
                    source = SPARE.into();
                }
                emit(format!("movq {source}, {moved}(%rsp)"));
            }
            Mnemonic::Pop if instruction.op0_kind() == OpKind::Register => {
                emit(format!("movq {moved}(%rsp), {}", operand(&mut formatter)));
                moved += WORD;
            }
            Mnemonic::Call if instruction.code() == Code::Call_rel32_64 => {
                moved -= WORD;
                emit(format!("movq $0, {moved}(%rsp)"));
                emit("jmp 0".into());
            }
            Mnemonic::Ret => {
                emit(format!("movq {moved}(%rsp), {SPARE}"));
                moved += WORD;
                emit("jmp 0".into());
            }
            _ => {
                let uses = info.info(instruction).used_registers().iter();
                let mut uses = uses.filter(|r| r.register().full_register() == Register::RSP).peekable();
                if moved != 0 && uses.peek().is_some() {
                    if uses.any(|r| r.access() != OpAccess::Write) {
                        emit(format!("leaq {moved}(%rsp), %rsp"));
                    }
                    moved = 0;
                }
                let mut text = String::new();
                formatter.format(instruction, &mut text);
                emit(text);
            }
        }
    }
    lines
}

/// Bytes that a push moves the stack pointer by.
const WORD: i64 = 8;
/// A register that the kernel does not use.
const SPARE: &str = "%xmm15";

#[cfg(test)]
mod tests {
    use super::{super::trace::tests::decoded, *};

    fn steps(code: &[&[u8]]) -> Vec<Step> {
        let step = |bytes: &&[u8]| Step { instruction: decoded(1 << 63, bytes), touched: vec![], stores: 0 };
        code.iter().map(step).collect()
    }

    #[test]
    fn the_stack_pointer_is_computed_only_where_it_is_needed() {
        let run = steps(&[
            &[0x50],                         // push rax
            &[0x6a, 0x1b],                   // push 0x1b
            &[0x59],                         // pop rcx
            &[0x48, 0x8b, 0x5c, 0x24, 0x08], // mov rbx, [rsp + 8]
            &[0x50],                         // push rax
            &[0x48, 0x89, 0xc4],             // mov rsp, rax
            &[0x5b],                         // pop rbx
            &[0x0f, 0x07],                   // sysret
        ]);
        let lines: Vec<(usize, String)> = straight(&run).into_iter().map(|l| (l.step, l.text)).collect();
        let expected = [
            (0, "movq %rax, -8(%rsp)"),
            (1, "movq $0x1B, -16(%rsp)"),
            (2, "movq -16(%rsp), %rcx"),
            (3, "leaq -8(%rsp), %rsp"),
            (3, "mov 8(%rsp),%rbx"),
            (4, "movq %rax, -8(%rsp)"),
            (5, "mov %rax,%rsp"),
            (6, "movq 0(%rsp), %rbx"),
        ];
        assert_eq!(lines, expected.map(|(step, text)| (step, text.to_string())));
    }

    #[test]
    fn cycles_go_to_the_step_that_ends_late() {
        let line = |step| Line { step, text: String::new() };
        let mut steps = [0; 4];
        attribute(&[3, 3, 8, 8], &[line(0), line(1), line(1), line(3)], &mut steps);
        assert_eq!(steps, [4, 5, 0, 0]);
        assert!(is_system(&decoded(0, &[0x0f, 0x22, 0xd8])), "mov cr3, rax");
        assert!(!is_system(&decoded(0, &[0x90])), "nop");
    }
}
