//! Untyped memory and retype.

use pecan::{CNodeCapData, Error, LookupFailure, Result, raw::{self, invocations as inv}};
use pecan_abi::{CPtr, CapRights, Error as Kind, ObjectType, boot::slot, constants as c};

use crate::{
    Env,
    env::{DEPTH, ROOT, delete, is_empty, memory_left, revoke},
    machine,
    snapshot::peek,
    start::boot_info,
};

tests! {
    makes_every_type_of_object: UntypedRetype / NoError;
    makes_several_objects_in_consecutive_slots: UntypedRetype / NoError;
    makes_as_many_objects_as_one_call_can: UntypedRetype / NoError;
    places_capabilities_in_an_inner_cnode: UntypedRetype / NoError;
    takes_just_the_bytes_of_the_objects: UntypedRetype / NoError;
    aligns_objects_to_their_size: UntypedRetype / NoError;
    gives_zeroed_memory: UntypedRetype / NoError;
    starts_over_without_children: UntypedRetype / NoError, CNodeRevoke / NoError;
    does_not_start_over_with_a_child_left: UntypedRetype / NotEnoughMemory;
    an_unknown_type: UntypedRetype / InvalidArgument;
    sizes_that_are_too_small: UntypedRetype / InvalidArgument;
    sizes_that_are_too_large: UntypedRetype / RangeError;
    numbers_of_objects_out_of_range: UntypedRetype / RangeError;
    slots_out_of_range: UntypedRetype / RangeError;
    a_depth_out_of_range: UntypedRetype / RangeError;
    used_slots: UntypedRetype / DeleteFirst;
    a_root_that_is_no_cnode: UntypedRetype / FailedLookup;
    a_node_that_is_no_cnode: UntypedRetype / FailedLookup;
    more_than_there_is: UntypedRetype / NotEnoughMemory;
    device_memory_makes_frames: UntypedRetype / NoError;
    device_memory_makes_no_objects: UntypedRetype / InvalidArgument;
    a_capability_of_another_type: UntypedRetype / IllegalOperation, UntypedRetype / InvalidCapability;
    revoke_of_an_untyped_takes_everything_back: CNodeRevoke / NoError;
    untypeds_nest: UntypedRetype / NoError, CNodeRevoke / NoError;
}

fn retype(untyped: CPtr, object_type: ObjectType, bits: u64, first: CPtr, count: u64) -> Result<()> {
    inv::untyped_retype(untyped, object_type.word(), bits, ROOT, 0, 0, first, count)
}

/// Every type, with its size parameter and log2 of its bytes.
const TYPES: [(ObjectType, u64, u64); 13] = [
    (ObjectType::Untyped, 4, 4),
    (ObjectType::Tcb, 0, 0),
    (ObjectType::Endpoint, 0, c::ENDPOINT_BITS as u64),
    (ObjectType::Notification, 0, c::NOTIFICATION_BITS as u64),
    (ObjectType::CNode, 3, 3 + c::SLOT_BITS as u64),
    (ObjectType::SchedContext, 7, 7),
    (ObjectType::Reply, 0, c::REPLY_BITS as u64),
    (ObjectType::Pdpt, 0, c::PDPT_BITS as u64),
    (ObjectType::Pml4, 0, c::PML4_BITS as u64),
    (ObjectType::Page4K, 0, c::PAGE_BITS as u64),
    (ObjectType::LargePage, 0, c::LARGE_PAGE_BITS as u64),
    (ObjectType::PageTable, 0, c::PAGE_TABLE_BITS as u64),
    (ObjectType::PageDirectory, 0, c::PAGE_DIRECTORY_BITS as u64),
];

fn makes_every_type_of_object(env: &Env) {
    for (object_type, parameter, _) in TYPES {
        let cap = env.retype(object_type, parameter, 1);
        assert!(!is_empty(cap), "{object_type:?}");
    }
    // 1 GiB is more than a test has; and where the processor cannot map such a frame, there is no such type.
    let dest = env.slot();
    let kind = if machine::has_huge_frames() { Kind::NotEnoughMemory } else { Kind::InvalidArgument };
    env.refused_as(kind, || retype(env.untyped, ObjectType::HugePage, 0, dest, 1));
}

fn makes_several_objects_in_consecutive_slots(env: &Env) {
    let first = env.retype(ObjectType::Notification, 0, 5);
    assert!((0..5).all(|i| !is_empty(first + i)) && is_empty(first + 5));
    // They are different objects.
    let badged = env.mint(first + 2, 1);
    crate::env::signal(badged);
    let words: [u64; 5] = core::array::from_fn(|i| crate::env::poll(first + i as u64));
    assert_eq!(words, [0, 0, 1, 0, 0]);
}

fn makes_as_many_objects_as_one_call_can(env: &Env) {
    let first = env.slots(c::UNTYPED_RETYPE_MAX_OBJECTS);
    retype(env.untyped, ObjectType::Endpoint, 0, first, c::UNTYPED_RETYPE_MAX_OBJECTS).expect("retype");
    assert!((0..c::UNTYPED_RETYPE_MAX_OBJECTS).all(|i| !is_empty(first + i)));
}

fn places_capabilities_in_an_inner_cnode(env: &Env) {
    let (top, inner) = (env.cnode(4), env.cnode(3));
    inv::cnode_mint(top.cap, 5, 4, ROOT, inner.cap, DEPTH, CapRights::ALL, CNodeCapData::new(1, 2).0)
        .expect("mint");
    // The node is named by its own address, its guard is not part of that.
    inv::untyped_retype(env.untyped, ObjectType::Endpoint.word(), 0, top.cap, 5, 4, 2, 3).expect("retype");
    let scratch = env.slot();
    let found: [u8; 8] = core::array::from_fn(|i| peek(inner.cap, i as u64, 3, scratch));
    assert!((0..8).all(|i| (found[i] != 0) == (2..5).contains(&i)), "{found:?}");
}

fn takes_just_the_bytes_of_the_objects(env: &Env) {
    let untyped = env.child_untyped(16);
    let slots = env.slots(16);
    let mut left = 1 << 16;
    // From large to small nothing is lost to alignment.
    for (index, (object_type, parameter, bits)) in [
        (ObjectType::Pml4, 0, 12),
        (ObjectType::CNode, 4, 9),
        (ObjectType::SchedContext, 8, 8),
        (ObjectType::Notification, 0, 6),
        (ObjectType::Reply, 0, 5),
        (ObjectType::Endpoint, 0, 4),
        (ObjectType::Untyped, 4, 4),
    ]
    .into_iter()
    .enumerate()
    {
        retype(untyped, object_type, parameter, slots + index as u64, 1).expect("retype");
        left -= 1 << bits;
        assert_eq!(memory_left(untyped, env.end_slot), Some(left), "after {object_type:?}");
    }
}

fn aligns_objects_to_their_size(env: &Env) {
    let untyped = env.child_untyped(14);
    let slots = env.slots(2);
    retype(untyped, ObjectType::Endpoint, 0, slots, 1).expect("retype");
    retype(untyped, ObjectType::Page4K, 0, slots + 1, 1).expect("retype");
    assert_eq!(memory_left(untyped, env.end_slot), Some((1 << 14) - 2 * 4096));
    assert_eq!(inv::page_get_address(slots + 1).expect("address") % 4096, 0);
}

fn gives_zeroed_memory(env: &Env) {
    let (untyped, frame) = (env.child_untyped(12), env.slot());
    retype(untyped, ObjectType::Page4K, 0, frame, 1).expect("retype");
    let memory = env.map(frame);
    assert!((0..512).all(|i| memory.read(i) == 0), "new memory is not zero");
    for i in 0..512 {
        memory.write(i, !i);
    }
    delete(frame).expect("delete");
    retype(untyped, ObjectType::Page4K, 0, frame, 1).expect("retype");
    let again = env.map(frame);
    assert!((0..512).all(|i| again.read(i) == 0), "memory came back with what was in it");
}

fn starts_over_without_children(env: &Env) {
    let (untyped, slots) = (env.child_untyped(10), env.slots(17));
    for round in 0..3 {
        retype(untyped, ObjectType::Notification, 0, slots, 16).expect("retype");
        assert_eq!(memory_left(untyped, env.end_slot), Some(0));
        if round == 0 {
            revoke(untyped).expect("revoke");
        } else {
            (0..16).for_each(|i| delete(slots + i).expect("delete"));
        }
        assert_eq!(memory_left(untyped, env.end_slot), Some(1 << 10), "round {round}");
    }
}

fn does_not_start_over_with_a_child_left(env: &Env) {
    let (untyped, slots) = (env.child_untyped(10), env.slots(17));
    retype(untyped, ObjectType::Notification, 0, slots, 16).expect("retype");
    (1..16).for_each(|i| delete(slots + i).expect("delete"));
    env.refused(Error::NotEnoughMemory { available: 0 }, || {
        retype(untyped, ObjectType::Notification, 0, slots + 1, 1)
    });
}

fn an_unknown_type(env: &Env) {
    let dest = env.slot();
    for unknown in [14, 15, 100, u64::MAX] {
        env.refused(Error::InvalidArgument { index: 0 }, || {
            inv::untyped_retype(env.untyped, unknown, 12, ROOT, 0, 0, dest, 1)
        });
    }
}

fn sizes_that_are_too_small(env: &Env) {
    let dest = env.slot();
    for (object_type, bits) in [
        (ObjectType::CNode, 0),
        (ObjectType::Untyped, 0),
        (ObjectType::Untyped, 3),
        (ObjectType::SchedContext, 0),
        (ObjectType::SchedContext, 6),
    ] {
        env.refused(Error::InvalidArgument { index: 1 }, || retype(env.untyped, object_type, bits, dest, 1));
    }
}

fn sizes_that_are_too_large(env: &Env) {
    let dest = env.slot();
    let range = Error::RangeError { min: 0, max: c::MAX_UNTYPED_BITS.into() };
    for bits in [48, 63, 64, 1 << 32, u64::MAX] {
        for object_type in [ObjectType::Untyped, ObjectType::SchedContext, ObjectType::CNode] {
            env.refused(range, || retype(env.untyped, object_type, bits, dest, 1));
        }
    }
    // With the bytes of its slots a CNode of this many is too large.
    env.refused(range, || retype(env.untyped, ObjectType::CNode, 43, dest, 1));
}

fn numbers_of_objects_out_of_range(env: &Env) {
    let first = env.slots(300);
    let range = Error::RangeError { min: 1, max: c::UNTYPED_RETYPE_MAX_OBJECTS };
    for count in [0, 257, 1 << 40, u64::MAX] {
        env.refused(range, || retype(env.untyped, ObjectType::Endpoint, 0, first, count));
    }
    let small = env.cnode(3);
    for (offset, count, most) in [(0, 9, 8), (5, 4, 3), (7, 2, 1)] {
        env.refused(Error::RangeError { min: 1, max: most }, || {
            inv::untyped_retype(env.untyped, ObjectType::Endpoint.word(), 0, small.cap, 0, 0, offset, count)
        });
    }
}

fn slots_out_of_range(env: &Env) {
    let small = env.cnode(3);
    for offset in [8, 9, 1 << 20, u64::MAX] {
        env.refused(Error::RangeError { min: 0, max: 7 }, || {
            inv::untyped_retype(env.untyped, ObjectType::Endpoint.word(), 0, small.cap, 0, 0, offset, 1)
        });
    }
}

fn a_depth_out_of_range(env: &Env) {
    let dest = env.slot();
    for depth in [65, 1000] {
        env.refused(Error::RangeError { min: 1, max: 64 }, || {
            inv::untyped_retype(env.untyped, ObjectType::Endpoint.word(), 0, ROOT, ROOT, depth, dest, 1)
        });
    }
}

fn used_slots(env: &Env) {
    let first = env.slots(4);
    let used = env.endpoint();
    assert_eq!(used, first + 4);
    env.refused(Error::DeleteFirst, || retype(env.untyped, ObjectType::Endpoint, 0, used, 1));
    // Only the last of the slots is in use: none of the others is filled.
    env.refused(Error::DeleteFirst, || retype(env.untyped, ObjectType::Endpoint, 0, first, 5));
    retype(env.untyped, ObjectType::Endpoint, 0, first, 4).expect("retype");
}

fn a_root_that_is_no_cnode(env: &Env) {
    let endpoint = env.endpoint();
    let retype = |root, index, depth| {
        inv::untyped_retype(env.untyped, ObjectType::Endpoint.word(), 0, root, index, depth, 0, 1)
    };
    env.refused_as(Kind::FailedLookup, || retype(endpoint, 0, 0));
    let no_root = Error::FailedLookup { source: false, failure: LookupFailure::InvalidRoot };
    env.refused(no_root, || retype(endpoint, 0, 5));
}

fn a_node_that_is_no_cnode(env: &Env) {
    let (top, endpoint) = (env.cnode(4), env.endpoint());
    inv::cnode_move(top.cap, 3, 4, ROOT, endpoint, DEPTH).expect("move");
    let retype = |index, depth| {
        inv::untyped_retype(env.untyped, ObjectType::Endpoint.word(), 0, top.cap, index, depth, 0, 1)
    };
    let missing = Error::FailedLookup {
        source: false,
        failure: LookupFailure::MissingCapability { bits_left: 4 },
    };
    env.refused(missing, || retype(3, 4));
    env.refused(missing, || retype(2, 4));
    env.refused_as(Kind::FailedLookup, || retype(3 << 2, 6));
    env.refused_as(Kind::FailedLookup, || retype(3, 2));
}

fn more_than_there_is(env: &Env) {
    let (untyped, slots) = (env.child_untyped(12), env.slots(200));
    let short = |available| Error::NotEnoughMemory { available };
    env.refused(short(4096), || retype(untyped, ObjectType::Page4K, 0, slots, 2));
    env.refused(short(4096), || retype(untyped, ObjectType::LargePage, 0, slots, 1));
    env.refused(short(4096), || retype(untyped, ObjectType::Notification, 0, slots, 65));
    retype(untyped, ObjectType::Endpoint, 0, slots, 1).expect("retype");
    env.refused(short(4080), || retype(untyped, ObjectType::Page4K, 0, slots + 1, 1));
    retype(untyped, ObjectType::Notification, 0, slots + 1, 63).expect("all but the first 64 bytes");
    env.refused(short(0), || retype(untyped, ObjectType::Endpoint, 0, slots + 64, 1));
}

/// An untyped of device memory.
fn device_untyped() -> CPtr {
    let bi = boot_info();
    let found = bi.untyped_list[..bi.untyped.len() as usize].iter().position(|u| u.is_device != 0 && u.size_bits >= 13);
    bi.untyped.start + found.expect("a PC has device memory") as u64
}

fn device_memory_makes_frames(env: &Env) {
    let (device, slots) = (device_untyped(), env.slots(2));
    retype(device, ObjectType::Page4K, 0, slots, 1).expect("a frame");
    retype(device, ObjectType::Untyped, 12, slots + 1, 1).expect("an untyped");
    let index = (device - boot_info().untyped.start) as usize;
    assert_eq!(inv::page_get_address(slots).expect("address"), boot_info().untyped_list[index].paddr);
    revoke(device).expect("revoke");
}

fn device_memory_makes_no_objects(env: &Env) {
    let (device, dest) = (device_untyped(), env.slot());
    for (object_type, parameter, _) in TYPES {
        if !matches!(object_type, ObjectType::Untyped | ObjectType::Page4K | ObjectType::LargePage) {
            env.refused_as(Kind::InvalidArgument, || retype(device, object_type, parameter, dest, 1));
        }
    }
    // A child of device memory is device memory.
    retype(device, ObjectType::Untyped, 12, dest, 1).expect("an untyped");
    let object = env.slot();
    env.refused_as(Kind::InvalidArgument, || retype(dest, ObjectType::Endpoint, 0, object, 1));
    revoke(device).expect("revoke");
}

fn a_capability_of_another_type(env: &Env) {
    let (empty, dest) = (env.slot(), env.slot());
    env.refused(Error::InvalidCapability { index: 0 }, || retype(empty, ObjectType::Endpoint, 0, dest, 1));
    let tcb = env.tcb();
    env.refused(Error::IllegalOperation, || retype(tcb, ObjectType::Endpoint, 0, dest, 1));
}

fn revoke_of_an_untyped_takes_everything_back(env: &Env) {
    let untyped = env.child_untyped(20);
    let slots = env.slots(20);
    for (index, (object_type, parameter, bits)) in TYPES.into_iter().enumerate() {
        if bits < 20 {
            retype(untyped, object_type, parameter, slots + index as u64, 1).expect("retype");
        }
    }
    let copied = env.copy(slots + 2);
    revoke(untyped).expect("revoke");
    assert!((0..20).all(|i| is_empty(slots + i)) && is_empty(copied), "a capability is left");
    assert_eq!(memory_left(untyped, env.end_slot), Some(1 << 20));
}

fn untypeds_nest(env: &Env) {
    let slots = env.slots(10);
    let mut parent = env.child_untyped(16);
    let top = parent;
    for depth in 0..8 {
        retype(parent, ObjectType::Untyped, 15 - depth, slots + depth, 1).expect("retype");
        parent = slots + depth;
    }
    let endpoint = env.slot();
    retype(parent, ObjectType::Endpoint, 0, endpoint, 1).expect("retype");
    revoke(slots + 3).expect("revoke");
    assert!(is_empty(endpoint) && is_empty(slots + 4) && !is_empty(slots + 3));
    revoke(top).expect("revoke");
    assert!((0..8).all(|i| is_empty(slots + i)));
    assert_eq!(raw::debug_cap_identify(slot::NULL), 0);
}
