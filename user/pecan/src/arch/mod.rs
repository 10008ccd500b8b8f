//! What depends on the processor: how system calls are made, where a thread's block is found, how a program starts and stops, and
//! the objects and invocations that only one architecture has. This is the one place that asks for the architecture; each has a
//! module with the same names:
//!
//! - `any_call`, `receive_only`, `send_only`, `set_tls_base`, `thread_block`: what [`crate::raw`] is made of.
//! - `stop`, `frame_pointer` and the macro `__start_code`, for the runtime.
//! - `types`: the kinds of capabilities that others have not.
//! - `make_level`: puts in a paging structure of a level.
//! - `exception_name`.
//! - `Random`: the processor's random numbers.

/// The methods of paging structures.
macro_rules! paging_structure {
    ($($Name:ident: $map:ident, $unmap:ident;)+) => {$(
        impl crate::Cap<crate::types::$Name> {
            /// Maps this structure so that it covers `vaddr`. Attributes are one of
            /// [`pecan_abi::constants::vm_attributes`].
            pub fn map(self, vspace: crate::Cap<crate::types::VSpace>, vaddr: u64, attr: u64) -> crate::Result<()> {
                crate::raw::invocations::$map(self.cptr(), vspace.cptr(), vaddr, attr)
            }

            /// Unmaps it, with everything below it.
            ///
            /// # Safety
            /// If it is in this program's address space, nothing that is mapped below it is used afterwards.
            pub unsafe fn unmap(self) -> crate::Result<()> {
                // SAFETY: the caller vouches for it.
                unsafe { crate::raw::invocations::$unmap(self.cptr()) }
            }
        }
    )+};
}

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
pub use aarch64::*;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;
