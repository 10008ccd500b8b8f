//! Output on its way to the port: what the port does not take now waits in a queue, and whoever drives it goes on when the port
//! interrupts. Nobody waits for a port that is busy.

use alloc::collections::VecDeque;

use crate::{Ns16550, Registers};

/// Output that waits for the port, in bytes. When there is more, who writes waits.
const QUEUE_MAX: usize = 16 << 10;
/// Microseconds after which a port that took nothing is taken for one that is not there: its output is dropped.
const PATIENCE: u64 = 1_000_000;
/// Microseconds that the last byte is waited for, twice as many as it takes at 115200 bits a second. It leaves the machine
/// without an interrupt.
const LAST_BYTE: u64 = 200;

/// Says the time.
pub trait Clock {
    /// Microseconds since some moment.
    fn now(&self) -> u64;
}

/// The port, and what waits for it.
#[derive(Debug)]
pub struct Output<R, C> {
    port: Ns16550<R>,
    clock: C,
    queue: VecDeque<u8>,
    /// When the port last took something, or had nothing to take.
    moved: u64,
}

impl<R: Registers, C: Clock> Output<R, C> {
    /// Nothing waits for the port.
    pub fn new(port: Ns16550<R>, clock: C) -> Self {
        let moved = clock.now();
        Self { port, clock, queue: VecDeque::new(), moved }
    }

    /// Queues bytes.
    pub fn put(&mut self, bytes: &[u8]) {
        if self.queue.is_empty() {
            self.moved = self.clock.now();
        }
        self.queue.extend(bytes);
    }

    /// Whether there is room for more.
    pub fn has_room(&self) -> bool {
        self.queue.len() < QUEUE_MAX
    }

    /// Sends what the port takes; the rest goes when it interrupts. With `flushing` it also interrupts when all has gone.
    /// Returns whether all has left the machine, if that was asked.
    pub fn pump(&mut self, flushing: bool) -> bool {
        // The only error is a port that is not ours; there would be nobody to tell.
        self.try_pump(flushing).unwrap_or(true)
    }

    fn try_pump(&mut self, flushing: bool) -> Result<bool, R::Error> {
        while !self.queue.is_empty() {
            let (next, _) = self.queue.as_slices();
            let sent = self.port.transmit(next)?;
            if sent == 0 {
                if self.since(self.moved) > PATIENCE {
                    self.queue.clear();
                    break;
                }
                self.port.interrupt_when_empty(true)?;
                return Ok(false);
            }
            self.moved = self.clock.now();
            self.queue.drain(..sent);
        }
        if flushing && !self.has_left()? {
            self.port.interrupt_when_empty(true)?;
            return Ok(false);
        }
        self.port.interrupt_when_empty(false)?;
        Ok(flushing)
    }

    fn since(&self, then: u64) -> u64 {
        self.clock.now().saturating_sub(then)
    }

    /// Whether all that the port has taken has left the machine, waiting for no more than its last byte.
    fn has_left(&mut self) -> Result<bool, R::Error> {
        if !self.port.takes_more()? {
            return Ok(false);
        }
        let start = self.clock.now();
        while !self.port.is_idle()? {
            if self.since(start) > LAST_BYTE {
                // Such a port never says so.
                return Ok(true);
            }
        }
        Ok(true)
    }

    /// The next byte that was received, if there is one.
    pub fn receive(&mut self) -> Option<u8> {
        // As in `pump`.
        self.port.receive().unwrap_or(None)
    }

    /// Tells the port that its interrupt was noticed.
    pub fn acknowledge(&mut self) {
        // As in `pump`.
        let _ = self.port.acknowledge();
    }
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;

    use super::*;
    use crate::tests::Model;

    /// A clock that goes on by a microsecond each time it is looked at.
    #[derive(Default, Debug)]
    struct Ticks(Cell<u64>);

    impl Clock for Ticks {
        fn now(&self) -> u64 {
            self.0.set(self.0.get() + 1);
            self.0.get()
        }
    }

    /// Lets `action` drive a port in some state; returns how often the port was asked something.
    fn asked(model: &mut Model, action: impl FnOnce(&mut Output<&mut Model, Ticks>)) -> usize {
        let (full, busy) = (core::mem::take(&mut model.full), core::mem::take(&mut model.busy));
        let port = Ns16550::new(&mut *model).unwrap();
        let mut output = Output::new(port, Ticks::default());
        (output.port.registers.full, output.port.registers.busy) = (full, busy);
        let before = output.port.registers.reads;
        action(&mut output);
        output.port.registers.reads - before
    }

    #[test]
    fn a_port_that_is_busy_is_asked_once() {
        let mut model = Model { full: true, ..Model::default() };
        let times = asked(&mut model, |output| {
            output.put(&[7; 100]);
            assert!(!output.pump(true) && !output.pump(false));
            // It interrupts when it takes more.
            assert_ne!(output.port.interrupts & crate::ON_TRANSMITTER_EMPTY, 0);
            output.port.registers.full = false;
            assert!(output.pump(true));
        });
        assert!(times < 20, "{times}");
        assert_eq!(model.output.len(), 100);
    }

    #[test]
    fn only_the_last_byte_is_waited_for_and_only_as_long_as_it_takes() {
        let mut model = Model { busy: true, ..Model::default() };
        let times = asked(&mut model, |output| {
            output.put(b"x");
            assert!(output.pump(true));
        });
        assert!((2..=LAST_BYTE as usize + 10).contains(&times), "{times}");
        // Who does not flush does not even wait for that.
        let times = asked(&mut model, |output| {
            output.put(b"x");
            assert!(!output.pump(false));
        });
        assert!(times < 5, "{times}");
    }

    #[test]
    fn what_a_port_does_not_take_for_a_second_is_dropped() {
        let mut model = Model { full: true, ..Model::default() };
        let times = asked(&mut model, |output| {
            output.put(&[7; QUEUE_MAX]);
            assert!(!output.has_room());
            while !output.has_room() {
                output.pump(false);
            }
        });
        assert!(times as u64 <= PATIENCE + 10, "{times}");
        assert!(model.output.is_empty());
    }
}
