//! Threads (manual 6.1).

use pecan_abi::Label;

use super::{
    Answer, Cap, Doing, Failure, Invocation, Name, Slot, Step, illegal, invalid_capability, thread_slot,
};

impl Step {
    pub(super) fn thread_method(&mut self, thread: Name, inv: &Invocation) -> Answer {
        match Label::from_word(inv.label) {
            Some(Label::TcbSuspend) => self.suspend(thread),
            Some(Label::TcbResume) => self.resume(thread),
            Some(Label::TcbSetPriority) => {
                inv.need(1, 1)?;
                let priority = self.checked_priority(inv, 0)?;
                self.set_priority(thread, priority);
            }
            Some(Label::TcbSetMcPriority) => {
                inv.need(1, 1)?;
                self.thread(thread).mcp = self.checked_priority(inv, 0)?;
            }
            Some(Label::TcbSetSchedParams) => self.set_sched_params(thread, inv)?,
            Some(Label::TcbSetTimeoutEndpoint) => {
                inv.need(0, 1)?;
                let handler = self.handler(inv, 0, 1)?;
                self.install(thread, thread_slot::TIMEOUT, handler);
            }
            Some(Label::TcbBindNotification) => self.bind_notification(thread, inv)?,
            Some(Label::TcbUnbindNotification) => {
                if self.thread(thread).bound.is_none() {
                    return Err(illegal());
                }
                self.unbind_notification_of(thread);
            }
            _ => return Err(illegal()),
        }
        Ok(vec![])
    }

    /// Manual 6.1.3: a thread stops.
    pub(super) fn suspend(&mut self, thread: Name) {
        self.cancel(thread);
        self.block(thread, Doing::Nothing);
        self.cancel_yield_to(thread);
    }

    /// Manual 6.1.2: a stopped or blocked thread goes on with the instruction it was stopped in.
    fn resume(&mut self, thread: Name) {
        if matches!(self.thread(thread).doing, Doing::Running | Doing::Restarting) {
            return;
        }
        self.cancel(thread);
        self.unblock(thread, Doing::Restarting);
    }

    /// Manual 6.1.6: a priority that the thread named by the first capability may give.
    fn checked_priority(&mut self, inv: &Invocation, word: usize) -> Result<u8, Failure> {
        let Some(Cap::Thread { thread: authority }) = self.cap(inv.extra[0]) else {
            return Err(invalid_capability(1));
        };
        let max = self.thread(authority).mcp as u64;
        if inv.words[word] > max { Err(super::range(0, max)) } else { Ok(inv.words[word] as u8) }
    }

    /// `TCB_SetSchedParams`.
    fn set_sched_params(&mut self, thread: Name, inv: &Invocation) -> Result<(), Failure> {
        inv.need(2, 3)?;
        let (mcp, priority) = (self.checked_priority(inv, 0)?, self.checked_priority(inv, 1)?);
        let sc = match self.cap(inv.extra[1]) {
            Some(Cap::SchedContext { sc, .. }) => {
                if self.thread(thread).sc != Some(sc) {
                    self.check_bindable(sc, thread)?;
                }
                Some(sc)
            }
            None if thread == inv.thread => return Err(illegal()),
            None => None,
            _ => return Err(invalid_capability(2)),
        };
        let handler = self.handler(inv, 2, 3)?;
        self.install(thread, thread_slot::FAULT, handler);
        self.thread(thread).mcp = mcp;
        self.set_priority(thread, priority);
        match (self.thread(thread).sc, sc) {
            (old, Some(sc)) if old != Some(sc) => self.bind_thread(sc, thread),
            (Some(old), None) => self.unbind_thread(old),
            _ => {}
        }
        Ok(())
    }

    /// A fault handler among the extra capabilities; none is allowed.
    fn handler(&self, inv: &Invocation, extra: usize, number: u64) -> Result<Option<(Slot, Cap)>, Failure> {
        match self.cap(inv.extra[extra]) {
            None => Ok(None),
            Some(cap) if super::fault::is_handler(cap) => Ok(Some((inv.extra[extra], cap))),
            _ => Err(invalid_capability(number)),
        }
    }

    /// Replaces a capability that a thread holds.
    fn install(&mut self, thread: Name, index: u64, new: Option<(Slot, Cap)>) {
        let slot = Slot { object: thread, index };
        self.delete(slot);
        if let Some((source, cap)) = new
            && self.cap(source) == Some(cap)
            && self.s.threads.contains_key(&thread)
        {
            self.insert_copy(source, slot, cap);
        }
    }

    /// `TCB_BindNotification` (manual 5.3).
    fn bind_notification(&mut self, thread: Name, inv: &Invocation) -> Result<(), Failure> {
        inv.need(0, 1)?;
        match self.cap(inv.extra[0]) {
            Some(Cap::Notification { ntfn, rights, .. })
                if rights.read
                    && self.thread(thread).bound.is_none()
                    && self.ntfn(ntfn).queue.is_empty()
                    && self.ntfn(ntfn).bound.is_none() =>
            {
                self.thread(thread).bound = Some(ntfn);
                self.ntfn(ntfn).bound = Some(thread);
                Ok(())
            }
            _ => Err(illegal()),
        }
    }

    /// A thread goes.
    pub(super) fn end_thread(&mut self, thread: Name) {
        self.unbind_notification_of(thread);
        if let Some(sc) = self.thread(thread).sc {
            self.unbind_thread(sc);
            if let Some(yielder) = self.context(sc).yielded_from {
                self.finish_yield_to(yielder);
            }
        }
        self.suspend(thread);
        self.s.threads.remove(&thread);
    }
}
