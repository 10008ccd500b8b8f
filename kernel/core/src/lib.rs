//! The portable kernel: capabilities, objects, messages, scheduling and boot policy.
//!
//! Nothing here knows a processor, and nothing here is unsafe. `entry` is where the kernel is entered.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

// The layers, each of which uses only those above it (`cargo xtask check`).
pub mod base;
pub mod cap;
pub mod delete;
pub mod entry;
pub mod invoke;
pub mod ipc;
pub mod sched;
pub mod space;

// Beside them.
pub mod boot;
pub mod invariants;
#[cfg(test)]
#[allow(dead_code, reason = "not every test needs all of it")]
mod testing;
#[cfg(test)]
mod tests;
