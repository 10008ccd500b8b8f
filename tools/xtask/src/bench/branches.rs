//! Indirect jumps and calls in the kernel's code: where a processor without protection of its own would go on, while it
//! does not know yet, with what user level has taught it.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use iced_x86::{Decoder, DecoderOptions, FlowControl};
use object::{Object, ObjectSection, ObjectSymbol};

/// What functions are called, in part, that only run before user level does: as mangled names write them, with the
/// length of each part.
const BOOT_ONLY: [&str; 7] =
    ["pecan_boot", "boot_64", "4boot", "8firmware", "7regions", "7Builder", "11copy_within"];

/// The functions that have indirect jumps or calls, other than those that only run at boot: once for each.
pub fn indirect(elf: &Path) -> Result<Vec<String>> {
    let file = fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))?;
    let elf = object::read::elf::ElfFile64::<object::Endianness>::parse(file.as_slice())?;
    let text = elf.section_by_name(".text").context("the kernel has no section .text")?;
    let mut symbols: Vec<(u64, &str)> = elf
        .symbols()
        .filter(|s| s.section_index() == Some(text.index()))
        .filter_map(|s| Some((s.address(), s.name().ok().filter(|name| !name.is_empty())?)))
        .collect();
    symbols.sort_unstable();
    let function =
        |at| symbols[..symbols.partition_point(|(start, _)| *start <= at)].last().map_or("", |s| s.1);
    let found = branches(text.data()?, text.address()).into_iter().map(function);
    Ok(found.filter(|name| !BOOT_ONLY.iter().any(|part| name.contains(part))).map(String::from).collect())
}

/// The addresses of the indirect jumps and calls in code.
fn branches(code: &[u8], address: u64) -> Vec<u64> {
    let indirect = |flow| matches!(flow, FlowControl::IndirectBranch | FlowControl::IndirectCall);
    let instructions = Decoder::with_ip(64, code, address, DecoderOptions::NONE).into_iter();
    instructions.filter(|i| indirect(i.flow_control())).map(|i| i.ip()).collect()
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
}
