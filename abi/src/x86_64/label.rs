//! Labels of invocations.

word_enum! {
    /// What an invocation asks of a kernel object: the label of its message. Options of a configuration that
    /// add invocations shift the numbers after them; these are the numbers without hardware breakpoints,
    /// multiple cores, IOMMU and virtual machines.
    pub enum Label {
        /// Asks for nothing; always an error.
        InvalidInvocation = 0,
        /// `Untyped::Retype`.
        UntypedRetype = 1,
        /// `Tcb::ReadRegisters`.
        TcbReadRegisters = 2,
        /// `Tcb::WriteRegisters`.
        TcbWriteRegisters = 3,
        /// `Tcb::CopyRegisters`.
        TcbCopyRegisters = 4,
        /// `Tcb::Configure`.
        TcbConfigure = 5,
        /// `Tcb::SetPriority`.
        TcbSetPriority = 6,
        /// `Tcb::SetMCPriority`.
        TcbSetMcPriority = 7,
        /// `Tcb::SetSchedParams`.
        TcbSetSchedParams = 8,
        /// `Tcb::SetTimeoutEndpoint`.
        TcbSetTimeoutEndpoint = 9,
        /// `Tcb::SetIPCBuffer`.
        TcbSetIpcBuffer = 10,
        /// `Tcb::SetSpace`.
        TcbSetSpace = 11,
        /// `Tcb::Suspend`.
        TcbSuspend = 12,
        /// `Tcb::Resume`.
        TcbResume = 13,
        /// `Tcb::BindNotification`.
        TcbBindNotification = 14,
        /// `Tcb::UnbindNotification`.
        TcbUnbindNotification = 15,
        /// `Tcb::SetTLSBase`.
        TcbSetTlsBase = 16,
        /// `Tcb::SetFlags`.
        TcbSetFlags = 17,
        /// `CNode::Revoke`.
        CNodeRevoke = 18,
        /// `CNode::Delete`.
        CNodeDelete = 19,
        /// `CNode::CancelBadgedSends`.
        CNodeCancelBadgedSends = 20,
        /// `CNode::Copy`.
        CNodeCopy = 21,
        /// `CNode::Mint`.
        CNodeMint = 22,
        /// `CNode::Move`.
        CNodeMove = 23,
        /// `CNode::Mutate`.
        CNodeMutate = 24,
        /// `CNode::Rotate`.
        CNodeRotate = 25,
        /// `IrqControl::Get`.
        IrqIssueIrqHandler = 26,
        /// `IrqHandler::Ack`.
        IrqAckIrq = 27,
        /// `IrqHandler::SetNotification`.
        IrqSetIrqHandler = 28,
        /// `IrqHandler::Clear`.
        IrqClearIrqHandler = 29,
        /// `DomainSet::Set`.
        DomainSetSet = 30,
        /// `DomainSet::ScheduleConfigure`.
        DomainScheduleConfigure = 31,
        /// `DomainSet::ScheduleSetStart`.
        DomainScheduleSetStart = 32,
        /// `SchedControl::ConfigureFlags`.
        SchedControlConfigureFlags = 33,
        /// `SchedContext::Bind`.
        SchedContextBind = 34,
        /// `SchedContext::Unbind`.
        SchedContextUnbind = 35,
        /// `SchedContext::UnbindObject`.
        SchedContextUnbindObject = 36,
        /// `SchedContext::Consumed`.
        SchedContextConsumed = 37,
        /// `SchedContext::YieldTo`.
        SchedContextYieldTo = 38,
        /// `Pdpt::Map`.
        X86PdptMap = 39,
        /// `Pdpt::Unmap`.
        X86PdptUnmap = 40,
        /// `PageDirectory::Map`.
        X86PageDirectoryMap = 41,
        /// `PageDirectory::Unmap`.
        X86PageDirectoryUnmap = 42,
        /// `PageTable::Map`.
        X86PageTableMap = 43,
        /// `PageTable::Unmap`.
        X86PageTableUnmap = 44,
        /// `Page::Map`.
        X86PageMap = 45,
        /// `Page::Unmap`.
        X86PageUnmap = 46,
        /// `Page::GetAddress`.
        X86PageGetAddress = 47,
        /// `AsidControl::MakePool`.
        X86AsidControlMakePool = 48,
        /// `AsidPool::Assign`.
        X86AsidPoolAssign = 49,
        /// `IoPortControl::Issue`.
        X86IoPortControlIssue = 50,
        /// `IoPort::In8`.
        X86IoPortIn8 = 51,
        /// `IoPort::In16`.
        X86IoPortIn16 = 52,
        /// `IoPort::In32`.
        X86IoPortIn32 = 53,
        /// `IoPort::Out8`.
        X86IoPortOut8 = 54,
        /// `IoPort::Out16`.
        X86IoPortOut16 = 55,
        /// `IoPort::Out32`.
        X86IoPortOut32 = 56,
        /// `IrqControl::GetIOAPIC`.
        X86IrqIssueIrqHandlerIoapic = 57,
        /// `IrqControl::GetMSI`.
        X86IrqIssueIrqHandlerMsi = 58,
    }
}
