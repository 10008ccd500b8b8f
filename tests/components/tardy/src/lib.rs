//! The protocol of a server that takes its time.
#![no_std]
#![forbid(unsafe_code)]

use pecan_service::{Caller, Later, service};

/// A server that takes its time.
#[service(name = "tardy", version = 1)]
pub trait Tardy {
    /// The number.
    fn number(&mut self, caller: Caller, number: u64) -> u64;
    /// The number, after so many microseconds in which nobody else is served.
    fn number_after(&mut self, caller: Caller, number: u64, us: u64) -> u64;
    /// Answers at once, and serves nobody for so many microseconds.
    fn stall(&mut self, caller: Caller, us: u64, later: Later<()>);
    /// Never answers.
    fn never(&mut self, caller: Caller, later: Later<()>);
    /// To how many clients it owes an answer.
    fn owes(&mut self, caller: Caller) -> u64;
    /// How often it was told that a call was given up.
    fn told(&mut self, caller: Caller) -> u64;
}

/// A server that waits for another one.
#[service(name = "relay", version = 1)]
pub trait Relay {
    /// The number.
    fn number(&mut self, caller: Caller, number: u64) -> u64;
    /// The number, after so many microseconds for which another server is asked.
    fn fetch(&mut self, caller: Caller, number: u64, us: u64, later: Later<Option<u64>>);
    /// For how many clients it waits.
    fn waits(&mut self, caller: Caller) -> u64;
}
