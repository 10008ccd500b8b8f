//! What is decoded and what is refused.
//!
//! They are of x86_64: the kernels of other architectures have no breakpoints yet.
#![cfg(pecan_arch = "x86_64")]

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
    assert!(matches!(decoded(&mut w, Label::TcbGetBreakpoint, &[last]), Ok(Op::Get(n)) if n as u64 == last));
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
