//! Threads of a component beside its first. The description says which there are, each with time of its own; the initial
//! task makes them, of the component's memory, and this lets them run what they are given.

use alloc::{boxed::Box, format, sync::Arc};
use core::{
    cell::UnsafeCell,
    fmt,
    marker::PhantomData,
    sync::atomic::{AtomicU64, Ordering},
};

use pecan::{
    Cap, Error, UserContext,
    raw::ThreadBlock,
    types::{Notification, Tcb},
    vspace::PAGE_SIZE,
};
use pecan_manifest::layout::{self, resource};

use crate::role;

/// The flags a thread starts with: interrupts on, and the bit that is always set.
const RFLAGS: u64 = 0x202;

/// The threads that are taken, a bit each by their numbers.
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// Why there is no thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpawnError {
    /// The description gives no thread of that name.
    NoSuchThread,
    /// It has something to do already.
    Busy,
    /// The kernel refused to let it run.
    Kernel(Error),
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchThread => f.write_str("the description gives no thread of that name"),
            Self::Busy => f.write_str("the thread has something to do already"),
            Self::Kernel(error) => write!(f, "the thread cannot run: {error}"),
        }
    }
}

impl core::error::Error for SpawnError {}

/// What a thread leaves for who waits for it.
struct Slot<T>(UnsafeCell<Option<T>>);

// SAFETY: the thread writes it before it signals its end, and who waits for it reads it after that.
unsafe impl<T: Send> Sync for Slot<T> {}

/// A thread that has something to do.
#[derive(Debug)]
pub struct JoinHandle<T> {
    done: Cap<Notification>,
    bit: u64,
    result: Arc<Slot<T>>,
    of: PhantomData<T>,
}

impl<T> fmt::Debug for Slot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slot")
    }
}

impl<T> JoinHandle<T> {
    /// Waits until the thread has done it, and returns what came of it. After that the thread can be given something else;
    /// without this it cannot.
    ///
    /// # Panics
    /// Not in a component that leaves its threads alone: a thread signals its end once it has left its result.
    pub fn join(self) -> T {
        self.done.wait();
        // SAFETY: the thread has signalled, and does not use it any more; this handle is the only other that can.
        let result = unsafe { (*self.result.0.get()).take() };
        TAKEN.fetch_and(!self.bit, Ordering::Release);
        result.expect("a thread leaves its result before it signals")
    }
}

/// What a thread is given.
struct Job {
    tcb: Cap<Tcb>,
    done: Cap<Notification>,
    action: Box<dyn FnOnce() + Send>,
    /// What it does after it has signalled that it is done.
    then: Box<dyn FnOnce() + Send>,
}

/// Lets a thread of the description run something.
///
/// Each thread has the priority of its component and a budget of its own. What it calls comes from the same client as what the
/// others do: a server that owes one of them an answer drops that when another of them calls. So let a channel be used by one
/// thread at a time. Threads can all print, one after the other; but what one prints ends the call of another that reads from the
/// console.
pub fn spawn<T: Send + 'static>(
    name: &str,
    action: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, SpawnError> {
    spawn_then(name, action, Box::new(|| ()))
}

/// [`spawn`], with something to do after the thread has signalled its end: by then it can be joined without waiting.
pub fn spawn_then<T: Send + 'static>(
    name: &str,
    action: impl FnOnce() -> T + Send + 'static,
    then: Box<dyn FnOnce() + Send>,
) -> Result<JoinHandle<T>, SpawnError> {
    let resource = format!("{}{name}", resource::THREAD);
    let startup = crate::startup();
    let given = || {
        let number = u32::try_from(startup.parameter(&resource)?).ok()?;
        let done: Cap<Notification> = role::cap(&format!("{}{name}", resource::THREAD_DONE))?;
        Some((number, role::cap::<Tcb>(&resource)?, done, startup.memory(&resource)?))
    };
    let (number, tcb, done, (start, bytes)) = given().ok_or(SpawnError::NoSuchThread)?;
    let bit = 1 << number;
    if TAKEN.fetch_or(bit, Ordering::Acquire) & bit != 0 {
        return Err(SpawnError::Busy);
    }
    let result = Arc::new(Slot(UnsafeCell::new(None)));
    let place = result.clone();
    let action = Box::new(move || {
        let value = action();
        // SAFETY: nobody reads it before the signal that follows.
        unsafe { *place.0.get() = Some(value) };
    });
    let job = Box::into_raw(Box::new(Job { tcb, done, action, then }));
    let (this, top) = (start + layout::THREAD_BLOCK, start + bytes);
    let block = ThreadBlock {
        this: this as *const ThreadBlock,
        ipc_buffer: start as *mut _,
        stack_bottom: (start + 2 * PAGE_SIZE) as usize,
        stack_top: top as usize,
        tcb: tcb.cptr(),
        ..ThreadBlock::new()
    };
    let registers = UserContext {
        rip: run as *const () as u64,
        // As after a call: the stack is aligned to 16 bytes before the return address is pushed.
        rsp: top - 8,
        rflags: RFLAGS,
        rdi: job as u64,
        fs_base: this,
        ..UserContext::default()
    };
    // SAFETY: the initial task mapped this memory for the thread, writable, and whoever has the thread's bit has the memory:
    // what ran there before has suspended itself or is about to, and needs neither any more. The thread starts as a function
    // that is called, with a job that is its own.
    let runs = unsafe {
        (this as *mut ThreadBlock).write(block);
        tcb.write_registers(true, &registers)
    };
    match runs {
        Ok(()) => Ok(JoinHandle { done, bit, result, of: PhantomData }),
        Err(error) => {
            // SAFETY: the thread does not run, so that the job is nobody else's.
            drop(unsafe { Box::from_raw(job) });
            TAKEN.fetch_and(!bit, Ordering::Release);
            Err(SpawnError::Kernel(error))
        }
    }
}

/// Where a thread starts.
extern "C" fn run(job: usize) -> ! {
    // SAFETY: who started the thread made the job for it.
    let Job { tcb, done, action, then } = *unsafe { Box::from_raw(job as *mut Job) };
    action();
    done.signal();
    then();
    loop {
        // Its next job begins elsewhere, whether this has come about by then or not.
        let _ = tcb.suspend();
    }
}
