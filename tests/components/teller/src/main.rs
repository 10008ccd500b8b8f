//! Calls a server that is replaced meanwhile.
#![no_std]
#![no_main]

use pecan_component::{main, println, service::CallError, startup};

main!(main);

/// Calls until it is enough; returns how often, if each answer was the one that comes next.
fn tell(kind: &str) -> Result<Option<u64>, CallError> {
    let tally = roles::TALLY.client();
    let mut before = tally.count()?;
    let mut calls = 0;
    while !tally.is_finished()? {
        let (expected, sum) = match kind {
            "add" => (before + 1, tally.add()?),
            "later" => (before + 1, tally.add_later()?),
            "after" => (before + 1, tally.add_after(300)?),
            _ => (before, tally.count()?),
        };
        if sum != expected {
            println!("{kind}: {sum} in place of {expected}");
            return Ok(None);
        }
        before = sum;
        calls += 1;
    }
    Ok(Some(calls))
}

fn main() -> u64 {
    let mut arguments = startup().arguments();
    let tally = roles::TALLY.client();
    let done = match (arguments.next().unwrap_or("count"), arguments.next()) {
        ("mode", mode) => {
            tally.set_mode(mode.and_then(|mode| mode.parse().ok()).unwrap_or(0)).map(|()| Some(0))
        }
        ("program", _) => tally.program().map(|program| {
            println!("program {program}");
            Some(0)
        }),
        ("finish", _) => tally.finish().map(|()| Some(0)),
        (kind, _) => tell(kind),
    };
    match done {
        Ok(Some(0)) => 0,
        Ok(Some(calls)) => 1000 + calls.min(9_999),
        Ok(None) => 1,
        Err(error) => {
            println!("{error}");
            2
        }
    }
}
