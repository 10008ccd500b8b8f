//! Sessions: a client's own room at a server, in memory that the client gives for it.
//!
//! The memory is cut out of what the client's description says it has for sessions, and mapped in the server. It comes back
//! when the client closes the session or either of them ends. A server that lives is told first, and says when it has let go of
//! the memory; after [`GRACE`] it is taken away in any case. A server that uses it then faults, and is started again.

use alloc::vec::Vec;

use pecan::vspace::PAGE_SIZE;
use pecan_manifest::{Server, Settings, layout};
use pecan_protocols::{OpenedSession, SESSION_ARGS_MAX, SessionError, SessionInfo, State};
use pecan_service::{Bytes, CallError};
use pecan_supervision::{Piece, Stock};

use crate::{
    calls,
    handle::INSTANCES,
    instance::session_address,
    memory::{Home, Memory},
    output::say,
    places::{End, end_badge},
    system::System,
};

/// How long a server has to let go of a session's memory, in microseconds.
const GRACE: u64 = 100_000;
/// Slots for the small pages of a session: as many as are left over beside large ones.
const SMALL_PAGES_MAX: u64 = 1024;
/// Slots for a session's large pages and its page tables, beside one for each so many bytes.
const SLOTS: u64 = 16;
const LARGE_PAGE: u64 = 1 << pecan::abi::constants::LARGE_PAGE_BITS;

/// Who has memory for sessions.
pub struct Donor {
    /// The component's number.
    id: u64,
    pieces: Vec<Piece>,
    stock: Stock,
    sessions: Vec<Session>,
    /// Whether the component has ended, and only waits for its memory to come back.
    has_ended: bool,
}

/// A session.
pub struct Session {
    /// Its number; there is no other of that number, ever.
    number: u64,
    /// The address of the client's capability, and the number of the channel to the server.
    client_end: (u64, usize),
    /// The server: its place in the description, and the number of the component.
    server: (usize, u64),
    /// The session's place at the server, and which of those that had it.
    place: u16,
    generation: u64,
    bytes: u64,
    args: Bytes<SESSION_ARGS_MAX>,
    phase: Phase,
    /// Whether the client has closed it.
    closed: bool,
}

enum Phase {
    Open(Home),
    /// The server is to let go of the memory until then.
    Ends(Home, u64),
    /// The memory is back.
    Over,
}

impl Session {
    const fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open(_))
    }

    /// Lets it end; whether it was open.
    fn end(&mut self, until: u64) -> bool {
        let was_open = self.is_open();
        self.phase = match core::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Open(home) => Phase::Ends(home, until),
            Phase::Ends(home, earlier) => Phase::Ends(home, earlier.min(until)),
            Phase::Over => Phase::Over,
        };
        was_open
    }
}

impl Donor {
    /// Takes the memory that a component has for sessions, if it has some.
    pub fn new(id: u64, settings: &Settings, memory: &mut Memory) -> pecan::Result<Option<Self>> {
        let Some(bytes) = settings.sessions else { return Ok(None) };
        let pieces = memory.take_pieces(bytes.0)?;
        let mut stock = Stock::new();
        for piece in &pieces {
            stock.add(piece.untyped(), piece.paddr(), piece.bytes().ilog2());
        }
        Ok(Some(Self { id, pieces, stock, sessions: Vec::new(), has_ended: false }))
    }

    /// Gives all of it back.
    pub fn dissolve(self, memory: &mut Memory) {
        memory.give_back_pieces(self.pieces);
    }

    /// Its memory: all bytes, and those that no session has.
    pub fn memory(&self) -> (u64, u64) {
        (self.pieces.iter().map(Piece::bytes).sum(), self.stock.available())
    }

    /// Whether a server is to let go of some of its memory.
    pub fn waits(&self) -> bool {
        self.sessions.iter().any(|s| matches!(s.phase, Phase::Ends(..)))
    }
}

impl System {
    /// The memory for sessions of a component that runs.
    pub fn donor(&self, id: u64) -> Option<&Donor> {
        self.donors.iter().find(|donor| donor.id == id && !donor.has_ended)
    }

    /// Whether clients have sessions with a server, or it has yet to let go of some.
    pub fn has_sessions(&self, server: u64) -> bool {
        let mut sessions = self.donors.iter().flat_map(|donor| &donor.sessions);
        sessions.any(|s| s.server.1 == server && !matches!(s.phase, Phase::Over))
    }

    /// The end of the session that a component has through a capability.
    pub fn session_end(&self, id: u64, endpoint: u64) -> Option<End> {
        let session = self.donor(id)?.sessions.iter().find(|s| s.client_end.0 == endpoint)?;
        Some(End::Session(session.number))
    }

    /// Opens a session for a component.
    pub fn open_session(
        &mut self,
        id: u64,
        endpoint: u64,
        quota: u64,
        args: &[u8],
    ) -> Result<OpenedSession, SessionError> {
        const NONE: SessionError = SessionError::NoSessions;
        let client = self.find(id).ok_or(NONE)?;
        let at = self.donors.iter().position(|d| d.id == id && !d.has_ended).ok_or(NONE)?;
        let live = self.entries[client].live.as_ref().ok_or(NONE)?;
        let (channel, _) = live.channels().find(|(_, cptr)| *cptr == endpoint).ok_or(NONE)?;
        let edge = *self.description().channels.get(channel).ok_or(NONE)?;
        let Server::Component(server) = edge.server else { return Err(NONE) };
        let (server, role) = (usize::from(server), usize::from(edge.server_role));
        let mut roles = self.description().components[server].interface.serves.values();
        if !roles.nth(role).is_some_and(|role| role.sessions) {
            return Err(NONE);
        }
        let args = Bytes::try_from(args).map_err(|_| NONE)?;
        let donor = &self.donors[at];
        let left = donor.stock.available();
        if quota < layout::SESSION_LEAST {
            return Err(SessionError::TooSmall { least: layout::SESSION_LEAST });
        }
        if quota > left {
            return Err(SessionError::NoMemory { left });
        }
        let taken = |slot| donor.sessions.iter().any(|s| s.client_end.0 == slot);
        let slot = live.session_slot(taken).ok_or(SessionError::TooMany { most: layout::SESSIONS_MAX })?;
        let runs =
            |e: &crate::system::Entry| e.spec == server && e.state == State::Running && e.live.is_some();
        let serving = self.entries.iter().position(runs).ok_or(SessionError::ServerGone)?;
        let server_id = self.entries[serving].id;

        let number = self.next_session;
        self.next_session += 1;
        let end = (id, End::Session(number));
        let description = self.archive.system();
        let service = self.services[server].as_mut().ok_or(NONE)?;
        let served = service.roles.get_mut(role).ok_or(NONE)?;
        let place = served.place(end, None).ok_or(SessionError::NoPlace)?;
        let badge = end_badge(description, &edge, place, served);
        let endpoint = self.memory.slot_of(service.endpoint);
        let made = self.at_work(|system| {
            let System { donors, memory, entries, .. } = system;
            let small = (quota / PAGE_SIZE).min(SMALL_PAGES_MAX);
            let slots = SLOTS + small + 2 * quota / LARGE_PAGE;
            let mut home = memory.take_from(&mut donors[at].stock, quota, slots)?;
            let live = entries[serving].live.as_mut();
            let mapped = live.map_or(Err(pecan::Error::IllegalOperation), |live| {
                live.map_session(&mut home, badge.place())
            });
            let made = mapped.and_then(|bytes| {
                let live = entries[client].live.as_mut();
                live.map_or(Err(pecan::Error::IllegalOperation), |live| {
                    live.give_session((slot, channel), endpoint, badge, quota)
                })?;
                Ok(bytes)
            });
            match made {
                Ok(bytes) => Ok((home, bytes)),
                Err(error) => {
                    entries[serving].live.iter_mut().for_each(|live| live.unmap_session(badge.place()));
                    memory.give_back_to(&mut donors[at].stock, home);
                    Err(error)
                }
            }
        });
        let Ok((home, bytes)) = made else {
            self.leave_place(server, badge.place());
            return Err(SessionError::NoMemory { left });
        };
        self.donors[at].sessions.push(Session {
            number,
            client_end: (slot, channel),
            server: (server, server_id),
            place: badge.place(),
            generation: badge.generation(),
            bytes,
            args,
            phase: Phase::Open(home),
            closed: false,
        });
        Ok(OpenedSession { endpoint: slot, bytes })
    }

    /// A client closes a session; whether the memory is back.
    pub fn close_session(&mut self, id: u64, endpoint: u64) -> bool {
        let Some(at) = self.donors.iter().position(|d| d.id == id && !d.has_ended) else { return true };
        let sessions = &mut self.donors[at].sessions;
        let Some(session) = sessions.iter_mut().find(|s| s.client_end.0 == endpoint) else { return true };
        session.closed = true;
        let number = session.number;
        self.end_call(id, endpoint, CallError::SessionEnded);
        let until = self.clock.now().saturating_add(GRACE);
        self.end_sessions(until, |_, session| session.number == number);
        self.settle_sessions(|_| false);
        let sessions = self.donors.get(at).map(|donor| &donor.sessions[..]).unwrap_or_default();
        sessions.iter().all(|s| s.number != number)
    }

    /// The session in a place of a server.
    pub fn session_in(&self, server: u64, place: u64) -> Option<SessionInfo> {
        let mut sessions = self.donors.iter().flat_map(|donor| &donor.sessions);
        let session =
            sessions.find(|s| s.is_open() && s.server.1 == server && u64::from(s.place) == place)?;
        let Session { generation, bytes, .. } = *session;
        Some(SessionInfo {
            generation,
            address: session_address(session.place),
            bytes,
            args: session.args.clone(),
        })
    }

    /// A server does not use the memory of some sessions any more, which are over.
    pub fn let_go_of_sessions(&mut self, server: u64, places: u64) {
        self.settle_sessions(|s| s.server.1 == server && places >> s.place & 1 != 0);
    }

    /// A component has ended: the sessions that it has opened are over, and those that others have with it.
    pub fn leave_sessions(&mut self, id: u64) {
        if let Some(donor) = self.donors.iter_mut().find(|d| d.id == id && !d.has_ended) {
            donor.has_ended = true;
            donor.sessions.iter_mut().for_each(|session| session.closed = true);
        }
        let until = self.clock.now().saturating_add(GRACE);
        self.end_sessions(until, |donor, _| donor.id == id && donor.has_ended);
        // It does not run any more, so nothing is to be waited for.
        self.end_sessions(0, |_, session| session.server.1 == id);
    }

    /// Lets sessions end, which those of their servers that run let go of until a time.
    fn end_sessions(&mut self, until: u64, which: impl Fn(&Donor, &Session) -> bool) {
        let mut ended = Vec::new();
        for donor in &mut self.donors {
            for n in 0..donor.sessions.len() {
                if which(donor, &donor.sessions[n]) && donor.sessions[n].end(until) {
                    let Session { client_end: (slot, _), server, place, .. } = donor.sessions[n];
                    ended.push((donor.id, slot, server.0, place));
                }
            }
        }
        let supervisor = self.memory.slot_of(self.endpoint());
        for (id, slot, server, place) in ended {
            // A client that has ended loses its CSpace as a whole.
            let live = self.find(id).and_then(|index| self.entries[index].live.as_mut());
            if let Some(Err(error)) = live.map(|live| live.end_session(slot, id, supervisor)) {
                say!("*** a client cannot be told that its session is over: {error}");
            }
            self.session_is_over(server, place);
            self.clock.arm(true);
        }
    }

    /// Takes the memory back that servers had to let go of by now.
    pub fn look_at_sessions(&mut self, now: u64) {
        self.settle_sessions(|session| matches!(session.phase, Phase::Ends(_, until) if until <= now));
    }

    /// Takes the memory of some of the sessions back that are over, and of those whose server is.
    pub fn settle_sessions(&mut self, which: impl Fn(&Session) -> bool) {
        let is_due = |s: &Session| match s.phase {
            Phase::Ends(_, until) => until == 0 || which(s),
            Phase::Open(_) | Phase::Over => false,
        };
        for at in 0..self.donors.len() {
            for n in 0..self.donors[at].sessions.len() {
                if !is_due(&self.donors[at].sessions[n]) {
                    continue;
                }
                let session = &mut self.donors[at].sessions[n];
                let Phase::Ends(home, _) = core::mem::replace(&mut session.phase, Phase::Over) else {
                    continue;
                };
                let ((server, server_id), place) = (session.server, session.place);
                self.at_work(|system| system.memory.give_back_to(&mut system.donors[at].stock, home));
                self.leave_place(server, place);
                let serving = self.entries.iter_mut().find(|e| e.id == server_id);
                serving.and_then(|e| e.live.as_mut()).into_iter().for_each(|live| live.unmap_session(place));
            }
        }
        self.forget_sessions();
    }

    /// Forgets sessions that are over and closed, and those who had memory for sessions and have ended.
    fn forget_sessions(&mut self) {
        for at in 0..self.donors.len() {
            let donor = &mut self.donors[at];
            let is_done = |s: &Session| s.closed && matches!(s.phase, Phase::Over);
            let done: Vec<_> = donor.sessions.iter().filter(|s| is_done(s)).map(|s| s.client_end.0).collect();
            donor.sessions.retain(|s| !is_done(s));
            let id = donor.id;
            let live = if donor.has_ended { None } else { self.find(id) };
            let live = live.and_then(|index| self.entries[index].live.as_mut());
            if let Some(live) = live {
                for slot in done {
                    if let Err(error) = live.take_session(slot) {
                        say!("*** the capability of a session cannot be taken away: {error}");
                    }
                }
            }
        }
        while let Some(at) = self.donors.iter().position(|d| d.has_ended && d.sessions.is_empty()) {
            let donor = self.donors.swap_remove(at);
            self.at_work(|system| donor.dissolve(&mut system.memory));
        }
    }

    /// Ends the calls in sessions with a server that took these with it.
    pub fn end_session_calls(&mut self, server: usize, error: CallError) {
        let mut calls = Vec::new();
        for donor in self.donors.iter().filter(|donor| !donor.has_ended) {
            let over = donor.sessions.iter().filter(|s| !s.is_open() && s.server.0 == server);
            calls.extend(over.map(|s| (donor.id, s.client_end.0)));
        }
        calls.into_iter().for_each(|(id, slot)| self.end_call(id, slot, error));
    }

    /// Ends the calls that the threads of a component make through a capability.
    fn end_call(&self, id: u64, cptr: u64, error: CallError) {
        let Some(entry) = self.find(id).map(|index| &self.entries[index]) else { return };
        let elf = self.program_of(entry).and_then(|program| self.file(&program));
        for tcb in entry.live.iter().flat_map(|live| live.tcbs()) {
            calls::answer_in_place(tcb, &[cptr], elf, error);
        }
    }

    /// A place of a server is free again.
    fn leave_place(&mut self, server: usize, place: u16) {
        let service = self.services.get_mut(server).and_then(Option::as_mut);
        let places =
            service.into_iter().flat_map(|service| &mut service.roles).flat_map(|role| &mut role.places);
        places.skip(place.into()).take(1).for_each(|(owner, _)| *owner = None);
    }

    /// Does what takes long, at the priority at which components are made, too.
    fn at_work<R>(&mut self, action: impl FnOnce(&mut Self) -> R) -> R {
        let role = self.description().init.served(INSTANCES);
        let channels = &self.description().channels;
        let edge = channels.iter().find(|c| c.server == Server::Init && Some(c.server_role) == role);
        let part = edge.and_then(|edge| self.description().components.get(usize::from(edge.client)));
        match part.map(|part| part.settings.priority) {
            Some(priority) => self.at_priority(priority, action),
            None => action(self),
        }
    }
}
