//! A program of the tally with a newer state.
#![no_std]
#![no_main]

use pecan_component::{clients, main, protocols::Unfit, serve_replaceable};
use serde::{Deserialize, Serialize};
use test_tally::{Form, Server, State};

main!(main);

/// The third program.
struct Three;

/// What it has to remember.
#[derive(Serialize, Deserialize)]
struct Newer {
    /// How often it took over.
    taken_over: u64,
    rest: State,
}

impl Form for Three {
    const PROGRAM: u64 = 3;
    const VERSION: u32 = 2;
    type State = Newer;

    fn wrap(rest: State) -> Newer {
        Newer { taken_over: 1, rest }
    }

    fn unwrap(state: Newer) -> Result<State, Unfit> {
        if state.taken_over > 0 { Ok(state.rest) } else { Err(Unfit::State) }
    }

    fn upgrade(version: u32, state: &[u8]) -> Option<Newer> {
        (version == 1).then_some(())?;
        Some(Self::wrap(postcard::from_bytes(state).ok()?))
    }
}

fn main() {
    let first = roles::IN.first_place().unwrap_or(0);
    let rings = (first..clients()).filter_map(|place| roles::IN.consumer(place));
    let mut server = Server::<Three>::new(rings, first, |us| roles::TIMER.client().sleep(us).is_ok());
    serve_replaceable::<roles::Dispatch, _>(&mut server, Server::signal)
}
