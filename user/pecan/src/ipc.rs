//! Messages between threads.
//!
//! A message is a label and up to 120 words, the first four of which travel in registers, and up to three
//! capabilities. The others travel in the thread's IPC buffer, which every other system call overwrites. So no message
//! is ever left there: a [`Message`] has at most four words and is nothing but registers; a [`LongMessage`] owns its
//! words, which are copied to the buffer by the call that sends them, and from it by the call that receives them.

use core::mem::MaybeUninit;

use pecan_abi::{
    CPtr, MessageInfo,
    ipc::{MESSAGE_REGISTERS, MSG_MAX_EXTRA_CAPS, MSG_MAX_LENGTH},
};

use crate::{
    Cap, Error, Result, Slot,
    raw::{self, Registers},
    types::{Endpoint, Notification, Reply},
};

/// A message of at most [`Message::WORDS`] words. Of a longer one that is received as this, the words after these are
/// dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message {
    info: MessageInfo,
    regs: Registers,
    /// The capabilities to send; or, of a received message, the badges of those that were unwrapped.
    caps: [CPtr; MSG_MAX_EXTRA_CAPS],
}

/// A message as it arrived, with the badge of the capability it was sent on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Received {
    /// The badge; if a bound notification was signalled instead, its bits.
    pub badge: u64,
    /// The message.
    pub message: Message,
}

/// What can be sent.
pub trait Outgoing: sealed::Stage {}

mod sealed {
    use super::{MessageInfo, Registers};

    pub trait Stage {
        /// Puts into the IPC buffer what travels there. The next system call sends it.
        fn stage(&self) -> (MessageInfo, Registers);
    }
}

impl Message {
    /// The most words.
    pub const WORDS: usize = MESSAGE_REGISTERS;

    /// A message with a label and words. The words are an array so that too many do not compile.
    #[inline]
    pub fn new<const N: usize>(label: u64, words: [u64; N]) -> Self {
        const { assert!(N <= Message::WORDS, "a message in registers has at most 4 words; see LongMessage") };
        let mut message = Self::empty(label);
        message.regs[..N].copy_from_slice(&words);
        message.info = message.info.with_length(N as u64);
        message
    }

    /// A message with a label and nothing else.
    #[inline]
    pub const fn empty(label: u64) -> Self {
        Self {
            info: MessageInfo::new(label, 0, 0, 0),
            regs: [0; MESSAGE_REGISTERS],
            caps: [0; MSG_MAX_EXTRA_CAPS],
        }
    }

    /// The same message with capabilities, which are sent with it instead of any it had.
    #[inline]
    pub fn with_caps<const N: usize>(mut self, caps: [CPtr; N]) -> Self {
        const { assert!(N <= MSG_MAX_EXTRA_CAPS, "a message has at most 3 capabilities") };
        self.caps[..N].copy_from_slice(&caps);
        self.info = MessageInfo::new(self.label(), 0, N as u64, self.len() as u64);
        self
    }

    /// Adds a word. Fails when the message is full.
    #[inline]
    pub fn push(&mut self, word: u64) -> Result<()> {
        let index = self.len();
        *self.regs.get_mut(index).ok_or(Error::TruncatedMessage)? = word;
        self.info = self.info.with_length(index as u64 + 1);
        Ok(())
    }

    /// The label.
    #[inline]
    pub const fn label(&self) -> u64 {
        self.info.label()
    }

    /// The number of words.
    #[inline]
    pub fn len(&self) -> usize {
        self.info.length_capped().min(Self::WORDS)
    }

    /// Whether there are no words.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A word; 0 past the last.
    #[inline]
    pub fn word(&self, index: usize) -> u64 {
        self.words().get(index).copied().unwrap_or(0)
    }

    /// All words.
    #[inline]
    pub fn words(&self) -> &[u64] {
        &self.regs[..self.len()]
    }

    /// The number of capabilities.
    #[inline]
    pub const fn caps(&self) -> usize {
        self.info.extra_caps()
    }

    /// The badge of a received capability that was unwrapped: a capability to the very endpoint the message came
    /// on, which says who the sender means instead of taking a slot.
    pub fn unwrapped_badge(&self, index: usize) -> Option<u64> {
        let unwrapped = index < self.caps() && self.info.caps_unwrapped() >> index & 1 != 0;
        unwrapped.then(|| self.caps[index])
    }

    /// The information word. What was received may have been longer than this message is.
    #[inline]
    pub const fn info(&self) -> MessageInfo {
        self.info
    }
}

impl sealed::Stage for Message {
    #[inline]
    fn stage(&self) -> (MessageInfo, Registers) {
        for (index, cap) in self.caps.into_iter().take(self.caps()).enumerate() {
            raw::set_cap(index, cap);
        }
        (self.info.with_length(self.len() as u64), self.regs)
    }
}

impl Outgoing for Message {}

impl From<raw::Reply> for Message {
    #[inline]
    fn from(reply: raw::Reply) -> Self {
        let mut caps = [0; MSG_MAX_EXTRA_CAPS];
        if reply.info.caps_unwrapped() != 0 {
            caps = core::array::from_fn(raw::unwrapped_badge);
        }
        Self { info: reply.info, regs: reply.regs, caps }
    }
}

impl From<raw::Reply> for Received {
    #[inline]
    fn from(reply: raw::Reply) -> Self {
        Self { badge: reply.badge, message: reply.into() }
    }
}

impl core::ops::Deref for Received {
    type Target = Message;
    fn deref(&self) -> &Message {
        &self.message
    }
}

/// A message of any length, with words of its own.
pub struct LongMessage {
    /// The label, and the number of capabilities that came with it.
    info: MessageInfo,
    len: usize,
    /// The first `len` are initialised.
    words: [MaybeUninit<u64>; MSG_MAX_LENGTH],
}

impl LongMessage {
    /// A message with a label and nothing else.
    #[inline]
    pub const fn new(label: u64) -> Self {
        let info = MessageInfo::new(label, 0, 0, 0);
        Self { info, len: 0, words: [MaybeUninit::uninit(); MSG_MAX_LENGTH] }
    }

    /// Makes it empty, with another label.
    #[inline]
    pub const fn reset(&mut self, label: u64) {
        (self.info, self.len) = (MessageInfo::new(label, 0, 0, 0), 0);
    }

    /// Adds a word. Fails when the message is full.
    #[inline]
    pub fn push(&mut self, word: u64) -> Result<()> {
        self.words.get_mut(self.len).ok_or(Error::TruncatedMessage)?.write(word);
        self.len += 1;
        Ok(())
    }

    /// Adds bytes: a word with their number, then the bytes, eight in a word. Adds nothing when there is no room
    /// for all.
    pub fn push_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        let room = self.words.get_mut(self.len..).unwrap_or_default();
        let (words, rest) = bytes.as_chunks::<8>();
        let count = 1 + words.len() + usize::from(!rest.is_empty());
        let room = room.get_mut(..count).ok_or(Error::TruncatedMessage)?;
        room[0].write(bytes.len() as u64);
        for (to, from) in room[1..].iter_mut().zip(words) {
            to.write(u64::from_le_bytes(*from));
        }
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            room[count - 1].write(u64::from_le_bytes(last));
        }
        self.len += count;
        Ok(())
    }

    /// The label.
    #[inline]
    pub const fn label(&self) -> u64 {
        self.info.label()
    }

    /// All words.
    #[inline]
    pub fn words(&self) -> &[u64] {
        // SAFETY: the first `len` words are initialised: `push` and `push_bytes` write those that they count, and `take`
        // does not count more than it writes. `MaybeUninit<u64>` is laid out as `u64`.
        unsafe { core::slice::from_raw_parts(self.words.as_ptr().cast(), self.len) }
    }

    /// A word; 0 past the last.
    #[inline]
    pub fn word(&self, index: usize) -> u64 {
        self.words().get(index).copied().unwrap_or(0)
    }

    /// The number of capabilities that came with it.
    #[inline]
    pub const fn caps(&self) -> usize {
        self.info.extra_caps()
    }

    /// Takes a message over that was received just now.
    #[inline]
    fn take(&mut self, reply: &raw::Reply) {
        self.info = reply.info;
        self.len = reply.info.length_capped();
        for (to, from) in self.words.iter_mut().zip(reply.regs) {
            to.write(from);
        }
        if self.len > MESSAGE_REGISTERS {
            raw::read_message_words(&mut self.words[MESSAGE_REGISTERS..self.len]);
        }
    }
}

impl sealed::Stage for LongMessage {
    #[inline]
    fn stage(&self) -> (MessageInfo, Registers) {
        let words = self.words();
        if let Some(rest) = words.get(MESSAGE_REGISTERS..).filter(|rest| !rest.is_empty()) {
            raw::write_message_words(rest);
        }
        let regs = core::array::from_fn(|index| words.get(index).copied().unwrap_or(0));
        (MessageInfo::new(self.label(), 0, 0, words.len() as u64), regs)
    }
}

impl Outgoing for LongMessage {}

/// A message with bytes at its end, as [`LongMessage::push_bytes`] adds them. They stay where they are until it is sent.
#[derive(Clone, Copy, Debug)]
pub struct WithBytes<'a> {
    message: &'a LongMessage,
    bytes: &'a [u8],
}

impl LongMessage {
    /// The message with bytes behind its words. Fails when there is no room for all.
    #[inline]
    pub const fn with_bytes<'a>(&'a self, bytes: &'a [u8]) -> Result<WithBytes<'a>> {
        if self.len + 1 + bytes.len().div_ceil(8) > MSG_MAX_LENGTH {
            return Err(Error::TruncatedMessage);
        }
        Ok(WithBytes { message: self, bytes })
    }
}

impl sealed::Stage for WithBytes<'_> {
    #[inline]
    fn stage(&self) -> (MessageInfo, Registers) {
        let words = self.message.words();
        if let Some(rest) = words.get(MESSAGE_REGISTERS..).filter(|rest| !rest.is_empty()) {
            raw::write_message_words(rest);
        }
        let mut regs = core::array::from_fn(|index| words.get(index).copied().unwrap_or(0));
        let at = words.len();
        match regs.get_mut(at) {
            Some(register) => *register = self.bytes.len() as u64,
            None => raw::set_message_word(at, self.bytes.len() as u64),
        }
        let (mut next, mut rest) = (at + 1, self.bytes);
        while let Some(register) = regs.get_mut(next) {
            let mut word = [0; 8];
            let (bytes, behind) = rest.split_at(rest.len().min(8));
            word[..bytes.len()].copy_from_slice(bytes);
            *register = u64::from_le_bytes(word);
            (next, rest) = (next + 1, behind);
        }
        if !rest.is_empty() {
            raw::write_message_bytes(next, rest);
        }
        let length = at + 1 + self.bytes.len().div_ceil(8);
        (MessageInfo::new(self.message.label(), 0, 0, length as u64), regs)
    }
}

impl Outgoing for WithBytes<'_> {}

impl From<raw::Reply> for LongMessage {
    fn from(reply: raw::Reply) -> Self {
        let mut message = Self::new(0);
        message.take(&reply);
        message
    }
}

impl core::fmt::Debug for LongMessage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("LongMessage").field("label", &self.label()).field("words", &self.words()).finish()
    }
}

/// Sets where the next received capability is stored. It stays set; the slot must be empty each time.
pub fn set_receive_slot(slot: Slot) {
    raw::set_receive_slot(slot.root.cptr(), slot.index, slot.depth.into());
}

mod kinds {
    pub trait Sealed {}
    impl Sealed for crate::types::Endpoint {}
    impl Sealed for crate::types::Notification {}
    impl Sealed for crate::types::Reply {}
}

/// What a message can be sent to that reaches a thread.
pub trait Destination: kinds::Sealed {}
impl Destination for Endpoint {}
impl Destination for Notification {}
impl Destination for Reply {}

impl Cap<Endpoint> {
    /// Sends; blocks until somebody receives. Sending on a capability without the right is not an error that
    /// the caller learns of.
    #[inline]
    pub fn send(self, message: &impl Outgoing) {
        let (info, regs) = message.stage();
        // SAFETY: by the type of its name, this goes to a thread and is no invocation.
        unsafe { raw::send(self.cptr(), info, regs) };
    }

    /// Sends if somebody is waiting; otherwise the message is dropped.
    #[inline]
    pub fn nb_send(self, message: &impl Outgoing) {
        let (info, regs) = message.stage();
        // SAFETY: by the type of its name, this goes to a thread and is no invocation.
        unsafe { raw::nb_send(self.cptr(), info, regs) };
    }

    /// Sends and waits for the reply.
    #[inline]
    pub fn call(self, message: &impl Outgoing) -> Message {
        let (info, regs) = message.stage();
        // SAFETY: by the type of its name, this goes to a thread and is no invocation.
        unsafe { raw::call(self.cptr(), info, regs) }.into()
    }

    /// Sends and waits for a reply of any length.
    #[inline]
    pub fn call_long(self, message: &impl Outgoing, reply: &mut LongMessage) {
        let (info, regs) = message.stage();
        // SAFETY: by the type of its name, this goes to a thread and is no invocation.
        reply.take(&unsafe { raw::call(self.cptr(), info, regs) });
    }

    /// Receives. The right to reply goes to `reply`.
    #[inline]
    pub fn recv(self, reply: Cap<Reply>) -> Received {
        raw::recv(self.cptr(), reply.cptr()).into()
    }

    /// Receives a message of any length; returns the badge.
    #[inline]
    pub fn recv_long(self, reply: Cap<Reply>, message: &mut LongMessage) -> u64 {
        let received = raw::recv(self.cptr(), reply.cptr());
        message.take(&received);
        received.badge
    }

    /// Receives if somebody is sending; otherwise returns badge 0 and an empty message.
    #[inline]
    pub fn nb_recv(self, reply: Cap<Reply>) -> Received {
        raw::nb_recv(self.cptr(), reply.cptr()).into()
    }

    /// Receives messages that nobody waits for a reply to.
    #[inline]
    pub fn wait(self) -> Received {
        raw::wait(self.cptr()).into()
    }

    /// Replies to whom `reply` says, then receives the next message.
    #[inline]
    pub fn reply_recv(self, reply: Cap<Reply>, answer: &impl Outgoing) -> Received {
        let (info, regs) = answer.stage();
        raw::reply_recv(self.cptr(), info, regs, reply.cptr()).into()
    }

    /// [`Cap::reply_recv`] of a next message of any length; returns its badge.
    #[inline]
    pub fn reply_recv_long(
        self,
        reply: Cap<Reply>,
        answer: &impl Outgoing,
        message: &mut LongMessage,
    ) -> u64 {
        let (info, regs) = answer.stage();
        let received = raw::reply_recv(self.cptr(), info, regs, reply.cptr());
        message.take(&received);
        received.badge
    }

    /// Sends to `dest` if somebody is waiting there (signals, if it is a notification), then receives here.
    #[inline]
    pub fn nb_send_recv<T: Destination>(
        self,
        dest: Cap<T>,
        message: &impl Outgoing,
        reply: Cap<Reply>,
    ) -> Received {
        let (info, regs) = message.stage();
        // SAFETY: by the type of its name, this goes to a thread and is no invocation.
        unsafe { raw::nb_send_recv(dest.cptr(), info, regs, self.cptr(), reply.cptr()) }.into()
    }

    /// [`Cap::nb_send_recv`] without a reply object.
    #[inline]
    pub fn nb_send_wait<T: Destination>(self, dest: Cap<T>, message: &impl Outgoing) -> Received {
        let (info, regs) = message.stage();
        // SAFETY: by the type of its name, this goes to a thread and is no invocation.
        unsafe { raw::nb_send_wait(dest.cptr(), info, regs, self.cptr()) }.into()
    }
}

impl Cap<Reply> {
    /// Replies to the caller; does nothing when there is none.
    #[inline]
    pub fn reply(self, answer: &impl Outgoing) {
        let (info, regs) = answer.stage();
        // SAFETY: by the type of its name, this goes to a thread and is no invocation.
        unsafe { raw::send(self.cptr(), info, regs) };
    }
}

impl Cap<Notification> {
    /// Signals: sets the bits of this capability's badge and wakes a waiter.
    pub fn signal(self) {
        // SAFETY: by the type of its name, this goes to a thread and is no invocation.
        unsafe { raw::send(self.cptr(), MessageInfo(0), [0; MESSAGE_REGISTERS]) };
    }

    /// Waits until there is a signal; returns and clears the bits.
    pub fn wait(self) -> u64 {
        raw::wait(self.cptr()).badge
    }

    /// Returns and clears the bits without waiting; 0 if there was no signal.
    pub fn poll(self) -> u64 {
        raw::nb_wait(self.cptr()).badge
    }
}

#[cfg(test)]
mod tests {
    use super::{sealed::Stage, *};

    #[test]
    fn short_messages_stay_in_registers() {
        let mut message = Message::new(7, [1, 2]);
        message.push(3).unwrap();
        assert_eq!((message.label(), message.len(), message.caps()), (7, 3, 0));
        assert_eq!(message.words(), [1, 2, 3]);
        assert_eq!(message.word(3), 0);
        message.push(4).unwrap();
        assert_eq!(message.push(5), Err(Error::TruncatedMessage));
    }

    #[test]
    fn what_is_longer_than_registers_is_not_taken_from_elsewhere() {
        let reply = raw::Reply { badge: 0, info: MessageInfo::new(1, 0, 0, 50), regs: [1, 2, 3, 4] };
        let message = Message::from(reply);
        assert_eq!(message.words(), [1, 2, 3, 4]);
        assert_eq!(message.word(4), 0);
        assert_eq!(message.stage().0.length_capped(), 4);
    }

    #[test]
    fn a_long_message_has_what_was_added() {
        let mut message = LongMessage::new(3);
        message.push(9).unwrap();
        message.push_bytes(b"hello, there").unwrap();
        message.push_bytes(b"").unwrap();
        let word = |bytes| u64::from_le_bytes(bytes);
        assert_eq!(message.words(), [9, 12, word(*b"hello, t"), word(*b"here\0\0\0\0"), 0]);
        assert_eq!(message.push_bytes(&[1; 917]), Err(Error::TruncatedMessage));
        message.push_bytes(&[1; 912]).unwrap();
        assert_eq!(message.words().len(), MSG_MAX_LENGTH);
        assert_eq!(message.push(1), Err(Error::TruncatedMessage));
        assert_eq!(message.push_bytes(b""), Err(Error::TruncatedMessage));
        message.reset(1);
        assert!(message.words().is_empty());
    }
}
