//! Uses crates from crates.io as any program does that has no `std`. There is nothing in it for their sake.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use core::cell::Cell;

use critical_section::Mutex;
use hashbrown::{HashMap, HashSet};
use pecan_component::{main, println, spawn};
use rand010::{Rng, SeedableRng, TryRng};
use serde::{Deserialize, Serialize};

main!(main);

/// How often each thread counts.
const TURNS: u32 = 20_000;

static COUNTER: Mutex<Cell<u32>> = Mutex::new(Cell::new(0));

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Reading {
    place: String,
    degrees: Vec<f64>,
}

/// A number of each version of `getrandom`, and one of a generator that starts from such.
fn random() -> Result<[u64; 4], String> {
    let mut bytes = [0; 8];
    rand08::RngCore::try_fill_bytes(&mut rand08::rngs::OsRng, &mut bytes).map_err(|e| e.to_string())?;
    let second = rand09::TryRngCore::try_next_u64(&mut rand09::rngs::OsRng).map_err(|e| e.to_string())?;
    let third = rand010::rngs::SysRng.try_next_u64().map_err(|e| e.to_string())?;
    let mut standard =
        rand010::rngs::StdRng::try_from_rng(&mut rand010::rngs::SysRng).map_err(|e| e.to_string())?;
    Ok([u64::from_le_bytes(bytes), second, third, standard.next_u64()])
}

/// Whether all are different, and have about as many ones as zeros.
fn look_random(numbers: &[u64]) -> bool {
    let ones: u32 = numbers.iter().map(|n| n.count_ones()).sum();
    let bits = 64 * numbers.len() as u32;
    let different: HashSet<_> = numbers.iter().collect();
    different.len() == numbers.len() && (bits / 4..bits * 3 / 4).contains(&ones)
}

/// Counts, one time of ten within another critical section.
fn count() {
    for turn in 0..TURNS {
        critical_section::with(|outer| {
            let counter = COUNTER.borrow(outer);
            let before = counter.get();
            if turn % 10 == 0 {
                critical_section::with(|inner| COUNTER.borrow(inner).set(before + 1));
            } else {
                counter.set(before + 1);
            }
        });
    }
}

fn main() -> u64 {
    match random() {
        Ok(numbers) => println!("random numbers: {}", look_random(&numbers)),
        Err(error) => println!("no random numbers: {error}"),
    }

    match spawn("helper", count) {
        Ok(helper) => {
            count();
            helper.join();
            let counted = critical_section::with(|cs| COUNTER.borrow(cs).get());
            println!("counted by two threads: {}", counted == 2 * TURNS);
        }
        Err(error) => println!("{error}"),
    }

    let squares: HashMap<u64, u64> = (0..1000).map(|n| (n, n * n)).collect();
    println!("in the map: {} squares, 31 * 31 is {}", squares.len(), squares[&31]);

    let mut few: heapless::Vec<u32, 3> = heapless::Vec::new();
    let refused = (0..5).filter(|n| few.push(*n).is_err()).count();
    println!("in the vector without a heap: {few:?}, and {refused} too many");

    let reading = Reading { place: "roof".into(), degrees: [-3.5, 0.0, 21.25].into() };
    let back = postcard::to_allocvec(&reading).and_then(|bytes| postcard::from_bytes::<Reading>(&bytes));
    println!("the same after it was a message: {}", back.is_ok_and(|back| back == reading));

    let hypotenuse = libm::sqrt(3.0f64 * 3.0 + 4.0 * 4.0);
    println!("floating point: {hypotenuse}, {:.6}, {:.6}", libm::sin(1.0), libm::exp(-2.5));

    let four = wide::f64x4::from([1.0, 2.0, 3.0, 4.0]);
    println!("vectors: {}, {:?}", (four * four).reduce_add(), memchr::memmem::find(b"a needle in a", b"in"));
    0
}
