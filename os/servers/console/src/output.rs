//! Output on its way to the port.

use alloc::collections::VecDeque;

use pecan_component::{pecan, service::ticks, tsc_mhz};
use pecan_ns16550::Ns16550;

use crate::port::Com;

/// Output that waits for the port, in bytes. When there is more, who writes waits.
const QUEUE_MAX: usize = 16 << 10;
/// Microseconds after which a port that took nothing is taken for one that is not there: its output is dropped.
const PATIENCE_US: u64 = 1_000_000;
/// Microseconds that the last byte is waited for, twice as many as it takes at 115200 bits a second. It leaves the machine
/// without an interrupt.
const LAST_BYTE_US: u64 = 200;

/// The port, and what waits for it.
pub struct Output {
    port: Ns16550<Com>,
    queue: VecDeque<u8>,
    /// When the port last took something, or had nothing to take, in ticks.
    moved: u64,
}

impl Output {
    /// Nothing waits for the port.
    pub fn new(port: Ns16550<Com>) -> Self {
        Self { port, queue: VecDeque::new(), moved: ticks() }
    }

    /// Queues bytes.
    pub fn put(&mut self, bytes: &[u8]) {
        if self.queue.is_empty() {
            self.moved = ticks();
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

    fn try_pump(&mut self, flushing: bool) -> pecan::Result<bool> {
        while !self.queue.is_empty() {
            let (next, _) = self.queue.as_slices();
            let sent = self.port.transmit(next)?;
            if sent == 0 {
                if ticks().wrapping_sub(self.moved) > PATIENCE_US * tsc_mhz() {
                    self.queue.clear();
                    break;
                }
                self.port.interrupt_when_empty(true)?;
                return Ok(false);
            }
            self.moved = ticks();
            self.queue.drain(..sent);
        }
        if flushing && !self.has_left()? {
            self.port.interrupt_when_empty(true)?;
            return Ok(false);
        }
        self.port.interrupt_when_empty(false)?;
        Ok(flushing)
    }

    /// Whether all that the port has taken has left the machine, waiting for no more than its last byte.
    fn has_left(&mut self) -> pecan::Result<bool> {
        if !self.port.takes_more()? {
            return Ok(false);
        }
        let start = ticks();
        while !self.port.is_idle()? {
            if ticks().wrapping_sub(start) > LAST_BYTE_US * tsc_mhz() {
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
