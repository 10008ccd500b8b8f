//! Making components, and letting them run.

use alloc::{format, vec::Vec};

use pecan_manifest::{Badge, Rights, Server};
use pecan_protocols::{ControlError, Departures, State};
use pecan_supervision::Pulse;

use super::{Change, System};
use crate::{
    handle::BACKLOG,
    instance::{self, Channel, Given, Live, ServerEnd, StartError},
    output::{self, say},
    places::{End, Role, end_badge},
    pulse,
    sessions::Donor,
};

impl System {
    /// Makes the component of an entry, of which nothing is made, and lets it run. Where that fails, nothing is left of it.
    pub fn start(&mut self, index: usize, again: bool) -> Result<(), ControlError> {
        self.begin(index, again)?;
        loop {
            match self.go_on(index) {
                Ok(false) => {}
                Ok(true) => return Ok(()),
                Err(error) => {
                    self.clear_all(index);
                    return Err(error);
                }
            }
        }
    }

    /// Begins to make the component of an entry, of which nothing is made. [`System::go_on`] makes the rest.
    pub fn begin(&mut self, index: usize, again: bool) -> Result<(), ControlError> {
        self.entries[index].restarts += u64::from(again);
        match self.try_start(index) {
            Ok(live) => {
                let entry = &mut self.entries[index];
                (entry.live, entry.making) = (Some(live), Some(again));
                Ok(())
            }
            Err(error) => Err(self.not_started(index, &error)),
        }
    }

    /// Goes on with a component that is being made, by so much that it takes a bounded time; whether it runs now. After an
    /// error, what there is of it is to be cleared.
    pub fn go_on(&mut self, index: usize) -> Result<bool, ControlError> {
        let entry = &mut self.entries[index];
        let (Some(live), Some(again)) = (&mut entry.live, entry.making) else {
            return Err(ControlError::NotRunning);
        };
        let done = live.go_on(&mut self.memory).and_then(|done| {
            if done {
                live.resume()?;
            }
            Ok(done)
        });
        match done {
            Ok(true) => {
                entry.making = None;
                self.runs(index, again);
                Ok(true)
            }
            Ok(false) => Ok(false),
            Err(error) => Err(self.not_started(index, &error)),
        }
    }

    /// A component cannot be started.
    fn not_started(&mut self, index: usize, error: &StartError) -> ControlError {
        let entry = &mut self.entries[index];
        entry.state = State::Failed;
        say!("*** {} cannot be started: {error}", entry.name);
        self.leave_services(self.entries[index].id);
        match error {
            StartError::TooLong => ControlError::TooLong,
            _ => ControlError::NoResources,
        }
    }

    /// Does what comes when a component was let run.
    fn runs(&mut self, index: usize, again: bool) {
        let now = self.clock.now();
        let expected = pulse::expected(&self.spec(&self.entries[index]).settings);
        let entry = &mut self.entries[index];
        entry.state = State::Running;
        entry.begun = true;
        entry.note.for_good = false;
        entry.pulse = Pulse::new(expected, now);
        if entry.pulse.is_watched() {
            self.clock.arm(true);
        }
        if let Some(watch) = &mut entry.watch {
            watch.started(now);
        }
        let spec = entry.spec;
        let signal = entry.live.as_ref().and_then(|live| live.init_signal);
        if self.log_writer == Some(spec) {
            output::set_log(signal);
        }
        if let Some(signal) = signal {
            // What its predecessor was signalled for, it does not know.
            signal.signal();
        }
        if self.archive.system().components[spec].settings.log {
            self.signal(BACKLOG);
        }
        if self.services[spec].as_ref().is_some_and(|service| service.buried) {
            self.unearth(spec);
        }
        if again {
            self.end_calls(index);
        }
        self.tell_of_departures(index);
        if self.rescue.is_open() {
            self.keep_way_back();
        }
    }

    fn try_start(&mut self, index: usize) -> Result<Live, StartError> {
        let entry = &self.entries[index];
        let (id, spec) = (entry.id, entry.spec);
        let component = &self.archive.system().components[entry.spec];
        let elf = self.program_of(entry).and_then(|program| self.archive.file(&program));
        let elf = elf.ok_or(StartError::Program("is not in the archive"))?;
        let mut channels = Vec::new();
        let description = self.archive.system();
        for (number, edge) in description.channels_of(entry.spec) {
            let (role, endpoint) = (description.client_role(edge), self.endpoint);
            let channel = Channel { number, role, endpoint, badge: Badge::gone(id), gone: false, page: None };
            let server = match edge.server {
                Server::Init => {
                    let place = self.own.place_or_more((id, End::Channel(number))) as u16;
                    channels.push(Channel { badge: Badge::call(edge.server_role, place, id), ..channel });
                    continue;
                }
                Server::Component(server) => usize::from(server),
            };
            if self.is_gone(server) {
                if let Some(service) = self.services[server].as_mut() {
                    service.buried = true;
                }
                channels.push(Channel { gone: true, ..channel });
                continue;
            }
            let (name, server_role) = description.server_name(edge);
            let no_place = || StartError::NoPlace(format!("{name}.{server_role}"));
            let service = self.services.get_mut(server).and_then(Option::as_mut).ok_or_else(no_place)?;
            let endpoint = service.endpoint;
            let served = service.roles.get_mut(usize::from(edge.server_role)).ok_or_else(no_place)?;
            let end = (id, End::Channel(number));
            let place = served.place(end, description.ring_place(number)).ok_or_else(no_place)?;
            let client_writes = served.rights.is_some_and(Rights::client_writes);
            let page = served.pages.get(place).map(|page| (*page, client_writes));
            if let Some((page, _)) = page {
                // Nothing is left of who had the place before.
                self.memory.with_mapped_frame(page, |page| page.clear())?;
            }
            let badge = end_badge(description, edge, place, served);
            channels.push(Channel { endpoint, badge, page, ..channel });
        }
        let service = self.services[entry.spec].as_mut().map(|service| {
            // What its predecessor owed is its business only if it takes over from it.
            if entry.handover.is_none() {
                service.departures = Departures::default();
            }
            ServerEnd {
                endpoint: service.endpoint,
                replies: service.replies.clone(),
                pages: service.roles.iter().map(Role::pages_of_server).collect(),
            }
        });
        let writer = self.log_writer.filter(|writer| *writer != spec);
        let printing = writer.and_then(|writer| {
            Some((self.services[writer].as_ref()?.endpoint, description.components[writer].printing()?))
        });
        let given = Given {
            id,
            name: &entry.name,
            args: &entry.args,
            spec,
            files: &self.archive,
            elf,
            supervisor: self.endpoint,
            sched_control: self.sched_control,
            tsc_mhz: self.tsc_mhz,
            channels,
            service,
            rings: self.rings.ends(description, spec, id)?,
            signals: self.rings.signals(spec),
            log: component.settings.log.then(|| self.log.clone()),
            writes_log: (self.log_writer == Some(spec)).then(|| self.log.clone()),
            printing,
            archive: component.settings.archive.then(|| self.archive_pages.clone()),
            handover: entry.handover.as_ref().and_then(Change::state),
            is_part: entry.watch.is_some(),
        };
        let donor = Donor::new(id, &component.settings, &mut self.memory)?;
        match instance::start(component, &given, &mut self.memory, &mut self.devices) {
            Ok(live) => {
                self.donors.extend(donor);
                Ok(live)
            }
            Err(error) => {
                donor.into_iter().for_each(|donor| donor.dissolve(&mut self.memory));
                Err(error)
            }
        }
    }
}
