//! The kernel beside its model, on events that coverage leads to.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use pecan_spec::random::fuzz::{RECORD, run};

fuzz_target!(|data: &[u8]| {
    if let Some(why) = run(data).broken {
        panic!("{why}");
    }
});

// Bytes are records, so most mutations are of records: one of them, or which there are in what order.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let records = size / RECORD;
    let most = max_size.min(data.len()) / RECORD;
    let mut left = seed as usize;
    let mut below = |n: usize| {
        left = left.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (left >> 33) % n
    };
    let choice = below(16);
    if records == 0 || choice == 0 {
        // Anything, among it the beginning of one input with the end of another.
        return fuzzer_mutate(data, size, max_size);
    }
    let at = below(records) * RECORD;
    match choice {
        // A record is left out.
        1 | 2 if records > 1 => {
            data.copy_within(at + RECORD..size, at);
            size - RECORD
        }
        // A record comes again later, or earlier.
        3..=5 if records < most => {
            let record: [u8; RECORD] = data[at..at + RECORD].try_into().expect("a record is as long as one");
            let to = below(records + 1) * RECORD;
            data.copy_within(to..size, to + RECORD);
            data[to..to + RECORD].copy_from_slice(&record);
            size + RECORD
        }
        // A new record.
        6..=8 if records < most => {
            let to = below(records + 1) * RECORD;
            data.copy_within(to..size, to + RECORD);
            data[to..to + RECORD].fill_with(|| below(256) as u8);
            // Few are spoilt.
            data[to + RECORD - 9] = if below(8) == 0 { below(40) as u8 } else { 0 };
            size + RECORD
        }
        // Two records change places.
        9 => {
            let other = below(records) * RECORD;
            (0..RECORD).for_each(|i| data.swap(at + i, other + i));
            size
        }
        // One record changes.
        _ => {
            fuzzer_mutate(&mut data[at..at + RECORD], RECORD, RECORD);
            size
        }
    }
});
