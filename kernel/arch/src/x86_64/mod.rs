//! The port to 64-bit PCs.

mod apic;
pub mod boot;
mod breakpoint;
mod core_block;
mod cpu;
mod entry;
mod features;
mod firmware;
mod fpu;
mod serial;
mod tables;
mod time;
mod vspace;

use core::arch::asm;

pub use crate::common::breakpoint::{Breakpoint, DebugEvent, DebugRegisters};
pub use crate::common::context::{
    EXCEPTION_MESSAGE, FRAME_REGISTERS, INTEGER_REGISTERS, Reg, SYSCALL_MESSAGE, TIMEOUT_MESSAGE,
    UserContext, reg,
};
pub use crate::common::irq::{
    Exception, IRQ_TIMER, IRQ_USER_MAX, IRQ_USER_MIN, IrqRoute, MAX_IRQ, decode_exception, is_trap,
};
pub use crate::common::paging::{
    CacheAttr, KERNEL_ROOT_ENTRIES, MAX_FRAME_LEVEL, PT_INDEX_BITS, PT_LEVELS, PageRights, PhysAddr, Pte,
    ROOT_USER_ENTRIES, Space, level_shift,
};
pub use apic::{
    Unclaimed, claim, ioapic_pins, irq_ack, irq_mask, irq_route_ioapic, irq_route_msi, num_ioapics,
    take_pending_irq,
};
pub use breakpoint::{debug_load, take_debug_event};
pub use cpu::{flush_caches, forget_domain, halt, io_read, io_write, zero};
pub use entry::{KernelFrame, enter_user, idle_wait, irq_pending, paint_stack, stack_used};
pub use fpu::{FpuState, fpu_disable, fpu_enable, fpu_load, fpu_save};
pub use serial::{Console, console_putc};
pub use tables::current_context;
pub use time::{kernel_wcet_ticks, max_us, now, set_deadline, ticks_to_us, tsc_mhz, us_to_ticks};
pub use vspace::{
    PHYSMAP_BASE, frame_level_supported, kernel_root_entry, phys_to_virt, space, switch_kernel_vspace,
    switch_vspace, tlb_flush_asid, tlb_flush_asids, tlb_flush_page, virt_to_phys,
};

use features::{Features, has};

/// What must change in the processor between two user threads beyond the saved registers: the bases of FS and GS.
#[inline(always)]
pub fn context_switch(from: &UserContext, to: &UserContext) {
    if has(Features::FSGSBASE) {
        store_bases(from);
        let (fs, gs) = (to.get(reg::TLS_BASE), to.get(reg::GS_BASE));
        // SAFETY: the kernel uses neither segment, and contexts hold only canonical bases; the instructions exist.
        unsafe {
            asm!("wrfsbase {}", "wrgsbase {}", in(reg) fs, in(reg) gs, options(nomem, nostack, preserves_flags));
        }
    } else {
        write_bases(to);
    }
}

/// The second half of [`context_switch`], when there is no thread to come from. Also to be called after a segment base of
/// the running thread was written.
#[inline]
pub fn load_context(to: &UserContext) {
    write_bases(to);
}

/// Sets the segment bases by their model-specific registers. Always both: a thread can have changed the live base by
/// loading a selector.
#[cold]
#[inline(never)]
fn write_bases(to: &UserContext) {
    // SAFETY: the kernel uses neither segment, and contexts hold only canonical bases.
    unsafe {
        cpu::wrmsr(cpu::MSR_FS_BASE, to.get(reg::TLS_BASE));
        cpu::wrmsr(cpu::MSR_GS_BASE, to.get(reg::GS_BASE));
    }
}

/// Brings the saved registers of the running thread up to date with the processor. Where user level has no instruction to
/// set a base, what the kernel last set stands.
#[inline]
pub fn sync_context(current: &UserContext) {
    if has(Features::FSGSBASE) {
        store_bases(current);
    }
}

/// Stores the segment bases, on a processor that has instructions to read them.
#[inline(always)]
fn store_bases(current: &UserContext) {
    let (fs, gs): (u64, u64);
    // SAFETY: reads two registers; the callers have made sure that the instructions exist.
    unsafe {
        asm!("rdfsbase {}", "rdgsbase {}", out(reg) fs, out(reg) gs, options(nomem, nostack, preserves_flags))
    };
    current.set(reg::TLS_BASE, fs);
    current.set(reg::GS_BASE, gs);
}
