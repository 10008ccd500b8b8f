//! What the host's tools and the initial task have to agree on: system descriptions, the archive that carries them, what
//! badges say, and where things are in a component's address space.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod archive;
mod badge;
mod component;
mod interface;
pub mod layout;
mod name;
mod resource;
mod shared;
mod size;
pub mod symbols;
mod system;

pub use archive::{ALIGN, Archive, ArchiveError, MAGIC, pack};
pub use badge::{Badge, Kind};
pub use component::{
    BackOff, ChildrenTime, Irq, IrqSource, OnGiveUp, Ports, Restart, Settings, Start, Thread,
};
pub use interface::{Interface, Protocol, Role, Served, Used};
pub use name::{About, BadText, ComponentName, Name, ProtocolName, RoleName};
pub use resource::{Dma, File, Mmio};
pub use shared::{Rights, Ring, RingEnd, RoleRing};
pub use size::Size;
pub use system::{Channel, Component, INIT, RingAt, Server, System};
