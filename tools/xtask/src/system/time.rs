//! What can be wrong with the time that a description gives: what it promises is there, and what it expects can be done.

use pecan_manifest::{Server, Settings, Start, layout};

use super::{
    description::Draft,
    problem::Problem,
    rules::{Rule, at},
};

/// The most milliseconds of what is counted in them.
const LONGEST_MS: u64 = 3_600_000;
/// The least milliseconds between two signs of life: the initial task looks every 10 ms, and asks at half the time.
const HEARTBEAT_MS: u64 = 50;
/// The least microseconds of a component that another one makes, in each period.
const CHILD_US: u64 = 100;
/// The most of these at once.
const CHILDREN_MAX: u16 = 64;
/// The core, in the millionths in which shares of it are counted.
const CORE: u64 = 1_000_000;

/// Checks what a description says of time.
pub fn check(draft: &Draft, problems: &mut Vec<Problem>) {
    expectations(draft, problems);
    utilisation(draft, problems);
    promises(draft, problems);
    heartbeats(draft, problems);
}

/// The budget and the period of a component that is promised some time, in milliseconds.
fn promised(settings: &Settings) -> Option<(u64, u64)> {
    let period = settings.period_ms.filter(|p| *p > 0 && *p >= settings.budget_ms)?;
    Some((settings.budget_ms, period))
}

/// Signs of life come as often as somebody looks, and who exceeds a budget has one.
fn expectations(draft: &Draft, problems: &mut Vec<Problem>) {
    for (n, component) in draft.system.components.iter().enumerate() {
        let settings = &component.settings;
        if settings.heartbeat_ms.is_some_and(|ms| !(HEARTBEAT_MS..=LONGEST_MS).contains(&ms)) {
            let title = format!("a sign of life comes every {HEARTBEAT_MS} to {LONGEST_MS} ms");
            let problem = Problem::new(title, at(draft, n, "heartbeat_ms"), "not such a time");
            problems.push(problem.help(format!("write a time from {HEARTBEAT_MS} to {LONGEST_MS}")));
        }
        let time = settings.children_time;
        let is_time = (1..=CHILDREN_MAX).contains(&time.at_once)
            && (time.budget_ms..=60_000).contains(&time.period_ms)
            && time.budget_us() >= CHILD_US;
        if !is_time {
            let title =
                format!("each component that another one makes has {CHILD_US} us or more in each period");
            let problem = Problem::new(title, at(draft, n, "children_time"), "this gives less, or no period");
            problems.push(problem.help(format!(
                "write `at_once` of 1 to {CHILDREN_MAX}, a `period_ms` of at most 60000, and a `budget_ms` no longer than that"
            )));
        }
        if settings.children.is_none() && draft.parts[n].node.get("children_time").is_some() {
            let title = format!("`{}` makes no components", settings.name);
            let problem = Problem::new(title, at(draft, n, "children_time"), "of nobody");
            problems.push(problem.help("say how much memory they have, `children = \"4M\"`, or take it out"));
        }
        let Some(overrun) = settings.overrun_ms else { continue };
        match promised(settings) {
            Some((budget, period)) if budget < period => {
                if !(period..=LONGEST_MS).contains(&overrun) {
                    let title = "`overrun_ms` is a period at least";
                    let problem = Problem::new(title, at(draft, n, "overrun_ms"), "not such a time")
                        .also(at(draft, n, "period_ms"), "the period");
                    problems.push(problem.help(format!("write a time from {period} to {LONGEST_MS}")));
                }
            }
            _ => {
                let title = format!("`{}` has no budget that it could exceed", settings.name);
                let problem = Problem::new(title, at(draft, n, "overrun_ms"), "of a budget in each period");
                problems.push(problem.help("write a `period_ms` longer than `budget_ms`, or take it out"));
            }
        }
    }
}

/// The time that components are promised fits into the core on which they run, beside the initial task's.
fn utilisation(draft: &Draft, problems: &mut Vec<Problem>) {
    const ROOM: u64 = CORE - layout::INIT_BUDGET * CORE / layout::INIT_PERIOD;
    let share = |n: &usize| {
        let settings = &draft.system.components[*n].settings;
        let own = promised(settings).map_or(0, |(budget, period)| budget * CORE / period);
        let time = settings.children_time;
        let below = settings.children.map_or(0, |_| time.budget_ms * CORE / time.period_ms.max(1));
        (settings.start == Start::Boot && own + below > 0).then_some(own + below)
    };
    let reserved: Vec<_> = (0..draft.parts.len()).filter_map(|n| Some((n, share(&n)?))).collect();
    let sum: u64 = reserved.iter().map(|(_, share)| share).sum();
    if sum <= ROOM {
        return;
    }
    let percent = |share: u64| format!("{:.1} %", share as f64 / 10_000.0);
    let Some((largest, most)) = reserved.iter().max_by_key(|(_, share)| *share) else { return };
    let title = format!("the budgets promise {} of the core", percent(sum));
    let mut problem = Problem::new(title, at(draft, *largest, "budget_ms"), percent(*most));
    for (n, share) in reserved.iter().filter(|(n, _)| n != largest) {
        problem = problem.also(at(draft, *n, "budget_ms"), percent(*share));
    }
    problems.push(problem.help(format!(
        "lower budgets or lengthen periods until their sum is at most {}; {} are the initial task's",
        percent(ROOM),
        percent(CORE - ROOM)
    )));
}

/// Nobody runs above a component that was promised time, for as long as it likes.
fn promises(draft: &Draft, problems: &mut Vec<Problem>) {
    let components = &draft.system.components;
    for (n, component) in components.iter().enumerate() {
        let settings = &component.settings;
        let above = |m: &usize| {
            let other = &components[*m].settings;
            other.priority > settings.priority && promised(other).is_none()
        };
        let mut above = (0..components.len()).filter(above).peekable();
        if promised(settings).is_none()
            || above.peek().is_none()
            || draft.parts[n].allow.permits(Rule::Promise)
        {
            continue;
        }
        let title = format!("the time that `{}` is promised can be taken by others", settings.name);
        let mut problem = Problem::new(title, at(draft, n, "budget_ms"), "promised");
        for other in above {
            problem = problem.also(at(draft, other, "name"), "runs above it, for as long as it likes");
        }
        problems.push(problem.help(format!(
            "give them a `period_ms`, too, or a lower priority; {}",
            Rule::Promise.may_be_broken()
        )));
    }
}

/// Who has to give signs of life does not wait for a server that may hang: then the server is ended first.
fn heartbeats(draft: &Draft, problems: &mut Vec<Problem>) {
    for (wire, channel) in draft.wires.iter().zip(&draft.system.channels) {
        let Server::Component(server) = channel.server else { continue };
        let (client, server) = (usize::from(channel.client), usize::from(server));
        let [calling, called] = [client, server].map(|n| &draft.system.components[n].settings);
        let Some(ms) = calling.heartbeat_ms else { continue };
        if called.heartbeat_ms.is_some_and(|server| server < ms) || wire.allow.permits(Rule::Heartbeat) {
            continue;
        }
        let title = format!("`{}` is ended when `{}` hangs", calling.name, called.name);
        let problem =
            Problem::new(title, wire.node.at("to"), "while it waits here, it gives no sign of life")
                .also(at(draft, client, "heartbeat_ms"), "that it owes this often");
        problems.push(problem.help(format!(
            "give `{}` a `heartbeat_ms` of less than {ms}, so that it is ended and started again first; {}",
            called.name,
            Rule::Heartbeat.may_be_broken()
        )));
    }
}
