//! State that one core has to itself.

/// Makes a type that has interior mutability shareable, on the ground that only one core ever runs kernel code and
/// that interrupts taken in the kernel touch no Rust data.
#[repr(transparent)]
pub struct OneCore<T>(T);

impl<T> OneCore<T> {
    /// Wraps the value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }
}

// SAFETY: there is one core, the kernel is entered with interrupts off, and the handlers of the interrupts that a port lets in
// (its `entry`) and of those that cannot be held back return without running Rust code or never return: no two accesses can be
// concurrent.
unsafe impl<T> Sync for OneCore<T> {}

impl<T> core::ops::Deref for OneCore<T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        &self.0
    }
}
