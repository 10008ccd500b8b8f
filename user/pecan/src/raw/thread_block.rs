//! What a thread knows of itself.

use core::cell::Cell;

use pecan_abi::{CPtr, ipc::IpcBuffer};

/// A thread's own block, at the start of its TLS.
///
/// The first word points to the block itself, as the processor's ABI for thread-local storage asks. Whoever
/// creates a thread writes the block and sets the thread's TLS base to it. Only the thread itself can get at its block, so
/// that its cells are nobody else's.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct ThreadBlock {
    /// The address of this block.
    pub this: *const ThreadBlock,
    /// The IPC buffer the kernel uses for this thread.
    pub ipc_buffer: *mut IpcBuffer,
    /// The lowest address of the stack.
    pub stack_bottom: usize,
    /// The address after the stack.
    pub stack_top: usize,
    /// The capability to the thread itself, or 0 if it has none.
    pub tcb: CPtr,
    /// Words for the thread's own use.
    pub user: [Cell<u64>; 3],
}

impl ThreadBlock {
    /// A block that is not in use yet.
    pub const fn new() -> Self {
        Self {
            this: core::ptr::null(),
            ipc_buffer: core::ptr::null_mut(),
            stack_bottom: 0,
            stack_top: 0,
            tcb: 0,
            user: [const { Cell::new(0) }; 3],
        }
    }

    /// The block of the running thread. Valid as long as the thread lives.
    #[inline]
    pub fn current() -> &'static ThreadBlock {
        // SAFETY: every thread is started with its TLS base at its block, whose first word is its own address.
        unsafe { &*crate::arch::thread_block() }
    }
}

impl Default for ThreadBlock {
    fn default() -> Self {
        Self::new()
    }
}
