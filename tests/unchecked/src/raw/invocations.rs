//! One safe function for each invocation that is unsafe in `pecan`; see the crate's documentation.
#![allow(clippy::too_many_arguments)]

use pecan::{CPtr, CapRights, Result, UserContext};

pub use pecan::raw::invocations::*;

unchecked! { pecan::raw::invocations:
    fn tcb_write_registers(service: CPtr, resume_target: bool, arch_flags: u8, count: u64, regs:
        &UserContext) -> Result<()>;
    fn tcb_copy_registers(service: CPtr, source: CPtr, suspend_source: bool, resume_target: bool,
        transfer_frame: bool, transfer_integer: bool, arch_flags: u8) -> Result<()>;
    fn tcb_configure(service: CPtr, cspace_root: CPtr, cspace_root_data: u64, vspace_root: CPtr,
        vspace_root_data: u64, buffer: u64, buffer_frame: CPtr) -> Result<()>;
    fn tcb_set_sched_params(service: CPtr, authority: CPtr, mcp: u64, priority: u64, sched_context: CPtr,
        fault_ep: CPtr) -> Result<()>;
    fn tcb_set_timeout_endpoint(service: CPtr, timeout_fault_ep: CPtr) -> Result<()>;
    fn tcb_set_ipc_buffer(service: CPtr, buffer: u64, buffer_frame: CPtr) -> Result<()>;
    fn tcb_set_space(service: CPtr, fault_ep: CPtr, cspace_root: CPtr, cspace_root_data: u64, vspace_root:
        CPtr, vspace_root_data: u64) -> Result<()>;
    fn tcb_set_tls_base(service: CPtr, tls_base: u64) -> Result<()>;
    fn cnode_revoke(service: CPtr, index: u64, depth: u8) -> Result<()>;
    fn cnode_delete(service: CPtr, index: u64, depth: u8) -> Result<()>;
    fn cnode_move(service: CPtr, dest_index: u64, dest_depth: u8, src_root: CPtr, src_index: u64,
        src_depth: u8) -> Result<()>;
    fn cnode_mutate(service: CPtr, dest_index: u64, dest_depth: u8, src_root: CPtr, src_index: u64,
        src_depth: u8, badge: u64) -> Result<()>;
    fn cnode_rotate(service: CPtr, dest_index: u64, dest_depth: u8, dest_badge: u64, pivot_root: CPtr,
        pivot_index: u64, pivot_depth: u8, pivot_badge: u64, src_root: CPtr, src_index: u64, src_depth:
        u8) -> Result<()>;
    fn pdpt_unmap(service: CPtr) -> Result<()>;
    fn page_directory_unmap(service: CPtr) -> Result<()>;
    fn page_table_unmap(service: CPtr) -> Result<()>;
    fn page_map(service: CPtr, vspace: CPtr, vaddr: u64, rights: CapRights, attr: u64) -> Result<()>;
    fn page_unmap(service: CPtr) -> Result<()>;
}
