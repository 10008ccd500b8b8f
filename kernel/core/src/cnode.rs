//! CNode invocations: copying, moving and deleting capabilities.

use pecan_abi::{CapRights, Label};
use pecan_mem::{Cap, Endpoint, EndpointRights, Kernel, Link, LookupFailure, Slot, Words};

use crate::{
    derivation, endpoint,
    error::{Decoded, Stop, SyscallError},
    finalise,
    invoke::{Done, Invocation},
    lookup,
    scheduler::Next,
};

/// Invocations of CNode capabilities.
///
/// # Errors
/// Those of the ABI's CNode methods; `Preempted` for deleting, revoking and cancelling.
pub fn invoke(k: &mut Kernel, inv: &Invocation) -> Result<Done, Stop> {
    use Label::*;
    let Some(
        label @ (CNodeRevoke
        | CNodeDelete
        | CNodeCancelBadgedSends
        | CNodeCopy
        | CNodeMint
        | CNodeMove
        | CNodeMutate
        | CNodeRotate),
    ) = inv.label
    else {
        return Err(SyscallError::IllegalOperation.into());
    };
    inv.need(2, 0)?;
    let target = lookup::target(k, false, inv.words.cnode(), inv.arg(k, 0), inv.arg(k, 1))?;
    let next = match label {
        CNodeRevoke => finalise::revoke(k, target)?,
        CNodeDelete => finalise::delete(k, target)?,
        CNodeCancelBadgedSends => match decode_cancel(k, target)? {
            // Badge 0 is no badge: nothing was sent with it that could be told apart.
            (_, 0) => Next::Resume,
            (ep, badge) => endpoint::cancel_badged(k, ep.get(k), badge)?,
        },
        CNodeRotate => {
            decode_rotate(k, inv, target)?.commit(k);
            Next::Resume
        }
        _ => {
            decode_transfer(k, inv, label, target)?.commit(k);
            Next::Resume
        }
    };
    Ok(Done::new(next))
}

/// The endpoint and the badge of a capability with all rights.
fn decode_cancel(k: &Kernel, target: Link<Slot>) -> Decoded<(Link<Endpoint>, u64)> {
    match target.get(k).cap() {
        Cap::Endpoint {
            ep,
            badge,
            rights: EndpointRights { send: true, receive: true, grant: true, grant_reply: true },
        } => Ok((ep, badge)),
        _ => Err(SyscallError::IllegalOperation),
    }
}

/// A copy or a move that will succeed.
struct Transfer {
    /// What arrives in `dest`: derived from what is in `src`, or that itself, perhaps with other data.
    cap: Words,
    src: Link<Slot>,
    dest: Link<Slot>,
    copied: bool,
}

impl Transfer {
    #[inline]
    fn commit(self, k: &Kernel) {
        let Transfer { cap, src, dest, copied } = self;
        if copied {
            derivation::insert_words(k, cap, src, dest);
        } else {
            derivation::move_words(k, cap, src, dest);
        }
    }
}

/// Copy, mint, move and mutate.
#[inline]
fn decode_transfer(k: &Kernel, inv: &Invocation, label: Label, dest: Link<Slot>) -> Decoded<Transfer> {
    inv.need(4, 1)?;
    lookup::ensure_empty(k, dest)?;
    let src_depth = inv.arg(k, 3);
    let src_root = inv.extra[0].and_then(|root| root.get(k).words().cnode());
    let src = lookup::target(k, true, src_root, inv.arg(k, 2), src_depth)?;
    let mut cap = src.get(k).words();
    if cap.is_null() {
        return Err(missing(true, src_depth));
    }
    let copied = match label {
        Label::CNodeCopy | Label::CNodeMint => {
            inv.need(if label == Label::CNodeCopy { 5 } else { 6 }, 1)?;
            cap = cap.with_rights(CapRights(inv.arg(k, 4)));
            if label == Label::CNodeMint {
                cap = derivation::update_words(cap, inv.arg(k, 5), false);
            }
            cap = derivation::derive_words(k, src, cap)?;
            true
        }
        Label::CNodeMutate => {
            inv.need(5, 1)?;
            cap = derivation::update_words(cap, inv.arg(k, 4), true);
            false
        }
        _ => false,
    };
    if cap.is_null() {
        return Err(SyscallError::IllegalOperation);
    }
    Ok(Transfer { cap, src, dest, copied })
}

/// A rotation that will succeed: `pivot` to `dest`, then `src` to `pivot`, each with what it becomes. `src` and
/// `dest` may be the same slot.
struct Rotation {
    pivot: (Cap, Link<Slot>),
    src: (Cap, Link<Slot>),
    dest: Link<Slot>,
}

impl Rotation {
    fn commit(self, k: &Kernel) {
        let Rotation { pivot: (pivot_cap, pivot), src: (src_cap, src), dest } = self;
        if src == dest {
            derivation::swap(k, src_cap, src, pivot_cap, pivot);
        } else {
            derivation::move_cap(k, pivot_cap, pivot, dest);
            derivation::move_cap(k, src_cap, src, pivot);
        }
    }
}

#[inline(never)]
fn decode_rotate(k: &Kernel, inv: &Invocation, dest: Link<Slot>) -> Decoded<Rotation> {
    inv.need(8, 2)?;
    let [_, _, pivot_data, pivot_index, pivot_depth, src_data, src_index, src_depth] = inv.args(k);
    let ((_, pivot_root), (_, src_root)) = (inv.extra_cap(k, 0)?, inv.extra_cap(k, 1)?);
    let src = lookup::target_slot(k, true, src_root, src_index, src_depth)?;
    let pivot = lookup::target_slot(k, true, pivot_root, pivot_index, pivot_depth)?;
    if pivot == src || pivot == dest {
        return Err(SyscallError::IllegalOperation);
    }
    if src != dest {
        lookup::ensure_empty(k, dest)?;
    }
    let src_cap = occupied(k, src, true, src_depth)?;
    let pivot_cap = occupied(k, pivot, false, pivot_depth)?;
    let updated = |cap, data| match derivation::update_data(cap, data, true) {
        Cap::Null => Err(SyscallError::IllegalOperation),
        cap => Ok(cap),
    };
    let (src_cap, pivot_cap) = (updated(src_cap, src_data)?, updated(pivot_cap, pivot_data)?);
    Ok(Rotation { pivot: (pivot_cap, pivot), src: (src_cap, src), dest })
}

/// The capability in a slot that must not be empty.
fn occupied(k: &Kernel, slot: Link<Slot>, source: bool, depth: u64) -> Decoded<Cap> {
    match slot.get(k).cap() {
        Cap::Null => Err(missing(source, depth)),
        cap => Ok(cap),
    }
}

#[cold]
fn missing(source: bool, depth: u64) -> SyscallError {
    let failure = LookupFailure::MissingCapability { bits_left: depth as u8 };
    SyscallError::FailedLookup { source, failure }
}
