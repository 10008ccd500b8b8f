//! The methods of each type of capability: its invocations, with typed parameters.

mod irq;
mod sched;
mod tcb;
mod untyped;
mod vspace;

pub use sched::SchedParams;
pub use tcb::{CSpaceRoot, Priorities};
