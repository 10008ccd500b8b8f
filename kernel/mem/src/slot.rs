//! Capability slots: a capability of two words and its place in the derivation list.
//!
//! A slot with words in it is in the derivation list, and an empty one is not. Only `crate::derivation` and
//! `crate::retype` write both words and links; what others may change of a capability in place (rights,
//! guard, mapping) is a method that refuses the rest. `pecan_core` reads slots everywhere.

use core::cell::Cell;

use crate::{
    Kernel,
    cap::{Cap, Mapping, Words, mapping_word, tag},
    link::Link,
};

/// A capability slot: 32 bytes, as the ABI says.
///
/// The slots that hold capabilities form one doubly linked list, the derivation list: the derivation tree in
/// pre-order. `next` carries two flags in the bits that the alignment of slots leaves free.
#[repr(C)]
pub struct Slot {
    words: [Cell<u64>; 2],
    prev: Cell<u64>,
    next: Cell<u64>,
}

const _: () = assert!(size_of::<Slot>() == 32 && align_of::<Slot>() > FLAGS as usize);

/// The capability may have children: it was the first to its object, or the first with its badge.
const REVOCABLE: u64 = 1;
/// The capability's badge differs from the one it was derived from.
const FIRST_BADGED: u64 = 2;
/// Both flags, as they lie in the word with the next slot.
pub(crate) const FLAGS: u64 = REVOCABLE | FIRST_BADGED;

impl Slot {
    /// A slot without a capability.
    pub(crate) const fn empty() -> Self {
        Slot { words: [const { Cell::new(0) }; 2], prev: Cell::new(0), next: Cell::new(0) }
    }

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

    /// Writes the capability and leaves the slot's place in the derivation list alone.
    #[inline(always)]
    pub(crate) fn set_words(&self, words: Words) {
        self.words[0].set(words.w0);
        self.words[1].set(words.w1);
    }

    /// Replaces the capability by another one to the same object: with other rights, another badge, another guard. False,
    /// and nothing changed, if it is not such a one. Untyped memory and zombies are no objects (see
    /// [`Words::same_object`]).
    #[inline(always)]
    pub fn replace(&self, cap: Words) -> bool {
        let same = cap.may_join(self.words());
        if same {
            self.set_words(cap);
        }
        same
    }

    /// Makes the last capability to a CNode or a thread what remains of it: a zombie with all of its slots. Others stay
    /// as they are.
    pub fn become_zombie(&self, k: &Kernel) {
        self.set_words(self.words().zombie(k));
    }

    /// Makes the last capability to an endpoint, a notification or an interrupt handler, whose deletion has begun and cannot
    /// be done at one go, a [`Cap::Ending`]: nobody can use or copy that, only move it and delete it. Others stay as they
    /// are.
    pub fn become_ending(&self) {
        self.set_words(self.words().ending());
    }

    /// Notes how many slots of the zombie in the slot are not yet emptied. Others stay as they are.
    #[inline(always)]
    pub fn set_remaining(&self, remaining: u64) {
        if self.words().tag() == tag::ZOMBIE {
            self.words[1].set(remaining);
        }
    }

    /// Notes where the capability in the slot, one to a frame, is mapped. Others stay as they are.
    #[inline(always)]
    pub fn set_mapping(&self, mapping: Option<Mapping>) {
        if self.words().tag() == tag::FRAME {
            self.words[1].set(mapping_word(mapping));
        }
    }

    /// The slot before this one in the derivation list.
    #[inline(always)]
    pub fn prev(&self) -> Option<Link<Slot>> {
        unpack_link(self.raw_prev())
    }

    /// The slot after this one in the derivation list.
    #[inline(always)]
    pub fn next(&self) -> Option<Link<Slot>> {
        unpack_link(self.raw_next() & !FLAGS)
    }

    /// Sets the slot before this one.
    #[inline(always)]
    pub(crate) fn set_prev(&self, prev: Option<Link<Slot>>) {
        self.prev.set(prev.map_or(0, |l| l.addr() as u64));
    }

    /// Sets the slot after this one; the flags stay.
    #[inline(always)]
    pub(crate) fn set_next(&self, next: Option<Link<Slot>>) {
        self.next.set(next.map_or(0, |l| l.addr() as u64) | self.raw_next() & FLAGS);
    }

    /// The word with the slot before this one.
    #[inline(always)]
    pub(crate) fn raw_prev(&self) -> u64 {
        self.prev.get()
    }

    /// The word with the slot after this one, and the flags.
    #[inline(always)]
    pub(crate) fn raw_next(&self) -> u64 {
        self.next.get()
    }

    /// Sets both words.
    #[inline(always)]
    pub(crate) fn set_raw(&self, prev: u64, next: u64) {
        self.prev.set(prev);
        self.next.set(next);
    }

    /// The slot's own address, as [`Slot::set_raw`] takes it.
    #[inline(always)]
    pub(crate) fn address(&self) -> u64 {
        core::ptr::from_ref(self).addr() as u64
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

    /// The capability counts as the first with its badge from now on.
    #[inline(always)]
    pub(crate) fn set_first_badged(&self) {
        self.next.set(self.next.get() | FIRST_BADGED);
    }

    /// Empties the slot: no capability, no neighbours, no flags.
    #[inline(always)]
    pub(crate) fn clear(&self) {
        self.words[0].set(0);
        self.words[1].set(0);
        self.set_raw(0, 0);
    }
}

#[inline(always)]
fn unpack_link(addr: u64) -> Option<Link<Slot>> {
    // SAFETY: 1. not null is checked, alignment and 2. life: this crate alone writes these words, and stores links only.
    (addr != 0).then(|| unsafe { Link::from_addr(addr as usize) })
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
            let at = self.first.addr() + pecan_arch::mask_surely(index, !beyond) as usize * size_of::<Slot>();
            // SAFETY: as in `slot`.
            unsafe { Link::from_addr(at) }
        })
    }

    /// The `count` slots from `first` on; none if there are not so many.
    #[inline(always)]
    pub fn slots(self, _lock: &Kernel, first: u64, count: u64) -> &[Slot] {
        let all = 1u64 << self.radix;
        if first > all || count > all - first {
            return &[];
        }
        // Not from a reference to the first, which reaches no further than that.
        let first = core::ptr::with_exposed_provenance(self.slot(first).addr());
        // SAFETY: the slots of a CNode lie side by side, and so many there are (see `slot`). They live and are only borrowed
        // shared as long as the lock is (`Link::get`).
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
