//! To come.
#![expect(missing_docs)]
use crate::error::*;
use pecan_mem::*;
pub fn cap(_k: &Kernel, _t: &Tcb, _cptr: u64) -> Result<Link<Slot>, LookupFailure> {
    todo!()
}
pub fn target_slot(_k: &Kernel, _source: bool, _root: Cap, _index: u64, _depth: u64) -> Decoded<Link<Slot>> {
    todo!()
}
