//! Bytes in words that somebody else may write.

use crate::{AtomicU64, atomic::Ordering::Relaxed};

/// Bytes that another component, or another thread, may write at any moment: they are only ever copied. Every access is one
/// of a whole word, so that no two accesses overlap in part.
#[derive(Clone, Copy, Debug)]
pub struct Memory<'m> {
    words: &'m [AtomicU64],
    /// The first byte, from the start of the words.
    start: usize,
    len: usize,
}

const WORD: usize = 8;

impl<'m> Memory<'m> {
    /// All bytes of some words.
    pub const fn new(words: &'m [AtomicU64]) -> Self {
        Self { words, start: 0, len: words.len() * WORD }
    }

    /// Its bytes.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no bytes.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A part of it; what lies outside is left out.
    pub fn part(&self, start: usize, len: usize) -> Self {
        let start = start.min(self.len);
        Self { start: self.start + start, len: len.min(self.len - start), ..*self }
    }

    /// The words that lie in it as a whole.
    pub fn words(&self) -> &'m [AtomicU64] {
        let first = self.start.div_ceil(WORD);
        let end = (self.start + self.len) / WORD;
        self.words.get(first..end).unwrap_or_default()
    }

    /// Copies bytes out, from the start; returns how many there were.
    pub fn read(&self, into: &mut [u8]) -> usize {
        let len = into.len().min(self.len);
        let mut rest = &mut into[..len];
        let (mut at, mut skip) = (self.start / WORD, self.start % WORD);
        while !rest.is_empty() {
            let bytes = self.words[at].load(Relaxed).to_le_bytes();
            let (now, later) = rest.split_at_mut(rest.len().min(WORD - skip));
            now.copy_from_slice(&bytes[skip..skip + now.len()]);
            (rest, at, skip) = (later, at + 1, 0);
        }
        len
    }

    /// Copies bytes in, from the start; returns how many had room. Bytes beside them keep what others write there meanwhile.
    pub fn write(&self, from: &[u8]) -> usize {
        let len = from.len().min(self.len);
        let mut rest = &from[..len];
        let (mut at, mut skip) = (self.start / WORD, self.start % WORD);
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(WORD - skip));
            let mut bytes = [0; WORD];
            bytes[skip..skip + now.len()].copy_from_slice(now);
            let word = u64::from_le_bytes(bytes);
            if now.len() == WORD {
                self.words[at].store(word, Relaxed);
            } else {
                let mut mask = [0; WORD];
                mask[skip..skip + now.len()].fill(0xff);
                self.words[at].fetch_and(!u64::from_le_bytes(mask), Relaxed);
                self.words[at].fetch_or(word, Relaxed);
            }
            (rest, at, skip) = (later, at + 1, 0);
        }
        len
    }

    /// Sets all bytes to zero.
    pub fn clear(&self) {
        let zeros = [0; 64];
        let mut at = 0;
        while at < self.len {
            at += self.part(at, zeros.len()).write(&zeros);
        }
    }
}

/// Bytes that another component may write at any moment, and this one only reads.
#[derive(Clone, Copy, Debug)]
pub struct View<'m>(Memory<'m>);

impl<'m> View<'m> {
    /// All bytes of some words.
    pub const fn new(words: &'m [AtomicU64]) -> Self {
        Self(Memory::new(words))
    }

    /// Its bytes.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has no bytes.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A part of it; what lies outside is left out.
    pub fn part(&self, start: usize, len: usize) -> Self {
        Self(self.0.part(start, len))
    }

    /// Copies bytes out, from the start; returns how many there were.
    pub fn read(&self, into: &mut [u8]) -> usize {
        self.0.read(into)
    }
}

impl<'m> From<Memory<'m>> for View<'m> {
    fn from(memory: Memory<'m>) -> Self {
        Self(memory)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_wherever_they_are() {
        let words: [AtomicU64; 5] = [const { AtomicU64::new(u64::MAX) }; 5];
        let memory = Memory::new(&words);
        for start in 0..20 {
            for len in 0..20 {
                let bytes: [u8; 20] = core::array::from_fn(|n| (start * 20 + n) as u8);
                let part = memory.part(start, len);
                assert_eq!(part.write(&bytes), len);
                let mut back = [0; 20];
                assert_eq!(part.read(&mut back), len);
                assert_eq!(back[..len], bytes[..len]);
            }
        }
    }

    #[test]
    fn bytes_beside_are_left_alone() {
        let words: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];
        let memory = Memory::new(&words);
        memory.write(&[0xaa; 24]);
        memory.part(3, 10).write(&[0x55; 10]);
        let mut all = [0; 24];
        memory.read(&mut all);
        for (n, byte) in all.into_iter().enumerate() {
            assert_eq!(byte, if (3..13).contains(&n) { 0x55 } else { 0xaa }, "byte {n}");
        }
        memory.part(3, 10).clear();
        memory.read(&mut all);
        assert!(all[3..13].iter().all(|b| *b == 0) && all[2] == 0xaa && all[13] == 0xaa);
    }

    #[test]
    fn parts_stay_inside() {
        let words: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
        let memory = Memory::new(&words);
        assert_eq!(memory.part(10, 10).len(), 6);
        assert_eq!(memory.part(50, 10).len(), 0);
        assert_eq!(memory.part(usize::MAX, usize::MAX).write(&[1]), 0);
        assert_eq!(memory.part(10, 6).part(usize::MAX, 1).len(), 0);
        assert_eq!(memory.part(10, 6).write(&[1; 10]), 6);
        assert_eq!(memory.part(1, 14).words().len(), 0);
        assert_eq!(memory.part(1, 15).words().len(), 1);
    }
}
