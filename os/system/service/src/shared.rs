//! Memory that another component also has mapped. It can change at any moment, so it is only ever copied: [`Memory`] and what
//! `pecan-ring` makes of it.

use core::sync::atomic::AtomicU64;

use pecan::startup::Startup;
pub use pecan_ring::{
    Buffer, Filled, Lines, Memory, RingError, Sink, Source, StreamReader, StreamWriter, View,
};

/// A piece of memory that is shared as long as the program runs.
pub type Shared = Memory<'static>;
/// The same, where this program only reads.
pub type SharedView = View<'static>;

/// Memory at an address; what is not a whole word at its ends is left out.
///
/// # Safety
/// It must be mapped as long as the program runs, and used by this program in no other way. Unless it is mapped writable, it
/// must not be written to.
pub const unsafe fn at(address: usize, len: usize) -> Shared {
    const WORD: usize = size_of::<AtomicU64>();
    let skipped = address.next_multiple_of(WORD) - address;
    let count = len.saturating_sub(skipped) / WORD;
    let first = core::ptr::with_exposed_provenance::<AtomicU64>(address + skipped);
    // SAFETY: the caller vouches for the memory; the words are aligned and lie in it. Others may write them at any moment,
    // which atomics allow; reading one that is mapped read-only is a plain load.
    Memory::new(unsafe { core::slice::from_raw_parts(first, count) })
}

/// The memory that the start page lists under a name.
///
/// # Safety
/// It must be the page that this program was started with, and the program must use the memory in no other way. What is
/// mapped read-only must not be written to.
pub unsafe fn from_startup(startup: &Startup<'_>, name: &str) -> Option<Shared> {
    let (address, len) = startup.memory(name)?;
    // SAFETY: whoever started the program mapped what the page lists and keeps it mapped; the caller vouches for the rest.
    Some(unsafe { at(usize::try_from(address).ok()?, usize::try_from(len).ok()?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_are_taken() {
        let words: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];
        let address = words.as_ptr().expose_provenance();
        let len = |skip: usize, len: usize| {
            // SAFETY: it lies in the array, which outlives it and is used in no other way meanwhile.
            unsafe { at(address + skip, len) }.len()
        };
        assert_eq!([len(0, 32), len(0, 31), len(1, 31), len(1, 6), len(1, 7)], [32, 24, 24, 0, 0]);
    }
}
