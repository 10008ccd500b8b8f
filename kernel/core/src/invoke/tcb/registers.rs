//! Reading and writing the registers of threads.

use pecan_arch::{FRAME_REGISTERS, INTEGER_REGISTERS, Reg, reg};
use pecan_mem::{Kernel, Link, Tcb};

use crate::{
    base::{
        error::{Decoded, SyscallError},
        message,
    },
    invoke::{
        args,
        invocation::{Done, Invocation, Rest},
        tcb::Op,
    },
    ipc::stop,
    sched::next::Next,
};

/// Registers of a thread, in the order in which they are counted.
const COUNT: usize = FRAME_REGISTERS.len() + INTEGER_REGISTERS.len();

fn all() -> impl Iterator<Item = Reg> {
    FRAME_REGISTERS.iter().chain(INTEGER_REGISTERS).copied()
}

/// What copying registers does.
#[derive(Clone, Copy)]
pub(super) struct Copying {
    source: Link<Tcb>,
    suspend_source: bool,
    resume_target: bool,
    frame: bool,
    integer: bool,
}

pub(super) fn decode_read(k: &Kernel, inv: Invocation<'_>, tcb: Link<Tcb>) -> Decoded<Op> {
    let args::TcbReadRegisters { suspend_source, count, .. } = args::TcbReadRegisters::decode(k, inv)?;
    if !(1..=COUNT as u64).contains(&count) {
        return Err(SyscallError::RangeError(1, COUNT as u64));
    }
    not_current(k, tcb)?;
    Ok(Op::ReadRegisters { suspend: suspend_source, count: count as usize })
}

pub(super) fn decode_write(k: &Kernel, inv: Invocation<'_>, tcb: Link<Tcb>) -> Decoded<Op> {
    let args::TcbWriteRegisters { resume_target, count, regs, .. } = args::TcbWriteRegisters::decode(k, inv)?;
    if count > regs.count(inv) as u64 {
        return Err(SyscallError::TruncatedMessage);
    }
    not_current(k, tcb)?;
    Ok(Op::WriteRegisters { resume: resume_target, count: COUNT.min(count as usize), regs })
}

pub(super) fn decode_copy(k: &Kernel, inv: Invocation<'_>) -> Decoded<Op> {
    let args = args::TcbCopyRegisters::decode(k, inv)?;
    Ok(Op::CopyRegisters(Copying {
        source: args.source.get(k).words().tcb().ok_or(SyscallError::InvalidCapability(1))?,
        suspend_source: args.suspend_source,
        resume_target: args.resume_target,
        frame: args.transfer_frame,
        integer: args.transfer_integer,
    }))
}

/// The registers of the thread that asks are in use.
fn not_current(k: &Kernel, tcb: Link<Tcb>) -> Decoded<()> {
    if tcb == k.core().current.get() { Err(SyscallError::IllegalOperation) } else { Ok(()) }
}

pub(super) fn read(k: &Kernel, inv: Invocation<'_>, source: &Tcb, suspend: bool, count: usize) -> Done {
    if suspend {
        stop::suspend(k, source);
    }
    if !inv.call {
        return Done::ok();
    }
    let registers = all().take(count).map(|r| source.context.get(r));
    Done::answer(message::put_all(k, inv.thread.get(k), registers))
}

pub(super) fn write(
    k: &Kernel,
    inv: Invocation<'_>,
    target: &Tcb,
    resume: bool,
    count: usize,
    regs: Rest,
) -> Next {
    for (i, r) in all().take(count).enumerate() {
        target.context.set_user(r, regs.word(k, inv, i));
    }
    target.context.set(reg::NEXT_IP, target.context.get(reg::FAULT_IP));
    target.context.force_full_restore();
    if resume { stop::restart(k, target) } else { Next::Resume }
}

pub(super) fn copy(k: &Kernel, target: &Tcb, copying: Copying) -> Next {
    let Copying { source, suspend_source, resume_target, frame, integer } = copying;
    let source = source.get(k);
    let current = k.core().current.get();
    if suspend_source {
        stop::suspend(k, source);
    }
    let next = if resume_target { stop::restart(k, target) } else { Next::Resume };
    if source.link() == current || target.link() == current {
        pecan_arch::sync_context(&current.get(k).context);
    }
    if frame {
        for &r in FRAME_REGISTERS {
            target.context.set(r, source.context.get(r));
        }
        target.context.set(reg::NEXT_IP, target.context.get(reg::FAULT_IP));
    }
    if integer {
        for &r in INTEGER_REGISTERS {
            target.context.set(r, source.context.get(r));
        }
    }
    target.context.force_full_restore();
    if source.link() == current || target.link() == current {
        pecan_arch::load_context(&current.get(k).context);
    }
    next
}

pub(super) fn set_tls_base(k: &Kernel, target: &Tcb, base: u64) {
    let is_current = target.link() == k.core().current.get();
    if is_current {
        pecan_arch::sync_context(&target.context);
    }
    target.context.set_user(reg::TLS_BASE, base);
    if is_current {
        pecan_arch::load_context(&target.context);
    }
}
