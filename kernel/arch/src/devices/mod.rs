//! Drivers of the devices that the kernel itself uses: interrupt controllers, timers and the port of the console. They know
//! a device's registers and how it is used; how its registers are reached the port says, which implements a trait of theirs.
//! So nothing here touches hardware, and drivers are tested on any host.
//!
//! Each is for the ports whose machines have it; tests have all of them.

#[cfg(any(test, pecan_arch = "aarch64"))]
#[cfg_attr(not(target_os = "none"), allow(dead_code))]
pub mod gic;
#[cfg(any(test, pecan_arch = "x86_64"))]
#[cfg_attr(not(target_os = "none"), allow(dead_code))]
pub mod ioapic;
#[cfg(any(test, pecan_arch = "x86_64"))]
#[cfg_attr(not(target_os = "none"), allow(dead_code))]
pub mod local_apic;
#[cfg(any(test, pecan_arch = "x86_64"))]
#[cfg_attr(not(target_os = "none"), allow(dead_code))]
pub mod ns16550;
#[cfg(any(test, pecan_arch = "x86_64"))]
#[cfg_attr(not(target_os = "none"), allow(dead_code))]
pub mod pic;
#[cfg(any(test, pecan_arch = "x86_64"))]
#[cfg_attr(not(target_os = "none"), allow(dead_code))]
pub mod pit;
#[cfg(any(test, pecan_arch = "aarch64"))]
#[cfg_attr(not(target_os = "none"), allow(dead_code))]
pub mod pl011;
