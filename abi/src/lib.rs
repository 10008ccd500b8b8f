//! The interface of the kernel, described once.
//!
//! Everything that crosses the line between user level and the kernel is named here: system calls, errors,
//! object types, invocation labels, message layouts, the IPC buffer and the boot information. The numbers are
//! those of the seL4 16.0 interface, MCS variant, 64-bit, so that software built for it runs unmodified.
//!
//! The crate packs and unpacks bits and does nothing else. The kernel, the user-level library, the generated
//! stubs and the reference tables all take their numbers from it.
//!
//! What depends on the architecture lives in a module of that architecture's name, with the same names in each; [`arch`] is
//! the one the current build uses, and its names are re-exported at the root.
#![no_std]
#![forbid(unsafe_code)]

#[macro_use]
mod word_enum;
#[macro_use]
mod context;
#[macro_use]
pub mod fault;
#[macro_use]
mod invocation;
#[macro_use]
pub mod label;
#[macro_use]
mod object;

pub mod aarch64;
pub mod benchmark;
pub mod boot;
pub mod breakpoint;
pub mod constants;
mod error;
pub mod extension;
pub mod ipc;
mod rights;
pub mod riscv64;
mod syscall;
pub mod x86_64;

pub use error::{Error, LookupFailureKind};
pub use invocation::{Direction, INVOCATIONS, Invocation, Object, Param, ParamType, Part};
pub use ipc::MessageInfo;
pub use object::Paging;
pub use rights::{CNodeCapData, CapRights};
pub use syscall::Syscall;

/// The architecture this build is for: the target's; on the host the one that the environment variable `PECAN_ARCH` says,
/// or x86_64.
#[cfg(pecan_arch = "aarch64")]
pub use aarch64 as arch;
#[cfg(pecan_arch = "riscv64")]
pub use riscv64 as arch;
#[cfg(pecan_arch = "x86_64")]
pub use x86_64 as arch;

pub use arch::{Label, ObjectType, UserContext};

/// The configuration has hardware breakpoints and single-stepping (the interface's `HARDWARE_DEBUG_API`), which adds
/// invocations and so shifts the labels of others. Chosen when this crate is built, by the environment variable
/// `PECAN_HARDWARE_DEBUG`; kernel and programs must agree.
pub const HARDWARE_DEBUG: bool = option_env!("PECAN_HARDWARE_DEBUG").is_some();

/// A machine word: the unit of messages, badges and capability addresses.
pub type Word = u64;

/// A capability address: the word a CSpace resolves to a slot.
pub type CPtr = u64;

/// A point in time or a duration, in microseconds where the interface counts in time.
pub type Time = u64;
