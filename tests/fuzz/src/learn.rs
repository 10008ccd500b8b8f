//! What is learnt from how calls end.

use pecan_abi::{Error, INVOCATIONS, Label};

use crate::{
    plan::Plan,
    slots::{self, Entry, Kind, Place},
};

/// Learns from how a call ended: its error, and the first word of the answer.
pub fn learn(plan: &Plan, error: u64, detail: u64) {
    let Some(invocation) = INVOCATIONS.get(plan.invocation as usize) else { return };
    match Error::from_word(error) {
        Some(Error::NoError) => succeeded(plan, invocation.label),
        _ if !plan.clean => {}
        Some(Error::DeleteFirst) if plan.dest.get() == Entry::EMPTY => plan.dest.set(Entry::UNKNOWN),
        Some(Error::FailedLookup) if detail == 1 && plan.src != Place::NONE => plan.src.set(Entry::EMPTY),
        Some(Error::InvalidCapability) => match detail {
            0 => plan.service.set(Entry::UNKNOWN),
            n @ 1..=3 => plan.caps[n as usize - 1].set(Entry::UNKNOWN),
            _ => {}
        },
        Some(Error::NotEnoughMemory) => slots::note_exhausted(plan.service),
        _ => {}
    }
}

fn succeeded(plan: &Plan, label: Label) {
    match label {
        Label::UntypedRetype => {
            for i in 0..plan.count.min(8) {
                Place { slot: plan.dest.slot.wrapping_add(i), ..plan.dest }.set(plan.made);
            }
        }
        Label::CNodeMove | Label::CNodeMutate => {
            plan.src.set(Entry::EMPTY);
            plan.dest.set(plan.made);
        }
        Label::CNodeRotate => {
            let (src, pivot) = (plan.src.get(), plan.pivot.get());
            plan.src.set(Entry::EMPTY);
            plan.dest.set(pivot);
            plan.pivot.set(src);
        }
        Label::CNodeDelete => plan.dest.set(Entry::EMPTY),
        Label::AsidPoolAssign => plan.caps[0].set(Entry::new(Kind::VSpace, 1, 0)),
        Label::CNodeCopy
        | Label::CNodeMint
        | Label::AsidControlMakePool
        | Label::X86IoPortControlIssue
        | Label::X86IrqIssueIrqHandlerIoapic
        | Label::X86IrqIssueIrqHandlerMsi => plan.dest.set(plan.made),
        _ => {}
    }
}
