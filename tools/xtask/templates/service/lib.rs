//! The protocol of the service `@name@`.
#![no_std]
#![forbid(unsafe_code)]

use pecan_service::{Caller, service};

/// What the service `@name@` does for its clients.
#[service(name = "@name@", version = 1)]
pub trait @Trait@ {
    /// Adds a value to the sum, and returns the sum.
    fn add(&mut self, caller: Caller, value: u64) -> u64;
    /// The sum.
    #[idempotent]
    fn sum(&mut self, caller: Caller) -> u64;
}
