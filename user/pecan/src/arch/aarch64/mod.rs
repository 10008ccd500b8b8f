//! AArch64.

mod syscall;

pub mod boot;
#[rustfmt::skip] // Generated.
pub mod invocations;

use core::arch::asm;

use pecan_abi::{
    UserContext,
    constants::{self, HUGE_PAGE_BITS, LARGE_PAGE_BITS, vm_attributes},
};

pub use syscall::*;

use crate::{
    Cap, Result, Slot,
    alloc::Objects,
    cap::fixed,
    raw::ThreadBlock,
    types::{IrqControl, IrqHandler, PageTable, VSpace},
};

/// What the crate exports at its root.
pub mod objects {}

/// The types of capabilities that others have not.
pub mod types {}

fixed! {
    VSpace = VSpace, constants::VSPACE_BITS;
}

paging_structure! {
    PageTable: page_table_map, page_table_unmap;
}

impl Cap<IrqControl> {
    /// Creates the handler of an interrupt, triggered by an edge or a level, with its capability in `dest`.
    pub fn get_trigger(self, irq: u64, edge: bool, dest: Slot) -> Result<Cap<IrqHandler>> {
        invocations::irq_control_get_trigger(
            self.cptr(),
            irq,
            edge.into(),
            dest.root.cptr(),
            dest.index,
            dest.depth,
        )?;
        Ok(dest.named())
    }
}

/// log2 of what a table below the top covers.
const TOP_SPAN_BITS: u32 = 39;

/// Makes and maps the paging structure that covers `1 << bits` bytes, at the address that `at` gives for that; `None` if there is
/// no such structure.
pub(crate) fn make_level(
    objects: &mut Objects<'_>,
    vspace: Cap<VSpace>,
    at: impl Fn(u32) -> u64,
    bits: u32,
) -> Option<Result<()>> {
    let is_level = matches!(bits, TOP_SPAN_BITS | HUGE_PAGE_BITS | LARGE_PAGE_BITS);
    let map = |table: Cap<PageTable>| table.map(vspace, at(bits), vm_attributes::DEFAULT);
    is_level.then(|| objects.make::<PageTable>().and_then(map))
}

/// The block of the running thread.
#[inline]
pub fn thread_block() -> *const ThreadBlock {
    let this;
    // SAFETY: it only reads a register.
    unsafe { asm!("mrs {}, tpidr_el0", out(reg) this, options(nomem, nostack, preserves_flags, pure)) };
    this
}

/// The registers that a thread of this program starts with: at a function of one argument, on a stack that ends at `top`.
pub(crate) fn start_registers(entry: u64, argument: u64, top: u64, block: u64) -> UserContext {
    UserContext { pc: entry, sp: top, x0: argument, tpidr_el0: block, ..UserContext::default() }
}

/// Stops the thread with an invalid instruction, which its fault handler is told of. That is in the function that calls this:
/// a report says that a program panicked where it is the panic handler.
#[inline(always)]
pub fn stop() -> ! {
    // SAFETY: the instruction does nothing but raise an exception.
    unsafe { asm!("udf #0", options(noreturn, nomem, nostack)) }
}

/// The frame pointer of the function that calls this.
#[inline(always)]
pub fn frame_pointer() -> u64 {
    let frame;
    // SAFETY: it only copies a register.
    unsafe { asm!("mov {}, x29", out(reg) frame, options(nomem, nostack, preserves_flags)) };
    frame
}

/// The processor's random numbers: none. User level cannot find out whether the processor has the register `RNDR`.
#[derive(Debug)]
pub enum Random {}

impl Random {
    /// The processor's source, if it has one that programs can use.
    pub fn find() -> Option<Self> {
        None
    }

    /// The next number, if the source has one.
    pub fn word(&self) -> Option<u64> {
        match *self {}
    }
}

/// The code that a program starts at. The stack pointer of a new program means nothing, so the program sets its own. A frame
/// pointer of zero ends the chain of frames.
#[doc(hidden)]
#[macro_export]
macro_rules! __start_code {
    () => {
        core::arch::global_asm!(
            ".section .text._start, \"ax\", @progbits",
            ".global _start",
            ".type _start, @function",
            "_start:",
            "adrp x1, __stack_top",
            "add x1, x1, :lo12:__stack_top",
            "mov sp, x1",
            "mov x29, xzr",
            "mov x30, xzr",
            "bl __pecan_main",
            "udf #0",
            ".size _start, . - _start",
        );
    };
}

/// Which word of the message of a processor exception has the flags.
pub(crate) const FLAGS: usize = pecan_abi::fault::user_exception::SPSR;

/// The name of a processor exception, by its class (ESR_EL1).
pub const fn exception_name(number: u64) -> &'static str {
    match number {
        0x00 => "undefined instruction",
        0x07 => "floating-point access",
        0x0e => "illegal execution state",
        0x15 => "system call",
        0x18 => "system register access",
        0x20 => "instruction abort",
        0x22 => "misaligned instruction",
        0x24 => "data abort",
        0x26 => "misaligned stack pointer",
        0x2c => "floating-point exception",
        0x2f => "system error",
        0x3c => "breakpoint instruction",
        _ => "exception",
    }
}
