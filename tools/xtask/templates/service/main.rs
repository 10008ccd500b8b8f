//! The service `@name@`.
#![no_std]
#![no_main]

use pecan_component::{main, serve, service::Caller};

use @crate@::@Trait@;

main!(main);

/// What the service keeps.
struct State {
    sum: u64,
}

impl @Trait@ for State {
    fn add(&mut self, _: Caller, value: u64) -> u64 {
        self.sum = self.sum.saturating_add(value);
        self.sum
    }

    fn sum(&mut self, _: Caller) -> u64 {
        self.sum
    }
}

fn main() {
    serve::<roles::Dispatch, _>(&mut State { sum: 0 }, |_, _| ())
}
