//! A program of the tally that does not serve all methods.
#![no_std]
#![no_main]

use pecan_component::{
    clients, main, pecan, serve_replaceable,
    service::{Answered, Caller, Dispatch, Method, Refusal, Replies, Writer},
};
use test_tally::{First, Server};

main!(main);

/// Serves no methods of the second role.
struct Fewer;

type All = roles::Dispatch;

impl Dispatch<Server<First>> for Fewer {
    const METHODS: &'static [(u8, &'static [Method])] =
        match <All as Dispatch<Server<First>>>::METHODS.split_first() {
            Some((first, _)) => core::slice::from_ref(first),
            None => &[],
        };

    fn dispatch(
        server: &mut Server<First>,
        caller: Caller,
        question: &pecan::LongMessage,
        replies: &mut Replies,
        answer: &mut Writer,
    ) -> Result<Answered, Refusal> {
        All::dispatch(server, caller, question, replies, answer)
    }

    fn gone(server: &mut Server<First>, place: usize) {
        <All as Dispatch<Server<First>>>::gone(server, place);
    }

    fn given_up(server: &mut Server<First>, place: usize) {
        <All as Dispatch<Server<First>>>::given_up(server, place);
    }
}

fn main() {
    let first = roles::IN.first_place().unwrap_or(0);
    let rings = (first..clients()).filter_map(|place| roles::IN.consumer(place));
    let mut server = Server::<First>::new(rings, first, |us| roles::TIMER.client().sleep(us).is_ok());
    serve_replaceable::<Fewer, _>(&mut server, Server::signal)
}
