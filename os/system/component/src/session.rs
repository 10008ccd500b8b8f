//! Sessions: a client's own room at a server, in memory that the client gives for it.

use alloc::vec::Vec;
use core::fmt;

use pecan::{Cap, raw, types::Endpoint};
use pecan_protocols::{SESSION_ARGS_MAX, SessionError, SessionInfo};
use pecan_service::{
    Bytes, CallError, Caller,
    shared::{self, Memory, Shared},
};

use crate::{Serves, Uses, clients, supervisor};

/// In this role, clients open sessions.
///
/// What is kept of a session does not outlive it:
///
/// ```compile_fail,E0502
/// use pecan_component::{SessionTable, service::Caller};
/// fn keep(table: &mut SessionTable<()>, caller: Caller) {
///     let memory = table.of(caller, |_| ()).map(|(session, _)| session.memory());
///     table.gone(caller.place());
///     drop(memory);
/// }
/// ```
///
/// Without sessions in the role there is no `open`:
///
/// ```compile_fail,E0599
/// use pecan_component::{Uses, protocols::EchoClient};
/// fn open(echo: Uses<EchoClient>) {
///     let _ = echo.open(b"", 1 << 20);
/// }
/// ```
///
/// ```
/// use pecan_component::{Uses, WithSessions, protocols::EchoClient};
/// fn open(echo: Uses<EchoClient, WithSessions>) {
///     let _ = echo.open(b"", 1 << 20);
/// }
/// ```
///
/// A session that is closed calls nobody:
///
/// ```compile_fail,E0382
/// use pecan_component::{Session, protocols::EchoClient};
/// fn call(session: Session<EchoClient>) {
///     let _ = session.close();
///     let _ = session.client().ping(1);
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct WithSessions;

/// Why there is no session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenError {
    /// It is refused.
    Refused(SessionError),
    /// The initial task does not answer.
    Call(CallError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => write!(f, "{error}"),
            Self::Call(error) => write!(f, "{error}"),
        }
    }
}

impl core::error::Error for OpenError {}

/// A session with a server, for the client. It ends when this is dropped, when either component ends, or when it is closed; a
/// call that is made then ends with [`CallError::SessionEnded`], and one that the server took with it with
/// [`CallError::ServerRestarted`].
#[derive(Debug)]
pub struct Session<C> {
    endpoint: Cap<Endpoint>,
    client: C,
    bytes: u64,
}

impl<C: Copy> Uses<C, WithSessions> {
    /// Opens a session, and gives the server `quota` bytes for it out of the memory that this component has for sessions.
    /// `args` is what the server is told, at most [`SESSION_ARGS_MAX`] bytes.
    pub fn open(&self, args: &[u8], quota: u64) -> Result<Session<C>, OpenError> {
        let opened = supervisor().open(self.endpoint().cptr(), quota, args).map_err(OpenError::Call)?;
        let opened = opened.map_err(OpenError::Refused)?;
        // SAFETY: the initial task has put an endpoint there.
        let endpoint = unsafe { Cap::new(opened.endpoint) };
        Ok(Session { endpoint, client: self.client_at(endpoint), bytes: opened.bytes })
    }
}

impl<C: Copy> Session<C> {
    /// What calls the server in this session. After the end of the session it must not be kept: another session may have its
    /// capability then.
    pub const fn client(&self) -> C {
        self.client
    }

    /// The bytes that the server has for it: what was given, without what page tables and slots take of it.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Ends it, and waits until the memory is back, which takes at most 100 ms.
    pub fn close(self) -> Result<(), CallError> {
        let endpoint = self.endpoint.cptr();
        core::mem::forget(self);
        while !supervisor().close(endpoint)? {
            // Until this component has time again, the server has let go of the memory or was made to.
            raw::yield_now();
        }
        Ok(())
    }
}

impl<C> Drop for Session<C> {
    fn drop(&mut self) {
        // If nobody answers, there is nobody to whom it matters.
        let _ = supervisor().close(self.endpoint.cptr());
    }
}

/// A session that a client has opened, for the server. When the client has gone ([`SessionTable::gone`]) this must be dropped:
/// soon after, the memory is taken away, and who still uses it faults.
#[derive(Debug)]
pub struct SessionMemory {
    generation: u64,
    memory: Shared,
    args: Bytes<SESSION_ARGS_MAX>,
}

impl SessionMemory {
    /// Its memory, which nobody else has. It is zero at first.
    pub const fn memory(&self) -> Memory<'_> {
        self.memory
    }

    /// What the client said when it opened it.
    pub fn args(&self) -> &[u8] {
        &self.args
    }
}

impl Serves<WithSessions> {
    /// The session in which a call was made; `None` for one that was made through the channel itself, or whose session is
    /// over. This asks the initial task: [`SessionTable`] does so once.
    pub fn session(&self, caller: Caller) -> Option<SessionMemory> {
        let info = supervisor().session(caller.place() as u64).ok().flatten()?;
        let SessionInfo { generation, address, bytes, args } = info;
        if generation != caller.generation() || !self.is_called_by(caller) {
            return None;
        }
        // SAFETY: the initial task has mapped the memory there for this component alone, writable. When it takes it away it
        // lets nothing else be mapped there but the memory of another session, which is accessed by atomics, too; until then an
        // access faults, and this component ends.
        let memory = unsafe { shared::at(usize::try_from(address).ok()?, usize::try_from(bytes).ok()?) };
        Some(SessionMemory { generation, memory, args })
    }
}

/// The sessions of a server, each with something that the server keeps of it.
#[derive(Debug)]
pub struct SessionTable<T> {
    role: Serves<WithSessions>,
    open: Vec<Option<(SessionMemory, T)>>,
}

impl<T> SessionTable<T> {
    /// The sessions of a role, none of which is known yet.
    pub fn new(role: Serves<WithSessions>) -> Self {
        Self { role, open: (0..clients()).map(|_| None).collect() }
    }

    /// The session in which a call was made, and what is kept of it: at its first call that is what `new` says. `None` for a
    /// call through the channel itself, or in a session that is over.
    pub fn of(
        &mut self,
        caller: Caller,
        new: impl FnOnce(&SessionMemory) -> T,
    ) -> Option<(&SessionMemory, &mut T)> {
        let open = self.open.get_mut(caller.place())?;
        if open.as_ref().is_none_or(|(session, _)| session.generation != caller.generation()) {
            let session = self.role.session(caller)?;
            let kept = new(&session);
            *open = Some((session, kept));
        }
        open.as_mut().map(|(session, kept)| (&*session, kept))
    }

    /// All that is kept.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.open.iter().flatten().map(|(_, kept)| kept)
    }

    /// The client in a place is gone: what `gone` of the service has to call.
    pub fn gone(&mut self, place: usize) {
        if let Some(open) = self.open.get_mut(place) {
            *open = None;
        }
    }
}
