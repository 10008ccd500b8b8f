//! The parts of the interface that are particular to AArch64.
//!
//! Registers at `svc #0`: number in x7, capability (and badge back) in x0, message information in x1, message words 0 to 3
//! in x2 to x5, reply object in x6; for the calls that send and then receive through two capabilities, x0 is the one to
//! receive from and x8 the one to send to.

pub mod boot;
pub mod constants;
mod context;
pub mod fault;
mod invocation;
mod label;
mod object;

pub use context::UserContext;
pub use invocation::INVOCATIONS;
pub use label::{Label, TABLE_LABELS};
pub use object::ObjectType;

/// How many message words travel in registers.
pub const MESSAGE_REGISTERS: usize = 4;
