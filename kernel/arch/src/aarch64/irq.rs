//! Interrupts, of the generic interrupt controller.
//!
//! The controller remembers an interrupt that comes while it is masked, whatever its trigger. So nothing is kept here but the
//! word by which the one that is being handled was taken.

use core::cell::Cell;

use super::core_block::CORE;
use super::{entry, time, vspace};
use crate::devices::gic::{self, Registers};
use crate::format::Claim;
use crate::format::aarch64::irq::{IRQ_TIMER, IrqSource};
use crate::one_core::OneCore;

/// Numbers that the controller has.
static NUMBERS: OneCore<Cell<usize>> = OneCore::new(Cell::new(0));

/// The controller's registers that are mapped at a slot.
struct Block(usize);

impl Registers for Block {
    #[inline]
    fn read(&self, offset: usize) -> u32 {
        // SAFETY: 1. `init` has mapped the block. What reading does to the controller is what the driver wants.
        unsafe { self.register(offset).read_volatile() }
    }

    #[inline]
    fn write(&self, offset: usize, value: u32) {
        // SAFETY: 1. As in `read`. The controller only makes interrupts, each of which the kernel expects.
        unsafe { self.register(offset).write_volatile(value) }
    }
}

impl Block {
    #[inline]
    fn register(&self, offset: usize) -> *mut u32 {
        (vspace::device_address(self.0) + offset) as *mut u32
    }
}

const DISTRIBUTOR: Block = Block(vspace::DISTRIBUTOR_SLOT);
const CORE_INTERFACE: Block = Block(vspace::CORE_INTERFACE_SLOT);

/// Takes the controller into use, all its interrupts masked but the timer's. The arguments are where its registers begin.
pub fn init(distributor: u64, core: u64) {
    vspace::map_device(vspace::DISTRIBUTOR_SLOT, distributor);
    // The register that ends an interrupt, of the version that has it apart, is on the next page; it is not used.
    vspace::map_device(vspace::CORE_INTERFACE_SLOT, core);
    NUMBERS.set(gic::init(&DISTRIBUTOR));
    gic::init_core(&CORE_INTERFACE);
    gic::mask(&DISTRIBUTOR, IRQ_TIMER, false);
}

/// How many numbers there are.
pub fn numbers() -> usize {
    NUMBERS.get()
}

pub fn irq_connect(irq: usize, source: IrqSource) {
    if irq < numbers() {
        gic::mask(&DISTRIBUTOR, irq, true);
        gic::set_trigger(&DISTRIBUTOR, irq, source.edge);
    }
}

#[inline]
pub fn irq_mask(irq: usize, masked: bool) {
    if irq < numbers() {
        gic::mask(&DISTRIBUTOR, irq, masked);
    }
}

/// Tells the controller that the interrupt that was claimed last is handled.
#[inline]
pub fn irq_ack(_irq: usize) {
    gic::end(&CORE_INTERFACE, CORE.interrupt.get());
}

/// The controller says what has arrived, whatever the stub does.
#[inline]
pub fn claim_interrupt(_vector: usize) -> Claim {
    match gic::take(&CORE_INTERFACE) {
        Some(word) => {
            let irq = gic::number(word);
            if irq == IRQ_TIMER {
                // The timer asks for as long as its deadline is past; the kernel sets the next one later.
                time::set_deadline(u64::MAX);
            }
            CORE.interrupt.set(word);
            Claim::Interrupt(irq)
        }
        None => Claim::Nothing,
    }
}

pub fn take_pending_irq() -> Option<usize> {
    match claim_interrupt(entry::INTERRUPT) {
        Claim::Interrupt(irq) => Some(irq),
        Claim::Nothing | Claim::Exception => None,
    }
}
