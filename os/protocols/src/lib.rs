//! The protocols that the components of the system speak, each a service made with [`pecan_service::service!`].
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod control;

use alloc::vec::Vec;

use pecan_service::service;

pub use control::*;

/// The most bytes of text that go into one message of [`ConsoleClient::write`].
pub const WRITE_MAX: usize = 900;

service! {
    /// A console for several clients. Output of different clients never mixes within a line.
    pub trait Console, client ConsoleClient, dispatch ConsoleDispatch: "console" = 1 {
        /// Writes text, at most [`WRITE_MAX`] bytes of it. A line appears when it is complete; the unfinished
        /// last line when the same client reads or flushes.
        0: now fn write(text: Vec<u8>) -> ();
        /// Writes the first `len` bytes of the page shared with this client.
        1: now fn write_page(len: u64) -> ();
        /// Waits for input and takes it as it was typed, without showing it.
        2: later fn read() -> Vec<u8>;
        /// Waits for a line, showing it while it is typed; without its end.
        3: later fn read_line() -> Vec<u8>;
        /// Shows the unfinished line, and waits until all output has left the machine.
        4: later fn flush() -> ();
    }
}

service! {
    /// Time, in microseconds since the machine started.
    pub trait Timer, client TimerClient, dispatch TimerDispatch: "timer" = 2 {
        /// The time.
        0: now fn now() -> u64;
        /// Waits until a time; returns the time it is then, which is never earlier.
        1: later fn alarm(at: u64) -> u64;
        /// Waits for so many microseconds; returns the time it is then.
        2: later fn sleep(duration: u64) -> u64;
        /// How many alarms are set, that of nobody else included.
        3: now fn pending() -> u64;
    }
}

service! {
    /// The machine's switch.
    pub trait Power, client PowerClient, dispatch PowerDispatch: "power" = 3 {
        /// Ends the machine with a status; where it cannot be ended, it is restarted. Returns only if neither
        /// works.
        0: now fn exit(status: u8) -> ();
        /// Restarts the machine. Returns only if that does not work.
        1: now fn restart() -> ();
    }
}

service! {
    /// Something to call when only the way there and back matters.
    pub trait Echo, client EchoClient, dispatch EchoDispatch: "echo" = 4 {
        /// The value plus one, wrapping.
        0: now fn ping(value: u64) -> u64;
    }
}

service! {
    /// The initial task, as every component sees it. It is the same endpoint on which a component exits.
    pub trait Supervisor, client SupervisorClient, dispatch SupervisorDispatch: "supervisor" = 6 {
        /// Puts text into the system log, under the component's name: for those that have no console.
        0: now fn log(text: Vec<u8>) -> ();
        /// Somebody at the terminal wants the programs to end that are being waited for. Only who shows the
        /// system log can say so.
        1: now fn interrupt() -> ();
        /// To a server: which of its clients' places have lost their client since it last asked, a bit each.
        2: now fn departures() -> u64;
    }
}
