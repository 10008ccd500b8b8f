//! Components are made and taken apart in steps, of which the initial task does one at a time. They are done at such a pace that
//! the initial task has time left for everybody else.

use pecan_component::{
    manifest::layout,
    pecan::raw,
    protocols::{ControlError, Remains},
    service::CallError,
};

use crate::{Supervisor, now};

/// How much of the initial task's time the steps may take, in each of its periods.
const SHARE: u64 = (layout::INIT_BUDGET - layout::REVOKE_BUDGET) / 2;

/// For how many periods others wait for the revocation of what a component has made.
const PATIENCE: u32 = 4;

/// How much time the steps for one component have taken. Those for a small one are few, and nobody waits for them.
struct Pace {
    /// When the period began in which that is counted.
    since: u64,
    /// Microseconds.
    spent: u64,
}

impl Pace {
    /// Nothing so far.
    fn new() -> Self {
        Self { since: now(), spent: 0 }
    }

    /// Lets the initial task do a step. If there were many, the next one comes in the next period.
    fn step<T>(&mut self, action: impl FnOnce() -> T) -> T {
        let before = now();
        if before - self.since >= layout::INIT_PERIOD {
            *self = Self { since: before, spent: 0 };
        }
        let result = action();
        self.spent += now() - before;
        if self.spent >= SHARE {
            // It may go on before that, if it has been waiting for some of its time: then one step more is done.
            raw::yield_now();
        }
        result
    }
}

impl Supervisor {
    /// Makes a component of which nothing is made, and lets it run. Where that fails, nothing is left of it.
    pub fn make(&self, id: u64, again: bool) -> Result<Result<(), ControlError>, CallError> {
        let mut pace = Pace::new();
        if let Err(error) = pace.step(|| self.instances.start(id, again))? {
            return Ok(Err(error));
        }
        loop {
            match pace.step(|| self.instances.go_on(id))? {
                Ok(true) => return Ok(Ok(())),
                Ok(false) => {}
                Err(error) => {
                    self.take_apart(id)?;
                    return Ok(Err(error));
                }
            }
        }
    }

    /// Takes a component apart that does not run.
    pub fn take_apart(&self, id: u64) -> Result<(), CallError> {
        while !self.take_apart_soon(id)? {}
        Ok(())
    }

    /// The same, unless what it has made of its own memory takes long to revoke: whether nothing is left of it.
    pub fn take_apart_soon(&self, id: u64) -> Result<bool, CallError> {
        let (mut pace, mut patience) = (Pace::new(), PATIENCE);
        while patience > 0 {
            match pace.step(|| self.instances.clear(id))? {
                Remains::Nothing => return Ok(true),
                Remains::Something => {}
                Remains::Others => {
                    // The rest of this period's budget: it goes on with the next period.
                    raw::yield_now();
                    patience -= 1;
                }
            }
        }
        Ok(false)
    }
}
