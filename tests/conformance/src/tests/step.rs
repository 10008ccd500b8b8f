//! Single-stepping, in configurations that have it.

use core::arch::{asm, global_asm};

use pecan::{
    UserContext,
    raw::{self, invocations as inv},
};
use pecan_abi::fault::{FaultTag, debug_exception as de};

use super::breakpoint::*;
use crate::{
    Env,
    env::{HIGH, answer},
};

tests! {
    single_steps_word_by_word: TcbConfigureSingleStepping / NoError;
    several_instructions_make_a_step;
    an_answer_changes_the_length_of_steps;
    an_empty_answer_keeps_the_length_of_steps;
    an_answer_of_zero_ends_stepping;
    stepping_is_ended_by_the_invocation;
    steps_go_over_system_calls;
    steps_outlive_what_the_thread_does_to_its_flags;
    steps_outlive_written_registers;
    steps_of_one_thread_are_not_those_of_another;
    breakpoints_on_instructions_stop_while_stepping;
    a_write_that_is_watched_and_stepped;
    no_step_is_lost_when_budget_ends;
}

global_asm!(
    // fn() -> u64: a system call in the middle.
    ".globl breakpoint_call_0",
    "breakpoint_call_0: push rbx",
    "mov rdx, -11",
    "mov rbx, rsp",
    ".globl breakpoint_call_3",
    "breakpoint_call_3: syscall",
    ".globl breakpoint_call_4",
    "breakpoint_call_4: mov rsp, rbx",
    "pop rbx",
    "mov eax, 7",
    ".globl breakpoint_call_7",
    "breakpoint_call_7: ret",
    // fn() -> u64: tries to end being stepped, by its flags.
    ".globl breakpoint_flags_0",
    "breakpoint_flags_0: pushfq",
    "and qword ptr [rsp], ~0x100",
    "popfq",
    "mov eax, 9",
    ".globl breakpoint_flags_4",
    "breakpoint_flags_4: ret",
);

unsafe extern "C" {
    fn breakpoint_call_0() -> u64;
    static breakpoint_call_3: u8;
    static breakpoint_call_4: u8;
    static breakpoint_call_7: u8;
    fn breakpoint_flags_0() -> u64;
    static breakpoint_flags_4: u8;
}

fn single_steps_word_by_word(env: &Env) {
    let debuggee = Debuggee::new(env);
    debuggee.start_at_function();
    debuggee.step(1);
    for index in 1..=5 {
        debuggee.go();
        let words = debuggee.take();
        assert_eq!((words[de::FAULT_IP], words[de::EXCEPTION_REASON]), (at(index), STEP));
        let _: [u64; de::STEP_LENGTH] = words;
    }
    debuggee.step(0);
    debuggee.finish(3);
}

fn several_instructions_make_a_step(env: &Env) {
    let debuggee = Debuggee::new(env);
    debuggee.start_at_function();
    debuggee.step(2);
    for index in [2, 4] {
        debuggee.go();
        debuggee.stepped_to(at(index));
    }
    debuggee.step(u64::MAX);
    debuggee.finish(3);
}

fn an_answer_changes_the_length_of_steps(env: &Env) {
    let debuggee = Debuggee::new(env);
    debuggee.start_at_function();
    debuggee.step(1);
    debuggee.go();
    debuggee.stepped_to(at(1));
    answer(debuggee.reply, 0, &[3]);
    debuggee.stepped_to(at(4));
    answer(debuggee.reply, 0, &[1]);
    debuggee.stepped_to(at(5));
    answer(debuggee.reply, 0, &[0]);
    assert_eq!(debuggee.thread.join(), 3);
}

fn an_empty_answer_keeps_the_length_of_steps(env: &Env) {
    let debuggee = Debuggee::new(env);
    debuggee.start_at_function();
    debuggee.step(2);
    debuggee.go();
    debuggee.stepped_to(at(2));
    answer(debuggee.reply, 0, &[]);
    debuggee.stepped_to(at(4));
    debuggee.step(0);
    debuggee.finish(3);
}

fn an_answer_of_zero_ends_stepping(env: &Env) {
    let debuggee = Debuggee::new(env);
    debuggee.start_at_function();
    debuggee.step(1);
    debuggee.go();
    debuggee.stepped_to(at(1));
    answer(debuggee.reply, 0, &[0]);
    assert!(debuggee.thread.has_returned());
    assert_eq!(debuggee.thread.read().rflags & 0x100, 0);
}

fn stepping_is_ended_by_the_invocation(env: &Env) {
    let debuggee = Debuggee::new(env);
    debuggee.start_at_function();
    debuggee.step(1);
    debuggee.step(0);
    debuggee.finish(3);
}

fn steps_go_over_system_calls(env: &Env) {
    let debuggee = Debuggee::new(env);
    debuggee.set(0, breakpoint_call_0 as *const () as u64, INSTRUCTION, 0, READ);
    // SAFETY: the function is one of this ABI.
    debuggee.thread.start(|| unsafe { breakpoint_call_0() });
    debuggee.take::<4>();
    debuggee.step(3);
    debuggee.go();
    debuggee.stepped_to(&raw const breakpoint_call_3 as u64);
    answer(debuggee.reply, 0, &[1]);
    debuggee.stepped_to(&raw const breakpoint_call_4 as u64);
    answer(debuggee.reply, 0, &[3]);
    debuggee.stepped_to(&raw const breakpoint_call_7 as u64);
    answer(debuggee.reply, 0, &[0]);
    assert_eq!(debuggee.thread.join(), 7);
}

fn steps_outlive_what_the_thread_does_to_its_flags(env: &Env) {
    let debuggee = Debuggee::new(env);
    debuggee.set(0, breakpoint_flags_0 as *const () as u64, INSTRUCTION, 0, READ);
    // SAFETY: the function is one of this ABI.
    debuggee.thread.start(|| unsafe { breakpoint_flags_0() });
    debuggee.take::<4>();
    debuggee.step(4);
    debuggee.go();
    debuggee.stepped_to(&raw const breakpoint_flags_4 as u64);
    debuggee.step(0);
    debuggee.finish(9);
}

fn steps_outlive_written_registers(env: &Env) {
    let debuggee = Debuggee::new(env);
    debuggee.start_at_function();
    debuggee.step(1);
    let registers = UserContext { rip: at(1), rflags: 0x202, rax: 40, ..debuggee.thread.read() };
    let count = UserContext::WORDS as u64;
    inv::tcb_write_registers(debuggee.thread.tcb, true, 0, count, &registers).expect("write registers");
    debuggee.stepped_to(at(2));
    debuggee.step(0);
    debuggee.finish(43);
}

fn steps_of_one_thread_are_not_those_of_another(env: &Env) {
    let (a, b) = (Debuggee::new(env), Debuggee::new(env));
    a.start_at_function();
    b.start_at_function();
    a.step(1);
    b.step(2);
    for index in 1..=2 {
        a.go();
        b.go();
        a.stepped_to(at(index));
        b.stepped_to(at(2 * index));
        assert_eq!(run(1), 3);
    }
    for debuggee in [a, b] {
        debuggee.step(0);
        debuggee.finish(3);
    }
}

fn breakpoints_on_instructions_stop_while_stepping(env: &Env) {
    let debuggee = Debuggee::new(env);
    debuggee.start_at_function();
    debuggee.set_instruction(0, 2);
    debuggee.step(1);
    debuggee.go();
    debuggee.stepped_to(at(1));
    debuggee.go();
    // The step is over, and the instruction has not begun: two faults, or the breakpoint where both come as one.
    let mut fault = raw::nb_recv(debuggee.endpoint, debuggee.reply);
    if fault.word(de::EXCEPTION_REASON) == STEP {
        assert_eq!(fault.word(de::FAULT_IP), at(2));
        debuggee.go();
        fault = raw::nb_recv(debuggee.endpoint, debuggee.reply);
    }
    assert_eq!((fault.word(de::FAULT_IP), fault.word(de::EXCEPTION_REASON)), (at(2), INSTRUCTION));
    debuggee.go();
    debuggee.stepped_to(at(3));
    debuggee.step(0);
    debuggee.finish(3);
}

fn a_write_that_is_watched_and_stepped(env: &Env) {
    let debuggee = Debuggee::new(env);
    debuggee.start_at_function();
    debuggee.set(0, word_address(0), DATA, 4, WRITE);
    debuggee.step(1);
    for index in 1..=2 {
        debuggee.go();
        debuggee.stepped_to(at(index));
    }
    debuggee.go();
    // Processors tell of the breakpoint. On an emulator that cannot tell of both at once it is the step.
    let fault = raw::nb_recv(debuggee.endpoint, debuggee.reply);
    assert_eq!((fault.info.label(), fault.word(de::FAULT_IP)), (FaultTag::DebugException.word(), at(3)));
    assert!([DATA, STEP].contains(&fault.word(de::EXCEPTION_REASON)));
    debuggee.step(0);
    debuggee.finish(3);
    // Not stepped, it is the breakpoint again.
    let other = Debuggee::new(env);
    other.set(0, word_address(0), DATA, 4, WRITE);
    other.step(1);
    other.step(0);
    other.thread.start(|| run(0));
    assert_eq!(other.take(), [at(3), DATA, word_address(0), 0]);
    other.finish(3);
}

fn no_step_is_lost_when_budget_ends(env: &Env) {
    let debuggee = Debuggee::on(env, HIGH, env.sched_context(BUDGET.0, BUDGET.1));
    debuggee.thread.start(|| {
        let sum: u64;
        // SAFETY: breakpoint instructions, and counting in three instructions a round between them.
        unsafe {
            asm!("int3", "2: inc {sum}", "cmp {sum}, {rounds}", "jne 2b", "int3", sum = inout(reg) 0u64 => sum,
                 rounds = in(reg) ROUNDS)
        };
        sum
    });
    let [_, reason, ..] = debuggee.take::<4>();
    assert_eq!(reason, BREAK);
    debuggee.step(1);
    debuggee.go();
    let mut steps = 0;
    loop {
        let fault = raw::recv(debuggee.endpoint, debuggee.reply);
        assert_eq!(fault.info.label(), FaultTag::DebugException.word());
        match fault.word(de::EXCEPTION_REASON) {
            BREAK => break,
            reason => assert_eq!(reason, STEP),
        }
        steps += 1;
        debuggee.go();
    }
    assert_eq!(steps, 3 * ROUNDS);
    debuggee.step(0);
    debuggee.go();
    assert_eq!(debuggee.thread.join(), ROUNDS);
}
