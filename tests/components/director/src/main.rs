//! Kills servers in the middle of requests, and looks whether anybody lost anything.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::{string::ToString, vec::Vec};

use pecan_component::{
    main, println,
    protocols::{Arguments, ControlError, Ending, State},
    service::CallError,
    startup, ticks,
};

main!(main);

const CLIENTS: u64 = 4;
/// Who is killed; those who can do most harm most often.
const SERVERS: [&str; 11] = [
    "ledger",
    "ledger-2",
    "ledger",
    "ledger-2",
    "ledger",
    "ledger-2",
    "timer",
    "echo",
    "supervisor",
    "reporter",
    "log",
];
/// The most microseconds between two kills.
const PAUSE: u64 = 4000;

/// Bytes of memory that nobody has.
fn free() -> Result<u64, CallError> {
    Ok(roles::CONTROL.client().memory(0)?.map_or(0, |info| info.left))
}

fn direct(kills: u64) -> Result<bool, CallError> {
    let (control, timer) = (roles::CONTROL.client(), roles::TIMER.client());
    let before = free()?;
    let mut random = ticks();
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        random >> 33
    };
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let arguments = [next().to_string(), (kills * (PAUSE + 1000)).to_string()];
        let arguments = Arguments::join(&arguments).unwrap_or_default();
        match control.run("entrant", Arguments::new(&arguments))? {
            Ok(id) => clients.push(id),
            Err(error) => println!("a client cannot be started: {error}"),
        }
    }
    for _ in 0..kills {
        timer.sleep(500 + next() % PAUSE)?;
        let server = SERVERS[next() as usize % SERVERS.len()];
        match control.kill(server) {
            // Who kills the supervisor takes the answer away, too.
            Ok(Ok(())) | Err(CallError::ServerRestarted { .. }) => {}
            Ok(Err(error)) => println!("{server} cannot be killed: {error}"),
            Err(error) => return Err(error),
        }
    }
    let (mut well, mut restarted) = (clients.len() as u64 == CLIENTS, 0);
    for id in clients {
        while control.name(id)?.is_some() {
            timer.sleep(1000)?;
            // Who waits for another call need not wait for ever.
            for ledger in [roles::A.client(), roles::B.client()] {
                ledger.count(0)?;
            }
        }
        match control.wait(id)? {
            Ok(Ending { state: State::Exited, status }) if status >= 1000 => restarted += status - 1000,
            Ok(_) | Err(ControlError::NoSuchComponent) => well = false,
            Err(error) => println!("the end of a client is not known: {error}"),
        }
    }
    let after = free()?;
    println!("{kills} kills: {}", if well { "nobody lost anything" } else { "somebody lost something" });
    println!("calls ended with ServerRestarted: {}", if restarted > 0 { "some" } else { "none" });
    println!("memory: {}", if before == after { "all of it is back" } else { "some of it is not back" });
    Ok(well && restarted > 0 && before == after)
}

fn main() -> u64 {
    let kills = startup().arguments().next().and_then(|argument| argument.parse().ok()).unwrap_or(10);
    match direct(kills) {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(error) => {
            println!("{error}");
            2
        }
    }
}
