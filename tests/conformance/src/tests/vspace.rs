//! Address spaces: paging structures, frames of all sizes, rights and attributes, ASIDs.

use pecan::{Error, LookupFailure, raw::{self, invocations as inv}};
use pecan_abi::{CPtr, CapRights, Error as Kind, ObjectType, boot::slot, constants as c, constants::vm_attributes};

use crate::{
    Env,
    env::{DEPTH, HIGH, Mapped, ROOT, WINDOW, delete, is_empty, revoke, send},
    start::{boot_info, image, image_frame},
    thread::Spaces,
};

tests! {
    every_level_is_mapped_from_the_top: X86PdptMap / NoError, X86PageDirectoryMap / NoError,
        PageTableMap / NoError, PageMap / NoError;
    a_missing_level_is_reported: X86PageDirectoryMap / FailedLookup, PageTableMap / FailedLookup,
        PageMap / FailedLookup;
    a_level_is_mapped_once: X86PdptMap / DeleteFirst, X86PageDirectoryMap / DeleteFirst,
        PageTableMap / DeleteFirst;
    a_structure_is_mapped_once: X86PdptMap / InvalidCapability, X86PageDirectoryMap / InvalidCapability,
        PageTableMap / InvalidCapability;
    kernel_addresses_are_refused: X86PdptMap / InvalidArgument, X86PageDirectoryMap / InvalidArgument,
        PageTableMap / InvalidArgument, PageMap / InvalidArgument;
    what_is_no_vspace_is_refused: X86PdptMap / InvalidCapability, X86PageDirectoryMap / InvalidCapability,
        PageTableMap / InvalidCapability, PageMap / InvalidCapability;
    a_vspace_without_asid_is_refused: X86PdptMap / InvalidCapability, X86PageDirectoryMap / InvalidCapability,
        PageTableMap / InvalidCapability, PageMap / InvalidCapability;
    unmapping_a_table_takes_its_pages: PageTableUnmap / NoError;
    unmapping_a_directory_takes_its_pages: X86PageDirectoryUnmap / NoError;
    unmapping_a_pdpt_takes_its_pages: X86PdptUnmap / NoError;
    unmapping_what_is_not_mapped: X86PdptUnmap / NoError, X86PageDirectoryUnmap / NoError,
        PageTableUnmap / NoError, PageUnmap / NoError;
    unmapping_with_a_copy_around: X86PdptUnmap / RevokeFirst, X86PageDirectoryUnmap / RevokeFirst,
        PageTableUnmap / RevokeFirst;
    deleting_a_table_takes_its_pages: CNodeDelete / NoError;
    a_table_that_is_unmapped_can_be_mapped_elsewhere: PageTableUnmap / NoError, PageTableMap / NoError;
    a_page_holds_what_is_written: PageMap / NoError;
    a_page_is_unmapped: PageUnmap / NoError;
    a_deleted_frame_is_unmapped: CNodeDelete / NoError;
    a_page_is_mapped_twice_through_copies: PageMap / NoError;
    a_page_is_mapped_elsewhere_only_by_a_copy: PageMap / InvalidArgument;
    a_page_in_another_vspace: PageMap / InvalidCapability;
    a_used_address: PageMap / DeleteFirst;
    a_large_page_over_a_table: PageMap / DeleteFirst;
    an_address_that_is_not_aligned: PageMap / AlignmentError;
    rights_are_those_of_both: PageMap / NoError;
    mapping_again_changes_rights: PageMap / NoError;
    a_write_only_page_cannot_be_touched: PageMap / NoError;
    every_attribute_is_taken: PageMap / NoError;
    large_pages_are_mapped: PageMap / NoError;
    the_address_of_a_frame: PageGetAddress / NoError;
    two_address_spaces_are_two: PageMap / NoError;
    a_thread_in_its_own_address_space: TcbSetSpace / NoError;
    revoking_a_frame_unmaps_its_copies: CNodeRevoke / NoError;
    deleting_a_vspace_under_a_thread: CNodeDelete / NoError;
    assign_gives_an_asid: AsidPoolAssign / NoError;
    assign_twice: AsidPoolAssign / InvalidCapability;
    assign_to_what_is_no_vspace: AsidPoolAssign / InvalidCapability;
    a_full_pool: AsidPoolAssign / DeleteFirst;
    make_pool_makes_a_pool: AsidControlMakePool / NoError;
    make_pool_of_the_wrong_memory: AsidControlMakePool / InvalidCapability;
    make_pool_of_an_untyped_in_use: AsidControlMakePool / RevokeFirst;
    make_pool_into_a_used_slot: AsidControlMakePool / DeleteFirst;
    make_pool_until_there_are_no_more: AsidControlMakePool / DeleteFirst;
    make_pool_with_a_root_that_is_no_cnode: AsidControlMakePool / FailedLookup;
    make_pool_with_a_depth_out_of_range: AsidControlMakePool / RangeError;
    deleting_a_pool_takes_its_address_spaces: CNodeDelete / NoError;
}

const OWN: CPtr = slot::INIT_THREAD_VSPACE;
const KERNEL: [u64; 3] = [0xffff_8000_0000_0000, 0xffff_ffff_ffff_f000, 1 << 47];
const RW: CapRights = CapRights::READ_WRITE;
/// An address far from everything else.
const AT: u64 = 0x0200_0000_0000;

fn map(frame: CPtr, vspace: CPtr, at: u64) -> pecan::Result<()> {
    inv::page_map(frame, vspace, at, RW, 0)
}

/// PDPT, page directory and page table.
fn structures(env: &Env) -> [CPtr; 3] {
    [ObjectType::Pdpt, ObjectType::PageDirectory, ObjectType::PageTable].map(|t| env.object(t))
}

/// Structure, address space, address, attributes.
type Map = fn(CPtr, CPtr, u64, u64) -> pecan::Result<()>;

const MAP: [Map; 3] =
    [inv::pdpt_map, inv::page_directory_map, inv::page_table_map];
const UNMAP: [fn(CPtr) -> pecan::Result<()>; 3] =
    [inv::pdpt_unmap, inv::page_directory_unmap, inv::page_table_unmap];
/// Bits of an address below each level.
const BITS_BELOW: [u64; 3] = [39, 30, 21];

/// Maps all three levels.
fn map_all(env: &Env, vspace: CPtr, at: u64) -> [CPtr; 3] {
    let structures = structures(env);
    for (structure, map) in structures.iter().zip(MAP) {
        map(*structure, vspace, at, 0).expect("map a paging structure");
    }
    structures
}

fn missing(bits_left: u64) -> Error {
    Error::FailedLookup { source: false, failure: LookupFailure::MissingCapability { bits_left } }
}

/// The code of the fault of a thread that reads (or writes) the word at an address; `None` if it does not fault.
fn touch(env: &Env, at: u64, write: bool) -> Option<u64> {
    let (endpoint, reply) = (env.endpoint(), env.reply());
    let fault_ep = env.mint(endpoint, 0xfa);
    let thread = env.spawn_faulting(HIGH, fault_ep, move || {
        if write {
            Mapped(at).write(0, 1);
        } else {
            Mapped(at).read(0);
        }
        0
    });
    let fault = raw::nb_recv(endpoint, reply);
    if thread.has_returned() {
        assert_eq!(fault.badge, 0);
        return None;
    }
    assert_eq!((fault.badge, fault.info.label(), fault.regs[1]), (0xfa, 6, at), "not a fault at this address");
    Some(fault.regs[3])
}

#[track_caller]
fn not_mapped(env: &Env, at: u64) {
    assert!(touch(env, at, false).is_some(), "{at:#x} is still mapped");
}

fn every_level_is_mapped_from_the_top(env: &Env) {
    let frame = env.frame();
    map_all(env, OWN, AT);
    map(frame, OWN, AT).expect("map");
    Mapped(AT).write(1, 77);
    assert_eq!(Mapped(AT).read(1), 77);
}

fn a_missing_level_is_reported(env: &Env) {
    let (frame, large) = (env.frame(), env.object(ObjectType::LargePage));
    let [pdpt, directory, table] = structures(env);
    env.refused(missing(39), || map(frame, OWN, AT));
    env.refused(missing(39), || inv::page_directory_map(directory, OWN, AT, 0));
    env.refused(missing(39), || inv::page_table_map(table, OWN, AT, 0));
    inv::pdpt_map(pdpt, OWN, AT, 0).expect("map");
    env.refused(missing(30), || map(frame, OWN, AT));
    env.refused(missing(30), || map(large, OWN, AT));
    env.refused(missing(30), || inv::page_table_map(table, OWN, AT, 0));
    inv::page_directory_map(directory, OWN, AT, 0).expect("map");
    env.refused(missing(21), || map(frame, OWN, AT));
    inv::page_table_map(table, OWN, AT, 0).expect("map");
    map(frame, OWN, AT).expect("map");
}

fn a_level_is_mapped_once(env: &Env) {
    map_all(env, OWN, AT);
    for (structure, map) in structures(env).into_iter().zip(MAP) {
        env.refused(Error::DeleteFirst, || map(structure, OWN, AT, 0));
        env.refused(Error::DeleteFirst, || map(structure, OWN, AT + 0x1000, 0));
    }
    // A page directory has no place for a table where there is a large page.
    let large = env.object(ObjectType::LargePage);
    map(large, OWN, AT + (1 << 21)).expect("map");
    let table = env.object(ObjectType::PageTable);
    env.refused(Error::DeleteFirst, || inv::page_table_map(table, OWN, AT + (1 << 21), 0));
}

fn a_structure_is_mapped_once(env: &Env) {
    let mapped = map_all(env, OWN, AT);
    for ((structure, map), bits) in mapped.into_iter().zip(MAP).zip(BITS_BELOW) {
        env.refused(Error::InvalidCapability { index: 0 }, || map(structure, OWN, AT + (1 << bits), 0));
        env.refused(Error::InvalidCapability { index: 0 }, || map(structure, OWN, AT, 0));
    }
}

fn kernel_addresses_are_refused(env: &Env) {
    let frame = env.frame();
    for at in KERNEL {
        for (structure, map) in structures(env).into_iter().zip(MAP) {
            env.refused(Error::InvalidArgument { index: 0 }, || map(structure, OWN, at, 0));
        }
        env.refused(Error::InvalidArgument { index: 0 }, || map(frame, OWN, at));
    }
    // The end of user level's addresses.
    env.refused_as(Kind::InvalidArgument, || map(frame, OWN, c::USER_TOP));
}

fn what_is_no_vspace_is_refused(env: &Env) {
    let (frame, endpoint, empty) = (env.frame(), env.endpoint(), env.slot());
    let mapped = map_all(env, OWN, AT);
    for wrong in [endpoint, ROOT, empty, mapped[0], mapped[2]] {
        for (structure, map) in structures(env).into_iter().zip(MAP) {
            env.refused(Error::InvalidCapability { index: 1 }, || map(structure, wrong, AT, 0));
        }
        env.refused(Error::InvalidCapability { index: 1 }, || map(frame, wrong, AT));
    }
}

fn a_vspace_without_asid_is_refused(env: &Env) {
    let (frame, vspace) = (env.frame(), env.object(ObjectType::VSPACE));
    for (structure, map) in structures(env).into_iter().zip(MAP) {
        env.refused(Error::InvalidCapability { index: 1 }, || map(structure, vspace, AT, 0));
    }
    env.refused(Error::InvalidCapability { index: 1 }, || map(frame, vspace, AT));
}

/// Unmaps one level and looks what has become of a page below it.
fn unmap_level(env: &Env, level: usize) {
    let frame = env.frame();
    let mapped = map_all(env, OWN, AT);
    map(frame, OWN, AT).expect("map");
    Mapped(AT).write(0, 5);
    UNMAP[level](mapped[level]).expect("unmap");
    not_mapped(env, AT);
    // Mapped again, the structure is empty.
    MAP[level](mapped[level], OWN, AT, 0).expect("map again");
    not_mapped(env, AT);
    // The frame can be mapped elsewhere.
    let window = env.map(env.frame());
    inv::page_unmap(frame).expect("unmap");
    map(frame, OWN, window.0 + 4096).expect("map elsewhere");
    assert_eq!(Mapped(window.0 + 4096).read(0), 5, "the frame lost what was in it");
}

fn unmapping_a_table_takes_its_pages(env: &Env) {
    unmap_level(env, 2);
}

fn unmapping_a_directory_takes_its_pages(env: &Env) {
    unmap_level(env, 1);
}

fn unmapping_a_pdpt_takes_its_pages(env: &Env) {
    unmap_level(env, 0);
}

fn unmapping_what_is_not_mapped(env: &Env) {
    let (structures, frame) = (structures(env), env.frame());
    let before = env.snapshot();
    for (structure, unmap) in structures.into_iter().zip(UNMAP) {
        unmap(structure).expect("unmap");
    }
    inv::page_unmap(frame).expect("unmap");
    before.same(env);
}

fn unmapping_with_a_copy_around(env: &Env) {
    let (frame, mapped) = (env.frame(), map_all(env, OWN, AT));
    map(frame, OWN, AT).expect("map");
    for (structure, unmap) in mapped.into_iter().zip(UNMAP).rev() {
        let copied = env.copy(structure);
        env.refused(Error::RevokeFirst, || unmap(structure));
        env.refused(Error::RevokeFirst, || unmap(copied));
        assert_eq!(touch(env, AT, true), None, "a refused unmap took the page away");
        delete(copied).expect("delete");
    }
    inv::page_table_unmap(mapped[2]).expect("unmap");
}

fn deleting_a_table_takes_its_pages(env: &Env) {
    let (frame, mapped) = (env.frame(), map_all(env, OWN, AT));
    map(frame, OWN, AT).expect("map");
    delete(mapped[2]).expect("delete");
    not_mapped(env, AT);
    delete(mapped[0]).expect("delete");
    let table = env.object(ObjectType::PageTable);
    env.refused(missing(39), || inv::page_table_map(table, OWN, AT, 0));
}

fn a_table_that_is_unmapped_can_be_mapped_elsewhere(env: &Env) {
    let [_, _, table] = map_all(env, OWN, AT);
    map(env.frame(), OWN, AT).expect("map");
    inv::page_table_unmap(table).expect("unmap");
    inv::page_table_map(table, OWN, AT + (1 << 21), 0).expect("map elsewhere");
    // What was in it has not come along.
    let frame = env.frame();
    map(frame, OWN, AT + (1 << 21)).expect("map");
    let other = env.frame();
    env.refused(missing(21), || map(other, OWN, AT));
}

fn a_page_holds_what_is_written(env: &Env) {
    let page = env.map(env.frame());
    assert!((0..512).all(|i| page.read(i) == 0), "a new frame is not zero");
    for i in 0..512 {
        page.write(i, i * 3);
    }
    assert!((0..512).all(|i| page.read(i) == i * 3));
}

fn a_page_is_unmapped(env: &Env) {
    let frame = env.frame();
    let page = env.map(frame);
    page.write(0, 1);
    inv::page_unmap(frame).expect("unmap");
    not_mapped(env, page.0);
    map(frame, OWN, page.0).expect("map again");
    assert_eq!(page.read(0), 1);
}

fn a_deleted_frame_is_unmapped(env: &Env) {
    let frame = env.frame();
    let page = env.map(frame);
    page.write(0, 1);
    delete(frame).expect("delete");
    not_mapped(env, page.0);
}

fn a_page_is_mapped_twice_through_copies(env: &Env) {
    let frame = env.frame();
    let (first, second) = (env.map(frame), env.map(env.copy(frame)));
    first.write(7, 123);
    assert_eq!(second.read(7), 123);
    // Each capability unmaps its own.
    inv::page_unmap(frame).expect("unmap");
    not_mapped(env, first.0);
    assert_eq!(second.read(7), 123);
}

fn a_page_is_mapped_elsewhere_only_by_a_copy(env: &Env) {
    let frame = env.frame();
    let page = env.map(frame);
    // Before anything else about the new address: that it is not aligned, or has no tables.
    for at in [page.0 + 4096, page.0 + 1, AT, AT + 1] {
        env.refused(Error::InvalidArgument { index: 0 }, || map(frame, OWN, at));
    }
    assert_eq!(touch(env, page.0, true), None);
}

fn a_page_in_another_vspace(env: &Env) {
    let (frame, vspace) = (env.frame(), env.vspace());
    let page = env.map(frame);
    // With and without tables for it there.
    for at in [page.0, page.0 + 4096, page.0 + 1, AT] {
        env.refused(Error::InvalidCapability { index: 1 }, || map(frame, vspace, at));
    }
    env.map_tables(vspace, page.0);
    env.refused(Error::InvalidCapability { index: 1 }, || map(frame, vspace, page.0));
}

fn a_used_address(env: &Env) {
    let (frame, other) = (env.frame(), env.frame());
    let page = env.map(frame);
    page.write(0, 9);
    env.refused(Error::DeleteFirst, || map(other, OWN, page.0));
    assert_eq!(page.read(0), 9);
}

fn a_large_page_over_a_table(env: &Env) {
    let large = env.object(ObjectType::LargePage);
    map_all(env, OWN, AT);
    env.refused(Error::DeleteFirst, || map(large, OWN, AT));
}

fn an_address_that_is_not_aligned(env: &Env) {
    let (frame, large) = (env.frame(), env.object(ObjectType::LargePage));
    map_all(env, OWN, AT);
    for off in [1, 8, 0x800, 0xfff] {
        env.refused(Error::AlignmentError, || map(frame, OWN, AT + off));
    }
    for off in [0x1000, 1 << 20] {
        env.refused(Error::AlignmentError, || map(large, OWN, AT + (1 << 21) + off));
    }
}

fn rights_are_those_of_both(env: &Env) {
    let frame = env.frame();
    let read_only = env.copy_with(frame, CapRights::READ);
    env.map(frame).write(0, 3);
    // Rights are taken away without an error.
    let page = env.map(read_only);
    assert_eq!(page.read(0), 3);
    let code = touch(env, page.0, true).expect("a read-only page was written");
    // Present, write, user.
    assert_eq!(code & 7, 7);
}

fn mapping_again_changes_rights(env: &Env) {
    let frame = env.frame();
    let page = env.map(frame);
    page.write(0, 3);
    inv::page_map(frame, OWN, page.0, CapRights::READ, 0).expect("map again");
    assert_eq!(page.read(0), 3);
    assert!(touch(env, page.0, true).is_some(), "the page can still be written");
    map(frame, OWN, page.0).expect("map again");
    page.write(0, 4);
    assert_eq!(page.read(0), 4);
}

fn a_write_only_page_cannot_be_touched(env: &Env) {
    let frame = env.frame();
    let page = env.map(frame);
    for rights in [CapRights::WRITE, CapRights::NONE] {
        inv::page_map(frame, OWN, page.0, rights, 0).expect("map again");
        not_mapped(env, page.0);
        assert!(touch(env, page.0, true).is_some());
    }
}

fn every_attribute_is_taken(env: &Env) {
    let frame = env.frame();
    let page = env.map(frame);
    for attribute in [
        vm_attributes::WRITE_BACK,
        vm_attributes::WRITE_THROUGH,
        vm_attributes::CACHE_DISABLED,
        vm_attributes::UNCACHEABLE,
        vm_attributes::WRITE_COMBINING,
    ] {
        inv::page_map(frame, OWN, page.0, RW, attribute).expect("map again");
        page.write(0, attribute + 1);
        assert_eq!(page.read(0), attribute + 1);
    }
}

fn large_pages_are_mapped(env: &Env) {
    map_all(env, OWN, AT);
    let (large, at) = (env.object(ObjectType::LargePage), AT + (1 << 21));
    map(large, OWN, at).expect("map");
    let page = Mapped(at);
    for index in [0, 512, (1 << 18) - 1] {
        assert_eq!(page.read(index), 0);
        page.write(index, index + 1);
        assert_eq!(page.read(index), index + 1);
    }
    inv::page_unmap(large).expect("unmap");
    not_mapped(env, at);
    not_mapped(env, at + (1 << 21) - 8);
}

fn the_address_of_a_frame(env: &Env) {
    let (untyped, slots) = (env.child_untyped(14), env.slots(4));
    inv::untyped_retype(untyped, ObjectType::Page4K.word(), 0, ROOT, 0, 0, slots, 4).expect("retype");
    let first = inv::page_get_address(slots).expect("address");
    assert_eq!(first % (1 << 14), 0);
    for index in 0..4 {
        assert_eq!(inv::page_get_address(slots + index), Ok(first + 4096 * index));
    }
    // It lies in the machine's RAM, as the boot information has it.
    let bi = boot_info();
    let inside = bi.untyped_list[..bi.untyped.len() as usize]
        .iter()
        .any(|u| u.is_device == 0 && (u.paddr..u.paddr + (1 << u.size_bits)).contains(&first));
    assert!(inside);
}

fn two_address_spaces_are_two(env: &Env) {
    let (one, two) = (env.vspace(), env.vspace());
    let (a, b) = (env.frame(), env.frame());
    for (vspace, frame) in [(one, a), (two, b)] {
        env.map_tables(vspace, AT);
        map(frame, vspace, AT).expect("map");
    }
    // Each in its own, one address holds two things.
    env.map(env.copy(a)).write(0, 1);
    env.map(env.copy(b)).write(0, 2);
    assert_eq!(env.map(env.copy(a)).read(0), 1);
}

/// An address space with this program's image in it, so that its threads can run there.
pub fn image_space(env: &Env) -> CPtr {
    let vspace = env.vspace();
    map_image(env, vspace);
    vspace
}

/// Maps this program's image into an address space.
pub fn map_image(env: &Env, vspace: CPtr) {
    let (start, end) = image();
    let step = 1 << 21;
    let mut at = start & !(step - 1);
    let (pdpt, directory) = (env.object(ObjectType::Pdpt), env.object(ObjectType::PageDirectory));
    inv::pdpt_map(pdpt, vspace, at, 0).expect("map");
    inv::page_directory_map(directory, vspace, at, 0).expect("map");
    while at < end {
        inv::page_table_map(env.object(ObjectType::PageTable), vspace, at, 0).expect("map");
        at += step;
    }
    for page in (start..end).step_by(4096) {
        map(env.copy(image_frame(page)), vspace, page).expect("map a page of the image");
    }
}

fn a_thread_in_its_own_address_space(env: &Env) {
    let (vspace, frame, endpoint) = (image_space(env), env.frame(), env.endpoint());
    env.map_tables(vspace, WINDOW);
    map(frame, vspace, WINDOW).expect("map");
    let seen = env.map(env.copy(frame));
    let other = env.thread_with(HIGH, env.sched_context(10_000, 10_000), Spaces { vspace, ..Spaces::own() });
    other.start(move || {
        Mapped(WINDOW).write(0, 0xabcd);
        send(endpoint, 0, &[1, 2, 3, 4, 5, 6]);
        Mapped(WINDOW).read(1)
    });
    assert_eq!(seen.read(0), 0xabcd);
    seen.write(1, 0x1234);
    let received = raw::recv(endpoint, env.reply());
    assert_eq!((received.info.length(), received.word(5)), (6, 6), "a message between address spaces");
    assert_eq!(other.join(), 0x1234);
}

fn revoking_a_frame_unmaps_its_copies(env: &Env) {
    let frame = env.frame();
    let (first, copied) = (env.map(frame), env.copy(frame));
    let second = env.map(copied);
    revoke(frame).expect("revoke");
    not_mapped(env, second.0);
    first.write(0, 1);
    assert_eq!(first.read(0), 1);
}

fn deleting_a_vspace_under_a_thread(env: &Env) {
    let (vspace, fault_ep, reply) = (image_space(env), env.endpoint(), env.reply());
    let go = env.notification();
    let spaces = Spaces { vspace, fault_ep: env.mint(fault_ep, 3), ..Spaces::own() };
    let thread = env.thread_with(HIGH, env.sched_context(10_000, 10_000), spaces);
    thread.start(move || {
        raw::wait(go);
        1
    });
    revoke(vspace).expect("revoke");
    delete(vspace).expect("delete");
    crate::env::signal(go);
    // It has no memory any more: its first instruction faults.
    let fault = raw::nb_recv(fault_ep, reply);
    assert_eq!((fault.badge, fault.info.label()), (3, 6));
    assert!(!thread.has_returned());
}

const POOL: CPtr = slot::INIT_THREAD_ASID_POOL;

fn assign_gives_an_asid(env: &Env) {
    let vspace = env.object(ObjectType::VSPACE);
    inv::asid_pool_assign(POOL, vspace).expect("assign");
    map_all(env, vspace, AT);
    // With an ASID it can be copied, too.
    env.copy(vspace);
}

fn assign_twice(env: &Env) {
    let vspace = env.vspace();
    env.refused(Error::InvalidCapability { index: 1 }, || inv::asid_pool_assign(POOL, vspace));
}

fn assign_to_what_is_no_vspace(env: &Env) {
    let (endpoint, [pdpt, directory, table]) = (env.endpoint(), structures(env));
    for wrong in [endpoint, pdpt, directory, table, ROOT] {
        env.refused(Error::InvalidCapability { index: 1 }, || inv::asid_pool_assign(POOL, wrong));
    }
}

#[track_caller]
fn make_pool(env: &Env) -> CPtr {
    let (untyped, pool) = (env.retype(ObjectType::Untyped, 12, 1), env.slot());
    inv::asid_control_make_pool(slot::ASID_CONTROL, untyped, ROOT, pool, DEPTH).expect("make pool");
    pool
}

fn a_full_pool(env: &Env) {
    let pool = make_pool(env);
    // A reservation for no address space at all may take one of the places.
    let mut assigned = 0;
    loop {
        let vspace = env.object(ObjectType::VSPACE);
        match inv::asid_pool_assign(pool, vspace) {
            Ok(()) => assigned += 1,
            Err(error) => {
                assert_eq!(error, Error::DeleteFirst);
                env.refused(Error::DeleteFirst, || inv::asid_pool_assign(pool, vspace));
                break;
            }
        }
    }
    assert_eq!(assigned, 1 << c::ASID_POOL_INDEX_BITS);
}

fn make_pool_makes_a_pool(env: &Env) {
    let pool = make_pool(env);
    assert!(!is_empty(pool));
    let vspace = env.object(ObjectType::VSPACE);
    inv::asid_pool_assign(pool, vspace).expect("assign");
    map_all(env, vspace, AT);
}

fn make_pool_with(untyped: CPtr, dest: CPtr) -> pecan::Result<()> {
    inv::asid_control_make_pool(slot::ASID_CONTROL, untyped, ROOT, dest, DEPTH)
}

fn make_pool_of_the_wrong_memory(env: &Env) {
    let (small, large, endpoint, dest) =
        (env.child_untyped(11), env.child_untyped(13), env.endpoint(), env.slot());
    for wrong in [small, large, endpoint, ROOT] {
        env.refused(Error::InvalidCapability { index: 1 }, || make_pool_with(wrong, dest));
    }
    let bi = boot_info();
    let device = bi.untyped_list[..bi.untyped.len() as usize].iter().position(|u| u.is_device != 0);
    let device = bi.untyped.start + device.expect("a PC has device memory") as u64;
    let page = env.slot();
    inv::untyped_retype(device, ObjectType::Untyped.word(), 12, ROOT, 0, 0, page, 1).expect("retype");
    env.refused(Error::InvalidCapability { index: 1 }, || make_pool_with(page, dest));
}

fn make_pool_of_an_untyped_in_use(env: &Env) {
    let (untyped, child, dest) = (env.child_untyped(12), env.slot(), env.slot());
    inv::untyped_retype(untyped, ObjectType::Endpoint.word(), 0, ROOT, 0, 0, child, 1).expect("retype");
    env.refused(Error::RevokeFirst, || make_pool_with(untyped, dest));
    delete(child).expect("delete");
    let copied = env.copy(untyped);
    env.refused(Error::RevokeFirst, || make_pool_with(untyped, dest));
    delete(copied).expect("delete");
    make_pool_with(untyped, dest).expect("make pool");
}

fn make_pool_into_a_used_slot(env: &Env) {
    let (untyped, used) = (env.child_untyped(12), env.endpoint());
    env.refused(Error::DeleteFirst, || make_pool_with(untyped, used));
}

fn make_pool_until_there_are_no_more(env: &Env) {
    let pools = 1 << c::NUM_ASID_POOLS_BITS;
    // The initial thread's is one of them.
    let made: [CPtr; 7] = core::array::from_fn(|_| make_pool(env));
    assert_eq!(made.len() + 1, pools);
    let (untyped, dest) = (env.child_untyped(12), env.slot());
    env.refused(Error::DeleteFirst, || make_pool_with(untyped, dest));
    // A pool that is deleted can be made again.
    delete(made[3]).expect("delete");
    make_pool_with(untyped, dest).expect("make pool");
}

fn make_pool_with_a_root_that_is_no_cnode(env: &Env) {
    let (untyped, endpoint, dest) = (env.child_untyped(12), env.endpoint(), env.slot());
    let no_root = Error::FailedLookup { source: false, failure: LookupFailure::InvalidRoot };
    env.refused(no_root, || {
        inv::asid_control_make_pool(slot::ASID_CONTROL, untyped, endpoint, dest, DEPTH)
    });
}

fn make_pool_with_a_depth_out_of_range(env: &Env) {
    let (untyped, dest) = (env.child_untyped(12), env.slot());
    for depth in [0, 65] {
        env.refused(Error::RangeError { min: 1, max: 64 }, || {
            inv::asid_control_make_pool(slot::ASID_CONTROL, untyped, ROOT, dest, depth)
        });
    }
}

fn deleting_a_pool_takes_its_address_spaces(env: &Env) {
    let (pool, vspace, frame) = (make_pool(env), env.object(ObjectType::VSPACE), env.frame());
    inv::asid_pool_assign(pool, vspace).expect("assign");
    map_all(env, vspace, AT);
    map(frame, vspace, AT).expect("map");
    delete(pool).expect("delete");
    // Its ASID is gone: nothing can be mapped in it, and what was mapped can be mapped elsewhere.
    let other = env.frame();
    assert!(map(other, vspace, AT + 4096).is_err(), "mapped in an address space without ASID");
    inv::page_unmap(frame).expect("unmap");
    env.map(frame).write(0, 1);
}
