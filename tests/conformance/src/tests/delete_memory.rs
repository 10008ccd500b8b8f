//! CNodes, untypeds, frames, paging structures, address spaces and ASID pools in every state when their capabilities go.

use pecan::{
    CNodeCapData, Error,
    raw::{self, invocations as inv},
};
use pecan_abi::{CPtr, CapRights, ObjectType, boot::slot, fault::FaultTag};

use super::{
    deletion::{ALL, Place, UNCOPIED, Way},
    vspace::map_image,
};
use crate::{
    Env,
    env::{DEPTH, HIGH, Mapped, ROOT, delete, is_empty, memory_left, poll, revoke, signal},
    snapshot::peek,
    thread::{Spaces, Thread},
};

states! {
    empty_cnode: "CNode" "empty", ALL;
    full_cnode: "CNode" "holds copies of capabilities", ALL;
    cnode_with_last_capabilities: "CNode" "holds the last capabilities to objects", ALL;
    cnode_with_a_cnode: "CNode" "holds the last capability to another CNode", ALL;
    cnode_with_itself: "CNode" "holds a capability to itself", ALL;
    cnode_only_in_itself: "CNode" "holds the last capability to itself", &[Way::Parent];
    cnodes_in_a_circle: "CNode" "two hold the last capabilities to one another", &[Way::Parent];
    cnode_of_a_thread: "CNode" "is a thread's CSpace", ALL;
    cnode_of_the_running_thread: "CNode" "is the running thread's CSpace: it does it itself", &[Way::Last, Way::Parent];
    cnode_half_deleted: "CNode" "its deletion has begun", UNCOPIED;
    fresh_untyped: "Untyped" "without children", ALL;
    untyped_with_objects: "Untyped" "with objects", UNCOPIED;
    untyped_with_untypeds: "Untyped" "with untypeds and their objects", UNCOPIED;
    unmapped_frame: "Frame" "not mapped", ALL;
    mapped_frame: "Frame" "mapped", ALL;
    frame_mapped_twice: "Frame" "mapped twice, through a copy", ALL;
    frame_of_an_ipc_buffer: "Frame" "is a thread's IPC buffer", ALL;
    mapped_large_page: "Frame" "a large page, mapped", ALL;
    unmapped_table: "PageTable" "not mapped", UNCOPIED;
    empty_table: "PageTable" "mapped, empty", ALL;
    table_with_pages: "PageTable" "mapped, with pages", ALL;
    unmapped_directory: "PageDirectory" "not mapped", UNCOPIED;
    directory_with_pages: "PageDirectory" "mapped, with a large page and a table", ALL;
    unmapped_pdpt: "PDPT" "not mapped", UNCOPIED;
    pdpt_with_pages: "PDPT" "mapped, with structures and pages", ALL;
    unassigned_vspace: "VSpace" "without ASID", UNCOPIED;
    assigned_vspace: "VSpace" "with ASID, structures and pages", ALL;
    vspace_of_a_thread: "VSpace" "is a thread's address space", ALL;
    vspace_of_the_running_thread: "VSpace" "is the running thread's: it does it itself", &[Way::Parent];
    empty_pool: "ASID pool" "without address spaces", ALL;
    pool_with_vspaces: "ASID pool" "with address spaces", ALL;
    pool_of_a_thread: "ASID pool" "a thread runs in one of its address spaces", ALL;
}

const OWN: CPtr = slot::INIT_THREAD_VSPACE;
const RW: CapRights = CapRights::READ_WRITE;
/// An address far from everything else.
const AT: u64 = 0x0200_0000_0000;
/// A guard for a CNode of 16 slots that is a whole CSpace.
fn guard() -> u64 {
    CNodeCapData::new(0, 60).0
}

/// Puts a copy of a capability into a slot of a CNode.
#[track_caller]
fn put(cnode: CPtr, index: u64, radix: u8, cap: CPtr) {
    inv::cnode_copy(cnode, index, radix, ROOT, cap, DEPTH, CapRights::ALL).expect("copy");
}

fn empty_cnode(env: &Env, way: Way) {
    let (place, endpoint) = (Place::new(env), env.endpoint());
    let cnode = place.make(ObjectType::CNode, 4);
    way.go(&place, cnode, || put(cnode, 3, 4, endpoint), || {});
}

fn full_cnode(env: &Env, way: Way) {
    let (place, notification) = (Place::new(env), env.notification());
    let (cnode, badged) = (place.make(ObjectType::CNode, 4), env.mint(notification, 5));
    (0..16).for_each(|index| put(cnode, index, 4, badged));
    let alive = || {
        let found = (0..16).filter(|index| peek(cnode, *index, 4, env.end_slot) != 0).count();
        assert_eq!(found, 16);
    };
    let gone = || {
        signal(badged);
        assert_eq!(poll(notification), 5);
        // Nothing is left that would have to be revoked.
        revoke(notification).expect("revoke");
    };
    way.go(&place, cnode, alive, gone);
}

/// Makes an object of each small kind with its only capability in a slot of a CNode of 16 slots. Returns their untyped.
#[track_caller]
fn fill_with_objects(env: &Env, cnode: CPtr) -> CPtr {
    let untyped = env.child_untyped(15);
    for (index, (object_type, bits)) in (0..).zip([
        (ObjectType::Tcb, 0),
        (ObjectType::Endpoint, 0),
        (ObjectType::Notification, 0),
        (ObjectType::Reply, 0),
        (ObjectType::CNode, 2),
        (ObjectType::SchedContext, 8),
        (ObjectType::Untyped, 5),
        (ObjectType::Page4K, 0),
        (ObjectType::PageTable, 0),
        (ObjectType::VSPACE, 0),
    ]) {
        inv::untyped_retype(untyped, object_type.word(), bits, cnode, 0, 0, index, 1).expect("retype");
    }
    untyped
}

fn cnode_with_last_capabilities(env: &Env, way: Way) {
    let place = Place::new(env);
    let cnode = place.make(ObjectType::CNode, 4);
    let untyped = fill_with_objects(env, cnode);
    let left = || memory_left(untyped, env.end_slot);
    let alive = || assert_ne!(left(), Some(1 << 15), "the objects are gone");
    way.go(&place, cnode, alive, || assert_eq!(left(), Some(1 << 15), "objects are left"));
}

fn cnode_with_a_cnode(env: &Env, way: Way) {
    let (place, inner) = (Place::new(env), env.retype_cnode(4));
    let cnode = place.make(ObjectType::CNode, 4);
    let untyped = fill_with_objects(env, inner);
    inv::cnode_move(cnode, 7, 4, ROOT, inner, DEPTH).expect("move");
    let left = || memory_left(untyped, env.end_slot);
    let alive = || assert_ne!(left(), Some(1 << 15), "the objects are gone");
    way.go(&place, cnode, alive, || assert_eq!(left(), Some(1 << 15), "objects are left"));
}

fn cnode_with_itself(env: &Env, way: Way) {
    let place = Place::new(env);
    let cnode = place.make(ObjectType::CNode, 4);
    let untyped = fill_with_objects(env, cnode);
    put(cnode, 12, 4, cnode);
    let in_itself = |index| peek(cnode, index, 4, env.end_slot) != 0;
    match way {
        // What is in the slot is the last only once the one inside is gone: it takes the outer with it.
        Way::Last => {
            inv::cnode_delete(cnode, 12, 4).expect("delete the inner");
            way.apply(place.parent, cnode, env.slot());
        }
        Way::Original => return,
        _ => way.apply(place.parent, cnode, env.slot()),
    }
    if way.ends() {
        place.overwrite();
        assert_eq!(memory_left(untyped, env.end_slot), Some(1 << 15), "objects are left");
    } else {
        // Revoked, the copy inside has gone, too.
        assert!(in_itself(3));
        assert_eq!(in_itself(12), way == Way::Copy);
    }
}

fn cnode_only_in_itself(env: &Env, way: Way) {
    let place = Place::new(env);
    let cnode = place.make(ObjectType::CNode, 4);
    let untyped = fill_with_objects(env, cnode);
    inv::cnode_move(cnode, 11, 4, ROOT, cnode, DEPTH).expect("move");
    way.go(&place, cnode, || {}, || assert_eq!(memory_left(untyped, env.end_slot), Some(1 << 15)));
}

fn cnodes_in_a_circle(env: &Env, way: Way) {
    let place = Place::new(env);
    let (one, two) = (place.make(ObjectType::CNode, 4), place.make(ObjectType::CNode, 4));
    let untyped = fill_with_objects(env, one);
    put(one, 15, 4, two);
    inv::cnode_move(two, 3, 4, ROOT, one, DEPTH).expect("move");
    delete(two).expect("delete: the copy in the other is left");
    assert_ne!(memory_left(untyped, env.end_slot), Some(1 << 15));
    way.go(&place, one, || {}, || assert_eq!(memory_left(untyped, env.end_slot), Some(1 << 15)));
}

/// A thread in a CSpace of its own with one notification in it, for which it waits, twice.
fn in_cspace(env: &Env, cnode: CPtr) -> (Thread, CPtr, CPtr, CPtr) {
    let (notification, endpoint, reply) = (env.notification(), env.endpoint(), env.reply());
    put(cnode, 2, 4, notification);
    let spaces = Spaces { cspace: cnode, guard: guard(), fault_ep: env.mint(endpoint, 1), ..Spaces::own() };
    let thread = env.thread_with(HIGH, env.sched_context(10_000, 10_000), spaces);
    thread.start(|| raw::wait(2).badge + raw::wait(2).badge + 1);
    (thread, notification, endpoint, reply)
}

fn cnode_of_a_thread(env: &Env, way: Way) {
    let place = Place::new(env);
    let cnode = place.make(ObjectType::CNode, 4);
    let (thread, notification, endpoint, reply) = in_cspace(env, cnode);
    way.apply(place.parent, cnode, env.slot());
    if way == Way::Parent {
        place.overwrite();
    }
    signal(notification);
    // The thread holds a copy of its own; revoking takes that.
    if matches!(way, Way::Revoke | Way::Parent) {
        let fault = raw::nb_recv(endpoint, reply);
        assert_eq!((fault.badge, fault.info.label(), fault.regs[1]), (1, FaultTag::CapFault.word(), 2));
        assert_eq!(fault.regs[3], pecan_abi::LookupFailureKind::InvalidRoot.word());
    } else {
        assert!(!thread.has_returned());
        signal(notification);
        assert!(thread.has_returned());
    }
}

fn cnode_of_the_running_thread(env: &Env, way: Way) {
    let (place, endpoint, reply) = (Place::new(env), env.endpoint(), env.reply());
    let cnode = place.make(ObjectType::CNode, 4);
    // In its CSpace the thread has the root CNode, or the untyped, to delete or revoke with.
    put(cnode, 3, 4, ROOT);
    let spaces = Spaces { cspace: cnode, guard: guard(), fault_ep: env.mint(endpoint, 1), ..Spaces::own() };
    let thread = env.thread_with(HIGH, env.sched_context(10_000, 10_000), spaces);
    let (parent, last) = (place.parent, way == Way::Last);
    thread.start(move || {
        let done = if last { inv::cnode_delete(3, cnode, DEPTH) } else { inv::cnode_revoke(3, parent, DEPTH) };
        u64::from(done.is_ok())
    });
    assert!(is_empty(cnode));
    if last {
        // The thread's own capability is left.
        assert_eq!(thread.join(), 1);
    } else {
        place.overwrite();
        assert_eq!(raw::nb_recv(endpoint, reply).info.label(), FaultTag::CapFault.word());
    }
}

fn cnode_half_deleted(env: &Env, way: Way) {
    let place = Place::with_bits(env, 16);
    let (cnode, endpoint) = (place.make(ObjectType::CNode, 11), env.endpoint());
    (0..1 << 11).for_each(|index| put(cnode, index, 11, endpoint));
    let thread = env.thread_with(HIGH, env.sched_context(100, 1_000_000), Spaces::own());
    thread.start(move || u64::from(delete(cnode).is_ok()));
    inv::tcb_suspend(thread.tcb).expect("suspend");
    assert!(!thread.has_returned() && !is_empty(cnode), "the deletion was not interrupted");
    // What is left in the slot is no CNode any more.
    let used = env.slot();
    assert!(inv::cnode_copy(cnode, 0, 11, ROOT, endpoint, DEPTH, CapRights::ALL).is_err());
    assert!(crate::env::copy(used, cnode, CapRights::ALL).is_err() && is_empty(used));
    way.go(&place, cnode, || {}, || revoke(endpoint).expect("revoke"));
}

fn fresh_untyped(env: &Env, way: Way) {
    let place = Place::new(env);
    let untyped = place.make(ObjectType::Untyped, 10);
    let alive = || {
        let left = memory_left(untyped, env.end_slot);
        // A copy that is left over from an original holds as much; one that has a copy has none to give.
        assert_eq!(left, Some(1 << 10));
    };
    way.go(&place, untyped, alive, || {});
}

fn untyped_with_objects(env: &Env, way: Way) {
    let place = Place::new(env);
    let (untyped, slots) = (place.make(ObjectType::Untyped, 10), env.slots(4));
    inv::untyped_retype(untyped, ObjectType::Notification.word(), 0, ROOT, 0, 0, slots, 4).expect("retype");
    way.apply(place.parent, untyped, env.slot());
    if way == Way::Last {
        // Its objects now hang below its parent.
        signal(slots);
        assert_eq!(memory_left(place.parent, env.end_slot), Some((1 << 12) - (1 << 10)));
        revoke(place.parent).expect("revoke");
    }
    assert!((0..4).all(|index| is_empty(slots + index)));
    place.overwrite();
}

fn untyped_with_untypeds(env: &Env, way: Way) {
    let place = Place::new(env);
    let (untyped, inner, object) = (place.make(ObjectType::Untyped, 10), env.slot(), env.slot());
    inv::untyped_retype(untyped, ObjectType::Untyped.word(), 8, ROOT, 0, 0, inner, 1).expect("retype");
    inv::untyped_retype(inner, ObjectType::Endpoint.word(), 0, ROOT, 0, 0, object, 1).expect("retype");
    way.apply(place.parent, untyped, env.slot());
    if way == Way::Last {
        assert!(!is_empty(inner) && !is_empty(object));
        revoke(inner).expect("revoke");
        assert!(is_empty(object), "the object is no child of its untyped any more");
        delete(inner).expect("delete");
    }
    assert!(is_empty(inner) && is_empty(object));
    place.overwrite();
}

/// A thread finds that nothing is mapped at an address.
#[track_caller]
fn not_mapped(env: &Env, at: u64) {
    let (endpoint, reply) = (env.endpoint(), env.reply());
    let thread = env.spawn_faulting(HIGH, env.mint(endpoint, 1), move || Mapped(at).read(0));
    let fault = raw::nb_recv(endpoint, reply);
    assert_eq!((fault.info.label(), fault.regs[1]), (FaultTag::VMFault.word(), at), "{at:#x} is still mapped");
    inv::tcb_suspend(thread.tcb).expect("suspend");
    env.reuse(thread);
}

/// Somebody else's page can be mapped at an address.
#[track_caller]
fn is_free(env: &Env, vspace: CPtr, at: u64) {
    let frame = env.frame();
    inv::page_map(frame, vspace, at, RW, 0).expect("map another page there");
    delete(frame).expect("delete");
}

fn unmapped_frame(env: &Env, way: Way) {
    let place = Place::new(env);
    let frame = place.object(ObjectType::Page4K);
    way.go(&place, frame, || assert_eq!(env.map(frame).read(0), 0), || {});
}

fn mapped_frame(env: &Env, way: Way) {
    let place = Place::new(env);
    let frame = place.object(ObjectType::Page4K);
    let page = env.map(frame);
    page.write(0, 9);
    let alive = || {
        if way == Way::Original {
            // The mapping was the original's; the copy has none.
            not_mapped(env, page.0);
            inv::page_map(frame, OWN, page.0, RW, 0).expect("map the copy");
        }
        assert_eq!(page.read(0), 9);
    };
    let gone = || {
        not_mapped(env, page.0);
        is_free(env, OWN, page.0);
    };
    way.go(&place, frame, alive, gone);
}

fn frame_mapped_twice(env: &Env, way: Way) {
    let place = Place::new(env);
    let frame = place.object(ObjectType::Page4K);
    let copied = env.copy(frame);
    let (first, second) = (env.map(frame), env.map(copied));
    first.write(0, 9);
    way.apply(place.parent, frame, env.slot());
    if way == Way::Parent {
        place.overwrite();
    }
    // Each mapping goes with its own capability.
    let first_is_left = matches!(way, Way::Copy | Way::Revoke);
    let second_is_left = matches!(way, Way::Copy | Way::Original | Way::Last);
    for (page, is_left) in [(first, first_is_left), (second, second_is_left)] {
        if is_left {
            assert_eq!(page.read(0), 9);
        } else {
            not_mapped(env, page.0);
            is_free(env, OWN, page.0);
        }
    }
}

fn frame_of_an_ipc_buffer(env: &Env, way: Way) {
    let (place, endpoint, reply) = (Place::new(env), env.endpoint(), env.reply());
    let frame = place.object(ObjectType::Page4K);
    let thread = env.thread(HIGH);
    inv::tcb_set_ipc_buffer(thread.tcb, AT, frame).expect("set the IPC buffer");
    thread.start(move || {
        raw::send(endpoint, pecan_abi::MessageInfo::new(0, 0, 0, 9), [1, 2, 3, 4]);
        1
    });
    way.apply(place.parent, frame, env.slot());
    if way == Way::Parent {
        place.overwrite();
    }
    // The thread holds a copy of its own; revoking takes that.
    let length = if matches!(way, Way::Revoke | Way::Parent) { 4 } else { 9 };
    assert_eq!(raw::recv(endpoint, reply).info.length(), length);
    assert!(thread.has_returned());
}

fn mapped_large_page(env: &Env, way: Way) {
    let place = Place::with_bits(env, 21);
    env.map_tables(OWN, AT);
    let (frame, at) = (place.object(ObjectType::LargePage), AT + (1 << 21));
    inv::page_map(frame, OWN, at, RW, 0).expect("map");
    let last = Mapped(at + (1 << 21) - 8);
    last.write(0, 9);
    let alive = || {
        if way == Way::Original {
            not_mapped(env, last.0);
            inv::page_map(frame, OWN, at, RW, 0).expect("map the copy");
        }
        assert_eq!(last.read(0), 9);
    };
    let gone = || {
        not_mapped(env, at);
        not_mapped(env, last.0);
        let table = env.object(ObjectType::PageTable);
        inv::page_table_map(table, OWN, at, 0).expect("map a table there");
        delete(table).expect("delete");
    };
    way.go(&place, frame, alive, gone);
}

type Map = fn(CPtr, CPtr, u64, u64) -> pecan::Result<()>;
/// The paging structures, from the top.
const TABLES: [(ObjectType, Map); 3] = [
    (ObjectType::Pdpt, inv::pdpt_map),
    (ObjectType::PageDirectory, inv::page_directory_map),
    (ObjectType::PageTable, inv::page_table_map),
];

fn unmapped(env: &Env, way: Way, level: usize) {
    let place = Place::new(env);
    let table = place.object(TABLES[level].0);
    way.go(&place, table, || {}, || {});
}

fn unmapped_table(env: &Env, way: Way) {
    unmapped(env, way, 2);
}

fn unmapped_directory(env: &Env, way: Way) {
    unmapped(env, way, 1);
}

fn unmapped_pdpt(env: &Env, way: Way) {
    unmapped(env, way, 0);
}

/// Maps the three levels around an address in our own address space, with the one at `level` made in its place, and a page.
fn mapped(env: &Env, way: Way, level: usize, with_pages: bool) {
    let place = Place::new(env);
    let tables: [CPtr; 3] = core::array::from_fn(|index| {
        let (object_type, map) = TABLES[index];
        let table = if index == level { place.object(object_type) } else { env.object(object_type) };
        map(table, OWN, AT, 0).expect("map a paging structure");
        table
    });
    let (frame, large) = (env.frame(), env.object(ObjectType::LargePage));
    if with_pages {
        inv::page_map(frame, OWN, AT, RW, 0).expect("map");
        inv::page_map(large, OWN, AT + (1 << 21), RW, 0).expect("map");
        Mapped(AT).write(0, 7);
        Mapped(AT + (1 << 21)).write(0, 8);
    }
    let pages_work = || {
        if with_pages {
            assert_eq!((Mapped(AT).read(0), Mapped(AT + (1 << 21)).read(0)), (7, 8));
        } else {
            is_free(env, OWN, AT);
        }
    };
    let gone = || {
        not_mapped(env, AT);
        if with_pages && level < 2 {
            not_mapped(env, AT + (1 << 21));
        }
        // Another takes its place, without anything below it.
        let (object_type, map) = TABLES[level];
        let other = env.object(object_type);
        map(other, OWN, AT, 0).expect("map another there");
        not_mapped(env, AT);
        delete(other).expect("delete");
        // What was below it can be mapped elsewhere.
        inv::page_unmap(frame).expect("unmap");
        let elsewhere = env.map(frame);
        assert_eq!(elsewhere.read(0), if with_pages { 7 } else { 0 });
        for table in tables.into_iter().skip(level + 1) {
            delete(table).expect("delete a structure that was below");
        }
    };
    way.go(&place, tables[level], pages_work, gone);
}

fn empty_table(env: &Env, way: Way) {
    mapped(env, way, 2, false);
}

fn table_with_pages(env: &Env, way: Way) {
    mapped(env, way, 2, true);
}

fn directory_with_pages(env: &Env, way: Way) {
    mapped(env, way, 1, true);
}

fn pdpt_with_pages(env: &Env, way: Way) {
    mapped(env, way, 0, true);
}

const POOL: CPtr = slot::INIT_THREAD_ASID_POOL;

fn unassigned_vspace(env: &Env, way: Way) {
    let place = Place::new(env);
    let vspace = place.object(ObjectType::VSPACE);
    way.go(&place, vspace, || {}, || {});
}

/// A frame that is mapped in an address space, with the structures for it.
fn furnish(env: &Env, vspace: CPtr) -> CPtr {
    env.map_tables(vspace, AT);
    let frame = env.frame();
    inv::page_map(frame, vspace, AT, RW, 0).expect("map");
    frame
}

fn assigned_vspace(env: &Env, way: Way) {
    let place = Place::new(env);
    let vspace = place.object(ObjectType::VSPACE);
    inv::asid_pool_assign(POOL, vspace).expect("assign");
    let frame = furnish(env, vspace);
    let other = env.frame();
    let alive = || {
        assert_eq!(inv::page_map(other, vspace, AT, RW, 0), Err(Error::DeleteFirst));
        inv::page_map(other, vspace, AT + 4096, RW, 0).expect("map");
    };
    let gone = || {
        // The next one gets the ASID, and has nothing in it; unmapping what was in the old one does not matter to it.
        let next = env.vspace();
        env.map_tables(next, AT);
        inv::page_map(other, next, AT, RW, 0).expect("map");
        inv::page_unmap(frame).expect("unmap");
        let third = env.frame();
        assert_eq!(inv::page_map(third, next, AT, RW, 0), Err(Error::DeleteFirst), "the new page was unmapped");
        env.map(frame);
    };
    way.go(&place, vspace, alive, gone);
}

/// A thread in an address space with the program's image. It waits for a notification. And where its faults go.
fn in_vspace(env: &Env, vspace: CPtr) -> (Thread, CPtr, CPtr, CPtr) {
    let (notification, endpoint, reply) = (env.notification(), env.endpoint(), env.reply());
    let spaces = Spaces { vspace, fault_ep: env.mint(endpoint, 1), ..Spaces::own() };
    let thread = env.thread_with(HIGH, env.sched_context(10_000, 10_000), spaces);
    thread.start(move || raw::wait(notification).badge + 1);
    (thread, notification, endpoint, reply)
}

/// The thread has no memory any more: its first instruction faults.
#[track_caller]
fn is_without_memory(endpoint: CPtr, reply: CPtr) {
    assert_eq!(raw::nb_recv(endpoint, reply).info.label(), FaultTag::VMFault.word(), "no page fault");
}

fn vspace_of_a_thread(env: &Env, way: Way) {
    let place = Place::new(env);
    let vspace = place.object(ObjectType::VSPACE);
    inv::asid_pool_assign(POOL, vspace).expect("assign");
    map_image(env, vspace);
    let (thread, notification, endpoint, reply) = in_vspace(env, vspace);
    way.apply(place.parent, vspace, env.slot());
    if way == Way::Parent {
        place.overwrite();
    }
    signal(notification);
    // The thread holds a copy of its own; revoking takes that.
    if matches!(way, Way::Revoke | Way::Parent) {
        is_without_memory(endpoint, reply);
        assert!(!thread.has_returned());
    } else {
        assert_eq!(thread.join(), 1);
    }
}

fn vspace_of_the_running_thread(env: &Env, way: Way) {
    let place = Place::new(env);
    let (vspace, endpoint, reply) = (place.object(ObjectType::VSPACE), env.endpoint(), env.reply());
    inv::asid_pool_assign(POOL, vspace).expect("assign");
    map_image(env, vspace);
    let spaces = Spaces { vspace, fault_ep: env.mint(endpoint, 1), ..Spaces::own() };
    let thread = env.thread_with(HIGH, env.sched_context(10_000, 10_000), spaces);
    let (parent, scratch) = (place.parent, env.slot());
    thread.start(move || {
        way.apply(parent, vspace, scratch);
        1
    });
    assert!(is_empty(vspace));
    place.overwrite();
    is_without_memory(endpoint, reply);
    assert!(!thread.has_returned());
}

/// An ASID pool in its place: the untyped becomes the pool.
#[track_caller]
fn pool(place: &Place) -> CPtr {
    let pool = place.env.slot();
    inv::asid_control_make_pool(slot::ASID_CONTROL, place.parent, ROOT, pool, DEPTH).expect("make pool");
    pool
}

fn empty_pool(env: &Env, way: Way) {
    let place = Place::new(env);
    let (pool, vspace) = (pool(&place), env.object(ObjectType::VSPACE));
    let assign = || inv::asid_pool_assign(pool, vspace);
    let gone = || {
        assert_eq!(assign(), Err(Error::InvalidCapability { index: 0 }));
        inv::asid_pool_assign(POOL, vspace).expect("assign in another");
    };
    way.go(&place, pool, || assert_eq!(assign(), Ok(())), gone);
}

fn pool_with_vspaces(env: &Env, way: Way) {
    let place = Place::new(env);
    let (pool, vspace, other) = (pool(&place), env.object(ObjectType::VSPACE), env.frame());
    inv::asid_pool_assign(pool, vspace).expect("assign");
    let frame = furnish(env, vspace);
    let map = || inv::page_map(other, vspace, AT + 4096, RW, 0);
    let gone = || {
        assert!(map().is_err(), "mapped in an address space without ASID");
        inv::page_unmap(frame).expect("unmap");
        env.map(frame);
        // Another pool takes the place of this one: the stale address space has no part in it.
        let (untyped, again, fresh) = (env.child_untyped(12), env.slot(), env.object(ObjectType::VSPACE));
        inv::asid_control_make_pool(slot::ASID_CONTROL, untyped, ROOT, again, DEPTH).expect("make pool");
        inv::asid_pool_assign(again, fresh).expect("assign");
        assert_eq!(map(), Err(Error::InvalidCapability { index: 1 }));
        delete(vspace).expect("delete the stale address space");
        furnish(env, fresh);
    };
    way.go(&place, pool, || assert_eq!(map(), Ok(())), gone);
}

fn pool_of_a_thread(env: &Env, way: Way) {
    let place = Place::new(env);
    let (pool, vspace) = (pool(&place), env.object(ObjectType::VSPACE));
    inv::asid_pool_assign(pool, vspace).expect("assign");
    map_image(env, vspace);
    let (thread, notification, endpoint, reply) = in_vspace(env, vspace);
    let alive = || {
        signal(notification);
        assert_eq!(thread.join(), 1);
    };
    let gone = || {
        signal(notification);
        is_without_memory(endpoint, reply);
    };
    way.go(&place, pool, alive, gone);
}
