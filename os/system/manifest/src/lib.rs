//! What the host's tools and the initial task have to agree on: system descriptions in the form in which they
//! travel, and the archive that carries them. And where things are in a component's address space.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod archive;
pub mod layout;
mod system;

pub use archive::{ALIGN, Archive, ArchiveError, MAGIC, pack};
pub use system::{Channel, Component, Irq, IrqSource, Ports, Restart, Server, Service, Start, System};
