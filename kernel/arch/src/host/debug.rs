//! Breakpoints.

use super::machine::machine;
use crate::format::DebugEvent;
pub use crate::format::arch::breakpoint::DebugRegisters;

pub fn debug_load(registers: &DebugRegisters, _stepping: bool) {
    machine().breakpoints.set(registers.control());
}

pub fn take_debug_event(registers: &DebugRegisters) -> DebugEvent {
    registers.event(machine().debug_status.take())
}
