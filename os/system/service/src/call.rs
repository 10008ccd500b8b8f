//! The client's side of a call.

use core::fmt;

use pecan::{Cap, types::Endpoint};

use crate::{Reader, Wire, Writer};

/// Why a call gave no result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallError {
    /// The server does not have this method.
    NoSuchMethod,
    /// The server, or this side, could not make sense of the message.
    Garbled,
    /// The server keeps as many callers waiting as it can.
    Busy,
    /// The server gave the call up.
    Dropped,
    /// The arguments or the result do not fit into a message.
    TooLong,
    /// This component has no channel of that protocol.
    NoChannel,
    /// The server is gone and does not come back.
    Gone,
}

impl CallError {
    /// The label of the message that says so.
    pub const fn number(self) -> u64 {
        self as u64 + 1
    }

    const fn from_number(number: u64) -> Self {
        match number {
            1 => Self::NoSuchMethod,
            3 => Self::Busy,
            4 => Self::Dropped,
            5 => Self::TooLong,
            6 => Self::NoChannel,
            7 => Self::Gone,
            _ => Self::Garbled,
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSuchMethod => "the server does not know this method",
            Self::Garbled => "the message makes no sense",
            Self::Busy => "the server is busy",
            Self::Dropped => "the server gave the call up",
            Self::TooLong => "the message is too long",
            Self::NoChannel => "there is no channel to such a server",
            Self::Gone => "the server is gone",
        })
    }
}

impl core::error::Error for CallError {}

/// The label of a method's messages.
pub const fn label(protocol: u64, method: u64) -> u64 {
    // Far from the labels of faults, which arrive on the same endpoints.
    0x1_0000 | protocol << 8 | method
}

/// Calls a method: sends the message and reads the result from the reply.
#[inline]
pub fn call<T: Wire>(endpoint: Cap<Endpoint>, writer: Writer) -> Result<T, CallError> {
    if endpoint.is_null() {
        return Err(CallError::NoChannel);
    }
    let reply = endpoint.call(writer.finish().ok_or(CallError::TooLong)?);
    match reply.label() {
        0 => T::decode(&mut Reader::new(&reply)).ok_or(CallError::Garbled),
        number => Err(CallError::from_number(number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_keep_their_numbers() {
        use CallError::*;
        for error in [NoSuchMethod, Garbled, Busy, Dropped, TooLong, NoChannel, Gone] {
            assert_eq!(CallError::from_number(error.number()), error);
        }
    }

    #[test]
    fn without_a_channel_there_is_no_call() {
        assert_eq!(call::<()>(Cap::NULL, Writer::new(1)), Err(CallError::NoChannel));
    }
}
