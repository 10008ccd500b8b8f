//! CNode methods (manual 3.1.2).

use pecan_abi::{CapRights, Label};

use super::{
    Answer, Cap, Doing, Failure, Invocation, LookupFailure, Name, Slot, Step,
    cspace::failed_lookup,
    derivation::{diminish, with_data},
    illegal,
};

impl Step {
    pub(super) fn cnode(&mut self, root: Cap, inv: &Invocation) -> Answer {
        use Label::*;
        let label = Label::from_word(inv.label).filter(|label| {
            matches!(label, CNodeRevoke | CNodeDelete | CNodeCancelBadgedSends | CNodeCopy)
                || matches!(label, CNodeMint | CNodeMove | CNodeMutate | CNodeRotate)
        });
        let label = label.ok_or_else(illegal)?;
        inv.need(2, 0)?;
        let target = self.target(false, Some(root), inv.words[0], inv.words[1])?;
        match label {
            CNodeRevoke => self.revoke(target)?,
            CNodeDelete => self.delete(target)?,
            CNodeCancelBadgedSends => self.cancel_badged_sends(target)?,
            CNodeRotate => self.rotate(target, inv)?,
            _ => self.copy_or_move(label, target, inv)?,
        }
        Ok(vec![])
    }

    /// `CNode_Copy`, `CNode_Mint`, `CNode_Move`, `CNode_Mutate`.
    fn copy_or_move(&mut self, label: Label, dest: Slot, inv: &Invocation) -> Result<(), Failure> {
        inv.need(4, 1)?;
        self.need_empty(dest)?;
        let (src, cap) = self.source(inv, 0, 2, true)?;
        let new = match label {
            Label::CNodeCopy | Label::CNodeMint => {
                inv.need(if label == Label::CNodeCopy { 5 } else { 6 }, 1)?;
                let less = diminish(cap, CapRights(inv.words[4]));
                let less =
                    if label == Label::CNodeMint { with_data(less, inv.words[5], false) } else { Some(less) };
                match less {
                    Some(less) => self.derive(src, less)?,
                    None => None,
                }
            }
            Label::CNodeMutate => {
                inv.need(5, 1)?;
                with_data(cap, inv.words[4], true)
            }
            _ => Some(cap),
        };
        let new = new.ok_or_else(illegal)?;
        if matches!(label, Label::CNodeCopy | Label::CNodeMint) {
            self.insert_copy(src, dest, new);
        } else {
            self.rename(&[(src, dest, new)]);
        }
        Ok(())
    }

    /// The slot that the words from `at` on name under the extra capability `root`, and what is in it.
    fn source(&self, inv: &Invocation, root: usize, at: usize, source: bool) -> Result<(Slot, Cap), Failure> {
        let slot = self.target(true, self.cap(inv.extra[root]), inv.words[at], inv.words[at + 1])?;
        let missing = LookupFailure::MissingCapability { left: inv.words[at + 1] };
        Ok((slot, self.cap(slot).ok_or_else(|| failed_lookup(source, missing))?))
    }

    /// `CNode_Rotate`: the pivot to the destination, the source to the pivot.
    fn rotate(&mut self, dest: Slot, inv: &Invocation) -> Result<(), Failure> {
        inv.need(8, 2)?;
        let place =
            |root: usize, at| self.target(true, self.cap(inv.extra[root]), inv.words[at], inv.words[at + 1]);
        let (src, pivot) = (place(1, 6)?, place(0, 3)?);
        if pivot == src || pivot == dest {
            return Err(illegal());
        }
        if src != dest {
            self.need_empty(dest)?;
        }
        let (_, src_cap) = self.source(inv, 1, 6, true)?;
        let (_, pivot_cap) = self.source(inv, 0, 3, false)?;
        let src_cap = with_data(src_cap, inv.words[5], true).ok_or_else(illegal)?;
        let pivot_cap = with_data(pivot_cap, inv.words[2], true).ok_or_else(illegal)?;
        self.rename(&[(pivot, dest, pivot_cap), (src, pivot, src_cap)]);
        Ok(())
    }

    /// `CNode_CancelBadgedSends`: whoever waits to send with the badge makes the system call again. The queue is gone
    /// through from its head.
    fn cancel_badged_sends(&mut self, target: Slot) -> Result<(), Failure> {
        let Some(Cap::Endpoint { ep, badge, rights: r }) = self.cap(target) else { return Err(illegal()) };
        if !(r.write && r.read && r.grant && r.grant_reply) {
            return Err(illegal());
        }
        if badge == 0 {
            return Ok(());
        }
        let sends_with_it = |doing: &Doing| matches!(doing, Doing::Sending { how, .. } if how.badge == badge);
        let queue = self.s.endpoints[&ep].clone();
        let sends = |thread: &Name| matches!(self.s.threads[thread].doing, Doing::Sending { .. });
        for thread in queue.into_iter().filter(sends).collect::<Vec<_>>() {
            if sends_with_it(&self.s.threads[&thread].doing) {
                self.abort(thread);
            }
            self.may_stop()?;
        }
        Ok(())
    }
}
