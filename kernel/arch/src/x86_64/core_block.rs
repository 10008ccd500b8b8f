//! What the port keeps per core. One core runs the kernel today, with interrupts off while it does, so a static
//! reached relative to the instruction pointer serves, and the segment bases stay user level's.

use core::cell::Cell;

use crate::PhysAddr;

/// State of the core.
pub struct CoreBlock {
    /// Root and ASID of the address space in force; ASID 0 is the kernel's own.
    pub vspace: Cell<(PhysAddr, u16)>,
    /// CR0.TS is clear.
    pub fpu_enabled: Cell<bool>,
}

/// Makes a type that has interior mutability shareable, on the ground that only one core ever runs kernel code and
/// that interrupts taken in the kernel touch no Rust data.
pub struct OneCore<T>(T);

impl<T> OneCore<T> {
    /// Wraps the value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }
}

// SAFETY: there is one core, the kernel is entered with interrupts off, and the handlers of the interrupts it lets in
// (`entry`) and of NMIs return without running Rust code or never return: no two accesses can be concurrent.
unsafe impl<T> Sync for OneCore<T> {}

impl<T> core::ops::Deref for OneCore<T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        &self.0
    }
}

/// The core's state.
pub static CORE: OneCore<CoreBlock> =
    OneCore::new(CoreBlock { vspace: Cell::new((PhysAddr(0), 0)), fpu_enabled: Cell::new(true) });
