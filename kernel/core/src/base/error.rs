//! What can go wrong with a system call.

use pecan_abi::Error;
use pecan_mem::LookupFailure;

/// An error of an invocation, with the details that the ABI reports in the message registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SyscallError {
    /// An argument (by its number) makes no sense.
    InvalidArgument(u64),
    /// A capability (by its number; 0 is the one invoked) is of the wrong kind.
    InvalidCapability(u64),
    /// Not possible with this capability, or in this state.
    IllegalOperation,
    /// A value is not between the two, inclusive.
    RangeError(u64, u64),
    /// An address is not aligned.
    AlignmentError,
    /// A lookup failed.
    FailedLookup {
        /// It was the lookup of a source slot.
        source: bool,
        /// How it failed.
        failure: LookupFailure,
    },
    /// The message is too short.
    TruncatedMessage,
    /// The destination is in use.
    DeleteFirst,
    /// The object has other capabilities.
    RevokeFirst,
    /// So many bytes are left, which is not enough.
    NotEnoughMemory(u64),
}

impl SyscallError {
    /// The ABI's error code.
    pub fn code(self) -> Error {
        match self {
            SyscallError::InvalidArgument(_) => Error::InvalidArgument,
            SyscallError::InvalidCapability(_) => Error::InvalidCapability,
            SyscallError::IllegalOperation => Error::IllegalOperation,
            SyscallError::RangeError(..) => Error::RangeError,
            SyscallError::AlignmentError => Error::AlignmentError,
            SyscallError::FailedLookup { .. } => Error::FailedLookup,
            SyscallError::TruncatedMessage => Error::TruncatedMessage,
            SyscallError::DeleteFirst => Error::DeleteFirst,
            SyscallError::RevokeFirst => Error::RevokeFirst,
            SyscallError::NotEnoughMemory(_) => Error::NotEnoughMemory,
        }
    }
}

/// A long operation was interrupted. Its system call is made again when the thread runs next, and goes on
/// where it stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Preempted;

/// Why an invocation did not finish.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// It failed, and nothing changed.
    Error(SyscallError),
    /// It was interrupted.
    Preempted,
}

impl From<SyscallError> for Stop {
    fn from(error: SyscallError) -> Self {
        Stop::Error(error)
    }
}

impl From<Preempted> for Stop {
    fn from(_: Preempted) -> Self {
        Stop::Preempted
    }
}

/// A decoded value, or the error that the caller gets.
pub type Decoded<T> = Result<T, SyscallError>;
