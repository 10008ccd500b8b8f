//! Hardware breakpoints and single-stepping of threads, in profiles that have them.
//!
//! Manual: "Debug Exception: Breakpoints and Watchpoints", "Debug Exception: Single-stepping".

use pecan_abi::{
    Label,
    breakpoint::{BreakpointAccess, BreakpointType, NUM_HW_BREAKPOINTS},
    constants::USER_TOP,
};
use pecan_arch::{Breakpoint, DebugEvent};
use pecan_mem::{Debug, Fault, Kernel, Tcb};

use crate::{
    error::{Decoded, SyscallError},
    invoke::{Done, Invocation},
    message,
};

const _: () = assert!(pecan_config::HARDWARE_DEBUG == pecan_abi::HARDWARE_DEBUG, "build with cargo xtask");

/// A decoded invocation.
pub enum Op {
    /// Sets the breakpoint with this number, or clears it.
    Set(usize, Option<Breakpoint>),
    /// Reads the breakpoint with this number.
    Get(usize),
    /// Makes the thread fault after every so many instructions; 0: ends that.
    Step(u64),
}

/// Decodes an invocation that only exists with hardware breakpoints.
pub fn decode(k: &Kernel, inv: &Invocation) -> Decoded<Op> {
    let words = match inv.label {
        Some(Label::TcbSetBreakpoint) => 5,
        Some(Label::TcbGetBreakpoint | Label::TcbUnsetBreakpoint) => 1,
        Some(Label::TcbConfigureSingleStepping) => 2,
        _ => return Err(SyscallError::IllegalOperation),
    };
    inv.need(words, 0)?;
    if inv.label == Some(Label::TcbConfigureSingleStepping) {
        // The processor steps without a breakpoint: its number is not looked at.
        return Ok(Op::Step(inv.arg(k, 1)));
    }
    let number = inv.arg(k, 0) as u16 as usize;
    if number >= NUM_HW_BREAKPOINTS {
        return Err(SyscallError::RangeError(0, NUM_HW_BREAKPOINTS as u64 - 1));
    }
    Ok(match inv.label {
        Some(Label::TcbSetBreakpoint) => Op::Set(number, Some(decode_breakpoint(k, inv)?)),
        Some(Label::TcbGetBreakpoint) => Op::Get(number),
        _ => Op::Set(number, None),
    })
}

fn decode_breakpoint(k: &Kernel, inv: &Invocation) -> Decoded<Breakpoint> {
    let [address, kind, size, access] = [1, 2, 3, 4].map(|i| inv.arg(k, i));
    let check = |ok: bool, i: u64| if ok { Ok(()) } else { Err(SyscallError::InvalidArgument(i)) };
    check(address < USER_TOP, 1)?;
    let kind = BreakpointType::from_word(kind).unwrap_or(BreakpointType::SingleStep);
    check(matches!(kind, BreakpointType::Data | BreakpointType::Instruction), 2)?;
    // Instructions are read, and of data reads alone cannot be waited for.
    let access = BreakpointAccess::from_word(access).ok_or(SyscallError::InvalidArgument(4))?;
    check((access == BreakpointAccess::Read) == (kind == BreakpointType::Instruction), 4)?;
    let breakpoint = Breakpoint { address, kind, size, access };
    check(breakpoint.is_possible(), 3)?;
    if !address.is_multiple_of(size.max(1)) {
        return Err(SyscallError::AlignmentError);
    }
    Ok(breakpoint)
}

/// Carries an invocation out.
pub fn commit(k: &Kernel, inv: &Invocation, thread: &Tcb, op: Op) -> Done {
    let Some(debug) = thread.debug() else { return Done::ok() };
    let mut words = 0;
    match op {
        Op::Set(number, breakpoint) => debug.registers.set(number, breakpoint),
        Op::Get(number) => {
            let (Breakpoint { address, kind, size, access }, enabled) = debug.registers.get(number);
            words = answer(k, inv, &[address, kind.word(), size, access.word(), enabled as u64]);
        }
        Op::Step(every) => {
            set_step(thread, debug, every);
            words = answer(k, inv, &[0]);
        }
    }
    if thread.link() == k.core.current.get() {
        load(thread);
    }
    Done::answer(words)
}

fn answer(k: &Kernel, inv: &Invocation, words: &[u64]) -> usize {
    if inv.call { message::put_all(k, inv.thread.get(k), words.iter().copied()) } else { 0 }
}

/// Makes a thread fault after every so many instructions; after none if 0.
fn set_step(thread: &Tcb, debug: &Debug, every: u64) {
    debug.step_every.set(every);
    debug.step_left.set(every);
    thread.context.set_single_step(every != 0);
}

/// Makes the processor ready to watch a thread that it is about to run.
#[inline(always)]
pub fn load(thread: &Tcb) {
    if let Some(debug) = thread.debug() {
        let stepping = debug.step_every.get() != 0;
        pecan_arch::debug_load(&debug.registers, stepping);
        // The thread, or who writes its registers, may have changed the flag that makes it step.
        if stepping {
            thread.context.set_single_step(true);
        }
    }
}

/// What to tell a thread's handler of a debug exception; nothing if the thread still has instructions to step over.
pub fn fault(thread: &Tcb, software: bool) -> Option<Fault> {
    let debug = thread.debug()?;
    let event = if software { DebugEvent::Software } else { pecan_arch::take_debug_event(&debug.registers) };
    Some(match event {
        DebugEvent::Breakpoint(number) => {
            let (Breakpoint { address, kind, .. }, _) = debug.registers.get(number);
            if kind == BreakpointType::Instruction {
                thread.context.pass_breakpoint();
            }
            Fault::Debug { reason: kind, address, number: number as u8 }
        }
        DebugEvent::Software => {
            Fault::Debug { reason: BreakpointType::SoftwareBreakRequest, address: 0, number: 0 }
        }
        DebugEvent::Step => {
            let left = debug.step_left.get().saturating_sub(1);
            debug.step_left.set(left);
            if left != 0 {
                load(thread);
                return None;
            }
            debug.step_left.set(debug.step_every.get());
            Fault::Debug { reason: BreakpointType::SingleStep, address: 0, number: 0 }
        }
    })
}

/// The handler of a single step has answered how many instructions to execute before the next.
pub fn reply(faulty: &Tcb, every: u64) {
    faulty.debug().inspect(|debug| set_step(faulty, debug, every));
}
