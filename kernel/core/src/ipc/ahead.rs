//! What a system call that receives will look up, looked up ahead: while it has changed nothing yet, and a preemption point
//! after each lookup can still stop it, to begin again later.
//!
//! Long are ways through CSpaces of many CNodes, the receiver's own and those of threads that wait to send. Whoever
//! receives finds them noted ([`lookup`]) and forgets them at the end.

use pecan_abi::{MessageInfo, ipc::buffer};
use pecan_arch::reg;
use pecan_mem::{EndpointState, Fault, Kernel, Link, Slot, Tcb, ThreadState, Words};

use crate::{
    base::{error::Preempted, message},
    cap::lookup,
    sched::preempt,
};

/// A capability that a message will bring before the system call receives.
#[derive(Clone, Copy)]
pub struct Arrival {
    /// The empty slot that it comes to.
    pub place: Link<Slot>,
    /// What it is a copy of.
    pub cap: Link<Slot>,
}

/// Whether a system call that receives names a reply object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Receive {
    /// It does, and takes over who calls.
    WithReply,
    /// It does not.
    WithoutReply,
}

/// True if a thread's CSpace is not, as far as that is known, the one CNode that takes whole addresses.
#[inline(always)]
pub fn is_far(k: &Kernel, thread: &Tcb) -> bool {
    thread.known_slot(k, 0).is_none()
}

/// A preemption point where nothing has changed yet.
///
/// # Errors
/// `Preempted`: the current thread makes its system call again.
pub fn point(k: &Kernel) -> Result<(), Preempted> {
    preempt::early_preemption_point(k)
        .inspect_err(|_| k.core().current.get().get(k).state.set(ThreadState::Restart))
}

/// Looks up what the current thread will look up to receive, if some of it is far.
///
/// # Errors
/// `Preempted`, see [`point`].
#[inline(never)]
pub fn receive(k: &Kernel, how: Receive, arrival: Option<Arrival>) -> Result<(), Preempted> {
    let thread = k.core().current.get().get(k);
    if is_far(k, thread) || waiting_sender(k, near_cap(k, thread)).is_some_and(|sender| is_far(k, sender)) {
        Ahead { k, arrival }.receive(thread, how).inspect_err(|_| lookup::forget(k))?;
    }
    Ok(())
}

/// The capability that a thread receives on, if it is near.
#[inline(always)]
fn near_cap(k: &Kernel, thread: &Tcb) -> Option<Words> {
    thread.known_slot(k, thread.context.get(reg::CAP)).map(|slot| slot.get(k).words())
}

/// The thread that waits to send capabilities at the endpoint that one is received on.
#[inline(always)]
fn waiting_sender(k: &Kernel, cap: Option<Words>) -> Option<&Tcb> {
    let ep = cap?.endpoint_for_receive()?.get(k);
    let sender = ep.head().filter(|_| ep.state() == EndpointState::Sending)?.get(k);
    let sends = MessageInfo(sender.context.get(reg::INFO)).extra_caps() > 0 && sender.fault() == Fault::None;
    sends.then_some(sender)
}

/// Lookups before a capability arrives.
struct Ahead<'k> {
    k: &'k Kernel,
    arrival: Option<Arrival>,
}

impl<'k> Ahead<'k> {
    fn receive(&self, thread: &Tcb, how: Receive) -> Result<(), Preempted> {
        let k = self.k;
        let Some(from) = self.cap(thread, thread.context.get(reg::CAP))? else { return Ok(()) };
        let cap = self.words(from);
        if how == Receive::WithReply && cap.endpoint_for_receive().is_some() {
            self.cap(thread, thread.context.get(reg::REPLY))?;
        }
        let Some(sender) = waiting_sender(k, Some(cap)) else { return Ok(()) };
        let Some(buf) = message::buffer_for_reading(k, sender) else { return Ok(()) };
        for i in 0..MessageInfo(sender.context.get(reg::INFO)).extra_caps() {
            let Some(_) = self.cap(sender, buf.get(buffer::CAPS_OR_BADGES + i))? else { return Ok(()) };
        }
        let Some(buf) = message::buffer_for_writing(k, thread) else { return Ok(()) };
        if let Some(root) = self.cap(thread, buf.get(buffer::RECEIVE_CNODE))? {
            let (index, depth) = (buf.get(buffer::RECEIVE_INDEX), buf.get(buffer::RECEIVE_DEPTH));
            if (1..=lookup::CPTR_BITS as u64).contains(&depth) {
                self.slot(self.source(root), index, depth as u32)?;
            }
        }
        Ok(())
    }

    /// The slot that a thread means by an address; `None` if it does not resolve.
    fn cap(&self, thread: &Tcb, address: u64) -> Result<Option<Link<Slot>>, Preempted> {
        match thread.known_slot(self.k, address) {
            Some(slot) => Ok(Some(slot)),
            None => self.slot(thread.slots[Tcb::SLOT_CSPACE].link(), address, lookup::CPTR_BITS),
        }
    }

    /// The slot that an address leads to from the CNode whose capability is in `root`.
    fn slot(&self, root: Link<Slot>, address: u64, depth: u32) -> Result<Option<Link<Slot>>, Preempted> {
        let found = lookup::find_ahead(self.k, root, address, depth);
        point(self.k)?;
        let Some((slot, left)) = found else { return Ok(None) };
        match self.leads_on(slot, left) {
            Some(cap) => self.beyond(cap, address, left),
            None => Ok(Some(slot)),
        }
    }

    /// The same where a CNode arrives in the slot that the address leads to now, with so many bits left. It may lead to
    /// that slot again.
    fn beyond(&self, cap: Link<Slot>, address: u64, depth: u32) -> Result<Option<Link<Slot>>, Preempted> {
        let mut left = depth;
        loop {
            let found = lookup::walk(self.k, cap, address, left);
            point(self.k)?;
            let Ok((slot, rest)) = found else { return Ok(None) };
            left = rest;
            if self.leads_on(slot, left).is_none() {
                lookup::note(self.k, cap, address, depth, (slot, left));
                return Ok(Some(slot));
            }
        }
    }

    /// What arrives in a slot if that is a CNode through which an address with so many bits left goes on.
    fn leads_on(&self, slot: Link<Slot>, left: u32) -> Option<Link<Slot>> {
        let source = self.source(slot);
        (source != slot && left > 0 && source.get(self.k).words().cnode().is_some()).then_some(source)
    }

    /// Where the capability is that a slot holds later.
    fn source(&self, slot: Link<Slot>) -> Link<Slot> {
        self.arrival.filter(|arrival| arrival.place == slot).map_or(slot, |arrival| arrival.cap)
    }

    /// The capability that a slot holds later.
    fn words(&self, slot: Link<Slot>) -> Words {
        self.source(slot).get(self.k).words()
    }
}
