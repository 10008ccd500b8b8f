//! Queues of descriptors, and streams of bytes, in memory that two components share.
//!
//! Each side has pages of its own that the other can only read. What the other side writes is an allegation: indices are
//! checked whenever they are read, and descriptors after they were copied. A side's own indices are kept in private memory;
//! the shared copies are only there for the other side to read, and for a successor of this side to go on from.
//!
//! A bare queue and a stream outlive both sides. Buffers do not: when either side is started again, the other is told, and both
//! begin anew. A program that hands a side over to another lets it go on ([`Source::resume`]).
//!
//! See [`Source`] and [`Sink`] for buffers, [`Sender`] and [`Receiver`] for bare descriptors, [`StreamWriter`] and
//! [`StreamReader`] for bytes.
#![cfg_attr(not(loom), no_std)]
#![forbid(unsafe_code)]

mod buffers;
mod life;
mod lines;
mod memory;
mod queue;
mod stream;

#[cfg(loom)]
use loom::sync::atomic;

#[cfg(not(loom))]
use core::sync::atomic;

/// The words that shared memory consists of.
pub use atomic::AtomicU64;

pub use buffers::{Buffer, Filled, Sink, Source};
pub use life::RingError;
pub use lines::Lines;
pub use memory::{Memory, View};
pub use queue::{Descriptor, PushError, Receiver, Sender, pair, words_for};
pub use stream::{StreamReader, StreamWriter, stream_words_for};

/// The other side's indices cannot be right. Nothing was taken and nothing was given; the ring stays as it is until whoever
/// supervises both sides makes a new one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Broken;

impl core::fmt::Display for Broken {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the other side of the ring does not keep to the rules")
    }
}

impl core::error::Error for Broken {}
