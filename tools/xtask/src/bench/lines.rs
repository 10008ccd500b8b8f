//! The cache lines that the kernel touches on a round trip: followed instruction by instruction.
//!
//! QEMU's debugger interface stops the machine where the benchmark begins a round trip and steps through it. Of every
//! instruction in the kernel its own lines count, and those of the memory that it reads or writes, as a disassembler
//! tells from the instruction and the registers.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, bail};
use iced_x86::{Decoder, DecoderOptions, InstructionInfoFactory, OpAccess, Register};

use crate::{
    debugger::{self, Debugger, Registers},
    qemu::Boot,
};

/// Bytes of a cache line.
const LINE: u64 = 64;
/// Addresses from here on are the kernel's.
const KERNEL: u64 = 1 << 63;
/// Which of the round trips between these marks is followed: one of those to another address space, not the first.
const HIT: usize = 24;
/// More instructions than any round trip has.
const MOST_STEPS: usize = 20_000;
/// How long the machine may take to get there, or to answer.
const TIME: Duration = Duration::from_secs(60);

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

/// Distinct lines of code and of data.
pub struct Lines {
    /// Lines that instructions lie in.
    pub code: u64,
    /// Lines that instructions read or write.
    pub data: u64,
}

/// Boots the benchmark under the debugger and follows a round trip.
pub fn measure(boot: &Boot<'_>) -> Result<Lines> {
    let program = boot.root_task.context("the benchmark is a root task")?;
    let [start, end] = debugger::symbols(program, ["bench_lines_start", "bench_lines_end"])?;
    let port = debugger::free_port()?;
    let boot = Boot { gdb: Some(port), ..*boot };
    let _session = boot.session(false, TIME)?;
    let mut machine = Debugger::connect(port)?;
    machine.run_to(start, HIT)?;
    let (mut code, mut data) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..MOST_STEPS {
        let registers = machine.registers()?;
        if registers.rip == end {
            return Ok(Lines { code: code.len() as u64, data: data.len() as u64 });
        }
        if registers.rip >= KERNEL {
            let bytes = machine.memory(registers.rip, 15)?;
            touched(&bytes, &registers, &mut code, &mut data);
        }
        machine.step()?;
    }
    bail!("the round trip did not end within {MOST_STEPS} instructions")
}

/// Adds the lines of an instruction, and of the kernel memory that it uses.
fn touched(bytes: &[u8], registers: &Registers, code: &mut BTreeSet<u64>, data: &mut BTreeSet<u64>) {
    let instruction = Decoder::with_ip(64, bytes, registers.rip, DecoderOptions::NONE).decode();
    add(code, registers.rip, instruction.len());
    for memory in InstructionInfoFactory::new().info(&instruction).used_memory() {
        if memory.access() == OpAccess::NoMemAccess {
            continue;
        }
        let address = memory.virtual_address(0, |register, _, _| value(registers, register));
        if let Some(address) = address.filter(|a| *a >= KERNEL) {
            add(data, address, memory.memory_size().size().max(1));
        }
    }
}

/// What a register holds, for the address of an instruction's operand.
fn value(registers: &Registers, register: Register) -> Option<u64> {
    let at = ORDER.iter().position(|r| *r == register.full_register());
    match at {
        Some(at) => Some(registers.general[at]),
        // The bases of the other segments are 0 in 64-bit mode; the kernel does not use FS and GS.
        None if register.is_segment_register() => Some(0),
        None => None,
    }
}

fn add(lines: &mut BTreeSet<u64>, address: u64, bytes: usize) {
    let last = address.wrapping_add(bytes as u64 - 1);
    lines.extend(address / LINE..=last / LINE);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_code_and_data_are_told_from_an_instruction() {
        let mut registers = Registers { general: [0; 16], rip: KERNEL + 62 };
        let (mut code, mut data) = (BTreeSet::new(), BTreeSet::new());
        registers.general[7] = KERNEL + 0x1000;
        // push rax; the stack pointer is at the start of a line.
        touched(&[0x50], &registers, &mut code, &mut data);
        assert_eq!(
            (code.len(), data.iter().copied().collect::<Vec<_>>()),
            (1, vec![(KERNEL + 0xff8) / LINE])
        );
        // mov rbx, [rsp + 0x3c]: over the end of a line; the instruction is, too.
        touched(&[0x48, 0x8b, 0x5c, 0x24, 0x3c], &registers, &mut code, &mut data);
        assert_eq!((code.len(), data.len()), (2, 3));
        // lea rbx, [rsp + 0x200] reads nothing, and user memory does not count.
        touched(&[0x48, 0x8d, 0x9c, 0x24, 0, 2, 0, 0], &registers, &mut code, &mut data);
        touched(&[0x48, 0x8b, 0x18], &registers, &mut code, &mut data);
        assert_eq!(data.len(), 3);
    }
}
