//! What invocations of riscv64 take. Generated from `abi/` by `cargo xtask generate`; do not edit.
//!
//! Each type is what the kernel asks of a message at once; `decode` fails with `TruncatedMessage` where that is more than
//! there is. A parameter that has a word to itself is that word, whatever the width of the parameter: what is too great for
//! it can be refused.
#![allow(dead_code, reason = "what an invocation takes, whether or not the kernel looks at it")]

use pecan_mem::{Kernel, Link, Slot};

use crate::{base::error::Decoded, invoke::invocation::Invocation};

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
