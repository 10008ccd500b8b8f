//! The initial task's own services: `control` for those whose description gives it to them, `supervisor` for all.

use alloc::{format, string::String, vec::Vec};

use pecan::{
    LongMessage, Message, boot,
    fault::Fault,
    startup::{CANCEL_LABEL, EXIT_LABEL, GROW_LABEL, LIMIT_LABEL},
};
use pecan_manifest::{Badge, INIT, IrqSource, Kind, Start};
use pecan_protocols::{
    Arguments, CapInfo, ComponentInfo, Control, ControlDispatch, ControlError, Departures, Ending, Granted,
    MemoryInfo, NAME_MAX, ProgramInfo, State, Supervisor, SupervisorDispatch,
};
use pecan_service::{Answered, CallError, Caller, Dispatch, Later, Refusal, Replies, Text, Writer};
use pecan_supervision::Health;

use crate::{
    output::say,
    system::{Entry, System},
};

/// The role of the initial task in which it is asked about components, and told to start and end them.
const CONTROL: &str = "control";
/// A longer line of a component in the system log is cut in two.
const LOG_LINE: usize = 400;

impl System {
    /// What a component of the description holds, with the names that the description has for it.
    fn named(&self, spec: usize, granted: Granted) -> CapInfo {
        let description = self.description();
        let settings = &description.components[spec].settings;
        let irq =
            |source| settings.irqs.iter().find(|irq| irq.source() == Some(source)).map(|irq| &*irq.name);
        let mut to = Text::default();
        let name = match granted {
            Granted::Channel { channel, .. } | Granted::ChannelMemory { channel, .. } => {
                description.channels.get(usize::from(channel)).map(|edge| {
                    let (server, role) = description.server_name(edge);
                    to = Text::cut(&format!("{server}.{role}"));
                    description.client_role(edge)
                })
            }
            Granted::RingMemory { channel, .. } | Granted::RingSignal { channel, .. } => {
                let edge = description.channels.get(usize::from(channel));
                edge.map(|edge| {
                    let (client, called) = (description.client_name(edge), description.server_name(edge));
                    let (own, other) =
                        if usize::from(edge.client) == spec { (client, called) } else { (called, client) };
                    to = Text::cut(&format!("{}.{}", other.0, other.1));
                    own.1
                })
            }
            Granted::RoleMemory { role, .. } => {
                let mut roles = description.components[spec].interface.serves.keys();
                roles.nth(role.into()).map(|role| &**role)
            }
            Granted::IsaIrq { isa, .. } => irq(IrqSource::Isa(isa)),
            Granted::PinIrq { ioapic, pin, .. } => irq(IrqSource::Pin { ioapic, pin }),
            Granted::Ports { first, last, .. } => {
                let mut ports = settings.ports.iter();
                ports.find(|p| (p.first, p.last) == (first, last)).map(|ports| &*ports.name)
            }
            _ => None,
        };
        CapInfo { granted, name: Text::cut(name.unwrap_or_default()), to }
    }

    /// Handles a message. What is answered now is added to `answer`; or it is a message of its own, which stands in place of
    /// an error.
    pub fn handle(
        &mut self,
        badge: Badge,
        message: &LongMessage,
        replies: &mut Replies,
        answer: &mut Writer,
    ) -> Result<Answered, Message> {
        let caller = Caller { badge };
        // What a component may ask for is what the badge says, and only a channel to `init` gives it one for a role.
        match badge.kind() {
            Some(Kind::Fault) => Ok(self.fault(badge.generation(), Fault::from_message(message).as_ref())),
            Some(Kind::Supervisor) if message.label() == EXIT_LABEL => {
                self.exited(badge.generation(), message.word(0));
                Ok(Answered::Later)
            }
            Some(Kind::Supervisor) if message.label() == GROW_LABEL => {
                Err(self.grow(badge.generation(), message.word(0)))
            }
            Some(Kind::Supervisor) if message.label() == LIMIT_LABEL => {
                Err(self.limit(badge.generation(), core::array::from_fn(|n| message.word(n))))
            }
            Some(Kind::Supervisor) if message.label() == CANCEL_LABEL => {
                Err(self.cancel(badge.generation(), message.word(0)))
            }
            Some(Kind::Supervisor) => {
                SupervisorDispatch::dispatch(self, caller, message, replies, answer).map_err(Refusal::message)
            }
            Some(Kind::Call) if self.description().init.served(CONTROL) == Some(badge.role()) => {
                ControlDispatch::dispatch(self, caller, message, replies, answer).map_err(Refusal::message)
            }
            Some(Kind::Gone) => Err(CallError::Gone.message()),
            Some(Kind::Signal) => {
                self.tick();
                Ok(Answered::Later)
            }
            Some(Kind::Call) | None => Err(Refusal::NoSuchMethod { version: 0 }.message()),
        }
    }
}

/// A text with its control characters as numbers: without a console, it goes to the terminal as it is.
fn without_controls(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars() {
        if c.is_control() { shown += &format!("\\x{:02x}", u32::from(c)) } else { shown.push(c) }
    }
    shown
}

impl Supervisor for System {
    fn log(&mut self, caller: Caller, text: &[u8]) {
        let Some(index) = self.find(caller.generation()) else { return };
        let Entry { name, log, .. } = &mut self.entries[index];
        log.extend_from_slice(text);
        while let Some(end) =
            log.iter().position(|b| *b == b'\n').or((log.len() > LOG_LINE).then_some(LOG_LINE))
        {
            let line: Vec<u8> = log.drain(..=end).collect();
            say!("{name}: {}", without_controls(String::from_utf8_lossy(&line).trim_end()));
        }
    }

    fn interrupt(&mut self, caller: Caller, program: u64) {
        let index = self.find(caller.generation());
        if index.is_some_and(|index| self.spec(&self.entries[index]).settings.log) {
            System::interrupt(self, program);
        }
    }

    fn pulse(&mut self, caller: Caller) {
        System::pulse(self, caller.generation());
    }

    fn departures(&mut self, caller: Caller) -> Departures {
        System::departures(self, caller.generation())
    }
}

/// The initial task's own line in a list of components.
fn own_info() -> ComponentInfo {
    ComponentInfo {
        name: Text::cut("init"),
        state: State::Running,
        priority: 255,
        cpu_us: 0,
        restarts: 0,
        wait_ms: 0,
        about: Text::cut("starts the components and looks after them"),
    }
}

/// What the initial task itself may do.
const OWN: [Granted; 9] = [
    Granted::Thread { slot: boot::TCB.cptr(), vectors: false },
    Granted::CSpace { slot: boot::CNODE.cptr() },
    Granted::VSpace { slot: boot::VSPACE.cptr() },
    Granted::IrqControl { slot: boot::IRQ_CONTROL.cptr() },
    Granted::AsidControl { slot: boot::ASID_CONTROL.cptr() },
    Granted::AsidPool { slot: boot::ASID_POOL.cptr() },
    Granted::PortControl { slot: boot::IO_PORT_CONTROL.cptr() },
    Granted::DomainControl { slot: boot::DOMAIN.cptr() },
    Granted::Time { slot: boot::SCHED_CONTEXT.cptr(), budget: 0, period: 0 },
];

impl Control for System {
    fn component(&mut self, _: Caller, index: u64) -> Option<ComponentInfo> {
        let Some(index) = index.checked_sub(1) else {
            let consumed = boot::SCHED_CONTEXT.consumed().unwrap_or(0);
            self.own_cpu_us += consumed;
            return Some(ComponentInfo { cpu_us: self.own_cpu_us, ..own_info() });
        };
        let index = usize::try_from(index).ok().filter(|n| *n < self.entries.len())?;
        let cpu_us = self.cpu_us(index);
        let entry = &self.entries[index];
        let spec = &self.spec(entry).settings;
        let wait_ms = match entry.watch.health() {
            Health::BackOff { until } => until.saturating_sub(self.clock.now()) / 1000,
            _ => 0,
        };
        Some(ComponentInfo {
            name: Text::cut(&entry.name),
            state: entry.state,
            priority: spec.priority,
            cpu_us,
            restarts: entry.restarts,
            wait_ms,
            about: Text::cut(&spec.about),
        })
    }

    fn program(&mut self, _: Caller, index: u64) -> Option<ProgramInfo> {
        let programs = self.description().components.iter().map(|c| &c.settings);
        let program = programs.filter(|c| c.start == Start::Demand).nth(usize::try_from(index).ok()?)?;
        Some(ProgramInfo { name: Text::cut(&program.name), about: Text::cut(&program.about) })
    }

    fn capability(
        &mut self,
        _: Caller,
        component: &str,
        index: u64,
    ) -> Result<Option<CapInfo>, ControlError> {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        if component == INIT {
            let own = OWN.get(index);
            return Ok(own.map(|own| CapInfo { granted: *own, name: Text::default(), to: Text::default() }));
        }
        let entry = self.entries.iter().find(|e| e.name == component).ok_or(ControlError::NoSuchComponent)?;
        let live = entry.live.as_ref().ok_or(ControlError::NotRunning)?;
        Ok(live.granted.get(index).map(|granted| self.named(entry.spec, *granted)))
    }

    fn memory(&mut self, _: Caller, index: u64) -> Option<MemoryInfo> {
        let info = |owner: &str, size, left| Some(MemoryInfo { owner: Text::cut(owner), size, left });
        match index {
            0 => info("free", self.memory.available(), self.memory.available()),
            1 => {
                let (size, left) = self.memory.shared();
                info("init", size, left)
            }
            _ => {
                let mut live = self.entries.iter().filter_map(|e| Some((&e.name, e.live.as_ref()?)));
                let (name, live) = live.nth(usize::try_from(index).ok()? - 2)?;
                let (size, left) = live.memory();
                info(name, size, left)
            }
        }
    }

    fn run(&mut self, _: Caller, program: &str, arguments: Arguments<'_>) -> Result<u64, ControlError> {
        System::run(self, program, arguments.iter().map(String::from).collect())
    }

    fn name(&mut self, _: Caller, id: u64) -> Option<Text<NAME_MAX>> {
        self.entries.iter().find(|e| e.id == id).map(|e| Text::cut(&e.name))
    }

    fn wait(&mut self, caller: Caller, id: u64, later: Later<Result<Ending, ControlError>>) {
        System::wait(self, caller.generation(), id, later);
    }

    fn kill(&mut self, _: Caller, component: &str) -> Result<(), ControlError> {
        System::kill(self, component)
    }

    fn start(&mut self, _: Caller, component: &str) -> Result<(), ControlError> {
        self.start_by_name(component)
    }
}
