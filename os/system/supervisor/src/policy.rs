//! What comes when a component has ended, and what was wished for.

use alloc::{format, string::ToString};

use pecan_component::{
    manifest::{self, OnGiveUp, Start},
    protocols::{Ending, Instance, Note, State, Wish},
    service::CallError,
    supervision::{BackOff, Health, Next, Restart, Watch, Why},
};

use crate::{Supervisor, now};

/// When one that could not be taken apart at once is looked after again, in microseconds.
const AGAIN: u64 = 20_000;

impl Supervisor {
    /// Starts what was not started yet of that which is started with the system; then looks after all.
    pub fn begin(&mut self) -> Result<(), CallError> {
        let known = self.all()?;
        for spec in 0..self.archive.system().components.len() {
            let settings = &self.archive.system().components[spec].settings;
            let is_known = known.iter().any(|i| usize::from(i.spec) == spec && i.begun);
            if settings.start != Start::Boot || self.archive.system().is_part(spec) || is_known {
                continue;
            }
            let (name, arguments) = (settings.name.to_string(), settings.args.clone());
            // A predecessor may have come as far as to add it.
            let added = match known.iter().find(|i| usize::from(i.spec) == spec) {
                Some(instance) => Ok(instance.id),
                None => self.add(spec, &name, &arguments)?,
            };
            // That it cannot be started is said, and the others can be.
            if let Some(mut instance) = self.instances.of_id(added.unwrap_or(0))?
                && !self.start(&mut instance, false)?
            {
                self.follow(instance, Why::Failed)?;
            }
        }
        self.look()
    }

    /// Looks what has changed: who has ended, who is due, and what is wished for.
    pub fn look(&mut self) -> Result<(), CallError> {
        while let Some(wish) = self.instances.wish()? {
            match wish {
                Wish::Interrupt { program } => self.interrupt(program)?,
                Wish::Start { id } => {
                    if let Some(instance) = self.instances.of_id(id)?
                        && !instance.is_running()
                    {
                        self.start_with_servers(instance)?;
                    }
                }
            }
        }
        for instance in self.all_stopped()? {
            self.look_after(instance)?;
        }
        self.set_alarm()
    }

    /// Lets the initial task signal when the next is due: one that waits to be started again, or that hands over.
    fn set_alarm(&self) -> Result<(), CallError> {
        let mut next = self.next_change().unwrap_or(0);
        for instance in self.all_stopped()? {
            if instance.made && !self.is_part(&instance) && instance.handover.is_none() {
                // It is still taken apart.
                next = now() + AGAIN;
                break;
            }
            if let Health::BackOff { until } = self.watch(&instance).health()
                && !self.is_part(&instance)
                && (next == 0 || until < next)
            {
                next = until;
            }
        }
        self.instances.alarm(next)
    }

    /// Does what is to be done about one of them.
    pub fn look_after(&mut self, instance: Instance) -> Result<(), CallError> {
        if let Some(handover) = instance.handover {
            return self.go_on_with(instance, handover);
        }
        if self.is_part(&instance) || instance.is_running() {
            return Ok(());
        }
        if instance.made && !self.take_apart_soon(instance.id)? {
            // The alarm comes back to it.
            return Ok(());
        }
        if self.spec(&instance).settings.start == Start::Demand {
            return self.program_ended(&instance);
        }
        match self.watch(&instance).health() {
            Health::Running => {
                let why = match (instance.state, instance.status) {
                    (State::Killed, _) => Why::Operator,
                    (State::Exited, 0) => Why::Done,
                    _ => Why::Failed,
                };
                self.follow(instance, why)
            }
            Health::BackOff { until } if until <= now() => {
                let mut instance = instance;
                if self.restart(&mut instance)? { Ok(()) } else { self.follow(instance, Why::Failed) }
            }
            Health::BackOff { .. } | Health::Ended | Health::Failed => Ok(()),
        }
    }

    /// A program has ended: it is taken off the list, and who waits for it is told.
    fn program_ended(&mut self, instance: &Instance) -> Result<(), CallError> {
        self.instances.remove(instance.id)?;
        let ending = Ending { state: instance.state, status: instance.status };
        for waiter in self.waiters.extract_if(.., |w| w.program == instance.id) {
            waiter.later.answer(&Ok(ending.clone()));
        }
        Ok(())
    }

    /// Ends the program of a number, or with 0 the programs that somebody waits for. Services are not ended that way.
    fn interrupt(&mut self, program: u64) -> Result<(), CallError> {
        for instance in self.all()? {
            let is_meant = match program {
                0 => self.waiters.iter().any(|w| w.program == instance.id),
                id => id == instance.id,
            };
            if is_meant && instance.is_running() && self.spec(&instance).settings.start == Start::Demand {
                self.end(&instance)?;
            }
        }
        Ok(())
    }

    /// Ends one that runs, and does what comes then.
    pub fn end(&mut self, instance: &Instance) -> Result<(), CallError> {
        // It may have ended by itself.
        let _ = self.instances.stop(instance.id)?;
        match self.instances.of_id(instance.id)? {
            Some(instance) => self.look_after(instance)?,
            None => return Ok(()),
        }
        self.set_alarm()
    }

    /// How a component does, as its policy sees it.
    pub fn watch(&self, instance: &Instance) -> Watch {
        let settings = &self.spec(instance).settings;
        let restart = match settings.restart {
            // A program is run once.
            _ if settings.start == Start::Demand => Restart::Never,
            manifest::Restart::Never => Restart::Never,
            manifest::Restart::OnFailure => Restart::OnFailure,
            manifest::Restart::Always => Restart::Always,
        };
        let described = settings.back_off;
        let back_off = BackOff {
            first: described.first_ms * 1000,
            most: described.most_ms * 1000,
            calm: described.calm_ms * 1000,
            failures: described.failures,
        };
        let Note { for_good, failures, until, started, helped } = instance.note;
        let health = match (for_good, until) {
            (true, _) if failures > 0 => Health::Failed,
            (true, _) => Health::Ended,
            (false, 0) => Health::Running,
            (false, until) => Health::BackOff { until },
        };
        Watch::new(restart, back_off).known(health, failures, started, helped)
    }

    /// Lets the initial task keep how a component does.
    fn keep(&self, instance: &mut Instance, state: State, watch: Watch) -> Result<(), CallError> {
        let until = match watch.health() {
            Health::BackOff { until } => until,
            _ => 0,
        };
        let for_good = matches!(watch.health(), Health::Ended | Health::Failed);
        let (failures, started, helped) = (watch.failures(), watch.last_started(), watch.was_helped());
        instance.note = Note { for_good, failures, until, started, helped };
        instance.state = state;
        self.instances.note(instance.id, state, instance.note)
    }

    /// Lets the initial task keep that a component runs.
    pub fn keep_running(&self, instance: &mut Instance, watch: Watch) -> Result<(), CallError> {
        self.keep(instance, State::Running, watch)
    }

    /// Starts one that does not run; returns whether it runs.
    pub fn start(&self, instance: &mut Instance, again: bool) -> Result<bool, CallError> {
        let mut watch = self.watch(instance);
        if instance.made {
            // A predecessor may have begun to make it.
            self.take_apart(instance.id)?;
        }
        let runs = self.make(instance.id, again)?.is_ok();
        if runs {
            watch.started(now());
            self.keep(instance, State::Running, watch)?;
        }
        Ok(runs)
    }

    /// Starts one again; returns whether it runs.
    fn restart(&self, instance: &mut Instance) -> Result<bool, CallError> {
        self.say(&format!("*** {} is started again", &*instance.name))?;
        self.start(instance, true)
    }

    /// Does what a component's policy says comes after its end.
    pub fn follow(&mut self, mut instance: Instance, why: Why) -> Result<(), CallError> {
        let mut why = why;
        loop {
            let (mut watch, now) = (self.watch(&instance), now());
            let state = instance.state;
            match watch.ended(why, now) {
                Next::Stay => return self.keep(&mut instance, state, watch),
                Next::Start => {
                    self.keep(&mut instance, state, watch)?;
                    if self.restart(&mut instance)? {
                        return Ok(());
                    }
                    // That it cannot be started is a failure, too.
                    why = Why::Failed;
                }
                Next::StartAt(until) => {
                    self.keep(&mut instance, State::BackOff, watch)?;
                    let (name, ms) = (&*instance.name, (until - now) / 1000);
                    self.say(&format!("*** {name} is started again in {ms} ms"))?;
                    return self.set_alarm();
                }
                Next::GiveUp => {
                    let (name, failures) = (&*instance.name, watch.failures());
                    self.say(&format!("*** {name} failed {failures} times in a row and is given up"))?;
                    if self.helped(&mut instance, &mut watch)? {
                        return Ok(());
                    }
                    return self.keep(&mut instance, State::Failed, watch);
                }
            }
        }
    }

    /// Does what a component's description says comes when it is given up; returns whether it runs again.
    fn helped(&mut self, instance: &mut Instance, watch: &mut Watch) -> Result<bool, CallError> {
        match self.spec(instance).settings.on_give_up.clone() {
            OnGiveUp::Stay => Ok(false),
            OnGiveUp::Reboot => {
                self.instances.reboot()?;
                Ok(false)
            }
            OnGiveUp::Restart(names) => {
                // Once: what does not help would be done for ever.
                if !watch.ask_for_help() {
                    return Ok(false);
                }
                for name in names {
                    let Some(other) = self.instances.named(&name)? else { continue };
                    if other.is_running() {
                        self.end(&other)?;
                    } else if !self.start_with_servers(other)? {
                        self.say(&format!("*** {name} cannot be started for it"))?;
                    }
                }
                // What was asked for once is not asked for again, whatever comes.
                let helped = watch.known(Health::Running, 0, watch.last_started(), true);
                self.keep(instance, State::Failed, helped)?;
                self.restart(instance)
            }
        }
    }

    /// Starts one that does not run because an operator says so, and before it the servers that it uses; returns whether it
    /// runs.
    pub fn start_with_servers(&mut self, mut instance: Instance) -> Result<bool, CallError> {
        // A description has no cycles of uses. A server that does not start leaves its client without it.
        for server in self.stopped_servers(&instance)? {
            self.start_with_servers(server)?;
        }
        if instance.made {
            self.take_apart(instance.id)?;
        }
        let mut watch = self.watch(&instance);
        watch.forgive();
        let runs = self.make(instance.id, false)?.is_ok();
        if runs {
            watch.started(now());
            self.keep(&mut instance, State::Running, watch)?;
        } else {
            watch.give_up();
            self.keep(&mut instance, State::Failed, watch)?;
        }
        Ok(runs)
    }
}
