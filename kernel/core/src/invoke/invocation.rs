//! An invocation of a kernel object, as its decoders see it, and what it leaves behind.

use pecan_abi::{
    Label, MessageInfo,
    ipc::{MESSAGE_REGISTERS, MSG_MAX_EXTRA_CAPS, buffer},
};
use pecan_arch::reg;
use pecan_mem::{Cap, IpcBuffer, Kernel, Link, Slot, Tag, Tcb, Words, follow};

use crate::{
    base::{
        error::{Decoded, SyscallError},
        message::{self, INFO_CAPS, INFO_SEVERAL_CAPS, INFO_SHAPE},
    },
    sched::next::Next,
};

/// An invocation as its decoders see it: the capability, the label, and the message, of which `args` makes arguments.
///
/// It is passed by value, so that it need not be in memory where its parts are in registers.
#[derive(Clone, Copy)]
pub struct Invocation<'a> {
    /// The thread that invokes.
    pub thread: Link<Tcb>,
    /// The slot of the capability invoked.
    pub slot: Link<Slot>,
    /// The capability invoked, packed: see [`Invocation::cap_invoked`].
    pub words: Words,
    /// The kernel's answer is wanted.
    pub call: bool,
    message: Message<'a>,
}

/// The message of an invocation: few words, which are passed in registers to the functions that decode it.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    /// What the message has, as far as it is there.
    pub(super) info: MessageInfo,
    /// The IPC buffer, if some of the message lies there.
    pub(super) buffer: Option<Link<IpcBuffer>>,
    /// The first extra capability; without one, anything.
    pub(super) extra: Link<Slot>,
    /// The other extra capabilities, in order; behind them, anything. `None` without any.
    pub(super) more: Option<&'a MoreCaps>,
}

/// The extra capabilities of an invocation but the first.
pub type MoreCaps = [Link<Slot>; MSG_MAX_EXTRA_CAPS - 1];

/// The rest of a message, from a word on: as many as the message has.
#[derive(Clone, Copy)]
pub struct Rest {
    first: usize,
}

impl Rest {
    /// How many words there are.
    pub fn count(self, inv: Invocation<'_>) -> usize {
        inv.message.info.length_capped().saturating_sub(self.first)
    }

    /// The word with index `i`, of which there must be more.
    pub fn word(self, k: &Kernel, inv: Invocation<'_>, i: usize) -> u64 {
        inv.word(k, self.first + i)
    }
}

impl Message<'_> {
    /// The message that the running thread sends, of which its registers say that it is `info`, if it is where most are:
    /// in registers, or in an IPC buffer in a small page, with one extra capability at most, which is in the thread's one
    /// CNode. `filler` is any slot.
    #[inline(always)]
    pub(super) fn new(k: &Kernel, info: MessageInfo, filler: Link<Slot>) -> Option<Self> {
        if info.0 & INFO_SHAPE <= MESSAGE_REGISTERS as u64 {
            return Some(Message { info, buffer: None, extra: filler, more: None });
        }
        let running = k.running();
        let buffer = message::small_buffer(k, running.get(), false)?;
        let extra = if info.0 & INFO_CAPS == 0 {
            filler
        } else if info.0 & INFO_SEVERAL_CAPS == 0 {
            running.slot(buffer.get(k).get(buffer::CAPS_OR_BADGES))?
        } else {
            return None;
        };
        Some(Message { info, buffer: Some(buffer), extra, more: None })
    }
}

impl<'a> Invocation<'a> {
    /// The current thread invokes the capability in `slot`.
    #[inline(always)]
    pub fn new(k: &Kernel, slot: Link<Slot>, message: Message<'a>, call: bool) -> Self {
        Invocation { thread: k.core().current.get(), slot, words: slot.get(k).words(), call, message }
    }

    /// What the current thread's registers say, without extra capabilities.
    #[cfg(test)]
    pub fn without_caps(k: &Kernel, slot: Link<Slot>) -> Self {
        let thread = k.core().current.get().get(k);
        let info = MessageInfo(thread.context.get(reg::INFO));
        let buffer = message::buffer(k, thread, false);
        Invocation::new(k, slot, Message { info, buffer, extra: slot, more: None }, true)
    }

    /// What is asked for; `None` for a label that the ABI does not know.
    #[inline(always)]
    pub fn label(self) -> Option<Label> {
        Label::from_word(self.label_word())
    }

    /// The number of what is asked for.
    #[inline(always)]
    pub fn label_word(self) -> u64 {
        self.message.info.label()
    }

    /// What is asked for, if it is one of these labels, which follow each other.
    #[inline(always)]
    pub fn label_in(self, first: Label, last: Label) -> Option<Label> {
        let word = self.label_word();
        if (first.word()..=last.word()).contains(&word) { Label::from_word(word) } else { None }
    }

    /// The capability invoked.
    pub fn cap_invoked(self) -> Cap {
        Cap::unpack(self.words)
    }

    /// The capability invoked, if it has this tag; only what is looked at is unpacked.
    #[inline(always)]
    pub fn cap_of(self, tag: Tag) -> Option<Cap> {
        Cap::unpack_as(tag, self.words)
    }

    /// The message word with index `i`, of which there must be more (check with [`Invocation::need`]).
    #[inline(always)]
    pub(super) fn word(self, k: &Kernel, i: usize) -> u64 {
        if i < MESSAGE_REGISTERS {
            self.thread.get(k).context.get(reg::MSG[i])
        } else {
            follow(self.message.buffer, k).map_or(0, |words| words.get(buffer::MSG + i))
        }
    }

    /// Fails with `TruncatedMessage` unless there are at least `words` words and `caps` extra capabilities.
    #[inline(always)]
    pub(super) fn need(self, words: usize, caps: usize) -> Decoded<()> {
        let info = self.message.info;
        if info.length() < words || info.extra_caps() < caps {
            Err(SyscallError::TruncatedMessage)
        } else {
            Ok(())
        }
    }

    /// Where the extra capability with index `i` is, of which there must be more (check with [`Invocation::need`]).
    #[inline(always)]
    pub(super) fn cap(self, i: usize) -> Link<Slot> {
        match self.message.more {
            Some(more) if i > 0 => more[i - 1],
            _ => self.message.extra,
        }
    }

    /// The message from the word with index `first` on.
    pub(super) fn rest(self, first: usize) -> Rest {
        Rest { first }
    }
}

/// What a finished invocation leaves behind.
#[must_use]
pub struct Done {
    /// What the scheduler must do.
    pub next: Next,
    /// Words of the answer, already in the caller's message registers (see [`put`](crate::base::message::put)).
    pub words: usize,
}

impl Done {
    /// Finished; nothing to answer but success.
    pub fn new(next: Next) -> Self {
        Done { next, words: 0 }
    }

    /// Finished; `words` words of the answer are in place.
    pub fn answer(words: usize) -> Self {
        Done { next: Next::Resume, words }
    }

    /// Finished, nothing for the scheduler to do, nothing to answer but success.
    pub fn ok() -> Self {
        Done::new(Next::Resume)
    }

    /// Finished without a change that the scheduler would look at, nothing to answer but success.
    pub fn stay() -> Self {
        Done::new(Next::Stay)
    }
}
