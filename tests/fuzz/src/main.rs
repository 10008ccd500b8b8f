//! The fuzzer: a root task that has random threads make random system calls, and watches that nobody else notices.
//!
//! See `README.md` for how it is laid out, and what it says.
#![no_std]
#![no_main]

mod generator;
mod house;
mod learn;
mod plan;
mod rng;
mod roles;
mod serial;
mod shared;
mod slots;
mod snippets;
mod supervisor;
mod wild;
mod witness;
mod world;

use pecan::boot::BootInfo;
use pecan_runtime::println;

pecan_runtime::root_task!(main);

/// What to do, as text: `seed=N calls=N round=N strict=0|1`. Written into the program's file by `cargo xtask`.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".data.options")]
#[used]
static PECAN_FUZZ_OPTIONS: [u8; 128] = padded(b"seed=1 calls=100000");

const fn padded(text: &[u8]) -> [u8; 128] {
    let mut bytes = [0; 128];
    let mut i = 0;
    while i < text.len() {
        bytes[i] = text[i];
        i += 1;
    }
    bytes
}

/// What to do.
#[derive(Clone, Copy)]
pub struct Options {
    /// The seed of the first round.
    pub seed: u64,
    /// How many calls.
    pub calls: u64,
    /// How many calls a round has.
    pub round: u64,
    /// Time is that of the guest alone, so that it can be judged.
    pub strict: bool,
}

fn options() -> Options {
    // SAFETY: reads the static itself; volatile because its bytes are changed in the file, after compilation.
    let bytes: [u8; 128] = unsafe { (&raw const PECAN_FUZZ_OPTIONS).read_volatile() };
    let text = core::str::from_utf8(&bytes).unwrap_or_default();
    let number = |key: &str| {
        text.split([' ', '\0'])
            .find_map(|word| word.strip_prefix(key)?.strip_prefix('=')?.parse::<u64>().ok())
    };
    Options {
        seed: number("seed").unwrap_or(1),
        calls: number("calls").unwrap_or(100_000),
        round: number("round").unwrap_or(20_000).max(1),
        strict: number("strict").unwrap_or(1) != 0,
    }
}

fn main(boot: BootInfo) -> u64 {
    match house::House::new(boot) {
        Ok(mut house) => supervisor::run(&mut house, options()),
        Err((step, error)) => println!("fuzz: FAILED: {step}: {error}"),
    }
    // A kernel that measures itself then says what it has found; one without debug calls only stops this thread.
    pecan::raw::debug_halt();
    0
}
