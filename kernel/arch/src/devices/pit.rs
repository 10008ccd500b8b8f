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
