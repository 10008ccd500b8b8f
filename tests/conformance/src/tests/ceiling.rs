//! Priority ceilings: what the maximum controlled priority of an authority allows, whoever uses it on whom.

use pecan::{
    Error,
    raw::invocations as inv,
};
use pecan_abi::{CPtr, Error as Kind, boot::slot};

use crate::{
    Env,
    env::{HIGH, LOW, MIDDLE, TEST, delete},
};

tests! {
    every_priority_under_every_ceiling: TcbSetPriority / NoError, TcbSetPriority / RangeError;
    every_ceiling_under_every_ceiling: TcbSetMcPriority / NoError, TcbSetMcPriority / RangeError;
    both_at_once_under_every_ceiling: TcbSetSchedParams / NoError, TcbSetSchedParams / RangeError;
    the_ceiling_is_the_authoritys_not_the_callers: TcbSetPriority / NoError, TcbSetSchedParams / NoError;
    the_threads_own_priority_does_not_matter: TcbSetPriority / NoError, TcbSetPriority / RangeError;
    a_priority_may_be_above_the_threads_own_ceiling: TcbSetPriority / NoError;
    a_new_thread_is_an_authority_for_nothing: TcbSetPriority / RangeError, TcbSetMcPriority / RangeError;
    lowering_ones_own_ceiling_is_final: TcbSetMcPriority / RangeError;
    an_authority_must_be_a_thread: TcbSetPriority / InvalidCapability, TcbSetMcPriority / InvalidCapability,
        TcbSetSchedParams / InvalidCapability;
    a_refused_change_changes_nothing: TcbSetSchedParams / RangeError;
    yielding_is_allowed_up_to_the_ceiling: SchedContextYieldTo / NoError, SchedContextYieldTo / IllegalOperation;
}

const AUTHORITY: CPtr = slot::INIT_THREAD_TCB;
const CEILINGS: [u64; 6] = [0, 1, 99, 100, 254, 255];

/// A thread that may give priorities up to this.
#[track_caller]
fn authority(env: &Env, ceiling: u64) -> CPtr {
    let tcb = env.tcb();
    inv::tcb_set_mc_priority(tcb, AUTHORITY, ceiling).expect("set MCP");
    tcb
}

/// Tries every value under every ceiling: TCB, authority, value.
fn under_every_ceiling(env: &Env, set: impl Fn(CPtr, CPtr, u64) -> pecan::Result<()>) {
    for ceiling in CEILINGS {
        let (tcb, authority) = (env.tcb(), authority(env, ceiling));
        for value in (0..258).chain([1 << 8 | ceiling, 1 << 32, 1 << 63, u64::MAX]) {
            let expected = if value <= ceiling { Ok(()) } else { Err(Error::RangeError { min: 0, max: ceiling }) };
            assert_eq!(set(tcb, authority, value), expected, "{value} under {ceiling}");
        }
    }
}

fn every_priority_under_every_ceiling(env: &Env) {
    under_every_ceiling(env, inv::tcb_set_priority);
}

fn every_ceiling_under_every_ceiling(env: &Env) {
    under_every_ceiling(env, inv::tcb_set_mc_priority);
}

fn both_at_once_under_every_ceiling(env: &Env) {
    under_every_ceiling(env, |tcb, authority, value| inv::tcb_set_sched_params(tcb, authority, value, 0, 0, 0));
    under_every_ceiling(env, |tcb, authority, value| inv::tcb_set_sched_params(tcb, authority, 0, value, 0, 0));
    // The ceiling that is set does not yet count for the priority beside it, not even where the thread is its own authority.
    let own = authority(env, 50);
    inv::tcb_set_sched_params(own, own, 10, 50, 0, 0).expect("a priority above the new ceiling");
    assert_eq!(inv::tcb_set_priority(own, own, 11), Err(Error::RangeError { min: 0, max: 10 }));
}

fn the_ceiling_is_the_authoritys_not_the_callers(env: &Env) {
    // The caller may give no priority at all; the authority that it names may.
    let (target, caller) = (env.thread(LOW), env.thread(MIDDLE));
    target.start(|| 5);
    inv::tcb_set_mc_priority(caller.tcb, AUTHORITY, 0).expect("set MCP");
    caller.start(move || {
        let own = inv::tcb_set_priority(target.tcb, caller.tcb, 1);
        let others = inv::tcb_set_priority(target.tcb, AUTHORITY, HIGH);
        u64::from(own == Err(Error::RangeError { min: 0, max: 0 }) && others.is_ok())
    });
    assert_eq!((caller.join(), target.join()), (1, 5));
    assert_eq!(inv::tcb_set_sched_params(target.tcb, AUTHORITY, 255, 255, target.sc, 0), Ok(()));
}

fn the_threads_own_priority_does_not_matter(env: &Env) {
    let (low, tcb) = (authority(env, 50), env.tcb());
    inv::tcb_set_sched_params(tcb, AUTHORITY, 255, 200, 0, 0).expect("set scheduling parameters");
    assert_eq!(inv::tcb_set_priority(tcb, low, 51), Err(Error::RangeError { min: 0, max: 50 }));
    assert_eq!(inv::tcb_set_priority(tcb, low, 50), Ok(()), "one above the ceiling can be lowered");
    assert_eq!(inv::tcb_set_mc_priority(tcb, low, 50), Ok(()));
    assert_eq!(inv::tcb_set_priority(tcb, tcb, 51), Err(Error::RangeError { min: 0, max: 50 }));
}

fn a_priority_may_be_above_the_threads_own_ceiling(env: &Env) {
    let thread = env.thread(LOW);
    inv::tcb_set_mc_priority(thread.tcb, AUTHORITY, 1).expect("set MCP");
    thread.start(|| 4);
    assert!(!thread.has_returned());
    inv::tcb_set_priority(thread.tcb, AUTHORITY, HIGH).expect("set priority");
    assert!(thread.has_returned(), "its priority was bounded by its own ceiling");
}

fn a_new_thread_is_an_authority_for_nothing(env: &Env) {
    let (new, tcb) = (env.tcb(), env.tcb());
    let range = Err(Error::RangeError { min: 0, max: 0 });
    assert_eq!((inv::tcb_set_priority(tcb, new, 1), inv::tcb_set_mc_priority(tcb, new, 1)), (range, range));
    assert_eq!((inv::tcb_set_priority(tcb, new, 0), inv::tcb_set_mc_priority(tcb, new, 0)), (Ok(()), Ok(())));
}

fn lowering_ones_own_ceiling_is_final(env: &Env) {
    let own = authority(env, 255);
    for ceiling in [254, 100, 1, 0] {
        inv::tcb_set_mc_priority(own, own, ceiling).expect("lower");
        let range = Err(Error::RangeError { min: 0, max: ceiling });
        assert_eq!(inv::tcb_set_mc_priority(own, own, ceiling + 1), range);
        assert_eq!(inv::tcb_set_priority(own, own, ceiling + 1), range);
        assert_eq!(inv::tcb_set_sched_params(own, own, ceiling + 1, 0, 0, 0), range);
    }
}

fn an_authority_must_be_a_thread(env: &Env) {
    let (tcb, gone) = (env.tcb(), env.tcb());
    delete(gone).expect("delete");
    let others = [env.endpoint(), env.notification(), env.cnode(2).cap, env.sched_context(1_000, 1_000), gone, slot::NULL];
    for other in others {
        let refused = Error::InvalidCapability { index: 1 };
        env.refused(refused, || inv::tcb_set_priority(tcb, other, 0));
        env.refused(refused, || inv::tcb_set_mc_priority(tcb, other, 0));
        env.refused(refused, || inv::tcb_set_sched_params(tcb, other, 0, 0, 0, 0));
        // Even for what would be out of range.
        env.refused(refused, || inv::tcb_set_priority(tcb, other, 256));
    }
}

fn a_refused_change_changes_nothing(env: &Env) {
    let (low, thread) = (authority(env, 50), env.thread(LOW));
    thread.start(|| 6);
    let (free, endpoint) = (env.sched_context(1_000, 1_000), env.endpoint());
    for (ceiling, priority) in [(51, 50), (50, 51), (256, 1), (1, 256)] {
        let set = || inv::tcb_set_sched_params(thread.tcb, low, ceiling, priority, thread.sc, endpoint);
        assert_eq!(set(), Err(Error::RangeError { min: 0, max: 50 }));
        // Nor where another parameter is wrong, too: ceiling and priority come first.
        let set = || inv::tcb_set_sched_params(thread.tcb, low, ceiling, priority, endpoint, free);
        assert_eq!(set().err().and_then(|error| error.kind()), Some(Kind::RangeError));
    }
    // It has the priority, the ceiling and the scheduling context that it had.
    assert_eq!(inv::tcb_set_priority(env.tcb(), thread.tcb, LOW), Ok(()));
    let range = Err(Error::RangeError { min: 0, max: LOW });
    assert_eq!(inv::tcb_set_priority(env.tcb(), thread.tcb, LOW + 1), range);
    let (below, above) = (env.spawn(LOW - 1, || 1), env.spawn(LOW + 1, || 2));
    assert_eq!(below.join(), 1);
    assert!(above.has_returned() && thread.has_returned());
}

fn yielding_is_allowed_up_to_the_ceiling(env: &Env) {
    for (priority, ceiling, expected) in [(MIDDLE, MIDDLE, true), (MIDDLE, MIDDLE - 1, false), (MIDDLE, 255, true)] {
        let (target, yielder) = (env.thread(priority), env.thread(TEST));
        inv::tcb_set_mc_priority(yielder.tcb, AUTHORITY, ceiling).expect("set MCP");
        let sc = target.sc;
        yielder.start(move || u64::from(inv::sched_context_yield_to(sc).is_ok()));
        assert_eq!(yielder.join(), u64::from(expected), "priority {priority}, ceiling {ceiling}");
    }
}
