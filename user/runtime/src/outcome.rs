//! How a program ends.

use core::{convert::Infallible, fmt::Display};

use pecan::{
    Cap, Message,
    startup::{EXIT_LABEL, well_known},
    types::{Endpoint, Tcb},
};

/// What `main` can return.
pub trait Outcome {
    /// The status for the supervisor; 0 is success.
    fn status(self) -> u64;
}

impl Outcome for () {
    fn status(self) -> u64 {
        0
    }
}

impl Outcome for u64 {
    fn status(self) -> u64 {
        self
    }
}

impl Outcome for Infallible {
    fn status(self) -> u64 {
        match self {}
    }
}

impl<T: Outcome, E: Display> Outcome for Result<T, E> {
    fn status(self) -> u64 {
        match self {
            Ok(outcome) => outcome.status(),
            Err(error) => {
                crate::println!("error: {error}");
                1
            }
        }
    }
}

/// Ends the program: tells the supervisor, if there is one, and stops the thread.
pub fn exit(status: u64) -> ! {
    let tcb = match crate::startup() {
        Some(startup) => {
            // SAFETY: it is the page that this program was started with, and these names mean the same in every program.
            let (supervisor, tcb) = unsafe {
                (startup.cap::<Endpoint>(well_known::SUPERVISOR), startup.cap::<Tcb>(well_known::TCB))
            };
            if let Some(supervisor) = supervisor {
                supervisor.call(&Message::new(EXIT_LABEL, [status]));
            }
            tcb.unwrap_or(Cap::NULL)
        }
        None => pecan::boot::TCB,
    };
    if !tcb.is_null() {
        // If it does not work, what follows does.
        let _ = tcb.suspend();
    }
    crate::panic::stop()
}
