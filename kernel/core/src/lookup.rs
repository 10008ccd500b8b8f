//! Resolving capability addresses to slots.
//!
//! A CNode takes its guard and then its index from the top of what is left of an address. Every level takes at
//! least one bit, so a walk ends even where CNodes refer to one another in a circle.

use pecan_mem::{CNodeRef, Kernel, Link, LookupFailure, Slot, Tcb, Words};

use crate::{
    error::{Decoded, SyscallError},
    vspace,
};

/// Bits of a capability address.
const CPTR_BITS: u32 = u64::BITS;

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
        vspace::learn_spaces(k, thread);
    }
    walk(k, thread.slots[Tcb::SLOT_CSPACE].words().cnode(), cptr, CPTR_BITS).map(|(slot, _)| slot)
}

/// Resolves the low `depth_bits` (at most 64) of `cptr` from `root`, as far as CNodes go. Returns the slot and
/// how many bits are left.
///
/// # Errors
/// The root is not a CNode, a guard differs, or the address ends within a CNode.
pub fn slot(k: &Kernel, root: Words, cptr: u64, depth_bits: u32) -> Result<(Link<Slot>, u32), LookupFailure> {
    walk(k, root.cnode(), cptr, depth_bits)
}

/// A CNode, its guard and the guard's bits.
pub type Root = (CNodeRef, u64, u32);

fn walk(
    k: &Kernel,
    root: Option<Root>,
    cptr: u64,
    depth_bits: u32,
) -> Result<(Link<Slot>, u32), LookupFailure> {
    let (mut cnode, mut guard, mut guard_bits) = root.ok_or(LookupFailure::InvalidRoot)?;
    let mut left = depth_bits;
    // What is left of the address, from the top of the word down. Shifting by 64 would need an address of no bits.
    let mut path = cptr << ((CPTR_BITS - depth_bits) % CPTR_BITS);
    loop {
        if guard_bits > 0 {
            // A guard has at most 63 bits.
            if guard_bits > left || path >> (CPTR_BITS - guard_bits) != guard {
                let guard_bits = guard_bits as u8;
                return Err(LookupFailure::GuardMismatch { bits_left: left as u8, guard, guard_bits });
            }
            path <<= guard_bits;
        }
        let level_bits = guard_bits + cnode.radix();
        if level_bits > left {
            return Err(LookupFailure::DepthMismatch { bits_left: left as u8, bits_found: level_bits as u8 });
        }
        left -= level_bits;
        let slot;
        (slot, path) = cnode.take_slot(path);
        if left == 0 {
            return Ok((slot, 0));
        }
        match slot.get(k).words().cnode() {
            Some(next) => (cnode, guard, guard_bits) = next,
            None => return Ok((slot, left)),
        }
    }
}

/// The slot that an invocation names by a CNode capability, an index and a depth; all of the address must
/// resolve. `source` tells the caller in the error which of its slots it was.
///
/// # Errors
/// `FailedLookup`; `RangeError` for a depth that is not 1 to 64.
pub fn target_slot(k: &Kernel, source: bool, root: Words, index: u64, depth: u64) -> Decoded<Link<Slot>> {
    target_slow(k, source, root.cnode(), index, depth)
}

/// [`target_slot`] where every instruction counts, with the root unpacked; `None` if it is not a CNode.
#[inline]
pub fn target(k: &Kernel, source: bool, root: Option<Root>, index: u64, depth: u64) -> Decoded<Link<Slot>> {
    if let Some((cnode, guard, guard_bits)) = root
        && depth == (guard_bits + cnode.radix()) as u64
        && (guard_bits == 0 || depth == CPTR_BITS as u64 && index >> cnode.radix() == guard)
    {
        // One CNode takes the whole address.
        return Ok(cnode.slot(index));
    }
    target_slow(k, source, root, index, depth)
}

#[inline(never)]
fn target_slow(k: &Kernel, source: bool, root: Option<Root>, index: u64, depth: u64) -> Decoded<Link<Slot>> {
    let failed = |failure| SyscallError::FailedLookup { source, failure };
    if root.is_none() {
        return Err(failed(LookupFailure::InvalidRoot));
    }
    if !(1..=CPTR_BITS as u64).contains(&depth) {
        return Err(SyscallError::RangeError(1, CPTR_BITS as u64));
    }
    match walk(k, root, index, depth as u32) {
        Ok((slot, 0)) => Ok(slot),
        Ok((_, left)) => Err(failed(LookupFailure::DepthMismatch { bits_left: left as u8, bits_found: 0 })),
        Err(failure) => Err(failed(failure)),
    }
}

/// The destination slot of an invocation, which must be empty.
///
/// # Errors
/// Those of [`target_slot`]; `DeleteFirst` if the slot holds a capability.
pub fn empty_target(k: &Kernel, root: Words, index: u64, depth: u64) -> Decoded<Link<Slot>> {
    let slot = target_slot(k, false, root, index, depth)?;
    ensure_empty(k, slot)?;
    Ok(slot)
}

/// Fails with `DeleteFirst` unless the slot is empty.
pub fn ensure_empty(k: &Kernel, slot: Link<Slot>) -> Decoded<()> {
    if slot.get(k).is_empty() { Ok(()) } else { Err(SyscallError::DeleteFirst) }
}
