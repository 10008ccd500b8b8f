//! Buffers that go to and fro: filled ones in the active queue, empty ones in the free queue.

use crate::{AtomicU64, Broken, Descriptor, Memory, PushError, Receiver, Sender, pair};

/// A buffer of the data region that this side has at present.
#[derive(Debug)]
pub struct Buffer<'m> {
    memory: Memory<'m>,
    descriptor: Descriptor,
}

impl<'m> Buffer<'m> {
    /// Its bytes: all of an empty buffer, those that are filled of a filled one.
    pub const fn memory(&self) -> Memory<'m> {
        self.memory
    }

    /// The word that came with it.
    pub const fn tag(&self) -> u64 {
        self.descriptor.tag
    }
}

/// Data that buffers lie in: as many of one size as fit, at most as many as a queue holds, so that a queue is never full.
#[derive(Clone, Copy, Debug)]
struct Buffers<'m> {
    data: Memory<'m>,
    size: u32,
    count: u32,
}

impl<'m> Buffers<'m> {
    fn new(data: Memory<'m>, size: u32, capacity: u32) -> Option<Self> {
        let fitting = data.len().min(u32::MAX as usize).checked_div(size as usize)?;
        let count = (fitting as u32).min(capacity);
        (count > 0).then_some(Self { data, size, count })
    }

    /// The buffer that a descriptor names; `None` if there is no such buffer, or not so many bytes in it.
    fn check(&self, descriptor: Descriptor) -> Option<Buffer<'m>> {
        let Descriptor { offset, len, .. } = descriptor;
        let is_one = offset.is_multiple_of(self.size) && offset / self.size < self.count && len <= self.size;
        is_one.then(|| Buffer { memory: self.data.part(offset as usize, len as usize), descriptor })
    }
}

/// The side that fills buffers.
///
/// At first all buffers are on the other side, as far as this one knows: [`Sink::new`] hands them over.
#[derive(Debug)]
pub struct Source<'m> {
    active: Sender<'m>,
    free: Receiver<'m>,
    buffers: Buffers<'m>,
}

/// The side that takes data out of buffers and hands them back empty.
#[derive(Debug)]
pub struct Sink<'m> {
    active: Receiver<'m>,
    free: Sender<'m>,
    buffers: Buffers<'m>,
}

impl<'m> Source<'m> {
    /// The side that fills, with buffers of `size` bytes in `data`. `own` are the pages that only this side writes, `other`
    /// those that only the other side writes. `None` if there is no room for a single buffer.
    pub fn new(own: &'m [AtomicU64], other: &'m [AtomicU64], data: Memory<'m>, size: u32) -> Option<Self> {
        let (active, free) = pair(own, other)?;
        let buffers = Buffers::new(data, size, active.capacity())?;
        Some(Self { active, free, buffers })
    }

    /// An empty buffer, if there is one. What the other side names that is no buffer is left out.
    pub fn take(&mut self) -> Result<Option<Buffer<'m>>, Broken> {
        while let Some(descriptor) = self.free.pop()? {
            self.free.release();
            let whole = Descriptor { len: self.buffers.size, ..descriptor };
            if let Some(buffer) = self.buffers.check(whole) {
                return Ok(Some(buffer));
            }
        }
        Ok(None)
    }

    /// Hands a buffer over whose first `len` bytes are filled, with a word. The other side sees it after
    /// [`Source::publish`].
    pub fn give(&mut self, buffer: Buffer<'m>, len: usize, tag: u64) -> Result<(), PushError> {
        let len = (len as u32).min(self.buffers.size);
        self.active.push(Descriptor { len, tag, ..buffer.descriptor })
    }

    /// Lets the other side see what was given. Returns whether it wants to be woken.
    pub fn publish(&mut self) -> bool {
        self.active.publish()
    }

    /// Asks to be woken when a buffer comes back; as [`Receiver::sleep`].
    pub fn sleep(&mut self) -> bool {
        self.free.sleep()
    }

    /// No longer asks to be woken.
    pub fn awake(&mut self) {
        self.free.awake();
    }
}

impl<'m> Sink<'m> {
    /// The side that takes data, as [`Source::new`]. On a new ring, all buffers are handed to the other side.
    pub fn new(own: &'m [AtomicU64], other: &'m [AtomicU64], data: Memory<'m>, size: u32) -> Option<Self> {
        let (mut free, active) = pair(own, other)?;
        let buffers = Buffers::new(data, size, free.capacity())?;
        if free.is_new() {
            for n in 0..buffers.count {
                // There are no more buffers than the queue holds, and the other side has taken none.
                free.push(Descriptor { offset: n * size, len: size, tag: 0 }).ok()?;
            }
            free.publish();
        }
        Some(Self { active, free, buffers })
    }

    /// The next filled buffer, if there is one. What the other side names that is no buffer is left out.
    pub fn take(&mut self) -> Result<Option<Buffer<'m>>, Broken> {
        while let Some(descriptor) = self.active.pop()? {
            self.active.release();
            if let Some(buffer) = self.buffers.check(descriptor) {
                return Ok(Some(buffer));
            }
        }
        Ok(None)
    }

    /// Hands a buffer back. The other side sees it after [`Sink::publish`].
    pub fn give(&mut self, buffer: Buffer<'m>) -> Result<(), PushError> {
        self.free.push(Descriptor { len: self.buffers.size, ..buffer.descriptor })
    }

    /// Lets the other side see what was given back. Returns whether it wants to be woken.
    pub fn publish(&mut self) -> bool {
        self.free.publish()
    }

    /// Asks to be woken when a filled buffer comes; as [`Receiver::sleep`].
    pub fn sleep(&mut self) -> bool {
        self.active.sleep()
    }

    /// No longer asks to be woken.
    pub fn awake(&mut self) {
        self.active.awake();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::words_for;

    const WORDS: usize = words_for(4);

    #[test]
    fn buffers_go_to_and_fro() {
        let [a, b] = [const { [const { AtomicU64::new(0) }; WORDS] }; 2];
        let words = [const { AtomicU64::new(0) }; 32];
        let data = Memory::new(&words);
        let mut source = Source::new(&a, &b, data, 64).unwrap();
        assert!(source.take().unwrap().is_none());
        let mut sink = Sink::new(&b, &a, data, 64).unwrap();
        for round in 0..20u8 {
            let mut filled = 0;
            while let Some(buffer) = source.take().unwrap() {
                buffer.memory().write(&[round + filled; 64]);
                source.give(buffer, 10 + usize::from(filled), filled.into()).unwrap();
                filled += 1;
            }
            assert_eq!(filled, 4);
            source.publish();
            for n in 0..4u8 {
                let buffer = sink.take().unwrap().unwrap();
                let mut bytes = [0; 64];
                assert_eq!(buffer.memory().read(&mut bytes), 10 + usize::from(n));
                assert_eq!((bytes[0], buffer.tag()), (round + n, n.into()));
                sink.give(buffer).unwrap();
            }
            assert!(sink.take().unwrap().is_none());
            sink.publish();
        }
    }

    #[test]
    fn descriptors_of_what_is_no_buffer_are_left_out() {
        let [a, b] = [const { [const { AtomicU64::new(0) }; WORDS] }; 2];
        let words = [const { AtomicU64::new(0) }; 24];
        let data = Memory::new(&words);
        let mut sink = Sink::new(&b, &a, data, 64).unwrap();
        let (mut hostile, _) = pair(&a, &b).unwrap();
        for (offset, len) in [(1, 1), (192, 1), (0, 65), (u32::MAX, u32::MAX)] {
            hostile.push(Descriptor { offset, len, tag: 0 }).unwrap();
        }
        hostile.publish();
        assert!(sink.take().unwrap().is_none());
        hostile.push(Descriptor { offset: 128, len: 64, tag: 7 }).unwrap();
        hostile.publish();
        let buffer = sink.take().unwrap().unwrap();
        assert_eq!((buffer.memory().len(), buffer.tag()), (64, 7));
        assert!(Sink::new(&b, &a, data, 0).is_none() && Sink::new(&b, &a, data, 1000).is_none());
    }
}
