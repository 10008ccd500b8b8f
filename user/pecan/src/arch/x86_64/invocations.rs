//! The invocations that x86_64 has of its own. Generated from `abi/` by `cargo xtask generate`; do not edit.
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
    let mut words = [0; 22];
    words[0] = resume_target as u64 | (arch_flags as u64) << 8;
    words[1] = count;
    words[2..].copy_from_slice(&regs.to_words());
    // SAFETY: the caller sees to it.
    unsafe { invoke(service, Label::TcbWriteRegisters, [], words) }?;
    Ok(())
}

/// Maps a page-directory-pointer table.
///
/// Errors: `DeleteFirst`, `FailedLookup`, `IllegalOperation`, `InvalidArgument`, `InvalidCapability`.
#[inline]
pub fn pdpt_map(service: CPtr, vspace: CPtr, vaddr: u64, attr: u64) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::X86PdptMap, [vspace], [vaddr, attr]) }?;
    Ok(())
}

/// Unmaps it.
///
/// Errors: `IllegalOperation`, `InvalidCapability`, `RevokeFirst`.
///
/// # Safety
/// Memory that this program accesses by references stays where it is, and nobody else writes to it.
#[inline]
pub unsafe fn pdpt_unmap(service: CPtr) -> Result<()> {
    // SAFETY: the caller sees to it.
    unsafe { invoke(service, Label::X86PdptUnmap, [], []) }?;
    Ok(())
}

/// Maps a page directory.
///
/// Errors: `DeleteFirst`, `FailedLookup`, `IllegalOperation`, `InvalidArgument`, `InvalidCapability`.
#[inline]
pub fn page_directory_map(service: CPtr, vspace: CPtr, vaddr: u64, attr: u64) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::X86PageDirectoryMap, [vspace], [vaddr, attr]) }?;
    Ok(())
}

/// Unmaps it.
///
/// Errors: `IllegalOperation`, `InvalidCapability`, `RevokeFirst`.
///
/// # Safety
/// Memory that this program accesses by references stays where it is, and nobody else writes to it.
#[inline]
pub unsafe fn page_directory_unmap(service: CPtr) -> Result<()> {
    // SAFETY: the caller sees to it.
    unsafe { invoke(service, Label::X86PageDirectoryUnmap, [], []) }?;
    Ok(())
}

/// Gives an address space an identifier, without which nothing can be mapped in it.
///
/// Errors: `DeleteFirst`, `IllegalOperation`, `InvalidCapability`.
#[inline]
pub fn asid_pool_assign(service: CPtr, vspace: CPtr) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::AsidPoolAssign, [vspace], []) }?;
    Ok(())
}

/// Creates a capability to a range of I/O ports that nobody has yet.
///
/// Errors: `DeleteFirst`, `FailedLookup`, `IllegalOperation`, `InvalidArgument`, `InvalidCapability`, `RangeError`, `RevokeFirst`.
#[inline]
pub fn io_port_control_issue(service: CPtr, first_port: u64, last_port: u64, root: CPtr, index: u64, depth: u8) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::X86IoPortControlIssue, [root], [first_port, last_port, index, depth as u64]) }?;
    Ok(())
}

/// Reads 8 bits from a port.
///
/// Errors: `IllegalOperation`, `InvalidCapability`.
#[inline]
pub fn io_port_in8(service: CPtr, port: u16) -> Result<u8> {
    // SAFETY: it changes neither memory nor registers of this program.
    let reply = unsafe { invoke(service, Label::X86IoPortIn8, [], [port as u64]) }?;
    Ok(reply.word(0) as u8)
}

/// Reads 16 bits from a port.
///
/// Errors: `IllegalOperation`, `InvalidCapability`.
#[inline]
pub fn io_port_in16(service: CPtr, port: u16) -> Result<u16> {
    // SAFETY: it changes neither memory nor registers of this program.
    let reply = unsafe { invoke(service, Label::X86IoPortIn16, [], [port as u64]) }?;
    Ok(reply.word(0) as u16)
}

/// Reads 32 bits from a port.
///
/// Errors: `IllegalOperation`, `InvalidCapability`.
#[inline]
pub fn io_port_in32(service: CPtr, port: u16) -> Result<u32> {
    // SAFETY: it changes neither memory nor registers of this program.
    let reply = unsafe { invoke(service, Label::X86IoPortIn32, [], [port as u64]) }?;
    Ok(reply.word(0) as u32)
}

/// Writes 8 bits to a port.
///
/// Errors: `IllegalOperation`, `InvalidCapability`.
#[inline]
pub fn io_port_out8(service: CPtr, port: u64, data: u64) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::X86IoPortOut8, [], [port, data]) }?;
    Ok(())
}

/// Writes 16 bits to a port.
///
/// Errors: `IllegalOperation`, `InvalidCapability`.
#[inline]
pub fn io_port_out16(service: CPtr, port: u64, data: u64) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::X86IoPortOut16, [], [port, data]) }?;
    Ok(())
}

/// Writes 32 bits to a port.
///
/// Errors: `IllegalOperation`, `InvalidCapability`.
#[inline]
pub fn io_port_out32(service: CPtr, port: u64, data: u64) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::X86IoPortOut32, [], [port, data]) }?;
    Ok(())
}

/// Creates the handler of an IOAPIC pin.
///
/// Errors: `DeleteFirst`, `FailedLookup`, `IllegalOperation`, `InvalidCapability`, `RangeError`, `RevokeFirst`.
#[inline]
pub fn irq_control_get_ioapic(service: CPtr, root: CPtr, index: u64, depth: u8, ioapic: u64, pin: u64, level: u64, polarity: u64, vector: u64) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::X86IrqIssueIrqHandlerIoapic, [root], [index, depth as u64, ioapic, pin, level, polarity, vector]) }?;
    Ok(())
}

/// Creates the handler of a message-signalled interrupt.
///
/// Errors: `DeleteFirst`, `FailedLookup`, `IllegalOperation`, `InvalidCapability`, `RangeError`, `RevokeFirst`.
#[inline]
pub fn irq_control_get_msi(service: CPtr, root: CPtr, index: u64, depth: u8, pci_bus: u64, pci_dev: u64, pci_func: u64, handle: u64, vector: u64) -> Result<()> {
    // SAFETY: it changes neither memory nor registers of this program.
    unsafe { invoke(service, Label::X86IrqIssueIrqHandlerMsi, [root], [index, depth as u64, pci_bus, pci_dev, pci_func, handle, vector]) }?;
    Ok(())
}
