//! AArch64 has no capabilities of its own so far.

use pecan_mem::{ArchCap, Kernel};

/// The last capability to such an object goes.
pub fn end(_k: &Kernel, cap: ArchCap) {
    match cap {}
}

/// What is the same for all capabilities to an object, and for no other.
pub fn identity(cap: ArchCap) -> usize {
    match cap {}
}
