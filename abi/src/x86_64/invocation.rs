//! The invocations.

use super::{Label, UserContext};

invocations! {
    "Maps a page-directory-pointer table."
    Pdpt.map(@TableMap vspace: Cap, vaddr: Word, attr: VmAttributes) = X86PdptMap
        [DeleteFirst, FailedLookup, IllegalOperation, InvalidArgument, InvalidCapability];
    "Unmaps it."
    Pdpt.unmap() = X86PdptUnmap [IllegalOperation, InvalidCapability, RevokeFirst];
    "Maps a page directory."
    PageDirectory.map(@TableMap vspace: Cap, vaddr: Word, attr: VmAttributes) = X86PageDirectoryMap
        [DeleteFirst, FailedLookup, IllegalOperation, InvalidArgument, InvalidCapability];
    "Unmaps it."
    PageDirectory.unmap() = X86PageDirectoryUnmap [IllegalOperation, InvalidCapability, RevokeFirst];
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
    "Creates a capability to a range of I/O ports that nobody has yet."
    IoPortControl.issue(first_port: Word, last_port: Word, root: Cap, index: Word, depth: U8)
        = X86IoPortControlIssue [DeleteFirst, FailedLookup, IllegalOperation, InvalidArgument,
         InvalidCapability, RangeError, RevokeFirst];
    "Reads 8 bits from a port."
    IoPort.in8(@IoPortIn port: U16) -> (result: U8) = X86IoPortIn8 [IllegalOperation, InvalidCapability];
    "Reads 16 bits from a port."
    IoPort.in16(@IoPortIn port: U16) -> (result: U16) = X86IoPortIn16 [IllegalOperation, InvalidCapability];
    "Reads 32 bits from a port."
    IoPort.in32(@IoPortIn port: U16) -> (result: U32) = X86IoPortIn32 [IllegalOperation, InvalidCapability];
    "Writes 8 bits to a port."
    IoPort.out8(@IoPortOut port: Word, data: Word) = X86IoPortOut8 [IllegalOperation, InvalidCapability];
    "Writes 16 bits to a port."
    IoPort.out16(@IoPortOut port: Word, data: Word) = X86IoPortOut16 [IllegalOperation, InvalidCapability];
    "Writes 32 bits to a port."
    IoPort.out32(@IoPortOut port: Word, data: Word) = X86IoPortOut32 [IllegalOperation, InvalidCapability];
    "Creates the handler of an IOAPIC pin."
    IrqControl.get_ioapic(root: Cap, index: Word, depth: U8, ioapic: Word, pin: Word, level: Word,
        polarity: Word, vector: Word) = X86IrqIssueIrqHandlerIoapic
        [DeleteFirst, FailedLookup, IllegalOperation, InvalidCapability, RangeError, RevokeFirst];
    "Creates the handler of a message-signalled interrupt."
    IrqControl.get_msi(root: Cap, index: Word, depth: U8, pci_bus: Word, pci_dev: Word, pci_func: Word,
        handle: Word, vector: Word) = X86IrqIssueIrqHandlerMsi
        [DeleteFirst, FailedLookup, IllegalOperation, InvalidCapability, RangeError, RevokeFirst];
}
