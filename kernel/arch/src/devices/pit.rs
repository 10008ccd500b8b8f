//! The interval timer of a PC (8254): its second channel, as a clock of known speed.

use crate::calibrate::{Clocks, Look};

/// How the timer is reached, and the clock that is measured against it.
pub trait Access {
    /// Reads a port.
    fn read(&self, port: u16) -> u8;
    /// Writes a port.
    fn write(&self, port: u16, value: u8);
    /// The unknown clock.
    fn clock(&self) -> u64;
}

/// Its frequency in Hz, on every PC.
pub const HZ: u64 = 1_193_182;
/// What it counts down from.
const START: u16 = u16::MAX;

/// Bits 0 and 1: the channel counts, and drives the speaker. Bit 5 is its output.
const GATE: u16 = 0x61;
const DATA: u16 = 0x42;
const COMMAND: u16 = 0x43;

/// A clock, measured against the second channel, which counts for 55 ms.
pub struct Pit<A> {
    access: A,
    /// The channel's output tells when it has run out.
    has_output: bool,
}

impl<A: Access> Pit<A> {
    /// The timer, not started.
    pub fn new(access: A) -> Self {
        Pit { access, has_output: false }
    }

    fn output(&self) -> bool {
        self.access.read(GATE) & 1 << 5 != 0
    }
}

impl<A: Access> Clocks for Pit<A> {
    fn start(&mut self) {
        self.access.write(GATE, self.access.read(GATE) & !2 | 1);
        self.access.write(COMMAND, 0xb0); // channel 2, both bytes, count down once
        START.to_le_bytes().into_iter().for_each(|byte| self.access.write(DATA, byte));
        // It is low until the count has run out, and high from then on. Where it is high at once, nobody drives it.
        self.has_output = !self.output();
        // The count is loaded a tick later.
        self.look();
    }

    fn look(&mut self) -> Option<Look> {
        let before = self.access.clock();
        self.access.write(COMMAND, 0x80); // latch the count of channel 2
        let [low, high] = [(); 2].map(|()| self.access.read(DATA));
        let ran_out = self.has_output && self.output();
        let after = self.access.clock();
        let reference = (START - u16::from_le_bytes([low, high])).into();
        (!ran_out).then_some(Look { before, reference, after })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};

    /// A timer whose second channel counts down by `step` with each reading of the clock.
    #[derive(Default)]
    struct Timer {
        step: u32,
        /// Its output is there.
        drives: bool,
        gate: Cell<u8>,
        /// What it was told: the command, and the bytes of the count.
        written: RefCell<Vec<(u16, u8)>>,
        /// Ticks since the count was loaded.
        ticks: Cell<u32>,
        /// Bytes of the latched count that are still to be read, the next one first.
        latched: RefCell<Vec<u8>>,
        clock: Cell<u64>,
    }

    impl Access for &Timer {
        fn read(&self, port: u16) -> u8 {
            match port {
                GATE => {
                    let high = !self.drives || self.ticks.get() > u32::from(START);
                    self.gate.get() | u8::from(high) << 5
                }
                DATA => self.latched.borrow_mut().pop().expect("latched before it is read"),
                _ => panic!("reads port {port:x}"),
            }
        }

        fn write(&self, port: u16, value: u8) {
            match (port, value) {
                (GATE, _) => self.gate.set(value),
                (COMMAND, 0x80) => {
                    let count = START.wrapping_sub(self.ticks.get() as u16);
                    let [low, high] = count.to_le_bytes();
                    *self.latched.borrow_mut() = vec![high, low];
                }
                _ => {
                    self.ticks.set(0);
                    self.written.borrow_mut().push((port, value));
                }
            }
        }

        fn clock(&self) -> u64 {
            self.ticks.set(self.ticks.get() + self.step);
            self.clock.set(self.clock.get() + 1000);
            self.clock.get()
        }
    }

    #[test]
    fn the_second_channel_counts_without_sound() {
        // Speaker on, channel stopped; the other bits of the port are not the timer's.
        let timer = Timer { step: 1, drives: true, gate: Cell::new(0x0e), ..Timer::default() };
        Pit::new(&timer).start();
        assert_eq!(timer.gate.get(), 0x0d);
        // Channel 2, low byte and high byte, mode 0, binary.
        assert_eq!(*timer.written.borrow(), [(COMMAND, 0xb0), (DATA, 0xff), (DATA, 0xff)]);
    }

    #[test]
    fn a_look_says_how_far_it_has_counted_between_two_readings_of_the_clock() {
        let timer = Timer { step: 10, drives: true, ..Timer::default() };
        let mut pit = Pit::new(&timer);
        pit.start();
        let looks = [(); 2].map(|()| pit.look().expect("it counts"));
        // `start` has looked once.
        assert_eq!(looks.map(|look| look.reference), [30, 50]);
        assert_eq!(looks.map(|look| (look.before, look.after)), [(3000, 4000), (5000, 6000)]);
    }

    #[test]
    fn a_count_that_has_run_out_is_no_measure() {
        let timer = Timer { step: 20_000, drives: true, ..Timer::default() };
        let mut pit = Pit::new(&timer);
        pit.start();
        assert_eq!(pit.look().map(|look| look.reference), Some(60_000));
        // Its 16 bits have wrapped: only the output shows it.
        assert!(pit.look().is_none());
        assert!(pit.look().is_none());
        // Where nobody drives the output, nothing shows it.
        let timer = Timer { step: 20_000, drives: false, ..Timer::default() };
        let mut pit = Pit::new(&timer);
        pit.start();
        assert_eq!([(); 2].map(|()| pit.look().is_some()), [true; 2]);
    }
}
