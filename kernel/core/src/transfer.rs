//! Moving a message from a sender to a receiver.

use pecan_abi::{
    MessageInfo,
    ipc::{MESSAGE_REGISTERS, MSG_MAX_EXTRA_CAPS, buffer},
};
use pecan_arch::reg;
use pecan_mem::{Endpoint, Fault, IpcBuffer, Kernel, Link, LookupFailure, Slot, Tcb};

use crate::{derivation, fault, lookup, message};

/// The extra capabilities of a message.
struct ExtraCaps {
    /// Where they are, in order; behind them, anything.
    slots: [Link<Slot>; MSG_MAX_EXTRA_CAPS],
    /// How many there are.
    count: usize,
}

/// The capabilities that a message takes along, and where they go, looked up before anything changes.
pub struct Parcel {
    caps: ExtraCaps,
    /// The slot in which the receiver wants a capability: `Some(None)` if there is none, `None` if nobody has looked.
    place: Option<Option<Link<Slot>>>,
}

impl Parcel {
    /// Looks up the extra capabilities that a thread sends. Fails with the address that did not resolve.
    #[inline(never)]
    pub fn new(k: &Kernel, sender: &Tcb, info: MessageInfo) -> Result<Self, (u64, LookupFailure)> {
        let mut caps =
            ExtraCaps { slots: [sender.first_slot(); MSG_MAX_EXTRA_CAPS], count: info.extra_caps() };
        match message::buffer_for_reading(k, sender) {
            Some(buffer) => {
                for (i, slot) in caps.slots.iter_mut().enumerate().take(caps.count) {
                    *slot = extra_cap(k, sender, buffer, i)?;
                }
            }
            None => caps.count = 0,
        }
        Ok(Parcel { caps, place: None })
    }

    /// Looks up where the receiver wants a capability.
    pub fn find_place(&mut self, k: &Kernel, receiver: &Tcb) {
        if let Some(buf) = message::buffer_for_writing(k, receiver) {
            self.place = Some(receive_slot(k, receiver, buf));
        }
    }
}

/// Where the extra capability with index `i` is that a thread sends. Fails with the address that did not resolve.
#[inline(always)]
pub fn extra_cap(
    k: &Kernel,
    sender: &Tcb,
    buffer: &IpcBuffer,
    i: usize,
) -> Result<Link<Slot>, (u64, LookupFailure)> {
    let cptr = buffer.get(buffer::CAPS_OR_BADGES + i);
    lookup::cap(k, sender, cptr).map_err(|failure| (cptr, failure))
}

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
        return fault::deliver(k, sender, fault, badge, receiver);
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
                let Some(dest) = parcel.place.unwrap_or_else(|| receive_slot(k, receiver, buf)) else {
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

/// The slot in which a receiver wants a capability, if it names one that exists and is empty.
fn receive_slot(k: &Kernel, receiver: &Tcb, buf: &IpcBuffer) -> Option<Link<Slot>> {
    let root = lookup::cap(k, receiver, buf.get(buffer::RECEIVE_CNODE)).ok()?;
    let (index, depth) = (buf.get(buffer::RECEIVE_INDEX), buf.get(buffer::RECEIVE_DEPTH));
    let slot = lookup::target_slot(k, false, root, index, depth).ok()?;
    slot.get(k).is_empty().then_some(slot)
}

/// The message information of an answer from the kernel.
pub fn kernel_info(label: u64, length: usize) -> MessageInfo {
    MessageInfo::new(label, 0, 0, length as u64)
}

/// Words of a message that a thread can really send: without an IPC buffer, those in registers.
pub fn sendable_length(k: &Kernel, sender: &Tcb, info: MessageInfo) -> usize {
    let length = info.length_capped();
    if length > MESSAGE_REGISTERS && message::buffer_for_reading(k, sender).is_none() {
        MESSAGE_REGISTERS
    } else {
        length
    }
}
