//! Deleting and revoking capabilities, and what happens to an object whose last capability goes.
//!
//! Most objects go at once. CNodes and threads hold slots of their own, which must be emptied first: the last
//! capability to one becomes a *zombie* in the same slot, which knows how many slots are left, and each step
//! of the deletion empties one from the end (`zombie.rs`). All of the deletion's state lies in slots, so it can stop at any
//! preemption point and is resumed by making the same call again.
//!
//! The last capability to an endpoint, a notification or an interrupt handler that many threads have to leave becomes a
//! [`Cap::Ending`], which nobody can use or copy either.
//!
//! The safety of links rests on this: before the last capability to an object is removed from its slot,
//! everything that refers to the object has let go of it. CNode invocations, the slots of threads and
//! interrupt handlers call `delete` and `revoke`; nothing else removes a capability to an object.

pub mod last;
mod zombie;

use pecan_arch::irq_mask;
use pecan_mem::{Cap, Ending, IrqState, Kernel, Link, Slot, vspace::ROOT_LEVEL};

use crate::{
    base::{arch, error::Preempted},
    cap::derivation,
    ipc::{cancel, notification},
    sched::{next::Next, preempt},
    space::unmap,
};

/// Deletes the capability in a slot, and the object if it was the last. The slot is empty afterwards. An empty
/// slot stays empty.
///
/// # Errors
/// `Preempted`: the slot holds what is left, and other calls may see it.
#[inline(never)]
pub fn delete(k: &mut Kernel, slot: Link<Slot>) -> Result<Next, Preempted> {
    let last = derivation::is_final(k, slot);
    // What most deletions are.
    if !last && slot.get(k).words().tag().ends_alone() {
        derivation::remove(k, slot);
        return Ok(Next::Stay);
    }
    delete_any(k, slot, last)
}

#[inline(never)]
fn delete_any(k: &mut Kernel, slot: Link<Slot>, last: bool) -> Result<Next, Preempted> {
    let next = finalise(k, slot, last)?;
    if slot.get(k).is_empty() {
        return Ok(next);
    }
    let next = next.settle(k);
    zombie::empty_zombie(k, slot, next)
}

/// Deletes all capabilities that descend from the one in a slot.
///
/// # Errors
/// `Preempted`: some are left. The same call goes on where this one has stopped, in whatever order others come between.
pub fn revoke(k: &mut Kernel, slot: Link<Slot>) -> Result<Next, Preempted> {
    let mut next = Next::Resume;
    // A descendant may be the CNode that holds `slot`. Then the slot gets another capability or none, and
    // there is nothing left to revoke; its memory remains what it is, as nothing is retyped meanwhile.
    while let Some(child) = derivation::first_child(k, slot) {
        let deleted = delete(k, child)?;
        next = next.and(k, deleted).settle(k);
        preempt::preemption_point(k)?;
    }
    Ok(next)
}

/// Finalises the capability in a slot: if it is its object's last ([`derivation::is_final`]; what has begun to end is), the
/// object is taken out of everything that refers to it. Then the slot is emptied, or holds a zombie if the object has slots
/// of its own.
///
/// # Errors
/// `Preempted`: there are many threads queued at the object, and the slot holds a [`Cap::Ending`].
fn finalise(k: &mut Kernel, slot: Link<Slot>, last: bool) -> Result<Next, Preempted> {
    let cap = slot.get(k).cap();
    if matches!(cap, Cap::CNode { .. } | Cap::PageTable { .. }) {
        // It may be the root of a thread's space.
        k.end_epoch();
    }
    let next = match cap {
        // Mappings belong to the capability, not to the frame.
        Cap::Frame { base, level, mapping: Some(mapping), .. } => {
            unmap::unmap_frame(k, base, level, mapping);
            Next::Resume
        }
        _ if !last => Next::Resume,
        Cap::Endpoint { ep, .. } | Cap::Ending { what: Ending::Endpoint(ep) } => {
            cancel::cancel_all(k, ep.get(k)).inspect_err(|_| slot.get(k).become_ending())?
        }
        Cap::Notification { ntfn, .. } | Cap::Ending { what: Ending::Notification(ntfn) } => {
            let ntfn = ntfn.get(k);
            if let Some(sc) = ntfn.sched_context.take() {
                sc.get(k).notification.set(None);
            }
            notification::unbind_notification(k, ntfn);
            cancel::cancel_all_waiting(k, ntfn).inspect_err(|_| slot.get(k).become_ending())?
        }
        Cap::Reply { reply, .. } => {
            last::end_reply(k, reply.get(k));
            Next::Resume
        }
        Cap::SchedContext { sc, .. } => {
            last::end_sched_context(k, sc.get(k));
            Next::Resume
        }
        Cap::CNode { .. } => {
            slot.get(k).become_zombie(k);
            return Ok(Next::Resume);
        }
        Cap::Tcb { tcb } => {
            let next = last::end_thread(k, tcb);
            slot.get(k).become_zombie(k);
            return Ok(next);
        }
        Cap::PageTable { table, level, mapping: Some(mapping) } => {
            if level == Some(ROOT_LEVEL as u8) {
                unmap::delete_asid(k, mapping.asid, table);
            } else {
                unmap::detach_table(k, slot.get(k).words());
            }
            Next::Resume
        }
        Cap::AsidPool { pool, base } => {
            unmap::delete_asid_pool(k, base, pool);
            Next::Resume
        }
        Cap::IrqHandler { irq } | Cap::Ending { what: Ending::IrqHandler(irq) } => {
            end_irq_handler(k, irq).inspect_err(|_| slot.get(k).become_ending())?
        }
        Cap::Arch(cap) => {
            arch::end(k, cap);
            Next::Resume
        }
        // Nothing refers to these, or nobody any more.
        Cap::Frame { mapping: None, .. } | Cap::PageTable { mapping: None, .. } => Next::Resume,
        Cap::Untyped { .. } | Cap::SchedControl { .. } | Cap::AsidControl | Cap::IrqControl | Cap::Domain => {
            Next::Resume
        }
        Cap::Null | Cap::Zombie { .. } => return Ok(Next::Resume),
    };
    derivation::remove(k, slot);
    Ok(next)
}

/// The last capability to an interrupt handler goes: the interrupt is masked and unbound.
///
/// # Errors
/// `Preempted`: it is masked, and still has its handler.
pub fn end_irq_handler(k: &mut Kernel, irq: u16) -> Result<Next, Preempted> {
    let irq = irq as usize;
    irq_mask(irq, true);
    let slot = k.global().irq_slots[irq].link();
    let next = delete(k, slot)?;
    k.global().irq_states[irq].set(IrqState::Inactive);
    Ok(next)
}
