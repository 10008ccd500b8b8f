//! Buffers that go to and fro: filled ones in the active queue, empty ones in the free queue.

use crate::{
    AtomicU64, Descriptor, Memory, Receiver, RingError, Sender, View,
    life::{Link, Meeting},
    pair,
};

/// An empty buffer of the data region that this side has at present.
#[derive(Debug)]
pub struct Buffer<'m> {
    memory: Memory<'m>,
    place: Place,
}

impl<'m> Buffer<'m> {
    /// Its bytes.
    pub const fn memory(&self) -> Memory<'m> {
        self.memory
    }

    /// What a program that goes on in this one's place needs to have the buffer ([`Source::held`]).
    pub const fn leave(self) -> [u64; 2] {
        self.place.descriptor.pack()
    }
}

/// A filled buffer that this side has at present.
#[derive(Debug)]
pub struct Filled<'m> {
    view: View<'m>,
    place: Place,
}

impl<'m> Filled<'m> {
    /// Its bytes, those that are filled.
    pub const fn view(&self) -> View<'m> {
        self.view
    }

    /// The word that came with it.
    pub const fn tag(&self) -> u64 {
        self.place.descriptor.tag
    }

    /// What a program that goes on in this one's place needs to have the buffer ([`Sink::held`]).
    pub const fn leave(self) -> [u64; 2] {
        self.place.descriptor.pack()
    }

    /// Where it is in the data region: its first byte, and how many are filled.
    pub const fn range(&self) -> (usize, usize) {
        (self.place.descriptor.offset as usize, self.place.descriptor.len as usize)
    }
}

/// Which buffer it is, and of which life of this side.
#[derive(Debug)]
struct Place {
    descriptor: Descriptor,
    life: u64,
}

/// How data is divided: as many buffers of one size as fit, at most as many as a queue holds, so that a queue is never full.
#[derive(Clone, Copy, Debug)]
struct Buffers {
    size: u32,
    count: u32,
}

impl Buffers {
    fn new(bytes: usize, size: u32, capacity: u32) -> Option<Self> {
        let fitting = bytes.min(u32::MAX as usize).checked_div(size as usize)?;
        let count = (fitting as u32).min(capacity);
        (count > 0).then_some(Self { size, count })
    }

    /// Whether there is a buffer that a descriptor names, with so many bytes.
    const fn has(&self, Descriptor { offset, len, .. }: Descriptor) -> bool {
        offset.is_multiple_of(self.size) && offset / self.size < self.count && len <= self.size
    }
}

/// The two queues of a side, as long as both sides live.
#[derive(Debug)]
struct Ends<'m> {
    link: Link<'m>,
    to: Sender<'m>,
    from: Receiver<'m>,
    buffers: Buffers,
    /// Whether the other side has yet to be woken.
    wake: bool,
}

impl<'m> Ends<'m> {
    /// In a new life; or with `resume` in the present one, if there is one.
    fn new(
        own: &'m [AtomicU64],
        other: &'m [AtomicU64],
        (bytes, size): (usize, u32),
        resume: bool,
    ) -> Option<Self> {
        // Whether there is room is seen before anything is changed.
        let (to, _) = pair(own, other)?;
        let buffers = Buffers::new(bytes, size, to.capacity())?;
        let resumed = if resume { Link::resume(own, other) } else { None };
        let link = resumed.unwrap_or_else(|| Link::begin(own, other));
        let (to, from) = pair(own, other)?;
        // The other side may wait for this life to begin.
        Some(Self { link, to, from, buffers, wake: true })
    }

    /// Whether the two sides have met. The first time, `first` is done.
    fn is_met(&mut self, first: impl FnOnce(&mut Self)) -> bool {
        let meeting = self.link.meet();
        self.wake |= meeting != Meeting::Nothing;
        if meeting == Meeting::Met {
            first(self);
        }
        self.link.is_met()
    }

    /// The next buffer that the other side hands over; `whole` ones have their full length. What it names that is no buffer is
    /// left out.
    fn take(&mut self, whole: bool) -> Result<Option<Place>, RingError> {
        while let Some(mut descriptor) = self.link.valid(self.from.pop())? {
            self.from.release();
            if whole {
                descriptor.len = self.buffers.size;
            }
            if self.buffers.has(descriptor) {
                return Ok(Some(Place { descriptor, life: self.link.life() }));
            }
        }
        Ok(None)
    }

    /// A buffer that another program had when it left this side to this one.
    fn held(&self, left: [u64; 2]) -> Option<Place> {
        let descriptor = Descriptor::unpack(left);
        self.buffers.has(descriptor).then_some(Place { descriptor, life: self.link.life() })
    }

    fn give(&mut self, place: &Place, len: u32, tag: u64) -> Result<(), RingError> {
        if place.life != self.link.life() {
            return Err(RingError::Restarted);
        }
        // There are no more buffers than the queue holds: one that is full has lost count of them.
        let given = self.to.push(Descriptor { len, tag, ..place.descriptor });
        self.link.valid(given.map_err(|_| crate::Broken))
    }

    fn publish(&mut self) {
        self.wake |= self.to.publish();
    }

    fn sleep(&mut self) -> bool {
        // Meeting the other side, or losing it, is signalled in any case, not only to who sleeps.
        !self.link.is_met() || self.from.sleep() && self.link.valid(Ok(())).is_ok()
    }

    fn must_wake(&mut self) -> bool {
        core::mem::take(&mut self.wake)
    }
}

/// The side that fills buffers.
///
/// It has none until the other side has met it, and hands them over.
#[derive(Debug)]
pub struct Source<'m> {
    ends: Ends<'m>,
    data: Memory<'m>,
}

/// The side that takes data out of buffers and hands them back empty.
#[derive(Debug)]
pub struct Sink<'m> {
    ends: Ends<'m>,
    data: View<'m>,
}

impl<'m> Source<'m> {
    /// The side that fills, in a new life, with buffers of `size` bytes in `data`. `own` are the pages that only this side
    /// writes, `other` those that only the other side writes. `None` if there is no room for a single buffer.
    pub fn new(own: &'m [AtomicU64], other: &'m [AtomicU64], data: Memory<'m>, size: u32) -> Option<Self> {
        Some(Self { ends: Ends::new(own, other, (data.len(), size), false)?, data })
    }

    /// The side as another program left it, whose place this one takes: nothing is lost, and the other side sees nothing of it.
    /// What was given must have been published. Without such a side it is as [`Source::new`].
    pub fn resume(own: &'m [AtomicU64], other: &'m [AtomicU64], data: Memory<'m>, size: u32) -> Option<Self> {
        Some(Self { ends: Ends::new(own, other, (data.len(), size), true)?, data })
    }

    /// A buffer that the other program had ([`Buffer::leave`]); `None` if there is no such buffer.
    pub fn held(&self, left: [u64; 2]) -> Option<Buffer<'m>> {
        Some(self.buffer(self.ends.held(left)?))
    }

    fn buffer(&self, place: Place) -> Buffer<'m> {
        let Descriptor { offset, len, .. } = place.descriptor;
        Buffer { memory: self.data.part(offset as usize, len as usize), place }
    }

    /// An empty buffer, if there is one.
    pub fn take(&mut self) -> Result<Option<Buffer<'m>>, RingError> {
        if !self.ends.is_met(|_| ()) {
            return Ok(None);
        }
        let place = self.ends.take(true)?;
        Ok(place.map(|place| self.buffer(place)))
    }

    /// Hands a buffer over whose first `len` bytes are filled, with a word. The other side sees it after
    /// [`Source::publish`].
    pub fn give(&mut self, buffer: Buffer<'m>, len: usize, tag: u64) -> Result<(), RingError> {
        let len = u32::try_from(len).unwrap_or(u32::MAX).min(self.ends.buffers.size);
        self.ends.give(&buffer.place, len, tag)
    }

    /// Lets the other side see what was given.
    pub fn publish(&mut self) {
        self.ends.publish();
    }

    /// Whether the other side is to be signalled now. Ask after all else, and signal if so.
    pub fn must_wake(&mut self) -> bool {
        self.ends.must_wake()
    }

    /// Asks to be woken when there is something to take; as [`Receiver::sleep`].
    pub fn sleep(&mut self) -> bool {
        self.ends.sleep()
    }

    /// No longer asks to be woken.
    pub fn awake(&mut self) {
        self.ends.from.awake();
    }
}

impl<'m> Sink<'m> {
    /// The side that takes data, as [`Source::new`]. When the two sides have met, all buffers are handed to the other one.
    pub fn new(own: &'m [AtomicU64], other: &'m [AtomicU64], data: View<'m>, size: u32) -> Option<Self> {
        Some(Self { ends: Ends::new(own, other, (data.len(), size), false)?, data })
    }

    /// The side as another program left it, as [`Source::resume`].
    pub fn resume(own: &'m [AtomicU64], other: &'m [AtomicU64], data: View<'m>, size: u32) -> Option<Self> {
        Some(Self { ends: Ends::new(own, other, (data.len(), size), true)?, data })
    }

    /// A buffer that the other program had ([`Filled::leave`]); `None` if there is no such buffer.
    pub fn held(&self, left: [u64; 2]) -> Option<Filled<'m>> {
        Some(self.filled(self.ends.held(left)?))
    }

    fn filled(&self, place: Place) -> Filled<'m> {
        let Descriptor { offset, len, .. } = place.descriptor;
        Filled { view: self.data.part(offset as usize, len as usize), place }
    }

    /// The next filled buffer, if there is one.
    pub fn take(&mut self) -> Result<Option<Filled<'m>>, RingError> {
        let met = self.ends.is_met(|ends| {
            let Buffers { size, count } = ends.buffers;
            for n in 0..count {
                // There are no more buffers than the queue holds, and this is the first that goes into it. Were the other
                // side to claim otherwise, it would get fewer.
                let _ = ends.to.push(Descriptor { offset: n * size, len: size, tag: 0 });
            }
            ends.publish();
        });
        let place = if met { self.ends.take(false)? } else { None };
        Ok(place.map(|place| self.filled(place)))
    }

    /// Hands a buffer back. The other side sees it after [`Sink::publish`].
    pub fn give(&mut self, buffer: Filled<'m>) -> Result<(), RingError> {
        let size = self.ends.buffers.size;
        self.ends.give(&buffer.place, size, 0)
    }

    /// Lets the other side see what was given back.
    pub fn publish(&mut self) {
        self.ends.publish();
    }

    /// Whether the other side is to be signalled now; as [`Source::must_wake`].
    pub fn must_wake(&mut self) -> bool {
        self.ends.must_wake()
    }

    /// Asks to be woken when there is something to take; as [`Receiver::sleep`].
    pub fn sleep(&mut self) -> bool {
        self.ends.sleep()
    }

    /// No longer asks to be woken.
    pub fn awake(&mut self) {
        self.ends.from.awake();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::words_for;

    const WORDS: usize = words_for(4);

    fn pages() -> [[AtomicU64; WORDS]; 2] {
        [const { [const { AtomicU64::new(0) }; WORDS] }; 2]
    }

    #[test]
    fn buffers_go_to_and_fro() {
        let [a, b] = pages();
        let words = [const { AtomicU64::new(0) }; 32];
        let data = Memory::new(&words);
        let mut source = Source::new(&a, &b, data, 64).unwrap();
        assert!(source.must_wake() && source.take().unwrap().is_none() && source.sleep());
        let mut sink = Sink::new(&b, &a, data.into(), 64).unwrap();
        assert!(sink.must_wake() && !sink.must_wake());
        assert!(sink.take().unwrap().is_none());
        assert!(source.take().unwrap().is_none() && source.must_wake(), "it has met the other side");
        assert!(sink.take().unwrap().is_none() && sink.must_wake(), "and so has this one");
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
                assert_eq!(buffer.view().read(&mut bytes), 10 + usize::from(n));
                assert_eq!((bytes[0], buffer.tag()), (round + n, n.into()));
                sink.give(buffer).unwrap();
            }
            assert!(sink.take().unwrap().is_none());
            sink.publish();
            assert!(!sink.must_wake() && !source.must_wake(), "nobody sleeps");
        }
    }

    /// Lets both sides meet.
    fn meet(source: &mut Source<'_>, sink: &mut Sink<'_>) {
        for _ in 0..2 {
            assert!(sink.take().unwrap().is_none());
            if let Some(buffer) = source.take().unwrap() {
                source.give(buffer, 0, 0).unwrap();
            }
        }
    }

    #[test]
    fn when_a_side_is_started_again_the_other_begins_anew() {
        let [a, b] = pages();
        let words = [const { AtomicU64::new(0) }; 32];
        let data = Memory::new(&words);
        let mut source = Source::new(&a, &b, data, 64).unwrap();
        let mut sink = Sink::new(&b, &a, data.into(), 64).unwrap();
        meet(&mut source, &mut sink);
        let held = source.take().unwrap().unwrap();

        // The sink dies with whatever it has.
        sink = Sink::new(&b, &a, data.into(), 64).unwrap();
        assert!(sink.take().unwrap().is_none());
        assert_eq!(source.take().unwrap_err(), RingError::Restarted);
        source = Source::new(&a, &b, data, 64).unwrap();
        assert_eq!(source.give(held, 1, 1), Err(RingError::Restarted), "it is a buffer of another life");
        assert!(sink.take().unwrap().is_none());
        assert!(source.take().unwrap().is_none());
        assert!(sink.take().unwrap().is_none());
        let count = core::iter::from_fn(|| source.take().unwrap()).count();
        assert_eq!(count, 4, "all buffers are there again");

        // So does the source, with all of them.
        let mut source = Source::new(&a, &b, data, 64).unwrap();
        assert!(source.take().unwrap().is_none());
        assert_eq!(sink.take().unwrap_err(), RingError::Restarted);
        assert!(!sink.sleep(), "who waits now would wait for what has happened");
        sink = Sink::new(&b, &a, data.into(), 64).unwrap();
        meet(&mut source, &mut sink);
        assert!(source.take().unwrap().is_some());
    }

    #[test]
    fn a_program_that_takes_a_side_over_goes_on() {
        let [a, b] = pages();
        let words = [const { AtomicU64::new(0) }; 32];
        let data = Memory::new(&words);
        let mut source = Source::new(&a, &b, data, 64).unwrap();
        let mut sink = Sink::new(&b, &a, data.into(), 64).unwrap();
        meet(&mut source, &mut sink);
        source.publish();
        let mut sent = 0;
        let mut came = 0;
        for round in 0..40u64 {
            while let Some(buffer) = source.take().unwrap() {
                sent += 1;
                buffer.memory().write(&[sent as u8; 64]);
                source.give(buffer, 64, sent).unwrap();
            }
            source.publish();
            let first = sink.take().unwrap();
            if round % 2 == 0 {
                // Another program has the sink, with a buffer that this one held.
                let left = first.map(Filled::leave);
                sink = Sink::resume(&b, &a, data.into(), 64).unwrap();
                let held = left.map(|left| sink.held(left).unwrap());
                if let Some(buffer) = held {
                    came += u64::from(buffer.tag() != 0);
                    sink.give(buffer).unwrap();
                }
            } else {
                if let Some(buffer) = first {
                    came += u64::from(buffer.tag() != 0);
                    sink.give(buffer).unwrap();
                }
                let empty = source.take().unwrap().map(Buffer::leave);
                source = Source::resume(&a, &b, data, 64).unwrap();
                if let Some(buffer) = empty.map(|left| source.held(left).unwrap()) {
                    sent += 1;
                    source.give(buffer, 64, sent).unwrap();
                    source.publish();
                }
            }
            while let Some(buffer) = sink.take().unwrap() {
                came += u64::from(buffer.tag() != 0);
                if buffer.tag() != 0 {
                    assert_eq!(buffer.tag(), came, "in order, and none is lost or comes twice");
                }
                sink.give(buffer).unwrap();
            }
            sink.publish();
        }
        assert!(came > 100 && came == sent, "{came} of {sent}");
        assert!(sink.held([1 << 32 | 64, 0]).is_none() && source.held([4096 << 32, 0]).is_none());
    }

    #[test]
    fn without_a_side_to_take_over_a_new_one_begins() {
        let words = [const { AtomicU64::new(0) }; 32];
        for left in [0, 7] {
            let [a, b] = pages();
            a.iter().for_each(|word| word.store(left, core::sync::atomic::Ordering::Relaxed));
            let mut source = Source::resume(&a, &b, Memory::new(&words), 64).unwrap();
            let mut sink = Sink::resume(&b, &a, View::new(&words), 64).unwrap();
            meet(&mut source, &mut sink);
            assert!(source.take().unwrap().is_some(), "{left}");
        }
    }

    #[test]
    fn a_side_lives_whatever_its_predecessor_left() {
        let words = [const { AtomicU64::new(0) }; 32];
        for left in [u64::MAX, u64::MAX - 1, u64::MAX - 2, 1, 7] {
            let [a, b] = pages();
            a.iter().for_each(|word| word.store(left, core::sync::atomic::Ordering::Relaxed));
            let mut source = Source::new(&a, &b, Memory::new(&words), 64).unwrap();
            let mut sink = Sink::new(&b, &a, View::new(&words), 64).unwrap();
            meet(&mut source, &mut sink);
            assert!(source.take().unwrap().is_some(), "{left:#x}");
        }
    }

    #[test]
    fn descriptors_of_what_is_no_buffer_are_left_out() {
        let [a, b] = pages();
        let words = [const { AtomicU64::new(0) }; 24];
        let data = Memory::new(&words);
        let mut source = Source::new(&a, &b, data, 64).unwrap();
        let mut sink = Sink::new(&b, &a, data.into(), 64).unwrap();
        meet(&mut source, &mut sink);
        let (mut hostile, _) = pair(&a, &b).unwrap();
        for (offset, len) in [(1, 1), (192, 1), (0, 65), (u32::MAX, u32::MAX)] {
            // The queue has room for four, of which one is taken out each time.
            hostile.push(Descriptor { offset, len, tag: 0 }).unwrap();
            hostile.publish();
            assert!(sink.take().unwrap().is_none());
        }
        hostile.push(Descriptor { offset: 128, len: 64, tag: 7 }).unwrap();
        hostile.publish();
        let buffer = sink.take().unwrap().unwrap();
        assert_eq!((buffer.view().len(), buffer.tag(), buffer.range()), (64, 7, (128, 64)));
        assert!(
            Sink::new(&b, &a, data.into(), 0).is_none() && Sink::new(&b, &a, data.into(), 1000).is_none()
        );
    }
}
