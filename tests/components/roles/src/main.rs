//! Serves one protocol in two roles, and another one in a third.
#![no_std]
#![no_main]

use pecan_component::{
    main,
    protocols::{Echo, Timer},
    serve,
    service::{Caller, Later},
};

main!(main);

struct Server;

impl Echo for Server {
    fn ping(&mut self, caller: Caller, value: u64) -> u64 {
        if roles::DOUBLE.is_called_by(caller) { value * 2 } else { value + 1 }
    }
}

impl Timer for Server {
    fn now(&mut self, _: Caller) -> u64 {
        42
    }

    fn alarm(&mut self, _: Caller, at: u64, later: Later<u64>) {
        later.answer(&at);
    }

    fn sleep(&mut self, _: Caller, duration: u64, later: Later<u64>) {
        later.answer(&(42 + duration));
    }

    fn pending(&mut self, _: Caller) -> u64 {
        0
    }
}

fn main() {
    serve::<roles::Dispatch, _>(&mut Server, |_, _| ())
}
