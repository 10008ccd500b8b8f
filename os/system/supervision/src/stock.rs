//! Untyped memory that is handed out in pieces and comes back.
//!
//! An untyped is cut in halves down to the size that is wanted. When both halves are free again, they are deleted and the
//! untyped is whole. So after everything has come back the stock is what it was, whatever the order, and pieces as large
//! as at the start can be had.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use pecan::{Cap, Error, Result, cspace::Slots, memory::Region, types::Untyped};

/// The smallest piece, log2 of its bytes.
const MIN_BITS: u32 = 12;

/// Cuts untypeds in halves and puts them together: the kernel, or a stand-in in tests.
pub trait Halver {
    /// Makes two untypeds of half the size out of one of `2^size_bits` bytes from which nothing is made.
    fn cut(&mut self, whole: Cap<Untyped>, size_bits: u32) -> Result<[Cap<Untyped>; 2]>;

    /// Deletes both halves, from which nothing is made, so that the whole can be used again.
    fn join(&mut self, whole: Cap<Untyped>, halves: [Cap<Untyped>; 2]) -> Result<()>;
}

/// The kernel's untypeds, with slots for the capabilities to halves.
pub struct Untypeds<'a>(pub &'a mut dyn Slots);

impl Halver for Untypeds<'_> {
    fn cut(&mut self, whole: Cap<Untyped>, size_bits: u32) -> Result<[Cap<Untyped>; 2]> {
        let slots = self.0.take(2)?;
        let made = whole.retype::<Untyped>(size_bits - 1, slots, 2);
        if made.is_err() {
            self.0.give_back(slots.offset(1));
            self.0.give_back(slots);
        }
        // SAFETY: two were made, one behind the other.
        made.map(|first| [first, unsafe { first.offset(1) }])
    }

    fn join(&mut self, whole: Cap<Untyped>, halves: [Cap<Untyped>; 2]) -> Result<()> {
        // SAFETY: nothing is made of the halves, and whoever asks for this has no names of them left.
        unsafe { self.0.slot_of(whole.cptr()).revoke() }?;
        let [lower, upper] = halves.map(|half| self.0.slot_of(half.cptr()));
        self.0.give_back(upper);
        self.0.give_back(lower);
        Ok(())
    }
}

/// An untyped that was handed out. It is given back once, because it is moved then.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece {
    node: usize,
    untyped: Cap<Untyped>,
    paddr: u64,
    size_bits: u32,
}

impl Piece {
    /// Where objects are made of it.
    pub const fn region(&self) -> Region {
        Region::new(self.untyped, self.paddr, self.size_bits, false)
    }

    /// The capability.
    pub const fn untyped(&self) -> Cap<Untyped> {
        self.untyped
    }

    /// Its bytes.
    pub const fn bytes(&self) -> u64 {
        1 << self.size_bits
    }

    /// Its physical address.
    pub const fn paddr(&self) -> u64 {
        self.paddr
    }
}

/// What is given back was not taken from this stock, or was given back before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotTaken;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Free,
    Taken,
    /// In two halves.
    Cut([usize; 2]),
    /// A place for a half of something that is whole now.
    Unused,
}

#[derive(Debug)]
struct Node {
    untyped: Cap<Untyped>,
    paddr: u64,
    size_bits: u32,
    parent: Option<usize>,
    state: State,
}

/// Untyped memory.
#[derive(Debug, Default)]
pub struct Stock {
    nodes: Vec<Node>,
    /// The free ones of each size.
    free: BTreeMap<u32, BTreeSet<usize>>,
    /// Places in `nodes` that are not used.
    unused: Vec<usize>,
}

impl Stock {
    /// A stock with nothing in it.
    pub const fn new() -> Self {
        Self { nodes: Vec::new(), free: BTreeMap::new(), unused: Vec::new() }
    }

    /// Adds an untyped from which nothing is made.
    pub fn add(&mut self, untyped: Cap<Untyped>, paddr: u64, size_bits: u32) {
        let node = self.node(Node { untyped, paddr, size_bits, parent: None, state: State::Free });
        self.set_free(node);
    }

    /// Bytes that are free.
    pub fn available(&self) -> u64 {
        self.free.iter().map(|(size_bits, nodes)| (nodes.len() as u64) << size_bits).sum()
    }

    /// How many untypeds the free memory consists of. Where everything has come back, as many as were added.
    pub fn fragments(&self) -> usize {
        self.free.values().map(BTreeSet::len).sum()
    }

    /// Takes one untyped of `2^size_bits` bytes: out of the smallest that is large enough.
    pub fn take(&mut self, size_bits: u32, halver: &mut dyn Halver) -> Result<Piece> {
        let none = Error::NoMemory { size_bits };
        let (_, nodes) = self.free.range(size_bits..).find(|(_, nodes)| !nodes.is_empty()).ok_or(none)?;
        let mut node = *nodes.first().ok_or(none)?;
        while self.nodes[node].size_bits > size_bits {
            [node, _] = self.cut(node, halver)?;
        }
        Ok(self.hand_out(node))
    }

    /// Takes the untyped of `2^size_bits` bytes at an address, a multiple of its size.
    pub fn take_at(&mut self, paddr: u64, size_bits: u32, halver: &mut dyn Halver) -> Result<Piece> {
        let holds = |node: &Node| {
            node.size_bits >= size_bits && (paddr.wrapping_sub(node.paddr) >> node.size_bits) == 0
        };
        let mut free = self.free.values().flatten().copied();
        let mut node = free.find(|n| holds(&self.nodes[*n])).ok_or(Error::NoMemory { size_bits })?;
        while self.nodes[node].size_bits > size_bits {
            let [lower, upper] = self.cut(node, halver)?;
            node = if paddr < self.nodes[upper].paddr { lower } else { upper };
        }
        Ok(self.hand_out(node))
    }

    /// Cuts a free untyped in halves, which are free then.
    fn cut(&mut self, node: usize, halver: &mut dyn Halver) -> Result<[usize; 2]> {
        let Node { untyped, mut paddr, size_bits: whole, .. } = self.nodes[node];
        let halves = halver.cut(untyped, whole)?;
        self.unset_free(node);
        let halves = halves.map(|untyped| {
            let half = Node { untyped, paddr, size_bits: whole - 1, parent: Some(node), state: State::Free };
            paddr += 1 << (whole - 1);
            let half = self.node(half);
            self.set_free(half);
            half
        });
        self.nodes[node].state = State::Cut(halves);
        Ok(halves)
    }

    fn hand_out(&mut self, node: usize) -> Piece {
        self.unset_free(node);
        let taken = &mut self.nodes[node];
        taken.state = State::Taken;
        Piece { node, untyped: taken.untyped, paddr: taken.paddr, size_bits: taken.size_bits }
    }

    /// Takes `bytes` in as few pieces as there are for it, the largest first. `bytes` is rounded up to whole pages.
    pub fn take_bytes(&mut self, bytes: u64, halver: &mut dyn Halver) -> Result<Vec<Piece>> {
        self.take_bytes_in(bytes, u64::BITS, halver)
    }

    /// The same in pieces of at most `2^most_bits` bytes.
    pub fn take_bytes_in(
        &mut self,
        bytes: u64,
        most_bits: u32,
        halver: &mut dyn Halver,
    ) -> Result<Vec<Piece>> {
        let mut rest = bytes.div_ceil(1 << MIN_BITS) << MIN_BITS;
        let mut pieces = Vec::new();
        let mut largest = rest.checked_ilog2().ok_or(Error::NoMemory { size_bits: 0 })?.min(most_bits);
        while rest > 0 {
            largest = largest.min(rest.ilog2());
            match self.take(largest, halver) {
                Ok(piece) => {
                    rest -= piece.bytes();
                    pieces.push(piece);
                }
                Err(Error::NoMemory { .. }) if largest > MIN_BITS => largest -= 1,
                Err(error) => {
                    for piece in pieces {
                        // It was taken just now.
                        let _ = self.give_back(piece, halver);
                    }
                    return Err(match error {
                        Error::NoMemory { .. } => Error::NoMemory { size_bits: bytes.ilog2() },
                        other => other,
                    });
                }
            }
        }
        Ok(pieces)
    }

    /// Takes a piece back, from which nothing is made any more. Halves that are both free become whole.
    pub fn give_back(&mut self, piece: Piece, halver: &mut dyn Halver) -> core::result::Result<(), NotTaken> {
        let taken =
            self.nodes.get(piece.node).filter(|n| n.state == State::Taken && n.untyped == piece.untyped);
        taken.ok_or(NotTaken)?;
        self.set_free(piece.node);
        let mut node = piece.node;
        while let Some(parent) = self.nodes[node].parent {
            let State::Cut(halves) = self.nodes[parent].state else { break };
            if halves.iter().any(|half| self.nodes[*half].state != State::Free) {
                break;
            }
            let untypeds = halves.map(|half| self.nodes[half].untyped);
            if halver.join(self.nodes[parent].untyped, untypeds).is_err() {
                // The halves can be used as they are.
                break;
            }
            for half in halves {
                self.unset_free(half);
                self.nodes[half].state = State::Unused;
                self.unused.push(half);
            }
            self.set_free(parent);
            node = parent;
        }
        Ok(())
    }

    fn node(&mut self, node: Node) -> usize {
        if let Some(place) = self.unused.pop() {
            self.nodes[place] = node;
            return place;
        }
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn set_free(&mut self, node: usize) {
        self.nodes[node].state = State::Free;
        self.free.entry(self.nodes[node].size_bits).or_default().insert(node);
    }

    fn unset_free(&mut self, node: usize) {
        if let Some(nodes) = self.free.get_mut(&self.nodes[node].size_bits) {
            nodes.remove(&node);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name, for a stand-in of the kernel.
    fn cap(number: u64) -> Cap<Untyped> {
        // SAFETY: nothing is asked of the kernel with it.
        unsafe { Cap::new(number) }
    }

    /// Numbers halves, and knows which of them exist.
    #[derive(Default)]
    struct Numbers {
        next: u64,
        alive: BTreeSet<u64>,
        most: Option<usize>,
    }

    impl Halver for Numbers {
        fn cut(&mut self, _: Cap<Untyped>, _: u32) -> Result<[Cap<Untyped>; 2]> {
            if self.most.is_some_and(|most| self.alive.len() + 2 > most) {
                return Err(Error::NoSlots);
            }
            Ok([(); 2].map(|()| {
                self.next += 1;
                self.alive.insert(1000 + self.next);
                cap(1000 + self.next)
            }))
        }

        fn join(&mut self, _: Cap<Untyped>, halves: [Cap<Untyped>; 2]) -> Result<()> {
            assert!(
                halves.iter().all(|half| self.alive.remove(&half.cptr())),
                "only halves that exist are joined"
            );
            Ok(())
        }
    }

    fn stock() -> Stock {
        let mut stock = Stock::new();
        stock.add(cap(1), 0x10_0000, 20);
        stock.add(cap(2), 0x4_0000, 18);
        stock
    }

    #[test]
    fn the_smallest_that_is_large_enough_is_cut() {
        let (mut stock, mut halver) = (stock(), Numbers::default());
        let piece = stock.take(16, &mut halver).unwrap();
        assert_eq!((piece.region().paddr, piece.bytes()), (0x4_0000, 0x1_0000));
        let other = stock.take(16, &mut halver).unwrap();
        assert_eq!(other.region().paddr, 0x5_0000);
        assert_eq!(stock.available(), (1 << 20) + (1 << 18) - (2 << 16));
        assert_eq!(stock.take(21, &mut halver), Err(Error::NoMemory { size_bits: 21 }));
    }

    #[test]
    fn everything_is_whole_again_in_whatever_order_it_comes_back() {
        let (mut stock, mut halver) = (stock(), Numbers::default());
        let mut seed = 1u64;
        let mut random = || {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            seed >> 33
        };
        for _ in 0..200 {
            let mut pieces = Vec::new();
            for _ in 0..random() % 40 {
                match stock.take(12 + (random() % 8) as u32, &mut halver) {
                    Ok(piece) => pieces.push(piece),
                    Err(error) => assert!(matches!(error, Error::NoMemory { .. })),
                }
                if random() % 3 == 0 && !pieces.is_empty() {
                    let piece = pieces.swap_remove(random() as usize % pieces.len());
                    stock.give_back(piece, &mut halver).unwrap();
                }
            }
            let mut extents: Vec<_> = pieces.iter().map(|p| (p.paddr, p.paddr + p.bytes())).collect();
            extents.sort();
            assert!(extents.windows(2).all(|w| w[0].1 <= w[1].0), "no memory is handed out twice");
            while !pieces.is_empty() {
                let piece = pieces.swap_remove(random() as usize % pieces.len());
                stock.give_back(piece, &mut halver).unwrap();
            }
            assert_eq!((stock.fragments(), stock.available()), (2, (1 << 20) + (1 << 18)));
            assert!(halver.alive.is_empty(), "no capability to a half is left");
        }
        assert!(stock.nodes.len() < 200, "places for halves are used again");
    }

    #[test]
    fn any_number_of_bytes_is_had_in_the_largest_pieces_there_are() {
        let (mut stock, mut halver) = (stock(), Numbers::default());
        let pieces = stock.take_bytes((1 << 20) + (1 << 17) + 1, &mut halver).unwrap();
        assert_eq!(pieces.iter().map(Piece::bytes).collect::<Vec<_>>(), [1 << 20, 1 << 17, 1 << 12]);
        for piece in pieces {
            stock.give_back(piece, &mut halver).unwrap();
        }
        // Larger than the largest: in several.
        let all = stock.take_bytes((1 << 20) + (1 << 18), &mut halver).unwrap();
        assert_eq!((all.len(), stock.available()), (2, 0));
        for piece in all {
            stock.give_back(piece, &mut halver).unwrap();
        }
        // In pieces of a size, where that is said.
        let halves = stock.take_bytes_in((1 << 19) + (1 << 12), 18, &mut halver).unwrap();
        assert_eq!(halves.iter().map(Piece::bytes).collect::<Vec<_>>(), [1 << 18, 1 << 18, 1 << 12]);
        for piece in halves {
            stock.give_back(piece, &mut halver).unwrap();
        }
        // What cannot be had as a whole changes nothing.
        assert_eq!(stock.take_bytes(2 << 20, &mut halver), Err(Error::NoMemory { size_bits: 21 }));
        assert_eq!((stock.fragments(), halver.alive.len()), (2, 0));
    }

    #[test]
    fn memory_is_had_at_an_address() {
        let (mut stock, mut halver) = (stock(), Numbers::default());
        let page = stock.take_at(0x12_3000, 12, &mut halver).unwrap();
        assert_eq!((page.paddr(), page.bytes()), (0x12_3000, 0x1000));
        // What is beside it can be had, what holds it cannot.
        let beside = stock.take_at(0x12_2000, 12, &mut halver).unwrap();
        assert_eq!(beside.paddr(), 0x12_2000);
        for (paddr, size_bits) in
            [(0x12_3000, 12), (0x12_0000, 16), (0x10_0000, 20), (0x20_0000, 12), (0, 12)]
        {
            assert_eq!(stock.take_at(paddr, size_bits, &mut halver), Err(Error::NoMemory { size_bits }));
        }
        stock.give_back(page, &mut halver).unwrap();
        stock.give_back(beside, &mut halver).unwrap();
        assert_eq!((stock.fragments(), halver.alive.len()), (2, 0));
        assert_eq!(stock.take_at(0x10_0000, 20, &mut halver).unwrap().bytes(), 1 << 20);
    }

    #[test]
    fn what_was_not_taken_is_not_given_back() {
        let (mut stock, mut halver) = (stock(), Numbers::default());
        let piece = stock.take(16, &mut halver).unwrap();
        let again = Piece { ..piece_of(&piece) };
        stock.give_back(piece, &mut halver).unwrap();
        let before = stock.available();
        assert_eq!(stock.give_back(again, &mut halver), Err(NotTaken));
        let nowhere = Piece { node: 999, untyped: cap(1), paddr: 0, size_bits: 12 };
        assert_eq!(stock.give_back(nowhere, &mut halver), Err(NotTaken));
        assert_eq!(stock.available(), before);
    }

    fn piece_of(piece: &Piece) -> Piece {
        Piece { node: piece.node, untyped: piece.untyped, paddr: piece.paddr, size_bits: piece.size_bits }
    }

    #[test]
    fn without_slots_for_halves_nothing_is_lost() {
        let (mut stock, mut halver) = (stock(), Numbers { most: Some(3), ..Numbers::default() });
        assert_eq!(stock.take(16, &mut halver), Err(Error::NoSlots));
        assert_eq!(stock.available(), (1 << 20) + (1 << 18));
        // The half that was made is used.
        let piece = stock.take(17, &mut halver).unwrap();
        stock.give_back(piece, &mut halver).unwrap();
        assert_eq!((stock.fragments(), halver.alive.len()), (2, 0));
    }
}
