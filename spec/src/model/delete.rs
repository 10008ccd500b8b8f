//! Deletion and revocation (manual 3.2).
//!
//! What has slots of its own, a CNode or a thread, is emptied before it goes. Until then the slot of its last capability
//! holds a *zombie*, which can be moved and deleted, and nothing else. Whoever deletes it goes on where another stopped.
//! The same holds of an endpoint, a notification and an interrupt handler that threads still have to leave: those *end*.

use super::{
    Cap, Name, Slot, Step, Stopped, children, derivation::same_object, interrupts::INTERRUPTS, vspace::size,
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

    /// The capability goes, and with the last one to it the object, of which a zombie is left if it has slots.
    fn finalise(&mut self, slot: Slot) -> Result<(), Stopped> {
        let Some(cap) = self.cap(slot) else { return Ok(()) };
        match cap {
            Cap::Zombie { .. } => return Ok(()),
            Cap::Ending { object } if self.s.endpoints.contains_key(&object) => self.end_endpoint(object)?,
            Cap::Ending { object } => self.end_notification(object)?,
            Cap::EndingHandler { irq } => self.end_handler(irq)?,
            _ => {}
        }
        let names_it = |s: Slot, other: Cap| s != slot && object(other) == object(cap);
        if object(cap).is_some() && !self.s.caps.iter().any(|(&s, held)| names_it(s, held.cap)) {
            match cap {
                Cap::Endpoint { ep, .. } => {
                    let ending = Cap::Ending { object: ep };
                    self.end_endpoint(ep).inspect_err(|_| self.held(slot).cap = ending)?;
                }
                Cap::Notification { ntfn, .. } => {
                    let ending = Cap::Ending { object: ntfn };
                    self.end_notification(ntfn).inspect_err(|_| self.held(slot).cap = ending)?;
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
                    let ending = Cap::EndingHandler { irq };
                    self.end_handler(irq).inspect_err(|_| self.held(slot).cap = ending)?;
                }
                _ => {}
            }
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

    /// An interrupt's handler goes, and with it the notification that it had.
    fn end_handler(&mut self, irq: u64) -> Result<(), Stopped> {
        self.mask(irq, true);
        self.delete(Slot { object: INTERRUPTS, index: irq })?;
        self.s.interrupts.remove(&irq);
        Ok(())
    }

    /// Empties what a zombie was, from its last slot on, then the slot of the zombie.
    ///
    /// What is found in it may become a zombie, too. That waits in the first slot of what it was found in, and is emptied
    /// before the rest. What is found in turn takes its place there, and it waits in the first slot of that. So the zombie
    /// that it began with stays, and goes last; if it lies in what dies with it, in the first slot of that. Nobody can look
    /// into either; but they descend from their own memory, and can be revoked with that.
    fn empty(&mut self, mut slot: Slot) -> Result<(), Stopped> {
        while let Some(Cap::Zombie { object: outer }) = self.cap(slot) {
            let waits = Slot { object: outer, index: 0 };
            let (active, object) = match self.cap(waits) {
                Some(Cap::Zombie { object }) if waits != slot => (waits, object),
                _ => (slot, outer),
            };
            let first = Slot { object, index: 0 };
            let last = self.s.caps.range(first..).take_while(|(s, _)| s.object == object).last();
            let last = last.map_or(first, |(&slot, _)| slot);
            if last == slot && last != first {
                self.exchange(&[(slot, first), (first, slot)]);
                slot = first;
                continue;
            }
            if last != slot {
                self.finalise(last)?;
            }
            match self.cap(last) {
                // It goes on there: with what waits, or with what it began with.
                Some(Cap::Zombie { .. }) if last == first && active != slot => {
                    self.take_out(active);
                    self.exchange(&[(last, active)]);
                    if last == slot {
                        slot = active;
                        continue;
                    }
                }
                Some(Cap::Zombie { .. }) if last == first && last != slot => {}
                Some(Cap::Zombie { object: inner }) if last != slot => {
                    let inner = Slot { object: inner, index: 0 };
                    if active == slot && first != slot {
                        self.exchange(&[(last, first), (first, last)]);
                    } else {
                        self.exchange(&[(active, inner), (last, active), (inner, last)]);
                        slot = match slot {
                            s if s == active => inner,
                            s if s == inner => last,
                            s => s,
                        };
                    }
                }
                _ if last == first => {
                    self.take_out(active);
                    if active == slot {
                        self.settle();
                        return Ok(());
                    }
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
