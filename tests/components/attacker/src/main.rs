//! Does what would hurt others if anything did.
#![no_std]
#![no_main]

extern crate alloc;

mod children;
mod memory;
mod messages;

use alloc::{string::ToString, vec::Vec};

use pecan_component::{
    LOG, main, println,
    protocols::{ConsoleClient, ControlClient},
    service::CallError,
    startup, ticks, tsc_mhz,
};

main!(main);

/// What it tried has worked.
const WORKED: u64 = 3;

/// Lets `action` happen again and again for so many milliseconds.
fn for_ms(ms: u64, mut action: impl FnMut() -> Result<(), CallError>) -> Result<(), CallError> {
    let start = ticks();
    while ticks().wrapping_sub(start) < ms * 1000 * tsc_mhz() {
        action()?;
    }
    Ok(())
}

/// Calls a service as fast as it can.
fn flood(service: &str, ms: u64) -> Result<(), CallError> {
    let (console, control) = (roles::CONSOLE.client(), roles::CONTROL.client());
    let mut index = 0;
    match service {
        "console" => for_ms(ms, || {
            console.write(b"")?;
            console.flush()
        }),
        "timer" => for_ms(ms, || roles::TIMER.client().sleep(1).map(drop)),
        "echo" => for_ms(ms, || roles::ECHO.client().ping(1).map(drop)),
        "log" => for_ms(ms, || LOG.client().write(&[b'x'; 39])),
        "control" => for_ms(ms, || {
            index = if control.component(index)?.is_some() { index + 1 } else { 0 };
            control.capability("console", index).map(drop)
        }),
        _ => {
            println!("there is no service {service}");
            Ok(())
        }
    }
}

/// Calls a server that lies, as a client of other protocols, too. What comes back is an error or a value.
fn lies(count: u64) {
    let (echo, endpoint) = (roles::LIAR.client(), roles::LIAR.endpoint());
    let (console, control) = (ConsoleClient::new(endpoint), ControlClient::new(endpoint));
    let (mut values, mut errors) = (0, 0);
    let mut count_one = |is_value: bool| if is_value { values += 1 } else { errors += 1 };
    for n in 0..count {
        count_one(match n % 5 {
            0 => echo.ping(n).is_ok(),
            1 => control.component(n).is_ok(),
            2 => control.capability("x", n).is_ok(),
            3 => console.read_line().is_ok(),
            _ => console.write(b"text").is_ok(),
        });
    }
    println!("{count} lies: {} values, {} errors", some(values), some(errors));
}

/// How many, as far as it matters.
fn some(count: u64) -> &'static str {
    if count > 0 { "some" } else { "no" }
}

fn main() -> Result<u64, CallError> {
    let arguments: Vec<&str> = startup().arguments().collect();
    let number = |n: usize| arguments.get(n).and_then(|a| a.parse().ok()).unwrap_or(0);
    let service = arguments.get(1).copied().unwrap_or_default();
    match arguments.first().copied() {
        Some("nonsense") => messages::nonsense(number(1)),
        Some("owe") => messages::owe(service, number(2)),
        Some("flood") => flood(service, number(2))?,
        Some("spin") => for_ms(number(1), || Ok(()))?,
        Some("lies") => lies(number(1)),
        Some("hang") => println!("answered: {:?}", roles::MUTE.client().ping(1)),
        Some("beyond") => return Ok(memory::beyond()),
        Some("stick") => {
            // It is another protocol's method, with more words, and may not be called again.
            let server = if service == "stuck" { roles::STUCK } else { roles::GREEDY };
            match ControlClient::new(server.endpoint()).kill("nobody") {
                Ok(_) => println!("{service}: answered"),
                Err(error) => println!("{service}: {error}"),
            }
            println!("{service}: {:?}", server.client().ping(1));
        }
        Some("await") => println!("it has ended: {:?}", roles::CONTROL.client().wait(number(1))?),
        Some("poison") => {
            // A method that may be called again.
            println!("{:?}", roles::FRAIL.client().ping(1000).map_err(|error| error.to_string()));
            println!("{:?}", roles::FRAIL.client().ping(1));
        }
        Some("leave") => {
            memory::leave();
            roles::TIMER.client().sleep(number(1) * 1000)?;
        }
        Some("breed") => return Ok(children::breed(number(1))),
        Some("mark") => println!("{} pages marked", some(memory::all_pages(memory::mark))),
        Some("search") => {
            let found = memory::all_pages(memory::is_not_zero);
            println!("{} pages have something in them", some(found));
            return Ok(if found > 0 { WORKED } else { 0 });
        }
        _ => println!("README.md says what it can do"),
    }
    Ok(0)
}
