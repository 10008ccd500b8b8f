//! Where the kernel is entered: system calls, exceptions and interrupts. Each returns the thread to run next.

use pecan_abi::{Syscall, extension::LATENCY_REPORT};
use pecan_arch::{Exception, IRQ_TIMER, reg};
use pecan_config::BENCHMARK;
use pecan_mem::{Fault, Kernel, Link, LookupFailure, Slot, Tcb};

use crate::{
    benchmark, breakpoint, budget, debug,
    end::{End, Run},
    endpoint,
    error::Preempted,
    fault,
    invoke::{self, How},
    irq,
    latency::{self, Entry},
    lookup, notification,
    scheduler::{self, Next},
};

/// The kernel is entered; `number` is that of the system call (with its sign), or the vector.
#[inline(always)]
pub fn begin(k: &Kernel, why: Entry, number: u64) {
    latency::begin(k, why, number);
    benchmark::begin(k, why, number);
}

/// The kernel is left.
#[inline(always)]
pub fn leave(k: &Kernel) {
    benchmark::leave(k);
    latency::leave(k);
}

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
    schedule(k, next)
}

#[inline(always)]
fn settled(k: &mut Kernel, result: Result<Next, Preempted>) -> Next {
    match result {
        Ok(next) => next,
        Err(Preempted) => pending_interrupts(k),
    }
}

/// A system call of the current thread, by its number. The arguments are in the thread's registers.
#[inline(always)]
pub fn syscall<E: Run>(k: &mut Kernel, number: i64) -> E::Out {
    let call = match Syscall::from_number(number) {
        Some(call) if is_core_syscall(number) => call,
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
            Syscall::Call => return invoke_named::<E>(k, How::CALL),
            Syscall::Send => return invoke_named::<E>(k, SEND),
            Syscall::NBSend => return invoke_named::<E>(k, How { blocking: false, ..SEND }),
            Syscall::Yield => Ok(budget::yield_now(k)),
            _ => receive_call(k, call),
        },
        Err(next) => Ok(next),
    };
    let next = settled(k, result);
    let next = scheduler::schedule(k, next).link();
    E::run(k, next)
}

const SEND: How = How { call: false, blocking: true, donate: false };

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
        Ok(()) => invoke_named::<E>(k, How::CALL),
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
    budget::check_budget_restart(k)
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

/// An exception of the current thread.
pub fn exception(k: &mut Kernel, exception: Exception) -> Link<Tcb> {
    match exception {
        Exception::Debug { software } => debug_exception(k, software),
        other => fault_current(k, fault::of(other)),
    }
}

/// A debug exception, in kernels with hardware breakpoints. A thread that is stepped may have instructions to go.
#[cold]
pub fn debug_exception(k: &mut Kernel, software: bool) -> Link<Tcb> {
    if let Some(fault) = breakpoint::fault(k.core().current.get().get(k), software) {
        return fault_current(k, fault);
    }
    budget::update_time(k);
    let next = budget::check_budget(k).err().unwrap_or(Next::Resume);
    scheduler::schedule(k, next).link()
}

/// An interrupt while a thread (or nothing) was running.
pub fn interrupt(k: &mut Kernel, irq: usize) -> Link<Tcb> {
    benchmark::note_interrupt(k, irq);
    budget::update_time(k);
    let next = match budget::check_budget(k) {
        Ok(()) => Next::Resume,
        Err(next) => next,
    };
    let next = next.and(k, handle_interrupt(k, irq));
    schedule(k, next)
}

/// True for the system calls that every profile has.
#[inline(always)]
pub fn is_core_syscall(number: i64) -> bool {
    (Syscall::Yield as i64..=Syscall::Call as i64).contains(&number)
}

/// Ends an entry in which a few instructions more do not count.
#[inline(never)]
pub(crate) fn schedule(k: &Kernel, next: Next) -> Link<Tcb> {
    scheduler::schedule(k, next).link()
}

#[cold]
fn unknown_syscall(k: &mut Kernel, number: i64) -> Link<Tcb> {
    fault_current(k, Fault::UnknownSyscall { number: number as u64 })
}

/// A fault of the current thread.
#[inline(never)]
pub fn fault_current(k: &mut Kernel, fault: Fault) -> Link<Tcb> {
    budget::update_time(k);
    // A thread without budget comes to the fault again; where it does not, the fault comes first.
    let in_time = if fault::is_trap(fault) { Ok(()) } else { budget::check_budget_restart(k) };
    let next = match in_time {
        Ok(()) => {
            let next = fault::handle(k, k.core().current.get().get(k), fault);
            budget::check_stopped(k, next)
        }
        Err(next) => next,
    };
    schedule(k, next)
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

/// Handles the interrupts that stopped a long operation.
#[cold]
#[inline(never)]
fn pending_interrupts(k: &mut Kernel) -> Next {
    // What the operation did to threads is in the queues by now: the choice is always made anew.
    let mut next = Next::Choose.and(k, budget::check_preempted(k));
    while let Some(irq) = pecan_arch::take_pending_irq() {
        next = next.and(k, handle_interrupt(k, irq));
    }
    next
}

fn handle_interrupt(k: &Kernel, irq: usize) -> Next {
    if irq == IRQ_TIMER {
        budget::timer_fired(k);
        pecan_arch::irq_ack(irq);
        Next::Resume
    } else {
        irq::interrupt(k, irq)
    }
}

/// The system calls that receive.
#[inline(never)]
fn receive_call(k: &Kernel, call: Syscall) -> Result<Next, Preempted> {
    let r = |r| k.core().current.get().get(k).context.get(r);
    Ok(match call {
        Syscall::Recv => receive(k, true, true),
        Syscall::NBRecv => receive(k, false, true),
        Syscall::Wait => receive(k, true, false),
        Syscall::NBWait => receive(k, false, false),
        Syscall::ReplyRecv => {
            let next = invoke::first_phase(k, r(reg::REPLY))?;
            next.and(k, receive(k, true, true))
        }
        Syscall::NBSendRecv => {
            let next = invoke::first_phase(k, r(reg::SEND_DEST))?;
            next.and(k, receive(k, true, true))
        }
        Syscall::NBSendWait => {
            let next = invoke::first_phase(k, r(reg::REPLY))?;
            next.and(k, receive(k, true, false))
        }
        _ => Next::Resume,
    })
}

/// Receives on the capability that the current thread names; `with_reply`, it names a reply object, too.
fn receive(k: &Kernel, blocking: bool, with_reply: bool) -> Next {
    let thread = k.core().current.get().get(k);
    let cap_fault =
        |address, failure| fault::handle(k, thread, Fault::Cap { address, receive_phase: true, failure });
    const WRONG: LookupFailure = LookupFailure::MissingCapability { bits_left: 0 };

    let cptr = thread.context.get(reg::CAP);
    let cap = match lookup::cap(k, thread, cptr) {
        Ok(slot) => slot.get(k).words(),
        Err(failure) => return cap_fault(cptr, failure),
    };
    if let Some(ep) = cap.endpoint_for_receive() {
        let mut reply = None;
        if with_reply {
            let cptr = thread.context.get(reg::REPLY);
            match lookup::cap(k, thread, cptr).map(|slot| slot.get(k).words().reply()) {
                Ok(Some(r)) => reply = Some(r),
                Ok(None) => return cap_fault(cptr, WRONG),
                Err(failure) => return cap_fault(cptr, failure),
            }
        }
        return endpoint::receive(k, thread, ep.get(k), blocking, reply);
    }
    match cap.notification_for_wait() {
        Some(ntfn) if ntfn.get(k).bound_tcb.get().is_none_or(|bound| bound == thread.link()) => {
            notification::wait(k, thread, ntfn.get(k), blocking);
            Next::Resume
        }
        _ => cap_fault(cptr, WRONG),
    }
}
