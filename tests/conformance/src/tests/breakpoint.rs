//! Hardware breakpoints, in configurations that have them.

use core::{
    arch::{asm, global_asm},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use pecan::{
    Error,
    raw::{self, invocations as inv},
};
use pecan_abi::{
    CPtr,
    boot::slot,
    breakpoint::{BreakpointAccess, BreakpointType, NUM_HW_BREAKPOINTS},
    constants::USER_TOP,
    fault::{FaultTag, Holds, debug_exception as de},
};

use crate::{
    Env,
    env::{HIGH, LOW, answer},
    thread::{Spaces, Thread},
};

tests! {
    what_was_set_is_read_back:
        TcbSetBreakpoint / NoError, TcbGetBreakpoint / NoError, TcbUnsetBreakpoint / NoError;
    a_breakpoint_replaces_the_one_before;
    a_new_thread_has_no_breakpoints;
    numbers_without_a_breakpoint_are_refused:
        TcbSetBreakpoint / RangeError, TcbGetBreakpoint / RangeError, TcbUnsetBreakpoint / RangeError;
    impossible_breakpoints_are_refused: TcbSetBreakpoint / InvalidArgument;
    addresses_of_the_kernel_are_refused;
    unaligned_addresses_are_refused: TcbSetBreakpoint / AlignmentError;
    an_instruction_breakpoint_word_by_word;
    every_number_stops_at_an_instruction;
    a_stopped_thread_goes_on_and_stops_again;
    a_breakpoint_that_was_unset_does_not_stop;
    a_write_breakpoint_word_by_word;
    every_number_stops_at_a_write;
    an_access_breakpoint_stops_at_reads_and_writes;
    a_breakpoint_covers_its_size_and_no_more;
    breakpoints_are_a_thread_s_own;
    a_thread_sets_its_own_breakpoint;
    a_breakpoint_can_be_set_on_a_running_thread;
    breakpoints_outlive_other_faults;
    a_label_in_the_answer_stops_the_thread;
    a_breakpoint_instruction_word_by_word;
    a_thread_without_a_handler_stops_at_its_breakpoint;
    no_write_is_lost_when_budget_ends;
    a_breakpoint_delayed_into_the_kernel_does_no_harm;
    a_debugged_thread_can_be_deleted;
}

global_asm!(
    // fn(word: *mut u32) -> u32: adds three to what it writes and reads there. The labels are its instructions.
    ".globl breakpoint_0",
    "breakpoint_0: xor eax, eax",
    ".globl breakpoint_1",
    "breakpoint_1: inc eax",
    ".globl breakpoint_2",
    "breakpoint_2: mov [rdi], eax",
    ".globl breakpoint_3",
    "breakpoint_3: mov eax, [rdi]",
    ".globl breakpoint_4",
    "breakpoint_4: add eax, 2",
    ".globl breakpoint_5",
    "breakpoint_5: ret",
);

unsafe extern "C" {
    fn breakpoint_0(word: *mut u32) -> u32;
    static breakpoint_1: u8;
    static breakpoint_2: u8;
    static breakpoint_3: u8;
    static breakpoint_4: u8;
    static breakpoint_5: u8;
}

/// The address of instruction `index` of the function.
pub(super) fn at(index: usize) -> u64 {
    [
        breakpoint_0 as *const () as u64,
        &raw const breakpoint_1 as u64,
        &raw const breakpoint_2 as u64,
        &raw const breakpoint_3 as u64,
        &raw const breakpoint_4 as u64,
        &raw const breakpoint_5 as u64,
    ][index]
}

/// What the function writes and reads.
static WORDS: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];

/// Runs the function on the word with an index.
pub(super) fn run(index: usize) -> u64 {
    // SAFETY: the function accesses the low half of the word, which lives for ever.
    unsafe { breakpoint_0(WORDS[index].as_ptr().cast()) }.into()
}

pub(super) fn word_address(index: usize) -> u64 {
    WORDS[index].as_ptr() as u64
}

pub(super) const INSTRUCTION: u64 = BreakpointType::Instruction.word();
pub(super) const DATA: u64 = BreakpointType::Data.word();
pub(super) const STEP: u64 = BreakpointType::SingleStep.word();
pub(super) const BREAK: u64 = BreakpointType::SoftwareBreakRequest.word();
pub(super) const READ: u64 = BreakpointAccess::Read.word();
pub(super) const WRITE: u64 = BreakpointAccess::Write.word();
pub(super) const READ_WRITE: u64 = BreakpointAccess::ReadWrite.word();
pub(super) const COUNT: u16 = NUM_HW_BREAKPOINTS as u16;

/// A thread under a debugger, which is the test.
pub(super) struct Debuggee {
    pub(super) thread: Thread,
    pub(super) endpoint: CPtr,
    pub(super) reply: CPtr,
}

impl Debuggee {
    #[track_caller]
    pub(super) fn new(env: &Env) -> Self {
        Self::on(env, HIGH, env.sched_context(10_000, 10_000))
    }

    #[track_caller]
    pub(super) fn on(env: &Env, priority: u64, sc: CPtr) -> Self {
        let endpoint = env.endpoint();
        let thread = env.thread_with(priority, sc, Spaces { fault_ep: endpoint, ..Spaces::own() });
        Debuggee { thread, endpoint, reply: env.reply() }
    }

    #[track_caller]
    pub(super) fn set(&self, number: u16, address: u64, kind: u64, size: u64, access: u64) {
        inv::tcb_set_breakpoint(self.thread.tcb, number, address, kind, size, access).expect("set breakpoint");
    }

    #[track_caller]
    pub(super) fn set_instruction(&self, number: u16, index: usize) {
        self.set(number, at(index), INSTRUCTION, 0, READ);
    }

    #[track_caller]
    pub(super) fn step(&self, instructions: u64) {
        let consumed = inv::tcb_configure_single_stepping(self.thread.tcb, 0, instructions);
        assert!(!consumed.expect("configure single-stepping"), "no breakpoint is needed for it");
    }

    /// The words of the debug fault that has happened.
    #[track_caller]
    pub(super) fn take<const N: usize>(&self) -> [u64; N] {
        let fault = raw::nb_recv(self.endpoint, self.reply);
        assert_eq!(fault.info.label(), FaultTag::DebugException.word(), "no debug fault has arrived");
        assert_eq!((fault.info.length(), fault.info.extra_caps()), (N, 0), "the shape of the message");
        core::array::from_fn(|i| fault.word(i))
    }

    #[track_caller]
    pub(super) fn stopped_at(&self, index: usize, number: u16) {
        let words: [u64; de::LENGTH] = self.take();
        assert_eq!(words.len(), FaultTag::DebugException.words().len());
        for (word, holds) in words.into_iter().zip(FaultTag::DebugException.words()) {
            let expected = match holds {
                Holds::Instruction | Holds::TriggerAddress => at(index),
                Holds::Reason => INSTRUCTION,
                Holds::BreakpointNumber => number.into(),
                other => panic!("{other:?}"),
            };
            assert_eq!(word, expected, "{holds:?}");
        }
    }

    #[track_caller]
    pub(super) fn stepped_to(&self, address: u64) {
        assert_eq!(self.take(), [address, STEP]);
    }

    /// Lets it go on.
    pub(super) fn go(&self) {
        answer(self.reply, 0, &[]);
    }

    /// Lets it go on, and nothing may stop it until it is done.
    #[track_caller]
    pub(super) fn finish(&self, result: u64) {
        self.go();
        assert!(self.thread.has_returned(), "it has stopped once more");
        assert_eq!(self.thread.join(), result);
    }

    /// Starts it on the function and lets it come to its first instruction.
    #[track_caller]
    pub(super) fn start_at_function(&self) {
        self.set_instruction(3, 0);
        self.thread.start(|| run(0));
        self.stopped_at(0, 3);
    }
}

fn what_was_set_is_read_back(env: &Env) {
    let tcb = env.tcb();
    for number in 0..COUNT {
        for (address, kind, size, access) in [
            (at(1), INSTRUCTION, 0, READ),
            (0x1234_5601, INSTRUCTION, 0, READ),
            (0x1001, DATA, 1, WRITE),
            (0x1002, DATA, 2, WRITE),
            (0x1004, DATA, 4, READ_WRITE),
            (USER_TOP - 8, DATA, 8, READ_WRITE),
        ] {
            inv::tcb_set_breakpoint(tcb, number, address, kind, size, access).expect("set");
            for other in 0..COUNT {
                let (.., enabled) = inv::tcb_get_breakpoint(tcb, other).expect("get");
                assert_eq!(enabled, other == number);
            }
            let found = inv::tcb_get_breakpoint(tcb, number).expect("get");
            assert_eq!(found, (address, kind, size, access, true));
        }
        inv::tcb_unset_breakpoint(tcb, number).expect("unset");
        let (address, .., enabled) = inv::tcb_get_breakpoint(tcb, number).expect("get");
        assert_eq!((address, enabled), (0, false), "unset");
        inv::tcb_unset_breakpoint(tcb, number).expect("unset what is not set");
    }
}

fn a_breakpoint_replaces_the_one_before(env: &Env) {
    let debuggee = Debuggee::new(env);
    debuggee.set_instruction(1, 1);
    debuggee.set(1, word_address(0), DATA, 4, READ_WRITE);
    debuggee.set_instruction(1, 4);
    debuggee.thread.start(|| run(0));
    debuggee.stopped_at(4, 1);
    debuggee.finish(3);
}

fn a_new_thread_has_no_breakpoints(env: &Env) {
    let first = env.tcb();
    inv::tcb_set_breakpoint(first, 0, at(0), INSTRUCTION, 0, READ).expect("set");
    for number in 0..COUNT {
        let (address, .., enabled) = inv::tcb_get_breakpoint(env.tcb(), number).expect("get");
        assert_eq!((address, enabled), (0, false));
    }
}

fn numbers_without_a_breakpoint_are_refused(env: &Env) {
    let tcb = env.tcb();
    let range = Error::RangeError { min: 0, max: 3 };
    for number in [COUNT, COUNT + 1, 0xff, 0xffff] {
        env.refused(range, || inv::tcb_set_breakpoint(tcb, number, at(0), INSTRUCTION, 0, READ));
        env.refused(range, || inv::tcb_get_breakpoint(tcb, number));
        env.refused(range, || inv::tcb_unset_breakpoint(tcb, number));
    }
}

fn impossible_breakpoints_are_refused(env: &Env) {
    let tcb = env.tcb();
    for (index, kind, size, access) in [
        // No such type, or one that is only a reason.
        (2, 4, 0, READ),
        (2, u64::MAX, 1, WRITE),
        (2, STEP, 0, READ),
        (2, BREAK, 0, READ),
        // Instructions have no size, and are read.
        (3, INSTRUCTION, 1, READ),
        (3, INSTRUCTION, 8, READ),
        (4, INSTRUCTION, 0, WRITE),
        (4, INSTRUCTION, 0, READ_WRITE),
        // Data has one, and the processor cannot wait for reads alone.
        (3, DATA, 0, WRITE),
        (3, DATA, 3, WRITE),
        (3, DATA, 16, READ_WRITE),
        (4, DATA, 4, READ),
        (4, DATA, 4, 3),
        (4, DATA, 4, u64::MAX),
    ] {
        env.refused(Error::InvalidArgument { index }, || {
            inv::tcb_set_breakpoint(tcb, 0, 0x1000, kind, size, access)
        });
        let (.., enabled) = inv::tcb_get_breakpoint(tcb, 0).expect("get");
        assert!(!enabled, "a refused breakpoint is set");
    }
}

fn addresses_of_the_kernel_are_refused(env: &Env) {
    let tcb = env.tcb();
    for address in [USER_TOP, 1 << 47, 0xffff_8000_0000_0000, u64::MAX - 7] {
        let wrong = Error::InvalidArgument { index: 1 };
        env.refused(wrong, || inv::tcb_set_breakpoint(tcb, 0, address, INSTRUCTION, 0, READ));
        env.refused(wrong, || inv::tcb_set_breakpoint(tcb, 0, address, DATA, 8, WRITE));
    }
    inv::tcb_set_breakpoint(tcb, 0, USER_TOP - 1, INSTRUCTION, 0, READ).expect("the last address");
}

fn unaligned_addresses_are_refused(env: &Env) {
    let tcb = env.tcb();
    for (address, size) in [(0x1001, 2), (0x1002, 4), (0x1001, 4), (0x1004, 8)] {
        env.refused(Error::AlignmentError, || inv::tcb_set_breakpoint(tcb, 0, address, DATA, size, WRITE));
    }
}

fn an_instruction_breakpoint_word_by_word(env: &Env) {
    let debuggee = Debuggee::new(env);
    debuggee.set_instruction(2, 3);
    debuggee.thread.start(|| run(0));
    let words = debuggee.take();
    assert_eq!(words[de::FAULT_IP], at(3));
    assert_eq!(words[de::EXCEPTION_REASON], INSTRUCTION);
    assert_eq!(words[de::TRIGGER_ADDRESS], at(3));
    assert_eq!(words[de::BREAKPOINT_NUMBER], 2);
    let _: [u64; de::LENGTH] = words;
    assert_eq!(debuggee.thread.read().rip, at(3), "the instruction has not been executed");
    assert_eq!(WORDS[0].load(Relaxed), 1, "those before it have");
    debuggee.finish(3);
}

fn every_number_stops_at_an_instruction(env: &Env) {
    let debuggee = Debuggee::new(env);
    for number in 0..COUNT {
        debuggee.set_instruction(number, usize::from(number) + 1);
    }
    debuggee.thread.start(|| run(0));
    for number in 0..COUNT {
        debuggee.stopped_at(usize::from(number) + 1, number);
        if number + 1 < COUNT {
            debuggee.go();
        }
    }
    debuggee.finish(3);
}

fn a_stopped_thread_goes_on_and_stops_again(env: &Env) {
    let debuggee = Debuggee::new(env);
    debuggee.set_instruction(0, 2);
    debuggee.thread.start(|| (0..3).map(|_| run(0)).sum());
    for _ in 0..2 {
        debuggee.stopped_at(2, 0);
        debuggee.go();
    }
    debuggee.stopped_at(2, 0);
    // It can also be resumed.
    inv::tcb_suspend(debuggee.thread.tcb).expect("suspend");
    inv::tcb_resume(debuggee.thread.tcb).expect("resume");
    assert_eq!(debuggee.thread.join(), 9);
}

fn a_breakpoint_that_was_unset_does_not_stop(env: &Env) {
    let debuggee = Debuggee::new(env);
    for number in 0..COUNT {
        debuggee.set_instruction(number, 1);
        inv::tcb_unset_breakpoint(debuggee.thread.tcb, number).expect("unset");
    }
    debuggee.thread.start(|| run(0));
    assert_eq!(debuggee.thread.join(), 3);
}

fn a_write_breakpoint_word_by_word(env: &Env) {
    let debuggee = Debuggee::new(env);
    debuggee.set(1, word_address(1), DATA, 4, WRITE);
    WORDS[1].store(0, Relaxed);
    debuggee.thread.start(|| run(1));
    assert_eq!(debuggee.take(), [at(3), DATA, word_address(1), 1]);
    assert_eq!(WORDS[1].load(Relaxed), 1, "it is told of after the write");
    debuggee.finish(3);
}

fn every_number_stops_at_a_write(env: &Env) {
    for number in 0..COUNT {
        let debuggee = Debuggee::new(env);
        debuggee.set(number, word_address(number.into()), DATA, 8, WRITE);
        debuggee.thread.start(|| (0..4).map(run).sum());
        assert_eq!(debuggee.take(), [at(3), DATA, word_address(number.into()), number.into()]);
        debuggee.finish(12);
    }
}

fn an_access_breakpoint_stops_at_reads_and_writes(env: &Env) {
    let debuggee = Debuggee::new(env);
    debuggee.set(0, word_address(2), DATA, 2, READ_WRITE);
    debuggee.thread.start(|| run(2));
    assert_eq!(debuggee.take(), [at(3), DATA, word_address(2), 0]);
    debuggee.go();
    assert_eq!(debuggee.take(), [at(4), DATA, word_address(2), 0]);
    debuggee.finish(3);
}

fn a_breakpoint_covers_its_size_and_no_more(env: &Env) {
    // The function writes the first four bytes.
    for (offset, size, hit) in [(0, 1, true), (3, 1, true), (2, 2, true), (4, 1, false), (4, 4, false), (0, 8, true)] {
        let debuggee = Debuggee::new(env);
        let address = word_address(3) + offset;
        debuggee.set(0, address, DATA, size, WRITE);
        debuggee.thread.start(|| run(3));
        if hit {
            assert_eq!(debuggee.take(), [at(3), DATA, address, 0]);
            debuggee.go();
        }
        assert!(debuggee.thread.has_returned(), "{size} bytes at {offset}");
        env.reuse(debuggee.thread);
    }
}

fn breakpoints_are_a_thread_s_own(env: &Env) {
    let debuggee = Debuggee::new(env);
    debuggee.set_instruction(0, 2);
    debuggee.set(1, word_address(0), DATA, 4, READ_WRITE);
    // This thread executes the same code and accesses the same data: while the other has not run, while it is stopped,
    // and after it.
    assert_eq!(run(0), 3);
    debuggee.thread.start(|| run(0));
    debuggee.stopped_at(2, 0);
    assert_eq!(run(0), 3);
    debuggee.go();
    assert_eq!(debuggee.take(), [at(3), DATA, word_address(0), 1]);
    assert_eq!(run(0), 3);
    let other = env.spawn(HIGH, || run(0));
    assert_eq!(other.join(), 3);
    debuggee.go();
    assert_eq!(debuggee.take(), [at(4), DATA, word_address(0), 1]);
    debuggee.finish(3);
    assert_eq!(run(0), 3);
}

fn a_thread_sets_its_own_breakpoint(env: &Env) {
    let debuggee = Debuggee::new(env);
    let tcb = debuggee.thread.tcb;
    debuggee.thread.start(move || {
        inv::tcb_set_breakpoint(tcb, 0, at(4), INSTRUCTION, 0, READ).expect("set");
        let first = run(0);
        inv::tcb_unset_breakpoint(tcb, 0).expect("unset");
        first + run(0)
    });
    debuggee.stopped_at(4, 0);
    debuggee.finish(6);
}

fn a_breakpoint_can_be_set_on_a_running_thread(env: &Env) {
    let debuggee = Debuggee::on(env, LOW, env.sched_context(10_000, 10_000));
    debuggee.thread.start(|| {
        loop {
            run(0);
        }
    });
    // It is in the middle of its loop when it is preempted.
    let alarm = env.notification();
    let pause = env.sched_context(1_000, 3_000);
    let clock = env.thread_with(HIGH, pause, Spaces::own());
    clock.start(move || {
        raw::yield_now();
        crate::env::signal(alarm);
        0
    });
    raw::wait(alarm);
    debuggee.set_instruction(0, 4);
    let fault = raw::recv(debuggee.endpoint, debuggee.reply);
    assert_eq!((fault.info.label(), fault.word(de::FAULT_IP)), (FaultTag::DebugException.word(), at(4)));
    inv::tcb_suspend(debuggee.thread.tcb).expect("suspend");
}

fn breakpoints_outlive_other_faults(env: &Env) {
    let debuggee = Debuggee::new(env);
    debuggee.set_instruction(0, 1);
    debuggee.thread.start(|| {
        // SAFETY: faults, and the handler moves on from it.
        unsafe { asm!("ud2") };
        run(0)
    });
    let fault = raw::nb_recv(debuggee.endpoint, debuggee.reply);
    assert_eq!(fault.info.label(), FaultTag::UserException.word());
    answer(debuggee.reply, 0, &[fault.word(0) + 2]);
    debuggee.stopped_at(1, 0);
    debuggee.finish(3);
}

fn a_label_in_the_answer_stops_the_thread(env: &Env) {
    let debuggee = Debuggee::new(env);
    debuggee.set_instruction(0, 1);
    debuggee.thread.start(|| run(0));
    debuggee.stopped_at(1, 0);
    answer(debuggee.reply, 1, &[]);
    assert!(!debuggee.thread.has_returned());
    inv::tcb_resume(debuggee.thread.tcb).expect("resume");
    assert_eq!(debuggee.thread.join(), 3);
}

fn a_breakpoint_instruction_word_by_word(env: &Env) {
    static AFTER: AtomicU64 = AtomicU64::new(0);
    let debuggee = Debuggee::new(env);
    debuggee.thread.start(|| {
        let after: u64;
        // SAFETY: faults, and goes on behind it.
        unsafe { asm!("lea {0}, [rip + 2f]", "mov [{1}], {0}", "int3", "2:", out(reg) after, in(reg) AFTER.as_ptr()) };
        after
    });
    let words = debuggee.take();
    assert_eq!(words, [AFTER.load(Relaxed), BREAK, 0, 0]);
    debuggee.finish(words[0]);
}

fn a_thread_without_a_handler_stops_at_its_breakpoint(env: &Env) {
    let sc = env.sched_context(10_000, 10_000);
    let thread = env.thread_with(HIGH, sc, Spaces { fault_ep: 0, ..Spaces::own() });
    inv::tcb_set_breakpoint(thread.tcb, 0, at(2), INSTRUCTION, 0, READ).expect("set");
    thread.start(|| run(0));
    assert_eq!(thread.read().rip, at(2));
    inv::tcb_resume(thread.tcb).expect("resume");
    assert_eq!(thread.join(), 3);
}

/// Rounds that a thread with little budget makes.
pub(super) const ROUNDS: u64 = 2_000;
/// Its budget and period in microseconds: there is much more to do than fits.
pub(super) const BUDGET: (u64, u64) = (40, 60);

fn no_write_is_lost_when_budget_ends(env: &Env) {
    let debuggee = Debuggee::on(env, HIGH, env.sched_context(BUDGET.0, BUDGET.1));
    debuggee.set(0, word_address(1), DATA, 4, WRITE);
    debuggee.thread.start(|| {
        let sum = (0..ROUNDS).map(|_| run(1)).sum();
        // SAFETY: faults.
        unsafe { asm!("int3") };
        sum
    });
    let mut writes = 0;
    loop {
        let fault = raw::recv(debuggee.endpoint, debuggee.reply);
        assert_eq!(fault.info.label(), FaultTag::DebugException.word());
        debuggee.go();
        match fault.word(de::EXCEPTION_REASON) {
            BREAK => break,
            reason => assert_eq!(reason, DATA),
        }
        writes += 1;
    }
    assert_eq!(writes, ROUNDS);
    assert_eq!(debuggee.thread.join(), 3 * ROUNDS);
}

fn a_breakpoint_delayed_into_the_kernel_does_no_harm(env: &Env) {
    let debuggee = Debuggee::new(env);
    static SELECTOR: AtomicU64 = AtomicU64::new(0x1b);
    debuggee.set(0, SELECTOR.as_ptr() as u64, DATA, 2, READ_WRITE);
    debuggee.thread.start(|| {
        // SAFETY: loads the selector that is in force, and yields; the kernel keeps all registers but these.
        unsafe {
            asm!("mov {sp}, rsp", "mov ss, word ptr [{at}]", "syscall", at = in(reg) SELECTOR.as_ptr(), sp = out(reg) _,
                 in("rdx") -11i64, lateout("rdx") _, out("rcx") _, out("r11") _);
        }
        1
    });
    // An emulator may report it at once; a processor drops it.
    if !debuggee.thread.has_returned() {
        debuggee.take::<4>();
        debuggee.go();
    }
    assert_eq!(debuggee.thread.join(), 1);
}

fn a_debugged_thread_can_be_deleted(env: &Env) {
    for running in [true, false] {
        let debuggee = Debuggee::new(env);
        debuggee.set_instruction(0, 2);
        debuggee.set(1, word_address(0), DATA, 4, READ_WRITE);
        let tcb = debuggee.thread.tcb;
        debuggee.thread.start(move || {
            if running {
                let _ = crate::env::delete(tcb);
            }
            run(0)
        });
        if !running {
            debuggee.stopped_at(2, 0);
            debuggee.step(1);
            crate::env::delete(tcb).expect("delete");
        }
        assert!(crate::env::is_empty(tcb));
        assert_eq!(run(0), 3, "its breakpoints are gone with it");
        let (.., enabled) = inv::tcb_get_breakpoint(slot::INIT_THREAD_TCB, 0).expect("get");
        assert!(!enabled);
    }
}
