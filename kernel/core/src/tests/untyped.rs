use pecan_abi::{Error, Label, ObjectType, Paging, constants::MAX_UNTYPED_BITS};
use pecan_arch::host;
use pecan_config::RETYPE_FAN_OUT_LIMIT;
use pecan_mem::{Cap, testing::FREE_START};

use crate::testing::*;

const OK: Answer = Ok(Vec::new());

fn retype(w: &mut World, words: &[u64], extra: &[u64]) -> (Error, Vec<u64>) {
    w.call(UNTYPED, Label::UntypedRetype, words, extra).expect_err("an error was expected")
}

#[test]
fn every_kind_of_object_can_be_made() {
    let mut w = World::new();
    for (i, &ty) in ObjectType::ALL.iter().enumerate() {
        let size = match ty {
            ObjectType::Untyped => 4,
            ObjectType::CNode => 1,
            ObjectType::SchedContext => 7,
            ObjectType::LargePage | ObjectType::HugePage => continue,
            _ => 0,
        };
        let at = FREE + 4 * i as u64;
        assert_eq!(w.retype(UNTYPED, ty, size, at, 3), OK, "{ty:?}");
        let caps = [w.cap(at), w.cap(at + 1), w.cap(at + 2)];
        assert!(!caps.contains(&Cap::Null) && w.cap(at + 3) == Cap::Null);
        assert!(caps[0] != caps[1] && caps[1] != caps[2]);
        w.check();
    }
    assert_eq!(w.retype(UNTYPED_4M, ObjectType::LargePage, 0, FREE + 100, 2), OK);
    w.check();
    assert_eq!(w.revoke(UNTYPED), OK);
    assert_eq!(w.family(UNTYPED), []);
    w.check();
}

#[test]
fn frames_that_the_processor_lacks_are_no_type() {
    let mut w = World::new();
    let huge = ObjectType::HugePage as u64;
    let too_large = (Error::NotEnoughMemory, vec![1 << 20]);
    assert_eq!(retype(&mut w, &[huge, 0, 0, 0, FREE, 1], &[CNODE]), too_large);
    host::machine().lacks_largest_frame.set(true);
    for size in [0, 64] {
        let unknown = (Error::InvalidArgument, vec![0]);
        assert_eq!(retype(&mut w, &[huge, size, 0, 0, FREE, 1], &[CNODE]), unknown);
    }
    assert_eq!(w.retype(UNTYPED_4M, ObjectType::LargePage, 0, FREE, 1), OK, "the smaller ones are there");
}

#[test]
fn retype_checks_its_arguments_in_the_documented_order() {
    let mut w = World::new();
    let (ep, cnode) = (ObjectType::Endpoint as u64, CNODE);
    let slots = 1 << ROOT_RADIX;
    let max = u64::from(MAX_UNTYPED_BITS);
    let small_range = |min, max| (Error::RangeError, vec![min, max]);

    assert_eq!(w.call(UNTYPED, Label::TcbResume, &[], &[]), Err((Error::IllegalOperation, vec![])));
    assert_eq!(retype(&mut w, &[ep, 0, 0, 0, FREE], &[cnode]).0, Error::TruncatedMessage);
    assert_eq!(retype(&mut w, &[ep, 0, 0, 0, FREE, 1], &[]).0, Error::TruncatedMessage);
    for ty in [14, 99, u64::MAX] {
        assert_eq!(retype(&mut w, &[ty, 99, 0, 0, FREE, 1], &[cnode]), (Error::InvalidArgument, vec![0]));
    }
    for (ty, size) in [
        (ep, 64),
        (ep, u64::MAX),
        (ObjectType::Untyped as u64, max + 1),
        (ObjectType::CNode as u64, max - 4),
        (ObjectType::SchedContext as u64, max + 1),
        (ObjectType::Tcb as u64, 1 << 32),
    ] {
        assert_eq!(retype(&mut w, &[ty, size, 0, 99, FREE, 1], &[cnode]), small_range(0, max), "{ty} {size}");
    }
    for (ty, size) in [(ObjectType::Untyped, 3), (ObjectType::CNode, 0), (ObjectType::SchedContext, 6)] {
        let words = [ty as u64, size, 0, 99, FREE, 1];
        assert_eq!(retype(&mut w, &words, &[cnode]), (Error::InvalidArgument, vec![1]));
    }
    assert_eq!(retype(&mut w, &[ep, 0, 0, 65, FREE, 1], &[cnode]), small_range(1, 64));
    // Neither the root itself nor what is found there is a CNode.
    assert_eq!(retype(&mut w, &[ep, 0, 0, 0, FREE, 1], &[UNTYPED]).0, Error::FailedLookup);
    let (error, words) = retype(&mut w, &[ep, 0, UNTYPED, 64, FREE, 1], &[cnode]);
    assert_eq!((error, &words[..]), (Error::FailedLookup, &[0, 2, 64][..]));
    assert_eq!(retype(&mut w, &[ep, 0, 0, 0, slots, 0], &[cnode]), small_range(0, slots - 1));
    assert_eq!(retype(&mut w, &[ep, 0, 0, 0, UNTYPED, 0], &[cnode]), small_range(1, RETYPE_FAN_OUT_LIMIT));
    let too_many = RETYPE_FAN_OUT_LIMIT + 1;
    assert_eq!(
        retype(&mut w, &[ep, 0, 0, 0, FREE, too_many], &[cnode]),
        small_range(1, RETYPE_FAN_OUT_LIMIT)
    );
    assert_eq!(retype(&mut w, &[ep, 0, 0, 0, slots - 2, 3], &[cnode]), small_range(1, 2));
    assert_eq!(retype(&mut w, &[ep, 0, 0, 0, UNTYPED - 1, 2], &[cnode]).0, Error::DeleteFirst);
    let page = ObjectType::LargePage as u64;
    assert_eq!(retype(&mut w, &[page, 0, 0, 0, FREE, 1], &[cnode]), (Error::NotEnoughMemory, vec![1 << 20]));
    assert_eq!(w.family(UNTYPED), []);
    assert_eq!(w.cap(FREE), Cap::Null);
    w.check();
}

#[test]
fn the_destination_may_lie_deeper() {
    let mut w = World::new();
    w.make(ObjectType::CNode, 4, FREE);
    let words = [ObjectType::Endpoint as u64, 0, FREE, DEPTH, 14, 2];
    assert_eq!(w.call(UNTYPED, Label::UntypedRetype, &words, &[CNODE]), OK);
    let Cap::CNode { cnode, .. } = w.cap(FREE) else { panic!() };
    assert!(matches!(cnode.get(&w.k, 15).cap(), Cap::Endpoint { badge: 0, .. }));
    assert!(cnode.get(&w.k, 13).is_empty());
    w.check();
}

#[test]
fn memory_is_handed_out_to_the_last_byte() {
    let mut w = World::new();
    w.make(ObjectType::Untyped, 12, FREE);
    assert_eq!(w.retype(FREE, ObjectType::Endpoint, 0, FREE + 1, 1), OK);
    // A notification is aligned to its size: 48 bytes are skipped.
    assert_eq!(w.retype(FREE, ObjectType::Notification, 0, FREE + 2, 63), OK);
    let full = w.retype(FREE, ObjectType::Endpoint, 0, FREE + 100, 1);
    assert_eq!(full, Err((Error::NotEnoughMemory, vec![0])));
    w.check();
    assert_eq!(w.delete(FREE + 2), OK);
    assert!(w.retype(FREE, ObjectType::Endpoint, 0, FREE + 100, 1).is_err(), "memory comes back all at once");
    assert_eq!(w.revoke(FREE), OK);
    assert_eq!(w.retype(FREE, ObjectType::Page4K, 0, FREE + 100, 1), OK);
    w.check();
}

#[test]
fn device_memory_becomes_frames_and_untypeds_only() {
    let mut w = World::new();
    for &ty in ObjectType::ALL {
        let size = if ty == ObjectType::SchedContext { 7 } else { 4 };
        let expected = match ty {
            ObjectType::Untyped => continue,
            ObjectType::Page4K => OK,
            ObjectType::LargePage | ObjectType::HugePage => Err((Error::NotEnoughMemory, vec![1 << 12])),
            _ => Err((Error::InvalidArgument, vec![1])),
        };
        assert_eq!(w.retype(DEVICE, ty, size, FREE, 1), expected, "{ty:?}");
        assert_eq!(w.delete(FREE), OK);
    }
    assert_eq!(w.retype(DEVICE, ObjectType::Untyped, 11, FREE, 2), OK);
    assert!(matches!(w.cap(FREE + 1), Cap::Untyped { device: true, bits: 11, .. }));
    w.check();
}

#[test]
fn reused_memory_is_clean() {
    let mut w = World::new();
    assert_eq!(w.retype(UNTYPED, ObjectType::Page4K, 0, FREE, 4), OK);
    for at in (FREE_START..FREE_START + (4 << 12)).step_by(8) {
        w.k.set_word(at, !0);
    }
    assert_eq!(w.revoke(UNTYPED), OK);
    assert_eq!(w.retype(UNTYPED, ObjectType::CNode, 8, FREE, 1), OK);
    w.check();
    for at in (FREE_START..FREE_START + (4 << 12)).step_by(8) {
        assert_eq!(w.k.word(at), 0, "{at:#x}");
    }
}

#[test]
fn clearing_memory_is_preemptible() {
    let mut w = World::new();
    assert_eq!(w.retype(UNTYPED_4M, ObjectType::LargePage, 0, FREE, 2), OK);
    w.k.set_word((8 << 20) - 8, !0);
    w.k.set_word(4 << 20, !0);
    assert_eq!(w.revoke(UNTYPED_4M), OK);
    let before = w.preemptions;
    pecan_arch::host::raise_irq(20);
    assert_eq!(w.retype(UNTYPED_4M, ObjectType::Endpoint, 0, FREE, 1), OK);
    assert_eq!(w.preemptions, before + 1);
    for at in [4 << 20, (8 << 20) - 8] {
        assert_eq!(w.k.word(at), 0);
    }
    w.check();
}

#[test]
fn making_many_objects_is_preemptible() {
    const COUNT: u64 = 128;
    for (ty, size) in [(ObjectType::Tcb, 0), (ObjectType::SchedContext, 8), (ObjectType::VSPACE, 0)] {
        // What is all zero at first takes no time.
        let is_work = ty.paging() != Some(Paging::AnyTable);
        let mut w = World::new();
        w.make(ObjectType::CNode, 7, FREE);
        // Other memory of the same capability is in use, so the rest is not cleared again.
        assert_eq!(w.retype(UNTYPED_4M, ObjectType::Endpoint, 0, FREE + 1, 1), OK);
        let (before, words) = (w.cap(UNTYPED_4M), [ty as u64, size, FREE, DEPTH, 0, COUNT]);
        host::raise_irq(20);
        // Time passes before a later look at the clock each time.
        let mut stops = 0u32;
        for readings in 1.. {
            host::advance_time_later(readings, pecan_arch::kernel_wcet_ticks());
            match w.try_call(UNTYPED_4M, Label::UntypedRetype, &words, &[CNODE]) {
                Err(_) => stops += 1,
                answer => {
                    assert_eq!(answer, Ok(OK));
                    break;
                }
            }
            host::nothing_later();
            assert_eq!(w.cap(UNTYPED_4M), before);
            let used = (4 << 20) + 16;
            assert_eq!((used..8 << 20).step_by(8).find(|at| w.k.word(*at) != 0), None);
            w.check();
        }
        // Once before the objects are made, and once when they have been.
        assert_eq!(stops, 1 + u32::from(is_work), "{ty:?}");
        assert_eq!(w.family(UNTYPED_4M).len(), 1);
        w.check();
    }
}
