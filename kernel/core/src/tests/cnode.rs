use pecan_abi::{CNodeCapData, CapRights, Error, Label, ObjectType};
use pecan_mem::{Cap, EndpointRights, FrameRights, cap::arch};

use crate::{cap::derivation, testing::*};

const ALL: CapRights = CapRights::ALL;
const OK: Answer = Ok(Vec::new());

fn error(answer: Answer) -> Error {
    answer.expect_err("an error was expected").0
}

#[test]
fn a_copy_has_no_more_rights_than_asked_for() {
    let mut w = World::new();
    w.make(ObjectType::Endpoint, 0, FREE);
    w.make(ObjectType::Notification, 0, FREE + 1);
    w.make(ObjectType::Page4K, 0, FREE + 2);
    w.make(ObjectType::Reply, 0, FREE + 3);
    for (i, rights) in (0..16).map(CapRights).enumerate() {
        let at = FREE + 16 + 4 * i as u64;
        for kind in 0..4 {
            assert_eq!(w.copy(at + kind, FREE + kind, rights), OK);
        }
        let Cap::Endpoint { rights: r, .. } = w.cap(at) else { panic!() };
        let (send, receive, grant, grant_reply) =
            (rights.write(), rights.read(), rights.grant(), rights.grant_reply());
        assert_eq!(r, EndpointRights { send, receive, grant, grant_reply });
        assert!(
            matches!(w.cap(at + 1), Cap::Notification { send: s, receive: r, .. } if (s, r) == (send, receive))
        );
        let expected = match (receive, send) {
            (true, true) => FrameRights::ReadWrite,
            (true, false) => FrameRights::ReadOnly,
            (false, _) => FrameRights::KernelOnly,
        };
        assert!(matches!(w.cap(at + 2), Cap::Frame { rights, .. } if rights == expected));
        assert!(matches!(w.cap(at + 3), Cap::Reply { grant: g, .. } if g == grant));
    }
    w.check();
}

#[test]
fn rights_do_not_come_back() {
    let mut w = World::new();
    w.make(ObjectType::Endpoint, 0, FREE);
    assert_eq!(w.copy(FREE + 1, FREE, CapRights::READ), OK);
    assert_eq!(w.copy(FREE + 2, FREE + 1, ALL), OK);
    assert_eq!(w.cap(FREE + 2), w.cap(FREE + 1));
}

#[test]
fn a_badge_is_given_once() {
    let mut w = World::new();
    w.make(ObjectType::Endpoint, 0, FREE);
    w.make(ObjectType::Notification, 0, FREE + 1);
    for kind in 0..2 {
        assert_eq!(w.mint(FREE + 2 + kind, FREE + kind, ALL, 77), OK);
        assert_eq!(w.words(FREE + 2 + kind).badge(), 77);
        assert_eq!(error(w.mint(FREE + 10, FREE + 2 + kind, ALL, 78)), Error::IllegalOperation);
        assert_eq!(error(w.mint(FREE + 10, FREE + 2 + kind, ALL, 77)), Error::IllegalOperation);
        assert_eq!(w.cap(FREE + 10), Cap::Null);
        // Copies keep it, moves keep it, and mutating never changes one.
        assert_eq!(w.copy(FREE + 4 + kind, FREE + 2 + kind, ALL), OK);
        assert_eq!(w.words(FREE + 4 + kind).badge(), 77);
        for slot in [FREE + kind, FREE + 2 + kind] {
            let answer = w.call(CNODE, Label::CNodeMutate, &[FREE + 10, DEPTH, slot, DEPTH, 5], &[CNODE]);
            assert_eq!(error(answer), Error::IllegalOperation);
        }
    }
    w.check();
}

#[test]
fn a_guard_is_set_by_mint_and_mutate_and_must_leave_room() {
    let mut w = World::new();
    w.make(ObjectType::CNode, 4, FREE);
    assert_eq!(w.mint(FREE + 1, FREE, ALL, CNodeCapData::new(0xabc, 12).0), OK);
    assert!(matches!(w.cap(FREE + 1), Cap::CNode { guard: 0xabc, guard_bits: 12, .. }));
    // The guard is cut to its size.
    assert_eq!(w.mint(FREE + 2, FREE + 1, ALL, CNodeCapData::new(0xabc, 4).0), OK);
    assert!(matches!(w.cap(FREE + 2), Cap::CNode { guard: 0xc, guard_bits: 4, .. }));
    for bits in [61, 62, 63] {
        assert_eq!(error(w.mint(FREE + 3, FREE, ALL, CNodeCapData::new(0, bits).0)), Error::IllegalOperation);
        let words = [FREE + 3, DEPTH, FREE, DEPTH, CNodeCapData::new(0, bits).0];
        assert_eq!(error(w.call(CNODE, Label::CNodeMutate, &words, &[CNODE])), Error::IllegalOperation);
    }
    let words = [FREE + 3, DEPTH, FREE + 1, DEPTH, CNodeCapData::new(1, 60).0];
    assert_eq!(w.call(CNODE, Label::CNodeMutate, &words, &[CNODE]), OK);
    assert!(matches!(w.cap(FREE + 3), Cap::CNode { guard: 1, guard_bits: 60, .. }));
    assert_eq!(w.cap(FREE + 1), Cap::Null);
    w.check();
}

#[test]
fn copy_fails_in_the_documented_order_and_changes_nothing() {
    let mut w = World::new();
    w.make(ObjectType::Endpoint, 0, FREE);
    w.make(ObjectType::Endpoint, 0, FREE + 1);
    let before = (w.cap(FREE), w.cap(FREE + 1));
    let copy =
        |w: &mut World, words: &[u64], extra: &[u64]| error(w.call(CNODE, Label::CNodeCopy, words, extra));
    assert_eq!(copy(&mut w, &[FREE], &[CNODE]), Error::TruncatedMessage);
    assert_eq!(copy(&mut w, &[FREE + 9, 64, FREE], &[CNODE]), Error::TruncatedMessage);
    assert_eq!(copy(&mut w, &[FREE + 9, 64, FREE, 64], &[CNODE]), Error::TruncatedMessage);
    assert_eq!(copy(&mut w, &[FREE + 9, 64, FREE, 64, 15], &[]), Error::TruncatedMessage);
    assert_eq!(copy(&mut w, &[FREE + 9, 65, FREE, 64, 15], &[CNODE]), Error::RangeError);
    assert_eq!(copy(&mut w, &[FREE + 1, 64, FREE, 64, 15], &[CNODE]), Error::DeleteFirst);
    // A full destination is found before a bad source.
    assert_eq!(copy(&mut w, &[FREE + 1, 64, FREE, 0, 15], &[UNTYPED]), Error::DeleteFirst);
    assert_eq!(copy(&mut w, &[FREE + 9, 64, FREE, 0, 15], &[CNODE]), Error::RangeError);
    assert_eq!(copy(&mut w, &[FREE + 9, 64, FREE, 64, 15], &[UNTYPED]), Error::FailedLookup);
    assert_eq!(copy(&mut w, &[FREE + 9, 64, FREE + 5, 64, 15], &[CNODE]), Error::FailedLookup);
    let of_arch = (ARCH_CONTROL..).take(arch::INITIAL.len());
    for uncopyable in of_arch.chain([IRQ_CONTROL]) {
        assert_eq!(copy(&mut w, &[FREE + 9, 64, uncopyable, 64, 15], &[CNODE]), Error::IllegalOperation);
    }
    w.make_table(0, FREE + 2);
    assert_eq!(copy(&mut w, &[FREE + 9, 64, FREE + 2, 64, 15], &[CNODE]), Error::IllegalOperation);
    // Untyped memory with children is not copied.
    assert_eq!(copy(&mut w, &[FREE + 9, 64, UNTYPED_2M, 64, 15], &[CNODE]), Error::RevokeFirst);
    assert_eq!(error(w.call(CNODE, Label::TcbResume, &[], &[])), Error::IllegalOperation);
    assert_eq!((w.cap(FREE), w.cap(FREE + 1), w.cap(FREE + 9)), (before.0, before.1, Cap::Null));
    w.check();
}

#[test]
fn a_move_keeps_the_family() {
    let mut w = World::new();
    w.make(ObjectType::Endpoint, 0, FREE);
    assert_eq!(w.mint(FREE + 1, FREE, ALL, 1), OK);
    assert_eq!(w.copy(FREE + 2, FREE + 1, ALL), OK);
    let cap = w.cap(FREE);
    assert_eq!(w.call(CNODE, Label::CNodeMove, &[FREE + 9, DEPTH, FREE, DEPTH], &[CNODE]), OK);
    assert_eq!((w.cap(FREE), w.cap(FREE + 9)), (Cap::Null, cap));
    assert_eq!(w.family(FREE + 9), [FREE + 1, FREE + 2]);
    assert_eq!(w.family(FREE + 1), [FREE + 2]);
    let full = w.call(CNODE, Label::CNodeMove, &[FREE + 1, DEPTH, FREE + 9, DEPTH], &[CNODE]);
    assert_eq!(error(full), Error::DeleteFirst);
    let onto_itself = w.call(CNODE, Label::CNodeMove, &[FREE + 9, DEPTH, FREE + 9, DEPTH], &[CNODE]);
    assert_eq!(error(onto_itself), Error::DeleteFirst);
    w.check();
}

fn rotate(w: &mut World, dest: u64, pivot: u64, src: u64) -> Answer {
    let words = [dest, DEPTH, 0, pivot, DEPTH, 0, src, DEPTH];
    w.call(CNODE, Label::CNodeRotate, &words, &[CNODE, CNODE])
}

#[test]
fn rotating_moves_two_capabilities_or_swaps_them() {
    let mut w = World::new();
    let (a, b) = (w.make(ObjectType::Tcb, 0, FREE), w.make(ObjectType::Tcb, 0, FREE + 1));
    assert_eq!(rotate(&mut w, FREE + 2, FREE + 1, FREE), OK);
    assert_eq!((w.cap(FREE), w.cap(FREE + 1), w.cap(FREE + 2)), (Cap::Null, a, b));
    w.check();
    // Neighbours in the list, both ways round.
    assert_eq!(rotate(&mut w, FREE + 2, FREE + 1, FREE + 2), OK);
    assert_eq!((w.cap(FREE + 1), w.cap(FREE + 2)), (b, a));
    w.check();
    assert_eq!(rotate(&mut w, FREE + 1, FREE + 2, FREE + 1), OK);
    assert_eq!((w.cap(FREE + 1), w.cap(FREE + 2)), (a, b));
    w.check();
    assert_eq!(error(rotate(&mut w, FREE + 3, FREE + 1, FREE + 1)), Error::IllegalOperation);
    assert_eq!(error(rotate(&mut w, FREE + 1, FREE + 1, FREE + 2)), Error::IllegalOperation);
    assert_eq!(error(rotate(&mut w, UNTYPED, FREE + 1, FREE + 2)), Error::DeleteFirst);
    assert_eq!(error(rotate(&mut w, FREE + 3, FREE + 1, FREE + 4)), Error::FailedLookup);
    let (error, words) = rotate(&mut w, FREE + 3, FREE + 4, FREE + 1).unwrap_err();
    assert_eq!((error, words[0]), (Error::FailedLookup, 0));
    let truncated =
        w.call(CNODE, Label::CNodeRotate, &[FREE + 3, 64, 0, FREE, 64, 0, FREE + 1, 64], &[CNODE]);
    assert_eq!(truncated.unwrap_err().0, Error::TruncatedMessage);
    w.check();
}

#[test]
fn a_swap_of_parent_and_child_keeps_the_tree() {
    let mut w = World::new();
    w.make(ObjectType::CNode, 4, FREE);
    assert_eq!(w.copy(FREE + 1, FREE, ALL), OK);
    assert_eq!(w.family(FREE), [FREE + 1]);
    assert_eq!(rotate(&mut w, FREE, FREE + 1, FREE), OK);
    assert_eq!(w.family(FREE + 1), [FREE]);
    assert_eq!(w.family(FREE), []);
    w.check();
}

#[test]
fn cancelling_badged_sends_needs_all_rights() {
    let mut w = World::new();
    w.make(ObjectType::Endpoint, 0, FREE);
    assert_eq!(w.call(CNODE, Label::CNodeCancelBadgedSends, &[FREE, DEPTH], &[]), OK);
    for rights in 0..15 {
        assert_eq!(w.copy(FREE + 1, FREE, CapRights(rights)), OK);
        let answer = w.call(CNODE, Label::CNodeCancelBadgedSends, &[FREE + 1, DEPTH], &[]);
        assert_eq!(error(answer), Error::IllegalOperation);
        assert_eq!(w.delete(FREE + 1), OK);
    }
    let empty = w.call(CNODE, Label::CNodeCancelBadgedSends, &[FREE + 1, DEPTH], &[]);
    assert_eq!(error(empty), Error::IllegalOperation);
}

#[test]
fn revoking_takes_descendants_and_nothing_else() {
    let mut w = World::new();
    w.make(ObjectType::Endpoint, 0, FREE);
    assert_eq!(w.mint(FREE + 1, FREE, ALL, 5), OK);
    assert_eq!(w.copy(FREE + 2, FREE + 1, ALL), OK);
    assert_eq!(w.mint(FREE + 3, FREE, ALL, 5), OK);
    assert_eq!(w.copy(FREE + 4, FREE, ALL), OK);
    // Of two capabilities with the same badge, one does not descend from the other.
    assert_eq!(w.revoke(FREE + 3), OK);
    assert_eq!(w.family(FREE + 1), [FREE + 2]);
    assert_eq!(w.revoke(FREE + 1), OK);
    assert_eq!((w.cap(FREE + 2), w.words(FREE + 3).badge()), (Cap::Null, 5));
    // A copy has no children, whatever is derived from it.
    assert_eq!(w.copy(FREE + 2, FREE + 4, ALL), OK);
    assert_eq!(w.revoke(FREE + 4), OK);
    assert_ne!(w.cap(FREE + 2), Cap::Null);
    assert_eq!(w.revoke(FREE), OK);
    assert_eq!((1..5).map(|i| w.cap(FREE + i)).collect::<Vec<_>>(), [Cap::Null; 4]);
    assert_ne!(w.cap(FREE), Cap::Null);
    assert_eq!(w.revoke(FREE + 1), OK, "an empty slot has no descendants");
    w.check();
}

#[test]
fn deleting_a_badged_capability_leaves_its_copies_apart() {
    let mut w = World::new();
    w.make(ObjectType::Endpoint, 0, FREE);
    assert_eq!(w.mint(FREE + 1, FREE, ALL, 5), OK);
    assert_eq!(w.mint(FREE + 2, FREE, ALL, 5), OK);
    assert_eq!(w.copy(FREE + 3, FREE + 1, ALL), OK);
    // In the list: the original, 2, 1, 3. Without 1, 3 must not become a child of 2.
    assert_eq!(w.delete(FREE + 1), OK);
    assert_eq!(w.family(FREE + 2), []);
    assert_eq!(w.family(FREE), [FREE + 2, FREE + 3]);
    w.check();
}

#[test]
fn a_copied_untyped_hands_out_the_memory_alone() {
    let mut w = World::new();
    assert_eq!(w.copy(FREE, UNTYPED, ALL), OK);
    assert_eq!(w.family(UNTYPED), [FREE]);
    assert_eq!(error(w.retype(UNTYPED, ObjectType::Endpoint, 0, FREE + 1, 1)), Error::NotEnoughMemory);
    assert_eq!(w.retype(FREE, ObjectType::Endpoint, 0, FREE + 1, 1), OK);
    assert_eq!(w.delete(FREE), OK);
    assert_eq!(w.family(UNTYPED), [FREE + 1]);
    assert_eq!(error(w.retype(UNTYPED, ObjectType::Endpoint, 0, FREE + 2, 1)), Error::NotEnoughMemory);
    assert_eq!(w.delete(FREE + 1), OK);
    assert_eq!(w.retype(UNTYPED, ObjectType::Endpoint, 0, FREE + 2, 1), OK);
    w.check();
}

#[test]
fn capabilities_of_the_same_object_know_each_other() {
    let mut w = World::new();
    w.make(ObjectType::Endpoint, 0, FREE);
    assert!(derivation::is_final(&w.k, w.slot(FREE)));
    assert_eq!(w.mint(FREE + 1, FREE, CapRights::NONE, 5), OK);
    assert!(!derivation::is_final(&w.k, w.slot(FREE)));
    assert!(!derivation::is_final(&w.k, w.slot(FREE + 1)));
    assert_eq!(w.delete(FREE), OK);
    assert!(derivation::is_final(&w.k, w.slot(FREE + 1)));
    w.check();
}
