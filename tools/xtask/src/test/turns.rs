//! Output of what runs at once, shown as if it had run in turn.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    sync::{Mutex, PoisonError},
};

/// What is printed for each of several jobs, numbered from 0: of the first that has not ended at once, of the others when it
/// is their turn.
pub struct Turns<W> {
    state: Mutex<State<W>>,
}

struct State<W> {
    out: W,
    /// The job that is shown.
    shown: usize,
    /// Of the jobs behind it: what they have printed, and whether they have ended.
    waiting: BTreeMap<usize, (String, bool)>,
}

impl Turns<io::Stdout> {
    /// On the terminal.
    pub fn new() -> Self {
        Self::on(io::stdout())
    }
}

impl<W: Write> Turns<W> {
    fn on(out: W) -> Self {
        Turns { state: Mutex::new(State { out, shown: 0, waiting: BTreeMap::new() }) }
    }

    /// Prints a line of a job.
    pub fn line(&self, job: usize, line: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if job == state.shown {
            // A terminal that is gone is no reason to stop.
            let _ = writeln!(state.out, "{line}");
        } else {
            let (text, _) = state.waiting.entry(job).or_default();
            text.push_str(line);
            text.push('\n');
        }
    }

    /// A job has ended: the next one that has not is shown, after those that have.
    pub fn end(&self, job: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.waiting.entry(job).or_default().1 = true;
        let State { out, shown, waiting } = &mut *state;
        while let Some((text, has_ended)) = waiting.remove(shown) {
            let _ = out.write_all(text.as_bytes());
            if !has_ended {
                break;
            }
            *shown += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_shown_in_turn() {
        let turns = Turns::on(Vec::new());
        let shown = |expected: &str| {
            let state = turns.state.lock().unwrap();
            assert_eq!(String::from_utf8(state.out.clone()).unwrap(), expected);
        };
        turns.line(1, "b1");
        turns.line(0, "a1");
        turns.line(2, "c1");
        shown("a1\n");
        // The second ends before the first: nothing of it yet.
        turns.end(1);
        turns.line(0, "a2");
        shown("a1\na2\n");
        // Then it comes whole, and the third goes on.
        turns.end(0);
        shown("a1\na2\nb1\nc1\n");
        turns.line(2, "c2");
        turns.line(3, "d1");
        turns.end(2);
        turns.end(3);
        shown("a1\na2\nb1\nc1\nc2\nd1\n");
    }
}
