//! What a program on Pecan uses: typed capabilities, messages, and allocators of slots and memory.
//!
//! - [`Cap`] is the address of a capability together with the type of what it refers to; the methods of each
//!   type are the invocations it answers.
//! - [`ipc`] builds and reads messages; [`fault`] reads those that the kernel sends about a thread,
//!   and [`stack`] finds out who called what on a stack.
//! - [`boot`] is what a root task is given, [`startup`] what any other program is given.
//! - [`cspace`], [`memory`] and [`alloc`] hand out slots, untyped memory, and objects made of both;
//!   [`vspace`] maps frames and [`thread`] starts threads.
//! - [`raw`] has the system calls as they are, and one function for each invocation.
//!
//! A thread must have a [`raw::ThreadBlock`] before it uses any of this; `pecan-runtime` sees to that.
#![no_std]

pub mod alloc;
pub mod boot;
mod cap;
pub mod cspace;
mod error;
pub mod fault;
pub mod ipc;
pub mod memory;
mod objects;
pub mod raw;
pub mod stack;
pub mod startup;
pub mod thread;
pub mod vspace;

pub use cap::{Cap, CapType, FixedSize, FrameType, Object, types};
pub use cspace::Slot;
pub use error::{Error, LookupFailure, Result};
pub use ipc::{Message, Received};
pub use objects::{CSpaceRoot, IoapicPin, Msi, Priorities, SchedParams};
pub use pecan_abi as abi;
pub use pecan_abi::{CNodeCapData, CPtr, CapRights, MessageInfo, ObjectType, UserContext};
