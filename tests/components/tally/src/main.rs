//! The first program of the tally.
#![no_std]
#![no_main]

use pecan_component::{clients, main, serve_replaceable};
use test_tally::{First, Server};

main!(main);

fn main() {
    let first = roles::IN.first_place().unwrap_or(0);
    let rings = (first..clients()).filter_map(|place| roles::IN.consumer(place));
    let mut server = Server::<First>::new(rings, first, |us| roles::TIMER.client().sleep(us).is_ok());
    serve_replaceable::<roles::Dispatch, _>(&mut server, Server::signal)
}
