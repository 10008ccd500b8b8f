//! What a root task is given where a device tree describes the machine.

use pecan_abi::boot::{BootInfoHeader, BootInfoId};

use crate::boot::BootInfo;

impl BootInfo {
    /// The flattened device tree, as the kernel found it.
    pub fn device_tree(&self) -> Option<&'static [u8]> {
        self.chunk(BootInfoId::Fdt)?.bytes.get(size_of::<BootInfoHeader>()..)
    }

    /// Bytes of memory that the firmware calls usable: not told. The device tree says it to those who read device trees.
    pub fn usable_memory(&self) -> Option<u64> {
        None
    }
}
