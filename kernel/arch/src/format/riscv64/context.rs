//! The saved registers of a user thread on RISC-V: which words they are, and the orders of the interface (libsel4's
//! `seL4_UserContext` and message layouts for this architecture).

use crate::format::{Reg, RegisterFile};

plain_context!(WORDS, INITIAL, accepted);

/// Words of the context.
const WORDS: usize = 33;
/// Bytes of the instruction that makes a system call.
#[cfg(not(target_os = "none"))]
const SYSCALL_BYTES: u64 = 4;
/// What differs from zero in a new thread.
const INITIAL: [(Reg, u64); 0] = [];
/// What user level can change without the kernel: all registers are saved.
#[cfg(not(target_os = "none"))]
pub const LIVE_REGISTERS: [Reg; 0] = [];

/// Every value will do in every register.
fn accepted(_register: Reg, value: u64) -> u64 {
    value
}

const fn x(n: u8) -> Reg {
    Reg(n)
}

const fn a(n: u8) -> Reg {
    x(10 + n)
}

/// s0 and s1 are apart from the others.
const fn s(n: u8) -> Reg {
    x(if n < 2 { 8 + n } else { 16 + n })
}

/// t0 to t2 are apart from the others.
const fn t(n: u8) -> Reg {
    x(if n < 3 { 5 + n } else { 25 + n })
}

const SEPC: Reg = x(0);
const RA: Reg = x(1);
const SP: Reg = x(2);
const GP: Reg = x(3);
const TP: Reg = x(4);
/// The instruction that entered the kernel.
const FAULT_IP: Reg = Reg(32);

/// Word `n` is register `xn`; `x0` holds nothing, so its word is where user level goes on.
impl RegisterFile for UserContext {
    const WORDS: usize = WORDS;

    const CAP: Reg = a(0);
    const INFO: Reg = a(1);
    const MSG: [Reg; 4] = [a(2), a(3), a(4), a(5)];
    const REPLY: Reg = a(6);
    const SEND_DEST: Reg = t(0);
    const SYSCALL: Reg = a(7);
    const FAULT_IP: Reg = FAULT_IP;
    const NEXT_IP: Reg = SEPC;
    const SP: Reg = SP;
    const TLS_BASE: Reg = TP;

    const FRAME: &'static [Reg] =
        &[FAULT_IP, RA, SP, GP, s(0), s(1), s(2), s(3), s(4), s(5), s(6), s(7), s(8), s(9), s(10), s(11)];
    const INTEGER: &'static [Reg] =
        &[a(0), a(1), a(2), a(3), a(4), a(5), a(6), a(7), t(0), t(1), t(2), t(3), t(4), t(5), t(6), TP];
    const SYSCALL_MESSAGE: &'static [Reg] = &[FAULT_IP, SP, RA, a(0), a(1), a(2), a(3), a(4), a(5), a(6)];
    const EXCEPTION_MESSAGE: &'static [Reg] = &[FAULT_IP, SP];
    const TIMEOUT_MESSAGE: &'static [Reg] = &[
        FAULT_IP,
        RA,
        SP,
        GP,
        s(0),
        s(1),
        s(2),
        s(3),
        s(4),
        s(5),
        s(6),
        s(7),
        s(8),
        s(9),
        s(10),
        s(11),
        a(0),
        a(1),
        a(2),
        a(3),
        a(4),
        a(5),
        a(6),
        a(7),
        t(0),
        t(1),
        t(2),
        t(3),
        t(4),
        t(5),
        t(6),
        TP,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::testing::registers_are_told_apart;

    /// Names of the calling convention, in the order of the registers' numbers.
    const NAMES: [&str; 33] = [
        "-", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4", "a5", "a6",
        "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6", "pc",
    ];

    fn names(registers: &[Reg]) -> String {
        registers.iter().map(|r| NAMES[usize::from(r.0)]).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn orders_are_those_of_the_interface() {
        registers_are_told_apart::<UserContext>();
        assert_eq!(names(UserContext::FRAME), "pc ra sp gp s0 s1 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11");
        assert_eq!(names(UserContext::INTEGER), "a0 a1 a2 a3 a4 a5 a6 a7 t0 t1 t2 t3 t4 t5 t6 tp");
        assert_eq!(names(UserContext::SYSCALL_MESSAGE), "pc sp ra a0 a1 a2 a3 a4 a5 a6");
        assert_eq!(names(UserContext::EXCEPTION_MESSAGE), "pc sp");
        let all = [UserContext::FRAME, UserContext::INTEGER].concat();
        assert_eq!(UserContext::TIMEOUT_MESSAGE, all, "the whole context");
    }
}
