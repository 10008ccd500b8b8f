//! Names for addresses, out of a program's symbol table.

use alloc::{format, string::String};

use object::{
    LittleEndian as LE,
    elf::{FileHeader64, SHT_SYMTAB, STT_FUNC},
    read::elf::{FileHeader, Sym},
};

/// The function that an address of a program is in, and how far in; `None` if the program does not say.
pub fn name(elf: &[u8], address: u64) -> Option<String> {
    let header = FileHeader64::<LE>::parse(elf).ok()?;
    let symbols = header.sections(LE, elf).ok()?.symbols(LE, elf, SHT_SYMTAB).ok()?;
    let symbol = symbols.iter().find(|s| {
        let start = s.st_value(LE);
        s.st_type() == STT_FUNC && start <= address && address - start < s.st_size(LE)
    })?;
    let name = core::str::from_utf8(symbol.name(LE, symbols.strings()).ok()?).ok()?;
    // The alternate form leaves the hash out.
    Some(format!("{:#}+{:#x}", rustc_demangle::demangle(name), address - symbol.st_value(LE)))
}

/// Like [`name`], with the address in front.
pub fn describe(elf: Option<&[u8]>, address: u64) -> String {
    match elf.and_then(|elf| name(elf, address)) {
        Some(name) => format!("{address:#x} {name}"),
        None => format!("{address:#x}"),
    }
}
