//! Random invocations of threads, of time and of what stands for hardware.

use pecan_abi::{CNodeCapData, Label};

use super::{
    ASID_UNTYPED, CNODE, CONTROL, EP, FRAME, FREE, NTFN, RADIX, Random, SC, TABLE, THREAD, VSPACE, slot,
};
use crate::model::CODE;

/// Capability, label, words and capabilities.
pub(super) type Arguments = (u64, Label, Vec<u64>, Vec<u64>);

/// The authorities, from slot [`CONTROL`] on.
const SCHED: u64 = CONTROL;
const IRQS: u64 = CONTROL + 1;
const PORTS: u64 = CONTROL + 2;
const DOMAINS: u64 = CONTROL + 3;
const ASIDS: u64 = CONTROL + 4;

/// Registers of threads.
pub(super) fn registers(r: &mut Random) -> Arguments {
    use Label::*;
    let thread = THREAD + r.below(4);
    match r.below(6) {
        0 => (thread, TcbReadRegisters, vec![r.below(2), 1 + r.below(21)], vec![]),
        1 => {
            let words =
                (0..r.below(22)).map(|_| r.pick(&[CODE, 0, 7, 1 << 63, u64::MAX])).collect::<Vec<_>>();
            let count = words.len() as u64 + r.below(20) / 19;
            (thread, TcbWriteRegisters, [vec![r.below(2), count], words].concat(), vec![])
        }
        2 => (thread, TcbCopyRegisters, vec![r.below(16)], vec![THREAD + r.below(4)]),
        3 => (thread, TcbSetTlsBase, vec![r.pick(&[0x5000, 1 << 63])], vec![]),
        4 => (thread, TcbSetTimeoutEndpoint, vec![], vec![EP + r.below(6)]),
        _ => (thread, TcbSetFlags, vec![r.below(2), r.below(4)], vec![]),
    }
}

/// What threads hold: mostly what they had before, or they would soon do nothing any more.
pub(super) fn spaces(r: &mut Random) -> Arguments {
    use Label::*;
    let (thread, guard) = (THREAD + r.below(4), CNodeCapData::skip_to(RADIX as u32).0);
    let guard = if r.below(20) == 0 { r.below(64) } else { guard };
    let cspace = if r.below(20) == 0 { slot(r) } else { CNODE };
    let vspace = if r.below(10) == 0 { slot(r) } else { VSPACE };
    let buffer = r.pick(&[0x10_0000, 0x10_0400, 0x10_0c00, 0, 0x10_0010]);
    let frame = FRAME + r.below(3);
    match r.below(3) {
        0 => (thread, TcbConfigure, vec![guard, 0, buffer], vec![cspace, vspace, frame]),
        1 => (thread, TcbSetSpace, vec![guard, 0], vec![EP + r.below(6), cspace, vspace]),
        _ => (thread, TcbSetIpcBuffer, vec![buffer], vec![frame]),
    }
}

/// Budgets and domains.
pub(super) fn time(r: &mut Random) -> Arguments {
    use Label::*;
    match r.below(6) {
        0..=3 => {
            let (budget, period) = (r.pick(&[100, 1_000, 5_000, 19]), r.pick(&[100, 5_000, 10_000]));
            let words = vec![budget, period, r.below(10), r.below(3), r.below(2)];
            (SCHED, SchedControlConfigureFlags, words, vec![SC + r.below(4)])
        }
        4 => (DOMAINS, DomainSetSet, vec![r.below(4) / 3], vec![THREAD + r.below(4)]),
        _ if r.below(4) == 0 => (DOMAINS, DomainScheduleSetStart, vec![r.below(3)], vec![]),
        _ => {
            let words = vec![r.below(3), r.below(2), r.pick(&[0, 200_000, 1_000_000])];
            (DOMAINS, DomainScheduleConfigure, words, vec![])
        }
    }
}

/// Interrupts, I/O ports and identifiers of address spaces.
pub(super) fn hardware(r: &mut Random) -> Arguments {
    use Label::*;
    let dest = FREE + r.below(6);
    match r.below(8) {
        0 => {
            let label = r.pick(&[X86IrqIssueIrqHandlerIoapic, X86IrqIssueIrqHandlerMsi]);
            let words = vec![dest, 64, 0, r.below(25), r.below(2), r.below(2), r.below(2)];
            (IRQS, label, words, vec![CNODE])
        }
        1 | 2 => {
            let label = r.pick(&[IrqAckIrq, IrqSetIrqHandler, IrqSetIrqHandler, IrqClearIrqHandler]);
            (dest, label, vec![], vec![NTFN + r.below(2)])
        }
        3 => {
            let first = r.below(8);
            (PORTS, X86IoPortControlIssue, vec![first, first + r.below(4), dest, 64], vec![CNODE])
        }
        4 | 5 => {
            let labels =
                [X86IoPortIn8, X86IoPortIn16, X86IoPortIn32, X86IoPortOut8, X86IoPortOut16, X86IoPortOut32];
            (dest, r.pick(&labels), vec![r.below(10), r.below(1 << 40)], vec![])
        }
        6 => (ASIDS, X86AsidControlMakePool, vec![dest, 64], vec![ASID_UNTYPED, CNODE]),
        _ => (dest, X86AsidPoolAssign, vec![], vec![TABLE + r.below(4)]),
    }
}
