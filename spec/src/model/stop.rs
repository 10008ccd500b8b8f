//! Operations that are stopped before they are done.
//!
//! Deleting, revoking, retyping and cancelling can take long. Each is a sequence of small steps, which the functions of
//! these operations say ([`Step::may_stop`] stands between them). A kernel may stop after any of them for an interrupt or
//! because the caller's time is up; after which is its choice. The caller is then ready to make the same system call again,
//! and what is left to do is done by that. Meanwhile everybody sees, and can use or delete, what is there. The manual says
//! what such an operation comes to (2.4.1, 3.1.2, 3.2), and not what it leaves when it is stopped: that is Pecan's own
//! definition.

use super::{Arrival, Call, Doing, Event, Failure, Name, Slot, State, Step};

/// The operation that is under way has been stopped. Nobody is told of it.
pub(super) struct Stopped;

/// So that it ends an invocation as a failure would.
impl From<Stopped> for Failure {
    fn from(Stopped: Stopped) -> Failure {
        Failure(pecan_abi::Error::NoError, vec![])
    }
}

/// Whether and when an operation is stopped.
#[derive(Default)]
pub(crate) struct Stop {
    /// After so many small steps; 0 for never.
    after: usize,
    /// Only if the caller has no time any more.
    for_want_of_time: bool,
    /// It has been.
    pub stopped: bool,
    /// Of the descendants of a capability that is revoked these go first.
    pub first: Vec<Slot>,
}

/// What a system call may have come to when it is stopped, by how many small steps are done. Without an arrival it is
/// stopped because it took its caller's own scheduling context away. In which order the descendants of a capability go is
/// not said: here those go first that are not in `found` any more, or not as they were.
pub fn stopped(
    state: &State,
    call: &Call,
    by: Option<Arrival>,
    found: &State,
) -> impl Iterator<Item = State> {
    let first =
        state.caps.iter().filter(|(slot, held)| found.caps.get(slot).map(|h| h.cap) != Some(held.cap));
    let first: Vec<Slot> = first.map(|(&slot, _)| slot).collect();
    let mut after = 0;
    std::iter::from_fn(move || {
        if after == usize::MAX {
            return None;
        }
        after += 1;
        let mut m = Step::of(state.clone());
        m.stop = Stop { after, for_want_of_time: by.is_none(), stopped: false, first: first.clone() };
        let current = m.s.current?;
        let event = Event::Syscall(call.clone());
        m.load(current, &event);
        if m.pass(&event) {
            m.system_call(current, call);
        }
        if m.stop.stopped {
            return Some(m.end_stopped(current, by));
        }
        // It has come to its end, and so do the places to stop at.
        after = usize::MAX;
        m.end_in_time(by)
    })
}

impl Step {
    /// A small step is done, and the operation may be stopped here.
    pub(super) fn may_stop(&mut self) -> Result<(), Stopped> {
        self.settle();
        if self.stop.after == 0 || self.stop.for_want_of_time && !self.has_lost_its_time() {
            return Ok(());
        }
        self.stop.after -= 1;
        self.stop.stopped = self.stop.after == 0;
        if self.stop.stopped { Err(Stopped) } else { Ok(()) }
    }

    /// Whoever became ready is in the queue: the choice is made anew, as it is among several.
    pub(super) fn settle(&mut self) {
        self.woken.anew |= !self.woken.threads.is_empty();
    }

    /// The caller could go on, but for the scheduling context that it ran on.
    fn has_lost_its_time(&self) -> bool {
        let caller = self.invoker.and_then(|invoker| self.s.threads.get(&invoker));
        caller.is_some_and(|t| t.doing == Doing::Running && t.sc != self.charged)
    }

    /// Time has passed, and that was not the end of the caller's slice: it need not stop.
    fn end_in_time(mut self, by: Option<Arrival>) -> Option<State> {
        let (Some(Arrival::Time(ticks)), Some(caller)) = (by, self.s.current) else { return None };
        let runs = |s: &State| s.threads.get(&caller).is_some_and(|t| t.sc == self.charged);
        let context = self.charged.and_then(|sc| self.s.contexts.get(&sc));
        if runs(&self.s) && context.is_some_and(|c| !c.has_left(ticks)) {
            return None;
        }
        self.time_passes(ticks);
        if let Some(sc) = self.charged.filter(|sc| self.s.contexts.contains_key(sc)) {
            self.context(sc).charge(ticks as i64);
        }
        self.choose();
        Some(self.s)
    }

    /// The caller will make its call again; what came happens.
    fn end_stopped(mut self, caller: Name, by: Option<Arrival>) -> State {
        self.woken.anew = true;
        if let Some(thread) = self.s.threads.get_mut(&caller)
            && thread.doing == Doing::Running
        {
            thread.doing = Doing::Restarting;
        }
        match by {
            Some(Arrival::Interrupt(irq)) => self.interrupt(irq),
            Some(Arrival::Time(ticks)) => {
                self.time_passes(ticks);
                if self.can_run(caller) && self.s.threads[&caller].sc == self.charged {
                    self.charge(caller, ticks);
                } else if let Some(sc) = self.charged.filter(|sc| self.s.contexts.contains_key(sc)) {
                    self.context(sc).charge(ticks as i64);
                }
            }
            None => {}
        }
        self.choose();
        self.s
    }
}
