//! Types of kernel objects.

word_enum! {
    /// The type of a kernel object, as the parameter of a retype. The first seven are the same on every
    /// architecture.
    pub enum ObjectType {
        /// Memory not yet given a type; of any power of two.
        Untyped = 0,
        /// A thread.
        Tcb = 1,
        /// An endpoint.
        Endpoint = 2,
        /// A notification.
        Notification = 3,
        /// A table of capabilities; the size parameter is log2 of the number of slots.
        CNode = 4,
        /// A scheduling context; the size parameter is log2 of its bytes.
        SchedContext = 5,
        /// A reply object.
        Reply = 6,
        /// A page-directory-pointer table: 512 GiB of address space.
        Pdpt = 7,
        /// A PML4, the top of an address space.
        Pml4 = 8,
        /// A frame of 1 GiB.
        HugePage = 9,
        /// A frame of 4 KiB.
        Page4K = 10,
        /// A frame of 2 MiB.
        LargePage = 11,
        /// A page table: 2 MiB of address space.
        PageTable = 12,
        /// A page directory: 1 GiB of address space.
        PageDirectory = 13,
    }
}

impl ObjectType {
    /// The top of an address space.
    pub const VSPACE: Self = Self::Pml4;
    /// The smallest frame.
    pub const SMALL_PAGE: Self = Self::Page4K;
}
