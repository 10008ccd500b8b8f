//! Capabilities that only one architecture has: a file for each, with the same items.
//!
//! - `ArchCap` is their description, the `Cap` of [`Cap::Arch`](super::Cap::Arch). Each variant says how it is packed, what
//!   copies become of it, which others it is an ancestor of, and which number stands for it in `DebugCapIdentify`.
//! - `ArchControl` are those that exist from the start on, and `INITIAL` says in which slots of the root task.
//! - `ArchState` is what the kernel keeps of them. All bytes zero must be a value.
//!
//! All of an architecture's capabilities have one tag. A variant that is added does not compile until each match here, and
//! those of the files of the same name in `pecan_core`, say what becomes of it.
//!
//! Who refers to an object in memory by such a capability extends `Identity` and `Place` in `tag.rs`: so far there is none,
//! and two capabilities with the same words are the same.

#[cfg(pecan_arch = "aarch64")]
mod aarch64;
#[cfg(pecan_arch = "riscv64")]
mod riscv64;
#[cfg(pecan_arch = "x86_64")]
mod x86_64;

#[cfg(pecan_arch = "aarch64")]
pub use aarch64::{ArchCap, ArchControl, ArchState, INITIAL};
#[cfg(pecan_arch = "riscv64")]
pub use riscv64::{ArchCap, ArchControl, ArchState, INITIAL};
#[cfg(pecan_arch = "x86_64")]
pub use x86_64::{ArchCap, ArchControl, ArchState, INITIAL};

use super::{OWN_SHIFT, Words, tag, word0};

impl Words {
    /// The capability with this description.
    #[inline(always)]
    pub(crate) fn arch(cap: ArchCap) -> Words {
        let (own, w1) = cap.pack();
        Words { w0: word0(tag::ARCH, own, 0), w1 }
    }

    /// The description, if this is a capability that only this architecture has.
    #[inline(always)]
    pub fn arch_cap(self) -> Option<ArchCap> {
        if self.tag() == tag::ARCH { ArchCap::unpack(self.w0 >> OWN_SHIFT & 0x7ff, self.w1) } else { None }
    }

    /// The number that stands for such capabilities in `DebugCapIdentify`.
    pub fn type_number(self) -> u64 {
        self.arch_cap().map_or(self.tag().number(), ArchCap::type_number)
    }
}
