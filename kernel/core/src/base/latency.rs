//! How long the kernel keeps interrupts off, measured by itself in profiles with `measure_latency`.
//!
//! A *stretch* begins when the kernel is entered or lets interrupts in at a preemption point, and ends at the next
//! preemption point that does so, or at the exit. The longest is kept, with what it was part of. On a machine whose
//! clock ticks once an instruction the figures are instructions. Elsewhere all of this compiles to nothing.

use core::fmt::Write;

use pecan_arch::{Console, reg};
use pecan_config::MEASURE_LATENCY;
use pecan_mem::{Kernel, Tag, Tcb};

/// What the entry and the exit stubs take together, outside of what is measured.
const STUBS: u64 = 52;

/// Words of the record.
const START: usize = 0;

const CAUSE: usize = 1;

/// The longest stretch since the last report to user level, and what it was part of.
const LAP: usize = 2;

const LAP_CAUSE: usize = 3;

/// The longest of all, and what it was part of.
const LONGEST: usize = 4;

const LONGEST_CAUSE: usize = 5;

/// Why the kernel was entered. With a number it makes a word, see [`begin`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum EntryKind {
    /// A system call; the number is its own, without the sign.
    Syscall = 1,
    /// An exception; the number is its vector.
    Exception = 2,
    /// An interrupt; the number is its vector.
    Interrupt = 3,
}

/// In a cause: the stretch began, or ended, at a preemption point.
const FROM_POINT: u64 = 1 << 40;

const TO_POINT: u64 = 1 << 41;

/// The kernel is entered. The cause of its stretches is the entry in bits 56 to 63, the number in 48 to 55, whether they
/// begin or end at a preemption point in 40 and 41, and [`note`] adds the kind of the capability invoked in bits 32 to
/// 39 and the label in 0 to 31.
#[inline(always)]
pub fn begin(k: &Kernel, entry: EntryKind, number: u64) {
    if MEASURE_LATENCY {
        pecan_arch::paint_stack();
        let number = (number as i64).unsigned_abs();
        set(k, CAUSE, (entry as u64) << 56 | (number & 0xff) << 48);
        set(k, START, pecan_arch::now());
    }
}

/// An invocation of a kernel object begins.
#[inline(always)]
pub fn note(k: &Kernel, tag: Tag, label: u64) {
    if MEASURE_LATENCY {
        set(k, CAUSE, get(k, CAUSE) | tag.number() << 32 | label & 0xffff_ffff);
    }
}

/// A preemption point has let interrupts in.
#[inline(always)]
pub fn point(k: &Kernel) {
    if MEASURE_LATENCY {
        end(k, TO_POINT);
        set(k, CAUSE, get(k, CAUSE) | FROM_POINT);
        set(k, START, pecan_arch::now());
    }
}

/// The kernel is left.
#[inline(always)]
pub fn leave(k: &Kernel) {
    if MEASURE_LATENCY {
        end(k, 0);
        set(k, START, 0);
    }
}

/// What went before in this stretch does not count: the kernel has printed something.
#[inline(always)]
pub fn restart(k: &Kernel) {
    if MEASURE_LATENCY {
        set(k, START, pecan_arch::now());
    }
}

/// The system call that reports to user level: the longest stretch since it was last called, its cause, and the bytes of
/// stack that the kernel has used at most. All 0 from a kernel that does not measure.
pub fn report(k: &Kernel, caller: &Tcb) {
    let stack = if MEASURE_LATENCY { pecan_arch::stack_used() as u64 } else { 0 };
    caller.context.set(reg::CAP, get(k, LAP));
    caller.context.set(reg::MSG[0], get(k, LAP_CAUSE));
    caller.context.set(reg::MSG[1], stack);
    set(k, LAP, 0);
    // Looking through the stack takes its time.
    restart(k);
}

/// Prints what was longest of all.
pub fn print(k: &Kernel) {
    if MEASURE_LATENCY {
        let (longest, cause) = (get(k, LONGEST), get(k, LONGEST_CAUSE));
        let _ = writeln!(Console, "latency: {longest} {cause:#x} stack: {}", pecan_arch::stack_used());
    }
}

#[inline(never)]
fn end(k: &Kernel, mark: u64) {
    // Before the first entry there is nothing to end.
    let (now, start) = (pecan_arch::now(), get(k, START));
    if start == 0 {
        return;
    }
    let (stretch, cause) = (now.wrapping_sub(start) + STUBS, get(k, CAUSE) | mark);
    for (best, what) in [(LAP, LAP_CAUSE), (LONGEST, LONGEST_CAUSE)] {
        if stretch > get(k, best) {
            set(k, best, stretch);
            set(k, what, cause);
        }
    }
}

// A record of no words has none to get or set.
#[inline(always)]
fn get(k: &Kernel, word: usize) -> u64 {
    k.core().latency.get(word).map_or(0, |w| w.get())
}

#[inline(always)]
fn set(k: &Kernel, word: usize, value: u64) {
    if let Some(w) = k.core().latency.get(word) {
        w.set(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use pecan_abi::extension::LATENCY_REPORT;
    use pecan_arch::{
        host::{advance_time, take_console},
        reg,
    };
    use pecan_config::MEASURE_LATENCY;
    use pecan_mem::{Kernel, Tag};

    use crate::{
        entry::{leave, syscall},
        testing::World,
    };

    /// What user level is told: the longest stretch and its cause.
    fn told(w: &World) -> (u64, u64) {
        let thread = w.thread.get(&w.k);
        report(&w.k, thread);
        let stack = thread.context.get(reg::MSG[1]);
        assert_eq!(stack, if MEASURE_LATENCY { pecan_arch::stack_used() as u64 } else { 0 });
        (thread.context.get(reg::CAP), thread.context.get(reg::MSG[0]))
    }

    #[test]
    fn the_longest_stretch_is_told_with_its_cause() {
        let w = World::new();
        let k = &*w.k;
        // At 0 the clock has not begun.
        advance_time(1);
        // Nothing at all where it is not measured.
        let measured = |ticks: u64, cause: u64| if MEASURE_LATENCY { (ticks + STUBS, cause) } else { (0, 0) };
        assert_eq!(told(&w), (0, 0));
        for (ticks, number) in [(100, 5), (70, 6)] {
            leave::begin(k, EntryKind::Syscall, number);
            note(k, Tag::ZOMBIE, 0x9_0000_0034);
            advance_time(ticks);
            leave::leave(k);
            // Time at user level.
            advance_time(1_000);
        }
        let first = 1 << 56 | 5 << 48 | 0x12 << 32 | 0x34;
        assert_eq!(told(&w), measured(100, first));
        assert_eq!(told(&w).0, 0, "since it was last asked");
        // Of three stretches the one in the middle; what is printed does not count.
        leave::begin(k, EntryKind::Interrupt, 0x121);
        advance_time(500);
        restart(k);
        for (ticks, end) in [(10, point as fn(&Kernel)), (90, point), (20, leave)] {
            advance_time(ticks);
            end(k);
        }
        assert_eq!(told(&w), measured(90, 3 << 56 | 0x21 << 48 | FROM_POINT | TO_POINT));
        leave::begin(k, EntryKind::Exception, 14);
        point(k);
        advance_time(95);
        leave::leave(k);
        assert_eq!(told(&w), measured(95, 2 << 56 | 14 << 48 | FROM_POINT));
        take_console();
        print(k);
        let longest = format!("latency: {} {first:#x} stack: ", 100 + STUBS);
        let text = take_console();
        assert!(if MEASURE_LATENCY { text.starts_with(&longest) } else { text.is_empty() }, "{text}");
    }

    #[test]
    fn only_its_number_reports_and_other_numbers_are_unknown() {
        for (number, is_known) in
            [(LATENCY_REPORT, pecan_config::DEBUG), (LATENCY_REPORT - 1, false), (1, false)]
        {
            let mut w = World::new();
            let thread = w.thread;
            thread.get(&w.k).context.set(reg::CAP, 77);
            let next = syscall::special_syscall(&mut w.k, number);
            // Nobody handles the fault of an unknown one.
            assert_eq!(next == thread, is_known, "{number}");
            assert_eq!(thread.get(&w.k).state.is_runnable(), is_known);
            assert_eq!(thread.get(&w.k).context.get(reg::CAP) == 77, !is_known);
        }
    }
}
