//! Tests of mapping against a model, and of every error. Where tables have no types by their levels, `levels` has more.

mod levels;

use std::collections::BTreeMap;

use pecan_abi::{CapRights, Error, Label, ObjectType, arch::TABLE_LABELS, constants::USER_TOP};
use pecan_arch::{PageRights, PageTableEntry, Pte, host, level_shift};
use pecan_mem::{
    Cap, FrameRights, Link, Mapping, PageTable, Tcb,
    testing::{forge, set_root},
    vspace::{ROOT_LEVEL, has_own_type},
};

use crate::{
    cap::derivation,
    space::{tables, unmap},
    testing::{ASID_CONTROL, Answer, CNODE, DEPTH, FREE, UNTYPED, UNTYPED_2M, World, rounds},
};

const POOL: u64 = FREE;
const VSPACE: u64 = FREE + 1;
const VSPACE2: u64 = FREE + 2;
/// The tables of level 0 and so on below the root.
const TABLES: u64 = FREE + 3;
const PT: u64 = TABLES;
const PAGE: u64 = FREE + 6;
const LARGE: u64 = FREE + 7;
const HUGE: u64 = FREE + 8;
const PAGE2: u64 = FREE + 9;
const SPARE: u64 = FREE + 20;
const RW: u64 = CapRights::READ_WRITE.0;
const OK: Answer = Ok(Vec::new());
/// Rights of mappings: instructions can be fetched unless the attributes say otherwise.
const READ_WRITE: PageRights = PageRights { read: true, write: true, execute: true };
const READ_ONLY: PageRights = PageRights { read: true, write: false, execute: true };

/// A frame that no memory is behind: nothing here touches what is in frames.
fn frame(level: u8, number: u64) -> Cap {
    let base = pecan_arch::PhysAddr((number + 1) << level_shift(level as usize) | 1 << 37);
    Cap::Frame { base, level, rights: FrameRights::ReadWrite, device: true, mapping: None }
}

/// The slot of the table of a level that [`map_tables`] maps, or of the root.
fn table_at(level: usize) -> u64 {
    if level == ROOT_LEVEL { VSPACE } else { TABLES + level as u64 }
}

/// A world with two address spaces (ASIDs 512 and 513) and something to map of each kind.
fn world() -> World {
    let mut w = World::new();
    make_pool(&mut w, 0, SPARE + 30);
    make_pool(&mut w, 0, POOL);
    for dest in [VSPACE, VSPACE2] {
        w.make_vspace(dest);
        assert_eq!(w.call(POOL, Label::AsidPoolAssign, &[], &[dest]), OK);
    }
    for level in 0..ROOT_LEVEL {
        w.make_table(level as u8, table_at(level));
    }
    for (dest, cap) in [(PAGE, frame(0, 0)), (LARGE, frame(1, 0)), (HUGE, frame(2, 0)), (PAGE2, frame(0, 1))]
    {
        derivation::insert_root(&w.k, forge(cap), w.slot(dest));
    }
    w
}

fn make_pool(w: &mut World, number: u64, dest: u64) {
    let untyped = SPARE + 40 + number + dest;
    w.make(ObjectType::Untyped, 12, untyped);
    let answer = w.call(ASID_CONTROL, Label::AsidControlMakePool, &[dest, DEPTH], &[untyped, CNODE]);
    assert_eq!(answer, OK);
}

/// The labels that map and unmap the table in a slot.
fn labels(w: &World, slot: u64) -> (Label, Label) {
    let Cap::PageTable { level, .. } = w.cap(slot) else { panic!("no page table") };
    TABLE_LABELS[level.map_or(0, usize::from)]
}

fn map_table(w: &mut World, slot: u64, vspace: u64, vaddr: u64) -> Answer {
    w.call(slot, labels(w, slot).0, &[vaddr, 0], &[vspace])
}

fn unmap_table(w: &mut World, slot: u64) -> Answer {
    w.call(slot, labels(w, slot).1, &[], &[])
}

fn map(w: &mut World, slot: u64, vspace: u64, vaddr: u64, rights: u64) -> Answer {
    w.call(slot, Label::PageMap, &[vaddr, rights, 0], &[vspace])
}

fn unmap(w: &mut World, slot: u64) -> Answer {
    w.call(slot, Label::PageUnmap, &[], &[])
}

/// Maps a table of each level for addresses from 0 on.
fn map_tables(w: &mut World) {
    for level in (0..ROOT_LEVEL).rev() {
        assert_eq!(map_table(w, table_at(level), VSPACE, 0), OK);
    }
}

fn table(cap: Cap) -> Link<PageTable> {
    let Cap::PageTable { table, .. } = cap else { panic!("{cap:?} is no page table") };
    table
}

fn pte(w: &World, slot: u64, index: usize) -> Pte {
    table(w.cap(slot)).get(&w.k).entry(index)
}

/// An entry maps the frame in a slot, with these rights.
#[track_caller]
fn maps(w: &World, pte: Pte, slot: u64, rights: PageRights) {
    let Cap::Frame { base, level, .. } = w.cap(slot) else { panic!("no frame") };
    let level = level as usize;
    assert!(pte.is_present() && !pte.is_table(level));
    assert_eq!((pte.addr(level), pte.rights()), (base, rights));
}

#[test]
fn pages_are_mapped_remapped_and_unmapped() {
    let mut w = world();
    map_tables(&mut w);
    let flushes = || (host::machine().page_flushes.get(), host::machine().asid_flushes.get());
    let before = flushes();
    assert_eq!(map(&mut w, PAGE, VSPACE, 0x5000, RW), OK);
    assert_eq!(flushes(), before, "what was not there is not cached");
    let Cap::Frame { base, mapping, .. } = w.cap(PAGE) else { unreachable!() };
    assert_eq!(mapping, Some(Mapping { asid: 512, vaddr: 0x5000 }));
    maps(&w, pte(&w, PT, 5), PAGE, READ_WRITE);

    assert_eq!(map(&mut w, PAGE, VSPACE, 0x5000, CapRights::READ.0), OK, "again, read-only");
    maps(&w, pte(&w, PT, 5), PAGE, READ_ONLY);
    assert_eq!(flushes(), (before.0 + 1, before.1), "one page flushed");
    assert_eq!(map(&mut w, PAGE, VSPACE, 0x5000, CapRights::WRITE.0), OK, "nothing is write-only");
    maps(&w, pte(&w, PT, 5), PAGE, PageRights::NONE);

    assert_eq!(w.call(PAGE, Label::PageGetAddress, &[], &[]), Ok(vec![base.0]));
    let before = flushes();
    assert_eq!(unmap(&mut w, PAGE), OK);
    assert_eq!((pte(&w, PT, 5), flushes()), (Pte::EMPTY, (before.0 + 1, before.1)));
    assert_eq!(host::machine().flush_log.borrow().back(), Some(&(512, Some(0x5000))));
    assert_eq!(unmap(&mut w, PAGE), OK, "no harm in doing it twice");
    assert_eq!(flushes(), (before.0 + 1, before.1));

    // A large page where there is no table, a huge one where there is no directory.
    assert_eq!(map(&mut w, LARGE, VSPACE, 0x20_0000, RW), OK);
    assert_eq!(map(&mut w, HUGE, VSPACE, 1 << 30, RW), OK);
    maps(&w, pte(&w, table_at(1), 1), LARGE, READ_WRITE);
    maps(&w, pte(&w, table_at(2), 1), HUGE, READ_WRITE);
    assert_eq!(w.delete(LARGE), OK, "deleting the capability unmaps");
    assert_eq!(pte(&w, table_at(1), 1), Pte::EMPTY);
}

/// How frames are cached: of devices as asked for, of memory always.
#[test]
#[cfg(pecan_arch = "x86_64")]
fn devices_are_cached_as_the_attributes_say_and_memory_always() {
    use pecan_abi::constants::vm_attributes::CACHE_DISABLED;

    let mut w = world();
    map_tables(&mut w);
    let Cap::Frame { base, .. } = w.cap(PAGE) else { unreachable!() };
    assert_eq!(w.call(PAGE, Label::PageMap, &[0x5000, RW, CACHE_DISABLED], &[VSPACE]), OK);
    assert_eq!(pte(&w, PT, 5), Pte(base.0 | 7 | 1 << 4));
    let Cap::Frame { base, .. } = w.make(ObjectType::Page4K, 0, SPARE) else { panic!("no frame") };
    for attributes in 0..8 {
        assert_eq!(w.call(SPARE, Label::PageMap, &[0x7000, RW, attributes], &[VSPACE]), OK);
        assert_eq!(pte(&w, PT, 7), Pte(base.0 | 7), "attributes {attributes}");
    }
}

#[test]
fn a_copy_of_a_capability_to_a_mapped_page_is_not_mapped() {
    let mut w = world();
    map_tables(&mut w);
    assert_eq!(map(&mut w, PAGE, VSPACE, 0x1000, RW), OK);
    assert_eq!(w.copy(SPARE, PAGE, CapRights::ALL), OK);
    assert!(matches!(w.cap(PAGE), Cap::Frame { mapping: Some(Mapping { vaddr: 0x1000, .. }), .. }));
    assert!(matches!(w.cap(SPARE), Cap::Frame { mapping: None, .. }));
    // It has a mapping of its own, and the other keeps its.
    assert_eq!(map(&mut w, SPARE, VSPACE, 0x2000, RW), OK);
    assert_eq!(unmap(&mut w, SPARE), OK);
    assert!(pte(&w, PT, 1).is_present() && !pte(&w, PT, 2).is_present());
    // Moving keeps it.
    assert_eq!(w.call(CNODE, Label::CNodeMove, &[SPARE + 1, DEPTH, PAGE, DEPTH], &[CNODE]), OK);
    assert!(matches!(w.cap(SPARE + 1), Cap::Frame { mapping: Some(_), .. }));
}

#[test]
fn rights_of_the_capability_limit_the_mapping() {
    let mut w = world();
    map_tables(&mut w);
    for (mask, rights) in [
        (CapRights::ALL, READ_WRITE),
        (CapRights::READ, READ_ONLY),
        (CapRights::WRITE, PageRights::NONE),
        (CapRights::NONE, PageRights::NONE),
    ] {
        assert_eq!(w.copy(SPARE, PAGE, mask), OK);
        assert_eq!(map(&mut w, SPARE, VSPACE, 0x1000, RW), OK);
        maps(&w, pte(&w, PT, 1), SPARE, rights);
        assert_eq!(w.delete(SPARE), OK);
        assert_eq!(pte(&w, PT, 1), Pte::EMPTY);
    }
}

#[test]
fn errors_of_page_map() {
    let mut w = world();
    map_tables(&mut w);
    let at = |slot| (slot, Label::PageMap);
    w.fails(at(PAGE), &[0x1000, RW], &[VSPACE], Error::TruncatedMessage, &[]);
    w.fails(at(PAGE), &[0x1000, RW, 0], &[], Error::TruncatedMessage, &[]);
    w.fails(at(PAGE), &[0x1000, RW, 0], &[CNODE], Error::InvalidCapability, &[1]);
    w.fails(at(PAGE), &[0x1000, RW, 0], &[PT], Error::InvalidCapability, &[1]);
    w.make_vspace(SPARE);
    w.fails(at(PAGE), &[0x1000, RW, 0], &[SPARE], Error::InvalidCapability, &[1]);
    w.fails(at(PAGE), &[USER_TOP, RW, 0], &[VSPACE], Error::InvalidArgument, &[0]);
    w.fails(at(PAGE), &[u64::MAX - 4095, RW, 0], &[VSPACE], Error::InvalidArgument, &[0]);
    w.fails(at(LARGE), &[USER_TOP & !0x1f_ffff, RW, 0], &[VSPACE], Error::InvalidArgument, &[0]);
    w.fails(at(PAGE), &[0x1800, RW, 0], &[VSPACE], Error::AlignmentError, &[]);
    w.fails(at(LARGE), &[0x1000, RW, 0], &[VSPACE], Error::AlignmentError, &[]);
    // Missing tables: which one is told by the bits left.
    let top = level_shift(ROOT_LEVEL).into();
    let missing =
        [(0, 0x20_0000, 21), (0, 1 << 30, 30), (1, 1 << 30, 30), (0, 1 << 39, 39), (2, 1 << 39, 39)];
    for (level, vaddr, bits_left) in missing.into_iter().filter(|&(_, _, bits)| bits <= top) {
        w.fails(at(PAGE + level), &[vaddr, RW, 0], &[VSPACE], Error::FailedLookup, &[0, 2, bits_left]);
    }
    // The last page of user level is one.
    let last = (USER_TOP - 4096) & !4095;
    w.fails(at(PAGE), &[last, RW, 0], &[VSPACE], Error::FailedLookup, &[0, 2, top]);
    w.fails(at(PAGE), &[0, RW, 0], &[VSPACE2], Error::FailedLookup, &[0, 2, top]);
    // Occupied by a frame, or by a table.
    assert_eq!(map(&mut w, PAGE2, VSPACE, 0x2000, RW), OK);
    w.fails(at(PAGE), &[0x2000, RW, 0], &[VSPACE], Error::DeleteFirst, &[]);
    w.fails(at(LARGE), &[0, RW, 0], &[VSPACE], Error::DeleteFirst, &[]);
    w.fails(at(HUGE), &[0, RW, 0], &[VSPACE], Error::DeleteFirst, &[]);
    // Mapped elsewhere.
    w.fails(at(PAGE2), &[0x3000, RW, 0], &[VSPACE], Error::InvalidArgument, &[0]);
    w.fails(at(PAGE2), &[0x2000, RW, 0], &[VSPACE2], Error::InvalidCapability, &[1]);
    // No table is missing below a large page, yet none is there.
    assert_eq!(map(&mut w, LARGE, VSPACE, 0x20_0000, RW), OK);
    w.fails(at(PAGE), &[0x20_1000, RW, 0], &[VSPACE], Error::FailedLookup, &[0, 2, 21]);
    // Labels of others.
    w.fails((PAGE, Label::PageTableMap), &[0, 0], &[VSPACE], Error::IllegalOperation, &[]);
    // Its ASID gone, the address space is stale.
    assert_eq!(w.delete(POOL), OK);
    w.fails(at(PAGE), &[0x1000, RW, 0], &[VSPACE], Error::FailedLookup, &[0, 1]);
    w.fails(at(PAGE2), &[0x2000, RW, 0], &[VSPACE], Error::FailedLookup, &[0, 1]);
    // Another gets the ASID: it is not this one's again.
    make_pool(&mut w, 1, POOL);
    assert_eq!(w.call(POOL, Label::AsidPoolAssign, &[], &[SPARE]), OK);
    assert_eq!(w.words(SPARE).vspace().map(|v| v.1), w.words(VSPACE).vspace().map(|v| v.1));
    w.fails(at(PAGE), &[0x1000, RW, 0], &[VSPACE], Error::InvalidCapability, &[1]);
}

#[test]
fn errors_of_paging_structures() {
    let mut w = world();
    let at = |w: &World, slot| (slot, labels(w, slot).0);
    let top = table_at(ROOT_LEVEL - 1);
    let map_top = at(&w, top);
    w.fails(map_top, &[0], &[VSPACE], Error::TruncatedMessage, &[]);
    w.fails(map_top, &[0, 0], &[], Error::TruncatedMessage, &[]);
    w.fails(map_top, &[0, 0], &[UNTYPED], Error::InvalidCapability, &[1]);
    w.fails(map_top, &[0, 0], &[PT], Error::InvalidCapability, &[1]);
    w.fails(map_top, &[1 << 47, 0], &[VSPACE], Error::InvalidArgument, &[0]);
    w.fails((top, Label::PageMap), &[0, 0, 0], &[VSPACE], Error::IllegalOperation, &[]);
    assert_eq!(map_table(&mut w, top, VSPACE, 0x1234_5678), OK, "any address in its range");
    assert!(matches!(w.cap(top), Cap::PageTable { mapping: Some(Mapping { asid: 512, vaddr: 0 }), .. }));
    // Mapped already, whatever else is asked for.
    for vspace in [VSPACE, VSPACE2] {
        let map_top = at(&w, top);
        w.fails(map_top, &[0x20_0000, 0], &[vspace], Error::InvalidCapability, &[0]);
    }
    for level in (0..ROOT_LEVEL - 1).rev() {
        assert_eq!(map_table(&mut w, table_at(level), VSPACE, 0x20_0fff), OK);
    }
    let Cap::PageTable { level, mapping, .. } = w.cap(PT) else { unreachable!() };
    assert_eq!((level, mapping), (Some(0), Some(Mapping { asid: 512, vaddr: 0x20_0000 })));
    // A frame where the table would go, or a table.
    assert_eq!(map(&mut w, LARGE, VSPACE, 0, RW), OK);
    w.make_table(0, SPARE + 1);
    for vaddr in [0, 0x20_0000] {
        let map_pt = at(&w, SPARE + 1);
        w.fails(map_pt, &[vaddr, 0], &[VSPACE], Error::DeleteFirst, &[]);
    }
    // Copies stand in the way of unmapping.
    assert_eq!(w.copy(SPARE + 2, PT, CapRights::ALL), OK);
    assert_eq!(w.cap(SPARE + 2), w.cap(PT));
    for slot in [PT, SPARE + 2] {
        w.fails((slot, labels(&w, slot).1), &[], &[], Error::RevokeFirst, &[]);
    }
    assert_eq!(w.delete(SPARE + 2), OK);
    assert_eq!(unmap_table(&mut w, PT), OK);
    assert_eq!(unmap_table(&mut w, PT), OK, "no harm in doing it twice");
    let refused = w.copy(SPARE + 2, PT, CapRights::ALL);
    assert_eq!(refused, Err((Error::IllegalOperation, vec![])), "of an unmapped one there are no copies");
    assert_eq!(w.delete(POOL), OK);
    let map_pt = at(&w, PT);
    w.fails(map_pt, &[0x20_0000, 0], &[VSPACE], Error::FailedLookup, &[0, 1]);
    w.check();
}

/// Where each level is a type of its own, the upper ones come first.
#[test]
#[cfg(pecan_arch = "x86_64")]
fn errors_of_tables_of_one_level() {
    let mut w = world();
    let (pd, pdpt) = (table_at(1), table_at(2));
    w.fails((PT, Label::PageTableMap), &[0, 0], &[VSPACE], Error::FailedLookup, &[0, 2, 39]);
    w.fails((PT, Label::X86PageDirectoryMap), &[0, 0], &[VSPACE], Error::IllegalOperation, &[]);
    w.fails((VSPACE, Label::X86PdptMap), &[0, 0], &[VSPACE], Error::IllegalOperation, &[]);
    w.fails((pd, Label::X86PageDirectoryMap), &[0, 0], &[VSPACE], Error::FailedLookup, &[0, 2, 39]);
    assert_eq!(map_table(&mut w, pdpt, VSPACE, 0), OK);
    w.fails((PT, Label::PageTableMap), &[0, 0], &[VSPACE], Error::FailedLookup, &[0, 2, 30]);
    w.make(ObjectType::Pdpt, 0, SPARE);
    w.fails((SPARE, Label::X86PdptMap), &[0, 0], &[VSPACE], Error::DeleteFirst, &[]);
}

#[test]
fn an_unmapped_table_is_empty_and_flushed() {
    let mut w = world();
    map_tables(&mut w);
    assert_eq!(map(&mut w, PAGE, VSPACE, 0x1000, RW), OK);
    assert_eq!(unmap_table(&mut w, PT), OK);
    assert_eq!(host::machine().flush_log.borrow().back(), Some(&(512, None)));
    assert_eq!((pte(&w, table_at(1), 0), pte(&w, PT, 1)), (Pte::EMPTY, Pte::EMPTY));
    // The frame's mapping is stale: unmapping it does not disturb what is there now.
    assert_eq!(map_table(&mut w, PT, VSPACE, 0), OK);
    assert_eq!(map(&mut w, PAGE2, VSPACE, 0x1000, RW), OK);
    let there = pte(&w, PT, 1);
    w.fails((PAGE, Label::PageMap), &[0x1000, RW, 0], &[VSPACE], Error::DeleteFirst, &[]);
    assert_eq!(unmap(&mut w, PAGE), OK);
    assert_eq!(pte(&w, PT, 1), there);
    // Deleting a table unmaps it, too.
    assert_eq!(w.delete(PT), OK);
    assert_eq!(pte(&w, table_at(1), 0), Pte::EMPTY);
}

#[test]
fn asid_pools() {
    let mut w = World::new();
    let make = |slot| (slot, Label::AsidControlMakePool);
    for (i, bits) in [12, 12, 13].into_iter().enumerate() {
        w.make(ObjectType::Untyped, bits, SPARE + i as u64);
    }
    w.make(ObjectType::Endpoint, 0, SPARE + 3);
    let device = Cap::Untyped { base: pecan_arch::PhysAddr(1 << 40), bits: 12, device: true, used: 0 };
    derivation::insert_root(&w.k, forge(device), w.slot(SPARE + 4));
    w.fails(make(ASID_CONTROL), &[POOL], &[SPARE, CNODE], Error::TruncatedMessage, &[]);
    w.fails(make(ASID_CONTROL), &[POOL, DEPTH], &[SPARE], Error::TruncatedMessage, &[]);
    for wrong in [SPARE + 2, SPARE + 3, SPARE + 4] {
        w.fails(make(ASID_CONTROL), &[POOL, DEPTH], &[wrong, CNODE], Error::InvalidCapability, &[1]);
    }
    w.fails(make(ASID_CONTROL), &[CNODE, DEPTH], &[SPARE, CNODE], Error::DeleteFirst, &[]);
    w.fails(make(ASID_CONTROL), &[POOL, 65], &[SPARE, CNODE], Error::RangeError, &[1, 64]);
    w.fails(make(ASID_CONTROL), &[POOL, DEPTH], &[SPARE, SPARE], Error::FailedLookup, &[0, 1]);
    w.fails((ASID_CONTROL, Label::AsidPoolAssign), &[], &[SPARE], Error::IllegalOperation, &[]);
    w.retype(SPARE + 1, ObjectType::Endpoint, 0, SPARE + 5, 1).expect("room for an endpoint");
    w.fails(make(ASID_CONTROL), &[POOL, DEPTH], &[SPARE + 1, CNODE], Error::RevokeFirst, &[]);

    let answer = w.call(ASID_CONTROL, Label::AsidControlMakePool, &[POOL, DEPTH], &[SPARE, CNODE]);
    assert_eq!(answer, OK);
    w.fails(make(ASID_CONTROL), &[POOL + 1, DEPTH], &[SPARE, CNODE], Error::RevokeFirst, &[]);
    for pool in 1..pecan_arch::ASIDS as u64 / 512 {
        // More than the slots between the pools have room for.
        make_pool(&mut w, 200 + pool, SPARE + 60 + pool);
    }
    w.fails(make(ASID_CONTROL), &[POOL + 1, DEPTH], &[SPARE + 1, CNODE], Error::DeleteFirst, &[]);

    let assign = (POOL, Label::AsidPoolAssign);
    w.make_vspace(VSPACE);
    w.fails(assign, &[], &[], Error::TruncatedMessage, &[]);
    w.fails(assign, &[], &[UNTYPED], Error::InvalidCapability, &[1]);
    w.fails((POOL, Label::PageMap), &[], &[VSPACE], Error::IllegalOperation, &[]);
    assert_eq!(w.call(POOL, Label::AsidPoolAssign, &[], &[VSPACE]), OK);
    assert!(
        matches!(w.cap(VSPACE), Cap::PageTable { mapping: Some(Mapping { asid: 1, .. }), .. }),
        "0 is taken"
    );
    w.fails(assign, &[], &[VSPACE], Error::InvalidCapability, &[1]);
    let Cap::AsidPool { pool, .. } = w.cap(POOL) else { unreachable!() };
    let full = w.words(VSPACE).vspace().map(|(table, _)| table);
    (2..512).for_each(|asid| set_root(pool.get(&w.k), asid, full));
    w.make_vspace(VSPACE2);
    w.fails(assign, &[], &[VSPACE2], Error::DeleteFirst, &[]);
    (2..512).for_each(|asid| pool.get(&w.k).release(asid));
    // A deleted address space gives its ASID back, and the pool its memory.
    assert_eq!(w.delete(VSPACE), OK);
    assert_eq!(
        (tables::find_root(&w.k, 1), host::machine().flush_log.borrow().back()),
        (None, Some(&(1, None)))
    );
    assert_eq!(w.call(POOL, Label::AsidPoolAssign, &[], &[VSPACE2]), OK);
    assert_eq!(w.revoke(SPARE), OK);
    assert_eq!((w.cap(POOL), w.k.global().asid_pools[0].get()), (Cap::Null, None));
    assert_eq!(tables::find_root(&w.k, 1), None);
    assert_eq!(w.revoke(UNTYPED_2M), OK, "nothing refers to what is gone");
}

#[test]
fn a_thread_leaves_an_address_space_that_dies() {
    let mut w = world();
    let cap = w.cap(VSPACE);
    let tcb = w.thread;
    let slot = tcb.get(&w.k).slots[Tcb::SLOT_VSPACE].link();
    derivation::insert(&w.k, w.words(VSPACE), w.slot(VSPACE), slot);
    assert_eq!(
        tables::root(&w.k, tcb.get(&w.k)).map(|root| (root.link(), root.asid())),
        Some((table(cap), 512))
    );
    unmap::refresh(&w.k);
    let active = host::machine().vspace.get().expect("the thread's address space is in force");
    assert_eq!(active.1, 512);
    assert_eq!(w.delete(POOL), OK);
    assert_eq!((tables::root(&w.k, tcb.get(&w.k)), host::machine().vspace.get()), (None, None));
    // A pool with the same identifiers does not bring it back.
    make_pool(&mut w, 1, POOL);
    assert_eq!(
        w.call(POOL, Label::AsidPoolAssign, &[], &[VSPACE]).map_err(|e| e.0),
        Err(Error::InvalidCapability)
    );
    w.make_vspace(SPARE);
    assert_eq!(w.call(POOL, Label::AsidPoolAssign, &[], &[SPARE]), OK);
    assert!(tables::find_root(&w.k, 512).is_some());
    assert_eq!(tables::root(&w.k, tcb.get(&w.k)), None);
}

/// What the model knows of an entry.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Entry {
    Table(usize),
    Frame(usize, bool),
}

/// Objects of the model: the first two tables are the roots, then tables, then frames.
struct Model {
    /// The level of each table, if it has one, and its entries.
    tables: Vec<(Option<usize>, BTreeMap<u64, Entry>)>,
    /// Where each table is mapped: root and address.
    table_at: Vec<Option<(usize, u64)>>,
    frames: Vec<usize>,
    frame_at: Vec<Option<(usize, u64)>>,
}

impl Model {
    fn index(vaddr: u64, level: usize) -> u64 {
        vaddr >> level_shift(level) & 511
    }

    /// The table of `level` for an address, or the level of the table that lacks it, and that table.
    fn walk(&self, root: usize, vaddr: u64, level: usize) -> Result<usize, (usize, usize)> {
        (level + 1..=ROOT_LEVEL).rev().try_fold(root, |table, above| {
            match self.tables[table].1.get(&Self::index(vaddr, above)) {
                Some(&Entry::Table(next)) => Ok(next),
                _ => Err((above, table)),
            }
        })
    }

    fn map_table(&mut self, t: usize, root: usize, vaddr: u64) -> Result<(), Error> {
        if self.table_at[t].is_some() {
            return Err(Error::InvalidCapability);
        }
        let (above, parent) = match self.tables[t].0 {
            Some(level) => (level + 1, self.walk(root, vaddr, level + 1).map_err(|_| Error::FailedLookup)?),
            // Below the lowest one that is there.
            None => self.walk(root, vaddr, 0).err().ok_or(Error::DeleteFirst)?,
        };
        let index = Self::index(vaddr, above);
        if self.tables[parent].1.contains_key(&index) {
            return Err(Error::DeleteFirst);
        }
        self.tables[parent].1.insert(index, Entry::Table(t));
        self.tables[t].0 = Some(above - 1);
        self.table_at[t] = Some((root, vaddr));
        Ok(())
    }

    fn unmap_table(&mut self, t: usize) {
        let (Some((root, vaddr)), Some(level)) = (self.table_at[t].take(), self.tables[t].0) else { return };
        if let Ok(parent) = self.walk(root, vaddr, level + 1) {
            let index = Self::index(vaddr, level + 1);
            if self.tables[parent].1.get(&index) == Some(&Entry::Table(t)) {
                self.tables[parent].1.remove(&index);
            }
        }
        self.tables[t].1.clear();
        self.tables[t].0 = Some(level).filter(|&level| has_own_type(level));
    }

    fn map_frame(&mut self, f: usize, root: usize, vaddr: u64, write: bool) -> Result<(), Error> {
        match self.frame_at[f] {
            Some((r, _)) if r != root => return Err(Error::InvalidCapability),
            Some((_, v)) if v != vaddr => return Err(Error::InvalidArgument),
            _ => {}
        }
        let level = self.frames[f];
        if vaddr & ((1 << level_shift(level)) - 1) != 0 {
            return Err(Error::AlignmentError);
        }
        let table = self.walk(root, vaddr, level).map_err(|_| Error::FailedLookup)?;
        let index = Self::index(vaddr, level);
        match self.tables[table].1.get(&index) {
            Some(&Entry::Frame(there, _)) if there == f && self.frame_at[f].is_some() => {}
            Some(_) => return Err(Error::DeleteFirst),
            None => {}
        }
        self.tables[table].1.insert(index, Entry::Frame(f, write));
        self.frame_at[f] = Some((root, vaddr));
        Ok(())
    }

    fn unmap_frame(&mut self, f: usize) {
        let Some((root, vaddr)) = self.frame_at[f].take() else { return };
        let level = self.frames[f];
        if let Ok(table) = self.walk(root, vaddr, level) {
            let index = Self::index(vaddr, level);
            if matches!(self.tables[table].1.get(&index), Some(&Entry::Frame(there, _)) if there == f) {
                self.tables[table].1.remove(&index);
            }
        }
    }
}

#[test]
fn any_sequence_of_maps_and_unmaps_does_what_the_model_does() {
    // Of the tables below the roots; where levels are no types, there are as many.
    const LEVELS: [usize; 12] = [2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0, 0];
    const FRAMES: [usize; 9] = [0, 0, 0, 0, 0, 1, 1, 1, 2];
    let mut w = world();
    let table_slot = |t: usize| if t < 2 { VSPACE + t as u64 } else { SPARE + 300 + t as u64 };
    let frame_slot = |f: usize| SPARE + 400 + f as u64;
    let mut tables = vec![(Some(ROOT_LEVEL), BTreeMap::new()); 2];
    for level in LEVELS {
        let level = level.min(ROOT_LEVEL - 1);
        w.make_table(level as u8, table_slot(tables.len()));
        tables.push((Some(level).filter(|&level| has_own_type(level)), BTreeMap::new()));
    }
    for (f, &level) in FRAMES.iter().enumerate() {
        derivation::insert_root(&w.k, forge(frame(level as u8, 10 + f as u64)), w.slot(frame_slot(f)));
    }
    let count = tables.len() as u64;
    let mut model = Model {
        table_at: vec![None; tables.len()],
        tables,
        frames: FRAMES.to_vec(),
        frame_at: vec![None; FRAMES.len()],
    };
    let mut random = 0x1234_5678_9abc_def1u64;
    let mut below = |n: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % n
    };
    let (mut done, mut refused) = (0, 0);
    let steps = rounds(20_000);
    for step in 0..steps {
        let root = below(2) as usize;
        // Few addresses, so that things meet: two per level.
        let vaddr = (0..=ROOT_LEVEL).map(|level| below(2) << level_shift(level)).sum::<u64>();
        let choice = below(10);
        let (expected, answer) = if choice < 3 {
            let t = 2 + below(count - 2) as usize;
            (model.map_table(t, root, vaddr), map_table(&mut w, table_slot(t), VSPACE + root as u64, vaddr))
        } else if choice < 4 {
            let t = 2 + below(count - 2) as usize;
            model.unmap_table(t);
            (Ok(()), unmap_table(&mut w, table_slot(t)))
        } else if choice < 8 {
            let (f, write) = (below(FRAMES.len() as u64) as usize, below(2) == 1);
            let vaddr = if below(8) == 0 { vaddr } else { vaddr & !((1 << level_shift(FRAMES[f])) - 1) };
            let rights = if write { CapRights::READ_WRITE } else { CapRights::READ };
            let expected = model.map_frame(f, root, vaddr, write);
            (expected, map(&mut w, frame_slot(f), VSPACE + root as u64, vaddr, rights.0))
        } else {
            let f = below(FRAMES.len() as u64) as usize;
            model.unmap_frame(f);
            (Ok(()), unmap(&mut w, frame_slot(f)))
        };
        assert_eq!(answer.map(|_| ()).map_err(|e| e.0), expected, "step {step}");
        if expected.is_ok() {
            done += 1
        } else {
            refused += 1
        }

        for (t, (expected, entries)) in model.tables.iter().enumerate() {
            let Cap::PageTable { level, .. } = w.cap(table_slot(t)) else { unreachable!() };
            assert_eq!(level.map(usize::from), *expected, "step {step}: table {t}");
            for index in 0..256 {
                let real = pte(&w, table_slot(t), index);
                match entries.get(&(index as u64)) {
                    None => assert_eq!(real, Pte::EMPTY, "step {step}: table {t}, entry {index}"),
                    Some(&Entry::Table(child)) => {
                        let level = expected.expect("it is not empty");
                        let child = table(w.cap(table_slot(child)));
                        assert!(real.is_table(level));
                        assert_eq!(real.addr(level), pecan_arch::virt_to_phys(child.addr()));
                    }
                    Some(&Entry::Frame(f, write)) => {
                        maps(&w, real, frame_slot(f), if write { READ_WRITE } else { READ_ONLY });
                        assert_eq!(*expected, Some(model.frames[f]), "step {step}");
                    }
                }
            }
        }
        if step % 1000 == 0 {
            w.check();
        }
    }
    assert!(done > steps / 4 && refused > steps / 4, "{done} done, {refused} refused");
}
