//! Address spaces: mapping frames, and finding room for them. [`AddressSpace`] is another program's, [`OwnSpace`] this one's.

use core::sync::atomic::AtomicU64;

use pecan_abi::{
    CapRights,
    constants::{PAGE_BITS, USER_TOP, vm_attributes},
};

use crate::{
    Cap, Error, FrameType, LookupFailure, Result,
    alloc::Objects,
    types::{AsidPool, SmallPage, VSpace},
};

/// Bytes of the smallest page.
pub const PAGE_SIZE: u64 = 1 << PAGE_BITS;

/// The address space of another program, with a range of addresses that are handed out in order.
#[derive(Debug)]
pub struct AddressSpace {
    vspace: Cap<VSpace>,
    next: u64,
    end: u64,
}

impl AddressSpace {
    /// Makes an empty address space whose addresses from `start` on are handed out.
    pub fn create(objects: &mut Objects<'_>, pool: Cap<AsidPool>, start: u64) -> Result<Self> {
        let vspace = objects.make::<VSpace>()?;
        if let Err(error) = pool.assign(vspace) {
            // The error that matters is the first one.
            // SAFETY: the capability was made just now, and nobody else has its name.
            let _ = unsafe { objects.delete(vspace) };
            return Err(error);
        }
        Ok(Self { vspace, next: start, end: USER_TOP })
    }

    /// The capability to the top of its page tables.
    pub const fn cap(&self) -> Cap<VSpace> {
        self.vspace
    }

    /// Hands out `bytes` of addresses, aligned to `align` (a power of two). They are not used again.
    pub fn reserve(&mut self, bytes: u64, align: u64) -> Result<u64> {
        let room = || {
            let start = self.next.checked_next_multiple_of(align)?;
            let end = start.checked_add(bytes)?.checked_next_multiple_of(PAGE_SIZE)?;
            (end <= self.end).then_some((start, end))
        };
        let (start, end) = room().ok_or(Error::NoMemory { size_bits: bytes.max(1).ilog2() })?;
        self.next = end;
        Ok(start)
    }

    /// Maps a frame, after making and mapping the paging structures that are missing.
    ///
    /// # Safety
    /// If this program accesses the frame's memory by references, `rights` must not let the other write to it.
    pub unsafe fn map<F: FrameType>(
        &self,
        objects: &mut Objects<'_>,
        frame: Cap<F>,
        vaddr: u64,
        rights: CapRights,
        attr: u64,
    ) -> Result<()> {
        loop {
            // SAFETY: the caller vouches for it.
            let mapped = unsafe { frame.map(self.vspace, vaddr, rights, attr) };
            let Err(error) = mapped else { return Ok(()) };
            self.add_level(objects, vaddr, error)?;
        }
    }

    /// Puts in the paging structure that the error of a mapping says is missing. Any other error is returned.
    fn add_level(&self, objects: &mut Objects<'_>, vaddr: u64, error: Error) -> Result<()> {
        let Error::FailedLookup { failure: LookupFailure::MissingCapability { bits_left }, .. } = error
        else {
            return Err(error);
        };
        let at = |bits: u32| vaddr & !0 << bits;
        crate::arch::make_level(objects, self.vspace, at, bits_left as u32).unwrap_or(Err(error))
    }

    /// Makes `count` small pages and maps them in a row at `vaddr`; returns the first of their capabilities, which
    /// are in consecutive slots. After an error what was made until then stays, mapped.
    pub fn map_new_at(
        &self,
        objects: &mut Objects<'_>,
        vaddr: u64,
        count: u64,
        rights: CapRights,
    ) -> Result<Cap<SmallPage>> {
        let most = pecan_abi::constants::UNTYPED_RETYPE_MAX_OBJECTS;
        let slots = objects.slots.take(count)?;
        let mut made = 0;
        while made < count {
            let run = most.min(count - made);
            // A large run may not fit where single pages do.
            let run = match crate::memory::retype::<SmallPage>(objects.memory, 0, slots.offset(made), run) {
                Ok(_) => run,
                Err(Error::NoMemory { .. }) if run > 1 => {
                    crate::memory::retype::<SmallPage>(objects.memory, 0, slots.offset(made), 1)?;
                    1
                }
                Err(error) => return Err(error),
            };
            for n in made..made + run {
                let frame = slots.offset(n).named::<SmallPage>();
                // SAFETY: the frame was made just now: nobody accesses its memory yet.
                unsafe { self.map(objects, frame, vaddr + n * PAGE_SIZE, rights, vm_attributes::DEFAULT) }?;
            }
            made += run;
        }
        Ok(slots.named())
    }
}

/// The program's own address space, with a range of addresses that are handed out in order.
///
/// Its paging structures are made and mapped where they are missing, and stay.
#[derive(Debug)]
pub struct OwnSpace(AddressSpace);

impl OwnSpace {
    /// The address space that this program runs in.
    ///
    /// # Safety
    /// It must be that one, and from `start` to `end` nothing may be mapped in it that does not come from here.
    pub const unsafe fn new(vspace: Cap<VSpace>, start: u64, end: u64) -> Self {
        Self(AddressSpace { vspace, next: start, end })
    }

    /// The capability to the top of its page tables.
    pub const fn cap(&self) -> Cap<VSpace> {
        self.0.vspace
    }

    /// Hands out addresses, as [`AddressSpace::reserve`].
    pub fn reserve(&mut self, bytes: u64, align: u64) -> Result<u64> {
        self.0.reserve(bytes, align)
    }

    /// Maps a frame, after making and mapping the paging structures that are missing.
    ///
    /// # Safety
    /// The address must be one that was reserved here for this. If this program accesses the frame's memory by references
    /// through another mapping, `rights` must not allow writing, and nobody must write through this one.
    pub unsafe fn map<F: FrameType>(
        &self,
        objects: &mut Objects<'_>,
        frame: Cap<F>,
        vaddr: u64,
        rights: CapRights,
        attr: u64,
    ) -> Result<()> {
        // SAFETY: the caller vouches for it.
        unsafe { self.0.map(objects, frame, vaddr, rights, attr) }
    }

    /// Maps a frame at an address of this type's choosing; returns the address. What lies there is as much the business of
    /// others who have the frame: it can be accessed only by raw pointers or atomics.
    pub fn map_anywhere<F: FrameType>(
        &mut self,
        objects: &mut Objects<'_>,
        frame: Cap<F>,
        rights: CapRights,
        attr: u64,
    ) -> Result<u64> {
        let vaddr = self.reserve(1 << F::SIZE_BITS, 1 << F::SIZE_BITS)?;
        // SAFETY: the address was reserved just now. A mapping by itself accesses nothing; whoever makes a reference of the
        // address has to know who else has the frame.
        unsafe { self.map(objects, frame, vaddr, rights, attr) }?;
        Ok(vaddr)
    }

    /// Makes small pages, as [`AddressSpace::map_new_at`].
    ///
    /// # Safety
    /// The addresses must be ones that were reserved here for this.
    pub unsafe fn map_new_at(
        &self,
        objects: &mut Objects<'_>,
        vaddr: u64,
        count: u64,
        rights: CapRights,
    ) -> Result<Cap<SmallPage>> {
        self.0.map_new_at(objects, vaddr, count, rights)
    }

    /// Makes small pages for `bytes` and maps them readable and writable; returns the address and the first
    /// capability.
    pub fn map_new(&mut self, objects: &mut Objects<'_>, bytes: u64) -> Result<(u64, Cap<SmallPage>)> {
        let pages = bytes.div_ceil(PAGE_SIZE);
        let vaddr = self.reserve(pages * PAGE_SIZE, PAGE_SIZE)?;
        let frame = self.0.map_new_at(objects, vaddr, pages, CapRights::READ_WRITE)?;
        Ok((vaddr, frame))
    }
}

/// A page-sized window of this program's own address space, to look into frames that belong elsewhere.
#[derive(Debug)]
pub struct Window {
    vspace: Cap<VSpace>,
    vaddr: u64,
}

impl Window {
    /// Reserves a window. The first use makes the paging structures.
    pub fn new(own: &mut OwnSpace) -> Result<Self> {
        Ok(Self { vspace: own.cap(), vaddr: own.reserve(PAGE_SIZE, PAGE_SIZE)? })
    }

    /// Maps a frame that is mapped nowhere, lets `action` read and write it, and unmaps it again.
    ///
    /// # Safety
    /// Nobody else may access the frame meanwhile, through another capability to it. For a frame that others have mapped
    /// there is [`Window::with_shared`].
    pub unsafe fn with<R>(
        &mut self,
        objects: &mut Objects<'_>,
        frame: Cap<SmallPage>,
        action: impl FnOnce(&mut [u8; PAGE_SIZE as usize]) -> R,
    ) -> Result<R> {
        self.show(objects, frame, |address| {
            // SAFETY: the window's address is reserved for it, the frame was just mapped there writable, and the window is
            // borrowed mutably, so this is the only reference in this program; the caller vouches for others. It ends
            // before the frame is unmapped.
            action(unsafe { &mut *(address as *mut [u8; PAGE_SIZE as usize]) })
        })
    }

    /// The same for a frame that others may read and write meanwhile: its words can be anything, at any moment.
    ///
    /// # Safety
    /// This program must not access the frame's memory by references to anything but atomics.
    pub unsafe fn with_shared<R>(
        &mut self,
        objects: &mut Objects<'_>,
        frame: Cap<SmallPage>,
        action: impl FnOnce(&[AtomicU64; PAGE_SIZE as usize / 8]) -> R,
    ) -> Result<R> {
        self.show(objects, frame, |address| {
            // SAFETY: the frame was just mapped there writable, and is unmapped after the reference ended; it is one to
            // atomics, which others may write.
            action(unsafe { &*(address as *const [AtomicU64; PAGE_SIZE as usize / 8]) })
        })
    }

    /// Maps a frame in the window while `action` runs, which is given the address.
    fn show<R>(
        &mut self,
        objects: &mut Objects<'_>,
        frame: Cap<SmallPage>,
        action: impl FnOnce(u64) -> R,
    ) -> Result<R> {
        let space = AddressSpace { vspace: self.vspace, next: 0, end: 0 };
        // SAFETY: the window's address is reserved for it; the callers see to who accesses the frame.
        unsafe {
            space.map(objects, frame, self.vaddr, CapRights::READ_WRITE, vm_attributes::DEFAULT)?;
        }
        let result = action(self.vaddr);
        // SAFETY: what was lent to the action has ended.
        unsafe { frame.unmap() }?;
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_aligned_and_not_handed_out_twice() {
        let mut space = AddressSpace { vspace: Cap::at(3), next: 0x1000, end: 0x40_0000 };
        assert_eq!(space.reserve(1, 0x1000), Ok(0x1000));
        assert_eq!(space.reserve(0x2001, 0x1000), Ok(0x2000));
        assert_eq!(space.reserve(0x1000, 0x20_0000), Ok(0x20_0000));
        assert_eq!(space.reserve(0x1f_f001, 0x1000), Err(Error::NoMemory { size_bits: 20 }));
        assert_eq!(space.reserve(0x1f_f000, 0x1000), Ok(0x20_1000));
        assert!(space.reserve(u64::MAX, 0x1000).is_err());
    }
}
