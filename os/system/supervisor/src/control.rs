//! The service `control`: what runs, and what is to run.

use alloc::{format, string::String, vec::Vec};

use pecan_component::{
    manifest::{INIT, IrqSource, Start},
    protocols::{
        Arguments, CapInfo, ComponentInfo, Control, ControlError, Ending, Granted, Instance, MemoryInfo,
        NAME_MAX, ProgramInfo, ReplaceError, State,
    },
    service::{CallError, Caller, Later, Text},
};

use crate::{Supervisor, Waiter, now};

/// What a call of the initial task gave. It always answers: there is nobody to ask if it does not.
fn answered<T: Default>(result: Result<T, CallError>) -> T {
    result.unwrap_or_default()
}

/// The same for what can be refused.
fn done<T>(result: Result<Result<T, ControlError>, CallError>) -> Result<T, ControlError> {
    result.unwrap_or(Err(ControlError::NoResources))
}

impl Supervisor {
    fn by_name(&self, name: &str) -> Result<Instance, ControlError> {
        answered(self.instances.named(name)).ok_or(ControlError::NoSuchComponent)
    }

    /// What a component holds, with the names that the description has for it.
    fn named(&self, spec: usize, granted: Granted) -> CapInfo {
        let description = self.archive.system();
        let settings = &description.components[spec].settings;
        let irq =
            |source| settings.irqs.iter().find(|irq| irq.source() == Some(source)).map(|irq| &*irq.name);
        let mut to = Text::default();
        let name = match granted {
            Granted::Channel { channel, .. }
            | Granted::ChannelMemory { channel, .. }
            | Granted::Session { channel, .. } => {
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
            Granted::Mmio { paddr, .. } => {
                settings.mmio.iter().find(|mmio| mmio.address == paddr).map(|mmio| &*mmio.name)
            }
            Granted::Dma { number, .. } => settings.dma.get(usize::from(number)).map(|dma| &*dma.name),
            Granted::RoleMemory { role, .. } => {
                let mut roles = description.components[spec].interface.serves.keys();
                roles.nth(role.into()).map(|role| &**role)
            }
            Granted::SessionMemory { place, .. } => {
                let component = &description.components[spec];
                let last = |n: &usize| component.first_place(*n) <= usize::from(place);
                let role = (0..component.places.len()).rfind(last);
                role.and_then(|n| component.interface.serves.keys().nth(n)).map(|role| &**role)
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

    /// Starts a program under a name of its own; returns its number.
    fn run_program(&mut self, program: &str, arguments: &[String]) -> Result<u64, ControlError> {
        let mut components = self.archive.system().components.iter().map(|c| &c.settings);
        let spec = components.position(|c| *c.name == *program && c.start == Start::Demand);
        let spec = spec.ok_or(ControlError::NoSuchProgram)?;
        if let Some(most) = self.archive.system().components[spec].settings.instances {
            let all = answered(self.all());
            if all.iter().filter(|i| usize::from(i.spec) == spec).count() >= usize::from(most) {
                return Err(ControlError::TooMany);
            }
        }
        let numbered = (2..).map(|n| format!("{program}-{n}"));
        let mut names = core::iter::once(String::from(program)).chain(numbered);
        let name = names.find(|name| answered(self.instances.named(name)).is_none());
        let name = name.filter(|name| name.len() <= NAME_MAX).ok_or(ControlError::NoResources)?;
        let id = done(self.add(spec, &name, arguments))?;
        let started = done(self.make(id, false));
        if started.is_err() {
            answered(self.instances.remove(id));
        }
        started.map(|()| id)
    }
}

impl Control for Supervisor {
    fn component(&mut self, _: Caller, index: u64) -> Option<ComponentInfo> {
        let Some(index) = index.checked_sub(1) else {
            return Some(ComponentInfo {
                name: Text::cut(INIT),
                state: State::Running,
                priority: 255,
                cpu_us: answered(self.instances.consumed()),
                restarts: 0,
                wait_ms: 0,
                about: Text::cut("makes the components, and takes them apart"),
            });
        };
        let instance = answered(self.instances.instance(index))?;
        let settings = &self.spec(&instance).settings;
        let waits = if instance.state == State::BackOff { instance.note.until } else { 0 };
        Some(ComponentInfo {
            state: instance.state,
            priority: settings.priority,
            cpu_us: instance.cpu_us,
            restarts: instance.restarts,
            wait_ms: waits.saturating_sub(now()) / 1000,
            about: match settings.packages().nth(instance.program.into()) {
                // It was replaced: the description says what it is for, and not which program does that now.
                Some(program) if instance.program > 0 => {
                    Text::cut(&format!("{} ({program})", &*settings.about))
                }
                _ => Text::cut(&settings.about),
            },
            name: instance.name,
        })
    }

    fn program(&mut self, _: Caller, index: u64) -> Option<ProgramInfo> {
        let programs = self.archive.system().components.iter().map(|c| &c.settings);
        let program = programs.filter(|c| c.start == Start::Demand).nth(usize::try_from(index).ok()?)?;
        Some(ProgramInfo { name: Text::cut(&program.name), about: Text::cut(&program.about) })
    }

    fn capability(
        &mut self,
        _: Caller,
        component: &str,
        index: u64,
    ) -> Result<Option<CapInfo>, ControlError> {
        if component == INIT {
            let own = answered(self.instances.granted(0, index));
            return Ok(own.map(|granted| CapInfo { granted, name: Text::default(), to: Text::default() }));
        }
        let instance = self.by_name(component)?;
        if !instance.is_running() {
            return Err(ControlError::NotRunning);
        }
        let granted = answered(self.instances.granted(instance.id, index));
        Ok(granted.map(|granted| self.named(instance.spec.into(), granted)))
    }

    fn memory(&mut self, _: Caller, index: u64) -> Option<MemoryInfo> {
        answered(self.instances.memory(index))
    }

    fn run(&mut self, _: Caller, program: &str, arguments: Arguments<'_>) -> Result<u64, ControlError> {
        self.run_program(program, &arguments.iter().map(String::from).collect::<Vec<_>>())
    }

    fn name(&mut self, _: Caller, id: u64) -> Option<Text<NAME_MAX>> {
        answered(self.instances.of_id(id)).map(|instance| instance.name)
    }

    fn wait(&mut self, caller: Caller, id: u64, later: Later<Result<Ending, ControlError>>) {
        // Who asks again has given up what it asked before.
        self.waiters.retain(|w| w.place != caller.place() && w.later.is_owed());
        if let Some(ending) = answered(self.instances.ending(id)) {
            later.answer(&Ok(ending));
        } else if answered(self.instances.of_id(id)).is_some() {
            self.waiters.push(Waiter { place: caller.place(), program: id, later });
        } else {
            later.answer(&Err(ControlError::NoSuchComponent));
        }
    }

    fn kill(&mut self, _: Caller, component: &str) -> Result<(), ControlError> {
        if component == INIT {
            return Err(ControlError::Essential);
        }
        let instance = self.by_name(component)?;
        if !instance.is_running() {
            return Err(ControlError::NotRunning);
        }
        self.end(&instance).map_err(|_| ControlError::NoResources)
    }

    fn start(&mut self, _: Caller, component: &str) -> Result<(), ControlError> {
        let instance = self.by_name(component)?;
        if instance.is_running() {
            return Err(ControlError::Running);
        }
        if self.is_part(&instance) {
            // It is started again by itself.
            return Err(ControlError::Essential);
        }
        let runs = self.start_with_servers(instance).unwrap_or(false);
        if runs { Ok(()) } else { Err(ControlError::NoResources) }
    }

    fn replace(&mut self, _: Caller, component: &str, program: &str, later: Later<Result<(), ReplaceError>>) {
        self.begin_change(component, program, later);
    }

    fn gone(&mut self, place: usize) {
        self.waiters.retain(|w| w.place != place);
    }
}
