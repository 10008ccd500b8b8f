//! The extra boot information of RISC-V: the device tree.

use core::mem::size_of;

use pecan_abi::{boot::BootInfoId, riscv64::boot::BootInfoFdt};

use crate::ChunkWriter;

/// What user level is told besides what every architecture tells it.
#[derive(Clone, Copy, Debug)]
pub struct BootExtras<'a> {
    /// The flattened device tree, unchanged.
    pub device_tree: Option<&'a [u8]>,
}

impl BootExtras<'_> {
    /// Bytes of all chunks.
    pub fn len(&self) -> usize {
        self.device_tree.map_or(0, |tree| size_of::<BootInfoFdt>() + tree.len().next_multiple_of(8))
    }

    /// Writes them.
    pub fn write(&self, to: &mut dyn ChunkWriter) {
        let Some(tree) = self.device_tree else { return };
        to.chunk(BootInfoId::Fdt, self.len());
        to.bytes(tree);
        to.zeros(tree.len().next_multiple_of(8) - tree.len());
    }

    /// Nothing is told.
    pub fn is_empty(&self) -> bool {
        self.device_tree.is_none()
    }
}
