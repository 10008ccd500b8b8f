//! Which I/O ports have been given out: a bit for each, so that a port belongs to one capability and its copies.
//!
//! `invoke::arch` gives ports out, `delete` takes them back with the last capability to them.

use core::cell::Cell;

use pecan_mem::{ArchCap, Kernel};

/// The last capability to such an object goes: ports can be issued again.
pub fn end(k: &Kernel, cap: ArchCap) {
    match cap {
        ArchCap::IoPort { first, last } => mark(k, first, last, false),
        ArchCap::IoPortControl => {}
    }
}

/// What is the same for all capabilities to an object, and for no other.
pub fn identity(cap: ArchCap) -> usize {
    match cap {
        ArchCap::IoPortControl => usize::MAX,
        ArchCap::IoPort { first, last } => (first as usize) << 16 | last as usize,
    }
}

/// The words of the port bitmap that hold the ports `first..=last`, and which bits of the first and of the last of
/// them do; of all words between, every bit does.
#[inline(always)]
fn words(k: &Kernel, first: u16, last: u16) -> (&[Cell<u64>], u64, u64) {
    let words = &k.global().arch.io_ports[first as usize / 64..=last as usize / 64];
    (words, u64::MAX << (first % 64), u64::MAX >> (63 - last % 64))
}

/// True if none of the ports `first..=last` has been given out.
pub fn are_free(k: &Kernel, first: u16, last: u16) -> bool {
    match words(k, first, last) {
        ([word], low, high) => word.get() & low & high == 0,
        ([first, between @ .., last], low, high) => {
            let (fours, rest) = between.as_chunks();
            let used =
                fours.iter().fold(0, |used, [a, b, c, d]| used | a.get() | b.get() | c.get() | d.get());
            let used = rest.iter().fold(used, |used, word| used | word.get());
            first.get() & low | last.get() & high | used == 0
        }
        ([], ..) => true,
    }
}

/// Notes that the ports `first..=last` are given out, or are free.
pub fn mark(k: &Kernel, first: u16, last: u16, used: bool) {
    let set =
        |word: &Cell<u64>, mask: u64| word.set(if used { word.get() | mask } else { word.get() & !mask });
    match words(k, first, last) {
        ([word], low, high) => set(word, low & high),
        ([first, between @ .., last], low, high) => {
            set(first, low);
            let whole = if used { u64::MAX } else { 0 };
            let (fours, rest) = between.as_chunks();
            for [a, b, c, d] in fours {
                a.set(whole);
                b.set(whole);
                c.set(whole);
                d.set(whole);
            }
            rest.iter().for_each(|word| word.set(whole));
            set(last, high);
        }
        ([], ..) => {}
    }
}
