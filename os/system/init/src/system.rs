//! The components of the system, and what becomes of them.

mod clients;
mod departures;
mod handover;
mod start;

use alloc::{
    borrow::Cow,
    collections::VecDeque,
    string::{String, ToString},
    vec::Vec,
};

use pecan::{
    Cap, Message,
    boot::{self, BootInfo},
    types::{Endpoint, Reply, SchedContext, SchedControl, SmallPage},
    vspace::PAGE_SIZE,
};
use pecan_manifest::{Archive, Server, Start};
use pecan_protocols::{Cause, Departures, Ending, Note, Remains, State, Wish};
use pecan_service::CallError;
use pecan_supervision::{BackOff, Health, Next, Pulse, Restart, Watch, Why};

use crate::{
    clock::Clock,
    devices::Devices,
    handle::{BACKLOG, INSTANCES, REPORTS},
    instance::Live,
    limits::Limit,
    log::LogPages,
    memory::Memory,
    output::{self, say},
    places::Role,
    pulse,
    report::Waiting,
    rescue::Rescue,
    revoker::Revoker,
    rings::Rings,
    sessions::Donor,
};
use handover::Change;

/// How many programs' ends are remembered for those who have yet to ask, or to ask again.
const ENDINGS: usize = 32;
/// The most wishes that wait for the supervisor.
const WISHES: usize = 16;
/// The initial task's own priority.
const PRIORITY: u8 = 255;
/// When parts of the system that fail again and again are started again: they are never given up.
const PARTS: BackOff = BackOff { first: 100_000, most: 10_000_000, calm: 30_000_000, failures: u32::MAX };

/// A component or a running program.
pub struct Entry {
    /// Its number; there is no other of that number, ever.
    pub id: u64,
    /// The name it runs under.
    pub name: String,
    /// Its place in the description.
    pub spec: usize,
    /// Which of the programs that its description lists it runs.
    pub program: u8,
    /// What it hands over to another program, while it does.
    pub handover: Option<Change>,
    /// What it is doing.
    pub state: State,
    /// Its status, if it has exited by itself.
    pub status: u64,
    /// Whether it was ever started.
    pub begun: bool,
    /// What it is made of, while it runs and until that is taken apart.
    pub live: Option<Live>,
    /// While it is being made, whether that counts as a restart.
    making: Option<bool>,
    /// Microseconds of processor time of all its lives.
    pub cpu_us: u64,
    /// How often it was started again.
    pub restarts: u64,
    /// What the supervisor wants to know of it.
    pub note: Note,
    /// When it is started again, for a part of the system; the supervisor decides for all others.
    watch: Option<Watch>,
    /// Whether it does what it should, while it runs.
    pub pulse: Pulse,
    args: Vec<String>,
}

/// What outlives a component that serves: its endpoint, and the places in its roles.
pub struct Service {
    /// Its endpoint.
    pub endpoint: Cap<Endpoint>,
    /// Its reply objects, in which callers wait for their answers.
    replies: Vec<Cap<Reply>>,
    /// The roles that it serves.
    pub roles: Vec<Role>,
    /// What the server is to be told of its clients when it asks.
    departures: Departures,
    /// Whether the initial task answers in its place.
    buried: bool,
}

/// The system.
pub struct System {
    /// The description, and the programs.
    pub archive: Archive<'static>,
    /// The machine's memory.
    pub memory: Memory,
    devices: Devices,
    /// The components, and the programs that run.
    pub entries: Vec<Entry>,
    /// For each component of the description that serves, its service.
    pub services: Vec<Option<Service>>,
    /// The rings between components.
    rings: Rings,
    /// Those who have memory for sessions, and their sessions.
    pub donors: Vec<Donor>,
    /// The number of the next session.
    pub next_session: u64,
    /// The places of those who have a channel to the initial task.
    own: Role,
    /// How the last programs ended.
    endings: VecDeque<(u64, Ending)>,
    /// What others than its clients want of the supervisor.
    pub wishes: VecDeque<Wish>,
    /// When the supervisor wants to be signalled, in microseconds; 0 for never.
    alarm: u64,
    /// Reports that the reporter has not done.
    pub reports: Waiting,
    /// The pages of the boot archive, and its bytes.
    archive_pages: (Vec<Cap<SmallPage>>, u64),
    /// The priority at which the initial task works just now.
    priority: u8,
    /// The initial task's own time.
    pub time: Cap<SchedContext>,
    /// Microseconds of processor time that the initial task has used.
    pub own_cpu_us: u64,
    log: LogPages,
    /// Which component of the description writes it.
    log_writer: Option<usize>,
    /// Whether the writer of the system log wants to be signalled by the clock.
    pub log_waits: bool,
    endpoint: Cap<Endpoint>,
    sched_control: Cap<SchedControl>,
    tsc_mhz: u64,
    next_id: u64,
    /// The time.
    pub clock: Clock,
    revoker: Revoker,
    /// The command line for when there is no other.
    pub rescue: Rescue,
}

impl System {
    /// The system of an archive; nothing runs yet.
    pub fn new(boot: &BootInfo, bytes: &'static [u8], archive: Archive<'static>) -> pecan::Result<Self> {
        let pages = (0..bytes.len())
            .step_by(PAGE_SIZE as usize)
            .map(|at| boot.image_frame(pecan_runtime::image_start(), bytes.as_ptr() as usize + at));
        let archive_pages = (pages.collect::<pecan::Result<_>>()?, bytes.len() as u64);
        let mut memory = Memory::new(boot)?;
        let mut devices = Devices::new(boot);
        let components = &archive.system().components;

        // The serial port is the console's, but until there is a console it shows what goes wrong.
        const COM1: u16 = 0x3f8;
        let described = components.iter().flat_map(|c| &c.settings.ports).find(|p| p.first == COM1);
        let last = described.map_or(COM1 + 7, |p| p.last);
        let serial = (devices.ports(&mut memory.cspace, COM1, last)?, COM1);
        output::set_serial(serial);

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
            let replies = (0..=component.clients()).map(|_| memory.objects().make::<Reply>());
            let replies = replies.collect::<pecan::Result<_>>()?;
            services.push(Some(Service {
                endpoint: memory.endpoint()?,
                replies,
                roles,
                departures: Departures::default(),
                buried: false,
            }));
        }
        let rings = Rings::new(archive.system(), &mut memory)?;
        let shows = components.iter().position(|component| component.settings.log);
        let shows = shows.and_then(|component| rings.signals(component));
        let log = LogPages::new(&mut memory, serial, shows)?;
        let log_writer = archive.system().log_writer();
        let tsc_mhz = boot.tsc_mhz().unwrap_or(1000).max(1).into();
        let sched_control = boot.sched_control(0)?;
        let root = memory.root();
        let clock = Clock::new(&mut memory, root, sched_control, tsc_mhz)?;
        let revoker = Revoker::new(&mut memory, sched_control)?;
        Ok(Self {
            endpoint: memory.endpoint()?,
            sched_control,
            tsc_mhz,
            clock,
            revoker,
            rescue: Rescue::default(),
            archive,
            memory,
            devices,
            entries: Vec::new(),
            services,
            rings,
            donors: Vec::new(),
            next_session: 0,
            own: Role::default(),
            endings: VecDeque::new(),
            wishes: VecDeque::new(),
            alarm: 0,
            reports: Waiting::default(),
            archive_pages,
            priority: PRIORITY,
            time: boot::SCHED_CONTEXT,
            own_cpu_us: 0,
            log,
            log_writer,
            log_waits: false,
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

    /// Starts the parts of the system.
    pub fn start_parts(&mut self) {
        for spec in 0..self.description().components.len() {
            let settings = &self.description().components[spec].settings;
            if settings.start == Start::Boot && self.description().is_part(spec) {
                let (name, args) = (settings.name.to_string(), settings.args.clone());
                let index = self.add(name, spec, args);
                // That it cannot be started is said, and the others can be.
                if self.start(index, false).is_err() {
                    self.follow(index, Why::Failed);
                }
            }
        }
    }

    /// Adds a component of the description, which does not run yet; returns its place in the list.
    pub fn add(&mut self, name: String, spec: usize, args: Vec<String>) -> usize {
        let is_part = self.description().is_part(spec);
        let expected = pulse::expected(&self.description().components[spec].settings);
        self.entries.push(Entry {
            id: self.next_id,
            name,
            spec,
            program: 0,
            handover: None,
            state: State::Failed,
            status: 0,
            begun: false,
            live: None,
            making: None,
            cpu_us: 0,
            restarts: 0,
            note: Note::default(),
            watch: is_part.then(|| Watch::new(Restart::Always, PARTS)),
            pulse: Pulse::new(expected, 0),
            args,
        });
        self.next_id += 1;
        self.entries.len() - 1
    }

    /// The name in the archive of the program that an entry runs.
    pub fn program_of(&self, entry: &Entry) -> Option<Cow<'_, str>> {
        self.description().program(entry.spec, entry.program)
    }

    /// A file of the archive.
    pub fn file(&self, name: &str) -> Option<&'static [u8]> {
        self.archive.file(name)
    }

    /// Keeps what the supervisor noted of a component. Who has ended for good is gone for its clients.
    pub fn note(&mut self, id: u64, state: State, note: Note) {
        let Some(index) = self.entries.iter().position(|e| e.id == id && e.watch.is_none()) else { return };
        let entry = &mut self.entries[index];
        if entry.state != State::Running && state != State::Running {
            entry.state = state;
        }
        let ends = note.for_good && !entry.note.for_good;
        entry.note = note;
        if ends {
            self.bury(self.entries[index].spec);
            self.keep_way_back();
        }
    }

    /// How a program ended, if that was not long ago.
    pub fn ending_of(&self, id: u64) -> Option<Ending> {
        self.endings.iter().find(|(ended, _)| *ended == id).map(|(_, ending)| ending.clone())
    }

    /// Takes a program that does not run off the list.
    pub fn remove_program(&mut self, id: u64) {
        self.end_handover(id);
        let is_over = |e: &Entry| e.id == id && e.live.is_none() && e.watch.is_none();
        let Some(index) = self.entries.iter().position(is_over) else { return };
        let Entry { spec, state, status, begun, .. } = self.entries.remove(index);
        if self.services[spec].is_some() && self.is_gone(spec) {
            self.bury(spec);
        }
        if begun {
            self.endings.push_back((id, Ending { state, status }));
            if self.endings.len() > ENDINGS {
                self.endings.pop_front();
            }
        }
    }

    /// Tells the supervisor what somebody wants of it.
    pub fn wish(&mut self, wish: Wish) {
        if self.wishes.len() < WISHES {
            self.wishes.push_back(wish);
        }
        self.signal(INSTANCES);
    }

    /// Signals the part of the system that is connected to one of the initial task's roles.
    fn signal(&self, role: &str) {
        let description = self.description();
        let Some(role) = description.init.served(role) else { return };
        let part = description.channels.iter().find(|c| c.server == Server::Init && c.server_role == role);
        let entry = part.and_then(|part| self.entries.iter().find(|e| e.spec == usize::from(part.client)));
        let live = entry.filter(|entry| entry.state == State::Running).and_then(|entry| entry.live.as_ref());
        if let Some(signal) = live.and_then(|live| live.init_signal) {
            signal.signal();
        }
    }

    /// Signals the supervisor at a time; never for 0.
    pub fn set_alarm(&mut self, at: u64) {
        self.alarm = at;
        self.clock.arm(at != 0 || self.has_to_tick());
    }

    /// The priority of a component that runs.
    pub fn priority_of(&self, id: u64) -> u8 {
        self.find(id).map_or(PRIORITY, |index| self.spec(&self.entries[index]).settings.priority)
    }

    /// Does something that takes long, at the priority of who asks for it.
    pub fn at_priority<R>(&mut self, priority: u8, action: impl FnOnce(&mut Self) -> R) -> R {
        // Its own priority is at most its own maximum: this does not fail, and if it did, it would do its work.
        let before = core::mem::replace(&mut self.priority, priority);
        let _ = boot::TCB.set_priority(boot::TCB, priority);
        let result = action(self);
        self.priority = before;
        let _ = boot::TCB.set_priority(boot::TCB, before);
        result
    }

    /// The component of a number, if it runs.
    pub fn find(&self, id: u64) -> Option<usize> {
        self.entries.iter().position(|e| e.id == id && e.state == State::Running)
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

    /// Ends a component that has failed, after taking down of what, with the registers of one of its threads.
    pub fn fail(&mut self, index: usize, thread: u16, cause: Cause, message: &[u64]) {
        let entry = &self.entries[index];
        let program = self.archive.system().program(entry.spec, entry.program).unwrap_or_default();
        if let Some(live) = &entry.live {
            let died = (live, thread);
            self.reports.take_down((&entry.name, &program), (cause, message), died, &mut self.memory);
        }
        self.signal(REPORTS);
        self.end(index, Ending { state: State::Faulted, status: 0 });
    }

    /// Microseconds of processor time that a component has used.
    pub fn cpu_us(&mut self, index: usize) -> u64 {
        let entry = &mut self.entries[index];
        if let Some(live) = &entry.live {
            // A count that cannot be read stays as it is.
            entry.cpu_us += live.times().map(|time| time.consumed().unwrap_or(0)).sum::<u64>();
        }
        entry.cpu_us
    }

    /// Ends a component that runs. What it is made of stays until somebody takes it apart.
    fn stop(&mut self, index: usize, ending: &Ending) {
        self.cpu_us(index);
        let entry = &mut self.entries[index];
        (entry.state, entry.status) = (ending.state, ending.status);
        let id = entry.id;
        if let Some(live) = &entry.live {
            live.stop();
        }
        let spec = entry.spec;
        if self.log_writer == Some(spec) {
            output::set_log(None);
        } else if self.archive.system().components[spec].settings.log {
            self.signal(BACKLOG);
        }
        self.leave_services(id);
        self.leave_sessions(id);
    }

    /// Takes a component apart that does not run, by so much that it takes a bounded time; returns what is left of it.
    pub fn clear(&mut self, index: usize) -> Remains {
        self.settle_sessions(|_| false);
        let entry = &mut self.entries[index];
        if entry.making.take().is_some() {
            let id = entry.id;
            self.leave_services(id);
            self.leave_sessions(id);
        }
        let Some(live) = &mut self.entries[index].live else { return Remains::Nothing };
        // What it has made comes first: where the last names of that are deleted, it is.
        if let Some(piece) = live.children().pop() {
            if !self.revoker.revoke(piece.untyped().cptr()) {
                live.children().push(piece);
                return Remains::Others;
            }
            self.memory.give_back_pieces(alloc::vec![piece]);
            return Remains::Something;
        }
        if !live.shrink() {
            return Remains::Something;
        }
        if let Some(live) = self.entries[index].live.take() {
            live.dismantle(&mut self.memory);
        }
        Remains::Nothing
    }

    /// Takes a component apart that does not run, however long that takes.
    fn clear_all(&mut self, index: usize) {
        loop {
            let children = self.entries[index].live.as_mut().map(|live| core::mem::take(live.children()));
            self.memory.give_back_pieces(children.unwrap_or_default());
            if self.clear(index) == Remains::Nothing {
                return;
            }
        }
    }

    /// Ends a component that runs. The supervisor does what its description says comes then; a part of the system is started
    /// again.
    pub fn end(&mut self, index: usize, ending: Ending) {
        self.stop(index, &ending);
        if self.entries[index].watch.is_none() {
            self.signal(INSTANCES);
            return;
        }
        let priority = self.spec(&self.entries[index]).settings.priority;
        let why = if ending.state == State::Killed { Why::Operator } else { Why::Failed };
        self.at_priority(priority, |system| {
            // It is a few steps: a part of the system is small.
            system.clear_all(index);
            system.follow(index, why);
        });
    }

    /// Does what comes after the end of a part of the system.
    fn follow(&mut self, index: usize, why: Why) {
        let now = self.clock.now();
        let mut why = why;
        while let Some(watch) = &mut self.entries[index].watch {
            match watch.ended(why, now) {
                Next::Start => {
                    if self.restart(index) {
                        return;
                    }
                    // That it cannot be started is a failure, too.
                    why = Why::Failed;
                }
                Next::StartAt(until) => {
                    let entry = &mut self.entries[index];
                    entry.state = State::BackOff;
                    entry.note.until = until;
                    say!("*** {} is started again in {} ms", entry.name, (until - now) / 1000);
                    break;
                }
                // Parts are never given up.
                Next::Stay | Next::GiveUp => break,
            }
        }
        self.clock.arm(true);
    }

    /// Starts a part of the system again; returns whether it runs.
    fn restart(&mut self, index: usize) -> bool {
        say!("*** {} is started again", self.entries[index].name);
        self.start(index, true).is_ok()
    }

    /// The clock has ticked: does what is due, and lets it stand still if nothing is to come.
    pub fn tick(&mut self) {
        let now = self.clock.now();
        let is_due = |e: &Entry| e.watch.is_some_and(|watch| watch.due(now));
        while let Some(index) = self.entries.iter().position(is_due) {
            if !self.restart(index) {
                self.follow(index, Why::Failed);
            }
        }
        self.look_at_pulses(now);
        if self.alarm != 0 && self.alarm <= now {
            self.alarm = 0;
            self.signal(INSTANCES);
        }
        if self.rescue.is_open() {
            self.rescue();
        }
        self.end_limited(None);
        self.look_at_sessions(now);
        if core::mem::take(&mut self.log_waits) {
            self.signal(BACKLOG);
        }
        self.clock.arm(self.has_to_tick());
    }

    /// Whether there is something to wait for.
    fn has_to_tick(&self) -> bool {
        let waits = |e: &Entry| e.watch.is_some_and(|w| matches!(w.health(), Health::BackOff { .. }));
        let limits = |e: &Entry| e.live.as_ref().is_some_and(|live| live.limits.iter().any(Limit::is_timed));
        let ticks = |e: &Entry| waits(e) || limits(e) || pulse::is_watched(e);
        self.alarm != 0
            || self.log_waits
            || self.rescue.is_open()
            || self.donors.iter().any(Donor::waits)
            || self.entries.iter().any(ticks)
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
        // Who may start and end components does so through the supervisor, which is always there.
        let supervisors = |spec: usize| {
            let role = description.init.served(INSTANCES);
            let mut channels = description.channels_of(spec);
            channels.any(|(_, c)| c.server == Server::Init && Some(c.server_role) == role)
        };
        let controls = |spec: usize| {
            let mut channels = description.channels_of(spec);
            channels.any(|(_, c)| matches!(c.server, Server::Component(s) if supervisors(s.into())))
        };
        all_gone(&|spec| description.components[spec].settings.log) || all_gone(&controls)
    }

    /// Ends who shows the system log, so that the serial port is the initial task's.
    pub fn clear_serial_port(&mut self) {
        let shows_log = |e: &Entry| e.state == State::Running && self.spec(e).settings.log;
        if let Some(index) = self.entries.iter().position(shows_log) {
            self.stop(index, &Ending { state: State::Killed, status: 0 });
            self.entries[index].note.for_good = true;
            self.bury(self.entries[index].spec);
            // It is taken apart by the supervisor.
            self.signal(INSTANCES);
        }
    }

    /// Restarts the machine.
    pub fn reboot(&mut self) {
        self.devices.reboot(&mut self.memory.cspace);
        say!("the machine cannot be restarted");
    }

    /// Whether a server is gone and does not come back by itself.
    fn is_gone(&self, server: usize) -> bool {
        let started = self.entries.iter().find(|e| e.spec == server);
        // What is started when somebody asks for it is gone until then.
        let on_demand = self.description().components[server].settings.start == Start::Demand;
        started.map_or(on_demand, |e| e.note.for_good)
    }
}
