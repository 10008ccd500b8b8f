//! What is random without a plan: words, addresses, calls, and registers of puppets.

use pecan_abi::{MessageInfo, Syscall};

use crate::{
    plan::{Call, View},
    rng::Rng,
    shared::{AREA_STRIDE, AREAS, DIRECTOR, GENERATORS, THREADS, WINDOW},
    snippets,
};

/// Random slots are taken from below this: few enough that something is in most of them.
pub fn slots_in_use() -> u64 {
    96
}

/// A word that tends to find mistakes.
pub fn odd_word(rng: &mut Rng) -> u64 {
    match rng.below(8) {
        0 => rng.below(16),
        1 => 1 << rng.below(64),
        2 => (1u64 << rng.below(64)).wrapping_sub(1),
        3 => 0u64.wrapping_sub(rng.below(64)),
        4 => rng.next(),
        5 => rng.of(&[
            0x0000_7fff_ffff_f000,
            0x0000_7fff_ffff_efff,
            0x0000_8000_0000_0000,
            0x0000_7fff_ffff_ffff,
            0xffff_8000_0000_0000,
            0xffff_ffff_8000_0000,
            0xffff_ffff_ffff_f000,
            0x7fff_ffff_ffff_ffff,
        ]),
        6 => WINDOW + rng.below(1 << 40),
        _ => rng.below(1 << 16),
    }
}

/// An address in the part of the address spaces in which random threads map things.
pub fn address(rng: &mut Rng) -> u64 {
    // Few enough for tables to be met again: two regions of each level in the one above.
    let page = rng.below(8) << 12;
    if rng.percent(50) {
        // In these there is a page table from the beginning.
        return WINDOW + page;
    }
    WINDOW + (rng.below(2) << 39) + (rng.below(2) << 30) + (rng.below(4) << 21) + page
}

/// System calls that random threads make; debug calls are not for them, as they stop the machine or print.
pub fn number(rng: &mut Rng) -> i64 {
    const PRINTS: i64 = Syscall::BenchmarkDumpAllThreadsUtilisation as i64;
    match rng.below(50) {
        0 => Syscall::SetTLSBase.number(),
        1 => match Syscall::BenchmarkFlushCaches.number() - rng.below(9) as i64 {
            PRINTS => Syscall::BenchmarkNullSyscall.number(),
            other => other,
        },
        2 => match odd_word(rng) as i64 {
            -17..=-12 | PRINTS => 0,
            other => other,
        },
        _ => -1 - rng.below(11) as i64,
    }
}

/// A call with everything at random, though small where small numbers mean something.
pub fn wild(rng: &mut Rng, view: View) -> Call {
    let cap =
        |rng: &mut Rng| if rng.percent(90) { view.base + rng.below(slots_in_use()) } else { odd_word(rng) };
    let mut call = Call {
        number: number(rng),
        cap: cap(rng),
        info: MessageInfo(if rng.percent(90) {
            MessageInfo::new(rng.below(72), rng.below(8), rng.below(4), rng.below(128)).0
        } else {
            rng.next()
        }),
        reply: cap(rng),
        dest: cap(rng),
        ..Call::default()
    };
    for word in call.words.iter_mut().take(8) {
        *word = if rng.percent(50) { rng.below(128) } else { odd_word(rng) };
    }
    for place in call.caps.iter_mut().chain(&mut call.receive) {
        *place = cap(rng);
    }
    call
}

/// Registers for a puppet: a piece of code, and in most cases the registers of a call.
pub fn puppet_registers(rng: &mut Rng, view: View) -> [u64; 20] {
    let call = match rng.percent(60) && view.table != DIRECTOR {
        // A whole invocation of its own would need more stack than it is worth: the words that fit registers.
        true => wild(rng, View { table: view.table, base: 0 }),
        false => Call { number: number(rng), cap: odd_word(rng), ..Call::default() },
    };
    let piece = if rng.percent(40) { rng.below(3) } else { rng.next() };
    let rip = if rng.percent(94) { snippets::address(piece) } else { odd_word(rng) };
    let area = AREAS + (GENERATORS as u64 + rng.below((THREADS - GENERATORS) as u64)) * AREA_STRIDE;
    let rsp = if rng.percent(85) { area + 0x1000 + 16 * rng.below(64) } else { odd_word(rng) };
    // The flags that user level can have, and those that it cannot.
    let rflags = if rng.percent(80) { 0x202 } else { rng.below(1 << 22) };
    let base = |rng: &mut Rng| if rng.percent(60) { area } else { odd_word(rng) };
    let target = match rng.below(4) {
        0 => odd_word(rng),
        1 => address(rng),
        _ => call.cap,
    };
    let wild = [rng.next(), odd_word(rng), odd_word(rng)];
    [
        rip,
        rsp,
        rflags,
        wild[0],
        rsp,
        wild[1],
        call.number as u64,
        call.info.0,
        target,
        wild[2],
        call.words[1],
        call.words[2],
        call.words[0],
        wild[1],
        call.reply,
        call.dest,
        wild[2],
        call.words[3],
        base(rng),
        base(rng),
    ]
}

/// Registers for a puppet that is a server, whose CSpace has `endpoints` endpoints and reply objects from these slots
/// on.
pub fn server_registers(rng: &mut Rng, index: usize, slots: [u64; 2], endpoints: u64) -> [u64; 20] {
    let mut registers = [0; 20];
    let area = AREAS + index as u64 * AREA_STRIDE;
    let mut one = |first: u64| first + rng.below(endpoints);
    let (ep, reply, other) = (one(slots[0]), one(slots[1]), one(slots[0]));
    registers[0] = snippets::server(rng.percent(50));
    (registers[1], registers[2]) = (area + 0x1ff0, 0x202);
    // In the order of `UserContext`: rbp, r12, r14.
    (registers[9], registers[14], registers[16]) = (ep, reply, other);
    registers
}
