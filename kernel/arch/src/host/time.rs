//! The clock, which tests move.

use super::machine::machine;

/// Clock ticks per microsecond of the emulated machine.
pub const TICKS_PER_US: u64 = 1000;

pub fn now() -> u64 {
    let m = machine();
    if m.time_later.get().0 != 0 {
        let (readings, ticks) = m.time_later.get();
        m.time_later.set((readings - 1, ticks));
        m.time.set(m.time.get() + if readings == 1 { ticks } else { 0 });
    }
    m.time.get()
}

pub fn set_deadline(ticks: u64) {
    machine().deadline.set(ticks);
}

pub fn us_to_ticks(us: u64) -> u64 {
    us * TICKS_PER_US
}

pub fn ticks_to_us(ticks: u64) -> u64 {
    ticks / TICKS_PER_US
}

pub fn max_us() -> u64 {
    u64::MAX / TICKS_PER_US / 8
}

pub fn kernel_wcet_ticks() -> u64 {
    us_to_ticks(10)
}

pub fn ticks_per_us() -> u32 {
    TICKS_PER_US as u32
}
