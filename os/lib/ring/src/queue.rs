//! A pair of queues of descriptors, one in each direction.
//!
//! A side's pages hold, in words that lie in cache lines of their own: how many descriptors it has handed over, how many of the
//! other side's it has taken, and whether it wants to be woken when the other hands one over; then its descriptors. The counts
//! are of 64 bits and never wrap around.

use crate::{
    AtomicU64, Broken,
    atomic::{
        Ordering::{Acquire, Relaxed, Release, SeqCst},
        fence,
    },
};

/// Where a side's pages hold how many descriptors it has handed over, how many it has taken, and whether it sleeps. What else is
/// in the first cache line is that of [`crate::life`].
pub(crate) const GIVEN: usize = 0;
pub(crate) const TAKEN: usize = 8;
pub(crate) const SLEEPS: usize = 16;
/// The words before its descriptors, and those of each descriptor.
pub(crate) const HEAD: usize = 24;
const DESCRIPTOR_WORDS: usize = 2;

/// What goes through a queue: bytes of the data region, and a word that means what both sides agree on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Descriptor {
    /// Where the bytes begin, from the start of the data region.
    pub offset: u32,
    /// How many there are.
    pub len: u32,
    /// A word for the two sides' own use.
    pub tag: u64,
}

impl Descriptor {
    pub(crate) const fn pack(self) -> [u64; DESCRIPTOR_WORDS] {
        [(self.offset as u64) << 32 | self.len as u64, self.tag]
    }

    pub(crate) const fn unpack([place, tag]: [u64; DESCRIPTOR_WORDS]) -> Self {
        Self { offset: (place >> 32) as u32, len: place as u32, tag }
    }
}

/// How many words a side's pages must have for queues of `capacity` descriptors, a power of two.
pub const fn words_for(capacity: usize) -> usize {
    HEAD + capacity * DESCRIPTOR_WORDS
}

/// The most descriptors that fit, a power of two; `None` if not even one does.
fn capacity(own: &[AtomicU64], other: &[AtomicU64]) -> Option<u32> {
    let room = own.len().min(other.len()).checked_sub(HEAD)? / DESCRIPTOR_WORDS;
    room.checked_ilog2().map(|bits| 1 << bits.min(30))
}

/// One side of a pair of queues: what hands descriptors over, and what takes those of the other side. `own` are the pages that
/// only this side writes, `other` those that only the other side writes; all zero when the pair is new. A successor of a side
/// that died goes on where that one stopped.
///
/// `None` if there is no room for a single descriptor.
pub fn pair<'m>(own: &'m [AtomicU64], other: &'m [AtomicU64]) -> Option<(Sender<'m>, Receiver<'m>)> {
    let capacity = capacity(own, other)?;
    let (given, taken) = (own[GIVEN].load(Relaxed), own[TAKEN].load(Relaxed));
    let sender = Sender { own, other, capacity, given, published: given, room: 0 };
    Some((sender, Receiver { own, other, capacity, taken, released: taken, waiting: 0 }))
}

/// Why a descriptor was not handed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PushError {
    /// The other side has yet to take as many as there is room for.
    Full,
    /// See [`Broken`].
    Broken,
}

impl From<Broken> for PushError {
    fn from(_: Broken) -> Self {
        Self::Broken
    }
}

/// The end of a queue that hands descriptors over.
#[derive(Debug)]
pub struct Sender<'m> {
    own: &'m [AtomicU64],
    other: &'m [AtomicU64],
    capacity: u32,
    /// Descriptors that were pushed, ever.
    given: u64,
    /// Of those, the ones that the other side was told of.
    published: u64,
    /// For how many more there was room when that was last looked up.
    room: u64,
}

impl Sender<'_> {
    /// How many descriptors the queue holds.
    pub const fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Puts a descriptor into the queue. The other side sees it after [`Sender::publish`].
    #[inline]
    pub fn push(&mut self, descriptor: Descriptor) -> Result<(), PushError> {
        if self.room == 0 {
            self.room = self.look_up_room()?;
        }
        self.room = self.room.checked_sub(1).ok_or(PushError::Full)?;
        let at = HEAD + (self.given as u32 & (self.capacity - 1)) as usize * DESCRIPTOR_WORDS;
        let [place, tag] = descriptor.pack();
        self.own[at].store(place, Relaxed);
        self.own[at + 1].store(tag, Relaxed);
        self.given += 1;
        Ok(())
    }

    fn look_up_room(&self) -> Result<u64, Broken> {
        // Acquire: the other side has copied a descriptor before it says that it has taken it.
        let taken = self.other[TAKEN].load(Acquire);
        u64::from(self.capacity).checked_sub(self.given.wrapping_sub(taken)).ok_or(Broken)
    }

    /// Lets the other side see what was pushed. Returns whether it wants to be woken; then signal it.
    #[inline]
    pub fn publish(&mut self) -> bool {
        if self.published == self.given {
            return false;
        }
        self.published = self.given;
        self.own[GIVEN].store(self.given, Release);
        // The other side says that it sleeps and then looks whether something is here; this side puts something here and then
        // looks whether the other sleeps. The fences order each side's two steps, so at least one of them sees the other.
        fence(SeqCst);
        self.other[SLEEPS].load(Relaxed) != 0
    }
}

/// The end of a queue that takes descriptors.
#[derive(Debug)]
pub struct Receiver<'m> {
    own: &'m [AtomicU64],
    other: &'m [AtomicU64],
    capacity: u32,
    /// Descriptors that were popped, ever.
    taken: u64,
    /// Of those, the ones that the other side was told of.
    released: u64,
    /// How many more there were when that was last looked up.
    waiting: u64,
}

impl Receiver<'_> {
    /// Takes the next descriptor out, if there is one. It is a copy: what the other side does to its own no longer matters.
    /// What it says is still to be checked. The place in the queue is free after [`Receiver::release`].
    #[inline]
    pub fn pop(&mut self) -> Result<Option<Descriptor>, Broken> {
        if self.waiting == 0 {
            self.waiting = self.look_up()?;
            if self.waiting == 0 {
                return Ok(None);
            }
        }
        self.waiting -= 1;
        let at = HEAD + (self.taken as u32 & (self.capacity - 1)) as usize * DESCRIPTOR_WORDS;
        let words = [self.other[at].load(Relaxed), self.other[at + 1].load(Relaxed)];
        self.taken += 1;
        Ok(Some(Descriptor::unpack(words)))
    }

    fn look_up(&self) -> Result<u64, Broken> {
        // Acquire: the descriptors were written before they were counted.
        let waiting = self.other[GIVEN].load(Acquire).wrapping_sub(self.taken);
        if waiting <= self.capacity.into() { Ok(waiting) } else { Err(Broken) }
    }

    /// Lets the other side use the places of what was popped.
    #[inline]
    pub fn release(&mut self) {
        if self.released != self.taken {
            self.released = self.taken;
            // Release: the descriptors were copied before their places are given back.
            self.own[TAKEN].store(self.taken, Release);
        }
    }

    /// Releases, and asks to be woken. Returns whether to wait now: `false` means that something has come meanwhile, or that
    /// the other side is [`Broken`], which the next [`Receiver::pop`] says. After the wait, call [`Receiver::awake`].
    pub fn sleep(&mut self) -> bool {
        self.release();
        self.own[SLEEPS].store(1, Relaxed);
        // See `Sender::publish`.
        fence(SeqCst);
        let nothing = self.waiting == 0 && self.look_up() == Ok(0);
        if !nothing {
            self.awake();
        }
        nothing
    }

    /// No longer asks to be woken.
    #[inline]
    pub fn awake(&mut self) {
        self.own[SLEEPS].store(0, Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const CAPACITY: usize = 4;
    const WORDS: usize = words_for(CAPACITY);

    fn pages() -> [[AtomicU64; WORDS]; 2] {
        [const { [const { AtomicU64::new(0) }; WORDS] }; 2]
    }

    fn descriptor(n: u32) -> Descriptor {
        Descriptor { offset: n, len: n + 1, tag: u64::from(n) << 33 }
    }

    #[test]
    fn descriptors_come_out_in_order_and_both_ways() {
        let [a, b] = pages();
        let (mut to_b, mut from_b) = pair(&a, &b).unwrap();
        let (mut to_a, mut from_a) = pair(&b, &a).unwrap();
        for n in 0..50 {
            to_b.push(descriptor(n)).unwrap();
            to_b.push(descriptor(n + 1)).unwrap();
            assert_eq!(from_a.pop(), Ok(None), "nothing is seen before it is published");
            to_b.publish();
            to_a.push(descriptor(n + 2)).unwrap();
            to_a.publish();
            assert_eq!(from_a.pop(), Ok(Some(descriptor(n))));
            assert_eq!(from_a.pop(), Ok(Some(descriptor(n + 1))));
            assert_eq!(from_b.pop(), Ok(Some(descriptor(n + 2))));
            from_a.release();
            from_b.release();
        }
    }

    #[test]
    fn a_full_queue_says_so_until_places_are_released() {
        let [a, b] = pages();
        let (mut sender, _) = pair(&a, &b).unwrap();
        let (_, mut receiver) = pair(&b, &a).unwrap();
        assert_eq!(sender.capacity(), 4);
        (0..4).for_each(|n| sender.push(descriptor(n)).unwrap());
        assert_eq!(sender.push(descriptor(4)), Err(PushError::Full));
        sender.publish();
        receiver.pop().unwrap();
        assert_eq!(sender.push(descriptor(4)), Err(PushError::Full));
        receiver.release();
        sender.push(descriptor(4)).unwrap();
        assert_eq!(sender.push(descriptor(5)), Err(PushError::Full));
    }

    #[test]
    fn who_sleeps_is_woken_once_there_is_something() {
        let [a, b] = pages();
        let (mut sender, _) = pair(&a, &b).unwrap();
        let (_, mut receiver) = pair(&b, &a).unwrap();
        sender.push(descriptor(1)).unwrap();
        assert!(!sender.publish(), "nobody sleeps");
        assert!(!receiver.sleep(), "there is something");
        receiver.pop().unwrap();
        assert!(receiver.sleep());
        assert!(!sender.publish(), "there is nothing new");
        sender.push(descriptor(2)).unwrap();
        assert!(sender.publish());
        receiver.awake();
        sender.push(descriptor(3)).unwrap();
        assert!(!sender.publish());
    }

    #[test]
    fn a_successor_goes_on_where_its_predecessor_stopped() {
        let [a, b] = pages();
        for n in 0..20 {
            let (mut sender, _) = pair(&a, &b).unwrap();
            let (_, mut receiver) = pair(&b, &a).unwrap();
            sender.push(descriptor(n)).unwrap();
            sender.publish();
            assert_eq!(receiver.pop(), Ok(Some(descriptor(n))));
            receiver.release();
        }
    }

    #[test]
    fn indices_that_cannot_be_right_are_an_error() {
        let [a, b] = pages();
        let (mut sender, _) = pair(&a, &b).unwrap();
        let (_, mut receiver) = pair(&b, &a).unwrap();
        a[GIVEN].store(5, Relaxed);
        assert_eq!(receiver.pop(), Err(Broken));
        assert!(!receiver.sleep(), "who waits for a broken ring would wait for ever");
        b[TAKEN].store(1, Relaxed);
        assert_eq!(sender.push(descriptor(0)), Err(PushError::Broken));
        b[TAKEN].store(u64::MAX - 3, Relaxed);
        assert_eq!(sender.push(descriptor(0)), Err(PushError::Full));
        assert!(pair(&a[..HEAD + 1], &b).is_none());
    }
}
