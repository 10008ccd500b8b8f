//! The address space that a thread runs in. It is worked out from the thread's capability once and kept in the thread until
//! the epoch ends ([`Kernel::end_epoch`]).

use pecan_arch::Space;
use pecan_mem::{Kernel, Tcb};

/// The address space of a thread, if it has a valid one.
#[inline(always)]
pub fn space(k: &Kernel, tcb: &Tcb) -> Option<Space> {
    match tcb.known_space(k) {
        None => work_out_space(k, tcb),
        known => known,
    }
}

#[cold]
#[inline(never)]
fn work_out_space(k: &Kernel, tcb: &Tcb) -> Option<Space> {
    tcb.learn_spaces(k);
    tcb.known_space(k)
}
