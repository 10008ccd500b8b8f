//! Delivery of an interrupt: it is masked until its handler acknowledges it, so that a device cannot flood the kernel, and
//! the notification in the kernel's own slot of that interrupt is signalled.

use pecan_arch::irq_mask;
use pecan_mem::Kernel;

use crate::{ipc::notification, sched::next::Next};

/// An interrupt came (any but the timer's): masks it until it is acknowledged and signals its notification.
pub fn interrupt(k: &Kernel, irq: usize) -> Next {
    // A level-triggered line would come again at once.
    irq_mask(irq, true);
    pecan_arch::irq_ack(irq);
    let Some(slot) = k.global().irq_slots.get(irq) else { return Next::Resume };
    let cap = slot.words();
    match cap.notification_for_signal() {
        Some(ntfn) => notification::signal(k, ntfn.get(k), cap.badge()),
        // Nobody waits for it, or it is spurious.
        None => Next::Resume,
    }
}
