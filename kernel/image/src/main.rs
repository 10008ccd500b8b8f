//! The kernel binary: boot loader to port to portable kernel, and traps from the port to the portable kernel.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod boot;
#[cfg(target_os = "none")]
mod kernel;

/// One architecture's way from the boot loader to Rust, and the port that is linked with it.
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
mod aarch64;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
use pecan_arch::aarch64 as port;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
mod x86_64;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
use pecan_arch::x86_64 as port;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("This is a kernel; `cargo xtask kernel --out FILE` builds it, `cargo xtask run` boots it.");
}
