//! The library `pecan` with its raw system calls as safe functions, for programs that do nothing but test the kernel.
//!
//! A test of an invocation unmaps, overwrites and deletes what it made for that, by number, hundreds of times. What `unsafe`
//! would ask of each place is settled here once, for all of them:
//!
//! 1. Such a program accesses memory that it maps, or that it gives to others, by raw pointers or atomics only.
//! 2. Its own image, its stacks and its IPC buffers stay as they were made; a test that takes one away says so and puts it back
//!    before anything needs it. A mistake in a test is a fault, which the program reports as the failure that it is.
//! 3. Its threads are made by `tests/conformance/src/thread.rs` and `tests/fuzz/src/world.rs`, which say what they run on.
#![no_std]

pub use pecan::*;

/// [`pecan::raw`] with safe functions.
pub mod raw {
    pub mod invocations;

    use pecan::{CPtr, MessageInfo, Result};
    use pecan_abi::Label;

    pub use pecan::raw::*;

    /// [`pecan::raw::send`].
    #[inline]
    pub fn send(dest: CPtr, info: MessageInfo, regs: Registers) {
        // SAFETY: see the crate's documentation.
        unsafe { pecan::raw::send(dest, info, regs) }
    }

    /// [`pecan::raw::nb_send`].
    #[inline]
    pub fn nb_send(dest: CPtr, info: MessageInfo, regs: Registers) {
        // SAFETY: see the crate's documentation.
        unsafe { pecan::raw::nb_send(dest, info, regs) }
    }

    /// [`pecan::raw::call`].
    #[inline]
    pub fn call(dest: CPtr, info: MessageInfo, regs: Registers) -> Reply {
        // SAFETY: see the crate's documentation.
        unsafe { pecan::raw::call(dest, info, regs) }
    }

    /// [`pecan::raw::nb_send_recv`].
    #[inline]
    pub fn nb_send_recv(dest: CPtr, info: MessageInfo, regs: Registers, src: CPtr, reply: CPtr) -> Reply {
        // SAFETY: see the crate's documentation.
        unsafe { pecan::raw::nb_send_recv(dest, info, regs, src, reply) }
    }

    /// [`pecan::raw::nb_send_wait`].
    #[inline]
    pub fn nb_send_wait(dest: CPtr, info: MessageInfo, regs: Registers, src: CPtr) -> Reply {
        // SAFETY: see the crate's documentation.
        unsafe { pecan::raw::nb_send_wait(dest, info, regs, src) }
    }

    /// [`pecan::raw::any_syscall`].
    #[inline]
    pub fn any_syscall(
        number: i64,
        cap: CPtr,
        info: MessageInfo,
        regs: Registers,
        reply: CPtr,
        dest: CPtr,
    ) -> Reply {
        // SAFETY: see the crate's documentation.
        unsafe { pecan::raw::any_syscall(number, cap, info, regs, reply, dest) }
    }

    /// [`pecan::raw::invoke`].
    #[inline]
    pub fn invoke<const CAPS: usize, const WORDS: usize>(
        service: CPtr,
        label: Label,
        caps: [CPtr; CAPS],
        words: [u64; WORDS],
    ) -> Result<Reply> {
        // SAFETY: see the crate's documentation.
        unsafe { pecan::raw::invoke(service, label, caps, words) }
    }

    /// [`pecan::raw::benchmark_set_log_buffer`].
    #[inline]
    pub fn benchmark_set_log_buffer(frame: CPtr) -> Result<()> {
        // SAFETY: see the crate's documentation.
        unsafe { pecan::raw::benchmark_set_log_buffer(frame) }
    }
}
