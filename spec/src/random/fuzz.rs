//! Events out of bytes, for a fuzzer that is led by coverage.
//!
//! The bytes are records of [`RECORD`] bytes, one for each event. The same choices as in random runs are read from a
//! record, a byte for most; its last bytes may put any word in place of one of the arguments.

use std::cell::RefCell;

use super::{Shape, Walk, can_happen, choices::Choices, events::event, named, systems::Who};
use crate::model::{Event, State};

/// Bytes of an event.
pub const RECORD: usize = 40;
/// Bytes at the end of a record that spoil the event: what, and the word that is put there.
const SPOIL: usize = 9;

/// The system that runs are made in.
const SHAPE: Shape = Shape::SMALL;

/// A system, and the memory with which runs in it begin.
struct Fresh {
    walk: Walk,
    state: State,
    memory: Vec<u64>,
}

thread_local! {
    static FRESH: RefCell<Option<Fresh>> = const { RefCell::new(None) };
}

/// What a run came to.
#[derive(Debug)]
pub struct Run {
    /// Events, each compared with the model.
    pub events: usize,
    /// The story, if something differs.
    pub broken: Option<String>,
}

/// Plays the events that the bytes stand for, on the kernel and on the model, and compares everything after each.
/// The kernel's invariants and the properties of steps are checked, too.
pub fn run(bytes: &[u8]) -> Run {
    FRESH.with_borrow_mut(|fresh| {
        let fresh = fresh.get_or_insert_with(|| {
            let (mut walk, mut memory) = (Walk::begin(SHAPE.boot()), vec![]);
            let state = walk.system.state();
            walk.system.k.save(&mut memory);
            Fresh { walk, state, memory }
        });
        fresh.run(bytes)
    })
}

impl Fresh {
    fn run(&mut self, bytes: &[u8]) -> Run {
        let walk = &mut self.walk;
        walk.system.load(&self.memory);
        walk.system.restore(&self.state);
        walk.system.leave(&mut walk.here);
        let (mut events, mut story) = (0, String::new());
        for record in bytes.chunks(RECORD) {
            let event = decode(record, walk.state());
            if !can_happen(walk.state(), &event) {
                continue;
            }
            events += 1;
            story += &format!("  {events}. {} runs: {event}\n", walk.who());
            if let Err(why) = walk.step(&event, |_, _, _| Ok(())) {
                return Run { events, broken: Some(named(&(story + &why), &walk.system)) };
            }
        }
        Run { events, broken: None }
    }
}

/// The event that a record stands for.
fn decode(record: &[u8], state: &State) -> Event {
    let (choices, spoil) = record.split_at(record.len().min(RECORD - SPOIL));
    let mut event = event(&mut Choices::Bytes(choices), &SHAPE, Who::of(state));
    if let (Event::Syscall(call) | Event::Stopped { call, .. }, [what, word @ ..]) = (&mut event, spoil) {
        let word = word.iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte));
        // Words of a message beyond the registers and buffers are none.
        match (*what as usize).checked_sub(1) {
            Some(i) if i < call.words.len() => call.words[i] = word,
            Some(16) => call.cap = word,
            Some(17) => call.dest = word,
            Some(18) => call.reply = word,
            Some(i @ 20..=22) if i - 20 < call.extra.len() => call.extra[i - 20] = word,
            _ => {}
        }
    }
    event
}

#[cfg(test)]
mod tests {
    use proptest::prelude::Rng;

    use super::*;

    fn random(seed: u64, events: usize) -> Vec<u8> {
        let mut bytes = vec![0; events * RECORD];
        super::super::runner(seed).rng().fill_bytes(&mut bytes);
        bytes.chunks_mut(RECORD).for_each(|record| record[RECORD - SPOIL] = 0);
        bytes
    }

    #[test]
    fn bytes_are_events() {
        let run = run(&random(1, 50));
        assert_eq!(run.broken, None);
        assert!(run.events > 40, "{run:?}");
    }

    #[test]
    fn runs_do_not_depend_on_those_before() {
        let bytes = random(2, 30);
        let after = |before: &[u8]| {
            run(before);
            run(&bytes);
            FRESH.with_borrow_mut(|fresh| fresh.as_mut().map(|f| f.walk.system.state()))
        };
        assert_eq!(after(&[]), after(&random(3, 30)));
    }

    #[test]
    fn half_a_record_is_an_event_too() {
        let (whole, half) = (run(&random(4, 1)).events, run(&random(4, 1)[..5]).events);
        assert_eq!((whole, half), (1, 1));
        assert_eq!(run(&[]).events, 0);
    }

    #[test]
    fn a_spoilt_record_has_the_word() {
        let state = SHAPE.boot().state();
        let spoilt = (0..200).filter(|seed| {
            let mut record = random(*seed, 1);
            record[RECORD - SPOIL] = 17;
            let word = record[RECORD - SPOIL + 1..].iter().rev().fold(0, |w, b| w << 8 | u64::from(*b));
            decode(&record, &state).call().is_some_and(|call| call.cap == word)
        });
        assert!(spoilt.count() > 100);
    }
}
