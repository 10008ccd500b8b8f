//! CNode invocations: copying, moving and deleting capabilities.
//!
//! These are the only operations by which user level changes where capabilities are; the list of derivations
//! is kept by `pecan_mem`. Deleting and revoking are long and can be preempted, and so are cancelling and
//! rotating in deep CSpaces; all others are done at once.

use pecan_abi::Label;
use pecan_mem::{Cap, Endpoint, EndpointRights, Kernel, Link, LookupFailure, Slot, Words};

use crate::{
    base::error::{Decoded, Stop, SyscallError},
    cap::{derivation, lookup},
    delete,
    invoke::{
        args,
        invocation::{Done, Invocation},
    },
    ipc::cancel,
    sched::{next::Next, preempt},
};

/// Invocations of CNode capabilities.
///
/// # Errors
/// Those of the ABI's CNode methods; `Preempted` for deleting, revoking, cancelling and rotating.
pub fn invoke(k: &mut Kernel, inv: Invocation<'_>) -> Result<Done, Stop> {
    use Label::*;
    let Some(label) = inv.label_in(CNodeRevoke, CNodeRotate) else {
        return Err(SyscallError::IllegalOperation.into());
    };
    let args::CNodeTarget { index, depth } = args::CNodeTarget::decode(k, inv)?;
    let target = lookup::target(k, false, inv.slot, index, depth)?;
    Ok(Done::new(match label {
        CNodeRevoke => delete::revoke(k, target)?,
        CNodeDelete => delete::delete(k, target)?,
        CNodeCancelBadgedSends => match decode_cancel(k, target)? {
            // Badge 0 is no badge: nothing was sent with it that could be told apart.
            (_, 0) => Next::Resume,
            (ep, badge) => cancel::cancel_badged(k, ep.get(k), badge)?,
        },
        CNodeRotate => {
            decode_rotate(k, args::CNodeRotate::decode(k, inv)?, target)?.commit(k);
            Next::Stay
        }
        CNodeCopy | CNodeMint => {
            let (src, cap) = decode_source(k, inv, target)?;
            let cap = derivation::derive(k, src, decode_copy(k, inv, label, cap)?)?;
            derivation::insert(k, not_null(cap)?, src, target);
            Next::Stay
        }
        CNodeMutate => {
            let (src, cap) = decode_source(k, inv, target)?;
            let args::CNodeMutate { badge } = args::CNodeMutate::decode(k, inv)?;
            let cap = not_null(derivation::update_data(cap, badge, true))?;
            derivation::move_cap(k, src, target);
            become_changed(target.get(k), cap);
            Next::Stay
        }
        // CNodeMove.
        _ => {
            let (src, _) = decode_source(k, inv, target)?;
            derivation::move_cap(k, src, target);
            Next::Stay
        }
    }))
}

/// True for what [`quick`] does.
#[inline(always)]
pub fn is_quick(label: u64) -> bool {
    (Label::CNodeCopy.word()..=Label::CNodeMove.word()).contains(&label)
}

/// Copies, mints and moves as most are: of capabilities to endpoints and notifications (what is moved may be any), from
/// and to CNodes that take whole addresses. `None` for others, and where it fails: nothing has changed then, and
/// [`invoke`] says what is to become of it.
#[inline(always)]
pub fn quick(k: &Kernel, inv: Invocation<'_>) -> Option<()> {
    let label = inv.label_word();
    let args::CNodeTarget { index, depth } = args::CNodeTarget::decode(k, inv).ok()?;
    let dest = lookup::near_slot(k, inv.slot, index, depth)?;
    let args::CNodeSource { src_root, src_index, src_depth } = args::CNodeSource::decode(k, inv).ok()?;
    let src = lookup::near_slot(k, src_root, src_index, src_depth)?;
    let cap = src.get(k).words();
    if !dest.get(k).is_empty() || cap.is_null() {
        return None;
    }
    if label == Label::CNodeMove.word() {
        return derivation::move_cap(k, src, dest).then_some(());
    }
    let copy = if label == Label::CNodeCopy.word() {
        let args::CNodeCopy { rights } = args::CNodeCopy::decode(k, inv).ok()?;
        cap.badged_with_rights(rights)?
    } else {
        let args::CNodeMint { rights, badge } = args::CNodeMint::decode(k, inv).ok()?;
        if cap.badge() != 0 {
            return None;
        }
        cap.badged_with_rights(rights)?.with_badge(badge)
    };
    derivation::insert_badged(k, copy, src, dest).then_some(())
}

/// The slot that a copy or a move takes its capability from, and that; the slot that it goes to must be empty.
#[inline(always)]
fn decode_source(k: &Kernel, inv: Invocation<'_>, dest: Link<Slot>) -> Decoded<(Link<Slot>, Words)> {
    let args::CNodeSource { src_root, src_index, src_depth } = args::CNodeSource::decode(k, inv)?;
    lookup::ensure_empty(k, dest)?;
    let src = lookup::target_slot(k, true, src_root, src_index, src_depth)?;
    let cap = src.get(k).words();
    if cap.is_null() { Err(missing(true, src_depth)) } else { Ok((src, cap)) }
}

/// What a copy asks for: fewer rights, and another badge or guard.
fn decode_copy(k: &Kernel, inv: Invocation<'_>, label: Label, cap: Words) -> Decoded<Words> {
    if label == Label::CNodeCopy {
        let args::CNodeCopy { rights } = args::CNodeCopy::decode(k, inv)?;
        Ok(cap.with_rights(rights))
    } else {
        let args::CNodeMint { rights, badge } = args::CNodeMint::decode(k, inv)?;
        Ok(derivation::update_data(cap.with_rights(rights), badge, false))
    }
}

/// Fails where there is no such copy or move of a capability.
#[inline(always)]
fn not_null(cap: Words) -> Decoded<Words> {
    if cap.is_null() { Err(SyscallError::IllegalOperation) } else { Ok(cap) }
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

/// A capability that has been moved becomes `cap`: the same one, with another guard perhaps.
#[inline(always)]
fn become_changed(slot: &Slot, cap: Words) {
    if slot.words() != cap {
        slot.replace(cap);
    }
}

/// A rotation that will succeed: `pivot` to `dest`, then `src` to `pivot`, each with what it becomes. `src` and
/// `dest` may be the same slot.
struct Rotation {
    pivot: (Words, Link<Slot>),
    src: (Words, Link<Slot>),
    dest: Link<Slot>,
}

impl Rotation {
    fn commit(self, k: &Kernel) {
        let Rotation { pivot: (pivot_cap, pivot), src: (src_cap, src), dest } = self;
        if src == dest {
            derivation::swap(k, src, pivot);
        } else {
            derivation::move_cap(k, pivot, dest);
            derivation::move_cap(k, src, pivot);
        }
        become_changed(dest.get(k), pivot_cap);
        become_changed(pivot.get(k), src_cap);
    }
}

#[inline(never)]
fn decode_rotate(k: &Kernel, args: args::CNodeRotate, dest: Link<Slot>) -> Result<Rotation, Stop> {
    // In deep CSpaces, each of the three slots is a long way to find.
    preempt::early_preemption_point(k)?;
    let src = lookup::target_slot(k, true, args.src_root, args.src_index, args.src_depth)?;
    preempt::early_preemption_point(k)?;
    let pivot = lookup::target_slot(k, true, args.pivot_root, args.pivot_index, args.pivot_depth)?;
    Ok(decode_rotation(k, args, (src, pivot, dest))?)
}

fn decode_rotation(
    k: &Kernel,
    args: args::CNodeRotate,
    (src, pivot, dest): (Link<Slot>, Link<Slot>, Link<Slot>),
) -> Decoded<Rotation> {
    if pivot == src || pivot == dest {
        return Err(SyscallError::IllegalOperation);
    }
    if src != dest {
        lookup::ensure_empty(k, dest)?;
    }
    let (src_cap, pivot_cap) = (src.get(k).words(), pivot.get(k).words());
    if src_cap.is_null() {
        return Err(missing(true, args.src_depth));
    }
    if pivot_cap.is_null() {
        return Err(missing(false, args.pivot_depth));
    }
    // The badges are named after the slots that they come to lie in.
    let src_cap = derivation::update_data(src_cap, args.pivot_badge, true);
    let pivot_cap = derivation::update_data(pivot_cap, args.dest_badge, true);
    if src_cap.is_null() || pivot_cap.is_null() {
        return Err(SyscallError::IllegalOperation);
    }
    Ok(Rotation { pivot: (pivot_cap, pivot), src: (src_cap, src), dest })
}

#[cold]
fn missing(source: bool, depth: u64) -> SyscallError {
    let failure = LookupFailure::MissingCapability { bits_left: depth as u8 };
    SyscallError::FailedLookup { source, failure }
}
