//! Memory while the kernel boots: what is free, the objects made of it, and the rest as untyped memory.

use pecan_arch::BootData;

/// The memory that is free at boot.
pub struct BootMemory {}

impl BootMemory {
    /// The free memory: `boot.memory` without `boot.reserved` and the module.
    ///
    /// # Safety
    /// 1. `boot.memory` is RAM, all of it seen by the kernel at `phys_to_virt`.
    /// 2. Outside `boot.reserved` nobody uses it, now or later, but through what this value hands out. The
    ///    module is there, unchanged, until [`BootMemory::release_module`].
    pub unsafe fn new(_boot: &BootData) -> Self {
        BootMemory {}
    }

    /// Ends the use of the module: its memory becomes free.
    pub fn release_module(&mut self) {}
}
