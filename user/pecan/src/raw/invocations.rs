//! One function for each invocation. Generated from `abi/` by `cargo xtask generate`; do not edit.
//!
//! `service` is the capability that is invoked. Parameters are packed into message words in order, each
//! aligned to its own width; capabilities travel beside them. A function that acts on foreign objects only, whatever it
//! is given, is safe.
#![allow(clippy::too_many_arguments)]

use pecan_abi::{CPtr, CapRights, Label, UserContext};

pub use crate::arch::invocations::*;
use crate::{Result, raw::invoke};

/// Creates objects of one type, with a capability to each in consecutive slots.
///
/// Errors: `DeleteFirst`, `FailedLookup`, `IllegalOperation`, `InvalidArgument`, `InvalidCapability`, `NotEnoughMemory`, `RangeError`.
#[inline]
pub fn untyped_retype(service: CPtr, object_type: u64, size_bits: u64, root: CPtr, node_index: u64, node_depth: u64, node_offset: u64, num_objects: u64) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::UntypedRetype, [root], [object_type, size_bits, node_index, node_depth, node_offset, num_objects]) }?;
    Ok(())
}

/// Reads the first `count` registers of a thread, stopping it first if asked to.
///
/// Errors: `IllegalOperation`, `InvalidCapability`, `RangeError`.
#[inline]
pub fn tcb_read_registers(service: CPtr, suspend_source: bool, arch_flags: u8, count: u64) -> Result<UserContext> {
    // SAFETY: it changes neither memory nor registers of this program.
    let reply = unsafe { invoke(service, Label::TcbReadRegisters, [], [suspend_source as u64 | (arch_flags as u64) << 8, count]) }?;
    Ok(UserContext::from_words(&core::array::from_fn(|index| {
        if index < reply.info.length() { reply.word(index) } else { 0 }
    })))
}

/// Copies registers from another thread.
///
/// Errors: `IllegalOperation`, `InvalidCapability`.
///
/// # Safety
/// If the thread is one of this program's own, what it runs on afterwards must be what its code relies on.
#[inline]
pub unsafe fn tcb_copy_registers(service: CPtr, source: CPtr, suspend_source: bool, resume_target: bool, transfer_frame: bool, transfer_integer: bool, arch_flags: u8) -> Result<()> {
    // SAFETY: the caller sees to it.
    unsafe { invoke(service, Label::TcbCopyRegisters, [source], [suspend_source as u64 | (resume_target as u64) << 1 | (transfer_frame as u64) << 2 | (transfer_integer as u64) << 3 | (arch_flags as u64) << 8]) }?;
    Ok(())
}

/// Sets the CSpace, the VSpace and the IPC buffer of a thread.
///
/// Errors: `AlignmentError`, `IllegalOperation`, `InvalidCapability`, `RevokeFirst`.
///
/// # Safety
/// If the thread is one of this program's own, what it runs on afterwards must be what its code relies on.
#[inline]
pub unsafe fn tcb_configure(service: CPtr, cspace_root: CPtr, cspace_root_data: u64, vspace_root: CPtr, vspace_root_data: u64, buffer: u64, buffer_frame: CPtr) -> Result<()> {
    // SAFETY: the caller sees to it.
    unsafe { invoke(service, Label::TcbConfigure, [cspace_root, vspace_root, buffer_frame], [cspace_root_data, vspace_root_data, buffer]) }?;
    Ok(())
}

/// Sets the priority of a thread, up to the authority's maximum controlled priority.
///
/// Errors: `IllegalOperation`, `InvalidCapability`, `RangeError`.
#[inline]
pub fn tcb_set_priority(service: CPtr, authority: CPtr, priority: u64) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::TcbSetPriority, [authority], [priority]) }?;
    Ok(())
}

/// Sets the maximum controlled priority of a thread, up to the authority's own.
///
/// Errors: `IllegalOperation`, `InvalidCapability`, `RangeError`.
#[inline]
pub fn tcb_set_mc_priority(service: CPtr, authority: CPtr, mcp: u64) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::TcbSetMcPriority, [authority], [mcp]) }?;
    Ok(())
}

/// Sets priorities, scheduling context and fault endpoint of a thread.
///
/// Errors: `IllegalOperation`, `InvalidCapability`, `RangeError`.
///
/// # Safety
/// If the thread is one of this program's own, whoever answers its faults must leave it what its code relies on.
#[inline]
pub unsafe fn tcb_set_sched_params(service: CPtr, authority: CPtr, mcp: u64, priority: u64, sched_context: CPtr, fault_ep: CPtr) -> Result<()> {
    // SAFETY: the caller sees to it.
    unsafe { invoke(service, Label::TcbSetSchedParams, [authority, sched_context, fault_ep], [mcp, priority]) }?;
    Ok(())
}

/// Sets the endpoint that receives the timeout faults of a thread.
///
/// Errors: `IllegalOperation`, `InvalidCapability`.
///
/// # Safety
/// If the thread is one of this program's own, whoever answers its faults must leave it what its code relies on.
#[inline]
pub unsafe fn tcb_set_timeout_endpoint(service: CPtr, timeout_fault_ep: CPtr) -> Result<()> {
    // SAFETY: the caller sees to it.
    unsafe { invoke(service, Label::TcbSetTimeoutEndpoint, [timeout_fault_ep], []) }?;
    Ok(())
}

/// Sets the IPC buffer of a thread: its address and the frame behind it.
///
/// Errors: `AlignmentError`, `IllegalOperation`, `InvalidCapability`, `RevokeFirst`.
///
/// # Safety
/// If the thread is one of this program's own, what it runs on afterwards must be what its code relies on.
#[inline]
pub unsafe fn tcb_set_ipc_buffer(service: CPtr, buffer: u64, buffer_frame: CPtr) -> Result<()> {
    // SAFETY: the caller sees to it.
    unsafe { invoke(service, Label::TcbSetIpcBuffer, [buffer_frame], [buffer]) }?;
    Ok(())
}

/// Sets fault endpoint, CSpace and VSpace of a thread.
///
/// Errors: `IllegalOperation`, `InvalidCapability`, `RevokeFirst`.
///
/// # Safety
/// If the thread is one of this program's own, what it runs on afterwards must be what its code relies on.
#[inline]
pub unsafe fn tcb_set_space(service: CPtr, fault_ep: CPtr, cspace_root: CPtr, cspace_root_data: u64, vspace_root: CPtr, vspace_root_data: u64) -> Result<()> {
    // SAFETY: the caller sees to it.
    unsafe { invoke(service, Label::TcbSetSpace, [fault_ep, cspace_root, vspace_root], [cspace_root_data, vspace_root_data]) }?;
    Ok(())
}

/// Stops a thread.
///
/// Errors: `IllegalOperation`, `InvalidCapability`.
#[inline]
pub fn tcb_suspend(service: CPtr) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::TcbSuspend, [], []) }?;
    Ok(())
}

/// Starts a thread, or restarts what it was blocked in.
///
/// Errors: `IllegalOperation`, `InvalidCapability`.
#[inline]
pub fn tcb_resume(service: CPtr) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::TcbResume, [], []) }?;
    Ok(())
}

/// Binds a notification, whose signals then also wake the thread from waiting on endpoints.
///
/// Errors: `IllegalOperation`, `InvalidCapability`.
#[inline]
pub fn tcb_bind_notification(service: CPtr, notification: CPtr) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::TcbBindNotification, [notification], []) }?;
    Ok(())
}

/// Unbinds the notification.
///
/// Errors: `IllegalOperation`, `InvalidCapability`.
#[inline]
pub fn tcb_unbind_notification(service: CPtr) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::TcbUnbindNotification, [], []) }?;
    Ok(())
}

/// Makes a breakpoint wait for an instruction, or for an access of `rw` to `size` bytes of data.
///
/// Errors: `AlignmentError`, `IllegalOperation`, `InvalidArgument`, `InvalidCapability`, `RangeError`.
#[inline]
pub fn tcb_set_breakpoint(service: CPtr, bp_num: u16, vaddr: u64, kind: u64, size: u64, rw: u64) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::TcbSetBreakpoint, [], [bp_num as u64, vaddr, kind, size, rw]) }?;
    Ok(())
}

/// What a breakpoint waits for, and whether it does.
///
/// Errors: `IllegalOperation`, `InvalidCapability`, `RangeError`.
#[inline]
pub fn tcb_get_breakpoint(service: CPtr, bp_num: u16) -> Result<(u64, u64, u64, u64, bool)> {
    // SAFETY: it changes neither memory nor registers of this program.
    let reply = unsafe { invoke(service, Label::TcbGetBreakpoint, [], [bp_num as u64]) }?;
    Ok((reply.word(0), reply.word(1), reply.word(2), reply.word(3), reply.word(4) & 1 != 0))
}

/// Disables a breakpoint and clears it.
///
/// Errors: `IllegalOperation`, `InvalidCapability`, `RangeError`.
#[inline]
pub fn tcb_unset_breakpoint(service: CPtr, bp_num: u16) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::TcbUnsetBreakpoint, [], [bp_num as u64]) }?;
    Ok(())
}

/// Makes a thread fault after every `num_instructions` instructions; 0 ends that.
///
/// Errors: `IllegalOperation`, `InvalidArgument`, `InvalidCapability`.
#[inline]
pub fn tcb_configure_single_stepping(service: CPtr, bp_num: u16, num_instructions: u64) -> Result<bool> {
    // SAFETY: it changes neither memory nor registers of this program.
    let reply = unsafe { invoke(service, Label::TcbConfigureSingleStepping, [], [bp_num as u64, num_instructions]) }?;
    Ok(reply.word(0) & 1 != 0)
}

/// Sets the TLS base of a thread.
///
/// Errors: `IllegalOperation`, `InvalidCapability`.
///
/// # Safety
/// If the thread is one of this program's own, what it runs on afterwards must be what its code relies on.
#[inline]
pub unsafe fn tcb_set_tls_base(service: CPtr, tls_base: u64) -> Result<()> {
    // SAFETY: the caller sees to it.
    unsafe { invoke(service, Label::TcbSetTlsBase, [], [tls_base]) }?;
    Ok(())
}

/// Clears and then sets flags of a thread, and returns the flags it has afterwards.
///
/// Errors: `InvalidCapability`.
#[inline]
pub fn tcb_set_flags(service: CPtr, clear: u64, set: u64) -> Result<u64> {
    // SAFETY: it changes neither memory nor registers of this program.
    let reply = unsafe { invoke(service, Label::TcbSetFlags, [], [clear, set]) }?;
    Ok(reply.word(0))
}

/// Deletes every capability derived from the one in a slot.
///
/// Errors: `FailedLookup`, `IllegalOperation`, `InvalidCapability`, `RangeError`.
///
/// # Safety
/// No name of a capability that goes away is used afterwards, and no memory that goes with it.
#[inline]
pub unsafe fn cnode_revoke(service: CPtr, index: u64, depth: u8) -> Result<()> {
    // SAFETY: the caller sees to it.
    unsafe { invoke(service, Label::CNodeRevoke, [], [index, depth as u64]) }?;
    Ok(())
}

/// Deletes the capability in a slot.
///
/// Errors: `FailedLookup`, `IllegalOperation`, `InvalidCapability`, `RangeError`.
///
/// # Safety
/// No name of a capability that goes away is used afterwards, and no memory that goes with it.
#[inline]
pub unsafe fn cnode_delete(service: CPtr, index: u64, depth: u8) -> Result<()> {
    // SAFETY: the caller sees to it.
    unsafe { invoke(service, Label::CNodeDelete, [], [index, depth as u64]) }?;
    Ok(())
}

/// Aborts pending sends that were made with the badge of the endpoint capability in a slot.
///
/// Errors: `FailedLookup`, `IllegalOperation`, `InvalidCapability`, `RangeError`.
#[inline]
pub fn cnode_cancel_badged_sends(service: CPtr, index: u64, depth: u8) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::CNodeCancelBadgedSends, [], [index, depth as u64]) }?;
    Ok(())
}

/// Copies a capability, with no more rights than given.
///
/// Errors: `DeleteFirst`, `FailedLookup`, `IllegalOperation`, `InvalidCapability`, `RangeError`, `RevokeFirst`.
#[inline]
pub fn cnode_copy(service: CPtr, dest_index: u64, dest_depth: u8, src_root: CPtr, src_index: u64, src_depth: u8, rights: CapRights) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::CNodeCopy, [src_root], [dest_index, dest_depth as u64, src_index, src_depth as u64, rights.0]) }?;
    Ok(())
}

/// Copies a capability, with no more rights than given, and gives it a badge or a guard.
///
/// Errors: `DeleteFirst`, `FailedLookup`, `IllegalOperation`, `InvalidCapability`, `RangeError`, `RevokeFirst`.
#[inline]
pub fn cnode_mint(service: CPtr, dest_index: u64, dest_depth: u8, src_root: CPtr, src_index: u64, src_depth: u8, rights: CapRights, badge: u64) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::CNodeMint, [src_root], [dest_index, dest_depth as u64, src_index, src_depth as u64, rights.0, badge]) }?;
    Ok(())
}

/// Moves a capability.
///
/// Errors: `DeleteFirst`, `FailedLookup`, `IllegalOperation`, `InvalidCapability`, `RangeError`.
///
/// # Safety
/// No name of a capability that goes away is used afterwards, and no memory that goes with it.
#[inline]
pub unsafe fn cnode_move(service: CPtr, dest_index: u64, dest_depth: u8, src_root: CPtr, src_index: u64, src_depth: u8) -> Result<()> {
    // SAFETY: the caller sees to it.
    unsafe { invoke(service, Label::CNodeMove, [src_root], [dest_index, dest_depth as u64, src_index, src_depth as u64]) }?;
    Ok(())
}

/// Moves a capability and gives it a badge or a guard.
///
/// Errors: `DeleteFirst`, `FailedLookup`, `IllegalOperation`, `InvalidCapability`, `RangeError`.
///
/// # Safety
/// No name of a capability that goes away is used afterwards, and no memory that goes with it.
#[inline]
pub unsafe fn cnode_mutate(service: CPtr, dest_index: u64, dest_depth: u8, src_root: CPtr, src_index: u64, src_depth: u8, badge: u64) -> Result<()> {
    // SAFETY: the caller sees to it.
    unsafe { invoke(service, Label::CNodeMutate, [src_root], [dest_index, dest_depth as u64, src_index, src_depth as u64, badge]) }?;
    Ok(())
}

/// Moves the pivot's capability to the destination and the source's to the pivot, with new badges or guards.
///
/// Errors: `DeleteFirst`, `FailedLookup`, `IllegalOperation`, `InvalidCapability`, `RangeError`.
///
/// # Safety
/// No name of a capability that goes away is used afterwards, and no memory that goes with it.
#[inline]
pub unsafe fn cnode_rotate(service: CPtr, dest_index: u64, dest_depth: u8, dest_badge: u64, pivot_root: CPtr, pivot_index: u64, pivot_depth: u8, pivot_badge: u64, src_root: CPtr, src_index: u64, src_depth: u8) -> Result<()> {
    // SAFETY: the caller sees to it.
    unsafe { invoke(service, Label::CNodeRotate, [pivot_root, src_root], [dest_index, dest_depth as u64, dest_badge, pivot_index, pivot_depth as u64, pivot_badge, src_index, src_depth as u64]) }?;
    Ok(())
}

/// Creates the handler of an interrupt (not on machines whose interrupts come through an IOAPIC).
///
/// Errors: `DeleteFirst`, `FailedLookup`, `IllegalOperation`, `InvalidCapability`, `RangeError`, `RevokeFirst`.
#[inline]
pub fn irq_control_get(service: CPtr, irq: u64, root: CPtr, index: u64, depth: u8) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::IrqIssueIrqHandler, [root], [irq, index, depth as u64]) }?;
    Ok(())
}

/// Acknowledges an interrupt, so that the next one is delivered.
///
/// Errors: `IllegalOperation`, `InvalidCapability`.
#[inline]
pub fn irq_handler_ack(service: CPtr) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::IrqAckIrq, [], []) }?;
    Ok(())
}

/// Sets the notification that an interrupt signals.
///
/// Errors: `IllegalOperation`, `InvalidCapability`.
#[inline]
pub fn irq_handler_set_notification(service: CPtr, notification: CPtr) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::IrqSetIrqHandler, [notification], []) }?;
    Ok(())
}

/// Unsets the notification and masks the interrupt.
///
/// Errors: `IllegalOperation`, `InvalidCapability`.
#[inline]
pub fn irq_handler_clear(service: CPtr) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::IrqClearIrqHandler, [], []) }?;
    Ok(())
}

/// Moves a thread to a domain.
///
/// Errors: `IllegalOperation`, `InvalidArgument`, `InvalidCapability`.
#[inline]
pub fn domain_set_set(service: CPtr, domain: u8, thread: CPtr) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::DomainSetSet, [thread], [domain as u64]) }?;
    Ok(())
}

/// Sets an entry of the domain schedule: a domain and how long it runs, in timer ticks (40 us at least).
///
/// Errors: `IllegalOperation`, `InvalidArgument`, `RangeError`.
#[inline]
pub fn domain_set_schedule_configure(service: CPtr, index: u64, domain: u8, duration: u64) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::DomainScheduleConfigure, [], [index, domain as u64, duration]) }?;
    Ok(())
}

/// Sets the entry at which the domain schedule starts over, and starts there.
///
/// Errors: `IllegalOperation`, `InvalidArgument`, `RangeError`.
#[inline]
pub fn domain_set_schedule_set_start(service: CPtr, index: u64) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::DomainScheduleSetStart, [], [index]) }?;
    Ok(())
}

/// Gives a scheduling context its budget and period (in microseconds), extra refills, badge and flags.
///
/// Errors: `IllegalOperation`, `InvalidCapability`, `RangeError`.
#[inline]
pub fn sched_control_configure_flags(service: CPtr, sched_context: CPtr, budget: u64, period: u64, extra_refills: u64, badge: u64, flags: u64) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::SchedControlConfigureFlags, [sched_context], [budget, period, extra_refills, badge, flags]) }?;
    Ok(())
}

/// Binds a thread or a notification.
///
/// Errors: `IllegalOperation`, `InvalidCapability`.
#[inline]
pub fn sched_context_bind(service: CPtr, cap: CPtr) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::SchedContextBind, [cap], []) }?;
    Ok(())
}

/// Unbinds the thread and the notification.
///
/// Errors: `IllegalOperation`, `InvalidCapability`.
#[inline]
pub fn sched_context_unbind(service: CPtr) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::SchedContextUnbind, [], []) }?;
    Ok(())
}

/// Unbinds one object, which must be bound.
///
/// Errors: `IllegalOperation`, `InvalidCapability`.
#[inline]
pub fn sched_context_unbind_object(service: CPtr, cap: CPtr) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::SchedContextUnbindObject, [cap], []) }?;
    Ok(())
}

/// Microseconds consumed since this was last asked.
///
/// Errors: `IllegalOperation`, `InvalidCapability`.
#[inline]
pub fn sched_context_consumed(service: CPtr) -> Result<u64> {
    // SAFETY: it changes neither memory nor registers of this program.
    let reply = unsafe { invoke(service, Label::SchedContextConsumed, [], []) }?;
    Ok(reply.word(0))
}

/// Runs the bound thread next, and returns the microseconds that were consumed meanwhile.
///
/// Errors: `IllegalOperation`, `InvalidCapability`.
#[inline]
pub fn sched_context_yield_to(service: CPtr) -> Result<u64> {
    // SAFETY: it changes neither memory nor registers of this program.
    let reply = unsafe { invoke(service, Label::SchedContextYieldTo, [], []) }?;
    Ok(reply.word(0))
}

/// Maps a page table.
///
/// Errors: `DeleteFirst`, `FailedLookup`, `IllegalOperation`, `InvalidArgument`, `InvalidCapability`.
#[inline]
pub fn page_table_map(service: CPtr, vspace: CPtr, vaddr: u64, attr: u64) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::PageTableMap, [vspace], [vaddr, attr]) }?;
    Ok(())
}

/// Unmaps it.
///
/// Errors: `IllegalOperation`, `InvalidCapability`, `RevokeFirst`.
///
/// # Safety
/// Memory that this program accesses by references stays where it is, and nobody else writes to it.
#[inline]
pub unsafe fn page_table_unmap(service: CPtr) -> Result<()> {
    // SAFETY: the caller sees to it.
    unsafe { invoke(service, Label::PageTableUnmap, [], []) }?;
    Ok(())
}

/// Maps a frame, or changes the rights and attributes of its mapping at the same address.
///
/// Errors: `AlignmentError`, `DeleteFirst`, `FailedLookup`, `IllegalOperation`, `InvalidArgument`, `InvalidCapability`.
///
/// # Safety
/// Memory that this program accesses by references stays where it is, and nobody else writes to it.
#[inline]
pub unsafe fn page_map(service: CPtr, vspace: CPtr, vaddr: u64, rights: CapRights, attr: u64) -> Result<()> {
    // SAFETY: the caller sees to it.
    unsafe { invoke(service, Label::PageMap, [vspace], [vaddr, rights.0, attr]) }?;
    Ok(())
}

/// Unmaps it; does nothing if it is not mapped.
///
/// Errors: `IllegalOperation`, `InvalidCapability`.
///
/// # Safety
/// Memory that this program accesses by references stays where it is, and nobody else writes to it.
#[inline]
pub unsafe fn page_unmap(service: CPtr) -> Result<()> {
    // SAFETY: the caller sees to it.
    unsafe { invoke(service, Label::PageUnmap, [], []) }?;
    Ok(())
}

/// The physical address of a frame.
///
/// Errors: `IllegalOperation`, `InvalidCapability`.
#[inline]
pub fn page_get_address(service: CPtr) -> Result<u64> {
    // SAFETY: it changes neither memory nor registers of this program.
    let reply = unsafe { invoke(service, Label::PageGetAddress, [], []) }?;
    Ok(reply.word(0))
}

/// Turns an untyped of 4 KiB into an ASID pool.
///
/// Errors: `DeleteFirst`, `FailedLookup`, `IllegalOperation`, `InvalidCapability`, `RangeError`, `RevokeFirst`.
#[inline]
pub fn asid_control_make_pool(service: CPtr, untyped: CPtr, root: CPtr, index: u64, depth: u8) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::AsidControlMakePool, [untyped, root], [index, depth as u64]) }?;
    Ok(())
}
