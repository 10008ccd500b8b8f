//! Interrupt numbers. An interrupt's hardware vector is its number plus [`VECTOR_OFFSET`].

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

/// Where a device interrupt comes from: an input pin of an IOAPIC, and how the device drives it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IrqRoute {
    /// Index of the IOAPIC, below [`num_ioapics`](crate::num_ioapics).
    pub ioapic: usize,
    /// Input pin, below [`ioapic_pins`](crate::ioapic_pins) of that IOAPIC.
    pub pin: usize,
    /// Level-triggered rather than edge-triggered.
    pub level: bool,
    /// Active low rather than active high.
    pub active_low: bool,
}

/// What an interrupt is that has arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Claim {
    /// This one: for the kernel to handle, and to end by the port's `irq_ack`.
    Interrupt(usize),
    /// Nothing to handle: it is masked, and remembered where that matters, or nobody's.
    Nothing,
    /// No interrupt but an exception of user level's.
    Exception,
}

/// An exception that a user thread caused, in the ABI's terms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exception {
    /// An access that the thread's address space does not allow.
    PageFault {
        /// The address accessed.
        address: u64,
        /// It was an instruction fetch.
        instruction: bool,
        /// The processor's fault status, as the ABI's fault message carries it.
        status: u64,
    },
    /// A breakpoint, a single step or a breakpoint instruction, in kernels with hardware breakpoints.
    Debug {
        /// It is known to be a breakpoint instruction. Otherwise the port's `take_debug_event` knows.
        software: bool,
    },
    /// Anything else.
    User {
        /// The exception's number.
        number: u64,
        /// Its error code, 0 if it has none.
        code: u64,
    },
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
