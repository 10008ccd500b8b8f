//! Sessions: a client's own room at a server, made of memory that the client gives for it.

use core::fmt;

use pecan_service::{Bytes, Wire};

/// The most bytes that a client can say when it opens a session.
pub const SESSION_ARGS_MAX: usize = 128;

/// Why a session is not opened. Nothing has changed then.
#[repr(u64)]
#[derive(Wire, Clone, Copy, PartialEq, Eq, Debug)]
pub enum SessionError {
    /// The channel is none of this component's, or leads to a role without sessions.
    NoSessions = 0,
    /// Less than any session takes.
    TooSmall {
        /// The least bytes.
        least: u64,
    } = 1,
    /// More than what is left of the component's memory for sessions. What is left is not always in one piece.
    NoMemory {
        /// The bytes that are left.
        left: u64,
    } = 2,
    /// This component has as many sessions as it can have.
    TooMany {
        /// So many.
        most: u64,
    } = 3,
    /// The server has as many sessions as it can have.
    NoPlace = 4,
    /// The server does not run.
    ServerGone = 5,
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSessions => f.write_str("the channel leads to no role with sessions"),
            Self::TooSmall { least } => write!(f, "a session takes {least} bytes or more"),
            Self::NoMemory { left } => write!(f, "there are {left} bytes left for sessions"),
            Self::TooMany { most } => write!(f, "a component has {most} sessions at most"),
            Self::NoPlace => f.write_str("the server has no place for another session"),
            Self::ServerGone => f.write_str("the server does not run"),
        }
    }
}

impl core::error::Error for SessionError {}

/// A session that was opened, for the client.
#[derive(Wire, Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpenedSession {
    /// The address of the capability with which the client calls the server in this session.
    pub endpoint: u64,
    /// Bytes of memory that the server has for it: what was given, without what page tables and slots take of it.
    pub bytes: u64,
}

/// A session, for the server.
#[derive(Wire, Clone, PartialEq, Eq, Debug)]
pub struct SessionInfo {
    /// Which of those that had the place it is ([`pecan_service::Caller::generation`]).
    pub generation: u64,
    /// Where its memory is mapped.
    pub address: u64,
    /// The bytes of that.
    pub bytes: u64,
    /// What the client said when it opened it.
    pub args: Bytes<SESSION_ARGS_MAX>,
}
