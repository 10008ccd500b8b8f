//! Sizes and bounds of AArch64.

/// log2 of the size of a thread object, whatever the FPU state takes.
#[inline]
pub const fn tcb_bits(_fpu_size: usize) -> u32 {
    11
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
/// log2 of the size of the top of an address space.
pub const VSPACE_BITS: u32 = 12;
/// log2 of the number of entries of a paging structure.
pub const PAGING_INDEX_BITS: u32 = 9;
/// log2 of the size of an entry of a paging structure.
pub const PAGING_ENTRY_BITS: u32 = 3;
/// log2 of the size of a virtual processor.
pub const VCPU_BITS: u32 = 12;

/// log2 of the size of an ASID pool.
pub const ASID_POOL_BITS: u32 = 12;
/// log2 of the number of address spaces of a pool.
pub const ASID_POOL_INDEX_BITS: u32 = 9;
/// log2 of the number of pools.
pub const NUM_ASID_POOLS_BITS: u32 = 7;

/// The machine number of user programs' ELF files.
pub const ELF_MACHINE: u16 = 183;

/// The end of the address space of a user program: the first address that cannot be mapped.
pub const USER_TOP: u64 = 0x0000_7fff_ffff_ffff;
/// Where physical addresses that a user can have as device memory end.
pub const PADDR_USER_DEVICE_TOP: u64 = 1 << 40;

/// Breakpoints of a thread on instructions.
pub const NUM_EXCLUSIVE_BREAKPOINTS: usize = 6;
/// Breakpoints of a thread on data.
pub const NUM_EXCLUSIVE_WATCHPOINTS: usize = 4;
/// Hardware breakpoints of a thread: those on instructions, then those on data.
pub const NUM_HW_BREAKPOINTS: usize = NUM_EXCLUSIVE_BREAKPOINTS + NUM_EXCLUSIVE_WATCHPOINTS;

/// Attributes of a mapping.
pub mod vm_attributes {
    /// The default: cached.
    pub const DEFAULT: u64 = PAGE_CACHEABLE | PARITY_ENABLED;
    /// Goes through the cache.
    pub const PAGE_CACHEABLE: u64 = 1;
    /// Has no meaning on this architecture.
    pub const PARITY_ENABLED: u64 = 2;
    /// Instructions are not fetched from it.
    pub const EXECUTE_NEVER: u64 = 4;
}
