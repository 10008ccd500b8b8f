//! What a thread has in the processor besides its registers: the vector unit and the debug registers. Both are loaded
//! only for threads that use them, and the vector unit keeps its last owner's state until somebody else uses it.

use pecan_mem::{Kernel, Tcb, follow, vspace::Space};

use crate::sched::breakpoint;

/// Puts what is a thread's own of the vector unit and the debug registers into the processor, whatever is in it.
#[inline(never)]
pub fn load_units(k: &Kernel, thread: &Tcb) {
    load_fpu(k, thread);
    breakpoint::load(thread);
    let short = pecan_arch::has_short_switch();
    k.note_units(thread.may_use_fpu(), !short || thread.is_debugged());
}

/// The same where a thread is switched to: nothing, if the core has nothing switched on and the thread wants nothing.
#[inline(always)]
pub fn switch_units(k: &Kernel, thread: &Tcb) {
    if thread.ready(k).is_none() {
        load_units(k, thread);
    }
}

/// The same for a fast path that has nothing else left to ask: the thread's address space. `None` if more than the vector
/// registers would have to be exchanged; then nothing has changed.
#[inline(always)]
pub fn make_ready<'k>(k: &'k Kernel, thread: &Tcb) -> Option<Space<'k>> {
    thread.make_ready::<false>(k, || take_fpu(k, thread))
}

/// The same for a thread whose fault has been answered.
#[inline(always)]
pub fn make_ready_after_fault<'k>(k: &'k Kernel, thread: &Tcb) -> Option<Space<'k>> {
    thread.make_ready::<true>(k, || take_fpu(k, thread))
}

/// Puts a thread's vector registers into the processor, or forbids it to use them.
#[inline(always)]
fn load_fpu(k: &Kernel, thread: &Tcb) {
    if !thread.may_use_fpu() {
        pecan_arch::fpu_disable();
        return;
    }
    pecan_arch::fpu_enable();
    take_fpu(k, thread);
}

/// Puts a thread's vector registers into the unit, which is on, if another's are there.
#[inline(always)]
fn take_fpu(k: &Kernel, thread: &Tcb) {
    let owner = k.core().fpu_owner.get();
    if owner != Some(thread.link()) {
        k.core().fpu_owner.set(Some(thread.link()));
        if let Some(owner) = follow(owner, k) {
            pecan_arch::fpu_save(&owner.fpu);
        }
        pecan_arch::fpu_load(&thread.fpu);
    }
}

/// Takes a thread's vector registers out of the processor. They are kept in the thread if `keep`, and lost
/// otherwise.
pub fn release_fpu(k: &Kernel, thread: &Tcb, keep: bool) {
    if k.core().fpu_owner.get() == Some(thread.link()) {
        if keep {
            pecan_arch::fpu_enable();
            pecan_arch::fpu_save(&thread.fpu);
        }
        k.core().fpu_owner.set(None);
    }
}
