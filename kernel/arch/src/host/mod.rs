//! The port that is no hardware: an emulation of the contract, one machine per host thread, so that the
//! portable kernel and its tests run under plain `cargo test`, in parallel.
//!
//! It speaks the interface of any architecture, with that architecture's formats (`crate::format`): of x86_64, unless the
//! environment variable `PECAN_ARCH` named another when it was built.
//!
//! A test registers memory with [`set_memory`], drives time and interrupts with [`set_time`] and [`raise_irq`],
//! and looks at what the kernel did with [`machine`].

mod console;
mod context;
mod cpu;
mod debug;
mod entry;
mod fpu;
mod irq;
mod machine;
mod time;
mod vspace;

pub use crate::format::arch::{boot::BootExtras, context::UserContext};
pub use console::*;
pub use context::*;
pub use cpu::*;
pub use debug::*;
pub use entry::*;
pub use fpu::*;
pub use irq::*;
pub use machine::*;
pub use time::*;
pub use vspace::*;
