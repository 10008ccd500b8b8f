//! The vector unit: saving, loading, and keeping user level off it.
//!
//! The registers in the processor belong to the thread that `CoreState::fpu_owner` names, whoever runs: they are saved when a
//! thread that may use the unit is switched to, and not before. A thread that may not use it has it switched off. The scheduler
//! calls these functions when it switches. The kernel itself has no use of the unit.

use core::arch::asm;
use core::cell::UnsafeCell;

use super::core_block::CORE;
use super::cpu::write_register;

/// CPACR_EL1.FPEN: nobody is kept off the unit; user level is.
const ALL: u64 = 3 << 20;
const KERNEL_ONLY: u64 = 1 << 20;

/// Saved vector state of a thread: 32 registers of 128 bits, then FPSR and FPCR.
#[repr(C, align(64))]
pub struct FpuState(UnsafeCell<[u64; 66]>);

impl FpuState {
    /// The state of a new thread.
    pub const fn init() -> Self {
        Self(UnsafeCell::new([0; _]))
    }

    /// Makes a state that is all zero that of a new thread: it is.
    pub fn start(&self) {}

    /// Makes a state that [`FpuState::start`] has made all zero again.
    pub fn clear_start(&self) {}
}

impl Default for FpuState {
    fn default() -> Self {
        Self::init()
    }
}

core::arch::global_asm!(
    r#"
    .arch_extension fp
    .arch_extension simd
    .macro PAIRS instruction
    \instruction q0, q1, [x0]
    \instruction q2, q3, [x0, #32]
    \instruction q4, q5, [x0, #64]
    \instruction q6, q7, [x0, #96]
    \instruction q8, q9, [x0, #128]
    \instruction q10, q11, [x0, #160]
    \instruction q12, q13, [x0, #192]
    \instruction q14, q15, [x0, #224]
    \instruction q16, q17, [x0, #256]
    \instruction q18, q19, [x0, #288]
    \instruction q20, q21, [x0, #320]
    \instruction q22, q23, [x0, #352]
    \instruction q24, q25, [x0, #384]
    \instruction q26, q27, [x0, #416]
    \instruction q28, q29, [x0, #448]
    \instruction q30, q31, [x0, #480]
    .endm
    .text
    // x0 = the state; x1 and x2 are used.
pecan_fpu_save:
    PAIRS stp
    mrs x1, fpsr
    mrs x2, fpcr
    str x1, [x0, #512]
    str x2, [x0, #520]
    ret
pecan_fpu_load:
    PAIRS ldp
    ldr x1, [x0, #512]
    ldr x2, [x0, #520]
    msr fpsr, x1
    msr fpcr, x2
    ret
    .arch_extension nosimd
    .arch_extension nofp
    "#
);

#[inline(always)]
pub fn fpu_save(state: &FpuState) {
    // SAFETY: 1. The area is large enough and aligned, and reached through this cell only, on the one core that runs the
    // kernel. 2. The routine writes nothing else, and changes no more registers than are said.
    unsafe {
        asm!("bl pecan_fpu_save", in("x0") state.0.get(), lateout("x1") _, lateout("x2") _, lateout("x30") _,
            options(nostack, preserves_flags));
    }
}

#[inline(always)]
pub fn fpu_load(state: &FpuState) {
    // SAFETY: 1. The area holds what `fpu_save` wrote, or zeros. 2. No Rust code of the kernel uses vector registers.
    unsafe {
        asm!("bl pecan_fpu_load", in("x0") state.0.get(), lateout("x1") _, lateout("x2") _, lateout("x30") _,
            options(nostack, preserves_flags));
    }
}

#[inline(always)]
pub fn fpu_enable() {
    if !CORE.fpu_enabled.get() {
        set(true);
    }
}

/// Makes user level fault on using the vector unit.
#[inline(always)]
pub fn fpu_disable() {
    if CORE.fpu_enabled.get() {
        set(false);
    }
}

/// The return to user level makes it so there.
pub(super) fn set(enabled: bool) {
    CORE.fpu_enabled.set(enabled);
    // SAFETY: 1. The register only decides whether vector instructions fault at EL0.
    unsafe { write_register!("cpacr_el1", if enabled { ALL } else { KERNEL_ONLY }) }
}

#[inline(always)]
pub fn fpu_is_enabled() -> bool {
    CORE.fpu_enabled.get()
}
