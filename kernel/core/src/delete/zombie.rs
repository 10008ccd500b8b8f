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
const EMPTY_SLOTS_AT_ONCE: u64 = 32;

/// Empties the CNode or thread whose zombie is in `slot`, with everything that dies with it, and then the slot.
///
/// Every round empties a slot for good, or moves zombies: one that has been found to where it waits, or the one in `slot`
/// within what dies with it. Each is found once, and the one in `slot` moves a few times at most for each that is found
/// around it; so the rounds are bounded by the slots involved. Two zombies never name the same object: there is a zombie
/// only where the last capability was.
#[inline(never)]
pub fn empty_zombie(k: &mut Kernel, mut slot: Link<Slot>, mut next: Next) -> Result<Next, Preempted> {
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

        let finalised = delete::finalise(k, last)?;
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
        preempt::preemption_point(k)?;
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
