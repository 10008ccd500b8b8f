//! Counts the instructions of kernel operations; see the README beside it.
#![no_std]
#![no_main]

mod messages;
mod objects;
mod world;

use core::sync::atomic::{AtomicU64, Ordering};

use pecan::{
    Cap, Result,
    alloc::Objects,
    boot::{self, BootInfo},
    cspace::{CSpace, Slots},
    memory::UntypedPool,
    types::IoPort,
    vspace::AddressSpace,
};
use pecan_runtime::println;
use world::World;

pecan_runtime::root_task!(main);

/// The first serial port.
const SERIAL: u16 = 0x3f8;

/// The capability to the serial port: a release kernel prints nothing for user level.
static PORT: AtomicU64 = AtomicU64::new(0);

/// Where this program maps things: far from its image and from what the kernel mapped beside it.
const FREE_ADDRESSES: core::ops::Range<u64> = 0x10_0000_0000..0x20_0000_0000;

fn main(boot: BootInfo) -> Result<()> {
    let mut cspace = CSpace::new(boot::CNODE, boot.raw().empty);
    boot::IO_PORT_CONTROL
        .issue(SERIAL, SERIAL + 7, cspace.take(1)?)
        .map(|port| PORT.store(port.cptr(), Ordering::Relaxed))?;
    pecan_runtime::set_console(write);
    if let Err(error) = measure(boot, &mut cspace) {
        println!("bench: failed: {error}");
    }
    Ok(())
}

fn measure(boot: BootInfo, cspace: &mut CSpace) -> Result<()> {
    let mut pool = UntypedPool::new();
    pool.add_boot_untypeds(&boot);
    let own = AddressSpace::new(boot::VSPACE, FREE_ADDRESSES.start, FREE_ADDRESSES.end);
    let mut world = World::new(boot, Objects::new(cspace, &mut pool), own)?;
    objects::run(&mut world)?;
    messages::run(&mut world)?;
    println!("bench: done");
    Ok(())
}

/// Writes on the serial line; QEMU's takes every byte at once.
fn write(bytes: &[u8]) {
    let port = Cap::<IoPort>::new(PORT.load(Ordering::Relaxed));
    for &byte in bytes {
        // There is no other place to say that it failed.
        let _ = port.out8(SERIAL, byte);
    }
}

/// Prints a figure.
fn report(id: &str, instructions: u64) {
    println!("bench {id} {instructions}");
}
