//! Memory while the kernel boots: what is free, the objects made of it, and the rest as untyped memory.
//!
//! Each byte of memory that can be used is in one place: free, part of an object, or untyped memory with a capability.
//! `pecan_core::boot` takes objects from the top while it builds the root task, and at the end the rest as
//! pieces of powers of two. It is used once, before user level runs, and so may search lists that nothing
//! else keeps.

use core::marker::PhantomData;

use pecan_arch::{BootData, PhysAddr, PhysRegion, Regions, phys_to_virt};

use crate::{
    cap::{Cap, Control, NewCap, Words},
    retype::{ObjectKind, create},
};

/// Ranges that a list holds at most: as many as the firmware's memory map can come to, and what is cut out of them.
const REGIONS: usize = 320;
/// Smallest piece of untyped memory worth a capability: a page.
pub const MIN_PIECE_BITS: u32 = 12;
/// Device memory ends at this power of two, whatever the processor can address (the ABI's bound).
const DEVICE_TOP: u64 = pecan_abi::constants::PADDR_USER_DEVICE_TOP;

type List = Regions<REGIONS>;

/// Takes `1 << bits` aligned bytes, from as high an address as possible.
fn take_top(list: &mut List, bits: u32) -> Option<PhysAddr> {
    let size = 1u64 << bits;
    let fit = |r: &PhysRegion| r.end.0.checked_sub(size).map(|s| s & !(size - 1)).filter(|&s| s >= r.start.0);
    let start = list.as_slice().iter().rev().find_map(fit)?;
    list.remove(PhysRegion::new(start, start + size));
    Some(PhysAddr(start))
}

/// Takes the lowest piece: its start and its size, log2.
fn take_piece(list: &mut List) -> Option<(PhysAddr, u32)> {
    let first = *list.as_slice().first()?;
    let bits = piece_bits(first.start.0, first.len());
    list.remove(PhysRegion::new(first.start.0, first.start.0 + (1 << bits)));
    Some((first.start, bits))
}

/// The largest power of two (log2) that begins at `start`, aligned to itself, and has no more than `len` bytes.
fn piece_bits(start: u64, len: u64) -> u32 {
    start.trailing_zeros().min(len.max(1).ilog2()).min(pecan_abi::constants::MAX_UNTYPED_BITS)
}

/// The memory that is free at boot, the device memory, and the boot module.
///
/// There is one such value, and memory leaves it once: as an object or as an untyped capability.
pub struct BootMemory<'a> {
    free: List,
    devices: List,
    boot: &'a BootData<'a>,
    module: PhysRegion,
    /// Bytes that have become objects.
    made: u64,
    /// All that is left is to become untyped memory: the kernel may still run in some of it.
    released: bool,
    /// Made and used where the kernel boots.
    _not_send: PhantomData<*const ()>,
}

impl<'a> BootMemory<'a> {
    /// The free memory (`boot.memory` without `boot.reserved`, `boot.boot_only` and the module), and as device memory all
    /// that the processor can address besides, without `boot.withheld`.
    ///
    /// # Safety
    /// 1. `boot.memory` is RAM, all of it seen by the kernel at `phys_to_virt`.
    /// 2. Outside `boot.reserved` nobody uses it, now or later, but through what this value hands out; this is
    ///    the only such value. The module is there, unchanged, until [`BootMemory::release`]. The caller may use
    ///    `boot.boot_only` until the first thread runs.
    pub unsafe fn new(boot: &'a BootData<'a>) -> Self {
        let mut free = List::new();
        let mut devices = List::new();
        devices.add(PhysRegion::new(0, boot.phys_limit.0.min(DEVICE_TOP)));
        for &region in boot.memory {
            free.add(region);
            devices.remove(region);
        }
        for &region in boot.withheld {
            devices.remove(region);
        }
        for &region in boot.reserved.iter().chain(boot.boot_only) {
            free.remove(region);
        }
        let module = boot.module.unwrap_or_default();
        free.remove(module.whole_pages());
        BootMemory { free, devices, boot, module, made: 0, released: false, _not_send: PhantomData }
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

    /// Ends the use of the module and of the memory that the kernel boots in: both become free, and no more objects can be
    /// made, only untyped memory. Once; after that nothing happens.
    pub fn release(&mut self) {
        // Once: what it makes free is handed out after that.
        if core::mem::replace(&mut self.released, true) {
            return;
        }
        let module = core::mem::take(&mut self.module).whole_pages();
        for gone in self.boot.boot_only.iter().copied().chain([module]) {
            for region in self.boot.memory {
                self.free
                    .add(PhysRegion { start: region.start.max(gone.start), end: region.end.min(gone.end) });
            }
        }
        for &region in self.boot.reserved {
            self.free.remove(region);
        }
    }

    /// One of the authorities that are none over an object. They come into the world here: only who builds the root task
    /// has such a value.
    pub fn control(&mut self, control: Control) -> NewCap {
        NewCap::control(control)
    }

    /// Makes an object of zeroed memory, as high up as possible. `None` if there is no memory left for it, or after
    /// [`BootMemory::release`].
    pub fn alloc(&mut self, kind: ObjectKind) -> Option<NewCap> {
        if self.released || kind.bits() >= ObjectKind::IMPOSSIBLE {
            return None;
        }
        let at = take_top(&mut self.free, kind.bits())?;
        self.made += 1 << kind.bits();
        // SAFETY: the memory was free, so it is RAM that the kernel sees and nobody else uses (`new`'s
        // obligations; nothing has been released); it has just left `free`.
        unsafe {
            (phys_to_virt(at) as *mut u8).write_bytes(0, 1 << kind.bits());
            Some(create(kind, at, false))
        }
    }

    /// Copies `bytes` to `offset` in a frame that came from [`BootMemory::alloc`]. False, and nothing written,
    /// if it is no frame of memory or the bytes do not fit.
    pub fn write(&mut self, frame: Words, offset: usize, bytes: &[u8]) -> bool {
        let Some(to) = frame_bytes(frame, offset, bytes.len()) else { return false };
        // SAFETY: the frame is RAM made of free memory and the range lies inside it. `bytes` is elsewhere: no
        // reference into frames is ever made at boot.
        unsafe { (to as *mut u8).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        true
    }

    /// Copies `len` bytes at `from` in the module to `offset` in a frame that came from [`BootMemory::alloc`].
    /// False, and nothing written, if either range does not exist.
    pub fn write_module(&mut self, frame: Words, offset: usize, from: usize, len: usize) -> bool {
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
        self.free.total()
    }

    /// Bytes that objects have been made of.
    pub fn made_bytes(&self) -> u64 {
        self.made
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
    pub fn take_untyped(&mut self, device: bool, min_bits: u32) -> Option<NewCap> {
        let list = if device { &mut self.devices } else { &mut self.free };
        loop {
            let (base, bits) = take_piece(list)?;
            if bits >= min_bits {
                // A new untyped counts as used up: its first retype resets it.
                let cap = Cap::Untyped { base, bits: bits as u8, device, used: 1 << bits };
                return Some(NewCap(cap.pack()));
            }
        }
    }
}

/// Address of `len` bytes at `offset` in a frame of memory.
fn frame_bytes(frame: Words, offset: usize, len: usize) -> Option<usize> {
    let Cap::Frame { base, level, device: false, .. } = Cap::unpack(frame) else { return None };
    let end = offset.checked_add(len)?;
    (end <= 1 << pecan_arch::level_shift(level as usize)).then(|| phys_to_virt(base) + offset)
}
