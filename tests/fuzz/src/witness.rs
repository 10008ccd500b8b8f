//! A component that nobody but the supervisor has anything to do with. One of its threads computes, with pages of its
//! own memory, the vector registers and the segment bases; the other answers pings. Whatever happens to the rest of
//! the system must not show.

use core::{
    arch::asm,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use pecan::raw;
use pecan_abi::MessageInfo;

use crate::rng::mix;

/// Where its pages are mapped in its own address space: the two threads' stacks, a page that they share, and those
/// that are computed with.
pub const MEMORY: u64 = 0x50_0000_0000;
/// Pages of each stack.
pub const STACK_PAGES: u64 = 2;
/// The page with [`State`].
pub const STATE: u64 = MEMORY + 2 * STACK_PAGES * 4096;
/// The pages that are computed with.
pub const DATA: u64 = STATE + 4096;
/// How many there are.
pub const DATA_PAGES: u64 = 16;
/// All pages.
pub const PAGES: u64 = 2 * STACK_PAGES + 1 + DATA_PAGES;

/// Slots of its CSpace.
pub const EP: u64 = 1;
/// The reply object.
pub const REPLY: u64 = 2;

/// What the two threads share. It begins with its own address, for the segment bases to point to.
#[repr(C)]
pub struct State {
    /// Where this is.
    pub this: AtomicU64,
    /// Pages computed so far.
    pub progress: AtomicU64,
    /// What was found to be wrong: a bit for each of [`WRONG`].
    pub wrong: AtomicU64,
}

/// What can be found to be wrong.
pub const WRONG: [&str; 4] =
    ["its memory changed", "its vector registers changed", "its FS base changed", "its GS base changed"];

fn state() -> &'static State {
    // SAFETY: mapped and zeroed for as long as the threads run, and made of atomics.
    unsafe { &*(STATE as *const State) }
}

/// The answer to a ping.
pub fn answer(ping: u64) -> u64 {
    mix(ping ^ 0x5157_4e45_5353)
}

/// The thread that answers.
pub extern "C" fn ping() -> ! {
    let mut received = raw::recv(EP, REPLY);
    loop {
        let state = state();
        let (progress, wrong) = (state.progress.load(Relaxed), state.wrong.load(Relaxed));
        let words = [answer(received.regs[0]), progress, wrong, 0];
        received = raw::reply_recv(EP, MessageInfo::new(0, 0, 0, 3), words, REPLY);
    }
}

/// The thread that computes.
pub extern "C" fn compute() -> ! {
    let state = state();
    let page = |n: u64| (DATA + n * 4096) as *mut u64;
    let expected =
        |n: u64, word: u64, round: u64| mix(n << 32 | word << 20 ^ round.wrapping_mul(0x9e37_79b9));
    let mut round = 0;
    loop {
        for n in 0..DATA_PAGES {
            let mark = mix(round << 8 | n);
            set_vector(mark);
            for word in 0..512 {
                // SAFETY: the thread's own memory, which nobody has a reference to.
                let place = unsafe { page(n).add(word as usize) };
                // SAFETY: as above; volatile, so that what is in memory is looked at.
                let (found, first) = (unsafe { place.read_volatile() }, round == 0);
                if found != if first { 0 } else { expected(n, word, round - 1) } {
                    state.wrong.fetch_or(1, Relaxed);
                }
                // SAFETY: as above.
                unsafe { place.write_volatile(expected(n, word, round)) };
            }
            if vector() != mark {
                state.wrong.fetch_or(2, Relaxed);
            }
            let (fs, gs): (u64, u64);
            // SAFETY: the thread was started with both bases at its state, which begins with its address.
            unsafe {
                asm!("mov {}, fs:[0]", "mov {}, gs:[0]", out(reg) fs, out(reg) gs, options(nostack, readonly));
            }
            state.wrong.fetch_or(u64::from(fs != STATE) << 2 | u64::from(gs != STATE) << 3, Relaxed);
            state.progress.fetch_add(1, Relaxed);
        }
        round += 1;
    }
}

/// Puts a word into vector registers. The program is built without them, so nobody else uses them.
fn set_vector(mark: u64) {
    // SAFETY: changes registers that the compiler does not use.
    unsafe {
        asm!(
            "movq xmm0, {0}",
            "movq xmm9, {0}",
            "movq xmm15, {0}",
            in(reg) mark,
            options(nostack, nomem),
        );
    }
}

/// The word in the vector registers; another one if they differ.
fn vector() -> u64 {
    let (a, b, c): (u64, u64, u64);
    // SAFETY: reads registers.
    unsafe {
        asm!(
            "movq {0}, xmm0",
            "movq {1}, xmm9",
            "movq {2}, xmm15",
            out(reg) a,
            out(reg) b,
            out(reg) c,
            options(nostack, nomem),
        );
    }
    if a == b && b == c { a } else { !a }
}
