//! All reachable states of a small system.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hash, Hasher},
    time::{Duration, Instant},
};

use crate::{
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
    /// Transitions, each compared.
    pub transitions: u64,
    /// Nothing new appears.
    pub closed: bool,
    /// How long it took.
    pub time: Duration,
    /// The story of the first difference.
    pub broken: Option<String>,
}

/// Multiplies and rotates: quick, and good enough for 128 bits of state hash.
#[derive(Clone, Copy)]
struct Mix(u64, u64);

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, word: u8) {
        self.write_u64(word as u64);
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(29) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.1 = (self.1 ^ word.rotate_left(32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        self.1 ^= self.1 >> 31;
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn finish(&self) -> u64 {
        self.0 ^ self.1.rotate_left(17)
    }
}

fn key(state: &State) -> (u64, u64) {
    let mut h = Mix(1, 2);
    state.hash(&mut h);
    (h.finish(), h.1)
}

#[derive(Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, word: u64) {
        self.0 ^= word;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A state that was found and not yet left: the model's, and the words of kernel memory that differ from the
/// first state's.
struct Open {
    state: State,
    words: Vec<(u32, u64)>,
    id: u32,
}

/// Visits every state that events can lead to, breadth first, so that the first story of a difference is one of
/// the shortest. Stops at `limit` states or when `time` is up.
pub fn explore(family: &Family, limit: usize, time: Duration) -> Report {
    let begin = Instant::now();
    let mut system = (family.system)();
    let mut first = vec![];
    system.k.save(&mut first);
    let initial = system.state();
    let keeper = system.keeper();
    let mut parts = Parts::of(&initial, keeper);
    let mut report = Report { states: 1, transitions: 0, closed: true, time: Duration::ZERO, broken: None };
    let mut seen: HashMap<(u64, u64), (), BuildHasherDefault<KeyHasher>> = HashMap::default();
    seen.insert(key(&initial), ());
    // How each state was reached: from which, by which of its events.
    let mut came: Vec<(u32, u16)> = vec![(0, 0)];
    let mut level = vec![Open { state: initial, words: vec![], id: 0 }];
    let (mut memory, mut now) = (first.clone(), vec![]);
    'search: while !level.is_empty() {
        let mut next_level = vec![];
        for open in level {
            memory.copy_from_slice(&first);
            open.words.iter().for_each(|&(i, word)| memory[i as usize] = word);
            for (n, event) in (family.events)(&open.state).iter().enumerate() {
                if open.state.current.is_none()
                    && !matches!(event, Event::Tick { .. } | Event::Interrupt { .. })
                {
                    // Nobody runs who could do it.
                    continue;
                }
                report.transitions += 1;
                let stepped = lockstep::step(&mut system, &open.state, event, |s| s.load(&memory));
                let result = stepped.and_then(|next| {
                    if let Some(parts) = &mut parts {
                        parts.check(&open.state, event, &next, keeper)?;
                    }
                    if seen.insert(key(&next), ()).is_some() {
                        return Ok(None);
                    }
                    properties::check(&open.state, event, &next)?;
                    system.check().map(|()| Some(next))
                });
                match result {
                    Ok(None) => {}
                    Ok(Some(state)) => {
                        system.k.save(&mut now);
                        let words = now.iter().zip(&first).enumerate();
                        let words = words.filter(|(_, (a, b))| a != b).map(|(i, (&a, _))| (i as u32, a));
                        let id = came.len() as u32;
                        came.push((open.id, n as u16));
                        next_level.push(Open { state, words: words.collect(), id });
                    }
                    Err(why) => {
                        report.broken = Some(story(family, &came, open.id, n, &why));
                        report.closed = false;
                        break 'search;
                    }
                }
            }
            if came.len() >= limit || begin.elapsed() > time {
                report.closed = false;
                break 'search;
            }
        }
        level = next_level;
    }
    report.states = came.len();
    report.time = begin.elapsed();
    report
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
        let mut memory = vec![];
        system.k.save(&mut memory);
        match lockstep::step(&mut system, &state, event, |s| s.load(&memory)) {
            Ok(next) => state = next,
            Err(_) => break,
        }
    }
    text + &named(why, &system)
}
