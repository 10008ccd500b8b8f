//! The protocol of the ledger.
#![no_std]
#![forbid(unsafe_code)]

use pecan_service::{Caller, Later, service};

/// How many entries a client has: a byte of its page for each, which counts how often the entry was made.
pub const ENTRIES: usize = 4000;
/// The most bytes of an entry's text.
pub const TEXT_MAX: usize = 900;

/// A ledger of which each client has pages of its own.
#[service(name = "ledger", version = 1)]
pub trait Ledger {
    /// How often an entry was made.
    #[idempotent]
    fn count(&mut self, caller: Caller, entry: u64) -> u64;
    /// Makes an entry that may be made more than once.
    #[idempotent]
    fn put(&mut self, caller: Caller, entry: u64);
    /// Makes an entry once.
    fn enter(&mut self, caller: Caller, entry: u64);
    /// Makes an entry once; returns the sum of the text's bytes.
    fn enter_text(&mut self, caller: Caller, entry: u64, #[max(TEXT_MAX)] text: &[u8]) -> u64;
    /// Makes an entry once, and answers when another call comes.
    fn enter_later(&mut self, caller: Caller, entry: u64, later: Later<()>);
}
