//! The clock (the time-stamp counter) and the timer (the local APIC's, by deadline where the processor can).

use core::cell::Cell;

use super::apic;
use super::core_block::OneCore;
use super::cpu::{self, cpuid, io_read, io_write, rdtsc, wrmsr};
use super::features::{Features, has};
use crate::boot::BootError;

const PIT_HZ: u64 = 1_193_182;
/// Longest calibration: 20 ms.
const PIT_LIMIT: u16 = (PIT_HZ / 50) as u16;
/// Calibration ends when its uncertainty is this small a part of it.
const PRECISION: u64 = 2000;

/// See [`kernel_wcet_ticks`].
const WCET_US: u64 = 10;

struct Clock {
    mhz: Cell<u32>,
    /// [`kernel_wcet_ticks`].
    wcet: Cell<u64>,
    /// Timer counts per tick, times 2^32.
    timer_ratio: Cell<u64>,
}

static CLOCK: OneCore<Clock> =
    OneCore::new(Clock { mhz: Cell::new(1), wcet: Cell::new(WCET_US), timer_ratio: Cell::new(1 << 32) });

/// Finds out how fast the clock and the timer run, and starts the timer.
pub fn init() -> Result<(), BootError> {
    let known = hz_from_cpuid();
    let hz = match known {
        Some(hz) if has(Features::TSC_DEADLINE) => hz,
        _ => match calibrate() {
            Some(m) => {
                CLOCK
                    .timer_ratio
                    .set((u128::from(m.timer) << 32).checked_div(m.tsc.into()).unwrap_or(1 << 32) as u64);
                known.unwrap_or(m.tsc * PIT_HZ / m.pit)
            }
            None if has(Features::TSC_DEADLINE) => u64::from(cpuid(0x16, 0).eax & 0xffff) * 1_000_000,
            None => 0,
        },
    };
    let mhz = (hz + 500_000) / 1_000_000;
    if mhz == 0 {
        return Err(BootError::NoClock);
    }
    CLOCK.mhz.set(mhz as u32);
    CLOCK.wcet.set(us_to_ticks(WCET_US));
    apic::timer_enable();
    Ok(())
}

/// The clock's frequency, where the processor or a hypervisor says it.
fn hz_from_cpuid() -> Option<u64> {
    let l = cpuid(0x15, 0);
    if l.eax != 0 && l.ebx != 0 && l.ecx != 0 {
        return Some(u64::from(l.ecx) * u64::from(l.ebx) / u64::from(l.eax));
    }
    // Leaf 0x4000_0010, defined by VMware and taken up by others: kHz.
    let hypervisor = cpuid(1, 0).ecx & 1 << 31 != 0;
    let khz = if hypervisor { cpuid(0x4000_0010, 0).eax } else { 0 };
    (khz != 0).then_some(u64::from(khz) * 1000)
}

/// What passed on each clock during the calibration.
struct Measured {
    pit: u64,
    tsc: u64,
    timer: u32,
    /// Of `tsc`, in ticks.
    uncertainty: u64,
}

impl Measured {
    /// Precise to one part in `parts`.
    fn within(&self, parts: u64) -> bool {
        self.uncertainty.saturating_mul(parts) <= self.tsc
    }
}

/// A moment at which the PIT's count was seen to change.
struct Edge {
    pit: u16,
    tsc: u64,
    timer: u32,
    /// Ticks within which the change happened.
    width: u64,
}

/// Waits for the PIT to count on; `None` if it does not.
fn edge() -> Option<Edge> {
    let (mut before, mut then) = (pit_count(), rdtsc());
    for _ in 0..100_000 {
        let (pit, timer, tsc) = (pit_count(), apic::timer_count(), rdtsc());
        if pit != before {
            return Some(Edge { pit, tsc, timer, width: tsc - then });
        }
        (before, then) = (pit, tsc);
    }
    None
}

/// Measures until the result is good. Something that stops this machine for milliseconds in the middle (firmware,
/// a busy host under an emulator) spoils a measurement; the best of a few is taken then.
fn calibrate() -> Option<Measured> {
    let mut best = measure()?;
    for _ in 0..7 {
        if best.within(PRECISION / 4) {
            break;
        }
        let next = measure()?;
        if u128::from(next.uncertainty) * u128::from(best.tsc)
            < u128::from(best.uncertainty) * u128::from(next.tsc)
        {
            best = next;
        }
    }
    Some(best)
}

/// Compares the clock and the timer with the PIT's second channel, for as long as precision needs.
fn measure() -> Option<Measured> {
    let gate = io_read(0x61, 1);
    io_write(0x61, 1, gate & !2 | 1);
    io_write(0x43, 1, 0xb0); // channel 2, both bytes, count down once
    io_write(0x42, 1, 0xff);
    io_write(0x42, 1, 0xff);
    apic::timer_free_run();
    let start = edge()?;
    let result = loop {
        let e = edge()?;
        let (pit, tsc) = (start.pit.wrapping_sub(e.pit), e.tsc - start.tsc);
        let (timer, uncertainty) = (start.timer.wrapping_sub(e.timer), start.width + e.width);
        let result = Measured { pit: pit.into(), tsc, timer, uncertainty };
        if result.within(PRECISION) || pit >= PIT_LIMIT {
            break result;
        }
    };
    io_write(0x61, 1, gate);
    Some(result)
}

fn pit_count() -> u16 {
    io_write(0x43, 1, 0x80);
    let low = io_read(0x42, 1);
    (low | io_read(0x42, 1) << 8) as u16
}

/// The clock, in ticks.
#[inline(always)]
pub fn now() -> u64 {
    rdtsc()
}

/// Asks for the timer's interrupt at an absolute time, in ticks. One that is past comes at once; one that is further off than
/// the timer can count comes early.
#[inline]
pub fn set_deadline(ticks: u64) {
    if has(Features::TSC_DEADLINE) {
        // SAFETY: the processor has the register. 0 would disarm the timer.
        unsafe { wrmsr(cpu::MSR_TSC_DEADLINE, ticks.max(1)) };
    } else {
        let counts = (u128::from(ticks.saturating_sub(rdtsc())) * u128::from(CLOCK.timer_ratio.get())) >> 32;
        apic::timer_start(counts.clamp(1, u32::MAX.into()) as u32);
    }
}

/// Microseconds to ticks; at most [`max_us`].
#[inline]
pub fn us_to_ticks(us: u64) -> u64 {
    us.wrapping_mul(tsc_mhz().into())
}

/// Ticks to microseconds, rounded down.
#[inline]
pub fn ticks_to_us(ticks: u64) -> u64 {
    ticks / u64::from(tsc_mhz().max(1))
}

/// The longest time that converts to ticks, with room for sums of eight such times.
#[inline]
pub fn max_us() -> u64 {
    ticks_to_us(u64::MAX) / 8
}

/// The longest the kernel is assumed to run before it looks at the clock again: 10 us, in ticks.
#[inline(always)]
pub fn kernel_wcet_ticks() -> u64 {
    CLOCK.wcet.get()
}

/// Ticks per microsecond, to the nearest whole number.
#[inline]
pub fn tsc_mhz() -> u32 {
    CLOCK.mhz.get()
}
