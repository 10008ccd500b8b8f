//! Single instructions as functions.

use core::arch::asm;

/// Reads a system register that has no side effect.
macro_rules! read_register {
    ($name:literal) => {{
        let value: u64;
        // SAFETY: 1. Every processor that the kernel runs on has the register, and reading it changes nothing.
        unsafe {
            core::arch::asm!(concat!("mrs {}, ", $name), out(reg) value, options(nomem, nostack, preserves_flags))
        };
        value
    }};
}
pub(super) use read_register;

/// Writes a system register. Unsafe: the value must keep Rust's assumptions.
macro_rules! write_register {
    ($name:literal, $value:expr) => {{
        let value: u64 = $value;
        core::arch::asm!(concat!("msr ", $name, ", {}"), in(reg) value, options(nostack, preserves_flags))
    }};
}
pub(super) use write_register;

/// What was written to system registers is in force.
#[inline(always)]
pub fn isb() {
    // SAFETY: 1. It only orders.
    unsafe { asm!("isb", options(nostack, preserves_flags)) };
}

/// What was written to memory is seen by whoever looks, page-table walks included.
#[inline(always)]
pub fn dsb() {
    // SAFETY: 1. It only orders.
    unsafe { asm!("dsb ish", options(nostack, preserves_flags)) };
}

/// Writes back and drops all lines of all caches down to where memory is coherent, by set and way (Arm ARM, "Performing cache
/// maintenance instructions"): for one core, and for the benchmark call that asks for it.
pub fn flush_caches() {
    let levels = read_register!("clidr_el1");
    for level in 0..(levels >> 24 & 7) {
        let kind = levels >> (3 * level) & 7;
        // Instruction caches hold nothing that is to be written back.
        if kind < 2 {
            continue;
        }
        // SAFETY: 1. Chooses the cache that the next register describes.
        unsafe { write_register!("csselr_el1", level << 1) };
        isb();
        let size = read_register!("ccsidr_el1");
        let (line, ways, sets) = ((size & 7) + 4, (size >> 3 & 0x3ff) + 1, (size >> 13 & 0x7fff) + 1);
        let way_shift = if ways == 1 { 0 } else { (ways as u32 - 1).leading_zeros() };
        for way in 0..ways {
            for set in 0..sets {
                let which = way << way_shift | set << line | level << 1;
                // SAFETY: 1. Changes where data is, not what it is.
                unsafe { asm!("dc cisw, {}", in(reg) which, options(nostack, preserves_flags)) };
            }
        }
    }
    // SAFETY: 1. As above.
    unsafe { asm!("dsb sy", "ic iallu", "dsb sy", "isb", options(nostack, preserves_flags)) };
}

/// Zeroes words of memory.
///
/// # Safety
/// The `words` words from `start` on are mapped, and nobody holds a reference to them.
#[inline]
pub unsafe fn zero(start: *mut u64, words: usize) {
    // SAFETY: 1. The caller's obligation.
    unsafe { start.write_bytes(0, words) }
}

pub fn halt() -> ! {
    loop {
        // SAFETY: 1. With interrupts masked, waiting for one touches nothing.
        unsafe { asm!("msr daifset, #15", "wfi", options(nomem, nostack)) };
    }
}

/// Nothing is done against what predictors learn: docs/side-channels.md.
pub fn forget_domain() {}

#[inline(always)]
pub fn mask_surely(word: u64, mask: u64) -> u64 {
    let out: u64;
    // SAFETY: 1. An operation on registers, of which this is the result: no more bits than the mask has.
    unsafe {
        asm!("and {out}, {mask}, {word}", out = lateout(reg) out, mask = in(reg) mask, word = in(reg) word,
            options(pure, nomem, nostack, preserves_flags));
        core::hint::assert_unchecked(out <= mask);
    }
    out
}
