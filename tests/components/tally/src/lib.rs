//! A server that counts, and whose programs take each other's places.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::{rc::Rc, vec::Vec};
use core::{
    cell::{Cell, RefCell},
    marker::PhantomData,
};

use pecan_component::{
    Callers, Consumer, Handover, Tasks, clients,
    protocols::Unfit,
    service::{
        Caller, Later, Owed, Parked, Parking, service,
        shared::{Filled, RingError},
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use test_drain::{BUFFER, Drain, Progress};

/// A server that counts.
#[service(name = "tally", version = 1)]
pub trait Tally {
    /// The number of the program that answers.
    #[idempotent]
    fn program(&mut self, caller: Caller) -> u64;
    /// What this client has added.
    #[idempotent]
    fn count(&mut self, caller: Caller) -> u64;
    /// Adds one; returns the sum of this client's.
    fn add(&mut self, caller: Caller) -> u64;
    /// Adds one, and answers as `add` when another client calls.
    fn add_later(&mut self, caller: Caller, later: Later<u64>);
    /// Adds one, and answers as `add` after so many microseconds, for which the timer is asked.
    fn add_after(&mut self, caller: Caller, us: u64, later: Later<u64>);
    /// What programs that do not do well are to do.
    fn set_mode(&mut self, caller: Caller, mode: u64);
    /// Nobody is to add any more.
    fn finish(&mut self, caller: Caller);
    /// Whether that was said.
    #[idempotent]
    fn is_finished(&mut self, caller: Caller) -> bool;
}

/// The state as most programs know it.
#[derive(Serialize, Deserialize)]
pub struct State {
    counts: Vec<u64>,
    /// What programs that do not do well are to do.
    pub mode: u64,
    is_finished: bool,
    owed: Owed<(Parked<u64>, u64)>,
    lines: Vec<SavedLine>,
}

#[derive(Serialize, Deserialize)]
struct SavedLine {
    count: u64,
    wrong: u64,
    restarts: u64,
    broken: u64,
    held: Option<[u64; 2]>,
}

/// What programs differ in.
pub trait Form {
    /// The number of the program.
    const PROGRAM: u64;
    /// The version of its state.
    const VERSION: u32;
    /// Its state.
    type State: Serialize + DeserializeOwned;

    /// Makes its state of what is known.
    fn wrap(state: State) -> Self::State;
    /// What is known of its state.
    fn unwrap(state: Self::State) -> Result<State, Unfit>;
    /// Its state of an older one.
    fn upgrade(_version: u32, _state: &[u8]) -> Option<Self::State> {
        None
    }
    /// Done before it hands over.
    fn before(_mode: u64) {}
}

/// The first program.
pub struct First;

impl Form for First {
    const PROGRAM: u64 = 1;
    const VERSION: u32 = 1;
    type State = State;

    fn wrap(state: State) -> State {
        state
    }

    fn unwrap(state: State) -> Result<State, Unfit> {
        Ok(state)
    }
}

/// The ring with a client, of whose buffers one is kept until the next comes.
struct Line {
    ring: Consumer,
    progress: Progress,
    held: Option<Filled<'static>>,
}

impl Line {
    fn is_next(&self, buffer: &Filled<'static>) -> bool {
        let mut bytes = [0; BUFFER];
        let len = buffer.view().read(&mut bytes);
        let number = (self.progress.count + 1).to_le_bytes();
        len == BUFFER && buffer.tag() == self.progress.count + 1 && bytes.chunks(8).all(|word| word == number)
    }

    fn take_all(&mut self) {
        loop {
            match self.ring.take() {
                Ok(Some(buffer)) => {
                    if self.is_next(&buffer) {
                        self.progress.count += 1;
                    } else {
                        self.progress.wrong += 1;
                    }
                    if let Some(before) = self.held.replace(buffer)
                        && self.ring.give(before).is_ok()
                    {
                        self.ring.publish();
                    }
                }
                Ok(None) if self.ring.sleep() => return,
                Ok(None) => {}
                Err(error) => {
                    match error {
                        RingError::Restarted => self.progress.restarts += 1,
                        RingError::Broken => self.progress.broken += 1,
                    }
                    (self.progress.count, self.held) = (0, None);
                    return self.ring.begin_anew();
                }
            }
        }
    }
}

/// The server.
pub struct Server<F> {
    counts: Rc<RefCell<Vec<u64>>>,
    mode: u64,
    is_finished: bool,
    owed: Owed<(Later<u64>, u64)>,
    lines: Vec<Line>,
    first_line: usize,
    tasks: Tasks,
    callers: Callers,
    waits: Rc<Cell<u64>>,
    sleep: fn(u64) -> bool,
    of: PhantomData<F>,
}

impl<F: Form> Server<F> {
    /// A server that has counted nothing yet, with its rings, the first of which belongs to the client of a place, and what asks
    /// the timer.
    pub fn new(rings: impl Iterator<Item = Consumer>, first_line: usize, sleep: fn(u64) -> bool) -> Self {
        let line = |ring| Line { ring, progress: Progress::default(), held: None };
        Self {
            counts: Rc::new(RefCell::new(alloc::vec![0; clients()])),
            mode: 0,
            is_finished: false,
            owed: Owed::new(clients()),
            lines: rings.map(line).collect(),
            first_line,
            tasks: Tasks::new(),
            callers: Callers::new(&["caller"]),
            waits: Rc::default(),
            sleep,
            of: PhantomData,
        }
    }

    /// Does what signals say.
    pub fn signal(&mut self, bits: u64) {
        self.tasks.run(bits);
        self.lines.iter_mut().filter(|line| line.ring.is_in(bits)).for_each(Line::take_all);
    }

    /// Takes what is in the rings already.
    pub fn take_all(&mut self) {
        self.lines.iter_mut().for_each(Line::take_all);
    }

    /// Adds one, and answers the others who wait for that.
    fn plus_one(&mut self, place: usize) -> u64 {
        self.answer_others(place);
        let mut counts = self.counts.borrow_mut();
        counts[place] += 1;
        counts[place]
    }

    fn answer_others(&mut self, place: usize) {
        let client = place as u64;
        self.owed.take_if(|(_, of)| *of != client).for_each(|(later, of)| {
            later.answer(&self.counts.borrow().get(of as usize).copied().unwrap_or(0));
        });
    }
}

impl<F: Form> Tally for Server<F> {
    fn program(&mut self, _: Caller) -> u64 {
        F::PROGRAM
    }

    fn count(&mut self, caller: Caller) -> u64 {
        self.answer_others(caller.place());
        self.counts.borrow()[caller.place()]
    }

    fn add(&mut self, caller: Caller) -> u64 {
        self.plus_one(caller.place())
    }

    fn add_later(&mut self, caller: Caller, later: Later<u64>) {
        let place = caller.place();
        self.plus_one(place);
        self.owed.put(place, (later, place as u64));
    }

    fn add_after(&mut self, caller: Caller, us: u64, later: Later<u64>) {
        let (callers, waits, counts) = (self.callers.clone(), self.waits.clone(), self.counts.clone());
        let (sleep, place) = (self.sleep, caller.place());
        self.tasks.spawn(async move {
            waits.set(waits.get() + 1);
            if callers.call(move || sleep(us)).await == Ok(true) {
                counts.borrow_mut()[place] += 1;
            }
            waits.set(waits.get() - 1);
            later.answer(&counts.borrow()[place]);
        });
    }

    fn set_mode(&mut self, _: Caller, mode: u64) {
        self.mode = mode;
    }

    fn finish(&mut self, caller: Caller) {
        self.answer_others(caller.place());
        self.is_finished = true;
    }

    fn is_finished(&mut self, _: Caller) -> bool {
        self.is_finished
    }

    fn gone(&mut self, place: usize) {
        self.owed.forget(place);
        self.counts.borrow_mut()[place] = 0;
    }

    fn given_up(&mut self, place: usize) {
        self.owed.forget(place);
    }
}

impl<F: Form> Drain for Server<F> {
    fn progress(&mut self, caller: Caller) -> Progress {
        let line = caller.place().checked_sub(self.first_line).and_then(|at| self.lines.get(at));
        line.map(|line| line.progress).unwrap_or_default()
    }
}

impl<F: Form> Handover for Server<F> {
    const VERSION: u32 = F::VERSION;
    type State = F::State;

    fn is_ready(&mut self) -> bool {
        F::before(self.mode);
        self.waits.get() == 0
    }

    fn save(&mut self) -> F::State {
        let line = |line: &mut Line| {
            let Progress { count, wrong, restarts, broken } = line.progress;
            SavedLine { count, wrong, restarts, broken, held: line.held.take().map(Filled::leave) }
        };
        F::wrap(State {
            counts: self.counts.take(),
            mode: self.mode,
            is_finished: self.is_finished,
            owed: self.owed.drain_as(|(later, of)| (later.park(), of)),
            lines: self.lines.iter_mut().map(line).collect(),
        })
    }

    fn restore(&mut self, state: F::State, parking: &mut Parking) -> Result<(), Unfit> {
        let State { counts, mode, is_finished, owed, lines } = F::unwrap(state)?;
        if counts.len() != clients() || lines.len() != self.lines.len() {
            return Err(Unfit::State);
        }
        for (line, saved) in self.lines.iter_mut().zip(lines) {
            let SavedLine { count, wrong, restarts, broken, held } = saved;
            line.progress = Progress { count, wrong, restarts, broken };
            line.held = held.and_then(|left| line.ring.held(left));
        }
        self.owed.fill_from(owed, |(parked, of)| (parking.resume(parked), of));
        self.counts.replace(counts);
        (self.mode, self.is_finished) = (mode, is_finished);
        Ok(())
    }

    fn upgrade(version: u32, state: &[u8]) -> Option<F::State> {
        F::upgrade(version, state)
    }
}
