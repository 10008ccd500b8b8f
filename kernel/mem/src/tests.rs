//! What is impossible changes nothing: nobody can be made to take memory for an object that was not made there.

use pecan_abi::CapRights;

use pecan_arch::{CacheAttr, KERNEL_ROOT_ENTRIES, PageRights, PageTableEntry, PhysAddr};

use crate::{
    CNodeRef, Cap, Link, Mapping, PageTable, Slot, Tcb, Words, ZombieKind, derivation,
    retype::{self, ObjectKind},
    testing::{Machine, forge, insert_new},
    vspace::{self, Content, Entry, NoPlace, ROOT_LEVEL, Root, TablePlace, has_own_type},
};

/// A CNode of 32 slots; the first three hold its own capability, 64 KiB of untyped memory, and a thread's.
fn world() -> (Machine, CNodeRef) {
    let mut k = Machine::new();
    let cap = k.boot_object(ObjectKind::CNode { radix: 5 });
    let Cap::CNode { cnode, .. } = cap else { panic!("{cap:?}") };
    assert!(derivation::insert_root(&k, forge(cap), cnode.slot(0)));
    let base = PhysAddr(1 << 20);
    let untyped = Cap::Untyped { base, bits: 16, device: false, used: 0 };
    assert!(derivation::insert_root(&k, forge(untyped), cnode.slot(1)));
    let thread = k.boot_object(ObjectKind::Tcb);
    assert!(derivation::insert_root(&k, forge(thread), cnode.slot(2)));
    (k, cnode)
}

/// Retypes the untyped memory in slot 1.
fn make(k: &mut Machine, kind: ObjectKind, slots: &[Slot], count: u64) -> bool {
    let batch = retype::carve(k, slots[1].link(), kind, count);
    let made = batch.is_some();
    let Cap::CNode { cnode, .. } = slots[0].cap() else { panic!("{:?}", slots[0].cap()) };
    batch.into_iter().for_each(|batch| derivation::place(batch, cnode, 3));
    made
}

/// All slots of a CNode. Its memory stays where it is, as does that of the machine.
fn all<'k>(k: &Machine, cnode: CNodeRef) -> &'k [Slot] {
    let first: *const Slot = cnode.slot(0).get(k);
    // SAFETY: so many slots there are, and tests drop the machine last.
    unsafe { core::slice::from_raw_parts(first, 1 << cnode.radix()) }
}

#[test]
fn what_the_words_of_one_kind_mean_is_not_asked_of_another() {
    let (mut k, cnode) = world();
    let slots = all(&k, cnode);
    assert!(make(&mut k, ObjectKind::Endpoint, slots, 1));
    let [cnode, untyped, thread, endpoint] = [0, 1, 2, 3].map(|i: usize| slots[i].words());
    assert_eq!(Cap::unpack_as(crate::cap::tag::TCB, endpoint), None);
    assert!(matches!(Cap::unpack_as(crate::cap::tag::TCB, thread), Some(Cap::Tcb { .. })));
    for words in [cnode, untyped, thread] {
        assert!(words.with_badge(7) == words && words.unmapped_frame() == words);
    }
    assert!(untyped.with_guard(0, 3).is_none() && cnode.with_guard(0, 60).is_none());
    assert!(untyped.with_rights(CapRights(0)).is_packed());
    for (slot, words) in [(&slots[1], untyped), (&slots[2], thread), (&slots[0], cnode)] {
        slot.set_mapping(Some(Mapping { asid: 1, vaddr: 0 }));
        slot.set_remaining(1 << 40);
        assert!(!slot.replace(endpoint) && slot.words() == words);
    }
    slots[1].become_zombie(&k);
    assert!(slots[1].words() == untyped && !slots[1].replace(untyped));
}

#[test]
fn a_zombie_has_the_slots_that_the_object_had() {
    let (mut k, cnode) = world();
    let slots = all(&k, cnode);
    assert!(make(&mut k, ObjectKind::CNode { radix: 2 }, slots, 1));
    let Cap::CNode { cnode: small, .. } = slots[3].cap() else { panic!() };
    let Cap::Tcb { tcb } = slots[2].cap() else { panic!() };
    for (slot, kind, first, count) in [
        (&slots[3], ZombieKind::CNode { radix: 2 }, small.slot(0), 4),
        (&slots[2], ZombieKind::Tcb, tcb.get(&k).first_slot(), Tcb::SLOTS as u64),
    ] {
        slot.become_zombie(&k);
        let Cap::Zombie { zombie, remaining } = slot.cap() else { panic!("{:?}", slot.cap()) };
        assert_eq!((zombie.kind(), zombie.first(), remaining), (kind, first, count));
        let held = zombie.slots(&k);
        assert_eq!((held.len() as u64, held[0].link()), (count, first));
    }
}

#[test]
fn only_what_comes_from_its_source_is_inserted_and_only_into_empty_slots() {
    let (mut k, cnode) = world();
    let slots = all(&k, cnode);
    assert!(make(&mut k, ObjectKind::Endpoint, slots, 2));
    let slot = |i: usize| slots[i].link();
    let words = |i: usize| slots[i].words();
    let is_list = |order: &[usize]| {
        let next = |s: &Link<Slot>| s.get(&k).next();
        core::iter::successors(Some(slot(order[0])), next).eq(order.iter().map(|&i| slot(i)))
    };
    assert!(is_list(&[1, 4, 3]));
    for (cap, src, dest) in [
        // Of another object, of the parent, of nothing, the parent's with children.
        (words(4), 3, 9),
        (words(3), 1, 9),
        (Words::NULL, 3, 9),
        (words(3), 9, 10),
        (words(1), 1, 9),
        // To where something is already.
        (words(3), 3, 4),
        (words(3), 3, 3),
    ] {
        assert!(!derivation::insert(&k, cap, slot(src), slot(dest)), "{src} to {dest}");
        assert!(is_list(&[1, 4, 3]) && slots[9].is_empty() && slots[10].is_empty());
    }
    assert!(!derivation::move_cap(&k, slot(3), slot(4)) && !derivation::move_cap(&k, slot(3), slot(3)));
    assert!(!derivation::insert_root(&k, forge(Cap::Domain), slot(4)));
    assert!(!derivation::insert_irq_handler(&k, 20, slot(1), slot(9)));
    assert!(is_list(&[1, 4, 3]) && slots[9].is_empty());
    assert!(derivation::insert(&k, words(3).with_badge(7), slot(3), slot(9)) && is_list(&[1, 4, 3, 9]));
    // Neighbours, others, and empty ones.
    derivation::swap(&k, slot(3), slot(9));
    assert!(is_list(&[1, 4, 9, 3]) && words(3).badge() == 7);
    derivation::swap(&k, slot(1), slot(3));
    assert!(is_list(&[3, 4, 9, 1]));
    derivation::swap(&k, slot(3), slot(20));
    assert!(is_list(&[20, 4, 9, 1]) && slots[3].is_empty());
    assert!(derivation::move_cap(&k, slot(9), slot(3)) && is_list(&[20, 4, 3, 1]) && slots[9].is_empty());
}

#[test]
fn no_more_capabilities_are_placed_than_there_are_objects_and_empty_slots() {
    let (mut k, cnode) = world();
    let slots = all(&k, cnode);
    let parent = slots[1].link();
    insert_new(&k, parent, slots[8].link(), Cap::Domain);
    let at = |i: usize| match slots[i].cap() {
        Cap::Reply { reply, .. } => reply.addr(),
        other => panic!("{other:?} in {i}"),
    };
    for (count, end) in [(2, 5), (9, 8)] {
        let batch = retype::carve(&mut k, parent, ObjectKind::Reply, count).expect("there is memory");
        derivation::place(batch, cnode, 3);
        assert!(slots[end].is_empty() || slots[end].cap() == Cap::Domain);
        assert!((4..end).all(|i| at(i) == at(i - 1) + 32 && slots[i - 1].prev() == Some(slots[i].link())));
        assert_eq!(
            (slots[end - 1].prev(), parent.get(&k).next()),
            (Some(parent), Some(slots[end - 1].link()))
        );
        assert_eq!(slots[8].prev(), Some(slots[3].link()));
        (3..end).for_each(|i| derivation::remove(&k, slots[i].link()));
    }
    // Nowhere to go.
    let before = slots.iter().map(Slot::cap).collect::<Vec<_>>();
    for first in [8, 32, u64::MAX] {
        let batch = retype::carve(&mut k, parent, ObjectKind::Reply, 1).expect("there is memory");
        derivation::place(batch, cnode, first);
        let batch = retype::carve(&mut k, parent, ObjectKind::Reply, 1).expect("there is memory");
        derivation::place_one(batch, slots[8].link());
        let Cap::Untyped { used, .. } = slots[1].cap() else { panic!() };
        assert!(used > 0 && parent.get(&k).next() == Some(slots[8].link()));
        assert!(
            slots.iter().map(Slot::cap).zip(&before).enumerate().all(|(i, (now, was))| i == 1 || now == *was)
        );
    }
}

#[test]
fn a_batch_that_is_given_back_leaves_memory_as_it_was() {
    let (mut k, cnode) = world();
    let slots = all(&k, cnode);
    assert!(make(&mut k, ObjectKind::Reply, slots, 1));
    let (parent, cap) = (slots[1].link(), slots[1].cap());
    for kind in [
        ObjectKind::Endpoint,
        ObjectKind::Tcb,
        ObjectKind::SchedContext { bits: 8 },
        ObjectKind::table(ROOT_LEVEL),
    ] {
        let mut batch = retype::carve(&mut k, parent, kind, 3).expect("there is memory");
        batch.lend(|k| assert_ne!(parent.get(k).cap(), cap));
        batch.give_back();
        assert_eq!((slots[1].cap(), parent.get(&k).next()), (cap, Some(slots[3].link())), "{kind:?}");
        let rest = crate::host::read_phys((1 << 20) + 32, (1 << 16) - 32);
        assert_eq!(rest.iter().position(|byte| *byte != 0), None, "{kind:?}");
    }
}

#[test]
fn memory_with_descendants_is_not_cleared() {
    let (mut k, cnode) = world();
    let slots = all(&k, cnode);
    let used = |s: &Slot| match s.cap() {
        Cap::Untyped { used, .. } => used,
        other => panic!("{other:?}"),
    };
    assert!(make(&mut k, ObjectKind::Tcb, slots, 1));
    let before = used(&slots[1]);
    assert!(retype::reset_step(&mut k, slots[1].link()));
    assert_eq!((used(&slots[1]), before > 0), (before, true));
    derivation::remove(&k, slots[3].link());
    assert!(retype::reset_step(&mut k, slots[1].link()));
    assert_eq!(used(&slots[1]), 0);
    // A copy takes over what there is; the other one has nothing to give.
    assert!(derivation::insert(&k, slots[1].words(), slots[1].link(), slots[3].link()));
    assert_eq!((used(&slots[1]), used(&slots[3])), (1 << 16, 0));
    assert!(retype::carve(&mut k, slots[1].link(), ObjectKind::Endpoint, 1).is_none());
    assert!(retype::carve(&mut k, slots[0].link(), ObjectKind::Endpoint, 1).is_none());
}

/// Takes away what is in slot 3 and clears the memory that it was made of.
fn clear(k: &mut Machine, slots: &[Slot]) {
    derivation::remove(k, slots[3].link());
    while !retype::reset_step(k, slots[1].link()) {}
}

#[test]
fn memory_is_zero_when_it_is_used_again() {
    let (mut k, cnode) = world();
    let slots = all(&k, cnode);
    assert!(make(&mut k, ObjectKind::Frame { level: 0 }, slots, 1));
    let buffer = retype::ipc_buffer(slots[3].words(), 0, true).expect("a frame");
    (0..128).for_each(|i| buffer.get(&k).set(i, 0x4141_4141_4141_4141));
    clear(&mut k, slots);
    assert!(make(&mut k, ObjectKind::CNode { radix: 2 }, slots, 1));
    let Cap::CNode { cnode, .. } = slots[3].cap() else { panic!() };
    assert!((0..4).map(|i| cnode.get(&k, i)).all(|slot| slot.is_empty() && slot.next().is_none()));
}

#[test]
fn a_batch_whose_memory_has_left_its_slot_is_lost() {
    let (mut k, cnode) = world();
    let slots = all(&k, cnode);
    let [parent, other, third] = [1, 9, 10].map(|i: usize| slots[i].link());
    let untyped = Cap::Untyped { base: PhysAddr(1 << 21), bits: 16, device: false, used: 4096 };
    assert!(derivation::insert_root(&k, forge(untyped), other));
    // Placed behind the slot, the objects would be children of nothing, and their memory free to be used once more.
    let mut batch = retype::carve(&mut k, parent, ObjectKind::Tcb, 1).expect("there is memory");
    assert!(batch.lend(|k| derivation::move_cap(k, parent, third)));
    derivation::place(batch, cnode, 3);
    assert!(slots[3].is_empty() && slots[1].is_empty() && slots[1].next().is_none());
    assert!(derivation::move_cap(&k, third, parent));
    // Given back to another capability, memory in use would become free.
    let mut batch = retype::carve(&mut k, parent, ObjectKind::Endpoint, 1).expect("there is memory");
    batch.lend(|k| derivation::swap(k, parent, other));
    batch.give_back();
    assert_eq!(slots[1].cap(), untyped);
    // It stays lost when the capability comes back.
    let mut batch = retype::carve(&mut k, other, ObjectKind::Tcb, 1).expect("there is memory");
    batch.lend(|k| derivation::swap(k, parent, other));
    batch.lend(|k| derivation::swap(k, parent, other));
    derivation::place_one(batch, slots[3].link());
    assert!(slots[3].is_empty() && !derivation::has_children(&k, other));
    // While it is lent the capability may be elsewhere.
    let mut batch = retype::carve(&mut k, other, ObjectKind::Tcb, 1).expect("there is memory");
    batch.lend(|k| (derivation::swap(k, parent, other), derivation::swap(k, parent, other)));
    derivation::place_one(batch, slots[3].link());
    assert!(matches!(slots[3].cap(), Cap::Tcb { .. }) && derivation::has_children(&k, other));
    // It may also leave its slot in a piece of work that never ends.
    let mut batch = retype::carve(&mut k, parent, ObjectKind::Tcb, 1).expect("there is memory");
    let lent = core::panic::AssertUnwindSafe(|| {
        batch.lend(|k| {
            assert!(derivation::move_cap(k, parent, third));
            panic!("the work ends here")
        })
    });
    assert!(std::panic::catch_unwind(lent).is_err());
    derivation::place_one(batch, slots[4].link());
    assert!(slots[4].is_empty() && slots[1].next().is_none());
}

#[test]
fn words_of_an_object_that_was_there_are_none_to_one_of_another_extent() {
    for (old, new) in [
        (ObjectKind::CNode { radix: 10 }, ObjectKind::CNode { radix: 1 }),
        (ObjectKind::SchedContext { bits: 12 }, ObjectKind::SchedContext { bits: 7 }),
        (ObjectKind::table(ROOT_LEVEL), ObjectKind::table(0)),
        // That of a pool is a range of identifiers.
        (ObjectKind::AsidPool { base: 0 }, ObjectKind::AsidPool { base: 512 }),
    ] {
        if old == new {
            // There is one kind of tables.
            continue;
        }
        let (mut k, cnode) = world();
        let slots = all(&k, cnode);
        assert!(make(&mut k, old, slots, 1));
        let stale = slots[3].words();
        clear(&mut k, slots);
        assert!(make(&mut k, new, slots, 1));
        let words = slots[3].words();
        assert!(!derivation::insert(&k, stale, slots[3].link(), slots[4].link()) && slots[4].is_empty());
        assert!(!slots[3].replace(stale) && slots[3].words() == words, "{old:?} {new:?}");
    }
}

#[test]
fn there_are_no_objects_of_impossible_sizes() {
    let (mut k, cnode) = world();
    let slots = all(&k, cnode);
    for kind in [
        ObjectKind::Untyped { bits: 3 },
        ObjectKind::Untyped { bits: 64 },
        ObjectKind::CNode { radix: 0 },
        ObjectKind::CNode { radix: 64 },
        ObjectKind::CNode { radix: 255 },
        ObjectKind::SchedContext { bits: 6 },
        ObjectKind::SchedContext { bits: 200 },
        ObjectKind::Frame { level: 3 },
        ObjectKind::Frame { level: 200 },
        ObjectKind::PageTable { level: 4 },
        ObjectKind::PageTable { level: 255 },
        // Where each level is a type there is no other, and the other way round.
        ObjectKind::PageTable { level: if has_own_type(0) { ObjectKind::ANY_LEVEL } else { 0 } },
    ] {
        let before = slots[1].words();
        assert!(!make(&mut k, kind, slots, 1) && slots[1].words() == before, "{kind:?}");
    }
}

/// Slots of [`world`] with an ASID pool, the root of an address space with ASID 1, and a table for each level below.
const POOL: usize = 30;
const ROOT: usize = 29;
const TABLES: usize = 20;

/// [`world`] with an address space; the tables are not mapped.
fn space() -> (Machine, CNodeRef) {
    let (mut k, cnode) = world();
    let pool = k.boot_object(ObjectKind::AsidPool { base: 0 });
    assert!(vspace::insert_pool(&k, forge(pool), cnode.slot(POOL as u64)));
    for level in 0..=ROOT_LEVEL {
        let table = k.boot_object(ObjectKind::table(level));
        let slot = if level == ROOT_LEVEL { ROOT } else { TABLES + level };
        assert!(derivation::insert_root(&k, forge(table), cnode.slot(slot as u64)));
    }
    assert!(vspace::assign(&k, 1, cnode.slot(ROOT as u64)));
    (k, cnode)
}

fn root(k: &Machine) -> Root<'_> {
    vspace::find_root(k, 1).expect("an address space")
}

#[test]
fn a_thread_is_ready_with_the_address_space_that_it_had() {
    let (k, cnode) = space();
    let slots = all(&k, cnode);
    let Cap::Tcb { tcb } = slots[2].cap() else { unreachable!() };
    let (thread, held) = (tcb.get(&k), tcb.get(&k).slots[Tcb::SLOT_VSPACE].link());
    assert!(derivation::insert(&k, slots[ROOT].words(), slots[ROOT].link(), held));
    k.note_units(true, false);
    thread.learn_spaces(&k);
    let known = thread.known_space(&k);
    // While its vector registers are loaded it loses that.
    let ready = thread.make_ready::<false>(&k, || {
        derivation::remove(&k, held);
        thread.learn_spaces(&k);
    });
    assert!(known.is_some() && ready == known && thread.known_space(&k).is_none());
}

/// Maps the table in a slot for addresses from 0 on.
fn map(k: &Machine, slot: &Slot) -> bool {
    TablePlace::find(k, slot.link(), root(k), 0x7000).is_ok_and(|place| place.take(k))
}

fn why(k: &Machine, slot: &Slot) -> Option<NoPlace> {
    TablePlace::find(k, slot.link(), root(k), 0).err()
}

/// The table that a slot's capability is to, its level, and where it is mapped.
fn table(slot: &Slot) -> (Link<PageTable>, Option<u8>, Option<Mapping>) {
    let Cap::PageTable { table, level, mapping } = slot.cap() else { panic!("{:?}", slot.cap()) };
    (table, level, mapping)
}

#[test]
fn an_entry_takes_what_belongs_into_its_table() {
    let (mut k, cnode) = space();
    let slots = all(&k, cnode);
    let frame = forge(k.boot_object(ObjectKind::Frame { level: 0 })).words();
    let rights = PageRights { read: true, write: true, execute: true };
    let frame_of = |words| Content::frame(words, rights, CacheAttr::WRITE_BACK);
    // There is no place for what is no table, nor for a root; and no content comes of other capabilities than frames.
    for slot in [&slots[0], &slots[1], &slots[2], &slots[3], &slots[POOL], &slots[ROOT]] {
        assert!(why(&k, slot) == Some(NoPlace::NoTable) && frame_of(slot.words()).is_none());
    }
    assert!(frame_of(slots[TABLES].words()).is_none());
    assert_eq!(Entry::find(&k, root(&k), 0x7000, 0), Err(ROOT_LEVEL));
    for vaddr in [pecan_abi::constants::USER_TOP, u64::MAX] {
        let place = TablePlace::find(&k, slots[TABLES].link(), root(&k), vaddr);
        assert_eq!(place.err(), Some(NoPlace::NotUser));
    }
    // The tables go below each other, whichever comes first where they have no levels.
    for level in (0..ROOT_LEVEL).rev() {
        if has_own_type(0) && level > 0 {
            assert_eq!(why(&k, &slots[TABLES]), Some(NoPlace::Missing(level + 1)));
        }
        let slot = &slots[TABLES + level];
        assert!(map(&k, slot) && !map(&k, slot));
        let entry = Entry::find(&k, root(&k), 0x7000, level + 1).expect("the tables are there");
        let child = entry.child(&k).expect("a table");
        assert_eq!((child.link(), child.level()), (table(slot).0, level));
        assert_eq!((table(slot).1, table(slot).2), (Some(level as u8), Some(Mapping { asid: 1, vaddr: 0 })));
    }
    let at = |level| Entry::find(&k, root(&k), 0x7000, level).expect("the tables are there");
    // The root's level is the highest there is.
    assert_eq!((at(ROOT_LEVEL), at(9).table().level()), (at(9), ROOT_LEVEL));
    let content = frame_of(frame).expect("a frame");
    assert!((1..=ROOT_LEVEL).all(|level| !at(level).set(&k, content)) && at(0).set(&k, content));
    assert!(at(0).child(&k).is_none());
    // The kernel's half is nobody's.
    assert!(root(&k).table().entries().all(|entry| entry.index() < pecan_arch::ROOT_USER_ENTRIES));
    let kernel = Entry::find(&k, root(&k), 1 << 63 | 0xffff << 47, ROOT_LEVEL).expect("an entry");
    assert!(kernel.index() < pecan_arch::ROOT_USER_ENTRIES);
    // A root is not unmapped, nor what is no table.
    for slot in [ROOT, POOL, 0, 1, 2, 3] {
        let before = slots[slot].words();
        assert!(vspace::unmap_table(&mut k, slots[slot].link()).is_none() && slots[slot].words() == before);
    }
    let lowest = table(&slots[TABLES]).0;
    assert!(root(&k).table().entries().any(|entry| entry.get(&k).is_present()));
    assert!(lowest.get(&k).entry(7).is_present());
    assert_eq!(vspace::unmap_table(&mut k, slots[TABLES].link()), Some(1));
    assert!(!lowest.get(&k).entry(7).is_present());
    let entry = Entry::find(&k, root(&k), 0x7000, 1).expect("the tables are there");
    assert!(!entry.get(&k).is_present());
    assert_eq!((table(&slots[TABLES]).1, table(&slots[TABLES]).2), (has_own_type(0).then_some(0), None));
}

#[test]
fn what_was_kept_of_a_capability_to_a_table_is_none_when_it_is_mapped_elsewhere() {
    let (mut k, cnode) = space();
    let slots = all(&k, cnode);
    let slot = &slots[TABLES + ROOT_LEVEL - 1];
    let (copy, unmapped) = (&slots[5], slot.words());
    assert!(map(&k, slot));
    let mapped = slot.words();
    let refused = |k: &Machine, kept: Words, now: Words| {
        assert!(!derivation::insert(k, kept, slot.link(), copy.link()) && copy.is_empty());
        assert!(!slot.replace(kept) && slot.words() == now);
    };
    refused(&k, unmapped, mapped);
    // Only frames are noted to be elsewhere without more ado.
    slot.set_mapping(None);
    assert!(slot.words() == mapped);
    // While there are two, both are as they were.
    assert!(derivation::insert(&k, mapped, slot.link(), copy.link()));
    for slot in [slot, copy] {
        assert!(vspace::unmap_table(&mut k, slot.link()).is_none() && slot.words() == mapped);
    }
    derivation::remove(&k, copy.link());
    assert!(vspace::unmap_table(&mut k, slot.link()).is_some() && slot.words() == unmapped);
    refused(&k, mapped, unmapped);
    // Two that are not mapped cannot be, nor be two roots.
    assert!(derivation::insert(&k, unmapped, slot.link(), copy.link()));
    for slot in [slot, copy] {
        assert!(!map(&k, slot) && !vspace::assign(&k, 2, slot.link()) && slot.words() == unmapped);
    }
}

#[test]
fn a_place_is_lost_when_the_table_gets_another_capability_or_leaves_its_slot() {
    let (k, cnode) = space();
    let slots = all(&k, cnode);
    let slot = &slots[TABLES + ROOT_LEVEL - 1];
    let unmapped = slot.words();
    let place = || TablePlace::find(&k, slot.link(), root(&k), 0).expect("a place");
    let is_empty = || !root(&k).table().entries().any(|entry| entry.get(&k).is_present());
    let first = place();
    assert!(derivation::insert(&k, unmapped, slot.link(), slots[5].link()));
    assert!(!first.take(&k) && slot.words() == unmapped && is_empty());
    derivation::remove(&k, slots[5].link());
    let second = place();
    derivation::swap(&k, slot.link(), slots[2].link());
    assert!(!second.take(&k) && slots[2].words() == unmapped && is_empty());
    derivation::swap(&k, slot.link(), slots[2].link());
    // Of two places the first that is taken is the place.
    let (third, fourth) = (place(), place());
    assert!(third.take(&k) && !fourth.take(&k) && !is_empty());
}

#[test]
fn a_place_is_lost_when_something_else_comes_there() {
    let (mut k, cnode) = space();
    let slots = all(&k, cnode);
    // Another table of the same kind.
    let other = k.boot_object(ObjectKind::table(ROOT_LEVEL - 1));
    assert!(derivation::insert_root(&k, forge(other), slots[5].link()));
    let [first, second] = [&slots[TABLES + ROOT_LEVEL - 1], &slots[5]];
    let place = |slot: &Slot| TablePlace::find(&k, slot.link(), root(&k), 0).expect("a place");
    let (late, early) = (place(first), place(second));
    assert!(early.take(&k));
    let entry = || Entry::find(&k, root(&k), 0, ROOT_LEVEL).expect("the root's entry").get(&k);
    let (before, unmapped) = (entry(), first.words());
    assert!(!late.take(&k) && first.words() == unmapped && entry() == before);
}

#[test]
fn a_root_has_one_identifier_and_once() {
    let (mut k, cnode) = space();
    let slots = all(&k, cnode);
    let table = k.boot_object(ObjectKind::table(ROOT_LEVEL));
    assert!(derivation::insert_root(&k, forge(table), slots[5].link()));
    let unassigned = slots[5].words();
    // Not the kernel's, not somebody else's, none that no pool has, and none that there is not.
    let beyond = || (pecan_arch::ASIDS..1 << u16::BITS).map(|asid| asid as u16);
    for asid in [0, 1, 512].into_iter().chain(beyond()) {
        assert!(!vspace::assign(&k, asid, slots[5].link()) && slots[5].words() == unassigned, "{asid}");
    }
    // Not even if there is a pool that says so.
    if let Some(base) = beyond().next() {
        let pool = k.boot_object(ObjectKind::AsidPool { base });
        assert!(vspace::insert_pool(&k, forge(pool), slots[6].link()));
        assert!(!vspace::assign(&k, base + 1, slots[5].link()));
    }
    assert!(beyond().all(|asid| vspace::find_root(&k, asid).is_none()));
    for slot in [ROOT, POOL, 0, 1, 2, 3] {
        assert!(!vspace::assign(&k, 2, slots[slot].link()));
    }
    assert!(vspace::assign(&k, 2, slots[5].link()) && !vspace::assign(&k, 3, slots[5].link()));
    let Cap::PageTable { table, .. } = slots[5].cap() else { unreachable!() };
    assert_eq!(vspace::find_root(&k, 2).map(Root::link), Some(table));
    let has_kernel =
        || KERNEL_ROOT_ENTRIES.iter().all(|&i| table.get(&k).entry(i) == pecan_arch::kernel_root_entry(i));
    assert!(has_kernel());
    // The processor runs in it.
    k.switch_vspace(vspace::find_root(&k, 2).expect("the root").space());
    // When it loses it, it does not get it again.
    let Cap::AsidPool { pool, .. } = slots[POOL].cap() else { unreachable!() };
    pool.get(&k).release(2);
    assert!(vspace::find_root(&k, 2).is_none() && !vspace::assign(&k, 2, slots[5].link()));
    k.global().asid_pools[0].clear();
    assert!(vspace::find_root(&k, 1).is_none() && !vspace::assign(&k, 3, slots[5].link()));
    // It was a root, and is a table as any other where roots are: an empty one.
    assert!(vspace::unmap_table(&mut k, slots[5].link()).is_none());
    if !has_own_type(ROOT_LEVEL) {
        assert!(slots[5].words() == unassigned);
        assert!((0..512).all(|i| !table.get(&k).entry(i).is_present()));
        // It was cleared after it had been left.
        let machine = pecan_arch::host::machine();
        assert_eq!((machine.vspace.get(), machine.incomplete_roots.get()), (None, 0));
    }
}
