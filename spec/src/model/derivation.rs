//! The capability derivation tree (manual 3.1.5).

use pecan_abi::{CapRights, Error};

use super::{Cap, Failure, Held, Rights, Slot, State, Step, delete::object};

/// The slots of the capabilities derived directly from the one in `slot`.
pub fn children(s: &State, slot: Slot) -> impl Iterator<Item = Slot> {
    s.caps.iter().filter(move |(_, held)| held.parent == Some(slot)).map(|(&child, _)| child)
}

impl Step {
    pub(super) fn has_children(&self, slot: Slot) -> bool {
        children(&self.s, slot).next().is_some()
    }

    /// Manual 3.1.3: a new object's capability is a child of the untyped memory.
    pub(super) fn insert_new(&mut self, parent: Slot, dest: Slot, cap: Cap) {
        self.s.caps.insert(dest, Held { cap, original: true, parent: Some(parent) });
    }

    /// Manual 3.1.5: a copy of an original capability is its child, that of another its sibling. A new badge
    /// makes an original; so does copying untyped memory, whose source is then used up.
    pub(super) fn insert_copy(&mut self, src: Slot, dest: Slot, cap: Cap) {
        let from = self.s.caps[&src];
        let issued = matches!(from.cap, Cap::IrqControl | Cap::IoPortControl);
        let original = badge(cap) != badge(from.cap) || issued || matches!(cap, Cap::Untyped { .. });
        let parent = if from.original { Some(src) } else { from.parent };
        self.s.caps.insert(dest, Held { cap, original, parent });
        if let Cap::Untyped { bits, used, .. } = &mut self.held(src).cap {
            *used = 1 << *bits;
        }
    }

    /// Takes a capability out of the tree; what was derived from it now descends from its parent.
    pub(super) fn take_out(&mut self, slot: Slot) -> Option<Held> {
        let held = self.s.caps.remove(&slot)?;
        self.adopt(slot, held.parent);
        Some(held)
    }

    /// Moves capabilities, all at once; each becomes `cap` in its new place.
    pub(super) fn rename(&mut self, moves: &[(Slot, Slot, Cap)]) {
        let new = |slot: Slot| moves.iter().find(|m| m.0 == slot).map_or(slot, |m| m.1);
        let caps = std::mem::take(&mut self.s.caps);
        self.s.caps = caps
            .into_iter()
            .map(|(slot, held)| {
                let cap = moves.iter().find(|m| m.0 == slot).map_or(held.cap, |m| m.2);
                (new(slot), Held { cap, parent: held.parent.map(new), ..held })
            })
            .collect();
    }

    fn adopt(&mut self, old: Slot, parent: Option<Slot>) {
        self.s.caps.values_mut().filter(|h| h.parent == Some(old)).for_each(|h| h.parent = parent);
    }

    pub(super) fn held(&mut self, slot: Slot) -> &mut Held {
        self.s.caps.get_mut(&slot).expect("there is a capability")
    }

    /// What a copy of a capability is: nothing is lost but where a frame is mapped. Not everything can be
    /// copied.
    pub(super) fn derive(&self, slot: Slot, cap: Cap) -> Result<Option<Cap>, Failure> {
        Ok(match cap {
            Cap::Untyped { .. } if self.has_children(slot) => {
                return Err(Failure(Error::RevokeFirst, vec![]));
            }
            Cap::Frame { frame, level, device, read, write, .. } => {
                Some(Cap::Frame { frame, level, device, read, write, mapped: None })
            }
            Cap::Table { mapped: None, .. } => return Err(super::illegal()),
            Cap::IrqControl
            | Cap::IoPortControl
            | Cap::Zombie { .. }
            | Cap::Ending { .. }
            | Cap::EndingHandler { .. } => None,
            other => Some(other),
        })
    }
}

/// True of two capabilities to one object.
pub(super) fn same_object(a: Cap, b: Cap) -> bool {
    match (a, b) {
        (Cap::Frame { frame: f, level: l, .. }, Cap::Frame { frame, level, .. }) => (f, l) == (frame, level),
        _ if object(a).is_some() => object(a) == object(b),
        _ => {
            let never = matches!(
                a,
                Cap::Untyped { .. } | Cap::Zombie { .. } | Cap::Ending { .. } | Cap::EndingHandler { .. }
            );
            a == b && !never
        }
    }
}

fn badge(cap: Cap) -> u64 {
    match cap {
        Cap::Endpoint { badge, .. } | Cap::Notification { badge, .. } => badge,
        _ => 0,
    }
}

/// Manual 3.1.4: the capability with no more than these rights.
pub(super) fn diminish(cap: Cap, rights: CapRights) -> Cap {
    let less = |r: Rights| Rights {
        write: r.write && rights.write(),
        read: r.read && rights.read(),
        grant: r.grant && rights.grant(),
        grant_reply: r.grant_reply && rights.grant_reply(),
    };
    match cap {
        Cap::Endpoint { ep, badge, rights } => Cap::Endpoint { ep, badge, rights: less(rights) },
        Cap::Notification { ntfn, badge, rights } => Cap::Notification { ntfn, badge, rights: less(rights) },
        Cap::Reply { reply, grant } => Cap::Reply { reply, grant: grant && rights.grant() },
        Cap::Frame { frame, level, device, read, write, mapped } => {
            // Writing implies reading.
            let read = read && rights.read();
            Cap::Frame { frame, level, device, read, write: read && write && rights.write(), mapped }
        }
        other => other,
    }
}

/// Manual 3.1.2, 4.2.1: the capability with a badge or a guard; none where it cannot have that. `moved`: the
/// badge of a capability that is moved cannot change.
pub(super) fn with_data(cap: Cap, data: u64, moved: bool) -> Option<Cap> {
    match cap {
        Cap::Endpoint { ep, badge: 0, rights } if !moved => Some(Cap::Endpoint { ep, badge: data, rights }),
        Cap::Notification { ntfn, badge: 0, rights } if !moved => {
            Some(Cap::Notification { ntfn, badge: data, rights })
        }
        Cap::Endpoint { .. } | Cap::Notification { .. } => None,
        Cap::CNode { cnode, radix, .. } => {
            let (guard_bits, guard) = ((data & 63) as u32, data >> 6);
            let guard = if guard_bits == 0 { 0 } else { guard & (u64::MAX >> (64 - guard_bits)) };
            (guard_bits + radix <= 64).then_some(Cap::CNode { cnode, radix, guard, guard_bits })
        }
        other => Some(other),
    }
}
