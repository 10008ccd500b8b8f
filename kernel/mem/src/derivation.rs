//! The derivation list: which capability was made from which.
//!
//! The slots that hold capabilities form lists, each a derivation tree in pre-order: a capability is followed
//! by its descendants. The list has no depths; whether `b` descends from an earlier `a` is told from the two
//! capabilities and two flags ([`is_parent`]). All capabilities to one object lie next to each other, so one
//! look at both neighbours tells whether a capability is its object's last ([`is_final`]).
//!
//! This module and [`crate::retype`] are the only ones that write to slots, and each of their operations keeps
//! what a slot holds and its place in the list consistent: a capability enters a list behind one that it can
//! have been made from, and leaves it with its slot. So a capability to untyped memory without children here
//! ([`has_children`]) has none in any slot, which is what [`crate::retype::reset_step`] rests on.
//!
//! An operation that is asked for something impossible (a full destination, a capability that does not come
//! from its source) changes nothing and returns false.

use crate::{
    Kernel,
    cap::{ArchCap, NewCap, Words, tag},
    link::Link,
    retype::Batch,
    slot::{CNodeRef, FLAGS, Slot},
};

/// Puts the first capability of a tree into an empty slot.
pub fn insert_root(k: &Kernel, cap: NewCap, dest: Link<Slot>) -> bool {
    let dest = dest.get(k);
    dest.is_empty() && {
        dest.set_words(cap.words());
        dest.set_raw(0, FLAGS);
        true
    }
}

/// Puts a capability that was derived from the one in `src` into an empty slot, as its child or sibling: one to
/// the same object, with another badge, other rights or, of a frame, another mapping perhaps.
///
/// A copy of untyped memory is the same as its source, which must have no children. The source then counts as
/// used up, or both would hand out the same memory.
pub fn insert(k: &Kernel, cap: Words, src: Link<Slot>, dest: Link<Slot>) -> bool {
    let same = match cap.tag() {
        tag::ENDPOINT | tag::NOTIFICATION => return insert_badged(k, cap, src, dest),
        tag::UNTYPED => return insert_untyped(k, cap, src, dest),
        // Of these there are no others with more or less in them, or none at all (see `same_object`).
        tag::NULL
        | tag::FRAME
        | tag::PAGE_TABLE
        | tag::ASID_CONTROL
        | tag::ASID_POOL
        | tag::REPLY
        | tag::ARCH
        | tag::CNODE
        | tag::TCB
        | tag::IRQ_CONTROL
        | tag::IRQ_HANDLER
        | tag::ZOMBIE
        | tag::ENDING
        | tag::ENDING_IRQ_HANDLER
        | tag::DOMAIN
        | tag::SCHED_CONTEXT
        | tag::SCHED_CONTROL => cap.may_join(src.get(k).words()),
    };
    same && insert_after(k, cap, src, dest, false)
}

/// [`insert`] of a capability to an endpoint or a notification; others are not put anywhere.
#[inline(always)]
pub fn insert_badged(k: &Kernel, cap: Words, src: Link<Slot>, dest: Link<Slot>) -> bool {
    let from = src.get(k).words();
    from.is_badged()
        && cap.same_in_memory(from)
        && insert_after(k, cap, src, dest, cap.badge() != from.badge())
}

#[inline(never)]
fn insert_untyped(k: &Kernel, cap: Words, src: Link<Slot>, dest: Link<Slot>) -> bool {
    let copied = cap == src.get(k).words() && !has_children(k, src) && insert_after(k, cap, src, dest, true);
    if copied {
        src.get(k).set_words(cap.used_up());
    }
    copied
}

/// Puts a new handler for an interrupt into an empty slot, as a child of the authority over all of them.
pub fn insert_irq_handler(k: &Kernel, irq: u16, control: Link<Slot>, dest: Link<Slot>) -> bool {
    control.get(k).words().tag() == tag::IRQ_CONTROL
        && insert_after(k, Words::irq_handler(irq), control, dest, true)
}

/// Puts a new capability that only this architecture has into an empty slot, as a child of the one that issues such.
pub fn insert_arch(k: &Kernel, cap: ArchCap, control: Link<Slot>, dest: Link<Slot>) -> bool {
    control.get(k).words().arch_cap().is_some_and(|control| control.issues(cap))
        && insert_after(k, Words::arch(cap), control, dest, true)
}

#[inline(always)]
pub(crate) fn insert_after(
    k: &Kernel,
    cap: Words,
    before: Link<Slot>,
    dest: Link<Slot>,
    first: bool,
) -> bool {
    let (before, slot) = (before.get(k), dest.get(k));
    if !slot.is_empty() {
        return false;
    }
    let after = before.next();
    slot.set_words(cap);
    slot.set_raw(before.address(), before.raw_next() & !FLAGS | if first { FLAGS } else { 0 });
    before.set_next(Some(dest));
    if let Some(after) = after {
        after.get(k).set_prev(Some(dest));
    }
    true
}

/// Puts the capabilities to a batch of new objects into the empty slots of a CNode from `first` on, up to one that is not
/// empty, as children of the untyped memory that they were made of, the first one's behind the others. Of an object that
/// gets none nobody will know until the memory is reset. That is so of all of them if the CNode has not so many slots.
#[inline]
pub fn place(batch: Batch<'_>, cnode: CNodeRef, first: u64) {
    let count = batch.count;
    place_in(batch, |k| cnode.slots(k, first, count));
}

/// [`place`] of a single object's, in this slot.
#[inline(always)]
pub fn place_one(batch: Batch<'_>, slot: Link<Slot>) {
    place_in(batch, |k| core::slice::from_ref(slot.get(k)));
}

/// Nobody but this module is lent the lock here, so that the capability to the memory is where it was.
#[inline(always)]
fn place_in<'k>(batch: Batch<'k>, slots: impl FnOnce(&'k Kernel) -> &'k [Slot]) {
    let Batch { k, mut words, size, count, parent, .. } = batch;
    let k: &'k Kernel = k;
    let slots = slots(k);
    let before = parent.get(k);
    let after = before.next();
    let slots = &slots[..slots.len().min(count as usize)];
    let mut last = None;
    // What the slots hold goes up in steps: here instructions count (see `docs/latency.md`).
    const SIZE: u64 = size_of::<Slot>() as u64;
    let mut next = (slots.first().map_or(0, Slot::address) | FLAGS).wrapping_sub(SIZE);
    for slot in slots {
        if !slot.is_empty() {
            break;
        }
        slot.set_words(words);
        // The next one lies before it in the list.
        slot.set_raw(slot.address() + SIZE, next);
        next = next.wrapping_add(SIZE);
        words = words.moved(size);
        last = Some(slot);
    }
    if let [first, ..] = slots
        && let Some(last) = last
    {
        first.set_raw(first.raw_prev(), before.raw_next() | FLAGS);
        last.set_prev(Some(parent));
        before.set_next(Some(last.link()));
        if let Some(after) = after {
            after.get(k).set_prev(Some(first.link()));
        }
    }
}

/// Moves a capability, with its place in the list, to an empty slot.
pub fn move_cap(k: &Kernel, src: Link<Slot>, dest: Link<Slot>) -> bool {
    let (from, to) = (src.get(k), dest.get(k));
    to.is_empty() && {
        to.set_words(from.words());
        to.set_raw(from.raw_prev(), from.raw_next());
        from.clear();
        attach(k, to);
        true
    }
}

/// Swaps what two slots hold, with the places in the list. Either may be empty.
pub fn swap(k: &Kernel, a: Link<Slot>, b: Link<Slot>) {
    if a == b {
        return;
    }
    let place = |slot: &Slot| (slot.words(), slot.prev(), slot.next(), slot.raw_next() & FLAGS);
    // The two may be neighbours: then a link from one to the other turns around.
    let turn = |link: Option<Link<Slot>>| match link {
        Some(l) if l == a => Some(b),
        Some(l) if l == b => Some(a),
        other => other,
    };
    let put = |slot: &Slot, (words, prev, next, flags): (Words, _, _, u64)| {
        slot.set_words(words);
        slot.set_raw(0, flags);
        slot.set_prev(turn(prev));
        slot.set_next(turn(next));
    };
    let (a, b) = (a.get(k), b.get(k));
    let (place_a, place_b) = (place(a), place(b));
    put(a, place_b);
    put(b, place_a);
    attach(k, a);
    attach(k, b);
}

/// Makes the neighbours of a slot point to it.
#[inline(always)]
fn attach(k: &Kernel, slot: &Slot) {
    if let Some(prev) = slot.prev() {
        prev.get(k).set_next(Some(slot.link()));
    }
    if let Some(next) = slot.next() {
        next.get(k).set_prev(Some(slot.link()));
    }
}

/// Empties a slot and takes it out of the list. Nothing else happens to the object: it must have been finalised.
pub fn remove(k: &Kernel, slot: Link<Slot>) {
    let slot = slot.get(k);
    let (prev, next) = (slot.prev(), slot.next());
    if let Some(prev) = prev {
        prev.get(k).set_next(next);
    }
    if let Some(next) = next {
        let next = next.get(k);
        next.set_prev(prev);
        // The copies of a badged capability must not become children of whatever lies before them.
        if slot.is_first_badged() {
            next.set_first_badged();
        }
    }
    slot.clear();
}

/// True if the capability in `b`, which follows that in `a` in the list, descends from it.
pub fn is_parent(a: &Slot, b: &Slot) -> bool {
    if !a.is_revocable() {
        return false;
    }
    let (cap, child) = (a.words(), b.words());
    match cap.tag() {
        tag::UNTYPED => cap.covers(child),
        tag::ENDPOINT | tag::NOTIFICATION => {
            cap.same_object(child)
                && (cap.badge() == 0 || cap.badge() == child.badge() && !b.is_first_badged())
        }
        tag::IRQ_CONTROL => {
            matches!(child.tag(), tag::IRQ_HANDLER | tag::ENDING_IRQ_HANDLER) || cap.same_object(child)
        }
        tag::ARCH => {
            let issued = |cap: ArchCap| child.arch_cap().is_some_and(|child| cap.issues(child));
            cap.arch_cap().is_some_and(issued) || cap.same_object(child)
        }
        tag::NULL
        | tag::FRAME
        | tag::PAGE_TABLE
        | tag::ASID_CONTROL
        | tag::ASID_POOL
        | tag::REPLY
        | tag::CNODE
        | tag::TCB
        | tag::IRQ_HANDLER
        | tag::ZOMBIE
        | tag::ENDING
        | tag::ENDING_IRQ_HANDLER
        | tag::DOMAIN
        | tag::SCHED_CONTEXT
        | tag::SCHED_CONTROL => cap.same_object(child),
    }
}

/// The next capability in the list if it descends from the one in `slot`.
#[inline]
pub fn first_child(k: &Kernel, slot: Link<Slot>) -> Option<Link<Slot>> {
    let slot = slot.get(k);
    slot.next().filter(|next| is_parent(slot, next.get(k)))
}

/// True if capabilities descend from the one in `slot`.
#[inline]
pub fn has_children(k: &Kernel, slot: Link<Slot>) -> bool {
    first_child(k, slot).is_some()
}

/// True if no other slot holds a capability to the same object.
#[inline(never)]
pub fn is_final(k: &Kernel, slot: Link<Slot>) -> bool {
    let slot = slot.get(k);
    let words = slot.words();
    let same = |other: Option<Link<Slot>>| other.is_some_and(|o| words.same_object(o.get(k).words()));
    !same(slot.prev()) && !same(slot.next())
}
