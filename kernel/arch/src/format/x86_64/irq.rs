//! Interrupt numbers. An interrupt's hardware vector is its number plus [`VECTOR_OFFSET`].

use crate::format::Exception;

/// First number that user level can ask for; below are those of the legacy controller, which is not used.
pub const IRQ_USER_MIN: usize = 16;
/// Last number that user level can ask for. The two above are kept for interrupts between cores.
pub const IRQ_USER_MAX: usize = 123;
/// The kernel's own timer.
pub const IRQ_TIMER: usize = 126;
/// Every interrupt number is below this.
pub const MAX_IRQ: usize = IRQ_TIMER + 1;
/// Hardware vector of interrupt 0.
#[cfg(target_os = "none")]
pub const VECTOR_OFFSET: usize = 0x20;

/// What user level calls interrupt [`IRQ_USER_MIN`]: its vectors count from there.
pub const IRQ_FIRST_NUMBER: u64 = 0;

/// Where a device interrupt comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IrqSource {
    /// An input pin of an IOAPIC.
    Pin(IoapicPin),
    /// A message that a device writes.
    Message,
}

/// An input pin of an IOAPIC, and how the device drives it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IoapicPin {
    /// Index of the IOAPIC, below [`num_ioapics`](crate::num_ioapics).
    pub ioapic: usize,
    /// Input pin, below [`ioapic_pins`](crate::ioapic_pins) of that IOAPIC.
    pub pin: usize,
    /// Level-triggered rather than edge-triggered.
    pub level: bool,
    /// Active low rather than active high.
    pub active_low: bool,
}

/// The exception with this number is reported after its instruction (a single step, `int3`, `into`), which does not raise
/// it again (SDM volume 3, 6.5).
#[inline]
pub fn is_trap(number: u64) -> bool {
    matches!(number, 1 | 3 | 4)
}

/// Sorts the exception `vector` with its `error` code and, for a page fault, the `address` accessed.
#[inline]
pub fn decode_exception(vector: u64, error: u64, address: u64) -> Exception {
    match vector {
        14 => Exception::PageFault { address, instruction: error & 1 << 4 != 0, status: error },
        1 | 3 if pecan_config::HARDWARE_DEBUG => Exception::Debug { software: vector == 3 },
        number => Exception::User { number, code: error },
    }
}

/// The words of which [`decode_exception`] makes an exception. For tests.
#[cfg(not(target_os = "none"))]
pub fn encode_exception(exception: Exception) -> (u64, u64, u64) {
    match exception {
        Exception::PageFault { address, status, .. } => (14, status, address),
        Exception::Debug { software } => (if software { 3 } else { 1 }, 0, 0),
        Exception::User { number, code } => (number, code, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Intel SDM, volume 3, section "Exception Classifications": debug exceptions of data, breakpoint, overflow.
    #[test]
    fn traps_are_those_of_the_manual() {
        let traps: Vec<u64> = (0..256).filter(|number| is_trap(*number)).collect();
        assert_eq!(traps, [1, 3, 4]);
    }
}
