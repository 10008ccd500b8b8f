//! Why something did not work.

use core::fmt;

use pecan_abi::{Error as Kind, LookupFailureKind};

/// The result of an operation of this library.
pub type Result<T, E = Error> = core::result::Result<T, E>;

/// Why an operation failed. All but the last two come from the kernel, and then nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// A parameter is not valid.
    InvalidArgument {
        /// Which one, from 0.
        index: u64,
    },
    /// A capability is not valid here.
    InvalidCapability {
        /// Which one; 0 is the one invoked.
        index: u64,
    },
    /// The object does not do this, or not in its present state.
    IllegalOperation,
    /// A parameter is out of range.
    RangeError {
        /// The least value that would do.
        min: u64,
        /// The greatest value that would do.
        max: u64,
    },
    /// An address or a size is not aligned.
    AlignmentError,
    /// A capability address, or an address in an address space, did not resolve.
    FailedLookup {
        /// Whether it was to be the source of something.
        source: bool,
        /// What is wrong with it.
        failure: LookupFailure,
    },
    /// The message has too few words or capabilities.
    TruncatedMessage,
    /// The destination slot is not empty.
    DeleteFirst,
    /// The capability has children, or is in use.
    RevokeFirst,
    /// The untyped is too small.
    NotEnoughMemory {
        /// How many bytes it has left.
        available: u64,
    },
    /// A label that is not an error of the interface.
    Unknown(u64),
    /// The slot allocator has no (run of) free slots.
    NoSlots,
    /// The memory allocator has no untyped that is large enough.
    NoMemory {
        /// log2 of the bytes asked for.
        size_bits: u32,
    },
}

/// How the resolution of an address failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LookupFailure {
    /// The root is not a CNode.
    InvalidRoot,
    /// There is no capability in the slot, or no paging structure at this level.
    MissingCapability {
        /// Bits left to resolve.
        bits_left: u64,
    },
    /// The address ends in the middle of a CNode, or has bits left over.
    DepthMismatch {
        /// Bits left to resolve.
        bits_left: u64,
        /// Bits that would be resolved.
        bits_found: u64,
    },
    /// The guard of a CNode does not match.
    GuardMismatch {
        /// Bits left to resolve.
        bits_left: u64,
        /// The guard.
        guard: u64,
        /// Its bits.
        guard_bits: u64,
    },
    /// A kind that is not in the interface.
    Unknown(u64),
}

impl LookupFailure {
    /// Reads a failure from message words: its kind, then its details.
    pub fn from_words(kind: u64, detail: impl Fn(usize) -> u64) -> Self {
        match LookupFailureKind::from_word(kind) {
            Some(LookupFailureKind::InvalidRoot) => Self::InvalidRoot,
            Some(LookupFailureKind::MissingCapability) => Self::MissingCapability { bits_left: detail(0) },
            Some(LookupFailureKind::DepthMismatch) => {
                Self::DepthMismatch { bits_left: detail(0), bits_found: detail(1) }
            }
            Some(LookupFailureKind::GuardMismatch) => {
                Self::GuardMismatch { bits_left: detail(0), guard: detail(1), guard_bits: detail(2) }
            }
            Some(LookupFailureKind::None) | None => Self::Unknown(kind),
        }
    }

    /// The kind, as the interface numbers it.
    pub const fn kind(self) -> Option<LookupFailureKind> {
        match self {
            Self::InvalidRoot => Some(LookupFailureKind::InvalidRoot),
            Self::MissingCapability { .. } => Some(LookupFailureKind::MissingCapability),
            Self::DepthMismatch { .. } => Some(LookupFailureKind::DepthMismatch),
            Self::GuardMismatch { .. } => Some(LookupFailureKind::GuardMismatch),
            Self::Unknown(_) => None,
        }
    }
}

impl Error {
    /// Reads the reply of an invocation that did not succeed: its label, and its message words.
    pub fn from_reply(label: u64, word: impl Fn(usize) -> u64) -> Self {
        match Kind::from_word(label) {
            Some(Kind::InvalidArgument) => Self::InvalidArgument { index: word(0) },
            Some(Kind::InvalidCapability) => Self::InvalidCapability { index: word(0) },
            Some(Kind::IllegalOperation) => Self::IllegalOperation,
            Some(Kind::RangeError) => Self::RangeError { min: word(0), max: word(1) },
            Some(Kind::AlignmentError) => Self::AlignmentError,
            Some(Kind::FailedLookup) => Self::FailedLookup {
                source: word(0) != 0,
                failure: LookupFailure::from_words(word(1), |i| word(2 + i)),
            },
            Some(Kind::TruncatedMessage) => Self::TruncatedMessage,
            Some(Kind::DeleteFirst) => Self::DeleteFirst,
            Some(Kind::RevokeFirst) => Self::RevokeFirst,
            Some(Kind::NotEnoughMemory) => Self::NotEnoughMemory { available: word(0) },
            Some(Kind::NoError) | None => Self::Unknown(label),
        }
    }

    /// The kernel's error, without its details; `None` when it is not one of the kernel's.
    pub const fn kind(self) -> Option<Kind> {
        Some(match self {
            Self::InvalidArgument { .. } => Kind::InvalidArgument,
            Self::InvalidCapability { .. } => Kind::InvalidCapability,
            Self::IllegalOperation => Kind::IllegalOperation,
            Self::RangeError { .. } => Kind::RangeError,
            Self::AlignmentError => Kind::AlignmentError,
            Self::FailedLookup { .. } => Kind::FailedLookup,
            Self::TruncatedMessage => Kind::TruncatedMessage,
            Self::DeleteFirst => Kind::DeleteFirst,
            Self::RevokeFirst => Kind::RevokeFirst,
            Self::NotEnoughMemory { .. } => Kind::NotEnoughMemory,
            Self::Unknown(_) | Self::NoSlots | Self::NoMemory { .. } => return None,
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::InvalidArgument { index } => write!(f, "argument {index} is not valid"),
            Self::InvalidCapability { index } => write!(f, "capability {index} is not valid here"),
            Self::IllegalOperation => write!(f, "the object does not do this, or not now"),
            Self::RangeError { min, max } => write!(f, "out of range: {min:#x} to {max:#x} would do"),
            Self::AlignmentError => write!(f, "not aligned"),
            Self::FailedLookup { source, failure } => {
                write!(f, "the {} did not resolve: {failure}", if source { "source" } else { "destination" })
            }
            Self::TruncatedMessage => write!(f, "the message is too short"),
            Self::DeleteFirst => write!(f, "the destination is in use"),
            Self::RevokeFirst => write!(f, "the capability has children or is in use"),
            Self::NotEnoughMemory { available } => {
                write!(f, "the untyped has only {available:#x} bytes left")
            }
            Self::Unknown(label) => write!(f, "unknown error {label}"),
            Self::NoSlots => write!(f, "no free capability slots"),
            Self::NoMemory { size_bits } => {
                write!(f, "no untyped memory for an object of 2^{size_bits} bytes")
            }
        }
    }
}

impl fmt::Display for LookupFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::InvalidRoot => write!(f, "invalid root"),
            Self::MissingCapability { bits_left } => write!(f, "nothing there, {bits_left} bits left"),
            Self::DepthMismatch { bits_left, bits_found } => {
                write!(f, "depth mismatch, {bits_left} bits left, {bits_found} found")
            }
            Self::GuardMismatch { bits_left, guard, guard_bits } => {
                write!(f, "guard mismatch, {bits_left} bits left, guard {guard:#x} of {guard_bits} bits")
            }
            Self::Unknown(kind) => write!(f, "unknown failure {kind}"),
        }
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_come_from_the_message_words() {
        let words = [1, 4, 17, 0x2a, 6];
        assert_eq!(
            Error::from_reply(6, |i| words[i]),
            Error::FailedLookup {
                source: true,
                failure: LookupFailure::GuardMismatch { bits_left: 17, guard: 0x2a, guard_bits: 6 },
            }
        );
        assert_eq!(Error::from_reply(4, |i| words[i]), Error::RangeError { min: 1, max: 4 });
        assert_eq!(Error::from_reply(10, |i| words[i]), Error::NotEnoughMemory { available: 1 });
        assert_eq!(Error::from_reply(99, |_| 0), Error::Unknown(99));
    }

    #[test]
    fn every_kernel_error_keeps_its_kind() {
        for kind in Kind::ALL.iter().filter(|kind| **kind != Kind::NoError) {
            assert_eq!(Error::from_reply(kind.word(), |_| 0).kind(), Some(*kind));
        }
        assert_eq!(Error::NoSlots.kind(), None);
    }
}
