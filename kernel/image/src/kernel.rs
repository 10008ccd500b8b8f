//! Traps: what the port's entry stubs call. Each handler is one entry sequence of the portable kernel
//! ([`pecan_core::entry::sequence`]), which ends in one of the ways out here ([`Port`]).

use core::fmt::Write;

use pecan_abi::Syscall;
use pecan_arch::{Console, UserContext, halt, say};
use pecan_config::CHECK_INVARIANTS_EVERY;
use pecan_core::entry::{
    fast::Resumed,
    sequence::{self, Exit, Outgoing},
};
use pecan_mem::{Kernel, Link, Tcb};

use crate::port;

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
    match sequence::first::<Port>(k, root) {}
}

/// What does not come back.
enum Never {}

/// The ways out of the kernel.
struct Port;

impl Exit for Port {
    type Left = Never;

    #[inline(always)]
    fn user(_: &Kernel, outgoing: Outgoing) -> Never {
        let context: &UserContext = &outgoing.thread().context;
        // SAFETY: 1. and 2.: it is the context of the current thread or of the one that the portable kernel has just switched
        // to (`Outgoing` and `Resumed` are made of no other), whose memory no one can free without entering the kernel. 3.: references into the kernel's state end with the function that diverges here.
        unsafe { port::enter_user(context) }
    }

    #[inline(always)]
    fn resumed(_: &Kernel, resumed: Resumed) -> Never {
        let (thread, cap, info) = resumed.parts();
        // SAFETY: as in `user`.
        unsafe { port::enter_user_with::<{ Tcb::CONTEXT_END }, Tcb>(thread, cap, info) }
    }

    #[inline(always)]
    fn idle(k: &mut Kernel) -> Never {
        sequence::wait_for_interrupts::<Self>(k)
    }

    fn look(k: &Kernel) {
        if CHECK_INVARIANTS_EVERY != 0 {
            checks::enter(k);
        }
    }
}

/// Enters the kernel in the name of the thread whose registers are at `context`, for `sequence`.
///
/// # Safety
/// To be called by an entry stub, once an entry, after boot, with the registers that it has stored: those of the thread that
/// was running.
macro_rules! enter {
    ($context:ident, $sequence:ident ( $($argument:expr),* )) => {{
        // SAFETY: the stubs call the handlers like that (see `Kernel::enter` and `Kernel::entered`).
        let mut k = unsafe { Kernel::enter() };
        // SAFETY: as above.
        let entered = unsafe { k.entered($context) };
        match sequence::$sequence::<Port>(entered, $($argument),*) {}
    }};
}

#[unsafe(no_mangle)]
#[unsafe(link_section = ".text.hot_call")]
extern "C" fn pecan_call(cptr: u64, _info: u64, _number: i64, context: *const UserContext) -> ! {
    enter!(context, call(cptr))
}

#[unsafe(no_mangle)]
#[unsafe(link_section = ".text.hot_reply_recv")]
extern "C" fn pecan_reply_recv(cptr: u64, _info: u64, _number: i64, context: *const UserContext) -> ! {
    enter!(context, reply_recv(cptr))
}

/// `Send` and `NBSend`.
#[unsafe(no_mangle)]
extern "C" fn pecan_send(cptr: u64, info: u64, number: i64, context: *const UserContext) -> ! {
    enter!(context, send(cptr, info, number == Syscall::Send as i64))
}

#[unsafe(no_mangle)]
extern "C" fn pecan_wait(cptr: u64, info: u64, _number: i64, context: *const UserContext) -> ! {
    enter!(context, wait(cptr, info, true))
}

/// `NBWait`.
#[unsafe(no_mangle)]
extern "C" fn pecan_poll(cptr: u64, info: u64, _number: i64, context: *const UserContext) -> ! {
    enter!(context, wait(cptr, info, false))
}

/// The system calls of every profile that no handler above is for.
#[unsafe(no_mangle)]
extern "C" fn pecan_syscall(_cptr: u64, _info: u64, number: i64, context: *const UserContext) -> ! {
    // SAFETY: the stub gives such numbers to this handler.
    unsafe { core::hint::assert_unchecked(Syscall::is_core(number)) };
    match Syscall::from_number(number) {
        Some(call) => enter!(context, syscall(call)),
        None => enter!(context, special_syscall(number)),
    }
}

/// The system calls that are not in every profile, or do not exist.
#[unsafe(no_mangle)]
extern "C" fn pecan_special_syscall(_cptr: u64, _info: u64, number: i64, context: *const UserContext) -> ! {
    enter!(context, special_syscall(number))
}

#[unsafe(no_mangle)]
extern "C" fn pecan_exception(vector: u64, error: u64, address: u64, context: *const UserContext) -> ! {
    enter!(context, exception(vector, error, address))
}

#[unsafe(no_mangle)]
extern "C" fn pecan_interrupt(vector: u64, context: *const UserContext) -> ! {
    enter!(context, interrupt(vector))
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
