//! Which life of each side a ring is between. A side that is started again begins a new life, with all counts at zero; what was
//! under way is lost, and the other side is told so and begins a new life as well.
//!
//! Each side says in its own pages which life it is in, and which life of the other side it has met. Lives have even numbers; an
//! odd one is a side that is just being made. A ring is in use once each side has met the present life of the other.

use crate::{
    AtomicU64, Broken,
    atomic::{
        Ordering::{Acquire, Relaxed, Release},
        fence,
    },
    queue::{GIVEN, SLEEPS, TAKEN},
};

/// Where a side's pages hold its life, and the life of the other side that it has met. They lie in the cache line of the count
/// that the other side looks up anyway.
const LIFE: usize = GIVEN + 1;
const MET: usize = GIVEN + 2;
/// Where a side keeps, for a program that goes on in its place, with which life of the other side it is connected.
const CONNECTED: usize = GIVEN + 3;

/// Why nothing goes through a ring. Nothing was taken and nothing was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RingError {
    /// The other side's indices cannot be right.
    Broken,
    /// The other side was started again, or has begun anew after an error of its own. What was under way is lost; make this side
    /// anew, too.
    Restarted,
}

impl core::fmt::Display for RingError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Broken => Broken.fmt(f),
            Self::Restarted => f.write_str("the other side of the ring was started again"),
        }
    }
}

impl core::error::Error for RingError {}

impl From<Broken> for RingError {
    fn from(_: Broken) -> Self {
        Self::Broken
    }
}

/// What came of looking for the other side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Meeting {
    /// Nothing new.
    Nothing,
    /// This side has seen the other, which is to be woken to see this one.
    Seen,
    /// Now both have met. The other side is to be woken: it may wait for this.
    Met,
}

/// A side's life, and what it knows of the other's.
#[derive(Debug)]
pub(crate) struct Link<'m> {
    own: &'m [AtomicU64],
    other: &'m [AtomicU64],
    life: u64,
    /// The life of the other side that this one is connected with; 0 until there is one.
    met: u64,
}

impl<'m> Link<'m> {
    /// Begins a new life: sets all counts of this side to zero.
    ///
    /// Both groups of pages must have room for the counts.
    pub fn begin(own: &'m [AtomicU64], other: &'m [AtomicU64]) -> Self {
        let making = own[LIFE].load(Relaxed) | 1;
        own[LIFE].store(making, Relaxed);
        // Whoever sees one of the zeros below sees that this life has not begun, and no longer the last one.
        fence(Release);
        [MET, CONNECTED, GIVEN, TAKEN, SLEEPS].into_iter().for_each(|word| own[word].store(0, Relaxed));
        // What a predecessor wrote there can be anything, and 0 is no life.
        let life = making.wrapping_add(1).max(2);
        // Release: whoever sees the new life sees its zeros.
        own[LIFE].store(life, Release);
        Self { own, other, life, met: 0 }
    }

    /// Goes on with the life that this side is in, as another program left it; `None` if it is in none.
    pub fn resume(own: &'m [AtomicU64], other: &'m [AtomicU64]) -> Option<Self> {
        let life = own[LIFE].load(Relaxed);
        let is_life = life != 0 && life.is_multiple_of(2);
        is_life.then(|| Self { own, other, life, met: own[CONNECTED].load(Relaxed) })
    }

    /// Which life of this side it is.
    pub const fn life(&self) -> u64 {
        self.life
    }

    /// Whether the two sides have met.
    pub const fn is_met(&self) -> bool {
        self.met != 0
    }

    /// Looks for the other side, if they have not met. Returns what came of it.
    pub fn meet(&mut self) -> Meeting {
        if self.is_met() {
            return Meeting::Nothing;
        }
        // In this order: that the other side has met this life may have been said by its last life. Then the life that is read
        // afterwards is the last one, or a later one whose counts are zero.
        let knows = self.other[MET].load(Acquire) == self.life;
        let life = self.other[LIFE].load(Acquire);
        if life == 0 || !life.is_multiple_of(2) {
            return Meeting::Nothing;
        }
        let is_news = self.own[MET].load(Relaxed) != life;
        self.own[MET].store(life, Release);
        if knows {
            self.met = life;
            self.own[CONNECTED].store(life, Relaxed);
            Meeting::Met
        } else if is_news {
            Meeting::Seen
        } else {
            Meeting::Nothing
        }
    }

    /// What was read of the other side's pages, if it is still in the life that this side has met.
    pub fn valid<T>(&self, read: Result<T, Broken>) -> Result<T, RingError> {
        // What was read before is not of a later life than what is read now.
        fence(Acquire);
        if self.other[LIFE].load(Relaxed) != self.met {
            return Err(RingError::Restarted);
        }
        read.map_err(RingError::from)
    }
}
