//! The switch from one thread to another: address space, units, registers, scheduling context and timer.
//!
//! After a switch the processor holds nothing of the thread before but what is saved lazily (vector
//! registers). The choice of the next thread calls this, and the fast paths' switches do the same for threads
//! that need no more than registers.

use pecan_arch::reg;
use pecan_mem::{Kernel, Tcb, ThreadState};

use crate::{
    sched::{budget, context, refill, units},
    space::known,
};

/// Makes a thread the current one: address space, vector registers, and what else the processor holds of it.
/// The scheduling context stays as it is. Not for the idle thread.
#[inline(always)]
pub fn switch_to(k: &Kernel, thread: &Tcb) {
    let from = k.core().current.get().get(k);
    k.set_current(thread);
    load_vspace(k, thread);
    units::switch_units(k, thread);
    pecan_arch::context_switch(&from.context, &thread.context);
}

/// True for the idle thread.
#[inline(always)]
pub fn is_idle(k: &Kernel, thread: &Tcb) -> bool {
    core::ptr::eq(thread, &k.core().idle_thread)
}

/// The switch from or to the idle thread, which has no registers and no address space of its own.
#[cold]
pub fn switch_idle(k: &Kernel, from: &Tcb, to: &Tcb) {
    k.set_current(to);
    if !is_idle(k, from) {
        pecan_arch::sync_context(&from.context);
    }
    if is_idle(k, to) {
        pecan_arch::switch_kernel_vspace();
    } else {
        load_vspace(k, to);
        units::load_units(k, to);
        pecan_arch::load_context(&to.context);
    }
}

/// Switches to the address space of a thread; to the kernel's own if it has no valid one.
#[inline(always)]
pub fn load_vspace(k: &Kernel, thread: &Tcb) {
    match known::space(k, thread) {
        Some(space) => k.switch_vspace(space),
        None => pecan_arch::switch_kernel_vspace(),
    }
}

/// What remains to be done before a chosen thread can enter user level.
#[inline(always)]
pub fn activate(k: &Kernel, thread: &Tcb) {
    if thread.state.is_restart() {
        thread.context.set(reg::NEXT_IP, thread.context.get(reg::FAULT_IP));
        thread.state.set(ThreadState::Running);
    }
    if thread.yield_to.get().is_some() {
        context::complete_yield_to(k, thread);
    }
}

/// Charges the scheduling context that ends, begins that of `thread`, and sets the timer, as far as needed.
#[inline(always)]
pub fn switch_sched_context(k: &Kernel, thread: &Tcb) {
    let core = k.core();
    // Every thread that is chosen has one; the idle thread has its own.
    let Some(sc) = thread.sched_context.get() else { return };
    if sc != core.current_sc.get() {
        let sc = sc.get(k);
        if !refill::is_round_robin(sc) && !sc.sporadic.get() {
            budget::refill_unblock_check(k, sc);
        }
    } else if !core.reprogram.get() {
        return;
    }
    budget::commit_time(k);
    core.current_sc.set(sc);
    budget::set_next_interrupt(k);
    core.reprogram.set(false);
}
