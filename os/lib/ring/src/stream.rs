//! Bytes in order, from one side to the other.
//!
//! The writer's pages hold the count of bytes written and the bytes, the reader's the count of bytes read and whether it wants
//! to be woken. The counts are of 64 bits and never wrap around.

use crate::{
    AtomicU64, Broken, Memory,
    atomic::{
        Ordering::{Acquire, Relaxed, Release, SeqCst},
        fence,
    },
    queue::{GIVEN, HEAD, SLEEPS, TAKEN},
};

/// How many words the writer's pages must have for a stream that holds `bytes`; the reader's take as many as for no bytes.
pub const fn stream_words_for(bytes: usize) -> usize {
    HEAD + bytes.div_ceil(8)
}

/// Where `count` bytes at an index are in the data: up to its end, and from its start.
fn pieces<'m>(data: Memory<'m>, index: u64, count: usize) -> [Memory<'m>; 2] {
    let at = (index % data.len() as u64) as usize;
    let first = data.part(at, count);
    [first, data.part(0, count - first.len())]
}

/// The end that writes.
#[derive(Debug)]
pub struct StreamWriter<'m> {
    own: &'m [AtomicU64],
    other: &'m [AtomicU64],
    data: Memory<'m>,
    written: u64,
}

impl<'m> StreamWriter<'m> {
    /// The writer's end: `own` are the pages that only the writer writes, `other` those that only the reader writes; all zero
    /// when the stream is new. `None` if there is no room for a byte.
    pub fn new(own: &'m [AtomicU64], other: &'m [AtomicU64]) -> Option<Self> {
        let data = Memory::new(own.get(HEAD..).filter(|d| !d.is_empty() && other.len() >= HEAD)?);
        Some(Self { own, other, data, written: own[GIVEN].load(Relaxed) })
    }

    /// How many bytes have room now.
    pub fn room(&self) -> Result<usize, Broken> {
        // Acquire: the bytes were copied out before they were counted as read.
        let waiting = self.written.wrapping_sub(self.other[TAKEN].load(Acquire));
        Ok((self.data.len() as u64).checked_sub(waiting).ok_or(Broken)? as usize)
    }

    /// Writes as many of the bytes as have room; returns how many.
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        let bytes = &bytes[..bytes.len().min(self.room()?)];
        let [first, second] = pieces(self.data, self.written, bytes.len());
        let (before, after) = bytes.split_at(first.len());
        first.write(before);
        second.write(after);
        self.written += bytes.len() as u64;
        self.own[GIVEN].store(self.written, Release);
        Ok(bytes.len())
    }

    /// Whether the reader wants to be woken; then signal it. Ask after each write.
    pub fn reader_sleeps(&self) -> bool {
        // As in `Sender::publish`.
        fence(SeqCst);
        self.other[SLEEPS].load(Relaxed) != 0
    }
}

/// The end that reads.
#[derive(Debug)]
pub struct StreamReader<'m> {
    own: &'m [AtomicU64],
    other: &'m [AtomicU64],
    data: Memory<'m>,
    read: u64,
}

impl<'m> StreamReader<'m> {
    /// The reader's end; as [`StreamWriter::new`].
    pub fn new(own: &'m [AtomicU64], other: &'m [AtomicU64]) -> Option<Self> {
        let data = Memory::new(other.get(HEAD..).filter(|d| !d.is_empty() && own.len() >= HEAD)?);
        Some(Self { own, other, data, read: own[TAKEN].load(Relaxed) })
    }

    /// How many bytes wait to be read.
    pub fn waiting(&self) -> Result<usize, Broken> {
        // Acquire: the bytes were written before they were counted.
        let waiting = self.other[GIVEN].load(Acquire).wrapping_sub(self.read);
        if waiting <= self.data.len() as u64 { Ok(waiting as usize) } else { Err(Broken) }
    }

    /// Reads what waits, as much as there is room for; returns how many bytes.
    pub fn read(&mut self, into: &mut [u8]) -> Result<usize, Broken> {
        let len = self.peek(into)?;
        self.skip(len)?;
        Ok(len)
    }

    /// The same, and what was read waits all the same, until it is skipped: a reader that dies meanwhile has lost nothing.
    pub fn peek(&self, into: &mut [u8]) -> Result<usize, Broken> {
        let len = into.len().min(self.waiting()?);
        let [first, second] = pieces(self.data, self.read, len);
        let (before, after) = into[..len].split_at_mut(first.len());
        first.read(before);
        second.read(after);
        Ok(len)
    }

    /// Skips as many bytes of what waits; all of it, if that is less.
    pub fn skip(&mut self, count: usize) -> Result<(), Broken> {
        self.read += count.min(self.waiting()?) as u64;
        // Release: the bytes were copied before their places are given back.
        self.own[TAKEN].store(self.read, Release);
        Ok(())
    }

    /// Asks to be woken. Returns whether to wait now, as [`crate::Receiver::sleep`]; after the wait, call
    /// [`StreamReader::awake`].
    pub fn sleep(&mut self) -> bool {
        self.own[SLEEPS].store(1, Relaxed);
        // As in `Receiver::sleep`.
        fence(SeqCst);
        let nothing = self.waiting() == Ok(0);
        if !nothing {
            self.awake();
        }
        nothing
    }

    /// No longer asks to be woken.
    pub fn awake(&mut self) {
        self.own[SLEEPS].store(0, Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const WORDS: usize = stream_words_for(100);

    #[test]
    fn bytes_come_out_in_order_and_around_the_end() {
        let [a, b] = [const { [const { AtomicU64::new(0) }; WORDS] }; 2];
        let mut writer = StreamWriter::new(&a, &b).unwrap();
        let mut reader = StreamReader::new(&b, &a).unwrap();
        let mut out = [0; 200];
        for round in 0..50u8 {
            let bytes: [u8; 37] = core::array::from_fn(|n| round.wrapping_mul(7).wrapping_add(n as u8));
            assert_eq!(writer.write(&bytes), Ok(37));
            assert_eq!(reader.read(&mut out), Ok(37));
            assert_eq!(out[..37], bytes);
        }
    }

    #[test]
    fn what_is_only_looked_at_waits_for_the_next_reader() {
        let [a, b] = [const { [const { AtomicU64::new(0) }; WORDS] }; 2];
        let mut writer = StreamWriter::new(&a, &b).unwrap();
        assert_eq!((writer.room(), writer.write(b"abcdef"), writer.room()), (Ok(104), Ok(6), Ok(98)));
        let mut out = [0; 4];
        assert_eq!(StreamReader::new(&b, &a).unwrap().peek(&mut out), Ok(4));
        let mut next = StreamReader::new(&b, &a).unwrap();
        assert_eq!((next.peek(&mut out), out), (Ok(4), *b"abcd"));
        next.skip(3).unwrap();
        assert_eq!((next.peek(&mut out), &out[..3]), (Ok(3), &b"def"[..]));
        next.skip(9).unwrap();
        assert_eq!((next.peek(&mut out), writer.room()), (Ok(0), Ok(104)));
    }

    #[test]
    fn a_full_stream_takes_what_it_can() {
        let [a, b] = [const { [const { AtomicU64::new(0) }; WORDS] }; 2];
        let mut writer = StreamWriter::new(&a, &b).unwrap();
        let mut reader = StreamReader::new(&b, &a).unwrap();
        assert_eq!(writer.write(&[1; 200]), Ok(104));
        assert_eq!(writer.write(&[2; 1]), Ok(0));
        assert_eq!(reader.read(&mut [0; 100]), Ok(100));
        assert_eq!(writer.write(&[3; 200]), Ok(100));
        assert_eq!(reader.waiting(), Ok(104));
        let mut successor = StreamReader::new(&b, &a).unwrap();
        assert_eq!(successor.read(&mut [0; 300]), Ok(104));
    }

    #[test]
    fn a_count_that_lies_is_an_error() {
        let [a, b] = [const { [const { AtomicU64::new(0) }; WORDS] }; 2];
        let mut writer = StreamWriter::new(&a, &b).unwrap();
        let mut reader = StreamReader::new(&b, &a).unwrap();
        a[GIVEN].store(105, Relaxed);
        assert_eq!(reader.read(&mut [0; 1]), Err(Broken));
        assert!(!reader.sleep());
        b[TAKEN].store(1, Relaxed);
        assert_eq!(writer.write(&[1]), Err(Broken));
        assert!(StreamWriter::new(&a[..HEAD], &b).is_none());
        assert!(StreamReader::new(&b[..HEAD - 1], &a).is_none());
    }
}
