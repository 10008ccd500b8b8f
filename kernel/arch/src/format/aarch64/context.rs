//! The saved registers of a user thread on AArch64: which words they are, and the orders of the interface (libsel4's
//! `seL4_UserContext` and message layouts for this architecture).

use crate::format::{Reg, RegisterFile};

plain_context!(WORDS, INITIAL, accepted);

/// Words of the context.
const WORDS: usize = 37;
/// Bytes of the instruction that makes a system call.
#[cfg(not(target_os = "none"))]
const SYSCALL_BYTES: u64 = 4;
/// What differs from zero in a new thread: at EL0, with nothing masked, SPSR is zero, too.
const INITIAL: [(Reg, u64); 0] = [];
/// N, Z, C and V: all of SPSR that is user level's.
const FLAGS_USER: u64 = 0xf << 28;
/// What user level can change without the kernel, and what a program reads of the other one.
#[cfg(not(target_os = "none"))]
pub const LIVE_REGISTERS: [Reg; 2] = [TPIDR, TPIDRRO];

/// User level chooses the condition flags only.
fn accepted(register: Reg, value: u64) -> u64 {
    if register == SPSR { value & FLAGS_USER } else { value }
}

const fn x(n: u8) -> Reg {
    Reg(n)
}

/// The link register, and the frame pointer before it.
const LR: Reg = x(30);
const FP: Reg = x(29);
const SP_EL0: Reg = Reg(31);
/// Where user level goes on.
const ELR: Reg = Reg(32);
const SPSR: Reg = Reg(33);
/// The instruction that entered the kernel.
const FAULT_IP: Reg = Reg(34);
const TPIDR: Reg = Reg(35);
pub(crate) const TPIDRRO: Reg = Reg(36);

/// Word `n` is general register `n`; then what the processor keeps of user level elsewhere.
impl RegisterFile for UserContext {
    const WORDS: usize = WORDS;

    const CAP: Reg = x(0);
    const INFO: Reg = x(1);
    const MSG: [Reg; 4] = [x(2), x(3), x(4), x(5)];
    const REPLY: Reg = x(6);
    const SEND_DEST: Reg = x(8);
    const SYSCALL: Reg = x(7);
    const FAULT_IP: Reg = FAULT_IP;
    const NEXT_IP: Reg = ELR;
    const SP: Reg = SP_EL0;
    const TLS_BASE: Reg = TPIDR;

    const FRAME: &'static [Reg] = &[
        FAULT_IP,
        SP_EL0,
        SPSR,
        x(0),
        x(1),
        x(2),
        x(3),
        x(4),
        x(5),
        x(6),
        x(7),
        x(8),
        x(16),
        x(17),
        x(18),
        FP,
        LR,
    ];
    const INTEGER: &'static [Reg] = &[
        x(9),
        x(10),
        x(11),
        x(12),
        x(13),
        x(14),
        x(15),
        x(19),
        x(20),
        x(21),
        x(22),
        x(23),
        x(24),
        x(25),
        x(26),
        x(27),
        x(28),
        TPIDR,
        TPIDRRO,
    ];
    const SYSCALL_MESSAGE: &'static [Reg] =
        &[x(0), x(1), x(2), x(3), x(4), x(5), x(6), x(7), FAULT_IP, SP_EL0, LR, SPSR];
    const EXCEPTION_MESSAGE: &'static [Reg] = &[FAULT_IP, SP_EL0, SPSR];
    const TIMEOUT_MESSAGE: &'static [Reg] = &[
        FAULT_IP,
        SP_EL0,
        SPSR,
        x(0),
        x(1),
        x(2),
        x(3),
        x(4),
        x(5),
        x(6),
        x(7),
        x(8),
        x(16),
        x(17),
        x(18),
        FP,
        LR,
        x(9),
        x(10),
        x(11),
        x(12),
        x(13),
        x(14),
        x(15),
        x(19),
        x(20),
        x(21),
        x(22),
        x(23),
        x(24),
        x(25),
        x(26),
        x(27),
        x(28),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::testing::registers_are_told_apart;

    fn names(registers: &[Reg]) -> String {
        let name = |r: &Reg| match *r {
            FAULT_IP => "pc".into(),
            SP_EL0 => "sp".into(),
            SPSR => "spsr".into(),
            TPIDR => "tpidr_el0".into(),
            TPIDRRO => "tpidrro_el0".into(),
            Reg(n) => format!("x{n}"),
        };
        registers.iter().map(name).collect::<Vec<String>>().join(" ")
    }

    #[test]
    fn orders_are_those_of_the_interface() {
        registers_are_told_apart::<UserContext>();
        assert_eq!(names(UserContext::FRAME), "pc sp spsr x0 x1 x2 x3 x4 x5 x6 x7 x8 x16 x17 x18 x29 x30");
        assert_eq!(
            names(UserContext::INTEGER),
            "x9 x10 x11 x12 x13 x14 x15 x19 x20 x21 x22 x23 x24 x25 x26 x27 x28 tpidr_el0 tpidrro_el0"
        );
        assert_eq!(names(UserContext::SYSCALL_MESSAGE), "x0 x1 x2 x3 x4 x5 x6 x7 pc sp x30 spsr");
        assert_eq!(names(UserContext::EXCEPTION_MESSAGE), "pc sp spsr");
        let all = [UserContext::FRAME, &UserContext::INTEGER[..17]].concat();
        assert_eq!(UserContext::TIMEOUT_MESSAGE, all, "the whole context but the thread registers");
    }
}
