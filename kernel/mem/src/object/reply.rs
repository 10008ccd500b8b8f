//! Reply objects.

use core::cell::Cell;

use super::{SchedContext, Tcb};
use crate::link::Link;

/// Bits of a word with a link to a reply object or a scheduling context that hold something else.
const FLAGS: u64 = 3;

/// An optional link in one word, with room for [`FLAGS`].
#[inline(always)]
fn unpack<T>(word: u64) -> Option<Link<T>> {
    let addr = (word & !FLAGS) as usize;
    // SAFETY: 1. not null is checked; alignment and 2. life: the words that come here were made by `pack`.
    (addr != 0).then(|| unsafe { Link::from_addr(addr) })
}

#[inline(always)]
fn pack<T>(link: Option<Link<T>>) -> u64 {
    const { assert!(align_of::<T>() > FLAGS as usize) };
    link.map_or(0, |l| l.addr() as u64)
}

/// What follows a reply object in the call stack, towards its top.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReplyNext {
    /// The reply object is not part of a call stack.
    None,
    /// The reply object of the next call.
    Reply(Link<Reply>),
    /// It is the top of the stack: the scheduling context that was lent along it.
    SchedContext(Link<SchedContext>),
}

/// A reply object: the caller that waits for an answer, and its place in the stack of calls along which a
/// scheduling context was lent.
#[repr(C, align(32))]
pub struct Reply {
    /// The thread that waits: for the answer (`BlockedOnReply`), or for a call to fill the object
    /// (`BlockedOnReceive`).
    pub tcb: Cell<Option<Link<Tcb>>>,
    /// The call before, towards the bottom of the stack.
    pub prev: Cell<Option<Link<Reply>>>,
    /// Towards the top: a scheduling context, or a reply object, marked by bit 0. So a comparison with the scheduling context
    /// that is in use tells whether this is the top of its stack.
    next: Cell<u64>,
    _unused: Cell<u64>,
}

impl Reply {
    /// Marks a reply object in `next`.
    const REPLY: u64 = 1;

    /// What follows towards the top of the call stack.
    #[inline(always)]
    pub fn next(&self) -> ReplyNext {
        let word = self.next.get();
        if word & Self::REPLY == 0 {
            unpack(word).map_or(ReplyNext::None, ReplyNext::SchedContext)
        } else {
            unpack(word).map_or(ReplyNext::None, ReplyNext::Reply)
        }
    }

    /// Sets what follows towards the top of the call stack.
    #[inline(always)]
    pub fn set_next(&self, next: ReplyNext) {
        self.next.set(match next {
            ReplyNext::None => 0,
            ReplyNext::Reply(reply) => pack(Some(reply)) | Self::REPLY,
            ReplyNext::SchedContext(sc) => pack(Some(sc)),
        });
    }

    /// True if this is the top of the call stack along which the scheduling context was lent.
    #[inline(always)]
    pub fn is_top_of(&self, sc: Link<SchedContext>) -> bool {
        self.next.get() == pack(Some(sc))
    }

    /// A link to this reply object.
    #[inline(always)]
    pub fn link(&self) -> Link<Reply> {
        Link::of(self)
    }
}
