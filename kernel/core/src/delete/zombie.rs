//! Emptying the slots of a CNode or a thread that has lost its last capability.
//!
//! A slot of a dying CNode may itself hold the last capability to a CNode. Its zombie waits in the first slot of the CNode
//! in which it was found, and goes before the rest of that. What is found in turn takes its place there, and has the one
//! around it wait in its own first slot. So all that is under way hangs together, without a stack, by the first slots; and
//! the slot being deleted holds its own zombie until everything that dies with it is gone, so that whoever makes the call
//! again, or revokes what the zombie descends from, goes on there and leaves nothing.

use pecan_mem::{Cap, Kernel, Link, Slot, Zombie, cap::tag};

use crate::{
    base::error::Preempted,
    cap::derivation,
    delete,
    sched::{next::Next, preempt},
};

/// Empty slots of a dying CNode that count as one step of work.
const EMPTY_SLOTS_AT_ONCE: usize = 32;

/// Empties the CNode or thread whose zombie is in `slot`, with everything that dies with it, and then the slot.
///
/// Every round empties a slot for good, or moves zombies: one that has been found to where it waits, or the one in `slot`
/// within what dies with it. Each is found once, and the one in `slot` moves a few times at most for each that is found
/// around it; so the rounds are bounded by the slots involved. Two zombies never name the same object: there is a zombie
/// only where the last capability was.
#[inline(never)]
pub fn empty_zombie(k: &mut Kernel, mut slot: Link<Slot>, mut next: Next) -> Result<Next, Preempted> {
    while let Some((outer, _)) = zombie_in(k, slot) {
        // What waits in its first slot goes before the rest.
        let waits = outer.first() != slot && zombie_in(k, outer.first()).is_some();
        let active = if waits { outer.first() } else { slot };
        let Some((zombie, remaining)) = zombie_in(k, active) else { break };
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

        if !last.get(k).is_empty() {
            let finalised = delete::finalise(k, last, derivation::is_final(k, last))?;
            next = next.and(k, finalised).settle(k);
        }
        match zombie_in(k, last) {
            Some((found, _)) if index > 0 => {
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
            Some(_) if active != slot => {
                derivation::remove(k, active);
                derivation::move_cap(k, last, active);
            }
            Some(_) => active.get(k).set_remaining(1),
            None if index == 0 => {
                derivation::remove(k, active);
                if active == slot {
                    break;
                }
            }
            None => active.get(k).set_remaining(index),
        }
        preempt::preemption_point(k)?;
    }
    Ok(next)
}

/// The zombie in a slot, and how many of its slots are not yet emptied.
#[inline]
fn zombie_in(k: &Kernel, slot: Link<Slot>) -> Option<(Zombie, u64)> {
    match Cap::unpack_as(tag::ZOMBIE, slot.get(k).words()) {
        Some(Cap::Zombie { zombie, remaining }) => Some((zombie, remaining)),
        _ => None,
    }
}

/// The last of the first `remaining` slots that is not empty, or one not far before: so many empty slots are
/// passed over at one go.
#[inline]
fn last_used(k: &Kernel, zombie: Zombie, remaining: u64) -> (u64, Link<Slot>) {
    let slots = zombie.slots(k);
    let slots = &slots[..slots.len().min(remaining as usize)];
    let stop = slots.len().saturating_sub(1 + EMPTY_SLOTS_AT_ONCE);
    let index = slots[stop..].iter().rposition(|slot| !slot.is_empty()).map_or(stop, |index| stop + index);
    (index as u64, slots.get(index).map_or(zombie.first(), Slot::link))
}
