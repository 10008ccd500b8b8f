//! Deletion and revocation (manual 3.2).

use super::{Cap, Name, Slot, Step, children, derivation::same_object, interrupts::INTERRUPTS, vspace::size};

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
    pub(super) fn delete(&mut self, slot: Slot) {
        let mut todo = vec![slot];
        while let Some(slot) = todo.pop() {
            let Some(held) = self.take_out(slot) else { continue };
            if let Cap::Frame { frame, level, mapped, .. } = held.cap {
                // Mappings are the capability's, not the frame's.
                self.unmap_frame(frame, level, mapped);
                if !self.s.caps.values().any(|other| same_object(other.cap, held.cap)) {
                    // Nobody sees what is in it any more; new objects are empty.
                    self.s.memory.retain(|at, _| !(frame.0..frame.0 + size(level)).contains(at));
                }
            }
            let Some(this) = object(held.cap) else { continue };
            if self.s.caps.values().any(|other| object(other.cap) == Some(this)) {
                continue;
            }
            let (_, name) = this;
            match held.cap {
                Cap::Endpoint { ep, .. } => self.end_endpoint(ep),
                Cap::Notification { ntfn, .. } => self.end_notification(ntfn),
                Cap::Reply { reply, .. } => {
                    self.end_reply(reply);
                    self.s.replies.remove(&reply);
                }
                Cap::SchedContext { sc, .. } => self.end_context(sc),
                Cap::Thread { thread } => self.end_thread(thread),
                Cap::Table { table, level, mapped } => self.end_table(table, level, mapped),
                Cap::AsidPool { base, .. } => self.end_pool(base),
                Cap::IrqHandler { irq } => {
                    self.s.interrupts.remove(&irq);
                    todo.push(Slot { object: INTERRUPTS, index: irq });
                }
                _ => {}
            }
            // What lies in the object's own slots goes, too.
            let first = Slot { object: name, index: 0 };
            let inside = self.s.caps.range(first..).take_while(|(s, _)| s.object == name);
            let inside: Vec<Slot> = inside.map(|(&slot, _)| slot).collect();
            if !inside.is_empty() || matches!(held.cap, Cap::CNode { .. } | Cap::Thread { .. }) {
                self.woken.anew |= !self.woken.threads.is_empty();
            }
            todo.extend(inside);
        }
    }

    /// `CNode_Revoke`: everything that was derived from the capability goes.
    pub(super) fn revoke(&mut self, slot: Slot) {
        loop {
            let Some(child) = children(&self.s, slot).next() else { return };
            self.delete(child);
            self.woken.anew |= !self.woken.threads.is_empty();
        }
    }
}
