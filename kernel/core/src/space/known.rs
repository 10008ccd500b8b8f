//! The address space that a thread runs in. It is worked out from the thread's capability once and kept in the thread until
//! the epoch ends ([`Kernel::end_epoch`]).

use pecan_mem::{Kernel, Tcb, vspace::Space};

/// The address space of a thread, if it has a valid one.
#[inline(always)]
pub fn space<'k>(k: &'k Kernel, tcb: &Tcb) -> Option<Space<'k>> {
    match tcb.known_space(k) {
        None => work_out_space(k, tcb),
        known => known,
    }
}

#[cold]
#[inline(never)]
fn work_out_space<'k>(k: &'k Kernel, tcb: &Tcb) -> Option<Space<'k>> {
    tcb.learn_spaces(k);
    tcb.known_space(k)
}
