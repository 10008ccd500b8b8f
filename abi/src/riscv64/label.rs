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
