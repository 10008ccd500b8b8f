//! What a thread holds in slots of its own: the roots of its capability space and its address space, its IPC
//! buffer, and its fault handlers.

use pecan_abi::ipc::IPC_BUFFER_BITS;
use pecan_mem::{Kernel, Link, Slot, Tcb, Words, cap::tag};

use crate::{
    base::error::{Decoded, Preempted, SyscallError},
    cap::{derivation, handler},
    delete,
    invoke::invocation::Invocation,
    sched::{next::Next, switch},
};

/// A capability for one of a thread's slots, a copy of the one in `source`; [`Words::NULL`] to leave it empty.
#[derive(Clone, Copy)]
pub(super) struct Install {
    cap: Words,
    source: Link<Slot>,
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

/// A fault handler: the capability in `source`, number `number` in errors.
pub(super) fn decode_handler(k: &Kernel, source: Link<Slot>, number: u64) -> Decoded<Install> {
    let cap = source.get(k).words();
    if !cap.is_null() && !handler::is_handler(cap) {
        return Err(SyscallError::InvalidCapability(number));
    }
    Ok(Install { cap, source })
}

/// An IPC buffer: its address, 0 for none, and the capability to the frame behind it.
pub(super) fn decode_buffer(k: &Kernel, address: u64, source: Link<Slot>) -> Decoded<Buffer> {
    let mut cap = Words::NULL;
    if address != 0 {
        cap = derivation::derive(k, source, source.get(k).words())?;
        if !cap.is_memory() {
            return Err(SyscallError::IllegalOperation);
        }
        if address & ((1 << IPC_BUFFER_BITS) - 1) != 0 {
            return Err(SyscallError::AlignmentError);
        }
    }
    Ok(Buffer { address, frame: Install { cap, source } })
}

/// Both roots: where the capabilities are, each with its data.
pub(super) fn decode_spaces(
    k: &Kernel,
    tcb: Link<Tcb>,
    cspace: (Link<Slot>, u64),
    vspace: (Link<Slot>, u64),
) -> Decoded<Spaces> {
    let thread = tcb.get(k);
    // Replacing the last capability to a CNode would delete all that is in it.
    for slot in [&thread.slots[Tcb::SLOT_CSPACE], &thread.slots[Tcb::SLOT_VSPACE]] {
        let long = matches!(slot.words().tag(), tag::CNODE | tag::TCB | tag::ZOMBIE);
        if long && derivation::is_final(k, slot.link()) {
            return Err(SyscallError::IllegalOperation);
        }
    }
    let cspace = root(k, cspace)?;
    if cspace.cap.tag() != tag::CNODE {
        return Err(SyscallError::IllegalOperation);
    }
    let vspace = root(k, vspace)?;
    if vspace.cap.vspace().is_none() {
        return Err(SyscallError::IllegalOperation);
    }
    Ok(Spaces { cspace, vspace })
}

/// A root: the capability with its data, if those are not 0.
#[inline(never)]
fn root(k: &Kernel, (source, data): (Link<Slot>, u64)) -> Decoded<Install> {
    let mut cap = source.get(k).words();
    if data != 0 {
        cap = derivation::update_data(cap, data, false);
    }
    Ok(Install { cap: derivation::derive(k, source, cap)?, source })
}

/// Replaces the capability in a thread's slot.
pub(super) fn install(
    k: &mut Kernel,
    inv: Invocation<'_>,
    tcb: Link<Tcb>,
    index: usize,
    new: Install,
) -> Result<Next, Preempted> {
    let slot = tcb.get(k).slots[index].link();
    tcb.get(k).forget_spaces();
    let next = if slot.get(k).is_empty() { Next::Resume } else { delete::delete(k, slot)? };
    // The deletion may have taken the new capability with it, or the thread itself.
    if new.cap.same_object(new.source.get(k).words()) && inv.slot.get(k).words() == inv.words {
        derivation::insert(k, new.cap, new.source, slot);
    }
    Ok(next)
}

pub(super) fn install_spaces(
    k: &mut Kernel,
    inv: Invocation<'_>,
    tcb: Link<Tcb>,
    spaces: Spaces,
) -> Result<Next, Preempted> {
    let next = install(k, inv, tcb, Tcb::SLOT_CSPACE, spaces.cspace)?.settle(k);
    let more = install(k, inv, tcb, Tcb::SLOT_VSPACE, spaces.vspace)?;
    tcb.get(k).forget_spaces();
    if tcb == k.core().current.get() {
        switch::load_vspace(k, tcb.get(k));
    }
    Ok(next.and(k, more))
}

pub(super) fn install_buffer(
    k: &mut Kernel,
    inv: Invocation<'_>,
    tcb: Link<Tcb>,
    buffer: Buffer,
) -> Result<Next, Preempted> {
    let next = install(k, inv, tcb, Tcb::SLOT_IPC_BUFFER, buffer.frame)?;
    tcb.get(k).ipc_buffer.set(buffer.address);
    Ok(next)
}
