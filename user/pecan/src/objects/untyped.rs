//! Untyped memory and CNodes.

use pecan_abi::{CNodeCapData, CapRights};

use crate::{
    Cap, Object, Result, Slot,
    raw::invocations as raw,
    types::{CNode, Untyped},
};

impl Cap<Untyped> {
    /// Makes `count` objects, with capabilities in consecutive slots from `dest` on. `parameter` is the size of
    /// objects of variable size ([`Object::size_bits`]), and ignored for others.
    pub fn retype<T: Object>(self, parameter: u32, dest: Slot, count: u64) -> Result<Cap<T>> {
        let (node, depth, first) = dest.place();
        let (kind, root) = (T::TYPE.word(), dest.root.cptr());
        raw::untyped_retype(self.cptr(), kind, parameter.into(), root, node, depth.into(), first, count)?;
        Ok(dest.named())
    }
}

impl Cap<CNode> {
    /// The slot that `index` resolves to when all of its 64 bits are used, as in a program's own CSpace.
    pub const fn slot(self, index: u64) -> Slot {
        Slot::new(self, index, 64)
    }

    /// Slot `index` of this very CNode, which has `2^size_bits` slots and no guard: as in a CNode that was just made,
    /// and is to become another program's CSpace.
    pub const fn slot_in(self, size_bits: u32, index: u64) -> Slot {
        Slot::new(self, index, size_bits as u8)
    }
}

impl Slot {
    /// Copies the capability of `src` here, with no more rights than given.
    pub fn copy_from(self, src: Slot, rights: CapRights) -> Result<()> {
        raw::cnode_copy(
            self.root.cptr(),
            self.index,
            self.depth,
            src.root.cptr(),
            src.index,
            src.depth,
            rights,
        )
    }

    /// Copies the capability of `src` here, with no more rights than given and with a badge: a word for
    /// endpoints and notifications, [`CNodeCapData`] for CNodes.
    pub fn mint_from(self, src: Slot, rights: CapRights, badge: u64) -> Result<()> {
        raw::cnode_mint(
            self.root.cptr(),
            self.index,
            self.depth,
            src.root.cptr(),
            src.index,
            src.depth,
            rights,
            badge,
        )
    }

    /// Copies the CNode capability of `src` here, with a guard.
    pub fn mint_cnode_from(self, src: Slot, guard: CNodeCapData) -> Result<()> {
        self.mint_from(src, CapRights::ALL, guard.0)
    }

    /// Moves the capability of `src` here.
    ///
    /// # Safety
    /// No name of the capability at its old place is used afterwards.
    pub unsafe fn move_from(self, src: Slot) -> Result<()> {
        // SAFETY: the caller vouches for it.
        unsafe {
            raw::cnode_move(self.root.cptr(), self.index, self.depth, src.root.cptr(), src.index, src.depth)
        }
    }

    /// Moves the capability of `src` here and gives it a badge or a guard.
    ///
    /// # Safety
    /// No name of the capability at its old place is used afterwards.
    pub unsafe fn mutate_from(self, src: Slot, badge: u64) -> Result<()> {
        // SAFETY: the caller vouches for it.
        unsafe {
            raw::cnode_mutate(
                self.root.cptr(),
                self.index,
                self.depth,
                src.root.cptr(),
                src.index,
                src.depth,
                badge,
            )
        }
    }

    /// Moves the capability of `pivot` here and that of `src` to `pivot`, each with a new badge or guard.
    ///
    /// # Safety
    /// No name of a capability at its old place is used afterwards.
    pub unsafe fn rotate_from(self, badge: u64, pivot: Slot, pivot_badge: u64, src: Slot) -> Result<()> {
        // SAFETY: the caller vouches for it.
        unsafe {
            raw::cnode_rotate(
                self.root.cptr(),
                self.index,
                self.depth,
                badge,
                pivot.root.cptr(),
                pivot.index,
                pivot.depth,
                pivot_badge,
                src.root.cptr(),
                src.index,
                src.depth,
            )
        }
    }

    /// Deletes the capability. The object goes with its last capability.
    ///
    /// # Safety
    /// No name of a capability that goes away is used afterwards, and no memory of this program that goes with it.
    pub unsafe fn delete(self) -> Result<()> {
        // SAFETY: the caller vouches for it.
        unsafe { raw::cnode_delete(self.root.cptr(), self.index, self.depth) }
    }

    /// Deletes every capability derived from this one, not this one itself.
    ///
    /// # Safety
    /// No name of a capability that goes away is used afterwards, and no memory of this program that goes with it.
    pub unsafe fn revoke(self) -> Result<()> {
        // SAFETY: the caller vouches for it.
        unsafe { raw::cnode_revoke(self.root.cptr(), self.index, self.depth) }
    }

    /// Aborts the pending sends that were made with the badge of this endpoint capability.
    pub fn cancel_badged_sends(self) -> Result<()> {
        raw::cnode_cancel_badged_sends(self.root.cptr(), self.index, self.depth)
    }
}
