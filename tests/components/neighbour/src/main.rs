//! Computes for a while, and says whether it got the time that its description promises.
#![no_std]
#![no_main]

use pecan_component::{main, println, protocols::ControlClient, service::CallError, startup, ticks, tsc_mhz};

main!(main);

/// Its share of the core, in per cent: what `systems/hostile.toml` promises.
const SHARE: u64 = 20;
/// The least of that, in per cent, that it is to get whatever others do.
const LEAST: u64 = 95;
/// It was starved.
const STARVED: u64 = 3;

/// Microseconds that it has run, as the kernel counts them.
fn used(control: ControlClient) -> Result<Option<u64>, CallError> {
    let name = startup().name();
    for index in 0.. {
        let Some(info) = control.component(index)? else { break };
        if &*info.name == name {
            return Ok(Some(info.cpu_us));
        }
    }
    Ok(None)
}

fn main() -> Result<u64, CallError> {
    let ms = startup().arguments().next().and_then(|ms| ms.parse().ok()).unwrap_or(100);
    let control = roles::CONTROL.client();
    let (start, Some(before)) = (ticks(), used(control)?) else { return Ok(STARVED) };
    while ticks().wrapping_sub(start) < ms * 1000 * tsc_mhz() {
        core::hint::spin_loop();
    }
    let elapsed = ticks().wrapping_sub(start) / tsc_mhz();
    let promised = (elapsed * SHARE / 100).max(1);
    let got = used(control)?.unwrap_or(0) - before;
    let percent = got * 100 / promised;
    if percent < LEAST {
        println!("it got {percent} % of its budget: {got} of {promised} us");
        return Ok(STARVED);
    }
    println!("it got at least {LEAST} % of its budget");
    Ok(0)
}
