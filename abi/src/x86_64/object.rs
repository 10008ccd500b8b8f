//! Types of kernel objects.

use super::constants::*;

object_types! {
    /// A page-directory-pointer table: 512 GiB of address space.
    Pdpt = 7: Paging::Table { level: 2 }, PDPT_BITS;
    /// A PML4, the top of an address space.
    Pml4 = 8: Paging::Table { level: 3 }, PML4_BITS;
    /// A frame of 1 GiB.
    HugePage = 9: Paging::Frame { level: 2 }, HUGE_PAGE_BITS;
    /// A frame of 4 KiB.
    Page4K = 10: Paging::Frame { level: 0 }, PAGE_BITS;
    /// A frame of 2 MiB.
    LargePage = 11: Paging::Frame { level: 1 }, LARGE_PAGE_BITS;
    /// A page table: 2 MiB of address space.
    PageTable = 12: Paging::Table { level: 0 }, PAGE_TABLE_BITS;
    /// A page directory: 1 GiB of address space.
    PageDirectory = 13: Paging::Table { level: 1 }, PAGE_DIRECTORY_BITS;
}

impl ObjectType {
    /// The top of an address space.
    pub const VSPACE: Self = Self::Pml4;
    /// The smallest frame.
    pub const SMALL_PAGE: Self = Self::Page4K;
}
