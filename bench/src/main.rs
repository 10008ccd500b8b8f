//! Counts the instructions of kernel operations on a machine whose clock ticks once an instruction.
//!
//! Prints `bench ID INSTRUCTIONS` for each row of `budgets.toml`, and `bench: done`.
#![no_std]
#![no_main]

mod ipc;
mod objects;
mod partner;
mod probe;
mod ring;
mod service;

use core::sync::atomic::{AtomicU64, Ordering};

use pecan::{
    Cap, Result,
    abi::constants::tcb_flag,
    alloc::Objects,
    boot::{self, BootInfo},
    cspace::{CSpace, Slots},
    memory::UntypedPool,
    types::IoPort,
};
use pecan_runtime::println;

pecan_runtime::root_task!(main);

/// The first port of the serial console.
pub const COM1: u16 = 0x3f8;
/// Priority of this thread while it measures; partners are above it.
pub const PRIORITY: u8 = 100;
/// How often each operation is measured. The least counts: now and then the timer gets in between.
pub const SAMPLES: usize = 16;

static SERIAL: AtomicU64 = AtomicU64::new(0);

/// Release kernels do not print: this program drives the serial console itself.
fn serial(bytes: &[u8]) {
    const LINE_STATUS: u16 = COM1 + 5;
    const TRANSMITTER_EMPTY: u8 = 1 << 5;
    // SAFETY: what is stored is the address of that capability, before anything is printed here.
    let ports = unsafe { Cap::<IoPort>::new(SERIAL.load(Ordering::Relaxed)) };
    for &byte in bytes {
        // A port that cannot be read or written cannot be reported either.
        while ports.in8(LINE_STATUS).is_ok_and(|status| status & TRANSMITTER_EMPTY == 0) {}
        let _ = ports.out8(COM1, byte);
    }
}

/// Measures the operation of a row of `budgets.toml` and prints its figure.
pub fn row(id: &str, mut measure: impl FnMut() -> Result<u32>) -> Result<()> {
    let instructions = least(|| {
        probe::sample_begins(id);
        measure()
    })?;
    println!("bench {id} {instructions}");
    Ok(())
}

/// The least of several measurements.
pub fn least(mut measure: impl FnMut() -> Result<u32>) -> Result<u32> {
    let mut least = u32::MAX;
    for _ in 0..SAMPLES {
        least = least.min(measure()?);
    }
    Ok(least)
}

fn main(boot: BootInfo) -> Result<()> {
    let mut cspace = CSpace::new(boot::CNODE, boot.raw().empty);
    let mut pool = UntypedPool::new();
    pool.add_boot_untypeds(&boot);
    let ports = boot::IO_PORT_CONTROL.issue(COM1, COM1 + 7, cspace.take(1)?)?;
    SERIAL.store(ports.cptr(), Ordering::Relaxed);
    pecan_runtime::set_console(serial);

    boot::TCB.set_priority(boot::TCB, PRIORITY)?;
    boot::TCB.set_flags(0, tcb_flag::FPU_DISABLED)?;
    let mut objects = Objects::new(&mut cspace, &mut pool);
    let mut partners = partner::Partners::new(boot, &mut objects)?;
    ipc::measure(&mut partners, &mut objects)?;
    ipc::measure_irq(&mut partners, &mut objects, ports)?;
    objects::measure(&mut objects)?;
    ring::measure()?;
    service::measure(&mut partners, &mut objects)?;
    println!("bench: done");
    Ok(())
}
