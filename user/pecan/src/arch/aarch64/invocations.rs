//! The invocations that aarch64 has of its own. Generated from `abi/` by `cargo xtask generate`; do not edit.
//!
//! `service` is the capability that is invoked. Parameters are packed into message words in order, each
//! aligned to its own width; capabilities travel beside them. A function that acts on foreign objects only, whatever it
//! is given, is safe.
#![allow(clippy::too_many_arguments)]

use pecan_abi::{CPtr, Label, UserContext};

use crate::{Result, raw::invoke};

/// Writes the first `count` registers of a thread, starting it afterwards if asked to.
///
/// Errors: `IllegalOperation`, `InvalidCapability`.
///
/// # Safety
/// If the thread is one of this program's own, what it runs on afterwards must be what its code relies on.
#[inline]
pub unsafe fn tcb_write_registers(service: CPtr, resume_target: bool, arch_flags: u8, count: u64, regs: &UserContext) -> Result<()> {
    let mut words = [0; 38];
    words[0] = resume_target as u64 | (arch_flags as u64) << 8;
    words[1] = count;
    words[2..].copy_from_slice(&regs.to_words());
    // SAFETY: the caller sees to it.
    unsafe { invoke(service, Label::TcbWriteRegisters, [], words) }?;
    Ok(())
}

/// Writes a range of an address space back from the data cache.
///
/// Errors: `FailedLookup`, `IllegalOperation`, `InvalidArgument`, `InvalidCapability`, `RangeError`.
#[inline]
pub fn v_space_clean_data(service: CPtr, start: u64, end: u64) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::ArmVSpaceCleanData, [], [start, end]) }?;
    Ok(())
}

/// Drops a range of an address space from the data cache.
///
/// Errors: `FailedLookup`, `IllegalOperation`, `InvalidArgument`, `InvalidCapability`, `RangeError`.
#[inline]
pub fn v_space_invalidate_data(service: CPtr, start: u64, end: u64) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::ArmVSpaceInvalidateData, [], [start, end]) }?;
    Ok(())
}

/// Writes a range of an address space back from the data cache and drops it there.
///
/// Errors: `FailedLookup`, `IllegalOperation`, `InvalidArgument`, `InvalidCapability`, `RangeError`.
#[inline]
pub fn v_space_clean_invalidate_data(service: CPtr, start: u64, end: u64) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::ArmVSpaceCleanInvalidateData, [], [start, end]) }?;
    Ok(())
}

/// Makes what was written to a range of an address space visible to instruction fetches.
///
/// Errors: `FailedLookup`, `IllegalOperation`, `InvalidArgument`, `InvalidCapability`, `RangeError`.
#[inline]
pub fn v_space_unify_instruction(service: CPtr, start: u64, end: u64) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::ArmVSpaceUnifyInstruction, [], [start, end]) }?;
    Ok(())
}

/// Makes a secure monitor call with these registers, and returns those that come back.
///
/// Errors: .
#[inline]
pub fn smc_call(service: CPtr, x0: u64, x1: u64, x2: u64, x3: u64, x4: u64, x5: u64, x6: u64, x7: u64) -> Result<(u64, u64, u64, u64, u64, u64, u64, u64)> {
    // SAFETY: it changes neither memory nor registers of this program.
    let reply = unsafe { invoke(service, Label::ArmSmcCall, [], [x0, x1, x2, x3, x4, x5, x6, x7]) }?;
    Ok((reply.word(0), reply.word(1), reply.word(2), reply.word(3), reply.word(4), reply.word(5), reply.word(6), reply.word(7)))
}

/// Writes a range of a frame back from the data cache.
///
/// Errors: `FailedLookup`, `IllegalOperation`, `InvalidArgument`, `InvalidCapability`.
#[inline]
pub fn page_clean_data(service: CPtr, start_offset: u64, end_offset: u64) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::ArmPageCleanData, [], [start_offset, end_offset]) }?;
    Ok(())
}

/// Drops a range of a frame from the data cache.
///
/// Errors: `FailedLookup`, `IllegalOperation`, `InvalidArgument`, `InvalidCapability`.
#[inline]
pub fn page_invalidate_data(service: CPtr, start_offset: u64, end_offset: u64) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::ArmPageInvalidateData, [], [start_offset, end_offset]) }?;
    Ok(())
}

/// Writes a range of a frame back from the data cache and drops it there.
///
/// Errors: `FailedLookup`, `IllegalOperation`, `InvalidArgument`, `InvalidCapability`.
#[inline]
pub fn page_clean_invalidate_data(service: CPtr, start_offset: u64, end_offset: u64) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::ArmPageCleanInvalidateData, [], [start_offset, end_offset]) }?;
    Ok(())
}

/// Makes what was written to a range of a frame visible to instruction fetches.
///
/// Errors: `FailedLookup`, `IllegalOperation`, `InvalidArgument`, `InvalidCapability`.
#[inline]
pub fn page_unify_instruction(service: CPtr, start_offset: u64, end_offset: u64) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::ArmPageUnifyInstruction, [], [start_offset, end_offset]) }?;
    Ok(())
}

/// Gives an address space an identifier, without which nothing can be mapped in it.
///
/// Errors: `DeleteFirst`, `FailedLookup`, `IllegalOperation`, `InvalidCapability`.
#[inline]
pub fn asid_pool_assign(service: CPtr, vspace: CPtr) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::AsidPoolAssign, [vspace], []) }?;
    Ok(())
}

/// Creates the handler of an interrupt, which is edge-triggered if `trigger` is not 0.
///
/// Errors: `DeleteFirst`, `FailedLookup`, `IllegalOperation`, `InvalidCapability`, `RangeError`, `RevokeFirst`.
#[inline]
pub fn irq_control_get_trigger(service: CPtr, irq: u64, trigger: u64, root: CPtr, index: u64, depth: u8) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::IrqIssueIrqHandlerTrigger, [root], [irq, trigger, index, depth as u64]) }?;
    Ok(())
}

/// Creates a capability that raises a software-generated interrupt at one core.
///
/// Errors: `DeleteFirst`, `FailedLookup`, `IllegalOperation`, `InvalidArgument`, `InvalidCapability`, `RangeError`.
#[inline]
pub fn irq_control_issue_sgi_signal(service: CPtr, irq: u64, target: u64, root: CPtr, index: u64, depth: u8) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::ArmIrqIssueSgiSignal, [root], [irq, target, index, depth as u64]) }?;
    Ok(())
}
