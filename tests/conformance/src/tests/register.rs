//! The registers of threads, kept from one another: general ones, vector and floating-point state, TLS.

use core::arch::asm;

use pecan::raw::{self, invocations as inv};
use pecan_abi::{UserContext, constants::tcb_flag};

use crate::{
    Env,
    env::{HIGH, LOW, TEST, poll, signal},
    machine,
    thread::Thread,
};

tests! {
    general_registers_survive_preemption;
    vector_registers_survive_switches;
    vector_registers_survive_preemption;
    wide_vector_registers_survive_switches;
    the_x87_state_survives_switches;
    what_the_x87_unit_did_last_is_not_seen_by_others;
    control_words_survive_switches;
    a_new_thread_has_clean_vector_registers;
    vector_registers_survive_system_calls;
    segment_bases_survive_switches;
    a_segment_base_that_processors_refuse_harms_nobody;
    flags_survive_system_calls;
    registers_survive_a_send: TcbReadRegisters / NoError;
    vector_registers_are_kept_apart_in_messages_of_every_mix;
    a_disabled_vector_unit_keeps_its_registers: TcbSetFlags / NoError;
    a_thread_disables_its_own_vector_unit: TcbSetFlags / NoError;
    one_threads_flags_are_not_anothers: TcbSetFlags / NoError;
}

/// Loads the general registers from a seed, loops a while, and checks that they are what they were.
fn general_registers_hold(seed: u64, rounds: u64) -> bool {
    let wrong: u64;
    // SAFETY: only registers are used; rbx and rbp are saved and restored.
    unsafe {
        asm!(
            "push rbx", "push rbp",
            "mov rbx, rax", "mov rdx, rax", "mov rsi, rax", "mov rdi, rax", "mov rbp, rax", "mov r8, rax",
            "mov r9, rax", "mov r10, rax", "mov r11, rax", "mov r12, rax", "mov r13, rax", "mov r14, rax",
            "not r14", "not r8", "not rbp",
            "2:", "dec rcx", "jnz 2b",
            "not r14", "not r8", "not rbp",
            "xor r15, r15",
            "xor rbx, rax", "or r15, rbx", "xor rdx, rax", "or r15, rdx", "xor rsi, rax", "or r15, rsi",
            "xor rdi, rax", "or r15, rdi", "xor rbp, rax", "or r15, rbp", "xor r8, rax", "or r15, r8",
            "xor r9, rax", "or r15, r9", "xor r10, rax", "or r15, r10", "xor r11, rax", "or r15, r11",
            "xor r12, rax", "or r15, r12", "xor r13, rax", "or r15, r13", "xor r14, rax", "or r15, r14",
            "pop rbp", "pop rbx",
            inout("rax") seed => _, inout("rcx") rounds => _, out("rdx") _, out("rsi") _, out("rdi") _,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _, out("r12") _, out("r13") _, out("r14") _,
            out("r15") wrong,
        )
    };
    wrong == 0
}

fn general_registers_survive_preemption(env: &Env) {
    // Slices of a millisecond, and loops of many.
    let threads: [Thread; 3] = core::array::from_fn(|index| {
        let thread = env.thread_with(LOW, env.sched_context(1_000, 1_000), crate::thread::Spaces::own());
        thread.start(move || u64::from(general_registers_hold(0x1234_5678_9abc_def0 * (index as u64 + 1), 2_000_000)));
        thread
    });
    assert_eq!(threads.map(Thread::join), [1; 3]);
}

/// Loads the vector registers, does something else, and checks them.
fn vector_registers_hold(seed: u64, between: impl FnOnce()) -> bool {
    // SAFETY: the compiler uses no vector registers for this target.
    unsafe {
        asm!(
            "movq xmm0, {0}", "movq xmm1, {0}", "movq xmm7, {0}", "movq xmm8, {0}", "movq xmm15, {0}",
            "punpcklqdq xmm15, xmm15",
            in(reg) seed,
        );
    }
    between();
    let (a, b, c, d, e, f): (u64, u64, u64, u64, u64, u64);
    // SAFETY: as above.
    unsafe {
        asm!(
            "movq {0}, xmm0", "movq {1}, xmm1", "movq {2}, xmm7", "movq {3}, xmm8", "movq {4}, xmm15",
            "psrldq xmm15, 8", "movq {5}, xmm15",
            out(reg) a, out(reg) b, out(reg) c, out(reg) d, out(reg) e, out(reg) f,
        );
    }
    [a, b, c, d, e, f] == [seed; 6]
}

fn vector_registers_survive_switches(env: &Env) {
    let threads: [Thread; 3] = core::array::from_fn(|index| {
        env.spawn(TEST, move || {
            let seed = 0x0101_0101_0101_0101 * (index as u64 + 1);
            u64::from((0..20).all(|round| vector_registers_hold(seed + round, raw::yield_now)))
        })
    });
    assert!((0..20).all(|round| vector_registers_hold(0xeeee_0000 + round, raw::yield_now)));
    assert_eq!(threads.map(Thread::join), [1; 3]);
}

fn vector_registers_survive_preemption(env: &Env) {
    let threads: [Thread; 3] = core::array::from_fn(|index| {
        let thread = env.thread_with(LOW, env.sched_context(1_000, 1_000), crate::thread::Spaces::own());
        thread.start(move || u64::from(vector_registers_hold(index as u64 + 77, || machine::spin(10_000))));
        thread
    });
    assert_eq!(threads.map(Thread::join), [1; 3]);
}

/// Whether the processor and the kernel have the 256-bit registers.
fn has_avx() -> bool {
    let ecx: u32;
    // SAFETY: cpuid is there on every x86_64 processor; rbx is kept.
    unsafe {
        asm!("push rbx", "cpuid", "pop rbx", inout("eax") 1 => _, inout("ecx") 0 => ecx, out("edx") _);
    }
    let osxsave_and_avx = 1 << 27 | 1 << 28;
    if ecx & osxsave_and_avx != osxsave_and_avx {
        return false;
    }
    let enabled: u32;
    // SAFETY: the kernel has turned the instruction on, as cpuid says.
    unsafe { asm!("xgetbv", in("ecx") 0, out("eax") enabled, out("edx") _) };
    enabled & 6 == 6
}

fn wide_vector_registers_survive_switches(env: &Env) {
    if !has_avx() {
        // Without them there is nothing to keep; using them is an undefined instruction.
        return;
    }
    let hold = |seed: u64| {
        let (low, high): (u64, u64);
        // SAFETY: the compiler uses no vector registers for this target; the processor has these.
        unsafe {
            asm!("vmovq xmm9, {0}", "vinsertf128 ymm9, ymm9, xmm9, 1", in(reg) seed);
            raw::yield_now();
            asm!("vmovq {0}, xmm9", "vextractf128 xmm9, ymm9, 1", "vmovq {1}, xmm9", out(reg) low, out(reg) high);
        }
        (low, high) == (seed, seed)
    };
    let threads: [Thread; 2] = core::array::from_fn(|index| {
        env.spawn(TEST, move || u64::from((0..10).all(|round| hold(round * 7 + index as u64))))
    });
    assert!((0..10).all(|round| hold(0xffff_0000 + round)));
    assert_eq!(threads.map(Thread::join), [1; 2]);
}

fn the_x87_state_survives_switches(env: &Env) {
    let hold = |number: u64| {
        let mut back = 0u64;
        // SAFETY: the compiler uses no x87 registers for this target; the stack is left as it was.
        unsafe {
            asm!("fninit", "fild qword ptr [{0}]", in(reg) &number);
            raw::yield_now();
            asm!("fistp qword ptr [{0}]", in(reg) &mut back);
        }
        back == number
    };
    let threads: [Thread; 2] = core::array::from_fn(|index| {
        env.spawn(TEST, move || u64::from((0..10).all(|round| hold(round * 1001 + index as u64))))
    });
    assert!((0..10).all(|round| hold(5_000_000_000 + round)));
    assert_eq!(threads.map(Thread::join), [1; 2]);
}

/// Loads and stores a number; returns where the second of these instructions is.
fn use_x87(number: &mut u64) -> u32 {
    let at: u64;
    // SAFETY: the compiler uses no x87 registers for this target; the stack is left as it was.
    unsafe {
        asm!("lea {0}, [rip + 2f]", "fild qword ptr [{1}]", "2: fistp qword ptr [{1}]", out(reg) at, in(reg) number);
    }
    at as u32
}

/// Where the last x87 instruction was (the lower half), and what it worked on (the upper one): 32 bits of either, as far as
/// the processor remembers.
fn x87_pointers() -> u64 {
    let mut environment = [0u32; 7];
    // SAFETY: the environment has 28 bytes. All exceptions are masked then, as they are anyway.
    unsafe { asm!("fnstenv [{0}]", in(reg) &mut environment) };
    u64::from(environment[5]) << 32 | u64::from(environment[3])
}

fn what_the_x87_unit_did_last_is_not_seen_by_others(env: &Env) {
    if machine::is_tcg() {
        // The kernel does nothing about it there. This test is run again on a processor that does not say that it is QEMU's.
        return;
    }
    let go = env.notification();
    // One that has used other registers of the unit, and one that is new.
    let older = env.spawn(HIGH, move || {
        set_vector(1);
        raw::wait(go);
        x87_pointers()
    });
    let mut number = 7;
    let operand = &raw const number as u32;
    let mut seen_by = |next: &dyn Fn() -> Thread| {
        let instruction = use_x87(&mut number);
        assert_eq!(x87_pointers() as u32, instruction, "the processor remembers no instruction: nothing is tested");
        let thread = next();
        let seen = thread.join();
        assert_ne!(seen as u32, instruction, "the address of another thread's instruction");
        assert_ne!((seen >> 32) as u32, operand, "the address of another thread's operand");
    };
    seen_by(&|| {
        signal(go);
        older
    });
    seen_by(&|| env.spawn(HIGH, x87_pointers));
}

fn control_words_survive_switches(env: &Env) {
    // Rounding modes of both units, different in each thread.
    let hold = |mode: u32| {
        let (mxcsr, control) = (0x1f80 | mode << 13, 0x037f | (mode as u16) << 10);
        let (mut mxcsr_now, mut control_now) = (0u32, 0u16);
        // SAFETY: only rounding modes are changed, and put back; the compiler emits no floating-point code here.
        unsafe {
            asm!("ldmxcsr [{0}]", "fldcw word ptr [{1}]", in(reg) &mxcsr, in(reg) &control);
            raw::yield_now();
            asm!("stmxcsr [{0}]", "fnstcw word ptr [{1}]", in(reg) &mut mxcsr_now, in(reg) &mut control_now);
            asm!("ldmxcsr [{0}]", "fldcw word ptr [{1}]", in(reg) &0x1f80u32, in(reg) &0x037fu16);
        }
        (mxcsr_now & 0x6000, control_now & 0xc00) == (mxcsr & 0x6000, control & 0xc00)
    };
    let threads: [Thread; 3] =
        core::array::from_fn(|index| env.spawn(TEST, move || u64::from((0..5).all(|_| hold(index as u32 + 1)))));
    assert!((0..5).all(|_| hold(0)));
    assert_eq!(threads.map(Thread::join), [1; 3]);
}

fn a_new_thread_has_clean_vector_registers(env: &Env) {
    // What we leave in the registers must not be seen by a thread that starts.
    assert!(vector_registers_hold(0x5ec2e7, || {
        let thread = env.spawn(HIGH, || {
            let (low, mut mxcsr, mut control): (u64, u32, u16);
            (mxcsr, control) = (0, 0);
            // SAFETY: reads registers.
            unsafe {
                asm!("movq {0}, xmm7", "stmxcsr [{1}]", "fnstcw word ptr [{2}]",
                    out(reg) low, in(reg) &mut mxcsr, in(reg) &mut control);
            }
            u64::from(low == 0 && mxcsr == 0x1f80 && control & 0x3f == 0x3f)
        });
        assert_eq!(thread.join(), 1, "a new thread saw registers of another");
    }));
}

fn vector_registers_survive_system_calls(env: &Env) {
    let endpoint = env.endpoint();
    assert!(vector_registers_hold(0xabcdef, || {
        for _ in 0..10 {
            crate::env::copy(env.slot(), endpoint, pecan_abi::CapRights::ALL).expect("copy");
        }
    }));
}

fn segment_bases_survive_switches(env: &Env) {
    // The TLS base of each thread is its block: were one thread's seen by another, nothing would work. Look at it
    // all the same, in the middle of switches.
    let threads: [Thread; 4] = core::array::from_fn(|_| {
        env.spawn(TEST, || {
            let own = raw::ThreadBlock::current() as *const _ as u64;
            u64::from((0..20).all(|_| {
                raw::yield_now();
                raw::ThreadBlock::current() as *const _ as u64 == own
            }))
        })
    });
    for thread in &threads {
        assert_eq!(thread.read().fs_base, crate::start::Memory::of(thread.index).tls_base());
    }
    assert_eq!(threads.map(Thread::join), [1; 4]);
}

fn a_segment_base_that_processors_refuse_harms_nobody(env: &Env) {
    const BASE: u64 = 1 << 63 | 0x1000;
    let (go, faults) = (env.notification(), env.endpoint());
    let thread = env.spawn_faulting(HIGH, faults, move || {
        let base: u64;
        // SAFETY: nothing here uses the segment.
        unsafe { asm!("wrgsbase {}", in(reg) BASE, options(nomem, nostack, preserves_flags)) };
        raw::wait(go);
        // SAFETY: reads a register, and sets it to what it was.
        unsafe {
            asm!("rdgsbase {0}", "wrgsbase {1}", out(reg) base, in(reg) 0_u64, options(nomem, nostack, preserves_flags))
        };
        base
    });
    // Processors raise an exception (SDM vol. 2, WRFSBASE/WRGSBASE), which nobody takes here; QEMU 7.2 takes any base.
    signal(go);
    assert!(!thread.has_returned() || thread.join() == BASE);
    // The kernel reads the base of who runs, here and when it is switched to another one.
    segment_bases_survive_switches(env);
}

fn flags_survive_system_calls(_: &Env) {
    let flags: u64;
    // SAFETY: sets the direction flag for the time of a system call (a yield) and clears it again; the registers that
    // the call changes are named.
    unsafe {
        asm!(
            "push rbx", "mov rbx, rsp", "std", "stc", "syscall", "pushfq", "cld", "pop {0}", "mov rsp, rbx", "pop rbx",
            out(reg) flags, in("rdx") pecan_abi::Syscall::Yield.number(),
            out("rcx") _, out("r11") _,
        );
    }
    assert_eq!(flags & 0x401, 0x401, "flags {flags:#x}: direction and carry were set");
}

fn registers_survive_a_send(env: &Env) {
    let (notification, go) = (env.notification(), env.notification());
    let badged = env.mint(notification, 1);
    let thread = env.spawn(HIGH, move || {
        signal(badged);
        raw::wait(go).badge
    });
    assert_eq!(poll(notification), 1);
    let before = thread.read();
    let again = inv::tcb_read_registers(thread.tcb, false, 0, UserContext::WORDS as u64).expect("read registers");
    assert_eq!(before, again, "reading registers changes them");
    // Of a thread in a system call, the instruction pointer is that of the call, which would be made again.
    // SAFETY: an instruction of this program.
    assert_eq!(unsafe { (before.rip as *const [u8; 2]).read() }, [0x0f, 0x05]);
    signal(go);
    thread.join();
}

fn set_vector(word: u64) {
    // SAFETY: a vector register, which the compiler does not use here.
    unsafe { asm!("movq xmm7, {0}", in(reg) word) };
}

fn vector() -> u64 {
    let word;
    // SAFETY: as in `set_vector`.
    unsafe { asm!("movq {0}, xmm7", out(reg) word) };
    word
}

/// Exception 7: there is no vector unit.
const NO_UNIT: (u64, u64) = (3, 7);

fn a_disabled_vector_unit_keeps_its_registers(env: &Env) {
    let (notification, fault_ep, reply) = (env.notification(), env.endpoint(), env.reply());
    let thread = env.spawn_faulting(HIGH, fault_ep, move || {
        set_vector(0x77);
        raw::wait(notification);
        vector()
    });
    // While it has the unit, and while another has used it since.
    for used in [1, 2, 3] {
        assert_eq!(inv::tcb_set_flags(thread.tcb, 0, tcb_flag::FPU_DISABLED), Ok(tcb_flag::FPU_DISABLED));
        set_vector(used);
        assert_eq!(inv::tcb_set_flags(thread.tcb, tcb_flag::FPU_DISABLED, 0), Ok(0));
        assert_eq!(vector(), used, "the registers of another thread");
    }
    inv::tcb_set_flags(thread.tcb, 0, tcb_flag::FPU_DISABLED).expect("set flags");
    signal(notification);
    let fault = raw::nb_recv(fault_ep, reply);
    assert_eq!((fault.info.label(), fault.regs[3]), NO_UNIT);
    inv::tcb_set_flags(thread.tcb, tcb_flag::FPU_DISABLED, 0).expect("set flags");
    crate::env::answer(reply, 0, &[]);
    assert_eq!(thread.join(), 0x77);
}

fn a_thread_disables_its_own_vector_unit(env: &Env) {
    let (fault_ep, reply) = (env.endpoint(), env.reply());
    let thread = env.spawn_faulting(HIGH, fault_ep, || {
        let tcb = raw::ThreadBlock::current().tcb;
        set_vector(0x78);
        inv::tcb_set_flags(tcb, 0, tcb_flag::FPU_DISABLED).expect("set flags");
        vector()
    });
    let fault = raw::nb_recv(fault_ep, reply);
    assert_eq!((fault.info.label(), fault.regs[3]), NO_UNIT, "it takes effect at once");
    set_vector(9);
    inv::tcb_set_flags(thread.tcb, tcb_flag::FPU_DISABLED, 0).expect("set flags");
    crate::env::answer(reply, 0, &[]);
    assert_eq!((thread.join(), vector()), (0x78, 9));
}

fn one_threads_flags_are_not_anothers(env: &Env) {
    let (with, without) = (env.thread(HIGH), env.thread(HIGH));
    inv::tcb_set_flags(without.tcb, 0, tcb_flag::FPU_DISABLED).expect("set flags");
    assert_eq!(inv::tcb_set_flags(with.tcb, 0, 0), Ok(tcb_flag::NONE));
    // They stay when registers are written, and when the thread is configured anew.
    without.start(|| 1);
    without.configure(crate::thread::Spaces::own(), HIGH);
    assert_eq!(inv::tcb_set_flags(without.tcb, 0, 0), Ok(tcb_flag::FPU_DISABLED));
    with.start(|| {
        set_vector(5);
        vector()
    });
    assert_eq!(with.join(), 5);
}

/// A client calls a server, and signals it, with messages that take each form of the fast path. Either may be without the
/// vector unit: then its first use of it faults, whoever had it before.
fn vector_registers_are_kept_apart_in_messages_of_every_mix(env: &Env) {
    const WORDS: [usize; 4] = [0, 3, 5, 40];
    let mixes = [(false, false), (false, true), (true, false), (true, true)];
    env.rounds(mixes, |env, (client_off, server_off)| {
        let (endpoint, reply) = (env.endpoint(), env.reply());
        let (fault_ep, fault_reply) = (env.endpoint(), env.reply());
        let rounds = 3 * WORDS.len() as u64;
        let keeps = |off: bool, word: u64| off || vector() == word;
        let server = env.spawn_faulting(HIGH, fault_ep, move || {
            if !server_off {
                set_vector(0x5e);
            }
            let mut kept = true;
            let mut got = raw::recv(endpoint, reply);
            for _ in 1..rounds {
                kept &= keeps(server_off, 0x5e);
                got = raw::reply_recv(endpoint, got.info, got.regs, reply);
            }
            crate::env::answer(reply, 0, &[]);
            if server_off {
                // The fault is what is to come of it.
                vector();
            }
            u64::from(kept && keeps(server_off, 0x5e))
        });
        let off = |off: bool, thread: Thread| {
            let (clear, set) = if off { (0, tcb_flag::FPU_DISABLED) } else { (tcb_flag::FPU_DISABLED, 0) };
            inv::tcb_set_flags(thread.tcb, clear, set).expect("set flags");
        };
        off(server_off, server);
        // It lends its time.
        inv::sched_context_unbind(server.sc).expect("unbind");
        let client = env.thread_with(
            crate::env::MIDDLE,
            env.sched_context(10_000, 10_000),
            crate::thread::Spaces { fault_ep, ..crate::thread::Spaces::own() },
        );
        off(client_off, client);
        client.start(move || {
            if !client_off {
                set_vector(0xc1);
            }
            let mut kept = true;
            for round in 0..rounds as usize {
                let words = [round as u64; 40];
                crate::env::call(endpoint, 0, &words[..WORDS[round % WORDS.len()]]);
                kept &= keeps(client_off, 0xc1);
            }
            if client_off {
                vector();
            }
            u64::from(kept)
        });
        // The server goes on where it has answered the last call.
        inv::sched_context_bind(server.sc, server.tcb).expect("bind");
        for _ in 0..u8::from(client_off) + u8::from(server_off) {
            let fault = raw::nb_recv(fault_ep, fault_reply);
            assert_eq!((fault.info.label(), fault.regs[3]), NO_UNIT, "{client_off} {server_off}");
            // Whichever of them it was.
            off(false, client);
            off(false, server);
            crate::env::answer(fault_reply, 0, &[]);
        }
        assert_eq!([client, server].map(Thread::join), [1; 2], "{client_off} {server_off}");
    });
}
