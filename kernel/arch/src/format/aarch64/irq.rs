//! Interrupt numbers and exceptions of AArch64: those of the interrupt controller (GIC) as they are.

use crate::format::Exception;

/// First number that user level can ask for.
pub const IRQ_USER_MIN: usize = 0;
/// Last number that user level can ask for: of a shared peripheral.
pub const IRQ_USER_MAX: usize = 1019;
/// What user level calls interrupt [`IRQ_USER_MIN`].
pub const IRQ_FIRST_NUMBER: u64 = 0;
/// The kernel's own timer: the virtual timer's, which is private to a core.
pub const IRQ_TIMER: usize = 27;
/// Every interrupt number is below this.
pub const MAX_IRQ: usize = IRQ_USER_MAX + 1;

/// Where a device interrupt comes from: its number says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IrqSource {
    /// Edge-triggered rather than level-triggered.
    pub edge: bool,
}

/// Exception classes of ESR_EL1 (Arm ARM, "ESR_EL1"): aborts from a lower exception level.
const INSTRUCTION_ABORT: u64 = 0x20;
const DATA_ABORT: u64 = 0x24;

/// No exception is reported behind its instruction.
#[inline]
pub fn is_trap(_number: u64) -> bool {
    false
}

/// Sorts an exception with its syndrome (ESR_EL1) and, for an abort, the `address` accessed.
#[inline]
pub fn decode_exception(vector: u64, syndrome: u64, address: u64) -> Exception {
    match syndrome >> 26 & 0x3f {
        class @ (INSTRUCTION_ABORT | DATA_ABORT) => {
            Exception::PageFault { address, instruction: class == INSTRUCTION_ABORT, status: syndrome }
        }
        _ => Exception::User { number: vector, code: syndrome },
    }
}

/// The words of which [`decode_exception`] makes an exception. For tests.
#[cfg(not(target_os = "none"))]
pub fn encode_exception(exception: Exception) -> (u64, u64, u64) {
    match exception {
        Exception::PageFault { address, instruction, status } => {
            let class = if instruction { INSTRUCTION_ABORT } else { DATA_ABORT };
            (0, class << 26 | status & 0x3ff_ffff, address)
        }
        Exception::Debug { .. } => unreachable!("there are no breakpoints"),
        Exception::User { number, code } => (number, code, 0),
    }
}
