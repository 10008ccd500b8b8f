//! Moving a message from a sender to a receiver.
//!
//! What belongs to nobody else: which words and capabilities go along, and where they arrive. A capability is
//! sent by its address in the sender's CSpace, so it may be gone when the message is received: then the
//! message arrives without it. Endpoints and answers call `message`, with the capabilities looked up before
//! (`Parcel`) where a system call can still be stopped.

use pecan_abi::{
    MessageInfo,
    ipc::{MESSAGE_REGISTERS, buffer},
};
use pecan_arch::reg;
use pecan_mem::{Endpoint, Fault, Kernel, Tcb};

use crate::{
    base::message,
    cap::{
        derivation,
        extra::{self, Parcel},
    },
    ipc::fault_message,
};

/// Moves the message of `sender` (its fault, if it has one) to `receiver`, with the badge, and with the extra
/// capabilities if `grant`: those of the parcel, if that has been made. `ep` is the endpoint it goes through, if it is not
/// an answer.
#[inline(always)]
pub fn message(
    k: &Kernel,
    sender: &Tcb,
    ep: Option<&Endpoint>,
    badge: u64,
    grant: bool,
    receiver: &Tcb,
    parcel: Option<&Parcel>,
) {
    let info = MessageInfo(sender.context.get(reg::INFO));
    // What most messages are: a few words in registers.
    if sender.fault() == Fault::None && info.extra_caps() == 0 && info.length_capped() <= MESSAGE_REGISTERS {
        let length = info.length_capped();
        sender.context.copy_message(&receiver.context, length);
        receiver.context.set(reg::INFO, MessageInfo::new(info.label(), 0, 0, length as u64).0);
        receiver.context.set(reg::CAP, badge);
    } else {
        any_message(k, sender, ep, badge, grant, receiver, parcel);
    }
}

#[inline(never)]
fn any_message(
    k: &Kernel,
    sender: &Tcb,
    ep: Option<&Endpoint>,
    badge: u64,
    grant: bool,
    receiver: &Tcb,
    parcel: Option<&Parcel>,
) {
    let fault = sender.fault();
    if fault != Fault::None {
        return fault_message::deliver(k, sender, fault, badge, receiver);
    }
    let info = MessageInfo(sender.context.get(reg::INFO));
    let length = message::copy(k, sender, receiver, info.length_capped());
    // A message whose capabilities cannot be found goes without them.
    let found = if parcel.is_none() { Parcel::new(k, sender, info).ok() } else { None };
    let (caps, unwrapped) = match parcel.or(found.as_ref()) {
        Some(parcel) if grant && parcel.caps.count > 0 => transfer_caps(k, parcel, ep, receiver),
        _ => (0, 0),
    };
    let info = MessageInfo::new(info.label(), unwrapped, caps, length as u64);
    receiver.context.set(reg::INFO, info.0);
    receiver.context.set(reg::CAP, badge);
}

/// Hands the extra capabilities over: a capability to the endpoint itself becomes its badge, one other goes to
/// the receive slot. Returns how many were handed over and which of them (a bit each) as badges.
fn transfer_caps(k: &Kernel, parcel: &Parcel, ep: Option<&Endpoint>, receiver: &Tcb) -> (u64, u64) {
    let Some(buf) = message::buffer_for_writing(k, receiver) else { return (0, 0) };
    let caps = &parcel.caps;
    let (mut done, mut unwrapped, mut used_slot) = (0, 0, false);
    for &slot in caps.slots.iter().take(caps.count) {
        let cap = slot.get(k).words();
        match cap {
            _ if ep.is_some_and(|ep| cap.endpoint() == Some(ep.link())) => {
                buf.set(buffer::CAPS_OR_BADGES + done as usize, cap.badge());
                unwrapped |= 1 << done;
            }
            _ => {
                if used_slot {
                    break;
                }
                let Some(dest) = parcel.place.unwrap_or_else(|| extra::receive_slot(k, receiver, buf)) else {
                    break;
                };
                match derivation::derive(k, slot, cap) {
                    Ok(derived) if derivation::insert(k, derived, slot, dest) => {}
                    _ => break,
                }
                used_slot = true;
            }
        }
        done += 1;
    }
    (done, unwrapped)
}
