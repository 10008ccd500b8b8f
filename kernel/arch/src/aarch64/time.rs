//! The clock and the timer: the virtual counter of the generic timer, which user level can read, and its comparator.
//!
//! The counter never goes back, and the firmware or the device tree says how fast it is.

use core::cell::Cell;

use super::cpu::{isb, read_register, write_register};
use crate::BootError;
use crate::one_core::OneCore;

/// See [`kernel_wcet_ticks`].
const WCET_US: u64 = 10;
/// CNTV_CTL_EL0: the timer is on, and its interrupt not masked.
const ENABLE: u64 = 1;
/// CNTKCTL_EL1: user level can read the virtual counter, and has no other access.
const USER_READS_COUNTER: u64 = 1 << 1;

/// The frequency in lowest terms: so many ticks are so many microseconds.
struct Clock {
    ticks: Cell<u64>,
    us: Cell<u64>,
    /// [`kernel_wcet_ticks`].
    wcet: Cell<u64>,
}

static CLOCK: OneCore<Clock> =
    OneCore::new(Clock { ticks: Cell::new(1), us: Cell::new(1), wcet: Cell::new(WCET_US) });

/// Takes the timer into use. `hz` is its frequency where the device tree says it; otherwise the firmware has told the processor.
///
/// # Errors
/// Nothing tells the frequency, or it is below 1 MHz.
pub fn init(hz: Option<u32>) -> Result<(), BootError> {
    let hz = hz.map_or(read_register!("cntfrq_el0") & u64::from(u32::MAX), u64::from);
    if hz < 1_000_000 {
        return Err(BootError::NoClock);
    }
    let (mut divisor, mut rest) = (hz, 1_000_000);
    while rest != 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    CLOCK.ticks.set(hz / divisor);
    CLOCK.us.set(1_000_000 / divisor);
    CLOCK.wcet.set(us_to_ticks(WCET_US));
    set_deadline(u64::MAX);
    // SAFETY: 1. The interrupt of the timer is one that the kernel expects. 2. What user level reads of the counter is the time.
    unsafe {
        write_register!("cntv_ctl_el0", ENABLE);
        write_register!("cntkctl_el1", USER_READS_COUNTER);
    }
    Ok(())
}

/// Not read ahead of time.
#[inline(always)]
pub fn now() -> u64 {
    isb();
    read_register!("cntvct_el0")
}

#[inline]
pub fn set_deadline(ticks: u64) {
    // SAFETY: 1. The kernel expects the timer's interrupt.
    unsafe { write_register!("cntv_cval_el0", ticks) }
}

/// Whole times the numerator and what is left apart: neither can overflow where the result does not.
fn scale(value: u64, numerator: u64, denominator: u64) -> u64 {
    (value / denominator).wrapping_mul(numerator).wrapping_add(value % denominator * numerator / denominator)
}

#[inline]
pub fn us_to_ticks(us: u64) -> u64 {
    scale(us, CLOCK.ticks.get(), CLOCK.us.get().max(1))
}

#[inline]
pub fn ticks_to_us(ticks: u64) -> u64 {
    scale(ticks, CLOCK.us.get(), CLOCK.ticks.get().max(1))
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

/// To the nearest.
#[inline]
pub fn ticks_per_us() -> u32 {
    let (ticks, us) = (CLOCK.ticks.get(), CLOCK.us.get().max(1));
    ((ticks + us / 2) / us).max(1) as u32
}
