//! What can be seen of the kernel's state, to show that a refused invocation changed nothing.

use pecan::{
    Error, LookupFailure, UserContext,
    raw::{self, ThreadBlock, invocations as inv},
};
use pecan_abi::{CPtr, CapRights, boot::slot};

use crate::env::{DEPTH, Env, ROOT, delete, memory_left};

/// Slots looked at: the fixed ones, and those of the test up to a few after the last it uses.
const SLOTS: usize = 160;
/// Slots of the test's own CNodes that are looked at.
const INNER_SLOTS: usize = 64;

/// The state of a test as user level can see it: what is in its slots and in those of its CNodes, how much memory
/// its untypeds have left, and the registers of its threads.
pub struct Snapshot {
    slots: [u8; SLOTS],
    inner: [u8; INNER_SLOTS],
    memory: [Option<u64>; 9],
    threads: [u64; crate::start::THREADS],
}

/// In a slot, but of a type that cannot be told.
const SOMETHING: u8 = 0xff;

/// The type of the capability in a slot of a CNode that is not the root one; 0 for none.
pub fn peek(cnode: CPtr, index: u64, depth: u8, scratch: CPtr) -> u8 {
    match inv::cnode_copy(ROOT, scratch, DEPTH, cnode, index, depth, CapRights::ALL) {
        Ok(()) => {
            let kind = raw::debug_cap_identify(scratch) as u8;
            delete(scratch).expect("delete the copy");
            kind
        }
        Err(Error::FailedLookup { failure: LookupFailure::MissingCapability { .. }, .. }) => 0,
        Err(_) => SOMETHING,
    }
}

impl Snapshot {
    /// Looks at everything.
    #[track_caller]
    pub fn take(env: &Env) -> Self {
        let mut this =
            Snapshot { slots: [0; SLOTS], inner: [0; INNER_SLOTS], memory: [None; 9], threads: [0; _] };
        let used = env.next_slot() - env.first_slot;
        // Of a test with many slots the last are looked at.
        let skipped = (used + 8 + slot::NUM_INITIAL_CAPS).saturating_sub(SLOTS as u64);
        for (index, kind) in this.slots.iter_mut().enumerate() {
            let index = index as u64;
            let cptr = match index.checked_sub(slot::NUM_INITIAL_CAPS) {
                None => index,
                Some(own) => env.first_slot + skipped + own,
            };
            if cptr < env.end_slot {
                *kind = raw::debug_cap_identify(cptr) as u8;
            }
        }
        // A slot that no test uses.
        let scratch = env.end_slot;
        let mut at = 0;
        for cnode in env.cnodes.borrow().iter().filter(|c| c.cap != 0) {
            for index in 0..(1 << cnode.radix).min(8) {
                if at < INNER_SLOTS {
                    this.inner[at] = peek(cnode.cap, index, cnode.radix, scratch);
                    at += 1;
                }
            }
        }
        let untypeds = env.untypeds.borrow();
        let untypeds = core::iter::once(env.untyped).chain(untypeds.iter().copied().filter(|u| *u != 0));
        for (place, untyped) in this.memory.iter_mut().zip(untypeds) {
            *place = memory_left(untyped, scratch);
        }
        let own = ThreadBlock::current().tcb;
        let threads = env.threads.borrow();
        for (place, tcb) in this.threads.iter_mut().zip(threads.iter().filter(|t| **t != 0 && **t != own)) {
            *place = match inv::tcb_read_registers(*tcb, false, 0, UserContext::WORDS as u64) {
                Ok(registers) => {
                    registers.to_words().iter().fold(1, |sum: u64, w| sum.wrapping_mul(31).wrapping_add(*w))
                }
                Err(_) => 0,
            };
        }
        this
    }

    /// Looks again; panics if anything is different.
    #[track_caller]
    pub fn same(&self, env: &Env) {
        let now = Snapshot::take(env);
        for (index, (was, is)) in self.slots.iter().zip(&now.slots).enumerate() {
            assert!(
                was == is,
                "slot {index} of the snapshot: a capability of type {was} became one of type {is}"
            );
        }
        for (index, (was, is)) in self.inner.iter().zip(&now.inner).enumerate() {
            assert!(was == is, "inner slot {index}: a capability of type {was} became one of type {is}");
        }
        assert_eq!(self.memory, now.memory, "bytes left in the untypeds changed");
        assert_eq!(self.threads, now.threads, "registers of a thread changed");
    }
}
