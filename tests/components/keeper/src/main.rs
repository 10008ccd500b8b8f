//! A store that does not let go of what it was given: it is told that a session is over, and goes on for a while; and it uses
//! the memory afterwards.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;

use pecan_component::{
    SessionMemory, main, serve,
    service::{Bytes, Caller, Later},
    ticks, tsc_mhz,
};
use test_store::{Store, StoreError, VALUE_MAX};

main!(main);

/// For how long it does not hear that a client has gone, in microseconds: longer than the initial task waits.
const DEAF: u64 = 150_000;

struct Server {
    kept: Vec<SessionMemory>,
}

impl Store for Server {
    fn put(&mut self, caller: Caller, _: &str, _: &[u8]) -> Result<(), StoreError> {
        self.kept.push(roles::CLIENTS.session(caller).ok_or(StoreError::NoSession)?);
        Ok(())
    }

    fn get(&mut self, _: Caller, _: &str) -> Result<Bytes<VALUE_MAX>, StoreError> {
        Err(StoreError::NoSuchKey)
    }

    fn args(&mut self, _: Caller) -> Result<Bytes<VALUE_MAX>, StoreError> {
        Err(StoreError::NoSession)
    }

    fn sessions(&mut self, _: Caller) -> u64 {
        self.kept.len() as u64
    }

    fn never(&mut self, _: Caller, later: Later<()>) {
        core::mem::forget(later);
    }

    fn stall(&mut self, _: Caller, us: u64) {
        let end = ticks() + us * tsc_mhz();
        while ticks() < end {}
    }

    fn touch(&mut self, _: Caller) -> u64 {
        let mut byte = [0];
        self.kept.iter().map(|session| session.memory().read(&mut byte) as u64).sum()
    }

    fn die(&mut self, _: Caller) {
        panic!("as it was asked to");
    }

    fn gone(&mut self, _: usize) {
        let end = ticks() + DEAF * tsc_mhz();
        while ticks() < end {}
    }
}

fn main() {
    serve::<roles::Dispatch, _>(&mut Server { kept: Vec::new() }, |_, _| ())
}
