//! System calls on the slow path.

use pecan_abi::{Syscall, extension::LATENCY_REPORT};
use pecan_arch::{Reg, reg};
use pecan_config::BENCHMARK;
use pecan_mem::{Fault, Kernel, Link, Slot, Tcb};

use crate::{
    base::{error::Preempted, latency},
    cap::lookup,
    entry::{benchmark, debug, exception, interrupt, leave, receive},
    invoke::{
        self, How,
        end::{End, Run},
    },
    ipc::{
        ahead::{self, Receive},
        end,
    },
    sched::{budget, choose, next::Next},
};

/// Ends with the thread to run next.
pub struct Scheduled;

impl End for Scheduled {
    type Out = Link<Tcb>;

    fn end(k: &mut Kernel, result: Result<Next, Preempted>) -> Link<Tcb> {
        after(k, result)
    }
}

impl Run for Scheduled {
    fn run(_k: &mut Kernel, thread: Link<Tcb>) -> Link<Tcb> {
        thread
    }
}

/// The thread to run after a system call that has come to this.
#[inline(always)]
pub fn after(k: &mut Kernel, result: Result<Next, Preempted>) -> Link<Tcb> {
    let next = settled(k, result);
    leave::schedule(k, next)
}

#[inline(always)]
fn settled(k: &mut Kernel, result: Result<Next, Preempted>) -> Next {
    match result {
        Ok(next) => next,
        Err(Preempted) => interrupt::pending_interrupts(k),
    }
}

/// A system call of the current thread, by its number. The arguments are in the thread's registers.
#[inline(always)]
pub fn syscall<E: Run>(k: &mut Kernel, number: i64) -> E::Out {
    let call = match Syscall::from_number(number) {
        Some(call) if Syscall::is_core(number) => call,
        _ => {
            let next = special_syscall(k, number);
            return E::run(k, next);
        }
    };
    core_syscall::<E>(k, call)
}

/// A system call that every profile has.
#[inline(always)]
pub fn core_syscall<E: Run>(k: &mut Kernel, call: Syscall) -> E::Out {
    let result = match begin_call(k) {
        Ok(()) => match call {
            Syscall::Call => return invoke_named::<E>(k, How::Call),
            Syscall::Send => return invoke_named::<E>(k, How::Send),
            Syscall::NBSend => return invoke_named::<E>(k, How::NBSend),
            Syscall::Yield => Ok(budget::yield_now(k)),
            _ => receive_call(k, call),
        },
        Err(next) => Ok(next),
    };
    let next = settled(k, result);
    let next = choose::schedule(k, next).link();
    E::run(k, next)
}

/// Invokes the capability that the current thread's registers name.
#[inline(always)]
fn invoke_named<E: End>(k: &mut Kernel, how: How) -> E::Out {
    let cptr = k.core().current.get().get(k).context.get(reg::CAP);
    invoke::invoke::<E>(k, cptr, how)
}

/// A `Call` of the current thread, on a capability that its registers name.
#[inline(always)]
pub fn call<E: End>(k: &mut Kernel) -> E::Out {
    match begin_call(k) {
        Ok(()) => invoke_named::<E>(k, How::Call),
        Err(next) => E::end(k, Ok(next)),
    }
}

/// `Call` on the capability in a slot, which the fast path has found but is not for.
#[inline(always)]
pub fn call_at<E: End>(k: &mut Kernel, slot: Link<Slot>) -> E::Out {
    match begin_call(k) {
        Ok(()) => invoke::call_at::<E>(k, slot),
        Err(next) => E::end(k, Ok(next)),
    }
}

/// A system call begins, if the current thread has time left for it; else, what the scheduler must do.
#[inline(always)]
fn begin_call(k: &Kernel) -> Result<(), Next> {
    budget::update_time(k);
    end::check_budget_restart(k)
}

/// The system calls that are not in every profile, do not touch the scheduler, or do not exist.
pub fn special_syscall(k: &mut Kernel, number: i64) -> Link<Tcb> {
    #[inline(never)]
    fn others(k: &mut Kernel, number: i64) -> Link<Tcb> {
        rare_syscall(k, number)
    }
    match number {
        // It is only there to be entered and left: nothing that others need comes before it.
        NULL if BENCHMARK => k.core().current.get(),
        _ if BENCHMARK => others(k, number),
        _ => rare_syscall(k, number),
    }
}

const NULL: i64 = Syscall::BenchmarkNullSyscall as i64;

#[inline(always)]
fn rare_syscall(k: &mut Kernel, number: i64) -> Link<Tcb> {
    let current = k.core().current.get();
    match Syscall::from_number(number) {
        Some(call)
            if set_tls_base(k, call)
                || debug::syscall(k, current.get(k), call)
                || BENCHMARK && benchmark::syscall(k, call) =>
        {
            current
        }
        None if pecan_config::DEBUG && number == LATENCY_REPORT => {
            latency::report(k, current.get(k));
            current
        }
        _ => unknown_syscall(k, number),
    }
}

#[cold]
fn unknown_syscall(k: &mut Kernel, number: i64) -> Link<Tcb> {
    exception::fault_current(k, Fault::UnknownSyscall { number: number as u64 })
}

fn set_tls_base(k: &Kernel, call: Syscall) -> bool {
    if !pecan_config::SET_TLS_BASE_SELF || call != Syscall::SetTLSBase {
        return false;
    }
    let context = &k.core().current.get().get(k).context;
    pecan_arch::sync_context(context);
    context.set_user(reg::TLS_BASE, context.get(reg::CAP));
    pecan_arch::load_context(context);
    true
}

/// The system calls that receive.
#[inline(never)]
fn receive_call(k: &Kernel, call: Syscall) -> Result<Next, Preempted> {
    use Receive::{WithReply, WithoutReply};
    let result = match call {
        Syscall::Recv => receive(k, true, WithReply),
        Syscall::NBRecv => receive(k, false, WithReply),
        Syscall::Wait => receive(k, true, WithoutReply),
        Syscall::NBWait => receive(k, false, WithoutReply),
        Syscall::ReplyRecv => send_and_receive(k, reg::REPLY, WithReply),
        Syscall::NBSendRecv => send_and_receive(k, reg::SEND_DEST, WithReply),
        Syscall::NBSendWait => send_and_receive(k, reg::REPLY, WithoutReply),
        _ => Ok(Next::Resume),
    };
    lookup::forget(k);
    result
}

#[inline(always)]
fn receive(k: &Kernel, blocking: bool, how: Receive) -> Result<Next, Preempted> {
    if ahead::is_far(k, k.core().current.get().get(k)) {
        ahead::receive(k, how, None)?;
    }
    Ok(receive::receive(k, blocking, how))
}

/// Sends through the capability that a register names, and receives.
#[inline(always)]
fn send_and_receive(k: &Kernel, to: Reg, how: Receive) -> Result<Next, Preempted> {
    let cptr = k.core().current.get().get(k).context.get(to);
    let next = invoke::first_phase(k, cptr, how)?;
    Ok(next.and(k, receive::receive(k, true, how)))
}
