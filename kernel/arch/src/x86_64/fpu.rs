//! The vector unit: saving, loading, and keeping user level off it.
//!
//! The registers in the processor belong to the thread that `CoreState::fpu_owner` names, whoever runs: they are saved when a thread that may
//! use the unit is switched to, and not before. A thread that may not use it has it switched
//! off. The scheduler calls these functions when it switches.

use core::arch::asm;
use core::cell::UnsafeCell;

use super::core_block::CORE;
use super::cpu::{read_cr0, write_cr0};
use super::features::{Features, has};

const CR0_TS: u64 = 1 << 3;
/// All components of XCR0 that are on.
const ALL: u32 = u32::MAX;

/// Saved vector state of a thread, in the form of XSAVE or FXSAVE.
#[repr(C, align(64))]
pub struct FpuState(UnsafeCell<[u32; pecan_config::XSAVE_SIZE / 4]>);

const INITIAL: [u32; pecan_config::XSAVE_SIZE / 4] = {
    let mut s = [0; _];
    s[0] = 0x037f; // x87 control word: all exceptions masked, 64-bit precision
    s[6] = 0x1f80; // MXCSR: all exceptions masked
    s
};

impl FpuState {
    /// The state of a new thread.
    pub const fn init() -> Self {
        Self(UnsafeCell::new(INITIAL))
    }

    /// Makes a state that is all zero that of a new thread: few words of it are not.
    #[inline]
    pub fn start(&self) {
        // SAFETY: the state is reached through this cell only, on the one core that runs the kernel, and no
        // reference into it outlives a call of this module.
        let state = unsafe { &mut *self.0.get() };
        [state[0], state[6]] = [INITIAL[0], INITIAL[6]];
    }

    /// Makes a state that [`FpuState::start`] has made all zero again.
    #[inline]
    pub fn clear_start(&self) {
        // SAFETY: as in `start`.
        let state = unsafe { &mut *self.0.get() };
        [state[0], state[6]] = [0; 2];
    }
}

impl Default for FpuState {
    fn default() -> Self {
        Self::init()
    }
}

#[inline(always)]
pub fn fpu_save(state: &FpuState) {
    let p = state.0.get();
    // SAFETY: the area is 64-byte aligned and large enough (XSAVE is used only if its components fit, see
    // `features`); the instructions write nothing else and no Rust code uses vector registers.
    unsafe {
        if pecan_config::FPU_XSAVE && has(Features::XSAVEOPT) {
            asm!("xsaveopt64 [{}]", in(reg) p, in("eax") ALL, in("edx") ALL, options(nostack, preserves_flags));
        } else if pecan_config::FPU_XSAVE && has(Features::XSAVE) {
            asm!("xsave64 [{}]", in(reg) p, in("eax") ALL, in("edx") ALL, options(nostack, preserves_flags));
        } else {
            asm!("fxsave64 [{}]", in(reg) p, options(nostack, preserves_flags));
        }
    }
}

/// Loads the vector unit's registers. The unit must be enabled.
///
/// Some processors load where the last x87 instruction was, and what it worked on, only if an exception is pending (AMD64
/// programmer's manual volume 5, FXRSTOR): a thread could read that of the one before. On those ([`Features::X87_LEAK`]) another
/// instruction comes before the load, to be remembered instead (`entry::redirect`); on others nothing does.
#[inline(always)]
pub fn fpu_load(state: &FpuState) {
    // Far enough from the operand that the load is as long as the jump which may take its place.
    const BEFORE: usize = 64;
    let at = state.0.get().wrapping_byte_sub(BEFORE);
    macro_rules! load {
        ($instruction:literal $(, $register:tt)*) => {
            asm!(
                concat!("2: ", $instruction, " [rcx + {before}]"),
                "3:",
                ".pushsection .text.x87, \"ax\", @progbits",
                // A pending exception goes and the registers become free, so that what follows raises nothing.
                "4: fnclex",
                "emms",
                "fild dword ptr [rip + 5f]",
                concat!("5: ", $instruction, " [rcx + {before}]"),
                "jmp 3b",
                ".popsection",
                ".pushsection .x87_sites, \"a\", @progbits",
                ".quad 2b, 4b",
                ".popsection",
                before = const BEFORE,
                in("rcx") at,
                $(in($register) ALL,)*
                options(nostack, preserves_flags)
            )
        };
    }
    // SAFETY: the area holds what `fpu_save` wrote or INITIAL, and user level cannot reach it, so the reserved
    // fields that would make the load fault are zero.
    unsafe {
        if pecan_config::FPU_XSAVE && has(Features::XSAVE) {
            load!("xrstor64", "eax", "edx");
        } else {
            load!("fxrstor64");
        }
    }
}

#[inline(always)]
pub fn fpu_enable() {
    if !CORE.fpu_enabled.get() {
        CORE.fpu_enabled.set(true);
        // SAFETY: CR0.TS only decides whether vector instructions fault.
        unsafe { asm!("clts", options(nomem, nostack, preserves_flags)) }
    }
}

/// Makes user level fault (exception 7) on using the vector unit.
#[inline(always)]
pub fn fpu_disable() {
    if CORE.fpu_enabled.get() {
        CORE.fpu_enabled.set(false);
        // SAFETY: as in `fpu_enable`.
        unsafe { write_cr0(read_cr0() | CR0_TS) }
    }
}

#[inline(always)]
pub fn fpu_is_enabled() -> bool {
    CORE.fpu_enabled.get()
}
