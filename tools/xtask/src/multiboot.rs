//! What a Multiboot 1 loader needs to see in the kernel's file.

use anyhow::{Context, Result, bail};
use object::{
    Endianness,
    read::elf::{ElfFile64, ProgramHeader},
};

/// First word of a Multiboot 1 header.
const MAGIC: u32 = 0x1bad_b002;
/// Flag of the header: it holds the load addresses, the file's own headers are not looked at.
const HAS_ADDRESSES: u32 = 1 << 16;
/// How far into the file loaders look for the header, in bytes.
const SEARCHED: usize = 8192;

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Whether the file's Multiboot 1 header holds load addresses; `None` if it has no such header.
pub fn load_addresses(file: &[u8]) -> Option<bool> {
    for at in (0..SEARCHED.min(file.len())).step_by(4) {
        if word(file, at) != Some(MAGIC) {
            continue;
        }
        let (flags, checksum) = (word(file, at + 4)?, word(file, at + 8)?);
        if MAGIC.wrapping_add(flags).wrapping_add(checksum) == 0 {
            return Some(flags & HAS_ADDRESSES != 0);
        }
    }
    None
}

/// Wraps the segments of a 64-bit ELF in a 32-bit ELF that is loaded at the same physical addresses.
pub fn wrap_in_elf32(file: &[u8]) -> Result<Vec<u8>> {
    const HEADER: usize = 52;
    const PROGRAM_HEADER: usize = 32;
    const PAGE: usize = 4096;
    let elf: ElfFile64<Endianness> = ElfFile64::parse(file).context("the kernel is not a 64-bit ELF file")?;
    let endian = elf.endian();
    let low = |value: u64, what: &str| -> Result<u32> {
        u32::try_from(value).with_context(|| format!("the kernel's {what}, {value:#x}, is not below 4 GiB"))
    };
    let loaded: Vec<_> =
        elf.elf_program_headers().iter().filter(|p| p.p_type(endian) == object::elf::PT_LOAD).collect();
    if loaded.is_empty() {
        bail!("the kernel has nothing to load\n  to mend it: see the linker script of kernel/image");
    }
    let mut out = vec![0u8; HEADER + PROGRAM_HEADER * loaded.len()];
    let mut headers = Vec::new();
    for segment in &loaded {
        let data =
            segment.data(endian, file).ok().context("a segment of the kernel lies outside its file")?;
        out.resize(out.len().next_multiple_of(PAGE), 0);
        let paddr = low(segment.p_paddr(endian), "physical address")?;
        headers.push([
            object::elf::PT_LOAD.0,
            out.len() as u32,
            paddr,
            paddr,
            data.len() as u32,
            low(segment.p_memsz(endian), "size in memory")?,
            segment.p_flags(endian).0,
            PAGE as u32,
        ]);
        out.extend_from_slice(data);
    }
    // Identification: 32-bit, little-endian, version 1. Then type, machine, version, entry, and where things are.
    out[..7].copy_from_slice(b"\x7fELF\x01\x01\x01");
    let halves = |a: u16, b: u16| u32::from(a) | u32::from(b) << 16;
    let header = [
        halves(object::elf::ET_EXEC.0, object::elf::EM_386.0),
        1,
        low(elf.elf_header().e_entry.get(endian), "entry point")?,
        HEADER as u32,
        0,
        0,
        halves(HEADER as u16, PROGRAM_HEADER as u16),
        halves(headers.len() as u16, 0),
        0,
    ];
    for (n, value) in header.into_iter().chain(headers.into_iter().flatten()).enumerate() {
        out[16 + 4 * n..20 + 4 * n].copy_from_slice(&value.to_le_bytes());
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use object::{Object, ObjectSegment, read::elf::ElfFile32};

    use super::*;

    fn header(flags: u32) -> Vec<u8> {
        let checksum = 0u32.wrapping_sub(MAGIC).wrapping_sub(flags);
        [0, MAGIC, flags, checksum].into_iter().flat_map(u32::to_le_bytes).collect()
    }

    #[test]
    fn the_header_is_found_and_its_flags_read() {
        assert_eq!(load_addresses(&header(HAS_ADDRESSES | 3)), Some(true));
        assert_eq!(load_addresses(&header(3)), Some(false));
        assert_eq!(load_addresses(&[0; 64]), None);
        let mut wrong = header(3);
        wrong[12] ^= 1;
        assert_eq!(load_addresses(&wrong), None, "a wrong checksum is not a header");
        let mut late = vec![0; SEARCHED];
        late.extend(header(3));
        assert_eq!(load_addresses(&late), None, "loaders do not look that far");
    }

    /// A 64-bit ELF file of one segment.
    fn elf64(entry: u64, paddr: u64, data: &[u8], memory: u64) -> Vec<u8> {
        let mut out = b"\x7fELF\x02\x01\x01".to_vec();
        out.resize(16, 0);
        out.extend([2u16, 62].map(u16::to_le_bytes).concat());
        out.extend(1u32.to_le_bytes());
        out.extend([entry, 64, 0].map(u64::to_le_bytes).concat());
        out.extend(0u32.to_le_bytes());
        out.extend([64u16, 56, 1, 0, 0, 0].map(u16::to_le_bytes).concat());
        out.extend([1u32, 5].map(u32::to_le_bytes).concat());
        let high = 0xffff_ffff_8000_0000 + paddr;
        out.extend([120, high, paddr, data.len() as u64, memory, 4096].map(u64::to_le_bytes).concat());
        out.extend(data);
        out
    }

    #[test]
    fn a_wrapped_kernel_keeps_its_bytes_addresses_and_entry() {
        let out = wrap_in_elf32(&elf64(0x10_0010, 0x10_0000, b"code of the kernel", 0x5000)).unwrap();
        let elf: ElfFile32<Endianness> = ElfFile32::parse(out.as_slice()).unwrap();
        assert_eq!(elf.entry(), 0x10_0010);
        let segment = elf.segments().next().unwrap();
        assert_eq!((segment.address(), segment.size()), (0x10_0000, 0x5000));
        assert_eq!(segment.data().unwrap(), b"code of the kernel");
        assert_eq!(out[18], object::elf::EM_386.0 as u8);
    }

    #[test]
    fn an_entry_above_4_gib_is_refused() {
        let error = wrap_in_elf32(&elf64(1 << 32, 0x10_0000, b"x", 1)).unwrap_err().to_string();
        assert!(error.contains("entry point"), "{error}");
    }
}
