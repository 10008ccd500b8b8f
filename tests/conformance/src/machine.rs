//! The processor: time, and instructions that tests use.

use core::{
    arch::{asm, x86_64::__cpuid},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// Ticks of the time-stamp counter per microsecond.
static TICKS_PER_US: AtomicU64 = AtomicU64::new(1000);

/// Sets how fast the time-stamp counter runs, in MHz.
pub fn set_tsc_mhz(mhz: u64) {
    TICKS_PER_US.store(mhz.max(1), Relaxed);
}

/// The time-stamp counter.
#[inline]
pub fn tsc() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a register that user level may read.
    unsafe { asm!("rdtsc", out("eax") low, out("edx") high, options(nomem, nostack)) };
    u64::from(high) << 32 | u64::from(low)
}

/// Ticks of the time-stamp counter in so many microseconds.
pub fn ticks(us: u64) -> u64 {
    us * TICKS_PER_US.load(Relaxed)
}

/// Microseconds since an earlier reading of the time-stamp counter.
pub fn us_since(start: u64) -> u64 {
    tsc().wrapping_sub(start) / TICKS_PER_US.load(Relaxed)
}

/// Uses the processor for so many microseconds, not counting those in which another thread has it (but for less than 200
/// at a time).
pub fn work(us: u64) {
    let (mut done, mut last) = (0, tsc());
    while done < ticks(us) {
        let now = tsc();
        let passed = now.wrapping_sub(last);
        done += if passed < ticks(200) { passed } else { 0 };
        last = now;
    }
}

/// Uses the processor for so many microseconds of time (not of budget).
pub fn spin(us: u64) {
    let start = tsc();
    while us_since(start) < us {
        core::hint::spin_loop();
    }
}

/// The processor is of AMD or Hygon, by the first letters of its signature.
pub fn is_amd() -> bool {
    matches!(&__cpuid(0).ebx.to_le_bytes(), b"Auth" | b"Hygo")
}

/// The processor says that it is QEMU's own, by the first letters of its signature as a hypervisor.
pub fn is_tcg() -> bool {
    __cpuid(0x4000_0000).ebx == u32::from_le_bytes(*b"TCGT")
}

/// The processor has frames of 1 GiB.
pub fn has_huge_frames() -> bool {
    __cpuid(0x8000_0001).edx >> 26 & 1 != 0
}
