//! The initial task's own service.

use alloc::{string::String, vec::Vec};
use core::fmt;

use pecan_service::{service, wire_enum, wire_struct};

wire_enum! {
    /// What a component is doing.
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
    }
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
        }
    }
}

wire_struct! {
    /// A component, as a list shows it.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct ComponentInfo {
        /// Its name.
        pub name: String,
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
        pub about: String,
    }
}

wire_struct! {
    /// A program that can be run.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct ProgramInfo {
        /// Its name.
        pub name: String,
        /// What it is for.
        pub about: String,
    }
}

wire_struct! {
    /// A capability that a component has.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct CapInfo {
        /// Its address in the component's CSpace; 0 for what the kernel keeps for its thread.
        pub slot: u64,
        /// What kind of object it refers to.
        pub kind: String,
        /// Its rights, a letter each.
        pub rights: String,
        /// Its badge; 0 for none.
        pub badge: u64,
        /// Which object it is.
        pub object: String,
    }
}

wire_struct! {
    /// Memory that somebody has.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct MemoryInfo {
        /// Who.
        pub owner: String,
        /// All of it, in bytes.
        pub size: u64,
        /// What of it is left, in bytes.
        pub left: u64,
    }
}

wire_struct! {
    /// How a program ended.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct Ending {
        /// The state it ended in.
        pub state: State,
        /// Its status, if it exited by itself.
        pub status: u64,
    }
}

wire_enum! {
    /// Why the initial task did not do something.
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
    }
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
        })
    }
}

service! {
    /// What runs, what it may do and what it takes; start and kill.
    pub trait Control, client ControlClient, dispatch ControlDispatch: "control" = 5 {
        /// The component of a number, from 0.
        0: now fn component(index: u64) -> Option<ComponentInfo>;
        /// The program of a number, from 0.
        1: now fn program(index: u64) -> Option<ProgramInfo>;
        /// A capability of a component, by its number from 0.
        2: now fn capability(component: String, index: u64) -> Result<Option<CapInfo>, ControlError>;
        /// The memory of an owner, by the owner's number from 0.
        3: now fn memory(index: u64) -> Option<MemoryInfo>;
        /// Starts a program; returns a number to wait for it with.
        4: now fn run(program: String, arguments: Vec<String>) -> Result<u64, ControlError>;
        /// The name under which a program runs.
        5: now fn name(id: u64) -> Option<String>;
        /// Waits until a program has ended.
        6: later fn wait(id: u64) -> Result<Ending, ControlError>;
        /// Ends a component. What comes then is up to its description.
        7: now fn kill(component: String) -> Result<(), ControlError>;
        /// Starts a component that does not run, however often it has failed, and the servers that it uses.
        8: now fn start(component: String) -> Result<(), ControlError>;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    impl Control for Nobody {
        fn component(&mut self, _: pecan_service::Caller, _: u64) -> Option<ComponentInfo> {
            None
        }
        fn program(&mut self, _: pecan_service::Caller, _: u64) -> Option<ProgramInfo> {
            None
        }
        fn capability(
            &mut self,
            _: pecan_service::Caller,
            _: String,
            _: u64,
        ) -> Result<Option<CapInfo>, ControlError> {
            Err(ControlError::NoSuchComponent)
        }
        fn memory(&mut self, _: pecan_service::Caller, _: u64) -> Option<MemoryInfo> {
            None
        }
        fn run(
            &mut self,
            _: pecan_service::Caller,
            name: String,
            arguments: Vec<String>,
        ) -> Result<u64, ControlError> {
            Ok((name.len() + arguments.len()) as u64)
        }
        fn name(&mut self, _: pecan_service::Caller, _: u64) -> Option<String> {
            None
        }
        fn wait(
            &mut self,
            _: pecan_service::Caller,
            _: u64,
            _: pecan_service::Later<Result<Ending, ControlError>>,
        ) {
        }
        fn start(&mut self, _: pecan_service::Caller, _: String) -> Result<(), ControlError> {
            Err(ControlError::Running)
        }
        fn kill(&mut self, _: pecan_service::Caller, _: String) -> Result<(), ControlError> {
            Err(ControlError::NotRunning)
        }
    }

    fn ask(method: u64, fill: impl FnOnce(&mut pecan_service::Writer)) -> pecan_service::Outcome {
        use pecan_service::{Caller, Dispatch, Reader, Replies, Writer, label};
        let mut writer = Writer::new(label(5, method));
        fill(&mut writer);
        let message = writer.finish().unwrap();
        let mut replies = Replies::new(&[pecan_service::__pecan::Cap::NULL]);
        let caller = Caller { badge: pecan_manifest::Badge::call(0, 0, 1) };
        let mut reader = Reader::new(&message);
        <ControlDispatch as Dispatch<Nobody>>::dispatch(
            &mut Nobody,
            caller,
            message.label(),
            &mut reader,
            &mut replies,
        )
    }

    #[test]
    fn a_call_finds_its_method_and_its_arguments() {
        let outcome = ask(4, |w| {
            w.bytes(b"primes");
            w.word(0);
        });
        let reply = outcome.message().unwrap();
        assert_eq!((reply.label(), reply.word(0), reply.word(1)), (0, 0, 6));
    }

    #[test]
    fn bad_calls_are_refused() {
        use pecan_service::{CallError, Outcome};
        assert!(matches!(ask(99, |_| ()), Outcome::Refused(CallError::NoSuchMethod)));
        assert!(matches!(ask(4, |w| w.word(77)), Outcome::Refused(CallError::Garbled)));
        // The only reply object is in use: nobody can be kept waiting.
        assert!(matches!(ask(6, |w| w.word(1)), Outcome::Refused(CallError::Busy)));
    }
}
