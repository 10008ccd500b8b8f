//! Asks for a name, and greets.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::String;

use pecan_component::{main, print, println, service::CallError};

main!(main);

fn main() -> Result<(), CallError> {
    let console = roles::CONSOLE.client();
    print!("What is your name? ");
    let name = String::from_utf8_lossy(&console.read_line()?).into_owned();
    if name.trim().is_empty() {
        println!("Then not.");
    } else {
        println!("Hello, {}.", name.trim());
    }
    Ok(())
}
