//! The system log, for whoever shows it and for whoever writes it.

use pecan::{Cap, types::Notification};
use pecan_manifest::layout::resource;
use pecan_service::shared::{Shared, StreamReader};

use crate::{Ports, role};

/// The system log, if the description lets this component show it.
pub fn log() -> Option<StreamReader<'static>> {
    StreamReader::new(role::memory(resource::LOG_READER)?.words(), role::memory(resource::LOG)?.words())
}

/// What the writer of the system log has. All of it outlives the component, and the writer's successor goes on with it.
pub struct LogMemory {
    /// The pages of the log that the writer writes.
    pub own: Shared,
    /// Those of whoever shows it, to be written only while nobody does.
    pub reader: Shared,
    /// What the initial task has to say.
    pub backlog: StreamReader<'static>,
    /// What the writer keeps for its successor.
    pub kept: Shared,
    /// Signals whoever shows the log.
    pub signal: Cap<Notification>,
    /// The serial port, for when nobody does.
    pub serial: Ports,
}

/// What the writer of the system log has, if this component is that.
pub fn log_memory() -> Option<LogMemory> {
    let memory = role::memory;
    Some(LogMemory {
        own: memory(resource::LOG)?,
        reader: memory(resource::LOG_READER)?,
        backlog: StreamReader::new(
            memory(resource::BACKLOG_READER)?.words(),
            memory(resource::BACKLOG)?.words(),
        )?,
        kept: memory(resource::LOG_KEPT)?,
        signal: role::cap(resource::LOG_SIGNAL)?,
        serial: Ports::named(resource::LOG_SERIAL)?,
    })
}
