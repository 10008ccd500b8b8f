//! The pages of a component that is being made: what is to be mapped where is noted first, and done in steps that take a bounded
//! time each.

use alloc::vec::Vec;

use pecan::{
    Cap, CapRights,
    abi::constants::vm_attributes,
    types::{LargePage, SmallPage},
    vspace::PAGE_SIZE,
};

use super::{LARGE_PAGE, Live, StartError};
use crate::memory::Memory;

/// The most pages that are made or mapped in one step; a large one counts as so many.
const STEP: u64 = 32;

/// Pages in a row that are still to be mapped.
pub enum Pages {
    /// New ones, which are zero but for some bytes.
    New {
        /// The next address, and the end.
        next: u64,
        end: u64,
        rights: CapRights,
        /// Bytes of the archive, and the address of the first.
        data: (&'static [u8], u64),
        /// Whether what is zero and fills a large page gets one.
        large: bool,
    },
    /// Such that others have, too.
    Copies {
        /// The next address.
        next: u64,
        /// The pages, the next one last.
        frames: Vec<Cap<SmallPage>>,
        rights: CapRights,
        attributes: u64,
    },
}

impl Pages {
    /// New pages with the bytes of a file, which can only be read.
    pub fn of_file(at: u64, data: &'static [u8]) -> Self {
        let end = at + (data.len() as u64).next_multiple_of(PAGE_SIZE);
        Self::New { next: at, end, rights: CapRights::READ, data: (data, at), large: false }
    }

    /// New pages that are zero, from one address to another.
    pub fn zero(at: u64, end: u64, large: bool) -> Self {
        Self::New { next: at, end, rights: CapRights::READ_WRITE, data: (&[], at), large }
    }

    /// Pages that others have, too.
    pub fn copies(at: u64, frames: &[Cap<SmallPage>], rights: CapRights, attributes: u64) -> Self {
        let frames = frames.iter().rev().copied().collect();
        Self::Copies { next: at, frames, rights, attributes }
    }
}

impl Live {
    /// Maps some of the pages that it is to have; whether it has all of them.
    pub fn go_on(&mut self, memory: &mut Memory) -> Result<bool, StartError> {
        let mut left = STEP;
        while left > 0 {
            let Some(mut pages) = self.to_do.pop_front() else { return Ok(true) };
            let is_done = loop {
                if left == 0 {
                    break false;
                }
                match self.map_next(&mut pages, memory)? {
                    0 => break true,
                    count => left = left.saturating_sub(count),
                }
            };
            if !is_done {
                self.to_do.push_front(pages);
            }
        }
        Ok(self.to_do.is_empty())
    }

    /// Lets it run.
    pub fn resume(&self) -> pecan::Result<()> {
        self.tcb.resume()
    }

    /// Maps the next of some pages; returns for how many it counts, 0 if there are no more.
    fn map_next(&mut self, pages: &mut Pages, memory: &mut Memory) -> Result<u64, StartError> {
        match pages {
            Pages::New { next, end, rights, data: (data, data_at), large } => {
                let base = *next;
                if base >= *end {
                    return Ok(0);
                }
                let is_zero = base >= *data_at + data.len() as u64;
                let fits = base.is_multiple_of(LARGE_PAGE) && base + LARGE_PAGE <= *end;
                if *large
                    && is_zero
                    && fits
                    && let Ok(frame) = self.home.objects().make::<LargePage>()
                {
                    // SAFETY: the frame was made for the component just now.
                    unsafe {
                        self.space.map(&mut self.home.objects(), frame, base, *rights, vm_attributes::DEFAULT)
                    }?;
                    *next += LARGE_PAGE;
                    return Ok(STEP);
                }
                let frame = self.home.objects().make::<SmallPage>()?;
                // The part of the bytes that is in this page, and where in the page it is.
                let from = base.max(*data_at);
                let skip = (from - *data_at) as usize;
                let take = (base + PAGE_SIZE).saturating_sub(from) as usize;
                let part = data.get(skip..).map(|rest| &rest[..take.min(rest.len())]).unwrap_or_default();
                if !part.is_empty() {
                    memory.write_frame(frame, (from - base) as usize, part)?;
                }
                // SAFETY: as above.
                unsafe {
                    self.space.map(&mut self.home.objects(), frame, base, *rights, vm_attributes::DEFAULT)
                }?;
                self.frames.insert(base, frame);
                *next += PAGE_SIZE;
            }
            Pages::Copies { next, frames, rights, attributes } => {
                let Some(frame) = frames.pop() else { return Ok(0) };
                self.map_copy(frame, *next, *rights, *attributes)?;
                *next += PAGE_SIZE;
            }
        }
        Ok(1)
    }
}
