//! To come.
#![expect(missing_docs)]
use crate::error::*;
use pecan_mem::*;
pub fn derive(_k: &Kernel, _slot: Link<Slot>, _cap: Cap) -> Decoded<Cap> {
    todo!()
}
pub fn insert(_k: &Kernel, _cap: Cap, _src: Link<Slot>, _dest: Link<Slot>) {
    todo!()
}
