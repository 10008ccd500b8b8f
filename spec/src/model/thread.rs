//! Threads (manual 6.1).

use pecan_abi::{Error, Label, constants::tcb_flag, ipc::IPC_BUFFER_BITS};

use super::{
    Answer, Cap, Doing, Failure, Invocation, Name, Slot, Step, Stopped,
    derivation::{same_object, with_data},
    illegal, invalid_capability, register, thread_slot,
    vspace::ROOT,
};

/// A capability for a thread's slot, and where it is a copy of; none to leave the slot empty.
type Install = Option<(Slot, Cap)>;

impl Step {
    pub(super) fn thread_method(&mut self, thread: Name, inv: &Invocation) -> Answer {
        match Label::from_word(inv.label) {
            Some(label @ (Label::TcbReadRegisters | Label::TcbWriteRegisters | Label::TcbCopyRegisters)) => {
                return self.registers_method(label, thread, inv);
            }
            Some(Label::TcbConfigure) => self.configure_thread(thread, inv)?,
            Some(Label::TcbSetSpace) => self.set_space(thread, inv)?,
            Some(Label::TcbSetIpcBuffer) => {
                inv.need(1, 1)?;
                let buffer = self.checked_buffer(inv, 0, 0)?;
                self.install_buffer(thread, buffer, inv)?;
            }
            Some(Label::TcbSetTlsBase) => {
                inv.need(1, 0)?;
                self.thread(thread).registers.set(register::TLS, inv.words[0]);
            }
            Some(Label::TcbSetFlags) => {
                inv.need(2, 0)?;
                let flags = (self.thread(thread).flags & !inv.words[0] | inv.words[1]) & tcb_flag::MASK;
                self.thread(thread).flags = flags;
                return Ok(vec![flags]);
            }
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
                self.install(thread, thread_slot::TIMEOUT, handler, inv)?;
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

    /// Manual 6.1.3: a thread stops. When it is resumed it goes on where it was; having stopped itself, with the
    /// system call that did.
    pub(super) fn suspend(&mut self, thread: Name) {
        self.cancel(thread);
        if self.thread(thread).doing == Doing::Running && self.invoker != Some(thread) {
            let t = self.thread(thread);
            t.registers[register::IP] = t.goes_on_at;
        }
        self.block(thread, Doing::Nothing);
        self.cancel_yield_to(thread);
    }

    /// Manual 6.1.2: a stopped or blocked thread goes on with the instruction it was stopped in.
    pub(super) fn resume(&mut self, thread: Name) {
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
        self.install(thread, thread_slot::FAULT, handler, inv)?;
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
    fn handler(&self, inv: &Invocation, extra: usize, number: u64) -> Result<Install, Failure> {
        match self.cap(inv.extra[extra]) {
            None => Ok(None),
            Some(cap) if super::fault::is_handler(cap) => Ok(Some((inv.extra[extra], cap))),
            _ => Err(invalid_capability(number)),
        }
    }

    /// `TCB_Configure` (manual 6.1.2): the roots of the thread's spaces, and its IPC buffer.
    fn configure_thread(&mut self, thread: Name, inv: &Invocation) -> Result<(), Failure> {
        inv.need(3, 3)?;
        let buffer = self.checked_buffer(inv, 2, 2)?;
        let roots = self.checked_roots(thread, inv, 0)?;
        self.install_roots(thread, roots, inv)?;
        self.install_buffer(thread, buffer, inv)?;
        Ok(())
    }

    /// `TCB_SetSpace`: the fault handler, and the roots of the thread's spaces.
    fn set_space(&mut self, thread: Name, inv: &Invocation) -> Result<(), Failure> {
        inv.need(2, 3)?;
        let roots = self.checked_roots(thread, inv, 1)?;
        let handler = self.handler(inv, 0, 1)?;
        self.install(thread, thread_slot::FAULT, handler, inv)?;
        self.install_roots(thread, roots, inv)?;
        Ok(())
    }

    /// An IPC buffer: the address in a word, 0 for none, and the frame among the extra capabilities.
    fn checked_buffer(&self, inv: &Invocation, word: usize, extra: usize) -> Result<(u64, Install), Failure> {
        let (slot, address) = (inv.extra[extra], inv.words[word]);
        if address == 0 {
            return Ok((0, None));
        }
        let derived = self.cap(slot).map(|cap| self.derive(slot, cap)).transpose()?.flatten();
        let Some(cap @ Cap::Frame { device: false, .. }) = derived else { return Err(illegal()) };
        if address % (1 << IPC_BUFFER_BITS) != 0 {
            return Err(Failure(Error::AlignmentError, vec![]));
        }
        Ok((address, Some((slot, cap))))
    }

    /// The roots of a CSpace and of a VSpace: two of the extra capabilities, with the first two words as their
    /// guard or badge. Those that the thread has now must not be the last ones to a CNode, or what is left of one.
    fn checked_roots(
        &self,
        thread: Name,
        inv: &Invocation,
        extra: usize,
    ) -> Result<(Install, Install), Failure> {
        for index in [thread_slot::CSPACE, thread_slot::VSPACE] {
            let old = self.cap(Slot { object: thread, index });
            let last = |old| matches!(old, Cap::CNode { .. } | Cap::Thread { .. }) && self.caps_to(old) == 1;
            if old.is_some_and(|old| matches!(old, Cap::Zombie { .. }) || last(old)) {
                return Err(illegal());
            }
        }
        let root = |extra: usize, data: u64| {
            let slot = inv.extra[extra];
            let cap = self
                .cap(slot)
                .and_then(|cap| if data == 0 { Some(cap) } else { with_data(cap, data, false) });
            let derived = cap.map(|cap| self.derive(slot, cap)).transpose()?.flatten();
            derived.map(|cap| (slot, cap)).ok_or_else(illegal)
        };
        let cspace = root(extra, inv.words[0])?;
        if !matches!(cspace.1, Cap::CNode { .. }) {
            return Err(illegal());
        }
        let vspace = root(extra + 1, inv.words[1])?;
        if !matches!(vspace.1, Cap::Table { level: ROOT, mapped: Some(_), .. }) {
            return Err(illegal());
        }
        Ok((Some(cspace), Some(vspace)))
    }

    /// How many capabilities name the object of this one.
    fn caps_to(&self, cap: Cap) -> usize {
        self.s.caps.values().filter(|other| same_object(other.cap, cap)).count()
    }

    fn install_roots(
        &mut self,
        thread: Name,
        (cspace, vspace): (Install, Install),
        inv: &Invocation,
    ) -> Result<(), Stopped> {
        self.install(thread, thread_slot::CSPACE, cspace, inv)?;
        self.install(thread, thread_slot::VSPACE, vspace, inv)
    }

    fn install_buffer(
        &mut self,
        thread: Name,
        (address, frame): (u64, Install),
        inv: &Invocation,
    ) -> Result<(), Stopped> {
        self.install(thread, thread_slot::BUFFER, frame, inv)?;
        if let Some(thread) = self.s.threads.get_mut(&thread) {
            thread.buffer = address;
        }
        Ok(())
    }

    /// Replaces a capability that a thread holds. What goes may take the new one, or the thread, with it.
    fn install(&mut self, thread: Name, index: u64, new: Install, inv: &Invocation) -> Result<(), Stopped> {
        let slot = Slot { object: thread, index };
        self.delete(slot)?;
        if let Some((source, cap)) = new
            && self.cap(source).is_some_and(|there| same_object(there, cap))
            && self.cap(inv.slot) == Some(Cap::Thread { thread })
        {
            self.insert_copy(source, slot, cap);
        }
        Ok(())
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
