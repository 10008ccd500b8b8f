//! The program `@name@`.
#![no_std]
#![no_main]

use pecan_component::{main, println, startup};

main!(main);

fn main() {
    println!("Hello from {}.", startup().name());
    for (n, argument) in startup().arguments().enumerate() {
        println!("argument {}: {argument}", n + 1);
    }
}
