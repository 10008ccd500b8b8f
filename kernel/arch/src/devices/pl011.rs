//! The serial port PL011 (Arm DDI 0183), polled.

/// How its registers are reached.
pub trait Registers {
    /// Reads the register at this offset.
    fn read(&self, offset: usize) -> u32;
    /// Writes the register at this offset.
    fn write(&self, offset: usize, value: u32);
}

const DATA: usize = 0x00;
const FLAGS: usize = 0x18;
const LINE_CONTROL: usize = 0x2c;
const CONTROL: usize = 0x30;
const INTERRUPT_MASK: usize = 0x38;
/// The transmit FIFO takes no byte.
const FULL: u32 = 1 << 5;
/// Looks at a port that is not ready before a byte is lost.
const PATIENCE: u32 = 100_000;

/// Sets the port to 8N1 with FIFOs and without interrupts. The speed stays as the firmware set it: it depends on a clock that
/// only the firmware knows.
pub fn init(port: &impl Registers) {
    const ENABLED: u32 = 1 | 1 << 8 | 1 << 9;
    for (register, value) in
        [(INTERRUPT_MASK, 0), (CONTROL, 0), (LINE_CONTROL, 3 << 5 | 1 << 4), (CONTROL, ENABLED)]
    {
        port.write(register, value);
    }
}

/// Prints a byte; a line feed becomes carriage return and line feed. A port that does not get ready loses the byte rather than
/// hanging the kernel.
pub fn put(port: &impl Registers, byte: u8) {
    if byte == b'\n' {
        put_raw(port, b'\r');
    }
    put_raw(port, byte);
}

fn put_raw(port: &impl Registers, byte: u8) {
    for _ in 0..PATIENCE {
        if port.read(FLAGS) & FULL == 0 {
            port.write(DATA, byte.into());
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};

    /// A port that takes a byte after so many looks.
    struct Port {
        looks: Cell<u32>,
        busy: u32,
        writes: RefCell<Vec<(usize, u32)>>,
    }

    impl Registers for Port {
        fn read(&self, offset: usize) -> u32 {
            assert_eq!(offset, FLAGS);
            self.looks.update(|n| n + 1);
            if self.looks.get() > self.busy { 0 } else { FULL }
        }

        fn write(&self, offset: usize, value: u32) {
            self.looks.set(0);
            self.writes.borrow_mut().push((offset, value));
        }
    }

    fn port(busy: u32) -> Port {
        Port { looks: Cell::new(0), busy, writes: RefCell::default() }
    }

    #[test]
    fn a_byte_waits_for_the_port_but_not_for_ever() {
        let printed = |busy| {
            let port = port(busy);
            b"a\n".iter().for_each(|byte| put(&port, *byte));
            port.writes.take()
        };
        let all = [b'a', b'\r', b'\n'].map(|byte| (DATA, byte.into()));
        assert_eq!(printed(0), all);
        assert_eq!(printed(PATIENCE - 1), all);
        assert_eq!(printed(u32::MAX), []);
    }

    #[test]
    fn the_port_is_off_while_its_line_changes() {
        let port = port(0);
        init(&port);
        let writes = port.writes.take();
        let control: Vec<_> = writes.iter().filter(|w| w.0 == CONTROL).map(|w| w.1).collect();
        assert_eq!(control, [0, 0x301], "off, then on with both directions");
        assert_eq!(writes.iter().position(|w| w.0 == LINE_CONTROL), Some(2));
    }
}
