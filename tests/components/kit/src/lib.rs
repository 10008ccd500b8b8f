//! The protocol of the kit.
#![no_std]
#![forbid(unsafe_code)]

use pecan_service::{Caller, Text, Wire, service};

/// The beginning of a file.
#[derive(Wire, Clone, PartialEq, Eq, Debug)]
pub struct Beginning {
    /// Its first line.
    pub line: Text<64>,
    /// How many bytes the file has.
    pub bytes: u64,
}

/// Memory for devices.
#[derive(Wire, Clone, Copy, PartialEq, Eq, Debug)]
pub struct ForDevices {
    /// The physical address.
    pub address: u64,
    /// How many bytes there are.
    pub bytes: u64,
    /// The first word.
    pub word: u64,
}

/// What a component has of what its description gives it.
#[service(name = "kit", version = 1)]
pub trait Kit {
    /// The most bytes that could be had in one piece of the heap, to the next 64K.
    fn heap(&mut self, caller: Caller) -> u64;
    /// Uses so many KiB of the stack; returns them.
    fn stack(&mut self, caller: Caller, kilobytes: u64) -> u64;
    /// The beginning of a file.
    #[idempotent]
    fn file(&mut self, caller: Caller, #[max(16)] name: &str) -> Option<Beginning>;
    /// 64 bits of registers, so many bytes after the first.
    #[idempotent]
    fn register(&mut self, caller: Caller, offset: u64) -> Option<u64>;
    /// The memory for devices.
    #[idempotent]
    fn dma(&mut self, caller: Caller) -> Option<ForDevices>;
    /// Writes the first word of the memory for devices.
    #[idempotent]
    fn note(&mut self, caller: Caller, word: u64);
}
