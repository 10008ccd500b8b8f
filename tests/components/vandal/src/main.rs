//! Writes what commands a terminal, and reads what is not for it.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::{format, string::String};

use pecan_component::{LOG, insist, main, print, println, service::CallError, startup, ticks, tsc_mhz};

main!(main);

/// Clears the screen, lets the terminal type where its cursor is, and writes over a line.
const COMMANDS: &str = "\x1b[2J\x1b[6n*** timer died\rtimer is well\n";

/// Lets some time pass.
fn pause() {
    let until = ticks() + 4000 * tsc_mhz();
    while ticks() < until {
        core::hint::spin_loop();
    }
}

fn main() -> Result<(), CallError> {
    let console = roles::CONSOLE.client();
    match startup().arguments().next() {
        Some("draw") => print!("{COMMANDS}"),
        Some("log") => LOG.client().write(COMMANDS.as_bytes())?,
        Some("count") => {
            for n in 1..=20 {
                for part in ["line ", &format!("{n}\n")] {
                    insist(|| LOG.client().write(part.as_bytes()))?;
                    pause();
                }
            }
        }
        Some("steal") => println!("stolen: {}", String::from_utf8_lossy(&console.read()?)),
        Some("own") => println!("it may lend the keyboard: {}", console.foreground(0, 0)?),
        _ => println!("usage: vandal draw|log|count|steal|own"),
    }
    Ok(())
}
