//! The checks find what is broken on purpose.

use std::string::ToString;

use pecan_abi::{CapRights, Label, ObjectType, arch::TABLE_LABELS};
use pecan_arch::{PageTableEntry, Pte, level_shift};
use pecan_mem::{
    Cap, Link, PageTable, SchedContext,
    testing::{set_cap, set_entry, set_root},
    vspace::ROOT_LEVEL,
};

use crate::{
    invariants::{Broken, Scratch, check, check_in},
    sched::refill,
    testing::{ASID_CONTROL, CNODE, DEPTH, FREE, TCB, World},
};

fn look(w: &World) -> Result<(), Broken> {
    check(&w.k, &[w.cap(CNODE), w.cap(TCB)])
}

fn breaks(w: &World, how: &str) {
    let broken = look(w).expect_err(how).to_string();
    assert!(broken.contains(how), "{broken}");
}

/// A scheduling context with two refills.
fn sched_context(w: &mut World) -> Link<SchedContext> {
    let Cap::SchedContext { sc, .. } = w.make(ObjectType::SchedContext, 8, FREE) else { panic!("not made") };
    refill::start(sc.get(&w.k), 4, 10_000_000, 30_000_000, 0);
    refill::charge(sc.get(&w.k), 1_000_000);
    assert_eq!((sc.get(&w.k).refill_count.get(), look(w)), (2, Ok(())));
    sc
}

#[test]
fn more_budget_than_there_is_is_found() {
    let mut w = World::new();
    let sc = sched_context(&mut w);
    sc.get(&w.k).refill(1).amount.set(29_000_001);
    breaks(&w, "ticks of");
}

#[test]
fn refills_that_overlap_are_found() {
    let mut w = World::new();
    let sc = sched_context(&mut w);
    sc.get(&w.k).refill(1).time.set(5_000_000);
    breaks(&w, "overlap");
}

#[test]
fn a_wrong_count_of_refills_is_found() {
    let mut w = World::new();
    let sc = sched_context(&mut w);
    sc.get(&w.k).refill_count.set(5);
    breaks(&w, "has 5 refills of 4");
}

/// An address space with a table in it.
fn vspace(w: &mut World) -> Link<PageTable> {
    w.make(ObjectType::Untyped, 12, FREE);
    let made = w.call(ASID_CONTROL, Label::AsidControlMakePool, &[FREE + 1, DEPTH], &[FREE, CNODE]);
    assert_eq!(made, Ok(vec![]));
    w.make_vspace(FREE + 2);
    let level = ROOT_LEVEL - 1;
    w.make_table(level as u8, FREE + 3);
    // The pool's first ASID is the kernel's.
    assert_eq!(w.call(FREE + 1, Label::AsidPoolAssign, &[], &[FREE + 2]), Ok(vec![]));
    assert_eq!(
        w.call(FREE + 3, TABLE_LABELS[level].0, &[5 << level_shift(ROOT_LEVEL), 0], &[FREE + 2]),
        Ok(vec![])
    );
    assert_eq!(look(w), Ok(()));
    let Cap::PageTable { table, .. } = w.cap(FREE + 2) else { panic!("no address space") };
    table
}

#[test]
fn an_entry_without_a_capability_is_found() {
    let mut w = World::new();
    let root = vspace(&mut w);
    let entry = root.get(&w.k).entry(5);
    set_entry(root.get(&w.k), 6, entry);
    breaks(&w, "no capability maps entry 6");
    set_entry(root.get(&w.k), 6, Pte::EMPTY);
    assert_eq!(look(&w), Ok(()));
}

#[test]
fn capabilities_that_differ_about_a_table_are_found() {
    let mut w = World::new();
    let root = vspace(&mut w);
    assert_eq!((w.copy(FREE + 4, FREE + 3, CapRights::ALL), look(&w)), (Ok(vec![]), Ok(())));
    let Cap::PageTable { table, level, mapping } = w.cap(FREE + 3) else { panic!("no table") };
    set_cap(w.slot(FREE + 4).get(&w.k), Cap::PageTable { table, level, mapping: None });
    breaks(&w, "differ");
    set_cap(w.slot(FREE + 4).get(&w.k), Cap::PageTable { table, level, mapping });
    assert_eq!(look(&w), Ok(()));
    // Where a table has no level yet, it is empty.
    let Cap::PageTable { table, level: None, .. } = w.make_table(0, FREE + 5) else { return };
    set_entry(table.get(&w.k), 3, root.get(&w.k).entry(5));
    breaks(&w, "is not empty");
}

#[test]
fn a_dead_address_space_is_found() {
    let mut w = World::new();
    vspace(&mut w);
    let root = w.words(FREE + 2).vspace().map(|(root, _)| root);
    let Cap::AsidPool { pool, .. } = w.cap(FREE + 1) else { panic!("no pool") };
    assert_eq!((w.delete(FREE + 2), look(&w)), (Ok(vec![]), Ok(())));
    // As if deletion had left its ASID.
    set_root(pool.get(&w.k), 3, root);
    breaks(&w, "dead object");
}

#[test]
fn too_little_room_is_no_fault_of_the_kernel() {
    let w = World::new();
    let broken = check_in(&w.k, &[w.cap(CNODE)], &mut Scratch::<4>::new()).unwrap_err();
    assert!(broken.no_room && broken.to_string().contains("no room"), "{broken}");
}

#[test]
fn a_long_text_is_cut() {
    let broken = Broken::new(format_args!("{:300}!", "a"));
    assert_eq!(broken.to_string().len(), 256);
}
