//! Types of kernel objects.

use super::constants::*;

object_types! {
    /// A frame of 1 GiB.
    HugePage = 7: Paging::Frame { level: 2 }, HUGE_PAGE_BITS;
    /// The top of an address space.
    VSpace = 8: Paging::Table { level: 3 }, VSPACE_BITS;
    /// A frame of 4 KiB.
    Page4K = 9: Paging::Frame { level: 0 }, PAGE_BITS;
    /// A frame of 2 MiB.
    LargePage = 10: Paging::Frame { level: 1 }, LARGE_PAGE_BITS;
    /// A page table of any level below the top.
    PageTable = 11: Paging::AnyTable, PAGE_TABLE_BITS;
}

impl ObjectType {
    /// The top of an address space.
    pub const VSPACE: Self = Self::VSpace;
    /// The smallest frame.
    pub const SMALL_PAGE: Self = Self::Page4K;
}
