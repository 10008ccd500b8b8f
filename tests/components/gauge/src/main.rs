//! Measures how long calls of the initial task take, while that makes components and takes them apart.
#![no_std]
#![no_main]

use pecan_component::{
    estate, main,
    pecan::{raw, types::Endpoint},
    println,
    service::CallError,
    startup, supervisor, ticks, tsc_mhz,
};

main!(main);

/// The most microseconds that a call may take.
const MOST: u64 = 1_500;
/// One took longer.
const TOO_LONG: u64 = 3;

/// How many objects are made of memory for children: to revoke so many takes some 50 ms.
const OBJECTS: u64 = 100_000;

/// Bytes that take so many, with a slot for each.
const MEMORY: u64 = 8 << 20;

/// Makes many objects of the memory for children; how many there are.
fn fill() -> Option<usize> {
    let mut home = estate()?.ok()?.home(MEMORY, OBJECTS).ok()?;
    let mut objects = home.objects();
    Some((0..OBJECTS).take_while(|_| objects.make::<Endpoint>().is_ok()).count())
}

fn main() -> Result<u64, CallError> {
    if startup().arguments().next() == Some("fill") {
        println!("{} objects", fill().unwrap_or(0));
        loop {
            raw::yield_now();
        }
    }
    let ms = startup().arguments().next().and_then(|ms| ms.parse().ok()).unwrap_or(100);
    let (start, mut longest) = (ticks(), 0);
    while ticks().wrapping_sub(start) < ms * 1000 * tsc_mhz() {
        let before = ticks();
        supervisor().is_replaced()?;
        longest = longest.max(ticks().wrapping_sub(before) / tsc_mhz());
        // The rest of this period's budget: it goes on with the next period.
        raw::yield_now();
    }
    if longest > MOST {
        println!("a call took {longest} us");
        return Ok(TOO_LONG);
    }
    println!("no call took longer than {MOST} us");
    Ok(0)
}
