//! Identifiers of address spaces (manual 7.1.3, 7.1.4).

use pecan_abi::{
    Error, Label,
    constants::{ASID_POOL_BITS, ASID_POOL_INDEX_BITS, NUM_ASID_POOLS_BITS},
};

use super::{
    Answer, Cap, Failure, Invocation, LookupFailure, Name, Step, cspace::failed_lookup, illegal,
    invalid_capability, vspace::ROOT,
};

/// Identifiers of a pool.
const LENGTH: u64 = 1 << ASID_POOL_INDEX_BITS;

impl Step {
    /// `X86_ASIDControl_MakePool`: untyped memory becomes a pool with the first identifiers that are in none.
    pub(super) fn asid_control(&mut self, inv: &Invocation) -> Answer {
        if Label::from_word(inv.label) != Some(Label::AsidControlMakePool) {
            return Err(illegal());
        }
        inv.need(2, 2)?;
        let untyped = inv.extra[0];
        let bases = (0..1 << NUM_ASID_POOLS_BITS).map(|n| n * LENGTH);
        let base =
            bases.into_iter().find(|base| !self.s.pools.contains_key(base)).ok_or_else(delete_first)?;
        let Some(Cap::Untyped { base: pool, bits: ASID_POOL_BITS, device: false, .. }) = self.cap(untyped)
        else {
            return Err(invalid_capability(1));
        };
        if self.has_children(untyped) {
            return Err(Failure(Error::RevokeFirst, vec![]));
        }
        let dest = self.target(false, self.cap(inv.extra[1]), inv.words[0], inv.words[1])?;
        self.need_empty(dest)?;
        if let Cap::Untyped { used, .. } = &mut self.held(untyped).cap {
            *used = 1 << ASID_POOL_BITS;
        }
        self.s.pools.insert(base, pool);
        self.insert_new(untyped, dest, Cap::AsidPool { pool, base });
        Ok(vec![])
    }

    /// `X86_ASIDPool_Assign`: an address space gets the first identifier of the pool that is free.
    pub(super) fn asid_pool(&mut self, pool: Name, base: u64, inv: &Invocation) -> Answer {
        if Label::from_word(inv.label) != Some(Label::AsidPoolAssign) {
            return Err(illegal());
        }
        inv.need(0, 1)?;
        let Some(Cap::Table { table, level: ROOT, mapped: None }) = self.cap(inv.extra[0]) else {
            return Err(invalid_capability(1));
        };
        match self.s.pools.get(&base) {
            None => return Err(failed_lookup(false, LookupFailure::InvalidRoot)),
            Some(&other) if other != pool => return Err(invalid_capability(0)),
            Some(_) => {}
        }
        // Identifier 0 is the kernel's.
        let free = |asid: &u64| *asid != 0 && !self.s.spaces.contains_key(asid);
        let asid = (base..base + LENGTH).find(free).ok_or_else(delete_first)?;
        self.s.spaces.insert(asid, table);
        self.set_mapped(inv.extra[0], Some((asid, 0)));
        Ok(vec![])
    }

    /// A pool goes: its address spaces have no identifiers any more.
    pub(super) fn end_pool(&mut self, base: u64) {
        self.s.pools.remove(&base);
        self.s.spaces.retain(|asid, _| asid / LENGTH != base / LENGTH);
    }
}

fn delete_first() -> Failure {
    Failure(Error::DeleteFirst, vec![])
}
