//! Drivers of the devices that the kernel itself uses: interrupt controllers, timers and the port of the console. They know
//! a device's registers and how it is used; how its registers are reached the port says, which implements a trait of theirs.
//! So nothing here touches hardware, and drivers are tested on any host.

#[cfg_attr(not(target_os = "none"), allow(dead_code))]
pub mod ioapic;
#[cfg_attr(not(target_os = "none"), allow(dead_code))]
pub mod local_apic;
#[cfg_attr(not(target_os = "none"), allow(dead_code))]
pub mod ns16550;
#[cfg_attr(not(target_os = "none"), allow(dead_code))]
pub mod pic;
#[cfg_attr(not(target_os = "none"), allow(dead_code))]
pub mod pit;
