//! Lets its threads print, fault, or use up their time.
#![no_std]
#![no_main]

use pecan_component::{SpawnError, main, println, spawn, startup};

main!(main);

/// How many lines each thread prints.
const LINES: u64 = 60;

fn print(who: &str) {
    for n in 1..=LINES {
        println!(
            "{who} {n}: a line that is long enough that the serial port cannot keep up with three of them"
        );
    }
}

/// Reads from where nothing is.
fn fault() {
    // SAFETY: nothing is mapped there: the program dies here, which is what it is there to do.
    let _ = unsafe { core::ptr::without_provenance::<u64>(16).read_volatile() };
}

fn run(what: &str) -> Result<(), SpawnError> {
    match what {
        "print" => {
            let (first, second) = (spawn("first", || print("first"))?, spawn("second", || print("second"))?);
            print("main");
            first.join();
            second.join();
        }
        "fault" => spawn("second", fault)?.join(),
        "overrun" => spawn("first", || {
            loop {
                core::hint::spin_loop();
            }
        })?
        .join(),
        _ => {}
    }
    Ok(())
}

fn main() -> u64 {
    match run(startup().arguments().next().unwrap_or("print")) {
        Ok(()) => 0,
        Err(error) => {
            println!("{error}");
            1
        }
    }
}
