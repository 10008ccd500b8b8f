//! The serial port of PCs: the 16550 and what came after it.
//!
//! The driver proper: registers in, bytes out. How to reach the registers is the caller's business ([`Registers`]), so
//! it runs on ports, on memory and in tests.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod output;

pub use output::{Clock, Output};

/// Access to the eight registers.
pub trait Registers {
    /// Why it may fail.
    type Error;
    /// Reads a register.
    fn read(&mut self, register: u16) -> Result<u8, Self::Error>;
    /// Writes a register.
    fn write(&mut self, register: u16, value: u8) -> Result<(), Self::Error>;
}

/// Receive and transmit; with the divisor latch open, the low byte of the divisor.
const DATA: u16 = 0;
/// Which interrupts are on; with the divisor latch open, the high byte of the divisor.
const INTERRUPTS: u16 = 1;
/// Writing: control of the FIFOs. Reading: whether they are on, and why there was an interrupt, which also takes back the
/// one for an empty transmitter.
const FIFO: u16 = 2;
const LINE_CONTROL: u16 = 3;
const MODEM_CONTROL: u16 = 4;
const LINE_STATUS: u16 = 5;

const RECEIVED: u8 = 1 << 0;
const TRANSMITTER_EMPTY: u8 = 1 << 5;
const LINE_IDLE: u8 = 1 << 6;

const ON_RECEIVED: u8 = 1 << 0;
const ON_TRANSMITTER_EMPTY: u8 = 1 << 1;

const EIGHT_BITS: u8 = 3;
const DIVISOR_LATCH: u8 = 1 << 7;
/// Terminal ready, request to send, and the output that lets interrupts through.
const READY: u8 = 0b1011;
/// On, the transmit FIFO emptied, an interrupt for every byte received.
const FIFO_ON: u8 = 0b0000_0101;
/// Both bits are set while the FIFOs are on.
const FIFO_IS_ON: u8 = 0b1100_0000;
/// Bytes of the transmit FIFO.
const FIFO_BYTES: usize = 16;
/// What divides the clock to 115200 bits a second.
const DIVISOR: u16 = 1;

/// A serial port.
#[derive(Debug)]
pub struct Ns16550<R> {
    registers: R,
    interrupts: u8,
    /// What was received before the FIFOs were on.
    early: Option<u8>,
}

impl<R: Registers> Ns16550<R> {
    /// Sets the port up: 115200 bits a second, eight bits, no parity, FIFOs, an interrupt when something is received.
    /// What it has received before is still received.
    pub fn new(registers: R) -> Result<Self, R::Error> {
        let mut port = Self { registers, interrupts: ON_RECEIVED, early: None };
        // Switching the FIFOs on empties them, and the one byte there is without them.
        if port.registers.read(FIFO)? & FIFO_IS_ON != FIFO_IS_ON {
            port.early = port.receive()?;
        }
        port.registers.write(INTERRUPTS, 0)?;
        port.registers.write(LINE_CONTROL, DIVISOR_LATCH | EIGHT_BITS)?;
        let [low, high] = DIVISOR.to_le_bytes();
        port.registers.write(DATA, low)?;
        port.registers.write(INTERRUPTS, high)?;
        port.registers.write(LINE_CONTROL, EIGHT_BITS)?;
        port.registers.write(FIFO, FIFO_ON)?;
        port.registers.write(MODEM_CONTROL, READY)?;
        port.registers.write(INTERRUPTS, ON_RECEIVED)?;
        Ok(port)
    }

    /// The next byte that was received, if there is one.
    pub fn receive(&mut self) -> Result<Option<u8>, R::Error> {
        if let Some(byte) = self.early.take() {
            return Ok(Some(byte));
        }
        if self.registers.read(LINE_STATUS)? & RECEIVED == 0 {
            return Ok(None);
        }
        self.registers.read(DATA).map(Some)
    }

    /// Sends as many of the bytes as the port takes now; returns how many.
    pub fn transmit(&mut self, bytes: &[u8]) -> Result<usize, R::Error> {
        if bytes.is_empty() || self.registers.read(LINE_STATUS)? & TRANSMITTER_EMPTY == 0 {
            return Ok(0);
        }
        let count = bytes.len().min(FIFO_BYTES);
        for byte in &bytes[..count] {
            self.registers.write(DATA, *byte)?;
        }
        Ok(count)
    }

    /// Asks for an interrupt when the port takes bytes again, or for none.
    pub fn interrupt_when_empty(&mut self, on: bool) -> Result<(), R::Error> {
        let interrupts = if on { ON_RECEIVED | ON_TRANSMITTER_EMPTY } else { ON_RECEIVED };
        if interrupts != self.interrupts {
            self.registers.write(INTERRUPTS, interrupts)?;
            self.interrupts = interrupts;
        }
        Ok(())
    }

    /// Tells the port that its interrupt was noticed.
    pub fn acknowledge(&mut self) -> Result<(), R::Error> {
        self.registers.read(FIFO).map(drop)
    }

    /// Whether the port takes bytes now; then at most one byte of what was sent has not left the machine.
    pub fn takes_more(&mut self) -> Result<bool, R::Error> {
        Ok(self.registers.read(LINE_STATUS)? & TRANSMITTER_EMPTY != 0)
    }

    /// Whether all that was sent has left the machine.
    pub fn is_idle(&mut self) -> Result<bool, R::Error> {
        Ok(self.registers.read(LINE_STATUS)? & LINE_IDLE != 0)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::{vec, vec::Vec};

    /// A port whose transmitter has room when `room` says so.
    #[derive(Default, Debug)]
    pub struct Model {
        pub input: Vec<u8>,
        pub output: Vec<u8>,
        pub full: bool,
        /// It takes more, and is not done with what it has.
        pub busy: bool,
        /// How often a register was read.
        pub reads: usize,
        pub registers: [u8; 8],
        pub divisor: [u8; 2],
    }

    impl Model {
        fn latch(&self) -> bool {
            self.registers[LINE_CONTROL as usize] & DIVISOR_LATCH != 0
        }
    }

    impl Registers for &mut Model {
        type Error = ();
        fn read(&mut self, register: u16) -> Result<u8, ()> {
            self.reads += 1;
            Ok(match register {
                DATA => self.input.remove(0),
                LINE_STATUS => {
                    let received = if self.input.is_empty() { 0 } else { RECEIVED };
                    let idle = if self.busy { 0 } else { LINE_IDLE };
                    received | if self.full { 0 } else { TRANSMITTER_EMPTY | idle }
                }
                _ => self.registers[register as usize],
            })
        }
        fn write(&mut self, register: u16, value: u8) -> Result<(), ()> {
            match register {
                DATA | INTERRUPTS if self.latch() => self.divisor[register as usize] = value,
                DATA => self.output.push(value),
                FIFO => {
                    let switched = (value & 1 != 0) != (self.registers[2] & FIFO_IS_ON != 0);
                    if switched || value & 0b10 != 0 {
                        self.input.clear();
                    }
                    self.registers[2] = if value & 1 != 0 { FIFO_IS_ON } else { 0 };
                }
                _ => self.registers[register as usize] = value,
            }
            Ok(())
        }
    }

    #[test]
    fn the_port_is_set_up() {
        let mut model = Model::default();
        Ns16550::new(&mut model).unwrap();
        assert_eq!(model.divisor, [1, 0]);
        assert_eq!(model.registers[LINE_CONTROL as usize], EIGHT_BITS);
        assert_eq!(model.registers[INTERRUPTS as usize], ON_RECEIVED);
        assert_eq!(model.registers[MODEM_CONTROL as usize], READY);
        assert!(model.output.is_empty());
    }

    #[test]
    fn a_fifo_is_filled_and_no_more() {
        let mut model = Model::default();
        let mut port = Ns16550::new(&mut model).unwrap();
        assert_eq!(port.transmit(&[7; 40]), Ok(16));
        assert_eq!(port.transmit(&[]), Ok(0));
        port.registers.full = true;
        assert_eq!(port.transmit(&[7; 40]), Ok(0));
        assert_eq!((port.is_idle(), port.takes_more()), (Ok(false), Ok(false)));
        assert_eq!(model.output, vec![7; 16]);
    }

    #[test]
    fn bytes_are_received_in_order() {
        let mut model = Model::default();
        let mut port = Ns16550::new(&mut model).unwrap();
        port.registers.input.extend([1, 2]);
        assert_eq!(port.receive(), Ok(Some(1)));
        assert_eq!(port.receive(), Ok(Some(2)));
        assert_eq!(port.receive(), Ok(None));
    }

    #[test]
    fn what_was_received_before_is_not_lost() {
        let mut model = Model { input: vec![1], ..Model::default() };
        let mut port = Ns16550::new(&mut model).unwrap();
        port.registers.input.extend([2, 3]);
        assert_eq!([1, 2].map(|_| port.receive().unwrap()), [Some(1), Some(2)]);
        // The next driver finds the FIFOs on.
        let mut port = Ns16550::new(&mut model).unwrap();
        assert_eq!(port.receive(), Ok(Some(3)));
        assert_eq!(port.receive(), Ok(None));
    }

    #[test]
    fn the_interrupt_for_an_empty_transmitter_is_switched() {
        let mut model = Model::default();
        let mut port = Ns16550::new(&mut model).unwrap();
        port.interrupt_when_empty(true).unwrap();
        assert_eq!(port.registers.registers[INTERRUPTS as usize], ON_RECEIVED | ON_TRANSMITTER_EMPTY);
        port.interrupt_when_empty(false).unwrap();
        assert_eq!(model.registers[INTERRUPTS as usize], ON_RECEIVED);
    }
}
