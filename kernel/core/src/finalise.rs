//! Deleting and revoking capabilities, and what happens to an object whose last capability goes.
//!
//! Most objects go at once. CNodes and threads hold slots of their own, which must be emptied first: the last
//! capability to one becomes a *zombie* in the same slot, which knows how many slots are left, and each step
//! of the deletion empties one from the end. All of the deletion's state lies in slots, so it can stop at any
//! preemption point and is resumed by making the same call again.
//!
//! A slot of a dying CNode may itself hold the last capability to a CNode. Its zombie waits in the first slot of the CNode
//! in which it was found, and goes before the rest of that. What is found in turn takes its place there, and has the one
//! around it wait in its own first slot. So all that is under way hangs together, without a stack, by the first slots; and
//! the slot being deleted holds its own zombie until everything that dies with it is gone, so that whoever makes the call
//! again, or revokes what the zombie descends from, goes on there and leaves nothing.
//!
//! The last capability to an endpoint, a notification or an interrupt handler that many threads have to leave becomes a
//! [`Cap::Ending`], which nobody can use or copy either.

use pecan_config::MAX_NUM_WORK_UNITS_PER_PREEMPTION;
use pecan_mem::{Cap, Ending, Kernel, Link, Slot, Zombie, cap::tag};

use crate::{
    budget, derivation, endpoint, error::Preempted, ioport, irq, latency, notification, reply, sched_context,
    scheduler::Next, tcb, vspace,
};

/// Empty slots of a dying CNode that count as one step of work.
const EMPTY_SLOTS_AT_ONCE: u64 = 32;

/// The part of the worst-case execution time ([`pecan_arch::kernel_wcet_ticks`]) after which a long operation looks for
/// interrupts again, as a divisor.
const LOOKS: u64 = 5;

/// The same for [`early_preemption_point`].
const EARLY_LOOKS: u64 = 20;

/// Counts a step of a long operation and, after so many or after so much time, looks whether something more urgent waits.
///
/// What the operation has done to threads so far must be settled ([`Next::settle`]): whoever is told `Preempted`
/// chooses a thread anew.
///
/// # Errors
/// `Preempted`: stop here; the system call is made again later.
#[inline]
pub fn preemption_point(k: &Kernel) -> Result<(), Preempted> {
    let units = k.core().work_units.get() + 1;
    let elapsed = pecan_arch::now().wrapping_sub(k.core().time.get());
    if units < MAX_NUM_WORK_UNITS_PER_PREEMPTION && elapsed * LOOKS < pecan_arch::kernel_wcet_ticks() {
        k.core().work_units.set(units);
        return Ok(());
    }
    look(k)
}

/// The same between the lookups of a system call that has not changed anything yet, where the time since its entry is what
/// counts, and less of it: see `docs/latency.md`.
///
/// # Errors
/// `Preempted`: stop here; the system call is made again later, from its beginning.
pub fn early_preemption_point(k: &Kernel) -> Result<(), Preempted> {
    let elapsed = pecan_arch::now().wrapping_sub(k.core().time.get());
    if elapsed * EARLY_LOOKS < pecan_arch::kernel_wcet_ticks() { Ok(()) } else { look(k) }
}

/// Looks whether something more urgent waits than a long operation.
#[inline(never)]
fn look(k: &Kernel) -> Result<(), Preempted> {
    k.core().work_units.set(0);
    budget::update_time(k);
    let pending = pecan_arch::irq_pending();
    latency::point(k);
    if pending || budget::is_exhausted(k) { Err(Preempted) } else { Ok(()) }
}

/// Deletes the capability in a slot, and the object if it was the last. The slot is empty afterwards. An empty
/// slot stays empty.
///
/// # Errors
/// `Preempted`: the slot holds what is left, and other calls may see it.
#[inline(never)]
pub fn delete(k: &mut Kernel, slot: Link<Slot>) -> Result<Next, Preempted> {
    // What most deletions are.
    if slot.get(k).words().tag().ends_alone() && !derivation::is_final(k, slot) {
        derivation::remove(k, slot);
        return Ok(Next::Stay);
    }
    delete_any(k, slot)
}

#[inline(never)]
fn delete_any(k: &mut Kernel, slot: Link<Slot>) -> Result<Next, Preempted> {
    let next = finalise(k, slot)?;
    if slot.get(k).is_empty() {
        return Ok(next);
    }
    let next = next.settle(k);
    empty_zombie(k, slot, next)
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
        preemption_point(k)?;
    }
    Ok(next)
}

/// Empties the CNode or thread whose zombie is in `slot`, with everything that dies with it, and then the slot.
///
/// Every round empties a slot for good, or moves zombies: one that has been found to where it waits, or the one in `slot`
/// within what dies with it. Each is found once, and the one in `slot` moves a few times at most for each that is found
/// around it; so the rounds are bounded by the slots involved. Two zombies never name the same object: there is a zombie
/// only where the last capability was.
#[inline(never)]
fn empty_zombie(k: &mut Kernel, mut slot: Link<Slot>, mut next: Next) -> Result<Next, Preempted> {
    while let Cap::Zombie { zombie: outer, .. } = slot.get(k).cap() {
        // What waits in its first slot goes before the rest.
        let waits = outer.first() != slot && outer.first().get(k).words().tag() == tag::ZOMBIE;
        let active = if waits { outer.first() } else { slot };
        let Cap::Zombie { zombie, remaining } = active.get(k).cap() else { break };
        let first = zombie.first();
        let (index, last) = last_used(k, zombie, remaining);

        if last == slot {
            // The zombie in `slot` lies in this one, where it goes last: in the first slot.
            if index > 0 {
                derivation::swap(k, slot, first);
                slot = first;
                continue;
            }
            derivation::remove(k, active);
            if active == slot {
                break;
            }
            derivation::move_cap(k, slot, active);
            slot = active;
            continue;
        }

        let finalised = finalise(k, last)?;
        next = next.and(k, finalised).settle(k);
        match last.get(k).cap() {
            Cap::Zombie { zombie: found, .. } if index > 0 => {
                active.get(k).set_remaining(index + 1);
                if active == slot && first != slot {
                    // It waits in the first slot, and what was there goes here.
                    derivation::swap(k, last, first);
                } else {
                    // It takes the place of this one, which waits in its first slot, and what was there goes here.
                    let inner = found.first();
                    derivation::swap(k, active, last);
                    derivation::swap(k, last, inner);
                    slot = match slot {
                        s if s == active => inner,
                        s if s == inner => last,
                        s => s,
                    };
                }
            }
            // Nothing is left but one that waits: go on there.
            Cap::Zombie { .. } if active != slot => {
                derivation::remove(k, active);
                derivation::move_cap(k, last, active);
            }
            Cap::Zombie { .. } => active.get(k).set_remaining(1),
            _ if index == 0 => {
                derivation::remove(k, active);
                if active == slot {
                    break;
                }
            }
            _ => active.get(k).set_remaining(index),
        }
        preemption_point(k)?;
    }
    Ok(next)
}

/// The last of the first `remaining` slots that is not empty, or one not far before: so many empty slots are
/// passed over at one go.
#[inline]
fn last_used(k: &Kernel, zombie: Zombie, remaining: u64) -> (u64, Link<Slot>) {
    let mut index = remaining.saturating_sub(1);
    let stop = index.saturating_sub(EMPTY_SLOTS_AT_ONCE);
    loop {
        let slot = zombie.slot(k, index);
        if index == stop || !slot.get(k).is_empty() {
            return (index, slot);
        }
        index -= 1;
    }
}

/// Finalises the capability in a slot: if it is its object's last, the object is taken out of everything that
/// refers to it. Then the slot is emptied, or holds a zombie if the object has slots of its own.
///
/// # Errors
/// `Preempted`: there are many threads queued at the object, and the slot holds a [`Cap::Ending`].
fn finalise(k: &mut Kernel, slot: Link<Slot>) -> Result<Next, Preempted> {
    let cap = slot.get(k).cap();
    if matches!(cap, Cap::Null | Cap::Zombie { .. }) {
        return Ok(Next::Resume);
    }
    let last = matches!(cap, Cap::Ending { .. }) || derivation::is_final(k, slot);
    if matches!(cap, Cap::CNode { .. } | Cap::PageTable { .. }) {
        // It may be the root of a thread's space.
        k.end_epoch();
    }
    let next = match cap {
        // Mappings belong to the capability, not to the frame.
        Cap::Frame { base, level, mapping: Some(mapping), .. } => {
            vspace::unmap_frame(k, base, level, mapping);
            Next::Resume
        }
        _ if !last => Next::Resume,
        Cap::Endpoint { ep, .. } | Cap::Ending { what: Ending::Endpoint(ep) } => {
            endpoint::cancel_all(k, ep.get(k)).inspect_err(|_| slot.get(k).become_ending())?
        }
        Cap::Notification { ntfn, .. } | Cap::Ending { what: Ending::Notification(ntfn) } => {
            let ntfn = ntfn.get(k);
            if let Some(sc) = ntfn.sched_context.take() {
                sc.get(k).notification.set(None);
            }
            notification::unbind_notification(k, ntfn);
            notification::cancel_all(k, ntfn).inspect_err(|_| slot.get(k).become_ending())?
        }
        Cap::Reply { reply, .. } => {
            reply::finalise(k, reply.get(k));
            Next::Resume
        }
        Cap::SchedContext { sc, .. } => {
            sched_context::finalise(k, sc.get(k));
            Next::Resume
        }
        Cap::CNode { .. } => {
            slot.get(k).become_zombie(k);
            return Ok(Next::Resume);
        }
        Cap::Tcb { tcb } => {
            let next = tcb::finalise(k, tcb);
            slot.get(k).become_zombie(k);
            return Ok(next);
        }
        Cap::PageTable { table, level, mapping: Some(mapping) } => {
            if level as usize == pecan_arch::PT_LEVELS - 1 {
                vspace::delete_asid(k, mapping.asid, table);
            } else {
                vspace::unmap_table(k, table, level, mapping);
            }
            Next::Resume
        }
        Cap::AsidPool { pool, base } => {
            vspace::delete_asid_pool(k, base, pool);
            Next::Resume
        }
        Cap::IrqHandler { irq } | Cap::Ending { what: Ending::IrqHandler(irq) } => {
            irq::deleted(k, irq).inspect_err(|_| slot.get(k).become_ending())?
        }
        Cap::IoPort { first, last } => {
            ioport::deleted(k, first, last);
            Next::Resume
        }
        // Nothing refers to these, or nobody any more.
        Cap::Frame { mapping: None, .. } | Cap::PageTable { mapping: None, .. } => Next::Resume,
        Cap::Untyped { .. }
        | Cap::SchedControl { .. }
        | Cap::AsidControl
        | Cap::IrqControl
        | Cap::IoPortControl
        | Cap::Domain => Next::Resume,
        Cap::Null | Cap::Zombie { .. } => return Ok(Next::Resume),
    };
    derivation::remove(k, slot);
    Ok(next)
}

#[cfg(test)]
mod tests {
    use pecan_arch::host;

    use super::*;
    use crate::testing::World;

    /// A point, how much of the kernel's time may pass before it looks for interrupts, and whether it counts steps.
    type Point = (fn(&Kernel) -> Result<(), Preempted>, u64, bool);

    #[test]
    fn interrupts_are_looked_for_after_so_much_time_or_so_many_steps() {
        let points: [Point; 2] =
            [(preemption_point, LOOKS, true), (early_preemption_point, EARLY_LOOKS, false)];
        for (point, looks, counts) in points {
            let w = World::new();
            let k = &*w.k;
            let begin = || {
                budget::update_time(k);
                k.core().work_units.set(0);
            };
            let most = pecan_arch::kernel_wcet_ticks().div_ceil(looks);
            host::raise_irq(pecan_arch::IRQ_USER_MIN);
            if MAX_NUM_WORK_UNITS_PER_PREEMPTION > 2 {
                begin();
                assert_eq!(point(k), Ok(()), "at once");
                host::advance_time(most - 1);
                assert_eq!(point(k), Ok(()));
                host::advance_time(1);
                assert_eq!(point(k), Err(Preempted));
            }
            begin();
            let steps = (0..2 * MAX_NUM_WORK_UNITS_PER_PREEMPTION).position(|_| point(k).is_err());
            assert_eq!(steps, counts.then_some(MAX_NUM_WORK_UNITS_PER_PREEMPTION - 1));
            // Without one it goes on, and counts anew.
            assert!(pecan_arch::take_pending_irq().is_some());
            begin();
            host::advance_time(most);
            assert_eq!(point(k), Ok(()));
            assert_eq!((k.core().time.get(), k.core().work_units.get()), (pecan_arch::now(), 0));
        }
    }

    #[test]
    fn a_long_operation_ends_with_the_time_of_its_thread() {
        let w = World::new();
        let (k, thread) = (&*w.k, w.thread.get(&w.k));
        let look = || {
            k.core().work_units.set(MAX_NUM_WORK_UNITS_PER_PREEMPTION);
            preemption_point(k)
        };
        let sc = thread.sched_context.get();
        host::advance_time(pecan_arch::us_to_ticks(2_500));
        assert_eq!(look(), Ok(()));
        // It has been taken away: who has none does not go on.
        thread.sched_context.set(None);
        assert_eq!(look(), Err(Preempted));
        thread.sched_context.set(sc);
        assert_eq!(look(), Ok(()));
        host::advance_time(pecan_arch::us_to_ticks(2_500));
        assert_eq!(look(), Err(Preempted));
        // Who has stopped itself would not come back.
        thread.state.set(pecan_mem::ThreadState::Inactive);
        assert_eq!(look(), Ok(()));
    }
}
