//! Threads that tests start.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pecan::{
    UserContext,
    raw::{self, invocations as inv},
};
use pecan_abi::{CPtr, boot::slot};

use crate::{
    runner,
    start::{self, Memory, THREADS},
};

/// What each thread's function returned.
static RESULTS: [AtomicU64; THREADS] = [const { AtomicU64::new(0) }; THREADS];
/// How many functions of threads have returned, for threads that nobody can wait for.
static RETURNED: [AtomicU64; THREADS] = [const { AtomicU64::new(0) }; THREADS];

/// The spaces of a thread and where its faults go.
#[derive(Clone, Copy)]
pub struct Spaces {
    /// Root of the CSpace.
    pub cspace: CPtr,
    /// The guard to set on it; 0 leaves it.
    pub guard: u64,
    /// The address space.
    pub vspace: CPtr,
    /// Receives the faults; 0 for nobody.
    pub fault_ep: CPtr,
}

impl Spaces {
    /// Those of this program, with faults reported as failures of the running test.
    pub fn own() -> Self {
        Spaces {
            cspace: slot::INIT_THREAD_CNODE,
            guard: 0,
            vspace: slot::INIT_THREAD_VSPACE,
            fault_ep: runner::fault_endpoint(),
        }
    }
}

/// A thread.
#[derive(Clone, Copy)]
pub struct Thread {
    /// Its TCB.
    pub tcb: CPtr,
    /// Its scheduling context; 0 for none.
    pub sc: CPtr,
    /// Signalled when its function has returned; 0 for none.
    pub done: CPtr,
    /// Which memory it runs in.
    pub index: usize,
}

impl Thread {
    /// Configures a new TCB to run in the memory of thread `index`.
    #[track_caller]
    pub fn configure(self, spaces: Spaces, priority: u64) {
        // SAFETY: the TCB is new, and who hands out indices does so once per test.
        let memory = unsafe { Memory::prepare(self.index, self.tcb) };
        RESULTS[self.index].store(0, Relaxed);
        RETURNED[self.index].store(0, Relaxed);
        let frame = start::image_frame(memory.ipc_buffer());
        inv::tcb_configure(
            self.tcb,
            spaces.cspace,
            spaces.guard,
            spaces.vspace,
            0,
            memory.ipc_buffer(),
            frame,
        )
        .expect("configure");
        inv::tcb_set_sched_params(
            self.tcb,
            slot::INIT_THREAD_TCB,
            priority,
            priority,
            self.sc,
            spaces.fault_ep,
        )
        .expect("set scheduling parameters");
    }

    /// Starts it on a function.
    #[track_caller]
    pub fn start<F: FnOnce() -> u64 + Send + 'static>(self, function: F) {
        inv::tcb_write_registers(self.tcb, true, 0, UserContext::WORDS as u64, &self.registers(function))
            .expect("write registers");
    }

    /// The registers that start it on a function, which is put on its stack.
    pub fn registers<F: FnOnce() -> u64 + Send + 'static>(self, function: F) -> UserContext {
        let memory = Memory::of(self.index);
        let place = (memory.stack_top() - size_of::<F>() as u64) & !63;
        // SAFETY: the place is inside the stack of a thread that does not run, and aligned for any closure here.
        unsafe { (place as *mut F).write(function) };
        UserContext {
            rip: run::<F> as *const () as u64,
            // As after a call: the stack is 8 off its alignment.
            rsp: place - 8,
            rflags: 0x202,
            rdi: place,
            rsi: self.done,
            fs_base: memory.tls_base(),
            ..UserContext::default()
        }
    }

    /// Waits until its function has returned; returns what it returned.
    pub fn join(self) -> u64 {
        while RETURNED[self.index].load(Relaxed) == 0 {
            raw::wait(self.done);
        }
        RESULTS[self.index].load(Relaxed)
    }

    /// Whether its function has returned.
    pub fn has_returned(self) -> bool {
        RETURNED[self.index].load(Relaxed) != 0
    }

    /// Its registers, read without stopping it.
    #[track_caller]
    pub fn read(self) -> UserContext {
        inv::tcb_read_registers(self.tcb, false, 0, UserContext::WORDS as u64).expect("read registers")
    }
}

/// The first code of a thread.
extern "C" fn run<F: FnOnce() -> u64>(place: *mut F, done: CPtr) -> ! {
    // SAFETY: `Thread::registers` put the function there, for this thread alone.
    let function = unsafe { place.read() };
    let result = function();
    let index = start::current().unwrap_or(0);
    RESULTS[index].store(result, Relaxed);
    RETURNED[index].store(1, Relaxed);
    if done != 0 {
        crate::env::signal(done);
        let _ = inv::tcb_suspend(raw::ThreadBlock::current().tcb);
    }
    // A thread in a CSpace of its own cannot name its TCB; without a fault handler, it stops at this.
    loop {
        raw::wait(0);
    }
}
