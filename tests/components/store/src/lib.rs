//! The protocol of a store whose clients give the memory for what they put there.
#![no_std]
#![forbid(unsafe_code)]

use core::fmt;

use pecan_service::{Bytes, Caller, Later, Wire, service};

/// The most bytes of a key.
pub const KEY_MAX: usize = 32;
/// The most bytes of a value.
pub const VALUE_MAX: usize = 512;

/// Why something is not done.
#[repr(u64)]
#[derive(Wire, Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoreError {
    /// The call came through the channel itself, and not in a session.
    NoSession = 0,
    /// The session's memory is used up.
    Full = 1,
    /// There is nothing under this key.
    NoSuchKey = 2,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSession => "there is no session",
            Self::Full => "the session's memory is used up",
            Self::NoSuchKey => "there is nothing under this key",
        })
    }
}

impl core::error::Error for StoreError {}

/// Keeps values, those of each session for itself.
#[service(name = "store", version = 1)]
pub trait Store {
    /// Keeps a value under a key.
    fn put(
        &mut self,
        caller: Caller,
        #[max(KEY_MAX)] key: &str,
        #[max(VALUE_MAX)] value: &[u8],
    ) -> Result<(), StoreError>;
    /// The last value that was put under a key.
    #[idempotent]
    fn get(&mut self, caller: Caller, #[max(KEY_MAX)] key: &str) -> Result<Bytes<VALUE_MAX>, StoreError>;
    /// What the client said when it opened the session.
    fn args(&mut self, caller: Caller) -> Result<Bytes<VALUE_MAX>, StoreError>;
    /// How many sessions it knows, and how many calls it has yet to answer.
    fn sessions(&mut self, caller: Caller) -> u64;
    /// Never answers.
    fn never(&mut self, caller: Caller, later: Later<()>);
    /// Does not answer for so many microseconds, in which nobody else is served.
    fn stall(&mut self, caller: Caller, us: u64);
    /// Reads all memory of sessions that it still has, whether or not it should.
    fn touch(&mut self, caller: Caller) -> u64;
    /// Dies.
    fn die(&mut self, caller: Caller);
}
