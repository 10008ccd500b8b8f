//! Makes components that make components, ends them, and looks whether anything is left.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::ToString;

use pecan_component::{
    estate, main,
    pecan::{Error, LongMessage, Message},
    println, program, startup,
    supervision::{Child, Estate, Event, Plan},
    tsc_mhz,
};

main!(main);

/// Bytes of each child, and what a child at depth 1 needs for those below it; each level more needs twice as much.
const MEMORY: u64 = 512 << 10;
const CHILDREN: u64 = 1 << 20;

/// Something was left of a child, or a child failed.
const WRONG: u64 = 3;

fn main() -> Result<u64, Error> {
    let mut arguments = startup().arguments().map(|a| a.parse::<u64>().unwrap_or(0));
    let (depth, cycles) = (arguments.next().unwrap_or(0), arguments.next().unwrap_or(0));
    if depth == 0 {
        println!("up");
        return Ok(0);
    }
    let Some(estate) = estate() else {
        println!("the description gives no memory for children");
        return Ok(WRONG);
    };
    let mut estate = estate?;
    let before = estate.ledger();
    for cycle in 1..=cycles {
        if !live(&mut estate, depth - 1, cycle)? {
            return Ok(WRONG);
        }
        if estate.ledger() != before {
            println!("cycle {cycle}: {:?} are left of {before:?}", estate.ledger());
            return Ok(WRONG);
        }
    }
    println!("{cycles} cycles, {depth} deep: everything is as it was");
    Ok(0)
}

/// The life of a child: whether it ended as it should. One in two is killed as soon as it says that it is up.
fn live(estate: &mut Estate, depth: u64, cycle: u64) -> Result<bool, Error> {
    let plan = Plan {
        id: cycle,
        name: "nest",
        arguments: &[&depth.to_string(), "1"],
        elf: program(),
        memory: MEMORY,
        children: if depth > 0 { CHILDREN << (depth - 1) } else { 0 },
        priority: 70 + depth as u8,
        below: depth as u16,
        tsc_mhz: tsc_mhz(),
    };
    let mut child = Child::start(estate, &plan)?;
    let (endpoint, reply) = estate.endpoint();
    let mut question = LongMessage::new(0);
    let mut badge = endpoint.recv_long(reply, &mut question);
    let well = loop {
        let answer = match Event::of(badge, &question) {
            (id, _) if id != cycle => {
                println!("a child of an earlier cycle speaks: {id}");
                break false;
            }
            (_, Event::Exits(status)) => break status == 0,
            (_, Event::Faults(fault)) => {
                println!("a child faults: {fault:?}");
                break false;
            }
            (_, Event::Calls) if cycle % 2 == 1 => break true,
            (_, Event::Calls) => Message::empty(0),
            (_, Event::Grows(bytes)) => child.grow(bytes),
        };
        badge = endpoint.reply_recv_long(reply, &answer, &mut question);
    };
    child.end(estate)?;
    Ok(well)
}
