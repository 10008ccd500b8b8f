//! A server hands over to another program, which goes on in its place.

use core::fmt;

use pecan_service::Wire;

/// Why a server does not hand over, or another program does not take over from it.
#[repr(u64)]
#[derive(Wire, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unfit {
    /// The server does not know how to hand over.
    Unable = 0,
    /// There is no memory for the state.
    NoMemory = 1,
    /// The program does not know states of this version.
    Version {
        /// The state's.
        state: u32,
        /// The program's own.
        known: u32,
    } = 2,
    /// The program does not serve all that the server's clients call.
    Protocol {
        /// The role.
        role: u8,
        /// The number of a method that is missing.
        method: u64,
    } = 3,
    /// The program cannot make sense of the state.
    State = 4,
    /// It took too long.
    TimedOut = 5,
    /// It died.
    Died = 6,
    /// The program cannot be started.
    NotStarted = 7,
    /// Clients have sessions with the server, in memory that would be lost with it.
    Sessions = 8,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unable => f.write_str(
                "it cannot hand over: it has to implement `Handover`, and to serve with `serve_replaceable`",
            ),
            Self::NoMemory => f.write_str("there is no memory for its state"),
            Self::Version { state, known } => {
                write!(f, "the program knows states of version {known}, and this one is of version {state}")
            }
            Self::Protocol { role, method } => {
                write!(
                    f,
                    "the program does not serve method {method:#x} of role {role}, which clients may call"
                )
            }
            Self::State => f.write_str("the program cannot make sense of the state"),
            Self::TimedOut => f.write_str("it took too long"),
            Self::Died => f.write_str("the program died before it had taken over"),
            Self::Sessions => f.write_str("clients have sessions with it, which would end"),
            Self::NotStarted => f.write_str("the program cannot be started"),
        }
    }
}

/// How far a server has come in handing over.
#[derive(Wire, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// It was asked, and runs.
    Asked = 0,
    /// It has left its state and ended.
    Left = 1,
    /// The other program runs, and has yet to take over.
    Entering = 2,
    /// The other program has taken over.
    Entered = 3,
    /// The other program did not take over. The server's own runs again, and has yet to go on from its state.
    Returning = 4,
    /// The server's own program goes on from its state.
    Returned = 5,
}

/// What is known of a server that hands over. Programs are named by their numbers among those that a component can run.
#[derive(Wire, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Handover {
    /// How far it has come.
    pub stage: Stage,
    /// The program that it ran.
    pub from: u8,
    /// The program that is to take its place.
    pub to: u8,
    /// What came in the way, if something did.
    pub unfit: Option<Unfit>,
}

/// Why a server was not replaced.
#[repr(u64)]
#[derive(Wire, Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReplaceError {
    /// There is no component of that name.
    NoSuchComponent = 0,
    /// It does not run.
    NotRunning = 1,
    /// It is a part of the system, whose state the initial task keeps.
    Part = 2,
    /// It serves nobody, so that nobody would notice if it were killed and started.
    NotServer = 3,
    /// Its description does not list this program.
    NoSuchProgram = 4,
    /// It is being replaced already.
    Busy = 5,
    /// It goes on as it was.
    Kept {
        /// Why.
        why: Unfit,
    } = 6,
    /// It was started again, without its state.
    Lost {
        /// Why.
        why: Unfit,
    } = 7,
}

impl fmt::Display for ReplaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSuchComponent => "there is no such component",
            Self::NotRunning => "it does not run",
            Self::Part => "it is a part of the system and is not replaced; `kill` starts it again",
            Self::NotServer => "it serves nobody; only servers are replaced",
            Self::NoSuchProgram => "its description does not list that program in `replacements`",
            Self::Busy => "it is being replaced already",
            Self::Kept { why } => return write!(f, "not replaced, and nothing is lost: {why}"),
            Self::Lost { why } => return write!(f, "started again without its state: {why}"),
        })
    }
}
