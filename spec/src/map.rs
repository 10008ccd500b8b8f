//! An ordered map for states: what [`std::collections::BTreeMap`] does, as a sorted list that copies share until one
//! of them changes. States are copied at every step and change in few places; so a copy costs next to nothing, and
//! what is shared need not be compared.

use std::{
    cell::{Ref, RefCell},
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    ops::{Bound, Index, RangeBounds},
    rc::Rc,
};

/// A map whose copies share what they hold.
pub struct Map<K, V>(Rc<Shared<K, V>>);

/// What copies share.
struct Shared<K, V> {
    /// Sorted by key.
    list: Vec<(K, V)>,
    /// Digests of the list, from when somebody wanted them.
    digests: RefCell<Vec<u128>>,
}

impl<K: Clone, V: Clone> Clone for Shared<K, V> {
    fn clone(&self) -> Self {
        Shared { list: self.list.clone(), digests: RefCell::default() }
    }
}

impl<K, V> Map<K, V> {
    fn list(&self) -> &[(K, V)] {
        &self.0.list
    }

    /// The entries in order.
    pub fn iter(&self) -> Iter<'_, K, V> {
        self.list().iter().map(|(key, value)| (key, value))
    }

    /// Digests of the map, which `make` is asked for if there are none since the last change.
    pub fn digests(&self, make: impl FnOnce() -> Vec<u128>) -> Ref<'_, Vec<u128>> {
        if self.0.digests.borrow().is_empty() {
            *self.0.digests.borrow_mut() = make();
        }
        self.0.digests.borrow()
    }

    /// Digests of the map, if there are any since the last change.
    pub fn known_digests(&self) -> Option<Ref<'_, Vec<u128>>> {
        let digests = self.0.digests.borrow();
        (!digests.is_empty()).then_some(digests)
    }
}

impl<K: Ord, V: PartialEq> Map<K, V> {
    /// The entries of two maps that the other does not have: `ours` gets those of this one, `theirs` those of
    /// `other`.
    pub fn differences(
        &self,
        other: &Map<K, V>,
        mut ours: impl FnMut((&K, &V)),
        mut theirs: impl FnMut((&K, &V)),
    ) {
        let (mut a, mut b) = (self.iter().peekable(), other.iter().peekable());
        loop {
            match (a.peek(), b.peek()) {
                (Some(x), Some(y)) => match x.0.cmp(y.0) {
                    Ordering::Less => ours(*x),
                    Ordering::Greater => {
                        theirs(*y);
                        b.next();
                        continue;
                    }
                    Ordering::Equal => {
                        if x.1 != y.1 {
                            ours(*x);
                            theirs(*y);
                        }
                        b.next();
                    }
                },
                (Some(x), None) => ours(*x),
                (None, Some(y)) => {
                    theirs(*y);
                    b.next();
                    continue;
                }
                (None, None) => break,
            }
            a.next();
        }
    }
}

impl<K: Ord + Clone, V: Clone> Map<K, V> {
    fn place(&self, key: &K) -> Result<usize, usize> {
        self.list().binary_search_by(|entry| entry.0.cmp(key))
    }

    fn own(&mut self) -> &mut Vec<(K, V)> {
        let shared = Rc::make_mut(&mut self.0);
        shared.digests.get_mut().clear();
        &mut shared.list
    }

    /// True if both are copies of one map that has not changed since: then they are equal.
    pub fn is_shared_with(&self, other: &Map<K, V>) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// Shares what `other` holds, if it holds the same.
    pub fn share(&mut self, other: &Map<K, V>)
    where
        V: PartialEq,
    {
        if self == other {
            self.0 = other.0.clone();
        }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.list().len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.list().is_empty()
    }

    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.place(key).ok().map(|at| &self.list()[at].1)
    }

    /// The value of a key, to change it.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let at = self.place(key).ok()?;
        Some(&mut self.own()[at].1)
    }

    /// The entry that `at` others go before.
    pub fn entry_at(&self, at: usize) -> (&K, &V) {
        let (key, value) = &self.list()[at];
        (key, value)
    }

    /// The value of that entry, to change it.
    pub fn at_mut(&mut self, at: usize) -> &mut V {
        &mut self.own()[at].1
    }

    /// True if there is such a key.
    pub fn contains_key(&self, key: &K) -> bool {
        self.place(key).is_ok()
    }

    /// Sets the value of a key; gives the one it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.place(&key) {
            Ok(at) => Some(std::mem::replace(&mut self.own()[at].1, value)),
            Err(at) => {
                self.own().insert(at, (key, value));
                None
            }
        }
    }

    /// Sets the value of a key, unless it has that value: then the map goes on sharing what it holds.
    pub fn set(&mut self, key: K, value: V)
    where
        V: PartialEq,
    {
        if self.get(&key) != Some(&value) {
            self.insert(key, value);
        }
    }

    /// Takes a key out; gives its value.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.place(key).ok()?;
        Some(self.own().remove(at).1)
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        *self = Map::default();
    }

    /// Keeps the entries that `keep` says yes to.
    pub fn retain(&mut self, keep: impl Fn(&K, &V) -> bool) {
        if !self.iter().all(|(key, value)| keep(key, value)) {
            self.own().retain(|(key, value)| keep(key, value));
        }
    }

    /// The place of a key, which may be empty.
    pub fn entry(&mut self, key: K) -> Entry<'_, K, V> {
        Entry { place: self.place(&key), map: self, key }
    }

    /// The keys in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + Clone {
        self.list().iter().map(|entry| &entry.0)
    }

    /// The values in the order of their keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + Clone {
        self.list().iter().map(|entry| &entry.1)
    }

    /// The values in the order of their keys, to change them.
    pub fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut V> {
        self.own().iter_mut().map(|entry| &mut entry.1)
    }

    /// The entries with keys in a range.
    pub fn range(&self, range: impl RangeBounds<K>) -> Iter<'_, K, V> {
        let from = match range.start_bound() {
            Bound::Included(key) => self.list().partition_point(|entry| entry.0 < *key),
            Bound::Excluded(key) => self.list().partition_point(|entry| entry.0 <= *key),
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(key) => self.list().partition_point(|entry| entry.0 <= *key),
            Bound::Excluded(key) => self.list().partition_point(|entry| entry.0 < *key),
            Bound::Unbounded => self.len(),
        };
        self.list()[from..to].iter().map(|(key, value)| (key, value))
    }

    /// The first entry.
    pub fn first_key_value(&self) -> Option<(&K, &V)> {
        self.iter().next()
    }

    /// The last entry.
    pub fn last_key_value(&self) -> Option<(&K, &V)> {
        self.iter().next_back()
    }
}

/// The entries of a map in order.
pub type Iter<'m, K, V> = std::iter::Map<std::slice::Iter<'m, (K, V)>, fn(&'m (K, V)) -> (&'m K, &'m V)>;

/// The entries of a map in order, to change their values.
pub type IterMut<'m, K, V> =
    std::iter::Map<std::slice::IterMut<'m, (K, V)>, fn(&'m mut (K, V)) -> (&'m K, &'m mut V)>;

/// The place of a key.
pub struct Entry<'m, K, V> {
    map: &'m mut Map<K, V>,
    key: K,
    place: Result<usize, usize>,
}

impl<'m, K: Ord + Clone, V: Clone> Entry<'m, K, V> {
    /// The value there, after this one has been put there if there was none.
    pub fn or_insert_with(self, value: impl FnOnce() -> V) -> &'m mut V {
        let list = self.map.own();
        let at = self.place.unwrap_or_else(|at| {
            list.insert(at, (self.key, value()));
            at
        });
        &mut list[at].1
    }

    /// The value there, after this one has been put there if there was none.
    pub fn or_insert(self, value: V) -> &'m mut V {
        self.or_insert_with(|| value)
    }

    /// The value there, after the default has been put there if there was none.
    pub fn or_default(self) -> &'m mut V
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Map(Rc::new(Shared { list: vec![], digests: RefCell::default() }))
    }
}

impl<K, V> Clone for Map<K, V> {
    fn clone(&self) -> Self {
        Map(self.0.clone())
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for Map<K, V> {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0) || self.list() == other.list()
    }
}

impl<K: Eq, V: Eq> Eq for Map<K, V> {}

impl<K: PartialOrd, V: PartialOrd> PartialOrd for Map<K, V> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.list().partial_cmp(other.list())
    }
}

impl<K: Ord, V: Ord> Ord for Map<K, V> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.list().cmp(other.list())
    }
}

impl<K: Hash, V: Hash> Hash for Map<K, V> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.list().hash(state);
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Map<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.list().iter().map(|(key, value)| (key, value))).finish()
    }
}

impl<K: Ord + Clone, V: Clone> Index<&K> for Map<K, V> {
    type Output = V;

    fn index(&self, key: &K) -> &V {
        self.get(key).expect("the key is in the map")
    }
}

impl<K: Ord + Clone, V: Clone> FromIterator<(K, V)> for Map<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Map::default();
        map.extend(entries);
        map
    }
}

impl<K: Ord + Clone, V: Clone> Extend<(K, V)> for Map<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            match self.last_key_value() {
                Some((last, _)) if *last >= key => drop(self.insert(key, value)),
                _ => self.own().push((key, value)),
            }
        }
    }
}

impl<K: Clone, V: Clone> IntoIterator for Map<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        Rc::unwrap_or_clone(self.0).list.into_iter()
    }
}

impl<'m, K, V> IntoIterator for &'m Map<K, V> {
    type Item = (&'m K, &'m V);
    type IntoIter = Iter<'m, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.list().iter().map(|(key, value)| (key, value))
    }
}

impl<'m, K: Ord + Clone, V: Clone> IntoIterator for &'m mut Map<K, V> {
    type Item = (&'m K, &'m mut V);
    type IntoIter = IterMut<'m, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.own().iter_mut().map(|(key, value)| (&*key, value))
    }
}

#[cfg(test)]
mod tests {
    use super::Map;

    #[test]
    fn copies_share_until_one_changes() {
        let mut a: Map<u8, u8> = [(3, 30), (1, 10), (2, 20), (1, 11)].into_iter().collect();
        let b = a.clone();
        assert!(a.is_shared_with(&b));
        *a.get_mut(&2).unwrap() += 1;
        assert!(!a.is_shared_with(&b) && a != b);
        assert_eq!((a[&2], b[&2]), (21, 20));
        assert_eq!(a.insert(2, 20), Some(21));
        assert!(!a.is_shared_with(&b) && a == b);
    }

    #[test]
    fn it_does_what_an_ordered_map_does() {
        let (mut map, mut right) = (Map::default(), std::collections::BTreeMap::new());
        let mut random = 1u64;
        for _ in 0..2000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (key, value) = (random >> 60, random >> 32 & 0xff);
            match random >> 40 & 7 {
                0..3 => assert_eq!(map.insert(key, value), right.insert(key, value)),
                3 | 4 => assert_eq!(map.remove(&key), right.remove(&key)),
                5 => assert_eq!(map.entry(key).or_insert(value), right.entry(key).or_insert(value)),
                6 => {
                    map.retain(|k, v| k ^ *v & 1 != 0);
                    right.retain(|k, v| k ^ *v & 1 != 0);
                }
                _ => right.values_mut().zip(map.values_mut()).for_each(|(a, b)| (*a, *b) = (*a + 1, *b + 1)),
            }
            assert_eq!(map.len(), right.len());
            assert!(map.iter().eq(&right) && map.keys().eq(right.keys()));
            assert!(map.range(key..=key + 4).eq(right.range(key..=key + 4)));
            assert!(map.range(..key).rev().eq(right.range(..key).rev()));
            assert_eq!(map.last_key_value(), right.last_key_value());
        }
    }
}
