//! What the reporter asks of the initial task.

use pecan_service::{Bytes, Caller, Text, Wire, service};

use crate::NAME_MAX;

/// The most return addresses of a report.
pub const CALLERS_MAX: usize = 32;
/// Bytes of a word.
const WORD: usize = 8;

/// Why the initial task ended a component.
#[repr(u64)]
#[derive(Wire, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// It faulted.
    Fault {
        /// The label of the kernel's message.
        label: u64,
    } = 0,
    /// It gave no sign of life.
    Silent {
        /// For so many milliseconds.
        ms: u64,
    } = 1,
    /// It used up its budget.
    Overrun {
        /// For so many milliseconds.
        ms: u64,
    } = 2,
}

/// What was taken down when a component faulted.
#[derive(Wire, Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// Its number: one more than that of the report before.
    pub number: u64,
    /// The name that the component ran under.
    pub name: Text<NAME_MAX>,
    /// The name of its program in the archive.
    pub program: Text<64>,
    /// What it died of.
    pub cause: Cause,
    /// The words of the kernel's message, if there was one.
    pub message: Bytes<{ 20 * WORD }>,
    /// Its registers, in the order in which the kernel has them; empty if they could not be read.
    pub registers: Bytes<{ 20 * WORD }>,
    /// The return addresses on its stack, innermost first.
    pub callers: Bytes<{ CALLERS_MAX * WORD }>,
    /// Whether there are more of them.
    pub more: bool,
    /// The lowest address of its program, where its stack ends.
    pub bottom: u64,
}

/// The words of bytes as they are in a report.
pub fn words_of(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word))
}

/// As many words as there is room for, as bytes.
pub fn bytes_of<const N: usize>(words: impl IntoIterator<Item = u64>) -> Bytes<N> {
    let mut bytes = [0; N];
    let mut len = 0;
    for (place, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
        *place = word.to_le_bytes();
        len += WORD;
    }
    Bytes::try_from(&bytes[..len]).unwrap_or_default()
}

/// Reports of faults, for whoever puts them into words. Who is connected to this is signalled when there is one.
#[service(name = "reports", version = 2)]
pub trait Reports {
    /// The oldest report after number `done`; those up to it are done with. Who is started again starts from 0, and gets
    /// what its predecessor had not done.
    fn next(&mut self, caller: Caller, done: u64) -> Option<Report>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_travel_as_bytes() {
        let bytes: Bytes<24> = bytes_of([1, u64::MAX]);
        assert!(words_of(&bytes).eq([1, u64::MAX]));
        let cut: Bytes<16> = bytes_of([1, 2, 3]);
        assert!(words_of(&cut).eq([1, 2]));
    }
}
