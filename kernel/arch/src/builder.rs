//! Makes the kernel's own page tables at boot, in the format of the port.

use crate::{BootError, PT_INDEX_BITS, PT_LEVELS, PageTableEntry, PhysAddr, PhysRegion, Pte, level_shift};

/// Entries of a table.
const ENTRIES: usize = 1 << PT_INDEX_BITS;

/// What ports make tables of.
pub trait Format {
    /// An entry that refers to a table of the kernel's.
    fn link(table: PhysAddr) -> u64;
    /// An entry of `level` that maps a frame of that level's size for the kernel, with what a port's `flags` say.
    fn frame(frame: u64, level: usize, flags: u64) -> u64;
    /// Entries of `level` can map frames.
    fn has_frames(level: usize) -> bool;
    /// Where the kernel sees a table while it boots.
    fn entries(table: PhysAddr) -> *mut u64;
}

/// Makes page tables out of boot memory.
pub struct Builder<F> {
    next: u64,
    end: u64,
    root: PhysAddr,
    format: core::marker::PhantomData<F>,
}

impl<F: Format> Builder<F> {
    /// Makes tables below `root` out of `pool`, of whole pages.
    ///
    /// # Safety
    /// 1. The root table is zero, or has been filled by such a builder, and nothing else writes to it and to those below it.
    /// 2. The pool is memory that nothing uses, and that [`Format::entries`] shows.
    pub unsafe fn new(root: PhysAddr, pool: PhysRegion) -> Self {
        Builder { next: pool.start.0, end: pool.end.0, root, format: core::marker::PhantomData }
    }

    /// Where what is left of the pool begins.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Goes on below another root, which is a page of the pool.
    #[cfg_attr(
        not(all(target_os = "none", pecan_arch = "x86_64")),
        allow(dead_code, reason = "other ports need one root")
    )]
    pub fn new_root(&mut self) -> Result<PhysAddr, BootError> {
        self.root = self.table()?;
        Ok(self.root)
    }

    fn table(&mut self) -> Result<PhysAddr, BootError> {
        if self.next == self.end {
            return Err(BootError::OutOfMemory);
        }
        let page = PhysAddr(self.next);
        self.next += 4096;
        // SAFETY: it is a page of the pool, which is memory that nothing uses and that is seen there.
        unsafe { core::ptr::write_bytes(F::entries(page), 0, ENTRIES) };
        Ok(page)
    }

    /// The entry of `level` that translates address `v` below the root table, with the tables on the way to it.
    pub fn entry(&mut self, v: usize, level: usize) -> Result<*mut u64, BootError> {
        let mut table = F::entries(self.root);
        for l in (level + 1..PT_LEVELS).rev() {
            let entry = table.wrapping_add(index(v as u64, l));
            // SAFETY: `table` is the root or a page that it leads to, and the index is within it.
            unsafe {
                if *entry == 0 {
                    *entry = F::link(self.table()?);
                }
                table = F::entries(Pte(*entry).table_addr());
            }
        }
        Ok(table.wrapping_add(index(v as u64, level)))
    }

    /// Maps a region at `offset` from its physical address, in pages as large as possible.
    pub fn map(&mut self, offset: usize, region: PhysRegion, flags: u64) -> Result<(), BootError> {
        let (mut p, end) = (region.start.0, region.end.0);
        while p < end {
            let v = offset.wrapping_add(p as usize);
            let fits = |level| {
                let rest = (1u64 << level_shift(level)) - 1;
                (p | v as u64) & rest == 0 && end - p > rest
            };
            let level = (1..=2).rev().find(|&l| fits(l) && F::has_frames(l)).unwrap_or(0);
            let entry = self.entry(v, level)?;
            let size = 1u64 << level_shift(level);
            // Neighbours in one table need no new walk.
            let run = ((ENTRIES - index(v as u64, level)) as u64).min((end - p) >> level_shift(level)).max(1);
            for i in 0..run {
                // SAFETY: `entry` and its `run - 1` successors are in one table that `entry()` found or made.
                unsafe { *entry.add(i as usize) = F::frame(p + i * size, level, flags) };
            }
            p += run * size;
        }
        Ok(())
    }
}

/// The index of the entry of `level` that translates an address. In line: what is used after boot is no boot code.
#[inline(always)]
pub fn index(address: u64, level: usize) -> usize {
    (address >> level_shift(level)) as usize & (ENTRIES - 1)
}

/// Pages that the tables take which map `regions` where alignment and sizes allow large frames: for each a table of the level
/// above for every 1 GiB that it touches, and one for each ragged end.
pub fn tables_needed(regions: &[PhysRegion]) -> u64 {
    regions.iter().map(|r| ((r.end.0 - 1) >> 30) - (r.start.0 >> 30) + 1 + 2).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    const POOL: u64 = 0x10_0000;
    const PAGES: usize = 16;
    const KIND: u64 = 1 << 60;

    thread_local! {
        static MEMORY: RefCell<Vec<u64>> = RefCell::new(vec![0; PAGES * ENTRIES]);
    }

    /// Frames have their level and the flags in their entries.
    struct Plain;

    impl Format for Plain {
        fn link(table: PhysAddr) -> u64 {
            Pte::table(table).0
        }

        fn frame(frame: u64, level: usize, flags: u64) -> u64 {
            KIND | frame | level as u64 | flags
        }

        fn has_frames(level: usize) -> bool {
            level < 2
        }

        fn entries(table: PhysAddr) -> *mut u64 {
            MEMORY.with(|m| &raw mut m.borrow_mut()[(table.0 - POOL) as usize / 8])
        }
    }

    fn builder(pages: u64) -> Builder<Plain> {
        let pool = PhysRegion::new(POOL + 4096, POOL + 4096 * pages);
        // SAFETY: the thread's own memory, which is zero.
        unsafe { Builder::new(PhysAddr(POOL), pool) }
    }

    /// What an address is translated to: frame, level and flags.
    fn translate(v: u64) -> Option<u64> {
        let mut table = PhysAddr(POOL);
        for level in (0..PT_LEVELS).rev() {
            // SAFETY: the thread's own memory.
            let entry = unsafe { *Plain::entries(table).add(index(v, level)) };
            if entry == 0 || entry & KIND != 0 {
                return (entry != 0).then_some(entry & !KIND);
            }
            table = Pte(entry).table_addr();
        }
        None
    }

    #[test]
    fn frames_are_as_large_as_alignment_allows() {
        let mut b = builder(PAGES as u64);
        let offset = 0x40_0000_0000usize;
        // Two ragged ends, and two large frames between them.
        b.map(offset, PhysRegion::new(0x1f_f000, 0x60_1000), 0x200).unwrap();
        let at = |p: u64| translate(offset as u64 + p);
        assert_eq!(at(0x1f_f000), Some(0x1f_f000 | 0x200));
        assert_eq!([0x20_0000, 0x3f_f000].map(at), [Some(0x20_0000 | 1 | 0x200); 2]);
        assert_eq!(at(0x40_0000), Some(0x40_0000 | 1 | 0x200));
        assert_eq!(at(0x60_0000), Some(0x60_0000 | 0x200));
        assert_eq!([0x1f_e000, 0x60_1000].map(at), [None; 2]);
        assert!(
            b.next()
                <= POOL + 4096 + 4096 * (1 + 1 + tables_needed(&[PhysRegion::new(0x1f_f000, 0x60_1000)]))
        );
    }

    #[test]
    fn what_is_seen_elsewhere_must_be_aligned_there_too() {
        let mut b = builder(PAGES as u64);
        b.map(0x1000, PhysRegion::new(0x20_0000, 0x60_0000), 0).unwrap();
        assert_eq!(translate(0x20_1000), Some(0x20_0000));
        assert_eq!(translate(0x60_0000), Some(0x5f_f000));
    }

    #[test]
    fn an_empty_pool_is_an_error() {
        assert_eq!(builder(2).map(0, PhysRegion::new(0, 4096), 0), Err(BootError::OutOfMemory));
    }
}
