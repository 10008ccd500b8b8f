//! The debug system calls.

use pecan_abi::Syscall;
use pecan_mem::{Fault, Kernel, Tcb};

/// Does the debug system call `call` for the thread `caller`, which reads its arguments from the registers and
/// writes its results there. False if `call` is none, or the profile has no debug calls: then it is unknown.
pub fn syscall(_k: &Kernel, _caller: &Tcb, _call: Syscall) -> bool {
    todo!()
}

/// Tells on the console of a fault that nobody handles.
pub fn unhandled_fault(_thread: &Tcb, _fault: Fault) {
    todo!()
}
