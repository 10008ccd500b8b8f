//! Invocations that only one architecture has: a file for each, with the same items.
//!
//! - `invoke`: of the capabilities that only this architecture has.
//! - `decode_handler`: of interrupt control. Where interrupts come from, every architecture has words of its own for, which are
//!   looked at behind what `claim` does, the part that is the same for all (`invoke::irq`).
//! - `invoke_frame`, `invoke_table`: what is asked of frames and of paging structures beside mapping and unmapping them.

#[cfg(pecan_arch = "aarch64")]
mod aarch64;
#[cfg(pecan_arch = "riscv64")]
mod riscv64;
#[cfg(pecan_arch = "x86_64")]
mod x86_64;

#[cfg(pecan_arch = "aarch64")]
pub use aarch64::{decode_handler, invoke, invoke_frame, invoke_table};
#[cfg(pecan_arch = "riscv64")]
pub use riscv64::{decode_handler, invoke, invoke_frame, invoke_table};
#[cfg(pecan_arch = "x86_64")]
pub use x86_64::{decode_handler, invoke, invoke_frame, invoke_table};

#[cfg(all(test, pecan_arch = "aarch64"))]
pub use aarch64::testing;
#[cfg(all(test, pecan_arch = "riscv64"))]
pub use riscv64::testing;
#[cfg(all(test, pecan_arch = "x86_64"))]
pub use x86_64::testing;

use pecan_mem::{Link, Slot};

/// A handler for an interrupt, as it is asked for.
pub struct Wanted {
    /// What user level calls the interrupt.
    pub number: u64,
    /// The slot for the capability: root, index, depth.
    pub dest: (Link<Slot>, u64, u64),
}
