//! Labels of invocations.

labels! {
    X86_64:
    /// `Pdpt::Map`.
    X86PdptMap,
    /// `Pdpt::Unmap`.
    X86PdptUnmap,
    /// `PageDirectory::Map`.
    X86PageDirectoryMap,
    /// `PageDirectory::Unmap`.
    X86PageDirectoryUnmap,
    /// `PageTable::Map`.
    PageTableMap = "X86PageTableMap",
    /// `PageTable::Unmap`.
    PageTableUnmap = "X86PageTableUnmap",
    /// `Page::Map`.
    PageMap = "X86PageMap",
    /// `Page::Unmap`.
    PageUnmap = "X86PageUnmap",
    /// `Page::GetAddress`.
    PageGetAddress = "X86PageGetAddress",
    /// `AsidControl::MakePool`.
    AsidControlMakePool = "X86ASIDControlMakePool",
    /// `AsidPool::Assign`.
    AsidPoolAssign = "X86ASIDPoolAssign",
    /// `IoPortControl::Issue`.
    X86IoPortControlIssue,
    /// `IoPort::In8`.
    X86IoPortIn8,
    /// `IoPort::In16`.
    X86IoPortIn16,
    /// `IoPort::In32`.
    X86IoPortIn32,
    /// `IoPort::Out8`.
    X86IoPortOut8,
    /// `IoPort::Out16`.
    X86IoPortOut16,
    /// `IoPort::Out32`.
    X86IoPortOut32,
    /// `IrqControl::GetIOAPIC`.
    X86IrqIssueIrqHandlerIoapic,
    /// `IrqControl::GetMSI`.
    X86IrqIssueIrqHandlerMsi,
}

/// The invocations that map and unmap a page table, by its level: below the top of an address space, from the lowest up.
pub const TABLE_LABELS: &[(Label, Label)] = &[
    (Label::PageTableMap, Label::PageTableUnmap),
    (Label::X86PageDirectoryMap, Label::X86PageDirectoryUnmap),
    (Label::X86PdptMap, Label::X86PdptUnmap),
];
