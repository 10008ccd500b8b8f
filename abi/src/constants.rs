//! Sizes and bounds that do not depend on the architecture (among the 64-bit ones), and a re-export of those
//! that do.

pub use crate::arch::constants::*;

/// Bits of a machine word.
pub const WORD_BITS: u32 = 64;
/// log2 of the bytes of a machine word.
pub const WORD_SIZE_BITS: u32 = 3;
/// log2 of the size of a capability slot; a CNode of 2^n slots takes n + 5 bits.
pub const SLOT_BITS: u32 = 5;
/// log2 of the size of an endpoint.
pub const ENDPOINT_BITS: u32 = 4;
/// log2 of the size of a notification.
pub const NOTIFICATION_BITS: u32 = 6;
/// log2 of the size of a reply object.
pub const REPLY_BITS: u32 = 5;
/// log2 of the least size of a scheduling context.
pub const MIN_SCHED_CONTEXT_BITS: u32 = 7;
/// Bytes of a scheduling context without extra refills.
pub const CORE_SCHED_CONTEXT_BYTES: usize = 128;
/// Bytes of each refill.
pub const REFILL_SIZE_BYTES: usize = 16;
/// log2 of the least size of an untyped.
pub const MIN_UNTYPED_BITS: u32 = 4;
/// The most objects that one retype creates.
pub const UNTYPED_RETYPE_MAX_OBJECTS: u64 = 256;
/// Width of a badge.
pub const BADGE_BITS: u32 = 64;
/// log2 of the size of the frame that holds the boot information.
pub const BOOT_INFO_FRAME_BITS: u32 = 12;
/// The least priority.
pub const MIN_PRIORITY: u64 = 0;
/// The greatest priority.
pub const MAX_PRIORITY: u64 = 255;
/// The number of priorities.
pub const NUM_PRIORITIES: usize = 256;

/// How many refills a scheduling context of `2^size_bits` bytes can have beyond the two it always has; none
/// if that is too small for a scheduling context.
#[inline]
pub const fn max_extra_refills(size_bits: u32) -> usize {
    (1usize << size_bits).saturating_sub(CORE_SCHED_CONTEXT_BYTES) / REFILL_SIZE_BYTES
}

/// Flags of a scheduling context (`SchedControl` configuration).
pub mod sched_context_flag {
    /// A periodic thread: what is not used of a budget is lost when the thread blocks.
    pub const NONE: u64 = 0;
    /// A sporadic server: what is not used of a budget is kept for later.
    pub const SPORADIC: u64 = 1;
}

/// Flags of a thread.
pub mod tcb_flag {
    /// No flag.
    pub const NONE: u64 = 0;
    /// The thread does not use the FPU; using it is an exception.
    pub const FPU_DISABLED: u64 = 1;
    /// All flags that exist.
    pub const MASK: u64 = 1;
}

/// Whether a page fault was a data access or an instruction fetch, as its message says.
pub mod fault_kind {
    /// Data.
    pub const DATA: u64 = 0;
    /// Instruction.
    pub const INSTRUCTION: u64 = 1;
}
