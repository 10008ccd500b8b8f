//! One safe function for each invocation that is unsafe in `pecan`; see the crate's documentation.
#![allow(clippy::too_many_arguments)]

use pecan::{CPtr, CapRights, Result, UserContext, raw::invocations as inv};

pub use inv::*;

/// [`inv::tcb_write_registers`].
#[inline]
pub fn tcb_write_registers(
    service: CPtr,
    resume_target: bool,
    arch_flags: u8,
    count: u64,
    regs: &UserContext,
) -> Result<()> {
    // SAFETY: see the crate's documentation.
    unsafe { inv::tcb_write_registers(service, resume_target, arch_flags, count, regs) }
}

/// [`inv::tcb_copy_registers`].
#[inline]
pub fn tcb_copy_registers(
    service: CPtr,
    source: CPtr,
    suspend_source: bool,
    resume_target: bool,
    transfer_frame: bool,
    transfer_integer: bool,
    arch_flags: u8,
) -> Result<()> {
    // SAFETY: see the crate's documentation.
    unsafe {
        inv::tcb_copy_registers(
            service,
            source,
            suspend_source,
            resume_target,
            transfer_frame,
            transfer_integer,
            arch_flags,
        )
    }
}

/// [`inv::tcb_configure`].
#[inline]
pub fn tcb_configure(
    service: CPtr,
    cspace_root: CPtr,
    cspace_root_data: u64,
    vspace_root: CPtr,
    vspace_root_data: u64,
    buffer: u64,
    buffer_frame: CPtr,
) -> Result<()> {
    // SAFETY: see the crate's documentation.
    unsafe {
        inv::tcb_configure(
            service,
            cspace_root,
            cspace_root_data,
            vspace_root,
            vspace_root_data,
            buffer,
            buffer_frame,
        )
    }
}

/// [`inv::tcb_set_sched_params`].
#[inline]
pub fn tcb_set_sched_params(
    service: CPtr,
    authority: CPtr,
    mcp: u64,
    priority: u64,
    sched_context: CPtr,
    fault_ep: CPtr,
) -> Result<()> {
    // SAFETY: see the crate's documentation.
    unsafe { inv::tcb_set_sched_params(service, authority, mcp, priority, sched_context, fault_ep) }
}

/// [`inv::tcb_set_timeout_endpoint`].
#[inline]
pub fn tcb_set_timeout_endpoint(service: CPtr, timeout_fault_ep: CPtr) -> Result<()> {
    // SAFETY: see the crate's documentation.
    unsafe { inv::tcb_set_timeout_endpoint(service, timeout_fault_ep) }
}

/// [`inv::tcb_set_ipc_buffer`].
#[inline]
pub fn tcb_set_ipc_buffer(service: CPtr, buffer: u64, buffer_frame: CPtr) -> Result<()> {
    // SAFETY: see the crate's documentation.
    unsafe { inv::tcb_set_ipc_buffer(service, buffer, buffer_frame) }
}

/// [`inv::tcb_set_space`].
#[inline]
pub fn tcb_set_space(
    service: CPtr,
    fault_ep: CPtr,
    cspace_root: CPtr,
    cspace_root_data: u64,
    vspace_root: CPtr,
    vspace_root_data: u64,
) -> Result<()> {
    // SAFETY: see the crate's documentation.
    unsafe {
        inv::tcb_set_space(service, fault_ep, cspace_root, cspace_root_data, vspace_root, vspace_root_data)
    }
}

/// [`inv::tcb_set_tls_base`].
#[inline]
pub fn tcb_set_tls_base(service: CPtr, tls_base: u64) -> Result<()> {
    // SAFETY: see the crate's documentation.
    unsafe { inv::tcb_set_tls_base(service, tls_base) }
}

/// [`inv::cnode_revoke`].
#[inline]
pub fn cnode_revoke(service: CPtr, index: u64, depth: u8) -> Result<()> {
    // SAFETY: see the crate's documentation.
    unsafe { inv::cnode_revoke(service, index, depth) }
}

/// [`inv::cnode_delete`].
#[inline]
pub fn cnode_delete(service: CPtr, index: u64, depth: u8) -> Result<()> {
    // SAFETY: see the crate's documentation.
    unsafe { inv::cnode_delete(service, index, depth) }
}

/// [`inv::cnode_move`].
#[inline]
pub fn cnode_move(
    service: CPtr,
    dest_index: u64,
    dest_depth: u8,
    src_root: CPtr,
    src_index: u64,
    src_depth: u8,
) -> Result<()> {
    // SAFETY: see the crate's documentation.
    unsafe { inv::cnode_move(service, dest_index, dest_depth, src_root, src_index, src_depth) }
}

/// [`inv::cnode_mutate`].
#[inline]
pub fn cnode_mutate(
    service: CPtr,
    dest_index: u64,
    dest_depth: u8,
    src_root: CPtr,
    src_index: u64,
    src_depth: u8,
    badge: u64,
) -> Result<()> {
    // SAFETY: see the crate's documentation.
    unsafe { inv::cnode_mutate(service, dest_index, dest_depth, src_root, src_index, src_depth, badge) }
}

/// [`inv::cnode_rotate`].
#[inline]
pub fn cnode_rotate(
    service: CPtr,
    dest_index: u64,
    dest_depth: u8,
    dest_badge: u64,
    pivot_root: CPtr,
    pivot_index: u64,
    pivot_depth: u8,
    pivot_badge: u64,
    src_root: CPtr,
    src_index: u64,
    src_depth: u8,
) -> Result<()> {
    // SAFETY: see the crate's documentation.
    unsafe {
        inv::cnode_rotate(
            service,
            dest_index,
            dest_depth,
            dest_badge,
            pivot_root,
            pivot_index,
            pivot_depth,
            pivot_badge,
            src_root,
            src_index,
            src_depth,
        )
    }
}

/// [`inv::pdpt_unmap`].
#[inline]
pub fn pdpt_unmap(service: CPtr) -> Result<()> {
    // SAFETY: see the crate's documentation.
    unsafe { inv::pdpt_unmap(service) }
}

/// [`inv::page_directory_unmap`].
#[inline]
pub fn page_directory_unmap(service: CPtr) -> Result<()> {
    // SAFETY: see the crate's documentation.
    unsafe { inv::page_directory_unmap(service) }
}

/// [`inv::page_table_unmap`].
#[inline]
pub fn page_table_unmap(service: CPtr) -> Result<()> {
    // SAFETY: see the crate's documentation.
    unsafe { inv::page_table_unmap(service) }
}

/// [`inv::page_map`].
#[inline]
pub fn page_map(service: CPtr, vspace: CPtr, vaddr: u64, rights: CapRights, attr: u64) -> Result<()> {
    // SAFETY: see the crate's documentation.
    unsafe { inv::page_map(service, vspace, vaddr, rights, attr) }
}

/// [`inv::page_unmap`].
#[inline]
pub fn page_unmap(service: CPtr) -> Result<()> {
    // SAFETY: see the crate's documentation.
    unsafe { inv::page_unmap(service) }
}
