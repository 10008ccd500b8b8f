//! Slots, memory, objects, address spaces.

use core::sync::atomic::{AtomicU64, Ordering};

use pecan::{
    Cap, CapRights, Error, LookupFailure, Slot,
    abi::constants::vm_attributes,
    boot,
    cspace::Slots,
    memory::Region,
    types::{CNode, Endpoint, Notification, SmallPage, Tcb, Untyped},
    vspace::{AddressSpace, PAGE_SIZE, Window},
};

use crate::{Failure, Test, check, env::Env};

pub const TESTS: &[Test] = &[
    ("objects_are_made_and_deleted", made_and_deleted),
    ("objects_in_a_run_have_consecutive_slots", run_of_objects),
    ("a_full_untyped_is_passed_over", full_untyped),
    ("a_region_that_is_reset_is_empty_again", reset_region),
    ("errors_come_with_their_details", error_details),
    ("a_slot_of_a_fresh_cnode_is_addressed_by_its_number", fresh_cnode),
    ("copies_have_the_rights_they_were_given", copied_rights),
    ("pages_are_mapped_where_no_tables_were", mapping),
    ("a_window_shows_frames_one_after_the_other", window),
    ("an_address_space_of_its_own_holds_what_is_mapped_there", own_space),
    ("a_frame_of_the_own_image_is_found", image_frame),
];

fn made_and_deleted(env: &mut Env<'_>) -> Result<(), Failure> {
    let mut objects = env.objects();
    let endpoint = objects.make::<Endpoint>()?;
    let copy = objects.copy(endpoint, CapRights::ALL)?;
    // SAFETY: the name is only compared afterwards.
    unsafe { objects.delete(copy) }?;
    // The slot is free, and is the next one to be used.
    let notification = objects.make::<Notification>()?;
    check!(notification.cptr() == copy.cptr());
    // Its capability is what it says: a signal arrives.
    notification.signal();
    // SAFETY: nothing is in the slot afterwards, whatever a name of it says.
    let thread = unsafe {
        objects.delete(notification)?;
        notification.cast::<Tcb>()
    };
    check!(thread.suspend() == Err(Error::InvalidCapability { index: 0 }));
    Ok(())
}

fn run_of_objects(env: &mut Env<'_>) -> Result<(), Failure> {
    let mut objects = env.objects();
    let first = objects.make_run::<Notification>(0, 10)?;
    for n in 0..10 {
        let badge = 1 << n;
        // SAFETY: ten were made.
        let notification = unsafe { first.offset(n) };
        let signaller = objects.mint(notification, CapRights::WRITE, badge)?;
        check!(notification.poll() == 0);
        signaller.signal();
        check!(notification.poll() == badge);
    }
    Ok(())
}

fn full_untyped(env: &mut Env<'_>) -> Result<(), Failure> {
    let slot = env.slots.take(2)?;
    let small = env.memory.split(12, slot)?;
    let large = env.memory.split(16, slot.offset(1))?;
    // Somebody else uses up the small one without our counting it.
    let taken = env.slots.take(1)?;
    small.untyped.retype::<SmallPage>(0, taken, 1)?;
    let mut regions = [small, large];
    let dest = env.slots.take(1)?;
    pecan::memory::retype::<SmallPage>(&mut regions, 0, dest, 1)?;
    check!(regions[0].available() == 0);
    check!(regions[1].available() == (1 << 16) - (1 << 12));
    Ok(())
}

fn reset_region(env: &mut Env<'_>) -> Result<(), Failure> {
    let mut region = env.objects().split(14)?;
    let dest = env.slots.take(4)?;
    region.retype::<SmallPage>(0, dest, 4)?;
    let spare = env.slots.take(1)?;
    check!(region.retype::<SmallPage>(0, spare, 1) == Err(Error::NoMemory { size_bits: 12 }));
    // SAFETY: only frames were made, which are mapped nowhere, and their names are not used.
    unsafe { region.reset(env.slots) }?;
    check!(region.available() == 1 << 14);
    // The frames are gone, so their slots can be used again.
    region.retype::<SmallPage>(0, dest, 4)?;
    Ok(())
}

fn error_details(env: &mut Env<'_>) -> Result<(), Failure> {
    let region = env.objects().split(12)?;
    let dest = env.slots.take(1)?;
    // The region believes that it is larger than it is.
    let mut wrong = Region::new(region.untyped, region.paddr, 20, false);
    let page = wrong.retype::<SmallPage>(0, dest, 2);
    check!(
        matches!(page, Err(Error::NotEnoughMemory { available: 4096 })) || page == Err(Error::DeleteFirst)
    );

    let empty = env.slots.take(1)?;
    let copied = dest.copy_from(empty, CapRights::ALL);
    check!(matches!(
        copied,
        Err(Error::FailedLookup { source: true, failure: LookupFailure::MissingCapability { .. } })
    ));
    // SAFETY: there is nothing at that address, and so nothing to delete.
    let deleted = unsafe { Slot::new(Cap::<CNode>::new(empty.index), 0, 64).delete() };
    check!(deleted == Err(Error::InvalidCapability { index: 0 }));
    check!(boot::TCB.set_priority(boot::TCB, 255) == Ok(()));
    // SAFETY: as above.
    let untyped = unsafe { empty.cap::<Untyped>() };
    check!(untyped.retype::<Endpoint>(0, dest, 1) == Err(Error::InvalidCapability { index: 0 }));
    Ok(())
}

fn fresh_cnode(env: &mut Env<'_>) -> Result<(), Failure> {
    let mut objects = env.objects();
    let cnode = objects.make_sized::<CNode>(4)?;
    let notification = objects.make::<Notification>()?;
    let source = objects.slots.slot_of(notification.cptr());
    cnode.slot_in(4, 15).mint_from(source, CapRights::ALL, 5)?;
    check!(cnode.slot_in(4, 15).copy_from(source, CapRights::ALL) == Err(Error::DeleteFirst));
    // Bring it back to see that it is the one.
    let back = objects.slots.take(1)?;
    // SAFETY: nobody has a name of its old place; it is the notification that was copied there.
    let back = unsafe {
        back.move_from(cnode.slot_in(4, 15))?;
        back.cap::<Notification>()
    };
    back.signal();
    check!(notification.poll() == 5);
    Ok(())
}

fn copied_rights(env: &mut Env<'_>) -> Result<(), Failure> {
    let mut objects = env.objects();
    let notification = objects.make::<Notification>()?;
    let reader = objects.mint(notification, CapRights::READ, 1)?;
    let writer = objects.mint(notification, CapRights::WRITE, 2)?;
    reader.signal();
    check!(notification.poll() == 0);
    writer.signal();
    check!(reader.poll() == 2);
    Ok(())
}

fn mapping(env: &mut Env<'_>) -> Result<(), Failure> {
    let Env { space, slots, memory, .. } = env;
    let mut objects = pecan::alloc::Objects::new(*slots, core::slice::from_mut(*memory));
    let (address, _) = space.map_new(&mut objects, 3 * PAGE_SIZE)?;
    check!(address.is_multiple_of(PAGE_SIZE));
    for n in 0..3 * PAGE_SIZE / 8 {
        let word = (address + 8 * n) as *mut u64;
        // SAFETY: three pages are mapped there, writable, and nobody else has them.
        unsafe {
            check!(word.read_volatile() == 0);
            word.write_volatile(n);
            check!(word.read_volatile() == n);
        }
    }
    // Not aligned, and not a user's.
    let frame = objects.make::<SmallPage>()?;
    // SAFETY: the frame is new, and none of these addresses is one that a page can be mapped at.
    let map = |vaddr| unsafe { frame.map(boot::VSPACE, vaddr, CapRights::ALL, vm_attributes::DEFAULT) };
    check!(map(address + 0x10) == Err(Error::AlignmentError));
    check!(map(0xffff_8000_0000_0000).is_err());
    Ok(())
}

fn window(env: &mut Env<'_>) -> Result<(), Failure> {
    let Env { space, slots, memory, .. } = env;
    let mut objects = pecan::alloc::Objects::new(*slots, core::slice::from_mut(*memory));
    let mut window = Window::new(space)?;
    let first = objects.make::<SmallPage>()?;
    let second = objects.make::<SmallPage>()?;
    // SAFETY: the frames were made here, and nobody else has them.
    let (ones, twos) = unsafe {
        window.with(&mut objects, first, |bytes| bytes.fill(1))?;
        window.with(&mut objects, second, |bytes| bytes.fill(2))?;
        let all = |value| move |bytes: &mut [u8; PAGE_SIZE as usize]| bytes.iter().all(|byte| *byte == value);
        (window.with(&mut objects, first, all(1))?, window.with(&mut objects, second, all(2))?)
    };
    check!(ones && twos);
    // SAFETY: as above.
    let words = unsafe {
        let word = |words: &[AtomicU64; PAGE_SIZE as usize / 8]| words[511].load(Ordering::Relaxed);
        window.with_shared(&mut objects, second, word)
    };
    check!(words? == 0x0202_0202_0202_0202);
    Ok(())
}

fn own_space(env: &mut Env<'_>) -> Result<(), Failure> {
    let Env { space, slots, memory, .. } = env;
    let mut objects = pecan::alloc::Objects::new(*slots, core::slice::from_mut(*memory));
    let other = AddressSpace::create(&mut objects, boot::ASID_POOL, 0x40_0000)?;
    let frame = other.map_new_at(&mut objects, 0x40_0000, 2, CapRights::READ_WRITE)?;
    // A frame is mapped once; to look at it here takes a copy of its capability.
    let here = objects.copy(frame, CapRights::ALL)?;
    let address = space.map_anywhere(&mut objects, here, CapRights::READ_WRITE, vm_attributes::DEFAULT)?;
    check!(here.physical_address()? == frame.physical_address()?);
    // SAFETY: the frame was just mapped there.
    unsafe { (address as *mut u64).write_volatile(7) };
    let next = address + PAGE_SIZE;
    // SAFETY: the frame is mapped elsewhere, so this is refused.
    let elsewhere = unsafe { frame.map(boot::VSPACE, next, CapRights::ALL, vm_attributes::DEFAULT) };
    check!(matches!(elsewhere, Err(Error::InvalidCapability { .. } | Error::InvalidArgument { .. })));
    Ok(())
}

fn image_frame(env: &mut Env<'_>) -> Result<(), Failure> {
    static MARK: core::sync::atomic::AtomicU64 = core::sync::atomic::AtomicU64::new(0x1234);
    MARK.store(0x5678_9abc, core::sync::atomic::Ordering::Relaxed);
    let at = &raw const MARK as usize;
    let frame = env.boot.image_frame(pecan_runtime::image_start(), at)?;
    // The slots of the image are not the test's, so its copy is made by hand.
    let dest = env.slots.take(1)?;
    dest.copy_from(boot::CNODE.slot(frame.cptr()), CapRights::READ)?;
    let Env { space, slots, memory, .. } = env;
    let mut objects = pecan::alloc::Objects::new(*slots, core::slice::from_mut(*memory));
    // SAFETY: it is the copy of a frame's.
    let copy = unsafe { dest.cap::<SmallPage>() };
    let address = space.map_anywhere(&mut objects, copy, CapRights::READ, vm_attributes::DEFAULT)?;
    let mark = (address as usize + at % PAGE_SIZE as usize) as *const u64;
    // SAFETY: the page is mapped there, and the word is within it.
    check!(unsafe { mark.read_volatile() } == 0x5678_9abc);
    Ok(())
}
