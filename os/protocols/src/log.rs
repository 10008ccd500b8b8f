//! The system log: what is written into it, and what its writer asks of the initial task.

use pecan_service::{Caller, Text, service};

use crate::{NAME_MAX, WRITE_MAX};

/// The system log, as every component sees it.
#[service(name = "log", version = 1)]
pub trait Log {
    /// Puts text into the system log, under the component's name. A line is there when it has ended.
    fn write(&mut self, caller: Caller, #[max(WRITE_MAX)] text: &[u8]);
}

/// The system log, as parts of the system see it.
#[service(name = "notices", version = 1)]
pub trait Notices {
    /// Puts text into the system log as it is.
    fn say(&mut self, caller: Caller, #[max(WRITE_MAX)] text: &[u8]);
}

/// What the writer of the system log asks of the initial task. It is signalled when the initial task has said something, when
/// somebody begins or ends to show the log, and when the time has come for which it asked.
#[service(name = "backlog", version = 1)]
pub trait Backlog {
    /// Whether somebody shows the log.
    #[idempotent]
    fn is_shown(&mut self, caller: Caller) -> bool;
    /// The name of the component of a number.
    #[idempotent]
    fn name(&mut self, caller: Caller, id: u64) -> Option<Text<NAME_MAX>>;
    /// Asks to be signalled in some 10 ms, once.
    #[idempotent]
    fn wake(&mut self, caller: Caller);
}
