//! What invocations take. Generated from `abi/` by `cargo xtask generate`; do not edit.
//!
//! Each type is what the kernel asks of a message at once; `decode` fails with `TruncatedMessage` where that is more than
//! there is. A parameter that has a word to itself is that word, whatever the width of the parameter: what is too great for
//! it can be refused.
#![allow(dead_code, reason = "what an invocation takes, whether or not the kernel looks at it")]

pub mod aarch64;
pub mod riscv64;
pub mod x86_64;

use pecan_abi::CapRights;
use pecan_mem::{Kernel, Link, Slot};

use crate::{
    base::error::Decoded,
    invoke::invocation::{Invocation, Rest},
};

/// What `Untyped.retype` takes.
#[derive(Clone, Copy)]
pub struct UntypedRetype {
    pub object_type: u64,
    pub size_bits: u64,
    pub root: Link<Slot>,
    pub node_index: u64,
    pub node_depth: u64,
    pub node_offset: u64,
    pub num_objects: u64,
}

impl UntypedRetype {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(6, 1)?;
        Ok(Self {
            object_type: inv.word(k, 0),
            size_bits: inv.word(k, 1),
            root: inv.cap(0),
            node_index: inv.word(k, 2),
            node_depth: inv.word(k, 3),
            node_offset: inv.word(k, 4),
            num_objects: inv.word(k, 5),
        })
    }
}

/// What `Tcb.read_registers` takes.
#[derive(Clone, Copy)]
pub struct TcbReadRegisters {
    pub suspend_source: bool,
    pub arch_flags: u8,
    pub count: u64,
}

impl TcbReadRegisters {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(2, 0)?;
        Ok(Self {
            suspend_source: inv.word(k, 0) & 0x1 != 0,
            arch_flags: (inv.word(k, 0) >> 8) as u8,
            count: inv.word(k, 1),
        })
    }
}

/// What `Tcb.write_registers` takes.
#[derive(Clone, Copy)]
pub struct TcbWriteRegisters {
    pub resume_target: bool,
    pub arch_flags: u8,
    pub count: u64,
    pub regs: Rest,
}

impl TcbWriteRegisters {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(2, 0)?;
        Ok(Self {
            resume_target: inv.word(k, 0) & 0x1 != 0,
            arch_flags: (inv.word(k, 0) >> 8) as u8,
            count: inv.word(k, 1),
            regs: inv.rest(2),
        })
    }
}

/// What `Tcb.copy_registers` takes.
#[derive(Clone, Copy)]
pub struct TcbCopyRegisters {
    pub source: Link<Slot>,
    pub suspend_source: bool,
    pub resume_target: bool,
    pub transfer_frame: bool,
    pub transfer_integer: bool,
    pub arch_flags: u8,
}

impl TcbCopyRegisters {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(1, 1)?;
        Ok(Self {
            source: inv.cap(0),
            suspend_source: inv.word(k, 0) & 0x1 != 0,
            resume_target: inv.word(k, 0) & 0x2 != 0,
            transfer_frame: inv.word(k, 0) & 0x4 != 0,
            transfer_integer: inv.word(k, 0) & 0x8 != 0,
            arch_flags: (inv.word(k, 0) >> 8) as u8,
        })
    }
}

/// What `Tcb.configure` takes.
#[derive(Clone, Copy)]
pub struct TcbConfigure {
    pub cspace_root: Link<Slot>,
    pub cspace_root_data: u64,
    pub vspace_root: Link<Slot>,
    pub vspace_root_data: u64,
    pub buffer: u64,
    pub buffer_frame: Link<Slot>,
}

impl TcbConfigure {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(3, 3)?;
        Ok(Self {
            cspace_root: inv.cap(0),
            cspace_root_data: inv.word(k, 0),
            vspace_root: inv.cap(1),
            vspace_root_data: inv.word(k, 1),
            buffer: inv.word(k, 2),
            buffer_frame: inv.cap(2),
        })
    }
}

/// What `Tcb.set_priority` takes.
#[derive(Clone, Copy)]
pub struct TcbSetPriority {
    pub authority: Link<Slot>,
    pub priority: u64,
}

impl TcbSetPriority {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(1, 1)?;
        Ok(Self { authority: inv.cap(0), priority: inv.word(k, 0) })
    }
}

/// What `Tcb.set_mc_priority` takes.
#[derive(Clone, Copy)]
pub struct TcbSetMcPriority {
    pub authority: Link<Slot>,
    pub mcp: u64,
}

impl TcbSetMcPriority {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(1, 1)?;
        Ok(Self { authority: inv.cap(0), mcp: inv.word(k, 0) })
    }
}

/// What `Tcb.set_sched_params` takes.
#[derive(Clone, Copy)]
pub struct TcbSetSchedParams {
    pub authority: Link<Slot>,
    pub mcp: u64,
    pub priority: u64,
    pub sched_context: Link<Slot>,
    pub fault_ep: Link<Slot>,
}

impl TcbSetSchedParams {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(2, 3)?;
        Ok(Self {
            authority: inv.cap(0),
            mcp: inv.word(k, 0),
            priority: inv.word(k, 1),
            sched_context: inv.cap(1),
            fault_ep: inv.cap(2),
        })
    }
}

/// What `Tcb.set_timeout_endpoint` takes.
#[derive(Clone, Copy)]
pub struct TcbSetTimeoutEndpoint {
    pub timeout_fault_ep: Link<Slot>,
}

impl TcbSetTimeoutEndpoint {
    #[inline(always)]
    pub fn decode(_k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(0, 1)?;
        Ok(Self { timeout_fault_ep: inv.cap(0) })
    }
}

/// What `Tcb.set_ipc_buffer` takes.
#[derive(Clone, Copy)]
pub struct TcbSetIpcBuffer {
    pub buffer: u64,
    pub buffer_frame: Link<Slot>,
}

impl TcbSetIpcBuffer {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(1, 1)?;
        Ok(Self { buffer: inv.word(k, 0), buffer_frame: inv.cap(0) })
    }
}

/// What `Tcb.set_space` takes.
#[derive(Clone, Copy)]
pub struct TcbSetSpace {
    pub fault_ep: Link<Slot>,
    pub cspace_root: Link<Slot>,
    pub cspace_root_data: u64,
    pub vspace_root: Link<Slot>,
    pub vspace_root_data: u64,
}

impl TcbSetSpace {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(2, 3)?;
        Ok(Self {
            fault_ep: inv.cap(0),
            cspace_root: inv.cap(1),
            cspace_root_data: inv.word(k, 0),
            vspace_root: inv.cap(2),
            vspace_root_data: inv.word(k, 1),
        })
    }
}

/// What `Tcb.bind_notification` takes.
#[derive(Clone, Copy)]
pub struct TcbBindNotification {
    pub notification: Link<Slot>,
}

impl TcbBindNotification {
    #[inline(always)]
    pub fn decode(_k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(0, 1)?;
        Ok(Self { notification: inv.cap(0) })
    }
}

/// What `Tcb.set_breakpoint` takes.
#[derive(Clone, Copy)]
pub struct TcbSetBreakpoint {
    pub bp_num: u64,
    pub vaddr: u64,
    pub kind: u64,
    pub size: u64,
    pub rw: u64,
}

impl TcbSetBreakpoint {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(5, 0)?;
        Ok(Self {
            bp_num: inv.word(k, 0),
            vaddr: inv.word(k, 1),
            kind: inv.word(k, 2),
            size: inv.word(k, 3),
            rw: inv.word(k, 4),
        })
    }
}

/// What `Tcb.get_breakpoint` takes.
#[derive(Clone, Copy)]
pub struct BreakpointNumber {
    pub bp_num: u64,
}

impl BreakpointNumber {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(1, 0)?;
        Ok(Self { bp_num: inv.word(k, 0) })
    }
}

/// What `Tcb.configure_single_stepping` takes.
#[derive(Clone, Copy)]
pub struct TcbConfigureSingleStepping {
    pub bp_num: u64,
    pub num_instructions: u64,
}

impl TcbConfigureSingleStepping {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(2, 0)?;
        Ok(Self { bp_num: inv.word(k, 0), num_instructions: inv.word(k, 1) })
    }
}

/// What `Tcb.set_tls_base` takes.
#[derive(Clone, Copy)]
pub struct TcbSetTlsBase {
    pub tls_base: u64,
}

impl TcbSetTlsBase {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(1, 0)?;
        Ok(Self { tls_base: inv.word(k, 0) })
    }
}

/// What `Tcb.set_flags` takes.
#[derive(Clone, Copy)]
pub struct TcbSetFlags {
    pub clear: u64,
    pub set: u64,
}

impl TcbSetFlags {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(2, 0)?;
        Ok(Self { clear: inv.word(k, 0), set: inv.word(k, 1) })
    }
}

/// What `CNode.revoke` takes.
#[derive(Clone, Copy)]
pub struct CNodeTarget {
    pub index: u64,
    pub depth: u64,
}

impl CNodeTarget {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(2, 0)?;
        Ok(Self { index: inv.word(k, 0), depth: inv.word(k, 1) })
    }
}

/// A part of what `CNode.copy` takes.
#[derive(Clone, Copy)]
pub struct CNodeSource {
    pub src_root: Link<Slot>,
    pub src_index: u64,
    pub src_depth: u64,
}

impl CNodeSource {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(4, 1)?;
        Ok(Self { src_root: inv.cap(0), src_index: inv.word(k, 2), src_depth: inv.word(k, 3) })
    }
}

/// A part of what `CNode.copy` takes.
#[derive(Clone, Copy)]
pub struct CNodeCopy {
    pub rights: CapRights,
}

impl CNodeCopy {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(5, 1)?;
        Ok(Self { rights: CapRights(inv.word(k, 4)) })
    }
}

/// A part of what `CNode.mint` takes.
#[derive(Clone, Copy)]
pub struct CNodeMint {
    pub rights: CapRights,
    pub badge: u64,
}

impl CNodeMint {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(6, 1)?;
        Ok(Self { rights: CapRights(inv.word(k, 4)), badge: inv.word(k, 5) })
    }
}

/// A part of what `CNode.mutate` takes.
#[derive(Clone, Copy)]
pub struct CNodeMutate {
    pub badge: u64,
}

impl CNodeMutate {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(5, 1)?;
        Ok(Self { badge: inv.word(k, 4) })
    }
}

/// A part of what `CNode.rotate` takes.
#[derive(Clone, Copy)]
pub struct CNodeRotate {
    pub dest_badge: u64,
    pub pivot_root: Link<Slot>,
    pub pivot_index: u64,
    pub pivot_depth: u64,
    pub pivot_badge: u64,
    pub src_root: Link<Slot>,
    pub src_index: u64,
    pub src_depth: u64,
}

impl CNodeRotate {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(8, 2)?;
        Ok(Self {
            dest_badge: inv.word(k, 2),
            pivot_root: inv.cap(0),
            pivot_index: inv.word(k, 3),
            pivot_depth: inv.word(k, 4),
            pivot_badge: inv.word(k, 5),
            src_root: inv.cap(1),
            src_index: inv.word(k, 6),
            src_depth: inv.word(k, 7),
        })
    }
}

/// What `IrqControl.get` takes.
#[derive(Clone, Copy)]
pub struct IrqIssueIrqHandler {
    pub irq: u64,
    pub root: Link<Slot>,
    pub index: u64,
    pub depth: u64,
}

impl IrqIssueIrqHandler {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(3, 1)?;
        Ok(Self { irq: inv.word(k, 0), root: inv.cap(0), index: inv.word(k, 1), depth: inv.word(k, 2) })
    }
}

/// What `IrqHandler.set_notification` takes.
#[derive(Clone, Copy)]
pub struct IrqSetIrqHandler {
    pub notification: Link<Slot>,
}

impl IrqSetIrqHandler {
    #[inline(always)]
    pub fn decode(_k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(0, 1)?;
        Ok(Self { notification: inv.cap(0) })
    }
}

/// A part of what `DomainSet.set` takes.
#[derive(Clone, Copy)]
pub struct DomainSetDomain {
    pub domain: u64,
}

impl DomainSetDomain {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(1, 0)?;
        Ok(Self { domain: inv.word(k, 0) })
    }
}

/// A part of what `DomainSet.set` takes.
#[derive(Clone, Copy)]
pub struct DomainSetSet {
    pub thread: Link<Slot>,
}

impl DomainSetSet {
    #[inline(always)]
    pub fn decode(_k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(1, 1)?;
        Ok(Self { thread: inv.cap(0) })
    }
}

/// What `DomainSet.schedule_configure` takes.
#[derive(Clone, Copy)]
pub struct DomainScheduleConfigure {
    pub index: u64,
    pub domain: u64,
    pub duration: u64,
}

impl DomainScheduleConfigure {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(3, 0)?;
        Ok(Self { index: inv.word(k, 0), domain: inv.word(k, 1), duration: inv.word(k, 2) })
    }
}

/// What `DomainSet.schedule_set_start` takes.
#[derive(Clone, Copy)]
pub struct DomainScheduleSetStart {
    pub index: u64,
}

impl DomainScheduleSetStart {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(1, 0)?;
        Ok(Self { index: inv.word(k, 0) })
    }
}

/// What `SchedControl.configure_flags` takes.
#[derive(Clone, Copy)]
pub struct SchedControlConfigureFlags {
    pub sched_context: Link<Slot>,
    pub budget: u64,
    pub period: u64,
    pub extra_refills: u64,
    pub badge: u64,
    pub flags: u64,
}

impl SchedControlConfigureFlags {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(5, 1)?;
        Ok(Self {
            sched_context: inv.cap(0),
            budget: inv.word(k, 0),
            period: inv.word(k, 1),
            extra_refills: inv.word(k, 2),
            badge: inv.word(k, 3),
            flags: inv.word(k, 4),
        })
    }
}

/// What `SchedContext.bind` takes.
#[derive(Clone, Copy)]
pub struct SchedContextBind {
    pub cap: Link<Slot>,
}

impl SchedContextBind {
    #[inline(always)]
    pub fn decode(_k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(0, 1)?;
        Ok(Self { cap: inv.cap(0) })
    }
}

/// What `SchedContext.unbind_object` takes.
#[derive(Clone, Copy)]
pub struct SchedContextUnbindObject {
    pub cap: Link<Slot>,
}

impl SchedContextUnbindObject {
    #[inline(always)]
    pub fn decode(_k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(0, 1)?;
        Ok(Self { cap: inv.cap(0) })
    }
}

/// What `Pdpt.map` takes.
#[derive(Clone, Copy)]
pub struct TableMap {
    pub vspace: Link<Slot>,
    pub vaddr: u64,
    pub attr: u64,
}

impl TableMap {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(2, 1)?;
        Ok(Self { vspace: inv.cap(0), vaddr: inv.word(k, 0), attr: inv.word(k, 1) })
    }
}

/// What `Page.map` takes.
#[derive(Clone, Copy)]
pub struct PageMap {
    pub vspace: Link<Slot>,
    pub vaddr: u64,
    pub rights: CapRights,
    pub attr: u64,
}

impl PageMap {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(3, 1)?;
        Ok(Self {
            vspace: inv.cap(0),
            vaddr: inv.word(k, 0),
            rights: CapRights(inv.word(k, 1)),
            attr: inv.word(k, 2),
        })
    }
}

/// What `AsidControl.make_pool` takes.
#[derive(Clone, Copy)]
pub struct AsidControlMakePool {
    pub untyped: Link<Slot>,
    pub root: Link<Slot>,
    pub index: u64,
    pub depth: u64,
}

impl AsidControlMakePool {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(2, 2)?;
        Ok(Self { untyped: inv.cap(0), root: inv.cap(1), index: inv.word(k, 0), depth: inv.word(k, 1) })
    }
}

/// What `AsidPool.assign` takes.
#[derive(Clone, Copy)]
pub struct AsidPoolAssign {
    pub vspace: Link<Slot>,
}

impl AsidPoolAssign {
    #[inline(always)]
    pub fn decode(_k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(0, 1)?;
        Ok(Self { vspace: inv.cap(0) })
    }
}
