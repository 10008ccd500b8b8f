//! What the port keeps per core. One core runs the kernel today, with interrupts off while it does, so a static
//! reached relative to the instruction pointer serves, and the segment bases stay user level's.

use core::cell::Cell;

/// State of the core.
pub struct CoreBlock {
    /// The address space in force, as [`Space`](crate::Space)'s word; ASID 0 is the kernel's own.
    pub vspace: Cell<u64>,
    /// What of that word CR3 takes, and what it takes besides: depends on whether translations are tagged.
    pub cr3_mask: Cell<u64>,
    /// See [`CoreBlock::cr3_mask`].
    pub cr3_bits: Cell<u64>,
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
pub static CORE: OneCore<CoreBlock> = OneCore::new(CoreBlock {
    vspace: Cell::new(0),
    cr3_mask: Cell::new(!0xfff),
    cr3_bits: Cell::new(0),
    fpu_enabled: Cell::new(true),
});
