//! Interrupts: control, handlers, delivery.

use pecan_mem::Kernel;

use crate::{
    error::Stop,
    invoke::{Done, Invocation},
    scheduler::Next,
};

/// Invocations of interrupt control and interrupt handlers.
pub fn invoke(_k: &mut Kernel, _inv: &Invocation) -> Result<Done, Stop> {
    todo!()
}

/// The last capability to an interrupt handler goes: the interrupt is masked and unbound.
pub fn deleted(_k: &mut Kernel, _irq: u16) -> Next {
    todo!()
}

/// An interrupt came (any but the timer's): masks it until it is acknowledged and signals its notification.
pub fn interrupt(_k: &Kernel, _irq: usize) -> Next {
    todo!()
}
