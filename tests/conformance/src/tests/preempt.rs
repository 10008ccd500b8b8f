//! Long operations of the kernel: interrupts are served in the middle, and the operation still completes.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pecan::raw::{self, invocations as inv};
use pecan_abi::{CPtr, CapRights, Label, ObjectType, boot::slot};

use super::irq::Timer;
use crate::{
    Env,
    env::{DEPTH, HIGH, ROOT, delete, is_empty, revoke},
    machine,
    snapshot::peek,
    thread::Spaces,
};

tests! {
    a_long_revoke_is_preempted: CNodeRevoke / NoError;
    a_long_deletion_is_preempted: CNodeDelete / NoError;
    zeroing_much_memory_is_preempted: UntypedRetype / NoError;
    a_long_revoke_is_preempted_by_time: CNodeRevoke / NoError;
    a_revoke_that_is_abandoned_leaves_order: CNodeRevoke / NoError, TcbSuspend / NoError;
    cancelling_many_sends_is_complete: CNodeCancelBadgedSends / NoError;
}

static TICKS: AtomicU64 = AtomicU64::new(0);
/// The longest time between two interrupts that were served, in ticks of the time-stamp counter.
static LONGEST: AtomicU64 = AtomicU64::new(0);

/// A driver that counts interrupts of a period of so many microseconds.
fn ticking(env: &Env, us: u64) -> Timer {
    let (handler, notification) = (env.slot(), env.notification());
    inv::irq_control_get_ioapic(slot::IRQ_CONTROL, ROOT, handler, DEPTH, 0, 2, 0, 0, 41).expect("get IOAPIC");
    inv::irq_handler_set_notification(handler, notification).expect("set notification");
    inv::irq_handler_ack(handler).expect("ack");
    TICKS.store(0, Relaxed);
    LONGEST.store(0, Relaxed);
    env.spawn(HIGH, move || {
        let mut last = machine::tsc();
        loop {
            raw::wait(notification);
            let now = machine::tsc();
            TICKS.fetch_add(1, Relaxed);
            LONGEST.fetch_max(now - last, Relaxed);
            last = now;
            inv::irq_handler_ack(handler).expect("ack");
        }
    });
    let timer = Timer::new(env);
    timer.every(us);
    while TICKS.load(Relaxed) < 2 {
        core::hint::spin_loop();
    }
    timer
}

/// Interrupts that were served while a long operation went on.
fn during(operation: impl FnOnce()) -> (u64, u64) {
    let (start, before) = (machine::tsc(), TICKS.load(Relaxed));
    operation();
    (TICKS.load(Relaxed) - before, machine::us_since(start))
}

/// Operations that take less than this many periods prove nothing.
const PERIOD_US: u64 = 100;

#[track_caller]
fn was_preempted((ticks, us): (u64, u64)) {
    assert!(us > 3 * PERIOD_US, "the operation took {us} us only");
    // Each period has its interrupt, give or take what falls on the ends.
    assert!(ticks + 2 >= us / PERIOD_US, "{ticks} interrupts in {us} us, with one every {PERIOD_US} us");
}

/// log2 of the slots of a CNode full of copies.
const RADIX: u8 = 12;
const COPIES: u64 = 1 << RADIX;

/// A capability, and a CNode with a copy of it in each slot.
fn copies(env: &Env) -> (CPtr, CPtr) {
    let (original, cnode) = (env.endpoint(), env.retype_cnode(RADIX.into()));
    for index in 0..COPIES {
        inv::cnode_copy(cnode, index, RADIX, ROOT, original, DEPTH, CapRights::ALL).expect("copy");
    }
    (original, cnode)
}

/// How many slots of the CNode are in use.
fn left(env: &Env, cnode: CPtr) -> usize {
    (0..COPIES).filter(|index| peek(cnode, *index, RADIX, env.end_slot) != 0).count()
}

fn a_long_revoke_is_preempted(env: &Env) {
    let (original, cnode) = copies(env);
    let timer = ticking(env, PERIOD_US);
    let seen = during(|| revoke(original).expect("revoke"));
    timer.stop();
    assert_eq!(left(env, cnode), 0);
    assert!(!is_empty(original));
    was_preempted(seen);
}

fn a_long_deletion_is_preempted(env: &Env) {
    let (_, cnode) = copies(env);
    let timer = ticking(env, PERIOD_US);
    let seen = during(|| delete(cnode).expect("delete"));
    timer.stop();
    assert!(is_empty(cnode));
    was_preempted(seen);
}

fn zeroing_much_memory_is_preempted(env: &Env) {
    // Memory that has been in use is zeroed before it is used again.
    let (untyped, page) = (env.child_untyped(22), env.slot());
    inv::untyped_retype(untyped, ObjectType::LargePage.word(), 0, ROOT, 0, 0, page, 1).expect("retype");
    let rest = env.slot();
    inv::untyped_retype(untyped, ObjectType::LargePage.word(), 0, ROOT, 0, 0, rest, 1).expect("retype");
    delete(page).expect("delete");
    delete(rest).expect("delete");
    let timer = ticking(env, PERIOD_US);
    let seen = during(|| {
        inv::untyped_retype(untyped, ObjectType::LargePage.word(), 0, ROOT, 0, 0, page, 1).expect("retype");
    });
    timer.stop();
    assert!(!is_empty(page));
    was_preempted(seen);
}

fn a_long_revoke_is_preempted_by_time(env: &Env) {
    // The thread that revokes has a budget that runs out in the middle; it goes on in the next period.
    let (original, cnode) = copies(env);
    let thread = env.thread_with(HIGH, env.sched_context(100, 1_000), Spaces::own());
    thread.start(move || u64::from(revoke(original).is_ok()));
    assert!(!thread.has_returned(), "the revoke took less than a budget of 100 us");
    assert_eq!(thread.join(), 1);
    assert_eq!(left(env, cnode), 0);
    assert!(!is_empty(original));
}

fn a_revoke_that_is_abandoned_leaves_order(env: &Env) {
    let (original, cnode) = copies(env);
    let thread = env.thread_with(HIGH, env.sched_context(100, 10_000_000), Spaces::own());
    thread.start(move || u64::from(revoke(original).is_ok()));
    // Stopped in the middle, for want of time.
    assert!(!thread.has_returned());
    inv::tcb_suspend(thread.tcb).expect("suspend");
    let found = left(env, cnode);
    assert!((1..COPIES as usize).contains(&found), "{found} copies are left");
    assert!(!is_empty(original));
    revoke(original).expect("another goes on with it");
    assert_eq!(left(env, cnode), 0);
}

fn cancelling_many_sends_is_complete(env: &Env) {
    let (endpoint, reply) = (env.endpoint(), env.reply());
    let badges: [u64; 2] = [env.mint(endpoint, 1), env.mint(endpoint, 2)];
    for index in 0..8 {
        let badged = badges[index % 2];
        env.spawn(HIGH, move || {
            crate::env::send(badged, 0, &[index as u64]);
            1
        });
    }
    // The capability goes first, so that a send that starts over finds nothing.
    let keep = env.slot();
    inv::cnode_move(ROOT, keep, DEPTH, ROOT, badges[0], DEPTH).expect("move");
    crate::env::invoke_as(ROOT, Label::CNodeCancelBadgedSends, &[], &[keep, DEPTH.into()]).expect("cancel");
    let seen: [u64; 5] = core::array::from_fn(|_| raw::nb_recv(endpoint, reply).badge);
    assert_eq!(seen, [2, 2, 2, 2, 0]);
}
