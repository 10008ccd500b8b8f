//! Interrupts: tests raise them, and the machine records what the kernel does with their lines.

use super::machine::{machine, with_line};
use crate::format::Claim;
pub use crate::format::arch::irq::{
    IRQ_FIRST_NUMBER, IRQ_TIMER, IRQ_USER_MAX, IRQ_USER_MIN, IrqSource, MAX_IRQ,
};

/// Here, interrupts have their numbers, and none is stray.
pub fn claim_interrupt(vector: usize) -> Claim {
    Claim::Interrupt(vector)
}

pub fn irq_mask(irq: usize, masked: bool) {
    with_line(irq, |l| l.masked = masked);
}

pub fn irq_ack(irq: usize) {
    with_line(irq, |l| l.acks += 1);
}

pub fn irq_connect(irq: usize, source: IrqSource) {
    with_line(irq, |l| (l.source, l.masked) = (Some(source), true));
}

pub fn take_pending_irq() -> Option<usize> {
    machine().pending.borrow_mut().pop_front()
}

#[cfg(pecan_arch = "x86_64")]
pub use ioapic::*;

/// The controllers of a PC.
#[cfg(pecan_arch = "x86_64")]
mod ioapic {
    /// IOAPICs of the emulated machine.
    pub const IOAPICS: usize = 1;
    /// Input pins of each.
    pub const IOAPIC_PINS: usize = 24;

    pub fn num_ioapics() -> usize {
        IOAPICS
    }

    pub fn ioapic_pins(index: usize) -> usize {
        assert!(index < IOAPICS);
        IOAPIC_PINS
    }
}
