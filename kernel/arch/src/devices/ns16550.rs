//! The serial port NS16550 and its like, polled.

/// How its eight registers are reached.
pub trait Registers {
    /// Reads register `index`, below 8.
    fn read(&self, index: u16) -> u8;
    /// Writes register `index`, below 8.
    fn write(&self, index: u16, value: u8);
}

const DATA: u16 = 0;
const LINE_STATUS: u16 = 5;
/// The port can take a byte.
const READY: u8 = 1 << 5;
/// Looks at a port that is not ready before a byte is lost.
const PATIENCE: u32 = 100_000;

/// Sets the port to 115200 baud, 8N1, without interrupts.
pub fn init(port: &impl Registers) {
    for (register, value) in [(1, 0), (3, 0x80), (DATA, 1), (1, 0), (3, 3), (2, 1), (4, 3)] {
        port.write(register, value);
    }
}

/// Prints a byte; a line feed becomes carriage return and line feed. A port that does not get ready (or does not
/// exist) loses the byte rather than hanging the kernel.
pub fn put(port: &impl Registers, byte: u8) {
    if byte == b'\n' {
        put_raw(port, b'\r');
    }
    put_raw(port, byte);
}

fn put_raw(port: &impl Registers, byte: u8) {
    for _ in 0..PATIENCE {
        if port.read(LINE_STATUS) & READY != 0 {
            port.write(DATA, byte);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};

    /// A port that is ready again after some looks.
    struct Port {
        looks: Cell<u32>,
        busy: u32,
        out: RefCell<Vec<u8>>,
    }

    impl Registers for Port {
        fn read(&self, index: u16) -> u8 {
            assert_eq!(index, LINE_STATUS);
            self.looks.update(|n| n + 1);
            if self.looks.get() > self.busy { READY } else { 0 }
        }

        fn write(&self, index: u16, value: u8) {
            assert_eq!(index, DATA);
            self.looks.set(0);
            self.out.borrow_mut().push(value);
        }
    }

    fn printed(busy: u32) -> Vec<u8> {
        let port = Port { looks: Cell::new(0), busy, out: RefCell::default() };
        b"a\n".iter().for_each(|byte| put(&port, *byte));
        port.out.take()
    }

    #[test]
    fn a_byte_waits_for_the_port_but_not_for_ever() {
        assert_eq!(printed(0), b"a\r\n");
        assert_eq!(printed(PATIENCE - 1), b"a\r\n");
        assert_eq!(printed(u32::MAX), b"");
    }
}
