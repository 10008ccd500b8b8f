//! The protocol of the driver `@name@`.
#![no_std]
#![forbid(unsafe_code)]

use pecan_service::{Caller, Later, service};

/// What the driver `@name@` does for its clients.
#[service(name = "@name@", version = 1)]
pub trait @Trait@ {
    /// The seconds that the clock shows, 0 to 59; nothing if it cannot be read.
    #[idempotent]
    fn seconds(&mut self, caller: Caller) -> Option<u8>;
    /// Waits for the next tick: how many there were since the driver was started.
    #[idempotent]
    fn tick(&mut self, caller: Caller, later: Later<u64>);
}
