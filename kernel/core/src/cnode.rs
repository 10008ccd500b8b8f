//! To come.
#![expect(missing_docs)]
use crate::{error::*, invoke::*};
use pecan_mem::*;
pub fn invoke(_k: &mut Kernel, _inv: &Invocation) -> Result<Done, Stop> {
    todo!()
}
