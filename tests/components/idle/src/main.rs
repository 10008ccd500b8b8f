//! Does nothing, for ever: it gives up what each period gives it.
#![no_std]
#![no_main]

use pecan_component::{main, pecan::raw};

main!(main);

fn main() {
    loop {
        raw::yield_now();
    }
}
