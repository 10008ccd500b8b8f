//! What stops a thread, as its fault handler is told.

use pecan_abi::breakpoint::BreakpointType;

/// Why a thread cannot go on, for its fault handler.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// None.
    None,
    /// A capability lookup failed.
    Cap {
        /// The address that was looked up.
        address: u64,
        /// While receiving.
        receive_phase: bool,
        /// How it failed.
        failure: LookupFailure,
    },
    /// A system call number that the kernel does not know.
    UnknownSyscall {
        /// The number.
        number: u64,
    },
    /// An exception of the processor.
    UserException {
        /// Exception number.
        number: u64,
        /// Error code.
        code: u64,
    },
    /// A breakpoint, a single step, or a breakpoint instruction.
    Debug {
        /// Which of them.
        reason: BreakpointType,
        /// The address of the breakpoint.
        address: u64,
        /// Its number.
        number: u8,
    },
    /// A memory access that the address space does not allow.
    Vm {
        /// The address.
        address: u64,
        /// An instruction fetch.
        instruction: bool,
        /// The port's fault status.
        status: u64,
    },
    /// The budget ran out.
    Timeout {
        /// The scheduling context's badge.
        badge: u64,
    },
}

/// How a capability lookup failed (the ABI's lookup failure descriptions).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LookupFailure {
    /// The root is not a CNode.
    InvalidRoot,
    /// An empty slot, or the wrong kind of capability.
    MissingCapability {
        /// Bits of the address that were left.
        bits_left: u8,
    },
    /// The address does not end at a slot.
    DepthMismatch {
        /// Bits of the address that were left.
        bits_left: u8,
        /// Bits that the CNode resolves.
        bits_found: u8,
    },
    /// A guard differs from the address.
    GuardMismatch {
        /// Bits of the address that were left.
        bits_left: u8,
        /// The guard.
        guard: u64,
        /// Its length.
        guard_bits: u8,
    },
}
