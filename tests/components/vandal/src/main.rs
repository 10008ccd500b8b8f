//! Writes what commands a terminal, and reads what is not for it.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::String;

use pecan_component::{main, print, println, service::CallError, startup, supervisor};

main!(main);

/// Clears the screen, lets the terminal type where its cursor is, and writes over a line.
const COMMANDS: &str = "\x1b[2J\x1b[6n*** timer died\rtimer is well\n";

fn main() -> Result<(), CallError> {
    let console = roles::CONSOLE.client();
    match startup().arguments().next() {
        Some("draw") => print!("{COMMANDS}"),
        Some("log") => supervisor().log(COMMANDS.as_bytes())?,
        Some("steal") => println!("stolen: {}", String::from_utf8_lossy(&console.read()?)),
        Some("own") => println!("it may lend the keyboard: {}", console.foreground(0, 0)?),
        _ => println!("usage: vandal draw|log|steal|own"),
    }
    Ok(())
}
