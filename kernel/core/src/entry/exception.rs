//! Exceptions of the current thread.

use pecan_arch::Exception;
use pecan_mem::{Fault, Kernel, Link, Tcb};

use crate::{
    entry::leave,
    ipc::{end, fault_message, raise},
    sched::{breakpoint, budget, choose, next::Next},
};

/// An exception of the current thread.
pub fn exception(k: &mut Kernel, exception: Exception) -> Link<Tcb> {
    match exception {
        Exception::Debug { software } => debug_exception(k, software),
        other => fault_current(k, fault_of(other)),
    }
}

/// A debug exception, in kernels with hardware breakpoints. A thread that is stepped may have instructions to go.
#[cold]
pub fn debug_exception(k: &mut Kernel, software: bool) -> Link<Tcb> {
    if let Some(fault) = breakpoint::fault(k.core().current.get().get(k), software) {
        return fault_current(k, fault);
    }
    budget::update_time(k);
    let next = end::check_budget(k).err().unwrap_or(Next::Resume);
    choose::schedule(k, next).link()
}

/// A fault of the current thread.
#[inline(never)]
pub fn fault_current(k: &mut Kernel, fault: Fault) -> Link<Tcb> {
    budget::update_time(k);
    // A thread without budget comes to the fault again; where it does not, the fault comes first.
    let in_time = if fault_message::is_trap(fault) { Ok(()) } else { end::check_budget_restart(k) };
    let next = match in_time {
        Ok(()) => {
            let next = raise::fault(k, k.core().current.get().get(k), fault);
            budget::check_stopped(k, next)
        }
        Err(next) => next,
    };
    leave::schedule(k, next)
}

/// The fault that an exception of the processor is.
pub fn fault_of(exception: Exception) -> Fault {
    match exception {
        Exception::PageFault { address, instruction, status } => Fault::Vm { address, instruction, status },
        Exception::User { number, code } => Fault::UserException { number, code },
        // What it is for, `entry::debug_exception` finds out.
        Exception::Debug { .. } => Fault::None,
    }
}
