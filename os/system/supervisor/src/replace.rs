//! Servers that hand over to another program.
//!
//! How far each has come, the initial task keeps. A supervisor that dies meanwhile takes only the answer with it to who asked.

use alloc::format;

use pecan_component::{
    protocols::{Handover, Instance, ReplaceError, Stage, State, Unfit},
    service::{CallError, Later},
    supervision::Why,
};

use crate::{Supervisor, now};

/// Microseconds that a server has to hand over, and a program to take over.
const TIME: u64 = 2_000_000;

/// A server that hands over.
pub struct Change {
    /// Its number.
    id: u64,
    /// Until when it has to have come further.
    until: u64,
    /// How far it had come when that was said.
    stage: Stage,
    /// Who asked for it, if that is known.
    later: Option<Later<Result<(), ReplaceError>>>,
}

/// An error of the supervisor's own as one that can be told.
fn told<T>(result: Result<T, CallError>) -> Result<T, ReplaceError> {
    result.map_err(|_| ReplaceError::NotRunning)
}

impl Supervisor {
    /// Replaces a server by another program.
    pub fn begin_change(&mut self, component: &str, program: &str, later: Later<Result<(), ReplaceError>>) {
        match self.ask(component, program) {
            Ok(id) => {
                let until = now() + TIME;
                self.changes.push(Change { id, until, stage: Stage::Asked, later: Some(later) });
                // It is signalled when that time has come, or before.
                let _ = self.look();
            }
            Err(error) => later.answer(&Err(error)),
        }
    }

    fn ask(&self, component: &str, program: &str) -> Result<u64, ReplaceError> {
        let instance = told(self.instances.named(component))?.ok_or(ReplaceError::NoSuchComponent)?;
        if self.is_part(&instance) {
            return Err(ReplaceError::Part);
        }
        let component = self.spec(&instance);
        if component.places.is_empty() {
            return Err(ReplaceError::NotServer);
        }
        let number = component.settings.packages().position(|package| package == program);
        let number = number.and_then(|number| u8::try_from(number).ok());
        let number = number.ok_or(ReplaceError::NoSuchProgram)?;
        if !instance.is_running() {
            return Err(ReplaceError::NotRunning);
        }
        if instance.handover.is_some() {
            return Err(ReplaceError::Busy);
        }
        let asked = told(self.instances.ask_handover(instance.id, number))?;
        asked.map(|()| instance.id).map_err(|_| ReplaceError::NotRunning)
    }

    /// When the next of them has to have come further.
    pub fn next_change(&self) -> Option<u64> {
        self.changes.iter().map(|change| change.until).min()
    }

    /// Until when a server has to have come further.
    fn limit(&mut self, id: u64, stage: Stage) -> u64 {
        let until = now() + TIME;
        let at = self.changes.iter().position(|change| change.id == id).unwrap_or_else(|| {
            // A predecessor of this supervisor began it.
            self.changes.push(Change { id, until, stage, later: None });
            self.changes.len() - 1
        });
        let change = &mut self.changes[at];
        if change.stage != stage {
            (change.stage, change.until) = (stage, until);
        }
        change.until
    }

    /// Does what is to be done about a server that hands over.
    pub fn go_on_with(&mut self, instance: Instance, handover: Handover) -> Result<(), CallError> {
        let Handover { stage, unfit, .. } = handover;
        let is_late = self.limit(instance.id, stage) <= now();
        match (stage, instance.is_running()) {
            (Stage::Asked, true) => match unfit {
                Some(why) => self.end_change(instance, Err(ReplaceError::Kept { why })),
                None if is_late => {
                    self.end_change(instance, Err(ReplaceError::Kept { why: Unfit::TimedOut }))
                }
                None => Ok(()),
            },
            // It died before it had left anything.
            (Stage::Asked, false) => self.end_change(instance, Err(ReplaceError::Lost { why: Unfit::Died })),
            (Stage::Left, _) => self.hand_on(instance, None),
            (Stage::Entering | Stage::Returning, true) if is_late => {
                // It may have ended by itself.
                let _ = self.instances.stop(instance.id)?;
                self.not_taken(instance, stage, Unfit::TimedOut)
            }
            (Stage::Entering | Stage::Returning, true) => Ok(()),
            (Stage::Entering | Stage::Returning, false) => {
                self.not_taken(instance, stage, unfit.unwrap_or(Unfit::Died))
            }
            (Stage::Entered, _) => self.end_change(instance, Ok(())),
            (Stage::Returned, _) => {
                let why = unfit.unwrap_or(Unfit::Died);
                self.end_change(instance, Err(ReplaceError::Kept { why }))
            }
        }
    }

    /// A program has not taken over: the one that left the state does, or if that was it, nobody.
    fn not_taken(&mut self, instance: Instance, stage: Stage, why: Unfit) -> Result<(), CallError> {
        if stage == Stage::Entering { self.hand_on(instance, Some(why)) } else { self.lose(instance, why) }
    }

    /// Starts the program that is to take over; or the one that left the state, if the other is unfit.
    fn hand_on(&mut self, instance: Instance, unfit: Option<Unfit>) -> Result<(), CallError> {
        if instance.made {
            self.take_apart(instance.id)?;
        }
        if self.instances.hand_on(instance.id, unfit)?.is_err() {
            return match unfit {
                Some(why) => self.lose(instance, why),
                None => self.hand_on(instance, Some(Unfit::NotStarted)),
            };
        }
        self.limit(instance.id, if unfit.is_some() { Stage::Returning } else { Stage::Entering });
        let Some(mut instance) = self.instances.of_id(instance.id)? else { return Ok(()) };
        let mut watch = self.watch(&instance);
        watch.started(now());
        self.keep_running(&mut instance, watch)
    }

    /// What was left is lost: it is started again as one that has failed.
    fn lose(&mut self, instance: Instance, why: Unfit) -> Result<(), CallError> {
        if instance.made {
            self.take_apart(instance.id)?;
        }
        self.end_change(instance, Err(ReplaceError::Lost { why }))
    }

    /// A handover is over.
    fn end_change(&mut self, instance: Instance, outcome: Result<(), ReplaceError>) -> Result<(), CallError> {
        self.instances.end_handover(instance.id)?;
        let changes = self.changes.extract_if(.., |change| change.id == instance.id);
        let later = changes.filter_map(|change| change.later).find(Later::is_owed);
        let settings = &self.spec(&instance).settings;
        let to = instance.handover.and_then(|handover| settings.packages().nth(handover.to.into()));
        let (name, to) = (&*instance.name, to.unwrap_or("?"));
        match (&outcome, &later) {
            (Ok(()), _) => self.say(&format!("*** {name} is {to} from now on"))?,
            (Err(error), None) => self.say(&format!("*** {name} is not {to}: {error}"))?,
            // Who asked says so.
            (Err(_), Some(_)) => {}
        }
        if let Some(later) = later {
            later.answer(&outcome);
        }
        match self.instances.of_id(instance.id)? {
            Some(instance) if !instance.is_running() => self.look_after_ended(instance),
            _ => Ok(()),
        }
    }

    /// Does what comes after the end of one that hands over no more.
    fn look_after_ended(&mut self, instance: Instance) -> Result<(), CallError> {
        match instance.state {
            // That it ended so is no end of its own.
            State::Replaced => self.follow(instance, Why::Failed),
            _ => self.look_after(instance),
        }
    }
}
