//! Labels of invocations.

labels! {
    AARCH64:
    /// `VSpace::Clean_Data`.
    ArmVSpaceCleanData = "ARMVSpaceClean_Data",
    /// `VSpace::Invalidate_Data`.
    ArmVSpaceInvalidateData = "ARMVSpaceInvalidate_Data",
    /// `VSpace::CleanInvalidate_Data`.
    ArmVSpaceCleanInvalidateData = "ARMVSpaceCleanInvalidate_Data",
    /// `VSpace::Unify_Instruction`.
    ArmVSpaceUnifyInstruction = "ARMVSpaceUnify_Instruction",
    /// `Smc::Call`.
    ArmSmcCall,
    /// `PageTable::Map`.
    PageTableMap = "ARMPageTableMap",
    /// `PageTable::Unmap`.
    PageTableUnmap = "ARMPageTableUnmap",
    /// `Page::Map`.
    PageMap = "ARMPageMap",
    /// `Page::Unmap`.
    PageUnmap = "ARMPageUnmap",
    /// `Page::Clean_Data`.
    ArmPageCleanData = "ARMPageClean_Data",
    /// `Page::Invalidate_Data`.
    ArmPageInvalidateData = "ARMPageInvalidate_Data",
    /// `Page::CleanInvalidate_Data`.
    ArmPageCleanInvalidateData = "ARMPageCleanInvalidate_Data",
    /// `Page::Unify_Instruction`.
    ArmPageUnifyInstruction = "ARMPageUnify_Instruction",
    /// `Page::GetAddress`.
    PageGetAddress = "ARMPageGetAddress",
    /// `AsidControl::MakePool`.
    AsidControlMakePool = "ARMASIDControlMakePool",
    /// `AsidPool::Assign`.
    AsidPoolAssign = "ARMASIDPoolAssign",
    /// `IrqControl::GetTrigger`.
    IrqIssueIrqHandlerTrigger = "ARMIRQIssueIRQHandlerTrigger",
    /// `IrqControl::IssueSGISignal`.
    ArmIrqIssueSgiSignal,
}

/// The invocations that map and unmap a page table, by its level: below the top of an address space, from the lowest up.
pub const TABLE_LABELS: &[(Label, Label)] = &[
    (Label::PageTableMap, Label::PageTableUnmap),
    (Label::PageTableMap, Label::PageTableUnmap),
    (Label::PageTableMap, Label::PageTableUnmap),
];
