//! What the supervisor asks of the initial task.

use alloc::string::String;

use pecan::boot;
use pecan_manifest::layout;
use pecan_protocols::{
    Arguments, ControlError, Ending, Granted, Instance, Instances, MemoryInfo, Note, Remains, State, Stopped,
    Unfit, Wish,
};
use pecan_service::{Caller, Text};

use crate::{
    sessions::Donor,
    system::{Entry, System},
};

/// What the initial task itself may do.
const OWN: [Granted; 8] = [
    Granted::Thread { slot: boot::TCB.cptr(), vectors: false },
    Granted::CSpace { slot: boot::CNODE.cptr() },
    Granted::VSpace { slot: boot::VSPACE.cptr() },
    Granted::IrqControl { slot: boot::IRQ_CONTROL.cptr() },
    Granted::AsidControl { slot: boot::ASID_CONTROL.cptr() },
    Granted::AsidPool { slot: boot::ASID_POOL.cptr() },
    Granted::PortControl { slot: boot::IO_PORT_CONTROL.cptr() },
    Granted::DomainControl { slot: boot::DOMAIN.cptr() },
];

impl System {
    /// What is known of the component at a place in the list.
    fn known(&mut self, index: usize) -> Instance {
        let cpu_us = self.cpu_us(index);
        let entry = &self.entries[index];
        Instance {
            id: entry.id,
            spec: entry.spec as u16,
            name: Text::cut(&entry.name),
            state: entry.state,
            status: entry.status,
            begun: entry.begun,
            made: entry.live.is_some(),
            cpu_us,
            restarts: entry.restarts,
            note: entry.note,
            program: entry.program,
            handover: entry.handover.as_ref().map(|change| change.info),
        }
    }
}

impl Instances for System {
    fn instance(&mut self, _: Caller, index: u64) -> Option<Instance> {
        let index = usize::try_from(index).ok().filter(|n| *n < self.entries.len())?;
        Some(self.known(index))
    }

    fn of_id(&mut self, _: Caller, id: u64) -> Option<Instance> {
        let index = self.entries.iter().position(|e| e.id == id)?;
        Some(self.known(index))
    }

    fn named(&mut self, _: Caller, name: &str) -> Option<Instance> {
        let index = self.entries.iter().position(|e| e.name == name)?;
        Some(self.known(index))
    }

    fn stopped(&mut self, _: Caller, from: u64) -> Option<Stopped> {
        let from = usize::try_from(from).ok()?;
        let ended = |(_, e): &(usize, &Entry)| e.state != State::Running || e.handover.is_some();
        let (index, _) = self.entries.iter().enumerate().skip(from).find(ended)?;
        Some(Stopped { index: index as u64, instance: self.known(index) })
    }

    fn ending(&mut self, _: Caller, id: u64) -> Option<Ending> {
        self.ending_of(id)
    }

    fn granted(&mut self, _: Caller, id: u64, index: u64) -> Option<Granted> {
        let index = usize::try_from(index).ok()?;
        if id == 0 {
            let (budget, period) = (layout::INIT_BUDGET, layout::INIT_PERIOD);
            let time = Granted::Time { slot: self.time.cptr(), budget, period };
            return OWN.iter().chain([&time]).nth(index).copied();
        }
        let live = self.entries.iter().find(|e| e.id == id)?.live.as_ref()?;
        live.granted.get(index).copied()
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
                let mut live = self.entries.iter().filter_map(|e| Some((e, e.live.as_ref()?)));
                let (entry, live) = live.nth(usize::try_from(index).ok()? - 2)?;
                let (size, left) = live.memory();
                let (given, free) = self.donor(entry.id).map_or((0, 0), Donor::memory);
                info(&entry.name, size + given, left + free)
            }
        }
    }

    fn consumed(&mut self, _: Caller) -> u64 {
        // A count that cannot be read stays as it is.
        self.own_cpu_us += self.time.consumed().unwrap_or(0);
        self.own_cpu_us
    }

    fn add(
        &mut self,
        _: Caller,
        spec: u16,
        name: &str,
        arguments: Arguments<'_>,
    ) -> Result<u64, ControlError> {
        let spec = usize::from(spec);
        if spec >= self.description().components.len() || self.description().is_part(spec) {
            return Err(ControlError::NoSuchProgram);
        }
        if self.entries.iter().any(|e| e.name == name) {
            return Err(ControlError::NoResources);
        }
        let index = System::add(self, name.into(), spec, arguments.iter().map(String::from).collect());
        Ok(self.entries[index].id)
    }

    fn start(&mut self, caller: Caller, id: u64, again: bool) -> Result<(), ControlError> {
        let priority = self.priority_of(caller.generation());
        let index = self.entries.iter().position(|e| e.id == id).ok_or(ControlError::NoSuchComponent)?;
        if self.entries[index].live.is_some() {
            return Err(ControlError::Running);
        }
        self.at_priority(priority, |system| system.begin(index, again))
    }

    fn go_on(&mut self, caller: Caller, id: u64) -> Result<bool, ControlError> {
        let priority = self.priority_of(caller.generation());
        let index = self.entries.iter().position(|e| e.id == id).ok_or(ControlError::NoSuchComponent)?;
        self.at_priority(priority, |system| system.go_on(index))
    }

    fn ask_handover(&mut self, _: Caller, id: u64, program: u8) -> Result<(), ControlError> {
        System::ask_handover(self, id, program)
    }

    fn hand_on(&mut self, caller: Caller, id: u64, unfit: Option<Unfit>) -> Result<(), ControlError> {
        let priority = self.priority_of(caller.generation());
        self.at_priority(priority, |system| system.hand_on(id, unfit))
    }

    fn end_handover(&mut self, caller: Caller, id: u64) {
        let priority = self.priority_of(caller.generation());
        self.at_priority(priority, |system| system.end_handover(id));
    }

    fn stop(&mut self, _: Caller, id: u64) -> Result<(), ControlError> {
        let index = self.find(id).ok_or(ControlError::NotRunning)?;
        self.end(index, Ending { state: State::Killed, status: 0 });
        Ok(())
    }

    fn clear(&mut self, caller: Caller, id: u64) -> Remains {
        let priority = self.priority_of(caller.generation());
        let index = self.entries.iter().position(|e| e.id == id && e.state != State::Running);
        index.map_or(Remains::Nothing, |index| self.at_priority(priority, |system| system.clear(index)))
    }

    fn remove(&mut self, _: Caller, id: u64) {
        self.remove_program(id);
    }

    fn note(&mut self, _: Caller, id: u64, state: State, note: Note) {
        System::note(self, id, state, note);
    }

    fn alarm(&mut self, _: Caller, at: u64) {
        self.set_alarm(at);
    }

    fn wish(&mut self, _: Caller) -> Option<Wish> {
        let wish = self.wishes.pop_front();
        if wish.is_none() {
            self.wishes_done();
        }
        wish
    }

    fn reboot(&mut self, _: Caller) {
        System::reboot(self);
    }
}
