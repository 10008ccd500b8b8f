//! The page-table format of RISC-V: Sv39 (privileged specification, section "Sv39: Page-Based 39-bit Virtual-Memory System").

use core::num::NonZeroU64;

use pecan_abi::riscv64::constants::vm_attributes::EXECUTE_NEVER;

use crate::format::{PageRights, PageTableEntry, PhysAddr};

/// An address space as the processor is told of it, in one word (satp, less its mode).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Space(NonZeroU64);

impl Space {
    /// Where the identifier is.
    const ASID_SHIFT: u32 = 44;

    /// None of the address spaces that there are.
    ///
    /// # Safety
    /// Nobody switches to it: there is no root table behind it.
    pub const unsafe fn none() -> Self {
        Self(NonZeroU64::MIN)
    }

    /// The address space with this root table, which does not lie at 0, and ASID.
    pub(crate) fn new(root: PhysAddr, asid: u16) -> Self {
        Self(NonZeroU64::new(root.0 >> 12 | u64::from(asid) << Self::ASID_SHIFT).unwrap_or(NonZeroU64::MIN))
    }

    /// The root table.
    #[cfg(not(target_os = "none"))]
    pub(crate) fn root(self) -> PhysAddr {
        PhysAddr((self.0.get() & ((1 << Self::ASID_SHIFT) - 1)) << 12)
    }

    /// The ASID.
    #[cfg(not(target_os = "none"))]
    pub(crate) fn asid(self) -> u16 {
        (self.0.get() >> Self::ASID_SHIFT) as u16
    }
}

/// The kernel's entries of a root table that are not empty: the window on memory, and the kernel's image at the end.
pub const KERNEL_ROOT_ENTRIES: [usize; 2] = [Pte::ROOT_USER_ENTRIES, 511];

/// How a frame is cached: as the platform says for its address. Entries have no say in it (without Svpbmt).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CacheAttr;

impl CacheAttr {
    /// Ordinary memory.
    pub const WRITE_BACK: Self = Self;

    /// For a frame, from the interface's attribute word, which has no say in it either.
    pub const fn of_frame(_device: bool, _word: u64) -> Self {
        Self
    }

    /// User level may fetch instructions from a frame with this attribute word.
    #[inline(always)]
    pub const fn may_execute(word: u64) -> bool {
        word & EXECUTE_NEVER == 0
    }
}

/// A page-table entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(transparent)]
pub struct Pte(pub u64);

impl Pte {
    const VALID: u64 = 1;
    const READ: u64 = 1 << 1;
    const WRITE: u64 = 1 << 2;
    const EXECUTE: u64 = 1 << 3;
    const USER: u64 = 1 << 4;
    /// Without these an access may fault, for software to note it.
    const ACCESSED_DIRTY: u64 = 3 << 6;
    /// One of these says that the entry is a frame.
    const LEAF: u64 = Self::READ | Self::WRITE | Self::EXECUTE;
    /// Where the page number begins, and the bits of an address below it.
    const NUMBER: u32 = 10;
    const NUMBER_BITS: u32 = 44;

    const fn number(at: PhysAddr) -> u64 {
        at.0 >> 12 << Self::NUMBER
    }
}

/// Three levels. The upper half of the root is the kernel's.
impl PageTableEntry for Pte {
    type Cache = CacheAttr;

    const LEVELS: usize = 3;
    const MAX_FRAME_LEVEL: usize = 2;
    const ROOT_USER_ENTRIES: usize = 256;
    const EMPTY: Self = Self(0);

    #[inline(always)]
    fn table(table: PhysAddr) -> Self {
        // U, A and D are reserved where an entry is no frame.
        Self(Self::number(table) | Self::VALID)
    }

    #[inline]
    fn frame(frame: PhysAddr, _level: usize, rights: PageRights, _: CacheAttr) -> Self {
        // To write and not to read is reserved.
        let mut e = Self::number(frame) | Self::ACCESSED_DIRTY | Self::READ | Self::VALID;
        if rights.read {
            e |= Self::USER;
            if rights.write {
                e |= Self::WRITE;
            }
            if rights.execute {
                e |= Self::EXECUTE;
            }
        }
        Self(e)
    }

    #[inline(always)]
    fn is_present(self) -> bool {
        self.0 & Self::VALID != 0
    }

    #[inline(always)]
    fn is_table(self, level: usize) -> bool {
        level > 0 && self.0 & (Self::LEAF | Self::VALID) == Self::VALID
    }

    #[inline(always)]
    fn table_addr(self) -> PhysAddr {
        PhysAddr((self.0 >> Self::NUMBER & ((1 << Self::NUMBER_BITS) - 1)) << 12)
    }

    #[inline(always)]
    fn addr(self, _level: usize) -> PhysAddr {
        self.table_addr()
    }

    fn rights(self) -> PageRights {
        if self.0 & Self::USER == 0 {
            return PageRights::NONE;
        }
        let (write, execute) = (self.0 & Self::WRITE != 0, self.0 & Self::EXECUTE != 0);
        PageRights { read: true, write, execute }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::testing;

    const ALL: PageRights = PageRights { read: true, write: true, execute: true };

    #[test]
    fn entries_say_what_they_were_made_with() {
        testing::entries_say_what_they_were_made_with::<Pte>(56, &[CacheAttr]);
    }

    /// By hand from the figure "Sv39 page table entry": D A G U X W R V are bits 7 to 0, the page number begins at bit 10.
    #[test]
    fn entries_are_those_of_the_specification() {
        let frame = |at, level, rights| Pte::frame(PhysAddr(at), level, rights, CacheAttr).0;
        assert_eq!(Pte::table(PhysAddr(0x8020_0000)).0, 0x2008_0001);
        assert_eq!(frame(0x8020_0000, 0, ALL), 0x2008_00df);
        assert_eq!(frame(0x8020_0000, 1, PageRights { write: false, ..ALL }), 0x2008_00db);
        assert_eq!(frame(0x4000_0000, 2, PageRights { execute: false, ..ALL }), 0x1000_00d7);
        // The kernel alone: readable, and not for user level.
        assert_eq!(frame(0x1000, 0, PageRights { read: false, ..ALL }), 0x4c3);
        assert_eq!(frame((1 << 56) - 4096, 0, ALL), 0x003f_ffff_ffff_fcdf);
    }
}
