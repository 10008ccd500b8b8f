//! The page-table format of AArch64: stage 1, granule of 4 KiB, 48 bits of address (Arm ARM DDI 0487, section D8.3).
//!
//! The manual counts levels from the root, 0, to the frames of 4 KiB, 3; here it is the other way round, as everywhere in
//! the kernel.

use core::num::NonZeroU64;

use pecan_abi::aarch64::constants::vm_attributes::EXECUTE_NEVER;

use crate::format::{self, PageRights, PageTableEntry, PhysAddr};

/// An address space as the processor is told of it, in one word (TTBR0_EL1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Space(NonZeroU64);

impl Space {
    /// Where the identifier is.
    const ASID_SHIFT: u32 = 48;

    /// None of the address spaces that there are.
    ///
    /// # Safety
    /// Nobody switches to it: there is no root table behind it.
    pub const unsafe fn none() -> Self {
        Self(NonZeroU64::MIN)
    }

    /// The address space with this root table, which does not lie at 0, and ASID.
    pub(crate) fn new(root: PhysAddr, asid: u16) -> Self {
        Self(NonZeroU64::new(root.0 | u64::from(asid) << Self::ASID_SHIFT).unwrap_or(NonZeroU64::MIN))
    }

    /// Root table and ASID in one word.
    #[cfg_attr(not(target_os = "none"), allow(dead_code))]
    #[inline(always)]
    pub(crate) const fn word(self) -> u64 {
        self.0.get()
    }

    /// The root table.
    #[cfg(not(target_os = "none"))]
    pub(crate) fn root(self) -> PhysAddr {
        PhysAddr(self.0.get() & ((1 << Self::ASID_SHIFT) - 1))
    }

    /// The ASID.
    #[cfg(not(target_os = "none"))]
    pub(crate) fn asid(self) -> u16 {
        (self.0.get() >> Self::ASID_SHIFT) as u16
    }
}

/// The kernel's entries of a root table: none, its tables have a register of their own (TTBR1_EL1).
pub const KERNEL_ROOT_ENTRIES: [usize; 0] = [];

/// How a frame is cached: an index into MAIR_EL1 ([`MAIR`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CacheAttr(u8);

impl CacheAttr {
    /// Ordinary memory.
    pub const WRITE_BACK: Self = Self(0);
    /// Device registers: neither gathered, reordered nor acknowledged early.
    pub const DEVICE: Self = Self(1);

    /// For a frame, from the interface's attribute word, of which bit 0 asks for the cache. A frame of memory is ordinary
    /// memory whatever the word says: the kernel uses it through the cache, and mismatched attributes of one address lose
    /// coherence ("Mismatched memory attributes").
    pub const fn of_frame(device: bool, word: u64) -> Self {
        if device && word & 1 == 0 { Self::DEVICE } else { Self::WRITE_BACK }
    }

    /// User level may fetch instructions from a frame with this attribute word.
    #[inline(always)]
    pub const fn may_execute(word: u64) -> bool {
        word & EXECUTE_NEVER == 0
    }
}

/// The attributes that [`CacheAttr`] indexes, as MAIR_EL1 wants them: write-back with allocation, Device-nGnRnE.
#[cfg_attr(not(target_os = "none"), allow(dead_code))]
pub const MAIR: u64 = 0x00ff;

/// A page-table entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(transparent)]
pub struct Pte(pub u64);

impl Pte {
    const VALID: u64 = 1;
    /// Of a valid entry: above level 0 a table, and at level 0 always there.
    const TABLE_OR_PAGE: u64 = 1 << 1;
    const ATTR_INDEX: u32 = 2;
    /// AP\[1\]: user level may access it.
    const USER: u64 = 1 << 6;
    /// AP\[2\]: nobody may write it.
    pub(crate) const READ_ONLY: u64 = 1 << 7;
    /// Shared by all cores.
    const INNER_SHAREABLE: u64 = 3 << 8;
    /// Access flag: without it an access faults.
    const ACCESSED: u64 = 1 << 10;
    /// The translation is the ASID's alone.
    const NOT_GLOBAL: u64 = 1 << 11;
    const PRIVILEGED_NO_EXECUTE: u64 = 1 << 53;
    const USER_NO_EXECUTE: u64 = 1 << 54;
    const ADDRESS: u64 = 0x0000_ffff_ffff_f000;
    /// Of the kernel's own frames: it fetches no instructions there.
    #[cfg_attr(not(any(test, target_os = "none")), allow(dead_code))]
    pub(crate) const NO_EXECUTE: u64 = Self::PRIVILEGED_NO_EXECUTE;

    /// An entry of `level` that maps a frame for the kernel alone, in every address space, to read and write and execute but for
    /// what `flags` ([`Pte::READ_ONLY`], [`Pte::NO_EXECUTE`]) forbid.
    #[cfg_attr(not(any(test, target_os = "none")), allow(dead_code))]
    pub(crate) const fn kernel_frame(frame: u64, level: usize, flags: u64, cache: CacheAttr) -> u64 {
        let page = if level == 0 { Self::TABLE_OR_PAGE } else { 0 };
        frame
            | flags
            | page
            | (cache.0 as u64) << Self::ATTR_INDEX
            | Self::USER_NO_EXECUTE
            | Self::ACCESSED
            | Self::INNER_SHAREABLE
            | Self::VALID
    }
}

/// User level's tables have a register of their own (TTBR0_EL1), so all of the root is user level's.
impl PageTableEntry for Pte {
    type Cache = CacheAttr;

    const LEVELS: usize = 4;
    const MAX_FRAME_LEVEL: usize = 2;
    const ROOT_USER_ENTRIES: usize = 512;
    const EMPTY: Self = Self(0);

    #[inline(always)]
    fn table(table: PhysAddr) -> Self {
        Self(table.0 | Self::TABLE_OR_PAGE | Self::VALID)
    }

    #[inline]
    fn frame(frame: PhysAddr, level: usize, rights: PageRights, cache: CacheAttr) -> Self {
        let mut e = frame.0
            | (cache.0 as u64) << Self::ATTR_INDEX
            | Self::PRIVILEGED_NO_EXECUTE
            | Self::NOT_GLOBAL
            | Self::ACCESSED
            | Self::INNER_SHAREABLE
            | Self::VALID;
        if level == 0 {
            e |= Self::TABLE_OR_PAGE;
        }
        if rights.read {
            e |= Self::USER;
        }
        if !(rights.read && rights.write) {
            e |= Self::READ_ONLY;
        }
        if !(rights.read && rights.execute) {
            e |= Self::USER_NO_EXECUTE;
        }
        Self(e)
    }

    #[inline(always)]
    fn is_present(self) -> bool {
        self.0 & Self::VALID != 0
    }

    #[inline(always)]
    fn is_table(self, level: usize) -> bool {
        level > 0 && self.0 & 3 == Self::TABLE_OR_PAGE | Self::VALID
    }

    #[inline(always)]
    fn table_addr(self) -> PhysAddr {
        PhysAddr(self.0 & Self::ADDRESS)
    }

    #[inline(always)]
    fn addr(self, level: usize) -> PhysAddr {
        let mut a = self.0 & Self::ADDRESS;
        if !self.is_table(level) {
            a &= !((1 << format::level_shift::<Self>(level)) - 1);
        }
        PhysAddr(a)
    }

    fn rights(self) -> PageRights {
        if self.0 & Self::USER == 0 {
            return PageRights::NONE;
        }
        let (write, execute) = (self.0 & Self::READ_ONLY == 0, self.0 & Self::USER_NO_EXECUTE == 0);
        PageRights { read: true, write, execute }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: PageRights = PageRights { read: true, write: true, execute: true };

    #[test]
    fn entries_say_what_they_were_made_with() {
        let caches = [CacheAttr::WRITE_BACK, CacheAttr::DEVICE];
        format::testing::entries_say_what_they_were_made_with::<Pte>(48, &caches);
    }

    /// By hand from section D8.3, "Translation table descriptor formats".
    #[test]
    fn entries_are_those_of_the_manual() {
        let frame = |at, level, rights, cache| Pte::frame(PhysAddr(at), level, rights, cache).0;
        let memory = CacheAttr::WRITE_BACK;
        assert_eq!(Pte::table(PhysAddr(0x1234_5000)).0, 0x1234_5003);
        // PXN; nG, AF, SH = 0b11, AP = 0b01, AttrIndx 0, page.
        assert_eq!(frame(0x1234_5000, 0, ALL, memory), 0x0020_0000_1234_5f43);
        // A block is no page: bit 1 is clear.
        assert_eq!(frame(0x4020_0000, 1, ALL, memory), 0x0020_0000_4020_0f41);
        assert_eq!(frame(0x8000_0000, 2, ALL, memory), 0x0020_0000_8000_0f41);
        // AP = 0b11 and UXN; AP = 0b10: user level has no access.
        let read = PageRights { write: false, execute: false, ..ALL };
        assert_eq!(frame(0, 0, read, memory), 0x0060_0000_0000_0fc3);
        assert_eq!(frame(0, 0, PageRights { read: false, ..ALL }, memory), 0x0060_0000_0000_0f83);
        // AttrIndx 1.
        assert_eq!(frame(0, 0, ALL, CacheAttr::DEVICE), 0x0020_0000_0000_0f47);
    }

    #[test]
    fn the_kernels_own_frames_are_no_user_levels() {
        let entry = |level, flags, cache| Pte::kernel_frame(0x4020_0000, level, flags, cache);
        // UXN; AF, SH = 0b11, AP = 0b00, AttrIndx 0, block.
        assert_eq!(entry(1, 0, CacheAttr::WRITE_BACK), 0x0040_0000_4020_0701);
        // AP = 0b10, PXN, page.
        assert_eq!(entry(0, Pte::READ_ONLY | Pte::NO_EXECUTE, CacheAttr::WRITE_BACK), 0x0060_0000_4020_0783);
        assert_eq!(entry(0, Pte::NO_EXECUTE, CacheAttr::DEVICE), 0x0060_0000_4020_0707);
        assert_eq!(Pte(entry(2, 0, CacheAttr::WRITE_BACK)).rights(), PageRights::NONE);
    }

    #[test]
    fn only_devices_do_without_the_cache() {
        assert!((0..8).all(|word| CacheAttr::of_frame(false, word) == CacheAttr::WRITE_BACK));
        assert_eq!([0, 1, 2, 3].map(|word| CacheAttr::of_frame(true, word).0), [1, 0, 1, 0]);
        assert_eq!([0, 1].map(|index| MAIR >> (8 * index) & 0xff), [0xff, 0x00]);
    }
}
