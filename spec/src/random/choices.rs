//! Where choices come from.

use proptest::{prelude::Rng, test_runner::TestRng};

/// Where choices come from.
pub(super) enum Choices<'a> {
    /// The library's random numbers.
    Random(&'a mut TestRng),
    /// Bytes, few for each choice; then zeros.
    Bytes(&'a [u8]),
}

impl Choices<'_> {
    /// A number less than `n`, which is not 0.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        match self {
            Choices::Random(numbers) => numbers.next_u64() % n,
            Choices::Bytes(bytes) => {
                let count = if n <= 1 << 8 { 1 } else { 8 };
                let (taken, rest) = bytes.split_at(count.min(bytes.len()));
                *bytes = rest;
                taken.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)) % n
            }
        }
    }

    /// True once in `n` times.
    pub(super) fn rarely(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// At most `most` of what `one` gives.
    pub(super) fn list(&mut self, most: u64, mut one: impl FnMut(&mut Self) -> u64) -> Vec<u64> {
        (0..self.below(most + 1)).map(|_| one(self)).collect()
    }
}
