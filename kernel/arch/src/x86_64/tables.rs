//! The processor's tables: segments, task state, interrupt gates, and the registers of `SYSCALL`.

use core::arch::asm;
use core::cell::UnsafeCell;

use super::core_block::CORE;
use super::cpu::{self, wrmsr};
use super::entry;
use super::features::{Features, has};
use crate::format::x86_64::context::{USER_CS, USER_SS};
use crate::one_core::OneCore;

const KERNEL_CS: u64 = 0x08;
pub const KERNEL_SS: u64 = 0x10;
const TSS_SELECTOR: u16 = 0x28;
/// What `SYSCALL` clears: TF, IF, DF, NT, AC, and the privilege level of I/O.
const SYSCALL_CLEARS: u64 = 1 << 8 | 1 << 9 | 1 << 10 | 3 << 12 | 1 << 14 | 1 << 18;

/// Task state. Its only use in long mode is to name stacks: `rsp0` for entry from user level (the end of the running
/// thread's context) and one for what can strike at any instruction.
#[repr(C, packed(4))]
pub struct Tss {
    reserved0: u32,
    /// Stack on entry from user level.
    pub rsp0: u64,
    unused: [u64; 3],
    ist: [u64; 7],
    reserved1: [u32; 2],
    reserved2: u16,
    io_map: u16,
}

impl Tss {
    /// Names no stacks yet.
    pub const fn new() -> Self {
        let (reserved0, reserved1, reserved2) = (0, [0; 2], 0);
        let io_map = 104; // past the end: no port is open to user level
        Self { reserved0, rsp0: 0, unused: [0; 3], ist: [0; 7], reserved1, reserved2, io_map }
    }
}

const _: () = assert!(size_of::<Tss>() == 104);

#[unsafe(link_section = ".data.window")]
static GDT: OneCore<UnsafeCell<[u64; 7]>> = OneCore::new(UnsafeCell::new([
    0,
    0x00af_9b00_0000_ffff, // kernel code, 64-bit
    0x00cf_9300_0000_ffff, // kernel data
    0x00cf_f300_0000_ffff, // user data: before the code, as SYSRET wants it
    0x00af_fb00_0000_ffff, // user code, 64-bit
    0,                     // task state, filled in at boot
    0,
]));

/// A gate for every vector, as a device can raise any.
type Idt = [[u64; 2]; 256];

#[unsafe(link_section = ".data.window")]
static IDT: OneCore<UnsafeCell<Idt>> = OneCore::new(UnsafeCell::new([[0; 2]; _]));

/// What `lgdt` and `lidt` take.
#[repr(C, packed(2))]
struct TablePointer {
    limit: u16,
    base: u64,
}

impl TablePointer {
    fn to<T>(table: *const T) -> Self {
        Self { limit: (size_of::<T>() - 1) as u16, base: table as u64 }
    }
}

/// The context that user level will be resumed from, or was last entered from.
pub fn current_context() -> *const crate::UserContext {
    // SAFETY: the stubs write `rsp0` only while no Rust code runs, so a plain read sees a whole value.
    let end = unsafe { (*CORE.tss.get()).rsp0 };
    (end as *const crate::UserContext).wrapping_sub(1)
}

/// A gate: handler, privilege level that may reach it by instruction, and which of the task state's `ist` stacks (0: none).
fn gate(handler: u64, level: u64, stack: u64) -> [u64; 2] {
    let low = handler & 0xffff
        | KERNEL_CS << 16
        | stack << 32
        | (0x8e | level << 5) << 40
        | (handler >> 16 & 0xffff) << 48;
    [low, handler >> 32]
}

/// Loads all tables.
pub fn init() {
    // SAFETY: this runs once, at boot, on the only core; the statics live for ever and are not otherwise used before
    // `lgdt`, `ltr` and `lidt` make the processor use them.
    unsafe {
        let tss = if has(Features::WINDOW) { CORE.window_tss.get() } else { CORE.tss.get() };
        (*tss).rsp0 = CORE.vspace.as_ptr() as u64; // the end of `user_ss`; without the window, written by each exit
        (*tss).ist[0] = entry::fault_stack_top();
        (*tss).ist[1] = entry::debug_stack_top();
        let base = tss as u64;
        let gdt = &mut *GDT.get();
        gdt[5] = 103 | (base & 0xff_ffff) << 16 | 0x89 << 40 | (base >> 24 & 0xff) << 56;
        gdt[6] = base >> 32;
        let idt = &mut *IDT.get();
        for (vector, slot) in idt.iter_mut().enumerate() {
            let (level, stack) = match vector {
                1 if pecan_config::HARDWARE_DEBUG => (0, 2),
                2 | 8 | 18 => (0, 1), // NMI, double fault, machine check
                3 | 4 => (3, 0),      // breakpoint and overflow: user level's own instructions
                _ => (0, 0),
            };
            *slot = gate(entry::stub(vector), level, stack);
        }
        asm!("lgdt [{}]", in(reg) &TablePointer::to(GDT.get()), options(readonly, nostack, preserves_flags));
        asm!("lidt [{}]", in(reg) &TablePointer::to(IDT.get()), options(readonly, nostack, preserves_flags));
        asm!(
            "push {cs}", "lea {t}, [rip + 2f]", "push {t}", "retfq", "2:",
            "mov ss, {ss:e}", "mov ds, {zero:e}", "mov es, {zero:e}", "mov fs, {zero:e}", "mov gs, {zero:e}",
            cs = in(reg) KERNEL_CS, ss = in(reg) KERNEL_SS, zero = in(reg) 0u64, t = out(reg) _,
            options(preserves_flags),
        );
        asm!("ltr {0:x}", in(reg) TSS_SELECTOR, options(nostack, preserves_flags));
        // What a boot loader has left: no local descriptors, and `sysenter` raises an exception.
        asm!("lldt {0:x}", in(reg) 0, options(nostack, preserves_flags));
        wrmsr(cpu::MSR_SYSENTER_CS, 0);

        wrmsr(cpu::MSR_STAR, KERNEL_CS << 32 | (KERNEL_SS | 3) << 48);
        wrmsr(cpu::MSR_LSTAR, entry::syscall_stub());
        wrmsr(cpu::MSR_CSTAR, entry::syscall_stub());
        wrmsr(cpu::MSR_SFMASK, SYSCALL_CLEARS);
    }
    const { assert!(USER_SS == (KERNEL_SS | 3) + 8 && USER_CS == (KERNEL_SS | 3) + 16, "as SYSRET computes them") }
}
