//! Answers calls at once, so that the way there and back can be measured.
#![no_std]
#![no_main]

use pecan_component::{
    Handover, main,
    protocols::{Echo, Unfit},
    serve_replaceable,
    service::{Caller, Parking},
};

main!(main);

struct Answer;

impl Echo for Answer {
    fn ping(&mut self, _: Caller, value: u64) -> u64 {
        value.wrapping_add(1)
    }
}

impl Handover for Answer {
    const VERSION: u32 = 1;
    /// It has nothing to remember.
    type State = ();

    fn save(&mut self) {}

    fn restore(&mut self, (): (), _: &mut Parking) -> Result<(), Unfit> {
        Ok(())
    }
}

fn main() {
    serve_replaceable::<roles::Dispatch, _>(&mut Answer, |_, _| ())
}
