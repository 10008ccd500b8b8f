//! What the processor can do, found out once at boot.
//!
//! What the kernel cannot do without ends the boot with a line that names it.

use super::cpu::read_register;
use crate::BootError;

/// What the kernel and every program need.
const NEEDED: &[&str] = &["fp", "asimd", "asid16", "4kib-pages"];

/// Asks the processor for what it must have.
///
/// # Errors
/// It lacks some of it.
pub fn check() -> Result<(), BootError> {
    const NONE: u64 = 0xf;
    let (model, memory) = (read_register!("id_aa64pfr0_el1"), read_register!("id_aa64mmfr0_el1"));
    let field = |register: u64, at: u32| register >> at & 0xf;
    let there = [
        field(model, 16) != NONE,
        field(model, 20) != NONE,
        // 0 is 8 bits, of which the interface has no use.
        field(memory, 4) == 2,
        field(memory, 28) != NONE,
    ];
    let missing = there.iter().enumerate().fold(0, |all, (i, there)| all | u32::from(!there) << i);
    if missing == 0 { Ok(()) } else { Err(BootError::Processor { needed: NEEDED, missing }) }
}

/// Bits of a physical address; 48 where pages of 4 KiB can express no more.
pub fn physical_bits() -> u32 {
    [32, 36, 40, 42, 44].get((read_register!("id_aa64mmfr0_el1") & 0xf) as usize).copied().unwrap_or(48)
}

/// The name of the processor's kind, by MIDR_EL1.
pub fn name() -> &'static str {
    match read_register!("midr_el1") >> 4 & 0xfff_ffff & !0xf_f000 {
        0x410_0d03 => "cortex-a53",
        0x410_0d07 => "cortex-a57",
        0x410_0d08 => "cortex-a72",
        _ => "armv8-a",
    }
}
