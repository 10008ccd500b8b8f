//! Integrity and confinement of every step, whatever the family.
//!
//! *Integrity*: a step changes only what the capabilities that the acting thread uses in it reach, and only if they
//! have the right that it takes. *Confinement*: a capability that is new somewhere comes from one that is there, which
//! the acting thread uses or which is granted to the receiver of a message, and gives no more rights; or it is of an
//! object that was made of memory, or issued, by a capability that the acting thread uses. So what a thread can ever
//! reach is what it reaches at first, what those who can grant it something do, and what is made of the memory among
//! that.
//!
//! Nothing here is asked of the model but which capability an address means. When threads run and what time does to
//! budgets is not looked at here: [`crate::properties`] does.

use std::cell::OnceCell;

use pecan_abi::{Label, Syscall};

use crate::{
    lockstep::Broken,
    map::Map,
    model::{
        self, Arrival, Cap, Doing, Entry, Event, Held, INTERRUPTS, Name, Notification, Rights, SchedContext,
        Slot, State, Thread, register, thread_slot,
    },
};

/// Checks a step. `after` is the state with all that the step has left in registers and memory.
///
/// # Errors
/// What has changed that should not, in words.
pub fn check(before: &State, event: &Event, after: &State) -> Result<(), Broken> {
    let change = Change { before, event, after, used: OnceCell::new() };
    change.capabilities()?;
    change.threads()?;
    change.messages()?;
    change.contexts()?;
    change.memory()?;
    change.spaces()?;
    change.devices()
}

/// A step, and the capabilities that the acting thread uses in it.
struct Change<'s> {
    before: &'s State,
    event: &'s Event,
    after: &'s State,
    used: OnceCell<Used>,
}

/// Capabilities that a step uses.
struct Used {
    caps: Vec<(Slot, Cap)>,
    /// The CNodes among what they name, and those that are reached through them.
    cnodes: Vec<Name>,
}

impl Used {
    fn any(&self, wanted: impl Fn(Cap) -> bool) -> bool {
        self.caps.iter().any(|&(_, cap)| wanted(cap))
    }
}

/// The keys whose values differ.
fn changed<K: Ord + Copy, V: PartialEq + Clone>(before: &Map<K, V>, after: &Map<K, V>) -> Vec<K> {
    let (mut ours, mut theirs) = (vec![], vec![]);
    if !before.is_shared_with(after) {
        before.differences(after, |(key, _)| ours.push(*key), |(key, _)| theirs.push(*key));
        theirs.retain(|key| !ours.contains(key));
        ours.extend(theirs);
    }
    ours
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(format!("{}, and nothing that the acting thread uses lets it\n", what())) }
}

/// The capabilities in an object's slots.
fn within(s: &State, object: Name) -> impl Iterator<Item = (Slot, Cap)> {
    let first = Slot { object, index: 0 };
    s.caps
        .range(first..)
        .take_while(move |(slot, _)| slot.object == object)
        .map(|(slot, held)| (*slot, held.cap))
}

/// CNodes, and all that are reached through capabilities in them.
fn reached(s: &State, mut cnodes: Vec<Name>) -> Vec<Name> {
    let mut at = 0;
    while at < cnodes.len() {
        for (_, cap) in within(s, cnodes[at]) {
            if let Cap::CNode { cnode, .. } = cap
                && !cnodes.contains(&cnode)
            {
                cnodes.push(cnode);
            }
        }
        at += 1;
    }
    cnodes
}

/// The CNodes of a thread's CSpace.
fn cspace(s: &State, thread: Name) -> Vec<Name> {
    match s.caps.get(&Slot { object: thread, index: thread_slot::CSPACE }).map(|held| held.cap) {
        Some(Cap::CNode { cnode, .. }) => reached(s, vec![cnode]),
        _ => vec![],
    }
}

/// True if all that a capability allows another one does, too.
fn covers(cap: Cap, new: Cap) -> bool {
    let rights = |has: Rights, wants: Rights| {
        has.write >= wants.write
            && has.read >= wants.read
            && has.grant >= wants.grant
            && has.grant_reply >= wants.grant_reply
    };
    match (cap, new) {
        (Cap::Endpoint { ep: a, badge, rights: r }, Cap::Endpoint { ep: b, badge: new, rights: w })
        | (
            Cap::Notification { ntfn: a, badge, rights: r },
            Cap::Notification { ntfn: b, badge: new, rights: w },
        ) => a == b && (badge == 0 || badge == new) && rights(r, w),
        (Cap::Reply { reply: a, grant: has }, Cap::Reply { reply: b, grant: wants }) => {
            a == b && has >= wants
        }
        (Cap::CNode { cnode: a, radix: r, .. }, Cap::CNode { cnode: b, radix: w, .. }) => (a, r) == (b, w),
        (
            Cap::Frame { frame: a, level: l, read: has_read, write: has_write, device: d, .. },
            Cap::Frame { frame: b, level, read, write, device, .. },
        ) => (a, l, d) == (b, level, device) && has_read >= read && has_write >= write,
        (Cap::Table { table: a, level: l, .. }, Cap::Table { table: b, level, .. }) => (a, l) == (b, level),
        (Cap::Untyped { base: a, bits: l, device: d, .. }, Cap::Untyped { base: b, bits, device, .. }) => {
            (a, l, d) == (b, bits, device)
        }
        (Cap::CNode { cnode: object, .. } | Cap::Thread { thread: object }, Cap::Zombie { object: left })
        | (
            Cap::Endpoint { ep: object, .. } | Cap::Notification { ntfn: object, .. },
            Cap::Ending { object: left },
        ) => object == left,
        (Cap::IrqHandler { irq }, Cap::EndingHandler { irq: left }) => irq == left,
        _ => cap == new,
    }
}

/// The memory that an object begins at.
fn place(cap: Cap) -> Option<Name> {
    Some(match cap {
        Cap::Endpoint { ep: name, .. }
        | Cap::Notification { ntfn: name, .. }
        | Cap::Reply { reply: name, .. }
        | Cap::CNode { cnode: name, .. }
        | Cap::Thread { thread: name }
        | Cap::SchedContext { sc: name, .. }
        | Cap::Frame { frame: name, .. }
        | Cap::Table { table: name, .. }
        | Cap::AsidPool { pool: name, .. } => name,
        _ => return None,
    })
}

/// The bytes of a thread's IPC buffer, if the kernel may write to it.
pub(crate) fn buffer(s: &State, thread: Name) -> Option<std::ops::Range<u64>> {
    match s.caps.get(&Slot { object: thread, index: thread_slot::BUFFER })?.cap {
        Cap::Frame { frame, level, read: true, write: true, .. } => {
            let at = frame.0 + (s.threads.get(&thread)?.buffer & ((1 << (12 + 9 * level)) - 1024));
            Some(at..at + 1024)
        }
        _ => None,
    }
}

impl Change<'_> {
    fn label(&self) -> Option<Label> {
        self.event.call().filter(|call| call.label != 0).and_then(|call| Label::from_word(call.label))
    }

    /// The interrupt that comes, or for which a system call is stopped.
    fn interrupt(&self) -> Option<u64> {
        match *self.event {
            Event::Interrupt { irq } | Event::Stopped { by: Arrival::Interrupt(irq), .. } => Some(irq),
            _ => None,
        }
    }

    /// What the event names, and what tells of faults.
    fn used(&self) -> &Used {
        self.used.get_or_init(|| {
            let mut caps = vec![];
            let at = |slot: Slot| self.before.caps.get(&slot).map(|held| (slot, held.cap));
            if let Some(irq) = self.interrupt() {
                caps.extend(at(Slot { object: INTERRUPTS, index: irq }));
            }
            if let Some(actor) = self.before.current {
                caps.extend(self.named(actor));
                caps.extend(
                    [thread_slot::FAULT, thread_slot::TIMEOUT]
                        .map(|index| Slot { object: actor, index })
                        .map(at)
                        .into_iter()
                        .flatten(),
                );
            }
            // A caller that gets its answer too late tells its timeout handler.
            let answered = caps.iter().filter_map(|&(_, cap)| match cap {
                Cap::Reply { reply, .. } => self.before.replies.get(&reply).copied().flatten(),
                _ => None,
            });
            let handlers: Vec<_> =
                answered.filter_map(|object| at(Slot { object, index: thread_slot::TIMEOUT })).collect();
            caps.extend(handlers);
            let cnodes = caps.iter().filter_map(|&(_, cap)| match cap {
                Cap::CNode { cnode, .. } => Some(cnode),
                _ => None,
            });
            let cnodes = reached(self.before, cnodes.collect());
            Used { caps, cnodes }
        })
    }

    /// What a system call names. Capabilities that go with a message are given, not used.
    fn named(&self, actor: Name) -> Vec<(Slot, Cap)> {
        let Some(call) = self.event.call() else { return vec![] };
        let mut addresses = vec![call.cap];
        match call.call {
            Syscall::ReplyRecv | Syscall::Recv | Syscall::NBRecv | Syscall::NBSendWait => {
                addresses.push(call.reply);
            }
            Syscall::NBSendRecv => addresses.extend([call.reply, call.dest]),
            _ => {}
        }
        let at = |address| model::find(self.before, actor, address);
        let message =
            |cap| matches!(cap, Cap::Endpoint { .. } | Cap::Notification { .. } | Cap::Reply { .. });
        if at(call.cap).is_some_and(|(_, cap)| !message(cap)) {
            addresses.extend(&call.extra);
        }
        let mut used: Vec<_> = addresses.into_iter().filter_map(at).collect();
        // The first half of a system call may put there what the second half receives from.
        let receives = matches!(call.call, Syscall::ReplyRecv | Syscall::NBSendRecv | Syscall::NBSendWait);
        let empty = [call.cap, call.reply].into_iter().filter(|&address| receives && at(address).is_none());
        used.extend(empty.filter_map(|address| model::find(self.after, actor, address)));
        used
    }

    fn sends_to(&self, to: Name) -> bool {
        self.used().any(|cap| matches!(cap, Cap::Endpoint { ep, rights, .. } if ep == to && rights.write))
    }

    fn receives_from(&self, from: Name) -> bool {
        self.used().any(|cap| matches!(cap, Cap::Endpoint { ep, rights, .. } if ep == from && rights.read))
    }

    fn signals(&self, to: Name) -> bool {
        self.used()
            .any(|cap| matches!(cap, Cap::Notification { ntfn, rights, .. } if ntfn == to && rights.write))
    }

    /// Waits for signals, or takes those of the bound notification in the place of a message.
    fn waits_for(&self, from: Name) -> bool {
        let actor = self.before.current.and_then(|actor| self.before.threads.get(&actor));
        self.used().any(|cap| match cap {
            Cap::Notification { ntfn, rights, .. } => ntfn == from && rights.read,
            Cap::Endpoint { rights, .. } => rights.read && actor.is_some_and(|t| t.bound == Some(from)),
            _ => false,
        })
    }

    /// Uses a reply object, or has ended it.
    fn answers(&self, reply: Name) -> bool {
        !self.after.replies.contains_key(&reply)
            || self.used().any(|cap| matches!(cap, Cap::Reply { reply: r, .. } if r == reply))
    }

    fn controls(&self, thread: Name) -> bool {
        self.used().any(|cap| cap == Cap::Thread { thread })
    }

    fn disposes_of(&self, context: Name) -> bool {
        !self.after.contexts.contains_key(&context)
            || self.used().any(|cap| matches!(cap, Cap::SchedContext { sc, .. } if sc == context))
    }

    /// Takes back what was sent with a badge, which needs all rights.
    fn cancels(&self, from: Name, badge: u64) -> bool {
        let all = |r: Rights| r.write && r.read && r.grant && r.grant_reply;
        self.label() == Some(Label::CNodeCancelBadgedSends)
            && self.used().cnodes.iter().flat_map(|&cnode| within(self.before, cnode)).any(
                |(_, cap)| matches!(cap, Cap::Endpoint { ep, badge: b, rights } if (ep, b) == (from, badge) && all(rights)),
            )
    }

    /// True if the step may have left an operation half done: the acting thread is to make its system call again.
    fn is_unfinished(&self) -> bool {
        let restarts = |actor| self.after.threads.get(&actor).is_some_and(|t| t.doing == Doing::Restarting);
        self.label().is_some()
            && (matches!(self.event, Event::Stopped { .. }) || self.before.current.is_some_and(restarts))
    }

    /// True if an endpoint or a notification is half deleted: the last capability to it could go, and has no rights.
    fn is_ending(&self, name: Name) -> bool {
        let rights = |cap| match cap {
            Cap::Endpoint { ep: object, rights, .. } | Cap::Notification { ntfn: object, rights, .. } => {
                (object == name).then_some(rights)
            }
            _ => None,
        };
        let none = |r: Rights| !(r.write || r.read || r.grant || r.grant_reply);
        let mut left = self.after.caps.iter().filter_map(|(slot, held)| Some((*slot, rights(held.cap)?)));
        self.is_unfinished() && left.all(|(slot, r)| none(r) && self.goes(slot, &mut vec![]))
    }

    /// True if the step may have to do with a thread: it acts, is controlled, or waits for something that a capability
    /// that is used has the right to give.
    fn involves(&self, thread: Name) -> bool {
        let there = self.before.threads.get(&thread);
        // Whether a thread may come or go its capabilities tell.
        let Some(t) = there.filter(|_| self.after.threads.contains_key(&thread)) else { return true };
        if self.before.current == Some(thread) {
            return true;
        }
        let ended = |ep: Name| !self.after.endpoints.contains_key(&ep) || self.is_ending(ep);
        let waits = match t.doing {
            Doing::Receiving { ep, reply } => {
                ended(ep)
                    || self.sends_to(ep)
                    || reply.is_some_and(|reply| self.answers(reply))
                    || t.bound.is_some_and(|ntfn| self.signals(ntfn))
            }
            Doing::Sending { ep, how } => ended(ep) || self.receives_from(ep) || self.cancels(ep, how.badge),
            Doing::Calling { reply } => reply.is_some_and(|reply| self.answers(reply)),
            Doing::Waiting { ntfn } => {
                self.signals(ntfn) || !self.after.notifications.contains_key(&ntfn) || self.is_ending(ntfn)
            }
            Doing::Nothing | Doing::Running | Doing::Restarting => false,
        };
        waits || self.controls(thread)
    }

    /// True if a scheduling context may go from one thread to another: it is disposed of, those who have it are
    /// involved, or a call is over along which it was lent.
    fn moves(&self, context: Name) -> bool {
        let Some(c) = self.before.contexts.get(&context) else { return true };
        self.disposes_of(context)
            || c.thread.is_some_and(|thread| self.involves(thread))
            || c.notification.is_some_and(|ntfn| self.signals(ntfn) || self.waits_for(ntfn))
            || c.calls.iter().any(|&reply| {
                self.answers(reply)
                    || self.before.replies.get(&reply).copied().flatten().is_some_and(|t| self.involves(t))
            })
    }

    /// True if the step may put something into a slot, or take it out: it uses the object that the slot is of.
    fn opens(&self, slot: Slot) -> bool {
        self.used().cnodes.contains(&slot.object)
            || self.controls(slot.object)
            || slot.object == INTERRUPTS && self.used().any(|cap| cap == Cap::IrqHandler { irq: slot.index })
    }

    fn capabilities(&self) -> Result<(), Broken> {
        let (before, after) = (&self.before.caps, &self.after.caps);
        for slot in changed(before, after) {
            let holds = match (before.get(&slot), after.get(&slot)) {
                (Some(old), Some(new)) => self.replaces(slot, old, new),
                (None, Some(new)) => self.comes(slot, new.cap),
                _ => self.goes(slot, &mut vec![]),
            };
            let dump = |held: Option<&Held>| held.map_or("nothing".into(), |held| format!("{:?}", held.cap));
            ensure(holds, || {
                format!("{slot:?} held {} and holds {}", dump(before.get(&slot)), dump(after.get(&slot)))
            })?;
        }
        Ok(())
    }

    /// The same capability may get another parent when the one that it has goes or moves, and keeps account of how
    /// its object is used.
    fn replaces(&self, slot: Slot, old: &Held, new: &Held) -> bool {
        let orphan = |parent: Slot| self.before.caps.get(&parent) != self.after.caps.get(&parent);
        let adopted = old.parent == new.parent || old.parent.is_some_and(orphan);
        let same = old.cap == new.cap
            || covers(old.cap, new.cap)
                && covers(new.cap, old.cap)
                && (self.used().caps.iter().any(|&(at, _)| at == slot) || self.grants(slot));
        same && adopted && old.original == new.original
            || self.opens(slot) && self.comes(slot, new.cap)
            || self.is_swept(slot, new.cap)
    }

    /// True if a capability may come into a slot.
    fn comes(&self, slot: Slot, new: Cap) -> bool {
        let copied = || {
            let there = self.used().cnodes.iter().flat_map(|&cnode| within(self.before, cnode));
            there.chain(self.used().caps.iter().copied()).any(|(_, cap)| covers(cap, new))
        };
        self.opens(slot) && (copied() || self.is_made(new))
            || self.arrives(slot, new)
            || self.is_swept(slot, new)
    }

    /// True if what is half deleted waits to go in a slot: both may go, and so might the capability where it was.
    fn is_swept(&self, slot: Slot, new: Cap) -> bool {
        self.is_unfinished()
            && self.goes(slot, &mut vec![])
            && self.before.caps.iter().any(|(&at, held)| covers(held.cap, new) && self.goes(at, &mut vec![]))
    }

    /// True if a capability is the first to an object that was made, or was issued.
    fn is_made(&self, new: Cap) -> bool {
        let inside = |base: Name, bits: u32, at: Name| (base.0..base.0 + (1 << bits)).contains(&at.0);
        let is_new = |at: Name| !self.before.caps.values().any(|held| place(held.cap) == Some(at));
        self.used().any(|cap| match (cap, new) {
            (Cap::Untyped { base, bits, device, .. }, Cap::Untyped { base: at, bits: b, device: d, .. }) => {
                inside(base, bits, at) && b < bits && device == d
            }
            (Cap::Untyped { base, bits, .. }, new) => {
                place(new).is_some_and(|at| inside(base, bits, at) && is_new(at))
                    && (!matches!(new, Cap::AsidPool { .. }) || self.used().any(|c| c == Cap::AsidControl))
            }
            (Cap::IrqControl, Cap::IrqHandler { irq }) => !self.before.interrupts.contains_key(&irq),
            (Cap::IoPortControl, Cap::IoPort { first, last }) => {
                !self.before.caps.values().any(
                    |held| matches!(held.cap, Cap::IoPort { first: f, last: l } if f <= last && first <= l),
                )
            }
            _ => false,
        })
    }

    /// Who grants capabilities to whom.
    fn granting(&self) -> Vec<(Name, Name)> {
        let Some(actor) = self.before.current else { return vec![] };
        let mut pairs = vec![];
        for (&other, thread) in &self.before.threads {
            let to = |cap| match (cap, thread.doing) {
                (Cap::Endpoint { ep, rights: r, .. }, Doing::Receiving { ep: at, .. }) => {
                    ep == at && r.write && r.grant
                }
                (Cap::Reply { reply, grant }, Doing::Calling { reply: Some(at) }) => reply == at && grant,
                _ => false,
            };
            let from = |cap| match (cap, thread.doing) {
                (Cap::Endpoint { ep, rights: r, .. }, Doing::Sending { ep: at, how }) => {
                    ep == at && r.read && how.grant
                }
                _ => false,
            };
            pairs.extend(self.used().any(to).then_some((actor, other)));
            pairs.extend(self.used().any(from).then_some((other, actor)));
        }
        pairs
    }

    /// True if a capability comes with a message: the sender has it and grants it, and the receiver has a capability
    /// to the CNode.
    fn arrives(&self, slot: Slot, new: Cap) -> bool {
        self.granting().into_iter().any(|(sender, receiver)| {
            let holds = |thread, wanted: &dyn Fn(Cap) -> bool| {
                let there = cspace(self.before, thread);
                there.into_iter().flat_map(|cnode| within(self.before, cnode)).any(|(_, cap)| wanted(cap))
            };
            holds(sender, &|cap| covers(cap, new))
                && holds(receiver, &|cap| matches!(cap, Cap::CNode { cnode, .. } if cnode == slot.object))
        })
    }

    /// True if the capability in a slot may be copied into a message.
    fn grants(&self, slot: Slot) -> bool {
        self.granting().into_iter().any(|(sender, _)| cspace(self.before, sender).contains(&slot.object))
    }

    /// True if the capability in a slot may go: it is taken out, what it was derived from is revoked, or the object
    /// that the slot is of has ended because a capability to that could go.
    fn goes(&self, slot: Slot, seen: &mut Vec<Slot>) -> bool {
        if self.opens(slot) {
            return true;
        }
        let parent = |slot: &Slot| self.before.caps.get(slot)?.parent;
        if self.label() == Some(Label::CNodeRevoke)
            && std::iter::successors(parent(&slot), parent).any(|p| self.used().cnodes.contains(&p.object))
        {
            return true;
        }
        let names = |cap| match cap {
            Cap::IrqHandler { irq } | Cap::EndingHandler { irq } => {
                slot == Slot { object: INTERRUPTS, index: irq }
            }
            Cap::CNode { cnode: object, .. } | Cap::Thread { thread: object } => object == slot.object,
            Cap::Zombie { object } => object == slot.object,
            _ => false,
        };
        // An interrupt gives up its notification before the capability to it is gone.
        let stays = |at: Slot, cap: Cap| match cap {
            Cap::Zombie { .. } | Cap::EndingHandler { .. } => false,
            Cap::IrqHandler { .. } => !(self.is_unfinished() && self.goes(at, &mut vec![])),
            _ => true,
        };
        if self.after.caps.iter().any(|(at, held)| names(held.cap) && stays(*at, held.cap)) {
            return false;
        }
        seen.push(slot);
        let caps = self.before.caps.iter().filter(|(_, held)| names(held.cap)).map(|(slot, _)| *slot);
        caps.collect::<Vec<_>>().into_iter().any(|cap| !seen.contains(&cap) && self.goes(cap, seen))
    }

    fn threads(&self) -> Result<(), Broken> {
        for name in changed(&self.before.threads, &self.after.threads) {
            let pair = (self.before.threads.get(&name), self.after.threads.get(&name));
            // What is new or has ended the capabilities tell.
            let (Some(old), Some(new)) = pair else { continue };
            let right = self.thread(name, old, new);
            ensure(right == *new, || format!("thread {name:?} was {right:?} and is {new:?}"))?;
        }
        Ok(())
    }

    /// What may become of a thread: as in `new`, where it may differ.
    fn thread(&self, name: Name, old: &Thread, new: &Thread) -> Thread {
        if self.controls(name) {
            return new.clone();
        }
        let mut right = old.clone();
        let ended = |ntfn| !self.after.notifications.contains_key(&ntfn);
        if old.bound.is_some_and(|ntfn| ended(ntfn) || new.bound.is_none() && self.is_ending(ntfn)) {
            right.bound = None;
        }
        let runs = self.after.current == Some(name);
        if self.involves(name) {
            (right.doing, right.fault, right.yielded_to) = (new.doing, new.fault, new.yielded_to);
            (right.sc, right.goes_on_at) = (new.sc, new.goes_on_at);
            if self.before.current == Some(name) || old.fault.is_some() {
                // The handler of a fault may set all registers.
                right.registers = new.registers;
            }
            let message = [register::CAP, register::INFO].into_iter().chain(register::WORDS);
            message.for_each(|r| right.registers[r] = new.registers[r]);
            return right;
        }
        if [old.sc, new.sc].into_iter().flatten().any(|sc| self.moves(sc)) {
            right.sc = new.sc;
        }
        if runs && old.doing == Doing::Restarting {
            right.doing = Doing::Running;
            right.goes_on_at = old.registers[register::IP];
        }
        if old.yielded_to.is_some_and(|sc| runs || self.moves(sc)) && new.yielded_to.is_none() {
            // It learns how much time was used.
            right.yielded_to = None;
            right.registers[register::WORDS[0]] = new.registers[register::WORDS[0]];
        }
        right
    }

    /// True if those that are in one queue only, or have another place, may be.
    fn queue(&self, old: &[Name], new: &[Name], may_join: impl Fn(Name) -> bool) -> bool {
        let joined = new.iter().filter(|t| !old.contains(t)).all(|&t| may_join(t));
        let left = old.iter().filter(|t| !new.contains(t)).all(|&t| self.involves(t));
        let stayed = old.iter().filter(|t| new.contains(t));
        let in_order = stayed.eq(new.iter().filter(|t| old.contains(t)));
        joined && left && (in_order || old.iter().any(|&t| self.involves(t)))
    }

    /// Endpoints, notifications and reply objects.
    fn messages(&self) -> Result<(), Broken> {
        let (before, after) = (self.before, self.after);
        for name in changed(&before.endpoints, &after.endpoints) {
            let (Some(old), Some(new)) = (before.endpoints.get(&name), after.endpoints.get(&name)) else {
                continue;
            };
            let joins = |t| self.involves(t) && (self.sends_to(name) || self.receives_from(name));
            ensure(self.queue(old, new, joins), || {
                format!("{old:?} were queued at {name:?}, and {new:?} are")
            })?;
        }
        for name in changed(&before.notifications, &after.notifications) {
            let pair = (before.notifications.get(&name), after.notifications.get(&name));
            let (Some(old), Some(new)) = pair else { continue };
            ensure(self.notification(name, old, new), || format!("{name:?} was {old:?} and is {new:?}"))?;
        }
        for name in changed(&before.replies, &after.replies) {
            let (Some(&old), Some(&new)) = (before.replies.get(&name), after.replies.get(&name)) else {
                continue;
            };
            let holds = self.answers(name) || old.is_some_and(|t| self.involves(t));
            ensure(holds, || format!("{name:?} held {old:?} and holds {new:?}"))?;
        }
        Ok(())
    }

    fn notification(&self, name: Name, old: &Notification, new: &Notification) -> bool {
        let controls = |thread: Option<Name>| {
            thread.is_some_and(|t| self.controls(t) || !self.after.threads.contains_key(&t))
        };
        let disposes = |sc: Option<Name>| sc.is_some_and(|sc| self.disposes_of(sc));
        let signalled = match (old.signals, new.signals) {
            (old, new) if old == new => true,
            (Some(_), None) => self.waits_for(name),
            (old, Some(_)) => self.signals(name) || old.is_some() && self.waits_for(name),
            (None, None) => true,
        };
        signalled
            && self.queue(&old.queue, &new.queue, |t| self.before.current == Some(t) && self.waits_for(name))
            && (old.bound == new.bound
                || controls(old.bound)
                || controls(new.bound) && self.waits_for(name)
                || self.is_ending(name))
            && (old.sc == new.sc || disposes(old.sc) || disposes(new.sc) || self.is_ending(name))
    }

    fn contexts(&self) -> Result<(), Broken> {
        for name in changed(&self.before.contexts, &self.after.contexts) {
            let pair = (self.before.contexts.get(&name), self.after.contexts.get(&name));
            let (Some(old), Some(new)) = pair else { continue };
            ensure(self.context(name, old, new), || format!("{name:?} was {old:?} and is {new:?}"))?;
        }
        Ok(())
    }

    fn context(&self, name: Name, old: &SchedContext, new: &SchedContext) -> bool {
        let parameters = |c: &SchedContext| (c.badge, c.max_refills, c.period, c.sporadic);
        let runs = |thread: Name| self.after.current == Some(thread) || self.involves(thread);
        (parameters(old) == parameters(new)
            || self.disposes_of(name) && self.used().any(|cap| cap == Cap::SchedControl))
            && ((old.thread, &old.calls) == (new.thread, &new.calls) || self.moves(name))
            && (old.notification == new.notification
                || self.disposes_of(name)
                || old
                    .notification
                    .is_some_and(|n| !self.after.notifications.contains_key(&n) || self.is_ending(n)))
            && (old.yielded_from == new.yielded_from
                || self.moves(name)
                || old.yielded_from.is_some_and(runs))
    }

    /// The kernel writes to the IPC buffers of those who get something, and forgets what nobody can see any more.
    fn memory(&self) -> Result<(), Broken> {
        for at in changed(&self.before.memory, &self.after.memory) {
            let is_seen = |held: &Held| match held.cap {
                Cap::Frame { frame, level, .. } => (frame.0..frame.0 + (1 << (12 + 9 * level))).contains(&at),
                _ => false,
            };
            let gets = |thread: &Name| {
                let buffers = [self.before, self.after].map(|s| buffer(s, *thread));
                buffers.into_iter().flatten().any(|b| b.contains(&at)) && self.involves(*thread)
            };
            let holds = self.before.threads.keys().any(gets) || !self.after.caps.values().any(is_seen);
            ensure(holds, || format!("the word at {at:#x} has changed"))?;
        }
        Ok(())
    }

    /// Paging structures, address spaces and pools.
    fn spaces(&self) -> Result<(), Broken> {
        let (before, after) = (self.before, self.after);
        for name in changed(&before.tables, &after.tables) {
            let (Some(old), Some(new)) = (before.tables.get(&name), after.tables.get(&name)) else {
                continue;
            };
            for index in changed(old, new) {
                let (old, new) = (old.get(&index), new.get(&index));
                let holds = new.is_none_or(|new| self.maps(*new))
                    && old.is_none_or(|old| {
                        self.unmaps(*old)
                            || self.used().any(|cap| matches!(cap, Cap::Table { table, .. } if table == name))
                    });
                ensure(holds, || format!("entry {index} of {name:?} was {old:?} and is {new:?}"))?;
            }
        }
        for asid in changed(&before.spaces, &after.spaces) {
            let holds = match (before.spaces.get(&asid), after.spaces.get(&asid)) {
                (Some(root), None) => {
                    !after.tables.contains_key(root) || !after.pools.contains_key(&(asid & !511))
                }
                (None, Some(root)) => {
                    self.used().any(|cap| matches!(cap, Cap::AsidPool { base, .. } if base == asid & !511))
                        && self.used().any(|cap| matches!(cap, Cap::Table { table, .. } if table == *root))
                }
                _ => false,
            };
            ensure(holds, || format!("identifier {asid} is another address space's"))?;
        }
        for base in changed(&before.pools, &after.pools) {
            let holds = after.pools.get(&base).map_or_else(
                || {
                    !after
                        .caps
                        .values()
                        .any(|held| matches!(held.cap, Cap::AsidPool { base: b, .. } if b == base))
                },
                |_| self.used().any(|cap| cap == Cap::AsidControl),
            );
            ensure(holds, || format!("the pool of identifiers from {base} on is another"))?;
        }
        Ok(())
    }

    /// True if an entry may be made, with the rights of a capability that is used.
    fn maps(&self, entry: Entry) -> bool {
        let root = self.used().any(|cap| matches!(cap, Cap::Table { level: 3, .. }));
        root && self.used().any(|cap| match (cap, entry) {
            (Cap::Frame { frame, read, write, .. }, Entry::Frame { frame: f, read: r, write: w, .. }) => {
                frame == f && read >= r && write >= w
            }
            (Cap::Table { table, .. }, Entry::Table(below)) => table == below,
            _ => false,
        })
    }

    /// True if an entry may go: a capability to what it is of is used, or has gone.
    fn unmaps(&self, entry: Entry) -> bool {
        let is_of = |cap| match (cap, entry) {
            (Cap::Frame { frame, .. }, Entry::Frame { frame: f, .. }) => frame == f,
            (Cap::Table { table, .. }, Entry::Table(below)) => table == below,
            _ => false,
        };
        self.used().any(is_of)
            || self.before.caps.iter().any(|(slot, held)| {
                is_of(held.cap) && self.after.caps.get(slot).map(|held| held.cap) != Some(held.cap)
            })
    }

    /// True if the last capability to an interrupt is half deleted, which no longer comes.
    fn silences(&self, irq: u64) -> bool {
        let mut handlers = self.after.caps.iter().filter(|(_, held)| held.cap == Cap::IrqHandler { irq });
        self.is_unfinished() && handlers.all(|(slot, _)| self.goes(*slot, &mut vec![]))
    }

    /// Interrupts, and the schedule of domains.
    fn devices(&self) -> Result<(), Broken> {
        let (before, after) = (self.before, self.after);
        for irq in changed(&before.interrupts, &after.interrupts) {
            let handler = |cap| cap == Cap::IrqHandler { irq };
            let holds = match (before.interrupts.get(&irq), after.interrupts.get(&irq)) {
                (None, Some(_)) => self.used().any(|cap| cap == Cap::IrqControl),
                (Some(_), None) => !after.caps.values().any(|held| handler(held.cap)),
                (Some(old), Some(new)) => {
                    old.pin == new.pin
                        && if new.masked {
                            self.interrupt() == Some(irq) || self.silences(irq)
                        } else {
                            self.used().any(handler)
                        }
                }
                (None, None) => true,
            };
            ensure(holds, || format!("interrupt {irq} was {:?}", before.interrupts.get(&irq)))?;
        }
        let plan = |s: &State| (s.schedule.entries.clone(), s.schedule.start);
        let holds = plan(before) == plan(after) || self.used().any(|cap| cap == Cap::DomainSet);
        ensure(holds, || "the schedule of domains has changed".into())
    }
}

#[cfg(test)]
mod tests;
