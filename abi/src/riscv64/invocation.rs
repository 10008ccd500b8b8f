//! The invocations.

use super::{Label, UserContext};

invocations! {
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
    "The physical address of a frame."
    Page.get_address() -> (paddr: Word) = PageGetAddress [IllegalOperation, InvalidCapability];
    "Turns an untyped of 4 KiB into an ASID pool."
    AsidControl.make_pool(untyped: Cap, root: Cap, index: Word, depth: U8) = AsidControlMakePool
        [DeleteFirst, FailedLookup, IllegalOperation, InvalidCapability, RangeError, RevokeFirst];
    "Gives an address space an identifier, without which nothing can be mapped in it."
    AsidPool.assign(vspace: Cap) = AsidPoolAssign [DeleteFirst, IllegalOperation, InvalidCapability];
    "Creates the handler of an interrupt, which is edge-triggered if `trigger` is not 0."
    IrqControl.get_trigger(irq: Word, trigger: Word, root: Cap, index: Word, depth: U8) = IrqIssueIrqHandlerTrigger
        [DeleteFirst, FailedLookup, IllegalOperation, InvalidCapability, RangeError, RevokeFirst];
}
