//! Components of its own, as many as it can make, each of which computes for as long as it lives.

use alloc::{string::ToString, vec::Vec};

use pecan_component::{
    estate, println, program,
    supervision::{Child, Plan},
    ticks, tsc_mhz,
};

/// Bytes of each.
const MEMORY: u64 = 512 << 10;
/// More than it has memory, time and identifiers for.
const TRIES: u64 = 1000;
/// Its own priority.
const PRIORITY: u8 = 90;

/// Makes as many as it can, and lets them and itself compute for so many milliseconds; then it ends them.
pub fn breed(ms: u64) -> u64 {
    let Some(Ok(mut estate)) = estate() else {
        println!("the description gives no memory for children");
        return super::WORKED;
    };
    let (before, start) = (estate.ledger(), ticks());
    let mut children = Vec::new();
    for id in 0..TRIES {
        let plan = Plan {
            id,
            name: "child",
            arguments: &["spin", &(1000 * ms).to_string()],
            elf: program(),
            memory: MEMORY,
            children: 0,
            priority: PRIORITY,
            below: 0,
            tsc_mhz: tsc_mhz(),
        };
        // It goes on after the first error: what was tried in vain leaves nothing behind either.
        if let Ok(child) = Child::start(&mut estate, &plan) {
            children.push(child);
        }
    }
    println!("{} of {TRIES} components made", children.len());
    while ticks().wrapping_sub(start) < ms * 1000 * tsc_mhz() {
        core::hint::spin_loop();
    }
    for child in children {
        if child.end(&mut estate).is_err() {
            return super::WORKED;
        }
    }
    if estate.ledger() != before {
        println!("{:?} are left of {before:?}", estate.ledger());
        return super::WORKED;
    }
    println!("nothing is left of them");
    0
}
