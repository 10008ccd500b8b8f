//! Another program of the tally, with the same state.
#![no_std]
#![no_main]

use pecan_component::{clients, main, protocols::Unfit, serve_replaceable};
use test_tally::{Form, Server, State};

main!(main);

/// The second program.
struct Two;

impl Form for Two {
    const PROGRAM: u64 = 2;
    const VERSION: u32 = 1;
    type State = State;

    fn wrap(state: State) -> State {
        state
    }

    fn unwrap(state: State) -> Result<State, Unfit> {
        Ok(state)
    }
}

fn main() {
    let first = roles::IN.first_place().unwrap_or(0);
    let rings = (first..clients()).filter_map(|place| roles::IN.consumer(place));
    let mut server = Server::<Two>::new(rings, first, |us| roles::TIMER.client().sleep(us).is_ok());
    serve_replaceable::<roles::Dispatch, _>(&mut server, Server::signal)
}
