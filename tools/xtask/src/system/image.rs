//! ELF files as they go into a boot archive, and the initial task with the archive inside.

use anyhow::{Context, Result, bail, ensure};
use object::{
    LittleEndian as LE, Object, ObjectSymbol, U16, U32, U64,
    elf::{
        ELFCLASS64, EM_X86_64, ET_EXEC, FileHeader64, PF_R, PT_LOAD, ProgramHeader64, SHN_ABS, SHN_UNDEF,
        SHT_NULL, SHT_STRTAB, SHT_SYMTAB, STT_FUNC, SectionFlags, SectionHeader64, SectionType, Sym64,
        SymbolInfo, SymbolOther, SymbolSection,
    },
    pod::bytes_of,
    read::elf::{ElfFile64, FileHeader, ProgramHeader, Sym},
};

const PAGE: u64 = 4096;
/// The variable of the initial task that says where the archive is: its address and its length.
const ARCHIVE_SYMBOL: &str = "PECAN_ARCHIVE";

fn parse(elf: &[u8]) -> Result<ElfFile64<'_, LE>> {
    let file = ElfFile64::<LE>::parse(elf).context("cannot be read as a 64-bit ELF file")?;
    let header = file.elf_header();
    ensure!(
        header.e_ident.class == ELFCLASS64
            && header.e_machine.get(LE) == EM_X86_64
            && header.e_type.get(LE) == ET_EXEC,
        "is not a static x86_64 program"
    );
    Ok(file)
}

/// The index of a program's functions ([`pecan_manifest::symbols`]), with their names as people write them.
pub fn functions(elf: &[u8]) -> Result<Vec<u8>> {
    let file = parse(elf)?;
    let mut named = Vec::new();
    for symbol in file.elf_symbol_table().iter() {
        let name = symbol.name(LE, file.elf_symbol_table().strings()).unwrap_or_default();
        if symbol.st_type() == STT_FUNC && symbol.st_size(LE) > 0 {
            // The alternate form leaves the hash out.
            let name = format!("{:#}", rustc_demangle::demangle(&String::from_utf8_lossy(name)));
            named.push((symbol.st_value(LE), symbol.st_size(LE), name));
        }
    }
    Ok(pecan_manifest::symbols::pack(
        named.iter().map(|(start, bytes, name)| (*start, *bytes, name.as_str())),
    ))
}

/// Keeps of an ELF file what is loaded, and, if asked to, the names of its functions.
pub fn strip(elf: &[u8], with_functions: bool) -> Result<Vec<u8>> {
    let file = parse(elf)?;
    let segments: Vec<_> = file.elf_program_headers().iter().filter(|p| p.p_type(LE) == PT_LOAD).collect();
    let end = segments.iter().map(|p| p.p_offset(LE) + p.p_filesz(LE)).max().unwrap_or(0) as usize;
    let table = file.elf_header().e_phoff(LE) + size_of_val(file.elf_program_headers()) as u64;
    let mut out = elf.get(..end.max(table as usize)).context("is cut off")?.to_vec();

    let mut symbols = vec![sym(0, SymbolInfo(0), 0, 0)];
    let mut names = vec![0];
    for symbol in file.elf_symbol_table().iter() {
        let name = symbol.name(LE, file.elf_symbol_table().strings()).unwrap_or_default();
        let function = symbol.st_type() == STT_FUNC && symbol.st_size(LE) > 0;
        if !(function && with_functions) && name != ARCHIVE_SYMBOL.as_bytes() {
            continue;
        }
        symbols.push(sym(names.len() as u32, symbol.st_info(), symbol.st_value(LE), symbol.st_size(LE)));
        names.extend_from_slice(name);
        names.push(0);
    }
    // A name for each section would take more than it gives: readers look for the types.
    let mut append = |bytes: &[u8]| {
        out.resize(out.len().next_multiple_of(8), 0);
        let at = out.len() as u64;
        out.extend_from_slice(bytes);
        (at, bytes.len() as u64)
    };
    let (symbols_at, symbols_len) = append(&symbols.iter().flat_map(bytes_of).copied().collect::<Vec<u8>>());
    let (names_at, names_len) = append(&names);
    let mut symtab = section(SHT_SYMTAB, symbols_at, symbols_len);
    symtab.sh_link = U32::new(LE, 2);
    symtab.sh_info = U32::new(LE, 1);
    symtab.sh_entsize = U64::new(LE, size_of::<Sym64<LE>>() as u64);
    let sections = [section(SHT_NULL, 0, 0), symtab, section(SHT_STRTAB, names_at, names_len)];
    let (sections_at, _) = append(&sections.iter().flat_map(bytes_of).copied().collect::<Vec<u8>>());
    edit_header(&mut out, |header| {
        header.e_shoff.set(LE, sections_at);
        header.e_shnum.set(LE, 3);
        header.e_shentsize.set(LE, size_of::<SectionHeader64<LE>>() as u16);
        header.e_shstrndx.set(LE, SymbolSection(2));
    })?;
    Ok(out)
}

/// Bytes of memory that the pages of a program take.
pub fn footprint(elf: &[u8]) -> Result<u64> {
    let file = parse(elf)?;
    let segments = file.elf_program_headers().iter().filter(|p| p.p_type(LE) == PT_LOAD);
    let pages = segments.map(|p| {
        let (start, end) = (p.p_vaddr(LE), p.p_vaddr(LE) + p.p_memsz(LE));
        end.next_multiple_of(PAGE) - start / PAGE * PAGE
    });
    Ok(pages.sum())
}

/// Bytes of the stack that a program is linked with: its lowest segment, if nothing of that is in the file.
pub fn stack(elf: &[u8]) -> Result<u64> {
    let file = parse(elf)?;
    let lowest = file.elf_program_headers().iter().find(|p| p.p_type(LE) == PT_LOAD);
    let stack = lowest.filter(|p| p.p_filesz(LE) == 0);
    Ok(stack.map_or(0, |p| p.p_memsz(LE)))
}

/// Adds an archive to the initial task, as a segment of its own right after the others.
pub fn attach(elf: &[u8], archive: &[u8]) -> Result<Vec<u8>> {
    let file = parse(elf)?;
    let mut headers: Vec<ProgramHeader64<LE>> = file.elf_program_headers().to_vec();
    let loaded = headers.iter().filter(|p| p.p_type(LE) == PT_LOAD);
    let end = loaded.map(|p| p.p_vaddr(LE) + p.p_memsz(LE)).max().context("has nothing to load")?;
    let address = end.next_multiple_of(PAGE);

    // Where the file has the variable that says where the archive is.
    let variable = file.symbols().find(|s| s.name() == Ok(ARCHIVE_SYMBOL)).map(|s| s.address());
    let variable = match variable {
        Some(address) => address,
        None => {
            bail!("has no variable {ARCHIVE_SYMBOL}: it is not an initial task for systems with components")
        }
    };
    let place = headers.iter().find_map(|p| {
        let offset = variable.checked_sub(p.p_vaddr(LE))?;
        (p.p_type(LE) == PT_LOAD && offset + 16 <= p.p_filesz(LE)).then(|| (p.p_offset(LE) + offset) as usize)
    });
    let place = place.with_context(|| format!("has {ARCHIVE_SYMBOL} where nothing is loaded"))?;

    let mut out = elf.to_vec();
    let variable = out.get_mut(place..place + 16).context("is cut off")?;
    variable[..8].copy_from_slice(&address.to_le_bytes());
    variable[8..].copy_from_slice(&(archive.len() as u64).to_le_bytes());
    out.resize(out.len().next_multiple_of(PAGE as usize), 0);
    let offset = out.len() as u64;
    out.extend_from_slice(archive);
    out.resize(out.len().next_multiple_of(8), 0);

    let len = archive.len() as u64;
    headers.push(ProgramHeader64 {
        p_type: U32::new(LE, PT_LOAD),
        p_flags: U32::new(LE, PF_R),
        p_offset: U64::new(LE, offset),
        p_vaddr: U64::new(LE, address),
        p_paddr: U64::new(LE, address),
        p_filesz: U64::new(LE, len),
        p_memsz: U64::new(LE, len),
        p_align: U64::new(LE, PAGE),
    });
    let table = out.len() as u64;
    headers.iter().for_each(|h| out.extend_from_slice(bytes_of(h)));
    let count = headers.len() as u16;
    edit_header(&mut out, |header| {
        header.e_phoff.set(LE, table);
        header.e_phnum.set(LE, count);
    })?;
    Ok(out)
}

fn edit_header(elf: &mut [u8], edit: impl FnOnce(&mut FileHeader64<LE>)) -> Result<()> {
    match object::pod::from_bytes_mut::<FileHeader64<LE>>(elf) {
        Ok((header, _)) => {
            edit(header);
            Ok(())
        }
        Err(()) => bail!("is cut off"),
    }
}

fn sym(name: u32, info: SymbolInfo, value: u64, size: u64) -> Sym64<LE> {
    Sym64 {
        st_name: U32::new(LE, name),
        st_info: info,
        st_other: SymbolOther(0),
        // All that readers ask is whether the symbol is defined.
        st_shndx: U16::new(LE, if value == 0 { SHN_UNDEF } else { SHN_ABS }),
        st_value: U64::new(LE, value),
        st_size: U64::new(LE, size),
    }
}

fn section(kind: SectionType, offset: u64, len: u64) -> SectionHeader64<LE> {
    SectionHeader64 {
        sh_name: U32::new(LE, 0),
        sh_type: U32::new(LE, kind),
        sh_flags: U64::new(LE, SectionFlags(0)),
        sh_addr: U64::new(LE, 0),
        sh_offset: U64::new(LE, offset),
        sh_size: U64::new(LE, len),
        sh_link: U32::new(LE, 0),
        sh_info: U32::new(LE, 0),
        sh_addralign: U64::new(LE, 8),
        sh_entsize: U64::new(LE, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: u64 = 0x40_1000;
    const DATA: u64 = 0x40_2000;

    /// A program of two segments: code of 16 bytes, and data of 32 that starts with the archive's variable. It has a
    /// function, and if asked to the name of the variable.
    fn program(with_variable: bool) -> Vec<u8> {
        let header = FileHeader64::<LE> {
            e_ident: object::elf::Ident {
                magic: object::elf::ELFMAG,
                class: ELFCLASS64,
                data: object::elf::ELFDATA2LSB,
                version: object::elf::EV_CURRENT,
                os_abi: object::elf::ELFOSABI_NONE,
                abi_version: 0,
                padding: [0; 7],
            },
            e_type: U16::new(LE, ET_EXEC),
            e_machine: U16::new(LE, EM_X86_64),
            e_version: U32::new(LE, 1),
            e_entry: U64::new(LE, TEXT),
            e_phoff: U64::new(LE, size_of::<FileHeader64<LE>>() as u64),
            e_shoff: U64::new(LE, 0),
            e_flags: U32::new(LE, object::elf::FileFlags(0)),
            e_ehsize: U16::new(LE, size_of::<FileHeader64<LE>>() as u16),
            e_phentsize: U16::new(LE, size_of::<ProgramHeader64<LE>>() as u16),
            e_phnum: U16::new(LE, 2),
            e_shentsize: U16::new(LE, 0),
            e_shnum: U16::new(LE, 0),
            e_shstrndx: U16::new(LE, SHN_UNDEF),
        };
        let segment = |vaddr, offset, len| ProgramHeader64::<LE> {
            p_type: U32::new(LE, PT_LOAD),
            p_flags: U32::new(LE, PF_R),
            p_offset: U64::new(LE, offset),
            p_vaddr: U64::new(LE, vaddr),
            p_paddr: U64::new(LE, vaddr),
            p_filesz: U64::new(LE, len),
            p_memsz: U64::new(LE, len),
            p_align: U64::new(LE, PAGE),
        };
        let mut out = bytes_of(&header).to_vec();
        let data_at = (out.len() + 2 * size_of::<ProgramHeader64<LE>>() + 16) as u64;
        out.extend(bytes_of(&segment(TEXT, data_at - 16, 16)));
        out.extend(bytes_of(&segment(DATA, data_at, 32)));
        out.extend([0x90; 16]);
        out.extend([0xff; 32]);
        // What is not loaded, such as information for debuggers.
        out.extend([0xdb; 100]);
        let function = SymbolInfo(object::elf::STT_FUNC.0);
        let object = SymbolInfo(object::elf::STT_OBJECT.0);
        let mut symbols = vec![sym(0, SymbolInfo(0), 0, 0), sym(1, function, TEXT, 16)];
        if with_variable {
            symbols.push(sym(6, object, DATA, 16));
        }
        out.resize(out.len().next_multiple_of(8), 0);
        let symbols_at = out.len() as u64;
        symbols.iter().for_each(|s| out.extend(bytes_of(s)));
        let names_at = out.len() as u64;
        out.extend(b"\0main\0PECAN_ARCHIVE\0");
        let names_len = out.len() as u64 - names_at;
        let mut symtab = section(SHT_SYMTAB, symbols_at, names_at - symbols_at);
        symtab.sh_link = U32::new(LE, 2);
        symtab.sh_entsize = U64::new(LE, size_of::<Sym64<LE>>() as u64);
        out.resize(out.len().next_multiple_of(8), 0);
        let sections_at = out.len() as u64;
        for section in [section(SHT_NULL, 0, 0), symtab, section(SHT_STRTAB, names_at, names_len)] {
            out.extend(bytes_of(&section));
        }
        edit_header(&mut out, |header| {
            header.e_shoff.set(LE, sections_at);
            header.e_shnum.set(LE, 3);
            header.e_shentsize.set(LE, size_of::<SectionHeader64<LE>>() as u16);
            header.e_shstrndx.set(LE, SymbolSection(2));
        })
        .unwrap();
        out
    }

    /// What is loaded at an address.
    fn loaded(elf: &[u8], address: u64, len: usize) -> Vec<u8> {
        let file = parse(elf).unwrap();
        let segment = file.elf_program_headers().iter().find(|p| {
            let at = p.p_vaddr(LE);
            (at..at + p.p_memsz(LE)).contains(&address)
        });
        let segment = segment.expect("something is loaded there");
        let at = (segment.p_offset(LE) + address - segment.p_vaddr(LE)) as usize;
        elf[at..at + len].to_vec()
    }

    #[test]
    fn a_stripped_program_has_its_code_and_its_functions() {
        let elf = program(true);
        let stripped = strip(&elf, true).unwrap();
        assert!(!stripped.windows(8).any(|w| w == [0xdb; 8]), "what is not loaded is left out");
        assert_eq!(loaded(&stripped, TEXT, 16), [0x90; 16]);
        let file = parse(&stripped).unwrap();
        let names: Vec<_> = file.symbols().filter_map(|s| s.name().ok()).filter(|n| !n.is_empty()).collect();
        assert_eq!(names, ["main", ARCHIVE_SYMBOL]);
        let without = strip(&elf, false).unwrap();
        assert_eq!(parse(&without).unwrap().symbols().filter(|s| s.name() == Ok("main")).count(), 0);
    }

    #[test]
    fn the_functions_of_a_program_are_indexed() {
        let bytes = functions(&program(true)).unwrap();
        let functions = pecan_manifest::symbols::Functions::open(&bytes).unwrap();
        assert_eq!((functions.find(TEXT + 5), functions.find(TEXT + 16)), (Some(("main", 5)), None));
    }

    #[test]
    fn an_attached_archive_is_where_the_variable_says() {
        let image = attach(&strip(&program(true), true).unwrap(), b"the archive").unwrap();
        let variable = loaded(&image, DATA, 32);
        let word = |at: usize| u64::from_le_bytes(variable[at..at + 8].try_into().unwrap());
        assert_eq!((word(0), word(8), word(16)), (DATA + PAGE, 11, u64::MAX));
        assert_eq!(loaded(&image, word(0), 11), b"the archive");
        assert_eq!(loaded(&image, TEXT, 16), [0x90; 16]);
        // Loaders that map whole pages want the offset in the page to be the same in file and memory.
        let file = parse(&image).unwrap();
        let last = file.elf_program_headers().last().unwrap();
        assert_eq!(last.p_offset(LE) % PAGE, last.p_vaddr(LE) % PAGE);
    }

    #[test]
    fn a_program_takes_whole_pages() {
        assert_eq!(footprint(&program(false)).unwrap(), 2 * PAGE);
    }

    #[test]
    fn what_cannot_be_an_initial_task_is_refused() {
        let error = |elf: &[u8]| format!("{:#}", attach(elf, b"x").unwrap_err());
        assert!(error(&program(false)).contains("has no variable PECAN_ARCHIVE"));
        assert!(error(b"#!/bin/sh").contains("cannot be read"));
        let mut other = program(true);
        edit_header(&mut other, |h| h.e_machine.set(LE, object::elf::EM_AARCH64)).unwrap();
        assert!(error(&other).contains("is not a static x86_64 program"));
    }
}
