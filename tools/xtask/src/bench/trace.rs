//! Operations followed instruction by instruction.
//!
//! QEMU's debugger interface stops the machine where the benchmark begins a sample of a row and steps through it. What
//! the kernel executes between an entry and the exit after it is a *run*. A sample whose runs have as many instructions
//! as were counted for the row is what the row's figure stands for; a sample that the timer disturbed is not.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result, bail};
use iced_x86::{Code, Decoder, DecoderOptions, Instruction, InstructionInfoFactory, OpAccess, Register};

use crate::{
    debugger::{self, Debugger, Registers},
    qemu::Boot,
};

/// Addresses from here on are the kernel's.
const KERNEL: u64 = 1 << 63;
/// Samples of a row that pass before one is followed: until then, caches of the kernel may be cold.
const PASSED: usize = 4;
/// Samples of a row that are followed at most.
const FOLLOWED: usize = 8;
/// More instructions than any sample has.
const MOST_STEPS: usize = 100_000;
/// The longest instruction, in bytes.
const LONGEST: usize = 15;

/// The order in which the debugger interface sends them.
const ORDER: [Register; 16] = [
    Register::RAX,
    Register::RBX,
    Register::RCX,
    Register::RDX,
    Register::RSI,
    Register::RDI,
    Register::RBP,
    Register::RSP,
    Register::R8,
    Register::R9,
    Register::R10,
    Register::R11,
    Register::R12,
    Register::R13,
    Register::R14,
    Register::R15,
];

/// An instruction that the kernel has executed.
#[derive(Clone, Debug)]
pub struct Step {
    /// The instruction, at its address.
    pub instruction: Instruction,
    /// Kernel memory that it read or wrote: address and bytes.
    pub touched: Vec<(u64, usize)>,
    /// How often it wrote to memory.
    pub stores: usize,
}

/// What the kernel executed between an entry and an exit.
pub type Run = Vec<Step>;

/// Which runs of a sample a row stands for.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    /// Runs before them.
    skipped: usize,
    /// How many they are.
    runs: usize,
    /// Instructions of user level that the row's figure includes.
    outside: u64,
}

/// Instructions of a stub, see `bench/src/probe.rs`.
const STUB: u64 = 5;

impl Place {
    fn of(id: &str) -> Place {
        let (skipped, runs, outside) = match id {
            "null" => (0, 1, STUB),
            "fault" => (1, 2, 0),
            "irq" => (1, 1, 0),
            _ if id.starts_with("roundtrip") => (0, 2, 2 * STUB),
            _ if id.starts_with("replyrecv") => (1, 1, 0),
            _ => (0, 1, 0),
        };
        Place { skipped, runs, outside }
    }

    /// Those of a sample's runs, if they have as many instructions as were counted.
    fn pick<'a>(&self, runs: &'a [Run], counted: u64) -> Option<&'a [Run]> {
        let picked = runs.get(self.skipped..self.skipped + self.runs)?;
        let instructions: usize = picked.iter().map(Vec::len).sum();
        (instructions as u64 + self.outside == counted).then_some(picked)
    }
}

/// Boots the benchmark under the debugger and follows the rows that were counted. A row whose samples all differ from
/// what was counted is left out, with a line that says so.
pub fn follow(boot: &Boot<'_>, counted: &BTreeMap<String, u64>) -> Result<BTreeMap<String, Vec<Run>>> {
    let program = boot.root_task.context("the benchmark is a root task")?;
    let [row, prepared] = debugger::symbols(program, ["bench_row", "bench_prepared"])?;
    let port = debugger::free_port()?;
    let boot = Boot { gdb: Some(port), ..*boot };
    let _session = boot.session(false, super::TIME)?;
    let mut follower = Follower { machine: Debugger::connect(port)?, row, prepared, decoded: HashMap::new() };
    follower.machine.interrupt_steps()?;
    follower.machine.set_breakpoint(row)?;
    let mut found = BTreeMap::new();
    // What is still to be found: figures, and how many samples have been seen.
    let mut left: BTreeMap<&str, (u64, usize)> =
        counted.iter().map(|(id, n)| (id.as_str(), (*n, 0))).collect();
    let mut registers = follower.machine.go_to_breakpoint()?;
    while !left.is_empty() {
        let id = follower.id(&registers)?;
        let Some((figure, seen)) = left.get_mut(id.as_str()) else {
            registers = follower.machine.go_to_breakpoint()?;
            continue;
        };
        *seen += 1;
        if *seen <= PASSED {
            registers = follower.machine.go_to_breakpoint()?;
            continue;
        }
        let runs;
        (runs, registers) = follower.sample()?;
        if let Some(picked) = Place::of(&id).pick(&runs, *figure) {
            found.insert(id.clone(), picked.to_vec());
            left.remove(id.as_str());
        } else if *seen == PASSED + FOLLOWED {
            let lengths: Vec<usize> = runs.iter().map(Vec::len).collect();
            println!("{id} was not followed: {figure} instructions were counted, its runs have {lengths:?}");
            left.remove(id.as_str());
        }
    }
    Ok(found)
}

/// Follows the machine.
struct Follower {
    machine: Debugger,
    /// Where a sample begins.
    row: u64,
    /// Where a sample's preparation ends.
    prepared: u64,
    /// The kernel's instructions met so far.
    decoded: HashMap<u64, Instruction>,
}

impl Follower {
    /// The row's name, at the beginning of a sample: see `sample_begins` in `bench/src/probe.rs`.
    fn id(&mut self, registers: &Registers) -> Result<String> {
        if registers.rip != self.row {
            bail!("the machine stopped elsewhere");
        }
        let (at, length) = (register(registers, Register::RDI), register(registers, Register::RSI));
        let (at, length) = (at.unwrap_or(0), length.unwrap_or(0).min(64) as usize);
        Ok(String::from_utf8(self.machine.memory(at, length)?)?)
    }

    /// Follows a sample from its beginning to that of the next one. Returns its runs, without those of its preparation.
    fn sample(&mut self) -> Result<(Vec<Run>, Registers)> {
        let (mut runs, mut run) = (Vec::new(), Run::new());
        for _ in 0..MOST_STEPS {
            self.machine.step()?;
            let registers = self.machine.registers()?;
            if registers.rip == self.row {
                return Ok((runs, registers));
            }
            if registers.rip == self.prepared {
                runs.clear();
            }
            if registers.rip >= KERNEL {
                let step = self.look(&registers)?;
                let leaves = matches!(step.instruction.code(), Code::Sysretq | Code::Iretq);
                run.push(step);
                if leaves {
                    runs.push(std::mem::take(&mut run));
                }
            }
        }
        bail!("a sample did not end within {MOST_STEPS} instructions")
    }

    /// What the next instruction does.
    fn look(&mut self, registers: &Registers) -> Result<Step> {
        let instruction = match self.decoded.get(&registers.rip) {
            Some(known) => *known,
            None => {
                let bytes = self.machine.memory(registers.rip, LONGEST)?;
                let new = Decoder::with_ip(64, &bytes, registers.rip, DecoderOptions::NONE).decode();
                self.decoded.insert(registers.rip, new);
                new
            }
        };
        Ok(step(instruction, registers))
    }
}

/// An instruction with what it does to memory when the registers are these.
pub(super) fn step(instruction: Instruction, registers: &Registers) -> Step {
    let mut step = Step { instruction, touched: Vec::new(), stores: 0 };
    for memory in InstructionInfoFactory::new().info(&instruction).used_memory() {
        let writes = matches!(
            memory.access(),
            OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite
        );
        step.stores += usize::from(writes);
        if memory.access() != OpAccess::NoMemAccess
            && let Some(address) = memory.virtual_address(0, |r, _, _| register(registers, r))
            && address >= KERNEL
        {
            step.touched.push((address, memory.memory_size().size().max(1)));
        }
    }
    step
}

/// What a register holds, for the address of an instruction's operand.
fn register(registers: &Registers, register: Register) -> Option<u64> {
    let at = ORDER.iter().position(|r| *r == register.full_register());
    match at {
        Some(at) => Some(registers.general[at]),
        // The bases of the other segments are 0 in 64-bit mode; the kernel does not use FS and GS.
        None if register.is_segment_register() => Some(0),
        None => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The instruction of these bytes, at an address.
    pub fn decoded(at: u64, bytes: &[u8]) -> Instruction {
        Decoder::with_ip(64, bytes, at, DecoderOptions::NONE).decode()
    }

    #[test]
    fn what_an_instruction_touches_is_told_from_it_and_the_registers() {
        let mut registers = Registers { general: [0; 16], rip: KERNEL };
        registers.general[7] = KERNEL + 0x1000;
        let of = |bytes: &[u8]| {
            let step = step(decoded(KERNEL, bytes), &registers);
            (step.touched, step.stores)
        };
        // push rax
        assert_eq!(of(&[0x50]), (vec![(KERNEL + 0xff8, 8)], 1));
        // mov rbx, [rsp + 0x3c]
        assert_eq!(of(&[0x48, 0x8b, 0x5c, 0x24, 0x3c]), (vec![(KERNEL + 0x103c, 8)], 0));
        // lea rbx, [rsp + 0x200] reads nothing
        assert_eq!(of(&[0x48, 0x8d, 0x9c, 0x24, 0, 2, 0, 0]), (vec![], 0));
        // mov rbx, [rax] and mov [rax], rbx: user memory
        assert_eq!(of(&[0x48, 0x8b, 0x18]), (vec![], 0));
        assert_eq!(of(&[0x48, 0x89, 0x18]), (vec![], 1));
    }

    #[test]
    fn rows_stand_for_runs_of_the_right_length() {
        let run = |n| vec![step(decoded(KERNEL, &[0x90]), &Registers { general: [0; 16], rip: KERNEL }); n];
        let runs = [run(3), run(4), run(5)];
        let picked =
            |id, counted| Place::of(id).pick(&runs, counted).map(|p| p.iter().map(Vec::len).collect());
        assert_eq!(picked("call0", 3), Some(vec![3]));
        assert_eq!(picked("call0", 4), None);
        assert_eq!(picked("replyrecv0", 4), Some(vec![4]));
        assert_eq!(picked("null", 3 + STUB), Some(vec![3]));
        assert_eq!(picked("roundtrip-local", 7 + 2 * STUB), Some(vec![3, 4]));
        assert_eq!(picked("fault", 9), Some(vec![4, 5]));
        assert_eq!(Place::of("fault").pick(&runs[..2], 9).map(<[_]>::len), None);
    }
}
