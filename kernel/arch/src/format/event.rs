//! What makes a processor enter the kernel, in the interface's terms.

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

/// An exception that a user thread caused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exception {
    /// An access that the thread's address space does not allow.
    PageFault {
        /// The address accessed.
        address: u64,
        /// It was an instruction fetch.
        instruction: bool,
        /// The processor's fault status, as the interface's fault message carries it.
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

/// Why a debug exception was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DebugEvent {
    /// The breakpoint with this number.
    Breakpoint(usize),
    /// An instruction was executed with single-stepping on.
    Step,
    /// An instruction asked for it.
    Software,
}
