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
    let number = word as u16 as usize;
    if number >= NUM_HW_BREAKPOINTS {
        return Err(SyscallError::RangeError(0, NUM_HW_BREAKPOINTS as u64 - 1));
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
mod tests {
    use super::*;

    use pecan_abi::{
        Label,
        breakpoint::{BreakpointAccess, BreakpointType, NUM_HW_BREAKPOINTS},
        constants::USER_TOP,
    };
    use pecan_mem::cap::tag;

    use crate::{
        base::error::{Decoded, SyscallError},
        invoke::invocation::Invocation,
        testing::{TCB, World},
    };

    /// What the decoder makes of an invocation of the first thread's TCB, whatever the profile.
    fn decoded(w: &mut World, label: Label, words: &[u64]) -> Decoded<Op> {
        let thread = w.thread;
        w.set_message(thread, label as u64, words, &[]);
        let slot = w.slot(TCB);
        assert_eq!(slot.get(&w.k).words().tag(), tag::TCB);
        let inv = Invocation::without_caps(&w.k, slot);
        decode(&w.k, inv, Some(label))
    }

    const DATA: u64 = BreakpointType::Data as u64;

    const CODE: u64 = BreakpointType::Instruction as u64;

    const READ: u64 = BreakpointAccess::Read as u64;

    const WRITE: u64 = BreakpointAccess::Write as u64;

    const BOTH: u64 = BreakpointAccess::ReadWrite as u64;

    #[test]
    fn what_a_processor_can_wait_for_is_decoded() {
        let mut w = World::new();
        let last = NUM_HW_BREAKPOINTS as u64 - 1;
        for (number, address, kind, size, access) in [
            (0, 0x1000, DATA, 8, WRITE),
            (1, 0x1001, DATA, 1, BOTH),
            (last, USER_TOP - 1, CODE, 0, READ),
            // The ABI passes 16 bits of the number.
            (1 << 16 | last, 0x1003, CODE, 0, READ),
        ] {
            let words = [number, address, kind, size, access];
            let op = decoded(&mut w, Label::TcbSetBreakpoint, &words);
            let Ok(Op::Set(n, Some(b))) = op else { panic!("{words:x?} is refused") };
            assert_eq!((n as u64, b.address, b.size), (number & 0xffff, address, size));
            assert_eq!((b.kind.word(), b.access.word()), (kind, access));
        }
        assert!(
            matches!(decoded(&mut w, Label::TcbGetBreakpoint, &[last]), Ok(Op::Get(n)) if n as u64 == last)
        );
        assert!(matches!(decoded(&mut w, Label::TcbUnsetBreakpoint, &[1]), Ok(Op::Set(1, None))));
        // Of a step the number is not looked at.
        assert!(matches!(decoded(&mut w, Label::TcbConfigureSingleStepping, &[99, 7]), Ok(Op::Step(7))));
    }

    #[test]
    fn what_it_cannot_wait_for_is_refused() {
        let mut w = World::new();
        let mut error = |label, words: &[u64]| match decoded(&mut w, label, words) {
            Ok(_) => panic!("{label:?} {words:x?} is decoded"),
            Err(error) => error,
        };
        let wrong = SyscallError::InvalidArgument;
        for (words, expected) in [
            ([4, 0x1000, DATA, 8, WRITE], SyscallError::RangeError(0, 3)),
            ([0, USER_TOP, DATA, 8, WRITE], wrong(1)),
            ([0, 0x1000, 2, 8, WRITE], wrong(2)),
            ([0, 0x1000, 9, 8, WRITE], wrong(2)),
            ([0, 0x1000, DATA, 8, 9], wrong(4)),
            ([0, 0x1000, DATA, 8, READ], wrong(4)),
            ([0, 0x1000, CODE, 0, WRITE], wrong(4)),
            ([0, 0x1000, DATA, 3, WRITE], wrong(3)),
            ([0, 0x1000, CODE, 1, READ], wrong(3)),
            ([0, 0x1004, DATA, 8, WRITE], SyscallError::AlignmentError),
        ] {
            assert_eq!(error(Label::TcbSetBreakpoint, &words), expected, "{words:x?}");
        }
        for (label, words) in [
            (Label::TcbSetBreakpoint, 5),
            (Label::TcbGetBreakpoint, 1),
            (Label::TcbUnsetBreakpoint, 1),
            (Label::TcbConfigureSingleStepping, 2),
        ] {
            assert_eq!(error(label, &[0; 5][..words - 1]), SyscallError::TruncatedMessage, "{label:?}");
        }
        assert_eq!(error(Label::TcbGetBreakpoint, &[4]), SyscallError::RangeError(0, 3));
        assert_eq!(error(Label::TcbResume, &[0; 5]), SyscallError::IllegalOperation);
    }
}
