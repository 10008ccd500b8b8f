//! Fault messages: what a fault handler receives. The label of the message says which fault, [`FaultTag::words`] what its
//! words hold; the modules here name the index of each.

use crate::LookupFailureKind;
pub use crate::arch::fault::{timeout_reply, unknown_syscall, user_exception};

/// Defines a module that names the index of each word of a message, and lists what they hold.
macro_rules! message_words {
    ($(#[$meta:meta])* $module:ident: $($(#[$word_meta:meta])* $WORD:ident = $holds:expr,)+) => {
        $(#[$meta])*
        #[allow(missing_docs)] // Registers are known by their names.
        pub mod $module {
            use crate::fault::Holds::{self, *};

            #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
            enum Index { $($WORD,)+ LENGTH }

            $($(#[$word_meta])* pub const $WORD: usize = Index::$WORD as usize;)+
            /// Number of words.
            pub const LENGTH: usize = Index::LENGTH as usize;
            /// What they hold.
            pub const WORDS: &[Holds] = &[$($holds),+];
        }
    };
}

message_words! {
    /// Words of a page fault.
    vm_fault:
    /// Address of the instruction.
    IP = Instruction,
    /// The address that faulted.
    ADDR = Address,
    /// 1 when an instruction was being fetched, 0 for data.
    PREFETCH_FAULT = IsFetch,
    /// The processor's error code.
    FSR = ErrorCode,
}

/// What a word of a fault message holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holds {
    /// The address of the instruction, which is executed again unless the answer says otherwise.
    Instruction,
    /// A register, by its name.
    Register(&'static str),
    /// The stack pointer.
    StackPointer,
    /// The flags.
    Flags,
    /// The number of the system call.
    SyscallNumber,
    /// The address that was accessed.
    Address,
    /// 1 for an instruction fetch, 0 for data.
    IsFetch,
    /// The processor's error code.
    ErrorCode,
    /// The vector of the exception.
    Vector,
    /// The capability address.
    CapAddress,
    /// 1 while receiving, 0 while sending.
    InReceivePhase,
    /// The [`LookupFailureKind`], which [adds words of its own](LookupFailureKind::words).
    LookupFailure,
    /// Bits of the capability address that were left to resolve.
    BitsLeft,
    /// Bits of the address that the CNode would have taken.
    BitsFound,
    /// The guard of the CNode.
    Guard,
    /// The number of bits of that guard.
    GuardBits,
    /// The reason, as the kind of a breakpoint.
    Reason,
    /// The address that the breakpoint waited for; 0 for a software break request.
    TriggerAddress,
    /// The number of the breakpoint; 0 for a software break request.
    BreakpointNumber,
    /// The badge word of the scheduling context.
    SchedContextBadge,
    /// Microseconds consumed since this was last asked.
    Consumed,
}

impl Holds {
    /// In words, for the reference tables.
    pub const fn text(self) -> &'static str {
        match self {
            Holds::Instruction => "address of the instruction",
            Holds::Register(name) => name,
            Holds::StackPointer => "stack pointer",
            Holds::Flags => "flags",
            Holds::SyscallNumber => "number",
            Holds::Address => "address",
            Holds::IsFetch => "1 for an instruction fetch",
            Holds::ErrorCode => "error code",
            Holds::Vector => "vector",
            Holds::CapAddress => "capability address",
            Holds::InReceivePhase => "1 while receiving",
            Holds::LookupFailure => "lookup failure, and its details behind it",
            Holds::BitsLeft => "bits left",
            Holds::BitsFound => "bits found",
            Holds::Guard => "guard",
            Holds::GuardBits => "bits of the guard",
            Holds::Reason => "reason, as the kind of a breakpoint",
            Holds::TriggerAddress => "address of the breakpoint",
            Holds::BreakpointNumber => "its number",
            Holds::SchedContextBadge => "badge word",
            Holds::Consumed => "microseconds consumed",
        }
    }
}

impl FaultTag {
    /// What the words of the message hold, from the first on. A capability fault has those of its lookup failure besides; a
    /// single step has the first two of a debug exception only.
    pub const fn words(self) -> &'static [Holds] {
        match self {
            FaultTag::Null => &[],
            FaultTag::CapFault => {
                &[Holds::Instruction, Holds::CapAddress, Holds::InReceivePhase, Holds::LookupFailure]
            }
            FaultTag::UnknownSyscall => unknown_syscall::WORDS,
            FaultTag::UserException => user_exception::WORDS,
            FaultTag::DebugException => {
                &[Holds::Instruction, Holds::Reason, Holds::TriggerAddress, Holds::BreakpointNumber]
            }
            FaultTag::Timeout => &[Holds::SchedContextBadge, Holds::Consumed],
            FaultTag::VMFault => vm_fault::WORDS,
        }
    }
}

impl LookupFailureKind {
    /// What the words behind the failure hold, in an error as in a fault message.
    pub const fn words(self) -> &'static [Holds] {
        match self {
            LookupFailureKind::None | LookupFailureKind::InvalidRoot => &[],
            LookupFailureKind::MissingCapability => &[Holds::BitsLeft],
            LookupFailureKind::DepthMismatch => &[Holds::BitsLeft, Holds::BitsFound],
            LookupFailureKind::GuardMismatch => &[Holds::BitsLeft, Holds::Guard, Holds::GuardBits],
        }
    }
}

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
