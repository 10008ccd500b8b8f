//! The kinds of capabilities, by the tags that packed ones have.
//!
//! Whatever depends on the kind is a `match` without a rest: a kind that is added does not compile until all of them say
//! what becomes of it.

pub use Tag::*;

use super::{KIND, OWN_SHIFT, TAG_MASK, TAG_SHIFT};

/// Defines the tags, and the list of them.
macro_rules! tags {
    ($(#[$doc:meta])* pub enum Tag { $($(#[$tag_doc:meta])* $tag:ident = $number:literal,)* }) => {
        $(#[$doc])*
        pub enum Tag {
            $($(#[$tag_doc])* $tag = $number,)*
        }

        /// All of them.
        const ALL: &[Tag] = &[$($tag),*];
    };
}

tags! {
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
}

/// What two capabilities of a kind have in common if they are to the same object, besides tag and address: bits of the
/// kind's own in word 0, and perhaps word 1.
#[derive(Clone, Copy)]
pub(super) struct Identity(u16);

/// That of each tag. It is asked twice at every deletion, and the kernel has no jump tables.
static IDENTITIES: [Identity; 32] = {
    let mut all = [Identity::NEVER; 32];
    let mut n = 0;
    while n < ALL.len() {
        all[ALL[n] as usize] = ALL[n].work_out_identity();
        n += 1;
    }
    all
};

impl Identity {
    /// They never are to the same object: it is none.
    const NEVER: Identity = Identity(1 << (TAG_SHIFT + 1));
    /// All of both words is.
    pub(super) const WORDS: Identity = Identity(1 << TAG_SHIFT | ((1 << TAG_SHIFT) - 1));

    /// These bits of word 0 are, which hold the extent. Words that somebody kept of an object whose memory has another one
    /// now, of another extent, are none to that one.
    const fn extent(bits: u16) -> Identity {
        assert!(bits < 1 << TAG_SHIFT);
        Identity(bits)
    }

    /// Bits of word 0 that are the same.
    #[inline(always)]
    pub(super) const fn bits(self) -> u64 {
        // The flags above the kind's own lie where the tag does.
        TAG_MASK | !KIND | self.0 as u64
    }

    /// True if word 1 is the same.
    #[inline(always)]
    pub(super) const fn has_word_1(self) -> bool {
        self.0 & 1 << TAG_SHIFT != 0
    }

    /// True if there are no two to the same object.
    #[inline(always)]
    pub(super) const fn is_never(self) -> bool {
        self.0 & Self::NEVER.0 != 0
    }
}

const _: () = assert!(OWN_SHIFT == 0);

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

    #[inline(always)]
    pub(super) fn identity(self) -> Identity {
        IDENTITIES[self as usize % IDENTITIES.len()]
    }

    const fn work_out_identity(self) -> Identity {
        match self {
            NULL | UNTYPED | ZOMBIE | ENDING | ENDING_IRQ_HANDLER => Identity::NEVER,
            ENDPOINT | NOTIFICATION | REPLY | TCB | PAGE_TABLE => Identity::extent(0),
            CNODE | SCHED_CONTEXT => Identity::extent(63),
            FRAME => Identity::extent(3),
            // The identifiers of a pool are its extent, and in word 1.
            ASID_POOL | ASID_CONTROL | ARCH | IRQ_CONTROL | IRQ_HANDLER | DOMAIN | SCHED_CONTROL => {
                Identity::WORDS
            }
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
