//! What differs between two threads beyond the saved registers: some that the processor keeps of its own.

use super::machine::machine;
pub use crate::format::arch::context::LIVE_REGISTERS;
use crate::{Reg, UserContext, reg};

pub fn context_switch(from: &UserContext, to: &UserContext) {
    sync_context(from);
    load_context(to);
}

pub fn has_short_switch() -> bool {
    true
}

/// Does nothing for threads that have something in one of the live registers but the base of the thread-local storage.
pub fn short_context_switch(from: &UserContext, to: &UserContext) -> bool {
    let others = LIVE_REGISTERS.iter().zip(machine().live.get()).filter(|(r, _)| **r != reg::TLS_BASE);
    let short = others.fold(0, |all, (r, live)| all | live | to.get(*r)) == 0;
    if short {
        context_switch(from, to);
    }
    short
}

pub fn load_context(to: &UserContext) {
    machine().live.set(LIVE_REGISTERS.map(|r| to.get(r)));
}

/// What the processor has in this register of the thread that runs; `None` if it is among those that are always saved.
pub fn live(register: Reg) -> Option<u64> {
    let at = LIVE_REGISTERS.iter().position(|r| *r == register)?;
    machine().live.get().get(at).copied()
}

/// Sets what [`live`] gives, as user level does. False if the register is always saved.
pub fn set_live(register: Reg, value: u64) -> bool {
    let mut all = machine().live.get();
    let at = LIVE_REGISTERS.iter().position(|r| *r == register);
    let live = at.and_then(|at| all.get_mut(at)).map(|live| *live = value).is_some();
    machine().live.set(all);
    live
}

pub fn sync_context(current: &UserContext) {
    for (r, live) in LIVE_REGISTERS.iter().zip(machine().live.get()) {
        current.set(*r, live);
    }
}
