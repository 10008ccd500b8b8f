//! The components of the system, and what becomes of them.

use alloc::{
    collections::VecDeque,
    format,
    string::{String, ToString},
    vec::Vec,
};

use pecan::{
    Cap,
    boot::BootInfo,
    fault::Fault,
    types::{Endpoint, SchedControl, SmallPage},
    vspace::PAGE_SIZE,
};
use pecan_manifest::{Archive, Server, Start, layout};
use pecan_protocols::{ControlError, Ending, State};
use pecan_service::{
    Later,
    shared::{Ring, Shared},
    ticks,
};

use crate::{
    devices::Devices,
    instance::{self, Channel, Given, Live, StartError, restarts},
    memory::Memory,
    output::{self, say},
    report,
};

/// How often a component is started again within [`RESTART_SECONDS`] before it is given up.
const RESTARTS: usize = 5;
/// See [`RESTARTS`].
const RESTART_SECONDS: u64 = 10;
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
    /// When it was started again, in seconds.
    restarted_at: VecDeque<u64>,
    /// Who waits for its end.
    pub waiters: Vec<Waiter>,
}

/// A component that waits for the end of a program.
pub struct Waiter {
    id: u64,
    later: Later<Result<Ending, ControlError>>,
}

/// A service, which outlives the component that offers it.
struct Service {
    endpoint: Cap<Endpoint>,
    pages: Vec<Cap<SmallPage>>,
    /// For each place the client that has it, and how many had it before.
    places: Vec<(Option<u64>, u64)>,
    /// The places that have lost their client since the server last asked, a bit each.
    departed: u64,
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
    /// Ends of programs nobody has asked for yet.
    endings: VecDeque<(u64, Ending)>,
    /// Microseconds of processor time that the initial task has used.
    pub own_cpu_us: u64,
    log: Vec<Cap<SmallPage>>,
    endpoint: Cap<Endpoint>,
    sched_control: Cap<SchedControl>,
    tsc_mhz: u64,
    next_id: u64,
}

impl System {
    /// The system of an archive; nothing runs yet.
    pub fn new(boot: &BootInfo, archive: Archive<'static>) -> pecan::Result<Self> {
        let mut memory = Memory::new(boot)?;
        let mut devices = Devices::new(*boot);
        let components = &archive.system().components;

        // The serial port is the console's, but until there is a console it shows what goes wrong.
        const COM1: u16 = 0x3f8;
        let com1 = pecan_manifest::Ports { name: String::new(), first: COM1, last: COM1 + 7 };
        let ports = components.iter().flat_map(|c| &c.ports).find(|p| p.first == COM1).unwrap_or(&com1);
        output::set_serial(devices.ports(&mut memory.cspace, ports)?, COM1);

        let (log_address, first) = memory.map_own(layout::LOG_SIZE)?;
        let log = (0..layout::LOG_SIZE / PAGE_SIZE).map(|n| Cap::new(first.cptr() + n)).collect();
        // SAFETY: the pages were mapped for this just now, stay mapped, and are reached in no other way.
        let shared = unsafe { Shared::new(log_address as usize, layout::LOG_SIZE as usize) };
        if let Some(ring) = Ring::new(shared) {
            output::set_ring(ring);
        }

        let mut services = Vec::new();
        for component in components {
            let Some(service) = &component.serves else {
                services.push(None);
                continue;
            };
            let count = if service.pages { service.clients } else { 0 };
            let mut pages = Vec::new();
            for _ in 0..count {
                pages.push(memory.objects().make::<SmallPage>()?);
            }
            let places = (0..service.clients).map(|_| (None, 0)).collect();
            services.push(Some(Service { endpoint: memory.endpoint()?, pages, places, departed: 0 }));
        }
        Ok(Self {
            endpoint: memory.endpoint()?,
            sched_control: boot.sched_control(0)?,
            tsc_mhz: boot.tsc_mhz().unwrap_or(1000).max(1).into(),
            archive,
            memory,
            devices,
            entries: Vec::new(),
            services,
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
            let component = &self.description().components[spec];
            if component.start == Start::Boot {
                let (name, args) = (component.name.clone(), component.args.clone());
                let index = self.add(name, spec, args);
                // That it cannot be started is said, and the others can be.
                let _ = self.start(index);
            }
        }
    }

    fn add(&mut self, name: String, spec: usize, args: Vec<String>) -> usize {
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
            restarted_at: VecDeque::new(),
            waiters: Vec::new(),
        });
        self.next_id += 1;
        self.entries.len() - 1
    }

    /// Starts the component of an entry.
    fn start(&mut self, index: usize) -> Result<(), StartError> {
        let result = self.try_start(index);
        let entry = &mut self.entries[index];
        match result {
            Ok(live) => {
                entry.state = State::Running;
                if let Some(signal) = live.log_signal {
                    output::set_console(Some(signal));
                }
                entry.live = Some(live);
                Ok(())
            }
            Err(error) => {
                entry.state = State::Failed;
                say!("*** {} cannot be started: {error}", entry.name);
                self.leave_services(self.entries[index].id);
                Err(error)
            }
        }
    }

    fn try_start(&mut self, index: usize) -> Result<Live, StartError> {
        let entry = &self.entries[index];
        let id = entry.id;
        let component = &self.archive.system().components[entry.spec];
        let elf = self.archive.file(&component.program);
        let elf = elf.ok_or(StartError::Program("is not in the archive"))?;
        let mut channels = Vec::new();
        for channel in &component.uses {
            let protocol = channel.protocol.clone();
            let server = match channel.server {
                Server::Init => {
                    channels.push(Channel { protocol, endpoint: self.endpoint, badge: id, page: None });
                    continue;
                }
                Server::Component(server) => usize::from(server),
            };
            if self.is_gone(server) {
                let badge = instance::GONE | id;
                channels.push(Channel { protocol, endpoint: self.endpoint, badge, page: None });
                continue;
            }
            let service = self.services.get_mut(server).and_then(Option::as_mut);
            let service = service.ok_or_else(|| StartError::NoPlace(protocol.clone()))?;
            let place = service.place(id).ok_or_else(|| StartError::NoPlace(protocol.clone()))?;
            let page = service.pages.get(place).copied();
            if let Some(page) = page {
                // Nothing is left of who had the place before.
                self.memory.with_mapped_frame(page, |bytes| bytes.fill(0))?;
            }
            let badge = service.places[place].1 << 16 | place as u64;
            channels.push(Channel { protocol, endpoint: service.endpoint, badge, page });
        }
        let service = self.services[entry.spec].as_mut().map(|s| {
            // What its predecessor owed is not its business.
            s.departed = 0;
            (s.endpoint, s.pages.clone())
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
            log: component.log.then(|| self.log.clone()),
        };
        instance::start(component, &given, &mut self.memory, &mut self.devices)
    }

    /// Takes a component's places at its servers away, and lets the servers know.
    fn leave_services(&mut self, id: u64) {
        for entry in &mut self.entries {
            entry.waiters.retain(|w| w.id != id);
        }
        for (spec, service) in self.services.iter_mut().enumerate() {
            let Some(service) = service else { continue };
            for (at, (owner, _)) in service.places.iter_mut().enumerate() {
                if *owner == Some(id) {
                    *owner = None;
                    service.departed |= 1 << at;
                }
            }
            let server = self.entries.iter().find(|e| e.spec == spec).and_then(|e| e.live.as_ref());
            if let Some(signal) = server.and_then(|live| live.gone_signal).filter(|_| service.departed != 0) {
                signal.signal();
            }
        }
    }

    /// The places of a server that have lost their client since it last asked.
    pub fn departures(&mut self, id: u64) -> u64 {
        let spec = self.find(id).map(|index| self.entries[index].spec);
        let service = spec.and_then(|spec| self.services[spec].as_mut());
        service.map_or(0, |service| core::mem::take(&mut service.departed))
    }

    /// Starts a program; returns its number.
    pub fn run(&mut self, program: &str, args: Vec<String>) -> Result<u64, ControlError> {
        let components = &self.description().components;
        let spec = components.iter().position(|c| c.name == program && c.start == Start::Demand);
        let spec = spec.ok_or(ControlError::NoSuchProgram)?;
        let taken = |name: &str| self.entries.iter().any(|e| e.name == name);
        let numbered = (2..).map(|n| format!("{program}-{n}"));
        let mut names = core::iter::once(program.to_string()).chain(numbered);
        let name = names.find(|name| !taken(name)).ok_or(ControlError::NoResources)?;
        let index = self.add(name, spec, args);
        match self.start(index) {
            Ok(()) => Ok(self.entries[index].id),
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
                later.answer(Ok(&ending));
            }
        } else if let Some(entry) = self.entries.iter_mut().find(|e| e.id == id) {
            // Who asks again has given up what it asked before.
            entry.waiters.retain(|w| w.later.is_owed());
            entry.waiters.push(Waiter { id: caller, later });
        } else {
            later.answer(Err(ControlError::NoSuchComponent));
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

    /// Ends the programs that somebody waits for.
    pub fn interrupt(&mut self) {
        while let Some(index) = self.entries.iter().position(|e| !e.waiters.is_empty()) {
            self.end(index, Ending { state: State::Killed, status: 0 });
        }
    }

    /// The component of a number, if it runs.
    pub fn find(&self, id: u64) -> Option<usize> {
        self.entries.iter().position(|e| e.id == id && e.live.is_some())
    }

    /// A component exits by itself.
    pub fn exited(&mut self, id: u64, status: u64) {
        if let Some(index) = self.find(id) {
            self.end(index, Ending { state: State::Exited, status });
        }
    }

    /// A component has faulted.
    pub fn faulted(&mut self, id: u64, fault: Option<&Fault>) {
        let Some(index) = self.find(id) else { return };
        let program = &self.spec(&self.entries[index]).program;
        let elf = self.archive.file(program);
        let entry = &self.entries[index];
        if let Some(live) = &entry.live {
            report::fault(&entry.name, fault, live, elf, &mut self.memory);
        }
        self.end(index, Ending { state: State::Faulted, status: 0 });
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

    /// Takes a component apart, and does what its description says comes then.
    fn end(&mut self, index: usize, ending: Ending) {
        self.cpu_us(index);
        let entry = &mut self.entries[index];
        let (id, spec) = (entry.id, entry.spec);
        entry.state = ending.state;
        let waiters = core::mem::take(&mut entry.waiters);
        if let Some(live) = entry.live.take() {
            if live.log_signal.is_some() {
                output::drain();
            }
            live.dismantle(&mut self.memory);
        }
        let answered = waiters.iter().any(|w| w.later.is_owed());
        self.leave_services(id);
        waiters.into_iter().for_each(|w| w.later.answer(Ok(&ending)));
        let component = &self.archive.system().components[spec];
        if component.start == Start::Boot {
            if restarts(component.restart, ending.state == State::Exited) {
                self.restart(index);
            }
            if self.entries[index].live.is_none() {
                self.bury(spec);
            }
            return;
        }
        self.entries.remove(index);
        if !answered {
            self.endings.push_back((id, ending));
            if self.endings.len() > ENDINGS {
                self.endings.pop_front();
            }
        }
    }

    /// Starts a component again, unless that happens too often.
    fn restart(&mut self, index: usize) {
        let seconds = ticks() / (self.tsc_mhz * 1_000_000);
        let entry = &mut self.entries[index];
        entry.restarted_at.retain(|at| seconds.saturating_sub(*at) < RESTART_SECONDS);
        if entry.restarted_at.len() >= RESTARTS {
            entry.state = State::Failed;
            say!("*** {} died {RESTARTS} times in {RESTART_SECONDS} s and is given up", entry.name);
            return;
        }
        entry.restarted_at.push_back(seconds);
        entry.restarts += 1;
        let spec = entry.spec;
        say!("*** {} is started again", entry.name);
        if self.start(index).is_ok() {
            self.call_again(spec);
        }
    }

    /// Lets those clients of a server call again whose calls its predecessor took with it. They are stopped in the
    /// middle of a call; a thread that is resumed there makes it once more.
    fn call_again(&mut self, server: usize) {
        for (live, cptr, _) in clients(&mut self.entries, self.archive.system(), server) {
            if live.is_calling(cptr) {
                // A thread that runs, or waits to be received, is none the worse for it.
                let _ = live.tcb.resume();
            }
        }
    }

    /// Lets the clients of a server know that it does not come back: the initial task answers in its place.
    fn bury(&mut self, server: usize) {
        let endpoint = self.memory.slot_of(self.endpoint);
        for (live, cptr, id) in clients(&mut self.entries, self.archive.system(), server) {
            let calling = live.is_calling(cptr);
            if let Err(error) = live.redirect(cptr, id, endpoint) {
                say!("*** a client of a dead server cannot be told: {error}");
            } else if calling {
                // As above: it makes its call again, and is answered.
                let _ = live.tcb.resume();
            }
        }
    }

    /// Whether a server is gone and does not come back.
    fn is_gone(&self, server: usize) -> bool {
        let started = self.entries.iter().find(|e| e.spec == server);
        started.is_some_and(|e| e.live.is_none())
    }
}

/// The clients of a server: what each is made of, where it has the server's endpoint, and its number.
fn clients<'a>(
    entries: &'a mut [Entry],
    description: &'a pecan_manifest::System,
    server: usize,
) -> impl Iterator<Item = (&'a mut Live, u64, u64)> {
    let to = Server::Component(server as u16);
    entries.iter_mut().filter_map(move |entry| {
        let id = entry.id;
        let live = entry.live.as_mut()?;
        let channel = description.components[entry.spec].uses.iter().find(|c| c.server == to)?;
        let cptr = live.channel(&channel.protocol)?;
        Some((live, cptr, id))
    })
}

impl Service {
    /// The place of a client: the one it has, or a free one.
    fn place(&mut self, id: u64) -> Option<usize> {
        if let Some(at) = self.places.iter().position(|(owner, _)| *owner == Some(id)) {
            return Some(at);
        }
        let at = self.places.iter().position(|(owner, _)| owner.is_none())?;
        let (owner, generation) = &mut self.places[at];
        *owner = Some(id);
        *generation += 1;
        Some(at)
    }
}
