//! IPC buffers.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A thread's IPC buffer: memory shared with user level, so read and written word by word.
#[repr(C, align(1024))]
pub struct IpcBuffer {
    words: [AtomicU64; 128],
}

impl IpcBuffer {
    /// The word at `index`, of which the low seven bits count.
    #[inline(always)]
    pub fn get(&self, index: usize) -> u64 {
        self.words[index & 127].load(Relaxed)
    }

    /// Sets the word at `index`, of which the low seven bits count.
    #[inline(always)]
    pub fn set(&self, index: usize, value: u64) {
        self.words[index & 127].store(value, Relaxed);
    }

    /// Copies `count` words from the one with index `FIRST` on to another buffer, as far as there are so many.
    #[inline(always)]
    pub fn copy_tail<const FIRST: usize>(&self, to: &IpcBuffer, count: usize) {
        let (from, to) = (&self.words[FIRST..], &to.words[FIRST..]);
        let count = count.min(from.len());
        // By slices of the same length, so that it is not compared for each word.
        for (dest, source) in to[..count].iter().zip(&from[..count]) {
            dest.store(source.load(Relaxed), Relaxed);
        }
    }
}
