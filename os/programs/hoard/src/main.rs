//! Takes memory, writes to all of its pages, and reads them back.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;

use pecan_component::{main, println, startup};

main!(main);

const PAGE: usize = 4096;

/// What is written to a page: a number that no other page has.
const fn mark(page: usize) -> u64 {
    (page as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
}

fn main() -> u64 {
    let Some(mib) = startup().arguments().next().and_then(|n| n.parse::<usize>().ok()) else {
        println!("usage: hoard MIB");
        return 2;
    };
    let mut memory: Vec<u64> = Vec::new();
    let words = mib << 20 >> 3;
    if memory.try_reserve_exact(words).is_err() {
        println!("there are not {mib} MiB");
        return 1;
    }
    // Fresh memory is zero, and a page is written once.
    memory.resize(words, 0);
    let pages = words / (PAGE / 8);
    for page in 0..pages {
        memory[page * (PAGE / 8)] = mark(page);
    }
    let wrong = (0..pages).filter(|page| memory[page * (PAGE / 8)] != mark(*page)).count();
    println!("{mib} MiB taken, {wrong} of {pages} pages wrong");
    u64::from(wrong > 0)
}
