//! The kinds of capabilities, by the tags that packed ones have.
//!
//! Whatever depends on the kind is a `match` without a rest: a kind that is added does not compile until all of them say
//! what becomes of it.

pub use Tag::*;

/// The tags of packed capabilities. They show in `DebugCapIdentify`, otherwise nobody sees them. User-level
/// libraries of this ABI know 4 for endpoints and 6 for notifications from there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[expect(missing_docs, reason = "one per variant of `Cap`")]
#[allow(
    non_camel_case_types,
    clippy::upper_case_acronyms,
    reason = "matched on as the numbers that they are"
)]
pub enum Tag {
    NULL = 0,
    FRAME = 1,
    UNTYPED = 2,
    PAGE_TABLE = 3,
    ENDPOINT = 4,
    ASID_CONTROL = 5,
    NOTIFICATION = 6,
    ASID_POOL = 7,
    REPLY = 8,
    /// Of all those that only this architecture has ([`ArchCap`](super::ArchCap)).
    ARCH = 9,
    CNODE = 10,
    TCB = 12,
    IRQ_CONTROL = 14,
    IRQ_HANDLER = 16,
    ZOMBIE = 18,
    DOMAIN = 20,
    SCHED_CONTEXT = 22,
    SCHED_CONTROL = 24,
    ENDING = 26,
    ENDING_IRQ_HANDLER = 28,
}

/// Whether two capabilities of a kind are to the same object.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    /// They never are: it is no object.
    Never,
    /// By its address and its extent, which these bits of the kind's own hold. Words that somebody kept of an object whose
    /// memory has another one now, of another extent, are none to that one.
    Address { extent: u64 },
    /// By all of both words.
    Words,
}

/// Where what a capability names lies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// At an address in the kernel's window.
    Window,
    /// At a physical address.
    Physical,
    /// Not in memory that is retyped.
    Nowhere,
}

impl Tag {
    /// The number in the word.
    #[inline(always)]
    pub const fn number(self) -> u64 {
        self as u64
    }

    pub(super) const fn identity(self) -> Identity {
        match self {
            NULL | UNTYPED | ZOMBIE | ENDING | ENDING_IRQ_HANDLER => Identity::Never,
            ENDPOINT | NOTIFICATION | REPLY | TCB | ASID_POOL => Identity::Address { extent: 0 },
            CNODE | SCHED_CONTEXT => Identity::Address { extent: 63 },
            PAGE_TABLE => Identity::Address { extent: 7 },
            FRAME => Identity::Address { extent: 3 },
            ASID_CONTROL | ARCH | IRQ_CONTROL | IRQ_HANDLER | DOMAIN | SCHED_CONTROL => Identity::Words,
        }
    }

    /// True if nothing comes with the end of such a capability as long as there is another one to its object.
    #[inline(always)]
    pub const fn ends_alone(self) -> bool {
        match self {
            NULL | FRAME | CNODE | PAGE_TABLE | ZOMBIE | ENDING | ENDING_IRQ_HANDLER => false,
            UNTYPED | ENDPOINT | ASID_CONTROL | NOTIFICATION | ASID_POOL | REPLY | ARCH | TCB
            | IRQ_CONTROL | IRQ_HANDLER | DOMAIN | SCHED_CONTEXT | SCHED_CONTROL => true,
        }
    }

    /// What word 0 has for an address.
    pub(super) const fn place(self) -> Place {
        match self {
            ENDPOINT | NOTIFICATION | REPLY | CNODE | TCB | SCHED_CONTEXT | PAGE_TABLE | ASID_POOL
            | ZOMBIE | ENDING => Place::Window,
            FRAME | UNTYPED => Place::Physical,
            NULL | ASID_CONTROL | ARCH | IRQ_CONTROL | IRQ_HANDLER | DOMAIN | SCHED_CONTROL
            | ENDING_IRQ_HANDLER => Place::Nowhere,
        }
    }
}
