//! Hardware breakpoints of RISC-V: the interface has none.

use crate::format::{Breakpoint, BreakpointPart, DebugEvent};
use pecan_abi::breakpoint::{BreakpointAccess, BreakpointType};

/// The breakpoints of a thread.
#[derive(Default)]
pub struct DebugRegisters;

impl DebugRegisters {
    /// Whether the processor can wait for this.
    ///
    /// # Errors
    /// What it cannot do.
    pub fn check(_breakpoint: Breakpoint) -> Result<(), BreakpointPart> {
        Err(BreakpointPart::Access)
    }

    /// Sets and enables breakpoint `index`, which must be possible; `None` disables it and clears it.
    pub fn set(&self, _index: usize, _breakpoint: Option<Breakpoint>) {}

    /// What breakpoint `index` waits for, and whether it is enabled.
    pub fn get(&self, _index: usize) -> (Breakpoint, bool) {
        let (kind, access) = (BreakpointType::Instruction, BreakpointAccess::Read);
        (Breakpoint { address: 0, kind, size: 0, access }, false)
    }

    /// What the processor's control register would hold.
    pub fn control(&self) -> u64 {
        0
    }

    /// What a debug exception was for.
    pub fn event(&self, _status: u64) -> DebugEvent {
        DebugEvent::Software
    }
}

#[cfg(pecan_arch = "riscv64")]
const _: () = assert!(!pecan_config::HARDWARE_DEBUG, "this architecture has no hardware breakpoints");
