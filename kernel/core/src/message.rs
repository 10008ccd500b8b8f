//! Messages: words in registers and in the IPC buffer.

use pecan_mem::{Kernel, Tcb};

/// Word `i` of the thread's message.
pub fn get(_k: &Kernel, _thread: &Tcb, _i: usize) -> u64 {
    todo!()
}

/// Sets word `i` of the thread's message; false if it has no place for it.
pub fn put(_k: &Kernel, _thread: &Tcb, _i: usize, _word: u64) -> bool {
    todo!()
}
