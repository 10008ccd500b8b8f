//! The model as the reference machine of the library for properties: where runs begin, what may come next, and how
//! a run that fails becomes simpler.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
};

use proptest::{
    num::u64::BinarySearch,
    strategy::{BoxedStrategy, NewTree, Strategy, ValueTree},
    test_runner::TestRunner,
};
use proptest_state_machine::ReferenceStateMachine;

use super::{
    choices::Choices,
    events::event,
    systems::{Shape, Who},
};
use crate::{
    explore::happens_alone,
    lockstep,
    model::{self, Call, Event, State},
};

/// A state of the model, and the system that it is a state of.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    pub(super) shape: Shape,
    pub(super) state: State,
}

thread_local! {
    /// The last that was asked for: the library asks several times in a row.
    static FIRST: RefCell<Option<Reference>> = const { RefCell::new(None) };
}

impl Reference {
    /// The state that a system of this shape begins in.
    fn first(shape: Shape) -> Reference {
        FIRST.with_borrow_mut(|last| match last {
            Some(first) if first.shape == shape => first.clone(),
            _ => last.insert(Reference { shape, state: shape.boot().state() }).clone(),
        })
    }
}

/// The model, in systems of all shapes.
pub(super) struct Machine;

impl ReferenceStateMachine for Machine {
    type State = Reference;
    type Transition = Event;

    fn init_state() -> BoxedStrategy<Reference> {
        Shape::any().prop_map(Reference::first).boxed()
    }

    fn transitions(now: &Reference) -> BoxedStrategy<Event> {
        Events { shape: now.shape, who: Who::of(&now.state) }.boxed()
    }

    /// Where an event cannot happen, as nobody runs who could do it, nothing comes of it. So an event stays what it is
    /// whatever is left out before it.
    fn apply(mut now: Reference, event: &Event) -> Reference {
        // If it panics, so it does beside the kernel, where that is told.
        if can_happen(&now.state, event)
            && let Ok(mut next) = catch_unwind(AssertUnwindSafe(|| after(&now.state, event)))
        {
            lockstep::normalise(&mut next);
            now.state = next;
        }
        now
    }
}

/// The next state. Where an event is stopped, the kernel may choose another.
fn after(state: &State, event: &Event) -> State {
    let stopped = match event {
        &Event::Stopped { ref call, point, by } => {
            model::stopped(state, call, Some(by), state).nth(point as usize - 1)
        }
        _ => None,
    };
    stopped.unwrap_or_else(|| model::step(state, event).0)
}

/// Whether there is somebody to do it, if somebody must.
pub(super) fn can_happen(state: &State, event: &Event) -> bool {
    state.current.is_some() || happens_alone(event)
}

/// What may happen next.
#[derive(Debug)]
struct Events {
    shape: Shape,
    who: Who,
}

impl Strategy for Events {
    type Tree = Simpler;
    type Value = Event;

    fn new_tree(&self, runner: &mut TestRunner) -> NewTree<Self> {
        Ok(Simpler::of(event(&mut Choices::Random(runner.rng()), &self.shape, self.who)))
    }
}

/// An event, and how it becomes simpler: without its lists, at last one, then with smaller numbers. Its kind stays.
struct Simpler {
    event: Event,
    /// What the event was before it became simpler, if that can be undone.
    before: Option<Event>,
    /// How far this is.
    stage: Stage,
}

enum Stage {
    Receive,
    Extra,
    Words,
    /// Which number, and the search for its least.
    Number(usize, Option<BinarySearch>),
}

impl Simpler {
    fn of(event: Event) -> Simpler {
        let stage = if event.call().is_some() { Stage::Receive } else { Stage::Number(0, None) };
        Simpler { event, before: None, stage }
    }

    /// Makes the event simpler by one list or element.
    fn shorten(call: &mut Call, stage: &Stage) -> bool {
        match stage {
            Stage::Receive => call.receive.take().is_some(),
            Stage::Extra => call.extra.pop().is_some(),
            Stage::Words => call.words.pop().is_some(),
            Stage::Number(..) => false,
        }
    }
}

/// A number of an event that can be any.
fn number(event: &mut Event, n: usize) -> Option<&mut u64> {
    match event {
        Event::Syscall(call) | Event::Stopped { call, .. } => {
            let Call { cap, reply, dest, words, extra, .. } = call;
            [cap, reply, dest].into_iter().chain(words).chain(extra).nth(n)
        }
        Event::Exception { number, code } => [number, code].into_iter().nth(n),
        Event::PageFault { address, status, .. } => [address, status].into_iter().nth(n),
        _ => None,
    }
}

impl ValueTree for Simpler {
    type Value = Event;

    fn current(&self) -> Event {
        self.event.clone()
    }

    fn simplify(&mut self) -> bool {
        loop {
            let next = match &mut self.stage {
                Stage::Number(n, search) => {
                    let Some(number) = number(&mut self.event, *n) else { return false };
                    let search = search.get_or_insert_with(|| BinarySearch::new(*number));
                    if search.simplify() {
                        *number = search.current();
                        return true;
                    }
                    Stage::Number(*n + 1, None)
                }
                stage => {
                    let before = self.event.clone();
                    if let Event::Syscall(call) | Event::Stopped { call, .. } = &mut self.event
                        && Simpler::shorten(call, stage)
                    {
                        self.before = Some(before);
                        return true;
                    }
                    match stage {
                        Stage::Receive => Stage::Extra,
                        Stage::Extra => Stage::Words,
                        _ => Stage::Number(0, None),
                    }
                }
            };
            self.stage = next;
        }
    }

    fn complicate(&mut self) -> bool {
        match &mut self.stage {
            Stage::Number(n, Some(search)) => {
                let is_other = search.complicate();
                if let Some(number) = number(&mut self.event, *n) {
                    *number = search.current();
                }
                is_other
            }
            // It needs what was left out, and so all before that in the list.
            stage => {
                let Some(before) = self.before.take() else { return false };
                self.event = before;
                *stage = match stage {
                    Stage::Receive => Stage::Extra,
                    Stage::Extra => Stage::Words,
                    _ => Stage::Number(0, None),
                };
                true
            }
        }
    }
}
