//! What a component has of the system log.

use pecan::{Cap, CapRights, types::SmallPage, vspace::PAGE_SIZE};
use pecan_manifest::{Badge, layout, layout::resource};
use pecan_protocols::Granted;

use super::{Given, Maker, StartError};

impl Maker<'_> {
    /// Lets a component print, and gives its parts of the log to who shows it and to who writes it.
    pub(super) fn give_log(&mut self, given: &Given<'_>) -> Result<(), StartError> {
        if let Some(pages) = &given.log {
            self.give_pages(resource::LOG, &pages.log.0, false, log)?;
            self.give_pages(resource::LOG_READER, &pages.log.1, true, log)?;
        }
        if let Some(pages) = &given.writes_log {
            self.give_pages(resource::LOG, &pages.log.0, true, log)?;
            self.give_pages(resource::LOG_READER, &pages.log.1, true, log)?;
            self.give_pages(resource::BACKLOG, &pages.backlog.0, false, backlog)?;
            self.give_pages(resource::BACKLOG_READER, &pages.backlog.1, true, backlog)?;
            self.give_pages(resource::LOG_KEPT, &pages.kept, true, |address, bytes, _| Granted::LogKept {
                address,
                bytes,
            })?;
            let slot = self.slot();
            if let Some(shows) = pages.shows {
                let badge = Badge::SIGNAL | 1 << layout::LOG_SIGNAL;
                slot.mint_from(self.memory.slot_of(shows), CapRights::WRITE, badge)?;
                self.live.granted.push(Granted::LogSignal { slot: slot.index });
            }
            // Without anybody who ever shows it, nothing is behind the address, and nobody is signalled.
            self.page.add_cap(resource::LOG_SIGNAL, slot.index);
            let (cap, first) = pages.serial;
            let slot = self.slot();
            slot.copy_from(self.memory.slot_of(cap), CapRights::ALL)?;
            self.page.add_cap(resource::LOG_SERIAL, slot.index);
            self.page.add_parameter(resource::LOG_SERIAL, first.into());
            self.live.granted.push(Granted::LogSerial { slot: slot.index });
        }
        if let Some((endpoint, role)) = given.printing {
            let badge = Badge::call(role, 0, given.id);
            let slot = self.give_endpoint(endpoint, resource::LOG, badge)?;
            self.live.granted.push(Granted::Printing { slot, badge: badge.word() });
        }
        Ok(())
    }

    fn give_pages(
        &mut self,
        name: &str,
        pages: &[Cap<SmallPage>],
        writable: bool,
        granted: impl FnOnce(u64, u64, bool) -> Granted,
    ) -> Result<(), StartError> {
        let rights = if writable { CapRights::READ_WRITE } else { CapRights::READ };
        let (address, bytes) = (self.map_shared(pages, rights)?, pages.len() as u64 * PAGE_SIZE);
        self.page.add_memory(name, address, bytes);
        self.live.granted.push(granted(address, bytes, writable));
        Ok(())
    }
}

fn log(address: u64, bytes: u64, writable: bool) -> Granted {
    Granted::Log { address, bytes, writable }
}

fn backlog(address: u64, bytes: u64, writable: bool) -> Granted {
    Granted::Backlog { address, bytes, writable }
}
