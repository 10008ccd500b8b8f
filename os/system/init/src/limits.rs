//! Calls that end before they are answered: because their time is over, or because another thread of the caller's component
//! says so.
//!
//! The kernel's calls have no time-out. Who ends one has to stop the caller and to write its registers, which the initial task
//! may do to any component, and does when a server dies (`calls`); no component has that authority over itself.

use alloc::vec::Vec;

use pecan::{Cap, Message, types::Tcb};
use pecan_manifest::Server;
use pecan_service::CallError;

use crate::{calls, places::End, system::System};

/// A limit of the calls that a thread makes to an endpoint. It stands until it is lifted: a thread that it finds outside of
/// such a call may be about to make it.
pub struct Limit {
    /// The thread: the address of its capability in the component's CSpace, 0 for the first thread.
    thread: u64,
    /// The address of the endpoint.
    endpoint: u64,
    /// When it is over, in microseconds since the machine was switched on.
    until: u64,
    /// By what another thread ends it.
    token: u64,
    /// Whether one has.
    cancelled: bool,
}

impl Limit {
    /// Whether there is a time at which it is over.
    pub const fn is_timed(&self) -> bool {
        self.until != u64::MAX || self.cancelled
    }
}

/// A thread whose call is to end, and what it is told.
struct Due {
    index: usize,
    tcb: Cap<Tcb>,
    endpoint: u64,
    why: CallError,
}

impl System {
    /// A thread of a component limits its next call, or, with no endpoint, lifts the limit; returns the answer.
    pub fn limit(&mut self, id: u64, [thread, endpoint, us, token]: [u64; 4]) -> Message {
        let until = if us == u64::MAX { us } else { self.clock.now().saturating_add(us) };
        let live = self.find(id).and_then(|index| self.entries[index].live.as_mut());
        let Some(live) = live.filter(|live| live.thread(thread).is_some()) else {
            return CallError::Garbled.message();
        };
        live.limits.retain(|limit| limit.thread != thread);
        if endpoint == 0 {
            return Message::empty(0);
        }
        if live.end_at(endpoint).is_none() {
            return CallError::NoChannel.message();
        }
        live.limits.push(Limit { thread, endpoint, until, token, cancelled: false });
        if until != u64::MAX {
            self.clock.arm(true);
        }
        Message::empty(0)
    }

    /// A component ends those of its calls that were made with a token; returns the answer.
    pub fn cancel(&mut self, id: u64, token: u64) -> Message {
        let live = self.find(id).and_then(|index| self.entries[index].live.as_mut());
        let limits = live.map(|live| &mut live.limits[..]).unwrap_or_default();
        limits.iter_mut().filter(|limit| limit.token == token).for_each(|limit| limit.cancelled = true);
        self.end_limited(Some(id));
        // A thread that has yet to make its call is looked at again.
        self.clock.arm(true);
        Message::empty(0)
    }

    /// Ends the calls whose time is over or that were cancelled, of one component or of all.
    pub fn end_limited(&mut self, id: Option<u64>) {
        let now = self.clock.now();
        let mut due = Vec::new();
        for (index, entry) in self.entries.iter().enumerate().filter(|(_, e)| id.is_none_or(|id| e.id == id))
        {
            let Some(live) = &entry.live else { continue };
            for limit in live.limits.iter().filter(|limit| limit.cancelled || limit.until <= now) {
                let why = if limit.cancelled { CallError::Cancelled } else { CallError::TimedOut };
                let tcb = live.thread(limit.thread);
                due.extend(tcb.map(|tcb| Due { index, tcb, endpoint: limit.endpoint, why }));
            }
        }
        for Due { index, tcb, endpoint, why } in due {
            let entry = &self.entries[index];
            let elf = self.program_of(entry).and_then(|program| self.file(&program));
            if calls::answer_in_place(tcb, &[endpoint], elf, why) {
                self.give_up(index, endpoint);
            }
        }
    }

    /// Lets a server know that a call through a capability of a component is over.
    fn give_up(&mut self, index: usize, endpoint: u64) {
        let id = self.entries[index].id;
        let number = self.entries[index].live.as_ref().and_then(|live| live.end_at(endpoint));
        let Some(number) = number else { return };
        let end = self.session_end(id, endpoint).unwrap_or(End::Channel(number));
        match self.description().channels.get(number).map(|edge| edge.server) {
            Some(Server::Component(server)) => self.call_is_over(usize::from(server), (id, end)),
            // The initial task answers at once.
            Some(Server::Init) | None => {}
        }
    }
}
