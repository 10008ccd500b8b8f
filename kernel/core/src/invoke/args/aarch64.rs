//! What invocations of aarch64 take. Generated from `abi/` by `cargo xtask generate`; do not edit.
//!
//! Each type is what the kernel asks of a message at once; `decode` fails with `TruncatedMessage` where that is more than
//! there is. A parameter that has a word to itself is that word, whatever the width of the parameter: what is too great for
//! it can be refused.
#![allow(dead_code, reason = "what an invocation takes, whether or not the kernel looks at it")]

use pecan_mem::{Kernel, Link, Slot};

use crate::{base::error::Decoded, invoke::invocation::Invocation};

/// What `VSpace.clean_data` takes.
#[derive(Clone, Copy)]
pub struct VSpaceRange {
    pub start: u64,
    pub end: u64,
}

impl VSpaceRange {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(2, 0)?;
        Ok(Self { start: inv.word(k, 0), end: inv.word(k, 1) })
    }
}

/// What `Smc.call` takes.
#[derive(Clone, Copy)]
pub struct ArmSmcCall {
    pub x0: u64,
    pub x1: u64,
    pub x2: u64,
    pub x3: u64,
    pub x4: u64,
    pub x5: u64,
    pub x6: u64,
    pub x7: u64,
}

impl ArmSmcCall {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(8, 0)?;
        Ok(Self {
            x0: inv.word(k, 0),
            x1: inv.word(k, 1),
            x2: inv.word(k, 2),
            x3: inv.word(k, 3),
            x4: inv.word(k, 4),
            x5: inv.word(k, 5),
            x6: inv.word(k, 6),
            x7: inv.word(k, 7),
        })
    }
}

/// What `Page.clean_data` takes.
#[derive(Clone, Copy)]
pub struct PageRange {
    pub start_offset: u64,
    pub end_offset: u64,
}

impl PageRange {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(2, 0)?;
        Ok(Self { start_offset: inv.word(k, 0), end_offset: inv.word(k, 1) })
    }
}

/// What `IrqControl.get_trigger` takes.
#[derive(Clone, Copy)]
pub struct IrqIssueIrqHandlerTrigger {
    pub irq: u64,
    pub trigger: u64,
    pub root: Link<Slot>,
    pub index: u64,
    pub depth: u64,
}

impl IrqIssueIrqHandlerTrigger {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(4, 1)?;
        Ok(Self {
            irq: inv.word(k, 0),
            trigger: inv.word(k, 1),
            root: inv.cap(0),
            index: inv.word(k, 2),
            depth: inv.word(k, 3),
        })
    }
}

/// What `IrqControl.issue_sgi_signal` takes.
#[derive(Clone, Copy)]
pub struct ArmIrqIssueSgiSignal {
    pub irq: u64,
    pub target: u64,
    pub root: Link<Slot>,
    pub index: u64,
    pub depth: u64,
}

impl ArmIrqIssueSgiSignal {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(4, 1)?;
        Ok(Self {
            irq: inv.word(k, 0),
            target: inv.word(k, 1),
            root: inv.cap(0),
            index: inv.word(k, 2),
            depth: inv.word(k, 3),
        })
    }
}
