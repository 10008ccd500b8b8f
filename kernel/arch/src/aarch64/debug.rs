//! Hardware breakpoints: kernels with them are not built for this architecture.

use crate::format::DebugEvent;
use crate::format::aarch64::breakpoint::DebugRegisters;

pub fn debug_load(_registers: &DebugRegisters, _stepping: bool) {}

pub fn take_debug_event(registers: &DebugRegisters) -> DebugEvent {
    registers.event(0)
}
