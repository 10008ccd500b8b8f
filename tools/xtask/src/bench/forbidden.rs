//! Instructions that must not be in the kernel, and some that must be, as a disassembler finds them.
//!
//! Indirect jumps and calls: where a processor without protection of its own would go on, while it does not know yet, with
//! what user level has taught it. And those that use floating-point or vector registers, which hold what user level left
//! there: saving and loading them all is the only thing the kernel does with them.
//!
//! The masks by which an index that user level chooses stays in range while the processor only guesses that it does
//! (Spectre v1): the compiler once left one out, where the index had just been compared.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use iced_x86::{
    CpuidFeature, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpKind,
};
use object::{Object, ObjectSection, ObjectSymbol};

use crate::boot_text::BOOT_TEXT;

/// The functions that have indirect jumps or calls, other than those that only run at boot: once for each.
pub fn indirect(elf: &Path) -> Result<Vec<String>> {
    functions_with(elf, ".text", branches)
}

/// The functions that use floating-point or vector registers: once for each use.
pub fn vector(elf: &Path) -> Result<Vec<String>> {
    let mut found = functions_with(elf, ".text", vectors)?;
    found.extend(functions_with(elf, BOOT_TEXT, vectors)?);
    Ok(found)
}

/// The section in which the port notes where it masks an index (`mask_surely`), a word each. No machine loads it.
const MASKS: &str = ".masks";

/// Functions of the release kernel in which user level chooses an index of a CNode or of a root table, by a part of the
/// symbol's name, and how many of them: on the fast paths, in walks, and in the short forms of invocations.
const MASKED: [(&str, usize); 10] = [
    ("pecan_call", 1),
    ("pecan_reply_recv", 2),
    ("pecan_send", 1),
    ("pecan_wait", 1),
    ("pecan_poll", 1),
    ("lookup4walk", 1),
    ("vspace5entry", 1),
    ("invoke12copy_or_move", 2),
    ("invoke3map", 1),
    ("invoke14invoke_untyped", 1),
];

/// What is wrong with the masks of indices: functions that have too few of them, and those that are no masks.
pub fn unmasked(elf: &Path) -> Result<Vec<String>> {
    let file = fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))?;
    let elf = object::read::elf::ElfFile64::<object::Endianness>::parse(file.as_slice())?;
    let section =
        |name| elf.section_by_name(name).with_context(|| format!("the kernel has no section {name}"));
    let (text, notes) = (section(".text")?, section(MASKS)?);
    // What only runs to boot is given no index by user level, and is gone before there is one.
    let boot = section(BOOT_TEXT)?;
    let is_boot = |at: &u64| (boot.address()..boot.address() + boot.size()).contains(at);
    let words = notes.data()?.chunks_exact(8).filter_map(|word| word.try_into().ok().map(u64::from_le_bytes));
    let words = words.filter(|at| !is_boot(at));
    let symbols: Vec<(u64, &str)> = elf
        .symbols()
        .filter(|s| s.section_index() == Some(text.index()))
        .filter_map(|s| Some((s.address(), s.name().ok().filter(|name| !name.is_empty())?)))
        .collect();
    Ok(missing((text.data()?, text.address()), words, &symbols, &MASKED))
}

/// The functions of `listed` in which fewer notes than listed lead to a mask.
fn missing(
    (code, address): (&[u8], u64),
    notes: impl Iterator<Item = u64>,
    symbols: &[(u64, &str)],
    listed: &[(&str, usize)],
) -> Vec<String> {
    let is_mask = |at: u64| {
        let rest = code.get(at.checked_sub(address)? as usize..)?;
        let and = instructions(rest, at).next()?;
        let is_register =
            |operand| and.op_kind(operand) == OpKind::Register && and.op_register(operand).is_gpr64();
        Some(and.mnemonic() == Mnemonic::And && is_register(0) && is_register(1))
    };
    let (masks, others): (Vec<u64>, Vec<u64>) = notes.partition(|at| is_mask(*at) == Some(true));
    let mut wrong: Vec<String> = others.iter().map(|at| format!("{at:#x}, which is no mask")).collect();
    // Several symbols can stand for one address.
    let start = |at: u64| symbols.iter().map(|s| s.0).filter(|start| *start <= at).max();
    for (name, least) in listed {
        let in_it = |at: &&u64| symbols.iter().any(|s| Some(s.0) == start(**at) && s.1.contains(name));
        let found = masks.iter().filter(in_it).count();
        if found < *least {
            wrong.push(format!("{name}: {found} of {least} indices are masked"));
        }
    }
    wrong
}

/// The functions in whose code, of one section, something is found: once for each address that is.
fn functions_with(elf: &Path, section: &str, find: fn(&[u8], u64) -> Vec<u64>) -> Result<Vec<String>> {
    let file = fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))?;
    let elf = object::read::elf::ElfFile64::<object::Endianness>::parse(file.as_slice())?;
    let text =
        elf.section_by_name(section).with_context(|| format!("the kernel has no section {section}"))?;
    let mut symbols: Vec<(u64, &str)> = elf
        .symbols()
        .filter(|s| s.section_index() == Some(text.index()))
        .filter_map(|s| Some((s.address(), s.name().ok().filter(|name| !name.is_empty())?)))
        .collect();
    symbols.sort_unstable();
    let function =
        |at| symbols[..symbols.partition_point(|(start, _)| *start <= at)].last().map_or("", |s| s.1);
    Ok(find(text.data()?, text.address()).into_iter().map(|at| function(at).to_string()).collect())
}

/// The instructions of code. Of bytes that are none the decoder makes invalid ones.
fn instructions(code: &[u8], address: u64) -> impl Iterator<Item = Instruction> {
    Decoder::with_ip(64, code, address, DecoderOptions::NONE).into_iter()
}

/// The addresses of the indirect jumps and calls in code.
fn branches(code: &[u8], address: u64) -> Vec<u64> {
    let indirect = |flow| matches!(flow, FlowControl::IndirectBranch | FlowControl::IndirectCall);
    instructions(code, address).filter(|i| indirect(i.flow_control())).map(|i| i.ip()).collect()
}

/// The addresses of the instructions in code that use floating-point or vector registers, other than those that save and
/// load all of them (`fxsave` and the like), and those by which the x87 unit forgets its last operand right before a load.
fn vectors(code: &[u8], address: u64) -> Vec<u64> {
    let all: Vec<Instruction> = instructions(code, address).collect();
    let forgets = |i: usize| {
        let is = |offset: usize, of: &[Mnemonic]| {
            all.get(i + offset).is_some_and(|instruction| of.contains(&instruction.mnemonic()))
        };
        is(0, &[Mnemonic::Fnclex])
            && is(1, &[Mnemonic::Emms])
            && is(2, &[Mnemonic::Fild])
            && is(3, &[Mnemonic::Fxrstor64, Mnemonic::Xrstor64])
    };
    let mut info = InstructionInfoFactory::new();
    let mut uses = |instruction: &Instruction| {
        let x87 = |feature: &CpuidFeature| {
            matches!(feature, CpuidFeature::FPU | CpuidFeature::FPU287 | CpuidFeature::FPU387)
        };
        let control = matches!(
            instruction.mnemonic(),
            Mnemonic::Ldmxcsr
                | Mnemonic::Stmxcsr
                | Mnemonic::Emms
                | Mnemonic::Vzeroupper
                | Mnemonic::Vzeroall
        );
        control
            || instruction.cpuid_features().iter().any(x87)
            || info
                .info(instruction)
                .used_registers()
                .iter()
                .any(|used| used.register().is_vector_register() || used.register().is_mm())
    };
    let is_load = |i: usize| (0..3).any(|back| i >= back && forgets(i - back));
    all.iter()
        .enumerate()
        .filter(|&(i, instruction)| uses(instruction) && !is_load(i))
        .map(|(_, i)| i.ip())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indirect_branches_are_told_from_others() {
        // jmp rax; call [rip]; jmp [rax * 8 + 0]; and jmp, call, ret, nop.
        let code = [
            0xff, 0xe0, 0xff, 0x15, 0, 0, 0, 0, 0xff, 0x24, 0xc5, 0, 0, 0, 0, 0xeb, 0, 0xe8, 0, 0, 0, 0,
            0xc3, 0x90,
        ];
        assert_eq!(branches(&code, 0x1000), [0x1000, 0x1002, 0x1008]);
    }

    #[test]
    fn an_index_that_is_not_masked_is_told() {
        // and rax, rcx; and eax, ecx; and rax, [rcx]; and rdx, rsi; ret.
        let code = [0x48, 0x21, 0xc8, 0x21, 0xc8, 0x48, 0x23, 0x01, 0x48, 0x21, 0xf2, 0xc3];
        let symbols = [(0x1000, "one_a"), (0x1000, "also_a"), (0x1008, "two_b")];
        let told = |notes: &[u64], listed: &[(&str, usize)]| {
            missing((&code, 0x1000), notes.iter().copied(), &symbols, listed)
        };
        assert_eq!(told(&[0x1000, 0x1008], &[("one_a", 1), ("also_a", 1), ("_b", 1)]), [""; 0]);
        assert_eq!(told(&[0x1000], &[("one_a", 2), ("_b", 1), ("gone", 1)]).len(), 3);
        // What is noted and is no mask of 64 bits in registers, or lies elsewhere.
        assert_eq!(told(&[0x1003, 0x1005, 0x100b, 0x2000, 0xf00], &[]).len(), 5);
    }

    #[test]
    fn uses_of_vector_registers_are_told_from_saving_them() {
        // movups [rdi], xmm0; movq mm0, rax; fninit; ldmxcsr [rdi]; vzeroupper; fld1.
        let uses: [&[u8]; 6] = [
            &[0x0f, 0x11, 0x07],
            &[0x48, 0x0f, 0x6e, 0xc0],
            &[0xdb, 0xe3],
            &[0x0f, 0xae, 0x17],
            &[0xc5, 0xf8, 0x77],
            &[0xd9, 0xe8],
        ];
        for code in uses {
            assert_eq!(vectors(code, 0x1000), [0x1000], "{code:x?}");
        }
        // fnclex; emms; fild dword ptr [rip], and the load that they belong to, fxrstor64 [rcx]; without it they are uses.
        let forget = [0xdb, 0xe2, 0x0f, 0x77, 0xdb, 0x05, 0, 0, 0, 0, 0x48, 0x0f, 0xae, 0x09];
        assert_eq!(vectors(&forget, 0x1000), Vec::<u64>::new());
        assert_eq!(vectors(&forget[..10], 0x1000), [0x1000, 0x1002, 0x1004]);
        // fxsave64 [rdi]; fxrstor64 [rdi]; xsave64 [rdi]; xsaveopt64 [rdi]; xrstor64 [rdi]; xsetbv; clts; mfence; pause;
        // movnti [rdi], eax; rep stosq; mov rax, [rdi].
        let others: [&[u8]; 12] = [
            &[0x48, 0x0f, 0xae, 0x07],
            &[0x48, 0x0f, 0xae, 0x0f],
            &[0x48, 0x0f, 0xae, 0x27],
            &[0x48, 0x0f, 0xae, 0x37],
            &[0x48, 0x0f, 0xae, 0x2f],
            &[0x0f, 0x01, 0xd1],
            &[0x0f, 0x06],
            &[0x0f, 0xae, 0xf0],
            &[0xf3, 0x90],
            &[0x0f, 0xc3, 0x07],
            &[0xf3, 0x48, 0xab],
            &[0x48, 0x8b, 0x07],
        ];
        for code in others {
            assert_eq!(vectors(code, 0x1000), [0u64; 0], "{code:x?}");
        }
    }
}
