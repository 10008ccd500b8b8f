//! The supervisor's service: what runs, and what is to run.

use alloc::string::String;
use core::fmt;

use pecan_service::{Caller, Later, Reader, Text, Unbounded, Wire, Writer, service};

use crate::{Granted, ReplaceError};

/// The most bytes of the name under which a component runs.
pub const NAME_MAX: usize = 40;
/// The most bytes of what is shown of a component's purpose.
pub const ABOUT_MAX: usize = 320;
/// The most bytes of all arguments of a program together, each with one more.
pub const ARGUMENTS_MAX: usize = 800;

/// What a component is doing.
#[derive(Wire, Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// It runs or waits.
    Running = 0,
    /// It ended by itself.
    Exited = 1,
    /// It died of a fault or a panic.
    Faulted = 2,
    /// Somebody killed it.
    Killed = 3,
    /// It was given up, or could not be started.
    Failed = 4,
    /// It waits to be started again.
    BackOff = 5,
    /// It has handed over to another program, which is to go on in its place.
    Replaced = 6,
}

impl State {
    /// The state in a word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Exited => "exited",
            Self::Faulted => "faulted",
            Self::Killed => "killed",
            Self::Failed => "failed",
            Self::BackOff => "backoff",
            Self::Replaced => "replaced",
        }
    }
}

/// A component, as a list shows it.
#[derive(Wire, Clone, PartialEq, Eq, Debug)]
pub struct ComponentInfo {
    /// Its name.
    pub name: Text<NAME_MAX>,
    /// What it is doing.
    pub state: State,
    /// Its priority.
    pub priority: u8,
    /// Microseconds of processor time it used, all its lives together.
    pub cpu_us: u64,
    /// How often it was started again.
    pub restarts: u64,
    /// Milliseconds until it is started again; 0 if it does not wait for that.
    pub wait_ms: u64,
    /// What it is for.
    pub about: Text<ABOUT_MAX>,
}

/// A program that can be run.
#[derive(Wire, Clone, PartialEq, Eq, Debug)]
pub struct ProgramInfo {
    /// Its name.
    pub name: Text<NAME_MAX>,
    /// What it is for.
    pub about: Text<ABOUT_MAX>,
}

/// A capability that a component has, or memory that it shares, with the names that the description gives it.
#[derive(Wire, Clone, PartialEq, Eq, Debug)]
pub struct CapInfo {
    /// What it is.
    pub granted: Granted,
    /// What the component calls it; empty if it has no name for it.
    pub name: Text<NAME_MAX>,
    /// Where a channel leads: the server and its role, with a dot between them.
    pub to: Text<80>,
}

/// Memory that somebody has.
#[derive(Wire, Clone, PartialEq, Eq, Debug)]
pub struct MemoryInfo {
    /// Who.
    pub owner: Text<NAME_MAX>,
    /// All of it, in bytes.
    pub size: u64,
    /// What of it is left, in bytes.
    pub left: u64,
}

/// How a program ended.
#[derive(Wire, Clone, PartialEq, Eq, Debug)]
pub struct Ending {
    /// The state it ended in.
    pub state: State,
    /// Its status, if it exited by itself.
    pub status: u64,
}

/// Why something was not done.
#[derive(Wire, Clone, Copy, PartialEq, Eq, Debug)]
pub enum ControlError {
    /// There is no component of that name.
    NoSuchComponent = 0,
    /// There is no program of that name.
    NoSuchProgram = 1,
    /// Memory, capability slots or places at a server have run out.
    NoResources = 2,
    /// It does not run.
    NotRunning = 3,
    /// The system cannot do without it.
    Essential = 4,
    /// The arguments are too long.
    TooLong = 5,
    /// It runs already.
    Running = 6,
    /// As many of it run as its description allows.
    TooMany = 7,
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSuchComponent => "there is no such component",
            Self::NoSuchProgram => "there is no such program",
            Self::NoResources => "not enough memory, slots or places at a server",
            Self::NotRunning => "it does not run",
            Self::Essential => "the system cannot do without it",
            Self::TooLong => "the arguments are too long",
            Self::Running => "it runs already",
            Self::TooMany => "as many of it run as its description allows",
        })
    }
}

/// The arguments of a program, as one text: each ends with a zero byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arguments<'a>(&'a str);

impl<'a> Arguments<'a> {
    /// Puts arguments together, for [`Arguments::new`]. `None` if one has a zero byte in it.
    pub fn join(arguments: &[impl AsRef<str>]) -> Option<String> {
        let mut text = String::new();
        for argument in arguments {
            if argument.as_ref().contains('\0') {
                return None;
            }
            text.push_str(argument.as_ref());
            text.push('\0');
        }
        Some(text)
    }

    /// The arguments in a text.
    pub const fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = &'a str> {
        self.0.split_terminator('\0')
    }
}

impl<'m> Wire<'m> for Arguments<'m> {
    fn encode(&self, to: &mut Writer) {
        to.bytes(self.0.as_bytes());
    }
    fn decode(from: &mut Reader<'m>) -> Option<Self> {
        <&str>::decode(from).map(Self)
    }
}

impl Unbounded for Arguments<'_> {
    fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// What runs, what it may do and what it takes; start and kill.
#[service(name = "control", version = 2)]
pub trait Control {
    /// The component of a number, from 0.
    #[idempotent]
    fn component(&mut self, caller: Caller, index: u64) -> Option<ComponentInfo>;
    /// The program of a number, from 0.
    #[idempotent]
    fn program(&mut self, caller: Caller, index: u64) -> Option<ProgramInfo>;
    /// A capability of a component, by its number from 0.
    #[idempotent]
    fn capability(
        &mut self,
        caller: Caller,
        #[max(NAME_MAX)] component: &str,
        index: u64,
    ) -> Result<Option<CapInfo>, ControlError>;
    /// The memory of an owner, by the owner's number from 0.
    #[idempotent]
    fn memory(&mut self, caller: Caller, index: u64) -> Option<MemoryInfo>;
    /// Starts a program; returns a number to wait for it with.
    fn run(
        &mut self,
        caller: Caller,
        #[max(NAME_MAX)] program: &str,
        #[max(ARGUMENTS_MAX)] arguments: Arguments<'_>,
    ) -> Result<u64, ControlError>;
    /// The name under which a program runs.
    #[idempotent]
    fn name(&mut self, caller: Caller, id: u64) -> Option<Text<NAME_MAX>>;
    /// Waits until a program has ended. How it was is known for a while after that.
    #[idempotent]
    fn wait(&mut self, caller: Caller, id: u64, later: Later<Result<Ending, ControlError>>);
    /// Ends a component. What comes then is up to its description.
    fn kill(&mut self, caller: Caller, #[max(NAME_MAX)] component: &str) -> Result<(), ControlError>;
    /// Starts a component that does not run, however often it has failed, and the servers that it uses.
    fn start(&mut self, caller: Caller, #[max(NAME_MAX)] component: &str) -> Result<(), ControlError>;
    /// Lets a server hand its clients, its rings and its state over to another of the programs that its description lists,
    /// which goes on in its place. Nobody's call is lost. Answers when that is done, or why it was not.
    fn replace(
        &mut self,
        caller: Caller,
        #[max(NAME_MAX)] component: &str,
        #[max(NAME_MAX)] program: &str,
        later: Later<Result<(), ReplaceError>>,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_come_apart_as_they_were() {
        let text = Arguments::join(&["one", "", "two words"]).unwrap();
        assert!(Arguments::new(&text).iter().eq(["one", "", "two words"]));
        assert_eq!(Arguments::new("").iter().count(), 0);
        assert_eq!(Arguments::join(&["with\0zero"]), None);
    }
}
