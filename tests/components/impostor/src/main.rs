//! Has the protocol of the initial task's interface, and knows none of its methods: a channel to it gives nothing.
#![no_std]
#![no_main]

use pecan_component::{
    main,
    protocols::{Echo, EchoDispatch},
    serve,
    service::Caller,
};

main!(main);

struct Impostor;

impl Echo for Impostor {
    fn ping(&mut self, _: Caller, value: u64) -> u64 {
        value
    }
}

fn main() {
    serve::<EchoDispatch, _>(&mut Impostor, |_, _| ())
}
