//! The client's side of a call.

use core::{fmt, time::Duration};

use pecan::{Cap, Message, Outgoing, types::Endpoint};

use crate::{Bounded, Cancel, Reader, Wire, Writer, limit::Limit};

/// A method of a service.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Method {
    /// Its name.
    pub name: &'static str,
    /// The label of its messages.
    pub number: u64,
    /// Whether it may be called again when it is not known whether it was carried out.
    pub idempotent: bool,
    /// Whether the server answers when it can, and not at once.
    pub later: bool,
    /// The name and the type of each argument, as the trait has them.
    pub arguments: &'static [(&'static str, &'static str)],
    /// The type of the answer.
    pub answer: &'static str,
}

/// A protocol, for those who make something else of its trait, as a header for C.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Description {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: u32,
    /// Its methods, in the order of the trait.
    pub methods: &'static [Method],
}

/// The bit of a label that tells calls of services from all other messages.
pub const CALL: u64 = 1 << 51;
/// The bit of a label that says that the method may be called again ([`Method::idempotent`]).
pub const IDEMPOTENT: u64 = 1 << 50;

/// Why a call gave no result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallError {
    /// The server does not have this method.
    NoSuchMethod,
    /// The server has another version of the protocol.
    WrongVersion {
        /// This side's.
        client: u32,
        /// The server's.
        server: u32,
    },
    /// The server, or this side, could not make sense of the message.
    Garbled,
    /// The server keeps as many callers waiting as it can.
    Busy,
    /// The server gave the call up, or this client has made another one meanwhile.
    Dropped,
    /// The arguments or the result do not fit into a message.
    TooLong,
    /// This component has no channel of that protocol.
    NoChannel,
    /// The server is gone and does not come back.
    Gone,
    /// The server has died meanwhile and was started again. It is not known whether it carried the call out, and the
    /// method is not one to be called twice without need.
    ServerRestarted {
        /// How often the server was started again so far.
        generation: u64,
    },
    /// The time for the call was over. It is not known whether the server carries it out.
    TimedOut,
    /// The call was cancelled ([`Cancel`]). It is not known whether the server carries it out.
    Cancelled,
    /// The session is over: it was closed, or the server has died.
    SessionEnded,
}

impl CallError {
    /// The message that says to a client that there is no method of that number, and which version of the protocol the
    /// server has.
    pub(crate) fn refused(version: u32) -> Message {
        Message::new(1, [version.into()])
    }

    /// The message that says so.
    pub fn message(self) -> Message {
        match self {
            Self::NoSuchMethod => Self::refused(0),
            Self::WrongVersion { server, .. } => Self::refused(server),
            Self::Garbled => Message::empty(2),
            Self::Busy => Message::empty(3),
            Self::Dropped => Message::empty(4),
            Self::TooLong => Message::empty(5),
            Self::NoChannel => Message::empty(6),
            Self::Gone => Message::empty(7),
            Self::ServerRestarted { generation } => Message::new(8, [generation]),
            Self::TimedOut => Message::empty(9),
            Self::Cancelled => Message::empty(10),
            Self::SessionEnded => Message::empty(11),
        }
    }

    /// What a message with this label and word says to a client of this version.
    #[cold]
    pub(crate) fn from_message(label: u64, word: u64, client: u32) -> Self {
        match label {
            // 0 is said by who speaks no protocol on this edge.
            1 if word == u64::from(client) || word == 0 => Self::NoSuchMethod,
            1 => u32::try_from(word).map_or(Self::Garbled, |server| Self::WrongVersion { client, server }),
            3 => Self::Busy,
            4 => Self::Dropped,
            5 => Self::TooLong,
            6 => Self::NoChannel,
            7 => Self::Gone,
            8 => Self::ServerRestarted { generation: word },
            9 => Self::TimedOut,
            10 => Self::Cancelled,
            11 => Self::SessionEnded,
            _ => Self::Garbled,
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSuchMethod => "the server does not know this method",
            Self::WrongVersion { client, server } => {
                return write!(
                    f,
                    "the server speaks version {server} of the protocol, and this is version {client}"
                );
            }
            Self::Garbled => "the message makes no sense",
            Self::Busy => "the server is busy",
            Self::Dropped => "the server gave the call up",
            Self::TooLong => "the message is too long",
            Self::NoChannel => "there is no channel to such a server",
            Self::Gone => "the server is gone",
            Self::ServerRestarted { .. } => "the server was started again meanwhile",
            Self::TimedOut => "the time for the call is over",
            Self::Cancelled => "the call was cancelled",
            Self::SessionEnded => "the session is over",
        })
    }
}

impl core::error::Error for CallError {}

/// A client's end of a channel: the server's endpoint, and the version of the protocol that is spoken.
#[derive(Clone, Copy, Debug)]
pub struct Channel {
    endpoint: Cap<Endpoint>,
    version: u32,
    limit: Limit,
}

impl Channel {
    /// A channel to the server of an endpoint.
    pub const fn new(endpoint: Cap<Endpoint>, version: u32) -> Self {
        Self { endpoint, version, limit: Limit::NONE }
    }

    /// The same channel, with an end of each call after a time.
    pub const fn within(self, time: Duration) -> Self {
        Self { limit: self.limit.within(time), ..self }
    }

    /// The same channel, with an end of each call when it is cancelled.
    pub const fn cancelled_by(self, cancel: &'static Cancel) -> Self {
        Self { limit: self.limit.cancelled_by(cancel), ..self }
    }

    /// Calls a method: sends the message and reads the result from the reply.
    #[inline]
    pub fn call<R: Bounded + for<'m> Wire<'m>>(self, question: &Writer) -> Result<R, CallError> {
        if self.endpoint.is_null() {
            return Err(CallError::NoChannel);
        }
        self.send(question.message().ok_or(CallError::TooLong)?)
    }

    /// [`Channel::call`] with bytes behind the other arguments.
    #[inline]
    pub fn call_with<R: Bounded + for<'m> Wire<'m>>(
        self,
        question: &Writer,
        bytes: &[u8],
    ) -> Result<R, CallError> {
        if self.endpoint.is_null() {
            return Err(CallError::NoChannel);
        }
        let question = question.message().ok_or(CallError::TooLong)?;
        self.send(&question.with_bytes(bytes).map_err(|_| CallError::TooLong)?)
    }

    #[inline]
    fn send<R: Bounded + for<'m> Wire<'m>>(self, question: &impl Outgoing) -> Result<R, CallError> {
        if self.limit.is_some() {
            return self.limit.apply(self.endpoint, || self.send_unlimited(question));
        }
        self.send_unlimited(question)
    }

    #[inline]
    fn send_unlimited<R: Bounded + for<'m> Wire<'m>>(self, question: &impl Outgoing) -> Result<R, CallError> {
        if R::WORDS <= Message::WORDS {
            let reply = self.endpoint.call(question);
            self.result(reply.label(), reply.words())
        } else {
            let mut reply = pecan::LongMessage::new(0);
            self.endpoint.call_long(question, &mut reply);
            self.result(reply.label(), reply.words())
        }
    }

    #[inline]
    fn result<R: for<'m> Wire<'m>>(self, label: u64, words: &[u64]) -> Result<R, CallError> {
        if label != 0 {
            return Err(CallError::from_message(label, words.first().copied().unwrap_or(0), self.version));
        }
        R::decode(&mut Reader::new(words)).ok_or(CallError::Garbled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_come_back() {
        use CallError::*;
        let errors = [
            Garbled,
            Busy,
            Dropped,
            TooLong,
            NoChannel,
            Gone,
            ServerRestarted { generation: 3 },
            TimedOut,
            Cancelled,
            SessionEnded,
        ];
        for error in errors {
            let message = error.message();
            assert_eq!(CallError::from_message(message.label(), message.word(0), 1), error);
        }
    }

    #[test]
    fn who_speaks_another_version_is_told_both() {
        let message = CallError::refused(2);
        let told = |version| CallError::from_message(message.label(), message.word(0), version);
        assert_eq!(told(2), CallError::NoSuchMethod);
        assert_eq!(told(1), CallError::WrongVersion { client: 1, server: 2 });
        assert_eq!(CallError::from_message(1, 0, 1), CallError::NoSuchMethod);
    }

    #[test]
    fn without_a_channel_there_is_no_call() {
        let channel = Channel::new(Cap::NULL, 1);
        assert_eq!(channel.call::<()>(&Writer::new(1)), Err(CallError::NoChannel));
    }
}
