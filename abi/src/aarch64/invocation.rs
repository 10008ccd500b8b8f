//! The invocations.

use super::{Label, UserContext};

invocations! {
    "Writes a range of an address space back from the data cache."
    VSpace.clean_data(@VSpaceRange start: Word, end: Word) = ArmVSpaceCleanData
        [FailedLookup, IllegalOperation, InvalidArgument, InvalidCapability, RangeError];
    "Drops a range of an address space from the data cache."
    VSpace.invalidate_data(@VSpaceRange start: Word, end: Word) = ArmVSpaceInvalidateData
        [FailedLookup, IllegalOperation, InvalidArgument, InvalidCapability, RangeError];
    "Writes a range of an address space back from the data cache and drops it there."
    VSpace.clean_invalidate_data(@VSpaceRange start: Word, end: Word) = ArmVSpaceCleanInvalidateData
        [FailedLookup, IllegalOperation, InvalidArgument, InvalidCapability, RangeError];
    "Makes what was written to a range of an address space visible to instruction fetches."
    VSpace.unify_instruction(@VSpaceRange start: Word, end: Word) = ArmVSpaceUnifyInstruction
        [FailedLookup, IllegalOperation, InvalidArgument, InvalidCapability, RangeError];
    "Makes a secure monitor call with these registers, and returns those that come back."
    Smc.call(x0: Word, x1: Word, x2: Word, x3: Word, x4: Word, x5: Word, x6: Word, x7: Word)
        -> (r0: Word, r1: Word, r2: Word, r3: Word, r4: Word, r5: Word, r6: Word, r7: Word) = ArmSmcCall
        [];
    "Maps a page table."
    PageTable.map(@TableMap vspace: Cap, vaddr: Word, attr: VmAttributes) = PageTableMap
        [DeleteFirst, FailedLookup, IllegalOperation, InvalidArgument, InvalidCapability];
    "Unmaps it."
    PageTable.unmap() = PageTableUnmap [IllegalOperation, InvalidCapability, RevokeFirst];
    "Maps a frame, or changes the rights and attributes of its mapping at the same address."
    Page.map(vspace: Cap, vaddr: Word, rights: Rights, attr: VmAttributes) = PageMap
        [AlignmentError, DeleteFirst, FailedLookup, IllegalOperation, InvalidArgument, InvalidCapability];
    "Unmaps it; does nothing if it is not mapped."
    Page.unmap() = PageUnmap [IllegalOperation, InvalidCapability];
    "Writes a range of a frame back from the data cache."
    Page.clean_data(@PageRange start_offset: Word, end_offset: Word) = ArmPageCleanData
        [FailedLookup, IllegalOperation, InvalidArgument, InvalidCapability];
    "Drops a range of a frame from the data cache."
    Page.invalidate_data(@PageRange start_offset: Word, end_offset: Word) = ArmPageInvalidateData
        [FailedLookup, IllegalOperation, InvalidArgument, InvalidCapability];
    "Writes a range of a frame back from the data cache and drops it there."
    Page.clean_invalidate_data(@PageRange start_offset: Word, end_offset: Word) = ArmPageCleanInvalidateData
        [FailedLookup, IllegalOperation, InvalidArgument, InvalidCapability];
    "Makes what was written to a range of a frame visible to instruction fetches."
    Page.unify_instruction(@PageRange start_offset: Word, end_offset: Word) = ArmPageUnifyInstruction
        [FailedLookup, IllegalOperation, InvalidArgument, InvalidCapability];
    "The physical address of a frame."
    Page.get_address() -> (paddr: Word) = PageGetAddress [IllegalOperation, InvalidCapability];
    "Turns an untyped of 4 KiB into an ASID pool."
    AsidControl.make_pool(untyped: Cap, root: Cap, index: Word, depth: U8) = AsidControlMakePool
        [DeleteFirst, FailedLookup, IllegalOperation, InvalidCapability, RangeError, RevokeFirst];
    "Gives an address space an identifier, without which nothing can be mapped in it."
    AsidPool.assign(vspace: Cap) = AsidPoolAssign
        [DeleteFirst, FailedLookup, IllegalOperation, InvalidCapability];
    "Creates the handler of an interrupt, which is edge-triggered if `trigger` is not 0."
    IrqControl.get_trigger(irq: Word, trigger: Word, root: Cap, index: Word, depth: U8) = IrqIssueIrqHandlerTrigger
        [DeleteFirst, FailedLookup, IllegalOperation, InvalidCapability, RangeError, RevokeFirst];
    "Creates a capability that raises a software-generated interrupt at one core."
    IrqControl.issue_sgi_signal(irq: Word, target: Word, root: Cap, index: Word, depth: U8) = ArmIrqIssueSgiSignal
        [DeleteFirst, FailedLookup, IllegalOperation, InvalidArgument, InvalidCapability, RangeError];
}
