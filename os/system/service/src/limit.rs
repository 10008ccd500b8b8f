//! Calls that end before they are answered.

use core::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use pecan::{
    Cap, Message,
    raw::ThreadBlock,
    startup::{CANCEL_LABEL, LIMIT_LABEL},
    types::Endpoint,
};

use crate::CallError;

/// The endpoint of the supervisor, which ends calls.
static SUPERVISOR: AtomicU64 = AtomicU64::new(0);

/// Says who ends calls whose time is over. Before, no call can have a limit.
pub fn set_supervisor(endpoint: Cap<Endpoint>) {
    SUPERVISOR.store(endpoint.cptr(), Ordering::Relaxed);
}

fn supervisor() -> Cap<Endpoint> {
    // SAFETY: what is stored is the address of the supervisor's endpoint, or null.
    unsafe { Cap::new(SUPERVISOR.load(Ordering::Relaxed)) }
}

/// Cancels calls that were made with it (`client.cancelled_by(&CANCEL)`), from another thread of the program.
#[derive(Debug, Default)]
pub struct Cancel(AtomicBool);

impl Cancel {
    /// Nothing is cancelled yet.
    pub const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Ends the calls that are being made with it, and all that are made later.
    pub fn cancel(&'static self) {
        self.0.store(true, Ordering::SeqCst);
        if !supervisor().is_null() {
            supervisor().call(&Message::new(CANCEL_LABEL, [self.token()]));
        }
    }

    /// Lets calls be made with it again.
    pub fn reset(&self) {
        self.0.store(false, Ordering::SeqCst);
    }

    /// Whether calls with it are cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// No other has this word as long as the program runs.
    fn token(&'static self) -> u64 {
        core::ptr::from_ref(self).addr() as u64
    }
}

/// When calls end.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// After so many microseconds; [`u64::MAX`] for never.
    us: u64,
    cancel: Option<&'static Cancel>,
}

impl Limit {
    pub const NONE: Self = Self { us: u64::MAX, cancel: None };

    #[inline]
    pub const fn is_some(&self) -> bool {
        self.us != u64::MAX || self.cancel.is_some()
    }

    pub const fn within(self, time: Duration) -> Self {
        let us = time.as_micros();
        Self { us: if us < u64::MAX as u128 { us as u64 } else { u64::MAX - 1 }, ..self }
    }

    pub const fn cancelled_by(self, cancel: &'static Cancel) -> Self {
        Self { cancel: Some(cancel), ..self }
    }

    /// Makes a call to an endpoint with this limit.
    #[cold]
    pub fn apply<R>(
        self,
        endpoint: Cap<Endpoint>,
        call: impl FnOnce() -> Result<R, CallError>,
    ) -> Result<R, CallError> {
        if supervisor().is_null() {
            return Err(CallError::NoChannel);
        }
        let token = self.cancel.map_or(0, Cancel::token);
        let limit = |endpoint| {
            let words = [ThreadBlock::current().tcb, endpoint, self.us, token];
            let answer = supervisor().call(&Message::new(LIMIT_LABEL, words));
            match answer.label() {
                0 => Ok(()),
                label => Err(CallError::from_message(label, answer.word(0), 0)),
            }
        };
        limit(endpoint.cptr())?;
        // Whoever cancels says so first here and then to the supervisor: either this is seen, or the supervisor knows.
        let result =
            if self.cancel.is_some_and(Cancel::is_cancelled) { Err(CallError::Cancelled) } else { call() };
        limit(0)?;
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static CANCEL: Cancel = Cancel::new();

    #[test]
    fn a_limit_is_what_was_said() {
        assert!(!Limit::NONE.is_some());
        let limit = Limit::NONE.within(Duration::from_millis(3));
        assert_eq!((limit.us, limit.is_some()), (3000, true));
        assert_eq!(Limit::NONE.within(Duration::MAX).us, u64::MAX - 1);
        let limit = limit.cancelled_by(&CANCEL).within(Duration::ZERO);
        assert!(limit.us == 0 && limit.cancel.is_some());
    }

    #[test]
    fn without_a_supervisor_no_call_is_made() {
        let limit = Limit::NONE.within(Duration::from_millis(3));
        let call = || -> Result<(), CallError> { unreachable!("it could not be ended") };
        assert_eq!(limit.apply(Cap::NULL, call), Err(CallError::NoChannel));
        CANCEL.cancel();
        assert!(CANCEL.is_cancelled());
        CANCEL.reset();
        assert!(!CANCEL.is_cancelled());
    }
}
