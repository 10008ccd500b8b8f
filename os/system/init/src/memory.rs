//! The machine's memory, in untypeds, and the slots for what is made of them.

use alloc::vec::Vec;

use pecan::{
    Cap, Error, Result,
    alloc::Objects,
    boot::{self, BootInfo},
    cspace::{CSpace, Slots},
    memory::Region,
    types::{Endpoint, SmallPage},
    vspace::{AddressSpace, PAGE_SIZE, Window},
};
use pecan_manifest::layout;

use crate::output::say;

/// Where the initial task maps things: far from its image and from what the kernel mapped beside it.
const OWN_ADDRESSES: core::ops::Range<u64> = 0x10_0000_0000..0x10_4000_0000;
/// log2 of the bytes set aside for the objects that outlive components: endpoints, shared pages, the log.
const SHARED_BITS: u32 = 21;

/// All that components are made of.
pub struct Memory {
    /// Free slots of the initial task's CSpace.
    pub cspace: CSpace,
    /// The initial task's own address space.
    pub space: AddressSpace,
    /// A page of it through which it looks into frames of components.
    window: Window,
    /// Untypeds from which nothing is made.
    free: Vec<Region>,
    /// For objects that outlive components.
    shared: Region,
}

impl Memory {
    /// Takes what the kernel left.
    pub fn new(boot: &BootInfo) -> Result<Self> {
        let mut cspace = CSpace::new(boot::CNODE, boot.raw().empty);
        let mut free: Vec<Region> = boot
            .untypeds()
            .filter(|(_, desc)| desc.is_device == 0)
            .map(|(untyped, desc)| Region::new(untyped, desc.paddr, desc.size_bits.into(), false))
            .collect();
        let shared = take(&mut free, &mut cspace, SHARED_BITS)?;
        let mut space = AddressSpace::new(boot::VSPACE, OWN_ADDRESSES.start, OWN_ADDRESSES.end);
        let window = Window::new(&mut space)?;
        Ok(Self { cspace, space, window, free, shared })
    }

    /// Takes `2^size_bits` bytes.
    pub fn take(&mut self, size_bits: u32) -> Result<Region> {
        take(&mut self.free, &mut self.cspace, size_bits)
    }

    /// Destroys all that was made of a region, and takes the region back.
    pub fn give_back(&mut self, mut region: Region) {
        match region.reset(&self.cspace) {
            Ok(()) => self.free.push(region),
            // Nothing else may be made of it; it stays out of use.
            Err(error) => say!("*** memory of a component cannot be revoked: {error}"),
        }
    }

    /// Bytes that are free.
    pub fn available(&self) -> u64 {
        self.free.iter().map(Region::available).sum()
    }

    /// The region for objects that outlive components: its bytes, and what is left of them.
    pub fn shared(&self) -> (u64, u64) {
        (self.shared.size(), self.shared.available())
    }

    /// Where objects that outlive components are made.
    pub fn objects(&mut self) -> Objects<'_> {
        Objects::new(&mut self.cspace, core::slice::from_mut(&mut self.shared))
    }

    /// An endpoint that outlives components.
    pub fn endpoint(&mut self) -> Result<Cap<Endpoint>> {
        self.objects().make()
    }

    /// Maps new pages in the initial task itself; returns the address and the first capability.
    pub fn map_own(&mut self, bytes: u64) -> Result<(u64, Cap<SmallPage>)> {
        let mut objects = Objects::new(&mut self.cspace, core::slice::from_mut(&mut self.shared));
        self.space.map_new(&mut objects, bytes)
    }

    /// Lets `action` read and write a frame that is mapped nowhere.
    pub fn with_frame<R>(
        &mut self,
        frame: Cap<SmallPage>,
        action: impl FnOnce(&mut [u8; PAGE_SIZE as usize]) -> R,
    ) -> Result<R> {
        let mut objects = Objects::new(&mut self.cspace, core::slice::from_mut(&mut self.shared));
        self.window.with(&mut objects, frame, action)
    }

    /// Lets `action` read and write a frame that is mapped somewhere.
    pub fn with_mapped_frame<R>(
        &mut self,
        frame: Cap<SmallPage>,
        action: impl FnOnce(&mut [u8; PAGE_SIZE as usize]) -> R,
    ) -> Result<R> {
        let copy = self.objects().copy(frame, pecan::CapRights::READ_WRITE)?;
        let result = self.with_frame(copy, action);
        // The copy was made just now and is ours alone.
        let _ = self.objects().delete(copy);
        result
    }
}

/// Takes a region out of the free ones: the smallest that is large enough, cut in halves down to the size. Halves
/// keep every byte in use, so what is free is exactly what nobody has.
fn take(free: &mut Vec<Region>, cspace: &mut CSpace, size_bits: u32) -> Result<Region> {
    let none = Error::NoMemory { size_bits };
    let found = free.iter().enumerate().filter(|(_, r)| r.size_bits >= size_bits);
    let (index, _) = found.min_by_key(|(_, r)| r.size_bits).ok_or(none)?;
    let mut region = free.swap_remove(index);
    while region.size_bits > size_bits {
        let half = region.size_bits - 1;
        let slots = match cspace.take(2) {
            Ok(slots) => slots,
            Err(error) => {
                free.push(region);
                return Err(error);
            }
        };
        // Nothing is made of the region yet, so both halves fit; its capability stays, as their parent.
        let lower = region.split(half, slots)?;
        free.push(region.split(half, slots.offset(1))?);
        region = lower;
    }
    Ok(region)
}

const _: () = assert!(layout::LOG_SIZE < 1 << SHARED_BITS);
