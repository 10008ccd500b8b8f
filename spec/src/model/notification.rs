//! Notifications (manual 5).

use super::{Doing, Name, Step, Stopped, register};

impl Step {
    /// Manual 5.2, 5.3: a signal wakes the first that waits, or the bound thread while it receives, or is kept.
    pub(super) fn signal(&mut self, ntfn: Name, badge: u64) {
        let n = self.ntfn(ntfn);
        let (waiting, bound, signals) = (n.queue.first().copied(), n.bound, n.signals);
        if let Some(thread) = waiting {
            n.queue.remove(0);
            self.deliver(thread, ntfn, badge);
        } else if signals.is_none()
            && let Some(thread) = bound
            && let Doing::Receiving { .. } = self.thread(thread).doing
        {
            self.cancel(thread);
            self.deliver(thread, ntfn, badge);
        } else {
            self.ntfn(ntfn).signals = Some(signals.unwrap_or(0) | badge);
        }
    }

    fn deliver(&mut self, thread: Name, ntfn: Name, badge: u64) {
        self.thread(thread).registers[register::CAP] = badge;
        self.lend_notifications(thread, ntfn);
        self.unblock(thread, Doing::Running);
    }

    /// Manual 5.2: waits for a signal or takes those that are there.
    pub(super) fn wait(&mut self, thread: Name, ntfn: Name, blocking: bool) {
        if self.ntfn(ntfn).signals.is_some() {
            self.take_signals(thread, ntfn);
        } else if blocking {
            self.block(thread, Doing::Waiting { ntfn });
            self.return_to_notification(thread, ntfn);
            self.enqueue_waiting(ntfn, thread);
        } else {
            self.thread(thread).registers[register::CAP] = 0;
        }
    }

    pub(super) fn enqueue_waiting(&mut self, ntfn: Name, thread: Name) {
        let at = self.place_by_priority(&self.s.notifications[&ntfn].queue, thread);
        self.ntfn(ntfn).queue.insert(at, thread);
    }

    pub(super) fn take_signals(&mut self, thread: Name, ntfn: Name) {
        self.thread(thread).registers[register::CAP] = self.ntfn(ntfn).signals.take().unwrap_or(0);
        self.lend_notifications(thread, ntfn);
        self.refresh(thread);
    }

    /// Manual 6.1.11: a passive thread that gets a signal runs on the notification's scheduling context.
    fn lend_notifications(&mut self, thread: Name, ntfn: Name) {
        if let Some(sc) = self.ntfn(ntfn).sc
            && self.thread(thread).sc.is_none()
            && self.context(sc).thread.is_none()
        {
            self.donate(sc, thread);
            self.wait_if_spent(thread);
        }
    }

    /// It gives it back when it waits again.
    pub(super) fn return_to_notification(&mut self, thread: Name, ntfn: Name) {
        if let Some(sc) = self.ntfn(ntfn).sc
            && self.thread(thread).sc == Some(sc)
        {
            self.unbind_thread(sc);
        }
    }

    /// A notification goes: it is unbound from everything, then from the first on those in its queue make their system
    /// calls again.
    pub(super) fn end_notification(&mut self, ntfn: Name) -> Result<(), Stopped> {
        let n = self.ntfn(ntfn);
        let (sc, bound, queue) = (n.sc.take(), n.bound.take(), n.queue.clone());
        if let Some(sc) = sc {
            self.context(sc).notification = None;
        }
        if let Some(thread) = bound {
            self.thread(thread).bound = None;
        }
        for thread in queue {
            self.ntfn(ntfn).queue.remove(0);
            self.unblock(thread, Doing::Restarting);
            self.may_stop()?;
        }
        self.s.notifications.remove(&ntfn);
        Ok(())
    }

    /// `TCB_UnbindNotification`, and what the end of a thread does.
    pub(super) fn unbind_notification_of(&mut self, thread: Name) {
        if let Some(ntfn) = self.thread(thread).bound.take() {
            self.ntfn(ntfn).bound = None;
        }
    }
}
