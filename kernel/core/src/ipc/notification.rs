//! Notifications: signals, waiting, and binding to threads.
//!
//! A notification is Idle, or Active with a word of signals that nobody has taken, or Waiting with a queue;
//! never two of these. A bound thread gets signals while it receives at an endpoint, so a server can wait for
//! both. Invocations and interrupts call `signal`; receiving threads call `wait`, or `take` for a bound
//! notification.

use pecan_arch::reg;
use pecan_mem::{Kernel, Notification, NotificationState, Tcb, ThreadState, follow};

use crate::{
    ipc::{
        cancel,
        queue::{self, Queue},
    },
    sched::{budget, context, next::Next, ready, wake},
};

/// Nobody waits any more.
#[inline(always)]
pub fn set_idle(ntfn: &Notification) {
    queue::set_of_notification(ntfn, Queue::EMPTY);
}

/// Lends the notification's scheduling context to a passive thread that takes a signal, if there is one to lend.
#[inline(never)]
fn donate(k: &Kernel, thread: &Tcb, ntfn: &Notification) {
    if let Some(sc) = ntfn.sched_context.get()
        && sc.get(k).tcb.get().is_none()
    {
        context::donate(k, sc.get(k), thread);
        budget::resume(k, sc.get(k));
    }
}

/// Gives the notification's scheduling context back when the thread that it was lent to waits again.
pub fn maybe_return(k: &Kernel, ntfn: &Notification, thread: &Tcb) {
    if let Some(sc) = ntfn.sched_context.get()
        && thread.sched_context.get() == Some(sc)
    {
        ready::dequeue(k, thread);
        thread.sched_context.set(None);
        sc.get(k).tcb.set(None);
    }
}

/// Signals: wakes one waiting thread (or the bound one, if it receives), or notes the badge.
#[inline(always)]
pub fn signal(k: &Kernel, ntfn: &Notification, badge: u64) -> Next {
    let thread = match ntfn.state.get() {
        NotificationState::Idle => {
            let bound = follow(ntfn.bound_tcb.get(), k)
                .filter(|bound| matches!(bound.state.get(), ThreadState::BlockedOnReceive { .. }));
            let Some(bound) = bound else {
                ntfn.badge.set(badge);
                ntfn.state.set(NotificationState::Active);
                return Next::Resume;
            };
            cancel::cancel_ipc(k, bound);
            bound
        }
        NotificationState::Waiting => {
            let Some(thread) = follow(ntfn.head.get(), k) else { return Next::Resume };
            match thread.ipc_queue.next.get() {
                Some(next) => {
                    queue::promote(k, thread, next);
                    ntfn.head.set(Some(next));
                }
                None => set_idle(ntfn),
            }
            thread
        }
        NotificationState::Active => {
            ntfn.badge.set(ntfn.badge.get() | badge);
            return Next::Resume;
        }
    };
    thread.context.set(reg::CAP, badge);
    if thread.sched_context.get().is_none() {
        donate(k, thread, ntfn);
    }
    wake::unblock(k, thread)
}

/// Takes the signal of an active notification.
pub fn take(k: &Kernel, thread: &Tcb, ntfn: &Notification) {
    thread.context.set(reg::CAP, ntfn.badge.replace(0));
    ntfn.state.set(NotificationState::Idle);
    if thread.sched_context.get().is_none() {
        donate(k, thread, ntfn);
    }
    wake::refresh_budget(k, thread);
}

/// Waits for a signal, or takes the one that is there. Not `blocking`, it gets badge 0 if there is none.
pub fn wait(k: &Kernel, thread: &Tcb, ntfn: &Notification, blocking: bool) {
    if ntfn.state.get() == NotificationState::Active {
        take(k, thread, ntfn);
    } else if blocking {
        thread.state.set(ThreadState::BlockedOnNotification { ntfn: ntfn.link() });
        maybe_return(k, ntfn, thread);
        let mut waiting = queue::of_notification(ntfn);
        waiting.insert(k, thread);
        queue::set_of_notification(ntfn, waiting);
    } else {
        thread.context.set(reg::CAP, 0);
    }
}

/// Binds a notification to a thread: its signals reach the thread while that receives on an endpoint.
pub fn bind(thread: &Tcb, ntfn: &Notification) {
    ntfn.bound_tcb.set(Some(thread.link()));
    thread.set_bound_notification(Some(ntfn.link()));
}

/// Unbinds whatever notification is bound to the thread.
pub fn unbind_tcb(k: &Kernel, thread: &Tcb) {
    if let Some(ntfn) = thread.bound_notification() {
        thread.set_bound_notification(None);
        ntfn.get(k).bound_tcb.set(None);
    }
}

/// Unbinds whatever thread is bound to the notification.
pub fn unbind_notification(k: &Kernel, ntfn: &Notification) {
    if let Some(thread) = ntfn.bound_tcb.take() {
        thread.get(k).set_bound_notification(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use pecan_abi::{ObjectType, Syscall};
    use pecan_arch::reg;
    use pecan_mem::{Cap, NotificationState, ThreadState};

    use crate::{
        ipc::{
            priority,
            queue::{self, Queue},
        },
        sched::next::Next,
        testing::{FREE, World},
    };

    #[test]
    fn signals_add_up_until_they_are_taken() {
        let mut w = World::new();
        let Cap::Notification { ntfn, .. } = w.make(ObjectType::Notification, 0, FREE) else {
            unreachable!()
        };
        let (ntfn, thread) = (ntfn.get(&w.k), w.thread.get(&w.k));
        let taken = || {
            wait(&w.k, thread, ntfn, false);
            thread.context.get(reg::CAP)
        };
        assert_eq!(taken(), 0, "none");
        for (badges, sum) in [(&[5][..], 5), (&[5, 6], 7), (&[7, 7], 7), (&[0], 0), (&[1, 0, 8], 9)] {
            for &badge in badges {
                assert_eq!(signal(&w.k, ntfn, badge), Next::Resume);
                assert_eq!(ntfn.state.get(), NotificationState::Active);
            }
            assert_eq!(taken(), sum);
            assert_eq!((ntfn.state.get(), ntfn.badge.get()), (NotificationState::Idle, 0));
        }
    }

    #[test]
    fn a_signal_can_be_sent_and_awaited_at_once() {
        let mut w = World::new();
        let Cap::Notification { ntfn, .. } = w.make(ObjectType::Notification, 0, FREE) else {
            unreachable!()
        };
        let thread = w.thread;
        // It signals itself, and takes that: the same for every system call that does both without a reply object.
        for call in [Syscall::NBSendWait, Syscall::NBSend, Syscall::Send] {
            let context = &thread.get(&w.k).context;
            for r in [reg::CAP, reg::SEND_DEST, reg::REPLY] {
                context.set(r, FREE);
            }
            context.set(reg::INFO, 0);
            queue::set_of_notification(ntfn.get(&w.k), Queue::EMPTY);
            assert_eq!(w.syscall(call), thread);
            let state = ntfn.get(&w.k).state.get();
            if call == Syscall::NBSendWait {
                assert_eq!(state, NotificationState::Idle, "taken");
                assert_eq!(thread.get(&w.k).context.get(reg::CAP), 0, "the badge of the capability");
            } else {
                assert_eq!(state, NotificationState::Active);
            }
        }
        // A signal and its wait are told from nothing at all by the badge.
        wait(&w.k, thread.get(&w.k), ntfn.get(&w.k), false);
        ntfn.get(&w.k).badge.set(6);
        ntfn.get(&w.k).state.set(NotificationState::Active);
        let context = &thread.get(&w.k).context;
        context.set(reg::CAP, FREE);
        context.set(reg::REPLY, FREE);
        assert_eq!(w.syscall(Syscall::NBSendWait), thread);
        assert_eq!(thread.get(&w.k).context.get(reg::CAP), 6);
    }

    #[test]
    fn nobody_else_waits_for_the_signals_of_a_bound_thread() {
        let mut w = World::new();
        let Cap::Notification { ntfn, .. } = w.make(ObjectType::Notification, 0, FREE) else {
            unreachable!()
        };
        let Cap::Tcb { tcb } = w.make(ObjectType::Tcb, 0, FREE + 1) else { unreachable!() };
        for (bound, state) in
            [(tcb, ThreadState::Inactive), (w.thread, ThreadState::BlockedOnNotification { ntfn })]
        {
            let thread = w.thread.get(&w.k);
            thread.state.set(ThreadState::Running);
            w.k.set_current(w.thread.get(&w.k));
            bind(bound.get(&w.k), ntfn.get(&w.k));
            thread.context.set(reg::CAP, FREE);
            w.syscall(Syscall::Wait);
            // The other has faulted, and nobody handles that.
            assert_eq!(w.thread.get(&w.k).state.get(), state);
        }
    }

    #[test]
    fn every_way_to_receive_takes_a_signal() {
        let mut w = World::new();
        let Cap::Notification { ntfn, .. } = w.make(ObjectType::Notification, 0, FREE) else {
            unreachable!()
        };
        for (badge, call) in
            [Syscall::Wait, Syscall::NBWait, Syscall::Recv, Syscall::NBRecv].into_iter().enumerate()
        {
            assert_eq!(signal(&w.k, ntfn.get(&w.k), badge as u64 + 1), Next::Resume);
            w.thread.get(&w.k).context.set(reg::CAP, FREE);
            assert_eq!(w.syscall(call), w.thread);
            assert_eq!(w.thread.get(&w.k).context.get(reg::CAP), badge as u64 + 1, "{call:?}");
        }
        for call in [Syscall::NBWait, Syscall::NBRecv] {
            w.thread.get(&w.k).context.set(reg::CAP, FREE);
            assert_eq!(w.syscall(call), w.thread);
            assert_eq!(w.thread.get(&w.k).context.get(reg::CAP), 0, "nothing comes of {call:?}");
        }
    }

    #[test]
    fn who_waits_is_in_order_of_its_priority_when_that_changes() {
        let mut w = World::new();
        let Cap::Notification { ntfn, .. } = w.make(ObjectType::Notification, 0, FREE) else {
            unreachable!()
        };
        let threads = [1, 2, 3].map(|at| {
            let Cap::Tcb { tcb } = w.make(ObjectType::Tcb, 0, FREE + at) else { unreachable!() };
            let _ = priority::set_priority(&w.k, tcb.get(&w.k), 10 * at as u8);
            wait(&w.k, tcb.get(&w.k), ntfn.get(&w.k), true);
            tcb
        });
        let (k, ntfn) = (&*w.k, ntfn.get(&w.k));
        let _ = priority::set_priority(k, threads[0].get(k), 25);
        let _ = priority::set_priority(k, threads[2].get(k), 5);
        assert_eq!(threads.map(|t| t.get(k).priority.get()), [25, 20, 5]);
        for i in [0, 1, 2] {
            let _ = signal(k, ntfn, 1);
            let waits =
                threads.map(|t| matches!(t.get(k).state.get(), ThreadState::BlockedOnNotification { .. }));
            assert_eq!(waits, [0, 1, 2].map(|j| j > i));
        }
    }
}
