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

/// The invocations that map and unmap a page table, by its level: below the top of an address space, from the lowest up.
pub const TABLE_LABELS: &[(Label, Label)] =
    &[(Label::PageTableMap, Label::PageTableUnmap), (Label::PageTableMap, Label::PageTableUnmap)];
