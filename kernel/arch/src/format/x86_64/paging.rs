//! The page-table format of x86_64.
//!
//! Only the format: what an entry means, and how one is made. Tables are `pecan_mem`'s objects, and which
//! entry may hold what is decided there. Pure functions, so the format is tested on any host, and the `host`
//! port uses it too.

use core::num::NonZeroU64;

use crate::format::{self, PageRights, PageTableEntry, PhysAddr, x86_64::context::is_canonical};

/// An address space as the processor is told of it: root table and identifier in one word, as the port makes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Space(NonZeroU64);

impl Space {
    /// Bits of the word that are for the identifier.
    pub(crate) const ASID: u64 = 0xfff;

    /// None of the address spaces that there are.
    ///
    /// # Safety
    /// Nobody switches to it: there is no root table behind it.
    pub const unsafe fn none() -> Self {
        Self(NonZeroU64::MIN)
    }

    /// The address space with this word, which must not be 0: no root table lies there.
    #[inline(always)]
    pub(crate) const fn from_word(word: u64) -> Self {
        Self(match NonZeroU64::new(word) {
            Some(word) => word,
            // If one did, there would be no address space in this.
            None => NonZeroU64::MIN,
        })
    }

    /// The address space with this root table and ASID.
    #[cfg(not(target_os = "none"))]
    pub(crate) fn new(root: PhysAddr, asid: u16) -> Self {
        Self::from_word(root.0 & !Self::ASID | u64::from(asid) & Self::ASID)
    }

    /// The root table.
    #[cfg(not(target_os = "none"))]
    pub(crate) fn root(self) -> PhysAddr {
        PhysAddr(self.word() & !Self::ASID)
    }

    /// The ASID.
    #[cfg(not(target_os = "none"))]
    pub(crate) fn asid(self) -> u16 {
        (self.word() & Self::ASID) as u16
    }

    /// Root table and ASID in one word.
    #[inline(always)]
    pub(crate) const fn word(self) -> u64 {
        self.0.get()
    }
}

/// What `INVPCID` takes to drop translations of an address space, of one page perhaps: `None` if the processor cannot have
/// any, as it has no such identifier or address. It would raise an exception.
#[inline]
#[cfg_attr(not(target_os = "none"), allow(dead_code))]
pub(crate) const fn translations(asid: u16, vaddr: u64) -> Option<[u64; 2]> {
    let asid = asid as u64;
    if asid & !Space::ASID == 0 && is_canonical(vaddr) { Some([asid, vaddr]) } else { None }
}

/// The kernel's entries of a root table that are not empty.
pub const KERNEL_ROOT_ENTRIES: [usize; 2] = [Pte::ROOT_USER_ENTRIES, 511];

/// How a frame is cached: the index into the processor's attribute table, which equals the ABI's value
/// (0 write-back, 1 write-through, 2 cache disabled, 3 uncacheable, 4 write-combining).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CacheAttr(u8);

impl CacheAttr {
    /// Ordinary memory.
    pub const WRITE_BACK: Self = Self(0);
    /// Device registers.
    pub const UNCACHEABLE: Self = Self(3);

    /// For a frame, from the ABI's attribute word. Of that only the low three bits count; the values that the ABI does not
    /// define select a stricter kind of caching.
    ///
    /// A frame of memory is ordinary memory whatever the word says: the kernel clears it, and reads messages from it, through
    /// the cache, and two ways to cache one address are not coherent (SDM volume 3, "Programming the PAT"). Devices see what
    /// is in the cache, so drivers lose nothing.
    #[inline(always)]
    pub const fn of_frame(device: bool, word: u64) -> Self {
        if device { Self((word & 7) as u8) } else { Self::WRITE_BACK }
    }

    /// User level may fetch instructions from a frame with this attribute word: the interface cannot forbid it on this
    /// architecture.
    #[inline(always)]
    pub const fn may_execute(_word: u64) -> bool {
        true
    }
}

/// The attribute table that [`CacheAttr`] indexes, as the register wants it: WB, WT, UC-, UC, WC, WT, UC-, UC.
#[cfg_attr(not(target_os = "none"), allow(dead_code))]
pub const PAT: u64 = 0x0007_0401_0007_0406;

/// A page-table entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(transparent)]
pub struct Pte(pub u64);

impl Pte {
    pub(crate) const PRESENT: u64 = 1;
    pub(crate) const WRITE: u64 = 1 << 1;
    pub(crate) const USER: u64 = 1 << 2;
    /// At levels above 0: the entry is a frame.
    pub(crate) const LARGE: u64 = 1 << 7;
    pub(crate) const NO_EXECUTE: u64 = 1 << 63;
    const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

    pub(crate) const fn cache_bits(level: usize, cache: CacheAttr) -> u64 {
        let c = cache.0 as u64;
        // PWT, PCD, and the PAT bit, which sits at bit 7 of a 4 KiB entry and at bit 12 of a larger one.
        (c & 3) << 3 | (c >> 2) << if level == 0 { 7 } else { 12 }
    }
}

/// Four levels (SDM volume 3, "4-Level Paging"). Not to execute needs a processor with NX; the interface does not ask for
/// it on this architecture.
impl PageTableEntry for Pte {
    type Cache = CacheAttr;

    const LEVELS: usize = 4;
    const MAX_FRAME_LEVEL: usize = 2;
    const ROOT_USER_ENTRIES: usize = 256;
    const EMPTY: Self = Self(0);

    #[inline(always)]
    fn table(table: PhysAddr) -> Self {
        Self(table.0 | Self::USER | Self::WRITE | Self::PRESENT)
    }

    #[inline]
    fn frame(frame: PhysAddr, level: usize, rights: PageRights, cache: CacheAttr) -> Self {
        let mut e = frame.0 | Self::PRESENT | Self::cache_bits(level, cache);
        if rights.read {
            e |= Self::USER;
            if rights.write {
                e |= Self::WRITE;
            }
        }
        if !rights.execute {
            e |= Self::NO_EXECUTE;
        }
        if level > 0 {
            e |= Self::LARGE;
        }
        Self(e)
    }

    #[inline(always)]
    fn is_present(self) -> bool {
        self.0 & Self::PRESENT != 0
    }

    #[inline(always)]
    fn is_table(self, level: usize) -> bool {
        // The same as `self.0 & (PRESENT | LARGE) == PRESENT`, in an instruction less: without a borrow zeros are left.
        level > 0 && self.0.wrapping_sub(Self::PRESENT) & (Self::PRESENT | Self::LARGE) == 0
    }

    #[inline(always)]
    fn table_addr(self) -> PhysAddr {
        PhysAddr(self.0 & Self::ADDRESS)
    }

    #[inline(always)]
    fn addr(self, level: usize) -> PhysAddr {
        let mut a = self.0 & Self::ADDRESS;
        if level > 0 && self.0 & Self::LARGE != 0 {
            a &= !((1 << format::level_shift::<Self>(level)) - 1);
        }
        PhysAddr(a)
    }

    fn rights(self) -> PageRights {
        if self.0 & Self::USER == 0 {
            return PageRights::NONE;
        }
        let (write, execute) = (self.0 & Self::WRITE != 0, self.0 & Self::NO_EXECUTE == 0);
        PageRights { read: true, write, execute }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RW: PageRights = PageRights { read: true, write: true, execute: true };

    #[test]
    fn translations_that_cannot_be_are_not_dropped() {
        assert_eq!(translations(4095, 0x7fff_ffff_f000), Some([4095, 0x7fff_ffff_f000]));
        assert_eq!(translations(0, 0xffff_8000_0000_0000), Some([0, 0xffff_8000_0000_0000]));
        for (asid, vaddr) in [(4096, 0), (u16::MAX, 0), (1, 0x8000_0000_0000), (1, 1 << 63)] {
            assert_eq!(translations(asid, vaddr), None, "{asid} {vaddr:x}");
        }
    }

    #[test]
    fn entries_say_what_they_were_made_with() {
        let caches: Vec<CacheAttr> = (0..8).map(|word| CacheAttr::of_frame(true, word)).collect();
        format::testing::entries_say_what_they_were_made_with::<Pte>(52, &caches);
    }

    #[test]
    fn rights_become_bits() {
        let bits = |r| Pte::frame(PhysAddr(0), 0, r, CacheAttr::WRITE_BACK).0;
        assert_eq!(bits(RW), 7);
        assert_eq!(bits(PageRights { write: false, ..RW }), 5);
        assert_eq!(bits(PageRights { read: false, ..RW }), 1, "write-only is kernel-only");
        assert_eq!(bits(PageRights { execute: false, ..RW }), 1 << 63 | 7);
    }

    #[test]
    fn memory_is_cached_in_one_way() {
        for word in [0, 1, 2, 3, 4, 7, u64::MAX] {
            assert_eq!(CacheAttr::of_frame(false, word), CacheAttr::WRITE_BACK);
        }
    }

    #[test]
    fn cache_attributes_select_the_matching_pat_entry() {
        for abi in 0..5u64 {
            for level in 0..2 {
                let e = Pte::frame(PhysAddr(0), level, RW, CacheAttr::of_frame(true, abi)).0;
                let pat = if level == 0 { e >> 7 & 1 } else { e >> 12 & 1 };
                let index = pat << 2 | e >> 3 & 3;
                let kind = PAT >> (index * 8) & 0xff;
                assert_eq!(kind, [6, 4, 7, 0, 1][abi as usize], "attribute {abi} at level {level}");
            }
        }
    }
}
