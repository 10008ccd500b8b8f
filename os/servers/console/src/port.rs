//! The serial port's registers, on I/O ports.

use pecan_component::{Ports, pecan};
use pecan_ns16550::Registers;

/// A serial port.
pub struct Com(pub Ports);

impl Registers for Com {
    type Error = pecan::Error;

    fn read(&mut self, register: u16) -> Result<u8, pecan::Error> {
        self.0.read8(register)
    }

    fn write(&mut self, register: u16, value: u8) -> Result<(), pecan::Error> {
        self.0.write8(register, value)
    }
}
