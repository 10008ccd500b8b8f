//! The whole state of a kernel in the model's terms.

use std::{ops::Range, rc::Rc};

use pecan_arch::{PT_LEVELS, host};
use pecan_core::{derivation, invariants, scheduler};
use pecan_mem::{self as mem, CNodeRef, IrqState, Kernel, Link, NotificationState, Tcb, testing::Machine};

use crate::digest::ByDigest;
use crate::map::Map;
use crate::model::{self, Held, INTERRUPTS, Name, Notification, Schedule, Slot, State};
use crate::translate::{cap, context, link_name, name, thread, zombie_name};

/// What the slots of a kernel hold, which depends on nothing but their memory.
struct Slots {
    /// Every capability and its place in the derivation tree.
    held: Map<Slot, Held>,
    /// A capability to every object.
    objects: Vec<mem::Cap>,
    /// The threads among them.
    live: Vec<Link<Tcb>>,
}

/// Remembers what was found in slots, by a digest of their memory. Most steps leave all slots as they were, or as
/// some other step had made them.
#[derive(Default)]
pub(crate) struct Memo {
    /// Where slots lay when somebody looked, the last first.
    layouts: Vec<Rc<[Range<u64>]>>,
    found: ByDigest<Rc<Slots>>,
}

impl Memo {
    /// Layouts that are tried.
    const LAYOUTS: usize = 4;
    /// Finds that are kept.
    const FINDS: usize = 20_000;

    fn slots(&mut self, k: &Machine, keeper: CNodeRef, irqs: &[usize]) -> Rc<Slots> {
        for i in 0..self.layouts.len() {
            if let Some(slots) = self.found.get(&k.digest(&self.layouts[i])) {
                self.layouts[..=i].rotate_right(1);
                return slots.clone();
            }
        }
        let mut a = Abstraction { k, s: State::default(), places: vec![], caps: vec![] };
        a.collect(keeper, irqs);
        a.tree();
        let mut objects: Vec<mem::Cap> = vec![];
        for (_, cap) in &a.caps {
            if !objects.iter().any(|other| same_object(*cap, *other)) {
                objects.push(*cap);
            }
        }
        let threads = objects.iter().filter_map(|cap| match cap {
            mem::Cap::Tcb { tcb } => Some(*tcb),
            _ => None,
        });
        let slots = Rc::new(Slots { held: a.s.caps, live: threads.collect(), objects });
        let slot = |at: usize| name(at).0;
        let places = a.places.iter().filter(|p| p.2 != INTERRUPTS).map(|p| slot(p.0)..slot(p.1));
        let bound = irqs.iter().map(|&irq| k.irq_slots[irq].link().addr());
        let bound = bound.map(|at| slot(at)..slot(at) + size_of::<mem::Slot>() as u64);
        let layout: Rc<[Range<u64>]> = places.chain(bound).collect();
        if self.found.len() >= Memo::FINDS {
            self.found.clear();
        }
        self.found.insert(k.digest(&layout), slots.clone());
        self.layouts.retain(|other| *other != layout);
        self.layouts.insert(0, layout);
        self.layouts.truncate(Memo::LAYOUTS);
        slots
    }
}

/// True if looking at the object of one capability shows all that looking at that of the other shows.
fn same_object(a: mem::Cap, b: mem::Cap) -> bool {
    match (a, b) {
        (mem::Cap::Tcb { tcb: a }, mem::Cap::Tcb { tcb: b }) => a == b,
        (mem::Cap::Endpoint { ep: a, .. }, mem::Cap::Endpoint { ep: b, .. }) => a == b,
        (mem::Cap::Notification { ntfn: a, .. }, mem::Cap::Notification { ntfn: b, .. }) => a == b,
        (mem::Cap::Reply { reply: a, .. }, mem::Cap::Reply { reply: b, .. }) => a == b,
        (mem::Cap::SchedContext { sc: a, .. }, mem::Cap::SchedContext { sc: b, .. }) => a == b,
        (mem::Cap::PageTable { table: a, .. }, mem::Cap::PageTable { table: b, .. }) => a == b,
        (mem::Cap::CNode { .. }, mem::Cap::CNode { .. }) => true,
        (a, b) => a == b,
    }
}

/// A look at a kernel.
pub(crate) struct Abstraction<'k> {
    k: &'k Machine,
    /// What was found.
    s: State,
    /// Where slots lie: first address, behind the last, the object they belong to.
    places: Vec<(usize, usize, Name)>,
    /// Every slot that was looked at, and the capability in it.
    caps: Vec<(Link<mem::Slot>, mem::Cap)>,
}

/// Something that has slots.
#[derive(Clone, Copy)]
enum Holder {
    CNode(CNodeRef),
    Thread(Link<Tcb>),
    Dying(mem::ZombieKind, Link<mem::Slot>),
}

impl Holder {
    fn of(cap: mem::Cap) -> Option<Holder> {
        match cap {
            mem::Cap::CNode { cnode, .. } => Some(Holder::CNode(cnode)),
            mem::Cap::Tcb { tcb } => Some(Holder::Thread(tcb)),
            mem::Cap::Zombie { kind, first, .. } => Some(Holder::Dying(kind, first)),
            _ => None,
        }
    }

    fn addr(self) -> usize {
        match self {
            Holder::CNode(cnode) => cnode.addr(),
            Holder::Thread(tcb) => tcb.addr(),
            Holder::Dying(_, first) => first.addr(),
        }
    }
}

impl<'k> Abstraction<'k> {
    /// Translates all of a kernel whose capabilities are found from `keeper` on and in the slots of some interrupts.
    /// Gives the state, and the threads that live.
    pub(crate) fn of(
        k: &'k Machine,
        keeper: CNodeRef,
        irqs: &[usize],
        memo: &mut Memo,
    ) -> (State, Vec<Link<Tcb>>) {
        let slots = memo.slots(k, keeper, irqs);
        let mut a = Abstraction { k, s: State::default(), places: vec![], caps: vec![] };
        a.s.caps = slots.held.clone();
        a.objects(&slots.objects);
        a.spaces();
        a.interrupts(irqs);
        a.schedule();
        (a.s, slots.live.clone())
    }

    /// Finds every slot: from the keeper through CNodes and threads, and along the derivation lists to CNodes that
    /// hold the last capabilities to themselves.
    fn collect(&mut self, keeper: CNodeRef, irqs: &[usize]) {
        let all = &self.k.irq_slots;
        self.places.push((all[0].link().addr(), all[all.len() - 1].link().addr() + 1, INTERRUPTS));
        let bound = irqs.iter().map(|&irq| all[irq].link()).filter(|s| !s.get(self.k).is_empty());
        self.caps.extend(bound.map(|slot| (slot, slot.get(self.k).cap())));
        let mut nodes = vec![Holder::CNode(keeper)];
        let mut done = 0;
        while done < nodes.len() {
            while done < nodes.len() {
                self.look_into(nodes[done]);
                done += 1;
                let from = self.caps.iter().filter_map(|c| Holder::of(c.1));
                let new: Vec<Holder> = from.filter(|n| !nodes.iter().any(|m| m.addr() == n.addr())).collect();
                for node in new {
                    if !nodes.iter().any(|m| m.addr() == node.addr()) {
                        nodes.push(node);
                    }
                }
            }
            let mut known: Vec<usize> = self.caps.iter().map(|c| c.0.addr()).collect();
            known.sort_unstable();
            let unknown = |s: Option<Link<mem::Slot>>| s.filter(|s| known.binary_search(&s.addr()).is_err());
            for &(slot, _) in &self.caps {
                let slot = slot.get(self.k);
                let mut at = unknown(slot.next()).or_else(|| unknown(slot.prev()));
                while let Some(s) = at {
                    let (s, cap) = (s.get(self.k), s.get(self.k).cap());
                    if let Some(node) = Holder::of(cap)
                        && !nodes.iter().any(|m| m.addr() == node.addr())
                    {
                        nodes.push(node);
                    }
                    at = unknown(s.next());
                }
            }
        }
        self.places.sort_unstable_by_key(|p| p.0);
    }

    fn look_into(&mut self, node: Holder) {
        let slots: Vec<Link<mem::Slot>> = match node {
            Holder::CNode(cnode) => (0..1 << cnode.radix()).map(|i| cnode.slot(i)).collect(),
            Holder::Thread(t) => t.get(self.k).slots.iter().map(|s| s.link()).collect(),
            Holder::Dying(kind, first) => (0..kind.slots()).map(|i| kind.slot(self.k, first, i)).collect(),
        };
        let object = match node {
            Holder::Dying(kind, first) => zombie_name(self.k, kind, first),
            _ => name(node.addr()),
        };
        let (first, last) = (slots[0].addr(), slots[slots.len() - 1].addr());
        self.places.push((first, last + size_of::<mem::Slot>(), object));
        let full = slots.into_iter().filter(|s| !s.get(self.k).is_empty());
        self.caps.extend(full.map(|slot| (slot, slot.get(self.k).cap())));
    }

    fn place(&self, slot: Link<mem::Slot>) -> Slot {
        let at = self.places.partition_point(|p| p.0 <= slot.addr());
        let (first, end, object) = self.places[at.saturating_sub(1)];
        assert!((first..end).contains(&slot.addr()), "a slot outside of all CNodes and threads");
        Slot { object, index: ((slot.addr() - first) / size_of::<mem::Slot>()) as u64 }
    }

    /// The derivation tree, from the lists.
    fn tree(&mut self) {
        let heads: Vec<_> =
            self.caps.iter().map(|c| c.0).filter(|s| s.get(self.k).prev().is_none()).collect();
        for head in heads {
            let mut ancestors: Vec<Link<mem::Slot>> = vec![];
            let mut at = Some(head);
            while let Some(link) = at {
                let slot = link.get(self.k);
                while ancestors.last().is_some_and(|a| !derivation::is_parent(a.get(self.k), slot)) {
                    ancestors.pop();
                }
                let parent = ancestors.last().map(|&a| self.place(a));
                let held = Held { cap: cap(self.k, slot.cap()), original: slot.is_revocable(), parent };
                self.s.caps.insert(self.place(link), held);
                ancestors.push(link);
                at = slot.next();
            }
        }
    }

    fn objects(&mut self, objects: &[mem::Cap]) {
        let k = self.k;
        for &cap in objects {
            match cap {
                mem::Cap::Tcb { tcb } => {
                    self.s.threads.entry(link_name(tcb)).or_insert_with(|| thread(k, tcb.get(k)));
                }
                mem::Cap::Endpoint { ep, .. } => {
                    self.s.endpoints.entry(link_name(ep)).or_insert_with(|| queue(k, ep.get(k).head()));
                }
                mem::Cap::Notification { ntfn, .. } => {
                    let n = ntfn.get(k);
                    let signals = (n.state.get() == NotificationState::Active).then(|| n.badge.get());
                    self.s.notifications.entry(link_name(ntfn)).or_insert_with(|| Notification {
                        signals,
                        queue: queue(k, n.head.get()),
                        bound: n.bound_tcb.get().map(link_name),
                        sc: n.sched_context.get().map(link_name),
                    });
                }
                mem::Cap::Reply { reply, .. } => {
                    self.s.replies.insert(link_name(reply), reply.get(k).tcb.get().map(link_name));
                }
                mem::Cap::SchedContext { sc, .. } => {
                    self.s.contexts.entry(link_name(sc)).or_insert_with(|| context(k, sc.get(k)));
                }
                mem::Cap::PageTable { table, level, .. } => {
                    self.s
                        .tables
                        .entry(link_name(table))
                        .or_insert_with(|| entries(k, table, level as usize));
                }
                mem::Cap::Frame { base, level: 0, device: false, .. } => {
                    let memory = &mut self.s.memory;
                    let mut found = |i, word| {
                        memory.insert(base.0 + 8 * i as u64, word);
                    };
                    k.nonzero(base.0..base.0 + 4096, &mut found);
                }
                _ => {}
            }
        }
    }

    fn spaces(&mut self) {
        for (n, pool) in self.k.asid_pools.iter().enumerate() {
            let Some(pool) = pool.get() else { continue };
            let base = (n * mem::AsidPool::LEN) as u64;
            self.s.pools.insert(base, link_name(pool));
            let roots = &pool.get(self.k).roots;
            let first = name(roots.as_ptr() as usize).0;
            self.k.nonzero(first..first + size_of_val(roots) as u64, |i, _| {
                let root = roots[i].get().map(link_name);
                self.s.spaces.extend(root.map(|root| (base + i as u64, root)));
            });
        }
    }

    fn interrupts(&mut self, irqs: &[usize]) {
        for &irq in irqs.iter().filter(|&&irq| self.k.irq_states[irq].get() != IrqState::Inactive) {
            let line = host::irq_line(irq);
            let pin = line.route.map(|r| model::Pin {
                chip: r.ioapic as u64,
                pin: r.pin as u64,
                level: r.level,
                low: r.active_low,
            });
            self.s.interrupts.insert(irq as u64, model::Interrupt { masked: line.masked, pin });
        }
    }

    fn domains(&mut self) {
        let (k, core) = (self.k, &self.k.core);
        let entries = k.domain_schedule.iter().enumerate().filter(|(_, e)| e.duration.get() != 0);
        let left = core.domain_end.get();
        self.s.schedule = Schedule {
            entries: entries.map(|(i, e)| (i as u64, (e.domain.get(), e.duration.get()))).collect(),
            start: k.domain_start.get() as u64,
            at: core.domain_index.get() as u64,
            domain: core.domain.get(),
            left: (left != u64::MAX).then(|| left as i64 - core.time.get() as i64),
        };
    }

    fn schedule(&mut self) {
        self.domains();
        let k = self.k;
        for (domain, word) in (0..k.core.ready.len()).flat_map(|d| (0..4).map(move |word| (d, word))) {
            let mut bits = k.core.ready[domain].bitmap[word].get();
            while bits != 0 {
                let priority = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let head = k.core.ready[domain].heads[priority].get();
                let mut threads = vec![];
                let mut at = head;
                while let Some(t) = at {
                    threads.push(link_name(t));
                    at = t.get(k).sched_queue.next.get().filter(|&t| Some(t) != head);
                }
                self.s.ready.insert((domain as u8, priority as u8), threads);
            }
        }
        let current = k.core.current.get();
        if current != k.core.idle_thread.link() {
            self.s.current = Some(link_name(current));
            if scheduler::is_schedulable(k, current.get(k)) {
                let Tcb { domain, priority, .. } = current.get(k);
                self.s.ready.entry((domain.get(), priority.get())).or_default().insert(0, link_name(current));
            }
        }
        self.s.waiting_for_budget.extend(invariants::release_order(k).into_iter().map(link_name));
    }
}

/// The entries of a table, those of user level's part if it is a root.
fn entries(k: &Machine, table: Link<mem::PageTable>, level: usize) -> Map<u64, model::Entry> {
    let count =
        if level == PT_LEVELS - 1 { pecan_arch::ROOT_USER_ENTRIES } else { 1 << pecan_arch::PT_INDEX_BITS };
    let (first, table) = (link_name(table).0, table.get(k));
    let mut entries = Map::default();
    let entry = |i: usize| {
        let pte = table.entry(i);
        let at = || Name(pte.addr(level).0);
        if !pte.is_present() {
            return None;
        }
        // The processor's bits of an entry: 1 for writing, 2 for user level.
        let (write, user) = (pte.0 & 2 != 0, pte.0 & 4 != 0);
        let cache = (pte.0 >> 3 & 3 | (pte.0 >> if level == 0 { 7 } else { 12 } & 1) << 2) as u8;
        let frame = || model::Entry::Frame { frame: at(), read: user, write: user && write, cache };
        Some((i as u64, if pte.is_table(level) { model::Entry::Table(at()) } else { frame() }))
    };
    k.nonzero(first..first + 8 * count as u64, |i, _| entries.extend(entry(i)));
    entries
}

fn queue(k: &Kernel, head: Option<Link<Tcb>>) -> Vec<Name> {
    std::iter::successors(head, |t| t.get(k).ipc_queue.next.get()).map(link_name).collect()
}
