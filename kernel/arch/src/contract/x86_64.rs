//! Duties that only ports to x86_64 have, for what the interface has on this architecture only. The host's port has them
//! where it speaks this architecture's interface.

use super::duties;
use crate::port;

duties! {
    /// Controllers with pins. Constant after boot.
    fn num_ioapics() -> usize;
    /// Input pins of controller `index`; 0 if there is no such controller.
    fn ioapic_pins(index: usize) -> usize;
    /// Reads 1, 2 or 4 bytes from an I/O port.
    fn io_read(port: u16, bytes: u32) -> u32;
    /// Writes 1, 2 or 4 bytes to an I/O port.
    fn io_write(port: u16, bytes: u32, value: u32);
}
