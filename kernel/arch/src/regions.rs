//! Sets of physical memory.

use core::ops::{Deref, DerefMut};

use crate::PhysRegion;

/// A sorted list of disjoint, non-adjacent, non-empty regions, of at most `N`.
pub type Regions<const N: usize> = Set<[PhysRegion; N]>;

/// [`Regions`], of any length: what is done with them exists once.
#[derive(Clone, Copy)]
pub struct Set<L: ?Sized> {
    len: usize,
    list: L,
}

impl<const N: usize> Default for Regions<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Regions<N> {
    /// The empty set.
    pub const fn new() -> Self {
        Self { len: 0, list: [PhysRegion::new(0, 0); N] }
    }

    /// Shrinks every region to whole units of `1 << bits` bytes.
    pub fn align(&mut self, bits: u32) {
        let old = *self;
        self.len = 0;
        let mask = (1 << bits) - 1;
        for r in old.as_slice() {
            if let Some(start) = r.start.0.checked_add(mask) {
                self.add(PhysRegion::new(start & !mask, r.end.0 & !mask));
            }
        }
    }
}

impl<const N: usize> Deref for Regions<N> {
    type Target = Set<[PhysRegion]>;

    fn deref(&self) -> &Self::Target {
        self
    }
}

impl<const N: usize> DerefMut for Regions<N> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self
    }
}

impl Set<[PhysRegion]> {
    /// The regions, sorted and disjoint.
    pub fn as_slice(&self) -> &[PhysRegion] {
        &self.list[..self.len]
    }

    /// Bytes in the set.
    pub fn total(&self) -> u64 {
        self.as_slice().iter().map(PhysRegion::len).sum()
    }

    /// Takes out room for `bytes`, in whole pages, from as high up as there is any: what is left stays in large pieces. None
    /// if there is none.
    #[cfg_attr(not(target_os = "none"), allow(dead_code, reason = "only ports that boot use it"))]
    pub fn take_room(&mut self, bytes: u64) -> Option<PhysRegion> {
        let bytes = bytes.next_multiple_of(4096);
        let fits = self.as_slice().iter().rfind(|r| r.len() >= bytes)?;
        let taken = PhysRegion::new(fits.end.0 - bytes, fits.end.0);
        self.remove(taken);
        Some(taken)
    }

    /// Adds a region, merging it with those it overlaps or touches. When the list is full, the smallest region is
    /// given up and returned: the set has less than it should.
    pub fn add(&mut self, region: PhysRegion) -> Option<PhysRegion> {
        let new = self.merge(region)?;
        if self.len < self.list.len() {
            self.insert(new);
            return None;
        }
        let smallest = (0..self.len).min_by_key(|&i| self.list[i].len());
        let Some(smallest) = smallest.filter(|&i| self.list[i].len() < new.len()) else { return Some(new) };
        let lost = self.take(smallest);
        self.insert(new);
        Some(lost)
    }

    /// Adds a region to a set that may have too much rather than too little: when the list is full, the region is joined
    /// with the nearest. Returns the gap between them, which is in the set without having been added.
    pub fn cover(&mut self, region: PhysRegion) -> Option<PhysRegion> {
        let mut new = self.merge(region)?;
        let mut gap = None;
        if self.len == self.list.len() {
            let between =
                |r: &PhysRegion| PhysRegion { start: r.end.min(new.end), end: r.start.max(new.start) };
            let i = (0..self.len).min_by_key(|&i| between(&self.list[i]).len())?;
            gap = Some(between(&self.list[i]));
            let near = self.take(i);
            new = PhysRegion { start: new.start.min(near.start), end: new.end.max(near.end) };
        }
        self.insert(new);
        gap
    }

    /// Takes out what a region overlaps or touches. The union of all that; none if the region is empty.
    fn merge(&mut self, region: PhysRegion) -> Option<PhysRegion> {
        if region.is_empty() {
            return None;
        }
        let (mut new, mut kept) = (region, 0);
        for i in 0..self.len {
            let r = self.list[i];
            if r.end < new.start || r.start > new.end {
                self.list[kept] = r;
                kept += 1;
            } else {
                new = PhysRegion { start: r.start.min(new.start), end: r.end.max(new.end) };
            }
        }
        self.len = kept;
        Some(new)
    }

    /// Puts a region where it belongs; there is room, and it touches no other.
    fn insert(&mut self, region: PhysRegion) {
        let at = self.as_slice().iter().take_while(|r| r.start < region.start).count();
        self.list.copy_within(at..self.len, at + 1);
        self.list[at] = region;
        self.len += 1;
    }

    fn take(&mut self, i: usize) -> PhysRegion {
        let taken = self.list[i];
        self.list.copy_within(i + 1..self.len, i);
        self.len -= 1;
        taken
    }

    /// Takes a region out, of which any part may or may not be there. Where that makes two of one, and the list is full, the
    /// smallest region is given up and returned, as by [`add`](Self::add).
    pub fn remove(&mut self, region: PhysRegion) -> Option<PhysRegion> {
        let overlaps = |r: &PhysRegion| r.start.max(region.start) < r.end.min(region.end);
        let mut lost = None;
        while let Some(i) = self.as_slice().iter().position(overlaps) {
            let old = self.take(i);
            // Only one region can have something on both sides.
            lost = lost.or(self.add(PhysRegion { start: old.start, end: region.start }));
            lost = lost.or(self.add(PhysRegion { start: region.end, end: old.end }));
        }
        lost
    }

    /// True if all of `region` is in the set.
    pub fn contains(&self, region: PhysRegion) -> bool {
        self.as_slice().iter().any(|r| r.start <= region.start && region.end <= r.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(list: &[(u64, u64)]) -> Regions<8> {
        let mut s = Regions::new();
        list.iter().for_each(|&(a, b)| assert_eq!(s.add(PhysRegion::new(a, b)), None));
        s
    }
    fn list(s: &Regions<8>) -> Vec<(u64, u64)> {
        s.as_slice().iter().map(|r| (r.start.0, r.end.0)).collect()
    }

    #[test]
    fn added_regions_are_sorted_and_merged() {
        assert_eq!(list(&set(&[(50, 60), (10, 20), (30, 40)])), [(10, 20), (30, 40), (50, 60)]);
        assert_eq!(list(&set(&[(10, 20), (30, 40), (20, 30)])), [(10, 40)]);
        assert_eq!(list(&set(&[(10, 20), (15, 17), (5, 12)])), [(5, 20)]);
        assert_eq!(list(&set(&[(10, 10), (20, 15)])), []);
    }

    #[test]
    fn removing_splits_and_trims() {
        let mut s = set(&[(0, 100), (200, 300)]);
        s.remove(PhysRegion::new(40, 50));
        s.remove(PhysRegion::new(90, 210));
        s.remove(PhysRegion::new(70, 60));
        assert_eq!(list(&s), [(0, 40), (50, 90), (210, 300)]);
        assert_eq!(s.total(), 170);
        assert!(s.contains(PhysRegion::new(50, 90)) && !s.contains(PhysRegion::new(30, 51)));
    }

    #[test]
    fn alignment_shrinks_and_survives_the_end_of_the_world() {
        let mut s = set(&[(1, 0x2fff), (0x4001, 0x4fff), (u64::MAX - 10, u64::MAX)]);
        s.align(12);
        assert_eq!(list(&s), [(0x1000, 0x2000)]);
    }

    #[test]
    fn a_full_list_gives_up_the_smallest() {
        let region = PhysRegion::new;
        let mut s = Regions::<3>::new();
        let regions = [(0, 10), (20, 25), (40, 50), (60, 70), (80, 81)].map(|(a, b)| region(a, b));
        let lost = regions.map(|r| s.add(r));
        assert_eq!(lost, [None, None, None, Some(region(20, 25)), Some(region(80, 81))]);
        assert_eq!(s.as_slice(), [region(0, 10), region(40, 50), region(60, 70)]);
        assert_eq!(s.remove(region(47, 49)), Some(region(49, 50)));
        assert_eq!(s.as_slice(), [region(0, 10), region(40, 47), region(60, 70)]);
        assert_eq!(s.remove(region(5, 65)), None);
        assert_eq!(s.as_slice(), [region(0, 5), region(65, 70)]);
    }

    #[test]
    fn a_full_list_that_must_have_all_closes_the_smallest_gap() {
        let mut s = Regions::<3>::new();
        let all = [(50, 60), (0, 10), (100, 110), (25, 30), (112, 120), (58, 70)];
        for (i, (a, b)) in all.into_iter().enumerate() {
            let gap = s.cover(PhysRegion::new(a, b));
            assert_eq!(
                gap.map(|g| (g.start.0, g.end.0)),
                [(10, 25), (110, 112)].get(i.wrapping_sub(3)).copied()
            );
            assert!(all[..=i].iter().all(|&(a, b)| s.contains(PhysRegion::new(a, b))), "{:?}", s.as_slice());
        }
        assert_eq!(s.as_slice().len(), 3);
        assert_eq!(s.cover(PhysRegion::new(7, 7)), None);
        assert_eq!(s.as_slice().len(), 3);
    }
}
