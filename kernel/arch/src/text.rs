//! What the kernel says on its console, without `core::fmt`: a release kernel has no room for that.

use crate::console_putc;

/// Prints `text` with the values in the place of its marks: `#` for a decimal and `$` for a hexadecimal number. A mark
/// too many stands for itself.
pub fn say(text: &str, values: &[u64]) {
    let mut values = values.iter();
    for byte in text.bytes() {
        let value = if matches!(byte, b'#' | b'$') { values.next() } else { None };
        match value {
            None => console_putc(byte),
            Some(&n) if byte == b'#' => digits(n, 10),
            Some(&n) => {
                say("0x", &[]);
                digits(n, 16);
            }
        }
    }
}

fn digits(n: u64, base: u64) {
    // The greatest power of the base that is not above the number.
    let mut unit = 1;
    while n / unit >= base {
        unit *= base;
    }
    while unit > 0 {
        console_putc(b"0123456789abcdef"[(n / unit % base) as usize]);
        unit /= base;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::take_console;

    #[test]
    fn numbers_are_said_as_they_are_written() {
        for n in [0, 1, 9, 10, 15, 16, 4096, 1 << 60, u64::MAX] {
            say("a # is $.", &[n, n]);
            assert_eq!(take_console(), format!("a {n} is {n:#x}."));
        }
        say("# #", &[1]);
        assert_eq!(take_console(), "1 #");
    }
}
