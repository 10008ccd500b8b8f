//! Interrupts, while a thread was running or in the middle of a long operation.

use pecan_arch::IRQ_TIMER;
use pecan_mem::{Kernel, Link, Tcb};

use crate::{
    entry::{benchmark, leave},
    ipc::{end, interrupt},
    sched::{budget, next::Next},
};

/// An interrupt while a thread (or nothing) was running.
pub fn interrupt(k: &mut Kernel, irq: usize) -> Link<Tcb> {
    benchmark::note_interrupt(k, irq);
    budget::update_time(k);
    let next = match end::check_budget(k) {
        Ok(()) => Next::Resume,
        Err(next) => next,
    };
    let next = next.and(k, handle_interrupt(k, irq));
    leave::schedule(k, next)
}

/// Handles the interrupts that stopped a long operation.
#[cold]
#[inline(never)]
pub fn pending_interrupts(k: &mut Kernel) -> Next {
    // What the operation did to threads is in the queues by now: the choice is always made anew.
    let mut next = Next::Choose.and(k, end::check_preempted(k));
    while let Some(irq) = pecan_arch::take_pending_irq() {
        next = next.and(k, handle_interrupt(k, irq));
    }
    next
}

fn handle_interrupt(k: &Kernel, irq: usize) -> Next {
    if irq == IRQ_TIMER {
        budget::timer_fired(k);
        pecan_arch::irq_ack(irq);
        Next::Resume
    } else {
        interrupt::interrupt(k, irq)
    }
}
