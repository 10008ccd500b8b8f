//! Interrupt numbers and exceptions of RISC-V: those of the interrupt controller (PLIC), and the timer behind them.

use crate::format::Exception;

/// First number that user level can ask for: 0 is none.
pub const IRQ_USER_MIN: usize = 1;
/// Last number that user level can ask for.
pub const IRQ_USER_MAX: usize = 127;
/// What user level calls interrupt [`IRQ_USER_MIN`].
pub const IRQ_FIRST_NUMBER: u64 = 1;
/// The kernel's own timer, which does not come through the controller.
pub const IRQ_TIMER: usize = IRQ_USER_MAX + 1;
/// Every interrupt number is below this.
pub const MAX_IRQ: usize = IRQ_TIMER + 1;

/// Where a device interrupt comes from: its number says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IrqSource {
    /// Edge-triggered rather than level-triggered.
    pub edge: bool,
}

/// No exception is reported behind its instruction.
#[inline]
pub fn is_trap(_number: u64) -> bool {
    false
}

/// Sorts the exception with this cause (scause) and, for an access, the `address` accessed. Privileged specification,
/// "Supervisor Cause Register": 1, 5 and 7 are access faults, 12, 13 and 15 page faults; of these 1 and 12 of fetches.
#[inline]
pub fn decode_exception(cause: u64, _: u64, address: u64) -> Exception {
    match cause {
        1 | 5 | 7 | 12 | 13 | 15 => {
            Exception::PageFault { address, instruction: matches!(cause, 1 | 12), status: cause }
        }
        number => Exception::User { number, code: 0 },
    }
}

/// The words of which [`decode_exception`] makes an exception. For tests.
#[cfg(not(target_os = "none"))]
pub fn encode_exception(exception: Exception) -> (u64, u64, u64) {
    match exception {
        Exception::PageFault { address, status, .. } => (status, 0, address),
        Exception::Debug { .. } => unreachable!("there are no breakpoints"),
        Exception::User { number, .. } => (number, 0, 0),
    }
}
