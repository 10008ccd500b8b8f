//! The state of the emulated machine, and what tests do with it.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
};

use super::context::LIVE_REGISTERS;
use crate::{PhysAddr, format::arch::irq::IrqSource};

/// One interrupt line of the emulated machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IrqLine {
    /// Does not reach the kernel.
    pub masked: bool,
    /// Where it comes from; nowhere yet if none.
    pub source: Option<IrqSource>,
    /// Acknowledgements so far.
    pub acks: u64,
}

/// The state of the emulated machine, as the kernel left it.
#[derive(Default)]
pub struct Machine {
    pub(super) memory: Cell<(usize, usize)>,
    pub(super) time: Cell<u64>,
    /// The last deadline that the kernel set, in ticks.
    pub deadline: Cell<u64>,
    /// Address space in force: root and ASID; none is the kernel's own.
    pub vspace: Cell<Option<(PhysAddr, u16)>>,
    /// Address-space switches that were not to the one in force.
    pub vspace_switches: Cell<u64>,
    /// Switches away from root tables that lacked one of the kernel's entries by then: a processor would have been lost.
    pub incomplete_roots: Cell<u64>,
    /// Calls of [`tlb_flush_page`](crate::tlb_flush_page).
    pub page_flushes: Cell<u64>,
    /// Calls of [`tlb_flush_asid`](crate::tlb_flush_asid).
    pub asid_flushes: Cell<u64>,
    /// The last flushes, newest last: ASID (0 for all of them) and, for a page, its address. At most 64 are kept.
    pub flush_log: RefCell<VecDeque<(u16, Option<u64>)>>,
    /// Calls of [`forget_domain`](crate::forget_domain).
    pub domains_forgotten: Cell<u64>,
    /// The processor has no frames of level [`MAX_FRAME_LEVEL`](crate::MAX_FRAME_LEVEL).
    pub lacks_largest_frame: Cell<bool>,
    /// What the processor has of the thread that runs besides the saved registers: of each [`LIVE_REGISTERS`].
    pub live: Cell<[u64; LIVE_REGISTERS.len()]>,
    /// The breakpoints that are on, as the processor's control register says it.
    pub breakpoints: Cell<u64>,
    /// Why a debug exception was taken, as the processor's status register says it.
    pub debug_status: Cell<u64>,
    /// User level may use the vector unit.
    pub fpu_enabled: Cell<bool>,
    /// The vector unit's registers.
    pub fpu_registers: RefCell<Vec<u8>>,
    pub(super) irqs: RefCell<BTreeMap<usize, IrqLine>>,
    pub(super) pending: RefCell<VecDeque<usize>>,
    /// An interrupt, and at which call of [`irq_pending`](crate::irq_pending) from now on it comes; 0 if none is to come.
    pub(super) irq_later: Cell<(u64, usize)>,
    /// Ticks, and at which reading of the clock from now on they have passed; 0 if none are to.
    pub(super) time_later: Cell<(u64, u64)>,
    /// Writes to I/O ports so far, where the architecture has those: port, width in bytes, value.
    pub io_writes: RefCell<Vec<(u16, u32, u32)>>,
    /// What reading a port gives; all ones where there is no entry.
    pub io_values: RefCell<BTreeMap<u16, u32>>,
    /// What the kernel printed.
    pub console: RefCell<Vec<u8>>,
}

thread_local! {
    static MACHINE: &'static Machine = Box::leak(Box::default());
}

/// The emulated machine of this host thread.
pub fn machine() -> &'static Machine {
    MACHINE.with(|m| *m)
}

/// Makes `len` bytes at `base` the physical memory of this thread's machine, starting at physical address 0.
/// The kernel's primitives read and write it through raw pointers: it must stay valid, and be used by nothing
/// else, as long as this thread runs kernel code. `base` must be aligned to the largest object a test uses.
pub fn set_memory(base: *mut u8, len: usize) {
    machine().memory.set((base.expose_provenance(), len));
}

/// Sets the clock, in ticks.
pub fn set_time(ticks: u64) {
    machine().time.set(ticks);
}

/// Moves the clock on by `ticks`.
pub fn advance_time(ticks: u64) {
    let m = machine();
    m.time.set(m.time.get() + ticks);
}

/// Makes an interrupt pending: [`irq_pending`](crate::irq_pending) becomes true until [`take_pending_irq`](crate::take_pending_irq) has taken it.
pub fn raise_irq(irq: usize) {
    machine().pending.borrow_mut().push_back(irq);
}

/// Makes an interrupt pending when the kernel looks whether one is, for the `looks`th time from now on.
pub fn raise_irq_later(looks: u64, irq: usize) {
    machine().irq_later.set((looks, irq));
}

/// Moves the clock on by `ticks` when it is read for the `readings`th time from now on.
pub fn advance_time_later(readings: u64, ticks: u64) {
    machine().time_later.set((readings, ticks));
}

/// Nothing is to come later any more. True if something still was.
pub fn nothing_later() -> bool {
    let m = machine();
    (m.irq_later.take().0, m.time_later.take().0) != (0, 0)
}

/// The state of an interrupt line.
pub fn irq_line(irq: usize) -> IrqLine {
    *machine().irqs.borrow_mut().entry(irq).or_insert(IrqLine { masked: true, source: None, acks: 0 })
}

pub(super) fn with_line(irq: usize, f: impl FnOnce(&mut IrqLine)) {
    let mut line = irq_line(irq);
    f(&mut line);
    machine().irqs.borrow_mut().insert(irq, line);
}

/// What the kernel printed since the last call.
pub fn take_console() -> String {
    String::from_utf8_lossy(&machine().console.take()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{irq_pending, now, take_pending_irq};

    #[test]
    fn what_is_to_come_later_comes_once() {
        raise_irq_later(2, 40);
        assert_eq!((irq_pending(), irq_pending()), (false, true));
        assert_eq!((take_pending_irq(), irq_pending()), (Some(40), false));
        set_time(5);
        advance_time_later(2, 10);
        assert_eq!([now(), now(), now()], [5, 15, 15]);
        assert!(!nothing_later());
        advance_time_later(1, 10);
        assert!(nothing_later());
        assert_eq!(now(), 15);
    }
}
