//! The ports: what the kernel needs of a processor and its platform.
//!
//! Exactly one port is compiled in, and the rest of the kernel sees only the items here. `contract` says what a port must
//! do; one that lacks a duty does not compile, and the error names it. The `host` port is an emulation for tests under
//! plain `cargo test`.
#![cfg_attr(target_os = "none", no_std)]

mod boot;
#[cfg(any(test, target_os = "none"))]
mod builder;
#[cfg(any(test, pecan_arch = "x86_64"))]
#[cfg_attr(
    not(target_os = "none"),
    allow(dead_code, reason = "only ports that have clocks to measure use it")
)]
mod calibrate;
mod contract;
#[cfg(any(test, pecan_arch = "x86_64", pecan_arch = "aarch64"))]
mod devices;
#[cfg(any(test, target_os = "none"))]
mod firmware;
mod format;
#[cfg(target_os = "none")]
mod one_core;
mod regions;
#[cfg(target_os = "none")]
mod stack;
mod text;

#[cfg(not(target_os = "none"))]
#[allow(missing_docs, reason = "the duties are described in `contract`")]
pub mod host;
#[cfg(not(target_os = "none"))]
use host as port;

#[cfg(all(target_os = "none", pecan_arch = "aarch64"))]
#[allow(missing_docs, reason = "the duties are described in `contract`")]
pub mod aarch64;
#[cfg(all(target_os = "none", pecan_arch = "aarch64"))]
use aarch64 as port;

#[cfg(all(target_os = "none", pecan_arch = "x86_64"))]
#[allow(missing_docs, reason = "the duties are described in `contract`")]
pub mod x86_64;
#[cfg(all(target_os = "none", pecan_arch = "x86_64"))]
use x86_64 as port;

pub use boot::{BootData, BootError, ChunkWriter, PhysRegion};
pub use contract::*;
#[cfg(pecan_arch = "x86_64")]
pub use format::x86_64::{boot::MemoryMapEntry, irq::IoapicPin};
pub use format::{
    Breakpoint, BreakpointPart, Claim, DebugEvent, Exception, PageRights, PageTableEntry, PhysAddr, Reg,
    RegisterFile,
};
pub use port::{
    BootExtras, CacheAttr, Console, DebugRegisters, FpuState, IRQ_FIRST_NUMBER, IRQ_TIMER, IRQ_USER_MAX,
    IRQ_USER_MIN, IrqSource, KERNEL_ROOT_ENTRIES, MAX_IRQ, Pte, Space, UserContext,
};
pub use regions::Regions;
pub use text::say;

/// The registers that portable code knows by role: see [`RegisterFile`].
pub mod reg {
    use crate::{Reg, RegisterFile, UserContext};

    /// Capability pointer in, badge out.
    pub const CAP: Reg = UserContext::CAP;
    /// Message information, both ways.
    pub const INFO: Reg = UserContext::INFO;
    /// The message registers that travel in processor registers.
    pub const MSG: [Reg; 4] = UserContext::MSG;
    /// Capability pointer of the reply object.
    pub const REPLY: Reg = UserContext::REPLY;
    /// Capability pointer of the destination in a combined non-blocking send and receive.
    pub const SEND_DEST: Reg = UserContext::SEND_DEST;
    /// Number of the system call.
    pub const SYSCALL: Reg = UserContext::SYSCALL;
    /// Address of the instruction that entered the kernel.
    pub const FAULT_IP: Reg = UserContext::FAULT_IP;
    /// Address at which the thread resumes.
    pub const NEXT_IP: Reg = UserContext::NEXT_IP;
    /// Stack pointer.
    pub const SP: Reg = UserContext::SP;
    /// Base of the thread-local storage.
    pub const TLS_BASE: Reg = UserContext::TLS_BASE;
}

/// First part of the ABI's user context, in its order: `TCB_ReadRegisters` and `TCB_CopyRegisters` tell the two apart.
pub const FRAME_REGISTERS: &[Reg] = UserContext::FRAME;
/// The rest of the ABI's user context, in its order.
pub const INTEGER_REGISTERS: &[Reg] = UserContext::INTEGER;
/// Registers in an unknown-system-call fault message and its reply.
pub const SYSCALL_MESSAGE: &[Reg] = UserContext::SYSCALL_MESSAGE;
/// Registers at the start of a user-exception fault message, and in its reply.
pub const EXCEPTION_MESSAGE: &[Reg] = UserContext::EXCEPTION_MESSAGE;
/// Registers in the reply to a timeout fault.
pub const TIMEOUT_MESSAGE: &[Reg] = UserContext::TIMEOUT_MESSAGE;

/// Identifiers of address spaces are below this.
pub const ASIDS: usize =
    1 << (pecan_abi::constants::ASID_POOL_INDEX_BITS + pecan_abi::constants::NUM_ASID_POOLS_BITS);

/// Levels of a page table: level 0 holds frames of 4 KiB, the highest is the root.
pub const PT_LEVELS: usize = Pte::LEVELS;
/// Bits of the virtual address that each level translates.
pub const PT_INDEX_BITS: u32 = Pte::INDEX_BITS;
/// Highest level whose entries can be frames.
pub const MAX_FRAME_LEVEL: usize = Pte::MAX_FRAME_LEVEL;
/// Entries of a root table that belong to user level; the rest are the kernel's ([`kernel_root_entry`]).
pub const ROOT_USER_ENTRIES: usize = Pte::ROOT_USER_ENTRIES;

/// Bits of the addresses at which the kernel sees objects; the bits above are copies of the highest of these.
pub const ADDRESS_BITS: u32 = 48;

/// True if [`ADDRESS_BITS`] say all of an address.
pub const fn fits_address_bits(address: usize) -> bool {
    const BEYOND: u32 = u64::BITS - ADDRESS_BITS;
    ((address as i64) << BEYOND >> BEYOND) as usize == address
}

/// Bits of address below the part translated by `level`: an entry of that level covers `1 << level_shift` bytes.
#[inline(always)]
pub const fn level_shift(level: usize) -> u32 {
    format::level_shift::<Pte>(level)
}
