//! Tests that the kernel lock owns no object: links lead to the kernel's own objects while `&mut Kernel` is in hand.

use pecan_abi::{Label, ObjectType};
use pecan_arch::{IRQ_FIRST_NUMBER, IRQ_USER_MIN};
use pecan_mem::{Cap, Kernel, Link, Slot};

use crate::{cap::derivation, delete, invoke::arch::testing::request, testing::*};

const IRQ: usize = 21;

/// Gives the interrupt a handler at `FREE` that signals the notification at `FREE + 1`, and returns the kernel's slot.
fn bind(w: &mut World) -> Link<Slot> {
    let (label, words) = request(FREE, IRQ_FIRST_NUMBER + (IRQ - IRQ_USER_MIN) as u64);
    assert_eq!(w.call(IRQ_CONTROL, label, &words, &[CNODE]), Ok(vec![]));
    assert_eq!(w.cap(FREE), Cap::IrqHandler { irq: IRQ as u16 });
    w.make(ObjectType::Notification, 0, FREE + 1);
    assert_eq!(w.call(FREE, Label::IrqSetIrqHandler, &[], &[FREE + 1]), Ok(vec![]));
    w.k.global().irq_slots[IRQ].link()
}

/// Whether the interrupt's slot is empty, before and after it is emptied through a link.
#[inline(never)]
fn empty(k: &mut Kernel, slot: Link<Slot>) -> (bool, bool) {
    let before = k.global().irq_slots[IRQ].is_empty();
    derivation::remove(k, slot);
    (before, k.global().irq_slots[IRQ].is_empty())
}

#[test]
fn what_a_link_changes_is_seen_in_the_kernels_state() {
    let mut w = World::new();
    let slot = bind(&mut w);
    assert_eq!(empty(&mut w.k, slot), (false, true));
}

#[test]
fn the_notification_of_an_interrupt_is_deleted() {
    let mut w = World::new();
    let slot = bind(&mut w);
    assert!(delete::delete(&mut w.k, slot).is_ok());
    assert!(w.k.global().irq_slots[IRQ].is_empty());
    w.check();
}
