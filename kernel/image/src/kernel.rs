//! Boot, and traps: what the port's entry stubs call. Every handler ends in [`enter_user`].

use core::fmt::Write;

use pecan_abi::Syscall;
use pecan_arch::x86_64::{self as port, Unclaimed};
use pecan_arch::{Console, Exception, UserContext, decode_exception, halt, idle_wait, say, take_pending_irq};
use pecan_config::CHECK_INVARIANTS_EVERY;
use pecan_core::{
    benchmark, boot, entry,
    fastpath::{self, Miss},
    fault,
    latency::Entry,
    scheduler,
};
use pecan_mem::{Kernel, Link, Tcb, ThreadState, boot::BootMemory};

/// Takes the kernel lock, for the length of one entry.
///
/// # Safety
/// As for [`Kernel::enter`].
#[inline(always)]
unsafe fn kernel() -> Kernel {
    // SAFETY: the caller's obligations.
    let k = unsafe { Kernel::enter() };
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

/// Prints why the kernel cannot start, and stops.
#[cold]
fn cannot_start(say_why: impl FnOnce()) -> ! {
    say("Pecan cannot start: ", &[]);
    say_why();
    say("\n", &[]);
    halt()
}

/// Called by the boot code with what the boot loader left.
#[unsafe(no_mangle)]
extern "C" fn pecan_boot(magic: u32, info: u32) -> ! {
    let mut store = port::boot::Store::default();
    // SAFETY: this is the first thing that runs, once, on the boot code's page tables and stack.
    let data =
        unsafe { port::boot::init(magic, info, &mut store) }.unwrap_or_else(|e| cannot_start(|| e.say()));
    // SAFETY: user level does not run yet, so `kernel` has not been called.
    let k = &mut unsafe { Kernel::boot() };
    // SAFETY: the port has mapped all of `data.memory`, and nothing but what it lists as reserved, the module, and the
    // stack that this runs on, until it is left for good below, is in use.
    let mut memory = unsafe { BootMemory::new(&data) };
    let root = boot::start(k, &data, &mut memory).unwrap_or_else(|e| cannot_start(|| e.say()));
    if CHECK_INVARIANTS_EVERY != 0 {
        checks::begin(root);
    }
    let first = scheduler::schedule(k, scheduler::Next::Switch(root)).link();
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
fn leave_fast(k: &Kernel, next: Link<Tcb>) -> ! {
    benchmark::note_fast(k);
    enter_user(k, next.get(k))
}

/// `Call`: first the fast path.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".text.hot_call")]
extern "C" fn pecan_call(cptr: u64, info: u64) -> ! {
    // SAFETY: the entry stub calls this once an entry, after boot.
    let k = &mut unsafe { kernel() };
    entry::begin(k, Entry::Syscall, Syscall::Call as u64);
    match fastpath::call::<false>(k, cptr, info) {
        Ok(next) => leave_fast(k, next),
        Err(Miss::Any) => call_any(k, cptr, info),
        Err(Miss::Slow) => slow_call(k),
    }
}

#[inline(never)]
fn call_any(k: &mut Kernel, cptr: u64, info: u64) -> ! {
    match fastpath::call::<true>(k, cptr, info) {
        Ok(next) => leave_fast(k, next),
        Err(_) => slow_call(k),
    }
}

/// `ReplyRecv`: first the fast path.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".text.hot_reply_recv")]
extern "C" fn pecan_reply_recv(cptr: u64, info: u64) -> ! {
    // SAFETY: the entry stub calls this once an entry, after boot.
    let k = &mut unsafe { kernel() };
    entry::begin(k, Entry::Syscall, Syscall::ReplyRecv as u64);
    match fastpath::reply_recv::<false>(k, cptr, info) {
        Ok(next) => leave_fast(k, next),
        Err(Miss::Any) => reply_recv_any(k, cptr, info),
        Err(Miss::Slow) => slow_syscall(Syscall::ReplyRecv),
    }
}

#[inline(never)]
fn reply_recv_any(k: &mut Kernel, cptr: u64, info: u64) -> ! {
    match fastpath::reply_recv::<true>(k, cptr, info) {
        Ok(next) => leave_fast(k, next),
        Err(_) => slow_syscall(Syscall::ReplyRecv),
    }
}

/// The stretch of these began when their fast path was tried.
#[inline(always)]
fn is_call_or_reply_recv(number: i64) -> bool {
    number == Syscall::Call as i64 || number == Syscall::ReplyRecv as i64
}

/// The system calls of every profile without a fast path, and those for which it does not do.
#[unsafe(no_mangle)]
extern "C" fn pecan_syscall(_cptr: u64, _info: u64, number: i64) -> ! {
    // SAFETY: the entry stub calls this once an entry, after boot, or `slow_syscall` does; both with such a number.
    let k = &mut unsafe {
        core::hint::assert_unchecked(entry::is_core_syscall(number));
        kernel()
    };
    if !is_call_or_reply_recv(number) {
        entry::begin(k, Entry::Syscall, number as u64);
    }
    let next = entry::syscall(k, number);
    resume(k, next)
}

/// The system calls that are not in every profile, or do not exist.
#[unsafe(no_mangle)]
extern "C" fn pecan_special_syscall(_cptr: u64, _info: u64, number: i64) -> ! {
    // SAFETY: the entry stub calls this once an entry, after boot.
    let k = &mut unsafe { kernel() };
    entry::begin(k, Entry::Syscall, number as u64);
    let next = entry::special_syscall(k, number);
    resume(k, next)
}

/// A `Call` on the slow path.
#[inline(never)]
fn slow_call(k: &mut Kernel) -> ! {
    let next = entry::call(k);
    resume(k, next)
}

/// Goes on on the slow path. Whoever calls this has no reference into the kernel's state any more.
#[inline(always)]
fn slow_syscall(call: Syscall) -> ! {
    pecan_syscall(0, 0, call as i64)
}

#[unsafe(no_mangle)]
extern "C" fn pecan_exception(vector: u64, error: u64, address: u64) -> ! {
    // SAFETY: the entry stub calls this once an entry, after boot.
    let k = &mut unsafe { kernel() };
    entry::begin(k, Entry::Exception, vector);
    let exception = decode_exception(vector, error, address);
    benchmark::note_exception(k, exception);
    let fault = match exception {
        Exception::Debug { software } => {
            let next = entry::debug_exception(k, software);
            resume(k, next)
        }
        exception => fault::of(exception),
    };
    match fastpath::fault(k, fault) {
        Ok(next) => enter_user(k, next.get(k)),
        Err(_) => {
            let next = entry::fault_current(k, fault);
            resume(k, next)
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn pecan_interrupt(vector: u64) -> ! {
    let irq = match port::claim(vector as usize) {
        Ok(irq) => irq,
        // SAFETY: back to where the interrupt came from; nothing has changed.
        Err(Unclaimed::Nothing) => unsafe { port::enter_user(port::current_context()) },
        Err(Unclaimed::Exception) => pecan_exception(vector, 0, 0),
    };
    // SAFETY: the entry stub calls this once an entry, after boot.
    let k = &mut unsafe { kernel() };
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
