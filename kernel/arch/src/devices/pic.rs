//! The legacy interrupt controllers of a PC (two 8259A), which are switched off.

/// Masks all of their lines, with their vectors moved clear of the exceptions first: to 32 and up. `write` writes to a port.
pub fn disable(write: impl Fn(u16, u8)) {
    for (port, offset, wiring) in [(0x20, 0x20, 4), (0xa0, 0x28, 2)] {
        for (register, value) in [(0, 0x11), (1, offset), (1, wiring), (1, 1), (1, 0xff)] {
            write(port + register, value);
        }
    }
}
