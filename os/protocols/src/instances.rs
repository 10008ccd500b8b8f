//! What the supervisor asks of the initial task, which makes components, keeps what is known of each, and takes them apart.

use pecan_service::{Caller, Text, Wire, service};

use crate::{
    ARGUMENTS_MAX, Arguments, ControlError, Ending, Granted, Handover, MemoryInfo, NAME_MAX, State, Unfit,
};

/// A component of the description, or a program that runs: what the initial task keeps of it.
#[derive(Wire, Clone, PartialEq, Eq, Debug)]
pub struct Instance {
    /// Its number; there is no other of that number, ever.
    pub id: u64,
    /// Its place in the description.
    pub spec: u16,
    /// The name it runs under.
    pub name: Text<NAME_MAX>,
    /// What it is doing.
    pub state: State,
    /// Its status, if it exited by itself.
    pub status: u64,
    /// Whether it was ever started.
    pub begun: bool,
    /// Whether its memory is still in use.
    pub made: bool,
    /// Microseconds of processor time of all its lives.
    pub cpu_us: u64,
    /// How often it was started again.
    pub restarts: u64,
    /// What the supervisor last noted of it.
    pub note: Note,
    /// Which of the programs that it can run is its own now, by its number.
    pub program: u8,
    /// How far it has come, if it hands over to another program.
    pub handover: Option<Handover>,
}

impl Instance {
    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.state == State::Running
    }
}

/// One that does not run.
#[derive(Wire, Clone, PartialEq, Eq, Debug)]
pub struct Stopped {
    /// Its place in the list.
    pub index: u64,
    /// What is known of it.
    pub instance: Instance,
}

/// What the supervisor wants to know of a component if it is started again itself.
#[derive(Wire, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Note {
    /// Whether the component has ended and is not started again by itself.
    pub for_good: bool,
    /// Failures in a row.
    pub failures: u32,
    /// When it is started again, in microseconds since the machine was switched on; 0 if it does not wait for that.
    pub until: u64,
    /// When it was last started.
    pub started: u64,
    /// Whether others were restarted for its sake.
    pub helped: bool,
}

/// What is left of one that is taken apart.
#[repr(u64)]
#[derive(Wire, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Remains {
    /// Nothing.
    #[default]
    Nothing = 0,
    /// Something: ask again.
    Something = 1,
    /// Memory of which it has made others. That is revoked meanwhile, which may take a while: ask again later.
    Others = 2,
}

/// What somebody else than a client of the supervisor wants of it.
#[repr(u64)]
#[derive(Wire, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    /// The program of a number is to end, or with 0 those that somebody waits for: Ctrl-C.
    Interrupt {
        /// The program's number.
        program: u64,
    } = 0,
    /// The component of a number is to be started: the rescue console.
    Start {
        /// The component's number.
        id: u64,
    } = 1,
}

/// Makes components, keeps what is known of each, and takes them apart. Whoever is connected to this is signalled when a
/// component has ended, when there is a wish, and when the time of the alarm has come.
#[service(name = "instances", version = 3)]
pub trait Instances {
    /// What is known of one of them, by its place in the list, from 0.
    #[idempotent]
    fn instance(&mut self, caller: Caller, index: u64) -> Option<Instance>;
    /// What is known of the one of a number.
    #[idempotent]
    fn of_id(&mut self, caller: Caller, id: u64) -> Option<Instance>;
    /// What is known of the one of a name.
    #[idempotent]
    fn named(&mut self, caller: Caller, #[max(NAME_MAX)] name: &str) -> Option<Instance>;
    /// The first of those that do not run, or that hand over, from a place in the list on.
    #[idempotent]
    fn stopped(&mut self, caller: Caller, from: u64) -> Option<Stopped>;
    /// How a program ended, if that was not long ago.
    #[idempotent]
    fn ending(&mut self, caller: Caller, id: u64) -> Option<Ending>;
    /// What a component holds, by its place in the list, from 0. Number 0 is the initial task itself.
    #[idempotent]
    fn granted(&mut self, caller: Caller, id: u64, index: u64) -> Option<Granted>;
    /// The memory of an owner, by the owner's number from 0.
    #[idempotent]
    fn memory(&mut self, caller: Caller, index: u64) -> Option<MemoryInfo>;
    /// Microseconds of processor time that the initial task itself has used.
    #[idempotent]
    fn consumed(&mut self, caller: Caller) -> u64;
    /// Adds a component of the description to the list, under a name that is not in it; returns its number.
    fn add(
        &mut self,
        caller: Caller,
        spec: u16,
        #[max(NAME_MAX)] name: &str,
        #[max(ARGUMENTS_MAX)] arguments: Arguments<'_>,
    ) -> Result<u64, ControlError>;
    /// Begins to make one of which nothing is made; `again` counts as a restart. [`Instances::go_on`] makes the rest, in steps.
    fn start(&mut self, caller: Caller, id: u64, again: bool) -> Result<(), ControlError>;
    /// Goes on with one that is being made, by some pages; whether it is made and runs now. After an error, or where nobody
    /// goes on, what there is of it is to be taken apart.
    fn go_on(&mut self, caller: Caller, id: u64) -> Result<bool, ControlError>;
    /// Asks a server that runs to hand over to another of the programs that it can run. From then on there is a
    /// [`Handover`], until it is said to be over.
    fn ask_handover(&mut self, caller: Caller, id: u64, program: u8) -> Result<(), ControlError>;
    /// Starts the program that is to take over from one that has left its state; or that which it ran before, if the other is
    /// unfit.
    fn hand_on(&mut self, caller: Caller, id: u64, unfit: Option<Unfit>) -> Result<(), ControlError>;
    /// A handover is over, however far it has come. What is left of the state is dropped.
    fn end_handover(&mut self, caller: Caller, id: u64);
    /// Ends one that runs. A part of the system, which calls the initial task, is started again at once.
    fn stop(&mut self, caller: Caller, id: u64) -> Result<(), ControlError>;
    /// Takes one apart that has ended, by some capabilities, at the priority of who asks; returns what is left of it.
    fn clear(&mut self, caller: Caller, id: u64) -> Remains;
    /// Takes a program of which nothing is made, or nothing is left, off the list.
    fn remove(&mut self, caller: Caller, id: u64);
    /// Keeps a note.
    fn note(&mut self, caller: Caller, id: u64, state: State, note: Note);
    /// Signals at this time, in microseconds since the machine was switched on; in place of what was said before.
    fn alarm(&mut self, caller: Caller, at: u64);
    /// The next wish.
    fn wish(&mut self, caller: Caller) -> Option<Wish>;
    /// Restarts the machine. Returns only if that does not work.
    fn reboot(&mut self, caller: Caller);
}
