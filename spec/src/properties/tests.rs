//! Each property refuses what it is there to refuse.

use super::*;
use crate::{
    families::find,
    model::{Held, Slot},
    system::System,
};

fn system(family: &str) -> System {
    (find(family).expect("there is such a family").system)()
}

/// The object of this name in stories.
fn called(system: &System, what: &str) -> Name {
    *system.names().iter().find(|(_, name)| *name == what).expect("there is such an object").0
}

const YIELD: Event = Event::Syscall(Call::new(Syscall::Yield, 0));

#[test]
fn a_thread_that_is_forgotten_is_noticed() {
    let mut s = system("messages").state();
    assert_eq!(liveness(&s), Ok(()));
    s.ready.clear();
    assert!(liveness(&s).is_err());
}

#[test]
fn a_thread_that_is_ready_twice_is_noticed() {
    let mut s = system("messages").state();
    let current = s.current.unwrap();
    s.waiting_for_budget.push(current);
    assert!(liveness(&s).is_err());
}

#[test]
fn the_thread_that_runs_must_be_the_first() {
    let mut s = system("messages").state();
    s.current = s.threads.keys().copied().find(|&t| Some(t) != s.current);
    assert!(liveness(&s).unwrap_err().contains("another thread"));
}

#[test]
fn who_is_ready_has_budget_and_who_waits_has_none() {
    let (mut s, mut waits) = (system("budgets").state(), system("budgets").state());
    assert_eq!(liveness(&s), Ok(()));
    let current = s.current.unwrap();
    let sc = s.threads[&current].sc.unwrap();
    s.contexts.get_mut(&sc).unwrap().refills[0].time = 1_000_000;
    assert!(liveness(&s).unwrap_err().contains("has no budget"));

    let Thread { domain, priority, .. } = waits.threads[&current];
    waits.ready.get_mut(&(domain, priority)).unwrap().retain(|&t| t != current);
    waits.waiting_for_budget.push(current);
    assert!(liveness(&waits).unwrap_err().contains("has budget and waits"));
}

#[test]
fn a_capability_to_nothing_and_an_object_without_capabilities_are_noticed() {
    let system = &mut system("messages");
    let s = system.state();
    assert_eq!(capabilities(&s), Ok(()));
    let (ep, reply) = (called(system, "ep"), called(system, "reply"));
    let mut gone = s.clone();
    gone.endpoints.remove(&ep);
    assert!(capabilities(&gone).unwrap_err().contains("is no more"));
    let mut lost = s.clone();
    lost.caps.retain(|_, held| !matches!(held.cap, Cap::Reply { reply: r, .. } if r == reply));
    assert!(capabilities(&lost).unwrap_err().contains("no capability names"));
    let mut orphan = s.clone();
    let (&child, _) = s.caps.iter().find(|(_, held)| held.parent.is_some()).unwrap();
    orphan.caps.get_mut(&child).unwrap().parent.as_mut().unwrap().index = 999;
    assert!(capabilities(&orphan).unwrap_err().contains("descends from none"));
}

#[test]
fn refills_that_come_back_too_late_are_noticed() {
    let mut s = system("budgets").state();
    assert_eq!(refills(&s), Ok(()));
    let name = *s.contexts.iter().find(|(_, c)| c.period > 0).unwrap().0;
    let context = s.contexts.get_mut(&name).unwrap();
    let (half, period) = (context.refills[0].amount / 2, context.period);
    context.refills = vec![Refill { time: 0, amount: half }, Refill { time: period + 1, amount: half }];
    assert!(refills(&s).is_err());
}

/// A scheduling context with these refills: time and amount.
fn context(period: i64, refills: &[(i64, i64)], consumed: i64) -> SchedContext {
    let refills = refills.iter().map(|&(time, amount)| Refill { time, amount }).collect();
    SchedContext { max_refills: 4, period, refills, consumed, ..SchedContext::default() }
}

#[test]
fn used_budget_comes_back_after_its_period() {
    let (used, period) = (60_000, 250_000);
    let old = context(period, &[(0, 100_000)], 0);
    let spent = |refills: &[(i64, i64)], consumed| {
        budget(&old, true, used, used, &context(period, refills, consumed)).err()
    };
    assert_eq!(spent(&[(0, 40_000), (190_000, 60_000)], used), None);
    assert_eq!(spent(&[(0, 40_000), (190_000, 50_000)], used), Some("budget was made or lost"));
    assert_eq!(spent(&[(0, 100_000)], used), Some("used budget comes back before its period is over"));
    let early = spent(&[(0, 40_000), (100_000, 60_000)], used);
    assert_eq!(early, Some("used budget comes back before its period is over"));
    assert_eq!(spent(&[(300_000, 100_000)], used), Some("budget comes back later than its period says"));
    let unaccounted = spent(&[(0, 40_000), (190_000, 60_000)], 30_000);
    assert_eq!(unaccounted, Some("what was consumed is not the time that has passed"));
}

#[test]
fn budget_that_is_not_used_stays() {
    let old = context(250_000, &[(0, 40_000), (190_000, 60_000)], 0);
    let rests = |refills: &[(i64, i64)]| budget(&old, false, 50_000, 0, &context(250_000, refills, 0)).err();
    assert_eq!(rests(&[(0, 40_000), (140_000, 60_000)]), None);
    assert_eq!(
        rests(&[(0, 60_000), (140_000, 40_000)]),
        Some("used budget comes back before its period is over")
    );
    assert_eq!(rests(&[(140_000, 100_000)]), Some("budget comes back later than its period says"));
}

#[test]
fn a_slice_is_used_up_by_the_time_that_passes() {
    let old = context(0, &[(0, 70_000), (0, 30_000)], 0);
    let runs =
        |refills: &[(i64, i64)]| budget(&old, true, 20_000, 20_000, &context(0, refills, 20_000)).err();
    assert_eq!(runs(&[(0, 50_000), (0, 50_000)]), None);
    assert_eq!(runs(&[(0, 100_000), (0, 0)]), None);
    assert_eq!(runs(&[(0, 70_000), (0, 30_000)]), Some("a slice is not as long as what is left of it"));
    let rests = context(0, &[(0, 100_000), (0, 0)], 0);
    assert!(budget(&old, false, 20_000, 0, &rests).is_err());
}

#[test]
fn a_step_of_time_is_charged() {
    let before = system("budgets").state();
    let event = Event::Tick { ticks: 50_000 };
    let (after, _) = model::step(&before, &event);
    assert_eq!(budgets(&before, &event, 50_000, &after), Ok(()));
    let sc = before.threads[&before.current.unwrap()].sc.unwrap();
    let mut uncharged = after.clone();
    uncharged.contexts.get_mut(&sc).unwrap().refills = before.contexts[&sc].refills.clone();
    assert!(budgets(&before, &event, 50_000, &uncharged).is_err());
}

/// Two parts, a state of them, and one thread of the part that does not run.
fn partition() -> (Parts, State, Name, Name) {
    let mut system = system("partition");
    let (before, keeper) = (system.state(), system.keeper());
    let parts = Parts::of(&before, keeper).expect("it has two parts");
    let own = parts.part[&before.current.unwrap()];
    let other = *before.threads.keys().find(|t| parts.part[t] != own).unwrap();
    (parts, before, other, keeper)
}

#[test]
fn a_step_into_another_part_is_noticed() {
    let (mut parts, before, other, keeper) = partition();
    assert_eq!(parts.check(&before, &YIELD, &before, keeper), Ok(()));
    let mut after = before.clone();
    after.threads.get_mut(&other).unwrap().registers[model::register::CAP] = 1;
    assert!(parts.check(&before, &YIELD, &after, keeper).unwrap_err().contains("has no say"));
    let mut idle = before.clone();
    idle.current = None;
    assert!(parts.check(&idle, &YIELD, &after, keeper).is_err());
}

#[test]
fn a_word_in_the_buffer_of_another_part_is_noticed() {
    let (mut parts, before, other, keeper) = partition();
    let mut after = before.clone();
    after.memory.insert(buffer(&before, other).unwrap().start + 64, 7);
    assert!(parts.check(&before, &YIELD, &after, keeper).unwrap_err().contains("has no say"));
}

#[test]
fn a_capability_to_another_part_is_noticed() {
    let (mut parts, before, other, keeper) = partition();
    let own = parts.part[&before.current.unwrap()];
    let in_part = |part: usize| {
        let within = |slot: &Slot| parts.part.get(&slot.object) == Some(&part);
        let endpoint = |held: &Held| matches!(held.cap, Cap::Endpoint { .. });
        before.caps.iter().find(|(slot, held)| within(slot) && endpoint(held)).unwrap()
    };
    let mut after = before.clone();
    after.caps.insert(*in_part(own).0, *in_part(parts.part[&other]).1);
    assert!(parts.check(&before, &YIELD, &after, keeper).unwrap_err().contains("are connected"));
}

#[test]
fn what_another_part_says_is_noticed() {
    let (mut parts, before, other, keeper) = partition();
    assert_eq!(parts.check(&before, &YIELD, &before, keeper), Ok(()));
    // The same, but for the other part; and something else comes of it.
    let mut elsewhere = before.clone();
    elsewhere.threads.get_mut(&other).unwrap().mcp = 1;
    parts.leave(&elsewhere);
    assert_eq!(parts.check(&elsewhere, &YIELD, &elsewhere, keeper), Ok(()));
    let mut after = elsewhere.clone();
    after.threads.get_mut(&before.current.unwrap()).unwrap().registers[model::register::CAP] = 1;
    assert!(parts.check(&elsewhere, &YIELD, &after, keeper).unwrap_err().contains("depends on a part"));
}
