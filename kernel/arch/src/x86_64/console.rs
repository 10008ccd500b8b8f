//! The console: the first serial port, polled.

use core::fmt;

use super::cpu::{io_read, io_write};
use crate::devices::ns16550::{self, Registers};

/// The first serial port.
struct Com1;

const COM1: u16 = 0x3f8;

impl Registers for Com1 {
    fn read(&self, index: u16) -> u8 {
        io_read(COM1 + index, 1) as u8
    }

    fn write(&self, index: u16, value: u8) {
        io_write(COM1 + index, 1, value.into());
    }
}

/// Sets the port up.
pub fn init() {
    ns16550::init(&Com1);
}

pub fn console_putc(byte: u8) {
    ns16550::put(&Com1, byte);
}

/// The kernel's console, for `write!`.
pub struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        s.bytes().for_each(console_putc);
        Ok(())
    }
}
