//! Interrupts and I/O ports.

use crate::{
    Cap, Result, Slot,
    raw::invocations,
    types::{IoPort, IoPortControl, IrqControl, IrqHandler},
};

/// A pin of an IOAPIC, and the vector to deliver it on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IoapicPin {
    /// Which IOAPIC, from 0.
    pub ioapic: u64,
    /// Which pin.
    pub pin: u64,
    /// Level-triggered rather than edge-triggered.
    pub level: bool,
    /// Active low rather than active high.
    pub active_low: bool,
    /// The vector, 0 to [`pecan_abi::constants::IRQ_VECTOR_MAX`]; each has one handler at a time.
    pub vector: u64,
}

/// A message-signalled interrupt: the device it is for, and the vector.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Msi {
    /// PCI bus.
    pub bus: u64,
    /// PCI device.
    pub device: u64,
    /// PCI function.
    pub function: u64,
    /// Number of the message within the device.
    pub handle: u64,
    /// The vector.
    pub vector: u64,
}

impl Cap<IrqControl> {
    /// Creates the handler of an IOAPIC pin, with its capability in `dest`.
    pub fn get_ioapic(self, pin: IoapicPin, dest: Slot) -> Result<Cap<IrqHandler>> {
        invocations::irq_control_get_ioapic(
            self.cptr(),
            dest.root.cptr(),
            dest.index,
            dest.depth,
            pin.ioapic,
            pin.pin,
            pin.level.into(),
            pin.active_low.into(),
            pin.vector,
        )?;
        Ok(dest.named())
    }

    /// Creates the handler of a message-signalled interrupt, with its capability in `dest`.
    pub fn get_msi(self, msi: Msi, dest: Slot) -> Result<Cap<IrqHandler>> {
        invocations::irq_control_get_msi(
            self.cptr(),
            dest.root.cptr(),
            dest.index,
            dest.depth,
            msi.bus,
            msi.device,
            msi.function,
            msi.handle,
            msi.vector,
        )?;
        Ok(dest.named())
    }
}

impl Cap<IoPortControl> {
    /// Creates a capability to ports `first` to `last`, in `dest`. A port is given out once.
    pub fn issue(self, first: u16, last: u16, dest: Slot) -> Result<Cap<IoPort>> {
        invocations::io_port_control_issue(
            self.cptr(),
            first.into(),
            last.into(),
            dest.root.cptr(),
            dest.index,
            dest.depth,
        )?;
        Ok(dest.named())
    }
}

impl Cap<IoPort> {
    /// Reads 8 bits.
    pub fn in8(self, port: u16) -> Result<u8> {
        invocations::io_port_in8(self.cptr(), port)
    }

    /// Reads 16 bits.
    pub fn in16(self, port: u16) -> Result<u16> {
        invocations::io_port_in16(self.cptr(), port)
    }

    /// Reads 32 bits.
    pub fn in32(self, port: u16) -> Result<u32> {
        invocations::io_port_in32(self.cptr(), port)
    }

    /// Writes 8 bits.
    pub fn out8(self, port: u16, value: u8) -> Result<()> {
        invocations::io_port_out8(self.cptr(), port.into(), value.into())
    }

    /// Writes 16 bits.
    pub fn out16(self, port: u16, value: u16) -> Result<()> {
        invocations::io_port_out16(self.cptr(), port.into(), value.into())
    }

    /// Writes 32 bits.
    pub fn out32(self, port: u16, value: u32) -> Result<()> {
        invocations::io_port_out32(self.cptr(), port.into(), value.into())
    }
}
