//! The processor's debug registers: loaded for threads that have breakpoints, off for the others.

use core::arch::asm;

use super::{core_block::CORE, features};
use crate::format::DebugEvent;
use crate::format::x86_64::breakpoint::DebugRegisters;

/// Bit 10 of DR7 reads as one.
const CONTROL_FIXED: u64 = 1 << 10;

pub fn debug_load(registers: &DebugRegisters, stepping: bool) {
    if registers.control() != 0 {
        // Off while the addresses change, so that no breakpoint is made up of two.
        write_control(0);
        let [a, b, c, d] = core::array::from_fn(|index| registers.address(index));
        // SAFETY: user addresses, which kernel code neither executes nor accesses: no breakpoint of the kernel.
        unsafe {
            asm!("mov dr0, {}", "mov dr1, {}", "mov dr2, {}", "mov dr3, {}",
                 in(reg) a, in(reg) b, in(reg) c, in(reg) d, options(nomem, nostack, preserves_flags));
        }
        // QEMU's own processor reports a data breakpoint in a single step by a debug exception for the step and, as its
        // handler begins, another one.
        write_control(if stepping && features::is_tcg() {
            registers.control_without_data()
        } else {
            registers.control()
        });
        CORE.breakpoints_on.set(true);
    } else if CORE.breakpoints_on.replace(false) {
        write_control(0);
    }
}

fn write_control(control: u64) {
    // SAFETY: breakpoints are on user addresses only, see `debug_load`; the reserved bits are as they must be.
    unsafe { asm!("mov dr7, {}", in(reg) control | CONTROL_FIXED, options(nomem, nostack, preserves_flags)) }
}

pub fn take_debug_event(registers: &DebugRegisters) -> DebugEvent {
    let status: u64;
    // SAFETY: reads the status, and resets it, which the processor does not do by itself.
    unsafe {
        asm!("mov {s}, dr6", "mov dr6, {r}", s = out(reg) status, r = in(reg) 0xffff_0ff0u64,
             options(nomem, nostack, preserves_flags));
    }
    registers.event(status)
}
