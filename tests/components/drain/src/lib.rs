//! The protocol of the drain.
#![no_std]
#![forbid(unsafe_code)]

use pecan_service::{Caller, Wire, service};

/// Bytes of a buffer.
pub const BUFFER: usize = 256;

/// What came through a client's ring.
#[derive(Wire, Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Progress {
    /// Buffers that came whole and in order since the ring began anew.
    pub count: u64,
    /// Those that did not, ever.
    pub wrong: u64,
    /// How often the client began anew.
    pub restarts: u64,
    /// How often the client's indices could not be right.
    pub broken: u64,
}

/// Whoever takes what comes through rings. The nth buffer of a ring is filled with the number n, again and again.
#[service(name = "drain", version = 1)]
pub trait Drain {
    /// What came from this client.
    #[idempotent]
    fn progress(&mut self, caller: Caller) -> Progress;
}
