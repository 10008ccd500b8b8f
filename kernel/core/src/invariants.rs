//! What must hold of the kernel's state between any two system calls, checked from scratch.
//!
//! For tests on the host only: [`check`] finds every slot and object that can be reached and looks at all of
//! them. The most important invariant is that of [`Link`]: no live object refers to a dead one. An object is
//! live if some slot holds a capability to it, or what is left of one.

extern crate std;

use core::fmt::Debug;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    format,
    string::String,
    vec::Vec,
};

use pecan_mem::{
    Cap, EndpointState, Kernel, Link, Notification, NotificationState, ReplyNext, Slot, Tcb, ThreadState,
    ZombieKind, cap::tag, retype::ObjectKind,
};

use crate::{derivation, vspace};

/// What was found to be wrong.
pub type Broken = String;

macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err(format!($($text)+));
        }
    };
}

/// Checks everything; `roots` are capabilities that no thread need have in its CSpace.
///
/// # Errors
/// The first thing that is wrong, in words.
pub fn check(k: &Kernel, roots: &[Cap]) -> Result<(), Broken> {
    let state = State::collect(k, roots)?;
    state.check_lists()?;
    state.check_memory()?;
    state.check_zombies()?;
    state.check_threads()?;
    state.check_objects()?;
    state.check_queues()
}

/// The slots of a capability's descendants, in the list's order: those that revoking it would delete.
pub fn descendants(k: &Kernel, slot: Link<Slot>) -> Vec<Link<Slot>> {
    let mut found = Vec::new();
    let mut at = slot.get(k).next();
    while let Some(next) = at.filter(|n| derivation::is_parent(slot.get(k), n.get(k))) {
        found.push(next);
        at = next.get(k).next();
    }
    found
}

/// Everything that can be reached.
struct State<'k> {
    k: &'k Kernel,
    /// Every slot that was found, by address.
    slots: BTreeMap<usize, Link<Slot>>,
    /// Every capability in them.
    caps: Vec<(Link<Slot>, Cap)>,
    /// Live threads.
    threads: HashMap<usize, Link<Tcb>>,
    /// Address and tag of every live object.
    live: HashSet<(usize, u64)>,
}

impl<'k> State<'k> {
    fn collect(k: &'k Kernel, roots: &[Cap]) -> Result<Self, Broken> {
        let mut state = State {
            k,
            slots: BTreeMap::new(),
            caps: Vec::new(),
            threads: HashMap::new(),
            live: HashSet::new(),
        };
        let mut todo: Vec<Link<Slot>> = k.irq_slots.iter().map(Slot::link).collect();
        let slots_of = |cap: Cap, todo: &mut Vec<Link<Slot>>| match cap {
            Cap::CNode { cnode, .. } => todo.extend((0..1 << cnode.radix()).map(|i| cnode.slot(i))),
            Cap::Tcb { tcb } => todo.extend(tcb.get(k).slots.iter().map(Slot::link)),
            Cap::Zombie { kind, first, .. } => {
                todo.extend((0..kind.slots()).map(|i| kind.slot(k, first, i)));
            }
            _ => {}
        };
        roots.iter().for_each(|&cap| slots_of(cap, &mut todo));
        while let Some(link) = todo.pop() {
            if state.slots.insert(link.addr(), link).is_some() {
                continue;
            }
            let slot = link.get(k);
            todo.extend([slot.prev(), slot.next()].into_iter().flatten());
            let cap = slot.cap();
            if cap == Cap::Null {
                ensure!(
                    slot.prev().is_none()
                        && slot.next().is_none()
                        && !slot.is_revocable()
                        && !slot.is_first_badged(),
                    "the empty slot {link:?} is in a list or has flags"
                );
                continue;
            }
            ensure!(cap.pack() == slot.words(), "{cap:?} in {link:?} is not in its packed form");
            slots_of(cap, &mut todo);
            if let Cap::Tcb { tcb } = cap {
                state.threads.insert(tcb.addr(), tcb);
            }
            if let Some((addr, _)) = memory(cap) {
                state.live.insert((addr, slot.words().tag()));
            }
            state.caps.push((link, cap));
        }
        let idle = k.core.idle_thread.link();
        state.threads.insert(idle.addr(), idle);
        state.live.insert((idle.addr(), tag::TCB));
        state.live.insert((k.core.idle_sc.link().addr(), tag::SCHED_CONTEXT));
        Ok(state)
    }

    /// The derivation lists: doubly linked, capabilities to one object together, descendants behind ancestors.
    fn check_lists(&self) -> Result<(), Broken> {
        let k = self.k;
        for &(link, cap) in &self.caps {
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
        let mut groups: Vec<Cap> = Vec::new();
        for &(head, _) in self.caps.iter().filter(|(s, _)| s.get(k).prev().is_none()) {
            let list: Vec<Link<Slot>> =
                core::iter::successors(Some(head), |s| s.get(k).next()).take(self.caps.len() + 1).collect();
            seen += list.len();
            ensure!(seen <= self.caps.len(), "the list of {head:?} runs in a circle");
            self.check_list(&list, &mut groups)?;
        }
        ensure!(seen == self.caps.len(), "{} capabilities are in a circle", self.caps.len() - seen);
        Ok(())
    }

    fn check_list(&self, list: &[Link<Slot>], groups: &mut Vec<Cap>) -> Result<(), Broken> {
        let k = self.k;
        let cap = |link: Link<Slot>| link.get(k).cap();
        for (i, &link) in list.iter().enumerate() {
            let this = cap(link);
            if i == 0 || !cap(list[i - 1]).pack().same_object(this.pack()) {
                ensure!(
                    !groups.iter().any(|&g| g.pack().same_object(this.pack())),
                    "capabilities to the object of {this:?} lie apart"
                );
                groups.push(this);
            }
            let badged =
                matches!(this, Cap::Endpoint { badge, .. } | Cap::Notification { badge, .. } if badge != 0);
            // Of several groups with the same badge, a copy belongs to the one that it stands in.
            let family = if badged { list.len() - i - 1 } else { descendants(k, link).len() };
            for &later in &list[i + 1 + family..] {
                ensure!(
                    !derivation::is_parent(link.get(k), later.get(k)),
                    "{:?} lies apart from its ancestor {this:?}",
                    cap(later)
                );
            }
            if let Cap::Untyped { .. } = this {
                for &earlier in &list[..i] {
                    ensure!(
                        !this.pack().covers(earlier.get(k).words())
                            || earlier.get(k).words().covers(this.pack()),
                        "{:?} lies before its ancestor {this:?}",
                        cap(earlier)
                    );
                }
            }
        }
        Ok(())
    }

    /// Objects lie apart from one another, and in the used part of the untyped memory that they were made of.
    fn check_memory(&self) -> Result<(), Broken> {
        let mut objects: Vec<(usize, usize, Cap)> = self
            .caps
            .iter()
            .filter(|(_, cap)| !matches!(cap, Cap::Untyped { .. } | Cap::Frame { device: true, .. }))
            .filter_map(|&(_, cap)| memory(cap).map(|(addr, bits)| (addr, addr + (1 << bits), cap)))
            .collect();
        objects.sort_by_key(|&(start, end, _)| (start, end));
        for pair in objects.windows(2) {
            let [(start, end, a), (next, next_end, b)] = [pair[0], pair[1]];
            ensure!(
                end <= next || (start, end) == (next, next_end) && a.pack().same_object(b.pack()),
                "{a:?} and {b:?} overlap"
            );
        }
        for &(link, cap) in &self.caps {
            let Cap::Untyped { base, bits, used, .. } = cap else { continue };
            ensure!(used <= 1 << bits, "{cap:?} has used more than there is");
            for child in descendants(self.k, link) {
                let end = match child.get(self.k).cap() {
                    Cap::Untyped { base, bits, .. } => base.0 + (1 << bits),
                    Cap::Frame { base, level, .. } => base.0 + (1 << ObjectKind::Frame { level }.bits()),
                    other => {
                        let Some((addr, bits)) = memory(other) else { continue };
                        pecan_arch::virt_to_phys(addr).0 + (1 << bits)
                    }
                };
                ensure!(
                    end <= base.0 + used,
                    "{:?} lies in the unused part of {cap:?}",
                    child.get(self.k).cap()
                );
            }
        }
        Ok(())
    }

    /// A zombie is all that is left of its object, and the slots behind its count are empty.
    fn check_zombies(&self) -> Result<(), Broken> {
        let mut seen = HashSet::new();
        for &(link, cap) in &self.caps {
            let Cap::Zombie { kind, first, remaining } = cap else { continue };
            ensure!(seen.insert(first.addr()), "two zombies for {first:?}");
            ensure!((1..=kind.slots()).contains(&remaining), "{cap:?} in {link:?} has no such slots");
            for i in remaining..kind.slots() {
                ensure!(
                    kind.slot(self.k, first, i).get(self.k).is_empty(),
                    "slot {i} of {cap:?} is not empty"
                );
            }
        }
        for &(_, cap) in &self.caps {
            let first = match cap {
                Cap::CNode { cnode, .. } => cnode.slot(0),
                Cap::Tcb { tcb } => tcb.get(self.k).first_slot(),
                _ => continue,
            };
            ensure!(!seen.contains(&first.addr()), "{cap:?} is a zombie's, too");
        }
        Ok(())
    }

    fn alive<T>(&self, link: Link<T>, tag: u64, who: impl Debug) -> Result<(), Broken> {
        ensure!(
            self.live.contains(&(link.addr(), tag)),
            "{who:?} refers to the dead object {link:?} (tag {tag})"
        );
        Ok(())
    }

    /// What threads refer to is alive and refers back.
    fn check_threads(&self) -> Result<(), Broken> {
        let k = self.k;
        for &link in self.threads.values() {
            let t = link.get(k);
            if t.knows_spaces(k) {
                let space = vspace::root(k, t).map(|(root, asid)| k.space(root, asid));
                ensure!(t.known_space(k) == space, "{link:?} knows another address space");
                let cnode = vspace::direct_cspace(t).map(|cnode| cnode.slot(0));
                ensure!(t.known_slot(k, 0) == cnode, "{link:?} knows another CSpace");
            }
            if let Some(sc) = t.sched_context.get() {
                self.alive(sc, tag::SCHED_CONTEXT, link)?;
                ensure!(sc.get(k).tcb.get() == Some(link), "{link:?} has the scheduling context of another");
            }
            if let Some(sc) = t.yield_to.get() {
                self.alive(sc, tag::SCHED_CONTEXT, link)?;
                ensure!(sc.get(k).yield_from.get() == Some(link), "{link:?} yields to a stranger");
            }
            if let Some(ntfn) = t.bound_notification.get() {
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
        for &(_, cap) in &self.caps {
            match cap {
                Cap::Endpoint { ep, .. } => {
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
                Cap::Notification { ntfn, .. } => self.check_notification(ntfn)?,
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
            ensure!(t.get(self.k).bound_notification.get() == Some(link), "{link:?} is bound to a stranger");
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
            (prev, at) = (at, t.ipc_queue.next.get());
        }
        ensure!(prev == tail, "the queue of {who:?} has another tail");
        Ok(())
    }

    /// Ready queues and the release queue.
    fn check_queues(&self) -> Result<(), Broken> {
        let k = self.k;
        let (mut ready, mut later) = (HashSet::new(), HashSet::new());
        for (domain, queues) in k.core.ready.iter().enumerate() {
            for (priority, head) in queues.heads.iter().enumerate() {
                let bit = queues.bitmap[priority / 64].get() >> (priority % 64) & 1 != 0;
                ensure!(bit == head.get().is_some(), "the bitmap is wrong about priority {priority}");
                let Some(head) = head.get() else { continue };
                let mut at = head;
                loop {
                    self.alive(at, tag::TCB, ("ready queue", priority))?;
                    let t = at.get(k);
                    ensure!(
                        ready.insert(at.addr()),
                        "{at:?} is in two ready queues, or one runs in a circle"
                    );
                    ensure!(
                        t.is_queued.get()
                            && t.priority.get() as usize == priority
                            && t.domain.get() as usize == domain,
                        "{at:?} is in the wrong ready queue"
                    );
                    ensure!(t.state.get().is_runnable(), "{at:?} is ready and {:?}", t.state.get());
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
        let mut at = k.core.release_head.get();
        while let Some(link) = at {
            self.alive(link, tag::TCB, "release queue")?;
            ensure!(later.insert(link.addr()), "the release queue runs in a circle");
            ensure!(
                link.get(k).is_released_later.get(),
                "{link:?} does not know that it is in the release queue"
            );
            at = link.get(k).sched_queue.next.get();
        }
        for &link in self.threads.values() {
            let t = link.get(k);
            ensure!(
                t.is_queued.get() == ready.contains(&link.addr()),
                "{link:?} is wrong about being queued"
            );
            ensure!(
                t.is_released_later.get() == later.contains(&link.addr()),
                "{link:?} is wrong about being in the release queue"
            );
        }
        if let Some(owner) = k.core.fpu_owner.get() {
            self.alive(owner, tag::TCB, "the vector unit")?;
        }
        Ok(())
    }
}

/// Address (in the kernel's window; of the first slot for zombies) and size (log2) of the memory of what a
/// capability names, if it lies in memory.
fn memory(cap: Cap) -> Option<(usize, u32)> {
    let kind = |kind: ObjectKind| kind.bits();
    Some(match cap {
        Cap::Endpoint { ep, .. } => (ep.addr(), kind(ObjectKind::Endpoint)),
        Cap::Notification { ntfn, .. } => (ntfn.addr(), kind(ObjectKind::Notification)),
        Cap::Reply { reply, .. } => (reply.addr(), kind(ObjectKind::Reply)),
        Cap::CNode { cnode, .. } => (cnode.addr(), kind(ObjectKind::CNode { radix: cnode.radix() as u8 })),
        Cap::Tcb { tcb } => (tcb.addr(), kind(ObjectKind::Tcb)),
        Cap::SchedContext { sc, bits } => (sc.addr(), bits as u32),
        Cap::Frame { base, level, device: false, .. } => {
            (pecan_arch::phys_to_virt(base), kind(ObjectKind::Frame { level }))
        }
        Cap::PageTable { table, level, .. } => (table.addr(), kind(ObjectKind::PageTable { level })),
        Cap::AsidPool { pool, base } => (pool.addr(), kind(ObjectKind::AsidPool { base })),
        Cap::Zombie { kind: ZombieKind::CNode { radix }, first, .. } => {
            (first.addr(), kind(ObjectKind::CNode { radix }))
        }
        Cap::Zombie { kind: ZombieKind::Tcb, first, .. } => (first.addr(), 5),
        _ => return None,
    })
}
