//! The console: the first serial port, polled.

use core::fmt;

use super::cpu::{io_read, io_write};

const COM1: u16 = 0x3f8;

/// Sets the port to 115200 baud, 8N1, without interrupts.
pub fn init() {
    for (register, value) in [(1, 0), (3, 0x80), (0, 1), (1, 0), (3, 3), (2, 1), (4, 3)] {
        io_write(COM1 + register, 1, value);
    }
}

/// Prints a byte; a line feed becomes carriage return and line feed. A port that does not get ready (or does not
/// exist) loses the byte rather than hanging the kernel.
pub fn console_putc(byte: u8) {
    if byte == b'\n' {
        put(b'\r');
    }
    put(byte);
}

fn put(byte: u8) {
    for _ in 0..100_000 {
        if io_read(COM1 + 5, 1) & 0x20 != 0 {
            io_write(COM1, 1, byte.into());
            return;
        }
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
