//! The server's side: the loop, and answers that come later.

use alloc::{rc::Rc, vec::Vec};
use core::{cell::RefCell, marker::PhantomData};

use pecan::{
    Cap, Message, Received,
    types::{Endpoint, Reply},
};

use crate::{CallError, Reader, Wire, Writer};

/// The bit of a badge that tells signals (of interrupts and other notifications) from calls.
pub const SIGNAL: u64 = 1 << 63;

/// Who called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caller {
    /// The badge of the endpoint capability that was called.
    pub badge: u64,
}

impl Caller {
    /// The place of this client among those of the service, from 0.
    pub const fn place(self) -> usize {
        (self.badge & 0xffff) as usize
    }

    /// Which of the clients that had this place one after the other.
    pub const fn generation(self) -> u64 {
        self.badge >> 16
    }
}

/// Hands calls to a server `S`; made by [`crate::service!`].
pub trait Dispatch<S> {
    /// The name of the protocol.
    const PROTOCOL: &'static str;
    /// Handles one call.
    fn dispatch(
        server: &mut S,
        caller: Caller,
        label: u64,
        reader: &mut Reader<'_>,
        replies: &mut Replies,
    ) -> Outcome;
}

/// What came of a call.
#[derive(Debug)]
pub enum Outcome {
    /// The answer.
    Answer(Message),
    /// The answer comes later.
    Later,
    /// There is no answer.
    Refused(CallError),
}

impl Outcome {
    /// An answer with a value.
    #[inline]
    pub fn answer<T: Wire>(value: &T) -> Self {
        let mut writer = Writer::new(0);
        T::encode(value.lend(), &mut writer);
        match writer.finish() {
            Some(message) => Self::Answer(message),
            None => Self::Refused(CallError::TooLong),
        }
    }

    /// The message to send back, if it is to be sent now.
    #[inline]
    pub fn message(self) -> Option<Message> {
        match self {
            Self::Answer(message) => Some(message),
            Self::Refused(error) => Some(Message::empty(error.number())),
            Self::Later => None,
        }
    }
}

/// Reads an argument.
#[inline]
pub fn decode<T: Wire>(reader: &mut Reader<'_>) -> Option<T> {
    T::decode(reader)
}

/// The reply objects of a server: the one for the next call, and spare ones to take its place when an answer has
/// to wait.
#[derive(Debug)]
pub struct Replies {
    current: Cap<Reply>,
    spare: Rc<RefCell<Vec<Cap<Reply>>>>,
}

impl Replies {
    /// The reply objects at `count` addresses from `first` on.
    pub fn new(first: Cap<Reply>, count: u64) -> Self {
        let spare = (1..count).rev().map(|n| Cap::new(first.cptr() + n)).collect();
        Self { current: first, spare: Rc::new(RefCell::new(spare)) }
    }

    /// The one to receive the next call with.
    #[inline]
    pub const fn current(&self) -> Cap<Reply> {
        self.current
    }

    /// Puts the answer to the present call off; `None` when no reply object is left.
    pub fn defer<T>(&mut self) -> Option<Later<T>> {
        let next = self.spare.borrow_mut().pop()?;
        let reply = core::mem::replace(&mut self.current, next);
        Some(Later { reply, spare: self.spare.clone(), of: PhantomData })
    }
}

/// An answer that is owed. Dropping it tells the caller that there is none.
#[derive(Debug)]
pub struct Later<T> {
    reply: Cap<Reply>,
    spare: Rc<RefCell<Vec<Cap<Reply>>>>,
    of: PhantomData<fn(T)>,
}

impl<T: Wire> Later<T> {
    /// Answers. If the caller is gone, nothing happens.
    pub fn answer(mut self, value: T::Ref<'_>) {
        let mut writer = Writer::new(0);
        T::encode(value, &mut writer);
        let too_long = Message::empty(CallError::TooLong.number());
        self.send(writer.finish().unwrap_or(too_long));
    }
}

impl<T> Later<T> {
    fn send(&mut self, message: Message) {
        let reply = core::mem::replace(&mut self.reply, Cap::NULL);
        if !reply.is_null() {
            reply.reply(message);
            self.spare.borrow_mut().push(reply);
        }
    }
}

impl<T> Drop for Later<T> {
    fn drop(&mut self) {
        self.send(Message::empty(CallError::Dropped.number()));
    }
}

/// A server's loop.
#[derive(Debug)]
pub struct Server {
    endpoint: Cap<Endpoint>,
    replies: Replies,
}

impl Server {
    /// A server that receives on an endpoint.
    pub const fn new(endpoint: Cap<Endpoint>, replies: Replies) -> Self {
        Self { endpoint, replies }
    }

    /// Serves for ever. `signal` is told the bits of the notification that is bound to this thread.
    pub fn run<D: Dispatch<S>, S>(mut self, server: &mut S, mut signal: impl FnMut(&mut S, u64)) -> ! {
        let mut received = self.endpoint.recv(self.replies.current());
        loop {
            received = if received.badge & SIGNAL != 0 {
                signal(server, received.badge & !SIGNAL);
                self.endpoint.recv(self.replies.current())
            } else {
                self.serve::<D, S>(server, &received)
            };
        }
    }

    #[inline]
    fn serve<D: Dispatch<S>, S>(&mut self, server: &mut S, received: &Received) -> Received {
        let caller = Caller { badge: received.badge };
        let mut reader = Reader::new(&received.message);
        let outcome = D::dispatch(server, caller, received.label(), &mut reader, &mut self.replies);
        match outcome.message() {
            Some(message) => self.endpoint.reply_recv(self.replies.current(), message),
            None => self.endpoint.recv(self.replies.current()),
        }
    }
}
