//! Time for the initial task: a thread of it that signals every 10 ms, while there is something to wait for.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use pecan::{
    CSpaceRoot, Cap, CapRights, Priorities, Result, SchedParams, boot, raw,
    thread::ThreadParams,
    types::{CNode, Notification, SchedContext, SchedControl},
};
use pecan_manifest::Badge;
use pecan_service::ticks;

use crate::memory::Memory;

/// Microseconds between two signals, and how much of them the thread may use.
const PERIOD: u64 = 10_000;
const BUDGET: u64 = 500;

/// What the thread knows: whether it is to signal, the addresses of the two notifications, and that of a scheduling context which
/// the initial task's thread is to have.
static ARMED: AtomicBool = AtomicBool::new(false);
static TIME: AtomicU64 = AtomicU64::new(0);
static WAKE: AtomicU64 = AtomicU64::new(0);
static TICK: AtomicU64 = AtomicU64::new(0);

/// The clock.
pub struct Clock {
    wake: Cap<Notification>,
    /// What is signalled, which is bound to the initial task's own thread.
    own: Cap<Notification>,
    mhz: u64,
}

impl Clock {
    /// Makes the thread. Its signals come to the initial task's own thread, among the messages.
    pub fn new(memory: &mut Memory, root: Cap<CNode>, time: Cap<SchedControl>, mhz: u64) -> Result<Self> {
        let mut objects = memory.objects();
        let wake = objects.make::<Notification>()?;
        let own = objects.make::<Notification>()?;
        boot::TCB.bind_notification(own)?;
        let tick = objects.mint(own, CapRights::WRITE, Badge::SIGNAL | 1)?;
        WAKE.store(wake.cptr(), Ordering::Relaxed);
        TICK.store(tick.cptr(), Ordering::Relaxed);
        let priorities = Priorities { authority: boot::TCB, mcp: 0, priority: 255 };
        let mut params = ThreadParams::new(run, 0, CSpaceRoot::new(root), priorities)
            .with_time(time, SchedParams::new(BUDGET, PERIOD));
        params.stack_pages = 1;
        memory.thread(&params)?.start()?;
        Ok(Self { wake, own, mhz })
    }

    /// Microseconds since the machine was switched on.
    pub fn now(&self) -> u64 {
        ticks() / self.mhz
    }

    /// Gives the initial task's own thread a scheduling context in place of the one that it was started with: it cannot do
    /// that itself, as without one it does not run.
    pub fn exchange_time(&self, time: Cap<SchedContext>) {
        TIME.store(time.cptr(), Ordering::Relaxed);
        self.wake.signal();
        while TIME.load(Ordering::Relaxed) != 0 {
            self.own.wait();
        }
    }

    /// Lets signals come, or no more.
    pub fn arm(&self, on: bool) {
        if ARMED.swap(on, Ordering::Relaxed) != on && on {
            self.wake.signal();
        }
    }
}

/// Gives the initial task's own thread the scheduling context that it is to have; whether it is to have another.
fn exchange_time() -> bool {
    let time = TIME.load(Ordering::Relaxed);
    if time != 0 {
        // SAFETY: what is stored is the address of a scheduling context, which stays.
        let time: Cap<SchedContext> = unsafe { Cap::new(time) };
        // Without the new time it stays without any, and there is no system: this does not fail.
        let _ = boot::SCHED_CONTEXT.unbind().and_then(|()| time.bind(boot::TCB));
        TIME.store(0, Ordering::Relaxed);
    }
    time != 0
}

/// What the thread does.
extern "C" fn run(_: usize) -> ! {
    // SAFETY: they were stored before this thread was started, and stay.
    let cap = |word: &AtomicU64| unsafe { Cap::<Notification>::new(word.load(Ordering::Relaxed)) };
    loop {
        cap(&WAKE).wait();
        if exchange_time() {
            cap(&TICK).signal();
        }
        while ARMED.load(Ordering::Relaxed) {
            // The rest of this period's budget: it goes on with the next period.
            raw::yield_now();
            let _ = exchange_time();
            cap(&TICK).signal();
        }
    }
}
