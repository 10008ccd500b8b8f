//! The processor's random numbers.

use core::arch::x86_64::{__cpuid, _rdrand64_step};

/// How often an instruction that has no number yet is tried again (Intel's guide to the digital random number generator,
/// 5.2.1).
const TRIES: usize = 10;
/// CPUID leaf 1, ECX: there is the instruction `RDRAND`.
const RDRAND: u32 = 1 << 30;
/// What AMD's processors before family 17H give again and again, as a number, once the machine has slept.
const STUCK: u64 = u64::MAX;

/// That the processor has random numbers.
#[derive(Debug)]
pub struct Random(());

impl Random {
    /// The processor's source, if it has one that programs can use.
    pub fn find() -> Option<Self> {
        (__cpuid(1).ecx & RDRAND != 0).then_some(Self(()))
    }

    /// The next number, if the source has one.
    pub fn word(&self) -> Option<u64> {
        // SAFETY: the processor has the instruction, or there would be no `Random`.
        unsafe { rdrand() }
    }
}

#[target_feature(enable = "rdrand")]
fn rdrand() -> Option<u64> {
    let mut word = 0;
    (0..TRIES).any(|_| _rdrand64_step(&mut word) == 1 && word != STUCK).then_some(word)
}
