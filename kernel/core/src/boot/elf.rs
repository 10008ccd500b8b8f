//! Reading the root task's ELF file. The file is not trusted: every offset is checked against its length.

use pecan_abi::constants::{ELF_MACHINE, USER_TOP};

/// Loadable segments that a root task can have.
pub const MAX_SEGMENTS: usize = 32;

/// What is wrong with an ELF file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ElfError {
    /// It does not begin like an ELF file.
    NotElf,
    /// It is not a 64-bit little-endian file.
    NotElf64,
    /// It is for another processor.
    Machine {
        /// Its machine number.
        found: u16,
    },
    /// It is position-independent, or a shared library.
    PositionIndependent,
    /// It wants a program interpreter.
    Dynamic,
    /// It is an ELF file of another kind (an object file, a core dump).
    NotExecutable {
        /// Its type number.
        found: u16,
    },
    /// The file ends before the bytes that its headers speak of.
    Truncated {
        /// Bytes that the file would have to have.
        needed: u64,
        /// Bytes that it has.
        found: u64,
    },
    /// The program headers make no sense.
    BadHeaders,
    /// Nothing is to be loaded.
    NoSegments,
    /// More than [`MAX_SEGMENTS`] are to be loaded.
    TooManySegments,
    /// A segment lies (in part) outside the address space of user programs.
    OutsideUserSpace {
        /// Where it begins.
        vaddr: u64,
    },
    /// Two segments overlap.
    Overlap {
        /// Where the second begins.
        vaddr: u64,
    },
    /// The entry point is in no segment.
    BadEntry {
        /// The entry point.
        entry: u64,
    },
}

impl ElfError {
    /// What is wrong with the file and what to do, with numbers for its marks (see [`pecan_arch::say`]).
    pub fn message(self) -> (&'static str, [u64; 2]) {
        match self {
            ElfError::NotElf => ("the boot module is not an ELF file: pass the root task's ELF file", [0; 2]),
            ElfError::NotElf64 => {
                ("it is not a 64-bit little-endian ELF file: build it for this machine", [0; 2])
            }
            ElfError::Machine { found } => (
                "it is for ELF machine #, this kernel runs #: build it for this machine",
                [found.into(), ELF_MACHINE.into()],
            ),
            ElfError::PositionIndependent => (
                "it is position-independent: build it as a static executable at a fixed address (-static -no-pie)",
                [0; 2],
            ),
            ElfError::Dynamic => (
                "it is dynamically linked: build it as a static executable at a fixed address (-static -no-pie)",
                [0; 2],
            ),
            ElfError::NotExecutable { found } => (
                "it is an ELF file of type #: build it as a static executable at a fixed address",
                [found.into(), 0],
            ),
            ElfError::Truncated { needed, found } => {
                ("its file is cut off: # bytes, at least # needed; copy it again", [found, needed])
            }
            ElfError::BadHeaders => ("its program headers make no sense: build it again", [0; 2]),
            ElfError::NoSegments => ("it has no segment to load: build it as an executable", [0; 2]),
            ElfError::TooManySegments => {
                ("it has more than # segments to load: link fewer", [MAX_SEGMENTS as u64, 0])
            }
            ElfError::OutsideUserSpace { vaddr } => {
                ("its segment at $ is not below $: link it to lower addresses", [vaddr, USER_TOP])
            }
            ElfError::Overlap { vaddr } => {
                ("its segment at $ overlaps another: mend its linker script", [vaddr, 0])
            }
            ElfError::BadEntry { entry } => {
                ("its entry point $ is in none of its segments: mend its linker script", [entry, 0])
            }
        }
    }
}

/// A loadable segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Segment {
    /// Where its bytes begin in the file.
    pub offset: usize,
    /// How many there are.
    pub file_size: usize,
    /// Where they go.
    pub vaddr: u64,
    /// Bytes in memory; those beyond the file's are zero.
    pub size: u64,
}

impl Segment {
    /// First address past the segment.
    pub fn end(&self) -> u64 {
        self.vaddr + self.size
    }
}

/// A program that can be loaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Program {
    /// Where it starts.
    pub entry: u64,
    segments: [Segment; MAX_SEGMENTS],
    len: usize,
}

impl Program {
    /// The segments, none of them empty and no two overlapping.
    pub fn segments(&self) -> &[Segment] {
        &self.segments[..self.len]
    }

    /// First address and first address past the whole.
    pub fn range(&self) -> (u64, u64) {
        let start = self.segments().iter().map(|s| s.vaddr).min().unwrap_or(0);
        let end = self.segments().iter().map(Segment::end).max().unwrap_or(0);
        (start, end)
    }
}

const HEADER_LEN: usize = 64;
const PROGRAM_HEADER_LEN: usize = 56;
const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;
const PT_LOAD: u32 = 1;
const PT_INTERP: u32 = 3;

/// Reads an ELF file: a static 64-bit executable for this machine.
pub fn parse(file: &[u8]) -> Result<Program, ElfError> {
    if !file.starts_with(b"\x7fELF") {
        return Err(ElfError::NotElf);
    }
    // Class 2 is 64-bit, encoding 1 is little-endian.
    if file.get(4..6).is_none_or(|ident| *ident != [2, 1]) {
        return Err(ElfError::NotElf64);
    }
    let header = bytes(file, 0, HEADER_LEN)?;
    let machine = u16_at(header, 18);
    if machine != ELF_MACHINE {
        return Err(ElfError::Machine { found: machine });
    }
    match u16_at(header, 16) {
        ET_EXEC => {}
        ET_DYN => return Err(ElfError::PositionIndependent),
        found => return Err(ElfError::NotExecutable { found }),
    }
    let (entry, table) = (u64_at(header, 24), u64_at(header, 32));
    let (entry_len, count) = (u16_at(header, 54) as usize, u16_at(header, 56) as usize);
    if count == 0 {
        return Err(ElfError::NoSegments);
    }
    if entry_len < PROGRAM_HEADER_LEN {
        return Err(ElfError::BadHeaders);
    }
    let table = bytes(file, table, entry_len * count)?;
    let mut program = Program { entry, segments: [Segment::default(); MAX_SEGMENTS], len: 0 };
    for header in table.chunks_exact(entry_len) {
        match u32_at(header, 0) {
            PT_LOAD => {}
            PT_INTERP => return Err(ElfError::Dynamic),
            _ => continue,
        }
        let (offset, vaddr) = (u64_at(header, 8), u64_at(header, 16));
        let (file_size, size) = (u64_at(header, 32), u64_at(header, 40));
        if file_size > size {
            return Err(ElfError::BadHeaders);
        }
        if size == 0 {
            continue;
        }
        if vaddr.checked_add(size).is_none_or(|end| end > USER_TOP) {
            return Err(ElfError::OutsideUserSpace { vaddr });
        }
        // A segment without bytes in the file may name any offset.
        let offset = if file_size == 0 { 0 } else { offset };
        let file_size = bytes(file, offset, usize::try_from(file_size).unwrap_or(usize::MAX))?.len();
        let segment = Segment { offset: offset as usize, file_size, vaddr, size };
        if program.segments().iter().any(|s| s.vaddr < segment.end() && vaddr < s.end()) {
            return Err(ElfError::Overlap { vaddr });
        }
        *program.segments.get_mut(program.len).ok_or(ElfError::TooManySegments)? = segment;
        program.len += 1;
    }
    if program.len == 0 {
        return Err(ElfError::NoSegments);
    }
    if !program.segments().iter().any(|s| (s.vaddr..s.end()).contains(&entry)) {
        return Err(ElfError::BadEntry { entry });
    }
    Ok(program)
}

/// `len` bytes at `offset` of the file.
fn bytes(file: &[u8], offset: u64, len: usize) -> Result<&[u8], ElfError> {
    let end = offset.saturating_add(len as u64);
    let truncated = ElfError::Truncated { needed: end, found: file.len() as u64 };
    if end > file.len() as u64 {
        return Err(truncated);
    }
    file.get(offset as usize..end as usize).ok_or(truncated)
}

fn array<const N: usize>(header: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&header[at..at + N]);
    array
}

fn u16_at(header: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array(header, at))
}

fn u32_at(header: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(header, at))
}

fn u64_at(header: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(header, at))
}
