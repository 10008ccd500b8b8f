//! What a thread holds in slots of its own: the roots of its capability space and its address space, its IPC
//! buffer, and its fault handlers.

use pecan_abi::ipc::IPC_BUFFER_BITS;
use pecan_mem::{Cap, Kernel, Link, Slot, Tcb};

use crate::{
    derivation,
    error::{Decoded, Preempted, SyscallError},
    fault, finalise,
    invoke::Invocation,
    scheduler::{self, Next},
};

/// A capability for one of a thread's slots, a copy of the one in `source`; `Cap::Null` to leave it empty.
#[derive(Clone, Copy)]
pub(super) struct Install {
    cap: Cap,
    source: Option<Link<Slot>>,
}

impl Install {
    const NOTHING: Install = Install { cap: Cap::Null, source: None };
}

/// New roots.
#[derive(Clone, Copy)]
pub(super) struct Spaces {
    cspace: Install,
    vspace: Install,
}

/// A new IPC buffer.
#[derive(Clone, Copy)]
pub(super) struct Buffer {
    address: u64,
    frame: Install,
}

/// A fault handler: the extra capability `extra`, number `number` in errors.
pub(super) fn decode_handler(k: &Kernel, inv: &Invocation, extra: usize, number: u64) -> Decoded<Install> {
    let (slot, cap) = inv.extra_cap(k, extra)?;
    match cap {
        Cap::Null => Ok(Install::NOTHING),
        cap if fault::is_handler(cap) => Ok(Install { cap, source: Some(slot) }),
        _ => Err(SyscallError::InvalidCapability(number)),
    }
}

/// An IPC buffer: its address, 0 for none, and the extra capability `extra`.
pub(super) fn decode_buffer(k: &Kernel, inv: &Invocation, address: u64, extra: usize) -> Decoded<Buffer> {
    let (slot, cap) = inv.extra_cap(k, extra)?;
    if address == 0 {
        return Ok(Buffer { address, frame: Install::NOTHING });
    }
    let cap = derivation::derive(k, slot, cap)?;
    if !matches!(cap, Cap::Frame { device: false, .. }) {
        return Err(SyscallError::IllegalOperation);
    }
    if address & ((1 << IPC_BUFFER_BITS) - 1) != 0 {
        return Err(SyscallError::AlignmentError);
    }
    Ok(Buffer { address, frame: Install { cap, source: Some(slot) } })
}

/// Both roots: the extra capabilities `extra` and the next, with the first two argument words as their data.
pub(super) fn decode_spaces(k: &Kernel, inv: &Invocation, tcb: Link<Tcb>, extra: usize) -> Decoded<Spaces> {
    let thread = tcb.get(k);
    // Replacing the last capability to a CNode would delete all that is in it.
    for slot in [&thread.slots[Tcb::SLOT_CSPACE], &thread.slots[Tcb::SLOT_VSPACE]] {
        let long = matches!(slot.cap(), Cap::CNode { .. } | Cap::Tcb { .. } | Cap::Zombie { .. });
        if long && derivation::is_final(k, slot.link()) {
            return Err(SyscallError::IllegalOperation);
        }
    }
    let root = |extra, data| -> Decoded<Install> {
        let (slot, cap) = inv.extra_cap(k, extra)?;
        let cap = if data == 0 { cap } else { derivation::update_data(cap, data, false) };
        Ok(Install { cap: derivation::derive(k, slot, cap)?, source: Some(slot) })
    };
    let cspace = root(extra, inv.arg(k, 0))?;
    if !matches!(cspace.cap, Cap::CNode { .. }) {
        return Err(SyscallError::IllegalOperation);
    }
    let vspace = root(extra + 1, inv.arg(k, 1))?;
    if vspace.cap.pack().vspace().is_none() {
        return Err(SyscallError::IllegalOperation);
    }
    Ok(Spaces { cspace, vspace })
}

/// Replaces the capability in a thread's slot.
pub(super) fn install(
    k: &mut Kernel,
    inv: &Invocation,
    tcb: Link<Tcb>,
    index: usize,
    new: Install,
) -> Result<Next, Preempted> {
    let slot = tcb.get(k).slots[index].link();
    tcb.get(k).forget_spaces();
    let next = if slot.get(k).is_empty() { Next::Resume } else { finalise::delete(k, slot)? };
    // The deletion may have taken the new capability with it, or the thread itself.
    if let Some(source) = new.source
        && derivation::same_object(new.cap, source.get(k).cap())
        && inv.slot.get(k).words() == inv.words
    {
        derivation::insert(k, new.cap, source, slot);
    }
    Ok(next)
}

pub(super) fn install_spaces(
    k: &mut Kernel,
    inv: &Invocation,
    tcb: Link<Tcb>,
    spaces: Spaces,
) -> Result<Next, Preempted> {
    let next = install(k, inv, tcb, Tcb::SLOT_CSPACE, spaces.cspace)?.settle(k);
    let more = install(k, inv, tcb, Tcb::SLOT_VSPACE, spaces.vspace)?;
    tcb.get(k).forget_spaces();
    if tcb == k.core.current.get() {
        scheduler::load_vspace(k, tcb.get(k));
    }
    Ok(next.and(k, more))
}

pub(super) fn install_buffer(
    k: &mut Kernel,
    inv: &Invocation,
    tcb: Link<Tcb>,
    buffer: Buffer,
) -> Result<Next, Preempted> {
    let next = install(k, inv, tcb, Tcb::SLOT_IPC_BUFFER, buffer.frame)?;
    tcb.get(k).ipc_buffer.set(buffer.address);
    Ok(next)
}
