//! Resolving capability addresses to slots.
//!
//! A CNode takes its guard and then its index from the top of what is left of an address. Every level takes at
//! least one bit, so a walk ends even where CNodes refer to one another in a circle.
//!
//! Nothing here changes anything, and nothing here checks rights: callers look at the capability that they
//! find. Every invocation and message begins here, unless the fast form of the thread's CSpace
//! (`Tcb::known_slot`) gives the slot at once. The loop is written for length: one address may lead through
//! 64 CNodes, and the kernel cannot be interrupted within it.
//!
//! What cannot be stopped any more when it looks something up finds where addresses lead noted, if they have been looked up
//! before in the same entry ([`find_ahead`]; `ipc::ahead` does that). A note is true as long as no capability on the way
//! changes. After it is made just one slot may: the empty one into which a message brings a capability. A way through
//! that slot ended there. Where it holds a CNode now, the way goes on from it.

use pecan_mem::{Kernel, Link, LookupFailure, Route, Slot, Tcb, Words, cap::tag};

use crate::base::error::{Decoded, SyscallError};

/// Bits of a capability address.
pub const CPTR_BITS: u32 = u64::BITS;

/// The slot that a thread means by `cptr`: the address resolved in its CSpace, as far as that goes. Bits left
/// over at a capability that is not a CNode are ignored. The slot may be empty.
#[inline(always)]
pub fn cap(k: &Kernel, thread: &Tcb, cptr: u64) -> Result<Link<Slot>, LookupFailure> {
    match thread.known_slot(k, cptr) {
        // The common CSpace: one CNode that takes the whole address.
        Some(slot) => Ok(slot),
        None => walk_from(k, thread, cptr),
    }
}

#[cold]
#[inline(never)]
fn walk_from(k: &Kernel, thread: &Tcb, cptr: u64) -> Result<Link<Slot>, LookupFailure> {
    if !thread.knows_spaces(k) {
        thread.learn_spaces(k);
    }
    resolve(k, thread.slots[Tcb::SLOT_CSPACE].link(), cptr, CPTR_BITS).map(|(slot, _)| slot)
}

/// [`walk`], along what has been noted.
#[inline(always)]
fn resolve(k: &Kernel, root: Link<Slot>, cptr: u64, depth: u32) -> Result<(Link<Slot>, u32), LookupFailure> {
    if k.core().route_count.get() == 0 {
        walk(k, root, cptr, depth)
    } else {
        follow_notes(k, root, cptr, depth)
    }
}

#[cold]
#[inline(never)]
fn follow_notes(
    k: &Kernel,
    root: Link<Slot>,
    cptr: u64,
    depth: u32,
) -> Result<(Link<Slot>, u32), LookupFailure> {
    let (mut root, mut depth) = (root, depth);
    while let Some((slot, left)) = noted(k, root.get(k).words(), cptr, depth) {
        if left == 0 || slot.get(k).words().cnode().is_none() {
            return Ok((slot, left));
        }
        // A capability has come here since.
        (root, depth) = (slot, left);
    }
    walk(k, root, cptr, depth)
}

fn noted(k: &Kernel, root: Words, address: u64, depth: u32) -> Option<(Link<Slot>, u32)> {
    let (routes, count) = (&k.core().routes, k.core().route_count.get());
    let mut routes = routes.iter().take(count).filter_map(|route| route.get());
    // The address tells most apart.
    let route =
        routes.find(|route| route.address == address && route.depth == depth && route.root == root)?;
    Some((route.slot, route.left))
}

/// Looks up where the low `depth` bits of an address lead from the CNode whose capability is in `root`, and notes it.
/// Returns the slot and how many bits are left, if the address resolves. Whoever calls this calls [`forget`] before the
/// entry ends.
pub fn find_ahead(k: &Kernel, root: Link<Slot>, address: u64, depth: u32) -> Option<(Link<Slot>, u32)> {
    let found = walk(k, root, address, depth).ok()?;
    note(k, root, address, depth, found);
    Some(found)
}

/// Notes where the low `depth` bits of an address lead from the CNode whose capability is in `root`.
pub fn note(k: &Kernel, root: Link<Slot>, address: u64, depth: u32, (slot, left): (Link<Slot>, u32)) {
    let count = k.core().route_count.get();
    // Without room for it, it is looked up again.
    if let Some(free) = k.core().routes.get(count) {
        free.set(Some(Route { root: root.get(k).words(), address, depth, slot, left }));
        k.core().route_count.set(count + 1);
    }
}

/// Forgets all that has been noted.
#[inline(always)]
pub fn forget(k: &Kernel) {
    k.core().route_count.set(0);
}

/// Resolves the low `depth_bits` (1 to 64) of `cptr` from the CNode whose capability is in `root`, as far as CNodes go.
/// Returns the slot and how many bits are left.
///
/// # Errors
/// The root is not a CNode, a guard differs, or the address ends within a CNode.
pub fn walk(
    k: &Kernel,
    root: Link<Slot>,
    cptr: u64,
    depth_bits: u32,
) -> Result<(Link<Slot>, u32), LookupFailure> {
    let (mut slot, mut left) = (root, depth_bits);
    // What is left of the address, from the top of the word down. Shifting by 64 would need an address of no bits.
    let mut path = cptr << ((CPTR_BITS - depth_bits) % CPTR_BITS);
    loop {
        // The longest ways are along CNodes of two slots: here instructions count (see `docs/latency.md`).
        while let Some(cnode) = slot.get(k).words().cnode_of_two() {
            (slot, path) = cnode.take_slot(path);
            left -= 1;
            if left == 0 {
                return Ok((slot, 0));
            }
        }
        let words = slot.get(k).words();
        let Some((cnode, guard, level_bits)) = words.cnode() else {
            return if left == depth_bits { Err(LookupFailure::InvalidRoot) } else { Ok((slot, left)) };
        };
        // Guard and index in one, without the guard: what differs from that makes too much of the index.
        let index = path.wrapping_shr(level_bits.wrapping_neg()) ^ guard << cnode.radix();
        slot = match cnode.slot_if(index) {
            Some(next) if level_bits <= left => next,
            _ => return Err(mismatch(words, path, left)),
        };
        // Below what is left of the address, anything may be.
        path = path.rotate_left(level_bits);
        left -= level_bits;
        if left == 0 {
            return Ok((slot, 0));
        }
    }
}

/// Why a path with so many bits left does not go through a CNode.
#[cold]
#[inline(never)]
fn mismatch(cnode: Words, path: u64, left: u32) -> LookupFailure {
    let Some((cnode, guard, level_bits)) = cnode.cnode() else { return LookupFailure::InvalidRoot };
    let (bits_left, guard_bits) = (left as u8, level_bits - cnode.radix());
    // A guard has at most 63 bits.
    if guard_bits > left || guard_bits > 0 && path >> (CPTR_BITS - guard_bits) != guard {
        LookupFailure::GuardMismatch { bits_left, guard, guard_bits: guard_bits as u8 }
    } else {
        LookupFailure::DepthMismatch { bits_left, bits_found: level_bits as u8 }
    }
}

/// The slot of [`target_slot`], if one CNode takes the whole address.
#[inline(always)]
pub fn near_slot(k: &Kernel, root: Link<Slot>, index: u64, depth: u64) -> Option<Link<Slot>> {
    root.get(k).words().slot_at(index, depth)
}

/// [`target_slot`] where every instruction counts.
#[inline(always)]
pub fn target(k: &Kernel, source: bool, root: Link<Slot>, index: u64, depth: u64) -> Decoded<Link<Slot>> {
    match near_slot(k, root, index, depth) {
        Some(slot) => Ok(slot),
        None => target_slot(k, source, root, index, depth),
    }
}

/// The slot that an invocation names by (the slot of) a CNode capability, an index and a depth; all of the address must
/// resolve. `source` tells the caller in the error which of its slots it was.
///
/// # Errors
/// `FailedLookup`; `RangeError` for a depth that is not 1 to 64.
#[inline(never)]
pub fn target_slot(
    k: &Kernel,
    source: bool,
    root: Link<Slot>,
    index: u64,
    depth: u64,
) -> Decoded<Link<Slot>> {
    let failed = |failure| SyscallError::FailedLookup { source, failure };
    if root.get(k).words().tag() != tag::CNODE {
        return Err(failed(LookupFailure::InvalidRoot));
    }
    if !(1..=CPTR_BITS as u64).contains(&depth) {
        return Err(SyscallError::RangeError(1, CPTR_BITS as u64));
    }
    match resolve(k, root, index, depth as u32) {
        Ok((slot, 0)) => Ok(slot),
        Ok((_, left)) => Err(failed(LookupFailure::DepthMismatch { bits_left: left as u8, bits_found: 0 })),
        Err(failure) => Err(failed(failure)),
    }
}

/// The destination slot of an invocation, which must be empty.
///
/// # Errors
/// Those of [`target_slot`]; `DeleteFirst` if the slot holds a capability.
pub fn empty_target(k: &Kernel, root: Link<Slot>, index: u64, depth: u64) -> Decoded<Link<Slot>> {
    let slot = target_slot(k, false, root, index, depth)?;
    ensure_empty(k, slot)?;
    Ok(slot)
}

/// Fails with `DeleteFirst` unless the slot is empty.
pub fn ensure_empty(k: &Kernel, slot: Link<Slot>) -> Decoded<()> {
    if slot.get(k).is_empty() { Ok(()) } else { Err(SyscallError::DeleteFirst) }
}
