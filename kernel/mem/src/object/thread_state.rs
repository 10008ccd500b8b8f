//! What a thread is doing, in one value and in three words.

use core::cell::Cell;

use super::{Endpoint, Notification, Reply};
use crate::link::Link;

/// What a thread is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ThreadState {
    /// Suspended, or never started.
    Inactive,
    /// Runs or is ready to run.
    Running,
    /// Ready to run, beginning with the instruction that it was interrupted in.
    Restart,
    /// Waits for a message.
    BlockedOnReceive {
        /// Where.
        ep: Link<Endpoint>,
        /// Takes the caller.
        reply: Option<Link<Reply>>,
    },
    /// Waits for a receiver.
    BlockedOnSend {
        /// Where.
        ep: Link<Endpoint>,
        /// Badge of the endpoint capability.
        badge: u64,
        /// The endpoint capability had the right to grant.
        grant: bool,
        /// The endpoint capability had the right to grant-reply.
        grant_reply: bool,
        /// Calls, and wants an answer.
        call: bool,
    },
    /// Waits for an answer.
    BlockedOnReply {
        /// The reply object that holds it; `None` when the call stack was cut.
        reply: Option<Link<Reply>>,
    },
    /// Waits for a signal.
    BlockedOnNotification {
        /// Where.
        ntfn: Link<Notification>,
    },
    /// Runs when nothing else does.
    Idle,
}

impl ThreadState {
    /// True for a thread that the scheduler may pick.
    #[inline(always)]
    pub fn is_runnable(self) -> bool {
        matches!(self, ThreadState::Running | ThreadState::Restart)
    }
}

/// A cell for a [`ThreadState`], packed so that the states of a server and its clients take few stores.
#[repr(C)]
pub struct StateCell {
    /// What it is, in the low five bits: one of the constants below, or [`StateCell::SEND`] with flags. Above them the reply
    /// object, if there is one: links to those have these bits clear.
    word: Cell<u64>,
    /// Address of the endpoint or the notification, where there is one.
    place: Cell<usize>,
    /// Badge of one that sends.
    badge: Cell<u64>,
}

impl StateCell {
    const KIND: u64 = 31;
    // Zero is none of them but the one that is never without a link, so that this one is the easiest to tell.
    const RECEIVE_WITH_REPLY: u64 = 0;
    const INACTIVE: u64 = 1;
    const RUNNING: u64 = 2;
    const RESTART: u64 = 3;
    const RECEIVE: u64 = 4;
    const REPLY: u64 = 5;
    const NOTIFICATION: u64 = 6;
    const IDLE: u64 = 7;
    const SEND: u64 = 8;
    // With SEND.
    const GRANT: u64 = 1;
    const GRANT_REPLY: u64 = 2;
    const CALL: u64 = 4;

    /// Makes a cell of zeroes hold [`ThreadState::Inactive`].
    pub(crate) fn start(&self) {
        self.word.set(Self::INACTIVE);
    }

    /// The state.
    #[inline(always)]
    pub fn get(&self) -> ThreadState {
        let word = self.word.get();
        // SAFETY: 1. not null, alignment and 2. life: the word says that `set` stored such a link.
        let ep = || unsafe { Link::from_addr(self.place.get()) };
        // SAFETY: as above.
        let ntfn = || unsafe { Link::from_addr(self.place.get()) };
        match word & Self::KIND {
            Self::RECEIVE_WITH_REPLY => ThreadState::BlockedOnReceive { ep: ep(), reply: Self::reply(word) },
            Self::INACTIVE => ThreadState::Inactive,
            Self::RUNNING => ThreadState::Running,
            Self::RESTART => ThreadState::Restart,
            Self::RECEIVE => ThreadState::BlockedOnReceive { ep: ep(), reply: None },
            Self::REPLY => ThreadState::BlockedOnReply { reply: Self::reply(word) },
            Self::NOTIFICATION => ThreadState::BlockedOnNotification { ntfn: ntfn() },
            Self::IDLE => ThreadState::Idle,
            _ => ThreadState::BlockedOnSend {
                ep: ep(),
                badge: self.badge.get(),
                grant: word & Self::GRANT != 0,
                grant_reply: word & Self::GRANT_REPLY != 0,
                call: word & Self::CALL != 0,
            },
        }
    }

    #[inline(always)]
    fn reply(word: u64) -> Option<Link<Reply>> {
        let addr = (word & !Self::KIND) as usize;
        // SAFETY: 1. not null is checked; alignment and 2. life: `set` stores links.
        (addr != 0).then(|| unsafe { Link::from_addr(addr) })
    }

    /// Sets the state.
    #[inline(always)]
    pub fn set(&self, state: ThreadState) {
        const { assert!(align_of::<Reply>() > Self::KIND as usize) };
        let word = match state {
            ThreadState::Inactive => Self::INACTIVE,
            ThreadState::Running => Self::RUNNING,
            ThreadState::Restart => Self::RESTART,
            ThreadState::BlockedOnReceive { ep, reply } => {
                self.place.set(ep.addr());
                reply.map_or(Self::RECEIVE, |reply| reply.addr() as u64 | Self::RECEIVE_WITH_REPLY)
            }
            ThreadState::BlockedOnSend { ep, badge, grant, grant_reply, call } => {
                self.place.set(ep.addr());
                self.badge.set(badge);
                let flag = |on, flag| if on { flag } else { 0 };
                Self::SEND
                    | flag(grant, Self::GRANT)
                    | flag(grant_reply, Self::GRANT_REPLY)
                    | flag(call, Self::CALL)
            }
            ThreadState::BlockedOnReply { reply } => {
                reply.map_or(0, |reply| reply.addr() as u64) | Self::REPLY
            }
            ThreadState::BlockedOnNotification { ntfn } => {
                self.place.set(ntfn.addr());
                Self::NOTIFICATION
            }
            ThreadState::Idle => Self::IDLE,
        };
        self.word.set(word);
    }

    /// The state is [`ThreadState::Running`].
    #[inline(always)]
    pub fn is_running(&self) -> bool {
        self.word.get() == Self::RUNNING
    }

    /// The state is [`ThreadState::Restart`].
    #[inline(always)]
    pub fn is_restart(&self) -> bool {
        self.word.get() == Self::RESTART
    }

    /// See [`ThreadState::is_runnable`].
    #[inline(always)]
    pub fn is_runnable(&self) -> bool {
        const { assert!(Self::RESTART == Self::RUNNING + 1) };
        self.word.get().wrapping_sub(Self::RUNNING) <= 1
    }

    /// Where a thread waits that waits for a signal.
    #[inline(always)]
    pub fn waits_at(&self) -> Option<Link<Notification>> {
        // SAFETY: as in `get`.
        (self.word.get() == Self::NOTIFICATION).then(|| unsafe { Link::from_addr(self.place.get()) })
    }

    /// The reply object of a thread that waits to receive and has one.
    #[inline(always)]
    pub fn receives_with(&self) -> Option<Link<Reply>> {
        let word = self.word.get();
        debug_assert!(word != 0);
        // SAFETY: 1. not null, alignment and 2. life: with these bits the word is a link that `set` stored.
        (word & Self::KIND == Self::RECEIVE_WITH_REPLY).then(|| unsafe { Link::from_addr(word as usize) })
    }
}
