//! Messages (manual 4): endpoints, capability transfer, calling and replying.

use pecan_abi::{MessageInfo, ipc::buffer};

use super::{Answer, Call, Cap, Doing, Fault, LookupFailure, Name, Sending, Step, Stopped, register};

impl Step {
    /// Manual 4.2: sends a thread's message, or its fault, to an endpoint: to the first that waits for one.
    pub(super) fn send(&mut self, sender: Name, ep: Name, how: Sending, blocking: bool, donate: bool) {
        let Some(receiver) = self.first_receiver(ep) else {
            if blocking {
                self.block(sender, Doing::Sending { ep, how });
                self.enqueue(ep, sender);
            }
            return;
        };
        let reply = self.stop_receiving(receiver);
        self.transfer(sender, Some(ep), how.badge, how.grant, receiver);
        if how.call || self.thread(sender).fault.is_some() {
            self.wait_for_answer(sender, receiver, reply, how, donate || how.call);
        } else if donate && self.thread(receiver).sc.is_none() {
            self.lend(sender, receiver);
        }
        self.unblock(receiver, Doing::Running);
    }

    /// The receiving half of a system call: from an endpoint or a notification.
    pub(super) fn receive_from(
        &mut self,
        receiver: Name,
        call: &Call,
        blocking: bool,
        with_reply: bool,
    ) -> Option<Answer> {
        const WRONG: LookupFailure = LookupFailure::MissingCapability { left: 0 };
        let object = self.lookup(receiver, call.cap).map(|slot| self.cap(slot));
        let result = match object {
            Ok(Some(Cap::Endpoint { ep, rights, .. })) if rights.read => {
                match self.lookup(receiver, call.reply).map(|slot| self.cap(slot)) {
                    _ if !with_reply => {
                        self.receive(receiver, ep, None, blocking);
                        Ok(())
                    }
                    Ok(Some(Cap::Reply { reply, .. })) => {
                        self.receive(receiver, ep, Some(reply), blocking);
                        Ok(())
                    }
                    Ok(_) => Err((call.reply, WRONG)),
                    Err(failure) => Err((call.reply, failure)),
                }
            }
            Ok(Some(Cap::Notification { ntfn, rights, .. }))
                if rights.read && self.ntfn(ntfn).bound.is_none_or(|bound| bound == receiver) =>
            {
                self.wait(receiver, ntfn, blocking);
                Ok(())
            }
            Ok(_) => Err((call.cap, WRONG)),
            Err(failure) => Err((call.cap, failure)),
        };
        if let Err((address, failure)) = result {
            self.raise(receiver, Fault::Cap { address, receiving: true, failure });
        }
        None
    }

    /// Manual 4.2, 5.3: takes the signal of the bound notification, or the message of the first sender, or
    /// waits.
    fn receive(&mut self, receiver: Name, ep: Name, reply: Option<Name>, blocking: bool) {
        if let Some(waiting) = reply.and_then(|reply| self.s.replies[&reply])
            && waiting != receiver
        {
            // The reply object gives up whom it held.
            self.cancel(waiting);
        }
        if let Some(ntfn) = self.thread(receiver).bound {
            if self.ntfn(ntfn).signals.is_some() {
                return self.take_signals(receiver, ntfn);
            }
            if blocking {
                self.return_to_notification(receiver, ntfn);
            }
        }
        let Some((sender, how)) = self.first_sender(ep) else {
            if blocking {
                self.block(receiver, Doing::Receiving { ep, reply });
                self.enqueue(ep, receiver);
                if let Some(reply) = reply {
                    self.s.replies.insert(reply, Some(receiver));
                }
            } else {
                self.thread(receiver).registers[register::CAP] = 0;
            }
            return;
        };
        self.dequeue(ep, sender);
        self.transfer(sender, Some(ep), how.badge, how.grant, receiver);
        self.refresh(sender);
        let fault = self.thread(sender).fault;
        if how.call || fault.is_some() {
            let lends = !matches!(fault, Some(Fault::Timeout { .. }));
            self.wait_for_answer(sender, receiver, reply, how, lends);
        } else {
            self.unblock(sender, Doing::Running);
        }
    }

    /// Manual 4.2.4, 6.1.11: the caller waits, its scheduling context goes along if the callee has none. A
    /// caller that nobody can answer stops.
    fn wait_for_answer(
        &mut self,
        caller: Name,
        callee: Name,
        reply: Option<Name>,
        how: Sending,
        donate: bool,
    ) {
        let Some(reply) = reply.filter(|_| how.grant || how.grant_reply) else {
            return self.block(caller, Doing::Nothing);
        };
        self.block(caller, Doing::Calling { reply: Some(reply) });
        self.s.replies.insert(reply, Some(caller));
        if let Some(sc) = self.thread(caller).sc
            && donate
            && self.thread(callee).sc.is_none()
        {
            self.context(sc).calls.push(reply);
            self.lend(caller, callee);
        }
    }

    /// Manual 4.2.4: answers the caller that waits on a reply object, if there is one.
    pub(super) fn answer(&mut self, sender: Name, reply: Name, grant: bool) {
        let Some(caller) = self.s.replies[&reply] else { return };
        if !matches!(self.thread(caller).doing, Doing::Calling { .. }) {
            return;
        }
        self.end_call(reply, caller);
        // Whether or not the answer to a fault lets it go on.
        self.refresh(caller);
        let fault = self.thread(caller).fault.take();
        let doing = match fault {
            None => {
                self.transfer(sender, None, 0, grant, caller);
                Doing::Running
            }
            Some(fault) if self.apply_answer(fault, sender, caller) => Doing::Restarting,
            Some(_) => Doing::Nothing,
        };
        if doing != Doing::Nothing {
            self.unblock_after_answer(caller, doing, fault);
        }
    }

    /// A call ends: the scheduling context that was lent by it goes back, if it is the innermost one that it
    /// was lent by. If it is further out, nothing comes back along it or those around it any more.
    pub(super) fn end_call(&mut self, reply: Name, caller: Name) {
        if let Some((sc, innermost)) = self.leave_calls(reply) {
            if innermost {
                self.context(sc).calls.pop();
                if self.thread(caller).sc.is_none() {
                    self.donate(sc, caller);
                }
            } else {
                self.cut_calls(sc, reply);
            }
        }
        self.s.replies.insert(reply, None);
        self.thread(caller).doing = Doing::Nothing;
    }

    /// A caller gives up: no scheduling context will come back along this call or those around it.
    fn give_up_call(&mut self, reply: Name, caller: Name) {
        if let Some((sc, _)) = self.leave_calls(reply) {
            self.cut_calls(sc, reply);
        }
        self.s.replies.insert(reply, None);
        self.thread(caller).doing = Doing::Nothing;
    }

    /// The scheduling context that was lent along a call, and whether this was the last time.
    fn leave_calls(&self, reply: Name) -> Option<(Name, bool)> {
        let (&sc, context) = self.s.contexts.iter().find(|(_, c)| c.calls.contains(&reply))?;
        Some((sc, context.calls.last() == Some(&reply)))
    }

    fn cut_calls(&mut self, sc: Name, at: Name) {
        let calls = &mut self.context(sc).calls;
        let keep = calls.iter().position(|&r| r == at).map_or(0, |i| i + 1);
        calls.drain(..keep);
    }

    /// A reply object goes: who waits on it stops waiting.
    pub(super) fn end_reply(&mut self, reply: Name) {
        let Some(thread) = self.s.replies[&reply] else { return };
        match self.thread(thread).doing {
            Doing::Calling { .. } => self.end_call(reply, thread),
            _ => self.cancel(thread),
        }
    }

    /// Takes a thread out of whatever it waits in.
    pub(super) fn cancel(&mut self, thread: Name) {
        match self.thread(thread).doing {
            Doing::Sending { ep, .. } | Doing::Receiving { ep, .. } => {
                self.dequeue(ep, thread);
                self.stop_receiving_quietly(thread);
                self.thread(thread).doing = Doing::Nothing;
            }
            Doing::Waiting { ntfn } => {
                self.ntfn(ntfn).queue.retain(|&t| t != thread);
                self.thread(thread).doing = Doing::Nothing;
            }
            Doing::Calling { reply: Some(reply) } => self.give_up_call(reply, thread),
            Doing::Calling { reply: None } => self.thread(thread).doing = Doing::Nothing,
            Doing::Nothing | Doing::Running | Doing::Restarting => {}
        }
        self.thread(thread).fault = None;
    }

    /// What a queued thread waits for cannot come any more: it makes its system call again. If it was telling
    /// of a fault it stops.
    pub(super) fn abort(&mut self, thread: Name) {
        let faulty = self.thread(thread).fault;
        if let Doing::Sending { ep, .. } | Doing::Receiving { ep, .. } = self.thread(thread).doing {
            self.dequeue(ep, thread);
        }
        self.stop_receiving_quietly(thread);
        if faulty.is_some() {
            self.thread(thread).doing = Doing::Nothing;
        } else {
            self.unblock(thread, Doing::Restarting);
        }
    }

    /// An endpoint goes: from the first on, those in its queue make their system calls again.
    pub(super) fn end_endpoint(&mut self, ep: Name) -> Result<(), Stopped> {
        for thread in self.s.endpoints[&ep].clone() {
            self.abort(thread);
            self.may_stop()?;
        }
        self.s.endpoints.remove(&ep);
        Ok(())
    }

    /// Threads wait in order of priority, then of arrival.
    pub(super) fn enqueue(&mut self, ep: Name, thread: Name) {
        let at = self.place_by_priority(&self.s.endpoints[&ep], thread);
        self.s.endpoints.get_mut(&ep).expect("the endpoint exists").insert(at, thread);
    }

    pub(super) fn place_by_priority(&self, queue: &[Name], thread: Name) -> usize {
        let priority = self.s.threads[&thread].priority;
        queue.iter().position(|t| self.s.threads[t].priority < priority).unwrap_or(queue.len())
    }

    pub(super) fn dequeue(&mut self, ep: Name, thread: Name) {
        self.s.endpoints.get_mut(&ep).expect("the endpoint exists").retain(|&t| t != thread);
    }

    fn first_receiver(&self, ep: Name) -> Option<Name> {
        let first = *self.s.endpoints[&ep].first()?;
        matches!(self.s.threads[&first].doing, Doing::Receiving { .. }).then_some(first)
    }

    fn first_sender(&self, ep: Name) -> Option<(Name, Sending)> {
        let first = *self.s.endpoints[&ep].first()?;
        match self.s.threads[&first].doing {
            Doing::Sending { how, .. } => Some((first, how)),
            _ => None,
        }
    }

    /// A receiver got something; gives the reply object that it wanted filled.
    fn stop_receiving(&mut self, receiver: Name) -> Option<Name> {
        let Doing::Receiving { ep, .. } = self.thread(receiver).doing else { return None };
        self.dequeue(ep, receiver);
        self.stop_receiving_quietly(receiver)
    }

    fn stop_receiving_quietly(&mut self, receiver: Name) -> Option<Name> {
        let Doing::Receiving { reply: Some(reply), .. } = self.thread(receiver).doing else { return None };
        self.s.replies.insert(reply, None);
        Some(reply)
    }

    /// Manual 4.1, 4.2.1, 4.2.2: the receiver gets the words, the badge, and with the right to grant the
    /// capabilities.
    fn transfer(&mut self, sender: Name, ep: Option<Name>, badge: u64, grant: bool, receiver: Name) {
        let info = match self.thread(sender).fault {
            Some(fault) => {
                let (label, words) = self.fault_message(sender, fault);
                let length = self.put_words(receiver, &words);
                MessageInfo::new(label, 0, 0, length as u64)
            }
            None => {
                let info = MessageInfo(self.thread(sender).registers[register::INFO]);
                let words: Vec<u64> =
                    (0..self.sendable_length(sender)).map(|i| self.word(sender, i)).collect();
                let length = self.put_words(receiver, &words);
                let (caps, unwrapped) = if grant { self.transfer_caps(sender, ep, receiver) } else { (0, 0) };
                MessageInfo::new(info.label(), unwrapped, caps, length as u64)
            }
        };
        let registers = &mut self.thread(receiver).registers;
        (registers[register::INFO], registers[register::CAP]) = (info.0, badge);
    }

    /// Manual 4.2.2: a capability to the endpoint itself arrives as its badge; one other goes to the receive
    /// slot. Gives how many arrived, and which as badges.
    fn transfer_caps(&mut self, sender: Name, ep: Option<Name>, receiver: Name) -> (u64, u64) {
        let caps = self.extra_caps(sender).unwrap_or_default();
        let (mut arrived, mut unwrapped) = (0, 0);
        let mut slot = self.receive_slot(receiver);
        for source in caps {
            match self.cap(source) {
                Some(Cap::Endpoint { ep: e, badge, .. }) if ep == Some(e) => {
                    if !self.put_buffer(receiver, buffer::CAPS_OR_BADGES + arrived as usize, badge) {
                        break;
                    }
                    unwrapped |= 1 << arrived;
                }
                cap => {
                    let derived = cap.and_then(|cap| self.derive(source, cap).ok().flatten());
                    let (Some(derived), Some(dest)) = (derived, slot.take()) else { break };
                    self.insert_copy(source, dest, derived);
                }
            }
            arrived += 1;
        }
        (arrived, unwrapped)
    }
}
