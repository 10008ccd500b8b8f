//! To come.
#![expect(missing_docs)]
use crate::scheduler::Next;
use pecan_mem::*;
pub fn update_time(_k: &Kernel) {
    todo!()
}
pub fn check_budget_restart(_k: &Kernel) -> Result<(), Next> {
    todo!()
}
pub fn check_budget(_k: &Kernel) -> Result<(), Next> {
    todo!()
}
pub fn yield_now(_k: &Kernel) -> Next {
    todo!()
}
pub fn resume(_k: &Kernel, _sc: &SchedContext) {
    todo!()
}
pub fn postpone(_k: &Kernel, _sc: &SchedContext) {
    todo!()
}
pub fn refill_unblock_check(_k: &Kernel, _sc: &SchedContext) {
    todo!()
}
pub fn refill_ready(_k: &Kernel, _sc: &SchedContext) -> bool {
    todo!()
}
pub fn refill_sufficient(_k: &Kernel, _sc: &SchedContext, _usage: u64) -> bool {
    todo!()
}
pub fn release_remove(_k: &Kernel, _t: &Tcb) {
    todo!()
}
