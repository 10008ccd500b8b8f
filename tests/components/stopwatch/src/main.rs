//! Counts the instructions of the start and the end of a component.
#![no_std]
#![no_main]

use pecan_component::{
    main, println,
    protocols::{Arguments, Ending, State},
    service::CallError,
    startup, ticks,
};

main!(main);

/// How often it is measured. The least counts: now and then the timer gets in between.
const SAMPLES: usize = 16;

/// Instructions from the call that starts a component to its `main`, and from there until its end is known.
fn sample() -> Result<Option<(u64, u64)>, CallError> {
    let control = roles::CONTROL.client();
    let before = ticks();
    let Ok(id) = control.run("brief", Arguments::new(""))? else { return Ok(None) };
    let ending = control.wait(id)?;
    let after = ticks();
    Ok(match ending {
        Ok(Ending { state: State::Exited, status: ran }) => Some((ran - before, after - ran)),
        _ => None,
    })
}

fn measure() -> Result<Option<(u64, u64)>, CallError> {
    let mut least = (u64::MAX, u64::MAX);
    for _ in 0..SAMPLES {
        let Some((start, end)) = sample()? else { return Ok(None) };
        least = (least.0.min(start), least.1.min(end));
    }
    Ok(Some(least))
}

fn main() -> u64 {
    if startup().arguments().next().is_none() {
        return ticks();
    }
    match measure() {
        Ok(Some((start, end))) => {
            println!("bench component-start {start}");
            println!("bench component-end {end}");
            println!("bench: done");
            0
        }
        Ok(None) => {
            println!("a component does not start and end");
            1
        }
        Err(error) => {
            println!("{error}");
            1
        }
    }
}
