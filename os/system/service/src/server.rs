//! The server's side: the loop, and answers that come later.

use alloc::{rc::Rc, vec::Vec};
use core::{cell::RefCell, marker::PhantomData};

use pecan::{
    Cap, Message, Received,
    types::{Endpoint, Reply},
};
use pecan_manifest::Badge;

use crate::{CallError, Reader, Wire, Writer};

/// Who called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caller {
    /// The badge of the endpoint capability that was called.
    pub badge: Badge,
}

impl Caller {
    /// Which of the server's roles was called.
    pub const fn role(self) -> u8 {
        self.badge.role()
    }

    /// The place of this client among all those of the server, from 0.
    pub const fn place(self) -> usize {
        self.badge.place() as usize
    }

    /// Which of the clients that had this place one after the other.
    pub const fn generation(self) -> u64 {
        self.badge.generation()
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
    /// A client is gone.
    fn gone(server: &mut S, place: usize);
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

/// The reply objects of a server: one for each client's place, and one to receive the next call with.
///
/// A deferred call keeps the object with which it was received, and the loop goes on with the one of the caller's
/// place. So nobody can take more than one, whatever it sends: the kernel does not tell a message that was sent from
/// one that was called, and either costs its sender's own place.
#[derive(Debug)]
pub struct Replies {
    current: Cap<Reply>,
    places: Rc<RefCell<Vec<Place>>>,
}

#[derive(Debug)]
struct Place {
    /// Whose it is: a client's place, which means nothing while nothing is owed.
    client: usize,
    reply: Cap<Reply>,
    /// Which of the deferred calls of this place is the last one.
    call: u64,
    /// Whether that still waits for its answer.
    owed: bool,
}

impl Replies {
    /// Some reply objects: one more than there are clients. Without any, nothing can be received.
    pub fn new(replies: &[Cap<Reply>]) -> Self {
        let (current, others) = replies.split_first().map_or((Cap::NULL, &[][..]), |(r, o)| (*r, o));
        let place = |reply: &Cap<Reply>| Place { client: 0, reply: *reply, call: 0, owed: false };
        Self { current, places: Rc::new(RefCell::new(others.iter().map(place).collect())) }
    }

    /// The one to receive the next call with.
    #[inline]
    pub const fn current(&self) -> Cap<Reply> {
        self.current
    }

    /// Puts the answer to the present call off. A call from the same place that still waits is given up. `None` when
    /// there are more clients than was said.
    pub fn defer<T>(&mut self, caller: Caller) -> Option<Later<T>> {
        let mut places = self.places.borrow_mut();
        let client = caller.place();
        let at = places.iter().position(|p| p.owed && p.client == client);
        let at = at.or_else(|| places.iter().position(|p| !p.owed))?;
        let place = &mut places[at];
        if place.owed {
            place.reply.reply(Message::empty(CallError::Dropped.number()));
        }
        core::mem::swap(&mut self.current, &mut place.reply);
        place.client = client;
        place.call += 1;
        place.owed = true;
        Some(Later { at, call: place.call, places: self.places.clone(), of: PhantomData })
    }

    /// Forgets what is owed to a client that is gone.
    pub fn forget(&mut self, client: usize) {
        self.places.borrow_mut().iter_mut().filter(|p| p.client == client).for_each(|p| p.owed = false);
    }
}

/// An answer that is owed. Dropping it tells the caller that there is none.
#[derive(Debug)]
pub struct Later<T> {
    at: usize,
    call: u64,
    places: Rc<RefCell<Vec<Place>>>,
    of: PhantomData<fn(T)>,
}

impl<T: Wire> Later<T> {
    /// Answers. If the caller is gone, or has made another call, nothing happens.
    pub fn answer(self, value: T::Ref<'_>) {
        let mut writer = Writer::new(0);
        T::encode(value, &mut writer);
        let too_long = Message::empty(CallError::TooLong.number());
        self.send(writer.finish().unwrap_or(too_long));
    }
}

impl<T> Later<T> {
    /// Whether the answer is still owed: it is not when the caller is gone or has made another call.
    pub fn is_owed(&self) -> bool {
        let place = &self.places.borrow()[self.at];
        place.owed && place.call == self.call
    }

    fn send(&self, message: Message) {
        let place = &mut self.places.borrow_mut()[self.at];
        if place.owed && place.call == self.call {
            place.reply.reply(message);
            place.owed = false;
        }
    }
}

impl<T> Drop for Later<T> {
    fn drop(&mut self) {
        self.send(Message::empty(CallError::Dropped.number()));
    }
}

/// What a server owes to its clients, at most one thing to each, so that no client can make it grow.
#[derive(Debug)]
pub struct Owed<T>(Vec<Option<T>>);

impl<T> Owed<T> {
    /// Nothing is owed to any of `clients` clients.
    pub fn new(clients: usize) -> Self {
        Self((0..clients).map(|_| None).collect())
    }

    /// Owes something to a client, in place of what was owed to it before. Does nothing for a client that cannot be.
    pub fn put(&mut self, client: usize, what: T) {
        if let Some(owed) = self.0.get_mut(client) {
            *owed = Some(what);
        }
    }

    /// Takes back what is owed to a client.
    pub fn forget(&mut self, client: usize) {
        if let Some(owed) = self.0.get_mut(client) {
            *owed = None;
        }
    }

    /// All that is owed.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flatten()
    }

    /// Takes out what is due.
    pub fn take_if(&mut self, mut due: impl FnMut(&T) -> bool) -> impl Iterator<Item = T> {
        self.0.iter_mut().filter_map(move |owed| owed.take_if(|what| due(what)))
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

    /// Serves for ever. `signal` is told the bits of the notification that is bound to this thread, and may say which
    /// clients are gone.
    pub fn run<D: Dispatch<S>, S>(
        mut self,
        server: &mut S,
        mut signal: impl FnMut(&mut S, u64, &mut dyn FnMut(&mut S, usize)),
    ) -> ! {
        let mut received = self.endpoint.recv(self.replies.current());
        loop {
            received = if received.badge & Badge::SIGNAL != 0 {
                signal(server, received.badge & !Badge::SIGNAL, &mut |server, client| {
                    D::gone(server, client);
                    self.replies.forget(client);
                });
                self.endpoint.recv(self.replies.current())
            } else {
                self.serve::<D, S>(server, &received)
            };
        }
    }

    #[inline]
    fn serve<D: Dispatch<S>, S>(&mut self, server: &mut S, received: &Received) -> Received {
        let caller = Caller { badge: Badge::from_word(received.badge) };
        let mut reader = Reader::new(&received.message);
        let outcome = D::dispatch(server, caller, received.label(), &mut reader, &mut self.replies);
        match outcome.message() {
            Some(message) => self.endpoint.reply_recv(self.replies.current(), message),
            None => self.endpoint.recv(self.replies.current()),
        }
    }
}
