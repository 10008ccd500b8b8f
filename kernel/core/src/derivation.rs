//! The derivation list: which capability was made from which.
//!
//! The slots that hold capabilities form lists, each a derivation tree in pre-order: a capability is followed
//! by its descendants. The list has no depths; whether `b` descends from an earlier `a` is told from the two
//! capabilities and two flags ([`is_parent`]). All capabilities to one object lie next to each other, so one
//! look at both neighbours tells whether a capability is its object's last ([`is_final`]).

use pecan_abi::CNodeCapData;
use pecan_mem::{Cap, Kernel, Link, Slot, Words, cap::tag};

use crate::error::{Decoded, SyscallError};

/// Puts the first capability of a tree into an empty slot.
pub fn insert_root(k: &Kernel, cap: Cap, dest: Link<Slot>) {
    let dest = dest.get(k);
    dest.set_cap(cap);
    dest.set_prev(None);
    dest.set_next(None);
    dest.set_flags(true, true);
}

/// Puts the capability to a new object into an empty slot, as a child of `parent`.
pub fn insert_new(k: &Kernel, parent: Link<Slot>, dest: Link<Slot>, cap: Cap) {
    insert_after(k, cap.pack(), parent, dest, true);
}

/// Puts a capability that was derived from the one in `src` into an empty slot, as its child or sibling.
///
/// The source of copied untyped memory then counts as used up, or both would hand out the same memory.
pub fn insert(k: &Kernel, cap: Words, src: Link<Slot>, dest: Link<Slot>) {
    let from = src.get(k).words();
    let first = match cap.tag() {
        tag::ENDPOINT | tag::NOTIFICATION => cap.badge() != from.badge(),
        tag::UNTYPED => true,
        tag::IRQ_HANDLER => from.tag() == tag::IRQ_CONTROL,
        tag::IO_PORT => from.tag() == tag::IO_PORT_CONTROL,
        _ => false,
    };
    insert_after(k, cap, src, dest, first);
    if cap.tag() == tag::UNTYPED {
        src.get(k).set_words(from.used_up());
    }
}

#[inline(always)]
fn insert_after(k: &Kernel, cap: Words, before: Link<Slot>, dest: Link<Slot>, first: bool) {
    let (before, slot) = (before.get(k), dest.get(k));
    let after = before.next();
    slot.set_words(cap);
    slot.set_prev(Some(before.link()));
    slot.set_next(after);
    slot.set_flags(first, first);
    before.set_next(Some(dest));
    if let Some(after) = after {
        after.get(k).set_prev(Some(dest));
    }
}

/// Moves a capability to an empty slot, where it becomes `cap` (the same one, with another guard perhaps).
pub fn move_cap(k: &Kernel, cap: Words, src: Link<Slot>, dest: Link<Slot>) {
    let (from, to) = (src.get(k), dest.get(k));
    to.set_words(cap);
    to.set_prev(from.prev());
    to.set_next(from.next());
    to.set_flags(from.is_revocable(), from.is_first_badged());
    from.clear();
    attach(k, to);
}

/// Swaps what two slots hold; what was in `a` becomes `cap_a` and what was in `b` becomes `cap_b`. Either may
/// be empty.
pub fn swap(k: &Kernel, cap_a: Words, a: Link<Slot>, cap_b: Words, b: Link<Slot>) {
    if a == b {
        return;
    }
    let place = |slot: &Slot| (slot.prev(), slot.next(), slot.is_revocable(), slot.is_first_badged());
    // The two may be neighbours: then a link from one to the other turns around.
    let turn = |link: Option<Link<Slot>>| match link {
        Some(l) if l == a => Some(b),
        Some(l) if l == b => Some(a),
        other => other,
    };
    let put = |slot: &Slot, cap, (prev, next, revocable, first_badged)| {
        slot.set_words(cap);
        slot.set_prev(turn(prev));
        slot.set_next(turn(next));
        slot.set_flags(revocable, first_badged);
    };
    let (a, b) = (a.get(k), b.get(k));
    let (place_a, place_b) = (place(a), place(b));
    put(a, cap_b, place_b);
    put(b, cap_a, place_a);
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

/// Empties a slot and takes it out of the list. The capability has been finalised.
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
            next.set_flags(next.is_revocable(), true);
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
        tag::IRQ_CONTROL => child.tag() == tag::IRQ_HANDLER || cap.same_object(child),
        tag::IO_PORT_CONTROL => child.tag() == tag::IO_PORT || cap.same_object(child),
        _ => cap.same_object(child),
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

/// Fails with `RevokeFirst` if capabilities descend from the one in `slot`.
pub fn ensure_no_children(k: &Kernel, slot: Link<Slot>) -> Decoded<()> {
    if has_children(k, slot) { Err(SyscallError::RevokeFirst) } else { Ok(()) }
}

/// True if no other slot holds a capability to the same object.
#[inline]
pub fn is_final(k: &Kernel, slot: Link<Slot>) -> bool {
    let slot = slot.get(k);
    let words = slot.words();
    let same = |other: Option<Link<Slot>>| other.is_some_and(|o| words.same_object(o.get(k).words()));
    !same(slot.prev()) && !same(slot.next())
}

/// What a copy of `cap`, which is in `slot` (perhaps with other rights), becomes. `Null` for capabilities that
/// cannot be copied.
///
/// # Errors
/// `RevokeFirst` for untyped memory with children; `IllegalOperation` for a paging structure that is not
/// mapped, as its copies could not know where the others get mapped.
pub fn derive(k: &Kernel, slot: Link<Slot>, cap: Words) -> Decoded<Words> {
    match cap.tag() {
        tag::UNTYPED => ensure_no_children(k, slot).map(|()| cap),
        tag::FRAME => Ok(cap.unmapped_frame()),
        tag::PAGE_TABLE if !cap.is_mapped_table() => Err(SyscallError::IllegalOperation),
        tag::ZOMBIE | tag::IRQ_CONTROL | tag::IO_PORT_CONTROL => Ok(Words::NULL),
        _ => Ok(cap),
    }
}

/// The capability with the badge or guard that `data` describes; `Null` where that cannot be: the badge of a
/// badged endpoint or notification, any badge where `preserve` is asked for (the capability is moved, not
/// copied), a guard that leaves no room for the index. Other capabilities have no such data and stay as they
/// are.
pub fn update_data(cap: Words, data: u64, preserve: bool) -> Words {
    match cap.tag() {
        tag::ENDPOINT | tag::NOTIFICATION if preserve || cap.badge() != 0 => Words::NULL,
        tag::ENDPOINT | tag::NOTIFICATION => cap.with_badge(data),
        tag::CNODE => with_guard(cap, CNodeCapData(data)),
        _ => cap,
    }
}

fn with_guard(cap: Words, data: CNodeCapData) -> Words {
    let Some((cnode, ..)) = cap.cnode() else { return cap };
    let guard_bits = data.guard_size() as u32;
    if guard_bits + cnode.radix() > u64::BITS {
        return Words::NULL;
    }
    // The data word has room for 58 bits of guard; the bits of a longer one above them are zero.
    let guard = data.guard() & ((1 << guard_bits) - 1);
    Cap::CNode { cnode, guard, guard_bits: guard_bits as u8 }.pack()
}
