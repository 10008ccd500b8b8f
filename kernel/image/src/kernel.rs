//! Traps: what the port's entry stubs call. Every handler ends in [`enter_user`].

use core::{convert::Infallible, fmt::Write};

use pecan_abi::Syscall;
use pecan_arch::x86_64::{self as port, Unclaimed};
use pecan_arch::{
    Console, Exception, UserContext, decode_exception, halt, idle_wait, reg, say, take_pending_irq,
};
use pecan_config::CHECK_INVARIANTS_EVERY;
use pecan_core::{
    benchmark,
    end::{End, Run},
    entry,
    error::Preempted,
    fastpath::{
        self, Met, Miss, Resumed, Switch,
        signals::{self, Sent, Unsent},
    },
    fault,
    latency::Entry,
    scheduler::{self, Next},
};
use pecan_mem::{Endpoint, Kernel, Link, Reply, Slot, Tcb, ThreadState};

/// Takes the kernel lock, for the length of one entry.
///
/// # Safety
/// As for [`Kernel::enter`].
#[inline(always)]
unsafe fn kernel() -> Kernel {
    // SAFETY: the caller's obligations.
    unsafe { Kernel::enter() }
}

/// [`kernel`], entered by the thread whose registers are at `context`, which becomes the current one: a fast path may
/// not have noted it.
///
/// # Safety
/// Those of [`kernel`], and the entry stub has stored registers there.
#[inline(always)]
unsafe fn entered(context: *const UserContext) -> Kernel {
    // SAFETY: this function's obligations. The stubs store the registers of the thread that was running.
    let k = unsafe { kernel() };
    // SAFETY: as above.
    k.note_current(unsafe { k.entered(context) });
    if CHECK_INVARIANTS_EVERY != 0 {
        checks::enter(&k);
    }
    k
}

/// The kernel looks at itself, in profiles that ask for it.
mod checks {
    use core::cell::{Cell, UnsafeCell};

    use pecan_config::CHECK_INVARIANTS_EVERY;
    use pecan_core::invariants::{self, Scratch};
    use pecan_mem::{Cap, Kernel, Link, Tcb};

    /// As many capabilities can be checked.
    const ROOM: usize = if CHECK_INVARIANTS_EVERY == 0 { 0 } else { 4096 };

    struct Checks {
        entries: Cell<u64>,
        root: Cell<Option<Link<Tcb>>>,
        scratch: UnsafeCell<Scratch<ROOM>>,
    }

    // SAFETY: used from one entry at a time, as the kernel's state is.
    unsafe impl Sync for Checks {}

    static CHECKS: Checks =
        Checks { entries: Cell::new(0), root: Cell::new(None), scratch: UnsafeCell::new(Scratch::new()) };

    /// From the first thread on everything can be found; it must not be deleted.
    pub fn begin(root: Link<Tcb>) {
        CHECKS.root.set(Some(root));
    }

    /// An entry begins: checks what the one before has left, if it is time.
    pub fn enter(k: &Kernel) {
        let entries = CHECKS.entries.get() + 1;
        CHECKS.entries.set(entries);
        if entries.is_multiple_of(CHECK_INVARIANTS_EVERY)
            && let Some(tcb) = CHECKS.root.get()
        {
            // SAFETY: nobody else uses it, and this is called once at a time.
            let scratch = unsafe { &mut *CHECKS.scratch.get() };
            if let Err(broken) = invariants::check_in(k, &[Cap::Tcb { tcb }], scratch) {
                panic!("invariant broken: {broken}");
            }
        }
    }
}

/// The kernel has booted: leaves what only that needed, and runs the first thread.
///
/// # Safety
/// Once, from the boot code, which is not returned to.
#[inline(never)]
pub unsafe fn first_thread(k: &mut Kernel, root: Link<Tcb>) -> ! {
    if CHECK_INVARIANTS_EVERY != 0 {
        checks::begin(root);
    }
    // SAFETY: this function is no boot code, and neither is what it calls from here on.
    unsafe { port::unmap_boot() };
    let first = scheduler::schedule(k, Next::Switch(root)).link();
    resume(k, first)
}

/// Runs a thread, which the portable kernel has made the current one; if it is the idle thread, waits here for
/// interrupts until it is another.
#[inline(always)]
fn resume(k: &mut Kernel, next: Link<Tcb>) -> ! {
    let thread = next.get(k);
    if thread.state.get() == ThreadState::Idle {
        idle(k)
    }
    enter_user(k, thread)
}

#[cold]
#[inline(never)]
fn idle(k: &mut Kernel) -> ! {
    loop {
        entry::leave(k);
        idle_wait();
        entry::begin(k, Entry::Interrupt, 0);
        if let Some(irq) = take_pending_irq() {
            let thread = entry::interrupt(k, irq).get(k);
            if thread.state.get() != ThreadState::Idle {
                enter_user(k, thread)
            }
        }
    }
}

/// Ends an invocation with the return to user level.
struct ToUser;

impl End for ToUser {
    type Out = Infallible;

    #[inline(always)]
    fn end(k: &mut Kernel, result: Result<Next, Preempted>) -> Infallible {
        match result {
            // What most invocations of kernel objects leave.
            Ok(Next::Stay) if scheduler::stays(k) => enter_user(k, k.core().current.get().get(k)),
            result => schedule(k, result),
        }
    }
}

impl Run for ToUser {
    #[inline(always)]
    fn run(k: &mut Kernel, thread: Link<Tcb>) -> Infallible {
        resume(k, thread)
    }
}

/// Ends an invocation that the scheduler has to see to.
#[inline(never)]
fn schedule(k: &mut Kernel, result: Result<Next, Preempted>) -> ! {
    let next = entry::after(k, result);
    resume(k, next)
}

/// Returns to user level.
#[inline(always)]
fn enter_user(k: &Kernel, thread: &Tcb) -> ! {
    entry::leave(k);
    let context: &UserContext = &thread.context;
    // SAFETY: 1. and 2.: it is the context of the thread that the portable kernel has just switched to, whose memory no one
    // can free without entering the kernel. 3.: references into the kernel's state end with the function that diverges here.
    unsafe { port::enter_user(context) }
}

/// Returns to user level from the fast path of a system call.
#[inline(always)]
fn leave_fast(k: &Kernel, resumed: Resumed) -> ! {
    benchmark::note_fast(k);
    leave(k, resumed)
}

/// The same at the end of a switch.
#[inline(always)]
fn leave_switched(k: &Kernel, switch: Switch) -> ! {
    benchmark::note_fast(k);
    finish(k, switch)
}

/// Ends a switch and returns to user level.
#[inline(always)]
fn finish(k: &Kernel, switch: Switch) -> ! {
    if switch.finish() {
        leave(k, switch.to)
    }
    finish_long(switch)
}

/// [`finish`] where [`Switch::finish`] could not.
#[inline(always)]
fn finish_long(switch: Switch) -> ! {
    #[cold]
    #[inline(never)]
    fn of(from: Link<Tcb>, thread: Link<Tcb>, cap: u64, info: u64) -> ! {
        // SAFETY: the fast path has given up all references.
        let k = &unsafe { kernel() };
        let to = Resumed { thread: thread.get(k), cap, info };
        let thread = Switch { from: from.get(k), to }.finish_long(k);
        enter_user(k, thread.get(k))
    }
    let Switch { from, to: Resumed { thread, cap, info } } = switch;
    of(from.link(), thread.link(), cap, info)
}

/// Returns to user level.
#[inline(always)]
fn leave(k: &Kernel, resumed: Resumed) -> ! {
    if LOOKS_AT_CURRENT {
        enter_user(k, resumed.settle(k).get(k))
    }
    let Resumed { thread, cap, info } = resumed;
    // SAFETY: as in `enter_user`.
    unsafe { port::enter_user_with::<{ Tcb::CONTEXT_END }, Tcb>(thread, cap, info) }
}

/// The kernel looks at the current thread at every entry and exit.
const LOOKS_AT_CURRENT: bool = CHECK_INVARIANTS_EVERY != 0
    || pecan_config::MEASURE_LATENCY
    || pecan_config::TRACK_UTILISATION
    || pecan_config::TRACK_KERNEL_ENTRIES;

/// `Call`: first the fast path.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".text.hot_call")]
extern "C" fn pecan_call(cptr: u64, _info: u64, _number: i64, context: *const UserContext) -> ! {
    // SAFETY: the entry stub calls this once an entry, after boot, with the registers that it has stored.
    let k = &unsafe { enter_fast(context) };
    // SAFETY: as above.
    let running = unsafe { k.entered(context) };
    entry::begin(k, Entry::Syscall, Syscall::Call as u64);
    match fastpath::call(k, running, cptr) {
        Ok(switch) => leave_switched(k, switch),
        Err(Miss::Met(Met { to, ep, reply, badge })) => call_met(to, ep, reply, context, badge),
        Err(Miss::At(slot)) => call_at(slot),
        Err(Miss::Any) => call_any(),
        Err(Miss::Slow | Miss::Faulty(_)) => slow_call(),
    }
}

/// The kernel lock, for a fast path, of the thread whose registers are at `context`.
///
/// # Safety
/// Those of [`entered`].
#[inline(always)]
unsafe fn enter_fast(context: *const UserContext) -> Kernel {
    // SAFETY: this function's obligations.
    unsafe { if LOOKS_AT_CURRENT { entered(context) } else { kernel() } }
}

/// A `Call` that [`fastpath::call`] leaves to [`fastpath::call_met`].
#[inline(never)]
#[unsafe(link_section = ".text.hot_call")]
fn call_met(
    to: Link<Tcb>,
    ep: Link<Endpoint>,
    reply: Link<Reply>,
    context: *const UserContext,
    badge: u64,
) -> ! {
    // SAFETY: the first form of the fast path has given up all references.
    let k = &unsafe { kernel() };
    // SAFETY: as above.
    let running = unsafe { k.entered(context) };
    match fastpath::call_met(k, running, Met { to, ep, reply, badge }) {
        Ok(switch) => leave_switched(k, switch),
        Err(_) => call_any(),
    }
}

/// `Call` on what is no endpoint to call, on the slow path.
#[inline(never)]
fn call_at(slot: Link<Slot>) -> ! {
    // SAFETY: once an entry, whose fast path has let go of everything.
    let k = &mut unsafe { entered(port::current_context()) };
    match entry::call_at::<ToUser>(k, slot) {}
}

/// Returns to user level from the other form of the fast path.
fn leave_any(k: &Kernel, thread: &Tcb) -> ! {
    benchmark::note_fast(k);
    enter_user(k, thread)
}

#[cold]
#[inline(never)]
fn call_any() -> ! {
    // SAFETY: the first form of the fast path has given up all references.
    let k = &unsafe { kernel() };
    // SAFETY: as above.
    let running = unsafe { k.entered(port::current_context()) };
    match fastpath::call_any(k, running) {
        Ok(thread) => leave_any(k, thread),
        Err(_) => slow_call(),
    }
}

/// `ReplyRecv`: first the fast path.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".text.hot_reply_recv")]
extern "C" fn pecan_reply_recv(cptr: u64, _info: u64, _number: i64, context: *const UserContext) -> ! {
    // SAFETY: the entry stub calls this once an entry, after boot, with the registers that it has stored.
    let k = &unsafe { enter_fast(context) };
    // SAFETY: as above.
    let running = unsafe { k.entered(context) };
    entry::begin(k, Entry::Syscall, Syscall::ReplyRecv as u64);
    match fastpath::reply_recv(k, running, cptr) {
        Ok(switch) => leave_switched(k, switch),
        Err(Miss::Met(Met { to, ep, reply, .. })) => reply_met(to, ep, reply, context),
        Err(Miss::Faulty(Met { to, ep, reply, .. })) => reply_fault(to, ep, reply, context),
        Err(Miss::Any) => reply_recv_any(),
        Err(Miss::Slow | Miss::At(_)) => slow_syscall(Syscall::ReplyRecv as i64),
    }
}

/// A `ReplyRecv` that [`fastpath::reply_recv`] leaves to [`fastpath::reply_met`].
#[inline(never)]
#[unsafe(link_section = ".text.hot_reply_recv")]
fn reply_met(to: Link<Tcb>, ep: Link<Endpoint>, reply: Link<Reply>, context: *const UserContext) -> ! {
    // SAFETY: the first form of the fast path has given up all references.
    let k = &unsafe { kernel() };
    // SAFETY: as above.
    let running = unsafe { k.entered(context) };
    match fastpath::reply_met(k, running, Met { to, ep, reply, badge: 0 }) {
        Ok(switch) => leave_switched(k, switch),
        Err(_) => reply_recv_any(),
    }
}

/// A `ReplyRecv` that [`fastpath::reply_recv`] leaves to [`fastpath::reply_fault`].
#[inline(never)]
fn reply_fault(to: Link<Tcb>, ep: Link<Endpoint>, reply: Link<Reply>, context: *const UserContext) -> ! {
    // SAFETY: the first form of the fast path has given up all references.
    let k = &unsafe { kernel() };
    // SAFETY: as above.
    let running = unsafe { k.entered(context) };
    match fastpath::reply_fault(k, running, Met { to, ep, reply, badge: 0 }) {
        Ok(switch) => {
            benchmark::note_fast(k);
            if !switch.finish() {
                finish_long(switch)
            }
            if LOOKS_AT_CURRENT {
                leave(k, switch.to)
            }
            // All its registers are in its context, and the other way back would find that they have to be loaded.
            enter_user(k, switch.to.thread)
        }
        Err(_) => reply_recv_any(),
    }
}

#[cold]
#[inline(never)]
fn reply_recv_any() -> ! {
    // SAFETY: the first form of the fast path has given up all references.
    let k = &unsafe { kernel() };
    // SAFETY: as above.
    let running = unsafe { k.entered(port::current_context()) };
    match fastpath::reply_recv_any(k, running) {
        Ok(thread) => leave_any(k, thread),
        Err(_) => slow_syscall(Syscall::ReplyRecv as i64),
    }
}

/// `Send` and `NBSend`: first the fast path.
#[unsafe(no_mangle)]
extern "C" fn pecan_send(cptr: u64, info: u64, number: i64, context: *const UserContext) -> ! {
    // SAFETY: the entry stub calls this once an entry, after boot, with the registers that it has stored.
    let k = &unsafe { enter_fast(context) };
    // SAFETY: as above.
    let running = unsafe { k.entered(context) };
    entry::begin(k, Entry::Syscall, number as u64);
    match signals::send(k, running, cptr, info) {
        Ok(Sent::Noted(resumed)) => leave_fast(k, resumed),
        Ok(Sent::Received(switch)) => leave_switched(k, switch),
        Err(Unsent::Directly) => send_directly(),
        Err(Unsent::Slow) => slow_syscall(number),
    }
}

/// `Send` or `NBSend`, where the fast path has found the capability but is not for what remains.
#[inline(never)]
fn send_directly() -> ! {
    // SAFETY: once an entry, whose fast path has let go of everything.
    let k = &mut unsafe { entered(port::current_context()) };
    let number = k.running().get().context.get(reg::SYSCALL) as i64;
    match signals::directly(k, number == Syscall::Send as i64) {
        Some(next) => resume(k, next),
        None => slow_syscall(number),
    }
}

/// `Wait` and `NBWait`: first the fast path.
#[inline(always)]
fn wait(call: Syscall, cptr: u64, info: u64, context: *const UserContext) -> ! {
    // SAFETY: the entry stub calls this once an entry, after boot, with the registers that it has stored.
    let k = &unsafe { enter_fast(context) };
    // SAFETY: as above.
    let running = unsafe { k.entered(context) };
    entry::begin(k, Entry::Syscall, call as u64);
    match signals::wait(k, running, cptr, call == Syscall::Wait) {
        Some(cap) => leave_fast(k, Resumed { thread: running.get(), cap, info }),
        None => slow_syscall(call as i64),
    }
}

#[unsafe(no_mangle)]
extern "C" fn pecan_wait(cptr: u64, info: u64, _number: i64, context: *const UserContext) -> ! {
    wait(Syscall::Wait, cptr, info, context)
}

#[unsafe(no_mangle)]
extern "C" fn pecan_poll(cptr: u64, info: u64, _number: i64, context: *const UserContext) -> ! {
    wait(Syscall::NBWait, cptr, info, context)
}

/// The system calls of every profile without a fast path.
#[unsafe(no_mangle)]
extern "C" fn pecan_syscall(_cptr: u64, _info: u64, number: i64, context: *const UserContext) -> ! {
    if LOOKS_AT_CURRENT {
        // SAFETY: the entry stub calls this once an entry, after boot.
        entry::begin(&unsafe { entered(context) }, Entry::Syscall, number as u64);
    }
    slow_syscall(number)
}

/// Goes on on the slow path, with such a number. Whoever calls this has no reference into the kernel's state any more.
#[inline(never)]
fn slow_syscall(number: i64) -> ! {
    // SAFETY: once an entry, whose fast path has let go of everything; the stubs and the fast paths give such numbers.
    let k = &mut unsafe {
        core::hint::assert_unchecked(entry::is_core_syscall(number));
        entered(port::current_context())
    };
    match entry::syscall::<ToUser>(k, number) {}
}

/// The system calls that are not in every profile, or do not exist.
#[unsafe(no_mangle)]
extern "C" fn pecan_special_syscall(_cptr: u64, _info: u64, number: i64, context: *const UserContext) -> ! {
    // SAFETY: the entry stub calls this once an entry, after boot.
    let k = &mut unsafe { entered(context) };
    entry::begin(k, Entry::Syscall, number as u64);
    let next = entry::special_syscall(k, number);
    resume(k, next)
}

/// A `Call` on the slow path.
#[inline(never)]
fn slow_call() -> ! {
    // SAFETY: once an entry, whose fast path has let go of everything.
    let k = &mut unsafe { entered(port::current_context()) };
    match entry::call::<ToUser>(k) {}
}

#[unsafe(no_mangle)]
extern "C" fn pecan_exception(vector: u64, error: u64, address: u64, context: *const UserContext) -> ! {
    // SAFETY: the entry stub calls this once an entry, after boot.
    let k = &unsafe { enter_fast(context) };
    entry::begin(k, Entry::Exception, vector);
    let exception = decode_exception(vector, error, address);
    benchmark::note_exception(k, exception);
    // SAFETY: it has entered.
    let running = unsafe { k.entered(context) };
    match exception {
        Exception::Debug { .. } => exception_any(vector, error, address),
        exception => match fastpath::fault(k, running, fault::of(exception)) {
            Ok(switch) => finish(k, switch),
            Err(_) => exception_any(vector, error, address),
        },
    }
}

/// An exception that the first form of the fast path is not for.
#[inline(never)]
fn exception_any(vector: u64, error: u64, address: u64) -> ! {
    // SAFETY: once an entry, whose fast path has let go of everything.
    let k = &mut unsafe { entered(port::current_context()) };
    let exception = decode_exception(vector, error, address);
    let next = match exception {
        Exception::Debug { software } => entry::debug_exception(k, software),
        exception => {
            let fault = fault::of(exception);
            match fastpath::fault_any(k, k.running(), fault) {
                Ok(thread) => enter_user(k, thread),
                Err(_) => entry::fault_current(k, fault),
            }
        }
    };
    resume(k, next)
}

#[unsafe(no_mangle)]
extern "C" fn pecan_interrupt(vector: u64, context: *const UserContext) -> ! {
    let irq = match port::claim(vector as usize) {
        Ok(irq) => irq,
        // SAFETY: back to where the interrupt came from; nothing has changed.
        Err(Unclaimed::Nothing) => unsafe { port::enter_user(port::current_context()) },
        Err(Unclaimed::Exception) => pecan_exception(vector, 0, 0, context),
    };
    // SAFETY: the entry stub calls this once an entry, after boot.
    let k = &mut unsafe { entered(context) };
    entry::begin(k, Entry::Interrupt, vector);
    let next = entry::interrupt(k, irq);
    resume(k, next)
}

/// An exception in kernel mode: a bug in the kernel, or broken hardware.
#[unsafe(no_mangle)]
extern "C" fn pecan_kernel_exception(vector: u64, frame: &port::KernelFrame, address: u64) -> ! {
    say("\nKERNEL PANIC: exception #, address $\n", &[vector, address]);
    frame.say();
    halt()
}

#[panic_handler]
// The compiler takes this for idle; it is what lets a release kernel do without the code that formats messages.
#[expect(unused_attributes, reason = "the optimisation across crates heeds it")]
#[inline(always)]
fn panic(info: &core::panic::PanicInfo) -> ! {
    if pecan_config::DEBUG {
        let _ = writeln!(Console, "\nKERNEL PANIC: {info}");
    } else if let Some(at) = info.location() {
        say("\nKERNEL PANIC: ", &[]);
        say(at.file(), &[]);
        say(":#\n", &[at.line().into()]);
    }
    halt()
}
