//! The clock (the time-stamp counter) and the timer (the local APIC's, by deadline where the processor can).
//!
//! The clock never goes backwards and its speed is measured once, at boot, before anything depends on it. The
//! timer has one deadline, which the portable kernel sets; an interrupt that comes early does no harm, as the
//! clock is looked at again.

use core::cell::Cell;

use super::cpu::{self, cpuid, io_read, io_write, rdtsc, wrmsr};
use super::features::{Features, has};
use super::irq::{LocalApic, TIMER_VECTOR};
use crate::boot::BootError;
use crate::calibrate::{self, Clocks, Failure, Look};
use crate::devices::{local_apic, pit};
use crate::one_core::OneCore;

/// A measurement takes at most this part of a second: the PIT counts for 55 ms.
const MEASUREMENTS: u64 = 25;

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
///
/// # Errors
/// Nothing tells the clock's frequency, or clocks that are compared do not agree.
pub fn init() -> Result<(), BootError> {
    let hz = match hz_from_cpuid() {
        Some(hz) => hz,
        None => match calibrate::ratio(&mut pit::Pit::new(PitAccess), pit::HZ / MEASUREMENTS) {
            Ok(ratio) => ((u128::from(ratio) * u128::from(pit::HZ)) >> 32) as u64,
            Err(failure) => match (base_hz_from_cpuid(), failure) {
                (Some(hz), _) => hz,
                (None, Failure::Stopped) => return Err(BootError::NoClock),
                (None, Failure::Disagree) => return Err(BootError::UnsteadyClock),
            },
        },
    };
    let mhz = (hz + 500_000) / 1_000_000;
    if mhz == 0 {
        return Err(BootError::NoClock);
    }
    CLOCK.mhz.set(mhz as u32);
    CLOCK.wcet.set(us_to_ticks(WCET_US));
    if !has(Features::TSC_DEADLINE) {
        let ratio = calibrate::ratio(&mut Timer::default(), hz / MEASUREMENTS);
        CLOCK.timer_ratio.set(ratio.map_err(|_| BootError::UnsteadyClock)?);
    }
    local_apic::timer_enable(&LocalApic, TIMER_VECTOR, has(Features::TSC_DEADLINE));
    // SAFETY: every processor has the instruction; the change of mode must precede the first deadline.
    unsafe { core::arch::asm!("mfence", options(nostack, preserves_flags)) };
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

/// The frequency that the processor is sold with, if it says it: about that of the clock (SDM volume 2, CPUID leaf 16H).
fn base_hz_from_cpuid() -> Option<u64> {
    let mhz = cpuid(0x16, 0).eax & 0xffff;
    (mhz != 0).then_some(u64::from(mhz) * 1_000_000)
}

/// The ports of the interval timer, and the time-stamp counter.
struct PitAccess;

impl pit::Access for PitAccess {
    fn read(&self, port: u16) -> u8 {
        io_read(port, 1) as u8
    }

    fn write(&self, port: u16, value: u8) {
        io_write(port, 1, value.into());
    }

    fn clock(&self) -> u64 {
        rdtsc()
    }
}

/// The local APIC's timer, measured against the time-stamp counter.
#[derive(Default)]
struct Timer {
    started: u64,
}

impl Clocks for Timer {
    fn start(&mut self) {
        local_apic::timer_free_run(&LocalApic);
        self.started = rdtsc();
    }

    fn look(&mut self) -> Option<Look> {
        let count = || u64::from(local_apic::timer_elapsed(&LocalApic));
        let (before, tsc, after) = (count(), rdtsc(), count());
        let ran_out = after == u32::MAX.into();
        (!ran_out).then_some(Look { before, reference: tsc - self.started, after })
    }
}

#[inline(always)]
pub fn now() -> u64 {
    rdtsc()
}

#[inline]
pub fn set_deadline(ticks: u64) {
    if has(Features::TSC_DEADLINE) {
        // SAFETY: the processor has the register. 0 would disarm the timer.
        unsafe { wrmsr(cpu::MSR_TSC_DEADLINE, ticks.max(1)) };
    } else {
        let counts = (u128::from(ticks.saturating_sub(rdtsc())) * u128::from(CLOCK.timer_ratio.get())) >> 32;
        local_apic::timer_start(&LocalApic, counts.clamp(1, u32::MAX.into()) as u32);
    }
}

#[inline]
pub fn us_to_ticks(us: u64) -> u64 {
    us.wrapping_mul(ticks_per_us().into())
}

#[inline]
pub fn ticks_to_us(ticks: u64) -> u64 {
    ticks / u64::from(ticks_per_us().max(1))
}

#[inline]
pub fn max_us() -> u64 {
    ticks_to_us(u64::MAX) / 8
}

/// The longest the kernel is assumed to run before it looks at the clock again: 10 us, in ticks.
#[inline(always)]
pub fn kernel_wcet_ticks() -> u64 {
    CLOCK.wcet.get()
}

#[inline]
pub fn ticks_per_us() -> u32 {
    CLOCK.mhz.get()
}
