//! Threads: the invocations on them, and their end.
//!
//! A thread may be changed while it runs, waits or is stopped, so whatever changes its place in a queue
//! (priority, domain, scheduling context) is left to the module that owns the queue. Decoding needs all
//! capabilities and authorities before anything is set: an invocation with several parts is refused as a
//! whole.

pub mod breakpoint;
mod registers;
mod space;
#[cfg(test)]
mod tests;

use pecan_abi::{Label, constants::tcb_flag};
use pecan_config::HARDWARE_DEBUG;
use pecan_mem::{Cap, Kernel, Link, Notification, SchedContext, Slot, Tcb, follow};
use registers::Copying;
use space::{Buffer, Install, Spaces};

use crate::{
    base::{
        error::{Decoded, Preempted, Stop, SyscallError},
        message,
    },
    invoke::{
        args,
        invocation::{Done, Invocation, Rest},
    },
    ipc::{notification, priority, stop},
    sched::{context, next::Next, units},
};

/// A decoded invocation on a thread.
enum Op {
    ReadRegisters { suspend: bool, count: usize },
    WriteRegisters { resume: bool, count: usize, regs: Rest },
    CopyRegisters(Copying),
    Configure { spaces: Spaces, buffer: Buffer },
    SetPriority(u8),
    SetMcp(u8),
    SetSchedParams { mcp: u8, priority: u8, sched_context: Option<Link<SchedContext>>, fault: Install },
    SetTimeoutEndpoint(Install),
    SetIpcBuffer(Buffer),
    SetSpace { fault: Install, spaces: Spaces },
    Suspend,
    Resume,
    BindNotification(Link<Notification>),
    UnbindNotification,
    SetTlsBase(u64),
    SetFlags { clear: u64, set: u64 },
    Debug(breakpoint::Op),
}

/// An invocation on a thread.
pub fn invoke(k: &mut Kernel, inv: Invocation<'_>) -> Result<Done, Stop> {
    let tcb = inv.words.tcb().ok_or(SyscallError::InvalidCapability(0))?;
    let op = decode(k, inv, tcb)?;
    Ok(commit(k, inv, tcb, op)?)
}

#[inline(never)]
fn decode(k: &Kernel, inv: Invocation<'_>, tcb: Link<Tcb>) -> Decoded<Op> {
    Ok(match inv.label() {
        Some(Label::TcbReadRegisters) => registers::decode_read(k, inv, tcb)?,
        Some(Label::TcbWriteRegisters) => registers::decode_write(k, inv, tcb)?,
        Some(Label::TcbCopyRegisters) => registers::decode_copy(k, inv)?,
        Some(Label::TcbConfigure) => {
            let args = args::TcbConfigure::decode(k, inv)?;
            let buffer = space::decode_buffer(k, args.buffer, args.buffer_frame)?;
            let cspace = (args.cspace_root, args.cspace_root_data);
            let vspace = (args.vspace_root, args.vspace_root_data);
            Op::Configure { spaces: space::decode_spaces(k, tcb, cspace, vspace)?, buffer }
        }
        Some(Label::TcbSetPriority) => {
            let args = args::TcbSetPriority::decode(k, inv)?;
            Op::SetPriority(priority(args.priority, authority(k, args.authority)?)?)
        }
        Some(Label::TcbSetMcPriority) => {
            let args = args::TcbSetMcPriority::decode(k, inv)?;
            Op::SetMcp(priority(args.mcp, authority(k, args.authority)?)?)
        }
        Some(Label::TcbSetSchedParams) => {
            let args = args::TcbSetSchedParams::decode(k, inv)?;
            let authority = authority(k, args.authority)?;
            let (mcp, prio) = (priority(args.mcp, authority)?, priority(args.priority, authority)?);
            let sched_context = decode_sched_context(k, args.sched_context, tcb)?;
            let fault = space::decode_handler(k, args.fault_ep, 3)?;
            Op::SetSchedParams { mcp, priority: prio, sched_context, fault }
        }
        Some(Label::TcbSetTimeoutEndpoint) => {
            let args = args::TcbSetTimeoutEndpoint::decode(k, inv)?;
            Op::SetTimeoutEndpoint(space::decode_handler(k, args.timeout_fault_ep, 1)?)
        }
        Some(Label::TcbSetIpcBuffer) => {
            let args = args::TcbSetIpcBuffer::decode(k, inv)?;
            Op::SetIpcBuffer(space::decode_buffer(k, args.buffer, args.buffer_frame)?)
        }
        Some(Label::TcbSetSpace) => {
            let args = args::TcbSetSpace::decode(k, inv)?;
            let cspace = (args.cspace_root, args.cspace_root_data);
            let vspace = (args.vspace_root, args.vspace_root_data);
            let spaces = space::decode_spaces(k, tcb, cspace, vspace)?;
            Op::SetSpace { fault: space::decode_handler(k, args.fault_ep, 1)?, spaces }
        }
        Some(Label::TcbSuspend) => Op::Suspend,
        Some(Label::TcbResume) => Op::Resume,
        Some(Label::TcbBindNotification) => Op::BindNotification(decode_bind(k, inv, tcb)?),
        Some(Label::TcbUnbindNotification) => {
            if tcb.get(k).bound_notification().is_none() {
                return Err(SyscallError::IllegalOperation);
            }
            Op::UnbindNotification
        }
        Some(Label::TcbSetTlsBase) => Op::SetTlsBase(args::TcbSetTlsBase::decode(k, inv)?.tls_base),
        Some(Label::TcbSetFlags) => {
            let args::TcbSetFlags { clear, set } = args::TcbSetFlags::decode(k, inv)?;
            Op::SetFlags { clear, set }
        }
        _ if HARDWARE_DEBUG => Op::Debug(breakpoint::decode(k, inv, inv.label())?),
        _ => return Err(SyscallError::IllegalOperation),
    })
}

/// The thread whose maximum controlled priority allows a change: the first extra capability.
fn authority(k: &Kernel, slot: Link<Slot>) -> Decoded<&Tcb> {
    follow(slot.get(k).words().tcb(), k).ok_or(SyscallError::InvalidCapability(1))
}

/// A priority that `authority` may give.
fn priority(word: u64, authority: &Tcb) -> Decoded<u8> {
    let max = authority.mcp.get();
    if word > max as u64 {
        return Err(SyscallError::RangeError(pecan_abi::constants::MIN_PRIORITY, max as u64));
    }
    Ok(word as u8)
}

/// The scheduling context that a thread is to run on: the second extra capability; null for none.
fn decode_sched_context(k: &Kernel, slot: Link<Slot>, tcb: Link<Tcb>) -> Decoded<Option<Link<SchedContext>>> {
    let thread = tcb.get(k);
    match slot.get(k).cap() {
        Cap::SchedContext { sc, .. } => {
            if thread.sched_context.get() != Some(sc) {
                context::check_bindable(k, sc.get(k), thread)?;
            }
            Ok(Some(sc))
        }
        // The current thread cannot go on without.
        Cap::Null if tcb == k.core().current.get() => Err(SyscallError::IllegalOperation),
        Cap::Null => Ok(None),
        _ => Err(SyscallError::InvalidCapability(2)),
    }
}

fn decode_bind(k: &Kernel, inv: Invocation<'_>, tcb: Link<Tcb>) -> Decoded<Link<Notification>> {
    let args::TcbBindNotification { notification } = args::TcbBindNotification::decode(k, inv)?;
    if tcb.get(k).bound_notification().is_some() {
        return Err(SyscallError::IllegalOperation);
    }
    match notification.get(k).words().notification_for_wait() {
        Some(ntfn) if ntfn.get(k).head.get().is_none() && ntfn.get(k).bound_tcb.get().is_none() => Ok(ntfn),
        _ => Err(SyscallError::IllegalOperation),
    }
}

fn commit(k: &mut Kernel, inv: Invocation<'_>, tcb: Link<Tcb>, op: Op) -> Result<Done, Preempted> {
    Ok(Done::new(match op {
        Op::ReadRegisters { suspend, count } => {
            return Ok(registers::read(k, inv, tcb.get(k), suspend, count));
        }
        Op::WriteRegisters { resume, count, regs } => {
            registers::write(k, inv, tcb.get(k), resume, count, regs)
        }
        Op::CopyRegisters(copying) => registers::copy(k, tcb.get(k), copying),
        Op::Configure { spaces, buffer } => {
            let next = space::install_spaces(k, inv, tcb, spaces)?.settle(k);
            let more = space::install_buffer(k, inv, tcb, buffer)?;
            next.and(k, more)
        }
        Op::SetPriority(priority) => priority::set_priority(k, tcb.get(k), priority),
        Op::SetMcp(mcp) => {
            tcb.get(k).mcp.set(mcp);
            Next::Resume
        }
        Op::SetSchedParams { mcp, priority, sched_context, fault } => {
            let next = space::install(k, inv, tcb, Tcb::SLOT_FAULT_HANDLER, fault)?.settle(k);
            let thread = tcb.get(k);
            thread.mcp.set(mcp);
            let next = next.and(k, priority::set_priority(k, thread, priority));
            next.and(k, set_sched_context(k, thread, sched_context))
        }
        Op::SetTimeoutEndpoint(handler) => space::install(k, inv, tcb, Tcb::SLOT_TIMEOUT_HANDLER, handler)?,
        Op::SetIpcBuffer(buffer) => space::install_buffer(k, inv, tcb, buffer)?,
        Op::SetSpace { fault, spaces } => {
            let next = space::install(k, inv, tcb, Tcb::SLOT_FAULT_HANDLER, fault)?.settle(k);
            let more = space::install_spaces(k, inv, tcb, spaces)?;
            next.and(k, more)
        }
        Op::Suspend => {
            stop::suspend(k, tcb.get(k));
            Next::Resume
        }
        Op::Resume => stop::restart(k, tcb.get(k)),
        Op::BindNotification(ntfn) => {
            notification::bind(tcb.get(k), ntfn.get(k));
            Next::Resume
        }
        Op::UnbindNotification => {
            notification::unbind_tcb(k, tcb.get(k));
            Next::Resume
        }
        Op::SetTlsBase(base) => {
            registers::set_tls_base(k, tcb.get(k), base);
            Next::Resume
        }
        Op::SetFlags { clear, set } => return Ok(set_flags(k, inv, tcb.get(k), clear, set)),
        Op::Debug(op) => return Ok(breakpoint::commit(k, inv, tcb.get(k), op)),
    }))
}

fn set_sched_context(k: &Kernel, thread: &Tcb, sc: Option<Link<SchedContext>>) -> Next {
    match (thread.sched_context.get(), sc) {
        (old, Some(sc)) if old != Some(sc) => context::bind_tcb(k, sc.get(k), thread),
        (Some(old), None) => {
            context::unbind_tcb(k, old.get(k));
            Next::Resume
        }
        _ => Next::Resume,
    }
}

fn set_flags(k: &Kernel, inv: Invocation<'_>, thread: &Tcb, clear: u64, set: u64) -> Done {
    let flags = (thread.flags() as u64 & !clear | set) & tcb_flag::MASK;
    thread.set_flags(flags as u8);
    if flags & tcb_flag::FPU_DISABLED != 0 {
        units::release_fpu(k, thread, true);
    }
    // Saving another thread's registers has switched the unit on.
    units::load_units(k, k.core().current.get().get(k));
    if inv.call {
        message::put(k, inv.thread.get(k), 0, flags);
    }
    Done::answer(1)
}
