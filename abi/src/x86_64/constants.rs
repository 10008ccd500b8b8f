//! Sizes and bounds of x86_64.

/// log2 of the size of a thread object when the FPU state takes `fpu_size` bytes.
#[inline]
pub const fn tcb_bits(fpu_size: usize) -> u32 {
    if fpu_size >= 832 { 12 } else { 11 }
}

/// log2 of the greatest size of an untyped.
pub const MAX_UNTYPED_BITS: u32 = 47;

/// log2 of the size of the smallest frame, and of every paging structure.
pub const PAGE_BITS: u32 = 12;
/// log2 of the size of a large frame.
pub const LARGE_PAGE_BITS: u32 = 21;
/// log2 of the size of a huge frame.
pub const HUGE_PAGE_BITS: u32 = 30;
/// log2 of the size of a page table.
pub const PAGE_TABLE_BITS: u32 = 12;
/// log2 of the size of a page directory.
pub const PAGE_DIRECTORY_BITS: u32 = 12;
/// log2 of the size of a page-directory-pointer table.
pub const PDPT_BITS: u32 = 12;
/// log2 of the size of a PML4.
pub const PML4_BITS: u32 = 12;
/// log2 of the size of the top of an address space.
pub const VSPACE_BITS: u32 = PML4_BITS;
/// log2 of the number of entries of a paging structure.
pub const PAGING_INDEX_BITS: u32 = 9;
/// log2 of the size of an entry of a paging structure.
pub const PAGING_ENTRY_BITS: u32 = 3;

/// log2 of the size of an ASID pool.
pub const ASID_POOL_BITS: u32 = 12;
/// log2 of the number of address spaces of a pool.
pub const ASID_POOL_INDEX_BITS: u32 = 9;
/// log2 of the number of pools.
pub const NUM_ASID_POOLS_BITS: u32 = 3;

/// The machine number of user programs' ELF files.
pub const ELF_MACHINE: u16 = 62;

/// The end of the address space of a user program: the first address that cannot be mapped.
pub const USER_TOP: u64 = 0x0000_7fff_ffff_f000;
/// Where physical addresses that a user can have as device memory end.
pub const PADDR_USER_DEVICE_TOP: u64 = 1 << 47;

/// The least interrupt vector a user can ask for, counted from the first that user level has.
pub const IRQ_VECTOR_MIN: u64 = 0;
/// The greatest one. (libsel4's header says 109, but the kernel of this ABI refuses 108 and 109.)
pub const IRQ_VECTOR_MAX: u64 = 107;
/// The processor's vector of user vector 0.
pub const IRQ_OFFSET: u64 = 0x30;

/// Hardware breakpoints of a thread, each for instructions or data.
pub const NUM_HW_BREAKPOINTS: usize = 4;

/// Cache attributes of a mapping.
pub mod vm_attributes {
    /// Write-back, the default.
    pub const WRITE_BACK: u64 = 0;
    /// The default.
    pub const DEFAULT: u64 = WRITE_BACK;
    /// Write-through.
    pub const WRITE_THROUGH: u64 = 1;
    /// Not cached, unless a memory type register says otherwise.
    pub const CACHE_DISABLED: u64 = 2;
    /// Not cached.
    pub const UNCACHEABLE: u64 = 3;
    /// Writes are combined; for frame buffers.
    pub const WRITE_COMBINING: u64 = 4;
}
