//! Invocations that set hardware breakpoints and single-stepping, in profiles that have them.
//!
//! Manual: "Debug Exception: Breakpoints and Watchpoints", "Debug Exception: Single-stepping".

use pecan_abi::{
    Label,
    breakpoint::{BreakpointAccess, BreakpointType, NUM_HW_BREAKPOINTS},
    constants::USER_TOP,
};
use pecan_arch::{Breakpoint, BreakpointPart, DebugRegisters};
use pecan_mem::{Kernel, Tcb};

use crate::{
    base::{
        error::{Decoded, SyscallError},
        message,
    },
    invoke::{
        args,
        invocation::{Done, Invocation},
    },
    sched::{breakpoint, units},
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
pub fn decode(k: &Kernel, inv: Invocation<'_>, label: Option<Label>) -> Decoded<Op> {
    Ok(match label {
        Some(Label::TcbSetBreakpoint) => {
            let args = args::TcbSetBreakpoint::decode(k, inv)?;
            Op::Set(decode_number(args.bp_num)?, Some(decode_breakpoint(args)?))
        }
        Some(Label::TcbGetBreakpoint) => {
            Op::Get(decode_number(args::BreakpointNumber::decode(k, inv)?.bp_num)?)
        }
        Some(Label::TcbUnsetBreakpoint) => {
            Op::Set(decode_number(args::BreakpointNumber::decode(k, inv)?.bp_num)?, None)
        }
        Some(Label::TcbConfigureSingleStepping) => {
            // The processor steps without a breakpoint: its number is not looked at.
            Op::Step(args::TcbConfigureSingleStepping::decode(k, inv)?.num_instructions)
        }
        _ => return Err(SyscallError::IllegalOperation),
    })
}

/// The number of a breakpoint, of which the ABI passes 16 bits.
fn decode_number(word: u64) -> Decoded<usize> {
    // An architecture may have none.
    let last = NUM_HW_BREAKPOINTS.checked_sub(1).ok_or(SyscallError::IllegalOperation)?;
    let number = word as u16 as usize;
    if number > last {
        return Err(SyscallError::RangeError(0, last as u64));
    }
    Ok(number)
}

fn decode_breakpoint(args: args::TcbSetBreakpoint) -> Decoded<Breakpoint> {
    let args::TcbSetBreakpoint { vaddr: address, kind, size, rw: access, .. } = args;
    let check = |ok: bool, i: u64| if ok { Ok(()) } else { Err(SyscallError::InvalidArgument(i)) };
    check(address < USER_TOP, 1)?;
    let kind = BreakpointType::from_word(kind).unwrap_or(BreakpointType::SingleStep);
    check(matches!(kind, BreakpointType::Data | BreakpointType::Instruction), 2)?;
    let access = BreakpointAccess::from_word(access).ok_or(SyscallError::InvalidArgument(4))?;
    let breakpoint = Breakpoint { address, kind, size, access };
    DebugRegisters::check(breakpoint).map_err(|part| match part {
        BreakpointPart::Size => SyscallError::InvalidArgument(3),
        BreakpointPart::Access => SyscallError::InvalidArgument(4),
    })?;
    if !address.is_multiple_of(size.max(1)) {
        return Err(SyscallError::AlignmentError);
    }
    Ok(breakpoint)
}

/// Carries an invocation out.
pub fn commit(k: &Kernel, inv: Invocation<'_>, thread: &Tcb, op: Op) -> Done {
    let Some(debug) = thread.debug() else { return Done::ok() };
    let mut words = 0;
    match op {
        Op::Set(number, breakpoint) => {
            debug.registers.set(number, breakpoint);
            thread.forget_spaces();
        }
        Op::Get(number) => {
            let (Breakpoint { address, kind, size, access }, enabled) = debug.registers.get(number);
            words = answer(k, inv, &[address, kind.word(), size, access.word(), enabled as u64]);
        }
        Op::Step(every) => {
            breakpoint::set_step(thread, debug, every);
            words = answer(k, inv, &[0]);
        }
    }
    if thread.link() == k.core().current.get() {
        units::load_units(k, thread);
    }
    Done::answer(words)
}

fn answer(k: &Kernel, inv: Invocation<'_>, words: &[u64]) -> usize {
    if inv.call { message::put_all(k, inv.thread.get(k), words.iter().copied()) } else { 0 }
}

#[cfg(test)]
mod tests;
