//! The memory of the system log, which outlives the component that writes it and the one that shows it.

use alloc::vec::Vec;

use pecan::{
    Cap, Result,
    types::{IoPort, Notification, SmallPage},
    vspace::PAGE_SIZE,
};
use pecan_manifest::layout;
use pecan_service::shared;

use crate::{memory::Memory, output};

/// The memory of the system log.
#[derive(Clone)]
pub struct LogPages {
    /// The log's own: what its writer writes, and what whoever shows it writes.
    pub log: (Vec<Cap<SmallPage>>, Vec<Cap<SmallPage>>),
    /// The same of what the initial task has to say.
    pub backlog: (Vec<Cap<SmallPage>>, Vec<Cap<SmallPage>>),
    /// What the log's writer keeps for its successor.
    pub kept: Vec<Cap<SmallPage>>,
    /// The serial port, and its first port.
    pub serial: (Cap<IoPort>, u16),
    /// Signals whoever shows the log.
    pub shows: Option<Cap<Notification>>,
}

impl LogPages {
    /// Makes it, and lets what the initial task has to say go there. `shows` is signalled when there is something to show.
    pub fn new(
        memory: &mut Memory,
        serial: (Cap<IoPort>, u16),
        shows: Option<Cap<Notification>>,
    ) -> Result<Self> {
        let (address, first) = memory.map_own(layout::BACKLOG_SIZE)?;
        // SAFETY: the pages were mapped for this just now, stay mapped, and are reached in no other way.
        output::set_backlog(unsafe { shared::at(address as usize, layout::BACKLOG_SIZE as usize) });
        // SAFETY: as many frames were made, one behind the other.
        let backlog: Vec<_> =
            (0..layout::BACKLOG_SIZE / PAGE_SIZE).map(|n| unsafe { first.offset(n) }).collect();
        let log = memory.pages(layout::LOG_SIZE)?;
        let kept = memory.pages(layout::LOG_KEPT_SIZE)?;
        Ok(Self { log: parts(&log), backlog: parts(&backlog), kept, serial, shows })
    }
}

/// The writer's pages of a stream, and its reader's.
fn parts(pages: &[Cap<SmallPage>]) -> (Vec<Cap<SmallPage>>, Vec<Cap<SmallPage>>) {
    let (own, reader) = pages.split_at(pages.len() - (layout::LOG_READER_SIZE / PAGE_SIZE) as usize);
    (own.to_vec(), reader.to_vec())
}
