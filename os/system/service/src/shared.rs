//! Memory that another component also has mapped. It can change at any moment, so it is only ever copied.

use core::sync::atomic::{AtomicU32, Ordering};

use pecan::startup::Startup;

/// A piece of shared memory.
#[derive(Clone, Copy, Debug)]
pub struct Shared {
    address: usize,
    len: usize,
}

impl Shared {
    /// Memory at an address.
    ///
    /// # Safety
    /// It must be mapped, readable and writable, for as long as this is used, and used by this program in no other
    /// way.
    pub const unsafe fn new(address: usize, len: usize) -> Self {
        Self { address, len }
    }

    /// The memory that a program's start page lists under a name.
    pub fn from_startup(startup: &Startup<'static>, name: &str) -> Option<Self> {
        let (address, len) = startup.memory(name)?;
        // SAFETY: whoever started the program mapped what the page lists, readable and writable, and keeps it mapped;
        // programs get at it in this way alone.
        Some(unsafe { Self::new(usize::try_from(address).ok()?, usize::try_from(len).ok()?) })
    }

    /// Its bytes.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no bytes.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A part of it; what lies outside is left out.
    pub fn part(&self, start: usize, len: usize) -> Self {
        let start = start.min(self.len);
        Self { address: self.address + start, len: len.min(self.len - start) }
    }

    /// Copies bytes out, from the start; returns how many there were.
    pub fn read(&self, into: &mut [u8]) -> usize {
        let len = into.len().min(self.len);
        for (n, byte) in into[..len].iter_mut().enumerate() {
            // SAFETY: by the contract of `new` the memory is mapped; `n` is within it. Volatile, because the
            // other side may write at any moment.
            *byte = unsafe { ((self.address + n) as *const u8).read_volatile() };
        }
        len
    }

    /// Copies bytes in, from the start; returns how many had room.
    pub fn write(&self, from: &[u8]) -> usize {
        let len = from.len().min(self.len);
        for (n, byte) in from[..len].iter().enumerate() {
            // SAFETY: as in `read`.
            unsafe { ((self.address + n) as *mut u8).write_volatile(*byte) };
        }
        len
    }

    fn counter(&self, at: usize) -> &AtomicU32 {
        debug_assert!(at + 4 <= self.len && (self.address + at).is_multiple_of(4));
        // SAFETY: the memory is mapped by the contract of `new`, rings check that they have room for their head,
        // and pages are aligned. Both sides access the counters only as atomics.
        unsafe { &*((self.address + at) as *const AtomicU32) }
    }
}

/// A ring of bytes in shared memory, with one writer and one reader. The first 64 bytes hold the two counters:
/// how many bytes were written in all, and how many were read.
#[derive(Clone, Copy, Debug)]
pub struct Ring {
    memory: Shared,
    data: Shared,
}

const WRITTEN: usize = 0;
const READ: usize = 4;
const HEAD: usize = 64;

impl Ring {
    /// The ring in some memory, which is zero when the ring is new. `None` if there is too little.
    pub fn new(memory: Shared) -> Option<Self> {
        // A power of two, so that counters can wrap around.
        let room = memory.len.checked_sub(HEAD)?.checked_ilog2()?;
        (memory.address.is_multiple_of(4)).then(|| Self { memory, data: memory.part(HEAD, 1 << room) })
    }

    /// Bytes that wait to be read. The other side's counter is an allegation: it is never taken for more than
    /// the ring holds.
    pub fn waiting(&self) -> usize {
        let written = self.memory.counter(WRITTEN).load(Ordering::Acquire);
        let read = self.memory.counter(READ).load(Ordering::Acquire);
        (written.wrapping_sub(read) as usize).min(self.data.len)
    }

    /// Writes as many of the bytes as have room; returns how many.
    pub fn write(&self, bytes: &[u8]) -> usize {
        let room = self.data.len - self.waiting();
        let len = bytes.len().min(room);
        let written = self.memory.counter(WRITTEN).load(Ordering::Relaxed);
        let at = written as usize % self.data.len;
        let first = self.data.part(at, len).write(&bytes[..len]);
        self.data.write(&bytes[first..len]);
        self.memory.counter(WRITTEN).store(written.wrapping_add(len as u32), Ordering::Release);
        len
    }

    /// Reads what waits, as much as there is room for; returns how many bytes.
    pub fn read(&self, into: &mut [u8]) -> usize {
        let len = into.len().min(self.waiting());
        let read = self.memory.counter(READ).load(Ordering::Relaxed);
        let at = read as usize % self.data.len;
        let first = self.data.part(at, len).read(&mut into[..len]);
        self.data.read(&mut into[first..len]);
        self.memory.counter(READ).store(read.wrapping_add(len as u32), Ordering::Release);
        len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(align(64))]
    struct Page([u8; 192]);

    fn ring(page: &mut Page) -> Ring {
        // SAFETY: the page outlives the ring in each test and is not used otherwise.
        Ring::new(unsafe { Shared::new(page.0.as_mut_ptr() as usize, 192) }).unwrap()
    }

    #[test]
    fn bytes_come_out_in_order_and_around_the_end() {
        let mut page = Page([0; 192]);
        let ring = ring(&mut page);
        let mut out = [0; 128];
        for round in 0..50u8 {
            let bytes: [u8; 37] = core::array::from_fn(|n| round.wrapping_mul(7).wrapping_add(n as u8));
            assert_eq!(ring.write(&bytes), 37);
            assert_eq!(ring.waiting(), 37);
            assert_eq!(ring.read(&mut out), 37);
            assert_eq!(out[..37], bytes);
        }
    }

    #[test]
    fn a_full_ring_takes_what_it_can() {
        let mut page = Page([0; 192]);
        let ring = ring(&mut page);
        assert_eq!(ring.write(&[1; 200]), 128);
        assert_eq!(ring.write(&[2; 1]), 0);
        let mut out = [0; 100];
        assert_eq!(ring.read(&mut out), 100);
        assert_eq!(ring.write(&[3; 200]), 100);
        assert_eq!(ring.waiting(), 128);
    }

    #[test]
    fn a_counter_that_lies_does_no_harm() {
        let mut page = Page([0; 192]);
        page.0[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        let ring = ring(&mut page);
        assert_eq!(ring.waiting(), 128);
        assert_eq!(ring.write(&[1]), 0);
        assert_eq!(ring.read(&mut [0; 500]), 128);
    }

    #[test]
    fn parts_stay_inside() {
        let mut page = Page([0; 192]);
        // SAFETY: as in `ring`.
        let shared = unsafe { Shared::new(page.0.as_mut_ptr() as usize, 192) };
        assert_eq!(shared.part(190, 10).len(), 2);
        assert_eq!(shared.part(500, 10).len(), 0);
        assert_eq!(shared.part(190, 10).write(&[1; 10]), 2);
    }
}
