//! Faults: telling the handler of a thread that cannot go on.
//!
//! The fault of a thread is noted in it from the moment it is told to the handler until the answer is
//! applied, or the wait is cancelled; a thread that is not waiting for a handler has none. A fault is a call
//! that the thread did not make itself, so endpoints and reply objects need not know about faults. The entry
//! raises what the processor reports, lookups raise capability faults, the end of a budget raises timeouts.

use pecan_mem::{Fault, Kernel, Tcb, ThreadState};

use crate::{
    base::{latency, report},
    cap::handler,
    ipc::endpoint::{self, Sending},
    sched::next::Next,
};

/// The thread cannot go on: tells its fault handler. Without one it is suspended.
pub fn fault(k: &Kernel, thread: &Tcb, fault: Fault) -> Next {
    let donate = thread.sched_context.get().is_some();
    send(k, thread, fault, Tcb::SLOT_FAULT_HANDLER, donate)
}

/// The thread's budget ran out: tells its timeout handler.
pub fn timeout(k: &Kernel, thread: &Tcb) -> Next {
    let badge = thread.sched_context.get().map_or(0, |sc| sc.get(k).badge.get());
    send(k, thread, Fault::Timeout { badge }, Tcb::SLOT_TIMEOUT_HANDLER, false)
}

fn send(k: &Kernel, thread: &Tcb, fault: Fault, handler: usize, donate: bool) -> Next {
    let cap = thread.slots[handler].words();
    match cap.endpoint() {
        Some(ep) if handler::is_handler(cap) => {
            thread.set_fault(fault);
            let (badge, grant, grant_reply) = (cap.badge(), cap.endpoint_grant(), cap.endpoint_grant_reply());
            let how =
                Sending { blocking: true, call: false, donate, badge, grant, grant_reply, parcel: None };
            endpoint::send(k, thread, ep.get(k), how)
        }
        _ => {
            report::unhandled_fault(thread, fault);
            latency::restart(k);
            thread.state.set(ThreadState::Inactive);
            Next::Resume
        }
    }
}
