//! 64-bit PCs.

mod irq;
mod random;
mod syscall;

pub mod boot;
#[rustfmt::skip] // Generated.
pub mod invocations;

use core::arch::asm;

use pecan_abi::{
    UserContext,
    constants::{self, HUGE_PAGE_BITS, LARGE_PAGE_BITS, vm_attributes},
};

pub use irq::{IoapicPin, Msi};
pub use random::Random;
pub use syscall::*;

use crate::{
    Cap, CapType, Result,
    alloc::Objects,
    cap::fixed,
    raw::ThreadBlock,
    types::{PageTable, VSpace},
};

/// What the crate exports at its root.
pub mod objects {
    pub use super::{IoapicPin, Msi};
}

/// The types of capabilities that others have not.
pub mod types {
    /// A page-directory-pointer table.
    #[derive(Clone, Copy, Debug)]
    pub enum Pdpt {}
    /// A page directory.
    #[derive(Clone, Copy, Debug)]
    pub enum PageDirectory {}
    /// Authority over I/O ports.
    #[derive(Clone, Copy, Debug)]
    pub enum IoPortControl {}
    /// A range of I/O ports.
    #[derive(Clone, Copy, Debug)]
    pub enum IoPort {}
}

impl CapType for types::Pdpt {
    const NAME: &'static str = "Pdpt";
}
impl CapType for types::PageDirectory {
    const NAME: &'static str = "PageDirectory";
}
impl CapType for types::IoPortControl {
    const NAME: &'static str = "IoPortControl";
}
impl CapType for types::IoPort {
    const NAME: &'static str = "IoPort";
}

fixed! {
    Pdpt = Pdpt, constants::PDPT_BITS;
    VSpace = Pml4, constants::VSPACE_BITS;
    PageDirectory = PageDirectory, constants::PAGE_DIRECTORY_BITS;
}

paging_structure! {
    Pdpt: pdpt_map, pdpt_unmap;
    PageDirectory: page_directory_map, page_directory_unmap;
    PageTable: page_table_map, page_table_unmap;
}

/// log2 of what a page-directory-pointer table covers.
const PDPT_SPAN_BITS: u32 = 39;

/// Makes and maps the paging structure that covers `1 << bits` bytes, at the address that `at` gives for that; `None` if there is
/// no such structure.
pub(crate) fn make_level(
    objects: &mut Objects<'_>,
    vspace: Cap<VSpace>,
    at: impl Fn(u32) -> u64,
    bits: u32,
) -> Option<Result<()>> {
    let (vaddr, attr) = (at(bits), vm_attributes::DEFAULT);
    Some(match bits {
        PDPT_SPAN_BITS => objects.make::<types::Pdpt>().and_then(|table| table.map(vspace, vaddr, attr)),
        HUGE_PAGE_BITS => {
            objects.make::<types::PageDirectory>().and_then(|table| table.map(vspace, vaddr, attr))
        }
        LARGE_PAGE_BITS => objects.make::<PageTable>().and_then(|table| table.map(vspace, vaddr, attr)),
        _ => return None,
    })
}

/// The block of the running thread: the word at `fs:0`, as the processor's ABI for thread-local storage has it.
#[inline]
pub fn thread_block() -> *const ThreadBlock {
    let this;
    // SAFETY: every thread is started with its TLS base at its block, so that there is a word.
    unsafe {
        asm!("mov {}, qword ptr fs:[0]", out(reg) this, options(nostack, readonly, preserves_flags, pure));
    }
    this
}

/// The flags a thread starts with: interrupts on, and the bit that is always set.
const RFLAGS: u64 = 0x202;

/// The registers that a thread of this program starts with: at a function of one argument, on a stack that ends at `top`.
pub(crate) fn start_registers(entry: u64, argument: u64, top: u64, block: u64) -> UserContext {
    // As after a call: the stack is aligned to 16 bytes before the return address is pushed.
    let rsp = top - 8;
    UserContext { rip: entry, rsp, rflags: RFLAGS, rdi: argument, fs_base: block, ..UserContext::default() }
}

/// Stops the thread with an invalid instruction, which its fault handler is told of. That is in the function that calls this:
/// a report says that a program panicked where it is the panic handler.
#[inline(always)]
pub fn stop() -> ! {
    // SAFETY: the instruction does nothing but raise an exception.
    unsafe { asm!("ud2", options(noreturn, nomem, nostack)) }
}

/// The frame pointer of the function that calls this.
#[inline(always)]
pub fn frame_pointer() -> u64 {
    let frame;
    // SAFETY: it only copies a register.
    unsafe { asm!("mov {}, rbp", out(reg) frame, options(nomem, nostack, preserves_flags)) };
    frame
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
            "lea rsp, [rip + __stack_top]",
            "xor ebp, ebp",
            "call __pecan_main",
            "ud2",
            ".size _start, . - _start",
        );
    };
}

/// Which word of the message of a processor exception has the flags.
pub(crate) const FLAGS: usize = pecan_abi::fault::user_exception::FLAGS;

/// The name of a processor exception of x86_64.
pub const fn exception_name(number: u64) -> &'static str {
    match number {
        0 => "divide error",
        1 => "debug exception",
        3 => "breakpoint",
        4 => "overflow",
        5 => "bound range exceeded",
        6 => "invalid opcode",
        7 => "device not available",
        8 => "double fault",
        10 => "invalid TSS",
        11 => "segment not present",
        12 => "stack fault",
        13 => "general protection",
        14 => "page fault",
        16 => "x87 error",
        17 => "alignment check",
        18 => "machine check",
        19 => "SIMD error",
        _ => "exception",
    }
}
