//! Digests of states, by which they are told apart, and symmetries: which states are the same but for the names of
//! objects that nothing distinguishes.
//!
//! The digest of a map is the sum of those of its entries, so that it does not depend on their order, and a map
//! keeps it. Names and slots are hashed as words of 128 bits, which nothing else is: so a hasher can rename them.

use std::{
    cell::RefCell,
    collections::HashMap,
    hash::{BuildHasherDefault, Hash, Hasher},
};

use pecan_abi::{Label, ipc::buffer};

use crate::{
    map::Map,
    model::{Call, Cap, Event, Fault, Name, Slot, State, Thread, register, thread_slot},
};

/// A digest of 128 bits.
pub type Digest = u128;

/// A map from digests.
pub type ByDigest<V> = HashMap<Digest, V, BuildHasherDefault<Identity>>;

/// The hasher of what is a hash already.
#[derive(Default)]
pub struct Identity(u64);

impl Hasher for Identity {
    fn write(&mut self, _: &[u8]) {}

    fn write_u128(&mut self, word: u128) {
        self.0 = word as u64 ^ (word >> 64) as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A way to exchange objects that nothing distinguishes: what becomes of what. What is not listed stays.
#[derive(Clone, Default)]
pub struct Renaming {
    names: Vec<(Name, Name)>,
    slots: Vec<(Slot, Slot)>,
    /// Capability addresses.
    addresses: Vec<(u64, u64)>,
    /// User addresses of IPC buffers.
    buffers: Vec<(u64, u64)>,
    /// Their memory: physical addresses, 1 KiB each.
    memory: Vec<(u64, u64)>,
}

fn renamed<T: Copy + PartialEq>(list: &[(T, T)], what: T) -> T {
    list.iter().find(|(from, _)| *from == what).map_or(what, |&(_, to)| to)
}

impl Renaming {
    fn slot(&self, slot: Slot) -> Slot {
        match self.slots.iter().find(|(from, _)| *from == slot) {
            Some(&(_, to)) => to,
            None => Slot { object: renamed(&self.names, slot.object), ..slot },
        }
    }

    /// True if nothing is exchanged.
    fn is_plain(&self) -> bool {
        self.names.is_empty() && self.slots.is_empty()
    }

    fn address(&self, address: u64) -> u64 {
        renamed(&self.addresses, address)
    }

    fn thread(&self, thread: &Thread) -> Thread {
        let mut t = thread.clone();
        for r in [register::CAP, register::REPLY, register::DEST] {
            t.registers[r] = self.address(t.registers[r]);
        }
        t.buffer = renamed(&self.buffers, t.buffer);
        if let Some(Fault::Cap { address, .. }) = &mut t.fault {
            *address = self.address(*address);
        }
        t
    }

    fn word(&self, at: u64, word: u64) -> (u64, u64) {
        let place = (at % 1024 / 8) as usize;
        let caps = buffer::CAPS_OR_BADGES..buffer::CAPS_OR_BADGES + 3;
        let is_address =
            caps.contains(&place) || (buffer::RECEIVE_CNODE..buffer::RECEIVE_CNODE + 2).contains(&place);
        let word = if is_address { self.address(word) } else { word };
        (renamed(&self.memory, at & !1023) | at & 1023, word)
    }

    /// The same event, of the system with the names exchanged.
    fn event(&self, event: &Event) -> Event {
        match event {
            Event::Syscall(call) => Event::Syscall(self.call(call)),
            &Event::Stopped { ref call, point, by } => Event::Stopped { call: self.call(call), point, by },
            _ => event.clone(),
        }
    }

    fn call(&self, call: &Call) -> Call {
        let mut words = call.words.clone();
        let indices: &[usize] = match Label::from_word(call.label) {
            Some(Label::CNodeCopy | Label::CNodeMint | Label::CNodeMove | Label::CNodeMutate) => &[0, 2],
            Some(Label::CNodeDelete | Label::CNodeRevoke | Label::CNodeCancelBadgedSends) => &[0],
            Some(Label::CNodeRotate) => &[0, 3, 6],
            _ => &[],
        };
        for &i in indices.iter().filter(|&&i| i < call.words.len()) {
            words[i] = self.address(words[i]);
        }
        Call {
            cap: self.address(call.cap),
            reply: self.address(call.reply),
            dest: self.address(call.dest),
            words,
            extra: call.extra.iter().map(|&c| self.address(c)).collect(),
            receive: call
                .receive
                .map(|[cnode, index, depth]| [self.address(cnode), self.address(index), depth]),
            ..call.clone()
        }
    }
}

/// Objects and slots that are exchanged together for others.
struct Part {
    names: Vec<Name>,
    slots: Vec<Slot>,
    buffers: Vec<(u64, u64)>,
}

impl Part {
    /// What the capabilities in some slots of a CSpace name, their scheduling contexts, and all slots that hold
    /// capabilities to them. Slots that are empty stand for themselves.
    fn of(s: &State, cspace: Name, indices: &[u64]) -> Part {
        let mut part = Part { names: vec![], slots: vec![], buffers: vec![] };
        for &index in indices {
            let slot = Slot { object: cspace, index };
            let Some(held) = s.caps.get(&slot) else {
                part.slots.push(slot);
                continue;
            };
            let object = object(held.cap);
            part.names.push(object);
            let Some(thread) = s.threads.get(&object) else { continue };
            part.names.extend(thread.sc);
            let slot = Slot { object, index: thread_slot::BUFFER };
            if let Some(Cap::Frame { frame, .. }) = s.caps.get(&slot).map(|held| held.cap) {
                part.buffers.push((thread.buffer, frame.0 + (thread.buffer & 0xc00)));
            }
        }
        for name in &part.names {
            let to = s.caps.iter().filter(|(_, held)| object(held.cap) == *name);
            part.slots.extend(to.map(|(slot, _)| *slot));
        }
        part
    }
}

fn object(cap: Cap) -> Name {
    match cap {
        Cap::Endpoint { ep: name, .. }
        | Cap::Notification { ntfn: name, .. }
        | Cap::Reply { reply: name, .. }
        | Cap::Thread { thread: name }
        | Cap::SchedContext { sc: name, .. } => name,
        _ => Name(u64::MAX),
    }
}

/// All ways to exchange objects of a system that nothing distinguishes; the first exchanges nothing.
pub struct Symmetry {
    ways: Vec<Renaming>,
    /// The digests of parts of states under each renaming, by those under the first.
    known: RefCell<Known>,
}

/// Digests of what was seen before, so many together.
#[derive(Default)]
struct Known {
    places: ByDigest<usize>,
    digests: Vec<Digest>,
}

impl Known {
    /// Digests that are kept: 64 MiB.
    const ROOM: usize = 4 << 20;
}

impl Symmetry {
    /// No object is like another.
    pub fn none() -> Symmetry {
        Symmetry { ways: vec![Renaming::default()], known: RefCell::default() }
    }

    /// The ways to exchange the members of each class of `alike` with one another. A member is a few slots of the
    /// CSpace, and everything that the capabilities there name.
    ///
    /// # Panics
    /// If the members are of different shapes, or some event has no counterpart: then they can be told apart.
    pub fn of(s: &State, cspace: Name, alike: &[Vec<Vec<u64>>], events: &[Event]) -> Symmetry {
        let mut all = vec![Renaming::default()];
        for class in alike {
            let parts: Vec<Part> = class.iter().map(|member| Part::of(s, cspace, member)).collect();
            let mut more = vec![];
            for earlier in &all {
                permutations(parts.len(), &mut |order| {
                    let mut r = earlier.clone();
                    for (from, to) in order.iter().enumerate().filter(|(from, to)| from != *to) {
                        let (from, to) = (&parts[from], &parts[*to]);
                        let shape = |p: &Part| (p.names.len(), p.slots.len(), p.buffers.len());
                        assert_eq!(shape(from), shape(to), "objects are not alike");
                        r.names.extend(from.names.iter().copied().zip(to.names.iter().copied()));
                        for (from, to) in from.slots.iter().copied().zip(to.slots.iter().copied()) {
                            r.slots.push((from, to));
                            assert_eq!(from.object == cspace, to.object == cspace, "objects are not alike");
                            r.addresses.extend((from.object == cspace).then_some((from.index, to.index)));
                        }
                        for (from, to) in from.buffers.iter().zip(&to.buffers) {
                            r.buffers.push((from.0, to.0));
                            r.memory.push((from.1, to.1));
                        }
                    }
                    more.push(r);
                });
            }
            all = more;
        }
        for renaming in &all {
            for event in events {
                let other = renaming.event(event);
                assert!(events.contains(&other), "objects are not alike: {event} without {other}");
            }
        }
        Symmetry { ways: all, known: RefCell::default() }
    }

    /// How many ways there are.
    pub fn ways(&self) -> usize {
        self.ways.len()
    }

    /// The digest of a state, which all states that differ from it only by exchanges share, and how many they are.
    /// It is found the sooner the more a state has in common with `before`, whose digest was asked for earlier. With a
    /// digest of what is `hidden` behind the state, which names objects as they are, it is that of this state alone.
    pub fn digest(&self, before: &State, state: &State, hidden: Digest) -> (Digest, usize) {
        let State {
            caps,
            threads,
            endpoints,
            notifications,
            replies,
            contexts,
            memory,
            tables,
            spaces,
            pools,
            interrupts,
            ready,
            waiting_for_budget,
            current,
            schedule,
        } = state;
        let mut sums = vec![0; self.ways()];
        let rest = (waiting_for_budget, current, schedule);
        self.part(&mut sums, false, |r| hash(r, 1, &rest));
        let b = before;
        self.add(&mut sums, &b.caps, caps, |r, entry| hash(r, 2, &entry));
        self.add(&mut sums, &b.threads, threads, |r, (name, thread)| match r.is_plain() {
            true => hash(r, 3, &(name, thread)),
            false => hash(r, 3, &(name, r.thread(thread))),
        });
        self.add(&mut sums, &b.endpoints, endpoints, |r, entry| hash(r, 4, &entry));
        self.add(&mut sums, &b.notifications, notifications, |r, entry| hash(r, 5, &entry));
        self.add(&mut sums, &b.replies, replies, |r, entry| hash(r, 6, &entry));
        self.add(&mut sums, &b.contexts, contexts, |r, entry| hash(r, 7, &entry));
        self.add(&mut sums, &b.memory, memory, |r, (&at, &word)| hash(r, 8, &r.word(at, word)));
        self.add(&mut sums, &b.tables, tables, |r, entry| hash(r, 9, &entry));
        self.add(&mut sums, &b.spaces, spaces, |r, entry| hash(r, 10, &entry));
        self.add(&mut sums, &b.pools, pools, |r, entry| hash(r, 11, &entry));
        self.add(&mut sums, &b.interrupts, interrupts, |r, entry| hash(r, 12, &entry));
        self.add(&mut sums, &b.ready, ready, |r, entry| hash(r, 13, &entry));
        if hidden != 0 {
            return (sums[0] ^ hidden, 1);
        }
        let least = sums.iter().copied().min().unwrap_or_default();
        (least, self.ways() / sums.iter().filter(|&&sum| sum == least).count().max(1))
    }

    /// Adds the digests of a map under each renaming, which it keeps. Only what `before` does not have is hashed.
    fn add<K: Ord, V: PartialEq>(
        &self,
        sums: &mut [Digest],
        before: &Map<K, V>,
        map: &Map<K, V>,
        entry: impl Fn(&Renaming, (&K, &V)) -> Digest,
    ) {
        let digests = map.digests(|| match before.known_digests() {
            Some(known) => {
                let sums = RefCell::new(known.clone());
                let change = |minus| {
                    let (sums, entry) = (&sums, &entry);
                    move |of: (&K, &V)| self.part(&mut sums.borrow_mut(), minus, |r| entry(r, of))
                };
                before.differences(map, change(true), change(false));
                sums.into_inner()
            }
            None => {
                let mut sums = vec![0; self.ways()];
                map.iter().for_each(|of| self.part(&mut sums, false, |r| entry(r, of)));
                sums
            }
        });
        sums.iter_mut().zip(&*digests).for_each(|(sum, more)| *sum = sum.wrapping_add(*more));
    }

    /// Adds the digests of a part of a state under each renaming, or takes them away.
    fn part(&self, sums: &mut [Digest], minus: bool, digest: impl Fn(&Renaming) -> Digest) {
        let add = |(sum, more): (&mut Digest, &Digest)| {
            *sum = if minus { sum.wrapping_sub(*more) } else { sum.wrapping_add(*more) };
        };
        let plain = digest(&self.ways[0]);
        if let [sum] = sums {
            return add((sum, &plain));
        }
        let known = &mut *self.known.borrow_mut();
        if known.digests.len() >= Known::ROOM {
            *known = Known::default();
        }
        let at = *known.places.entry(plain).or_insert_with(|| {
            known.digests.extend(self.ways.iter().map(&digest));
            known.digests.len() - self.ways.len()
        });
        sums.iter_mut().zip(&known.digests[at..]).for_each(add);
    }
}

/// Every order of the numbers below `n`; the first is the usual one.
fn permutations(n: usize, found: &mut impl FnMut(&[usize])) {
    fn extend(n: usize, order: &mut Vec<usize>, found: &mut impl FnMut(&[usize])) {
        if order.len() == n {
            return found(order);
        }
        for next in 0..n {
            if !order.contains(&next) {
                order.push(next);
                extend(n, order, found);
                order.pop();
            }
        }
    }
    extend(n, &mut vec![], found);
}

/// The digest of anything, with names as they are.
pub fn digest(what: &impl Hash) -> Digest {
    let mut digester = Digester::default();
    what.hash(&mut digester);
    digester.digest()
}

fn hash(renaming: &Renaming, kind: u64, what: &impl Hash) -> Digest {
    let mut digester = Digester { low: kind, high: !kind, renaming };
    what.hash(&mut digester);
    digester.digest()
}

/// Makes digests. It multiplies and folds: quick, and good enough to tell states apart by 128 bits.
pub struct Digester<'r> {
    low: u64,
    high: u64,
    renaming: &'r Renaming,
}

impl Digester<'_> {
    /// The digest of all that was hashed.
    pub fn digest(mut self) -> Digest {
        // Sums of digests want all bits to depend on all words.
        self.write_u64(0x94d0_49bb_1331_11eb);
        self.write_u64(0);
        (self.high as u128) << 64 | self.low as u128
    }
}

impl Default for Digester<'_> {
    fn default() -> Self {
        const PLAIN: &Renaming =
            &Renaming { names: vec![], slots: vec![], addresses: vec![], buffers: vec![], memory: vec![] };
        Digester { low: 1, high: 2, renaming: PLAIN }
    }
}

fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    product as u64 ^ (product >> 64) as u64
}

impl Hasher for Digester<'_> {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, word: u8) {
        self.write_u64(word as u64);
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(word as u64);
    }

    fn write_u64(&mut self, word: u64) {
        self.low = fold(self.low ^ word, 0x9e37_79b9_7f4a_7c15).wrapping_add(word);
        self.high = fold(self.high ^ word.rotate_left(32), 0xd6e8_feb8_6659_fd93).wrapping_sub(word);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_u128(&mut self, name: u128) {
        self.write_u64(renamed(&self.renaming.names, Name(name as u64)).0);
    }

    fn write_i128(&mut self, slot: i128) {
        let slot = self.renaming.slot(Slot { object: Name((slot >> 64) as u64), index: slot as u64 });
        self.write_u64(slot.object.0);
        self.write_u64(slot.index);
    }

    fn finish(&self) -> u64 {
        self.low ^ self.high
    }
}
