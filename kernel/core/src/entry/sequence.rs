//! Entry sequences: one function for each kind of entry does all of it, from the first look at what entered to the return
//! to user level.
//!
//! The way back belongs to the port ([`Exit`]), and a port's does not come back. So every step here ends in another one,
//! and none keeps a register or a stack frame for what called it: the forms of the fast path, and the slow path behind
//! them, are functions that are jumped to. On the host [`Report`] returns what a port would have gone to, so that tests
//! and the model run what ships.

use pecan_abi::Syscall;
use pecan_arch::{Claim, Exception, claim_interrupt, decode_exception, idle_wait, take_pending_irq};
use pecan_config::{CHECK_INVARIANTS_EVERY, MEASURE_LATENCY, TRACK_KERNEL_ENTRIES, TRACK_UTILISATION};
use pecan_mem::{Endpoint, Entered, Kernel, Link, Reply, Slot, Tcb, ThreadState};

use crate::{
    base::{error::Preempted, latency::EntryKind},
    entry::{
        benchmark, exception,
        fast::{
            self, Met, Miss, Resumed, Switch,
            signals::{self, Sent, Unsent},
        },
        interrupt, leave, syscall,
    },
    invoke::end::{End, Run},
    sched::{choose, next::Next},
};

/// How a port leaves the kernel.
pub trait Exit {
    /// What an entry ends in. A port's has no values, as its ways out do not come back.
    type Left;

    /// Returns to user level, with the registers in the thread's context. It need not be noted as the current one.
    fn user(k: &Kernel, outgoing: Outgoing) -> Self::Left;

    /// The same with registers that are not in its context.
    fn resumed(k: &Kernel, resumed: Resumed) -> Self::Left;

    /// Nothing runs until an interrupt comes: [`wait_for_interrupts`], where that can be waited for.
    fn idle(k: &mut Kernel) -> Self::Left;

    /// The kernel has been entered, in kernels that check themselves ([`CHECK_INVARIANTS_EVERY`]).
    fn look(_: &Kernel) {}
}

/// A thread that is about to run, with the registers in its context: the current one, or the one that a fast path has
/// switched to. Only the sequences here make one, so no other thread is handed to a port's way out.
/// ```compile_fail,E0451
/// # use pecan_core::entry::sequence::Outgoing;
/// fn any(thread: &pecan_mem::Tcb) -> Outgoing<'_> {
///     Outgoing { thread }
/// }
/// ```
pub struct Outgoing<'k> {
    thread: &'k Tcb,
}

impl<'k> Outgoing<'k> {
    /// The thread.
    #[inline(always)]
    pub fn thread(self) -> &'k Tcb {
        self.thread
    }

    /// Makes it the current thread, where it is not.
    pub fn settle(self, k: &Kernel) -> Link<Tcb> {
        k.set_current(self.thread);
        self.thread.link()
    }
}

/// How an entry ended, on a machine that is not there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leave {
    /// This thread runs.
    User(Link<Tcb>),
    /// Nothing runs until an interrupt comes.
    Idle,
}

/// Reports how an entry ends instead of leaving the kernel.
pub struct Report;

impl Exit for Report {
    type Left = Leave;

    fn user(k: &Kernel, outgoing: Outgoing) -> Leave {
        Leave::User(outgoing.settle(k))
    }

    fn resumed(k: &Kernel, resumed: Resumed) -> Leave {
        Leave::User(resumed.settle(k))
    }

    fn idle(_: &mut Kernel) -> Leave {
        Leave::Idle
    }
}

impl<E: Exit> End for E {
    type Out = E::Left;

    #[inline(always)]
    fn end(k: &mut Kernel, result: Result<Next, Preempted>) -> E::Left {
        match result {
            // What most invocations of kernel objects leave.
            Ok(Next::Stay) if choose::stays(k) => user::<E>(k, k.core().current.get().get(k)),
            result => scheduled::<E>(k, result),
        }
    }
}

impl<E: Exit> Run for E {
    #[inline(always)]
    fn run(k: &mut Kernel, thread: Link<Tcb>) -> E::Left {
        resume::<E>(k, thread)
    }
}

/// Ends an invocation that the scheduler has to see to.
#[inline(never)]
fn scheduled<E: Exit>(k: &mut Kernel, result: Result<Next, Preempted>) -> E::Left {
    let next = syscall::after(k, result);
    resume::<E>(k, next)
}

/// The kernel looks at the current thread at every entry and exit.
const LOOKS_AT_CURRENT: bool =
    CHECK_INVARIANTS_EVERY != 0 || MEASURE_LATENCY || TRACK_UTILISATION || TRACK_KERNEL_ENTRIES;

/// An entry begins.
#[inline(always)]
fn enter<E: Exit>(entered: &Entered, why: EntryKind, number: u64) {
    if LOOKS_AT_CURRENT {
        entered.note();
        E::look(entered.kernel());
    }
    leave::begin(entered.kernel(), why, number);
}

/// The first thread is about to run: how boot ends.
pub fn first<E: Exit>(k: &mut Kernel, thread: Link<Tcb>) -> E::Left {
    let next = choose::schedule(k, Next::Switch(thread)).link();
    resume::<E>(k, next)
}

/// Runs a thread, which is the current one.
#[inline(always)]
fn resume<E: Exit>(k: &mut Kernel, next: Link<Tcb>) -> E::Left {
    let thread = next.get(k);
    if thread.state.get() == ThreadState::Idle {
        return idle::<E>(k);
    }
    user::<E>(k, thread)
}

#[cold]
#[inline(never)]
fn idle<E: Exit>(k: &mut Kernel) -> E::Left {
    leave::leave(k);
    E::idle(k)
}

/// Waits for interrupts until a thread is to run, and runs it.
pub fn wait_for_interrupts<E: Exit>(k: &mut Kernel) -> E::Left {
    loop {
        idle_wait();
        leave::begin(k, EntryKind::Interrupt, 0);
        if let Some(irq) = take_pending_irq() {
            let thread = interrupt::interrupt(k, irq).get(k);
            if thread.state.get() != ThreadState::Idle {
                return user::<E>(k, thread);
            }
        }
        leave::leave(k);
    }
}

#[inline(always)]
fn user<E: Exit>(k: &Kernel, thread: &Tcb) -> E::Left {
    leave::leave(k);
    E::user(k, Outgoing { thread })
}

/// Returns from the fast path of a system call that did not switch.
#[inline(always)]
fn resumed_fast<E: Exit>(k: &Kernel, resumed: Resumed) -> E::Left {
    benchmark::note_fast(k);
    resumed_at::<E>(k, resumed)
}

/// Returns from the fast path of a system call that switched.
#[inline(always)]
fn switched_fast<E: Exit>(k: &Kernel, switch: Switch) -> E::Left {
    benchmark::note_fast(k);
    switched::<E>(k, switch)
}

#[inline(always)]
fn switched<E: Exit>(k: &Kernel, switch: Switch) -> E::Left {
    if switch.finish() {
        return resumed_at::<E>(k, switch.to);
    }
    switched_long::<E>(k, switch)
}

/// [`switched`] where [`Switch::finish`](crate::entry::fast::Switch::finish) could not.
#[inline(always)]
fn switched_long<E: Exit>(k: &Kernel, switch: Switch) -> E::Left {
    /// Its arguments are in registers.
    #[cold]
    #[inline(never)]
    fn finish<E: Exit>(k: &Kernel, from: &Tcb, thread: &Tcb, cap: u64, info: u64) -> E::Left {
        let thread = Switch { from, to: Resumed { thread, cap, info } }.finish_long(k);
        user::<E>(k, thread.get(k))
    }
    let Switch { from, to: Resumed { thread, cap, info } } = switch;
    finish::<E>(k, from, thread, cap, info)
}

#[inline(always)]
fn resumed_at<E: Exit>(k: &Kernel, resumed: Resumed) -> E::Left {
    if LOOKS_AT_CURRENT {
        return user::<E>(k, resumed.settle(k).get(k));
    }
    E::resumed(k, resumed)
}

/// `Call` on the capability at `cptr`.
#[inline(always)]
pub fn call<E: Exit>(entered: Entered<'_>, cptr: u64) -> E::Left {
    enter::<E>(&entered, EntryKind::Syscall, Syscall::Call as u64);
    match fast::call(entered.kernel(), entered.running(), cptr) {
        Ok(switch) => switched_fast::<E>(entered.kernel(), switch),
        Err(Miss::Met(Met { to, ep, reply, badge })) => call_met::<E>(to, ep, reply, entered, badge),
        Err(Miss::At(slot)) => call_at::<E>(entered, slot),
        Err(Miss::OtherForm) => call_other_form::<E>(entered),
        Err(Miss::Slow | Miss::Faulty(_)) => slow_call::<E>(entered),
    }
}

/// A call that [`call`](crate::entry::fast::call) leaves to [`call_met`](crate::entry::fast::call_met). The arguments are
/// in the registers that they come in.
#[inline(never)]
fn call_met<E: Exit>(
    to: Link<Tcb>,
    ep: Link<Endpoint>,
    reply: Link<Reply>,
    entered: Entered<'_>,
    badge: u64,
) -> E::Left {
    match fast::call_met(entered.kernel(), entered.running(), Met { to, ep, reply, badge }) {
        Ok(switch) => switched_fast::<E>(entered.kernel(), switch),
        Err(_) => call_other_form::<E>(entered),
    }
}

/// A call on what is no endpoint to call, on the slow path.
#[inline(never)]
fn call_at<E: Exit>(entered: Entered<'_>, slot: Link<Slot>) -> E::Left {
    syscall::call_at::<E>(entered.settle(), slot)
}

#[cold]
#[inline(never)]
fn call_other_form<E: Exit>(entered: Entered<'_>) -> E::Left {
    match fast::call_other_form(entered.kernel(), entered.running()) {
        Ok(thread) => user_fast::<E>(entered.kernel(), thread),
        Err(_) => slow_call::<E>(entered),
    }
}

/// Returns from the other form of a fast path.
#[inline(always)]
fn user_fast<E: Exit>(k: &Kernel, thread: &Tcb) -> E::Left {
    benchmark::note_fast(k);
    user::<E>(k, thread)
}

#[inline(never)]
fn slow_call<E: Exit>(entered: Entered<'_>) -> E::Left {
    syscall::call::<E>(entered.settle())
}

/// `ReplyRecv` on the capability at `cptr`.
#[inline(always)]
pub fn reply_recv<E: Exit>(entered: Entered<'_>, cptr: u64) -> E::Left {
    enter::<E>(&entered, EntryKind::Syscall, Syscall::ReplyRecv as u64);
    match fast::reply_recv(entered.kernel(), entered.running(), cptr) {
        Ok(switch) => switched_fast::<E>(entered.kernel(), switch),
        Err(Miss::Met(Met { to, ep, reply, .. })) => reply_met::<E>(to, ep, reply, entered),
        Err(Miss::Faulty(Met { to, ep, reply, .. })) => reply_fault::<E>(to, ep, reply, entered),
        Err(Miss::OtherForm) => reply_recv_other_form::<E>(entered),
        Err(Miss::Slow | Miss::At(_)) => slow_syscall::<E>(entered, Syscall::ReplyRecv),
    }
}

/// What [`reply_recv`](crate::entry::fast::reply_recv) leaves to [`reply_met`](crate::entry::fast::reply_met). The
/// arguments are in the registers that they come in.
#[inline(never)]
fn reply_met<E: Exit>(
    to: Link<Tcb>,
    ep: Link<Endpoint>,
    reply: Link<Reply>,
    entered: Entered<'_>,
) -> E::Left {
    match fast::reply_met(entered.kernel(), entered.running(), Met { to, ep, reply, badge: 0 }) {
        Ok(switch) => switched_fast::<E>(entered.kernel(), switch),
        Err(_) => reply_recv_other_form::<E>(entered),
    }
}

/// What [`reply_recv`](crate::entry::fast::reply_recv) leaves to [`reply_fault`](crate::entry::fast::reply_fault).
#[inline(never)]
fn reply_fault<E: Exit>(
    to: Link<Tcb>,
    ep: Link<Endpoint>,
    reply: Link<Reply>,
    entered: Entered<'_>,
) -> E::Left {
    match fast::reply_fault(entered.kernel(), entered.running(), Met { to, ep, reply, badge: 0 }) {
        Ok(switch) => {
            let k = entered.kernel();
            benchmark::note_fast(k);
            if !switch.finish() {
                return switched_long::<E>(k, switch);
            }
            if LOOKS_AT_CURRENT {
                return resumed_at::<E>(k, switch.to);
            }
            // All its registers are in its context, and the other way back would find that they have to be loaded.
            user::<E>(k, switch.to.thread)
        }
        Err(_) => reply_recv_other_form::<E>(entered),
    }
}

#[cold]
#[inline(never)]
fn reply_recv_other_form<E: Exit>(entered: Entered<'_>) -> E::Left {
    match fast::reply_recv_other_form(entered.kernel(), entered.running()) {
        Ok(thread) => user_fast::<E>(entered.kernel(), thread),
        Err(_) => slow_syscall::<E>(entered, Syscall::ReplyRecv),
    }
}

/// `Send` or, if not `blocking`, `NBSend` on the capability at `cptr`.
#[inline(always)]
pub fn send<E: Exit>(entered: Entered<'_>, cptr: u64, info: u64, blocking: bool) -> E::Left {
    let call = if blocking { Syscall::Send } else { Syscall::NBSend };
    enter::<E>(&entered, EntryKind::Syscall, call as u64);
    match signals::send(entered.kernel(), entered.running(), cptr, info) {
        Ok(Sent::Noted(resumed)) => resumed_fast::<E>(entered.kernel(), resumed),
        Ok(Sent::Received(switch)) => switched_fast::<E>(entered.kernel(), switch),
        Err(Unsent::Directly) => send_directly::<E>(entered, blocking),
        Err(Unsent::Slow) => slow_syscall::<E>(entered, call),
    }
}

/// `Send` or `NBSend`, where the fast path has found the capability but is not for what remains.
#[inline(never)]
fn send_directly<E: Exit>(entered: Entered<'_>, blocking: bool) -> E::Left {
    let k = entered.settle();
    match signals::directly(k, blocking) {
        Some(next) => resume::<E>(k, next),
        None => {
            let call = if blocking { Syscall::Send } else { Syscall::NBSend };
            slow_syscall::<E>(k.entered_by_current(), call)
        }
    }
}

/// `Wait` or, if not `blocking`, `NBWait` on the capability at `cptr`.
#[inline(always)]
pub fn wait<E: Exit>(entered: Entered<'_>, cptr: u64, info: u64, blocking: bool) -> E::Left {
    let call = if blocking { Syscall::Wait } else { Syscall::NBWait };
    enter::<E>(&entered, EntryKind::Syscall, call as u64);
    match signals::wait(entered.kernel(), entered.running(), cptr, blocking) {
        Some(cap) => {
            let resumed = Resumed { thread: entered.running().get(), cap, info };
            resumed_fast::<E>(entered.kernel(), resumed)
        }
        None => slow_syscall::<E>(entered, call),
    }
}

/// Any system call of every profile that has no sequence of its own.
#[inline(always)]
pub fn syscall<E: Exit>(entered: Entered<'_>, call: Syscall) -> E::Left {
    enter::<E>(&entered, EntryKind::Syscall, call as u64);
    slow_syscall::<E>(entered, call)
}

#[inline(never)]
fn slow_syscall<E: Exit>(entered: Entered<'_>, call: Syscall) -> E::Left {
    syscall::core_syscall::<E>(entered.settle(), call)
}

/// The system calls that are not in every profile, or do not exist.
#[inline(always)]
pub fn special_syscall<E: Exit>(entered: Entered<'_>, number: i64) -> E::Left {
    enter::<E>(&entered, EntryKind::Syscall, number as u64);
    let k = entered.settle();
    let next = syscall::special_syscall(k, number);
    resume::<E>(k, next)
}

/// An exception of user level's, with what the processor says of it: three words, of which the port makes an
/// [`Exception`].
#[inline(always)]
pub fn exception<E: Exit>(entered: Entered<'_>, vector: u64, error: u64, address: u64) -> E::Left {
    enter::<E>(&entered, EntryKind::Exception, vector);
    let exception = decode_exception(vector, error, address);
    benchmark::note_exception(entered.kernel(), exception);
    match exception {
        Exception::Debug { .. } => exception_slow::<E>(vector, error, address, entered),
        exception => match fast::fault(entered.kernel(), entered.running(), exception::fault_of(exception)) {
            Ok(switch) => switched::<E>(entered.kernel(), switch),
            Err(_) => exception_slow::<E>(vector, error, address, entered),
        },
    }
}

/// An exception that the first form of the fast path is not for. The arguments are in the registers that they come in.
#[inline(never)]
fn exception_slow<E: Exit>(vector: u64, error: u64, address: u64, entered: Entered<'_>) -> E::Left {
    let k = entered.settle();
    let next = match decode_exception(vector, error, address) {
        Exception::Debug { software } => exception::debug_exception(k, software),
        exception => {
            let fault = exception::fault_of(exception);
            match fast::fault_other_form(k, k.running(), fault) {
                Ok(thread) => return user::<E>(k, thread),
                Err(_) => exception::fault_current(k, fault),
            }
        }
    };
    resume::<E>(k, next)
}

/// An interrupt while a thread was running; `vector` is what the port takes it by.
#[inline(always)]
pub fn interrupt<E: Exit>(entered: Entered<'_>, vector: u64) -> E::Left {
    let irq = match claim_interrupt(vector as usize) {
        Claim::Interrupt(irq) => irq,
        // Back to where the interrupt came from: nothing has changed.
        Claim::Nothing => return E::user(entered.kernel(), Outgoing { thread: entered.running().get() }),
        Claim::Exception => return claimed_exception::<E>(entered, vector),
    };
    enter::<E>(&entered, EntryKind::Interrupt, vector);
    let k = entered.settle();
    let next = interrupt::interrupt(k, irq);
    resume::<E>(k, next)
}

#[cold]
#[inline(never)]
fn claimed_exception<E: Exit>(entered: Entered<'_>, vector: u64) -> E::Left {
    exception::<E>(entered, vector, 0, 0)
}
