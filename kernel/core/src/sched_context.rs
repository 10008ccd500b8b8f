//! To come.
#![expect(missing_docs)]
use crate::{error::*, invoke::*};
use pecan_mem::*;
pub fn donate(_k: &Kernel, _sc: &SchedContext, _to: &Tcb) {
    todo!()
}
pub fn cancel_yield_to(_k: &Kernel, _t: &Tcb) {
    todo!()
}
pub fn take_consumed(_k: &Kernel, _sc: &SchedContext) -> u64 {
    todo!()
}
pub fn invoke(_k: &mut Kernel, _inv: &Invocation) -> Result<Done, Stop> {
    todo!()
}
pub fn invoke_control(_k: &mut Kernel, _inv: &Invocation) -> Result<Done, Stop> {
    todo!()
}
