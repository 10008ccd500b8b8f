//! The server's side: the loop, and answers that come later.

use alloc::{rc::Rc, vec::Vec};
use core::{cell::RefCell, marker::PhantomData};

use serde::{Deserialize, Serialize};

use pecan::{
    Cap, LongMessage, Message, Outgoing,
    types::{Endpoint, Reply},
};
use pecan_manifest::Badge;

use crate::{CallError, Method, Wire, Writer};

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

/// Hands calls to a server `S`; made by [`macro@crate::service`].
pub trait Dispatch<S> {
    /// Handles one call. The answer, if it is given now, is added to `answer`.
    fn dispatch(
        server: &mut S,
        caller: Caller,
        question: &LongMessage,
        replies: &mut Replies,
        answer: &mut Writer,
    ) -> Result<Answered, Refusal>;

    /// The methods that can be called in each role, as far as they are known.
    const METHODS: &'static [(u8, &'static [Method])] = &[];

    /// A client is gone.
    fn gone(server: &mut S, place: usize);

    /// A client has given up its call.
    fn given_up(server: &mut S, place: usize);
}

/// The methods of the only role, or the first.
#[doc(hidden)]
pub const fn first_methods(of: &[(u8, &'static [Method])]) -> &'static [Method] {
    match of {
        [(_, methods), ..] => methods,
        [] => &[],
    }
}

/// When a call is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answered {
    /// Now.
    Now,
    /// Later.
    Later,
}

/// Why a call is not carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// There is no method of that number.
    NoSuchMethod {
        /// The version of the server's protocol; 0 if it speaks none with this caller.
        version: u32,
    },
    /// The arguments make no sense.
    Garbled,
    /// No more callers can wait.
    Busy,
}

impl Refusal {
    /// What the caller is told.
    #[cold]
    pub fn message(self) -> Message {
        match self {
            Self::NoSuchMethod { version } => CallError::refused(version),
            Self::Garbled => CallError::Garbled.message(),
            Self::Busy => CallError::Busy.message(),
        }
    }
}

/// The reply objects of a server: one for each client's place, and one to receive the next call with.
///
/// A deferred call keeps the object with which it was received, and the loop goes on with the one of the caller's
/// place. So nobody can take more than one, whatever it sends: the kernel does not tell a message that was sent from
/// one that was called, and either costs its sender's own place.
#[derive(Debug)]
pub struct Replies {
    pub(crate) current: Numbered,
    pub(crate) places: Places,
}

/// The places of deferred calls, which their answers share.
pub(crate) type Places = Rc<RefCell<Vec<Place>>>;

/// A reply object, and which of the server's it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbered {
    pub cap: Cap<Reply>,
    pub number: u16,
}

#[derive(Debug)]
pub(crate) struct Place {
    /// Whose it is: a client's place, which means nothing while nothing is owed.
    pub client: usize,
    pub reply: Numbered,
    /// Which of the deferred calls of this place is the last one.
    pub call: u64,
    /// Whether that still waits for its answer.
    pub owed: bool,
}

impl Replies {
    /// Some reply objects: one more than there are clients. Without any, nothing can be received.
    pub fn new(replies: &[Cap<Reply>]) -> Self {
        let mut all = (0..).zip(replies).map(|(number, cap)| Numbered { cap: *cap, number });
        let current = all.next().unwrap_or(Numbered { cap: Cap::NULL, number: 0 });
        let places = all.map(|reply| Place { client: 0, reply, call: 0, owed: false });
        Self { current, places: Rc::new(RefCell::new(places.collect())) }
    }

    /// The one to receive the next call with.
    #[inline]
    pub const fn current(&self) -> Cap<Reply> {
        self.current.cap
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
            place.reply.cap.reply(&CallError::Dropped.message());
        }
        core::mem::swap(&mut self.current, &mut place.reply);
        place.client = client;
        place.call += 1;
        place.owed = true;
        Some(Later { at, call: place.call, places: self.places.clone(), of: PhantomData })
    }

    /// Forgets what is owed to a client that is gone, or that has given up its call.
    pub fn forget(&mut self, client: usize) {
        self.places.borrow_mut().iter_mut().filter(|p| p.client == client).for_each(|p| p.owed = false);
    }
}

/// An answer that is owed. Dropping it tells the caller that there is none.
#[derive(Debug)]
pub struct Later<T> {
    pub(crate) at: usize,
    pub(crate) call: u64,
    pub(crate) places: Places,
    pub(crate) of: PhantomData<fn(T)>,
}

impl<T: for<'m> Wire<'m>> Later<T> {
    /// Answers. If the caller is gone, or has made another call, nothing happens.
    pub fn answer(self, value: &T) {
        let mut writer = Writer::new(0);
        value.encode(&mut writer);
        match writer.message() {
            Some(message) => self.send(message),
            None => self.send(&CallError::TooLong.message()),
        }
    }
}

impl<T> Later<T> {
    /// Whether the answer is still owed: it is not when the caller is gone or has made another call.
    pub fn is_owed(&self) -> bool {
        self.places.borrow().get(self.at).is_some_and(|place| place.owed && place.call == self.call)
    }

    fn send(&self, message: &impl Outgoing) {
        let mut places = self.places.borrow_mut();
        if let Some(place) = places.get_mut(self.at).filter(|place| place.owed && place.call == self.call) {
            place.reply.cap.reply(message);
            place.owed = false;
        }
    }
}

impl<T> Drop for Later<T> {
    fn drop(&mut self) {
        self.send(&CallError::Dropped.message());
    }
}

/// What a server owes to its clients, at most one thing to each, so that no client can make it grow.
#[derive(Debug, Serialize, Deserialize)]
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

    /// Takes everything out, each as something else: to hand it over.
    pub fn drain_as<U>(&mut self, mut into: impl FnMut(T) -> U) -> Owed<U> {
        Owed(self.0.iter_mut().map(|owed| owed.take().map(&mut into)).collect())
    }

    /// Owes what another one did, each as something else. What is owed to clients that cannot be is dropped.
    pub fn fill_from<U>(&mut self, from: Owed<U>, mut into: impl FnMut(U) -> T) {
        for (client, what) in from.0.into_iter().enumerate() {
            if let Some(what) = what {
                self.put(client, into(what));
            }
        }
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

    /// Serves for ever. `signal` is told the bits of the notification that is bound to this thread.
    pub fn run<D: Dispatch<S>, S>(
        mut self,
        server: &mut S,
        mut signal: impl FnMut(&mut S, u64, &mut Replies),
    ) -> ! {
        let (mut question, mut answer) = (LongMessage::new(0), Writer::new(0));
        let mut badge = self.endpoint.recv_long(self.replies.current(), &mut question);
        loop {
            if badge & Badge::SIGNAL != 0 {
                signal(server, badge & !Badge::SIGNAL, &mut self.replies);
                badge = self.endpoint.recv_long(self.replies.current(), &mut question);
                continue;
            }
            answer.reset(0);
            let caller = Caller { badge: Badge::from_word(badge) };
            let outcome = D::dispatch(server, caller, &question, &mut self.replies, &mut answer);
            let (endpoint, reply) = (self.endpoint, self.replies.current());
            badge = match (outcome, answer.message()) {
                (Ok(Answered::Now), Some(answer)) => endpoint.reply_recv_long(reply, answer, &mut question),
                (Ok(Answered::Now), None) => {
                    endpoint.reply_recv_long(reply, &CallError::TooLong.message(), &mut question)
                }
                (Ok(Answered::Later), _) => endpoint.recv_long(reply, &mut question),
                (Err(refusal), _) => endpoint.reply_recv_long(reply, &refusal.message(), &mut question),
            };
        }
    }
}
