//! Tables that have no level of their own: they are of the level at which they are mapped.
#![cfg(not(pecan_arch = "x86_64"))]

use pecan_arch::{KERNEL_ROOT_ENTRIES, PT_INDEX_BITS};

use super::*;

/// Tables to map, in addition to those of [`world`].
const A: u64 = SPARE + 10;
const B: u64 = SPARE + 11;
const C: u64 = SPARE + 12;

fn level(w: &World, slot: u64) -> Option<usize> {
    let Cap::PageTable { level, .. } = w.cap(slot) else { panic!("no page table") };
    level.map(usize::from)
}

fn is_empty(w: &World, slot: u64) -> bool {
    (0..1 << PT_INDEX_BITS).all(|index| pte(w, slot, index) == Pte::EMPTY)
}

/// A world with tables A, B and C, which are not mapped.
fn with_tables() -> World {
    let mut w = world();
    for slot in [A, B, C] {
        w.make_table(0, slot);
    }
    w
}

#[test]
fn a_table_is_of_the_level_at_which_it_is_mapped() {
    let mut w = with_tables();
    let labels = labels(&w, A);
    // Whichever comes first is the uppermost: none is missing above.
    for (n, level) in (0..ROOT_LEVEL).rev().enumerate() {
        let slot = TABLES + n as u64;
        assert_eq!((super::labels(&w, slot), self::level(&w, slot)), (labels, None));
        assert_eq!(map_table(&mut w, slot, VSPACE, 0x4020_1fff), OK);
        assert_eq!(self::level(&w, slot), Some(level));
        let Cap::PageTable { mapping, .. } = w.cap(slot) else { unreachable!() };
        let vaddr = 0x4020_1fff & !((1 << level_shift(level + 1)) - 1);
        assert_eq!(mapping, Some(Mapping { asid: 512, vaddr }));
        w.fails((slot, labels.0), &[0, 0], &[VSPACE], Error::InvalidCapability, &[0]);
        w.check();
    }
    w.fails((A, labels.0), &[0x4020_1000, 0], &[VSPACE], Error::DeleteFirst, &[]);
    // Beside, below each of those.
    for (slot, vaddr, level) in [(A, 0x4040_0000, 0), (B, 0x8000_0000, 1), (C, 0x8000_0000, 0)] {
        assert_eq!(map_table(&mut w, slot, VSPACE, vaddr), OK);
        assert_eq!(self::level(&w, slot), Some(level));
    }
    w.check();
}

#[test]
fn frames_are_mapped_at_each_level() {
    let mut w = with_tables();
    let (huge, large, small) = (2 << 30, (2 << 30) + (2 << 21), 0x3000);
    if ROOT_LEVEL == 3 {
        w.fails((HUGE, Label::PageMap), &[huge, RW, 0], &[VSPACE], Error::FailedLookup, &[0, 2, 39]);
        assert_eq!(map_table(&mut w, A, VSPACE, 0), OK);
    }
    let root = if ROOT_LEVEL == 3 { A } else { VSPACE };
    assert_eq!(map(&mut w, HUGE, VSPACE, huge, RW), OK);
    maps(&w, pte(&w, root, 2), HUGE, READ_WRITE);
    // It is in the way of a table, and of smaller frames.
    w.fails((B, labels(&w, B).0), &[huge, 0], &[VSPACE], Error::DeleteFirst, &[]);
    w.fails((LARGE, Label::PageMap), &[large, RW, 0], &[VSPACE], Error::FailedLookup, &[0, 2, 30]);
    assert_eq!(unmap(&mut w, HUGE), OK);
    assert_eq!(map_table(&mut w, B, VSPACE, huge), OK);
    assert_eq!(map(&mut w, LARGE, VSPACE, large, RW), OK);
    maps(&w, pte(&w, B, 2), LARGE, READ_WRITE);
    w.fails((HUGE, Label::PageMap), &[huge, RW, 0], &[VSPACE], Error::DeleteFirst, &[]);
    w.fails((C, labels(&w, C).0), &[large, 0], &[VSPACE], Error::DeleteFirst, &[]);
    assert_eq!(map_table(&mut w, C, VSPACE, huge), OK);
    assert_eq!(map(&mut w, PAGE, VSPACE, huge + small, RW), OK);
    maps(&w, pte(&w, C, 3), PAGE, READ_WRITE);
    w.check();
}

#[test]
fn an_unmapped_table_is_empty_and_can_be_of_another_level() {
    let mut w = with_tables();
    map_tables(&mut w);
    let upper = table_at(1);
    assert_eq!(map(&mut w, LARGE, VSPACE, 0x20_0000, RW), OK);
    assert_eq!(map(&mut w, PAGE, VSPACE, 0x1000, RW), OK);
    assert_eq!(unmap_table(&mut w, upper), OK);
    assert_eq!(host::machine().flush_log.borrow().back(), Some(&(512, None)));
    assert!(is_empty(&w, upper) && level(&w, upper).is_none());
    // What was mapped below it still says so, and is nowhere.
    assert_eq!((level(&w, PT), pte(&w, PT, 1).is_present()), (Some(0), true));
    // In the other order, in the other address space: what was above is below.
    for slot in [A, B, C].into_iter().take(ROOT_LEVEL - 1).chain([upper]) {
        assert_eq!(map_table(&mut w, slot, VSPACE2, 0), OK);
        w.check();
    }
    assert_eq!(level(&w, upper), Some(0));
    assert_eq!(map(&mut w, PAGE2, VSPACE2, 0x20_0000, RW).map_err(|e| e.0), Err(Error::FailedLookup));
    assert_eq!(map(&mut w, PAGE2, VSPACE2, 0x1000, RW), OK);
    // Nor does the end of the old mappings disturb the new ones.
    let there = pte(&w, upper, 1);
    for slot in [LARGE, PAGE] {
        assert_eq!(unmap(&mut w, slot), OK);
    }
    assert_eq!(unmap_table(&mut w, PT), OK);
    assert!(is_empty(&w, PT) && level(&w, PT).is_none() && pte(&w, upper, 1) == there);
    assert_eq!(map_table(&mut w, PT, VSPACE, 0), OK);
    w.check();
}

#[test]
fn deleting_unmaps_with_the_last_capability() {
    let mut w = with_tables();
    map_tables(&mut w);
    assert_eq!(map(&mut w, PAGE, VSPACE, 0x1000, RW), OK);
    assert_eq!(w.copy(SPARE, PT, CapRights::ALL), OK);
    assert_eq!((w.cap(SPARE), level(&w, PT)), (w.cap(PT), Some(0)));
    assert_eq!(w.delete(PT), OK);
    assert!(pte(&w, table_at(1), 0).is_present(), "there is another one");
    assert_eq!(unmap_table(&mut w, SPARE), OK, "which is the only one now");
    assert_eq!((level(&w, SPARE), pte(&w, table_at(1), 0)), (None, Pte::EMPTY));
    assert_eq!(map_table(&mut w, SPARE, VSPACE, 0), OK);
    assert_eq!(w.delete(SPARE), OK);
    assert_eq!(pte(&w, table_at(1), 0), Pte::EMPTY);
    // The upper one with what is below.
    assert_eq!(map_table(&mut w, A, VSPACE, 0), OK);
    assert_eq!(w.delete(table_at(1)), OK);
    w.check();
    assert_eq!(unmap_table(&mut w, A), OK);
    assert_eq!(map_table(&mut w, A, VSPACE, 0), OK);
    assert_eq!(level(&w, A), Some(1));
    // With all memory, and it can be used again.
    assert_eq!(w.revoke(UNTYPED_2M), OK);
    assert_eq!((w.cap(A), w.cap(VSPACE)), (Cap::Null, Cap::Null));
    w.check();
    w.make_table(0, A);
    assert!(is_empty(&w, A) && level(&w, A).is_none());
    w.check();
}

#[test]
fn nothing_is_mapped_below_itself() {
    let mut w = with_tables();
    let (map_table_label, unmap_table_label) = labels(&w, A);
    // A table that is not the root of an address space stands for none, mapped or not.
    w.fails((A, map_table_label), &[0, 0], &[A], Error::InvalidCapability, &[1]);
    assert_eq!(map_table(&mut w, A, VSPACE, 0), OK);
    assert_eq!(w.copy(SPARE, A, CapRights::ALL), OK);
    for (slot, vspace) in [(A, A), (SPARE, A), (A, SPARE), (A, VSPACE), (SPARE, VSPACE)] {
        w.fails((slot, map_table_label), &[1 << 30, 0], &[vspace], Error::InvalidCapability, &[0]);
    }
    w.fails((B, map_table_label), &[0, 0], &[SPARE], Error::InvalidCapability, &[1]);
    // Roots belong nowhere.
    assert_eq!(w.copy(SPARE + 1, VSPACE, CapRights::ALL), OK);
    for (slot, vspace) in [(VSPACE, VSPACE), (SPARE + 1, VSPACE), (VSPACE, VSPACE2), (VSPACE2, VSPACE)] {
        let (error, details): (_, &[u64]) = if has_own_type(ROOT_LEVEL) {
            (Error::IllegalOperation, &[])
        } else {
            (Error::InvalidCapability, &[0])
        };
        w.fails((slot, map_table_label), &[1 << 30, 0], &[vspace], error, details);
    }
    let error = if has_own_type(ROOT_LEVEL) { Error::IllegalOperation } else { Error::RevokeFirst };
    w.fails((VSPACE2, unmap_table_label), &[], &[], error, &[]);
    w.check();
}

/// On RISC-V a root is a table as any other.
#[test]
fn a_table_is_a_root_or_mapped_but_not_both() {
    let mut w = with_tables();
    let assign = (POOL, Label::AsidPoolAssign);
    let (_, unmap_label) = labels(&w, A);
    assert_eq!(map_table(&mut w, A, VSPACE, 0), OK);
    w.fails(assign, &[], &[A], Error::InvalidCapability, &[1]);
    assert_eq!(unmap_table(&mut w, A), OK);
    if has_own_type(ROOT_LEVEL) {
        return w.fails(assign, &[], &[A], Error::InvalidCapability, &[1]);
    }
    // How many of the kernel's entries are there.
    let kernel = |w: &World, slot| {
        let is_there = |index: &&usize| pte(w, slot, **index) == pecan_arch::kernel_root_entry(**index);
        KERNEL_ROOT_ENTRIES.iter().filter(is_there).count()
    };
    // It has been mapped, and becomes a root, in which the kernel is.
    assert!(is_empty(&w, A) && kernel(&w, A) == 0);
    assert_eq!(w.call(POOL, Label::AsidPoolAssign, &[], &[A]), OK);
    assert_eq!((level(&w, A), kernel(&w, A)), (Some(ROOT_LEVEL), KERNEL_ROOT_ENTRIES.len()));
    w.fails(assign, &[], &[A], Error::InvalidCapability, &[1]);
    w.fails((A, unmap_label), &[], &[], Error::RevokeFirst, &[]);
    assert_eq!(map_table(&mut w, B, A, 0), OK);
    w.check();
    // A thread is in it, while its identifier goes: the thread has no address space.
    let slot = w.thread.get(&w.k).slots[Tcb::SLOT_VSPACE].link();
    derivation::insert(&w.k, w.words(A), w.slot(A), slot);
    unmap::refresh(&w.k);
    assert_eq!(host::machine().vspace.get().map(|(_, asid)| asid), Some(514));
    assert_eq!(w.delete(POOL), OK);
    w.fails((A, unmap_label), &[], &[], Error::RevokeFirst, &[]);
    derivation::remove(&w.k, slot);
    // The root is none any more, and can be mapped: nothing of what it was is in it.
    assert_eq!(unmap_table(&mut w, A), OK);
    assert!(is_empty(&w, A) && level(&w, A).is_none());
    assert_eq!(host::machine().vspace.get(), None);
    make_pool(&mut w, 1, POOL);
    w.make_vspace(SPARE);
    assert_eq!(w.call(POOL, Label::AsidPoolAssign, &[], &[SPARE]), OK);
    for (slot, level) in [(C, ROOT_LEVEL - 1), (A, 0)] {
        assert_eq!(map_table(&mut w, slot, SPARE, 0), OK);
        assert_eq!(self::level(&w, slot), Some(level));
    }
    assert_eq!(map(&mut w, PAGE, SPARE, 0x1000, RW), OK);
    // What was below it is nowhere.
    assert_eq!((level(&w, B), unmap_table(&mut w, B), level(&w, B)), (Some(1), OK, None));
    w.check();
}
