//! What must hold of the kernel's state between any two entries, checked from scratch.
//!
//! [`check_in`] finds every slot and object that can be reached and looks at all of them. The most important invariant
//! is that of [`Link`]: no live object refers to a dead one. An object is live if some slot holds a capability to it,
//! or what is left of one. Tests on the host check after every step; on the target a kernel does so every so many
//! entries if its profile says so, in memory that is set aside for it ([`Scratch`]).

#![allow(clippy::result_large_err, reason = "what is broken holds its text: there is no heap to put it on")]

#[cfg(not(target_os = "none"))]
extern crate std;

mod running;
mod scratch;
mod spaces;
#[cfg(test)]
mod tests;

use core::fmt::Debug;

use pecan_mem::{
    Cap, Ending, EndpointState, Kernel, Link, Notification, NotificationState, ReplyNext, SchedContext, Slot,
    Tag, Tcb, ThreadState, Words, ZombieKind, cap::tag, retype::ObjectKind,
};

use scratch::Set;
pub use scratch::{Broken, Scratch};

use crate::{
    base::arch,
    cap::derivation,
    sched::{refill, release},
    space::tables,
};

macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err(Broken::new(format_args!($($text)+)));
        }
    };
}
use ensure;

/// Among how many neighbours on either side a capability is compared with others that are not its relatives. On the
/// host with all; in a kernel that runs, with the nearest.
const NEAR: usize = if cfg!(target_os = "none") { 8 } else { usize::MAX };

/// Kinds of marks in the set beside the tags of live objects' capabilities.
mod mark {
    pub const SLOT: u64 = 64;
    pub const CONTENTS: u64 = 65;
    pub const ZOMBIE: u64 = 66;
    pub const READY: u64 = 67;
    pub const LATER: u64 = 68;
    pub const MAPPED: u64 = 69;
    /// And the tag.
    pub const GROUP: u64 = 128;
}

/// Checks everything; `roots` are capabilities that no thread need have in its CSpace.
///
/// # Errors
/// The first thing that is wrong, in words.
#[cfg(not(target_os = "none"))]
pub fn check(k: &Kernel, roots: &[Cap]) -> Result<(), Broken> {
    match check_in(k, roots, &mut Scratch::<256>::new()) {
        // Systems with so many objects are few.
        Err(broken) if broken.no_room => {
            check_in(k, roots, &mut *std::boxed::Box::new(Scratch::<4096>::new()))
        }
        result => result,
    }
}

/// [`check`] in memory given for it, with room for `N` capabilities.
///
/// # Errors
/// The first thing that is wrong, in words.
pub fn check_in<const N: usize>(k: &Kernel, roots: &[Cap], scratch: &mut Scratch<N>) -> Result<(), Broken> {
    scratch.seen.clear();
    let seen = Set::new(&scratch.seen);
    let mut found = Found { k, slots: &mut scratch.slots, count: 0, seen };
    let threads = found.collect(roots, &mut scratch.threads)?;
    let count = found.count;
    let state = State { k, slots: &scratch.slots[..count], threads: &scratch.threads[..threads], seen };
    let order = &mut scratch.order[..count];
    state.check_lists(order)?;
    state.check_memory(order)?;
    state.check_zombies()?;
    state.check_threads()?;
    state.check_running()?;
    state.check_objects()?;
    state.check_queues()?;
    state.check_spaces()?;
    state.check_levels()
}

/// The slots of a capability's descendants, in the list's order: those that revoking it would delete.
pub fn descendants(k: &Kernel, slot: Link<Slot>) -> impl Iterator<Item = Link<Slot>> {
    core::iter::successors(slot.get(k).next(), |at| at.get(k).next())
        .take_while(move |at| derivation::is_parent(slot.get(k), at.get(k)))
}

/// What has been found so far.
struct Found<'s, 'k> {
    k: &'k Kernel,
    slots: &'s mut [Option<Link<Slot>>],
    count: usize,
    seen: Set<'s>,
}

impl Found<'_, '_> {
    /// Finds all slots with something in them, what is live, and the threads; returns the number of those.
    fn collect(&mut self, roots: &[Cap], threads: &mut [Option<Link<Tcb>>]) -> Result<usize, Broken> {
        let k = self.k;
        let mut thread_count = 0;
        let mut thread = |link| {
            *threads.get_mut(thread_count).ok_or(Broken::NO_ROOM)? = Some(link);
            thread_count += 1;
            Ok::<(), Broken>(())
        };
        let idle = k.core().idle_thread.link();
        thread(idle)?;
        self.seen.insert(idle.addr(), tag::TCB.number())?;
        self.seen.insert(k.core().idle_sc.link().addr(), tag::SCHED_CONTEXT.number())?;
        let logs = k.core().tracking.iter().map(|t| &t.log);
        k.global().irq_slots.iter().chain(logs).try_for_each(|slot| self.slot(slot.link()))?;
        roots.iter().try_for_each(|&cap| self.contents(cap))?;
        let mut next = 0;
        while let Some(link) = self.slots[..self.count].get(next).copied().flatten() {
            next += 1;
            let slot = link.get(k);
            [slot.prev(), slot.next()].into_iter().flatten().try_for_each(|slot| self.slot(slot))?;
            let cap = slot.cap();
            ensure!(slot.words().is_packed(), "{cap:?} in {link:?} is not in its packed form");
            self.contents(cap)?;
            if let Some((addr, _)) = memory(cap)
                && self.seen.insert(addr, object_tag(slot).number())?
                && let Cap::Tcb { tcb } = cap
            {
                thread(tcb)?;
            }
        }
        Ok(thread_count)
    }

    /// A slot was found.
    fn slot(&mut self, link: Link<Slot>) -> Result<(), Broken> {
        let slot = link.get(self.k);
        if slot.is_empty() {
            let alone = slot.prev().is_none() && slot.next().is_none();
            ensure!(
                alone && !slot.is_revocable() && !slot.is_first_badged(),
                "the empty slot {link:?} is in a list or has flags"
            );
        } else if self.seen.insert(link.addr(), mark::SLOT)? {
            *self.slots.get_mut(self.count).ok_or(Broken::NO_ROOM)? = Some(link);
            self.count += 1;
        }
        Ok(())
    }

    /// The slots of what a capability names.
    fn contents(&mut self, cap: Cap) -> Result<(), Broken> {
        let k = self.k;
        match cap {
            Cap::CNode { cnode, .. } if self.seen.insert(cnode.addr(), mark::CONTENTS)? => {
                (0..1 << cnode.radix()).try_for_each(|i| self.slot(cnode.slot(i)))
            }
            Cap::Tcb { tcb } if self.seen.insert(tcb.addr(), mark::CONTENTS)? => {
                tcb.get(k).slots.iter().try_for_each(|slot| self.slot(slot.link()))
            }
            Cap::Zombie { zombie, .. } => zombie.slots(k).iter().try_for_each(|slot| self.slot(slot.link())),
            _ => Ok(()),
        }
    }
}

/// The threads of the release queue, first the one that is released first.
#[cfg(not(target_os = "none"))]
pub fn release_order(k: &Kernel) -> std::vec::Vec<Link<Tcb>> {
    let first = k.core().release_head.get().map(|first| first.get(k));
    let all = core::iter::successors(first, |t| release::after(k, t));
    let mut order: std::vec::Vec<&Tcb> = all.collect();
    order.sort_by_key(|t| (t.release.time.get(), t.release.turn.get()));
    order.into_iter().map(Tcb::link).collect()
}

/// Everything that can be reached.
struct State<'s, 'k> {
    k: &'k Kernel,
    /// Every slot with a capability.
    slots: &'s [Option<Link<Slot>>],
    /// Live threads.
    threads: &'s [Option<Link<Tcb>>],
    /// Address and tag of every live object, and marks.
    seen: Set<'s>,
}

impl<'k> State<'_, 'k> {
    /// Every capability, and where it is.
    fn caps(&self) -> impl Iterator<Item = (Link<Slot>, Cap)> {
        self.slots.iter().flatten().map(|link| (*link, link.get(self.k).cap()))
    }

    /// Every thread.
    fn threads(&self) -> impl Iterator<Item = Link<Tcb>> {
        self.threads.iter().flatten().copied()
    }

    /// The derivation lists: doubly linked, capabilities to one object together, descendants behind ancestors.
    fn check_lists(&self, order: &mut [Option<Link<Slot>>]) -> Result<(), Broken> {
        let k = self.k;
        for (link, cap) in self.caps() {
            let slot = link.get(k);
            ensure!(
                slot.prev().is_none_or(|p| p.get(k).next() == Some(link)),
                "the slot before {link:?} ({cap:?}) does not point to it"
            );
            ensure!(
                slot.next().is_none_or(|n| n.get(k).prev() == Some(link)),
                "the slot after {link:?} ({cap:?}) does not point to it"
            );
        }
        let mut seen = 0;
        for (head, _) in self.caps().filter(|(s, _)| s.get(k).prev().is_none()) {
            let first = seen;
            for link in core::iter::successors(Some(head), |s| s.get(k).next()) {
                ensure!(seen < order.len(), "the list of {head:?} runs in a circle");
                order[seen] = Some(link);
                seen += 1;
            }
            self.check_list(&order[first..seen])?;
        }
        ensure!(seen == order.len(), "{} capabilities are in a circle", order.len() - seen);
        Ok(())
    }

    fn check_list(&self, list: &[Option<Link<Slot>>]) -> Result<(), Broken> {
        let k = self.k;
        let cap = |link: Link<Slot>| link.get(k).cap();
        let mut before = Words::NULL;
        for (i, &link) in list.iter().flatten().enumerate() {
            let (this, words) = (cap(link), link.get(k).words());
            if !before.same_object(words)
                && let Some(identity) = identity(this)
            {
                let group = mark::GROUP | words.tag().number();
                ensure!(
                    self.seen.insert(identity, group)?,
                    "capabilities to the object of {this:?} lie apart"
                );
            }
            before = words;
            let badged =
                matches!(this, Cap::Endpoint { badge, .. } | Cap::Notification { badge, .. } if badge != 0);
            // Of several groups with the same badge, a copy belongs to the one that it stands in.
            let family = if badged { list.len() - i - 1 } else { descendants(k, link).count() };
            // Copies of an object's capability lie together, as has been seen above: others can descend from it only if it
            // stands for more than one object.
            let is_wide = match this {
                Cap::Untyped { .. } | Cap::IrqControl => true,
                Cap::Arch(cap) => cap.issues_others(),
                _ => false,
            };
            let can_descend = |later: &&Option<Link<Slot>>| {
                is_wide || later.is_some_and(|l| words.same_object(l.get(k).words()))
            };
            for &later in list[i + 1 + family..].iter().take_while(can_descend).flatten().take(NEAR) {
                ensure!(
                    !derivation::is_parent(link.get(k), later.get(k)),
                    "{:?} lies apart from its ancestor {this:?}",
                    cap(later)
                );
            }
            if let Cap::Untyped { .. } = this {
                for &earlier in list[..i].iter().rev().flatten().take(NEAR) {
                    ensure!(
                        !words.covers(earlier.get(k).words()) || earlier.get(k).words().covers(words),
                        "{:?} lies before its ancestor {this:?}",
                        cap(earlier)
                    );
                }
            }
        }
        Ok(())
    }

    /// Objects lie apart from one another, and in the used part of the untyped memory that they were made of.
    fn check_memory(&self, order: &mut [Option<Link<Slot>>]) -> Result<(), Broken> {
        let k = self.k;
        // One capability of each object will do: `order` is the lists', in which copies lie together.
        let mut count = 0;
        for i in 0..order.len() {
            let Some(slot) = order[i].map(|link| link.get(k)) else { continue };
            let is_copy = slot.prev().is_some_and(|p| p.get(k).words().same_object(slot.words()));
            if !is_copy && memory(slot.cap()).is_some() {
                order[count] = order[i];
                count += 1;
            }
        }
        let order = &mut order[..count];
        let place = |link: &Option<Link<Slot>>| {
            let cap = link.map_or(Cap::Null, |link| link.get(k).cap());
            memory(cap).map_or((usize::MAX, 0), |(addr, bits)| (addr, addr + (1 << bits)))
        };
        order.sort_unstable_by_key(place);
        for pair in order.windows(2) {
            let [(_, end), (next, next_end)] = [place(&pair[0]), place(&pair[1])];
            if let [Some(a), Some(b)] = [pair[0], pair[1]]
                && next != usize::MAX
            {
                let (a, b) = (a.get(k), b.get(k));
                ensure!(
                    end <= next || end == next_end && a.words().same_object(b.words()),
                    "{:?} and {:?} overlap",
                    a.cap(),
                    b.cap()
                );
            }
        }
        for (link, cap) in self.caps() {
            let Cap::Untyped { base, bits, used, .. } = cap else { continue };
            ensure!(used <= 1 << bits, "{cap:?} has used more than there is");
            for child in descendants(k, link) {
                let end = match child.get(k).cap() {
                    Cap::Untyped { base, bits, .. } => base.0 + (1 << bits),
                    Cap::Frame { base, level, .. } => base.0 + (1 << ObjectKind::Frame { level }.bits()),
                    other => {
                        let Some((addr, bits)) = memory(other) else { continue };
                        pecan_arch::virt_to_phys(addr).0 + (1 << bits)
                    }
                };
                ensure!(end <= base.0 + used, "{:?} lies in the unused part of {cap:?}", child.get(k).cap());
            }
        }
        Ok(())
    }

    /// A zombie is all that is left of its object, and the slots behind its count are empty.
    fn check_zombies(&self) -> Result<(), Broken> {
        for (link, cap) in self.caps() {
            let Cap::Zombie { zombie, remaining } = cap else { continue };
            let first = zombie.first();
            ensure!(self.seen.insert(first.addr(), mark::ZOMBIE)?, "two zombies for {first:?}");
            let slots = zombie.slots(self.k);
            ensure!((1..=slots.len() as u64).contains(&remaining), "{cap:?} in {link:?} has no such slots");
            for (i, slot) in slots.iter().enumerate().skip(remaining as usize) {
                ensure!(slot.is_empty(), "slot {i} of {cap:?} is not empty");
            }
        }
        for (_, cap) in self.caps() {
            let first = match cap {
                Cap::CNode { cnode, .. } => cnode.slot(0),
                Cap::Tcb { tcb } => tcb.get(self.k).first_slot(),
                _ => continue,
            };
            ensure!(!self.seen.contains(first.addr(), mark::ZOMBIE), "{cap:?} is a zombie's, too");
        }
        Ok(())
    }

    fn alive<T>(&self, link: Link<T>, tag: Tag, who: impl Debug) -> Result<(), Broken> {
        ensure!(
            self.seen.contains(link.addr(), tag.number()),
            "{who:?} refers to the dead object {link:?} ({tag:?})"
        );
        Ok(())
    }

    /// What threads refer to is alive and refers back.
    fn check_threads(&self) -> Result<(), Broken> {
        let k = self.k;
        for link in self.threads() {
            let t = link.get(k);
            if t.knows_spaces(k) {
                let space = tables::root(k, t).map(|root| root.space());
                ensure!(t.known_space(k) == space, "{link:?} knows another address space");
                let cnode = pecan_mem::vspace::direct_cspace(t).map(|cnode| cnode.slot(0));
                ensure!(t.known_slot(k, 0) == cnode, "{link:?} knows another CSpace");
            }
            ensure!(t.rare_is_true(k), "{link:?} is not what is noted of it");
            if let Some(sc) = t.sched_context.get() {
                self.alive(sc, tag::SCHED_CONTEXT, link)?;
                ensure!(sc.get(k).tcb.get() == Some(link), "{link:?} has the scheduling context of another");
            }
            if let Some(sc) = t.yield_to.get() {
                self.alive(sc, tag::SCHED_CONTEXT, link)?;
                ensure!(sc.get(k).yield_from.get() == Some(link), "{link:?} yields to a stranger");
            }
            if !t.state.is_runnable() {
                ensure!(!t.in_release_queue.get(), "{link:?} waits for budget and for something else");
                ensure!(
                    t.yield_to.get().is_none(),
                    "{link:?} waits for time to be used and for something else"
                );
            }
            if let Some(ntfn) = t.bound_notification() {
                self.alive(ntfn, tag::NOTIFICATION, link)?;
                ensure!(
                    ntfn.get(k).bound_tcb.get() == Some(link),
                    "{link:?} has the notification of another"
                );
            }
            match t.state.get() {
                ThreadState::BlockedOnReceive { ep, reply, .. } => {
                    self.alive(ep, tag::ENDPOINT, link)?;
                    if let Some(reply) = reply {
                        self.alive(reply, tag::REPLY, link)?;
                        ensure!(
                            reply.get(k).tcb.get() == Some(link),
                            "{link:?} receives with another's reply"
                        );
                    }
                    ensure!(ep.get(k).state() == EndpointState::Receiving, "{link:?} receives from no queue");
                    self.in_queue(ep.get(k).head(), link)?;
                }
                ThreadState::BlockedOnSend { ep, .. } => {
                    self.alive(ep, tag::ENDPOINT, link)?;
                    ensure!(ep.get(k).state() == EndpointState::Sending, "{link:?} sends to no queue");
                    self.in_queue(ep.get(k).head(), link)?;
                }
                ThreadState::BlockedOnNotification { ntfn } => {
                    self.alive(ntfn, tag::NOTIFICATION, link)?;
                    self.in_queue(ntfn.get(k).head.get(), link)?;
                }
                ThreadState::BlockedOnReply { reply: Some(reply) } => {
                    self.alive(reply, tag::REPLY, link)?;
                    ensure!(reply.get(k).tcb.get() == Some(link), "{link:?} waits for another's reply");
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn in_queue(&self, head: Option<Link<Tcb>>, thread: Link<Tcb>) -> Result<(), Broken> {
        let queue = core::iter::successors(head, |t| t.get(self.k).ipc_queue.next.get());
        ensure!(
            queue.take(self.threads.len()).any(|t| t == thread),
            "{thread:?} is not in the queue that it is blocked in"
        );
        Ok(())
    }

    /// What other objects refer to is alive and refers back.
    fn check_objects(&self) -> Result<(), Broken> {
        let k = self.k;
        for (_, cap) in self.caps() {
            match cap {
                Cap::Endpoint { ep, .. } | Cap::Ending { what: Ending::Endpoint(ep) } => {
                    let e = ep.get(k);
                    ensure!(
                        (e.state() == EndpointState::Idle) == e.head().is_none(),
                        "{ep:?} has no true state"
                    );
                    self.check_ipc_queue(ep, e.head(), e.tail(), |state| match state {
                        ThreadState::BlockedOnSend { ep: at, .. } => {
                            at == ep && e.state() == EndpointState::Sending
                        }
                        ThreadState::BlockedOnReceive { ep: at, .. } => {
                            at == ep && e.state() == EndpointState::Receiving
                        }
                        _ => false,
                    })?;
                }
                Cap::Notification { ntfn, .. } | Cap::Ending { what: Ending::Notification(ntfn) } => {
                    self.check_notification(ntfn)?;
                }
                Cap::Reply { reply, .. } => {
                    let r = reply.get(k);
                    if let Some(t) = r.tcb.get() {
                        self.alive(t, tag::TCB, reply)?;
                        ensure!(
                            matches!(t.get(k).state.get(),
                                ThreadState::BlockedOnReply { reply: Some(of) }
                                | ThreadState::BlockedOnReceive { reply: Some(of), .. } if of == reply),
                            "{reply:?} holds a thread that waits for something else"
                        );
                    }
                    if let Some(prev) = r.prev.get() {
                        self.alive(prev, tag::REPLY, reply)?;
                        ensure!(
                            prev.get(k).next() == ReplyNext::Reply(reply),
                            "the call stack is broken below {reply:?}"
                        );
                    }
                    match r.next() {
                        ReplyNext::None => {}
                        ReplyNext::Reply(next) => {
                            self.alive(next, tag::REPLY, reply)?;
                            ensure!(
                                next.get(k).prev.get() == Some(reply),
                                "the call stack is broken above {reply:?}"
                            );
                        }
                        ReplyNext::SchedContext(sc) => {
                            self.alive(sc, tag::SCHED_CONTEXT, reply)?;
                            ensure!(
                                sc.get(k).reply.get() == Some(reply),
                                "{reply:?} is not the top of its stack"
                            );
                        }
                    }
                }
                Cap::SchedContext { sc, .. } => {
                    let s = sc.get(k);
                    if let Some(t) = s.tcb.get() {
                        self.alive(t, tag::TCB, sc)?;
                        ensure!(
                            t.get(k).sched_context.get() == Some(sc),
                            "{sc:?} is not its thread's scheduling context"
                        );
                    }
                    if let Some(reply) = s.reply.get() {
                        self.alive(reply, tag::REPLY, sc)?;
                        ensure!(
                            reply.get(k).next() == ReplyNext::SchedContext(sc),
                            "{sc:?} does not lie on its call stack"
                        );
                    }
                    if let Some(ntfn) = s.notification.get() {
                        self.alive(ntfn, tag::NOTIFICATION, sc)?;
                        ensure!(
                            ntfn.get(k).sched_context.get() == Some(sc),
                            "{sc:?} is not its notification's scheduling context"
                        );
                    }
                    if let Some(t) = s.yield_from.get() {
                        self.alive(t, tag::TCB, sc)?;
                        ensure!(t.get(k).yield_to.get() == Some(sc), "{sc:?} was yielded to by a stranger");
                    }
                    check_budget(sc, s)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check_notification(&self, link: Link<Notification>) -> Result<(), Broken> {
        let n = link.get(self.k);
        let waiting = n.state.get() == NotificationState::Waiting;
        ensure!(waiting == n.head.get().is_some(), "{link:?} has no true state");
        if let Some(t) = n.bound_tcb.get() {
            self.alive(t, tag::TCB, link)?;
            ensure!(t.get(self.k).bound_notification() == Some(link), "{link:?} is bound to a stranger");
        }
        if let Some(sc) = n.sched_context.get() {
            self.alive(sc, tag::SCHED_CONTEXT, link)?;
            ensure!(sc.get(self.k).notification.get() == Some(link), "{link:?} lends a stranger's time");
        }
        self.check_ipc_queue(
            link,
            n.head.get(),
            n.tail.get(),
            |state| matches!(state, ThreadState::BlockedOnNotification { ntfn } if ntfn == link),
        )
    }

    fn check_ipc_queue(
        &self,
        who: impl Debug,
        head: Option<Link<Tcb>>,
        tail: Option<Link<Tcb>>,
        belongs: impl Fn(ThreadState) -> bool,
    ) -> Result<(), Broken> {
        let (mut prev, mut at, mut left) = (None::<Link<Tcb>>, head, self.threads.len());
        while let Some(link) = at {
            ensure!(left > 0, "the queue of {who:?} runs in a circle");
            left -= 1;
            self.alive(link, tag::TCB, &who)?;
            let t = link.get(self.k);
            ensure!(t.ipc_queue.prev.get() == prev, "the queue of {who:?} is broken before {link:?}");
            ensure!(belongs(t.state.get()), "{link:?} in the queue of {who:?} is {:?}", t.state.get());
            ensure!(
                prev.is_none_or(|p| p.get(self.k).priority.get() >= t.priority.get()),
                "the queue of {who:?} is not in the order of priorities"
            );
            let same = |other: Option<Link<Tcb>>| {
                other.is_some_and(|o| o.get(self.k).priority.get() == t.priority.get())
            };
            if same(prev) && !same(t.ipc_queue.next.get()) {
                let is_first = |first: Link<Tcb>| {
                    let first = first.get(self.k);
                    first.priority.get() == t.priority.get()
                        && first.ipc_peer.get() == at
                        && first
                            .ipc_queue
                            .prev
                            .get()
                            .is_none_or(|p| p.get(self.k).priority.get() != t.priority.get())
                };
                ensure!(t.ipc_peer.get().is_some_and(is_first), "{link:?} has another first peer");
            }
            (prev, at) = (at, t.ipc_queue.next.get());
        }
        ensure!(prev == tail, "the queue of {who:?} has another tail");
        Ok(())
    }

    /// Ready queues and the release queue.
    fn check_queues(&self) -> Result<(), Broken> {
        let k = self.k;
        for (domain, queues) in k.core().ready.iter().enumerate() {
            for (priority, head) in queues.heads.iter().enumerate() {
                let bit = queues.bitmap[priority / 64].get() >> (priority % 64) & 1 != 0;
                ensure!(bit == head.get().is_some(), "the bitmap is wrong about priority {priority}");
                let Some(head) = head.get() else { continue };
                let mut at = head;
                loop {
                    self.alive(at, tag::TCB, ("ready queue", priority))?;
                    let t = at.get(k);
                    ensure!(
                        self.seen.insert(at.addr(), mark::READY)?,
                        "{at:?} is in two ready queues, or one runs in a circle"
                    );
                    ensure!(
                        t.is_queued.get()
                            && t.priority.get() as usize == priority
                            && t.domain.get() as usize == domain,
                        "{at:?} is in the wrong ready queue"
                    );
                    ensure!(t.state.is_runnable(), "{at:?} is ready and {:?}", t.state.get());
                    let Some(next) = t.sched_queue.next.get() else {
                        ensure!(
                            head.get(k).sched_queue.prev.get() == Some(at),
                            "ready queue {priority}: wrong tail"
                        );
                        break;
                    };
                    ensure!(
                        next.get(k).sched_queue.prev.get() == Some(at),
                        "ready queue {priority} is broken"
                    );
                    if next == head {
                        break;
                    }
                    at = next;
                }
            }
        }
        ensure!(k.core().route_count.get() == 0, "lookups are noted that were made in an entry before");
        if let Some(ep) = k.global().cancelling.endpoint.get() {
            self.alive(ep, tag::ENDPOINT, "cancelling")?;
            if let Some(next) = k.global().cancelling.next.get() {
                self.alive(next, tag::TCB, "cancelling")?;
                let state = next.get(k).state.get();
                ensure!(
                    matches!(state, ThreadState::BlockedOnSend { ep: at, .. } if at == ep),
                    "cancelling at {ep:?} goes on with {next:?}, which is {state:?}"
                );
            }
        }
        let first = k.core().release_head.get().map(|first| first.get(k));
        for t in core::iter::successors(first, |t| release::after(k, t)) {
            let link = t.link();
            self.alive(link, tag::TCB, "release queue")?;
            ensure!(self.seen.insert(link.addr(), mark::LATER)?, "the release queue runs in a circle");
            ensure!(t.in_release_queue.get(), "{link:?} does not know that it is in the release queue");
            let links = &t.release;
            let rank = |child: Option<Link<Tcb>>| child.map_or(0, |c| c.get(k).release.rank.get());
            let (left, right) = (links.left.get(), links.right.get());
            ensure!(
                rank(left) >= rank(right) && links.rank.get() == rank(right) + 1,
                "the release queue leans to the wrong side at {link:?}"
            );
            for child in [left, right].into_iter().flatten() {
                let c = &child.get(k).release;
                ensure!(
                    c.parent.get() == Some(link)
                        && (c.time.get(), c.turn.get()) > (links.time.get(), links.turn.get()),
                    "{child:?} is in the wrong place of the release queue"
                );
            }
        }
        for link in self.threads() {
            let t = link.get(k);
            ensure!(
                t.is_queued.get() == self.seen.contains(link.addr(), mark::READY),
                "{link:?} is wrong about being queued"
            );
            ensure!(
                t.in_release_queue.get() == self.seen.contains(link.addr(), mark::LATER),
                "{link:?} is wrong about being in the release queue"
            );
        }
        if let Some(owner) = k.core().fpu_owner.get() {
            self.alive(owner, tag::TCB, "the vector unit")?;
        }
        Ok(())
    }
}

/// The refills of a scheduling context: one after the other, and no more time than its period has.
fn check_budget(link: Link<SchedContext>, sc: &SchedContext) -> Result<(), Broken> {
    let (max, count) = (sc.refill_max.get() as usize, sc.refill_count.get() as usize);
    if max == 0 {
        let unused = sc.tcb.get().is_none() || refill::head(sc).amount.get() == 0;
        ensure!(unused, "{link:?} is not configured, and its thread has budget");
        return Ok(());
    }
    ensure!(
        (1..=max).contains(&count) && max <= sc.refill_capacity() && sc.refill_head() < max,
        "{link:?} has {count} refills of {max}"
    );
    let (mut sum, mut end) = (0u64, 0);
    let refills = (0..count).map(|n| sc.refill((sc.refill_head() + n) % max));
    for refill in refills.take_while(|_| !refill::is_round_robin(sc)) {
        ensure!(refill.time.get() >= end, "refills of {link:?} overlap");
        end = refill.time.get().saturating_add(refill.amount.get());
        sum = sum.saturating_add(refill.amount.get());
    }
    ensure!(sum <= sc.period.get(), "{link:?} has {sum} ticks of {}", sc.period.get());
    Ok(())
}

/// The tag of the capabilities to what the one in a slot names, half deleted or not.
fn object_tag(slot: &Slot) -> Tag {
    match slot.cap() {
        Cap::Ending { what: Ending::Endpoint(_) } => tag::ENDPOINT,
        Cap::Ending { what: Ending::Notification(_) } => tag::NOTIFICATION,
        _ => slot.words().tag(),
    }
}

/// What is the same for all capabilities to an object, and among those of one type for no other; `None` for what is no
/// object.
fn identity(cap: Cap) -> Option<usize> {
    Some(match cap {
        Cap::Null | Cap::Untyped { .. } | Cap::Zombie { .. } | Cap::Ending { .. } => return None,
        Cap::Frame { base, level, .. } => base.0 as usize | level as usize,
        Cap::IrqHandler { irq } => irq as usize,
        Cap::Arch(cap) => arch::identity(cap),
        // Those of which there is one.
        Cap::SchedControl { .. } | Cap::AsidControl | Cap::IrqControl | Cap::Domain => 0,
        Cap::Endpoint { .. }
        | Cap::Notification { .. }
        | Cap::Reply { .. }
        | Cap::CNode { .. }
        | Cap::Tcb { .. }
        | Cap::SchedContext { .. }
        | Cap::PageTable { .. }
        | Cap::AsidPool { .. } => memory(cap)?.0,
    })
}

/// Address (in the kernel's window; of the first slot for zombies) and size (log2) of the memory of what a
/// capability names, if it lies in memory.
fn memory(cap: Cap) -> Option<(usize, u32)> {
    let kind = |kind: ObjectKind| kind.bits();
    Some(match cap {
        Cap::Endpoint { ep, .. } | Cap::Ending { what: Ending::Endpoint(ep) } => {
            (ep.addr(), kind(ObjectKind::Endpoint))
        }
        Cap::Notification { ntfn, .. } | Cap::Ending { what: Ending::Notification(ntfn) } => {
            (ntfn.addr(), kind(ObjectKind::Notification))
        }
        Cap::Reply { reply, .. } => (reply.addr(), kind(ObjectKind::Reply)),
        Cap::CNode { cnode, .. } => (cnode.addr(), kind(ObjectKind::CNode { radix: cnode.radix() as u8 })),
        Cap::Tcb { tcb } => (tcb.addr(), kind(ObjectKind::Tcb)),
        Cap::SchedContext { sc, bits } => (sc.addr(), bits as u32),
        Cap::Frame { base, level, device: false, .. } => {
            (pecan_arch::phys_to_virt(base), kind(ObjectKind::Frame { level }))
        }
        Cap::PageTable { table, level, .. } => {
            (table.addr(), kind(ObjectKind::table(level.map_or(0, usize::from))))
        }
        Cap::AsidPool { pool, base } => (pool.addr(), kind(ObjectKind::AsidPool { base })),
        Cap::Zombie { zombie, .. } => match zombie.kind() {
            ZombieKind::CNode { radix } => (zombie.first().addr(), kind(ObjectKind::CNode { radix })),
            ZombieKind::Tcb => (zombie.first().addr(), 5),
        },
        Cap::Null
        | Cap::Untyped { .. }
        | Cap::Frame { device: true, .. }
        | Cap::SchedControl { .. }
        | Cap::AsidControl
        | Cap::IrqControl
        | Cap::IrqHandler { .. }
        | Cap::Arch(_)
        | Cap::Ending { what: Ending::IrqHandler(_) }
        | Cap::Domain => return None,
    })
}
