//! Capabilities that faults are sent to.

use pecan_mem::{Tcb, Words};

/// True for a capability that faults can be sent to: an endpoint, with the right to send and to hand over the
/// reply capability in one form or the other.
#[inline(always)]
pub fn is_handler(cap: Words) -> bool {
    cap.endpoint_for_send().is_some() && cap.endpoint_grant_or_grant_reply()
}

/// True if the thread's timeouts have a handler.
pub fn has_timeout_handler(thread: &Tcb) -> bool {
    is_handler(thread.slots[Tcb::SLOT_TIMEOUT_HANDLER].words())
}
