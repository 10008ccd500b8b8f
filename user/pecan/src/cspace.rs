//! Capability slots, and who hands them out.

use pecan_abi::boot::SlotRegion;

use crate::{Cap, Error, Result, types::CNode};

/// A slot of a CSpace: the root to start from, and an address of so many bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot {
    /// The CNode at which the resolution of the address starts.
    pub root: Cap<CNode>,
    /// The address.
    pub index: u64,
    /// How many bits of it count.
    pub depth: u8,
    /// How many of them, the last ones, are the number of the slot in its CNode: all where that is the root itself.
    node: u8,
}

impl Slot {
    /// A slot of the root itself.
    pub const fn new(root: Cap<CNode>, index: u64, depth: u8) -> Self {
        Self { root, index, depth, node: depth }
    }

    /// The slot at a 64-bit address whose CNode takes the last `node_bits` bits of it.
    pub const fn in_node(root: Cap<CNode>, index: u64, node_bits: u32) -> Self {
        Self { root, index, depth: 64, node: node_bits as u8 }
    }

    /// Where the slot's CNode is, from the root: an address and how many bits of it count; and the slot's number there.
    pub const fn place(self) -> (u64, u8, u64) {
        if self.node >= self.depth {
            return (0, 0, self.index);
        }
        (self.index >> self.node, self.depth - self.node, self.index & ((1 << self.node) - 1))
    }

    /// The capability in this slot, if the slot is in the program's own CSpace and its address has all 64 bits.
    ///
    /// # Safety
    /// As of [`Cap::new`].
    pub const unsafe fn cap<T>(self) -> Cap<T> {
        self.named()
    }

    /// [`Slot::cap`], for this library, which knows what it put there.
    pub(crate) const fn named<T>(self) -> Cap<T> {
        Cap::at(self.index)
    }

    /// The slot `n` further on.
    pub const fn offset(self, n: u64) -> Self {
        Self { index: self.index + n, ..self }
    }
}

/// Something that hands out free slots of the program's own CSpace.
pub trait Slots {
    /// The first of `count` free slots in a row, which are taken now.
    fn take(&mut self, count: u64) -> Result<Slot>;

    /// Gives back a slot that was taken and is empty again.
    fn give_back(&mut self, slot: Slot);

    /// The slot of a capability of this CSpace.
    fn slot_of(&self, cptr: u64) -> Slot;
}

const BITMAP_WORDS: usize = 256;

/// The free slots of a CSpace of one level, at most 16384 of them.
#[derive(Debug)]
pub struct CSpace {
    root: Cap<CNode>,
    /// Bits of an address that the CNode takes which has these slots.
    node_bits: u32,
    first: u64,
    count: u64,
    taken: [u64; BITMAP_WORDS],
    /// No slot before this one is free.
    hint: u64,
}

impl CSpace {
    /// A CSpace of which the slots in `empty` are free. Slots beyond what the bitmap holds are left alone.
    pub const fn new(root: Cap<CNode>, empty: SlotRegion) -> Self {
        let most = BITMAP_WORDS as u64 * 64;
        let count = if empty.len() < most { empty.len() } else { most };
        Self { root, node_bits: 64, first: empty.start, count, taken: [0; BITMAP_WORDS], hint: 0 }
    }

    /// The same for slots of one CNode of a CSpace of several levels, which takes the last `node_bits` bits of an address.
    pub const fn in_node(root: Cap<CNode>, empty: SlotRegion, node_bits: u32) -> Self {
        Self { node_bits, ..Self::new(root, empty) }
    }

    /// The root CNode.
    pub const fn root(&self) -> Cap<CNode> {
        self.root
    }

    /// The number of free slots.
    pub fn available(&self) -> u64 {
        self.count - self.taken.iter().map(|word| u64::from(word.count_ones())).sum::<u64>()
    }

    /// Takes `count` slots in a row as a range of their own, which can be given up as a whole.
    pub fn carve(&mut self, count: u64) -> Result<SlotRange> {
        let first = self.take(count)?;
        let region = SlotRegion { start: first.index, end: first.index + count };
        Ok(SlotRange::in_node(self.root, region, self.node_bits))
    }

    /// Gives back the slots of a range; they must be empty.
    pub fn give_back_range(&mut self, range: SlotRange) {
        for index in range.region.start..range.region.end {
            self.give_back(self.slot_of(index));
        }
    }

    fn is_taken(&self, n: u64) -> bool {
        self.taken[(n / 64) as usize] >> (n % 64) & 1 != 0
    }

    fn mark(&mut self, n: u64, taken: bool) {
        let word = &mut self.taken[(n / 64) as usize];
        *word = *word & !(1 << (n % 64)) | u64::from(taken) << (n % 64);
    }
}

impl Slots for CSpace {
    fn take(&mut self, count: u64) -> Result<Slot> {
        let mut start = self.hint;
        let mut n = start;
        while n < self.count && n - start < count {
            if self.is_taken(n) {
                start = n + 1;
            }
            n += 1;
        }
        if n - start < count || start + count > self.count {
            return Err(Error::NoSlots);
        }
        for n in start..start + count {
            self.mark(n, true);
        }
        if start == self.hint {
            self.hint = start + count;
        }
        Ok(self.slot_of(self.first + start))
    }

    fn give_back(&mut self, slot: Slot) {
        let Some(n) = slot.index.checked_sub(self.first).filter(|n| *n < self.count) else { return };
        debug_assert!(self.is_taken(n), "slot {} is given back twice", slot.index);
        self.mark(n, false);
        self.hint = self.hint.min(n);
    }

    fn slot_of(&self, cptr: u64) -> Slot {
        Slot::in_node(self.root, cptr, self.node_bits)
    }
}

/// A run of slots that are handed out in order and given up together.
#[derive(Debug)]
pub struct SlotRange {
    root: Cap<CNode>,
    node_bits: u32,
    region: SlotRegion,
    next: u64,
}

impl SlotRange {
    /// A range; all its slots are empty.
    pub const fn new(root: Cap<CNode>, region: SlotRegion) -> Self {
        Self::in_node(root, region, 64)
    }

    /// The same for slots of one CNode of a CSpace of several levels, which takes the last `node_bits` bits of an address.
    pub const fn in_node(root: Cap<CNode>, region: SlotRegion, node_bits: u32) -> Self {
        Self { root, node_bits, region, next: region.start }
    }

    /// The `count` slots from `first` on, all of them empty.
    pub(crate) const fn of(first: Slot, count: u64) -> Self {
        let region = SlotRegion { start: first.index, end: first.index + count };
        Self::in_node(first.root, region, first.node as u32)
    }

    /// All slots.
    pub const fn all(&self) -> SlotRegion {
        self.region
    }

    /// Takes all slots to be empty again, as after the revocation of what their capabilities were made from.
    pub const fn reset(&mut self) {
        self.next = self.region.start;
    }

    /// The slots that were handed out.
    pub const fn used(&self) -> SlotRegion {
        SlotRegion { start: self.region.start, end: self.next }
    }
}

impl Slots for SlotRange {
    fn take(&mut self, count: u64) -> Result<Slot> {
        if count > self.region.end - self.next {
            return Err(Error::NoSlots);
        }
        let slot = self.slot_of(self.next);
        self.next += count;
        Ok(slot)
    }

    /// Only the slot that was handed out last can be used again before the whole range is reset.
    fn give_back(&mut self, slot: Slot) {
        if slot.index + 1 == self.next && slot.index >= self.region.start {
            self.next = slot.index;
        }
    }

    fn slot_of(&self, cptr: u64) -> Slot {
        Slot::in_node(self.root, cptr, self.node_bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cspace(start: u64, end: u64) -> CSpace {
        CSpace::new(Cap::at(2), SlotRegion { start, end })
    }

    #[test]
    fn slots_are_handed_out_once_and_again_when_given_back() {
        let mut cspace = cspace(100, 104);
        let slots: [u64; 4] = core::array::from_fn(|_| cspace.take(1).unwrap().index);
        assert_eq!(slots, [100, 101, 102, 103]);
        assert_eq!(cspace.take(1), Err(Error::NoSlots));
        cspace.give_back(cspace.slot_of(102));
        assert_eq!(cspace.available(), 1);
        assert_eq!(cspace.take(1).unwrap().index, 102);
    }

    #[test]
    fn runs_go_around_what_is_taken() {
        let mut cspace = cspace(0, 200);
        let first = cspace.take(70).unwrap();
        let second = cspace.take(70).unwrap();
        assert_eq!((first.index, second.index), (0, 70));
        for n in 0..10 {
            cspace.give_back(first.offset(n));
        }
        assert_eq!(cspace.take(11).unwrap().index, 140);
        assert_eq!(cspace.take(10).unwrap().index, 0);
        assert_eq!(cspace.take(50), Err(Error::NoSlots));
        assert_eq!(cspace.take(49).unwrap().index, 151);
        assert_eq!(cspace.available(), 0);
    }

    #[test]
    fn slots_of_somebody_else_are_not_given_back() {
        let mut cspace = cspace(100, 101);
        cspace.give_back(cspace.slot_of(5));
        cspace.give_back(cspace.slot_of(101));
        assert_eq!(cspace.available(), 1);
    }

    #[test]
    fn a_slot_says_where_its_cnode_is() {
        let root = Cap::at(2);
        assert_eq!(root.slot(77).place(), (0, 0, 77));
        assert_eq!(root.slot_in(5, 7).place(), (0, 0, 7));
        let slot = Slot::in_node(root, 3 << 20 | 9, 20);
        assert_eq!((slot.place(), slot.offset(2).place()), ((3, 44, 9), (3, 44, 11)));
        let mut range = SlotRange::in_node(root, SlotRegion { start: 1 << 20, end: (1 << 20) + 4 }, 20);
        assert_eq!(range.take(2).unwrap().place(), (1, 44, 0));
        assert_eq!(range.take(2).unwrap().place(), (1, 44, 2));
    }

    #[test]
    fn a_range_is_reset_as_a_whole() {
        let mut cspace = cspace(10, 20);
        let mut range = cspace.carve(4).unwrap();
        assert_eq!(range.take(3).unwrap().index, 10);
        assert_eq!(range.take(2), Err(Error::NoSlots));
        assert_eq!(range.used().len(), 3);
        range.reset();
        assert_eq!(range.take(4).unwrap().index, 10);
        cspace.give_back_range(range);
        assert_eq!(cspace.available(), 10);
    }
}
