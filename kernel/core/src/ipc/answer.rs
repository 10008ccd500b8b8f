//! Answers: the message of who replies, or of a fault's handler, to the caller that waits on a reply object.

use pecan_mem::{Kernel, Reply, Tcb, ThreadState};

use crate::{
    cap::{extra::Parcel, handler},
    ipc::{fault_message, raise, reply, transfer},
    sched::{budget, next::Next, wake},
};

/// Answers the caller that waits on a reply object with the message of `sender`, and the parcel, if it has been made. Does
/// nothing if nobody waits.
pub fn send(k: &Kernel, sender: &Tcb, reply: &Reply, grant: bool, parcel: Option<&Parcel>) -> Next {
    let Some(receiver) = reply.tcb.get() else { return Next::Resume };
    let receiver = receiver.get(k);
    if !matches!(receiver.state.get(), ThreadState::BlockedOnReply { .. }) {
        return Next::Resume;
    }
    reply::remove(k, reply, receiver);
    wake::refresh_budget(k, receiver);

    let fault = receiver.fault();
    receiver.set_fault(pecan_mem::Fault::None);
    let state = if fault == pecan_mem::Fault::None {
        transfer::message(k, sender, None, 0, grant, receiver, parcel);
        ThreadState::Running
    } else if fault_message::apply_reply(k, fault, sender, receiver) {
        ThreadState::Restart
    } else {
        ThreadState::Inactive
    };
    receiver.state.set(state);

    let Some(sc) = receiver.sched_context.get().filter(|_| state.is_runnable()) else { return Next::Resume };
    let sc = sc.get(k);
    if budget::refill_ready(k, sc) && budget::refill_sufficient(k, sc, 0) {
        return wake::wake(k, receiver);
    }
    // The budget that came back is used up. That the handler of such a fault answers is not another one.
    let was_timeout = matches!(fault, pecan_mem::Fault::Timeout { .. });
    if !was_timeout && handler::has_timeout_handler(receiver) {
        raise::timeout(k, receiver)
    } else {
        budget::postpone(k, sc);
        Next::Resume
    }
}
