//! What the kernel keeps of capabilities that only one architecture has, and what their end undoes: a file for each
//! architecture, with the same items. Their invocations are in `invoke::arch`.

#[cfg(pecan_arch = "aarch64")]
pub mod aarch64;
#[cfg(pecan_arch = "riscv64")]
pub mod riscv64;
#[cfg(pecan_arch = "x86_64")]
pub mod x86_64;

#[cfg(pecan_arch = "aarch64")]
pub use aarch64::{end, identity};
#[cfg(pecan_arch = "riscv64")]
pub use riscv64::{end, identity};
#[cfg(pecan_arch = "x86_64")]
pub use x86_64::{end, identity};
