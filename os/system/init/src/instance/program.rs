//! A component's program: the segments of an ELF file.

use object::{
    LittleEndian as LE,
    elf::{EM_X86_64, ET_EXEC, FileHeader64, PF_W, PF_X, PT_LOAD},
    read::elf::{FileHeader, ProgramHeader},
};
use pecan::{CapRights, startup::well_known, types::LargePage, vspace::PAGE_SIZE};
use pecan_manifest::layout;

use super::{LARGE_PAGE, Maker, StartError};

/// The lowest address that a stack can have: below it, addresses are those of null pointers with an offset.
const LOWEST_STACK: u64 = 0x10_0000;

impl Maker<'_> {
    /// Maps the segments of the program; returns where it starts.
    pub(super) fn load(&mut self, elf: &[u8]) -> Result<u64, StartError> {
        let header = FileHeader64::<LE>::parse(elf).map_err(|_| StartError::Program("is not an ELF file"))?;
        if header.e_machine.get(LE) != EM_X86_64 || header.e_type.get(LE) != ET_EXEC {
            return Err(StartError::Program("is not for this machine"));
        }
        let segments = header.program_headers(LE, elf).map_err(|_| StartError::Program("has no segments"))?;
        self.live.bottom = u64::MAX;
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
            self.load_segment(start, end, data, rights)?;
        }
        Ok(header.e_entry.get(LE))
    }

    fn load_segment(
        &mut self,
        start: u64,
        end: u64,
        data: &[u8],
        rights: CapRights,
    ) -> Result<(), StartError> {
        let mut base = start & !(PAGE_SIZE - 1);
        while base < end {
            if self.live.frame(base).is_some() {
                return Err(StartError::Program("has two segments in one page"));
            }
            // What is zero and fills a large page gets one.
            let zero = base >= start + data.len() as u64;
            if zero && base.is_multiple_of(LARGE_PAGE) && base + LARGE_PAGE <= end {
                let frame = self.objects().make::<LargePage>()?;
                self.map(frame, base, rights)?;
                base += LARGE_PAGE;
                continue;
            }
            // The part of the segment's data that is in this page, and where in the page it is.
            let from = base.max(start);
            let skip = (from - start) as usize;
            let take = (base + PAGE_SIZE - from) as usize;
            let part = data.get(skip..).map(|rest| &rest[..take.min(rest.len())]).unwrap_or_default();
            let content = (!part.is_empty()).then(|| {
                let mut bytes = alloc::vec![0; (from - base) as usize];
                bytes.extend_from_slice(part);
                bytes
            });
            let frame = self.frame(base, rights, content)?;
            self.live.frames.insert(base, frame);
            base += PAGE_SIZE;
        }
        Ok(())
    }
}
