//! That nothing in a kernel refers to what is gone once it has booted.
//!
//! The code in `.boot_text` and the memory in `.boot_memory` are user level's from the first thread on, and the code is
//! not mapped any more (the linker scripts of `kernel/image`). What stays must not call it, jump to it or hold its address. Every
//! kernel that is built is disassembled for that, and its constants and data are searched for such addresses.

use std::{collections::BTreeSet, ops::Range};

use anyhow::{Context, Result, bail};
use iced_x86::{Decoder, DecoderOptions, Instruction, OpKind};
use object::{
    Architecture, Endianness, Object, ObjectSection, ObjectSymbol, SectionKind, read::elf::ElfFile64,
};

mod aarch64;

/// Code that is gone.
pub const BOOT_TEXT: &str = ".boot_text";
/// Memory that is gone.
pub const BOOT_MEMORY: &str = ".boot_memory";
/// The headers that boot loaders look for, which name the entry.
const HEADERS: [&str; 2] = [".multiboot", ".head"];

/// Refuses a kernel in which something that stays refers to something that goes.
pub fn check(kernel: &[u8]) -> Result<()> {
    let elf = ElfFile64::<Endianness>::parse(kernel).context("the kernel is not a 64-bit ELF file")?;
    // A kernel that was built elsewhere need not give anything back.
    let Some(text) = elf.section_by_name(BOOT_TEXT) else { return Ok(()) };
    let range = |at: u64, size: u64| at..at + size;
    let mut gone = vec![range(text.address(), text.size())];
    if let Some(memory) = elf.section_by_name(BOOT_MEMORY) {
        // Its first byte is also the end of what stays.
        gone.push(memory.address() + 1..memory.address() + memory.size());
    }
    let mut symbols: Vec<(u64, &str)> =
        elf.symbols().filter_map(|s| Some((s.address(), s.name().ok().filter(|n| !n.is_empty())?))).collect();
    symbols.sort_unstable();
    let name = |at| match symbols[..symbols.partition_point(|(start, _)| *start <= at)].last() {
        Some((_, name)) => name.to_string(),
        None => format!("{at:#x}"),
    };
    let mut wrong = BTreeSet::new();
    for section in elf.sections() {
        let name_of_section = section.name()?;
        if name_of_section == BOOT_TEXT || HEADERS.contains(&name_of_section) {
            continue;
        }
        let (data, address) = (section.data()?, section.address());
        let found = match section.kind() {
            SectionKind::Text if elf.architecture() == Architecture::Aarch64 => {
                let found = aarch64::references(data, address).into_iter();
                found.filter(|(_, to)| gone.iter().any(|r| r.contains(to))).collect()
            }
            SectionKind::Text => in_code(data, address, &gone),
            SectionKind::ReadOnlyData | SectionKind::ReadOnlyString | SectionKind::Data => {
                in_data(data, address, &gone)
            }
            _ => continue,
        };
        wrong.extend(found.into_iter().map(|(at, to)| format!("  {} refers to {}", name(at), name(to))));
    }
    if !wrong.is_empty() {
        let list: Vec<String> = wrong.into_iter().collect();
        bail!(
            "the kernel refers to what is gone once it has booted:\n{}\n  to mend it: say in the linker script of kernel/image \
             which of these only boots, or do not use it later",
            list.join("\n")
        );
    }
    Ok(())
}

/// References in code: where they are, and to what.
fn in_code(code: &[u8], address: u64, gone: &[Range<u64>]) -> Vec<(u64, u64)> {
    Decoder::with_ip(64, code, address, DecoderOptions::NONE)
        .into_iter()
        .flat_map(|i| named(&i).map(move |to| (i.ip(), to)))
        .filter(|(_, to)| gone.iter().any(|r| r.contains(to)))
        .collect()
}

/// The addresses that an instruction may name: where it jumps to, what it reads, and its constants.
fn named(i: &Instruction) -> impl Iterator<Item = u64> + use<> {
    let operands = (0..i.op_count()).map(|n| match i.op_kind(n) {
        OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64 => i.near_branch_target(),
        OpKind::Memory => i.memory_displacement64(),
        OpKind::Immediate32 => i.immediate32() as i32 as u64,
        OpKind::Immediate32to64 | OpKind::Immediate64 => i.immediate(n),
        _ => 0,
    });
    operands.collect::<Vec<_>>().into_iter()
}

/// References in constants and data: where they are, and to what.
fn in_data(data: &[u8], address: u64, gone: &[Range<u64>]) -> Vec<(u64, u64)> {
    let words = data.windows(8).zip(address..).step_by(4);
    words
        .filter_map(|(bytes, at)| Some((at, u64::from_le_bytes(bytes.try_into().ok()?))))
        .filter(|(_, to)| gone.iter().any(|r| r.contains(to)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: u64 = 0xffff_ffff_8010_0000;

    #[test]
    fn every_form_of_a_reference_is_found() {
        let gone = [BASE..BASE + 0x1000, BASE + 0x5001..BASE + 0x6000];
        let at = BASE + 0x2000;
        // call, jmp, je; lea rax, [rip - 7 - 0x2000]; mov rdi, imm32; mov edi, imm32; push imm32; movabs rax, imm64;
        // mov qword ptr [rax], imm32; mov al, [rax * 8 + disp32]; call [disp32].
        let to: [&[u8]; 11] = [
            &[0xe8, 0xfb, 0xdf, 0xff, 0xff],
            &[0xe9, 0xfb, 0xdf, 0xff, 0xff],
            &[0x0f, 0x84, 0xfa, 0xdf, 0xff, 0xff],
            &[0x48, 0x8d, 0x05, 0xf9, 0xdf, 0xff, 0xff],
            &[0x48, 0xc7, 0xc7, 0, 0, 0x10, 0x80],
            &[0xbf, 0, 0, 0x10, 0x80],
            &[0x68, 0, 0, 0x10, 0x80],
            &[0x48, 0xb8, 0, 0, 0x10, 0x80, 0xff, 0xff, 0xff, 0xff],
            &[0x48, 0xc7, 0x00, 0, 0, 0x10, 0x80],
            &[0x8a, 0x04, 0xc5, 0, 0, 0x10, 0x80],
            &[0xff, 0x14, 0x25, 0, 0, 0x10, 0x80],
        ];
        for code in to {
            assert_eq!(in_code(code, at, &gone), [(at, BASE)], "{code:x?}");
        }
        // The end of one range, the byte before the other, and the same bytes where they name something else.
        assert_eq!(in_code(&[0xe8, 0xfb, 0xef, 0xff, 0xff], at, &gone), []);
        assert_eq!(in_code(&[0x68, 0, 0x50, 0x10, 0x80], at, &gone), []);
        assert_eq!(in_code(&[0x68, 0x01, 0x50, 0x10, 0x80], at, &gone), [(at, BASE + 0x5001)]);
        assert_eq!(in_code(to[0], at + 0x1000, &gone), []);
        let mut data = vec![0u8; 20];
        data[12..].copy_from_slice(&(BASE + 0xfff).to_le_bytes());
        assert_eq!(in_data(&data, at, &gone), [(at + 12, BASE + 0xfff)]);
        assert_eq!(in_data(&data[..19], at, &gone), []);
    }

    /// A file with these sections of code: name, address, bytes.
    fn file(sections: &[(&str, u64, &[u8])]) -> Vec<u8> {
        const HEADER: usize = 64;
        let mut names = vec![0];
        let mut headers = vec![0; HEADER];
        let mut bytes: Vec<u8> = Vec::new();
        let mut add = |name: &str, kind: u32, flags: u64, address: u64, data: &[u8]| {
            headers.extend((names.len() as u32).to_le_bytes());
            headers.extend(kind.to_le_bytes());
            names.extend(name.bytes().chain([0]));
            let data = if name == ".names" { &names } else { data };
            let at = (HEADER + bytes.len()) as u64;
            [flags, address, at, data.len() as u64, 0, 1, 0]
                .iter()
                .for_each(|w| headers.extend(w.to_le_bytes()));
            bytes.extend(data);
        };
        sections.iter().for_each(|(name, address, code)| add(name, 1, 6, *address, code));
        add(".names", 3, 0, 0, &[]);
        let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
        [0, 0, (HEADER + bytes.len()) as u64].iter().for_each(|w| file.extend(w.to_le_bytes()));
        let count = sections.len() as u16 + 2;
        file.extend([0, 0, 0, 0, 64, 0, 0, 0, 0, 0, 64, 0]);
        file.extend(count.to_le_bytes());
        file.extend((count - 1).to_le_bytes());
        file.extend(bytes);
        file.extend(headers);
        file
    }

    #[test]
    fn a_kernel_that_calls_what_is_gone_is_refused() {
        let call_ahead = &[0xe8, 0xfb, 0x0f, 0, 0][..];
        let call_back = &[0xe8, 0xfb, 0xef, 0xff, 0xff][..];
        let sections = |stays| [(".boot_text", BASE, call_ahead), (".text", BASE + 0x1000, stays)];
        check(&file(&sections(call_ahead))).unwrap();
        let error = check(&file(&sections(call_back))).unwrap_err().to_string();
        assert!(error.contains("0xffffffff80101000 refers to 0xffffffff80100000"), "{error}");
        check(&file(&sections(call_back)[1..])).unwrap();
    }
}
