//! What the initial task is told: by the kernel of faults, by every component as its supervisor, and by the parts of the
//! system in the roles that it serves.

use pecan::{
    LongMessage, Message,
    startup::{CANCEL_LABEL, EXIT_LABEL, GROW_LABEL, LIMIT_LABEL},
};
use pecan_manifest::{Badge, Kind};
use pecan_protocols::{
    Backlog, BacklogDispatch, Departures, InstancesDispatch, NAME_MAX, OpenedSession, Report, Reports,
    ReportsDispatch, SessionError, SessionInfo, State, Supervisor, SupervisorDispatch, Unfit, Wish,
};
use pecan_service::{Answered, CallError, Caller, Dispatch, Refusal, Replies, Text, Writer};

use crate::system::System;

/// The role in which the initial task is asked to make components and to take them apart.
pub const INSTANCES: &str = "instances";
/// The role in which it is asked for reports of faults.
pub const REPORTS: &str = "reports";
/// The role in which the writer of the system log asks for what it cannot know.
pub const BACKLOG: &str = "backlog";

impl System {
    /// Handles a message. What is answered now is added to `answer`; or it is a message of its own, which stands in place of
    /// an error.
    pub fn handle(
        &mut self,
        badge: Badge,
        message: &LongMessage,
        replies: &mut Replies,
        answer: &mut Writer,
    ) -> Result<Answered, Message> {
        let caller = Caller { badge };
        let is_role = |role: &str| self.description().init.served(role) == Some(badge.role());
        // What a component may ask for is what the badge says, and only a channel to `init` gives it one for a role.
        match badge.kind() {
            Some(Kind::Fault) => Ok(self.fault(badge.generation(), badge.place(), message)),
            Some(Kind::Supervisor) if message.label() == EXIT_LABEL => {
                self.exited(badge.generation(), message.word(0));
                Ok(Answered::Later)
            }
            Some(Kind::Supervisor) if message.label() == GROW_LABEL => {
                Err(self.grow(badge.generation(), message.word(0)))
            }
            Some(Kind::Supervisor) if message.label() == LIMIT_LABEL => {
                Err(self.limit(badge.generation(), core::array::from_fn(|n| message.word(n))))
            }
            Some(Kind::Supervisor) if message.label() == CANCEL_LABEL => {
                Err(self.cancel(badge.generation(), message.word(0)))
            }
            Some(Kind::Supervisor) => {
                SupervisorDispatch::dispatch(self, caller, message, replies, answer).map_err(Refusal::message)
            }
            Some(Kind::Call) if is_role(INSTANCES) => {
                InstancesDispatch::dispatch(self, caller, message, replies, answer).map_err(Refusal::message)
            }
            Some(Kind::Call) if is_role(REPORTS) => {
                ReportsDispatch::dispatch(self, caller, message, replies, answer).map_err(Refusal::message)
            }
            Some(Kind::Call) if is_role(BACKLOG) => {
                BacklogDispatch::dispatch(self, caller, message, replies, answer).map_err(Refusal::message)
            }
            Some(Kind::Gone) => Err(CallError::Gone.message()),
            Some(Kind::Ended) => Err(CallError::SessionEnded.message()),
            Some(Kind::Signal) => {
                self.tick();
                Ok(Answered::Later)
            }
            Some(Kind::Call) | None => Err(Refusal::NoSuchMethod { version: 0 }.message()),
        }
    }
}

impl Supervisor for System {
    fn interrupt(&mut self, caller: Caller, program: u64) {
        let index = self.find(caller.generation());
        if index.is_some_and(|index| self.spec(&self.entries[index]).settings.log) {
            self.wish(Wish::Interrupt { program });
        }
    }

    fn pulse(&mut self, caller: Caller) {
        System::pulse(self, caller.generation());
    }

    fn departures(&mut self, caller: Caller) -> Departures {
        System::departures(self, caller.generation())
    }

    fn open(
        &mut self,
        caller: Caller,
        endpoint: u64,
        quota: u64,
        args: &[u8],
    ) -> Result<OpenedSession, SessionError> {
        self.open_session(caller.generation(), endpoint, quota, args)
    }

    fn close(&mut self, caller: Caller, endpoint: u64) -> bool {
        self.close_session(caller.generation(), endpoint)
    }

    fn session(&mut self, caller: Caller, place: u64) -> Option<SessionInfo> {
        self.session_in(caller.generation(), place)
    }

    fn let_go(&mut self, caller: Caller, places: u64) {
        self.let_go_of_sessions(caller.generation(), places);
    }

    fn is_replaced(&mut self, caller: Caller) -> bool {
        System::is_replaced(self, caller.generation())
    }

    fn state_room(&mut self, caller: Caller, bytes: u64) -> Option<u64> {
        let id = caller.generation();
        let priority = self.priority_of(id);
        self.at_priority(priority, |system| system.state_room(id, bytes))
    }

    fn hand_over(&mut self, caller: Caller) {
        System::hand_over(self, caller.generation());
    }

    fn refuse(&mut self, caller: Caller, why: Unfit) {
        System::refuse(self, caller.generation(), why);
    }

    fn take_over(&mut self, caller: Caller) {
        let id = caller.generation();
        let priority = self.priority_of(id);
        self.at_priority(priority, |system| system.take_over(id));
    }
}

impl Reports for System {
    fn next(&mut self, _: Caller, done: u64) -> Option<Report> {
        self.reports.next(done)
    }
}

impl Backlog for System {
    fn is_shown(&mut self, _: Caller) -> bool {
        self.entries.iter().any(|e| e.state == State::Running && self.spec(e).settings.log)
    }

    fn name(&mut self, _: Caller, id: u64) -> Option<Text<NAME_MAX>> {
        self.entries.iter().find(|e| e.id == id).map(|e| Text::cut(&e.name))
    }

    fn wake(&mut self, _: Caller) {
        self.log_waits = true;
        self.clock.arm(true);
    }
}
