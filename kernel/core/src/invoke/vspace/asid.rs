//! ASID control and ASID pools.

use pecan_abi::Label;
use pecan_mem::{
    AsidPool, Cap, Kernel, Link, LookupFailure, Slot,
    retype::{self, ObjectKind},
    vspace,
};

use crate::{
    base::error::{Decoded, SyscallError},
    cap::{derivation, lookup},
    invoke::{args, invocation::Invocation},
};

/// Untyped memory becomes the pool of the ASIDs from `base` on.
pub(super) struct MakePool {
    untyped: Link<Slot>,
    dest: Link<Slot>,
    base: u16,
}

/// An address space gets an ASID.
pub(super) struct Assign {
    slot: Link<Slot>,
    asid: u16,
}

pub(super) fn decode_control(k: &Kernel, inv: Invocation<'_>) -> Decoded<MakePool> {
    if inv.label() != Some(Label::AsidControlMakePool) {
        return Err(SyscallError::IllegalOperation);
    }
    let args::AsidControlMakePool { untyped, root, index, depth } =
        args::AsidControlMakePool::decode(k, inv)?;
    let free = k.global().asid_pools[..pecan_arch::ASIDS / AsidPool::LEN]
        .iter()
        .position(|pool| pool.get().is_none())
        .ok_or(SyscallError::DeleteFirst)?;
    let kind = ObjectKind::AsidPool { base: (free * AsidPool::LEN) as u16 };
    match untyped.get(k).cap() {
        Cap::Untyped { bits, device: false, .. } if bits as u32 == kind.bits() => {}
        _ => return Err(SyscallError::InvalidCapability(1)),
    }
    derivation::ensure_no_children(k, untyped)?;
    let dest = lookup::empty_target(k, root, index, depth)?;
    Ok(MakePool { untyped, dest, base: (free * AsidPool::LEN) as u16 })
}

pub(super) fn make_pool(k: &mut Kernel, op: MakePool) {
    let kind = ObjectKind::AsidPool { base: op.base };
    // The untyped is a page: zeroed without a preemption point.
    while !retype::reset_step(k, op.untyped) {}
    if let Some(batch) = retype::carve(k, op.untyped, kind, 1) {
        batch.place_pool(op.dest);
    }
}

pub(super) fn decode_pool(k: &Kernel, inv: Invocation<'_>) -> Decoded<Assign> {
    let Cap::AsidPool { pool, base } = inv.cap_invoked() else { return Err(SyscallError::IllegalOperation) };
    if inv.label() != Some(Label::AsidPoolAssign) {
        return Err(SyscallError::IllegalOperation);
    }
    let args::AsidPoolAssign { vspace: slot } = args::AsidPoolAssign::decode(k, inv)?;
    if slot.get(k).words().unassigned_root().is_none() {
        return Err(SyscallError::InvalidCapability(1));
    }
    match k.global().asid_pools[base as usize / AsidPool::LEN].get() {
        None => {
            let failure = LookupFailure::InvalidRoot;
            return Err(SyscallError::FailedLookup { source: false, failure });
        }
        Some(found) if found != pool => return Err(SyscallError::InvalidCapability(0)),
        Some(_) => {}
    }
    // ASID 0 is the kernel's.
    let first = usize::from(base == 0);
    let free = pool.get(k).first_free(first).ok_or(SyscallError::DeleteFirst)?;
    Ok(Assign { slot, asid: base + free as u16 })
}

pub(super) fn assign(k: &Kernel, op: Assign) {
    vspace::assign(k, op.asid, op.slot);
}
