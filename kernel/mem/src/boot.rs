//! Memory while the kernel boots: what is free, the objects made of it, and the rest as untyped memory.

use core::marker::PhantomData;

use pecan_arch::{BootData, PhysAddr, PhysRegion, phys_to_virt};

use crate::{
    cap::Cap,
    retype::{ObjectKind, create},
};

/// Ranges that a list holds at most.
const REGIONS: usize = 96;
/// Smallest piece of untyped memory worth a capability: a page.
pub const MIN_PIECE_BITS: u32 = 12;
/// Device memory ends at this power of two, whatever the processor can address (the ABI's bound).
const DEVICE_TOP: u64 = pecan_abi::constants::PADDR_USER_DEVICE_TOP;

/// Sorted, disjoint, non-adjacent ranges of physical memory.
struct Regions {
    items: [PhysRegion; REGIONS],
    len: usize,
}

impl Regions {
    const fn new() -> Self {
        Regions { items: [PhysRegion::new(0, 0); REGIONS], len: 0 }
    }

    fn as_slice(&self) -> &[PhysRegion] {
        &self.items[..self.len]
    }

    /// Puts a range at `index`. A range for which there is no room is forgotten: memory is lost, nothing worse.
    fn insert_at(&mut self, index: usize, region: PhysRegion) {
        if !region.is_empty() && self.len < REGIONS {
            self.items.copy_within(index..self.len, index + 1);
            self.items[index] = region;
            self.len += 1;
        }
    }

    fn remove_at(&mut self, index: usize) {
        self.items.copy_within(index + 1..self.len, index);
        self.len -= 1;
    }

    /// Adds a range, which must not overlap those that are there.
    fn add(&mut self, mut region: PhysRegion) {
        if region.is_empty() {
            return;
        }
        let mut index = self.as_slice().partition_point(|r| r.start < region.start);
        if index < self.len && self.items[index].start == region.end {
            region.end = self.items[index].end;
            self.remove_at(index);
        }
        if index > 0 && self.items[index - 1].end == region.start {
            index -= 1;
            region.start = self.items[index].start;
            self.remove_at(index);
        }
        self.insert_at(index, region);
    }

    /// Takes a range out, of which any part may or may not be there.
    fn subtract(&mut self, cut: PhysRegion) {
        if cut.is_empty() {
            return;
        }
        let mut index = 0;
        while index < self.len {
            let old = self.items[index];
            if old.end <= cut.start || old.start >= cut.end {
                index += 1;
                continue;
            }
            self.remove_at(index);
            let (below, above) = (
                PhysRegion { start: old.start, end: old.end.min(cut.start) },
                PhysRegion { start: old.start.max(cut.end), end: old.end },
            );
            for rest in [below, above] {
                if !rest.is_empty() {
                    self.insert_at(index, rest);
                    index += 1;
                }
            }
        }
    }

    /// Takes `1 << bits` aligned bytes, from as high an address as possible.
    fn take_top(&mut self, bits: u32) -> Option<PhysAddr> {
        let size = 1u64 << bits;
        let fit =
            |r: &PhysRegion| r.end.0.checked_sub(size).map(|s| s & !(size - 1)).filter(|&s| s >= r.start.0);
        let start = self.as_slice().iter().rev().find_map(fit)?;
        self.subtract(PhysRegion::new(start, start + size));
        Some(PhysAddr(start))
    }

    /// Takes the lowest piece: its start and its size, log2.
    fn take_piece(&mut self) -> Option<(PhysAddr, u32)> {
        let first = *self.as_slice().first()?;
        let bits = piece_bits(first.start.0, first.len());
        self.subtract(PhysRegion::new(first.start.0, first.start.0 + (1 << bits)));
        Some((first.start, bits))
    }
}

/// The largest power of two (log2) that begins at `start`, aligned to itself, and has no more than `len` bytes.
fn piece_bits(start: u64, len: u64) -> u32 {
    start.trailing_zeros().min(len.max(1).ilog2()).min(pecan_abi::constants::MAX_UNTYPED_BITS)
}

/// The memory that is free at boot, the device memory, and the boot module.
///
/// There is one such value, and memory leaves it once: as an object or as an untyped capability.
pub struct BootMemory<'a> {
    free: Regions,
    devices: Regions,
    boot: &'a BootData<'a>,
    module: PhysRegion,
    /// Made and used where the kernel boots.
    _not_send: PhantomData<*const ()>,
}

impl<'a> BootMemory<'a> {
    /// The free memory (`boot.memory` without `boot.reserved` and the module), and as device memory all that
    /// the processor can address besides, without `boot.kernel_devices`.
    ///
    /// # Safety
    /// 1. `boot.memory` is RAM, all of it seen by the kernel at `phys_to_virt`.
    /// 2. Outside `boot.reserved` nobody uses it, now or later, but through what this value hands out; this is
    ///    the only such value. The module is there, unchanged, until [`BootMemory::release_module`].
    pub unsafe fn new(boot: &'a BootData<'a>) -> Self {
        let mut free = Regions::new();
        let mut devices = Regions::new();
        devices.add(PhysRegion::new(0, boot.phys_limit.0.min(DEVICE_TOP)));
        for &region in boot.memory {
            free.add(region);
            devices.subtract(region);
        }
        boot.kernel_devices.iter().for_each(|&r| devices.subtract(r));
        boot.reserved.iter().for_each(|&r| free.subtract(r));
        let module = boot.module.unwrap_or_default();
        free.subtract(whole_pages(module));
        BootMemory { free, devices, boot, module, _not_send: PhantomData }
    }

    /// The boot module's bytes; none once it has been released.
    pub fn module(&self) -> &[u8] {
        if self.module.is_empty() {
            return &[];
        }
        // SAFETY: `new` was promised that the module is RAM the kernel sees and does not change until it is
        // released, which takes `&mut self`. Until then it is not in `free`, so nothing is made of it.
        unsafe {
            core::slice::from_raw_parts(
                phys_to_virt(self.module.start) as *const u8,
                self.module.len() as usize,
            )
        }
    }

    /// Ends the use of the module: its memory becomes free.
    pub fn release_module(&mut self) {
        let pages = whole_pages(core::mem::take(&mut self.module));
        for region in self.boot.memory {
            self.free.add(PhysRegion {
                start: region.start.max(pages.start),
                end: region.end.min(pages.end).max(region.start.max(pages.start)),
            });
        }
        self.boot.reserved.iter().for_each(|&r| self.free.subtract(r));
    }

    /// Makes an object of zeroed memory, as high up as possible. `None` if there is no memory left for it.
    pub fn alloc(&mut self, kind: ObjectKind) -> Option<Cap> {
        let at = self.free.take_top(kind.bits())?;
        // SAFETY: the memory was free, so it is RAM that the kernel sees and nobody else uses (`new`'s
        // obligations); it has just left `free`.
        unsafe {
            (phys_to_virt(at) as *mut u8).write_bytes(0, 1 << kind.bits());
            Some(create(kind, at, false))
        }
    }

    /// Copies `bytes` to `offset` in a frame that came from [`BootMemory::alloc`]. False, and nothing written,
    /// if it is no frame of memory or the bytes do not fit.
    pub fn write(&mut self, frame: Cap, offset: usize, bytes: &[u8]) -> bool {
        let Some(to) = frame_bytes(frame, offset, bytes.len()) else { return false };
        // SAFETY: the frame is RAM made of free memory and the range lies inside it. `bytes` is elsewhere: no
        // reference into frames is ever made at boot.
        unsafe { (to as *mut u8).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        true
    }

    /// Copies `len` bytes at `from` in the module to `offset` in a frame that came from [`BootMemory::alloc`].
    /// False, and nothing written, if either range does not exist.
    pub fn write_module(&mut self, frame: Cap, offset: usize, from: usize, len: usize) -> bool {
        let Some(bytes) = from.checked_add(len).and_then(|end| self.module().get(from..end)) else {
            return false;
        };
        let Some(to) = frame_bytes(frame, offset, len) else { return false };
        // SAFETY: as in `write`; the module is not free memory, so no frame overlaps it.
        unsafe { (to as *mut u8).copy_from_nonoverlapping(bytes.as_ptr(), len) };
        true
    }

    /// Bytes of free memory.
    pub fn free_bytes(&self) -> u64 {
        self.free.as_slice().iter().map(PhysRegion::len).sum()
    }

    /// How many pieces of each size (log2) the free memory, or the device memory, falls into.
    pub fn piece_sizes(&self, device: bool) -> [u32; 64] {
        let mut sizes = [0; 64];
        for region in if device { &self.devices } else { &self.free }.as_slice() {
            let mut at = *region;
            while !at.is_empty() {
                let bits = piece_bits(at.start.0, at.len());
                sizes[bits as usize] += 1;
                at.start.0 += 1 << bits;
            }
        }
        sizes
    }

    /// Takes the lowest piece of at least `1 << min_bits` bytes as untyped memory. What lies below it is lost.
    pub fn take_untyped(&mut self, device: bool, min_bits: u32) -> Option<Cap> {
        let list = if device { &mut self.devices } else { &mut self.free };
        loop {
            let (base, bits) = list.take_piece()?;
            if bits >= min_bits {
                // A new untyped counts as used up: its first retype resets it.
                return Some(Cap::Untyped { base, bits: bits as u8, device, used: 1 << bits });
            }
        }
    }
}

/// Address of `len` bytes at `offset` in a frame of memory.
fn frame_bytes(frame: Cap, offset: usize, len: usize) -> Option<usize> {
    let Cap::Frame { base, level, device: false, .. } = frame else { return None };
    let end = offset.checked_add(len)?;
    (end <= 1 << pecan_arch::level_shift(level as usize)).then(|| phys_to_virt(base) + offset)
}

/// The pages that a range touches.
fn whole_pages(region: PhysRegion) -> PhysRegion {
    const PAGE: u64 = 1 << MIN_PIECE_BITS;
    PhysRegion::new(region.start.0 & !(PAGE - 1), region.end.0.next_multiple_of(PAGE))
}
