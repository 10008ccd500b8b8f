//! Text on the kernel's console.

use core::fmt;

/// Writes to the kernel's console.
pub struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        pecan::raw::debug_put_bytes(text.as_bytes());
        Ok(())
    }
}

/// Prints without a line end.
#[macro_export]
macro_rules! print {
    ($($arg:tt)*) => {{
        let _ = core::fmt::Write::write_fmt(&mut $crate::console::Console, format_args!($($arg)*));
    }};
}

/// Prints a line.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($arg:tt)*) => { $crate::print!("{}\n", format_args!($($arg)*)) };
}

/// Text of bounded length; what does not fit is cut off.
pub struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Text<N> {
    /// No text.
    pub const fn new() -> Self {
        Self { bytes: [0; N], len: 0 }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // Only whole characters are appended.
        core::str::from_utf8(&self.bytes[..self.len]).unwrap_or("?")
    }

    /// Takes the text away.
    pub fn clear(&mut self) {
        self.len = 0;
    }
}

impl<const N: usize> fmt::Write for Text<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            // One line, whatever the message holds.
            let c = if c == '\n' { ' ' } else { c };
            let size = c.len_utf8();
            if self.len + size > N {
                return Ok(());
            }
            c.encode_utf8(&mut self.bytes[self.len..]);
            self.len += size;
        }
        Ok(())
    }
}
