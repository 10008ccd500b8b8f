//! Ways into the kernel: exceptions as the processor reports them, and interrupts while the kernel runs.

use super::{
    irq::IRQ_TIMER,
    machine::{machine, raise_irq, set_time},
    time::now,
};
pub use crate::format::arch::irq::{decode_exception, encode_exception, is_trap};

pub fn irq_pending() -> bool {
    let m = machine();
    let (looks, irq) = m.irq_later.get();
    if looks != 0 {
        m.irq_later.set((looks - 1, irq));
        m.pending.borrow_mut().extend((looks == 1).then_some(irq));
    }
    !m.pending.borrow().is_empty()
}

/// Waits for an interrupt: here, jumps to the deadline and raises the timer if none is pending.
pub fn idle_wait() {
    if !irq_pending() {
        set_time(machine().deadline.get().max(now()));
        raise_irq(IRQ_TIMER);
    }
}

/// Notes how deep the kernel's stack gets from now on: not here.
pub fn paint_stack() {}

/// Bytes of stack that the kernel has used at most since it was painted: here, unknown.
pub fn stack_used() -> usize {
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{set_deadline, take_pending_irq};

    #[test]
    fn idle_jumps_to_the_deadline() {
        set_time(5);
        set_deadline(100);
        idle_wait();
        assert_eq!((now(), take_pending_irq()), (100, Some(IRQ_TIMER)));
    }
}
