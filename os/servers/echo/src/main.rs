//! Answers calls at once, so that the way there and back can be measured.
#![no_std]
#![no_main]

use pecan_component::{main, protocols::Echo, serve, service::Caller};

main!(main);

struct Answer;

impl Echo for Answer {
    fn ping(&mut self, _: Caller, value: u64) -> u64 {
        value.wrapping_add(1)
    }
}

fn main() {
    serve::<roles::Dispatch, _>(&mut Answer, |_, _| ())
}
