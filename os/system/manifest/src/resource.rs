//! Memory and files that a description gives a component by name.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::{RoleName, Size};

/// Registers of a device, in the physical address space.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(deny_unknown_fields)]
pub struct Mmio {
    /// What the component calls them.
    pub name: RoleName,
    /// The physical address of the first, a multiple of a page.
    pub address: u64,
    /// Their bytes, a multiple of a page.
    pub bytes: Size,
}

impl Mmio {
    /// The address behind them.
    pub const fn end(&self) -> u64 {
        self.address.saturating_add(self.bytes.0)
    }
}

/// Memory for a device that reads and writes it by itself: in one piece, at a physical address that the component knows.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(deny_unknown_fields)]
pub struct Dma {
    /// What the component calls it.
    pub name: RoleName,
    /// Its bytes: a power of two.
    pub bytes: Size,
}

/// A file that the component can read.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// What the component calls it.
    pub name: RoleName,
    /// Where it is when the system is built, from the folder of the description.
    pub path: String,
}
