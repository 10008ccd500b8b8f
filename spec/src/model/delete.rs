//! Deletion and revocation (manual 3.2).
//!
//! What has slots of its own, a CNode or a thread, is emptied before it goes. Until then the slot of its last capability
//! holds a *zombie*, which can be moved and deleted, and nothing else. Whoever deletes it goes on where another stopped.

use super::{
    Cap, Name, Rights, Slot, Step, Stopped, children, derivation::same_object, interrupts::INTERRUPTS,
    vspace::size,
};

/// The object that a capability names, if it is one that ends with its last capability.
pub(super) fn object(cap: Cap) -> Option<(u8, Name)> {
    Some(match cap {
        Cap::Endpoint { ep, .. } => (0, ep),
        Cap::Notification { ntfn, .. } => (1, ntfn),
        Cap::Reply { reply, .. } => (2, reply),
        Cap::CNode { cnode, .. } => (3, cnode),
        Cap::Thread { thread } => (4, thread),
        Cap::SchedContext { sc, .. } => (5, sc),
        Cap::Table { table, .. } => (6, table),
        Cap::AsidPool { pool, .. } => (7, pool),
        Cap::IrqHandler { irq } => (8, Name(irq)),
        Cap::IoPort { first, .. } => (9, Name(first as u64)),
        _ => return None,
    })
}

impl Step {
    /// `CNode_Delete`: the capability goes, and with the last one to it the object.
    pub(super) fn delete(&mut self, slot: Slot) -> Result<(), Stopped> {
        self.finalise(slot)?;
        if let Some(Cap::Zombie { .. }) = self.cap(slot) {
            self.may_stop()?;
            self.empty(slot)?;
        }
        Ok(())
    }

    /// The capability goes, and with the last one to it the object, of which a zombie is left if it has slots. A
    /// capability to an object that is still to be left by many threads has no rights in the meantime: nobody comes
    /// anew.
    fn finalise(&mut self, slot: Slot) -> Result<(), Stopped> {
        let Some(cap) = self.cap(slot) else { return Ok(()) };
        let names_it = |s: Slot, other: Cap| s != slot && object(other) == object(cap);
        if object(cap).is_some() && !self.s.caps.iter().any(|(&s, held)| names_it(s, held.cap)) {
            match cap {
                Cap::Endpoint { ep, .. } => self.end_endpoint(ep).inspect_err(|_| self.disarm(slot))?,
                Cap::Notification { ntfn, .. } => {
                    self.end_notification(ntfn).inspect_err(|_| self.disarm(slot))?;
                }
                Cap::Reply { reply, .. } => {
                    self.end_reply(reply);
                    self.s.replies.remove(&reply);
                }
                Cap::SchedContext { sc, .. } => self.end_context(sc),
                Cap::Thread { thread } => {
                    self.end_thread(thread);
                    self.held(slot).cap = Cap::Zombie { object: thread };
                    return Ok(());
                }
                Cap::CNode { cnode, .. } => {
                    self.held(slot).cap = Cap::Zombie { object: cnode };
                    return Ok(());
                }
                Cap::Table { table, level, mapped } => self.end_table(table, level, mapped),
                Cap::AsidPool { base, .. } => self.end_pool(base),
                Cap::IrqHandler { irq } => {
                    self.mask(irq, true);
                    self.delete(Slot { object: INTERRUPTS, index: irq })?;
                    self.s.interrupts.remove(&irq);
                }
                _ => {}
            }
        }
        if let Cap::Zombie { .. } = cap {
            return Ok(());
        }
        self.take_out(slot);
        if let Cap::Frame { frame, level, mapped, .. } = cap {
            // Mappings are the capability's, not the frame's.
            self.unmap_frame(frame, level, mapped);
            if !self.s.caps.values().any(|other| same_object(other.cap, cap)) {
                // Nobody sees what is in it any more; new objects are empty.
                self.s.memory.retain(|at, _| !(frame.0..frame.0 + size(level)).contains(at));
            }
        }
        Ok(())
    }

    fn disarm(&mut self, slot: Slot) {
        if let Cap::Endpoint { rights, .. } | Cap::Notification { rights, .. } = &mut self.held(slot).cap {
            *rights = Rights { write: false, read: false, grant: false, grant_reply: false };
        }
    }

    /// Empties what a zombie was, from its last slot on, then the slot of the zombie.
    ///
    /// What is found in it may become a zombie, too. It is emptied first: it takes the place of the one around it,
    /// which waits in its first slot, and what was there goes to the slot in which it was found. Nobody can look into
    /// either; but they descend from their own memory, and can be revoked with that.
    fn empty(&mut self, slot: Slot) -> Result<(), Stopped> {
        let mut at = slot;
        while let Some(Cap::Zombie { object }) = self.cap(at) {
            let first = Slot { object, index: 0 };
            let last = self.s.caps.range(first..).take_while(|(s, _)| s.object == object).last();
            let last = last.map_or(first, |(&slot, _)| slot);
            if last == at && at != first {
                // It lies in what it was, where it goes last.
                self.exchange(&[(at, first), (first, at)]);
                at = first;
                continue;
            }
            if last != at {
                self.finalise(last)?;
            }
            match self.cap(last) {
                Some(Cap::Zombie { .. }) if last != at && last == first => {
                    // Nothing else is left, and that goes on.
                    self.take_out(at);
                    self.exchange(&[(last, at)]);
                }
                Some(Cap::Zombie { object: inner }) if last != at => {
                    let inner = Slot { object: inner, index: 0 };
                    if inner == at {
                        at = last;
                    } else {
                        self.exchange(&[(at, inner), (last, at), (inner, last)]);
                    }
                }
                _ if last == first => {
                    self.take_out(at);
                    self.settle();
                    return Ok(());
                }
                _ => {}
            }
            self.may_stop()?;
        }
        Ok(())
    }

    /// Moves what is in some slots, all at once, from each first one to the second.
    fn exchange(&mut self, moves: &[(Slot, Slot)]) {
        let moves = moves.iter().filter_map(|&(from, to)| Some((from, to, self.cap(from)?)));
        self.rename(&moves.collect::<Vec<_>>());
    }

    /// `CNode_Revoke`: everything that was derived from the capability goes, one after the other.
    pub(super) fn revoke(&mut self, slot: Slot) -> Result<(), Stopped> {
        loop {
            let mut all = children(&self.s, slot);
            let Some(any) = all.next() else { return Ok(()) };
            let is_first = |child: &Slot| self.stop.first.contains(child);
            let child = if is_first(&any) { any } else { all.find(is_first).unwrap_or(any) };
            drop(all);
            self.delete(child)?;
            self.may_stop()?;
        }
    }
}
