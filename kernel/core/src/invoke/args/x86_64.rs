//! What invocations of x86_64 take. Generated from `abi/` by `cargo xtask generate`; do not edit.
//!
//! Each type is what the kernel asks of a message at once; `decode` fails with `TruncatedMessage` where that is more than
//! there is. A parameter that has a word to itself is that word, whatever the width of the parameter: what is too great for
//! it can be refused.
#![allow(dead_code, reason = "what an invocation takes, whether or not the kernel looks at it")]

use pecan_mem::{Kernel, Link, Slot};

use crate::{base::error::Decoded, invoke::invocation::Invocation};

/// What `IoPortControl.issue` takes.
#[derive(Clone, Copy)]
pub struct X86IoPortControlIssue {
    pub first_port: u64,
    pub last_port: u64,
    pub root: Link<Slot>,
    pub index: u64,
    pub depth: u64,
}

impl X86IoPortControlIssue {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(4, 1)?;
        Ok(Self {
            first_port: inv.word(k, 0),
            last_port: inv.word(k, 1),
            root: inv.cap(0),
            index: inv.word(k, 2),
            depth: inv.word(k, 3),
        })
    }
}

/// What `IoPort.in8` takes.
#[derive(Clone, Copy)]
pub struct IoPortIn {
    pub port: u64,
}

impl IoPortIn {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(1, 0)?;
        Ok(Self { port: inv.word(k, 0) })
    }
}

/// What `IoPort.out8` takes.
#[derive(Clone, Copy)]
pub struct IoPortOut {
    pub port: u64,
    pub data: u64,
}

impl IoPortOut {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(2, 0)?;
        Ok(Self { port: inv.word(k, 0), data: inv.word(k, 1) })
    }
}

/// What `IrqControl.get_ioapic` takes.
#[derive(Clone, Copy)]
pub struct X86IrqIssueIrqHandlerIoapic {
    pub root: Link<Slot>,
    pub index: u64,
    pub depth: u64,
    pub ioapic: u64,
    pub pin: u64,
    pub level: u64,
    pub polarity: u64,
    pub vector: u64,
}

impl X86IrqIssueIrqHandlerIoapic {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(7, 1)?;
        Ok(Self {
            root: inv.cap(0),
            index: inv.word(k, 0),
            depth: inv.word(k, 1),
            ioapic: inv.word(k, 2),
            pin: inv.word(k, 3),
            level: inv.word(k, 4),
            polarity: inv.word(k, 5),
            vector: inv.word(k, 6),
        })
    }
}

/// What `IrqControl.get_msi` takes.
#[derive(Clone, Copy)]
pub struct X86IrqIssueIrqHandlerMsi {
    pub root: Link<Slot>,
    pub index: u64,
    pub depth: u64,
    pub pci_bus: u64,
    pub pci_dev: u64,
    pub pci_func: u64,
    pub handle: u64,
    pub vector: u64,
}

impl X86IrqIssueIrqHandlerMsi {
    #[inline(always)]
    pub fn decode(k: &Kernel, inv: Invocation<'_>) -> Decoded<Self> {
        inv.need(7, 1)?;
        Ok(Self {
            root: inv.cap(0),
            index: inv.word(k, 0),
            depth: inv.word(k, 1),
            pci_bus: inv.word(k, 2),
            pci_dev: inv.word(k, 3),
            pci_func: inv.word(k, 4),
            handle: inv.word(k, 5),
            vector: inv.word(k, 6),
        })
    }
}
