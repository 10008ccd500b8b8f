//! The switch between threads: what the processor keeps of one beyond the saved registers.

use core::arch::asm;

use super::cpu;
use super::features::{Features, has};
use crate::format::x86_64::context::GS_BASE;
use crate::{UserContext, reg};

/// What must change in the processor between two user threads beyond the saved registers: the bases of FS and GS.
/// Bases that are the same are not written: that is many times the cost of a comparison. Where there are instructions to
/// read them, the GS base, which hardly any program uses, is moved to the processor: the context of a thread that runs has 0.
#[inline(always)]
pub fn context_switch(from: &UserContext, to: &UserContext) {
    if !has_short_switch() {
        write_bases(to);
    } else if !short_context_switch(from, to) {
        exchange_bases(from, to);
    }
}

#[inline(always)]
pub fn has_short_switch() -> bool {
    has(Features::FSGSBASE)
}

#[inline(always)]
pub fn short_context_switch(from: &UserContext, to: &UserContext) -> bool {
    let (fs, gs) = read_bases();
    if gs | to.get(GS_BASE) != 0 {
        return false;
    }
    exchange_fs(from, to, fs);
    true
}

#[inline(always)]
fn exchange_fs(from: &UserContext, to: &UserContext, fs: u64) {
    from.keep_base(reg::TLS_BASE, fs);
    let new = to.get(reg::TLS_BASE);
    if new != fs {
        // SAFETY: the kernel does not use the segment, and contexts hold only bases that the processor accepts: canonical ones,
        // and those that it had; the callers have made sure that the instruction exists.
        unsafe { asm!("wrfsbase {}", in(reg) new, options(nomem, nostack, preserves_flags)) }
    }
}

#[cold]
#[inline(never)]
fn exchange_bases(from: &UserContext, to: &UserContext) {
    let (fs, gs) = read_bases();
    exchange_fs(from, to, fs);
    from.keep_base(GS_BASE, gs);
    let new = to.get(GS_BASE);
    if new != gs {
        // SAFETY: as in `exchange_fs`.
        unsafe { asm!("wrgsbase {}", in(reg) new, options(nomem, nostack, preserves_flags)) }
    }
    to.keep_base(GS_BASE, 0);
}

#[inline]
pub fn load_context(to: &UserContext) {
    write_bases(to);
    if has_short_switch() {
        to.keep_base(GS_BASE, 0);
    }
}

/// Sets the segment bases by their model-specific registers. Always both: a thread can have changed the live base by
/// loading a selector.
#[cold]
#[inline(never)]
fn write_bases(to: &UserContext) {
    // SAFETY: the kernel uses neither segment, and contexts hold only bases that the processor accepts.
    unsafe {
        cpu::wrmsr(cpu::MSR_FS_BASE, to.get(reg::TLS_BASE));
        cpu::wrmsr(cpu::MSR_GS_BASE, to.get(GS_BASE));
    }
}

/// Brings the saved registers of the running thread up to date with the processor, until [`load_context`]. Where user level has no instruction to
/// set a base, what the kernel last set stands.
#[inline]
pub fn sync_context(current: &UserContext) {
    if has_short_switch() {
        let (fs, gs) = read_bases();
        current.keep_base(reg::TLS_BASE, fs);
        current.keep_base(GS_BASE, gs);
    }
}

/// The segment bases, on a processor that has instructions to read them; another one takes this for a bug of the kernel.
#[inline(always)]
fn read_bases() -> (u64, u64) {
    let (fs, gs): (u64, u64);
    // SAFETY: reads two registers.
    unsafe {
        asm!("rdfsbase {}", "rdgsbase {}", out(reg) fs, out(reg) gs, options(nomem, nostack, preserves_flags))
    };
    (fs, gs)
}
