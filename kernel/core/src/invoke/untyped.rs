//! Untyped memory: retyping it into objects.
//!
//! The only way in which objects come to be after boot. Memory counts as free if the capability has no
//! children, and only above its watermark otherwise; `pecan_mem::retype` keeps that true, whatever is asked
//! here. Clearing memory is the long part, and can be preempted after each chunk.

use core::hint::cold_path;

use pecan_abi::{Label, ObjectType, Paging, constants::MAX_UNTYPED_BITS};
use pecan_arch::frame_level_supported;
use pecan_config::RETYPE_FAN_OUT_LIMIT;
use pecan_mem::{
    CNodeRef, Cap, Kernel, Link, LookupFailure, Slot,
    cap::tag,
    retype::{self, ObjectKind},
};

use crate::{
    base::error::{Decoded, Stop, SyscallError},
    cap::{derivation, lookup},
    invoke::{
        args,
        invocation::{Done, Invocation},
    },
    sched::preempt,
};

/// So many objects are made in little time.
const FEW: u64 = 64;

/// A retype that will succeed.
struct Retype {
    /// The untyped capability.
    parent: Link<Slot>,
    /// It has no children: all of its memory is to be had.
    reset: bool,
    kind: ObjectKind,
    count: u64,
    /// Where the capabilities go.
    node: CNodeRef,
    first: u64,
}

/// Invocations of untyped capabilities.
///
/// # Errors
/// Those of `Untyped_Retype`; `Preempted` while the memory is being cleared.
pub fn invoke(k: &mut Kernel, inv: Invocation<'_>) -> Result<Done, Stop> {
    let op = decode(k, inv)?;
    commit(k, op)
}

fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Retype> {
    let Some(Cap::Untyped { bits, device, used, .. }) = inv.cap_of(tag::UNTYPED) else {
        return Err(SyscallError::InvalidCapability(0));
    };
    if inv.label() != Some(Label::UntypedRetype) {
        return Err(SyscallError::IllegalOperation);
    }
    let args::UntypedRetype {
        object_type,
        size_bits,
        root,
        node_index,
        node_depth,
        node_offset: offset,
        num_objects: count,
    } = args::UntypedRetype::decode(k, inv)?;
    let (kind, object_bits) = object_kind(object_type, size_bits)?;
    let node = match node_depth {
        // The capability itself.
        0 => root,
        _ => lookup::target(k, false, root, node_index, node_depth)?,
    };
    let Some((node, ..)) = node.get(k).words().cnode() else {
        let failure = LookupFailure::MissingCapability { bits_left: node_depth as u8 };
        return Err(SyscallError::FailedLookup { source: false, failure });
    };
    let slots = 1u64 << node.radix();
    if offset >= slots {
        return Err(SyscallError::RangeError(0, slots - 1));
    }
    if !(1..=RETYPE_FAN_OUT_LIMIT).contains(&count) {
        return Err(SyscallError::RangeError(1, RETYPE_FAN_OUT_LIMIT));
    }
    if count > slots - offset {
        return Err(SyscallError::RangeError(1, slots - offset));
    }
    if !node.slots(k, offset, count).iter().all(Slot::is_empty) {
        return Err(SyscallError::DeleteFirst);
    }

    let reset = !derivation::has_children(k, inv.slot);
    let used = if reset { 0 } else { used };
    // Objects are aligned to their size, but so is the end of the memory: only whole objects count.
    let free = (1u64 << bits) - used;
    if free >> object_bits < count {
        return Err(SyscallError::NotEnoughMemory(free));
    }
    if device && !kind.allowed_in_device() {
        return Err(SyscallError::InvalidArgument(1));
    }
    Ok(Retype { parent: inv.slot, reset, kind, count, node, first: offset })
}

/// The kind of object that the first two arguments describe, and its size in bytes, log2.
fn object_kind(object_type: u64, size_bits: u64) -> Decoded<(ObjectKind, u32)> {
    let object_type = ObjectType::from_word(object_type).ok_or(SyscallError::InvalidArgument(0))?;
    // A size that does not fit is refused below, after a type that does not exist.
    let size = size_bits as u8;
    let kind = match object_type {
        ObjectType::Untyped => ObjectKind::Untyped { bits: size },
        ObjectType::Tcb => ObjectKind::Tcb,
        ObjectType::Endpoint => ObjectKind::Endpoint,
        ObjectType::Notification => ObjectKind::Notification,
        ObjectType::CNode => ObjectKind::CNode { radix: size },
        ObjectType::SchedContext => ObjectKind::SchedContext { bits: size },
        ObjectType::Reply => ObjectKind::Reply,
        other => match other.paging() {
            Some(Paging::Frame { level }) if frame_level_supported(level as usize) => {
                ObjectKind::Frame { level }
            }
            Some(Paging::Table { level }) => ObjectKind::PageTable { level },
            Some(Paging::AnyTable) => ObjectKind::PageTable { level: ObjectKind::ANY_LEVEL },
            Some(Paging::Frame { .. }) | None => return Err(SyscallError::InvalidArgument(0)),
        },
    };
    match kind.bits() {
        _ if size_bits >= u64::BITS as u64 => Err(SyscallError::RangeError(0, MAX_UNTYPED_BITS as u64)),
        // Too small for such an object.
        ObjectKind::IMPOSSIBLE => Err(SyscallError::InvalidArgument(1)),
        bits if bits > MAX_UNTYPED_BITS => Err(SyscallError::RangeError(0, MAX_UNTYPED_BITS as u64)),
        bits => Ok((kind, bits)),
    }
}

fn commit(k: &mut Kernel, op: Retype) -> Result<Done, Stop> {
    if op.reset {
        while !retype::reset_step(k, op.parent) {
            preempt::preemption_point(k)?;
        }
    }
    if op.count > FEW {
        cold_path();
        // What is left of the call is done at one go, and takes long by itself.
        preempt::early_preemption_point(k)?;
    }
    if let Some(mut batch) = retype::carve(k, op.parent, op.kind, op.count) {
        if batch.is_work() && op.count > FEW {
            cold_path();
            if let Err(preempted) = batch.lend(preempt::early_preemption_point) {
                batch.give_back();
                return Err(preempted.into());
            }
        }
        derivation::place(batch, op.node, op.first);
    }
    Ok(Done::stay())
}
