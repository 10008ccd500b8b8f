//! Sends numbered buffers through a ring, or does with the ring what it must not.
#![no_std]
#![no_main]

use pecan_component::{
    Outcome, main,
    pecan::{Cap, types::Notification},
    println,
    service::{CallError, shared::RingError},
    startup, ticks,
};
use test_drain::BUFFER;

main!(main);

/// Sends buffers until the other side has taken so many in a row; returns how often that began anew.
fn pour(count: u64) -> Result<u64, CallError> {
    let Some(mut ring) = roles::OUT.producer() else {
        println!("there is no ring");
        return Ok(0);
    };
    let drain = roles::OUT.client();
    let (mut sent, mut restarts) = (0, 0);
    loop {
        let outcome = if sent < count {
            ring.wait().and_then(|buffer| {
                let bytes = buffer.memory();
                (0..BUFFER / 8).for_each(|word| {
                    bytes.part(word * 8, 8).write(&(sent + 1).to_le_bytes());
                });
                ring.give(buffer, BUFFER, sent + 1)
            })
        } else {
            match drain.progress() {
                Ok(progress) if progress.count == count => return Ok(restarts),
                Ok(_) | Err(CallError::ServerRestarted { .. }) => {}
                Err(error) => return Err(error),
            }
            // What was sent and did not come is lost with the ring that it was in, and the rest with it.
            Err(RingError::Restarted)
        };
        match outcome {
            Ok(()) => {
                sent += 1;
                ring.publish();
            }
            Err(RingError::Restarted | RingError::Broken) => {
                restarts += 1;
                sent = 0;
                ring.begin_anew();
            }
        }
    }
}

/// The address of memory that the start page lists.
fn address(name: &str) -> *mut u64 {
    startup().memory(name).map_or(core::ptr::null_mut(), |(address, _)| address as *mut u64)
}

/// Writes anything where this side's indices and descriptors are, and wakes the other side each time.
fn forge() {
    let own = address("out.ring.own");
    // SAFETY: the start page lists this notification under this name.
    let wake: Option<Cap<Notification>> = unsafe { startup().cap("out.ring") };
    let (Some(wake), false) = (wake, own.is_null()) else { return };
    let _ring = roles::OUT.producer();
    let mut random = ticks() | 1;
    for round in 0..20_000u64 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        // Mostly the words that count, and of those now and then what makes the other side look at the rest.
        let word = if round % 2 == 0 { (random >> 40) % 24 } else { (random >> 40) % 512 } as usize;
        let value = match (random >> 33) % 4 {
            0 => random,
            1 => (random >> 50) % 64,
            2 => u64::MAX - (random >> 60),
            _ => round,
        };
        // SAFETY: it is in the page of this side's indices, which is mapped as long as the program runs. What others make of
        // it is what this is there to show.
        unsafe { own.add(word).write_volatile(value) };
        wake.signal();
    }
}

/// Writes a word that may only be read.
fn write(name: &str) {
    let address = address(name);
    if address.is_null() {
        println!("{name} is not there");
        return;
    }
    // SAFETY: the memory is mapped, and read-only: this program dies here, which is what it is there to do.
    unsafe { address.write_volatile(1) };
    println!("it was written");
}

fn main() -> impl Outcome {
    let argument = startup().arguments().next().unwrap_or("1000");
    match argument {
        "forge" => {
            forge();
            println!("forged");
        }
        "index" => write("out.ring.other"),
        "page" => write("out.r"),
        "twice" => {
            let first = roles::OUT.producer();
            println!("first: {}, second: {}", first.is_some(), roles::OUT.producer().is_some());
            drop(first);
            println!("after that: {}", roles::OUT.producer().is_some());
        }
        count => {
            let count = count.parse().unwrap_or(1000);
            let restarts = pour(count)?;
            let wrong = roles::OUT.client().progress()?.wrong;
            println!("{count} buffers came in order, {wrong} ever did not; begun anew {restarts} times");
        }
    }
    Ok::<(), CallError>(())
}
