//! Dies of each call.
#![no_std]
#![no_main]

use pecan_component::{
    main,
    protocols::{Echo, EchoDispatch},
    serve,
    service::Caller,
};

main!(main);

struct Mortal;

impl Echo for Mortal {
    fn ping(&mut self, _: Caller, _: u64) -> u64 {
        panic!("a call was made")
    }
}

fn main() {
    serve::<EchoDispatch, _>(&mut Mortal, |_, _| ())
}
