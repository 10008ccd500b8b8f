//! Devices that the description gives the component.

use alloc::format;

use pecan::{
    Cap, Result,
    types::{IoPort, IrqHandler},
};
use pecan_manifest::layout::resource;
use pecan_service::shared::Shared;

use crate::role::{cap, memory};

/// A range of I/O ports.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    cap: Cap<IoPort>,
    first: u16,
}

/// The I/O ports of a name.
pub fn ports(name: &str) -> Option<Ports> {
    Ports::named(&format!("{}{name}", resource::PORTS))
}

impl Ports {
    /// The I/O ports that the start page has under a name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(Self { cap: cap(name)?, first: u16::try_from(crate::startup().parameter(name)?).ok()? })
    }

    /// Reads 8 bits from the port `offset` after the first.
    pub fn read8(&self, offset: u16) -> Result<u8> {
        self.cap.in8(self.first.wrapping_add(offset))
    }

    /// Writes 8 bits to the port `offset` after the first.
    pub fn write8(&self, offset: u16, value: u8) -> Result<()> {
        self.cap.out8(self.first.wrapping_add(offset), value)
    }
}

/// Registers of a device, in memory.
#[derive(Clone, Copy, Debug)]
pub struct Mmio {
    address: usize,
    bytes: usize,
}

/// The registers of a name.
pub fn mmio(name: &str) -> Option<Mmio> {
    let (address, bytes) = crate::startup().memory(&format!("{}{name}", resource::MMIO))?;
    Some(Mmio { address: usize::try_from(address).ok()?, bytes: usize::try_from(bytes).ok()? })
}

impl Mmio {
    /// Reads 32 bits, so many bytes after the first register.
    ///
    /// # Panics
    /// If there is no such register, or the offset is not a multiple of 4.
    pub fn read32(&self, offset: usize) -> u32 {
        // SAFETY: the place is among the registers, and aligned. They are mapped as long as the program runs, and are not
        // memory that a reference could lead to.
        unsafe { (self.place::<u32>(offset) as *const u32).read_volatile() }
    }

    /// Writes 32 bits; as [`Mmio::read32`].
    ///
    /// # Panics
    /// As [`Mmio::read32`].
    pub fn write32(&self, offset: usize, value: u32) {
        // SAFETY: as in `read32`. What the device does with it is the business of whoever gave this component the device.
        unsafe { (self.place::<u32>(offset) as *mut u32).write_volatile(value) }
    }

    /// Reads 64 bits; as [`Mmio::read32`], with multiples of 8.
    ///
    /// # Panics
    /// As [`Mmio::read32`].
    pub fn read64(&self, offset: usize) -> u64 {
        // SAFETY: as in `read32`.
        unsafe { (self.place::<u64>(offset) as *const u64).read_volatile() }
    }

    /// Writes 64 bits; as [`Mmio::read64`].
    ///
    /// # Panics
    /// As [`Mmio::read32`].
    pub fn write64(&self, offset: usize, value: u64) {
        // SAFETY: as in `write32`.
        unsafe { (self.place::<u64>(offset) as *mut u64).write_volatile(value) }
    }

    /// The address of a register of so many bytes as the type has.
    fn place<T>(&self, offset: usize) -> usize {
        let size = size_of::<T>();
        assert!(
            offset.is_multiple_of(size),
            "a register of {size} bytes is at a multiple of that, not at {offset:#x}"
        );
        let is_inside = self.bytes.checked_sub(size).is_some_and(|last| offset <= last);
        assert!(is_inside, "there is no register at {offset:#x}");
        self.address + offset
    }
}

/// Memory for a device that reads and writes it by itself.
#[derive(Clone, Copy, Debug)]
pub struct Dma {
    /// The memory. What the device writes appears in it at any moment.
    pub memory: Shared,
    /// Its physical address, which the device is told.
    pub address: u64,
}

/// The memory for devices of a name. What a predecessor of this component left there is still there.
pub fn dma(name: &str) -> Option<Dma> {
    let name = format!("{}{name}", resource::DMA);
    Some(Dma { memory: memory(&name)?, address: crate::startup().parameter(&name)? })
}

/// The bytes of the file of a name.
pub fn file(name: &str) -> Option<&'static [u8]> {
    let (address, bytes) = crate::startup().memory(&format!("{}{name}", resource::FILE))?;
    if bytes == 0 {
        return Some(&[]);
    }
    // SAFETY: the initial task has put the bytes into pages of this component alone, which stay mapped and which nobody can
    // write to.
    Some(unsafe { core::slice::from_raw_parts(address as *const u8, usize::try_from(bytes).ok()?) })
}

/// An interrupt.
#[derive(Clone, Copy, Debug)]
pub struct Irq {
    handler: Cap<IrqHandler>,
    bit: u32,
}

/// The interrupt of a name.
pub fn irq(name: &str) -> Option<Irq> {
    let name = format!("{}{name}", resource::IRQ);
    let startup = crate::startup();
    Some(Irq { handler: cap(&name)?, bit: u32::try_from(startup.parameter(&name)?).ok()? })
}

impl Irq {
    /// Whether this interrupt is among the signals of [`crate::serve`].
    pub const fn is_in(&self, signals: u64) -> bool {
        signals >> self.bit & 1 != 0
    }

    /// Lets the next one come.
    pub fn acknowledge(&self) -> Result<()> {
        self.handler.ack()
    }
}

/// The boot archive, if the description lets this component read it; empty otherwise.
pub fn archive() -> &'static [u8] {
    let Some((address, bytes)) = crate::startup().memory(resource::ARCHIVE) else { return &[] };
    // SAFETY: the initial task mapped the archive there, read-only, for as long as the program runs, and nobody writes to it.
    unsafe { core::slice::from_raw_parts(address as *const u8, bytes as usize) }
}
