//! Revocation that may take long: a component can make as many capabilities of its own memory as there is room for. A thread of
//! the initial task does that, in time of its own; the kernel lets others run in between.

use core::sync::atomic::{AtomicU64, Ordering};

use pecan::{
    CSpaceRoot, Cap, Priorities, Result, SchedParams, Slot, boot,
    thread::ThreadParams,
    types::{CNode, Notification, SchedControl},
};
use pecan_manifest::layout;
use pecan_supervision::Rooms;

use crate::memory::Memory;

/// The thread's priority: above all components, as what it waits for is always its own time.
const PRIORITY: u8 = 254;

/// What the thread knows: the address of what it is to revoke, that of what it was told to revoke last, and the addresses of the
/// root of the CSpace and of the notification that it waits for.
static JOB: AtomicU64 = AtomicU64::new(0);
static LAST: AtomicU64 = AtomicU64::new(0);
static ROOT: AtomicU64 = AtomicU64::new(0);
static WAKE: AtomicU64 = AtomicU64::new(0);

/// The thread.
pub struct Revoker {
    wake: Cap<Notification>,
}

impl Revoker {
    /// Makes it.
    pub fn new(memory: &mut Memory, time: Cap<SchedControl>) -> Result<Self> {
        let wake = memory.objects().make::<Notification>()?;
        WAKE.store(wake.cptr(), Ordering::Relaxed);
        ROOT.store(memory.root().cptr(), Ordering::Relaxed);
        let priorities = Priorities { authority: boot::TCB, mcp: 0, priority: PRIORITY };
        let params = SchedParams::new(layout::REVOKE_BUDGET, layout::INIT_PERIOD);
        let mut params =
            ThreadParams::new(run, 0, CSpaceRoot::new(memory.root()), priorities).with_time(time, params);
        params.stack_pages = 1;
        memory.thread(&params)?.start()?;
        Ok(Self { wake })
    }

    /// Lets the capability at an address of the initial task's own room be revoked; whether it has been. One is revoked after the
    /// other: what is asked for while another one is revoked has to be asked for again.
    pub fn revoke(&self, cptr: u64) -> bool {
        if JOB.load(Ordering::Acquire) != 0 {
            return false;
        }
        if LAST.swap(cptr, Ordering::Relaxed) != cptr {
            JOB.store(cptr, Ordering::Release);
            self.wake.signal();
            // What does not take long has been done by now: who asks does so at the priority of a component.
            if JOB.load(Ordering::Acquire) != 0 {
                return false;
            }
        }
        LAST.store(0, Ordering::Relaxed);
        true
    }
}

/// What the thread does.
extern "C" fn run(_: usize) -> ! {
    // SAFETY: they were stored before this thread was started, and stay.
    let (root, wake) = unsafe {
        let root: Cap<CNode> = Cap::new(ROOT.load(Ordering::Relaxed));
        (root, Cap::<Notification>::new(WAKE.load(Ordering::Relaxed)))
    };
    loop {
        wake.wait();
        let cptr = JOB.load(Ordering::Acquire);
        // SAFETY: it is memory of which a component has made others. The component is no more, and the initial task has made
        // nothing of that memory. What cannot be revoked is found out by who gives it back.
        let _ = unsafe { Slot::in_node(root, cptr, Rooms::SLOT_BITS).revoke() };
        JOB.store(0, Ordering::Release);
    }
}
