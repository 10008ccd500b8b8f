//! Address spaces: frames and ASIDs. Paging structures are those of an architecture ([`crate::arch`]).

use pecan_abi::CapRights;

use crate::{
    Cap, FrameType, Result, Slot,
    raw::invocations,
    types::{AsidControl, AsidPool, Untyped, VSpace},
};

impl<F: FrameType> Cap<F> {
    /// Maps the frame at `vaddr`, or changes rights and attributes where it is mapped already. Attributes are
    /// one of [`pecan_abi::constants::vm_attributes`]. When a paging structure is missing, the error says at
    /// which level; [`crate::vspace::AddressSpace`] puts it in.
    ///
    /// # Safety
    /// If this program accesses the frame's memory by references, nobody else gets to write to it, and it stays mapped
    /// where it was with the rights that it had.
    pub unsafe fn map(self, vspace: Cap<VSpace>, vaddr: u64, rights: CapRights, attr: u64) -> Result<()> {
        // SAFETY: the caller vouches for it.
        unsafe { invocations::page_map(self.cptr(), vspace.cptr(), vaddr, rights, attr) }
    }

    /// Unmaps the frame; does nothing if it is not mapped.
    ///
    /// # Safety
    /// If it is mapped in this program's address space, its memory is not used there afterwards.
    pub unsafe fn unmap(self) -> Result<()> {
        // SAFETY: the caller vouches for it.
        unsafe { invocations::page_unmap(self.cptr()) }
    }

    /// The physical address.
    pub fn physical_address(self) -> Result<u64> {
        invocations::page_get_address(self.cptr())
    }
}

impl Cap<AsidControl> {
    /// Turns an untyped of 4 KiB into an ASID pool, with its capability in `dest`.
    pub fn make_pool(self, untyped: Cap<Untyped>, dest: Slot) -> Result<Cap<AsidPool>> {
        invocations::asid_control_make_pool(
            self.cptr(),
            untyped.cptr(),
            dest.root.cptr(),
            dest.index,
            dest.depth,
        )?;
        Ok(dest.named())
    }
}

impl Cap<AsidPool> {
    /// Gives an address space an identifier. Nothing can be mapped in it before.
    pub fn assign(self, vspace: Cap<VSpace>) -> Result<()> {
        invocations::asid_pool_assign(self.cptr(), vspace.cptr())
    }
}
