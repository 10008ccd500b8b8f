//! The parts of the interface that are particular to x86_64.
//!
//! Registers at `syscall`: number in rdx, capability (and badge back) in rdi, message information in rsi,
//! message words 0 to 3 in r10, r8, r9 and r15, reply object in r12; for the calls that send and then receive
//! through two capabilities, rdi is the one to receive from and r13 the one to send to. The processor itself
//! overwrites rcx and r11. rsp is not restored by the kernel's way in, so user stubs keep it in rbx.

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
