//! The conformance suite: a root task that tests the kernel's interface from user level.
//!
//! See `README.md` for how it is laid out.
#![no_std]
#![no_main]
#![allow(clippy::result_large_err, reason = "an error holds its text: the tests have no heap to put it on")]

mod console;
mod env;
mod machine;
mod matrix;
mod runner;
mod snapshot;
mod start;
mod tests;
mod thread;

pub use env::Env;
