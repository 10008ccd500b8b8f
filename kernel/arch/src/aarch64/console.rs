//! The console: a PL011, polled.

use core::cell::Cell;
use core::fmt;

use super::vspace;
use crate::devices::pl011::{self, Registers};
use crate::one_core::OneCore;

/// Where QEMU's board `virt` has it: what a tree that cannot be read is complained of at.
const USUAL: u64 = 0x0900_0000;

/// The port's registers, mapped at their slot.
struct Port;

impl Registers for Port {
    fn read(&self, offset: usize) -> u32 {
        // SAFETY: `init` has mapped the registers before anything is printed; those that the driver reads have no side effect.
        unsafe { register(offset).read_volatile() }
    }

    fn write(&self, offset: usize, value: u32) {
        // SAFETY: as in `read`; the port does not access memory.
        unsafe { register(offset).write_volatile(value) }
    }
}

fn register(offset: usize) -> *mut u32 {
    (vspace::device_address(vspace::CONSOLE_SLOT) + offset) as *mut u32
}

static AT: OneCore<Cell<u64>> = OneCore::new(Cell::new(0));

/// Uses the port at this address, or the usual one if none is known.
pub fn init(address: Option<u64>) {
    let address = address.unwrap_or(USUAL);
    if AT.replace(address) != address {
        vspace::map_device(vspace::CONSOLE_SLOT, address);
        pl011::init(&Port);
    }
}

pub fn console_putc(byte: u8) {
    if AT.get() != 0 {
        pl011::put(&Port, byte);
    }
}

/// The kernel's console, for `write!`.
pub struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        s.bytes().for_each(console_putc);
        Ok(())
    }
}
