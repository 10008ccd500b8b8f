//! Tests of mapping against a model, and of every error.
//!
//! They are of x86_64: of its page tables each level is a type of its own.
#![cfg(pecan_arch = "x86_64")]

use std::collections::BTreeMap;

use pecan_abi::{
    CapRights, Error, Label, ObjectType,
    constants::{USER_TOP, vm_attributes},
};
use pecan_arch::{PageTableEntry, Pte, host, level_shift};
use pecan_mem::{Cap, FrameRights, Link, Mapping, PageTable, Tcb, testing::forge};

use crate::{
    cap::derivation,
    space::{tables, unmap},
    testing::{ASID_CONTROL, Answer, CNODE, DEPTH, FREE, UNTYPED, UNTYPED_2M, World, rounds},
};

const POOL: u64 = FREE;
const VSPACE: u64 = FREE + 1;
const VSPACE2: u64 = FREE + 2;
const PDPT: u64 = FREE + 3;
const PD: u64 = FREE + 4;
const PT: u64 = FREE + 5;
const PAGE: u64 = FREE + 6;
const LARGE: u64 = FREE + 7;
const HUGE: u64 = FREE + 8;
const PAGE2: u64 = FREE + 9;
const SPARE: u64 = FREE + 20;
const RW: u64 = CapRights::READ_WRITE.0;

/// A frame that no memory is behind: nothing here touches what is in frames.
fn frame(level: u8, number: u64) -> Cap {
    let base = pecan_arch::PhysAddr((number + 1) << level_shift(level as usize) | 1 << 40);
    Cap::Frame { base, level, rights: FrameRights::ReadWrite, device: true, mapping: None }
}

/// A world with two address spaces (ASIDs 512 and 513) and something to map of each kind.
fn world() -> World {
    let mut w = World::new();
    make_pool(&mut w, 0, SPARE + 30);
    make_pool(&mut w, 0, POOL);
    for dest in [VSPACE, VSPACE2] {
        w.make(ObjectType::VSPACE, 0, dest);
        assert_eq!(w.call(POOL, Label::AsidPoolAssign, &[], &[dest]), Ok(vec![]));
    }
    w.make(ObjectType::Pdpt, 0, PDPT);
    w.make(ObjectType::PageDirectory, 0, PD);
    w.make(ObjectType::PageTable, 0, PT);
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
    assert_eq!(answer, Ok(vec![]));
}

fn map_table(w: &mut World, slot: u64, vspace: u64, vaddr: u64) -> Answer {
    let Cap::PageTable { level, .. } = w.cap(slot) else { panic!("no page table") };
    let label = [Label::PageTableMap, Label::X86PageDirectoryMap, Label::X86PdptMap][level as usize];
    w.call(slot, label, &[vaddr, 0], &[vspace])
}

fn unmap_table(w: &mut World, slot: u64) -> Answer {
    let Cap::PageTable { level, .. } = w.cap(slot) else { panic!("no page table") };
    let label = [Label::PageTableUnmap, Label::X86PageDirectoryUnmap, Label::X86PdptUnmap][level as usize];
    w.call(slot, label, &[], &[])
}

fn map(w: &mut World, slot: u64, vspace: u64, vaddr: u64, rights: u64) -> Answer {
    w.call(slot, Label::PageMap, &[vaddr, rights, 0], &[vspace])
}

fn unmap(w: &mut World, slot: u64) -> Answer {
    w.call(slot, Label::PageUnmap, &[], &[])
}

/// Maps the three tables for addresses from 0 on.
fn map_tables(w: &mut World) {
    for slot in [PDPT, PD, PT] {
        assert_eq!(map_table(w, slot, VSPACE, 0), Ok(vec![]));
    }
}

fn table(cap: Cap) -> Link<PageTable> {
    let Cap::PageTable { table, .. } = cap else { panic!("{cap:?} is no page table") };
    table
}

fn pte(w: &World, slot: u64, index: usize) -> Pte {
    table(w.cap(slot)).get(&w.k).entry(index)
}

#[test]
fn pages_are_mapped_remapped_and_unmapped() {
    let mut w = world();
    map_tables(&mut w);
    let flushes = || (host::machine().page_flushes.get(), host::machine().asid_flushes.get());
    let before = flushes();
    assert_eq!(map(&mut w, PAGE, VSPACE, 0x5000, RW), Ok(vec![]));
    assert_eq!(flushes(), before, "what was not there is not cached");
    let Cap::Frame { base, mapping, .. } = w.cap(PAGE) else { unreachable!() };
    assert_eq!(mapping, Some(Mapping { asid: 512, vaddr: 0x5000 }));
    assert_eq!(pte(&w, PT, 5), Pte(base.0 | 7));

    assert_eq!(map(&mut w, PAGE, VSPACE, 0x5000, CapRights::READ.0), Ok(vec![]), "again, read-only");
    assert_eq!(pte(&w, PT, 5), Pte(base.0 | 5));
    assert_eq!(flushes(), (before.0 + 1, before.1), "one page flushed");
    assert_eq!(map(&mut w, PAGE, VSPACE, 0x5000, CapRights::WRITE.0), Ok(vec![]), "nothing is write-only");
    assert_eq!(pte(&w, PT, 5), Pte(base.0 | 1));
    let attributes = [0x5000, RW, vm_attributes::CACHE_DISABLED];
    assert_eq!(w.call(PAGE, Label::PageMap, &attributes, &[VSPACE]), Ok(vec![]));
    assert_eq!(pte(&w, PT, 5), Pte(base.0 | 7 | 1 << 4));

    assert_eq!(w.call(PAGE, Label::PageGetAddress, &[], &[]), Ok(vec![base.0]));
    let before = flushes();
    assert_eq!(unmap(&mut w, PAGE), Ok(vec![]));
    assert_eq!((pte(&w, PT, 5), flushes()), (Pte::EMPTY, (before.0 + 1, before.1)));
    assert_eq!(host::machine().flush_log.borrow().back(), Some(&(512, Some(0x5000))));
    assert_eq!(unmap(&mut w, PAGE), Ok(vec![]), "no harm in doing it twice");
    assert_eq!(flushes(), (before.0 + 1, before.1));

    // A large page where there is no table, a huge one where there is no directory.
    assert_eq!(map(&mut w, LARGE, VSPACE, 0x20_0000, RW), Ok(vec![]));
    assert_eq!(map(&mut w, HUGE, VSPACE, 1 << 30, RW), Ok(vec![]));
    let Cap::Frame { base, .. } = w.cap(LARGE) else { unreachable!() };
    assert_eq!(pte(&w, PD, 1), Pte(base.0 | 7 | 1 << 7));
    let Cap::Frame { base, .. } = w.cap(HUGE) else { unreachable!() };
    assert_eq!(pte(&w, PDPT, 1), Pte(base.0 | 7 | 1 << 7));
    assert_eq!(w.delete(LARGE), Ok(vec![]), "deleting the capability unmaps");
    assert_eq!(pte(&w, PD, 1), Pte::EMPTY);
}

#[test]
fn memory_is_cached_whatever_the_attributes_say() {
    let mut w = world();
    map_tables(&mut w);
    let Cap::Frame { base, .. } = w.make(ObjectType::Page4K, 0, SPARE) else { panic!("no frame") };
    for attributes in 0..8 {
        assert_eq!(w.call(SPARE, Label::PageMap, &[0x7000, RW, attributes], &[VSPACE]), Ok(vec![]));
        assert_eq!(pte(&w, PT, 7), Pte(base.0 | 7), "attributes {attributes}");
    }
}

#[test]
fn a_copy_of_a_capability_to_a_mapped_page_is_not_mapped() {
    let mut w = world();
    map_tables(&mut w);
    assert_eq!(map(&mut w, PAGE, VSPACE, 0x1000, RW), Ok(vec![]));
    assert_eq!(w.copy(SPARE, PAGE, CapRights::ALL), Ok(vec![]));
    assert!(matches!(w.cap(PAGE), Cap::Frame { mapping: Some(Mapping { vaddr: 0x1000, .. }), .. }));
    assert!(matches!(w.cap(SPARE), Cap::Frame { mapping: None, .. }));
    // It has a mapping of its own, and the other keeps its.
    assert_eq!(map(&mut w, SPARE, VSPACE, 0x2000, RW), Ok(vec![]));
    assert_eq!(unmap(&mut w, SPARE), Ok(vec![]));
    assert!(pte(&w, PT, 1).is_present() && !pte(&w, PT, 2).is_present());
    // Moving keeps it.
    assert_eq!(w.call(CNODE, Label::CNodeMove, &[SPARE + 1, DEPTH, PAGE, DEPTH], &[CNODE]), Ok(vec![]));
    assert!(matches!(w.cap(SPARE + 1), Cap::Frame { mapping: Some(_), .. }));
}

#[test]
fn rights_of_the_capability_limit_the_mapping() {
    let mut w = world();
    map_tables(&mut w);
    for (mask, bits) in
        [(CapRights::ALL, 7), (CapRights::READ, 5), (CapRights::WRITE, 1), (CapRights::NONE, 1)]
    {
        assert_eq!(w.copy(SPARE, PAGE, mask), Ok(vec![]));
        assert_eq!(map(&mut w, SPARE, VSPACE, 0x1000, RW), Ok(vec![]));
        assert_eq!(pte(&w, PT, 1).0 & 7, bits, "{mask:?}");
        assert_eq!(w.delete(SPARE), Ok(vec![]));
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
    w.make(ObjectType::VSPACE, 0, SPARE);
    w.fails(at(PAGE), &[0x1000, RW, 0], &[SPARE], Error::InvalidCapability, &[1]);
    w.fails(at(PAGE), &[USER_TOP, RW, 0], &[VSPACE], Error::InvalidArgument, &[0]);
    w.fails(at(PAGE), &[u64::MAX - 4095, RW, 0], &[VSPACE], Error::InvalidArgument, &[0]);
    w.fails(at(LARGE), &[USER_TOP & !0x1f_ffff, RW, 0], &[VSPACE], Error::InvalidArgument, &[0]);
    w.fails(at(PAGE), &[0x1800, RW, 0], &[VSPACE], Error::AlignmentError, &[]);
    w.fails(at(LARGE), &[0x1000, RW, 0], &[VSPACE], Error::AlignmentError, &[]);
    // Missing tables: which one is told by the bits left.
    for (vaddr, bits_left) in [(0x20_0000, 21), (1 << 30, 30), (1 << 39, 39)] {
        w.fails(at(PAGE), &[vaddr, RW, 0], &[VSPACE], Error::FailedLookup, &[0, 2, bits_left]);
    }
    // The last page of user level is one.
    w.fails(at(PAGE), &[USER_TOP - 4096, RW, 0], &[VSPACE], Error::FailedLookup, &[0, 2, 39]);
    w.fails(at(LARGE), &[1 << 30, RW, 0], &[VSPACE], Error::FailedLookup, &[0, 2, 30]);
    w.fails(at(HUGE), &[1 << 39, RW, 0], &[VSPACE], Error::FailedLookup, &[0, 2, 39]);
    w.fails(at(PAGE), &[0, RW, 0], &[VSPACE2], Error::FailedLookup, &[0, 2, 39]);
    // Occupied by a frame, or by a table.
    assert_eq!(map(&mut w, PAGE2, VSPACE, 0x2000, RW), Ok(vec![]));
    w.fails(at(PAGE), &[0x2000, RW, 0], &[VSPACE], Error::DeleteFirst, &[]);
    w.fails(at(LARGE), &[0, RW, 0], &[VSPACE], Error::DeleteFirst, &[]);
    w.fails(at(HUGE), &[0, RW, 0], &[VSPACE], Error::DeleteFirst, &[]);
    // Mapped elsewhere.
    w.fails(at(PAGE2), &[0x3000, RW, 0], &[VSPACE], Error::InvalidArgument, &[0]);
    w.fails(at(PAGE2), &[0x2000, RW, 0], &[VSPACE2], Error::InvalidCapability, &[1]);
    // No table is missing below a large page, yet none is there.
    assert_eq!(map(&mut w, LARGE, VSPACE, 0x20_0000, RW), Ok(vec![]));
    w.fails(at(PAGE), &[0x20_1000, RW, 0], &[VSPACE], Error::FailedLookup, &[0, 2, 21]);
    // Labels of others.
    w.fails((PAGE, Label::PageTableMap), &[0, 0], &[VSPACE], Error::IllegalOperation, &[]);
    // Its ASID gone, the address space is stale.
    assert_eq!(w.delete(POOL), Ok(vec![]));
    w.fails(at(PAGE), &[0x1000, RW, 0], &[VSPACE], Error::FailedLookup, &[0, 1]);
    w.fails(at(PAGE2), &[0x2000, RW, 0], &[VSPACE], Error::FailedLookup, &[0, 1]);
    // Another gets the ASID: it is not this one's again.
    make_pool(&mut w, 1, POOL);
    assert_eq!(w.call(POOL, Label::AsidPoolAssign, &[], &[SPARE]), Ok(vec![]));
    assert_eq!(w.words(SPARE).vspace().map(|v| v.1), w.words(VSPACE).vspace().map(|v| v.1));
    w.fails(at(PAGE), &[0x1000, RW, 0], &[VSPACE], Error::InvalidCapability, &[1]);
}

#[test]
fn errors_of_paging_structures() {
    let mut w = world();
    let (map_pt, unmap_pt) = (Label::PageTableMap, Label::PageTableUnmap);
    w.fails((PT, map_pt), &[0], &[VSPACE], Error::TruncatedMessage, &[]);
    w.fails((PT, map_pt), &[0, 0], &[], Error::TruncatedMessage, &[]);
    w.fails((PT, map_pt), &[0, 0], &[UNTYPED], Error::InvalidCapability, &[1]);
    w.fails((PT, map_pt), &[0, 0], &[PD], Error::InvalidCapability, &[1]);
    w.fails((PT, map_pt), &[1 << 47, 0], &[VSPACE], Error::InvalidArgument, &[0]);
    w.fails((PT, map_pt), &[0, 0], &[VSPACE], Error::FailedLookup, &[0, 2, 39]);
    w.fails((PT, Label::X86PageDirectoryMap), &[0, 0], &[VSPACE], Error::IllegalOperation, &[]);
    w.fails((VSPACE, Label::X86PdptMap), &[0, 0], &[VSPACE], Error::IllegalOperation, &[]);
    w.fails((PD, Label::X86PageDirectoryMap), &[0, 0], &[VSPACE], Error::FailedLookup, &[0, 2, 39]);
    assert_eq!(map_table(&mut w, PDPT, VSPACE, 0x1234_5678), Ok(vec![]), "any address in its range");
    w.fails((PT, map_pt), &[0, 0], &[VSPACE], Error::FailedLookup, &[0, 2, 30]);
    w.fails((PDPT, Label::X86PdptMap), &[1 << 39, 0], &[VSPACE], Error::InvalidCapability, &[0]);
    w.make(ObjectType::Pdpt, 0, SPARE);
    w.fails((SPARE, Label::X86PdptMap), &[0, 0], &[VSPACE], Error::DeleteFirst, &[]);
    assert_eq!(map_table(&mut w, PD, VSPACE, 0), Ok(vec![]));
    assert_eq!(map_table(&mut w, PT, VSPACE, 0x20_0fff), Ok(vec![]));
    assert!(matches!(
        w.cap(PT),
        Cap::PageTable { mapping: Some(Mapping { asid: 512, vaddr: 0x20_0000 }), .. }
    ));
    // A frame where the table would go.
    assert_eq!(map(&mut w, LARGE, VSPACE, 0, RW), Ok(vec![]));
    w.make(ObjectType::PageTable, 0, SPARE + 1);
    w.fails((SPARE + 1, map_pt), &[0, 0], &[VSPACE], Error::DeleteFirst, &[]);
    // Copies stand in the way of unmapping.
    assert_eq!(w.copy(SPARE + 2, PT, CapRights::ALL), Ok(vec![]));
    w.fails((PT, unmap_pt), &[], &[], Error::RevokeFirst, &[]);
    assert_eq!(w.delete(SPARE + 2), Ok(vec![]));
    assert_eq!(unmap_table(&mut w, PT), Ok(vec![]));
    assert_eq!(unmap_table(&mut w, PT), Ok(vec![]), "no harm in doing it twice");
    assert_eq!(w.delete(POOL), Ok(vec![]));
    w.fails((PT, map_pt), &[0x20_0000, 0], &[VSPACE], Error::FailedLookup, &[0, 1]);
}

#[test]
fn an_unmapped_table_is_empty_and_flushed() {
    let mut w = world();
    map_tables(&mut w);
    assert_eq!(map(&mut w, PAGE, VSPACE, 0x1000, RW), Ok(vec![]));
    assert_eq!(unmap_table(&mut w, PT), Ok(vec![]));
    assert_eq!(host::machine().flush_log.borrow().back(), Some(&(512, None)));
    assert_eq!((pte(&w, PD, 0), pte(&w, PT, 1)), (Pte::EMPTY, Pte::EMPTY));
    // The frame's mapping is stale: unmapping it does not disturb what is there now.
    assert_eq!(map_table(&mut w, PT, VSPACE, 0), Ok(vec![]));
    assert_eq!(map(&mut w, PAGE2, VSPACE, 0x1000, RW), Ok(vec![]));
    let there = pte(&w, PT, 1);
    w.fails((PAGE, Label::PageMap), &[0x1000, RW, 0], &[VSPACE], Error::DeleteFirst, &[]);
    assert_eq!(unmap(&mut w, PAGE), Ok(vec![]));
    assert_eq!(pte(&w, PT, 1), there);
    // Deleting a table unmaps it, too.
    assert_eq!(w.delete(PT), Ok(vec![]));
    assert_eq!(pte(&w, PD, 0), Pte::EMPTY);
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
    assert_eq!(answer, Ok(vec![]));
    w.fails(make(ASID_CONTROL), &[POOL + 1, DEPTH], &[SPARE, CNODE], Error::RevokeFirst, &[]);
    for pool in 1..8 {
        make_pool(&mut w, pool, SPARE + 60 + pool);
    }
    w.fails(make(ASID_CONTROL), &[POOL + 1, DEPTH], &[SPARE + 1, CNODE], Error::DeleteFirst, &[]);

    let assign = (POOL, Label::AsidPoolAssign);
    w.make(ObjectType::VSPACE, 0, VSPACE);
    w.make(ObjectType::Pdpt, 0, PDPT);
    w.fails(assign, &[], &[], Error::TruncatedMessage, &[]);
    w.fails(assign, &[], &[PDPT], Error::InvalidCapability, &[1]);
    w.fails((POOL, Label::PageMap), &[], &[VSPACE], Error::IllegalOperation, &[]);
    assert_eq!(w.call(POOL, Label::AsidPoolAssign, &[], &[VSPACE]), Ok(vec![]));
    assert!(
        matches!(w.cap(VSPACE), Cap::PageTable { mapping: Some(Mapping { asid: 1, .. }), .. }),
        "0 is taken"
    );
    w.fails(assign, &[], &[VSPACE], Error::InvalidCapability, &[1]);
    let Cap::AsidPool { pool, .. } = w.cap(POOL) else { unreachable!() };
    let full = w.words(VSPACE).vspace().map(|(root, _)| root);
    (2..512).for_each(|asid| pool.get(&w.k).set_root(asid, full));
    w.make(ObjectType::VSPACE, 0, VSPACE2);
    w.fails(assign, &[], &[VSPACE2], Error::DeleteFirst, &[]);
    (2..512).for_each(|asid| pool.get(&w.k).set_root(asid, None));
    // A deleted address space gives its ASID back, and the pool its memory.
    assert_eq!(w.delete(VSPACE), Ok(vec![]));
    assert_eq!(
        (tables::find_root(&w.k, 1), host::machine().flush_log.borrow().back()),
        (None, Some(&(1, None)))
    );
    assert_eq!(w.call(POOL, Label::AsidPoolAssign, &[], &[VSPACE2]), Ok(vec![]));
    assert_eq!(w.revoke(SPARE), Ok(vec![]));
    assert_eq!((w.cap(POOL), w.k.global().asid_pools[0].get()), (Cap::Null, None));
    assert_eq!(tables::find_root(&w.k, 1), None);
    assert_eq!(w.revoke(UNTYPED_2M), Ok(vec![]), "nothing refers to what is gone");
}

#[test]
fn a_thread_leaves_an_address_space_that_dies() {
    let mut w = world();
    let cap = w.cap(VSPACE);
    let tcb = w.thread;
    let slot = tcb.get(&w.k).slots[Tcb::SLOT_VSPACE].link();
    derivation::insert(&w.k, w.words(VSPACE), w.slot(VSPACE), slot);
    assert_eq!(tables::root(&w.k, tcb.get(&w.k)).map(|(r, asid)| (r.link(), asid)), Some((table(cap), 512)));
    unmap::refresh(&w.k);
    let active = host::machine().vspace.get().expect("the thread's address space is in force");
    assert_eq!(active.1, 512);
    assert_eq!(w.delete(POOL), Ok(vec![]));
    assert_eq!((tables::root(&w.k, tcb.get(&w.k)), host::machine().vspace.get()), (None, None));
    // A pool with the same identifiers does not bring it back.
    make_pool(&mut w, 1, POOL);
    assert_eq!(
        w.call(POOL, Label::AsidPoolAssign, &[], &[VSPACE]).map_err(|e| e.0),
        Err(Error::InvalidCapability)
    );
    w.make(ObjectType::VSPACE, 0, SPARE);
    assert_eq!(w.call(POOL, Label::AsidPoolAssign, &[], &[SPARE]), Ok(vec![]));
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
    /// The entries of each table, with its level.
    tables: Vec<(usize, BTreeMap<u64, Entry>)>,
    /// Where each table is mapped: root and address.
    table_at: Vec<Option<(usize, u64)>>,
    frames: Vec<usize>,
    frame_at: Vec<Option<(usize, u64)>>,
}

impl Model {
    fn index(vaddr: u64, level: usize) -> u64 {
        vaddr >> level_shift(level) & 511
    }

    /// The table of `level` for an address, or the level of the table that lacks it.
    fn walk(&self, root: usize, vaddr: u64, level: usize) -> Result<usize, usize> {
        (level + 1..=3).rev().try_fold(root, |table, above| {
            match self.tables[table].1.get(&Self::index(vaddr, above)) {
                Some(&Entry::Table(next)) => Ok(next),
                _ => Err(above),
            }
        })
    }

    fn map_table(&mut self, t: usize, root: usize, vaddr: u64) -> Result<(), Error> {
        if self.table_at[t].is_some() {
            return Err(Error::InvalidCapability);
        }
        let above = self.tables[t].0 + 1;
        let parent = self.walk(root, vaddr, above).map_err(|_| Error::FailedLookup)?;
        let index = Self::index(vaddr, above);
        if self.tables[parent].1.contains_key(&index) {
            return Err(Error::DeleteFirst);
        }
        self.tables[parent].1.insert(index, Entry::Table(t));
        self.table_at[t] = Some((root, vaddr));
        Ok(())
    }

    fn unmap_table(&mut self, t: usize) {
        let Some((root, vaddr)) = self.table_at[t].take() else { return };
        let above = self.tables[t].0 + 1;
        if let Ok(parent) = self.walk(root, vaddr, above) {
            let index = Self::index(vaddr, above);
            if self.tables[parent].1.get(&index) == Some(&Entry::Table(t)) {
                self.tables[parent].1.remove(&index);
            }
        }
        self.tables[t].1.clear();
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
    const LEVELS: [usize; 14] = [3, 3, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0, 0];
    const FRAMES: [usize; 9] = [0, 0, 0, 0, 0, 1, 1, 1, 2];
    const TYPES: [ObjectType; 3] = [ObjectType::PageTable, ObjectType::PageDirectory, ObjectType::Pdpt];
    let mut w = world();
    let table_slot = |t: usize| if t < 2 { VSPACE + t as u64 } else { SPARE + 300 + t as u64 };
    let frame_slot = |f: usize| SPARE + 400 + f as u64;
    for (t, &level) in LEVELS.iter().enumerate().skip(2) {
        w.make(TYPES[level], 0, table_slot(t));
    }
    for (f, &level) in FRAMES.iter().enumerate() {
        derivation::insert_root(&w.k, forge(frame(level as u8, 10 + f as u64)), w.slot(frame_slot(f)));
    }
    let mut model = Model {
        tables: LEVELS.iter().map(|&level| (level, BTreeMap::new())).collect(),
        table_at: vec![None; LEVELS.len()],
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
        let vaddr = below(2) << 39 | below(2) << 30 | below(2) << 21 | below(2) << 12;
        let choice = below(10);
        let (expected, answer) = if choice < 3 {
            let t = 2 + below(LEVELS.len() as u64 - 2) as usize;
            let vaddr = vaddr & !((1 << level_shift(LEVELS[t] + 1)) - 1);
            (model.map_table(t, root, vaddr), map_table(&mut w, table_slot(t), VSPACE + root as u64, vaddr))
        } else if choice < 4 {
            let t = 2 + below(LEVELS.len() as u64 - 2) as usize;
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

        for (t, (level, entries)) in model.tables.iter().enumerate() {
            for index in 0..256 {
                let real = pte(&w, table_slot(t), index);
                match entries.get(&(index as u64)) {
                    None => assert_eq!(real, Pte::EMPTY, "step {step}: table {t}, entry {index}"),
                    Some(&Entry::Table(child)) => {
                        let child = table(w.cap(table_slot(child)));
                        assert!(real.is_table(*level));
                        assert_eq!(real.addr(*level), pecan_arch::virt_to_phys(child.addr()));
                    }
                    Some(&Entry::Frame(f, write)) => {
                        let Cap::Frame { base, .. } = w.cap(frame_slot(f)) else { unreachable!() };
                        assert!(!real.is_table(*level));
                        assert_eq!((real.addr(*level), real.0 >> 1 & 1 == 1), (base, write), "step {step}");
                    }
                }
            }
        }
    }
    assert!(done > steps / 4 && refused > steps / 4, "{done} done, {refused} refused");
}
