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

/// Keeps of an ELF file what is loaded, and the names of its functions.
pub fn strip(elf: &[u8]) -> Result<Vec<u8>> {
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
        if !function && name != ARCHIVE_SYMBOL.as_bytes() {
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
