//! Signals that wake nobody, and taking one that is there: nothing is to be scheduled.
//!
//! As in all fast paths, nothing has changed where the answer is `None`.

use pecan_mem::{Kernel, NotificationState, Running, ThreadState, follow};

use crate::message::INFO_CAPS;

/// `Send` or `NBSend` on the capability at `cptr`, if it is one to a notification that nobody waits for.
#[inline(always)]
pub fn signal(k: &Kernel, running: Running, cptr: u64, info: u64) -> Option<()> {
    let cap = running.words(k, cptr)?;
    let ntfn = cap.notification_for_signal()?.get(k);
    // Capabilities that go along are looked up, though nobody gets them.
    if info & INFO_CAPS != 0 {
        return None;
    }
    let badge = match ntfn.state.get() {
        NotificationState::Active => ntfn.badge.get() | cap.badge(),
        NotificationState::Idle => {
            if let Some(bound) = follow(ntfn.bound_tcb.get(), k)
                && matches!(bound.state.get(), ThreadState::BlockedOnReceive { .. })
            {
                return None;
            }
            ntfn.state.set(NotificationState::Active);
            cap.badge()
        }
        NotificationState::Waiting => return None,
    };
    ntfn.badge.set(badge);
    Some(())
}

/// `Wait`, or `NBWait` if not `blocking`, on the capability at `cptr`, if it is one to a notification and the thread need
/// not block. Returns what it finds in [`reg::CAP`](pecan_arch::reg::CAP).
#[inline(always)]
pub fn wait(k: &Kernel, running: Running, cptr: u64, blocking: bool) -> Option<u64> {
    let ntfn = running.words(k, cptr)?.notification_for_wait()?.get(k);
    if ntfn.bound_tcb.get().is_some_and(|bound| bound != running.get().link()) {
        return None;
    }
    if ntfn.state.get() == NotificationState::Active {
        // A thread that runs needs no scheduling context of the notification's.
        ntfn.state.set(NotificationState::Idle);
        Some(ntfn.badge.replace(0))
    } else if blocking {
        None
    } else {
        Some(0)
    }
}
