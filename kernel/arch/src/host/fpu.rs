//! The vector unit.

use std::cell::UnsafeCell;

use super::machine::machine;

/// Saved vector state of a thread.
#[repr(C, align(64))]
pub struct FpuState(UnsafeCell<[u8; pecan_config::XSAVE_SIZE]>);

impl FpuState {
    /// The state of a new thread.
    pub const fn init() -> Self {
        Self(UnsafeCell::new([0; pecan_config::XSAVE_SIZE]))
    }

    /// Makes a state that is all zero that of a new thread: here, it is.
    pub fn start(&self) {}

    /// Makes a state that [`FpuState::start`] has made all zero again.
    pub fn clear_start(&self) {}
}

impl Default for FpuState {
    fn default() -> Self {
        Self::init()
    }
}

pub fn fpu_save(state: &FpuState) {
    let registers = machine().fpu_registers.borrow();
    // SAFETY: the state is reached through this cell only, never from another thread (the type is not Sync), and no
    // reference into it outlives a call of this module.
    let bytes = unsafe { &mut *state.0.get() };
    bytes.fill(0);
    bytes[..registers.len()].copy_from_slice(&registers);
}

pub fn fpu_load(state: &FpuState) {
    // SAFETY: as in `fpu_save`.
    *machine().fpu_registers.borrow_mut() = unsafe { *state.0.get() }.to_vec();
}

pub fn fpu_enable() {
    machine().fpu_enabled.set(true);
}

pub fn fpu_disable() {
    machine().fpu_enabled.set(false);
}

pub fn fpu_is_enabled() -> bool {
    machine().fpu_enabled.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vector_state_survives_a_round_trip() {
        let (a, b) = (FpuState::init(), FpuState::init());
        *machine().fpu_registers.borrow_mut() = vec![7; 64];
        fpu_save(&a);
        fpu_load(&b);
        assert_eq!(machine().fpu_registers.borrow()[0], 0);
        fpu_load(&a);
        assert_eq!(machine().fpu_registers.borrow()[63], 7);
    }
}
