//! The port to 64-bit PCs.
//!
//! Each file owns one part of the processor or the platform, and its registers are written there only. What
//! is one per core is in `core_block`. The portable kernel calls the duties that `contract` describes, and the image what is
//! exported here; the stubs in `entry` jump to the handlers. Comments here are about how this port does its duties.

pub mod boot;
mod console;
mod context;
mod core_block;
mod cpu;
mod debug;
mod entry;
mod features;
mod fpu;
mod irq;
mod tables;
mod time;
mod vspace;

pub use crate::format::x86_64::boot::BootExtras;
pub use crate::format::x86_64::breakpoint::DebugRegisters;
pub use crate::format::x86_64::context::UserContext;
pub use crate::format::x86_64::irq::{
    IRQ_FIRST_NUMBER, IRQ_TIMER, IRQ_USER_MAX, IRQ_USER_MIN, IrqSource, MAX_IRQ, decode_exception, is_trap,
};
pub use crate::format::x86_64::paging::{CacheAttr, KERNEL_ROOT_ENTRIES, Pte, Space};
pub use console::{Console, console_putc};
pub use context::{context_switch, has_short_switch, load_context, short_context_switch, sync_context};
pub use cpu::{flush_caches, forget_domain, halt, io_read, io_write, mask_surely, zero};
pub use debug::{debug_load, take_debug_event};
pub use entry::{KernelFrame, enter_user, enter_user_with, idle_wait, irq_pending, paint_stack, stack_used};
pub use fpu::{FpuState, fpu_disable, fpu_enable, fpu_is_enabled, fpu_load, fpu_save};
pub use irq::{claim_interrupt, ioapic_pins, irq_ack, irq_connect, irq_mask, num_ioapics, take_pending_irq};
pub use tables::current_context;
pub use time::{kernel_wcet_ticks, max_us, now, set_deadline, ticks_per_us, ticks_to_us, us_to_ticks};
pub use vspace::{
    PHYSMAP_BASE, frame_level_supported, kernel_root_entry, phys_to_virt, space, switch_kernel_vspace,
    switch_vspace, tables_written, tlb_flush_asid, tlb_flush_asids, tlb_flush_page, unmap_boot, virt_to_phys,
};
