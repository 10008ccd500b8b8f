//! What systems need in which long operations are stopped.

use pecan_arch::host;
use pecan_config::MAX_NUM_WORK_UNITS_PER_PREEMPTION;
use pecan_core::cap::derivation;
use pecan_mem as mem;

use super::{System, Way};
use crate::model::{self, Arrival, Call, Event};

impl System {
    /// Enters the kernel with a system call that something stops at the preemption point with number `point`. True if it
    /// was stopped, and false if it was done before.
    pub fn enter_and_stop(&mut self, call: &Call, point: u64, by: Arrival) -> bool {
        // The kernel looks at that point, if not before.
        self.k.core().work_units.set(MAX_NUM_WORK_UNITS_PER_PREEMPTION.saturating_sub(point as usize));
        match by {
            Arrival::Interrupt(irq) => {
                let looks = if point as usize > MAX_NUM_WORK_UNITS_PER_PREEMPTION { point } else { 1 };
                host::raise_irq_later(looks, irq as usize);
            }
            Arrival::Time(ticks) => {
                assert_eq!(point, 1, "time passes before the first point");
                // The clock is read at the entry, and then there.
                host::advance_time_later(2, ticks);
            }
        }
        self.enter(&Event::Syscall(call.clone()), Way::Slow);
        !host::nothing_later()
    }

    /// Gives the interrupt of a vector to the notification whose capability is in slot `index`.
    pub fn signalled_by(&mut self, vector: u64, index: u64) {
        let (k, irq) = (&*self.k, (model::FIRST_INTERRUPT + vector) as usize);
        pecan_arch::irq_connect(irq, pecan_arch::IrqSource::Message);
        k.global().irq_states[irq].set(mem::IrqState::Handler);
        pecan_arch::irq_mask(irq, false);
        let from = self.cspace.slot(index);
        derivation::insert(k, from.get(k).words(), from, k.global().irq_slots[irq].link());
        let cap = mem::Cap::IrqHandler { irq: irq as u16 };
        derivation::insert_root(k, mem::testing::forge(cap), self.keeper.slot(self.kept));
        self.kept += 1;
    }

    /// Lets the last thread that was made die with the capability in its slot of the CSpace.
    ///
    /// # Panics
    /// If something is kept that came after it, as the buffers of every fourth thread are.
    pub fn mortal(&mut self) {
        self.kept -= 1;
        let last = self.keeper.get(&self.k, self.kept).cap();
        assert!(matches!(last, mem::Cap::Tcb { .. }), "the last that is kept is no thread: {last:?}");
        derivation::remove(&self.k, self.keeper.slot(self.kept));
    }
}
