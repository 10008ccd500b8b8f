//! The console: a buffer.

use std::io::Write as _;

use super::machine::machine;

/// Prints a byte: into the machine's buffer, and on standard error if `PECAN_CONSOLE` is set.
pub fn console_putc(byte: u8) {
    machine().console.borrow_mut().push(byte);
    if std::env::var_os("PECAN_CONSOLE").is_some() {
        let _ = std::io::stderr().write_all(&[byte]);
    }
}

/// The kernel's console, for `write!`.
pub struct Console;

impl core::fmt::Write for Console {
    fn write_str(&mut self, s: &str) -> core::fmt::Result {
        s.bytes().for_each(console_putc);
        Ok(())
    }
}
