//! Counts the primes below a number, in as many steps as you like.
#![no_std]
#![no_main]

extern crate alloc;

use pecan_component::{main, println, startup};

main!(main);

/// The sieve takes a byte for each number, and the heap has no more room.
const MAX: usize = 50_000;

fn main() -> u64 {
    let mut arguments = startup().arguments();
    let limit = match arguments.next().map(str::parse::<usize>) {
        None => 1000,
        Some(Ok(limit)) if limit <= MAX => limit,
        Some(_) => {
            println!("usage: primes [LIMIT], with LIMIT at most {MAX}");
            return 2;
        }
    };
    let mut composite = alloc::vec![false; limit];
    let mut count = 0u32;
    for n in 2..limit {
        if composite[n] {
            continue;
        }
        count += 1;
        for multiple in (n * n..limit).step_by(n) {
            composite[multiple] = true;
        }
    }
    let share = f64::from(count) / limit.max(1) as f64 * 100.0;
    println!("{}: {count} primes below {limit}, {share:.1} % of the numbers", startup().name());
    0
}
