//! The portable kernel: capabilities, objects, messages, scheduling and boot policy.
//!
//! Nothing here knows a processor, and nothing here is unsafe. `entry` is where the kernel is entered.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod benchmark;
pub mod boot;
pub mod breakpoint;
pub mod budget;
pub mod cnode;
pub mod debug;
pub mod derivation;
pub mod domain;
pub mod end;
pub mod endpoint;
pub mod entry;
pub mod error;
pub mod fastpath;
#[cfg(test)]
mod fastpath_tests;
pub mod fault;
pub mod finalise;
pub mod invariants;
pub mod invoke;
pub mod ioport;
pub mod irq;
pub mod latency;
pub mod lookup;
pub mod message;
pub mod notification;
pub mod refill;
pub mod release;
pub mod reply;
pub mod sched_context;
pub mod scheduler;
pub mod sequence;
pub mod tcb;
#[cfg(test)]
#[allow(dead_code, reason = "not every test needs all of it")]
mod testing;
#[cfg(test)]
mod tests;
pub mod thread;
pub mod transfer;
pub mod untyped;
pub mod vspace;
