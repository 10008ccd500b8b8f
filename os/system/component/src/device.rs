//! Devices that the description gives the component.

use alloc::format;

use pecan::{
    Cap, Result,
    types::{IoPort, IrqHandler},
};
use pecan_manifest::layout::resource;
use pecan_service::shared::StreamReader;

use crate::role::{cap, memory};

/// A range of I/O ports.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    cap: Cap<IoPort>,
    first: u16,
}

/// The I/O ports of a name.
pub fn ports(name: &str) -> Option<Ports> {
    let name = format!("{}{name}", resource::PORTS);
    let startup = crate::startup();
    Some(Ports { cap: cap(&name)?, first: u16::try_from(startup.parameter(&name)?).ok()? })
}

impl Ports {
    /// Reads 8 bits from the port `offset` after the first.
    pub fn read8(&self, offset: u16) -> Result<u8> {
        self.cap.in8(self.first.wrapping_add(offset))
    }

    /// Writes 8 bits to the port `offset` after the first.
    pub fn write8(&self, offset: u16, value: u8) -> Result<()> {
        self.cap.out8(self.first.wrapping_add(offset), value)
    }
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

/// The system log, if the description lets this component show it.
pub fn log() -> Option<StreamReader<'static>> {
    StreamReader::new(memory(resource::LOG_READER)?.words(), memory(resource::LOG)?.words())
}

/// The boot archive, if the description lets this component read it; empty otherwise.
pub fn archive() -> &'static [u8] {
    let Some((address, bytes)) = crate::startup().memory(resource::ARCHIVE) else { return &[] };
    // SAFETY: the initial task mapped the archive there, read-only, for as long as the program runs, and nobody writes to it.
    unsafe { core::slice::from_raw_parts(address as *const u8, bytes as usize) }
}
