//! Capability rights and the data word of a CNode capability.

/// The rights a capability carries, as a word in a message: bit 0 write, 1 read, 2 grant, 3 grant-reply.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct CapRights(pub u64);

impl CapRights {
    /// The number of bits that mean something.
    pub const BITS: u32 = 4;
    /// No rights.
    pub const NONE: Self = Self::new(false, false, false, false);
    /// Read: receive from an endpoint, wait on a notification, read a page.
    pub const READ: Self = Self::new(false, false, true, false);
    /// Write: send to an endpoint, signal a notification, write a page.
    pub const WRITE: Self = Self::new(false, false, false, true);
    /// Grant: pass capabilities along with a message.
    pub const GRANT: Self = Self::new(false, true, false, false);
    /// Grant-reply: call, so that the receiver gets the right to reply.
    pub const GRANT_REPLY: Self = Self::new(true, false, false, false);
    /// Read and write.
    pub const READ_WRITE: Self = Self::new(false, false, true, true);
    /// All but write.
    pub const NO_WRITE: Self = Self::new(true, true, true, false);
    /// All but read.
    pub const NO_READ: Self = Self::new(true, true, false, true);
    /// All rights.
    pub const ALL: Self = Self::new(true, true, true, true);

    /// Rights from their four parts.
    #[inline]
    pub const fn new(grant_reply: bool, grant: bool, read: bool, write: bool) -> Self {
        Self(write as u64 | (read as u64) << 1 | (grant as u64) << 2 | (grant_reply as u64) << 3)
    }

    /// Whether the write right is in.
    #[inline]
    pub const fn write(self) -> bool {
        self.0 & 1 != 0
    }

    /// Whether the read right is in.
    #[inline]
    pub const fn read(self) -> bool {
        self.0 & 2 != 0
    }

    /// Whether the grant right is in.
    #[inline]
    pub const fn grant(self) -> bool {
        self.0 & 4 != 0
    }

    /// Whether the grant-reply right is in.
    #[inline]
    pub const fn grant_reply(self) -> bool {
        self.0 & 8 != 0
    }

    /// The rights that are in both.
    #[inline]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The rights that are in either.
    #[inline]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The data word that sets the guard of a CNode capability (minting, mutating, a thread's CSpace root):
/// the size of the guard in bits 0..=5, the guard itself in bits 6..=63.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct CNodeCapData(pub u64);

impl CNodeCapData {
    /// Width of the guard field.
    pub const GUARD_BITS: u32 = 58;
    /// Width of the field that holds the guard's size.
    pub const GUARD_SIZE_BITS: u32 = 6;

    /// Data for a guard of `guard_size` bits. Bits that do not fit are dropped.
    #[inline]
    pub const fn new(guard: u64, guard_size: u64) -> Self {
        Self(guard << Self::GUARD_SIZE_BITS | (guard_size & 0x3f))
    }

    /// Data for a guard of zeroes that makes a CNode of `size_bits` the whole of a 64-bit CSpace.
    #[inline]
    pub const fn skip_to(size_bits: u32) -> Self {
        Self::new(0, 64 - size_bits as u64)
    }

    /// The guard.
    #[inline]
    pub const fn guard(self) -> u64 {
        self.0 >> Self::GUARD_SIZE_BITS
    }

    /// The number of bits of the guard.
    #[inline]
    pub const fn guard_size(self) -> u64 {
        self.0 & 0x3f
    }
}
