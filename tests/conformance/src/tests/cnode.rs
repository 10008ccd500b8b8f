//! CNodes: copying, moving and deleting capabilities, and the resolution of addresses.

use pecan::{
    CNodeCapData, Error, LookupFailure,
    raw::{self, invocations as inv},
};
use pecan_abi::{CapRights, Error as Kind, ObjectType, boot::slot};

use crate::{
    Env,
    env::{CNode, DEPTH, HIGH, ROOT, copy, delete, is_empty, nb_send, poll, revoke, signal},
    snapshot::peek,
};

tests! {
    copy_refers_to_the_same_object: CNodeCopy / NoError;
    copy_keeps_the_badge: CNodeCopy / NoError;
    copy_takes_rights_away: CNodeCopy / NoError;
    copy_never_adds_rights: CNodeCopy / NoError;
    copy_into_a_used_slot: CNodeCopy / DeleteFirst;
    copy_from_an_empty_slot: CNodeCopy / FailedLookup;
    copy_with_a_root_that_is_no_cnode: CNodeCopy / FailedLookup;
    copy_with_a_depth_out_of_range: CNodeCopy / RangeError;
    copy_of_an_untyped_in_use: CNodeCopy / RevokeFirst;
    copy_of_what_cannot_be_derived: CNodeCopy / IllegalOperation;
    mint_sets_a_badge: CNodeMint / NoError;
    mint_sets_a_guard: CNodeMint / NoError;
    mint_does_not_change_a_badge: CNodeMint / IllegalOperation;
    mint_refuses_a_guard_that_is_too_long: CNodeMint / IllegalOperation;
    mint_into_a_used_slot: CNodeMint / DeleteFirst;
    mint_from_an_empty_slot: CNodeMint / FailedLookup;
    mint_with_a_depth_out_of_range: CNodeMint / RangeError;
    mint_of_an_untyped_in_use: CNodeMint / RevokeFirst;
    move_empties_the_source: CNodeMove / NoError;
    move_keeps_children: CNodeMove / NoError;
    move_onto_itself: CNodeMove / DeleteFirst;
    move_into_a_used_slot: CNodeMove / DeleteFirst;
    move_from_an_empty_slot: CNodeMove / FailedLookup;
    move_with_a_depth_out_of_range: CNodeMove / RangeError;
    mutate_sets_a_guard_and_keeps_children: CNodeMutate / NoError;
    mutate_does_not_badge: CNodeMutate / IllegalOperation;
    mutate_into_a_used_slot: CNodeMutate / DeleteFirst;
    mutate_from_an_empty_slot: CNodeMutate / FailedLookup;
    mutate_with_a_depth_out_of_range: CNodeMutate / RangeError;
    rotate_moves_two: CNodeRotate / NoError;
    rotate_swaps: CNodeRotate / NoError;
    rotate_sets_guards: CNodeRotate / NoError;
    rotate_with_the_pivot_in_the_way: CNodeRotate / IllegalOperation;
    rotate_into_a_used_slot: CNodeRotate / DeleteFirst;
    rotate_from_empty_slots: CNodeRotate / FailedLookup;
    rotate_with_a_depth_out_of_range: CNodeRotate / RangeError;
    delete_empties_the_slot: CNodeDelete / NoError;
    delete_of_an_empty_slot: CNodeDelete / NoError;
    delete_of_one_copy_keeps_the_object: CNodeDelete / NoError;
    delete_with_a_bad_address: CNodeDelete / FailedLookup;
    delete_with_a_depth_out_of_range: CNodeDelete / RangeError;
    revoke_deletes_copies_and_keeps_the_original: CNodeRevoke / NoError;
    revoke_of_a_copy_deletes_nothing: CNodeRevoke / NoError;
    revoke_of_a_badged_original: CNodeRevoke / NoError;
    revoke_reaches_other_cnodes: CNodeRevoke / NoError;
    revoke_with_a_bad_address: CNodeRevoke / FailedLookup;
    revoke_with_a_depth_out_of_range: CNodeRevoke / RangeError;
    cancel_badged_sends_cancels_one_badge: CNodeCancelBadgedSends / NoError;
    cancel_badged_sends_without_a_badge: CNodeCancelBadgedSends / NoError;
    cancel_badged_sends_needs_all_rights: CNodeCancelBadgedSends / IllegalOperation;
    cancel_badged_sends_with_a_bad_address: CNodeCancelBadgedSends / FailedLookup;
    cancel_badged_sends_with_a_depth_out_of_range: CNodeCancelBadgedSends / RangeError;
    addresses_go_through_two_cnodes;
    addresses_stop_at_the_depth;
    a_guard_that_differs_is_reported;
    an_address_that_ends_early_is_reported;
    a_deleted_cnode_deletes_what_is_in_it: CNodeDelete / NoError;
    a_cnode_that_holds_itself_goes_with_its_untyped: CNodeRevoke / NoError;
}

const RANGE: Error = Error::RangeError { min: 1, max: 64 };

const fn missing(source: bool, bits_left: u64) -> Error {
    Error::FailedLookup { source, failure: LookupFailure::MissingCapability { bits_left } }
}

const fn no_root(source: bool) -> Error {
    Error::FailedLookup { source, failure: LookupFailure::InvalidRoot }
}

/// Two capabilities to one notification are told by signalling through one and polling the other.
#[track_caller]
fn same_notification(signalled: u64, polled: u64, badge: u64) {
    signal(signalled);
    assert_eq!(poll(polled), badge, "the word of the notification");
}

fn copy_refers_to_the_same_object(env: &Env) {
    let original = env.notification();
    let badged = env.mint(original, 0x5a);
    let copied = env.copy(original);
    same_notification(badged, copied, 0x5a);
}

fn copy_keeps_the_badge(env: &Env) {
    let original = env.notification();
    let badged = env.mint(original, 0xbad6e);
    let copied = env.copy(badged);
    same_notification(copied, original, 0xbad6e);
}

fn copy_takes_rights_away(env: &Env) {
    let original = env.notification();
    let badged = env.mint(original, 1);
    let read_only = env.copy_with(badged, CapRights::READ);
    // A signal without the right to is refused without a word, as sends are.
    signal(read_only);
    assert_eq!(poll(original), 0, "a capability without the write right signalled");
    signal(badged);
    assert_eq!(poll(read_only), 1);
}

fn copy_never_adds_rights(env: &Env) {
    let original = env.notification();
    let badged = env.mint_with(original, CapRights::READ, 1);
    let again = env.copy_with(badged, CapRights::ALL);
    signal(again);
    assert_eq!(poll(original), 0, "a copy has a right that its source has not");
}

fn copy_into_a_used_slot(env: &Env) {
    let (a, b) = (env.notification(), env.mint_of_new_notification(7));
    env.refused(Error::DeleteFirst, || copy(b, a, CapRights::ALL));
    env.refused(Error::DeleteFirst, || copy(a, a, CapRights::ALL));
    signal(b);
    assert_eq!(poll(b), 7, "the destination has changed");
}

fn copy_from_an_empty_slot(env: &Env) {
    let (from, to) = (env.slot(), env.slot());
    env.refused(missing(true, 64), || copy(to, from, CapRights::ALL));
    let cnode = env.cnode(2);
    env.refused(missing(true, 2), || inv::cnode_copy(ROOT, to, DEPTH, cnode.cap, 3, 2, CapRights::ALL));
}

fn copy_with_a_root_that_is_no_cnode(env: &Env) {
    let (endpoint, to) = (env.endpoint(), env.slot());
    env.refused(no_root(true), || inv::cnode_copy(ROOT, to, DEPTH, endpoint, 1, DEPTH, CapRights::ALL));
    env.refused(no_root(true), || inv::cnode_copy(ROOT, to, DEPTH, slot::INIT_THREAD_TCB, 1, 1, CapRights::ALL));
}

fn copy_with_a_depth_out_of_range(env: &Env) {
    let (from, to) = (env.endpoint(), env.slot());
    for depth in [0, 65, 128, 255] {
        env.refused(RANGE, || inv::cnode_copy(ROOT, to, depth, ROOT, from, DEPTH, CapRights::ALL));
        env.refused(RANGE, || inv::cnode_copy(ROOT, to, DEPTH, ROOT, from, depth, CapRights::ALL));
    }
}

fn copy_of_an_untyped_in_use(env: &Env) {
    let untyped = env.child_untyped(12);
    let (copied, object, to) = (env.copy(untyped), env.slot(), env.slot());
    // The first copy was made while the untyped had no children; the copy is one now.
    env.refused(Error::RevokeFirst, || copy(to, untyped, CapRights::ALL));
    delete(copied).expect("delete");
    inv::untyped_retype(untyped, ObjectType::Endpoint.word(), 0, ROOT, 0, 0, object, 1).expect("retype");
    env.refused(Error::RevokeFirst, || copy(to, untyped, CapRights::ALL));
    delete(object).expect("delete");
    copy(to, untyped, CapRights::ALL).expect("copy of an untyped without children");
}

fn copy_of_what_cannot_be_derived(env: &Env) {
    let to = env.slot();
    env.refused(Error::IllegalOperation, || copy(to, slot::IRQ_CONTROL, CapRights::ALL));
    for unmapped in [ObjectType::PageTable, ObjectType::PageDirectory, ObjectType::Pdpt] {
        let table = env.object(unmapped);
        env.refused(Error::IllegalOperation, || copy(to, table, CapRights::ALL));
    }
    // An address space without an ASID.
    let vspace = env.object(ObjectType::VSPACE);
    env.refused(Error::IllegalOperation, || copy(to, vspace, CapRights::ALL));
}

fn mint_sets_a_badge(env: &Env) {
    let original = env.notification();
    let (a, b) = (env.mint(original, 0x10), env.mint(original, 1 << 63));
    signal(a);
    signal(b);
    assert_eq!(poll(original), 1 << 63 | 0x10, "badges are or-ed, all 64 bits of them");
}

fn mint_sets_a_guard(env: &Env) {
    let cnode = env.cnode(4);
    let guarded = env.mint(cnode.cap, CNodeCapData::new(0x2a, 6).0);
    let object = env.notification();
    // Six bits of guard, then four of index.
    inv::cnode_move(guarded, 0x2a << 4 | 9, 10, ROOT, object, DEPTH).expect("through the guard");
    assert_ne!(peek(cnode.cap, 9, 4, env.slot()), 0, "the guard took bits of the index");
    let wrong = Error::FailedLookup {
        source: false,
        failure: LookupFailure::GuardMismatch { bits_left: 10, guard: 0x2a, guard_bits: 6 },
    };
    env.refused(wrong, || inv::cnode_delete(guarded, 0x2b << 4 | 9, 10));
}

fn mint_does_not_change_a_badge(env: &Env) {
    let to = env.slot();
    for original in [env.notification(), env.endpoint()] {
        let badged = env.mint(original, 5);
        env.refused(Error::IllegalOperation, || {
            inv::cnode_mint(ROOT, to, DEPTH, ROOT, badged, DEPTH, CapRights::ALL, 6)
        });
    }
}

fn mint_refuses_a_guard_that_is_too_long(env: &Env) {
    // 58 bits of guard and seven of index are more than an address has.
    let (cnode, to) = (env.cnode(7), env.slot());
    let guard = CNodeCapData::new(0, 58).0;
    env.refused(Error::IllegalOperation, || {
        inv::cnode_mint(ROOT, to, DEPTH, ROOT, cnode.cap, DEPTH, CapRights::ALL, guard)
    });
    let guard = CNodeCapData::new(0, 57).0;
    inv::cnode_mint(ROOT, to, DEPTH, ROOT, cnode.cap, DEPTH, CapRights::ALL, guard).expect("57 + 7 bits");
}

fn mint_into_a_used_slot(env: &Env) {
    let (a, b) = (env.notification(), env.notification());
    env.refused(Error::DeleteFirst, || inv::cnode_mint(ROOT, b, DEPTH, ROOT, a, DEPTH, CapRights::ALL, 1));
}

fn mint_from_an_empty_slot(env: &Env) {
    let (from, to) = (env.slot(), env.slot());
    env.refused(missing(true, 64), || inv::cnode_mint(ROOT, to, DEPTH, ROOT, from, DEPTH, CapRights::ALL, 1));
    let endpoint = env.endpoint();
    env.refused(no_root(true), || inv::cnode_mint(ROOT, to, DEPTH, endpoint, from, 3, CapRights::ALL, 1));
}

fn mint_with_a_depth_out_of_range(env: &Env) {
    let (from, to) = (env.endpoint(), env.slot());
    for depth in [0, 65] {
        env.refused(RANGE, || inv::cnode_mint(ROOT, to, depth, ROOT, from, DEPTH, CapRights::ALL, 1));
        env.refused(RANGE, || inv::cnode_mint(ROOT, to, DEPTH, ROOT, from, depth, CapRights::ALL, 1));
    }
}

fn mint_of_an_untyped_in_use(env: &Env) {
    let untyped = env.child_untyped(12);
    let (object, to) = (env.slot(), env.slot());
    inv::untyped_retype(untyped, ObjectType::Endpoint.word(), 0, ROOT, 0, 0, object, 1).expect("retype");
    env.refused(Error::RevokeFirst, || {
        inv::cnode_mint(ROOT, to, DEPTH, ROOT, untyped, DEPTH, CapRights::ALL, 0)
    });
}

fn move_empties_the_source(env: &Env) {
    let (original, to) = (env.notification(), env.slot());
    let badged = env.mint(original, 3);
    inv::cnode_move(ROOT, to, DEPTH, ROOT, badged, DEPTH).expect("move");
    assert!(is_empty(badged), "the source still holds a capability");
    same_notification(to, original, 3);
}

fn move_keeps_children(env: &Env) {
    let (original, to) = (env.endpoint(), env.slot());
    let child = env.copy(original);
    inv::cnode_move(ROOT, to, DEPTH, ROOT, original, DEPTH).expect("move");
    revoke(to).expect("revoke");
    assert!(is_empty(child), "the moved capability lost its child");
    assert!(!is_empty(to));
}

fn move_onto_itself(env: &Env) {
    let object = env.endpoint();
    env.refused(Error::DeleteFirst, || inv::cnode_move(ROOT, object, DEPTH, ROOT, object, DEPTH));
}

fn move_into_a_used_slot(env: &Env) {
    let (a, b) = (env.endpoint(), env.notification());
    env.refused(Error::DeleteFirst, || inv::cnode_move(ROOT, b, DEPTH, ROOT, a, DEPTH));
}

fn move_from_an_empty_slot(env: &Env) {
    let (from, to) = (env.slot(), env.slot());
    env.refused(missing(true, 64), || inv::cnode_move(ROOT, to, DEPTH, ROOT, from, DEPTH));
    let endpoint = env.endpoint();
    env.refused(no_root(true), || inv::cnode_move(ROOT, to, DEPTH, endpoint, from, DEPTH));
}

fn move_with_a_depth_out_of_range(env: &Env) {
    let (from, to) = (env.endpoint(), env.slot());
    for depth in [0, 65] {
        env.refused(RANGE, || inv::cnode_move(ROOT, to, depth, ROOT, from, DEPTH));
        env.refused(RANGE, || inv::cnode_move(ROOT, to, DEPTH, ROOT, from, depth));
    }
}

fn mutate_sets_a_guard_and_keeps_children(env: &Env) {
    let (cnode, to) = (env.cnode(4), env.slot());
    let child = env.copy(cnode.cap);
    let object = env.endpoint();
    inv::cnode_mutate(ROOT, to, DEPTH, ROOT, cnode.cap, DEPTH, CNodeCapData::new(1, 3).0).expect("mutate");
    assert!(is_empty(cnode.cap));
    inv::cnode_move(to, 1 << 4 | 2, 7, ROOT, object, DEPTH).expect("through the new guard");
    revoke(to).expect("revoke");
    assert!(is_empty(child), "the mutated capability lost its child");
}

fn mutate_does_not_badge(env: &Env) {
    let (endpoint, notification, to) = (env.endpoint(), env.notification(), env.slot());
    for from in [endpoint, notification] {
        env.refused(Error::IllegalOperation, || inv::cnode_mutate(ROOT, to, DEPTH, ROOT, from, DEPTH, 9));
    }
    let (cnode, guard) = (env.cnode(7), CNodeCapData::new(0, 58).0);
    env.refused(Error::IllegalOperation, || {
        inv::cnode_mutate(ROOT, to, DEPTH, ROOT, cnode.cap, DEPTH, guard)
    });
}

fn mutate_into_a_used_slot(env: &Env) {
    let (a, b) = (env.cnode(2), env.notification());
    env.refused(Error::DeleteFirst, || inv::cnode_mutate(ROOT, b, DEPTH, ROOT, a.cap, DEPTH, 0));
}

fn mutate_from_an_empty_slot(env: &Env) {
    let (from, to) = (env.slot(), env.slot());
    env.refused(missing(true, 64), || inv::cnode_mutate(ROOT, to, DEPTH, ROOT, from, DEPTH, 0));
    let endpoint = env.endpoint();
    env.refused(no_root(true), || inv::cnode_mutate(ROOT, to, DEPTH, endpoint, from, DEPTH, 0));
}

fn mutate_with_a_depth_out_of_range(env: &Env) {
    let (from, to) = (env.cnode(2).cap, env.slot());
    for depth in [0, 65] {
        env.refused(RANGE, || inv::cnode_mutate(ROOT, to, depth, ROOT, from, DEPTH, 0));
        env.refused(RANGE, || inv::cnode_mutate(ROOT, to, DEPTH, ROOT, from, depth, 0));
    }
}

fn rotate(dest: u64, pivot: u64, source: u64) -> pecan::Result<()> {
    rotate_with(dest, 0, pivot, 0, source)
}

fn rotate_with(dest: u64, dest_badge: u64, pivot: u64, pivot_badge: u64, source: u64) -> pecan::Result<()> {
    inv::cnode_rotate(
        ROOT, dest, DEPTH, dest_badge, ROOT, pivot, DEPTH, pivot_badge, ROOT, source, DEPTH,
    )
}

/// The physical address tells one frame from another.
#[track_caller]
fn address(frame: u64) -> u64 {
    inv::page_get_address(frame).expect("get address")
}

fn rotate_moves_two(env: &Env) {
    let (x, y, to) = (env.frame(), env.frame(), env.slot());
    let (x_at, y_at) = (address(x), address(y));
    // y's capability goes to the pivot, which x's leaves for the destination.
    rotate(to, x, y).expect("rotate");
    assert!(is_empty(y), "the source still holds a capability");
    assert_eq!((address(to), address(x)), (x_at, y_at));
}

fn rotate_swaps(env: &Env) {
    let (x, y) = (env.frame(), env.frame());
    let (x_copy, y_copy) = (env.copy(x), env.copy(y));
    let (x_at, y_at) = (address(x), address(y));
    rotate(x, y, x).expect("rotate");
    assert_eq!((address(x), address(y)), (y_at, x_at));
    // The tree of derivations follows: x's child now hangs below y.
    revoke(y).expect("revoke");
    assert!(is_empty(x_copy) && !is_empty(y_copy));
}

fn rotate_sets_guards(env: &Env) {
    let (a, b, to) = (env.cnode(3), env.cnode(3), env.slot());
    let (in_a, in_b) = (env.endpoint(), env.notification());
    inv::cnode_move(a.cap, 1, 3, ROOT, in_a, DEPTH).expect("move");
    inv::cnode_move(b.cap, 1, 3, ROOT, in_b, DEPTH).expect("move");
    let (dest_guard, pivot_guard) = (CNodeCapData::new(1, 1).0, CNodeCapData::new(2, 2).0);
    rotate_with(to, dest_guard, a.cap, pivot_guard, b.cap).expect("rotate");
    let scratch = env.slot();
    assert_ne!(peek(to, 1 << 3 | 1, 4, scratch), 0, "the destination has no guard of one bit");
    assert_ne!(peek(a.cap, 2 << 3 | 1, 5, scratch), 0, "the pivot has no guard of two bits");
}

fn rotate_with_the_pivot_in_the_way(env: &Env) {
    let (x, y, to) = (env.notification(), env.notification(), env.slot());
    env.refused(Error::IllegalOperation, || rotate(x, x, y));
    env.refused(Error::IllegalOperation, || rotate(to, x, x));
    env.refused(Error::IllegalOperation, || rotate(x, x, x));
    // Badges cannot be set on the way.
    env.refused(Error::IllegalOperation, || rotate_with(to, 1, x, 0, y));
    env.refused(Error::IllegalOperation, || rotate_with(to, 0, x, 1, y));
}

fn rotate_into_a_used_slot(env: &Env) {
    let (x, y, used) = (env.notification(), env.notification(), env.endpoint());
    env.refused(Error::DeleteFirst, || rotate(used, x, y));
}

fn rotate_from_empty_slots(env: &Env) {
    let (x, empty, to) = (env.notification(), env.slot(), env.slot());
    env.refused(missing(true, 64), || rotate(to, x, empty));
    env.refused_as(Kind::FailedLookup, || rotate(to, empty, x));
    env.refused(no_root(true), || {
        inv::cnode_rotate(ROOT, to, DEPTH, 0, x, 1, DEPTH, 0, ROOT, x, DEPTH)
    });
    env.refused(no_root(true), || {
        inv::cnode_rotate(ROOT, to, DEPTH, 0, ROOT, x, DEPTH, 0, x, 1, DEPTH)
    });
}

fn rotate_with_a_depth_out_of_range(env: &Env) {
    let (x, y, to) = (env.notification(), env.notification(), env.slot());
    for depth in [0, 65] {
        env.refused(RANGE, || inv::cnode_rotate(ROOT, to, depth, 0, ROOT, x, DEPTH, 0, ROOT, y, DEPTH));
        env.refused(RANGE, || inv::cnode_rotate(ROOT, to, DEPTH, 0, ROOT, x, depth, 0, ROOT, y, DEPTH));
        env.refused(RANGE, || inv::cnode_rotate(ROOT, to, DEPTH, 0, ROOT, x, DEPTH, 0, ROOT, y, depth));
    }
}

fn delete_empties_the_slot(env: &Env) {
    let object = env.endpoint();
    delete(object).expect("delete");
    assert!(is_empty(object));
    // The slot can be used again.
    copy(object, slot::INIT_THREAD_TCB, CapRights::ALL).expect("copy");
}

fn delete_of_an_empty_slot(env: &Env) {
    let slot = env.slot();
    let before = env.snapshot();
    delete(slot).expect("delete");
    before.same(env);
}

fn delete_of_one_copy_keeps_the_object(env: &Env) {
    let original = env.notification();
    let (badged, other) = (env.mint(original, 4), env.copy(original));
    delete(original).expect("delete");
    same_notification(badged, other, 4);
    // A thread would stop with its last capability, a CNode would be emptied.
    let go = env.notification();
    let (thread, cnode) = (env.spawn(HIGH, move || raw::wait(go).badge), env.cnode(2));
    inv::cnode_copy(cnode.cap, 1, 2, ROOT, badged, DEPTH, CapRights::ALL).expect("copy");
    for object in [thread.tcb, cnode.cap] {
        let other = env.copy(object);
        delete(object).expect("delete");
        inv::cnode_move(ROOT, object, DEPTH, ROOT, other, DEPTH).expect("move");
    }
    signal(go);
    assert!(thread.has_returned(), "the thread was stopped");
    assert_ne!(peek(cnode.cap, 1, 2, env.slot()), 0, "the CNode was emptied");
}

fn bad_addresses(env: &Env, mut call: impl FnMut(u64, u64, u8) -> pecan::Result<()>) {
    let endpoint = env.endpoint();
    env.refused(Error::IllegalOperation, || call(slot::INIT_THREAD_TCB, 1, 64));
    let cnode = env.cnode(3);
    let guarded = env.mint(cnode.cap, CNodeCapData::new(1, 2).0);
    // Fewer bits than the guard has, fewer than the index has, a wrong guard, bits left over.
    let failed = |failure| Error::FailedLookup { source: false, failure };
    let guard = |bits_left| LookupFailure::GuardMismatch { bits_left, guard: 1, guard_bits: 2 };
    env.refused(failed(guard(1)), || call(guarded, 1, 1));
    env.refused(failed(guard(5)), || call(guarded, 2 << 3, 5));
    let depth = |bits_left, bits_found| LookupFailure::DepthMismatch { bits_left, bits_found };
    env.refused(failed(depth(4, 5)), || call(guarded, 1 << 2, 4));
    inv::cnode_move(cnode.cap, 0, 3, ROOT, endpoint, DEPTH).expect("move");
    env.refused(failed(depth(4, 0)), || call(guarded, 1 << 7, 9));
}

fn delete_with_a_bad_address(env: &Env) {
    bad_addresses(env, inv::cnode_delete);
}

fn delete_with_a_depth_out_of_range(env: &Env) {
    let object = env.endpoint();
    for depth in [0, 65, 255] {
        env.refused(RANGE, || inv::cnode_delete(ROOT, object, depth));
    }
}

fn revoke_deletes_copies_and_keeps_the_original(env: &Env) {
    let original = env.notification();
    let (badged, copied) = (env.mint(original, 1), env.copy(original));
    let of_badged = env.copy(badged);
    revoke(original).expect("revoke");
    assert!(is_empty(badged) && is_empty(copied) && is_empty(of_badged), "a derived capability is left");
    let again = env.mint(original, 8);
    same_notification(again, original, 8);
}

fn revoke_of_a_copy_deletes_nothing(env: &Env) {
    let original = env.notification();
    let copied = env.copy(original);
    let of_copy = env.copy(copied);
    revoke(copied).expect("revoke");
    assert!(!is_empty(original) && !is_empty(copied) && !is_empty(of_copy), "copies of copies are siblings");
}

fn revoke_of_a_badged_original(env: &Env) {
    let original = env.endpoint();
    // The one made last follows the original, so that its children are before its siblings.
    let (same_badge, badged) = (env.mint(original, 1), env.mint(original, 1));
    let (of_badged, other) = (env.copy(badged), env.mint(original, 2));
    revoke(badged).expect("revoke");
    assert!(is_empty(of_badged), "a copy of a badged original is its child");
    assert!(!is_empty(same_badge), "what was made from the original with the same badge is its sibling");
    assert!(!is_empty(original) && !is_empty(badged) && !is_empty(other));
}

fn revoke_reaches_other_cnodes(env: &Env) {
    let (original, cnode) = (env.endpoint(), env.cnode(4));
    for index in 0..16 {
        inv::cnode_copy(cnode.cap, index, 4, ROOT, original, DEPTH, CapRights::ALL).expect("copy");
    }
    revoke(original).expect("revoke");
    let scratch = env.slot();
    for index in 0..16 {
        assert_eq!(peek(cnode.cap, index, 4, scratch), 0, "slot {index} of the other CNode");
    }
}

fn revoke_with_a_bad_address(env: &Env) {
    bad_addresses(env, inv::cnode_revoke);
}

fn revoke_with_a_depth_out_of_range(env: &Env) {
    let object = env.endpoint();
    for depth in [0, 65, 255] {
        env.refused(RANGE, || inv::cnode_revoke(ROOT, object, depth));
    }
}

fn cancel(slot: u64) -> pecan::Result<()> {
    inv::cnode_cancel_badged_sends(ROOT, slot, DEPTH)
}

fn cancel_badged_sends_cancels_one_badge(env: &Env) {
    let endpoint = env.endpoint();
    let (one, two) = (env.mint(endpoint, 1), env.mint(endpoint, 2));
    let senders = [one, two, one, two].map(|cap| {
        env.spawn(HIGH, move || {
            crate::env::send(cap, 0, &[]);
            7
        })
    });
    cancel(one).expect("cancel");
    // A cancelled send starts over: the capability is still there, so the thread sends again, now behind the others.
    let reply = env.reply();
    let badges: [u64; 4] = core::array::from_fn(|_| raw::nb_recv(endpoint, reply).badge);
    assert_eq!(badges, [2, 2, 1, 1], "sends with the badge start over, the others keep their places");
    for sender in senders {
        assert_eq!(sender.join(), 7);
    }
}

fn cancel_badged_sends_without_a_badge(env: &Env) {
    let endpoint = env.endpoint();
    let sender = env.spawn(HIGH, move || {
        crate::env::send(endpoint, 5, &[]);
        1
    });
    let before = env.snapshot();
    cancel(endpoint).expect("cancel");
    before.same(env);
    assert_eq!(raw::nb_recv(endpoint, env.reply()).info.label(), 5, "an unbadged send was cancelled");
    assert_eq!(sender.join(), 1);
}

fn cancel_badged_sends_needs_all_rights(env: &Env) {
    let endpoint = env.endpoint();
    for rights in [CapRights::NO_WRITE, CapRights::NO_READ, CapRights::new(true, false, true, true)] {
        let badged = env.mint_with(endpoint, rights, 3);
        env.refused(Error::IllegalOperation, || cancel(badged));
    }
    let notification = env.notification();
    env.refused(Error::IllegalOperation, || cancel(notification));
    let empty = env.slot();
    env.refused_as(Kind::IllegalOperation, || cancel(empty));
}

fn cancel_badged_sends_with_a_bad_address(env: &Env) {
    bad_addresses(env, inv::cnode_cancel_badged_sends);
}

fn cancel_badged_sends_with_a_depth_out_of_range(env: &Env) {
    let object = env.endpoint();
    for depth in [0, 65, 255] {
        env.refused(RANGE, || inv::cnode_cancel_badged_sends(ROOT, object, depth));
    }
}

/// A CNode of 16 slots whose first two bits select between the CNodes in its slots 1 and 2, with eight slots each.
fn two_levels(env: &Env) -> (CNode, CNode, CNode) {
    let (top, a, b) = (env.cnode(4), env.cnode(3), env.cnode(3));
    inv::cnode_copy(top.cap, 1, 4, ROOT, a.cap, DEPTH, CapRights::ALL).expect("copy");
    inv::cnode_copy(top.cap, 2, 4, ROOT, b.cap, DEPTH, CapRights::ALL).expect("copy");
    (top, a, b)
}

fn addresses_go_through_two_cnodes(env: &Env) {
    let (top, a, b) = two_levels(env);
    let scratch = env.slot();
    let object = env.endpoint();
    inv::cnode_copy(top.cap, 1 << 3 | 5, 7, ROOT, object, DEPTH, CapRights::ALL).expect("into the first");
    inv::cnode_copy(top.cap, 2 << 3 | 6, 7, top.cap, 1 << 3 | 5, 7, CapRights::ALL).expect("to the second");
    assert_ne!(peek(a.cap, 5, 3, scratch), 0);
    assert_ne!(peek(b.cap, 6, 3, scratch), 0);
    // Bits above the depth do not count.
    inv::cnode_delete(top.cap, 0xffff << 7 | 2 << 3 | 6, 7).expect("delete");
    assert_eq!(peek(b.cap, 6, 3, scratch), 0);
}

fn addresses_stop_at_the_depth(env: &Env) {
    let (top, a, _) = two_levels(env);
    let scratch = env.slot();
    // With four bits the address names the CNode capability itself, not a slot behind it.
    inv::cnode_delete(top.cap, 1, 4).expect("delete");
    assert_eq!(peek(top.cap, 1, 4, scratch), 0);
    assert!(!is_empty(a.cap));
    let left = Error::FailedLookup {
        source: false,
        failure: LookupFailure::DepthMismatch { bits_left: 3, bits_found: 0 },
    };
    // The slot is empty now, so three bits are left over.
    env.refused(left, || inv::cnode_delete(top.cap, 1 << 3 | 5, 7));
}

fn a_guard_that_differs_is_reported(env: &Env) {
    let (top, a) = (env.cnode(4), env.cnode(3));
    let guard = CNodeCapData::new(3, 2).0;
    inv::cnode_mint(top.cap, 1, 4, ROOT, a.cap, DEPTH, CapRights::ALL, guard).expect("mint");
    let to = env.slot();
    // Four bits of index, then a guard of two bits that is 3.
    let differs = |source| Error::FailedLookup {
        source,
        failure: LookupFailure::GuardMismatch { bits_left: 5, guard: 3, guard_bits: 2 },
    };
    env.refused(differs(true), || inv::cnode_move(ROOT, to, DEPTH, top.cap, 1 << 5 | 2 << 3, 9));
    env.refused(differs(false), || inv::cnode_delete(top.cap, 1 << 5, 9));
    inv::cnode_delete(top.cap, 1 << 5 | 3 << 3, 9).expect("the right guard");
}

fn an_address_that_ends_early_is_reported(env: &Env) {
    let (top, ..) = two_levels(env);
    let to = env.slot();
    let early = Error::FailedLookup {
        source: true,
        failure: LookupFailure::DepthMismatch { bits_left: 2, bits_found: 3 },
    };
    env.refused(early, || inv::cnode_move(ROOT, to, DEPTH, top.cap, 1 << 2, 6));
    env.refused_as(Kind::FailedLookup, || inv::cnode_move(ROOT, to, DEPTH, top.cap, 0, 3));
}

fn a_deleted_cnode_deletes_what_is_in_it(env: &Env) {
    let (cnode, object) = (env.cnode(3), env.endpoint());
    let reply = env.reply();
    inv::cnode_move(cnode.cap, 2, 3, ROOT, object, DEPTH).expect("move");
    let copied = env.slot();
    inv::cnode_copy(ROOT, copied, DEPTH, cnode.cap, 2, 3, CapRights::ALL).expect("copy");
    delete(cnode.cap).expect("delete");
    // The copy outside keeps the endpoint alive.
    nb_send(copied, 1, &[]);
    assert_eq!(raw::nb_recv(copied, reply).badge, 0);
    assert!(!is_empty(copied));
}

fn a_cnode_that_holds_itself_goes_with_its_untyped(env: &Env) {
    let (untyped, cnode) = (env.child_untyped(10), env.slot());
    inv::untyped_retype(untyped, ObjectType::CNode.word(), 2, ROOT, 0, 0, cnode, 1).expect("retype");
    // Its only capability goes into itself, where nobody can reach it.
    inv::cnode_move(cnode, 0, 2, ROOT, cnode, DEPTH).expect("move");
    assert!(is_empty(cnode));
    revoke(untyped).expect("revoke");
    inv::untyped_retype(untyped, ObjectType::Untyped.word(), 10, ROOT, 0, 0, cnode, 1).expect("all of it again");
}

impl Env {
    /// A capability with a badge to a notification of its own.
    #[track_caller]
    fn mint_of_new_notification(&self, badge: u64) -> u64 {
        let original = self.notification();
        self.mint(original, badge)
    }
}
