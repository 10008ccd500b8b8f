//! What the derivation list asks of capabilities, answered on their packed form: it is asked at every deletion.

use super::{
    KIND, TAG_MASK, TAG_SHIFT, Words,
    tag::{self, Identity, Place},
};

impl Words {
    /// True for the capability to an endpoint or a notification.
    #[inline(always)]
    pub(crate) const fn is_badged(self) -> bool {
        // Their tags differ in one bit.
        const BOTH: u64 = tag::ENDPOINT.number() ^ tag::NOTIFICATION.number();
        self.w0 & (TAG_MASK & !(BOTH << TAG_SHIFT)) == (tag::ENDPOINT.number() & !BOTH) << TAG_SHIFT
    }

    /// [`Words::same_object`] where this is known to be a capability to an object of a kind that has one extent.
    #[inline(always)]
    pub(crate) fn same_in_memory(self, other: Words) -> bool {
        (self.w0 ^ other.w0) & (TAG_MASK | !KIND) == 0
    }

    /// True if both are capabilities to the same object. Untyped memory and what is left of objects are none: never
    /// true of them.
    #[inline(always)]
    pub fn same_object(self, other: Words) -> bool {
        self.same_by(self.tag().identity(), other)
    }

    /// True if this may stand in a slot beside the other one, which is in a slot, or for it: it is to the same object. Of a
    /// paging structure it says the same of its level and place, too, or it is one that somebody kept.
    #[inline(always)]
    pub(crate) fn may_join(self, other: Words) -> bool {
        let tag = self.tag();
        self.same_by(if tag == tag::PAGE_TABLE { Identity::WORDS } else { tag.identity() }, other)
    }

    #[inline(always)]
    fn same_by(self, identity: Identity, other: Words) -> bool {
        (self.w0 ^ other.w0) & identity.bits() == 0
            && !identity.is_never()
            && (!identity.has_word_1() || self.w1 == other.w1)
    }

    /// True if this is a capability to untyped memory and the other one's object (or what is left of it) lies
    /// in that memory.
    #[inline]
    pub fn covers(self, other: Words) -> bool {
        if self.tag() != tag::UNTYPED {
            return false;
        }
        let bits = self.own() & 63;
        let base = match other.tag().place() {
            Place::Window => pecan_arch::virt_to_phys(other.addr()).0,
            // It may be that the other one covers this.
            Place::Physical if other.tag() == tag::UNTYPED && other.own() & 63 > bits => return false,
            Place::Physical => other.base().0,
            Place::Nowhere => return false,
        };
        // Memory is carved at multiples of its size, so what begins inside also ends inside.
        (base ^ self.base().0) >> bits == 0
    }
}
