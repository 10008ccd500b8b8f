//! What the port keeps per core. One core runs the kernel today, with interrupts off, so a static serves. The entry stubs find
//! the running thread's context by the stack pointer of EL1, which is the context while user level runs.

use core::cell::Cell;

use crate::one_core::OneCore;

/// State of the core.
#[repr(C, align(64))]
pub struct CoreBlock {
    /// The address space in force, as [`Space`](crate::Space)'s word, which is what TTBR0_EL1 takes.
    pub vspace: Cell<u64>,
    /// User level may use the vector unit.
    pub fpu_enabled: Cell<bool>,
    /// The word by which the interrupt was taken that is being handled.
    pub interrupt: Cell<u32>,
}

/// The core's state.
pub static CORE: OneCore<CoreBlock> =
    OneCore::new(CoreBlock { vspace: Cell::new(0), fpu_enabled: Cell::new(true), interrupt: Cell::new(0) });
