//! Faults: the message of each kind, word by word, and what the handler's answer does.

use core::{arch::global_asm, sync::atomic::{AtomicU64, Ordering::Relaxed}};

use pecan::{CNodeCapData, raw::{self, invocations as inv}};
use pecan_abi::{
    CPtr, CapRights, LookupFailureKind, MessageInfo, Syscall, UserContext,
    breakpoint::BreakpointType,
    fault::{FaultTag, Holds, cap_fault, debug_exception, unknown_syscall as us, user_exception as ue, vm_fault},
};

use crate::{
    Env,
    env::{DEPTH, HIGH, LOW, Mapped, ROOT, WINDOW, answer, call, delete, info, registers, sched_control, send},
    thread::{Spaces, Thread},
};

tests! {
    a_page_fault_word_by_word;
    a_write_to_a_read_only_page_word_by_word;
    an_instruction_fetch_word_by_word;
    a_page_fault_is_restarted_by_an_answer;
    a_kernel_address_faults;
    where_the_processor_reads_past_rights_the_kernel_is_not_mapped;
    an_undefined_instruction_word_by_word;
    a_division_by_zero_faults;
    a_breakpoint_instruction_faults;
    a_breakpoint_where_the_budget_ends_faults;
    a_privileged_instruction_faults;
    an_alignment_check_is_not_enabled;
    an_answer_moves_the_instruction_pointer;
    an_answer_with_a_label_stops_the_thread;
    an_answer_cannot_set_dangerous_flags;
    an_unknown_system_call_word_by_word;
    an_answer_sets_the_registers_of_an_unknown_call;
    a_short_answer_sets_the_first_registers;
    numbers_without_a_system_call_fault;
    a_capability_fault_while_sending_word_by_word;
    a_capability_fault_while_receiving_word_by_word;
    a_guard_mismatch_word_by_word;
    a_depth_mismatch_word_by_word;
    a_missing_cspace_word_by_word;
    a_capability_fault_is_restarted_by_an_answer;
    non_blocking_sends_do_not_fault;
    a_fault_without_a_handler_stops_the_thread;
    a_fault_to_a_deleted_handler_stops_the_thread;
    a_faulting_thread_waits_in_the_queue;
    a_handler_of_a_lower_priority_serves_later;
    a_fault_is_answered_through_a_passive_handler;
    suspending_a_faulted_thread_takes_its_fault_back;
    the_badge_of_the_handler_arrives;
}

global_asm!(
    // fn(out: *mut [u64; 16]): makes an unknown system call with a value of its own in each register, and stores what
    // is in the registers after it.
    ".globl conformance_unknown_call",
    "conformance_unknown_call:",
    "push rbx",
    "push rbp",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "push rdi",
    "mov [rip + {sp}], rsp",
    "mov rax, 0xa0",
    "mov rbx, 0xb0",
    "mov rdx, -100",
    "mov rsi, 0x51",
    "mov rdi, 0xd1",
    "mov rbp, 0xb9",
    "mov r8, 0x08",
    "mov r9, 0x09",
    "mov r10, 0x10",
    "mov r12, 0x12",
    "mov r13, 0x13",
    "mov r14, 0x14",
    "mov r15, 0x15",
    ".globl conformance_unknown_call_at",
    "conformance_unknown_call_at:",
    "syscall",
    "push r15",
    "push r14",
    "push r13",
    "push r12",
    "push r11",
    "push r10",
    "push r9",
    "push r8",
    "push rbp",
    "push rdi",
    "push rsi",
    "push rdx",
    "push rcx",
    "push rbx",
    "push rax",
    "mov rsi, rsp",
    "mov rdi, [rsp + 120]",
    "mov ecx, 15",
    "cld",
    "rep movsq",
    "add rsp, 128",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbp",
    "pop rbx",
    "ret",
    // fn() -> u64: an undefined instruction; 1 if it is skipped, 2 if the thread is sent further.
    ".globl conformance_undefined",
    "conformance_undefined:",
    "mov [rip + {sp}], rsp",
    "xor eax, eax",
    "stc",
    ".globl conformance_undefined_at",
    "conformance_undefined_at:",
    "ud2",
    ".globl conformance_undefined_after",
    "conformance_undefined_after:",
    "mov eax, 1",
    "ret",
    ".globl conformance_undefined_further",
    "conformance_undefined_further:",
    "mov eax, 2",
    "ret",
    // fn(address, value): writes; fn(address) -> u64: reads.
    ".globl conformance_write",
    "conformance_write:",
    ".globl conformance_write_at",
    "conformance_write_at:",
    "mov [rdi], rsi",
    "ret",
    ".globl conformance_read",
    "conformance_read:",
    ".globl conformance_read_at",
    "conformance_read_at:",
    "mov rax, [rdi]",
    "ret",
    sp = sym STACK_POINTER,
);

/// The stack pointer that the assembly noted before it made a fault.
static STACK_POINTER: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" {
    fn conformance_unknown_call(out: *mut [u64; 16]);
    fn conformance_undefined() -> u64;
    fn conformance_write(address: u64, value: u64);
    fn conformance_read(address: u64) -> u64;
    static conformance_unknown_call_at: u8;
    static conformance_undefined_at: u8;
    static conformance_undefined_after: u8;
    static conformance_undefined_further: u8;
    static conformance_write_at: u8;
    static conformance_read_at: u8;
}

/// The address of a label in the assembly above.
macro_rules! label {
    ($name:ident) => {
        &raw const $name as u64
    };
}

/// An endpoint for faults with a badge, and a reply object for its handler.
struct Handler {
    endpoint: CPtr,
    badged: CPtr,
    reply: CPtr,
}

const BADGE: u64 = 0xfa017;

impl Handler {
    #[track_caller]
    fn new(env: &Env) -> Self {
        let endpoint = env.endpoint();
        Handler { endpoint, badged: env.mint(endpoint, BADGE), reply: env.reply() }
    }

    /// Takes the fault that has happened.
    #[track_caller]
    fn take(&self, tag: FaultTag) -> raw::Reply {
        let fault = raw::nb_recv(self.endpoint, self.reply);
        assert_eq!((fault.badge, fault.info.label()), (BADGE, tag.word()), "no such fault has arrived");
        assert_eq!((fault.info.extra_caps(), fault.info.caps_unwrapped()), (0, 0));
        fault
    }

    /// Starts a function in a thread whose faults come here.
    #[track_caller]
    fn spawn<F: FnOnce() -> u64 + Send + 'static>(&self, env: &Env, function: F) -> Thread {
        env.spawn_faulting(HIGH, self.badged, function)
    }
}

/// Checks a fault message against the table of its words: as many as that says, and of each what `value` makes of it;
/// `None` where that cannot be known here.
#[track_caller]
pub(super) fn check(fault: &raw::Reply, words: &[Holds], value: impl Fn(Holds) -> Option<u64>) {
    assert_eq!(fault.info.length(), words.len(), "the length of the message");
    for (index, holds) in words.iter().enumerate() {
        if let Some(value) = value(*holds) {
            assert_eq!(fault.word(index), value, "word {index}: {holds:?}");
        }
    }
}

/// Words of a fault message.
fn words<const N: usize>(fault: &raw::Reply) -> [u64; N] {
    assert_eq!(fault.info.length(), N, "the length of the message");
    core::array::from_fn(|i| fault.word(i))
}

/// An address that nothing is mapped at.
const NOWHERE: u64 = 0x1234_5678;

fn a_page_fault_word_by_word(env: &Env) {
    let handler = Handler::new(env);
    // SAFETY: faults, and is never restarted.
    handler.spawn(env, || unsafe { conformance_read(NOWHERE) });
    check(&handler.take(FaultTag::VMFault), FaultTag::VMFault.words(), |holds| match holds {
        Holds::Instruction => Some(label!(conformance_read_at)),
        Holds::Address => Some(NOWHERE),
        Holds::IsFetch => Some(0),
        // Read, user: bit 2.
        Holds::ErrorCode => Some(4),
        other => panic!("{other:?}"),
    });
}

fn a_write_to_a_read_only_page_word_by_word(env: &Env) {
    let handler = Handler::new(env);
    let page = env.map(env.copy_with(env.frame(), CapRights::READ));
    // SAFETY: faults, and is never restarted.
    handler.spawn(env, move || unsafe {
        conformance_write(page.0 + 16, 1);
        0
    });
    check(&handler.take(FaultTag::VMFault), FaultTag::VMFault.words(), |holds| match holds {
        Holds::Instruction => Some(label!(conformance_write_at)),
        Holds::Address => Some(page.0 + 16),
        Holds::IsFetch => Some(0),
        // Present, write, user.
        Holds::ErrorCode => Some(7),
        other => panic!("{other:?}"),
    });
}

fn an_instruction_fetch_word_by_word(env: &Env) {
    let handler = Handler::new(env);
    handler.spawn(env, || {
        // SAFETY: there is no such function; the call faults, and is never restarted.
        let function: extern "C" fn() = unsafe { core::mem::transmute(NOWHERE as usize) };
        function();
        0
    });
    let words: [u64; vm_fault::LENGTH] = words(&handler.take(FaultTag::VMFault));
    assert_eq!(words[..3], [NOWHERE, NOWHERE, 1]);
    // User; and an instruction fetch, where the processor tells.
    assert!(words[3] == 4 || words[3] == 0x14, "error code {:#x}", words[3]);
}

fn a_page_fault_is_restarted_by_an_answer(env: &Env) {
    let (handler, frame) = (Handler::new(env), env.frame());
    let first = env.map(env.frame());
    let at = first.0 + 4096;
    assert!(at > WINDOW);
    let thread = handler.spawn(env, move || {
        Mapped(at).write(3, 8);
        Mapped(at).read(3)
    });
    handler.take(FaultTag::VMFault);
    // Answered without a page, it faults again.
    answer(handler.reply, 0, &[]);
    handler.take(FaultTag::VMFault);
    env.map(frame);
    // The label and the words of the answer to a page fault mean nothing.
    answer(handler.reply, 5, &[1, 2, 3]);
    assert_eq!(thread.join(), 8);
}

fn a_kernel_address_faults(env: &Env) {
    let handler = Handler::new(env);
    for at in [0xffff_8000_0000_0000, 0xffff_ffff_8000_0000] {
        // SAFETY: faults, and is never restarted.
        handler.spawn(env, move || unsafe { conformance_read(at) });
        let fault = handler.take(FaultTag::VMFault);
        assert_eq!(fault.regs[1], at);
    }
}

/// The processor may let user level read what is mapped for the kernel alone: it is not of a maker whose processors never
/// do, and cannot have a register that says it does not.
fn is_subject_to_meltdown() -> bool {
    use core::arch::x86_64::{__cpuid, __cpuid_count};
    let (leaf0, vendor) = (__cpuid(0), __cpuid(0).ebx.to_le_bytes());
    let says_more = leaf0.eax >= 7 && __cpuid_count(7, 0).edx & 1 << 29 != 0;
    !says_more && &vendor != b"Auth" && &vendor != b"Hygo"
}

fn where_the_processor_reads_past_rights_the_kernel_is_not_mapped(env: &Env) {
    const RAM: u64 = 0xffff_8000_0000_0000;
    const IMAGE: u64 = 0xffff_ffff_8000_0000;
    const DEVICES: u64 = 0xffff_ffff_ffe0_0000;
    let handler = Handler::new(env);
    // SAFETY: faults, and is never answered.
    let thread = handler.spawn(env, || unsafe { conformance_read(RAM) });
    handler.take(FaultTag::VMFault);
    let mut registers = thread.read();
    let mut mapped = |at: u64| {
        registers.rdi = at;
        inv::tcb_write_registers(thread.tcb, true, 0, UserContext::WORDS as u64, &registers)
            .expect("write registers");
        let words: [u64; vm_fault::LENGTH] = words(&handler.take(FaultTag::VMFault));
        assert_eq!((words[1], words[3] & !1), (at, 4), "the address, and a read by user level");
        words[3] & 1 != 0
    };
    // The machine has 64 MiB at least; the image lies in the second MiB and those after it.
    let ram = (12..26).filter(|&bits| mapped(RAM + (1 << bits))).count();
    let image = (0..1024).filter(|page| mapped(IMAGE + page * 4096)).count();
    let devices = (0..8).filter(|page| mapped(DEVICES + page * 4096)).count();
    if ram == 0 {
        assert!((1..=3).contains(&image) && devices == 0, "mapped: {image} pages of the image, {devices} devices");
    } else {
        assert!(!is_subject_to_meltdown(), "{ram} of the pages looked at are mapped");
        assert!(image > 3, "only {image} pages of the image are mapped, but RAM is");
    }
}

/// Starts a thread that executes an undefined instruction.
fn undefined(env: &Env, handler: &Handler) -> Thread {
    // SAFETY: faults; the handler decides where it goes on, which is inside the same function.
    handler.spawn(env, || unsafe { conformance_undefined() })
}

const CARRY: u64 = 1;

fn an_undefined_instruction_word_by_word(env: &Env) {
    let handler = Handler::new(env);
    undefined(env, &handler);
    let fault = handler.take(FaultTag::UserException);
    check(&fault, FaultTag::UserException.words(), |holds| match holds {
        Holds::Instruction => Some(label!(conformance_undefined_at)),
        Holds::StackPointer => Some(STACK_POINTER.load(Relaxed)),
        Holds::Flags => None,
        Holds::Vector => Some(6),
        Holds::ErrorCode => Some(0),
        other => panic!("{other:?}"),
    });
    let words: [u64; ue::LENGTH] = words(&fault);
    // Carry and zero were set before it, and interrupts are always on.
    assert_eq!(words[ue::FLAGS] & (CARRY | 1 << 9), CARRY | 1 << 9, "flags {:#x}", words[ue::FLAGS]);
    assert_eq!(words[ue::FLAGS] & (3 << 12), 0, "user level has I/O privileges");
}

/// Runs an instruction that must raise an exception.
macro_rules! raises {
    ($env:expr, $number:expr, $($text:tt)*) => {{
        let handler = Handler::new($env);
        handler.spawn($env, || {
            // SAFETY: raises an exception, and is never restarted.
            unsafe { core::arch::asm!($($text)*) };
            0
        });
        let fault = handler.take(FaultTag::UserException);
        assert_eq!(fault.regs[ue::NUMBER], $number);
        fault
    }};
}

fn a_division_by_zero_faults(env: &Env) {
    raises!(env, 0, "xor edx, edx", "xor ecx, ecx", "div ecx", out("eax") _, out("ecx") _, out("edx") _);
}

fn a_breakpoint_instruction_faults(env: &Env) {
    if pecan_abi::HARDWARE_DEBUG {
        let handler = Handler::new(env);
        handler.spawn(env, || {
            // SAFETY: faults.
            unsafe { core::arch::asm!("int3") };
            0
        });
        let fault = handler.take(FaultTag::DebugException);
        let reason = BreakpointType::from_word(fault.word(debug_exception::EXCEPTION_REASON));
        assert_eq!(reason, Some(BreakpointType::SoftwareBreakRequest));
    } else {
        raises!(env, 3, "int3");
    }
}

fn a_breakpoint_where_the_budget_ends_faults(env: &Env) {
    // The thread goes on behind the instruction, so that one without a message would be lost. Its budget ends in about
    // every tenth.
    const TIMES: u64 = 2_000;
    let handler = Handler::new(env);
    let thread = handler.spawn(env, || {
        for _ in 0..TIMES {
            // SAFETY: raises an exception, and goes on as if it had done nothing.
            unsafe { core::arch::asm!("int3") };
        }
        7
    });
    inv::sched_control_configure_flags(sched_control(), thread.sc, 50, 100, 0, 0, 0).expect("configure");
    let mut faults = 0;
    while !thread.has_returned() {
        if raw::nb_recv(handler.endpoint, handler.reply).badge == BADGE {
            faults += 1;
            answer(handler.reply, 0, &[]);
        }
    }
    assert_eq!((thread.join(), faults), (7, TIMES));
}

fn a_privileged_instruction_faults(env: &Env) {
    raises!(env, 13, "hlt");
    raises!(env, 13, "cli");
    raises!(env, 13, "mov rax, cr3", out("rax") _);
    raises!(env, 13, "wrmsr", in("ecx") 0x10, in("eax") 0, in("edx") 0);
    // Gates of the kernel are not for user level; the code says that it was one. (Emulators differ in its number.)
    let fault = raises!(env, 13, "int 0x20");
    assert_eq!(fault.word(ue::CODE) & 7, 2);
}

fn an_alignment_check_is_not_enabled(env: &Env) {
    let page = env.map(env.frame());
    let thread = env.spawn(HIGH, move || {
        let word: u64;
        // SAFETY: reads a mapped word at an odd address, with alignment checks asked for and taken back.
        unsafe {
            core::arch::asm!(
                "pushfq", "or qword ptr [rsp], 0x40000", "popfq",
                "mov {0}, [{1} + 1]",
                "pushfq", "and qword ptr [rsp], ~0x40000", "popfq",
                out(reg) word, in(reg) page.0,
            )
        };
        word
    });
    assert_eq!(thread.join(), 0);
}

fn an_answer_moves_the_instruction_pointer(env: &Env) {
    let handler = Handler::new(env);
    for (label, returned) in
        [(label!(conformance_undefined_after), 1), (label!(conformance_undefined_further), 2)]
    {
        let thread = undefined(env, &handler);
        handler.take(FaultTag::UserException);
        answer(handler.reply, 0, &[label]);
        assert_eq!(thread.join(), returned);
    }
    // Without words it does the same again.
    let thread = undefined(env, &handler);
    handler.take(FaultTag::UserException);
    answer(handler.reply, 0, &[]);
    let again = handler.take(FaultTag::UserException);
    assert_eq!(again.regs[ue::FAULT_IP], label!(conformance_undefined_at));
    assert!(!thread.has_returned());
}

fn an_answer_with_a_label_stops_the_thread(env: &Env) {
    let handler = Handler::new(env);
    let thread = undefined(env, &handler);
    handler.take(FaultTag::UserException);
    let after = label!(conformance_undefined_after);
    answer(handler.reply, 1, &[after]);
    assert!(!thread.has_returned(), "an answer with a label restarted the thread");
    assert_eq!(raw::nb_recv(handler.endpoint, handler.reply).badge, 0);
    // Its registers were set all the same, so resuming it goes on there.
    assert_eq!(thread.read().rip, after);
    inv::tcb_resume(thread.tcb).expect("resume");
    assert_eq!(thread.join(), 1);
}

fn an_answer_cannot_set_dangerous_flags(env: &Env) {
    let handler = Handler::new(env);
    let thread = undefined(env, &handler);
    handler.take(FaultTag::UserException);
    let (after, sp) = (label!(conformance_undefined_after), STACK_POINTER.load(Relaxed));
    // All flags but the one that traps after every instruction; the thread is stopped to be looked at.
    answer(handler.reply, 1, &[after, sp, !0x100]);
    let flags = thread.read().rflags;
    assert_eq!(flags & (1 << 9), 1 << 9);
    assert_eq!(flags & (3 << 12 | 1 << 14 | 1 << 17), 0, "flags {flags:#x}");
}

static AFTER_CALL: [AtomicU64; 16] = [const { AtomicU64::new(0) }; 16];

/// Starts a thread that makes an unknown system call and notes its registers after it.
fn unknown_call(env: &Env, handler: &Handler) -> Thread {
    handler.spawn(env, || {
        let mut out = [0; 16];
        // SAFETY: the function stores to `out`, and keeps the registers that functions keep if the handler leaves its
        // stack pointer alone.
        unsafe { conformance_unknown_call(&mut out) };
        for (place, word) in AFTER_CALL.iter().zip(out) {
            place.store(word, Relaxed);
        }
        1
    })
}

fn an_unknown_system_call_word_by_word(env: &Env) {
    let handler = Handler::new(env);
    unknown_call(env, &handler);
    let fault = handler.take(FaultTag::UnknownSyscall);
    let at = label!(conformance_unknown_call_at);
    check(&fault, FaultTag::UnknownSyscall.words(), |holds| match holds {
        Holds::Register(name) => match name {
            "rax" => Some(0xa0),
            "rbx" => Some(0xb0),
            // The processor puts the address after the instruction there.
            "rcx" => Some(at + 2),
            "rdx" => Some(-100i64 as u64),
            "rsi" => Some(0x51),
            "rdi" => Some(0xd1),
            "rbp" => Some(0xb9),
            "r8" => Some(8),
            "r9" => Some(9),
            "r10" => Some(0x10),
            "r11" => None,
            "r12" => Some(0x12),
            "r13" => Some(0x13),
            "r14" => Some(0x14),
            "r15" => Some(0x15),
            other => panic!("{other}"),
        },
        Holds::Instruction => Some(at),
        Holds::StackPointer => Some(STACK_POINTER.load(Relaxed)),
        Holds::Flags => None,
        Holds::SyscallNumber => Some(-100i64 as u64),
        other => panic!("{other:?}"),
    });
    let words: [u64; us::LENGTH] = words(&fault);
    // And the flags to r11.
    assert_eq!(words[us::R11], words[us::FLAGS]);
    assert_eq!(words[us::FLAGS] & (1 << 9), 1 << 9);
}

fn an_answer_sets_the_registers_of_an_unknown_call(env: &Env) {
    let handler = Handler::new(env);
    let thread = unknown_call(env, &handler);
    let fault = handler.take(FaultTag::UnknownSyscall);
    let mut words: [u64; us::LENGTH] = words(&fault);
    for (index, word) in words.iter_mut().enumerate().take(us::R15 + 1) {
        *word = 0x1000 + index as u64;
    }
    words[us::FAULT_IP] += 2;
    answer(handler.reply, 0, &words[..us::SYSCALL]);
    assert_eq!(thread.join(), 1);
    let after: [u64; 15] = core::array::from_fn(|i| AFTER_CALL[i].load(Relaxed));
    assert_eq!(after, core::array::from_fn(|i| 0x1000 + i as u64));
}

fn a_short_answer_sets_the_first_registers(env: &Env) {
    let handler = Handler::new(env);
    let thread = unknown_call(env, &handler);
    handler.take(FaultTag::UnknownSyscall);
    // rax and rbx only: the call is made again.
    answer(handler.reply, 0, &[1, 2]);
    let fault = handler.take(FaultTag::UnknownSyscall);
    let mut words: [u64; us::LENGTH] = words(&fault);
    assert_eq!(words[..2], [1, 2]);
    assert_eq!(words[us::RSI], 0x51);
    words[us::FAULT_IP] += 2;
    answer(handler.reply, 0, &words[..us::SYSCALL]);
    assert_eq!(thread.join(), 1);
}

fn numbers_without_a_system_call_fault(env: &Env) {
    let handler = Handler::new(env);
    for number in [0, 1, 100, -18, -20, -32, -34, -100, i64::MIN, i64::MAX, 1 << 32, -1 << 32] {
        assert!(Syscall::from_number(number).is_none());
        let thread = handler.spawn(env, move || {
            raw::any_syscall(number, 0, MessageInfo(0), [0; 4], 0, 0);
            0
        });
        let fault = handler.take(FaultTag::UnknownSyscall);
        assert_eq!(fault.word(us::SYSCALL) as i64, number);
        inv::tcb_suspend(thread.tcb).expect("suspend");
        env.reuse(thread);
    }
}

/// The words of a capability fault of a thread that does this.
fn capability_fault<const N: usize>(env: &Env, function: impl FnOnce() -> u64 + Send + 'static) -> [u64; N] {
    let handler = Handler::new(env);
    handler.spawn(env, function);
    let fault = handler.take(FaultTag::CapFault);
    // Two bytes of an instruction that makes a system call.
    // SAFETY: the address is that of an instruction of this program.
    assert_eq!(unsafe { (fault.word(cap_fault::IP) as *const [u8; 2]).read() }, [0x0f, 0x05]);
    lookup_failure(&fault)
}

/// The words of a capability fault, as many as the tables say of its lookup failure.
#[track_caller]
fn lookup_failure<const N: usize>(fault: &raw::Reply) -> [u64; N] {
    let kind = LookupFailureKind::from_word(fault.word(cap_fault::LOOKUP_FAILURE)).expect("a lookup failure");
    assert_eq!(N, FaultTag::CapFault.words().len() + kind.words().len(), "the table of {kind:?}");
    let failure = FaultTag::CapFault.words().iter().position(|holds| *holds == Holds::LookupFailure);
    assert_eq!(failure, Some(cap_fault::LOOKUP_FAILURE));
    words(fault)
}

/// An address that the guard of the root CNode does not match.
const OUTSIDE: u64 = 1 << 40;

fn a_capability_fault_while_sending_word_by_word(env: &Env) {
    let words: [u64; 7] = capability_fault(env, || {
        send(OUTSIDE, 0, &[]);
        0
    });
    let guard_bits = 64 - crate::start::boot_info().init_thread_cnode_size_bits;
    assert_eq!(words[1..], [OUTSIDE, 0, LookupFailureKind::GuardMismatch.word(), 64, 0, guard_bits]);
    let words: [u64; 7] = capability_fault(env, || call(OUTSIDE, 0, &[]).badge);
    assert_eq!(words[1..4], [OUTSIDE, 0, LookupFailureKind::GuardMismatch.word()]);
}

fn a_capability_fault_while_receiving_word_by_word(env: &Env) {
    let empty = env.slot();
    let words: [u64; 5] = capability_fault(env, move || raw::wait(empty).badge);
    assert_eq!(words[1..], [empty, 1, LookupFailureKind::MissingCapability.word(), 0]);
    let words: [u64; 5] = capability_fault(env, move || raw::nb_recv(empty, empty).badge);
    assert_eq!(words[1..], [empty, 1, LookupFailureKind::MissingCapability.word(), 0]);
}

/// A thread in a CSpace of its own: one CNode of 16 slots behind a guard that is given.
fn in_cspace(env: &Env, handler: &Handler, cnode: CPtr, guard: u64, function: impl FnOnce() -> u64 + Send + 'static) {
    let spaces = Spaces { cspace: cnode, guard, fault_ep: handler.badged, ..Spaces::own() };
    env.thread_with(HIGH, env.sched_context(10_000, 10_000), spaces).start(function);
}

fn a_guard_mismatch_word_by_word(env: &Env) {
    let (handler, cnode) = (Handler::new(env), env.cnode(4));
    in_cspace(env, &handler, cnode.cap, CNodeCapData::new(0x5, 60).0, || {
        send(0x63, 0, &[]);
        0
    });
    let words: [u64; 7] = lookup_failure(&handler.take(FaultTag::CapFault));
    assert_eq!(words[1..], [0x63, 0, LookupFailureKind::GuardMismatch.word(), 64, 0x5, 60]);
}

fn a_depth_mismatch_word_by_word(env: &Env) {
    // The second CNode wants five bits, and three are left.
    let (handler, top, inner) = (Handler::new(env), env.cnode(4), env.cnode(5));
    inv::cnode_copy(top.cap, 1, 4, ROOT, inner.cap, DEPTH, CapRights::ALL).expect("copy");
    in_cspace(env, &handler, top.cap, CNodeCapData::new(0, 57).0, || {
        send(1 << 3, 0, &[]);
        0
    });
    let words: [u64; 6] = lookup_failure(&handler.take(FaultTag::CapFault));
    assert_eq!(words[1..], [1 << 3, 0, LookupFailureKind::DepthMismatch.word(), 3, 5]);
}

fn a_missing_cspace_word_by_word(env: &Env) {
    let (handler, cnode) = (Handler::new(env), env.retype_cnode(4));
    let go = env.notification();
    inv::cnode_copy(cnode, 2, 4, ROOT, go, DEPTH, CapRights::ALL).expect("copy");
    in_cspace(env, &handler, cnode, CNodeCapData::new(0, 60).0, || {
        raw::wait(2);
        send(3, 0, &[]);
        0
    });
    crate::env::revoke(cnode).expect("revoke");
    delete(cnode).expect("delete");
    crate::env::signal(go);
    let words: [u64; 4] = lookup_failure(&handler.take(FaultTag::CapFault));
    assert_eq!(words[1..], [3, 0, LookupFailureKind::InvalidRoot.word()]);
}

fn a_capability_fault_is_restarted_by_an_answer(env: &Env) {
    let (handler, endpoint, later) = (Handler::new(env), env.endpoint(), env.slot());
    let badged = env.mint(endpoint, 0x1a7e);
    let thread = handler.spawn(env, move || raw::wait(later).badge);
    handler.take(FaultTag::CapFault);
    crate::env::copy(later, endpoint, CapRights::ALL).expect("copy");
    answer(handler.reply, 0, &[]);
    send(badged, 0, &[]);
    assert_eq!(thread.join(), 0x1a7e);
}

fn non_blocking_sends_do_not_fault(env: &Env) {
    let thread = env.spawn(HIGH, || {
        raw::nb_send(OUTSIDE, info(0, &[], &[1]), registers(&[1]));
        3
    });
    assert_eq!(thread.join(), 3);
}

fn a_fault_without_a_handler_stops_the_thread(env: &Env) {
    let thread = env.spawn_faulting(HIGH, 0, || {
        // SAFETY: faults, and is not restarted.
        unsafe { conformance_undefined() }
    });
    assert!(!thread.has_returned());
    assert_eq!(thread.read().rip, label!(conformance_undefined_at));
    // It is stopped, not gone.
    thread.start(|| 4);
    assert_eq!(thread.join(), 4);
}

fn a_fault_to_a_deleted_handler_stops_the_thread(env: &Env) {
    let (handler, go) = (Handler::new(env), env.notification());
    let thread = handler.spawn(env, move || {
        raw::wait(go);
        // SAFETY: faults, and is not restarted.
        unsafe { conformance_undefined() }
    });
    crate::env::revoke(handler.endpoint).expect("revoke");
    delete(handler.endpoint).expect("delete");
    crate::env::signal(go);
    assert!(!thread.has_returned());
    thread.start(|| 5);
    assert_eq!(thread.join(), 5);
}

fn a_faulting_thread_waits_in_the_queue(env: &Env) {
    let handler = Handler::new(env);
    let threads = [undefined(env, &handler), undefined(env, &handler)];
    let after = label!(conformance_undefined_after);
    for thread in threads {
        handler.take(FaultTag::UserException);
        answer(handler.reply, 0, &[after]);
        assert_eq!(thread.join(), 1);
    }
}

fn a_handler_of_a_lower_priority_serves_later(env: &Env) {
    let handler = Handler::new(env);
    let (endpoint, reply, after) = (handler.endpoint, handler.reply, label!(conformance_undefined_after));
    env.spawn(LOW, move || {
        raw::recv(endpoint, reply);
        answer(reply, 0, &[after]);
        0
    });
    let thread = undefined(env, &handler);
    assert!(!thread.has_returned());
    assert_eq!(thread.join(), 1);
}

fn a_fault_is_answered_through_a_passive_handler(env: &Env) {
    let handler = Handler::new(env);
    let (endpoint, reply, after) = (handler.endpoint, handler.reply, label!(conformance_undefined_after));
    let server = env.spawn(HIGH, move || {
        raw::recv(endpoint, reply);
        loop {
            raw::reply_recv(endpoint, info(0, &[], &[after]), registers(&[after]), reply);
        }
    });
    inv::sched_context_unbind(server.sc).expect("unbind");
    for _ in 0..3 {
        let thread = undefined(env, &handler);
        assert_eq!(thread.join(), 1, "the handler runs on the faulting thread's time");
    }
}

fn suspending_a_faulted_thread_takes_its_fault_back(env: &Env) {
    let handler = Handler::new(env);
    let thread = undefined(env, &handler);
    inv::tcb_suspend(thread.tcb).expect("suspend");
    assert_eq!(raw::nb_recv(handler.endpoint, handler.reply).badge, 0, "the fault is still there");
    inv::tcb_resume(thread.tcb).expect("resume");
    handler.take(FaultTag::UserException);
    // What it sends next is a message, not its fault.
    inv::tcb_suspend(thread.tcb).expect("suspend");
    let (endpoint, reply) = (env.endpoint(), env.reply());
    let registers = thread.registers(move || {
        send(endpoint, 99, &[6]);
        0
    });
    inv::tcb_write_registers(thread.tcb, true, 0, UserContext::WORDS as u64, &registers).expect("write registers");
    let message = raw::nb_recv(endpoint, reply);
    assert_eq!((message.info.label(), message.regs[0]), (99, 6), "label and word");
}

fn the_badge_of_the_handler_arrives(env: &Env) {
    let (endpoint, reply) = (env.endpoint(), env.reply());
    for badge in [1, u64::MAX] {
        let fault_ep = env.mint(endpoint, badge);
        // SAFETY: faults, and is not restarted.
        env.spawn_faulting(HIGH, fault_ep, || unsafe { conformance_undefined() });
        assert_eq!(raw::nb_recv(endpoint, reply).badge, badge);
    }
}
