//! Mappings that have gone stale: a frame or a structure remembers where it was mapped, and something else is there now.
//! And ASIDs that are used up, given back and given again.

use pecan::{
    Error,
    raw::{self, invocations as inv},
};
use pecan_abi::{CPtr, CapRights, ObjectType, boot::slot, constants as c};

use crate::{
    Env,
    env::{DEPTH, HIGH, Mapped, ROOT, delete, is_empty, revoke, send},
    thread::Spaces,
};

tests! {
    a_page_in_anothers_place_is_left_alone: PageUnmap / NoError, CNodeDelete / NoError;
    a_page_in_anothers_place_after_a_directory: PageUnmap / NoError, X86PageDirectoryUnmap / NoError;
    a_page_in_anothers_place_after_a_pdpt: PageUnmap / NoError, X86PdptUnmap / NoError;
    a_table_in_a_large_pages_place_is_left_alone: PageUnmap / NoError;
    a_large_page_in_a_tables_place_is_left_alone: PageUnmap / NoError, PageTableUnmap / NoError;
    a_table_in_anothers_place_is_left_alone: PageTableUnmap / NoError, X86PageDirectoryUnmap / NoError;
    a_page_in_another_vspace_with_the_same_asid: PageUnmap / NoError;
    a_table_in_another_vspace_with_the_same_asid: PageTableUnmap / NoError;
    a_stale_vspace_names_nobody_elses: PageMap / InvalidCapability, CNodeDelete / NoError;
    a_stale_page_is_mapped_again_where_it_was: PageMap / NoError;
    a_stale_page_is_mapped_elsewhere_after_it_is_unmapped: PageMap / InvalidArgument, PageMap / NoError;
    deleting_a_copy_leaves_the_others_mapping: CNodeDelete / NoError;
    what_the_processor_remembers_is_forgotten: PageUnmap / NoError, PageTableUnmap / NoError;
    a_frame_that_is_made_again_is_mapped_nowhere: UntypedRetype / NoError, CNodeRevoke / NoError;
    an_asid_is_given_again: AsidPoolAssign / NoError, AsidPoolAssign / DeleteFirst;
    an_asid_that_is_given_again_means_the_new_vspace;
    every_pool_gives_asids: AsidControlMakePool / DeleteFirst, AsidPoolAssign / NoError;
}

const OWN: CPtr = slot::INIT_THREAD_VSPACE;
const POOL: CPtr = slot::INIT_THREAD_ASID_POOL;
const RW: CapRights = CapRights::READ_WRITE;
/// An address far from everything else.
const AT: u64 = 0x0200_0000_0000;

type Map = fn(CPtr, CPtr, u64, u64) -> pecan::Result<()>;
type Unmap = fn(CPtr) -> pecan::Result<()>;
/// The paging structures, from the top.
const TABLES: [(ObjectType, Map, Unmap); 3] = [
    (ObjectType::Pdpt, inv::pdpt_map, inv::pdpt_unmap),
    (ObjectType::PageDirectory, inv::page_directory_map, inv::page_directory_unmap),
    (ObjectType::PageTable, inv::page_table_map, inv::page_table_unmap),
];

/// Maps the structures from a level on.
#[track_caller]
fn structures(env: &Env, vspace: CPtr, from: usize) -> [CPtr; 3] {
    core::array::from_fn(|level| {
        if level < from {
            return 0;
        }
        let (object_type, map, _) = TABLES[level];
        let table = env.object(object_type);
        map(table, vspace, AT, 0).expect("map a structure");
        table
    })
}

#[track_caller]
fn map(frame: CPtr, vspace: CPtr, at: u64) {
    inv::page_map(frame, vspace, at, RW, 0).expect("map a page");
}

/// A frame is mapped; a structure above it is unmapped, and others come into its place with another frame. Then the first
/// frame is unmapped, or deleted.
fn in_anothers_place(env: &Env, level: usize) {
    env.rounds([false, true], |env, deletes| {
        let (first, second) = (env.frame(), env.frame());
        let tables = structures(env, OWN, 0);
        map(first, OWN, AT);
        Mapped(AT).write(0, 1);
        TABLES[level].2(tables[level]).expect("unmap the structure");
        structures(env, OWN, level);
        map(second, OWN, AT);
        assert_eq!(Mapped(AT).read(0), 0);
        Mapped(AT).write(0, 2);
        if deletes {
            delete(first).expect("delete");
        } else {
            inv::page_unmap(first).expect("unmap");
            assert_eq!(env.map(first).read(0), 1);
        }
        assert_eq!(Mapped(AT).read(0), 2, "the page that is there now was unmapped");
        inv::page_unmap(second).expect("unmap");
        map(second, OWN, AT);
    });
}

fn a_page_in_anothers_place_is_left_alone(env: &Env) {
    in_anothers_place(env, 2);
}

fn a_page_in_anothers_place_after_a_directory(env: &Env) {
    in_anothers_place(env, 1);
}

fn a_page_in_anothers_place_after_a_pdpt(env: &Env) {
    in_anothers_place(env, 0);
}

fn a_table_in_a_large_pages_place_is_left_alone(env: &Env) {
    let (large, frame) = (env.object(ObjectType::LargePage), env.frame());
    let [_, directory, table] = structures(env, OWN, 0);
    inv::page_table_unmap(table).expect("unmap");
    map(large, OWN, AT);
    Mapped(AT).write(0, 1);
    // The directory goes, and another comes, with a table where the large page was.
    inv::page_directory_unmap(directory).expect("unmap");
    structures(env, OWN, 1);
    map(frame, OWN, AT);
    Mapped(AT).write(0, 2);
    inv::page_unmap(large).expect("unmap");
    assert_eq!(Mapped(AT).read(0), 2, "the table that is there now was unmapped");
    map(large, OWN, AT + (1 << 21));
    assert_eq!(Mapped(AT + (1 << 21)).read(0), 1);
}

fn a_large_page_in_a_tables_place_is_left_alone(env: &Env) {
    let (large, frame) = (env.object(ObjectType::LargePage), env.frame());
    let [_, directory, table] = structures(env, OWN, 0);
    map(frame, OWN, AT);
    inv::page_directory_unmap(directory).expect("unmap");
    inv::page_directory_map(directory, OWN, AT, 0).expect("map again");
    map(large, OWN, AT);
    Mapped(AT).write(0, 2);
    inv::page_unmap(frame).expect("unmap");
    inv::page_table_unmap(table).expect("unmap");
    assert_eq!(Mapped(AT).read(0), 2, "the large page was unmapped");
}

fn a_table_in_anothers_place_is_left_alone(env: &Env) {
    let frame = env.frame();
    let [_, directory, table] = structures(env, OWN, 0);
    inv::page_directory_unmap(directory).expect("unmap");
    structures(env, OWN, 1);
    map(frame, OWN, AT);
    Mapped(AT).write(0, 2);
    // Unmapped again, and deleted, both find that they are mapped no more.
    inv::page_table_unmap(table).expect("unmap");
    inv::page_directory_unmap(directory).expect("unmap");
    delete(table).expect("delete");
    delete(directory).expect("delete");
    assert_eq!(Mapped(AT).read(0), 2, "the structures that are there now were unmapped");
}

/// Whether a page is mapped at an address that has structures.
#[track_caller]
fn is_used(env: &Env, vspace: CPtr, at: u64) -> bool {
    let frame = env.frame();
    let mapped = inv::page_map(frame, vspace, at, RW, 0);
    delete(frame).expect("delete");
    match mapped {
        Ok(()) => false,
        Err(error) => {
            assert_eq!(error, Error::DeleteFirst);
            true
        }
    }
}

/// An address space with an ASID that others have had; those have been deleted.
struct Successor {
    vspace: CPtr,
    /// Structures and a frame that were mapped in the first.
    tables: [CPtr; 3],
    frame: CPtr,
}

impl Successor {
    #[track_caller]
    fn new(env: &Env) -> Self {
        let (first, frame) = (env.vspace(), env.frame());
        let tables = structures(env, first, 0);
        map(frame, first, AT);
        delete(first).expect("delete");
        // The lowest ASID that is free is given.
        Successor { vspace: env.vspace(), tables, frame }
    }
}

fn a_page_in_another_vspace_with_the_same_asid(env: &Env) {
    env.rounds([false, true], |env, deletes| {
        let Successor { vspace, frame, .. } = Successor::new(env);
        structures(env, vspace, 0);
        let second = env.frame();
        map(second, vspace, AT);
        if deletes {
            delete(frame).expect("delete");
        } else {
            inv::page_unmap(frame).expect("unmap");
            env.map(frame);
        }
        assert!(is_used(env, vspace, AT), "the page of another address space was unmapped");
    });
}

fn a_table_in_another_vspace_with_the_same_asid(env: &Env) {
    env.rounds([false, true], |env, deletes| {
        let Successor { vspace, tables, .. } = Successor::new(env);
        structures(env, vspace, 0);
        let second = env.frame();
        map(second, vspace, AT);
        for ((.., unmap), table) in TABLES.into_iter().zip(tables).rev() {
            if deletes {
                delete(table).expect("delete");
            } else {
                unmap(table).expect("unmap");
            }
            assert!(is_used(env, vspace, AT), "a structure of another address space was unmapped");
        }
        if !deletes {
            // They are free for another.
            let third = env.vspace();
            for ((_, map, _), table) in TABLES.into_iter().zip(tables) {
                map(table, third, AT, 0).expect("map");
            }
            assert!(!is_used(env, third, AT));
        }
    });
}

/// An ASID pool, and the untyped that it was made of.
#[track_caller]
fn make_pool(env: &Env) -> (CPtr, CPtr) {
    let (untyped, pool) = (env.retype(ObjectType::Untyped, 12, 1), env.slot());
    inv::asid_control_make_pool(slot::ASID_CONTROL, untyped, ROOT, pool, DEPTH).expect("make pool");
    (untyped, pool)
}

#[track_caller]
fn assigned(env: &Env, pool: CPtr) -> CPtr {
    let vspace = env.object(ObjectType::VSPACE);
    inv::asid_pool_assign(pool, vspace).expect("assign");
    vspace
}

fn a_stale_vspace_names_nobody_elses(env: &Env) {
    let (_, pool) = make_pool(env);
    let stale = assigned(env, pool);
    structures(env, stale, 0);
    delete(pool).expect("delete");
    let (frame, pdpt) = (env.frame(), env.object(ObjectType::Pdpt));
    // While there is no pool, the ASID stands for nothing.
    assert!(inv::page_map(frame, stale, AT, RW, 0).is_err());
    let (_, pool) = make_pool(env);
    assert!(inv::page_map(frame, stale, AT, RW, 0).is_err());
    let fresh = assigned(env, pool);
    structures(env, fresh, 0);
    let refused = Err(Error::InvalidCapability { index: 1 });
    assert_eq!(inv::page_map(frame, stale, AT, RW, 0), refused);
    assert_eq!(inv::pdpt_map(pdpt, stale, AT + (1 << 39), 0), refused);
    // It does not get another ASID, and its end does not end the other's.
    assert_eq!(inv::asid_pool_assign(POOL, stale), Err(Error::InvalidCapability { index: 1 }));
    delete(stale).expect("delete");
    map(frame, fresh, AT);
}

fn a_stale_page_is_mapped_again_where_it_was(env: &Env) {
    let frame = env.frame();
    let [.., table] = structures(env, OWN, 0);
    map(frame, OWN, AT);
    Mapped(AT).write(0, 4);
    inv::page_table_unmap(table).expect("unmap");
    structures(env, OWN, 2);
    // It still says where it was, and there it may be.
    map(frame, OWN, AT);
    assert_eq!(Mapped(AT).read(0), 4);
}

fn a_stale_page_is_mapped_elsewhere_after_it_is_unmapped(env: &Env) {
    let frame = env.frame();
    let [.., table] = structures(env, OWN, 0);
    map(frame, OWN, AT);
    inv::page_table_unmap(table).expect("unmap");
    structures(env, OWN, 2);
    env.refused_as(pecan_abi::Error::InvalidArgument, || inv::page_map(frame, OWN, AT + 4096, RW, 0));
    inv::page_unmap(frame).expect("unmap");
    map(frame, OWN, AT + 4096);
    assert!(!is_used(env, OWN, AT));
}

fn deleting_a_copy_leaves_the_others_mapping(env: &Env) {
    let frame = env.frame();
    structures(env, OWN, 0);
    let (copied, further) = (env.copy(frame), env.copy(frame));
    map(frame, OWN, AT);
    map(copied, OWN, AT + 4096);
    Mapped(AT).write(0, 6);
    delete(further).expect("delete one that is not mapped");
    assert_eq!((Mapped(AT).read(0), Mapped(AT + 4096).read(0)), (6, 6));
    delete(frame).expect("delete one that is");
    assert_eq!(Mapped(AT + 4096).read(0), 6);
    assert!(!is_used(env, OWN, AT));
    // A copy of a mapped capability is not mapped itself: unmapping it does nothing.
    let fresh = env.copy(copied);
    inv::page_unmap(fresh).expect("unmap");
    assert_eq!(Mapped(AT + 4096).read(0), 6);
}

fn what_the_processor_remembers_is_forgotten(env: &Env) {
    let (first, second) = (env.frame(), env.frame());
    let [.., table] = structures(env, OWN, 0);
    for (frame, word) in [(first, 1), (second, 2)] {
        env.map(env.copy(frame)).write(0, word);
    }
    // The address is used before and after each change, so that a translation is there to be forgotten.
    for _ in 0..3 {
        map(first, OWN, AT);
        assert_eq!(Mapped(AT).read(0), 1);
        inv::page_unmap(first).expect("unmap");
        map(second, OWN, AT);
        assert_eq!(Mapped(AT).read(0), 2, "the page before was still there");
        inv::page_table_unmap(table).expect("unmap");
        inv::page_unmap(second).expect("unmap");
        inv::page_table_map(table, OWN, AT, 0).expect("map");
    }
}

fn a_frame_that_is_made_again_is_mapped_nowhere(env: &Env) {
    let (untyped, frame) = (env.child_untyped(12), env.slot());
    structures(env, OWN, 0);
    for round in 1..4 {
        inv::untyped_retype(untyped, ObjectType::Page4K.word(), 0, ROOT, 0, 0, frame, 1).expect("retype");
        assert!(!is_used(env, OWN, AT), "a page of the round before is still mapped");
        map(frame, OWN, AT);
        assert_eq!(Mapped(AT).read(0), 0);
        Mapped(AT).write(0, round);
        revoke(untyped).expect("revoke");
        assert!(is_empty(frame));
    }
}

fn an_asid_is_given_again(env: &Env) {
    let (_, pool) = make_pool(env);
    let all: [CPtr; 1 << c::ASID_POOL_INDEX_BITS] = core::array::from_fn(|_| assigned(env, pool));
    let more = env.object(ObjectType::VSPACE);
    assert_eq!(inv::asid_pool_assign(pool, more), Err(Error::DeleteFirst));
    // One in the middle, the first, the last.
    for index in [all.len() / 2, 0, all.len() - 1] {
        delete(all[index]).expect("delete");
        assigned(env, pool);
        assert_eq!(inv::asid_pool_assign(pool, more), Err(Error::DeleteFirst), "after number {index}");
    }
    // It is not assigned yet, so that another pool may.
    inv::asid_pool_assign(POOL, more).expect("assign in another");
}

fn an_asid_that_is_given_again_means_the_new_vspace(env: &Env) {
    // Two address spaces have the same address and, one after the other, the same ASID. A thread in each reads it.
    env.rounds(0..3u64, |env, round| {
        let (vspace, frame, endpoint) = (super::vspace::image_space(env), env.frame(), env.endpoint());
        structures(env, vspace, 0);
        map(frame, vspace, AT);
        env.map(env.copy(frame)).write(0, round + 10);
        let spaces = Spaces { vspace, ..Spaces::own() };
        let thread = env.thread_with(HIGH, env.sched_context(10_000, 10_000), spaces);
        thread.start(move || {
            send(endpoint, 0, &[Mapped(AT).read(0)]);
            1
        });
        let got = raw::recv(endpoint, env.reply()).regs[0];
        assert_eq!(got, round + 10, "a page of an address space that is gone");
    });
}

fn every_pool_gives_asids(env: &Env) {
    // The initial thread's is one of them.
    const MORE: usize = (1 << c::NUM_ASID_POOLS_BITS) - 1;
    let mut pools: [(CPtr, CPtr); MORE] = core::array::from_fn(|_| make_pool(env));
    let (untyped, dest) = (env.child_untyped(12), env.slot());
    let full = || inv::asid_control_make_pool(slot::ASID_CONTROL, untyped, ROOT, dest, DEPTH);
    env.refused(Error::DeleteFirst, full);
    // The address spaces of different pools have different ASIDs: each keeps its page.
    let spaces: [CPtr; MORE] = core::array::from_fn(|index| assigned(env, pools[index].1));
    for vspace in spaces {
        structures(env, vspace, 0);
        map(env.frame(), vspace, AT);
    }
    assert!(spaces.iter().all(|vspace| is_used(env, *vspace, AT)));
    // In whatever order pools go and come, there is room for as many as have gone.
    for index in [2, 0, MORE - 1] {
        let (memory, pool) = pools[index];
        if index == 0 {
            revoke(memory).expect("revoke");
        } else {
            delete(pool).expect("delete");
        }
        pools[index] = make_pool(env);
        env.refused(Error::DeleteFirst, full);
        assigned(env, pools[index].1);
    }
    for (index, vspace) in spaces.into_iter().enumerate() {
        if ![2, 0, MORE - 1].contains(&index) {
            assert!(is_used(env, vspace, AT), "the address space of another pool has lost its page");
        }
    }
}
