//! A component's program: the segments of an ELF file.

use alloc::vec::Vec;

use object::{
    LittleEndian as LE,
    elf::{EM_X86_64, ET_EXEC, FileHeader64, PF_W, PF_X, PT_LOAD},
    read::elf::{FileHeader, ProgramHeader},
};
use pecan::{CapRights, startup::well_known, vspace::PAGE_SIZE};
use pecan_manifest::layout;

use super::{Maker, Pages, StartError};

/// The lowest address that a stack can have: below it, addresses are those of null pointers with an offset.
const LOWEST_STACK: u64 = 0x10_0000;

impl Maker<'_> {
    /// Lets the segments of the program be mapped; returns where it starts.
    pub(super) fn load(&mut self, elf: &'static [u8]) -> Result<u64, StartError> {
        let header = FileHeader64::<LE>::parse(elf).map_err(|_| StartError::Program("is not an ELF file"))?;
        if header.e_machine.get(LE) != EM_X86_64 || header.e_type.get(LE) != ET_EXEC {
            return Err(StartError::Program("is not for this machine"));
        }
        let segments = header.program_headers(LE, elf).map_err(|_| StartError::Program("has no segments"))?;
        self.live.bottom = u64::MAX;
        let mut loaded: Vec<(u64, u64)> = Vec::new();
        for segment in segments.iter().filter(|s| s.p_type(LE) == PT_LOAD && s.p_memsz(LE) > 0) {
            let (mut start, len) = (segment.p_vaddr(LE), segment.p_memsz(LE));
            let end = start.checked_add(len).filter(|end| *end <= layout::PROGRAM_END);
            let end = end.ok_or(StartError::Program("is linked to where it cannot be"))?;
            // The lowest segment is the stack. It grows down to where nothing is, and so can the segment.
            let is_stack = self.live.bottom == u64::MAX && segment.p_filesz(LE) == 0;
            if let (Some(stack), true) = (self.component.settings.stack, is_stack) {
                let bottom = end.checked_sub(stack.0).filter(|bottom| *bottom >= LOWEST_STACK);
                start = bottom.ok_or(StartError::Program("has no room for that stack"))?;
                self.page.add_parameter(well_known::STACK, start);
            }
            let data = segment.data(LE, elf).map_err(|()| StartError::Program("is cut off"))?;
            let flags = segment.p_flags(LE);
            if flags.contains(PF_W) && flags.contains(PF_X) {
                return Err(StartError::Program("wants memory that it can both write and execute"));
            }
            let rights = if flags.contains(PF_W) { CapRights::READ_WRITE } else { CapRights::READ };
            self.live.bottom = self.live.bottom.min(start);
            let (first, end) = (start & !(PAGE_SIZE - 1), end.next_multiple_of(PAGE_SIZE));
            if loaded.iter().any(|(other, until)| first < *until && *other < end) {
                return Err(StartError::Program("has two segments in one page"));
            }
            loaded.push((first, end));
            let pages = Pages::New { next: first, end, rights, data: (data, start), large: true };
            self.live.to_do.push_back(pages);
        }
        Ok(header.e_entry.get(LE))
    }
}
