//! The fast paths: `Call`, `ReplyRecv` and faults between threads that are ready for it.
//!
//! They do what the slow path would, for the case that servers spend their lives in: no capabilities in the message,
//! a passive server that runs on its caller's scheduling context. First everything is looked at and nothing is
//! changed; if something is out of the ordinary the answer is a [`Miss`], and the slow path runs as if nothing had
//! been tried. As no scheduling context ends or begins, the clock is not read. Signals that wake nobody, and those that are
//! there already, are in [`signals`].
//!
//! Those of the system calls are tried in two forms. The first one is for threads and endpoints of the ordinary kind:
//! their spaces are known ([`Running::words`], [`Tcb::ready`]), one server waits at most. It calls no function, and
//! leaves the last registers to whoever returns to user level ([`Switch`]). Where there is only more to move, or vector
//! registers are to be loaded, [`call_met`] and [`reply_met`] go on with what it has found ([`Met`]), so that neither
//! saves registers for the other; [`reply_fault`] answers a fault. The other form works spaces out, and goes behind other
//! servers.

pub mod signals;
#[cfg(test)]
mod tests;

use core::hint::cold_path;

use pecan_abi::ipc::MSG_MAX_LENGTH;
use pecan_arch::reg;
use pecan_config::NUM_DOMAINS;
use pecan_mem::{
    Endpoint, EndpointState, Fault, Kernel, Link, NotificationState, Reply, ReplyNext, Running, Slot, Tcb,
    ThreadState, follow, vspace::Space,
};

use crate::{
    base::message::{self, INFO_SHAPE, Placed},
    cap::lookup,
    ipc::{fault_message, queue},
    sched::{ready, units},
    space::known,
};

/// Where the label begins in a message information word.
const INFO_LABEL: u32 = 12;

/// The receiver's message information: the sender's less what the kernel says of unwrapped capabilities.
const INFO_MASK: u64 = !0xe00;

/// The length in a message information word.
const INFO_LENGTH: u64 = 0x7f;

/// Why a fast path was not taken. Nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Miss {
    /// The other form of the fast path may do.
    OtherForm,
    /// This is for the slow path.
    Slow,
    /// This is for the slow path, for the capability in this slot.
    At(Link<Slot>),
    /// The first form would do, but for what there is to move or to load: this is for [`call_met`] or [`reply_met`].
    Met(Met),
    /// The first form would do, but the caller is one that faulted: this is for [`reply_fault`].
    Faulty(Met),
}

/// What the first form has found where two threads meet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Met {
    /// Who gets the message: the server of a call, the caller of an answer.
    pub to: Link<Tcb>,
    /// Where the server waits, or will.
    pub ep: Link<Endpoint>,
    /// What the caller waits on, or will.
    pub reply: Link<Reply>,
    /// The badge of a call.
    pub badge: u64,
}

/// A switch between threads of the ordinary kind, complete but for the registers.
pub struct Switch<'k> {
    /// Who ran.
    pub from: &'k Tcb,
    /// Who is about to run.
    pub to: Resumed<'k>,
}

impl<'k> Switch<'k> {
    /// Exchanges what the processor holds of the threads beside the registers of their contexts, if a few instructions
    /// do. If not, [`Switch::finish_long`] is to be called.
    #[inline(always)]
    pub fn finish(&self) -> bool {
        pecan_arch::short_context_switch(&self.from.context, &self.to.thread.context)
    }

    /// [`Switch::finish`] where it could not. Returns the thread, which is the current one then.
    pub fn finish_long(self, k: &Kernel) -> Link<Tcb> {
        pecan_arch::context_switch(&self.from.context, &self.to.thread.context);
        self.to.settle(k)
    }

    /// Completes what is left to whoever returns to user level. Returns the thread, which is the current one then.
    pub fn settle(self, k: &Kernel) -> Link<Tcb> {
        if self.finish() { self.to.settle(k) } else { self.finish_long(k) }
    }
}

/// A thread that is about to run, but neither noted as the current one nor with all registers in its context. Only the fast
/// paths make one.
/// ```compile_fail,E0451
/// # use pecan_core::entry::fast::Resumed;
/// fn any(thread: &pecan_mem::Tcb) -> Resumed<'_> {
///     Resumed { thread, cap: 0, info: 0 }
/// }
/// ```
pub struct Resumed<'k> {
    pub(super) thread: &'k Tcb,
    pub(super) cap: u64,
    pub(super) info: u64,
}

impl<'k> Resumed<'k> {
    /// The thread, and what it is to find in [`reg::CAP`] and [`reg::INFO`].
    #[inline(always)]
    pub fn parts(self) -> (&'k Tcb, u64, u64) {
        (self.thread, self.cap, self.info)
    }

    /// Makes it the current thread, with the registers in its context.
    pub fn settle(self, k: &Kernel) -> Link<Tcb> {
        self.thread.context.set(reg::CAP, self.cap);
        self.thread.context.set(reg::INFO, self.info);
        k.set_current(self.thread);
        self.thread.link()
    }
}

/// `Call` on the capability at `cptr`, in the first form.
#[inline(always)]
pub fn call<'k>(k: &'k Kernel, running: Running<'k>, cptr: u64) -> Result<Switch<'k>, Miss> {
    let caller = running.get();
    // Read from memory where it is wanted, which leaves a register for what is looked at.
    let info = || caller.context.get(reg::INFO);
    let cap = running.words(k, cptr).ok_or(Miss::OtherForm)?;
    let Some(ep) = cap.endpoint_for_call() else {
        return Err(match running.slot(cptr) {
            Some(slot) if !cap.is_null() => Miss::At(slot),
            _ => Miss::OtherForm,
        });
    };
    let ep = ep.get(k);
    let server = ep.one_receiver().ok_or(Miss::OtherForm)?.get(k);
    let reply = free_server(k, server)?;
    let space = match server.ready(k) {
        Some(space) if info() & INFO_SHAPE == 0 => space,
        _ => {
            let (to, reply) = (server.link(), reply.link());
            return Err(Miss::Met(Met { to, ep: ep.link(), reply, badge: cap.badge() }));
        }
    };
    let cap = cap.badge();
    ep.set_idle();
    lend(k, caller, server, reply);
    Ok(switch(k, caller, Resumed { thread: server, cap, info: info() & INFO_MASK }, space))
}

/// A call that the first form would take, but for words of the message, or for the server's vector registers, which have to
/// be loaded.
#[inline(always)]
pub fn call_met<'k>(k: &'k Kernel, running: Running<'k>, met: Met) -> Result<Switch<'k>, Miss> {
    let (caller, server) = (running.get(), met.to.get(k));
    let info = caller.context.get(reg::INFO);
    let message = Placed::new(k, caller, server, info & INFO_SHAPE).ok_or(Miss::OtherForm)?;
    let space = units::make_ready(k, server).ok_or(Miss::OtherForm)?;
    met.ep.get(k).set_idle();
    lend(k, caller, server, met.reply.get(k));
    message.copy(caller, server);
    Ok(switch(k, caller, Resumed { thread: server, cap: met.badge, info: info & INFO_MASK }, space))
}

/// The reply object of a server that waits for calls, if the caller can lend it its scheduling context and it may run at
/// once.
#[inline(always)]
fn free_server<'k>(k: &'k Kernel, server: &Tcb) -> Result<&'k Reply, Miss> {
    let reply = server.state.receives_with().ok_or(Miss::Slow)?.get(k);
    if server.sched_context.get().is_some() {
        return Err(Miss::Slow);
    }
    may_run(k, server)?;
    Ok(reply)
}

/// `Call` in the other form, with the capability and the message information in the registers.
pub fn call_other_form<'k>(k: &'k Kernel, running: Running<'k>) -> Result<&'k Tcb, Miss> {
    let caller = running.get();
    let (cptr, info) = (caller.context.get(reg::CAP), caller.context.get(reg::INFO));
    if info & INFO_SHAPE > MSG_MAX_LENGTH as u64 {
        return Err(Miss::Slow);
    }
    let cap = lookup::cap(k, caller, cptr).map_err(|_| Miss::Slow)?.get(k).words();
    let ep = cap.endpoint_for_send().ok_or(Miss::Slow)?.get(k);
    if !cap.endpoint_grant_or_grant_reply() {
        return Err(Miss::Slow);
    }
    let (server, space) = callee(k, caller, ep)?;
    Ok(finish_call(k, caller, server, space, cap.badge(), info))
}

/// A fault of the current thread, which calls its handler with it. In the first form.
#[inline(always)]
pub fn fault<'k>(k: &'k Kernel, running: Running<'k>, fault: Fault) -> Result<Switch<'k>, Miss> {
    let faulty = running.get();
    let cap = faulty.slots[Tcb::SLOT_FAULT_HANDLER].words();
    let ep = cap.endpoint_for_call().ok_or(Miss::OtherForm)?.get(k);
    let server = ep.one_receiver().ok_or(Miss::OtherForm)?.get(k);
    let reply = free_server(k, server)?;
    let message = fault_message::Short::new(k, faulty, fault, server).ok_or(Miss::OtherForm)?;
    let space = units::make_ready(k, server).ok_or(Miss::OtherForm)?;
    ep.set_idle();
    lend(k, faulty, server, reply);
    faulty.set_fault(fault);
    let info = message.put(server);
    Ok(switch(k, faulty, Resumed { thread: server, cap: cap.badge(), info }, space))
}

/// [`fault()`] in the other form. Returns the thread to run.
pub fn fault_other_form<'k>(k: &'k Kernel, running: Running<'k>, fault: Fault) -> Result<&'k Tcb, Miss> {
    let faulty = running.get();
    let cap = faulty.slots[Tcb::SLOT_FAULT_HANDLER].words();
    let ep = cap.endpoint_for_send().ok_or(Miss::Slow)?.get(k);
    if !cap.endpoint_grant_or_grant_reply() {
        return Err(Miss::Slow);
    }
    let (server, space) = callee(k, faulty, ep)?;
    leave_and_lend(k, faulty, server);
    faulty.set_fault(fault);
    fault_message::deliver(k, faulty, fault, cap.badge(), server);
    Ok(enter(k, faulty, server, space))
}

/// The server at the head of an endpoint's queue and its address space, if the caller can lend it its scheduling context
/// and it may run at once.
#[inline]
fn callee<'k>(k: &'k Kernel, caller: &Tcb, ep: &Endpoint) -> Result<(&'k Tcb, Space<'k>), Miss> {
    let server = ep.receiver().ok_or(Miss::Slow)?.get(k);
    if server.state.receives_with().is_none()
        || server.sched_context.get().is_some()
        || caller.sched_context.get() != Some(k.core().current_sc.get())
    {
        return Err(Miss::Slow);
    }
    may_run(k, server)?;
    Ok((server, known::space(k, server).ok_or(Miss::Slow)?))
}

/// A call to the server at the head of a queue, whatever there is to move. Returns the server, which is the current thread
/// now.
#[inline(never)]
fn finish_call<'k>(
    k: &'k Kernel,
    caller: &Tcb,
    server: &'k Tcb,
    space: Space<'k>,
    badge: u64,
    info: u64,
) -> &'k Tcb {
    leave_and_lend(k, caller, server);
    deliver_any(k, caller, server, badge, info);
    enter(k, caller, server, space)
}

/// The server leaves the queue of which it is the head, and gets the caller's scheduling context.
#[inline]
fn leave_and_lend(k: &Kernel, caller: &Tcb, server: &Tcb) {
    let ThreadState::BlockedOnReceive { ep, reply: Some(reply) } = server.state.get() else {
        debug_assert!(false, "a server waits for calls");
        return;
    };
    let ep = ep.get(k);
    match server.ipc_queue.next.get() {
        Some(next) => {
            cold_path();
            queue::promote(k, server, next);
            ep.set_queue(EndpointState::Receiving, Some(next), ep.tail());
        }
        None => ep.set_idle(),
    }
    lend(k, caller, server, reply.get(k));
}

/// The caller waits on the reply object, on top of the call stack, and its scheduling context goes to the server.
#[inline(always)]
fn lend(k: &Kernel, caller: &Tcb, server: &Tcb, reply: &Reply) {
    // The thread that runs has the scheduling context that is charged.
    let sc = k.core().current_sc.get();
    debug_assert!(caller.sched_context.get() == Some(sc));
    let (link, sc_ref) = (reply.link(), sc.get(k));
    let below = sc_ref.reply.replace(Some(link));
    reply.tcb.set(Some(caller.link()));
    reply.prev.set(below);
    if let Some(below) = below {
        cold_path();
        below.get(k).set_next(ReplyNext::Reply(link));
    }
    reply.set_next(ReplyNext::SchedContext(sc));
    caller.state.set(ThreadState::BlockedOnReply { reply: Some(link) });
    caller.sched_context.set(None);
    server.sched_context.set(Some(sc));
    sc_ref.tcb.set(Some(server.link()));
}

/// `ReplyRecv`: answers the caller that waits on the reply object, and waits at the endpoint at `cptr`. In the first form.
#[inline(always)]
pub fn reply_recv<'k>(k: &'k Kernel, running: Running<'k>, cptr: u64) -> Result<Switch<'k>, Miss> {
    let server = running.get();
    let info = || server.context.get(reg::INFO);
    let cap = running.words(k, cptr).ok_or(Miss::OtherForm)?;
    let ep = cap.endpoint_for_receive().ok_or(Miss::OtherForm)?.get(k);
    let reply = running.words(k, server.context.get(reg::REPLY)).ok_or(Miss::OtherForm)?;
    let reply = reply.reply().ok_or(Miss::OtherForm)?.get(k);
    let caller = answered(k, reply)?;
    if !ep.is_idle() || server.has_notification() {
        return Err(Miss::OtherForm);
    }
    may_run(k, caller)?;
    let space = match caller.ready(k) {
        Some(space) if info() & INFO_SHAPE == 0 => space,
        _ => {
            let (to, reply) = (caller.link(), reply.link());
            let met = Met { to, ep: ep.link(), reply, badge: 0 };
            return Err(if caller.is_faulty() { Miss::Faulty(met) } else { Miss::Met(met) });
        }
    };
    ep.set_one_receiver(server.link());
    give_back(k, server, caller, ep, reply);
    Ok(switch(k, server, Resumed { thread: caller, cap: 0, info: info() & INFO_MASK }, space))
}

/// An answer that the first form would take, but for words of the message, or for the caller's vector registers, which have
/// to be loaded.
#[inline(always)]
pub fn reply_met<'k>(k: &'k Kernel, running: Running<'k>, met: Met) -> Result<Switch<'k>, Miss> {
    let (server, caller, ep) = (running.get(), met.to.get(k), met.ep.get(k));
    let info = server.context.get(reg::INFO);
    let message = Placed::new(k, server, caller, info & INFO_SHAPE).ok_or(Miss::OtherForm)?;
    let space = units::make_ready(k, caller).ok_or(Miss::OtherForm)?;
    ep.set_one_receiver(server.link());
    give_back(k, server, caller, ep, met.reply.get(k));
    message.copy(server, caller);
    Ok(switch(k, server, Resumed { thread: caller, cap: 0, info: info & INFO_MASK }, space))
}

/// An answer that the first form would take, but for the fault of the one that waits for it.
#[inline(always)]
pub fn reply_fault<'k>(k: &'k Kernel, running: Running<'k>, met: Met) -> Result<Switch<'k>, Miss> {
    let (server, faulty, ep) = (running.get(), met.to.get(k), met.ep.get(k));
    let answer =
        fault_message::ShortAnswer::new(faulty, server.context.get(reg::INFO)).ok_or(Miss::OtherForm)?;
    let space = units::make_ready_after_fault(k, faulty).ok_or(Miss::OtherForm)?;
    ep.set_one_receiver(server.link());
    give_back(k, server, faulty, ep, met.reply.get(k));
    faulty.set_fault(Fault::None);
    answer.apply(server, faulty);
    let (cap, info) = (faulty.context.get(reg::CAP), faulty.context.get(reg::INFO));
    Ok(switch(k, server, Resumed { thread: faulty, cap, info }, space))
}

/// Fails if the answer is one to a fault that is not for a fast path: it may leave the thread stopped, and
/// the time of one that is out of time is another matter.
#[inline(always)]
fn answers_fault(caller: &Tcb, info: u64) -> Result<(), Miss> {
    match caller.fault() {
        Fault::None => Ok(()),
        Fault::Timeout { .. } => Err(Miss::Slow),
        _ if info >> INFO_LABEL != 0 => Err(Miss::Slow),
        _ => Ok(()),
    }
}

/// The thread that waits for the answer, if it gets back the scheduling context that the server runs on: only the top of a
/// call stack has one to give.
#[inline(always)]
fn answered<'k>(k: &'k Kernel, reply: &Reply) -> Result<&'k Tcb, Miss> {
    if !reply.is_top_of(k.core().current_sc.get()) {
        return Err(Miss::Slow);
    }
    let caller = reply.tcb.get().ok_or(Miss::Slow)?.get(k);
    if caller.sched_context.get().is_some() { Err(Miss::Slow) } else { Ok(caller) }
}

/// `ReplyRecv` in the other form, with the capability and the message information in the registers.
pub fn reply_recv_other_form<'k>(k: &'k Kernel, running: Running<'k>) -> Result<&'k Tcb, Miss> {
    let server = running.get();
    let (cptr, info) = (server.context.get(reg::CAP), server.context.get(reg::INFO));
    if info & INFO_SHAPE > MSG_MAX_LENGTH as u64 {
        return Err(Miss::Slow);
    }
    let look_up = |cptr| lookup::cap(k, server, cptr).map_err(|_| Miss::Slow).map(|slot| slot.get(k).words());
    let ep = look_up(cptr)?.endpoint_for_receive().ok_or(Miss::Slow)?.get(k);
    let reply = look_up(server.context.get(reg::REPLY))?.reply().ok_or(Miss::Slow)?.get(k);
    let caller = answered(k, reply)?;
    if server.sched_context.get() != Some(k.core().current_sc.get()) || !waits(k, server, ep) {
        return Err(Miss::Slow);
    }
    answers_fault(caller, info)?;
    may_run(k, caller)?;
    let space = known::space(k, caller).ok_or(Miss::Slow)?;
    Ok(finish_reply(k, server, caller, ep, space, info))
}

/// An answer to the caller, whatever there is to move; the server waits at the endpoint, behind others. Returns
/// the caller, which is the current thread now.
#[inline(never)]
fn finish_reply<'k>(
    k: &'k Kernel,
    server: &Tcb,
    caller: &'k Tcb,
    ep: &Endpoint,
    space: Space<'k>,
    info: u64,
) -> &'k Tcb {
    let ThreadState::BlockedOnReply { reply: Some(reply) } = caller.state.get() else {
        debug_assert!(false, "a caller waits for its answer");
        return server_stays(k);
    };
    match ep.tail() {
        Some(tail) => {
            cold_path();
            queue::join_peers(k, tail.get(k), server);
            tail.get(k).ipc_queue.next.set(Some(server.link()));
            server.ipc_queue.prev.set(Some(tail));
            ep.set_queue(EndpointState::Receiving, ep.head(), Some(server.link()));
        }
        None => ep.set_one_receiver(server.link()),
    }
    give_back(k, server, caller, ep, reply.get(k));
    let fault = caller.fault();
    if fault == Fault::None {
        deliver_any(k, server, caller, 0, info);
    } else {
        caller.set_fault(Fault::None);
        fault_message::apply_reply(k, fault, server, caller);
        caller.context.set(reg::NEXT_IP, caller.context.get(reg::FAULT_IP));
    }
    enter(k, server, caller, space)
}

#[cold]
fn server_stays(k: &Kernel) -> &Tcb {
    k.core().current.get().get(k)
}

/// The server waits at the endpoint with the reply object, which leaves the call stack; the scheduling context goes back
/// to the caller.
#[inline(always)]
fn give_back(k: &Kernel, server: &Tcb, caller: &Tcb, ep: &Endpoint, reply: &Reply) {
    server.state.set(ThreadState::BlockedOnReceive { ep: ep.link(), reply: Some(reply.link()) });
    let sc = k.core().current_sc.get();
    let (below, sc_ref) = (reply.prev.get(), sc.get(k));
    sc_ref.reply.set(below);
    if let Some(below) = below {
        cold_path();
        reply.prev.set(None);
        below.get(k).set_next(ReplyNext::SchedContext(sc));
    }
    reply.set_next(ReplyNext::None);
    reply.tcb.set(Some(server.link()));
    server.sched_context.set(None);
    caller.sched_context.set(Some(sc));
    sc_ref.tcb.set(Some(caller.link()));
}

/// True if the server will wait at the endpoint, and at the tail of its queue: nobody sends, no signal of its
/// bound notification is pending, and nobody of a lower priority waits already.
#[inline(always)]
fn waits(k: &Kernel, server: &Tcb, ep: &Endpoint) -> bool {
    let queue_ok = match ep.state() {
        EndpointState::Idle => true,
        EndpointState::Receiving => {
            follow(ep.tail(), k).is_some_and(|tail| tail.priority.get() >= server.priority.get())
        }
        EndpointState::Sending => false,
    };
    queue_ok
        && follow(server.bound_notification(), k)
            .is_none_or(|ntfn| ntfn.state.get() != NotificationState::Active)
}

/// Fails unless the thread is of the current domain, and nobody who is ready beats it.
#[inline(always)]
fn may_run(k: &Kernel, thread: &Tcb) -> Result<(), Miss> {
    if NUM_DOMAINS > 1 && thread.domain.get() != k.core().domain.get() {
        return Err(Miss::Slow);
    }
    if ready::is_highest(k, thread.priority.get()) { Ok(()) } else { Err(Miss::Slow) }
}

/// Moves a message, which has no more words than there can be.
#[inline(always)]
fn deliver(k: &Kernel, from: &Tcb, to: &Tcb, badge: u64, info: u64) {
    let moved = message::copy(k, from, to, (info & INFO_LENGTH) as usize);
    to.context.set(reg::CAP, badge);
    to.context.set(reg::INFO, info & INFO_MASK & !INFO_LENGTH | moved as u64);
}

/// Switches between threads of the ordinary kind.
#[inline(always)]
fn switch<'k>(k: &'k Kernel, from: &'k Tcb, to: Resumed<'k>, space: Space<'k>) -> Switch<'k> {
    to.thread.state.set(ThreadState::Running);
    k.switch_vspace(space);
    Switch { from, to }
}

/// [`deliver`] where an instruction more does not count.
#[inline(never)]
fn deliver_any(k: &Kernel, from: &Tcb, to: &Tcb, badge: u64, info: u64) {
    deliver(k, from, to, badge, info);
}

/// Makes `to` the current thread, on the scheduling context that it has just been given.
#[inline(always)]
fn enter<'k>(k: &Kernel, from: &Tcb, to: &'k Tcb, space: Space<'_>) -> &'k Tcb {
    let ready = to.ready(k).is_some();
    k.set_current(to);
    to.state.set(ThreadState::Running);
    k.switch_vspace(space);
    if !ready || !pecan_arch::short_context_switch(&from.context, &to.context) {
        enter_unready(k, from, to);
    }
    to
}

#[inline(never)]
fn enter_unready(k: &Kernel, from: &Tcb, to: &Tcb) {
    units::switch_units(k, to);
    pecan_arch::context_switch(&from.context, &to.context);
}
