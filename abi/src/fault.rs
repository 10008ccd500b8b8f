//! Fault messages: what a fault handler receives. The label of the message says which fault; the modules here
//! give the index of each message word.

pub use crate::arch::fault::{timeout_reply, unknown_syscall, user_exception, vm_fault};

word_enum! {
    /// The kind of a fault: the label of the message sent to the handler.
    pub enum FaultTag {
        /// No fault.
        Null = 0,
        /// A capability address did not resolve.
        CapFault = 1,
        /// A system call number the kernel does not have.
        UnknownSyscall = 2,
        /// A processor exception other than a page fault.
        UserException = 3,
        /// A breakpoint, a watchpoint or a single step, in kernels with hardware breakpoints.
        DebugException = 4,
        /// The thread ran out of budget and has a timeout handler.
        Timeout = 5,
        /// A page fault.
        VMFault = 6,
    }
}

/// Words of a capability fault.
pub mod cap_fault {
    /// Address of the instruction to restart.
    pub const IP: usize = 0;
    /// The capability address.
    pub const ADDR: usize = 1;
    /// 1 when the fault happened while receiving, 0 while sending.
    pub const IN_RECV_PHASE: usize = 2;
    /// [`crate::LookupFailureKind`].
    pub const LOOKUP_FAILURE: usize = 3;
    /// Bits left to resolve, for all kinds but the invalid root.
    pub const BITS_LEFT: usize = 4;
    /// Bits of the address that a CNode would have used (depth mismatch).
    pub const DEPTH_MISMATCH_BITS_FOUND: usize = 5;
    /// The guard of the CNode (guard mismatch).
    pub const GUARD_MISMATCH_GUARD_FOUND: usize = 5;
    /// The number of bits of that guard (guard mismatch).
    pub const GUARD_MISMATCH_BITS_FOUND: usize = 6;
    /// The greatest number of words.
    pub const MAX_LENGTH: usize = 7;
}

/// Words of a debug exception. A single step has the first two only; the first word of its reply, if there is one, is
/// the number of instructions to execute before the next.
pub mod debug_exception {
    /// Address of the instruction: the one not yet executed.
    pub const FAULT_IP: usize = 0;
    /// [`crate::breakpoint::BreakpointType`].
    pub const EXCEPTION_REASON: usize = 1;
    /// The address that the breakpoint waited for; 0 for a software break request.
    pub const TRIGGER_ADDRESS: usize = 2;
    /// The number of the breakpoint; 0 for a software break request.
    pub const BREAKPOINT_NUMBER: usize = 3;
    /// Number of words.
    pub const LENGTH: usize = 4;
    /// Number of words of a single step.
    pub const STEP_LENGTH: usize = 2;
}

/// Words of a timeout fault.
pub mod timeout {
    /// The badge word of the scheduling context.
    pub const DATA: usize = 0;
    /// Microseconds consumed since the last time this was asked.
    pub const CONSUMED: usize = 1;
    /// Number of words.
    pub const LENGTH: usize = 2;
}
