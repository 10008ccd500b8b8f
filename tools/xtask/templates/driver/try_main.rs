//! Calls the driver `@name@`.
#![no_std]
#![no_main]

use pecan_component::{main, println, service::CallError};

main!(main);

fn main() -> Result<(), CallError> {
    let driver = roles::@ROLE@.client();
    match driver.seconds()? {
        Some(seconds) => println!("the clock shows {seconds} seconds"),
        None => println!("the clock cannot be read"),
    }
    let (first, second) = (driver.tick()?, driver.tick()?);
    println!("the next tick is {} later", second - first);
    Ok(())
}
