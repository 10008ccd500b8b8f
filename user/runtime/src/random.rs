//! Random numbers, of the processor.

use core::{
    fmt,
    sync::atomic::{AtomicU8, Ordering},
};

use pecan::arch::Random;

/// There are no random numbers: the processor has no source of them, or one that does not work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoRandom;

impl fmt::Display for NoRandom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the processor has no random numbers")
    }
}

impl core::error::Error for NoRandom {}

/// What is known of the source: nothing yet, that it works, or that it does not.
static SOURCE: AtomicU8 = AtomicU8::new(UNKNOWN);
const UNKNOWN: u8 = 0;
const WORKS: u8 = 1;
const FAILS: u8 = 2;

/// Fills memory with random numbers that are fit for keys, or says that there are none; it never makes up others.
///
/// They are those of the processor (x86_64: `RDRAND`). AArch64's are not used: user level cannot find out whether there are any.
pub fn random(bytes: &mut [u8]) -> Result<(), NoRandom> {
    let source = Random::find().filter(works).ok_or(NoRandom)?;
    for chunk in bytes.chunks_mut(size_of::<u64>()) {
        let word = source.word().ok_or(NoRandom)?.to_le_bytes();
        chunk.copy_from_slice(&word[..chunk.len()]);
    }
    Ok(())
}

/// Whether the source gives numbers, and not the same one again and again, as that of some processors does after they slept.
fn works(source: &Random) -> bool {
    match SOURCE.load(Ordering::Relaxed) {
        UNKNOWN => {
            let mut words = [0; 8];
            let all = words.iter_mut().all(|word| source.word().map(|random| *word = random).is_some());
            // Two that are alike come by chance once in 2^61 times.
            let differ = words.windows(2).all(|pair| pair[0] != pair[1]);
            SOURCE.store(if all && differ { WORKS } else { FAILS }, Ordering::Relaxed);
            all && differ
        }
        known => known == WORKS,
    }
}
