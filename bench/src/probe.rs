//! Reading the clock right before the kernel is entered and right after it is left.
//!
//! One tick of the time-stamp counter is one instruction. Between a reading and the kernel's entry there are always
//! four instructions (the reading itself, keeping it, the system call's number, `syscall`), here and in the loops of
//! the partners, so one constant is to be taken off whichever side began: [`overhead`] counts it.

use core::arch::{asm, global_asm};

use pecan::{MessageInfo, abi::Syscall};

/// A system call with all its registers.
#[derive(Clone, Copy, Default)]
pub struct Call {
    /// The system call's number.
    pub number: i64,
    /// The capability it names.
    pub cap: u64,
    /// The message information.
    pub info: MessageInfo,
    /// The message words in registers.
    pub regs: [u64; 4],
    /// The reply object.
    pub reply: u64,
}

impl Call {
    /// A system call on a capability, with a message of `length` zero words.
    pub const fn new(call: Syscall, cap: u64, length: u64) -> Self {
        Self { number: call.number(), cap, info: MessageInfo::new(0, 0, 0, length), regs: [0; 4], reply: 0 }
    }
}

/// What a measured system call gives: the clock before and after, and the label of the answer.
#[derive(Clone, Copy)]
pub struct Timed {
    /// The clock, four instructions before the kernel's first.
    pub before: u32,
    /// The clock right after the kernel's last instruction.
    pub after: u32,
    /// The label of what was received.
    pub label: u64,
}

macro_rules! timed {
    ($instruction:literal, $call:expr) => {{
        let call: Call = $call;
        let (before, after): (u32, u32);
        let info: u64;
        // SAFETY: a system call that is measured changes what it was called for: kernel objects, and the IPC buffer,
        // which is only accessed volatile. The kernel keeps all registers but rcx, r11 and those with results.
        unsafe {
            asm!(
                "push rbx",
                "mov rbx, rsp",
                "rdtsc",
                "mov r14d, eax",
                "mov rdx, r13",
                $instruction,
                "rdtsc",
                "mov rsp, rbx",
                "pop rbx",
                inlateout("rdi") call.cap => _,
                inlateout("rsi") call.info.0 => info,
                inlateout("r10") call.regs[0] => _,
                inlateout("r8") call.regs[1] => _,
                inlateout("r9") call.regs[2] => _,
                inlateout("r15") call.regs[3] => _,
                inlateout("r13") call.number => _,
                in("r12") call.reply,
                out("r14") before,
                out("eax") after,
                out("rdx") _,
                out("rcx") _,
                out("r11") _,
            );
        }
        Timed { before, after, label: MessageInfo(info).label() }
    }};
}

/// Makes a system call and reads the clock before and after.
#[inline(never)]
pub fn timed(call: Call) -> Timed {
    timed!("syscall", call)
}

/// Instructions between two readings that are not the kernel's: `syscall` replaced by another instruction.
pub fn overhead() -> u32 {
    let nothing = timed!("nop", Call::default());
    nothing.after.wrapping_sub(nothing.before)
}

/// A call with a message to a server that calls back at once, with the whole stub of `pecan::raw::call` in the measured stretch;
/// `fpu` uses a vector register after it, as the server does. Returns what the clock advanced by.
pub fn round_trip(ep: u64, info: MessageInfo, fpu: bool) -> u32 {
    let advanced: u32;
    // SAFETY: as in `timed!`; the vector register holds nothing of the compiler's, which uses none.
    unsafe {
        if fpu {
            asm!("call bench_round_trip_fpu", inlateout("rdi") ep => _, inlateout("rsi") info.0 => _, out("eax") advanced, clobber_abi("C"));
        } else {
            asm!("call bench_round_trip", inlateout("rdi") ep => _, inlateout("rsi") info.0 => _, out("eax") advanced, clobber_abi("C"));
        }
    }
    advanced
}

/// Tells who follows the program (`tools/xtask/src/bench/trace.rs`) that a sample of this row begins here.
pub fn sample_begins(id: &str) {
    bench_row(id.as_ptr(), id.len());
}

/// Tells who follows the program that what the sample has done so far was preparation.
pub fn prepared() {
    bench_prepared();
}

/// Instructions of a stub of `pecan::raw`, of which `syscall` is one.
pub const STUB: u32 = 5;
/// Instructions of a round trip that are neither the kernel's nor a stub's: in the client the reading, keeping it and
/// the number; in the server the loads of its two arguments and the jump back.
pub const ROUND_TRIP_OVERHEAD: u32 = 3 + 3;
/// The two vector instructions, one on each side.
pub const FPU_OVERHEAD: u32 = 2;

unsafe extern "C" {
    /// Does nothing; a place to stop at. `id` are `length` bytes.
    safe fn bench_row(id: *const u8, length: usize);
    /// Does nothing; a place to stop at.
    safe fn bench_prepared();
    /// Makes the same system call for ever, with the clock read before and after into its record.
    ///
    /// Registers at the start: rbp the capability, rbx the message information, r12 the reply object, r13 the number,
    /// r14 the record's address.
    pub fn bench_partner();
    /// A server: the stub of `pecan::raw::reply_recv` for ever. rdx is the number, rbp the endpoint, r12 the reply
    /// object, r13 the message information.
    pub fn bench_server();
    /// The same, using a vector register each time.
    pub fn bench_server_fpu();
    /// Waits, and then faults (an invalid instruction), for ever. rbp is the notification, r14 the record's address.
    pub fn bench_faulter();
    /// As [`bench_partner`], but answers with the first word advanced by 2: past the instruction that faulted.
    pub fn bench_fault_handler();
}

global_asm!(
    r#"
    .section .text.bench, "ax", @progbits
    .macro STUB
    mov r14, rbx
    mov rbx, rsp
    syscall
    mov rsp, rbx
    mov rbx, r14
    .endm

    .balign 64
bench_partner:
1:  mov rdi, rbp
    mov rsi, rbx
    rdtsc
    mov [r14], eax
    mov rdx, r13
    syscall
    rdtsc
    mov [r14 + 4], eax
    jmp 1b

    .balign 64
bench_server:
1:  mov rdi, rbp
    mov rsi, r13
    STUB
    jmp 1b

    .balign 64
bench_server_fpu:
1:  mov rdi, rbp
    mov rsi, r13
    STUB
    paddd xmm0, xmm0
    jmp 1b

    .balign 64
bench_faulter:
1:  mov rdi, rbp
    mov rdx, {wait}
    syscall
    rdtsc
    mov [r14], eax
    ud2
    rdtsc
    mov [r14 + 4], eax
    jmp 1b

    .balign 64
bench_fault_handler:
1:  mov rdi, rbp
    mov rsi, rbx
    add r10, 2
    rdtsc
    mov [r14], eax
    mov rdx, r13
    syscall
    rdtsc
    mov [r14 + 4], eax
    jmp 1b

    .macro ROUND_TRIP use:vararg
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    rdtsc
    mov r13d, eax
    mov rdx, {call}
    STUB
    \use
    rdtsc
    sub eax, r13d
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret
    .endm

    .balign 64
bench_round_trip:
    ROUND_TRIP
    .balign 64
bench_round_trip_fpu:
    ROUND_TRIP paddd xmm0, xmm0

    .global bench_row
    .global bench_prepared
bench_row:
    ret
bench_prepared:
    ret
    .text
    "#,
    wait = const Syscall::Wait.number(),
    call = const Syscall::Call.number(),
);
