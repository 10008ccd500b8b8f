//! Chunks of the extra boot information of RISC-V.

use crate::boot::BootInfoHeader;

/// The head of the chunk with the flattened device tree, which follows it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct BootInfoFdt {
    /// Head of the chunk.
    pub header: BootInfoHeader,
}
