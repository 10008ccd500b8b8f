//! Messages between threads.
//!
//! A message is a label and up to 120 words, the first four of which travel in registers, and up to three
//! capabilities. Words beyond the fourth are in the thread's IPC buffer: they are written there when a message
//! is made, and those of a received message stay there until the next message is made or received. So make a
//! message right before it is sent, and read a long one right after it arrived.

use pecan_abi::{
    CPtr, MessageInfo,
    ipc::{MESSAGE_REGISTERS, MSG_MAX_EXTRA_CAPS, MSG_MAX_LENGTH},
};

use crate::{
    Cap, Error, Result, Slot,
    raw::{self, Registers},
    types::{Endpoint, Notification, Reply},
};

/// A message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message {
    info: MessageInfo,
    regs: Registers,
}

/// A message as it arrived, with the badge of the capability it was sent on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Received {
    /// The badge; if a bound notification was signalled instead, its bits.
    pub badge: u64,
    /// The message.
    pub message: Message,
}

impl Message {
    /// A message with a label and words. The words are an array so that too many do not compile.
    #[inline]
    pub fn new<const N: usize>(label: u64, words: [u64; N]) -> Self {
        const { assert!(N <= MSG_MAX_LENGTH, "a message has at most 120 words") };
        let mut message = Self::empty(label);
        for (index, word) in words.into_iter().enumerate() {
            message.put(index, word);
        }
        message.info = message.info.with_length(N as u64);
        message
    }

    /// A message with a label and nothing else.
    #[inline]
    pub const fn empty(label: u64) -> Self {
        Self { info: MessageInfo::new(label, 0, 0, 0), regs: [0; MESSAGE_REGISTERS] }
    }

    /// The same message with capabilities, which are sent with it instead of any it had.
    #[inline]
    pub fn with_caps<const N: usize>(mut self, caps: [CPtr; N]) -> Self {
        const { assert!(N <= MSG_MAX_EXTRA_CAPS, "a message has at most 3 capabilities") };
        for (index, cap) in caps.into_iter().enumerate() {
            raw::set_cap(index, cap);
        }
        self.info = MessageInfo::new(self.label(), 0, N as u64, self.len() as u64);
        self
    }

    /// Adds a word. Fails when the message is full.
    pub fn push(&mut self, word: u64) -> Result<()> {
        let index = self.len();
        if index >= MSG_MAX_LENGTH {
            return Err(Error::TruncatedMessage);
        }
        self.put(index, word);
        self.info = self.info.with_length(index as u64 + 1);
        Ok(())
    }

    /// Adds bytes: a word with their number, then the bytes, eight in a word. Adds nothing when there is no room
    /// for all.
    pub fn push_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        if self.len() + 1 + bytes.len().div_ceil(8) > MSG_MAX_LENGTH {
            return Err(Error::TruncatedMessage);
        }
        self.push(bytes.len() as u64)?;
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.push(u64::from_le_bytes(word))?;
        }
        Ok(())
    }

    /// Copies out bytes that [`Message::push_bytes`] put at word `index`. Returns the bytes, as many as `into`
    /// holds, and the index of the word after them; `None` if the message does not have what it says it has.
    pub fn bytes<'b>(&self, index: usize, into: &'b mut [u8]) -> Option<(&'b [u8], usize)> {
        if index >= self.len() {
            return None;
        }
        let count = usize::try_from(self.word(index)).ok()?;
        let words = count.div_ceil(8);
        if words > self.len() - index - 1 {
            return None;
        }
        let copied = count.min(into.len());
        for (n, chunk) in into[..copied].chunks_mut(8).enumerate() {
            chunk.copy_from_slice(&self.word(index + 1 + n).to_le_bytes()[..chunk.len()]);
        }
        Some((&into[..copied], index + 1 + words))
    }

    /// The label.
    #[inline]
    pub const fn label(&self) -> u64 {
        self.info.label()
    }

    /// The number of words.
    #[inline]
    pub const fn len(&self) -> usize {
        self.info.length_capped()
    }

    /// Whether there are no words.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A word; 0 past the last.
    #[inline]
    pub fn word(&self, index: usize) -> u64 {
        if index >= self.len() {
            0
        } else if index < MESSAGE_REGISTERS {
            self.regs[index]
        } else {
            raw::message_word(index)
        }
    }

    /// All words.
    pub fn words(&self) -> impl ExactSizeIterator<Item = u64> + '_ {
        (0..self.len()).map(|index| self.word(index))
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
        unwrapped.then(|| raw::unwrapped_badge(index))
    }

    /// The information word.
    #[inline]
    pub const fn info(&self) -> MessageInfo {
        self.info
    }

    /// The words that travel in registers.
    #[inline]
    pub const fn registers(&self) -> Registers {
        self.regs
    }

    #[inline]
    fn put(&mut self, index: usize, word: u64) {
        match self.regs.get_mut(index) {
            Some(register) => *register = word,
            None => raw::set_message_word(index, word),
        }
    }
}

impl From<raw::Reply> for Message {
    #[inline]
    fn from(reply: raw::Reply) -> Self {
        Self { info: reply.info, regs: reply.regs }
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

/// Sets where the next received capability is stored. It stays set; the slot must be empty each time.
pub fn set_receive_slot(slot: Slot) {
    raw::set_receive_slot(slot.root.cptr(), slot.index, slot.depth.into());
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for crate::types::Endpoint {}
    impl Sealed for crate::types::Notification {}
    impl Sealed for crate::types::Reply {}
}

/// What a message can be sent to that reaches a thread.
pub trait Destination: sealed::Sealed {}
impl Destination for Endpoint {}
impl Destination for Notification {}
impl Destination for Reply {}

impl Cap<Endpoint> {
    /// Sends; blocks until somebody receives. Sending on a capability without the right is not an error that
    /// the caller learns of.
    pub fn send(self, message: Message) {
        // SAFETY: by the type of its name, this goes to a thread and is no invocation.
        unsafe { raw::send(self.cptr(), message.info, message.regs) };
    }

    /// Sends if somebody is waiting; otherwise the message is dropped.
    pub fn nb_send(self, message: Message) {
        // SAFETY: by the type of its name, this goes to a thread and is no invocation.
        unsafe { raw::nb_send(self.cptr(), message.info, message.regs) };
    }

    /// Sends and waits for the reply.
    pub fn call(self, message: Message) -> Message {
        // SAFETY: by the type of its name, this goes to a thread and is no invocation.
        unsafe { raw::call(self.cptr(), message.info, message.regs) }.into()
    }

    /// Receives. The right to reply goes to `reply`.
    pub fn recv(self, reply: Cap<Reply>) -> Received {
        raw::recv(self.cptr(), reply.cptr()).into()
    }

    /// Receives if somebody is sending; otherwise returns badge 0 and an empty message.
    pub fn nb_recv(self, reply: Cap<Reply>) -> Received {
        raw::nb_recv(self.cptr(), reply.cptr()).into()
    }

    /// Receives messages that nobody waits for a reply to.
    pub fn wait(self) -> Received {
        raw::wait(self.cptr()).into()
    }

    /// Replies to whom `reply` says, then receives the next message.
    pub fn reply_recv(self, reply: Cap<Reply>, message: Message) -> Received {
        raw::reply_recv(self.cptr(), message.info, message.regs, reply.cptr()).into()
    }

    /// Sends to `dest` if somebody is waiting there (signals, if it is a notification), then receives here.
    pub fn nb_send_recv<T: Destination>(self, dest: Cap<T>, message: Message, reply: Cap<Reply>) -> Received {
        // SAFETY: by the type of its name, this goes to a thread and is no invocation.
        unsafe { raw::nb_send_recv(dest.cptr(), message.info, message.regs, self.cptr(), reply.cptr()) }
            .into()
    }

    /// [`Cap::nb_send_recv`] without a reply object.
    pub fn nb_send_wait<T: Destination>(self, dest: Cap<T>, message: Message) -> Received {
        // SAFETY: by the type of its name, this goes to a thread and is no invocation.
        unsafe { raw::nb_send_wait(dest.cptr(), message.info, message.regs, self.cptr()) }.into()
    }
}

impl Cap<Reply> {
    /// Replies to the caller; does nothing when there is none.
    pub fn reply(self, message: Message) {
        // SAFETY: by the type of its name, this goes to a thread and is no invocation.
        unsafe { raw::send(self.cptr(), message.info, message.regs) };
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
    use super::*;

    #[test]
    fn short_messages_stay_in_registers() {
        let mut message = Message::new(7, [1, 2]);
        message.push(3).unwrap();
        assert_eq!((message.label(), message.len(), message.caps()), (7, 3, 0));
        assert_eq!(message.registers(), [1, 2, 3, 0]);
        assert!(message.words().eq([1, 2, 3]));
        assert_eq!(message.word(3), 0);
    }

    #[test]
    fn bytes_come_back() {
        let mut message = Message::new(0, [9]);
        message.push_bytes(b"hello, there").unwrap();
        let mut buffer = [0; 32];
        assert_eq!(message.bytes(1, &mut buffer), Some((&b"hello, there"[..], 4)));
        assert_eq!(message.bytes(1, &mut buffer[..5]), Some((&b"hello"[..], 4)));
    }

    #[test]
    fn a_message_that_promises_more_than_it_has_is_refused() {
        let message = Message::new(0, [17, 0]);
        assert_eq!(message.bytes(0, &mut [0; 32]), None);
        assert_eq!(Message::new(0, [u64::MAX]).bytes(0, &mut [0; 32]), None);
        assert_eq!(Message::empty(0).bytes(0, &mut [0; 32]), None);
    }
}
