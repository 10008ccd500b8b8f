//! A component's ends of rings: buffers that go to and fro between it and the component at the other end of a channel.

use alloc::format;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pecan::{Cap, types::Notification};
use pecan_manifest::layout::resource;
use pecan_service::shared::{Buffer, Filled, RingError, Shared, SharedView, Sink, Source};

use crate::{
    handover::is_successor,
    role::{cap, memory, view},
};

/// Which ends of a role's rings are in use, so that there is never a second one of any.
#[derive(Debug)]
pub struct Taken(AtomicU64);

impl Taken {
    /// None of them.
    #[allow(
        clippy::new_without_default,
        reason = "it is there for the constants of roles, which cannot use traits"
    )]
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }
}

/// This end of a role's rings fills buffers.
#[derive(Clone, Copy, Debug)]
pub struct Produces {
    buffer: u32,
    taken: &'static Taken,
}

/// This end of a role's rings takes out of buffers what the other end has filled in.
#[derive(Clone, Copy, Debug)]
pub struct Consumes {
    buffer: u32,
    taken: &'static Taken,
}

impl Produces {
    /// With buffers of so many bytes.
    pub const fn new(buffer: u32, taken: &'static Taken) -> Self {
        Self { buffer, taken }
    }

    pub(crate) fn producer(self, name: &str, place: usize) -> Option<Producer> {
        let line = Line::take(name, self.taken, place)?;
        let data = memory(&format!("{name}{}", resource::RING_DATA))?;
        let begin = if is_successor() { Source::resume } else { Source::new };
        let source = begin(line.own.words(), line.other.words(), data, self.buffer)?;
        let mut producer = Producer { source, line, data, buffer: self.buffer };
        producer.wake();
        Some(producer)
    }
}

impl Consumes {
    /// With buffers of so many bytes.
    pub const fn new(buffer: u32, taken: &'static Taken) -> Self {
        Self { buffer, taken }
    }

    pub(crate) fn consumer(self, name: &str, place: usize) -> Option<Consumer> {
        let line = Line::take(name, self.taken, place)?;
        let resource = format!("{name}{}", resource::RING_DATA);
        let data = view(&resource)?;
        let begin = if is_successor() { Sink::resume } else { Sink::new };
        let sink = begin(line.own.words(), line.other.words(), data, self.buffer)?;
        let mut consumer = Consumer { sink, line, data, writable: memory(&resource), buffer: self.buffer };
        consumer.wake();
        Some(consumer)
    }
}

/// What both kinds of ends have. As long as there is one, there is no other of the same.
#[derive(Debug)]
struct Line {
    own: Shared,
    other: Shared,
    wake: Cap<Notification>,
    bit: u32,
    taken: &'static Taken,
    mask: u64,
}

impl Line {
    fn take(name: &str, taken: &'static Taken, place: usize) -> Option<Self> {
        let ring = format!("{name}{}", resource::RING);
        let mask = 1u64.checked_shl(u32::try_from(place).ok()?)?;
        let (wake, bit) = (cap(&ring)?, u32::try_from(crate::startup().parameter(&ring)?).ok()?);
        let own = memory(&format!("{name}{}", resource::RING_OWN))?;
        let other = memory(&format!("{name}{}", resource::RING_OTHER))?;
        let is_free = taken.0.fetch_or(mask, Relaxed) & mask == 0;
        is_free.then_some(Self { own, other, wake, bit, taken, mask })
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.taken.0.fetch_and(!self.mask, Relaxed);
    }
}

/// Waits until somebody signals this component, which serves nothing; returns the bits ([`Producer::is_in`],
/// [`crate::Irq::is_in`], [`crate::INIT_SIGNAL`]). A component that nobody can signal does not wait.
pub fn wait() -> u64 {
    let signals: Option<Cap<Notification>> = cap(resource::SIGNALS);
    signals.map_or(0, |signals| signals.wait())
}

/// The end of a ring that fills buffers. The other end is woken as needed.
#[derive(Debug)]
pub struct Producer {
    source: Source<'static>,
    line: Line,
    data: Shared,
    buffer: u32,
}

impl Producer {
    /// An empty buffer, if there is one.
    ///
    /// An error stays until [`Producer::begin_anew`].
    pub fn take(&mut self) -> Result<Option<Buffer<'static>>, RingError> {
        let taken = self.source.take();
        self.wake();
        taken
    }

    /// Waits for an empty buffer. Only for a component that serves nothing: a server is told of the signal, and must not wait.
    pub fn wait(&mut self) -> Result<Buffer<'static>, RingError> {
        loop {
            if let Some(buffer) = self.take()? {
                return Ok(buffer);
            }
            if self.sleep() {
                wait();
                self.awake();
            }
        }
    }

    /// A buffer that a predecessor had when it handed over to this program, by what [`Buffer::leave`] said; `None` if there is no
    /// such buffer.
    pub fn held(&self, left: [u64; 2]) -> Option<Buffer<'static>> {
        self.source.held(left)
    }

    /// Hands a buffer over whose first `len` bytes are filled, with a word. The other end sees it after
    /// [`Producer::publish`].
    pub fn give(&mut self, buffer: Buffer<'static>, len: usize, tag: u64) -> Result<(), RingError> {
        self.source.give(buffer, len, tag)
    }

    /// Lets the other end see what was given.
    pub fn publish(&mut self) {
        self.source.publish();
        self.wake();
    }

    /// Asks to be signalled when there is an empty buffer. Returns whether to wait now; after that, call
    /// [`Producer::awake`].
    pub fn sleep(&mut self) -> bool {
        self.source.sleep()
    }

    /// No longer asks to be signalled.
    pub fn awake(&mut self) {
        self.source.awake();
    }

    /// Whether the other end has signalled, among the signals of [`crate::serve`] or [`wait`].
    pub const fn is_in(&self, signals: u64) -> bool {
        signals >> self.line.bit & 1 != 0
    }

    /// Begins anew after an error: what was under way is lost, and buffers of before are no longer taken.
    pub fn begin_anew(&mut self) {
        // There was room for it before.
        if let Some(source) =
            Source::new(self.line.own.words(), self.line.other.words(), self.data, self.buffer)
        {
            self.source = source;
            self.wake();
        }
    }

    fn wake(&mut self) {
        if self.source.must_wake() {
            self.line.wake.signal();
        }
    }
}

/// The end of a ring that takes data out of buffers. The other end is woken as needed.
#[derive(Debug)]
pub struct Consumer {
    sink: Sink<'static>,
    line: Line,
    data: SharedView,
    writable: Option<Shared>,
    buffer: u32,
}

impl Consumer {
    /// The next filled buffer, if there is one.
    ///
    /// An error stays until [`Consumer::begin_anew`].
    pub fn take(&mut self) -> Result<Option<Filled<'static>>, RingError> {
        let taken = self.sink.take();
        self.wake();
        taken
    }

    /// Waits for a filled buffer; as [`Producer::wait`].
    pub fn wait(&mut self) -> Result<Filled<'static>, RingError> {
        loop {
            if let Some(buffer) = self.take()? {
                return Ok(buffer);
            }
            if self.sleep() {
                wait();
                self.awake();
            }
        }
    }

    /// A buffer that a predecessor had, as [`Producer::held`].
    pub fn held(&self, left: [u64; 2]) -> Option<Filled<'static>> {
        self.sink.held(left)
    }

    /// The bytes of a buffer to be written in place, if the description lets both ends write.
    pub fn bytes_mut(&self, buffer: &Filled<'static>) -> Option<Shared> {
        let (start, len) = buffer.range();
        Some(self.writable?.part(start, len))
    }

    /// Hands a buffer back. The other end sees it after [`Consumer::publish`].
    pub fn give(&mut self, buffer: Filled<'static>) -> Result<(), RingError> {
        self.sink.give(buffer)
    }

    /// Lets the other end see what was given back.
    pub fn publish(&mut self) {
        self.sink.publish();
        self.wake();
    }

    /// Asks to be signalled when there is a filled buffer; as [`Producer::sleep`].
    pub fn sleep(&mut self) -> bool {
        self.sink.sleep()
    }

    /// No longer asks to be signalled.
    pub fn awake(&mut self) {
        self.sink.awake();
    }

    /// Whether the other end has signalled; as [`Producer::is_in`].
    pub const fn is_in(&self, signals: u64) -> bool {
        signals >> self.line.bit & 1 != 0
    }

    /// Begins anew after an error; as [`Producer::begin_anew`].
    pub fn begin_anew(&mut self) {
        if let Some(sink) = Sink::new(self.line.own.words(), self.line.other.words(), self.data, self.buffer)
        {
            self.sink = sink;
            self.wake();
        }
    }

    fn wake(&mut self) {
        if self.sink.must_wake() {
            self.line.wake.signal();
        }
    }
}
