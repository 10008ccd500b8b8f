//! Objects: a slot and memory at once.

use pecan_abi::CapRights;

use crate::{
    Cap, FixedSize, Object, Result,
    cspace::Slots,
    memory::{self, Region},
};

/// Where objects are made: slots for their capabilities and memory for themselves. It borrows both, so that one
/// CSpace can serve several stocks of memory.
///
/// ```no_run
/// # fn example(cspace: &mut pecan::cspace::CSpace, pool: &mut pecan::memory::UntypedPool) -> pecan::Result<()> {
/// use pecan::{alloc::Objects, types::{CNode, Endpoint}};
///
/// let mut objects = Objects::new(cspace, pool);
/// let endpoint = objects.make::<Endpoint>()?;
/// let cnode_of_256_slots = objects.make_sized::<CNode>(8)?;
/// # Ok(()) }
/// ```
pub struct Objects<'a> {
    /// The slots.
    pub slots: &'a mut dyn Slots,
    /// The memory.
    pub memory: &'a mut [Region],
}

impl<'a> Objects<'a> {
    /// Objects from these slots and this memory.
    pub fn new(slots: &'a mut dyn Slots, memory: &'a mut [Region]) -> Self {
        Self { slots, memory }
    }

    /// Makes an object of fixed size.
    pub fn make<T: FixedSize>(&mut self) -> Result<Cap<T>> {
        self.make_run(0, 1)
    }

    /// Makes an object of variable size ([`Object::size_bits`] says what the parameter is).
    pub fn make_sized<T: Object>(&mut self, parameter: u32) -> Result<Cap<T>> {
        self.make_run(parameter, 1)
    }

    /// Makes `count` objects with capabilities in consecutive slots; returns the first.
    pub fn make_run<T: Object>(&mut self, parameter: u32, count: u64) -> Result<Cap<T>> {
        let dest = self.slots.take(count)?;
        let made = memory::retype(self.memory, parameter, dest, count);
        if made.is_err() {
            for n in (0..count).rev() {
                self.slots.give_back(dest.offset(n));
            }
        }
        made
    }

    /// Takes an untyped out of the memory, as a stock of its own.
    pub fn split(&mut self, size_bits: u32) -> Result<Region> {
        let dest = self.slots.take(1)?;
        let region = memory::split(self.memory, size_bits, dest);
        if region.is_err() {
            self.slots.give_back(dest);
        }
        region
    }

    /// Copies a capability, with no more rights than given.
    pub fn copy<T>(&mut self, cap: Cap<T>, rights: CapRights) -> Result<Cap<T>> {
        let dest = self.slots.take(1)?;
        match dest.copy_from(self.slots.slot_of(cap.cptr()), rights) {
            Ok(()) => Ok(dest.named()),
            Err(error) => {
                self.slots.give_back(dest);
                Err(error)
            }
        }
    }

    /// Copies a capability, with no more rights than given and with a badge.
    pub fn mint<T>(&mut self, cap: Cap<T>, rights: CapRights, badge: u64) -> Result<Cap<T>> {
        let dest = self.slots.take(1)?;
        match dest.mint_from(self.slots.slot_of(cap.cptr()), rights, badge) {
            Ok(()) => Ok(dest.named()),
            Err(error) => {
                self.slots.give_back(dest);
                Err(error)
            }
        }
    }

    /// Deletes a capability and frees its slot.
    ///
    /// # Safety
    /// As of [`Slot::delete`](crate::Slot::delete).
    pub unsafe fn delete<T>(&mut self, cap: Cap<T>) -> Result<()> {
        let slot = self.slots.slot_of(cap.cptr());
        // SAFETY: the caller vouches for it.
        unsafe { slot.delete() }?;
        self.slots.give_back(slot);
        Ok(())
    }
}
