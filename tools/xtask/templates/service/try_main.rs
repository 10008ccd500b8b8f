//! Calls the service `@name@`.
#![no_std]
#![no_main]

use pecan_component::{main, println, service::CallError, startup};

main!(main);

fn main() -> Result<u64, CallError> {
    let service = roles::@ROLE@.client();
    for argument in startup().arguments() {
        let Ok(value) = argument.parse() else {
            println!("usage: {} NUMBERS", startup().name());
            return Ok(2);
        };
        println!("{value} added: {}", service.add(value)?);
    }
    println!("the sum is {}", service.sum()?);
    Ok(0)
}
