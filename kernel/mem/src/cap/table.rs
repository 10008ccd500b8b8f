//! The words of capabilities to paging structures: their levels, and which are address spaces.

use super::{KIND, Mapping, OWN_SHIFT, Words, mapping_word, tag, word0};
use crate::{
    link::Link,
    object::PageTable,
    vspace::{ROOT_LEVEL, has_own_type},
};

/// The bits of a paging structure's own that hold its level.
const LEVEL_BITS: u64 = 7;
/// There: it has none yet.
pub(crate) const NO_LEVEL: u64 = LEVEL_BITS;
/// Some paging structures have no level at first.
pub(crate) const ANY_LEVELS: bool = {
    let (mut any, mut level) = (false, 0);
    while level <= ROOT_LEVEL {
        any |= !has_own_type(level);
        level += 1;
    }
    any
};

/// What the bits of a paging structure's own say of its level.
#[inline(always)]
pub(crate) const fn table_level(own: u64) -> Option<u8> {
    let level = own & LEVEL_BITS;
    if ANY_LEVELS && level == NO_LEVEL { None } else { Some(level as u8) }
}

#[inline(always)]
pub(super) const fn level_bits(level: Option<u8>) -> u64 {
    match level {
        Some(level) => level as u64,
        None => NO_LEVEL,
    }
}

impl Words {
    /// The table, if this is the capability to one that can become the root of an address space: it is not one, and not mapped.
    #[inline(always)]
    pub fn unassigned_root(self) -> Option<Link<PageTable>> {
        const LEVEL: u64 = if has_own_type(ROOT_LEVEL) { ROOT_LEVEL as u64 } else { NO_LEVEL };
        const ROOT: u64 = word0(tag::PAGE_TABLE, LEVEL, 0);
        // SAFETY: the tag is a page table's.
        (self.w0 & KIND == ROOT && self.w1 >> 48 == 0).then(|| unsafe { self.link() })
    }

    /// The root table and its ASID, if this is the capability to an address space that was given one.
    #[inline(always)]
    pub fn vspace(self) -> Option<(Link<PageTable>, u16)> {
        const ROOT: u64 = word0(tag::PAGE_TABLE, ROOT_LEVEL as u64, 0);
        let asid = (self.w1 >> 48) as u16;
        // SAFETY: the tag is a page table's.
        (self.w0 & KIND == ROOT && asid != 0).then(|| (unsafe { self.link() }, asid))
    }

    /// The address of the paging structure that this is known to be a capability to.
    #[inline(always)]
    pub(crate) fn table_address(self) -> usize {
        debug_assert!(self.tag() == tag::PAGE_TABLE);
        self.addr()
    }

    /// The capability to a paging structure, of this level now and mapped there. The level changes only of those that have
    /// none by themselves.
    #[inline(always)]
    pub(crate) fn table_at(self, level: Option<u8>, mapping: Option<Mapping>) -> Words {
        debug_assert!(self.tag() == tag::PAGE_TABLE);
        let w0 = if ANY_LEVELS {
            self.w0 & !(LEVEL_BITS << OWN_SHIFT) | level_bits(level) << OWN_SHIFT
        } else {
            self.w0
        };
        Words { w0, w1: mapping_word(mapping) }
    }

    /// True for the capability to a paging structure that is mapped.
    #[inline(always)]
    pub fn is_mapped_table(self) -> bool {
        self.tag() == tag::PAGE_TABLE && self.w1 >> 48 != 0
    }
}
