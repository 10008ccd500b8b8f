//! Labels of invocations.

labels! {
    RISCV64:
    /// `PageTable::Map`.
    PageTableMap = "RISCVPageTableMap",
    /// `PageTable::Unmap`.
    PageTableUnmap = "RISCVPageTableUnmap",
    /// `Page::Map`.
    PageMap = "RISCVPageMap",
    /// `Page::Unmap`.
    PageUnmap = "RISCVPageUnmap",
    /// `Page::GetAddress`.
    PageGetAddress = "RISCVPageGetAddress",
    /// `AsidControl::MakePool`.
    AsidControlMakePool = "RISCVASIDControlMakePool",
    /// `AsidPool::Assign`.
    AsidPoolAssign = "RISCVASIDPoolAssign",
    /// `IrqControl::GetTrigger`.
    IrqIssueIrqHandlerTrigger = "RISCVIRQIssueIRQHandlerTrigger",
}

/// The invocations that map and unmap a page table, by its level, from the lowest up. The top of an address space is one,
/// too: it cannot be mapped, nor unmapped as long as it is one.
pub const TABLE_LABELS: &[(Label, Label)] = &[
    (Label::PageTableMap, Label::PageTableUnmap),
    (Label::PageTableMap, Label::PageTableUnmap),
    (Label::PageTableMap, Label::PageTableUnmap),
];
