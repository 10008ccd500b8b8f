//! Invocations on objects, and system calls that take no second thread.

use pecan::{
    Cap, CapRights, Object, Result, boot,
    memory::Region,
    raw,
    types::{Endpoint, SmallPage, Tcb},
    vspace::PAGE_SIZE,
};

use crate::{
    report,
    world::{World, now},
};

/// log2 of the memory that one measurement retypes.
const STOCK_BITS: u32 = 17;

/// Measures and prints.
pub fn run(world: &mut World<'_>) -> Result<()> {
    system_calls(world)?;
    retype(world)?;
    slots(world)?;
    pages(world)
}

fn system_calls(world: &World<'_>) -> Result<()> {
    let nothing = Cap::<Endpoint>::NULL;
    report(
        "syscall.null",
        world.time(|| {
            nothing.nb_send(pecan::Message::empty(0));
            Ok(())
        })?,
    );
    report(
        "syscall.yield",
        world.time(|| {
            raw::yield_now();
            Ok(())
        })?,
    );
    Ok(())
}

/// Memory of which a part stays in use, so that retyping never starts from its beginning again.
fn stock(world: &mut World<'_>) -> Result<Region> {
    let mut region = world.objects.split(STOCK_BITS)?;
    let slot = world.objects.slots.take(1)?;
    region.retype::<SmallPage>(0, slot, 1)?;
    Ok(region)
}

fn retype(world: &mut World<'_>) -> Result<()> {
    retype_one::<Endpoint>(world, "untyped.retype_endpoint", None)?;
    retype_one::<SmallPage>(world, "untyped.retype_frame", None)?;
    retype_one::<Tcb>(world, "untyped.retype_tcb", Some("tcb.delete"))
}

fn retype_one<T: Object>(world: &mut World<'_>, id: &str, delete_id: Option<&str>) -> Result<()> {
    let untyped = stock(world)?.untyped;
    let slot = world.objects.slots.take(1)?;
    let mut deletion = u64::MAX;
    let least = world.time_with(|| {
        let start = now();
        untyped.retype::<T>(0, slot, 1)?;
        let taken = now() - start;
        let start = now();
        slot.delete()?;
        deletion = deletion.min(now() - start);
        Ok(taken)
    })?;
    report(id, least);
    if let Some(id) = delete_id {
        report(id, world.time_with(|| Ok(deletion))?);
    }
    Ok(())
}

fn slots(world: &mut World<'_>) -> Result<()> {
    let original = world.objects.make::<Endpoint>()?;
    let source = world.objects.slots.slot_of(original.cptr());
    let (dest, moved) = (world.objects.slots.take(1)?, world.objects.slots.take(1)?);
    let mut deletion = u64::MAX;
    let least = world.time_with(|| {
        let start = now();
        dest.copy_from(source, CapRights::ALL)?;
        let taken = now() - start;
        let start = now();
        dest.delete()?;
        deletion = deletion.min(now() - start);
        Ok(taken)
    })?;
    report("cnode.copy", least);
    report("cnode.delete", world.time_with(|| Ok(deletion))?);
    let least = world.time_with(|| {
        let start = now();
        dest.mint_from(source, CapRights::ALL, 7)?;
        let taken = now() - start;
        dest.delete()?;
        Ok(taken)
    })?;
    report("cnode.mint", least);
    dest.copy_from(source, CapRights::ALL)?;
    let least = world.time_with(|| {
        let start = now();
        moved.move_from(dest)?;
        let taken = now() - start;
        dest.move_from(moved)?;
        Ok(taken)
    })?;
    report("cnode.move", least);
    Ok(())
}

fn pages(world: &mut World<'_>) -> Result<()> {
    let frame = world.objects.make::<SmallPage>()?;
    let address = world.own.reserve(PAGE_SIZE, PAGE_SIZE)?;
    let attributes = pecan::abi::constants::vm_attributes::DEFAULT;
    // The first time makes the page tables.
    world.own.map(&mut world.objects, frame, address, CapRights::READ_WRITE, attributes)?;
    frame.unmap()?;
    let mut unmapping = u64::MAX;
    let least = world.time_with(|| {
        let start = now();
        frame.map(boot::VSPACE, address, CapRights::READ_WRITE, attributes)?;
        let taken = now() - start;
        let start = now();
        frame.unmap()?;
        unmapping = unmapping.min(now() - start);
        Ok(taken)
    })?;
    report("page.map", least);
    report("page.unmap", world.time_with(|| Ok(unmapping))?);
    Ok(())
}
