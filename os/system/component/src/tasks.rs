//! Tasks of a server: what it does for one client while it serves the others.
//!
//! A method with a `Later` begins a task, which calls other servers and answers when it has what it needs. The tasks of a thread run
//! on that thread, one after the other, each until it waits; they go on when the thread's bound notification says so. A call
//! of another server takes a thread of the component as long as it lasts ([`Callers`]), since the kernel's calls block.

use alloc::{boxed::Box, collections::VecDeque, rc::Rc, sync::Arc, vec::Vec};
use core::{
    cell::RefCell,
    future::poll_fn,
    marker::PhantomData,
    task::{Poll, Waker},
};

use async_task::Runnable;
use pecan::{Cap, types::Notification};
use pecan_manifest::layout::{self, resource};
use pecan_runtime::sync::Mutex;

use crate::{
    role,
    thread::{SpawnError, spawn_then},
};

/// The tasks of a server's thread.
#[derive(Clone)]
pub struct Tasks {
    ready: Arc<Ready>,
    /// They stay on their thread.
    of: PhantomData<Rc<()>>,
}

/// The tasks that can go on.
struct Ready {
    queue: Mutex<VecDeque<Runnable>>,
    wake: Cap<Notification>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

impl Tasks {
    /// No tasks yet.
    pub fn new() -> Self {
        let wake = role::cap(resource::WAKE).unwrap_or(Cap::NULL);
        let ready = Ready { queue: Mutex::new(VecDeque::new()), wake };
        Self { ready: Arc::new(ready), of: PhantomData }
    }

    /// Begins a task: it runs until it waits for something.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        let ready = self.ready.clone();
        let schedule = move |runnable| {
            ready.queue.lock().push_back(runnable);
            if !ready.wake.is_null() {
                ready.wake.signal();
            }
        };
        // SAFETY: the task is run here and in `run`, which are on one thread as `Tasks` cannot be sent to another. What waits in
        // the queue keeps the queue, so that none of it is dropped elsewhere. What schedules the task can be sent and
        // shared, and nothing is borrowed.
        let (runnable, task) = unsafe { async_task::spawn_unchecked(task, schedule) };
        task.detach();
        runnable.run();
    }

    /// Lets those go on that have what they waited for, if these signals say that there may be some: to be called for each signal
    /// of [`crate::serve`].
    pub fn run(&self, signals: u64) {
        if signals >> layout::WAKE_SIGNAL & 1 == 0 {
            return;
        }
        loop {
            let next = self.ready.queue.lock().pop_front();
            match next {
                Some(runnable) => _ = runnable.run(),
                None => return,
            }
        }
    }
}

/// Threads of the component that call other servers for its tasks.
#[derive(Clone)]
pub struct Callers {
    state: Rc<RefCell<State>>,
}

struct State {
    free: Vec<&'static str>,
    /// Who waits for one of them.
    waiting: VecDeque<Waker>,
}

/// What a task and the thread that calls for it have in common.
#[derive(Default)]
struct Progress {
    done: bool,
    waker: Option<Waker>,
}

impl Callers {
    /// The threads of these names, which nobody else uses.
    pub fn new(threads: &[&'static str]) -> Self {
        let state = State { free: threads.to_vec(), waiting: VecDeque::new() };
        Self { state: Rc::new(RefCell::new(state)) }
    }

    /// Has a thread do something that may block, and waits for what comes of it; before, for a thread that is free.
    pub async fn call<T: Send + 'static>(
        &self,
        action: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, SpawnError> {
        let name = poll_fn(|context| {
            let state = &mut *self.state.borrow_mut();
            match state.free.pop() {
                Some(name) => Poll::Ready(name),
                None => {
                    state.waiting.push_back(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await;
        let progress = Arc::new(Mutex::new(Progress::default()));
        let seen = progress.clone();
        let then = move || {
            let waker = {
                let mut progress = seen.lock();
                progress.done = true;
                progress.waker.take()
            };
            waker.into_iter().for_each(Waker::wake);
        };
        let result = match spawn_then(name, action, Box::new(then)) {
            Ok(thread) => {
                poll_fn(|context| {
                    let mut progress = progress.lock();
                    if progress.done {
                        return Poll::Ready(());
                    }
                    progress.waker = Some(context.waker().clone());
                    Poll::Pending
                })
                .await;
                // It has signalled its end before it said so: this does not block.
                Ok(thread.join())
            }
            Err(error) => Err(error),
        };
        let next = {
            let mut state = self.state.borrow_mut();
            state.free.push(name);
            state.waiting.pop_front()
        };
        next.into_iter().for_each(Waker::wake);
        result
    }
}
