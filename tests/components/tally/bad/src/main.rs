//! A program of the tally that does not do what it should.
#![no_std]
#![no_main]

use pecan_component::{clients, main, protocols::Unfit, serve_replaceable, supervisor};
use test_tally::{Form, Server, State};

main!(main);

/// The program that does not do what it should.
struct Bad;

impl Form for Bad {
    const PROGRAM: u64 = 9;
    const VERSION: u32 = 1;
    type State = State;

    fn wrap(state: State) -> State {
        state
    }

    fn unwrap(state: State) -> Result<State, Unfit> {
        match state.mode {
            1 => panic!("it does not want to take over"),
            2 => loop {
                pecan_component::wait();
            },
            3 => Err(Unfit::State),
            // SAFETY: nothing is mapped there: the program dies here, which is what it is there to do.
            4 => unsafe {
                core::ptr::without_provenance_mut::<u64>(16).write_volatile(1);
                Err(Unfit::State)
            },
            _ => Ok(state),
        }
    }

    fn before(mode: u64) {
        let bytes = match mode {
            5 => 64,
            6 => 1,
            7 => u64::MAX,
            8 => 0,
            _ => return,
        };
        if let Ok(Some(address)) = supervisor().state_room(bytes) {
            for n in 0..bytes / 8 {
                // SAFETY: the initial task has mapped this memory just now, for this.
                unsafe { (address as *mut u64).add(n as usize).write_volatile(0x0101_0101_0101_0101 * n) };
            }
            let _ = supervisor().hand_over();
        }
    }
}

fn main() {
    let first = roles::IN.first_place().unwrap_or(0);
    let rings = (first..clients()).filter_map(|place| roles::IN.consumer(place));
    let mut server = Server::<Bad>::new(rings, first, |us| roles::TIMER.client().sleep(us).is_ok());
    serve_replaceable::<roles::Dispatch, _>(&mut server, Server::signal)
}
