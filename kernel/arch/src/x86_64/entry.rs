//! Into the kernel and out of it.
//!
//! The task state's `rsp0` is the end of the running thread's [`UserContext`](crate::UserContext), so on an interrupt
//! from user level the processor itself stores the first five registers in place, and the stubs push the rest below.
//! `SYSCALL` loads no stack: its stub fetches the same pointer and stores the same frame, without what is constant. Then the kernel's stack is
//! taken, always from its top: the kernel keeps nothing on it between two entries. So the handlers, which are the image's,
//! do not return: they end in [`enter_user`], and need no epilogue.
//!
//! **The Meltdown window.** On a processor that lets user level read what is mapped for the kernel alone
//! ([`Features::WINDOW`](super::features::Features::WINDOW)), user level's root tables map of the kernel only this section
//! of text and the section `.data.window`: what the processor and the stubs need to get to the kernel's own address space,
//! which has no user part. The stubs that do so are at the end of the section. [`redirect`] leads the ordinary ones
//! there; where it is not called they know nothing of it. In the window is nothing of any thread but the one that runs.
//!
//! Kernel code runs with interrupts off. The two places that let them in ([`irq_pending`] and [`idle_wait`]) get the
//! vector noted in `PECAN_NOTED` and interrupts off again. Exceptions in kernel mode are bugs of the kernel and end it.

use core::arch::{asm, global_asm};
use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use pecan_abi::Syscall;
use pecan_config::HARDWARE_DEBUG;

use super::core_block::CoreBlock;
use super::features::{Features, has};
use super::tables::Tss;
use crate::format::x86_64::irq::{IRQ_TIMER, VECTOR_OFFSET};
use crate::{UserContext, say, stack};

/// Last vector that the kernel uses: the timer's.
pub const LAST_VECTOR: usize = IRQ_TIMER + VECTOR_OFFSET;
/// Vector of interrupts that went away before the processor took them: the next one, which ends in the four ones that
/// old processors want. Those behind it are nobody's, but a device can raise them; they share a stub.
pub const SPURIOUS_VECTOR: usize = LAST_VECTOR + 1;
const _: () = assert!(SPURIOUS_VECTOR & 15 == 15);
const STUB_SIZE: usize = 16;
const STACK_SIZE: usize = 16 * 1024;
/// For what can strike at any instruction, which is always the end of the kernel.
const FAULT_STACK_SIZE: usize = 4096;
/// Room for the registers that such a thing stores while only the window is mapped.
const WINDOW_STACK_SIZE: usize = 256;
/// For what the processor and a stub push at a debug exception.
const DEBUG_STACK_SIZE: usize = 256;

/// Vector noted by an interrupt in kernel mode; 0 if none.
#[unsafe(no_mangle)]
static PECAN_NOTED: AtomicU32 = AtomicU32::new(0);

global_asm!(
    r#"
    .set CONTEXT_SIZE, 192
    .set MARK, 144
    .set FRAME_END, PECAN_CORE + {vspace}

    // The pages below the stacks are not mapped there, so that a stack that grows too large faults. What they hold, page
    // tables, is reached by another address.
    .section .stacks, "aw", @nobits
    .balign 4096
pecan_stack_guard:
    .skip 4096
    .skip {stack_size}
pecan_stack_top:
pecan_fault_stack_guard:
    .skip 4096
    .skip {fault_stack_size}
pecan_fault_stack_top:

    .section .data.window, "aw", @progbits
    .balign 16
    .skip {window_stack_size}
pecan_window_stack_top:
    .skip {debug_stack_size}
pecan_debug_stack_top:

    // Leads from `site` to `target` with the window, see `redirect`.
    .macro WITH_WINDOW site, target
    .pushsection .window_sites, "a", @progbits
    .quad \site, \target
    .popsection
    .endm

    .section .text.entry, "ax", @progbits

    // System calls: rdi = capability, rsi = message information, rdx = number, rcx = context, as the handlers take them.
    .balign 64
    .global pecan_syscall_entry
pecan_syscall_entry:
    mov [rip + PECAN_CORE + {user_rsp}], rsp
pecan_syscall_save:
    mov rsp, [rip + PECAN_CORE + {context}]
    push [rip + PECAN_CORE + {user_rsp}]
    mov [rsp - 2 * 8], r11
    mov [rsp - 4 * 8], rcx
    .set below, 6
    .irp register, rdi, rsi, r15, r14, r13, r12, r10, r9, r8, rbp, rdx, rbx, rax
    mov [rsp - below * 8], \register
    .set below, below + 1
    .endr
    lea rcx, [rsp + 8 - CONTEXT_SIZE]
    lea rsp, [rip + pecan_stack_top - 8]
    cmp rdx, {reply_recv}
    ja pecan_call                       // the one number above that
    je pecan_reply_recv
    cmp rdx, {nb_send}
    jb 2f
    cmp rdx, {send}                     // the one number above that
    jbe pecan_send
    jmp pecan_syscall
2:  cmp rdx, {nb_wait}
    je pecan_poll
    ja 2f
    cmp rdx, {last_core}
    jb pecan_special_syscall
    jmp pecan_syscall
2:  cmp rdx, {wait}
    je pecan_wait
    jmp pecan_syscall

    // From `enter_user_with`, to a thread that entered otherwise: rsp = end of its context, which rdi and rsi are not in.
    .global pecan_exit_full
pecan_exit_full:
    mov [rsp - 7 * 8], rdi
    mov [rsp - 8 * 8], rsi
    lea rax, [rsp - CONTEXT_SIZE]
    // Return to the context in rax.
    .global pecan_exit
pecan_exit:
    lea rcx, [rax + CONTEXT_SIZE]
    mov [rip + PECAN_CORE + {context}], rcx
    cmp qword ptr [rax + MARK], -1
    jne 2f
    lea rsp, [rax + 5 * 8]
    pop rax
    pop rbx
    pop rdx
    pop rbp
    pop r8
    pop r9
    pop r10
    pop r12
    pop r13
    pop r14
    pop r15
    pop rsi
    pop rdi
    mov rcx, [rsp + 8]
    mov r11, [rsp + 24]
    WITH_WINDOW 3f, pecan_window_exit
3:  mov rsp, [rsp + 40]
    sysretq
2:  mov qword ptr [rax + MARK], -1  // see `UserContext`
    lea rsp, [rax + 3 * 8]
    pop r11
    pop rcx
    pop rax
    pop rbx
    pop rdx
    pop rbp
    pop r8
    pop r9
    pop r10
    pop r12
    pop r13
    pop r14
    pop r15
    pop rsi
    pop rdi
    WITH_WINDOW 3f, pecan_window_iret
3:  add rsp, 8
    iretq

    // Below rdi, with rdi = vector: everything else. Leaves rsp at word 3 of the context.
    .macro SAVE_REST kind
    WITH_WINDOW 3f, pecan_window_save
3:  push rsi
    push r15
    push r14
pecan_saving_\kind:
    push r13
    push r12
    push r10
    push r9
    push r8
    push rbp
    push rdx
    push rbx
    push rax
    push rcx
    push r11
    mov rax, [rsp + 16 * 8]         // the instruction pointer is the faulting one too
    mov [rsp - 3 * 8], rax
    mov rcx, rax
    shr rcx, 47
    jnz 7f
8:  cld
    test dword ptr [rip + PECAN_CORE + {features}], {smap}
    je 9f
    clac
9:
    .endm

    // A jump to an address that is not canonical can be reported with that address, to which iretq could not return. One
    // in the kernel's half stays: it page-faults at user level.
    .macro MEND_IP
7:  not rcx
    shl rcx, 47
    jz 8b
    mov rcx, {harmless_ip}
    mov [rsp + 16 * 8], rcx
    jmp 8b
    .endm

    .balign 16
pecan_exception_entry:
    test byte ptr [rsp + 24], 3
    jz pecan_kernel_fault
    SAVE_REST exception
    mov rsi, [rsp + 15 * 8]
    mov rdx, cr2
    lea rcx, [rsp - 3 * 8]
    lea rsp, [rip + pecan_stack_top - 8]
    jmp pecan_exception
    MEND_IP

    .balign 16
pecan_interrupt_entry:
    test byte ptr [rsp + 24], 3
    jz 2f
    SAVE_REST interrupt
    lea rsi, [rsp - 3 * 8]
    lea rsp, [rip + pecan_stack_top - 8]
    jmp pecan_interrupt
    MEND_IP
2:  mov [rip + PECAN_NOTED], edi
    and qword ptr [rsp + 32], ~0x200
    pop rdi
    add rsp, 8
    iretq

    .if {hardware_debug}
    // Debug exceptions have a stack of their own: `mov ss` delays the one for its operand, and that of a breakpoint on
    // data then arrives at the kernel's first instruction after `syscall`, with the user's stack pointer. Such a one is
    // dropped. Others continue as if they had pushed into the context. One that arrives at the first instruction of this
    // very handler has overwritten where the first one came from; the thread that contrived this goes on at address 0.
pecan_debug_entry:
    test byte ptr [rsp + 24], 3
    jz 2f
    mov rdi, rsp
    WITH_WINDOW 1f, pecan_window_debug
1:  mov rsp, [rip + PECAN_CORE + {context}]
pecan_debug_copy:
    .irp above, 48, 40, 32, 24, 16, 8, 0
    push [rdi + \above]
    .endr
    mov edi, 1
    jmp pecan_exception_entry
2:  lea rdi, [rip + pecan_stubs + {stub_size}]
    cmp rdi, [rsp + 16]
    je 3f
    xor edi, edi
    mov dr6, rdi
    pop rdi
    add rsp, 8
    iretq
3:  mov qword ptr [rsp + 16], 0
    mov qword ptr [rsp + 24], {user_cs}
    mov qword ptr [rsp + 40], 0
    mov qword ptr [rsp + 48], {user_ss}
    or qword ptr [rsp + 32], 0x200
    jmp pecan_debug_entry
    .endif

    // A bug in the kernel, or NMI, double fault, machine check: shown with all registers, and the end.
pecan_kernel_fault:
    push rsi
    push rbp
    push rax
    push rbx
    push rcx
    push rdx
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
    mov rsi, rsp
    mov rdx, cr2
    mov rax, [rip + PECAN_CORE + {kernel_cr3}]
    mov cr3, rax
    lea rax, [rip + pecan_stack_guard]
    cmp rsp, rax
    jae 2f
    lea rsp, [rip + pecan_fault_stack_top]  // from the window's stack, which is below
2:  cld
    and rsp, -16
    call pecan_kernel_exception
    ud2

    // With the window. On entry rsp is the one register to spare, as what it held is saved; on exit it is loaded last.
    .global pecan_window_syscall
pecan_window_syscall:
    mov [rip + PECAN_CORE + {user_rsp}], rsp
    mov rsp, [rip + PECAN_CORE + {kernel_cr3}]
    mov cr3, rsp
    jmp pecan_syscall_save

    // What the processor and the vector's stub have stored goes to the context, as they store it without the window.
pecan_window_save:
    mov rsp, [rip + PECAN_CORE + {kernel_cr3}]
    mov cr3, rsp
    mov rsp, [rip + PECAN_CORE + {context}]
    .irp below, 8, 16, 24, 32, 40, 48, 56
    push [rip + FRAME_END - \below]
    .endr
    push rsi
    push r15
    push r14
    xor esi, esi
    mov [rip + FRAME_END - 48], rsi
    mov [rip + FRAME_END - 56], rsi
    cmp edi, 16
    jb pecan_saving_exception
    jmp pecan_saving_interrupt

    .if {hardware_debug}
pecan_window_debug:
    lea rsp, [rip + FRAME_END]
    jmp pecan_debug_copy
    .endif

    .macro LOAD_USER_SPACE
    mov rsp, [rip + PECAN_CORE + {vspace}]
    mov cr3, rsp
    .endm

    // At the end of pecan_exit.
pecan_window_exit:
    add rsp, 6 * 8
    // At the end of `enter_user_with`: rsp = end of the context. All of the frame in the window becomes that of this thread.
    .global pecan_window_sysret
pecan_window_sysret:
    mov [rip + FRAME_END - 40], rcx
    mov [rip + FRAME_END - 24], r11
    mov rsp, [rsp - 8]
    mov [rip + PECAN_CORE + {user_rsp}], rsp
    LOAD_USER_SPACE
    mov rsp, [rip + PECAN_CORE + {user_rsp}]
    sysretq
pecan_window_iret:
    add rsp, 8
    .irp below, 40, 32, 24, 16, 8
    pop [rip + FRAME_END - \below]
    .endr
    LOAD_USER_SPACE
    lea rsp, [rip + FRAME_END - 40]
    iretq

    // One stub a vector, {stub_size} bytes each: the frame below the error code starts with rdi. A device can raise vectors
    // from 16 on: below 32 they may be exceptions, two of them of user level's, none with an error code (`irq::claim_interrupt`).
    .macro STUB vector, target
    push rdi
    mov edi, \vector
    jmp \target
    .balign {stub_size}
    .endm
    .balign {stub_size}
    .global pecan_stubs
pecan_stubs:
    .set v, 0
    .rept {spurious_vector} + 1
    .if v >= 16 || !((1 << v) & 0x7d00) // exceptions without an error code
    push 0
    .endif
    .if v == 2 || v == 8 || v == 18     // NMI, double fault, machine check
    STUB v, pecan_kernel_fault
    .elseif v == 1 && {hardware_debug}
    STUB v, pecan_debug_entry
    .elseif v < 16
    STUB v, pecan_exception_entry
    .else
    STUB v, pecan_interrupt_entry
    .endif
    .set v, v + 1
    .endr
    .global pecan_window_text_end
pecan_window_text_end:
    .text
    "#,
    stack_size = const STACK_SIZE,
    fault_stack_size = const FAULT_STACK_SIZE,
    window_stack_size = const WINDOW_STACK_SIZE,
    debug_stack_size = const if HARDWARE_DEBUG { DEBUG_STACK_SIZE } else { 0 },
    hardware_debug = const HARDWARE_DEBUG as usize,
    user_ss = const crate::format::x86_64::context::USER_SS,
    user_cs = const crate::format::x86_64::context::USER_CS,
    harmless_ip = const crate::format::x86_64::context::HARMLESS_IP,
    stub_size = const STUB_SIZE,
    reply_recv = const Syscall::ReplyRecv as i64,
    send = const Syscall::Send as i64,
    nb_send = const Syscall::NBSend as i64,
    wait = const Syscall::Wait as i64,
    nb_wait = const Syscall::NBWait as i64,
    last_core = const Syscall::Yield as i64,
    spurious_vector = const SPURIOUS_VECTOR,
    context = const offset_of!(CoreBlock, tss) + offset_of!(Tss, rsp0),
    user_rsp = const offset_of!(CoreBlock, user_rsp),
    kernel_cr3 = const offset_of!(CoreBlock, kernel_cr3),
    features = const offset_of!(CoreBlock, features),
    smap = const Features::SMAP.0,
    vspace = const offset_of!(CoreBlock, vspace),
);

const _: () = assert!(size_of::<UserContext>() == 192, "CONTEXT_SIZE above");

unsafe extern "C" {
    static pecan_stubs: u8;
    static pecan_stack_guard: u8;
    static pecan_fault_stack_guard: u8;
    static pecan_fault_stack_top: u8;
    static pecan_window_stack_top: u8;
    static pecan_window_text_end: u8;
    static window_sites: [u64; 2];
    static window_sites_end: [u64; 2];
    static x87_sites: [u64; 2];
    static x87_sites_end: [u64; 2];
    static pecan_debug_stack_top: u8;
    fn pecan_syscall_entry();
    fn pecan_window_syscall();
}

pub(super) fn stub(vector: usize) -> u64 {
    &raw const pecan_stubs as u64 + (vector.min(SPURIOUS_VECTOR) * STUB_SIZE) as u64
}

pub(super) fn syscall_stub() -> u64 {
    let stub = if has(Features::WINDOW) { pecan_window_syscall } else { pecan_syscall_entry };
    stub as *const () as u64
}

/// Top of the stack for NMI, double fault and machine check. One does for all, as none of them returns.
pub(super) fn fault_stack_top() -> u64 {
    let window = has(Features::WINDOW);
    let top = if window { &raw const pecan_window_stack_top } else { &raw const pecan_fault_stack_top };
    top as u64
}

/// The end of the text in the window, which begins with the image.
pub(super) fn window_text_end() -> *const u8 {
    &raw const pecan_window_text_end
}

/// Leads through what only some processors need: the window, and what `fpu_load` does against a leak. Where a site is listed
/// for it, a jump takes the place of what is there.
///
/// # Safety
/// To be called at boot, once, while the kernel's text can be written.
pub(super) unsafe fn redirect() {
    // SAFETY: assembler and linker script define these. A site has room for its jump and nobody jumps behind its start (short
    // ones are in `vspace::load`, long ones in the stubs and `fpu_load`); no interrupt is taken and nothing there is used
    // yet, and before that the tables are loaded, which serialises.
    unsafe {
        if has(Features::WINDOW) {
            redirect_sites(&raw const window_sites, &raw const window_sites_end);
        }
        if has(Features::X87_LEAK) {
            redirect_sites(&raw const x87_sites, &raw const x87_sites_end);
        }
    }
}

/// # Safety
/// As for [`redirect`], with the sites from `site` to `end`.
unsafe fn redirect_sites(mut site: *const [u64; 2], end: *const [u64; 2]) {
    while site != end {
        // SAFETY: the caller's promise.
        unsafe {
            let [at, target] = *site;
            let distance = target.wrapping_sub(at) as i32;
            match i8::try_from(distance - 2) {
                Ok(short) => (at as *mut [u8; 2]).write_unaligned([0xeb, short as u8]),
                Err(_) => {
                    let [a, b, c, d] = (distance - 5).to_le_bytes();
                    (at as *mut [u8; 5]).write_unaligned([0xe9, a, b, c, d]);
                }
            }
            site = site.add(1);
        }
    }
}

/// Where debug exceptions are taken, in kernels with hardware breakpoints.
pub(super) fn debug_stack_top() -> u64 {
    &raw const pecan_debug_stack_top as u64
}

/// The pages below the kernel's stacks, in ascending order, which must not be mapped where they are linked.
pub(super) fn stack_guards() -> [usize; 2] {
    [&raw const pecan_stack_guard as usize, &raw const pecan_fault_stack_guard as usize]
}

#[inline(always)]
pub fn paint_stack() {
    if !stack::is_painted() {
        let sp: usize;
        // SAFETY: reads a register.
        unsafe { asm!("mov {}, rsp", out(reg) sp, options(nomem, nostack, preserves_flags)) };
        // SAFETY: it is the kernel's stack.
        unsafe { stack::paint(stack_guards()[0] + 4096, sp) };
    }
}

pub fn stack_used() -> usize {
    // The next guard page lies behind the stack's end.
    let [guard, top] = stack_guards();
    // SAFETY: it is the kernel's stack.
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
    // SAFETY: the stub expects the context in rax (1.) and interrupts off, as they are in the kernel.
    unsafe { asm!("jmp pecan_exit", in("rax") ctx, options(noreturn)) }
}

/// [`enter_user`] with [`reg::CAP`](crate::reg::CAP) and [`reg::INFO`](crate::reg::INFO) given, which the context need not
/// hold, and in line. `END` is where the context ends behind `base`.
///
/// # Safety
/// Those of [`enter_user`] for the context.
#[inline(always)]
pub unsafe fn enter_user_with<const END: usize, T>(base: *const T, cap: u64, info: u64) -> ! {
    // SAFETY: as in `enter_user`. The registers are at the places that `UserContext` says; what the window's stub wants is what
    // `pecan_exit` gives it.
    unsafe {
        asm!(
            "lea rsp, [{base} + {end}]",
            "cmp qword ptr [rsp - 6 * 8], -1",
            "jne pecan_exit_full",
            "mov [rip + PECAN_CORE + {context}], rsp",
            "mov rax, [rsp - 19 * 8]",
            "mov rbx, [rsp - 18 * 8]",
            "mov rdx, [rsp - 17 * 8]",
            "mov rbp, [rsp - 16 * 8]",
            "mov r8, [rsp - 15 * 8]",
            "mov r9, [rsp - 14 * 8]",
            "mov r10, [rsp - 13 * 8]",
            "mov r12, [rsp - 12 * 8]",
            "mov r13, [rsp - 11 * 8]",
            "mov r14, [rsp - 10 * 8]",
            "mov r15, [rsp - 9 * 8]",
            "mov rcx, [rsp - 5 * 8]",
            "mov r11, [rsp - 3 * 8]",
            ".pushsection .window_sites, \"a\", @progbits",
            ".quad 3f, pecan_window_sysret",
            ".popsection",
            "3: mov rsp, [rsp - 8]",
            "sysretq",
            base = in(reg) base,
            end = const END,
            context = const offset_of!(CoreBlock, tss) + offset_of!(Tss, rsp0),
            in("rdi") cap,
            in("rsi") info,
            options(noreturn),
        )
    }
}

/// Lets interrupts in for one instruction: true if one is noted, now or from before.
#[inline]
pub fn irq_pending() -> bool {
    if PECAN_NOTED.load(Relaxed) == 0 {
        // SAFETY: the interrupt's stub saves what it uses, notes its vector and comes back with interrupts off. Not
        // `nomem`: the note is memory.
        unsafe { asm!("sti", "nop", "cli") };
    }
    PECAN_NOTED.load(Relaxed) != 0
}

pub fn idle_wait() {
    while PECAN_NOTED.load(Relaxed) == 0 {
        // SAFETY: as in `irq_pending`; `sti` holds interrupts back until `hlt` waits for them.
        unsafe { asm!("sti", "hlt", "cli") };
    }
}

/// Takes the noted vector.
pub(super) fn take_noted() -> Option<usize> {
    match PECAN_NOTED.swap(0, Relaxed) {
        0 => None,
        v => Some(v as usize),
    }
}

/// The registers as `pecan_kernel_fault` pushed them, from the stack pointer up.
#[repr(transparent)]
pub struct KernelFrame([u64; 20]);

impl KernelFrame {
    /// Prints the registers: where it happened is `rip`.
    pub fn say(&self) {
        const NAMES: &str = "r15 $ r14 $ r13 $ r12 $ r11 $ r10 $ r9 $ r8 $ rdx $ rcx $ rbx $ rax $ rbp $ rsi $ rdi $ \
                             error $ rip $ cs $ rflags $ rsp $\n";
        say(NAMES, &self.0);
    }
}
