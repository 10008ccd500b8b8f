//! Capabilities with the type of what they refer to.

use core::{fmt, hash, marker::PhantomData};

use pecan_abi::{CPtr, ObjectType, constants};

/// The address of a capability in this program's CSpace, with the type of what it refers to.
///
/// It is a name, not the thing: copying it copies no capability, and dropping it deletes none. Using one whose
/// slot is empty gives the kernel's error.
///
/// The type is a promise that safe code relies on: a message to an endpoint is harmless, the same message to one of the
/// program's own threads may be an invocation that writes its registers. So making a name of a number is unsafe, and so
/// is emptying a slot, whose names then lie in wait for what comes into it next.
pub struct Cap<T> {
    cptr: CPtr,
    of: PhantomData<fn() -> T>,
}

impl<T> Cap<T> {
    /// The address that never holds a capability. Where a capability is optional, this is "none".
    pub const NULL: Self = Self::at(0);

    /// The capability at an address.
    ///
    /// # Safety
    /// Whenever the name is used, there must be a capability of this type at the address, or none, or one to an object
    /// that this program does not consist of.
    #[inline]
    pub const unsafe fn new(cptr: CPtr) -> Self {
        Self::at(cptr)
    }

    /// [`Cap::new`], for this library, which knows what it put there.
    #[inline]
    pub(crate) const fn at(cptr: CPtr) -> Self {
        Self { cptr, of: PhantomData }
    }

    /// The `n`th of capabilities in consecutive slots, as [`crate::alloc::Objects::make_run`] makes them, of which this is
    /// the first.
    ///
    /// # Safety
    /// As of [`Cap::new`], for the address that is `n` further on.
    #[inline]
    pub const unsafe fn offset(self, n: u64) -> Self {
        Self::at(self.cptr + n)
    }

    /// The address.
    #[inline]
    pub const fn cptr(self) -> CPtr {
        self.cptr
    }

    /// The same address, taken to be of another type.
    ///
    /// # Safety
    /// As of [`Cap::new`], for that type.
    #[inline]
    pub const unsafe fn cast<U>(self) -> Cap<U> {
        Cap::at(self.cptr)
    }

    /// The same address, of no particular type.
    #[inline]
    pub const fn any(self) -> Cap<types::Any> {
        Cap::at(self.cptr)
    }

    /// Whether this is [`Cap::NULL`].
    #[inline]
    pub const fn is_null(self) -> bool {
        self.cptr == 0
    }
}

impl<T> Clone for Cap<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Cap<T> {}

impl<T> PartialEq for Cap<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cptr == other.cptr
    }
}

impl<T> Eq for Cap<T> {}

impl<T> hash::Hash for Cap<T> {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.cptr.hash(state);
    }
}

impl<T: CapType> fmt::Debug for Cap<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", T::NAME, self.cptr)
    }
}

/// What a capability can refer to.
pub trait CapType {
    /// Its name.
    const NAME: &'static str;
}

/// A kernel object that a retype makes.
pub trait Object: CapType {
    /// Its type.
    const TYPE: ObjectType;

    /// log2 of the bytes it takes, for the size parameter it was asked for (which only objects of variable
    /// size have).
    fn size_bits(parameter: u32) -> u32;
}

/// A kernel object of one size.
pub trait FixedSize: Object {
    /// log2 of its bytes. Of a thread this is the most it can be: kernels with a small FPU state need half of that.
    const SIZE_BITS: u32;
}

/// A frame: memory that can be mapped.
pub trait FrameType: FixedSize {}

macro_rules! cap_types {
    ($($(#[$meta:meta])* $Name:ident,)+) => {
        /// The types of capabilities, used as the parameter of [`Cap`].
        pub mod types {
            #[allow(unused_imports, reason = "not every architecture has some of its own")]
            pub use crate::arch::types::*;
            $($(#[$meta])* #[derive(Clone, Copy, Debug)] pub enum $Name {})+
        }
        $(impl CapType for types::$Name { const NAME: &'static str = stringify!($Name); })+
    };
}

cap_types! {
    /// Whatever it is.
    Any,
    /// Memory not yet given a type.
    Untyped,
    /// A thread.
    Tcb,
    /// An endpoint.
    Endpoint,
    /// A notification.
    Notification,
    /// A table of capabilities.
    CNode,
    /// A scheduling context.
    SchedContext,
    /// A reply object.
    Reply,
    /// The top of an address space.
    VSpace,
    /// A page table.
    PageTable,
    /// A frame of 4 KiB.
    SmallPage,
    /// A frame of 2 MiB.
    LargePage,
    /// A frame of 1 GiB.
    HugePage,
    /// Authority over interrupts.
    IrqControl,
    /// One interrupt.
    IrqHandler,
    /// Authority to create ASID pools.
    AsidControl,
    /// A pool of address space identifiers.
    AsidPool,
    /// Authority over the time of one core.
    SchedControl,
    /// Authority over domains.
    DomainSet,
}

/// Objects of one size, by their types and log2 of that.
macro_rules! fixed {
    ($($Name:ident = $Type:ident, $bits:expr;)+) => {
        $(
            impl $crate::Object for $crate::types::$Name {
                const TYPE: $crate::ObjectType = $crate::ObjectType::$Type;
                fn size_bits(_: u32) -> u32 { $bits }
            }
            impl $crate::FixedSize for $crate::types::$Name { const SIZE_BITS: u32 = $bits; }
        )+
    };
}
pub(crate) use fixed;

fixed! {
    Tcb = Tcb, constants::tcb_bits(usize::MAX);
    Endpoint = Endpoint, constants::ENDPOINT_BITS;
    Notification = Notification, constants::NOTIFICATION_BITS;
    Reply = Reply, constants::REPLY_BITS;
    PageTable = PageTable, constants::PAGE_TABLE_BITS;
    SmallPage = Page4K, constants::PAGE_BITS;
    LargePage = LargePage, constants::LARGE_PAGE_BITS;
    HugePage = HugePage, constants::HUGE_PAGE_BITS;
}

impl FrameType for types::SmallPage {}
impl FrameType for types::LargePage {}
impl FrameType for types::HugePage {}

impl Object for types::Untyped {
    const TYPE: ObjectType = ObjectType::Untyped;
    fn size_bits(parameter: u32) -> u32 {
        parameter
    }
}

impl Object for types::CNode {
    const TYPE: ObjectType = ObjectType::CNode;
    /// The parameter is log2 of the number of slots.
    fn size_bits(parameter: u32) -> u32 {
        parameter + constants::SLOT_BITS
    }
}

impl Object for types::SchedContext {
    const TYPE: ObjectType = ObjectType::SchedContext;
    fn size_bits(parameter: u32) -> u32 {
        parameter
    }
}
