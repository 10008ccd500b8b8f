//! The receiving phase of a system call.

use pecan_arch::reg;
use pecan_mem::{Fault, Kernel, LookupFailure};

use crate::{
    cap::lookup,
    ipc::{ahead::Receive, endpoint, notification, raise},
    sched::next::Next,
};

/// Receives on the capability that the current thread names.
pub fn receive(k: &Kernel, blocking: bool, how: Receive) -> Next {
    let thread = k.core().current.get().get(k);
    let cap_fault =
        |address, failure| raise::fault(k, thread, Fault::Cap { address, receive_phase: true, failure });
    const WRONG: LookupFailure = LookupFailure::MissingCapability { bits_left: 0 };

    let cptr = thread.context.get(reg::CAP);
    let cap = match lookup::cap(k, thread, cptr) {
        Ok(slot) => slot.get(k).words(),
        Err(failure) => return cap_fault(cptr, failure),
    };
    if let Some(ep) = cap.endpoint_for_receive() {
        let mut reply = None;
        if how == Receive::WithReply {
            let cptr = thread.context.get(reg::REPLY);
            match lookup::cap(k, thread, cptr).map(|slot| slot.get(k).words().reply()) {
                Ok(Some(r)) => reply = Some(r),
                Ok(None) => return cap_fault(cptr, WRONG),
                Err(failure) => return cap_fault(cptr, failure),
            }
        }
        return endpoint::receive(k, thread, ep.get(k), blocking, reply);
    }
    match cap.notification_for_wait() {
        Some(ntfn) if ntfn.get(k).bound_tcb.get().is_none_or(|bound| bound == thread.link()) => {
            notification::wait(k, thread, ntfn.get(k), blocking);
            Next::Resume
        }
        _ => cap_fault(cptr, WRONG),
    }
}
