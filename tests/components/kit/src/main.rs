//! The kit.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use core::hint::black_box;

use pecan_component::{
    dma, file, main, mmio, serve,
    service::{Caller, Text},
};
use test_kit::{Beginning, ForDevices, Kit};

main!(main);

struct Server;

/// Uses so many KiB of the stack.
fn deep(kilobytes: u64) -> u64 {
    let bytes = black_box([kilobytes as u8; 1024]);
    if kilobytes == 0 { 0 } else { deep(kilobytes - 1) + u64::from(bytes[512] == kilobytes as u8) }
}

impl Kit for Server {
    fn heap(&mut self, _: Caller) -> u64 {
        const STEP: usize = 64 << 10;
        let fits = |steps: usize| {
            let mut bytes = Vec::<u8>::new();
            let fits = bytes.try_reserve_exact(steps * STEP).is_ok();
            // Memory that nobody looks at need not be asked for.
            black_box(&mut bytes);
            fits
        };
        let mut most = 0;
        while fits(most + 1) {
            most += 1;
        }
        (most * STEP) as u64
    }

    fn stack(&mut self, _: Caller, kilobytes: u64) -> u64 {
        deep(kilobytes)
    }

    fn file(&mut self, _: Caller, name: &str) -> Option<Beginning> {
        let bytes = file(name)?;
        let line = bytes.split(|b| *b == b'\n').next()?;
        Some(Beginning { line: Text::cut(core::str::from_utf8(line).ok()?), bytes: bytes.len() as u64 })
    }

    fn register(&mut self, _: Caller, offset: u64) -> Option<u64> {
        Some(mmio("hpet")?.read64(offset as usize))
    }

    fn dma(&mut self, _: Caller) -> Option<ForDevices> {
        let dma = dma("queue")?;
        let mut word = [0; 8];
        dma.memory.read(&mut word);
        let bytes = dma.memory.len() as u64;
        Some(ForDevices { address: dma.address, bytes, word: u64::from_le_bytes(word) })
    }

    fn note(&mut self, _: Caller, word: u64) {
        if let Some(dma) = dma("queue") {
            dma.memory.write(&word.to_le_bytes());
        }
    }
}

fn main() {
    serve::<roles::Dispatch, _>(&mut Server, |_, _| ())
}
