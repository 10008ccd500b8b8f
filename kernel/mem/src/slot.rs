//! Capability slots: a capability of two words and its place in the derivation list.

use core::cell::Cell;

use crate::{
    Kernel,
    cap::{Cap, Mapping, Words, mapping_word},
    link::{ADDR_MASK, Link, canonical},
    retype::Batch,
};

/// A capability slot: 32 bytes, as the ABI says.
///
/// The slots that hold capabilities form one doubly linked list, the derivation list: the derivation tree in
/// pre-order. `prev` and `next` carry two flags in the bits that addresses leave free.
#[repr(C)]
pub struct Slot {
    words: [Cell<u64>; 2],
    prev: Cell<u64>,
    next: Cell<u64>,
}

const _: () = assert!(size_of::<Slot>() == 32);

/// The capability may have children: it was the first to its object, or the first with its badge.
const REVOCABLE: u64 = 1 << 63;
/// The capability's badge differs from the one it was derived from.
const FIRST_BADGED: u64 = 1 << 62;

impl Slot {
    /// A link to this slot.
    #[inline(always)]
    pub fn link(&self) -> Link<Slot> {
        // Slots cannot be made outside this crate, so `self` lives in kernel memory.
        Link::of(self)
    }

    /// True if the slot holds no capability.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.words[0].get() == 0
    }

    /// The capability in the slot.
    #[inline(always)]
    pub fn cap(&self) -> Cap {
        Cap::unpack(self.words())
    }

    /// The packed capability, for the fast paths.
    #[inline(always)]
    pub fn words(&self) -> Words {
        Words { w0: self.words[0].get(), w1: self.words[1].get() }
    }

    /// Replaces the capability and leaves the slot's place in the derivation list alone.
    ///
    /// Whoever calls this answers for the derivation list: only `pecan_core`'s `derivation` and `finalise` do.
    #[inline(always)]
    pub fn set_cap(&self, cap: Cap) {
        self.set_words(cap.pack());
    }

    /// The same for a packed capability.
    #[inline(always)]
    pub fn set_words(&self, words: Words) {
        self.words[0].set(words.w0);
        self.words[1].set(words.w1);
    }

    /// Sets where the capability in the slot, one to a frame or a paging structure, is mapped.
    #[inline(always)]
    pub fn set_mapping(&self, mapping: Option<Mapping>) {
        debug_assert!(matches!(self.cap(), Cap::Frame { .. } | Cap::PageTable { .. }));
        self.words[1].set(mapping_word(mapping));
    }

    /// The slot before this one in the derivation list.
    #[inline(always)]
    pub fn prev(&self) -> Option<Link<Slot>> {
        unpack_link(self.prev.get())
    }

    /// The slot after this one in the derivation list.
    #[inline(always)]
    pub fn next(&self) -> Option<Link<Slot>> {
        unpack_link(self.next.get())
    }

    /// Sets the slot before this one.
    #[inline(always)]
    pub fn set_prev(&self, prev: Option<Link<Slot>>) {
        self.prev.set(prev.map_or(0, |l| l.addr() as u64));
    }

    /// Sets the slot after this one; the flags stay.
    #[inline(always)]
    pub fn set_next(&self, next: Option<Link<Slot>>) {
        let flags = self.next.get() & (REVOCABLE | FIRST_BADGED);
        self.next.set(next.map_or(0, |l| l.addr() as u64 & ADDR_MASK) | flags);
    }

    /// The capability may have children.
    #[inline(always)]
    pub fn is_revocable(&self) -> bool {
        self.next.get() & REVOCABLE != 0
    }

    /// The capability was the first with its badge.
    #[inline(always)]
    pub fn is_first_badged(&self) -> bool {
        self.next.get() & FIRST_BADGED != 0
    }

    /// Sets both flags.
    #[inline(always)]
    pub fn set_flags(&self, revocable: bool, first_badged: bool) {
        let flags = if revocable { REVOCABLE } else { 0 } | if first_badged { FIRST_BADGED } else { 0 };
        self.next.set(self.next.get() & !(REVOCABLE | FIRST_BADGED) | flags);
    }

    /// Empties the slot: no capability, no neighbours, no flags.
    #[inline(always)]
    pub fn clear(&self) {
        self.words[0].set(0);
        self.words[1].set(0);
        self.prev.set(0);
        self.next.set(0);
    }
}

/// Puts the capabilities to a batch of objects into slots side by side, all of them empty and at least one, as they come
/// after `before` in its list: each with both flags, the first one's behind the others.
#[inline]
pub fn place_batch(k: &Kernel, slots: &[Slot], batch: &Batch, before: Link<Slot>) {
    const FLAGS: u64 = REVOCABLE | FIRST_BADGED;
    let Words { mut w0, w1 } = batch.words;
    let after = before.get(k).next();
    let mut next = after.map_or(0, |l| l.addr() as u64 & ADDR_MASK);
    for slot in slots {
        slot.words[0].set(w0);
        slot.words[1].set(w1);
        slot.next.set(next | FLAGS);
        let this = slot as *const Slot as u64;
        // The next one lies before it in the list.
        slot.prev.set(this + size_of::<Slot>() as u64);
        next = this & ADDR_MASK;
        w0 = w0.wrapping_add(batch.size);
    }
    if let [first, ..] = slots
        && let [.., last] = slots
    {
        last.set_prev(Some(before));
        before.get(k).set_next(Some(last.link()));
        if let Some(after) = after {
            after.get(k).set_prev(Some(first.link()));
        }
    }
}

#[inline(always)]
fn unpack_link(word: u64) -> Option<Link<Slot>> {
    let addr = canonical(word);
    // SAFETY: 1. not null is checked, alignment and 2. life: `set_prev` and `set_next` store links only.
    (word & ADDR_MASK != 0).then(|| unsafe { Link::from_addr(addr) })
}

/// A run of `2^radix` slots: the memory of a CNode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CNodeRef {
    pub(crate) first: Link<Slot>,
    pub(crate) radix: u8,
}

impl CNodeRef {
    /// Slots, log2.
    #[inline(always)]
    pub fn radix(self) -> u32 {
        self.radix as u32
    }

    /// Address of the first slot; the identity of the CNode.
    #[inline(always)]
    pub fn addr(self) -> usize {
        self.first.addr()
    }

    /// The slot at `index`, of which the low `radix` bits count.
    #[inline(always)]
    pub fn slot(self, index: u64) -> Link<Slot> {
        let index = (index & ((1u64 << self.radix) - 1)) as usize;
        // SAFETY: 1. and 2.: a CNodeRef is made by retype from memory of `2^radix` slots and lives in the
        // CNode's capabilities; the index is below `2^radix`.
        unsafe { Link::from_addr(self.first.addr() + index * size_of::<Slot>()) }
    }

    /// The slot at `index`, if there are so many. A processor that takes it for one before it knows stays within the CNode.
    #[inline(always)]
    pub fn slot_if(self, index: u64) -> Option<Link<Slot>> {
        let beyond = u64::MAX << (self.radix & 63);
        (index & beyond == 0).then(|| {
            let at = self.first.addr() + (index & !beyond) as usize * size_of::<Slot>();
            // SAFETY: as in `slot`.
            unsafe { Link::from_addr(at) }
        })
    }

    /// The `count` slots from `first` on; none if there are not so many.
    #[inline(always)]
    pub fn slots(self, k: &Kernel, first: u64, count: u64) -> &[Slot] {
        let all = 1u64 << self.radix;
        if first > all || count > all - first {
            return &[];
        }
        let first: *const Slot = self.slot(first).get(k);
        // SAFETY: the slots of a CNode lie side by side, so many there are, and their references live as long as
        // that to the first.
        unsafe { core::slice::from_raw_parts(first, count as usize) }
    }

    /// The slot whose index is in the top `radix` bits of `path`, and the path without them.
    #[inline(always)]
    pub fn take_slot(self, path: u64) -> (Link<Slot>, u64) {
        // A CNode has two slots at least, and fewer than 2^64.
        let radix = self.radix as u32;
        let index = path.wrapping_shr(radix.wrapping_neg()) as usize;
        // SAFETY: as in `slot`.
        let slot = unsafe { Link::from_addr(self.first.addr() + index * size_of::<Slot>()) };
        (slot, path.wrapping_shl(radix))
    }

    /// Follows the link to the slot at `index`.
    #[inline(always)]
    pub fn get(self, k: &Kernel, index: u64) -> &Slot {
        self.slot(index).get(k)
    }
}
