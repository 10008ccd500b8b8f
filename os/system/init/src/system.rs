//! The components of the system, and what becomes of them.

use alloc::{
    collections::VecDeque,
    format,
    string::{String, ToString},
    vec::Vec,
};

use pecan::{
    Cap, Message,
    boot::BootInfo,
    fault::Fault,
    types::{Endpoint, SchedControl, SmallPage},
    vspace::PAGE_SIZE,
};
use pecan_manifest::{
    Archive, Badge, OnGiveUp, Rights, Server, Start, layout,
    symbols::{self, Functions},
};
use pecan_protocols::{ControlError, Departures, Ending, State};
use pecan_service::{CallError, Later, shared};
use pecan_supervision::{BackOff, Health, Next, Pulse, Restart, Watch, Why};

use crate::{
    calls,
    clock::Clock,
    devices::Devices,
    instance::{self, Channel, Given, Live, ServerEnd, StartError},
    limits::Limit,
    memory::Memory,
    output::{self, say},
    places::{Role, end_badge},
    pulse, report,
    rescue::Rescue,
    rings::Rings,
};

/// How many programs' ends are remembered for those who have yet to ask.
const ENDINGS: usize = 32;

/// A component or a running program.
pub struct Entry {
    /// Its number; there is no other of that number, ever.
    pub id: u64,
    /// The name it runs under.
    pub name: String,
    /// Its place in the description.
    pub spec: usize,
    /// What it is doing.
    pub state: State,
    /// What it is made of, while it runs.
    pub live: Option<Live>,
    /// Microseconds of processor time of all its lives.
    pub cpu_us: u64,
    /// How often it was started again.
    pub restarts: u64,
    args: Vec<String>,
    /// What it said for the system log since the end of the last line.
    pub log: Vec<u8>,
    /// Whether and when it is started again.
    pub watch: Watch,
    /// Whether it does what it should, while it runs.
    pub pulse: Pulse,
    /// Who waits for its end.
    pub waiters: Vec<Waiter>,
}

/// A component that waits for the end of a program.
pub struct Waiter {
    id: u64,
    later: Later<Result<Ending, ControlError>>,
}

/// What outlives a component that serves: its endpoint, and the places in its roles.
struct Service {
    endpoint: Cap<Endpoint>,
    roles: Vec<Role>,
    /// What the server is to be told of its clients when it asks.
    departures: Departures,
}

/// The system.
pub struct System {
    archive: Archive<'static>,
    /// The machine's memory.
    pub memory: Memory,
    devices: Devices,
    /// The components, and the programs that run.
    pub entries: Vec<Entry>,
    /// For each component of the description that serves, its service.
    services: Vec<Option<Service>>,
    /// The rings between components.
    rings: Rings,
    /// The places of those who have a channel to the initial task.
    own: Role,
    /// Ends of programs nobody has asked for yet.
    endings: VecDeque<(u64, Ending)>,
    /// Microseconds of processor time that the initial task has used.
    pub own_cpu_us: u64,
    log: Vec<Cap<SmallPage>>,
    endpoint: Cap<Endpoint>,
    sched_control: Cap<SchedControl>,
    tsc_mhz: u64,
    next_id: u64,
    /// The time.
    pub clock: Clock,
    /// The command line for when there is no other.
    pub rescue: Rescue,
}

impl System {
    /// The system of an archive; nothing runs yet.
    pub fn new(boot: &BootInfo, archive: Archive<'static>) -> pecan::Result<Self> {
        let mut memory = Memory::new(boot)?;
        let mut devices = Devices::new(*boot);
        let components = &archive.system().components;

        // The serial port is the console's, but until there is a console it shows what goes wrong.
        const COM1: u16 = 0x3f8;
        let described = components.iter().flat_map(|c| &c.settings.ports).find(|p| p.first == COM1);
        let last = described.map_or(COM1 + 7, |p| p.last);
        output::set_serial(devices.ports(&mut memory.cspace, COM1, last)?, COM1);

        let (log_address, first) = memory.map_own(layout::LOG_SIZE)?;
        // SAFETY: as many frames were made, one behind the other.
        let log: Vec<_> = (0..layout::LOG_SIZE / PAGE_SIZE).map(|n| unsafe { first.offset(n) }).collect();
        // SAFETY: the pages were mapped for this just now, stay mapped, and are reached in no other way.
        let shared = unsafe { shared::at(log_address as usize, layout::LOG_SIZE as usize) };
        output::set_log(shared);

        let mut services = Vec::new();
        for component in components {
            if component.places.is_empty() {
                services.push(None);
                continue;
            }
            let mut roles = Vec::new();
            for (served, places) in component.interface.serves.values().zip(&component.places) {
                let mut role = Role { rights: served.page, ..Role::default() };
                for _ in 0..*places {
                    role.places.push((None, 0));
                    if served.page.is_some() {
                        role.pages.push(memory.objects().make::<SmallPage>()?);
                    }
                }
                roles.push(role);
            }
            services.push(Some(Service {
                endpoint: memory.endpoint()?,
                roles,
                departures: Departures::default(),
            }));
        }
        let rings = Rings::new(archive.system(), &mut memory)?;
        let tsc_mhz = boot.tsc_mhz().unwrap_or(1000).max(1).into();
        let sched_control = boot.sched_control(0)?;
        let root = memory.root();
        let clock = Clock::new(&mut memory, root, sched_control, tsc_mhz)?;
        Ok(Self {
            endpoint: memory.endpoint()?,
            sched_control,
            tsc_mhz,
            clock,
            rescue: Rescue::default(),
            archive,
            memory,
            devices,
            entries: Vec::new(),
            services,
            rings,
            own: Role::default(),
            endings: VecDeque::new(),
            own_cpu_us: 0,
            log,
            next_id: 1,
        })
    }

    /// The endpoint on which components talk to the initial task.
    pub const fn endpoint(&self) -> Cap<Endpoint> {
        self.endpoint
    }

    /// The description.
    pub fn description(&self) -> &pecan_manifest::System {
        self.archive.system()
    }

    /// The component of the description that an entry is an instance of.
    pub fn spec(&self, entry: &Entry) -> &pecan_manifest::Component {
        &self.description().components[entry.spec]
    }

    /// Starts all components that are started at boot.
    pub fn start_all(&mut self) {
        for spec in 0..self.description().components.len() {
            let component = &self.description().components[spec].settings;
            if component.start == Start::Boot {
                let (name, args) = (component.name.to_string(), component.args.clone());
                let index = self.add(name, spec, args);
                // That it cannot be started is said, and the others can be.
                if self.start(index).is_err() {
                    self.follow(index, Why::Failed);
                }
            }
        }
    }

    fn add(&mut self, name: String, spec: usize, args: Vec<String>) -> usize {
        let component = &self.description().components[spec].settings;
        let restart = match component.restart {
            // A program is run once.
            _ if component.start == Start::Demand => Restart::Never,
            pecan_manifest::Restart::Never => Restart::Never,
            pecan_manifest::Restart::OnFailure => Restart::OnFailure,
            pecan_manifest::Restart::Always => Restart::Always,
        };
        let expected = pulse::expected(component);
        let described = component.back_off;
        let back_off = BackOff {
            first: described.first_ms * 1000,
            most: described.most_ms * 1000,
            calm: described.calm_ms * 1000,
            failures: described.failures,
        };
        self.entries.push(Entry {
            id: self.next_id,
            name,
            spec,
            state: State::Failed,
            live: None,
            cpu_us: 0,
            restarts: 0,
            args,
            log: Vec::new(),
            watch: Watch::new(restart, back_off),
            pulse: Pulse::new(expected, 0),
            waiters: Vec::new(),
        });
        self.next_id += 1;
        self.entries.len() - 1
    }

    /// Starts the component of an entry.
    fn start(&mut self, index: usize) -> Result<(), StartError> {
        let result = self.try_start(index);
        let now = self.clock.now();
        let expected = pulse::expected(&self.spec(&self.entries[index]).settings);
        let entry = &mut self.entries[index];
        match result {
            Ok(live) => {
                entry.state = State::Running;
                entry.watch.started(now);
                entry.pulse = Pulse::new(expected, now);
                if entry.pulse.is_watched() {
                    self.clock.arm(true);
                }
                if let Some(signal) = live.log_signal {
                    output::set_console(Some(signal));
                }
                entry.live = Some(live);
                Ok(())
            }
            Err(error) => {
                entry.state = State::Failed;
                entry.watch.give_up();
                say!("*** {} cannot be started: {error}", entry.name);
                self.leave_services(self.entries[index].id);
                Err(error)
            }
        }
    }

    fn try_start(&mut self, index: usize) -> Result<Live, StartError> {
        let entry = &self.entries[index];
        let (id, spec) = (entry.id, entry.spec);
        let component = &self.archive.system().components[entry.spec];
        let elf = self.archive.file(&component.settings.program());
        let elf = elf.ok_or(StartError::Program("is not in the archive"))?;
        let mut channels = Vec::new();
        let description = self.archive.system();
        for (number, edge) in description.channels_of(entry.spec) {
            let (role, endpoint) = (description.client_role(edge), self.endpoint);
            let channel = Channel { number, role, endpoint, badge: Badge::gone(id), gone: false, page: None };
            let server = match edge.server {
                Server::Init => {
                    let place = self.own.place_or_more((id, number)) as u16;
                    channels.push(Channel { badge: Badge::call(edge.server_role, place, id), ..channel });
                    continue;
                }
                Server::Component(server) => usize::from(server),
            };
            if self.is_gone(server) {
                channels.push(Channel { gone: true, ..channel });
                continue;
            }
            let (name, server_role) = description.server_name(edge);
            let no_place = || StartError::NoPlace(format!("{name}.{server_role}"));
            let service = self.services.get_mut(server).and_then(Option::as_mut).ok_or_else(no_place)?;
            let endpoint = service.endpoint;
            let served = service.roles.get_mut(usize::from(edge.server_role)).ok_or_else(no_place)?;
            let place = served.place((id, number), description.ring_place(number)).ok_or_else(no_place)?;
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
            // What its predecessor owed is not its business.
            service.departures = Departures::default();
            ServerEnd {
                endpoint: service.endpoint,
                pages: service.roles.iter().map(Role::pages_of_server).collect(),
            }
        });
        let given = Given {
            id,
            name: &entry.name,
            args: &entry.args,
            elf,
            supervisor: self.endpoint,
            sched_control: self.sched_control,
            tsc_mhz: self.tsc_mhz,
            channels,
            service,
            rings: self.rings.ends(description, spec, id)?,
            signals: self.rings.signals(spec),
            log: component.settings.log.then(|| self.log.clone()),
        };
        instance::start(component, &given, &mut self.memory, &mut self.devices)
    }

    /// Takes a component's places at its servers away, and lets the servers know.
    fn leave_services(&mut self, id: u64) {
        self.stop_waiting(id);
        self.rings.leave(id);
        self.own
            .places
            .iter_mut()
            .filter(|(owner, _)| owner.is_some_and(|(client, _)| client == id))
            .for_each(|p| p.0 = None);
        for (spec, service) in self.services.iter_mut().enumerate() {
            let Some(service) = service else { continue };
            let places = service.roles.iter_mut().flat_map(|role| &mut role.places);
            for (at, (owner, _)) in places.enumerate() {
                if owner.is_some_and(|(client, _)| client == id) {
                    *owner = None;
                    service.departures.clients |= 1 << at;
                }
            }
            if service.departures != Departures::default() {
                tell(&self.entries, spec);
            }
        }
    }

    /// Lets a server know that the call of who has an end of a channel is over, though it was not answered.
    pub fn call_is_over(&mut self, server: usize, end: (u64, usize)) {
        let Some(service) = self.services.get_mut(server).and_then(Option::as_mut) else { return };
        let mut places = service.roles.iter().flat_map(|role| &role.places);
        if let Some(at) = places.position(|(owner, _)| *owner == Some(end)) {
            service.departures.calls |= 1 << at;
            tell(&self.entries, server);
        }
    }

    /// A component does not wait for the end of a program any more.
    pub fn stop_waiting(&mut self, id: u64) {
        for entry in &mut self.entries {
            entry.waiters.retain(|w| w.id != id);
        }
    }

    /// A file of the archive.
    pub fn file(&self, name: &str) -> Option<&'static [u8]> {
        self.archive.file(name)
    }

    /// What has become of a server's clients and of their calls since it last asked.
    pub fn departures(&mut self, id: u64) -> Departures {
        let spec = self.find(id).map(|index| self.entries[index].spec);
        let service = spec.and_then(|spec| self.services[spec].as_mut());
        service.map(|service| core::mem::take(&mut service.departures)).unwrap_or_default()
    }

    /// Starts a program; returns its number.
    pub fn run(&mut self, program: &str, args: Vec<String>) -> Result<u64, ControlError> {
        let mut components = self.description().components.iter().map(|c| &c.settings);
        let spec = components.position(|c| *c.name == *program && c.start == Start::Demand);
        let spec = spec.ok_or(ControlError::NoSuchProgram)?;
        let most = self.description().components[spec].settings.instances.map_or(usize::MAX, usize::from);
        if self.entries.iter().filter(|e| e.spec == spec).count() >= most {
            return Err(ControlError::TooMany);
        }
        let taken = |name: &str| self.entries.iter().any(|e| e.name == name);
        let numbered = (2..).map(|n| format!("{program}-{n}"));
        let mut names = core::iter::once(program.to_string()).chain(numbered);
        let name = names.find(|name| !taken(name)).ok_or(ControlError::NoResources)?;
        let index = self.add(name, spec, args);
        match self.start(index) {
            Ok(()) => {
                self.unearth(spec);
                Ok(self.entries[index].id)
            }
            Err(error) => {
                self.entries.remove(index);
                Err(if matches!(error, StartError::TooLong) {
                    ControlError::TooLong
                } else {
                    ControlError::NoResources
                })
            }
        }
    }

    /// Waits for the end of a program.
    pub fn wait(&mut self, caller: u64, id: u64, later: Later<Result<Ending, ControlError>>) {
        if let Some(at) = self.endings.iter().position(|(ended, _)| *ended == id) {
            if let Some((_, ending)) = self.endings.remove(at) {
                later.answer(&Ok(ending));
            }
        } else if let Some(entry) = self.entries.iter_mut().find(|e| e.id == id) {
            // Who asks again has given up what it asked before.
            entry.waiters.retain(|w| w.later.is_owed());
            entry.waiters.push(Waiter { id: caller, later });
        } else {
            later.answer(&Err(ControlError::NoSuchComponent));
        }
    }

    /// Kills a component.
    pub fn kill(&mut self, name: &str) -> Result<(), ControlError> {
        if name == "init" {
            return Err(ControlError::Essential);
        }
        let index = self.entries.iter().position(|e| e.name == name).ok_or(ControlError::NoSuchComponent)?;
        if self.entries[index].live.is_none() {
            return Err(ControlError::NotRunning);
        }
        self.end(index, Ending { state: State::Killed, status: 0 });
        Ok(())
    }

    /// Ends the program of a number, or with 0 the programs that somebody waits for. Services are not ended that way.
    pub fn interrupt(&mut self, program: u64) {
        let is_meant = |e: &Entry| if program == 0 { !e.waiters.is_empty() } else { e.id == program };
        let is_due = |e: &Entry| is_meant(e) && self.spec(e).settings.start == Start::Demand;
        let ids: Vec<_> = self.entries.iter().filter(|e| is_due(e)).map(|e| e.id).collect();
        while let Some(index) = self.entries.iter().position(|e| ids.contains(&e.id)) {
            self.end(index, Ending { state: State::Killed, status: 0 });
        }
    }

    /// The component of a number, if it runs.
    pub fn find(&self, id: u64) -> Option<usize> {
        self.entries.iter().position(|e| e.id == id && e.live.is_some())
    }

    /// A component wants more memory for its heap; returns the answer.
    pub fn grow(&mut self, id: u64, bytes: u64) -> Message {
        let index = self.find(id);
        let live = index.and_then(|index| self.entries[index].live.as_mut());
        match live.map(|live| live.grow(bytes)) {
            Some(Ok((address, bytes))) => Message::new(0, [address, bytes]),
            // It has used what its description gives it. What the allocator makes of that is its own business.
            Some(Err(_)) | None => CallError::Dropped.message(),
        }
    }

    /// A component exits by itself.
    pub fn exited(&mut self, id: u64, status: u64) {
        if let Some(index) = self.find(id) {
            self.end(index, Ending { state: State::Exited, status });
        }
    }

    /// A component has faulted.
    pub fn faulted(&mut self, index: usize, fault: Option<&Fault>) {
        if let Some(live) = &self.entries[index].live {
            let cause = report::cause(fault, live);
            self.report(index, &cause);
        }
        self.end(index, Ending { state: State::Faulted, status: 0 });
    }

    /// Says that a component dies, and of what.
    pub fn report(&mut self, index: usize, what: &str) {
        let program = self.spec(&self.entries[index]).settings.program();
        let functions = self.archive.file(&format!("{program}{}", symbols::SUFFIX)).and_then(Functions::open);
        let entry = &self.entries[index];
        if let Some(live) = &entry.live {
            report::death(&entry.name, what, live, functions, &mut self.memory);
        }
    }

    /// Microseconds of processor time that a component has used.
    pub fn cpu_us(&mut self, index: usize) -> u64 {
        let entry = &mut self.entries[index];
        if let Some(live) = &entry.live {
            // A count that cannot be read stays as it is.
            entry.cpu_us += live.sched_context.consumed().unwrap_or(0);
        }
        entry.cpu_us
    }

    /// Takes a component apart; returns who waits for its end.
    fn stop(&mut self, index: usize, state: State) -> Vec<Waiter> {
        self.cpu_us(index);
        let entry = &mut self.entries[index];
        entry.state = state;
        let id = entry.id;
        let waiters = core::mem::take(&mut entry.waiters);
        if let Some(live) = entry.live.take() {
            if live.log_signal.is_some() {
                output::drain();
            }
            live.dismantle(&mut self.memory);
        }
        self.leave_services(id);
        waiters
    }

    /// Takes a component apart, and does what its description says comes then.
    pub fn end(&mut self, index: usize, ending: Ending) {
        let (id, spec) = (self.entries[index].id, self.entries[index].spec);
        let waiters = self.stop(index, ending.state);
        let answered = waiters.iter().any(|w| w.later.is_owed());
        waiters.into_iter().for_each(|w| w.later.answer(&Ok(ending.clone())));
        if self.archive.system().components[spec].settings.start == Start::Boot {
            let why = match ending {
                Ending { state: State::Killed, .. } => Why::Operator,
                Ending { state: State::Exited, status: 0 } => Why::Done,
                _ => Why::Failed,
            };
            self.follow(index, why);
            return;
        }
        self.entries.remove(index);
        if self.services[spec].is_some() && self.is_gone(spec) {
            self.bury(spec);
        }
        if !answered {
            self.endings.push_back((id, ending));
            if self.endings.len() > ENDINGS {
                self.endings.pop_front();
            }
        }
    }

    /// Does what a component's policy says comes after its end.
    fn follow(&mut self, index: usize, why: Why) {
        let now = self.clock.now();
        let mut why = why;
        loop {
            let entry = &mut self.entries[index];
            match entry.watch.ended(why, now) {
                Next::Stay => break,
                Next::Start => {
                    if self.restart(index) {
                        return;
                    }
                    // That it cannot be started is a failure, too.
                    why = Why::Failed;
                }
                Next::StartAt(until) => {
                    entry.state = State::BackOff;
                    say!("*** {} is started again in {} ms", entry.name, (until - now) / 1000);
                    self.clock.arm(true);
                    return;
                }
                Next::GiveUp => {
                    entry.state = State::Failed;
                    let failures = entry.watch.failures();
                    say!("*** {} failed {failures} times in a row and is given up", entry.name);
                    if self.on_give_up(index) {
                        return;
                    }
                    break;
                }
            }
        }
        self.bury(self.entries[index].spec);
        self.keep_way_back();
        self.clock.arm(true);
    }

    /// Does what a component's description says comes when it is given up; returns whether it runs again.
    fn on_give_up(&mut self, index: usize) -> bool {
        match self.spec(&self.entries[index]).settings.on_give_up.clone() {
            OnGiveUp::Stay => false,
            OnGiveUp::Reboot => {
                self.reboot();
                false
            }
            OnGiveUp::Restart(names) => {
                // Once: what does not help would be done for ever.
                if !self.entries[index].watch.ask_for_help() {
                    return false;
                }
                for name in names {
                    let Some(other) = self.entries.iter().position(|e| *e.name == *name) else { continue };
                    if self.entries[other].live.is_some() {
                        self.end(other, Ending { state: State::Killed, status: 0 });
                    } else if self.start_with_servers(other).is_err() {
                        say!("*** {name} cannot be started for it");
                    }
                }
                self.restart(index)
            }
        }
    }

    /// Starts a component again; returns whether it runs.
    fn restart(&mut self, index: usize) -> bool {
        let entry = &mut self.entries[index];
        entry.restarts += 1;
        say!("*** {} is started again", entry.name);
        let runs = self.start(index).is_ok();
        if runs {
            self.end_calls(index);
        }
        runs
    }

    /// The clock has ticked: does what is due, and lets it stand still if nothing is to come.
    pub fn tick(&mut self) {
        let now = self.clock.now();
        while let Some(index) = self.entries.iter().position(|e| e.watch.due(now)) {
            if !self.restart(index) {
                self.follow(index, Why::Failed);
            }
        }
        self.look_at_pulses(now);
        if self.rescue.is_open() {
            self.rescue();
        }
        self.end_limited(None);
        let limits = |e: &Entry| e.live.as_ref().is_some_and(|live| live.limits.iter().any(Limit::is_timed));
        let waits = |e: &Entry| matches!(e.watch.health(), Health::BackOff { .. }) || limits(e);
        let all_said = output::flush();
        let ticks = |e: &Entry| waits(e) || pulse::is_watched(e);
        self.clock.arm(!all_said || self.rescue.is_open() || self.entries.iter().any(ticks));
    }

    /// Starts a component that does not run, because an operator says so, and before it the servers that it uses.
    pub fn start_by_name(&mut self, name: &str) -> Result<(), ControlError> {
        let index = self.entries.iter().position(|e| e.name == name).ok_or(ControlError::NoSuchComponent)?;
        if self.entries[index].live.is_some() {
            return Err(ControlError::Running);
        }
        self.start_with_servers(index)
    }

    fn start_with_servers(&mut self, index: usize) -> Result<(), ControlError> {
        let edges = self.description().channels_of(self.entries[index].spec);
        let servers: Vec<_> = edges
            .filter_map(|(_, edge)| match edge.server {
                Server::Component(server) => Some(usize::from(server)),
                Server::Init => None,
            })
            .collect();
        for server in servers {
            let stopped = self.entries.iter().position(|e| e.spec == server && e.live.is_none());
            // A description has no cycles of uses. A server that does not start leaves its client without it.
            if let Some(server) = stopped.filter(|server| *server != index) {
                let _ = self.start_with_servers(server);
            }
        }
        self.entries[index].watch.forgive();
        if self.start(index).is_err() {
            self.keep_way_back();
            return Err(ControlError::NoResources);
        }
        self.unearth(self.entries[index].spec);
        self.keep_way_back();
        Ok(())
    }

    /// Whether there is nobody to talk to: whoever shows the system log, or everybody who may start and end components,
    /// has ended for good.
    pub fn is_mute(&self) -> bool {
        let description = self.description();
        let all_gone = |is: &dyn Fn(usize) -> bool| {
            let mut those =
                self.entries.iter().filter(|e| self.spec(e).settings.start == Start::Boot && is(e.spec));
            let first = those.next();
            first.is_some() && first.into_iter().chain(those).all(|e| self.is_gone(e.spec))
        };
        all_gone(&|spec| description.components[spec].settings.log)
            || all_gone(&|spec| description.channels_of(spec).any(|(_, edge)| edge.server == Server::Init))
    }

    /// Ends who shows the system log, so that the serial port is the initial task's.
    pub fn clear_serial_port(&mut self) {
        if let Some(index) = self.entries.iter().position(|e| e.live.is_some() && self.spec(e).settings.log) {
            self.stop(index, State::Killed);
            self.entries[index].watch.give_up();
            self.bury(self.entries[index].spec);
        }
    }

    /// Restarts the machine.
    pub fn reboot(&mut self) {
        self.devices.reboot(&mut self.memory.cspace);
        say!("the machine cannot be restarted");
    }

    /// Ends the calls of a server's clients that its predecessor took with it.
    fn end_calls(&mut self, index: usize) {
        let (server, generation) = (self.entries[index].spec, self.entries[index].restarts);
        let again = self.entries[index].watch.failures() <= calls::AGAIN;
        let description = self.archive.system();
        for (live, cptrs, _, spec) in clients(&mut self.entries, description, server) {
            let elf = self.archive.file(&description.components[spec].settings.program());
            calls::end(live, &cptrs, elf, generation, again);
        }
    }

    /// Lets the clients of a server know that it does not come back: the initial task answers in its place.
    fn bury(&mut self, server: usize) {
        let endpoint = self.memory.slot_of(self.endpoint);
        for (live, cptrs, id, _) in clients(&mut self.entries, self.archive.system(), server) {
            for cptr in cptrs {
                let calling = live.is_calling(cptr);
                if let Err(error) = live.redirect(cptr, id, endpoint) {
                    say!("*** a client of a dead server cannot be told: {error}");
                } else if calling {
                    // As above: it makes its call again, and is answered.
                    let _ = live.tcb.resume();
                }
            }
        }
    }

    /// Lets the clients of a server that was started after all call it again.
    fn unearth(&mut self, server: usize) {
        let Some(service) = self.services[server].as_mut() else { return };
        let endpoint = self.memory.slot_of(service.endpoint);
        let description = self.archive.system();
        for (id, live) in self.entries.iter_mut().filter_map(|e| Some((e.id, e.live.as_mut()?))) {
            let ends: Vec<_> = live.channels().collect();
            for (number, cptr) in ends {
                let Some(edge) = description.channels.get(number) else { continue };
                if edge.server != Server::Component(server as u16) {
                    continue;
                }
                let Some(role) = service.roles.get_mut(usize::from(edge.server_role)) else { continue };
                let Some(place) = role.place((id, number), description.ring_place(number)) else {
                    say!("*** a client of a server that is back finds no place");
                    continue;
                };
                let badge = end_badge(description, edge, place, role);
                if let Err(error) = live.give_back_channel(cptr, badge, endpoint) {
                    say!("*** a client of a server that is back cannot reach it: {error}");
                }
            }
        }
    }

    /// Whether a server is gone and does not come back by itself.
    fn is_gone(&self, server: usize) -> bool {
        let started = self.entries.iter().find(|e| e.spec == server);
        // What is started when somebody asks for it is gone until then.
        let on_demand = self.description().components[server].settings.start == Start::Demand;
        started.map_or(on_demand, |e| matches!(e.watch.health(), Health::Ended | Health::Failed))
    }
}

/// Everybody who runs: what each is made of, where it has endpoints of a server, and its number.
fn clients<'a>(
    entries: &'a mut [Entry],
    description: &'a pecan_manifest::System,
    server: usize,
) -> impl Iterator<Item = (&'a mut Live, Vec<u64>, u64, usize)> {
    let to = Server::Component(server as u16);
    let leads_there = move |number: usize| description.channels.get(number).is_some_and(|c| c.server == to);
    let live = entries.iter_mut().filter_map(|entry| Some((entry.id, entry.spec, entry.live.as_mut()?)));
    live.map(move |(id, spec, live)| {
        let ends = live.channels().filter(|(number, _)| leads_there(*number));
        let cptrs = ends.map(|(_, cptr)| cptr).collect();
        (live, cptrs, id, spec)
    })
}

/// Signals a server, if it runs, that there is something to be told of its clients.
fn tell(entries: &[Entry], server: usize) {
    let live = entries.iter().find(|e| e.spec == server).and_then(|e| e.live.as_ref());
    if let Some(signal) = live.and_then(|live| live.gone_signal) {
        signal.signal();
    }
}
