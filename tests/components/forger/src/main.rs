//! Shows the system log, and lies about what it has read of it: the indices in its page of the ring are forged.
#![no_std]
#![no_main]

use pecan_component::{main, pecan::raw, startup};

main!(main);

/// What it writes where its index is: indices that are before what was written, far behind it, or wrap.
const FORGED: [u64; 8] = [0, 1, u64::MAX, 1 << 63, 0x6000, 0x7fff, u32::MAX as u64, 0xdead_beef_dead_beef];

fn main() -> u64 {
    let Some((address, bytes)) = startup().memory("log.reader") else { return 1 };
    for round in 0_usize.. {
        for at in (0..bytes).step_by(8) {
            let word = core::ptr::with_exposed_provenance_mut::<u64>((address + at) as usize);
            // SAFETY: the page was mapped for this component, writable, and nothing else of it knows of it.
            unsafe { word.write_volatile(FORGED[(round + at as usize / 8) % FORGED.len()]) };
        }
        // The rest of this period belongs to others.
        raw::yield_now();
    }
    0
}
