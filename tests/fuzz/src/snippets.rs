//! Pieces of code for puppets: each does one thing with the registers that it is started with, mostly something
//! that a well-behaved program would not do, and then raises an exception.

use core::arch::global_asm;

global_asm!(
    ".pushsection .text.snippets, \"ax\", @progbits",
    // One system call with the registers as they are.
    "snippet_syscall: syscall",
    "ud2",
    // Several.
    "snippet_syscalls: mov r14d, 3",
    "2: syscall",
    "dec r14d",
    "jnz 2b",
    "ud2",
    // Memory.
    "snippet_read: mov rax, [rdi]",
    "ud2",
    "snippet_write: mov [rdi], rax",
    "ud2",
    "snippet_fill: mov ecx, 512",
    "rep stosq",
    "ud2",
    "snippet_jump: jmp rdi",
    "snippet_push: push rax",
    "call rdi",
    "ud2",
    // Exceptions.
    "snippet_int3: int3",
    "ud2",
    "snippet_int: int 0x80",
    "int 0x20",
    "ud2",
    "snippet_divide: xor edx, edx",
    "xor ecx, ecx",
    "div rcx",
    "ud2",
    "snippet_hlt: hlt",
    "ud2",
    "snippet_cli: cli",
    "ud2",
    "snippet_port: in al, dx",
    "ud2",
    "snippet_out: out dx, al",
    "ud2",
    "snippet_msr: wrmsr",
    "ud2",
    "snippet_cr: mov rax, cr3",
    "ud2",
    "snippet_segment: mov ds, ax",
    "mov es, bx",
    "mov fs, ax",
    "mov gs, bx",
    "ud2",
    "snippet_stack_segment: mov ss, ax",
    "ud2",
    "snippet_iret: iretq",
    "ud2",
    "snippet_sysret: sysretq",
    "ud2",
    "snippet_sysenter: sysenter",
    "ud2",
    "snippet_swapgs: swapgs",
    "ud2",
    // Flags: trap, alignment check, direction, nested task, whatever is in rax.
    "snippet_flags: push rax",
    "popfq",
    "mov rcx, [rsp + 1]",
    "nop",
    "syscall",
    "ud2",
    // The vector unit.
    "snippet_sse: movups xmm0, [rip + snippet_sse]",
    "addps xmm0, xmm0",
    "movups xmm7, xmm0",
    "syscall",
    "addps xmm7, xmm0",
    "ud2",
    "snippet_sse_unaligned: movaps xmm0, [rsp + 1]",
    "ud2",
    "snippet_sse_exception: mov dword ptr [rsp - 8], 0",
    "ldmxcsr [rsp - 8]",
    "xorps xmm1, xmm1",
    "divss xmm0, xmm1",
    "ud2",
    "snippet_x87: fninit",
    "fld1",
    "fldz",
    "fdivp",
    "fwait",
    "ud2",
    "snippet_fsbase: wrfsbase rax",
    "ud2",
    // Time.
    "snippet_spin: mov ecx, 200000",
    "2: dec ecx",
    "jnz 2b",
    "ud2",
    "snippet_yield: mov r14d, 4",
    "2: mov rdx, -11",
    "syscall",
    "dec r14d",
    "jnz 2b",
    "ud2",
    // An empty loop around a system call, for as long as the budget lasts.
    "snippet_forever: syscall",
    "jmp snippet_forever",
    // A server: receives at rbp with the reply object r12, and answers.
    "snippet_serve: mov rdi, rbp",
    "mov rdx, -7",
    "syscall",
    "2: mov rdi, rbp",
    "mov esi, 1",
    "mov rdx, -2",
    "syscall",
    "jmp 2b",
    // A server that calls another one, at r14, before it answers.
    "snippet_relay: mov rdi, rbp",
    "mov rdx, -7",
    "syscall",
    "2: mov rdi, r14",
    "mov esi, 1",
    "mov rdx, -1",
    "syscall",
    "mov rdi, rbp",
    "mov esi, 1",
    "mov rdx, -2",
    "syscall",
    "jmp 2b",
    ".popsection",
);

macro_rules! snippets {
    ($($name:ident),* $(,)?) => {
        unsafe extern "C" {
            $(fn $name();)*
        }
        /// The addresses of all snippets.
        pub static ALL: &[unsafe extern "C" fn()] = &[$($name),*];
    };
}

snippets!(
    snippet_syscall,
    snippet_syscalls,
    snippet_read,
    snippet_write,
    snippet_fill,
    snippet_jump,
    snippet_push,
    snippet_int3,
    snippet_int,
    snippet_divide,
    snippet_hlt,
    snippet_cli,
    snippet_port,
    snippet_out,
    snippet_msr,
    snippet_cr,
    snippet_segment,
    snippet_stack_segment,
    snippet_iret,
    snippet_sysret,
    snippet_sysenter,
    snippet_swapgs,
    snippet_flags,
    snippet_sse,
    snippet_sse_unaligned,
    snippet_sse_exception,
    snippet_x87,
    snippet_fsbase,
    snippet_spin,
    snippet_yield,
    snippet_forever,
    snippet_serve,
    snippet_relay,
);

/// The address of a server's code; one that calls another server if `relay`.
pub fn server(relay: bool) -> u64 {
    (if relay { snippet_relay } else { snippet_serve }) as *const () as u64
}

/// The address of a snippet; the first three, which make system calls, are asked for most.
pub fn address(index: u64) -> u64 {
    ALL[index as usize % ALL.len()] as *const () as u64
}
