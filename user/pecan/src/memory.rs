//! Untyped memory: what is left of it, and which untyped an object is made from.
//!
//! The kernel makes objects from an untyped in order of address, each aligned to its size, and gives memory back
//! only when everything made from the untyped is gone. A [`Region`] keeps the same count for one untyped. What
//! belongs together (all of a component, say) is best made from an untyped of its own, so that one revocation
//! frees it all.

use core::ops::{Deref, DerefMut};

use pecan_abi::constants::{MAX_UNTYPED_BITS, MIN_UNTYPED_BITS};

use crate::{Cap, Error, FrameType, Object, Result, Slot, boot::BootInfo, cspace::Slots, types::Untyped};

/// An untyped, and how much of it is used. There is one of each: a copy would count on its own, and give wrong places and
/// physical addresses.
#[derive(PartialEq, Eq, Debug)]
pub struct Region {
    /// The capability.
    pub untyped: Cap<Untyped>,
    /// Physical address.
    pub paddr: u64,
    /// log2 of its bytes.
    pub size_bits: u32,
    /// Device memory: only frames and untypeds can be made from it, and it is not RAM.
    pub device: bool,
    used: u64,
}

impl Region {
    /// An untyped from which nothing is made yet.
    pub const fn new(untyped: Cap<Untyped>, paddr: u64, size_bits: u32, device: bool) -> Self {
        Self { untyped, paddr, size_bits, device, used: 0 }
    }

    /// Its bytes.
    pub const fn size(&self) -> u64 {
        1 << self.size_bits
    }

    /// Bytes that are not used, though maybe not in one piece that is aligned for what you want.
    pub const fn available(&self) -> u64 {
        self.size() - self.used
    }

    /// Whether `count` objects of `2^size_bits` bytes fit.
    pub fn fits(&self, size_bits: u32, count: u64) -> bool {
        self.place(size_bits, count).is_some()
    }

    /// Where those objects would begin and end, from the start of the region.
    fn place(&self, size_bits: u32, count: u64) -> Option<(u64, u64)> {
        let size = 1u64.checked_shl(size_bits)?;
        let start = self.used.checked_next_multiple_of(size)?;
        let end = start.checked_add(size.checked_mul(count)?)?;
        (end <= self.size()).then_some((start, end))
    }

    /// Makes objects from this untyped. If the kernel has less left than counted, the count is put right.
    pub fn retype<T: Object>(&mut self, parameter: u32, dest: Slot, count: u64) -> Result<Cap<T>> {
        let size_bits = T::size_bits(parameter);
        let Some((_, end)) = self.place(size_bits, count) else { return Err(Error::NoMemory { size_bits }) };
        let result = self.untyped.retype::<T>(parameter, dest, count);
        match result {
            Ok(_) => self.used = end,
            Err(Error::NotEnoughMemory { available }) => self.used = self.size().saturating_sub(available),
            Err(_) => {}
        }
        result
    }

    /// Makes an untyped from this one, as a region of its own.
    pub fn split(&mut self, size_bits: u32, dest: Slot) -> Result<Region> {
        let Some((start, _)) = self.place(size_bits, 1) else { return Err(Error::NoMemory { size_bits }) };
        let untyped = self.retype::<Untyped>(size_bits, dest, 1)?;
        Ok(Region::new(untyped, self.paddr + start, size_bits, self.device))
    }

    /// Destroys everything that was made from this untyped, so that all of it is free again.
    ///
    /// # Safety
    /// As of [`Slot::revoke`].
    pub unsafe fn reset(&mut self, slots: &dyn Slots) -> Result<()> {
        // SAFETY: the caller vouches for it.
        unsafe { slots.slot_of(self.untyped.cptr()).revoke() }?;
        self.used = 0;
        Ok(())
    }
}

/// Makes `count` objects from the RAM region that fits them best: the one with the least left. Where the kernel has
/// less than was counted, the next one is tried.
pub fn retype<T: Object>(regions: &mut [Region], parameter: u32, dest: Slot, count: u64) -> Result<Cap<T>> {
    let size_bits = T::size_bits(parameter);
    let mut tried = None;
    loop {
        let index = best_fit(regions, size_bits, count, tried).ok_or(Error::NoMemory { size_bits })?;
        tried = Some((regions[index].available(), index));
        match regions[index].retype(parameter, dest, count) {
            Err(Error::NotEnoughMemory { .. }) => {}
            result => return result,
        }
    }
}

/// Makes an untyped from the RAM region that fits it best.
pub fn split(regions: &mut [Region], size_bits: u32, dest: Slot) -> Result<Region> {
    let index = best_fit(regions, size_bits, 1, None).ok_or(Error::NoMemory { size_bits })?;
    regions[index].split(size_bits, dest)
}

/// The bytes of RAM that are left.
pub fn available(regions: &[Region]) -> u64 {
    regions.iter().filter(|region| !region.device).map(Region::available).sum()
}

/// The RAM region with the least left in which the objects fit, of those after `tried` (bytes left and index) in
/// that order.
fn best_fit(regions: &[Region], size_bits: u32, count: u64, tried: Option<(u64, usize)>) -> Option<usize> {
    let fitting =
        regions.iter().enumerate().filter(|(_, region)| !region.device && region.fits(size_bits, count));
    let order = fitting.map(|(index, region)| (region.available(), index));
    order.filter(|at| tried.is_none_or(|tried| *at > tried)).min().map(|(_, index)| index)
}

const CAPACITY: usize = 384;

/// All the untypeds of a root task: a list of regions.
#[derive(Debug)]
pub struct UntypedPool {
    regions: [Region; CAPACITY],
    len: usize,
}

impl UntypedPool {
    /// A pool with nothing in it.
    pub const fn new() -> Self {
        Self { regions: [const { Region::new(Cap::NULL, 0, 0, false) }; CAPACITY], len: 0 }
    }

    /// Puts in what the boot information lists. Regions that there is no room for are left out, which cannot
    /// happen with a pool that was empty.
    pub fn add_boot_untypeds(&mut self, boot: &BootInfo) {
        for (untyped, desc) in boot.untypeds() {
            let region = Region::new(untyped, desc.paddr, desc.size_bits.into(), desc.is_device != 0);
            // The list in the boot information is shorter than a pool.
            let _ = self.add(region);
        }
    }

    /// Adds a region.
    pub fn add(&mut self, region: Region) -> Result<()> {
        let place = self.regions.get_mut(self.len).ok_or(Error::NoSlots)?;
        *place = region;
        self.len += 1;
        Ok(())
    }

    /// The frame at a physical address of device memory. The memory before it stays available: it is split off as
    /// untypeds that join the pool. A frame is given out once.
    pub fn device_frame<F: FrameType>(&mut self, paddr: u64, slots: &mut dyn Slots) -> Result<Cap<F>> {
        let none = Error::NoMemory { size_bits: F::SIZE_BITS };
        let frame_end = paddr.checked_add(1 << F::SIZE_BITS).ok_or(none)?;
        if !paddr.is_multiple_of(1 << F::SIZE_BITS) {
            return Err(Error::AlignmentError);
        }
        let free_part_holds = |region: &Region| {
            region.device && region.paddr + region.used <= paddr && frame_end <= region.paddr + region.size()
        };
        let index = self.iter().position(free_part_holds).ok_or(none)?;
        while self.regions[index].paddr + self.regions[index].used < paddr {
            let region = &mut self.regions[index];
            let size_bits = filler_bits(region.used, paddr - region.paddr);
            let dest = slots.take(1)?;
            match region.split(size_bits, dest) {
                Ok(filler) => self.add(filler)?,
                Err(error) => {
                    slots.give_back(dest);
                    return Err(error);
                }
            }
        }
        let dest = slots.take(1)?;
        let frame = self.regions[index].retype::<F>(0, dest, 1);
        if frame.is_err() {
            slots.give_back(dest);
        }
        frame
    }
}

/// log2 of the largest untyped that is aligned at `from` and does not go past `to`. Both are multiples of the
/// smallest untyped's size.
fn filler_bits(from: u64, to: u64) -> u32 {
    let aligned = if from == 0 { MAX_UNTYPED_BITS } else { from.trailing_zeros() };
    aligned.min((to - from).ilog2()).clamp(MIN_UNTYPED_BITS, MAX_UNTYPED_BITS)
}

impl Default for UntypedPool {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for UntypedPool {
    type Target = [Region];
    fn deref(&self) -> &[Region] {
        &self.regions[..self.len]
    }
}

impl DerefMut for UntypedPool {
    fn deref_mut(&mut self) -> &mut [Region] {
        &mut self.regions[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(size_bits: u32, used: u64) -> Region {
        Region { used, ..Region::new(Cap::at(size_bits.into()), 0x10_0000, size_bits, false) }
    }

    #[test]
    fn objects_are_aligned_to_their_size() {
        let region = region(14, 0x10);
        assert_eq!(region.place(12, 1), Some((0x1000, 0x2000)));
        assert_eq!(region.place(12, 3), Some((0x1000, 0x4000)));
        assert_eq!(region.place(12, 4), None);
        assert_eq!(region.place(4, 1), Some((0x10, 0x20)));
        assert!(!region.fits(14, 1));
        assert!(!region.fits(63, 2) && !region.fits(64, 1) && !region.fits(4, u64::MAX));
    }

    #[test]
    fn the_fullest_region_that_fits_is_used() {
        let device = Region { device: true, ..region(12, 0) };
        let regions = [region(20, 0), region(16, 0x8000), region(16, 0xf800), region(16, 0x8000), device];
        assert_eq!(best_fit(&regions, 12, 1, None), Some(1));
        assert_eq!(best_fit(&regions, 11, 1, None), Some(2));
        assert_eq!(best_fit(&regions, 16, 1, None), Some(0));
        assert_eq!(best_fit(&regions, 21, 1, None), None);
        // If the first choice turns out not to do, the others follow, each once.
        assert_eq!(best_fit(&regions, 12, 1, Some((0x8000, 1))), Some(3));
        assert_eq!(best_fit(&regions, 12, 1, Some((0x8000, 3))), Some(0));
        assert_eq!(best_fit(&regions, 12, 1, Some((0x10_0000, 0))), None);
        assert_eq!(available(&regions), 0x10_0000 + 2 * 0x8000 + 0x800);
    }

    #[test]
    fn fillers_reach_their_target_with_aligned_powers_of_two() {
        let (mut at, target) = (0u64, 0xb_8000);
        let mut sizes = [0; 8];
        for size in &mut sizes {
            if at < target {
                *size = filler_bits(at, target);
                assert!(at.is_multiple_of(1 << *size));
                at += 1 << *size;
            }
        }
        assert_eq!(at, target);
        assert_eq!(sizes, [19, 17, 16, 15, 0, 0, 0, 0]);
    }
}
