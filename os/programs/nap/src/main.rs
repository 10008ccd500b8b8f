//! Sleeps a while, and says so.
#![no_std]
#![no_main]

use pecan_component::{main, println, service::CallError, startup};

main!(main);

fn main() -> Result<u64, CallError> {
    let ms = match startup().arguments().next().map(str::parse::<u64>) {
        None => 500,
        Some(Ok(ms)) if ms <= 3_600_000 => ms,
        Some(_) => {
            println!("usage: nap [MILLISECONDS]");
            return Ok(2);
        }
    };
    let timer = roles::TIMER.client();
    let start = timer.now()?;
    let end = timer.sleep(ms * 1000)?;
    let enough = if end - start >= ms * 1000 { "" } else { " (not long enough)" };
    println!("{} slept {ms} ms{enough}", startup().name());
    Ok(0)
}
