//! All reachable states of a small system.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use crate::{
    digest::{ByDigest, Symmetry},
    frontier::Frontier,
    lockstep::{self, Broken, named},
    model::{Event, State},
    properties::{self, Parts},
    system::System,
};

/// A family of states: a system, and what its threads can do.
#[derive(Clone, Copy)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// Makes the system.
    pub system: fn() -> System,
    /// The events that can happen in a state.
    pub events: fn(&State) -> Vec<Event>,
}

/// What an exploration found.
pub struct Report {
    /// States.
    pub states: usize,
    /// How many states there are with those that differ from them only by names.
    pub stands_for: usize,
    /// Transitions, each compared.
    pub transitions: u64,
    /// How many events in a row have been tried from the first state, all of them.
    pub depth: usize,
    /// Nothing new appears.
    pub closed: bool,
    /// What it had enough of, if it came to a bound.
    pub bound: Option<&'static str>,
    /// How long it took.
    pub time: Duration,
    /// The story of the first difference.
    pub broken: Option<String>,
}

/// How far an exploration goes.
#[derive(Clone, Copy)]
pub struct Bound {
    /// States.
    pub states: usize,
    /// Transitions.
    pub transitions: u64,
    /// Transitions of all explorations of the process together, see [`compared`].
    pub of_all: u64,
    /// How long it takes.
    pub time: Duration,
}

impl Bound {
    /// Goes on until nothing new appears.
    pub const NONE: Bound =
        Bound { states: u32::MAX as usize, transitions: u64::MAX, of_all: u64::MAX, time: Duration::MAX };
}

static COMPARED: AtomicU64 = AtomicU64::new(0);

/// How many transitions have been compared so far, in all explorations together.
pub fn compared() -> u64 {
    COMPARED.load(Relaxed)
}

/// Visits every state that events can lead to, breadth first, so that the first story of a difference is one of
/// the shortest. Of states that differ only by the names of objects that nothing distinguishes, it visits one.
pub fn explore(family: &Family, bound: Bound) -> Report {
    explore_with(family, bound, true)
}

/// The same, and visits every state by itself unless it is to make use of symmetry.
pub fn explore_with(family: &Family, bound: Bound, symmetric: bool) -> Report {
    let begin = Instant::now();
    let mut system = (family.system)();
    let mut first = vec![];
    save(&system, &mut first);
    let initial = system.state();
    let events = (family.events)(&initial);
    let symmetry = if symmetric { system.symmetry(&initial, &events) } else { Symmetry::none() };
    let keeper = system.keeper();
    let mut parts = Parts::of(&initial, keeper);
    let (digest, alike) = symmetry.digest(&State::default(), &initial, 0);
    let mut report = Report {
        states: 1,
        stands_for: alike,
        transitions: 0,
        depth: 0,
        closed: true,
        bound: None,
        time: Duration::ZERO,
        broken: None,
    };
    let mut seen: ByDigest<()> = ByDigest::default();
    seen.insert(digest, ());
    // How each state was reached: from which, by which of its events.
    let mut came: Vec<(u32, u16)> = vec![(0, 0)];
    let mut level = Frontier::default();
    level.push(&first, &first);
    let (mut memory, mut now, mut here) = (first.clone(), vec![], system.here());
    let mut counted = 0;
    'search: while !level.is_empty() {
        let mut id = came.len() - level.len();
        let mut drain = level.drain();
        level = Frontier::default();
        while drain.next(&first, &mut memory) {
            load(&mut system, &memory);
            system.leave(&mut here);
            let state = here.state();
            if !seen.contains_key(&symmetry.digest(&initial, state, system.hidden()).0) {
                let why = "the kernel and the model forget different things\n".to_string();
                report.broken = Some(story(family, &came, came[id].0, came[id].1 as usize, &why));
                report.closed = false;
                break 'search;
            }
            if let Some(parts) = &mut parts {
                parts.leave(state);
            }
            for (n, event) in (family.events)(state).iter().enumerate() {
                if state.current.is_none() && !happens_alone(event) {
                    // Nobody runs who could do it.
                    continue;
                }
                report.transitions += 1;
                let result = lockstep::step(&mut system, &here, event).and_then(|next| {
                    if let Some(parts) = &mut parts {
                        parts.check(state, event, next.whole(), keeper)?;
                    }
                    properties::check_step(state, event, next.whole())?;
                    let (digest, alike) = symmetry.digest(state, &next.state, system.hidden());
                    if seen.insert(digest, ()).is_some() {
                        return Ok(0);
                    }
                    properties::check_state(&next.state)?;
                    next.settle(&mut system);
                    system.check().map(|()| alike)
                });
                match result {
                    Ok(0) => {}
                    Ok(alike) => {
                        save(&system, &mut now);
                        came.push((id as u32, n as u16));
                        report.stands_for += alike;
                        level.push(&first, &now);
                    }
                    Err(why) => {
                        report.broken = Some(story(family, &came, id as u32, n, &why));
                        report.closed = false;
                        break 'search;
                    }
                }
            }
            id += 1;
            let more = report.transitions - counted;
            counted = report.transitions;
            let all = COMPARED.fetch_add(more, Relaxed) + more;
            report.bound = match () {
                _ if came.len() >= bound.states => Some("states"),
                _ if counted >= bound.transitions => Some("transitions"),
                _ if all >= bound.of_all => Some("transitions of all families"),
                _ if begin.elapsed() > bound.time => Some("time"),
                _ => None,
            };
            if report.bound.is_some() {
                report.closed = false;
                break 'search;
            }
        }
        report.depth += 1;
    }
    report.states = came.len();
    report.time = begin.elapsed();
    report
}

/// What happens also when no thread runs.
pub fn happens_alone(event: &Event) -> bool {
    matches!(event, Event::Tick { .. } | Event::Interrupt { .. })
}

/// The kernel's memory, and the interrupt lines behind it.
fn save(system: &System, words: &mut Vec<u64>) {
    system.k.save(words);
    words.extend(system.lines());
}

fn load(system: &mut System, words: &[u64]) {
    let (kernel, lines) = words.split_at(words.len() - system.lines().count());
    system.load(kernel);
    system.resume(lines.iter().copied());
}

/// Tells how a difference came about.
fn story(family: &Family, came: &[(u32, u16)], last: u32, event: usize, why: &Broken) -> String {
    let mut path = vec![event];
    let mut at = last;
    while at != 0 {
        path.push(came[at as usize].1 as usize);
        at = came[at as usize].0;
    }
    let mut system = (family.system)();
    let mut state = system.state();
    let mut text = format!("In the family `{}` ({}):\n", family.name, family.about);
    for (i, &n) in path.iter().rev().enumerate() {
        let event = &(family.events)(&state)[n];
        let who = state.current.map_or("nobody".into(), |t| format!("{t:?}"));
        text += &format!("  {}. {} runs: {event}\n", i + 1, named(&who, &system));
        let here = system.here();
        match lockstep::step(&mut system, &here, event) {
            Ok(next) => state = next.settle(&mut system),
            Err(_) => break,
        }
    }
    text + &named(why, &system)
}
