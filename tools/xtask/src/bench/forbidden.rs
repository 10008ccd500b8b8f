//! Instructions that must not be in the kernel, as a disassembler finds them.
//!
//! Indirect jumps and calls: where a processor without protection of its own would go on, while it does not know yet, with
//! what user level has taught it. And those that use floating-point or vector registers, which hold what user level left
//! there: saving and loading them all is the only thing the kernel does with them.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use iced_x86::{
    CpuidFeature, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic,
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
