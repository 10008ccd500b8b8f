//! References to kernel objects, and the lock they borrow from.

use core::{fmt, ptr::NonNull};

use crate::Kernel;

/// A stored reference to an object in kernel memory: what objects and capabilities hold of one another.
///
/// A link can only be followed with the kernel lock in hand ([`Link::get`]), and what comes out borrows from
/// the lock. Whatever destroys or retypes memory takes `&mut Kernel`, so no followed reference is alive then.
///
/// Links are made in this crate only: from capabilities (whose words only this crate writes) and from
/// references to objects that live in kernel memory. The kernel keeps one invariant that types cannot express:
/// **an object is unlinked from everything before its memory is given back**; see `pecan_core::finalise`.
#[repr(transparent)]
pub struct Link<T>(NonNull<T>);

impl<T> Clone for Link<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Link<T> {}

impl<T> PartialEq for Link<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T> Eq for Link<T> {}

impl<T> fmt::Debug for Link<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:p}", self.0)
    }
}

impl<T> Link<T> {
    /// Makes a link out of an address.
    ///
    /// # Safety
    /// 1. `addr` is not null and is aligned for `T`.
    /// 2. A `T` lives there, in kernel memory, until it is unlinked.
    #[inline(always)]
    pub(crate) const unsafe fn from_addr(addr: usize) -> Self {
        // SAFETY: not null by obligation 1.
        Link(unsafe { NonNull::new_unchecked(core::ptr::with_exposed_provenance_mut(addr)) })
    }

    /// Makes a link out of a pointer.
    ///
    /// # Safety
    /// As for [`Link::from_addr`].
    pub(crate) const unsafe fn from_ptr(at: *mut T) -> Self {
        // SAFETY: not null by obligation 1.
        Link(unsafe { NonNull::new_unchecked(at) })
    }

    /// Makes a link to an object that is known to live in kernel memory.
    #[inline(always)]
    pub(crate) fn of(object: &T) -> Self {
        Link(NonNull::from(object))
    }

    /// The object's address in the kernel's window; also its identity.
    #[inline(always)]
    pub fn addr(self) -> usize {
        self.0.addr().get()
    }

    /// Follows the link.
    #[inline(always)]
    #[expect(clippy::needless_lifetimes, reason = "that the reference borrows from the lock is the point")]
    pub fn get<'k>(self, _lock: &'k Kernel) -> &'k T {
        // SAFETY:
        // 1. The pointer is valid: links are made from live objects only, and an object is unlinked from
        //    everything before its memory is reused (the invariant above).
        // 2. No `&mut T` exists: objects are reached through shared references only (they are made of cells),
        //    and memory changes type only under `&mut Kernel`, which cannot be held while `'k` lives.
        // 3. One thread at a time: the lock is in hand.
        unsafe { self.0.as_ref() }
    }
}

/// The low 48 bits of a word, which hold an address.
pub(crate) const ADDR_MASK: u64 = (1 << 48) - 1;
