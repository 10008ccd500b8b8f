//! Invocations of threads, of time and of what stands for hardware.

use pecan_abi::{CNodeCapData, Label};

use super::{
    events::{Arguments, Chooser},
    systems::{ASID_UNTYPED, CNODE, CONTROL, FRAME, FREE, POOL, RADIX, SC, TABLE},
};
use crate::model::CODE;

/// The authorities, from slot [`CONTROL`] on.
const SCHED: u64 = CONTROL;
const IRQS: u64 = CONTROL + 1;
const PORTS: u64 = CONTROL + 2;
const DOMAINS: u64 = CONTROL + 3;
const ASIDS: u64 = CONTROL + 4;

impl Chooser<'_, '_> {
    /// Registers of threads.
    pub(super) fn registers(&mut self) -> Arguments {
        use Label::*;
        let thread = self.thread();
        match self.r.below(6) {
            0 => (thread, TcbReadRegisters, vec![self.r.below(2), 1 + self.r.below(21)], vec![]),
            1 => {
                let count = self.r.below(22);
                let words: Vec<_> =
                    (0..count).map(|_| self.r.pick(&[CODE, 0, 7, 1 << 63, u64::MAX])).collect();
                let count = count + self.r.below(20) / 19;
                (thread, TcbWriteRegisters, [vec![self.r.below(2), count], words].concat(), vec![])
            }
            2 => (thread, TcbCopyRegisters, vec![self.r.below(16)], vec![self.thread()]),
            3 => (thread, TcbSetTlsBase, vec![self.r.pick(&[0x5000, 1 << 63])], vec![]),
            4 => (thread, TcbSetTimeoutEndpoint, vec![], vec![self.endpoint(2)]),
            _ => (thread, TcbSetFlags, vec![self.r.below(2), self.r.below(4)], vec![]),
        }
    }

    /// What threads hold: mostly what they had before, or they would soon do nothing any more.
    pub(super) fn spaces(&mut self) -> Arguments {
        use Label::*;
        let (thread, guard) = (self.thread(), CNodeCapData::skip_to(RADIX as u32).0);
        let guard = if self.r.rarely(20) { self.r.below(64) } else { guard };
        let cspace = if self.r.rarely(20) { self.slot() } else { CNODE };
        let vspace = if self.r.rarely(10) { self.slot() } else { self.space() };
        let buffer = self.r.pick(&[0x10_0000, 0x10_0400, 0x10_0c00, 0, 0x10_0010]);
        let frame = FRAME + self.r.below(self.shape.frames + 1);
        match self.r.below(3) {
            0 => (thread, TcbConfigure, vec![guard, 0, buffer], vec![cspace, vspace, frame]),
            1 => (thread, TcbSetSpace, vec![guard, 0], vec![self.endpoint(2), cspace, vspace]),
            _ => (thread, TcbSetIpcBuffer, vec![buffer], vec![frame]),
        }
    }

    /// Budgets and domains.
    pub(super) fn time(&mut self) -> Arguments {
        use Label::*;
        let r = &mut *self.r;
        match r.below(6) {
            0..=3 => {
                let (budget, period) = (r.pick(&[100, 1_000, 5_000, 19]), r.pick(&[100, 5_000, 10_000]));
                let words = vec![budget, period, r.below(10), r.below(3), r.below(2)];
                let sc = SC + r.below(self.shape.contexts + 1);
                (SCHED, SchedControlConfigureFlags, words, vec![sc])
            }
            4 => (DOMAINS, DomainSetSet, vec![r.below(4) / 3], vec![self.thread()]),
            _ if r.below(4) == 0 => (DOMAINS, DomainScheduleSetStart, vec![r.below(3)], vec![]),
            _ => {
                let words = vec![r.below(3), r.below(2), r.pick(&[0, 1, 20_000, 40_001, 200_000, 1_000_000])];
                (DOMAINS, DomainScheduleConfigure, words, vec![])
            }
        }
    }

    /// Interrupts, I/O ports and identifiers of address spaces.
    pub(super) fn hardware(&mut self) -> Arguments {
        use Label::*;
        let dest = FREE + self.r.below(6);
        match self.r.below(8) {
            0 => {
                let r = &mut *self.r;
                let label = r.pick(&[X86IrqIssueIrqHandlerIoapic, X86IrqIssueIrqHandlerMsi]);
                let words = vec![dest, 64, 0, r.below(25), r.below(2), r.below(2), r.below(2)];
                (IRQS, label, words, vec![CNODE])
            }
            1 | 2 => {
                let labels = [IrqAckIrq, IrqSetIrqHandler, IrqSetIrqHandler, IrqClearIrqHandler];
                (dest, self.r.pick(&labels), vec![], vec![self.notification()])
            }
            3 => {
                let first = self.r.below(8);
                let words = vec![first, first + self.r.below(4), dest, 64];
                (PORTS, X86IoPortControlIssue, words, vec![CNODE])
            }
            4 | 5 => {
                let labels = [
                    X86IoPortIn8,
                    X86IoPortIn16,
                    X86IoPortIn32,
                    X86IoPortOut8,
                    X86IoPortOut16,
                    X86IoPortOut32,
                ];
                let label = self.r.pick(&labels);
                (dest, label, vec![self.r.below(10), self.r.below(1 << 40)], vec![])
            }
            6 => (ASIDS, AsidControlMakePool, vec![dest, 64], vec![ASID_UNTYPED, CNODE]),
            _ => {
                let pool = if self.shape.nodes > 0 && self.r.below(2) == 0 { POOL } else { dest };
                let table = TABLE + self.r.below(4 * self.shape.tables);
                (pool, AsidPoolAssign, vec![], vec![table])
            }
        }
    }
}
