//! The extra capabilities of a message: looked up before anything changes, as is the slot in which the receiver wants one.

use pecan_abi::{
    MessageInfo,
    ipc::{MSG_MAX_EXTRA_CAPS, buffer},
};
use pecan_mem::{IpcBuffer, Kernel, Link, LookupFailure, Slot, Tcb};

use crate::{base::message, cap::lookup};

/// The extra capabilities of a message.
pub(crate) struct ExtraCaps {
    /// Where they are, in order; behind them, anything.
    pub(crate) slots: [Link<Slot>; MSG_MAX_EXTRA_CAPS],
    /// How many there are.
    pub(crate) count: usize,
}

/// The capabilities that a message takes along, and where they go, looked up before anything changes.
pub struct Parcel {
    pub(crate) caps: ExtraCaps,
    /// The slot in which the receiver wants a capability: `Some(None)` if there is none, `None` if nobody has looked.
    pub(crate) place: Option<Option<Link<Slot>>>,
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

/// The slot in which a receiver wants a capability, if it names one that exists and is empty.
pub fn receive_slot(k: &Kernel, receiver: &Tcb, buf: &IpcBuffer) -> Option<Link<Slot>> {
    let root = lookup::cap(k, receiver, buf.get(buffer::RECEIVE_CNODE)).ok()?;
    let (index, depth) = (buf.get(buffer::RECEIVE_INDEX), buf.get(buffer::RECEIVE_DEPTH));
    let slot = lookup::target_slot(k, false, root, index, depth).ok()?;
    slot.get(k).is_empty().then_some(slot)
}
