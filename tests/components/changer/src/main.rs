//! Replaces a server again and again while others call it.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::{string::String, vec::Vec};

use pecan_component::{
    main, println,
    protocols::{Arguments, Ending, ReplaceError, State},
    service::CallError,
    startup, ticks,
};

main!(main);

/// The programs that take each other's places.
const PROGRAMS: [&str; 2] = ["test-tally-two", "test-tally"];
/// Who calls meanwhile.
const CLIENTS: [(&str, &str); 5] =
    [("teller", "add"), ("teller", "count"), ("teller", "later"), ("teller", "after"), ("pour", "")];
/// How many buffers come through the ring for each time.
const BUFFERS: u64 = 200;
/// The most microseconds between two times.
const PAUSE: u64 = 15_000;

/// Bytes of memory that nobody has.
fn free() -> Result<u64, CallError> {
    Ok(roles::CONTROL.client().memory(0)?.map_or(0, |info| info.left))
}

fn change(times: u64) -> Result<bool, CallError> {
    let (control, timer, tally) = (roles::CONTROL.client(), roles::TIMER.client(), roles::TALLY.client());
    let before = free()?;
    let mut clients = Vec::new();
    for (program, argument) in CLIENTS {
        let buffers = alloc::format!("{}", times * BUFFERS);
        let argument = if argument.is_empty() { buffers } else { String::from(argument) };
        match control.run(program, Arguments::new(&(argument + "\0")))? {
            Ok(id) => clients.push(id),
            Err(error) => println!("a client cannot be started: {error}"),
        }
    }
    let (mut well, mut random, mut least) = (clients.len() == CLIENTS.len(), ticks(), u64::MAX);
    for n in 0..times {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        timer.sleep(500 + (random >> 33) % PAUSE)?;
        let program = PROGRAMS[n as usize % PROGRAMS.len()];
        match control.replace("tally", program) {
            // Who kills the supervisor takes the answer away. Its successor goes on with the handover, and may be at it.
            Ok(Ok(()) | Err(ReplaceError::Busy)) | Err(CallError::ServerRestarted { .. }) => {}
            Ok(Err(error)) => {
                println!("{program}: {error}");
                well = false;
            }
            Err(error) => return Err(error),
        }
    }
    tally.finish()?;
    for id in clients {
        while control.name(id)?.is_some() {
            timer.sleep(1000)?;
            // Who waits for another call need not wait for ever.
            tally.count()?;
        }
        match control.wait(id)? {
            Ok(Ending { state: State::Exited, status: 0 }) => {}
            Ok(Ending { state: State::Exited, status: status @ 1000.. }) => least = least.min(status - 1000),
            Ok(_) | Err(_) => well = false,
        }
    }
    let busy = 2 * least.min(times) >= times;
    println!("calls of each client: {}", if busy { "one for every two times at least" } else { "few" });
    let after = free()?;
    println!("{times} times: {}", if well { "nobody lost anything" } else { "somebody lost something" });
    println!("memory: {}", if before == after { "all of it is back" } else { "some of it is not back" });
    Ok(well && busy && before == after)
}

/// Kills the supervisor so many times.
fn kill(times: u64) -> Result<bool, CallError> {
    let (control, timer) = (roles::CONTROL.client(), roles::TIMER.client());
    let mut random = ticks();
    for _ in 0..times {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        timer.sleep(2000 + (random >> 33) % PAUSE)?;
        match control.kill("supervisor") {
            // It takes the answer with it.
            Ok(Ok(())) | Err(CallError::ServerRestarted { .. }) => {}
            Ok(Err(error)) => println!("the supervisor cannot be killed: {error}"),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

fn main() -> u64 {
    let mut arguments = startup().arguments();
    let first = arguments.next().unwrap_or("10");
    let done = match first {
        "kill" => kill(arguments.next().and_then(|argument| argument.parse().ok()).unwrap_or(10)),
        times => change(times.parse().unwrap_or(10)),
    };
    match done {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(error) => {
            println!("{error}");
            2
        }
    }
}
