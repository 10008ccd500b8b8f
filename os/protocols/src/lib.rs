//! The protocols that the components of the system speak, each a service made with [`macro@pecan_service::service`].
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod control;
mod granted;
mod handover;
mod instances;
mod log;
mod reports;
mod sessions;

use pecan_service::{Bytes, Caller, Description, Later, Wire, service};

pub use control::*;
pub use granted::{Granted, RingPart};
pub use handover::*;
pub use instances::*;
pub use log::*;
pub use reports::*;
pub use sessions::*;

/// The most bytes of text in one message of [`ConsoleClient::write`] and of [`LogClient::write`].
pub const WRITE_MAX: usize = 900;
/// The most bytes of input in one answer of [`ConsoleClient::read`].
pub const READ_MAX: usize = 256;
/// The most bytes of a line that [`ConsoleClient::read_line`] returns.
pub const LINE_MAX: usize = 900;

/// A console for several clients. Output of different clients never mixes within a line. What is written is shown as text:
/// characters that do not print appear as their numbers.
///
/// What is typed goes to the client that owns the keyboard, or to the one that it lends the keyboard to. The description
/// says who owns it; in a system without an owner it goes to the last that reads.
#[service(name = "console", version = 1)]
pub trait Console {
    /// Writes text. A line appears when it is complete; the unfinished last line when the same client reads or
    /// flushes. Returns when there is room for more.
    fn write(&mut self, caller: Caller, #[max(WRITE_MAX)] text: &[u8], later: Later<()>);
    /// Writes the first `len` bytes of the page shared with this client. Returns when there is room for more.
    fn write_page(&mut self, caller: Caller, len: u64, later: Later<()>);
    /// Waits for input and takes what there is of it, not beyond the end of a line, as it was typed, without showing it.
    #[idempotent]
    fn read(&mut self, caller: Caller, later: Later<Bytes<READ_MAX>>);
    /// Waits for a line, showing it while it is typed; without its end.
    #[idempotent]
    fn read_line(&mut self, caller: Caller, later: Later<Bytes<LINE_MAX>>);
    /// Shows the unfinished line, and waits until all output has left the machine.
    #[idempotent]
    fn flush(&mut self, caller: Caller, later: Later<()>);
    /// Shows `line` behind the unfinished line, with the cursor after so many of its characters: for a client that edits
    /// what it reads. It is gone with the next text that the client writes.
    #[idempotent]
    fn edit(&mut self, caller: Caller, #[max(LINE_MAX)] line: &str, cursor: u64, later: Later<()>);
    /// Lends the keyboard to the client of this badge, or takes it back with 0; Ctrl-C that nobody reads ends the program
    /// of this number, none for 0. `false` for those who do not own the keyboard.
    #[idempotent]
    fn foreground(&mut self, caller: Caller, client: u64, program: u64) -> bool;
    /// Whether Ctrl-C was pressed since this was last asked, and not taken for input. `false` for those who do not own
    /// the keyboard.
    fn interrupted(&mut self, caller: Caller) -> bool;
}

/// Time, in microseconds since the machine started.
#[service(name = "timer", version = 1)]
pub trait Timer {
    /// The time.
    #[idempotent]
    fn now(&mut self, caller: Caller) -> u64;
    /// Waits until a time; returns the time it is then, which is never earlier.
    #[idempotent]
    fn alarm(&mut self, caller: Caller, at: u64, later: Later<u64>);
    /// Waits for so many microseconds; returns the time it is then. If the timer dies meanwhile, the wait begins anew.
    #[idempotent]
    fn sleep(&mut self, caller: Caller, duration: u64, later: Later<u64>);
    /// How many alarms are set, that of nobody else included.
    #[idempotent]
    fn pending(&mut self, caller: Caller) -> u64;
}

/// The machine's switch.
#[service(name = "power", version = 1)]
pub trait Power {
    /// Ends the machine with a status; where it cannot be ended, it is restarted. Returns only if neither works.
    #[idempotent]
    fn exit(&mut self, caller: Caller, status: u8);
    /// Restarts the machine. Returns only if that does not work.
    #[idempotent]
    fn restart(&mut self, caller: Caller);
}

/// Something to call when only the way there and back matters.
#[service(name = "echo", version = 1)]
pub trait Echo {
    /// The value plus one, wrapping.
    #[idempotent]
    fn ping(&mut self, caller: Caller, value: u64) -> u64;
}

/// The date, as a clock has it that goes on while the machine is off.
#[service(name = "clock", version = 1)]
pub trait Clock {
    /// Seconds since the beginning of 1970 in UTC; 0 if the clock says no time.
    #[idempotent]
    fn seconds(&mut self, caller: Caller) -> u64;
}

/// Places of a server's clients, a bit each.
#[derive(Wire, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Departures {
    /// Those whose client has ended.
    pub clients: u64,
    /// Those whose client has given up its call: the time for it was over, or it was cancelled.
    pub calls: u64,
    /// Of the first, those that were sessions: their memory is taken back when the server says that it has let go of them,
    /// or a little later in any case.
    pub sessions: u64,
}

/// The initial task, as every component sees it. It is the same endpoint on which a component exits.
#[service(name = "supervisor", version = 4)]
pub trait Supervisor {
    /// Somebody at the terminal wants the program of a number to end, or with 0 those that somebody waits for. Only who
    /// shows the system log can say so, and no service ends that way.
    fn interrupt(&mut self, caller: Caller, program: u64);
    /// A sign of life, for those of whom the description expects some. A server gives it by itself, between two calls.
    #[idempotent]
    fn pulse(&mut self, caller: Caller);
    /// To a server: what has become of its clients and of their calls since it last asked.
    fn departures(&mut self, caller: Caller) -> Departures;
    /// Opens a session with the server that the client calls through a capability of a channel, and gives `quota` bytes of
    /// its memory for sessions to it.
    fn open(
        &mut self,
        caller: Caller,
        endpoint: u64,
        quota: u64,
        #[max(SESSION_ARGS_MAX)] args: &[u8],
    ) -> Result<OpenedSession, SessionError>;
    /// Ends the session that the client has through a capability; whether its memory is back already. If it is not, it will
    /// be soon, and this can be asked again.
    fn close(&mut self, caller: Caller, endpoint: u64) -> bool;
    /// To a server: the session in one of its places.
    #[idempotent]
    fn session(&mut self, caller: Caller, place: u64) -> Option<SessionInfo>;
    /// To a server: it does not use the memory of sessions in these places any more, a bit each, which were among those that
    /// it was told of.
    fn let_go(&mut self, caller: Caller, places: u64);
    /// To a server: whether it is to hand over to another program.
    #[idempotent]
    fn is_replaced(&mut self, caller: Caller) -> bool;
    /// To a server that is to hand over: memory for its state, so many bytes; returns where. `None` if it is not to hand over
    /// any more, or there is no such memory.
    fn state_room(&mut self, caller: Caller, bytes: u64) -> Option<u64>;
    /// To a server that is to hand over: its state is there, and it ends. Returns only if it is not to hand over any more.
    fn hand_over(&mut self, caller: Caller);
    /// The caller does not hand over, or does not take over from its predecessor, and why.
    fn refuse(&mut self, caller: Caller, why: Unfit);
    /// The caller has taken over from its predecessor.
    fn take_over(&mut self, caller: Caller);
}

/// What each of the protocols consists of.
pub const ALL: [Description; 12] = [
    ConsoleClient::DESCRIPTION,
    TimerClient::DESCRIPTION,
    PowerClient::DESCRIPTION,
    EchoClient::DESCRIPTION,
    ControlClient::DESCRIPTION,
    SupervisorClient::DESCRIPTION,
    ClockClient::DESCRIPTION,
    InstancesClient::DESCRIPTION,
    ReportsClient::DESCRIPTION,
    LogClient::DESCRIPTION,
    NoticesClient::DESCRIPTION,
    BacklogClient::DESCRIPTION,
];

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::ALL;

    #[test]
    fn no_two_protocols_and_no_two_methods_are_the_same() {
        for (n, protocol) in ALL.iter().enumerate() {
            assert!(ALL[..n].iter().all(|other| other.name != protocol.name), "{}", protocol.name);
        }
        let mut methods: Vec<_> =
            ALL.iter().flat_map(|p| p.methods.iter().map(|m| (m.number, p.name, m.name))).collect();
        methods.sort_unstable();
        for pair in methods.windows(2) {
            assert_ne!(pair[0].0, pair[1].0, "{pair:?} have the same number");
        }
        assert!(methods.len() > 20);
    }
}
