//! The machine: boot information, device memory, I/O ports.

use pecan::{
    CapRights, Error,
    abi::{boot::BootInfoId, constants::vm_attributes},
    alloc::Objects,
    boot,
    cspace::Slots,
    types::SmallPage,
};

use crate::{Failure, Test, check, env::Env};

pub const TESTS: &[Test] = &[
    ("the_boot_information_makes_sense", boot_information),
    ("the_extra_boot_information_is_found", extra_boot_information),
    ("device_memory_is_found_by_its_address", device_memory),
    ("an_io_port_is_read_and_written", io_port),
];

fn boot_information(env: &mut Env<'_>) -> Result<(), Failure> {
    let info = env.boot.raw();
    check!(info.num_nodes >= 1 && info.node_id == 0 && info.init_thread_domain == 0);
    check!(info.empty.end == 1 << info.init_thread_cnode_size_bits);
    check!(env.boot.untypeds().count() as u64 == info.untyped.len());
    check!(env.boot.untypeds().all(|(_, desc)| desc.paddr.is_multiple_of(1 << desc.size_bits)));
    check!(env.boot.sched_control(info.num_nodes) == Err(Error::NoSlots));
    check!(env.boot.image_frame(pecan_runtime::image_start(), 0x1000) == Err(Error::NoSlots));
    Ok(())
}

fn extra_boot_information(env: &mut Env<'_>) -> Result<(), Failure> {
    check!(env.boot.tsc_mhz().is_some_and(|mhz| (100..100_000).contains(&mhz)));
    check!(env.boot.acpi_rsdp().is_some_and(|rsdp| rsdp.starts_with(b"RSD PTR ")));
    check!(env.boot.chunk(BootInfoId::X86MbMmap).is_some());
    check!(env.boot.chunk(BootInfoId::Fdt).is_none());
    Ok(())
}

/// The page of a PC's firmware where a processor begins, which is with a far jump 16 bytes before the end.
const RESET: u64 = 0xffff_f000;
const FAR_JUMP: u8 = 0xea;

fn device_memory(env: &mut Env<'_>) -> Result<(), Failure> {
    let frame = env.pool.device_frame::<SmallPage>(RESET, env.cspace)?;
    check!(frame.physical_address()? == RESET);
    // What was split off before it has to be found again.
    let below = env.pool.device_frame::<SmallPage>(RESET - 0x5000, env.cspace)?;
    check!(below.physical_address()? == RESET - 0x5000);
    check!(env.pool.device_frame::<SmallPage>(RESET, env.cspace).is_err());
    check!(env.pool.device_frame::<SmallPage>(RESET + 8, env.cspace) == Err(Error::AlignmentError));

    let Env { space, slots, memory, .. } = env;
    let mut objects = Objects::new(*slots, core::slice::from_mut(*memory));
    let address = space.map_anywhere(&mut objects, frame, CapRights::READ, vm_attributes::UNCACHEABLE)?;
    // SAFETY: the frame is mapped there, and is read-only memory.
    let first = unsafe { (address as *const u8).add(0xff0).read_volatile() };
    check!(first == FAR_JUMP);
    Ok(())
}

fn io_port(env: &mut Env<'_>) -> Result<(), Failure> {
    // The index and the data port of the real-time clock.
    let dest = env.slots.take(2)?;
    let port = boot::IO_PORT_CONTROL.issue(0x70, 0x71, dest)?;
    // Register 0x40 and up is memory.
    for value in [0x5a, 0xa5] {
        port.out8(0x70, 0x50)?;
        port.out8(0x71, value)?;
        port.out8(0x70, 0x50)?;
        check!(port.in8(0x71)? == value);
    }
    check!(port.in8(0x72).is_err());
    check!(boot::IO_PORT_CONTROL.issue(0x71, 0x72, dest.offset(1)) == Err(Error::RevokeFirst));
    Ok(())
}
