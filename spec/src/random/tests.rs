//! What random runs come to, and whether what differs is told in short.

use std::sync::atomic::AtomicU64;

use super::*;
use crate::model::Doing;

/// The story of the first run that breaks a rule, and how many events it has.
fn story(rule: Rule) -> (String, usize) {
    let report = run_with(1.., Duration::MAX, rule);
    let story = report.broken.expect("it goes on until the rule is broken");
    let numbers = story.lines().filter_map(|line| line.trim_start().split_once(". "));
    let length = numbers.filter(|(number, _)| number.parse::<usize>().is_ok()).count();
    (story, length)
}

#[test]
fn what_one_event_does_is_told_with_one_event() {
    if crate::is_fast() {
        return;
    }
    let (story, length) = story(|before, _, after| {
        let gets_98 = |(name, old): (_, &crate::model::Thread)| {
            old.priority != 98 && after.threads.get(name).is_some_and(|new| new.priority == 98)
        };
        if before.threads.iter().any(gets_98) { Err("a thread gets priority 98\n".into()) } else { Ok(()) }
    });
    assert_eq!(length, 1, "{story}");
    assert!(story.contains("words [62]") && story.contains("gets priority 98"), "{story}");
    assert!(story.contains(&format!("{:?}", Shape::SMALL)), "{story}");
}

#[test]
fn what_needs_many_events_is_told_with_few() {
    if crate::is_fast() {
        return;
    }
    // A client calls a server, and that another one.
    let (story, length) = story(|_, _, after| match after.contexts.values().find(|c| c.calls.len() > 1) {
        Some(_) => Err("a scheduling context is lent on\n".into()),
        None => Ok(()),
    });
    assert!((2..=8).contains(&length), "{story}");
}

#[test]
fn long_operations_are_stopped_half_way() {
    if crate::is_fast() {
        return;
    }
    static STOPPED: AtomicU64 = AtomicU64::new(0);
    let report = run_with(1..=60, Duration::MAX, |before, event, after| {
        let restarts = before
            .current
            .is_some_and(|t| after.threads.get(&t).is_some_and(|t| t.doing == Doing::Restarting));
        let stopped = restarts && matches!(event, Event::Stopped { .. });
        STOPPED.fetch_add(stopped.into(), Relaxed);
        Ok(())
    });
    assert_eq!(report.broken, None);
    assert!(STOPPED.load(Relaxed) > 0);
}

#[test]
fn a_seed_stands_for_a_run() {
    let steps = || run([7].into_iter(), Duration::MAX).steps;
    assert!(steps() > RUN as u64 / 2);
    assert_eq!(steps(), steps());
}
