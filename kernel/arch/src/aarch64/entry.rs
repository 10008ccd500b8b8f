//! Into the kernel and out of it.
//!
//! While user level runs, the stack pointer of EL1 is the running thread's [`UserContext`](crate::UserContext): the stubs store
//! the registers there, and then take the kernel's stack, always from its top: the kernel keeps nothing on it between two entries.
//! So the handlers, which are the image's, do not return: they end in [`enter_user`], and need no epilogue.
//!
//! Kernel code runs with all interrupts masked and never lets one in: what is pending it sees in ISR_EL1. Exceptions in kernel
//! mode are bugs of the kernel and end it.

use core::arch::{asm, global_asm};

use pecan_abi::Syscall;

use super::cpu::{read_register, write_register};
use crate::{UserContext, say, stack};

const STACK_SIZE: usize = 16 * 1024;
/// For what ends the kernel, which may be that the stack is used up.
const FAULT_STACK_SIZE: usize = 4096;
/// What the stub for interrupts passes on: the controller knows which it is.
pub(super) const INTERRUPT: usize = 0;
/// ISR_EL1: an interrupt is pending.
const PENDING: u64 = 1 << 7;
/// ESR_EL1: the class of an exception, and that of a system call.
const CLASS_SHIFT: u32 = 26;
const SYSTEM_CALL: u64 = 0x15;

global_asm!(
    r#"
    // The pages below the stacks are not mapped there, so that a stack that grows too large faults. What they hold, page
    // tables, is reached by another address.
    .section .stacks, "aw", @nobits
    .balign 4096
    .global pecan_stack_guard
pecan_stack_guard:
    .skip 4096
    .skip {stack_size}
    .global pecan_stack_top
pecan_stack_top:
    .global pecan_fault_stack_guard
pecan_fault_stack_guard:
    .skip 4096
    .skip {fault_stack_size}
pecan_fault_stack_top:

    .macro SAVE
    stp x0, x1, [sp]
    stp x2, x3, [sp, #16]
    stp x4, x5, [sp, #32]
    stp x6, x7, [sp, #48]
    stp x8, x9, [sp, #64]
    stp x10, x11, [sp, #80]
    stp x12, x13, [sp, #96]
    stp x14, x15, [sp, #112]
    stp x16, x17, [sp, #128]
    stp x18, x19, [sp, #144]
    stp x20, x21, [sp, #160]
    stp x22, x23, [sp, #176]
    stp x24, x25, [sp, #192]
    stp x26, x27, [sp, #208]
    stp x28, x29, [sp, #224]
    .endm

    // The rest, with x9 = where user level goes on. x10 and x11 are used.
    .macro SAVE_REST
    mrs x10, sp_el0
    mrs x11, spsr_el1
    stp x30, x10, [sp, #240]
    stp x9, x11, [sp, #256]
    .endm

    // The kernel's stack. The register is used.
    .macro TAKE_STACK register
    adrp \register, pecan_stack_top
    add \register, \register, :lo12:pecan_stack_top
    mov sp, \register
    .endm

    .macro VECTOR target
    .balign 128
    b \target
    .endm

    .section .text.entry, "ax", @progbits
    .balign 2048
    .global pecan_vectors
pecan_vectors:
    // From EL1: a bug in the kernel.
    .rept 8
    VECTOR pecan_kernel_fault
    .endr
    // From EL0: synchronous, interrupt, fast interrupt, error of the system.
    .balign 128
    SAVE
    mrs x8, esr_el1
    mrs x9, elr_el1
    b pecan_synchronous
    .balign 128
    SAVE
    mrs x9, elr_el1
    SAVE_REST
    str x9, [sp, #272]
    mov x0, #{interrupt}
    mov x1, sp
    TAKE_STACK x9
    b pecan_interrupt
    VECTOR pecan_kernel_fault
    .balign 128
    SAVE
    mrs x8, esr_el1
    mrs x9, elr_el1
    b pecan_user_exception
    // From 32-bit code, which nobody can run.
    .rept 4
    VECTOR pecan_kernel_fault
    .endr

    // System calls: x0 = capability, x1 = message information, x2 = number, x3 = context, as the handlers take them.
    .balign 64
pecan_synchronous:
    SAVE_REST
    lsr x10, x8, #{class_shift}
    cmp x10, #{system_call}
    b.ne 3f
    sub x9, x9, #4
    str x9, [sp, #272]
    mov x2, x7
    mov x3, sp
    TAKE_STACK x9
    cmn x7, #{reply_recv}
    b.hi pecan_call                     // the one number above that
    b.eq pecan_reply_recv
    cmn x7, #{nb_send}
    b.lo 2f
    cmn x7, #{send}                     // the one number above that
    b.ls pecan_send
    b pecan_syscall
2:  cmn x7, #{nb_wait}
    b.eq pecan_poll
    b.hi 2f
    cmn x7, #{last_core}
    b.lo pecan_special_syscall
    b pecan_syscall
2:  cmn x7, #{wait}
    b.eq pecan_wait
    b pecan_syscall

pecan_user_exception:
    SAVE_REST
    lsr x10, x8, #{class_shift}
3:  str x9, [sp, #272]
    mov x0, x10
    mov x1, x8
    mrs x2, far_el1
    mov x3, sp
    TAKE_STACK x9
    b pecan_exception

    // Returns to the context in x0.
    .balign 64
    .global pecan_exit
pecan_exit:
    mov sp, x0
    ldp x0, x1, [sp]
    // The same with x0 and x1 as they are, and the context in sp.
    .global pecan_exit_with
pecan_exit_with:
    ldp x30, x2, [sp, #240]
    ldp x3, x4, [sp, #256]
    msr sp_el0, x2
    msr elr_el1, x3
    msr spsr_el1, x4
    ldp x2, x3, [sp, #16]
    ldp x4, x5, [sp, #32]
    ldp x6, x7, [sp, #48]
    ldp x8, x9, [sp, #64]
    ldp x10, x11, [sp, #80]
    ldp x12, x13, [sp, #96]
    ldp x14, x15, [sp, #112]
    ldp x16, x17, [sp, #128]
    ldp x18, x19, [sp, #144]
    ldp x20, x21, [sp, #160]
    ldp x22, x23, [sp, #176]
    ldp x24, x25, [sp, #192]
    ldp x26, x27, [sp, #208]
    ldp x28, x29, [sp, #224]
    eret

    // The end: shown with all registers, on a stack of its own.
pecan_kernel_fault:
    msr tpidr_el1, x0
    mov x0, sp
    msr sp_el0, x0
    adrp x0, pecan_fault_stack_top
    add x0, x0, :lo12:pecan_fault_stack_top
    sub sp, x0, #{frame_size}
    mrs x0, tpidr_el1
    SAVE
    mrs x9, elr_el1
    SAVE_REST
    mrs x0, esr_el1
    mov x1, sp
    mrs x2, far_el1
    b pecan_kernel_exception
    .text
    "#,
    stack_size = const STACK_SIZE,
    fault_stack_size = const FAULT_STACK_SIZE,
    interrupt = const INTERRUPT,
    class_shift = const CLASS_SHIFT,
    system_call = const SYSTEM_CALL,
    frame_size = const size_of::<KernelFrame>().next_multiple_of(16),
    // As the instruction that adds wants them.
    reply_recv = const -(Syscall::ReplyRecv as i64),
    send = const -(Syscall::Send as i64),
    nb_send = const -(Syscall::NBSend as i64),
    wait = const -(Syscall::Wait as i64),
    nb_wait = const -(Syscall::NBWait as i64),
    last_core = const -(Syscall::Yield as i64),
);

unsafe extern "C" {
    static pecan_vectors: u8;
    static pecan_stack_guard: u8;
    static pecan_fault_stack_guard: u8;
}

/// Makes the processor enter the kernel by the stubs.
pub(super) fn init() {
    // SAFETY: 1. The stubs are there for good, and take whatever comes.
    unsafe { write_register!("vbar_el1", &raw const pecan_vectors as u64) };
}

/// The pages below the kernel's stacks, in ascending order, which must not be mapped where they are linked.
pub(super) fn stack_guards() -> [usize; 2] {
    [&raw const pecan_stack_guard as usize, &raw const pecan_fault_stack_guard as usize]
}

#[inline(always)]
pub fn paint_stack() {
    if !stack::is_painted() {
        let sp: usize;
        // SAFETY: 1. Reads a register.
        unsafe { asm!("mov {}, sp", out(reg) sp, options(nomem, nostack, preserves_flags)) };
        // SAFETY: 1. It is the kernel's stack.
        unsafe { stack::paint(stack_guards()[0] + 4096, sp) };
    }
}

pub fn stack_used() -> usize {
    // The next guard page lies behind the stack's end.
    let [guard, top] = stack_guards();
    // SAFETY: 1. It is the kernel's stack.
    unsafe { stack::used(guard + 4096, top) }
}

/// Returns to user level with the registers in `ctx`: how every entry into the kernel ends. What is on the kernel's stack is
/// given up, without being dropped.
///
/// # Safety
/// 1. `ctx` stays valid until the next entry into the kernel.
/// 2. The address space in force is that of the thread that `ctx` belongs to.
/// 3. The caller holds no reference that the next entry must not find alive.
#[inline(always)]
pub unsafe fn enter_user(ctx: *const UserContext) -> ! {
    // SAFETY: 1. The stub expects the context in x0 (1.) and interrupts masked, as they are in the kernel.
    unsafe { asm!("b pecan_exit", in("x0") ctx, options(noreturn)) }
}

/// [`enter_user`] with [`reg::CAP`](crate::reg::CAP) and [`reg::INFO`](crate::reg::INFO) given, which the context need not
/// hold. `END` is where the context ends behind `base`.
///
/// # Safety
/// Those of [`enter_user`] for the context.
#[inline(always)]
pub unsafe fn enter_user_with<const END: usize, T>(base: *const T, cap: u64, info: u64) -> ! {
    // SAFETY: 1. As in `enter_user`; the context begins its own size before its end.
    unsafe {
        asm!(
            "add sp, {base}, #{start}",
            "b pecan_exit_with",
            base = in(reg) base,
            start = const END - size_of::<UserContext>(),
            in("x0") cap,
            in("x1") info,
            options(noreturn),
        )
    }
}

/// One that has gone away again by the time that it is claimed is no harm.
#[inline]
pub fn irq_pending() -> bool {
    read_register!("isr_el1") & PENDING != 0
}

pub fn idle_wait() {
    while !irq_pending() {
        // SAFETY: 1. An interrupt ends the wait, masked or not.
        unsafe { asm!("dsb sy", "wfi", options(nostack, preserves_flags)) };
    }
}

/// The registers as `pecan_kernel_fault` stored them: x0 to x30, the stack pointer, where it happened, and the state.
#[repr(transparent)]
pub struct KernelFrame([u64; 34]);

impl KernelFrame {
    /// Prints the registers: where it happened is `elr`.
    pub fn say(&self) {
        const NAMES: &str = "x0 $ x1 $ x2 $ x3 $ x4 $ x5 $ x6 $ x7 $ x8 $ x9 $ x10 $ x11 $ x12 $ x13 $ x14 $ x15 $ \
                             x16 $ x17 $ x18 $ x19 $ x20 $ x21 $ x22 $ x23 $ x24 $ x25 $ x26 $ x27 $ x28 $ x29 $ \
                             x30 $ sp $ elr $ spsr $\n";
        say(NAMES, &self.0);
    }
}
