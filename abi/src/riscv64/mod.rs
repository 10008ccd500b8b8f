//! The parts of the interface that are particular to 64-bit RISC-V.
//!
//! Registers at `ecall`: number in a7, capability (and badge back) in a0, message information in a1, message words 0 to 3
//! in a2 to a5, reply object in a6; for the calls that send and then receive through two capabilities, a0 is the one to
//! receive from and t0 the one to send to.

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
