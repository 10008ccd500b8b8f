//! Random invocations, compared step by step with a model of the derivation tree that has nothing in common
//! with the kernel's list: nodes know their parents and children.

use std::collections::HashMap;

use pecan_abi::{CNodeCapData, CapRights, Error, Label, ObjectType};
use pecan_mem::{Cap, Link, Slot, Tcb};

use crate::{cap::derivation, testing::*};

/// Slots of the root CNode that the test plays with.
const PLACES: u64 = 24;

/// xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

#[derive(Debug)]
struct Node {
    cap: Cap,
    /// Copies become its children.
    fertile: bool,
    parent: Option<usize>,
    /// In the order of the kernel's list.
    children: Vec<usize>,
}

/// The derivation tree, by address of slots.
struct Model {
    nodes: HashMap<usize, Node>,
    root: usize,
}

/// What tells an object from others.
fn object(cap: Cap) -> Option<usize> {
    Some(match cap {
        Cap::Endpoint { ep, .. } => ep.addr(),
        Cap::Notification { ntfn, .. } => ntfn.addr(),
        Cap::Reply { reply, .. } => reply.addr(),
        Cap::CNode { cnode, .. } => cnode.addr(),
        Cap::Tcb { tcb } => tcb.addr(),
        Cap::SchedContext { sc, .. } => sc.addr(),
        Cap::Frame { base, .. } => pecan_arch::phys_to_virt(base),
        _ => return None,
    })
}

/// The capability without what changes by itself.
fn essence(cap: Cap) -> Cap {
    match cap {
        Cap::Untyped { base, bits, device, .. } => Cap::Untyped { base, bits, device, used: 0 },
        other => other,
    }
}

impl Model {
    fn new(w: &World) -> Model {
        let slot = w.slot(UNTYPED_2M).addr();
        let node = Node { cap: w.cap(UNTYPED_2M), fertile: true, parent: None, children: vec![] };
        Model { nodes: HashMap::from([(slot, node)]), root: slot }
    }

    fn siblings(&mut self, of: usize) -> &mut Vec<usize> {
        let parent = self.nodes[&of].parent.expect("the root is not played with");
        &mut self.nodes.get_mut(&parent).unwrap().children
    }

    fn add_child(&mut self, parent: usize, slot: usize, cap: Cap, fertile: bool) {
        self.nodes.get_mut(&parent).unwrap().children.insert(0, slot);
        let node = Node { cap, fertile, parent: Some(parent), children: vec![] };
        assert!(self.nodes.insert(slot, node).is_none());
    }

    fn copy(&mut self, src: usize, slot: usize, cap: Cap) {
        let from = &self.nodes[&src];
        let badge = |cap| match cap {
            Cap::Endpoint { badge, .. } | Cap::Notification { badge, .. } => badge,
            _ => 0,
        };
        let fertile = matches!(cap, Cap::Untyped { .. })
            || matches!(cap, Cap::Endpoint { .. } | Cap::Notification { .. })
                && badge(cap) != badge(from.cap);
        if from.fertile {
            return self.add_child(src, slot, cap, fertile);
        }
        let parent = from.parent;
        let siblings = self.siblings(src);
        let at = siblings.iter().position(|&s| s == src).unwrap();
        siblings.insert(at + 1, slot);
        self.nodes.insert(slot, Node { cap, fertile, parent, children: vec![] });
    }

    /// Renames slots, all at once.
    fn rename(&mut self, names: &[(usize, usize, Cap)]) {
        let new = |slot: usize| names.iter().find(|n| n.0 == slot).map_or(slot, |n| n.1);
        self.nodes = core::mem::take(&mut self.nodes)
            .into_iter()
            .map(|(slot, mut node)| {
                node.parent = node.parent.map(new);
                node.children.iter_mut().for_each(|c| *c = new(*c));
                if let Some(&(.., cap)) = names.iter().find(|n| n.0 == slot) {
                    node.cap = cap;
                }
                (new(slot), node)
            })
            .collect();
    }

    /// Deletes a capability, and with the last one to a CNode or a thread the contents of its slots.
    fn delete(&mut self, w: &World, slot: usize) {
        let mut todo = vec![slot];
        while let Some(slot) = todo.pop() {
            if !self.nodes.contains_key(&slot) {
                continue;
            }
            let siblings = self.siblings(slot);
            let at = siblings.iter().position(|&s| s == slot).unwrap();
            let node = self.nodes.remove(&slot).unwrap();
            let siblings = &mut self.nodes.get_mut(&node.parent.unwrap()).unwrap().children;
            siblings.splice(at..=at, node.children.iter().copied());
            for child in &node.children {
                self.nodes.get_mut(child).unwrap().parent = node.parent;
            }
            let this = object(node.cap);
            if this.is_some() && self.nodes.values().all(|n| object(n.cap) != this) {
                match node.cap {
                    Cap::CNode { cnode, .. } => {
                        todo.extend((0..1 << cnode.radix()).map(|i| cnode.slot(i).addr()));
                    }
                    Cap::Tcb { tcb } => todo.extend(tcb.get(&w.k).slots.iter().map(|s| s.link().addr())),
                    _ => {}
                }
            }
        }
    }

    fn revoke(&mut self, w: &World, slot: usize) {
        while let Some(&child) = self.nodes.get(&slot).and_then(|n| n.children.first()) {
            self.delete(w, child);
        }
    }

    /// The tree in pre-order.
    fn list(&self) -> Vec<usize> {
        let (mut list, mut todo) = (vec![], vec![self.root]);
        while let Some(slot) = todo.pop() {
            list.push(slot);
            todo.extend(self.nodes[&slot].children.iter().rev());
        }
        list
    }

    #[track_caller]
    fn compare(&self, w: &World, what: &str) {
        let list = self.list();
        let mut at = Some(w.slot(UNTYPED_2M));
        for (i, &slot) in list.iter().enumerate() {
            let actual = at.unwrap_or_else(|| panic!("{what}: {} capabilities are missing", list.len() - i));
            assert_eq!(actual.addr(), slot, "{what}: the slot at {i} of {}", list.len());
            let (cap, node) = (actual.get(&w.k).cap(), &self.nodes[&slot]);
            assert_eq!(essence(cap), essence(node.cap), "{what}: the capability at {i}");
            assert_eq!(
                derivation::has_children(&w.k, actual),
                !node.children.is_empty(),
                "{what}: children of {cap:?}"
            );
            at = actual.get(&w.k).next();
        }
        assert_eq!(at, None, "{what}: too many capabilities");
        if let Err(broken) = crate::invariants::check(&w.k, &[w.cap(CNODE), w.cap(TCB)]) {
            panic!("{what}: {broken}");
        }
    }
}

/// A slot as invocations name it: CNode, index, depth.
type Place = (u64, u64, u64);

fn place(w: &World, random: &mut Random) -> (Place, Link<Slot>) {
    let at = FREE + random.below(PLACES);
    if random.below(2) == 0
        && let Cap::CNode { cnode, guard_bits: 0, .. } = w.cap(at)
    {
        let index = random.below(1 << cnode.radix());
        return ((at, index, cnode.radix() as u64), cnode.slot(index));
    }
    ((CNODE, at, DEPTH), w.slot(at))
}

/// A place that holds something, mostly.
fn full_place(w: &World, random: &mut Random) -> (Place, Link<Slot>) {
    (0..20)
        .map(|_| place(w, random))
        .find(|(_, s)| !s.get(&w.k).is_empty())
        .unwrap_or_else(|| place(w, random))
}

/// One random invocation. `exact`: the model knows all there is to know.
fn step(w: &mut World, model: &mut Model, random: &mut Random, exact: bool) -> String {
    let ((dest_root, dest_index, dest_depth), dest) = place(w, random);
    let ((src_root, src_index, src_depth), src) = full_place(w, random);
    let cap = src.get(&w.k).cap();
    let rights = CapRights(15);
    let words = [dest_index, dest_depth, src_index, src_depth];
    let done = |w: &World| dest.get(&w.k).cap();
    match random.below(12) {
        0..=2 => {
            let types = [
                (ObjectType::CNode, 1),
                (ObjectType::CNode, 2),
                (ObjectType::CNode, 3),
                (ObjectType::Tcb, 0),
                (ObjectType::Endpoint, 0),
                (ObjectType::Notification, 0),
                (ObjectType::Reply, 0),
                (ObjectType::SchedContext, 8),
                (ObjectType::Page4K, 0),
                (ObjectType::Untyped, 13),
                (ObjectType::Untyped, 10),
            ];
            let (ty, size) = types[random.below(types.len() as u64) as usize];
            let untyped =
                if matches!(cap, Cap::Untyped { .. }) && src_root == CNODE { src_index } else { UNTYPED_2M };
            let (root, first) = match (dest_root, dest_index) {
                (CNODE, index) => (CNODE, index),
                other => other,
            };
            let words = [ty as u64, size, 0, 0, first, 1 + random.below(2)];
            let second = match w.cap(root) {
                Cap::CNode { cnode, .. } => cnode.slot(first + 1),
                _ => unreachable!(),
            };
            if w.call(untyped, Label::UntypedRetype, &words, &[root]).is_ok() {
                let parent = w.slot(untyped).addr();
                model.add_child(parent, dest.addr(), done(w), true);
                if words[5] == 2 {
                    model.add_child(parent, second.addr(), second.get(&w.k).cap(), true);
                }
            }
            format!("retype {ty:?}")
        }
        3 | 4 => {
            let words = [words[0], words[1], words[2], words[3], rights.0];
            let answer = w.call(dest_root, Label::CNodeCopy, &words, &[src_root]);
            match answer {
                Ok(_) => model.copy(src.addr(), dest.addr(), done(w)),
                Err((Error::RevokeFirst, _)) if exact => {
                    assert!(!model.nodes[&src.addr()].children.is_empty());
                }
                Err(_) => {}
            }
            format!("copy {cap:?}")
        }
        5 => {
            let data = match cap {
                Cap::CNode { .. } => CNodeCapData::new(0, random.below(2)).0,
                _ => 1 + random.below(3),
            };
            let words = [words[0], words[1], words[2], words[3], rights.0, data];
            if w.call(dest_root, Label::CNodeMint, &words, &[src_root]).is_ok() {
                model.copy(src.addr(), dest.addr(), done(w));
            }
            format!("mint {cap:?}")
        }
        6 | 7 => {
            if w.call(dest_root, Label::CNodeMove, &words, &[src_root]).is_ok() {
                model.rename(&[(src.addr(), dest.addr(), done(w))]);
            }
            format!("move {cap:?}")
        }
        8 => {
            // Swap the source and a pivot, or rotate the two to the destination.
            let ((pivot_root, pivot_index, pivot_depth), pivot) = full_place(w, random);
            let swap = random.below(2) == 0;
            let (root, index, depth, to) = if swap {
                (src_root, src_index, src_depth, src)
            } else {
                (dest_root, dest_index, dest_depth, dest)
            };
            let words = [index, depth, 0, pivot_index, pivot_depth, 0, src_index, src_depth];
            let answer = w.call(root, Label::CNodeRotate, &words, &[pivot_root, src_root]);
            if answer.is_ok() {
                let (to_cap, pivot_cap) = (to.get(&w.k).cap(), pivot.get(&w.k).cap());
                model.rename(&[(pivot.addr(), to.addr(), to_cap), (src.addr(), pivot.addr(), pivot_cap)]);
            }
            format!("rotate {cap:?}")
        }
        9 if matches!(cap, Cap::Frame { .. }) => {
            // User level writes to its memory.
            let Cap::Frame { base, .. } = cap else { unreachable!() };
            w.k.set_word(base.0 + 8 * random.below(512), !0);
            "write".into()
        }
        9 => {
            // Give a thread a CSpace.
            let tcb = (FREE..FREE + PLACES).find_map(|i| match w.cap(i) {
                Cap::Tcb { tcb } => Some(tcb),
                _ => None,
            });
            if let (Some(tcb), Cap::CNode { .. }) = (tcb, cap) {
                let slot = tcb.get(&w.k).slots[Tcb::SLOT_CSPACE].link();
                if slot.get(&w.k).is_empty() {
                    derivation::insert(&w.k, src.get(&w.k).words(), src, slot);
                    model.copy(src.addr(), slot.addr(), cap);
                }
            }
            "give".into()
        }
        10 => {
            assert_eq!(w.call(src_root, Label::CNodeDelete, &[src_index, src_depth], &[]), Ok(vec![]));
            assert!(src.get(&w.k).is_empty() || !exact);
            model.delete(w, src.addr());
            format!("delete {cap:?} in {src:?}")
        }
        _ => {
            if random.below(3) > 0 {
                return "nothing".into();
            }
            assert_eq!(w.call(src_root, Label::CNodeRevoke, &[src_index, src_depth], &[]), Ok(vec![]));
            if !cap.eq(&Cap::Null) {
                model.revoke(w, src.addr());
            }
            format!("revoke {cap:?}")
        }
    }
}

#[test]
fn random_invocations_do_what_the_model_does() {
    let mut most = 0;
    for seed in 1..=rounds(16) {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut w = World::new();
        let mut model = Model::new(&w);
        for i in 0..400 {
            let what = step(&mut w, &mut model, &mut random, true);
            model.compare(&w, &format!("seed {seed}, step {i}: {what}"));
            most = most.max(model.nodes.len());
            if i % 50 == 0 {
                w.check_unused_memory();
            }
        }
        // Nothing survives the memory that it is made of.
        assert_eq!(w.revoke(UNTYPED_2M), Ok(vec![]));
        model.revoke(&w, w.slot(UNTYPED_2M).addr());
        model.compare(&w, "at last");
        assert_eq!(model.nodes.len(), 1);
    }
    assert!(most > 40, "only {most} capabilities at a time");
}

#[test]
fn deletions_given_up_half_way_leave_a_sound_kernel() {
    let (mut given_up, mut zombies, rounds) = (0, 0, rounds(10));
    for seed in 1..=rounds {
        let mut random = Random(seed.wrapping_mul(0xa076_1d64_78bd_642f));
        let mut w = World::new();
        for i in 0..400 {
            let mut model = record(&w);
            let what = match random.below(4) {
                0 => {
                    // Begin to delete or revoke something, and never come back to it.
                    let ((root, index, depth), slot) = full_place(&w, &mut random);
                    let cap = slot.get(&w.k).cap();
                    let label = if random.below(4) > 0 { Label::CNodeDelete } else { Label::CNodeRevoke };
                    w.preempt_soon();
                    given_up += w.try_call(root, label, &[index, depth], &[]).is_err() as u64;
                    while pecan_arch::take_pending_irq().is_some() {}
                    format!("half of {label:?} {cap:?}")
                }
                _ => {
                    w.preempt_often = random.below(2) == 0;
                    step(&mut w, &mut model, &mut random, false)
                }
            };
            if let Err(broken) = crate::invariants::check(&w.k, &[w.cap(CNODE), w.cap(TCB)]) {
                panic!("seed {seed}, step {i}: {what}: {broken}");
            }
            let moved = what.starts_with("move") || what.starts_with("rotate");
            zombies += (moved && what.contains("Zombie")) as u64;
        }
        w.check_unused_memory();
        w.preempt_often = false;
        assert_eq!(w.revoke(UNTYPED_2M), Ok(vec![]));
        assert_eq!(w.descendants(UNTYPED_2M), 0);
        w.check();
    }
    assert!(given_up > 6 * rounds && zombies > rounds, "only {given_up} given up, {zombies} zombies moved");
}

#[test]
fn random_preemption_keeps_every_invariant() {
    let (mut preemptions, rounds) = (0, rounds(8));
    for seed in 1..=rounds {
        let mut random = Random(seed.wrapping_mul(0xda94_2042_e4dd_58b5));
        let mut w = World::new();
        for i in 0..300 {
            // The model serves to record what is there; deletions that were preempted leave it behind.
            let mut model = record(&w);
            w.preempt_often = true;
            let what = step(&mut w, &mut model, &mut random, false);
            if let Err(broken) = crate::invariants::check(&w.k, &[w.cap(CNODE), w.cap(TCB)]) {
                panic!("seed {seed}, step {i}: {what}: {broken}");
            }
        }
        assert_eq!(w.revoke(UNTYPED_2M), Ok(vec![]));
        assert_eq!(w.descendants(UNTYPED_2M), 0);
        w.check();
        preemptions += w.preemptions;
    }
    assert!(preemptions > 19 * rounds as usize, "only {preemptions} preemptions");
}

/// A model of what there is now, as far as a step needs one.
fn record(w: &World) -> Model {
    let mut model = Model::new(w);
    let root = model.root;
    for slot in crate::invariants::descendants(&w.k, w.slot(UNTYPED_2M)) {
        model.add_child(root, slot.addr(), slot.get(&w.k).cap(), true);
    }
    model
}
