//! The whole state of a kernel in the model's terms.

use std::{ops::Range, rc::Rc};

use pecan_arch::{PT_LEVELS, PageTableEntry, host};
use pecan_core::{cap::derivation, invariants, sched::ready};
use pecan_mem::{
    self as mem, CNodeRef, IrqState, Kernel, Link, NotificationState, Tcb,
    testing::{LINE, Machine},
};

use crate::digest::{ByDigest, Digest, digest};
use crate::map::Map;
use crate::model::{self, Held, INTERRUPTS, Name, Notification, SchedContext, Slot, State};
use crate::translate::{calls, cap, context, link_name, name, thread, zombie_name};

/// What the slots of a kernel hold, which depends on nothing but their memory.
pub(crate) struct Slots {
    /// Where they lie.
    layout: Rc<[Range<u64>]>,
    /// Every capability and its place in the derivation tree.
    held: Map<Slot, Held>,
    /// The objects that they name, by kind.
    objects: Objects,
    /// Where zombies are and how many slots those have left, which makes no difference but in how long deleting takes.
    left: Vec<(Slot, u64)>,
}

impl Slots {
    /// The threads that live.
    pub(crate) fn live(&self) -> &[Link<Tcb>] {
        &self.objects.threads
    }
}

/// Objects, each once.
#[derive(Default)]
struct Objects {
    threads: Vec<Link<Tcb>>,
    endpoints: Vec<Link<mem::Endpoint>>,
    notifications: Vec<Link<mem::Notification>>,
    replies: Vec<Link<mem::Reply>>,
    /// With their bytes.
    contexts: Vec<(Link<mem::SchedContext>, u64)>,
    /// With their levels.
    tables: Vec<(Link<mem::PageTable>, usize)>,
    /// Small frames of memory: their addresses.
    frames: Vec<u64>,
}

impl Objects {
    fn of(caps: impl Iterator<Item = mem::Cap>) -> Objects {
        let mut o = Objects::default();
        for cap in caps {
            match cap {
                mem::Cap::Tcb { tcb } => add(&mut o.threads, tcb),
                mem::Cap::Endpoint { ep, .. } | mem::Cap::Ending { what: mem::Ending::Endpoint(ep) } => {
                    add(&mut o.endpoints, ep);
                }
                mem::Cap::Notification { ntfn, .. }
                | mem::Cap::Ending { what: mem::Ending::Notification(ntfn) } => {
                    add(&mut o.notifications, ntfn);
                }
                mem::Cap::Reply { reply, .. } => add(&mut o.replies, reply),
                mem::Cap::SchedContext { sc, bits } => add(&mut o.contexts, (sc, 1 << bits)),
                mem::Cap::PageTable { table, level: Some(level), .. } => {
                    add(&mut o.tables, (table, level as usize));
                }
                mem::Cap::Frame { base, level: 0, device: false, .. } => add(&mut o.frames, base.0),
                _ => {}
            }
        }
        o
    }
}

fn add<T: PartialEq>(list: &mut Vec<T>, what: T) {
    if !list.contains(&what) {
        list.push(what);
    }
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
    const FINDS: usize = 60_000;

    fn slots(&mut self, k: &Machine, keeper: CNodeRef, irqs: &[usize]) -> Rc<Slots> {
        for i in 0..self.layouts.len() {
            if let Some(slots) = self.found.get(&k.digest(&self.layouts[i])) {
                self.layouts[..=i].rotate_right(1);
                return slots.clone();
            }
        }
        let mut a = Finder { k, places: vec![], caps: vec![] };
        a.collect(keeper, irqs);
        let held = a.tree();
        let slot = |at: usize| name(at).0;
        let places = a.places.iter().filter(|p| p.2 != INTERRUPTS).map(|p| slot(p.0)..slot(p.1));
        let bound = irqs.iter().map(|&irq| k.global().irq_slots[irq].link().addr());
        let bound = bound.map(|at| slot(at)..slot(at) + size_of::<mem::Slot>() as u64);
        let layout: Rc<[Range<u64>]> = places.chain(bound).collect();
        let objects = Objects::of(a.caps.iter().map(|&(_, cap)| cap));
        let left = a.caps.iter().filter_map(|&(slot, cap)| match cap {
            mem::Cap::Zombie { remaining, .. } => Some((a.place(slot), remaining)),
            _ => None,
        });
        let left = left.collect();
        let slots = Rc::new(Slots { layout: layout.clone(), held, objects, left });
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

/// Looks for slots.
struct Finder<'k> {
    k: &'k Machine,
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
    Dying(mem::Zombie),
}

impl Holder {
    fn of(cap: mem::Cap) -> Option<Holder> {
        match cap {
            mem::Cap::CNode { cnode, .. } => Some(Holder::CNode(cnode)),
            mem::Cap::Tcb { tcb } => Some(Holder::Thread(tcb)),
            mem::Cap::Zombie { zombie, .. } => Some(Holder::Dying(zombie)),
            _ => None,
        }
    }

    fn addr(self) -> usize {
        match self {
            Holder::CNode(cnode) => cnode.addr(),
            Holder::Thread(tcb) => tcb.addr(),
            Holder::Dying(zombie) => zombie.first().addr(),
        }
    }
}

impl Finder<'_> {
    /// Finds every slot: from the keeper through CNodes and threads, and along the derivation lists to CNodes that
    /// hold the last capabilities to themselves.
    fn collect(&mut self, keeper: CNodeRef, irqs: &[usize]) {
        let all = &self.k.global().irq_slots;
        self.places.push((all[0].link().addr(), all[all.len() - 1].link().addr() + 1, INTERRUPTS));
        let bound = irqs.iter().map(|&irq| all[irq].link()).filter(|s| !s.get(self.k).is_empty());
        self.caps.extend(bound.map(|slot| (slot, slot.get(self.k).cap())));
        let mut nodes = vec![keeper.addr()];
        self.look_into(Holder::CNode(keeper));
        let (mut held, mut neighbours) = (0, 0);
        while neighbours < self.caps.len() {
            if held < self.caps.len() {
                let cap = self.caps[held].1;
                held += 1;
                self.visit(cap, &mut nodes);
                continue;
            }
            let slot = self.caps[neighbours].0.get(self.k);
            neighbours += 1;
            let is_known =
                |s: &Link<mem::Slot>| self.places.iter().any(|place| (place.0..place.1).contains(&s.addr()));
            let unknown = |s: Option<Link<mem::Slot>>| s.filter(|s| !is_known(s));
            let mut at = unknown(slot.next()).or_else(|| unknown(slot.prev()));
            while let Some(s) = at {
                let (s, cap) = (s.get(self.k), s.get(self.k).cap());
                self.visit(cap, &mut nodes);
                at = s.next().filter(|s| !self.places.iter().any(|p| (p.0..p.1).contains(&s.addr())));
            }
        }
        self.places.sort_unstable_by_key(|p| p.0);
    }

    /// Looks into what a capability names, if that has slots and is not among `nodes`.
    fn visit(&mut self, cap: mem::Cap, nodes: &mut Vec<usize>) {
        if let Some(node) = Holder::of(cap).filter(|node| !nodes.contains(&node.addr())) {
            nodes.push(node.addr());
            self.look_into(node);
        }
    }

    fn look_into(&mut self, node: Holder) {
        let slot = |i| match node {
            Holder::CNode(cnode) => cnode.slot(i),
            Holder::Thread(t) => t.get(self.k).slots[i as usize].link(),
            Holder::Dying(zombie) => zombie.slots(self.k)[i as usize].link(),
        };
        let count = match node {
            Holder::CNode(cnode) => 1 << cnode.radix(),
            Holder::Thread(_) => Tcb::SLOTS as u64,
            Holder::Dying(zombie) => zombie.slots(self.k).len() as u64,
        };
        let object = match node {
            Holder::Dying(zombie) => zombie_name(self.k, zombie),
            _ => name(node.addr()),
        };
        self.places.push((slot(0).addr(), slot(count - 1).addr() + size_of::<mem::Slot>(), object));
        let full = (0..count).map(slot).filter(|s| !s.get(self.k).is_empty());
        self.caps.extend(full.map(|slot| (slot, slot.get(self.k).cap())));
    }

    fn place(&self, slot: Link<mem::Slot>) -> Slot {
        let at = self.places.partition_point(|p| p.0 <= slot.addr());
        let (first, end, object) = self.places[at.saturating_sub(1)];
        assert!((first..end).contains(&slot.addr()), "a slot outside of all CNodes and threads");
        Slot { object, index: ((slot.addr() - first) / size_of::<mem::Slot>()) as u64 }
    }

    /// The derivation tree, from the lists.
    fn tree(&self) -> Map<Slot, Held> {
        let mut tree = Vec::with_capacity(self.caps.len());
        let mut ancestors: Vec<Link<mem::Slot>> = vec![];
        for head in self.caps.iter().map(|c| c.0).filter(|s| s.get(self.k).prev().is_none()) {
            ancestors.clear();
            let mut at = Some(head);
            while let Some(link) = at {
                let slot = link.get(self.k);
                while ancestors.last().is_some_and(|a| !derivation::is_parent(a.get(self.k), slot)) {
                    ancestors.pop();
                }
                let parent = ancestors.last().map(|&a| self.place(a));
                let held = Held { cap: cap(self.k, slot.cap()), original: slot.is_revocable(), parent };
                tree.push((self.place(link), held));
                ancestors.push(link);
                at = slot.next();
            }
        }
        tree.sort_unstable_by_key(|entry| entry.0);
        tree.into_iter().collect()
    }
}

/// A state of a kernel that steps are made from: what it is in the model's terms, and the memory.
pub(crate) struct Origin {
    /// The state, but for what makes no difference and was left out.
    state: State,
    /// The scheduling contexts before that.
    contexts: Map<Name, SchedContext>,
    slots: Rc<Slots>,
    /// On the clock, in ticks.
    time: u64,
}

/// A look at a kernel. What it was made from is looked at again only where its memory has changed.
struct Look<'a> {
    k: &'a Machine,
    before: Option<&'a Origin>,
    /// The lines of memory that are not what they were then, in order.
    changed: &'a [u32],
    slots: &'a Slots,
    s: State,
}

/// Translates all of a kernel whose capabilities are found from `keeper` on and in the slots of some interrupts.
/// `before` is what was found in an earlier state, and the lines of memory that have changed since.
pub(crate) fn look(
    k: &Machine,
    keeper: CNodeRef,
    irqs: &[usize],
    memo: &mut Memo,
    before: Option<(&Origin, &[u32])>,
) -> Origin {
    let (before, changed) = before.unzip();
    let changed = changed.unwrap_or_default();
    let known = before.filter(|b| b.slots.layout.iter().all(|slots| !is_touched(changed, slots)));
    let slots = known.map_or_else(|| memo.slots(k, keeper, irqs), |b| b.slots.clone());
    let s = before.map(|b| b.state.clone()).unwrap_or_default();
    let mut look = Look { k, before, changed, slots: &slots, s };
    look.s.caps = slots.held.clone();
    look.threads();
    look.queues();
    look.s.contexts = look.contexts();
    look.spaces();
    look.memory();
    look.interrupts(irqs);
    look.schedule();
    let mut state = look.s;
    let contexts = state.contexts.clone();
    crate::lockstep::normalise(&mut state);
    if let Some(b) = before {
        state.contexts.share(&b.state.contexts);
    }
    Origin { state, contexts, slots, time: k.core().time.get() }
}

/// True if one of these lines lies in a range of addresses, or partly.
fn is_touched(changed: &[u32], range: &Range<u64>) -> bool {
    let first = changed.partition_point(|&line| (line as u64 + 1) * LINE <= range.start);
    changed.get(first).is_some_and(|&line| (line as u64) * LINE < range.end)
}

/// Where something in the kernel's memory lies.
fn range_of<T: ?Sized>(what: &T) -> Range<u64> {
    let first = name(std::ptr::from_ref(what).addr()).0;
    first..first + size_of_val(what) as u64
}

impl Origin {
    /// The state in the model's terms.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// The same, without the rest.
    pub(crate) fn into_state(self) -> State {
        self.state
    }

    /// A digest of how far operations have come that were stopped; 0 if there are none.
    pub(crate) fn hidden(&self, k: &Kernel) -> Digest {
        let cancelling = &k.global().cancelling;
        let endpoint = cancelling.endpoint.get().map(link_name);
        if endpoint.is_none() && self.slots.left.is_empty() {
            return 0;
        }
        let next = endpoint.and(cancelling.next.get()).map(link_name);
        let badge = endpoint.map(|_| cancelling.badge.get());
        digest(&(endpoint, badge, next, &self.slots.left))
    }

    /// What the slots hold.
    pub(crate) fn slots(&self) -> &Slots {
        &self.slots
    }
}

impl Look<'_> {
    /// True if something may not be what it was.
    fn touched(&self, range: &Range<u64>) -> bool {
        self.before.is_none() || is_touched(self.changed, range)
    }

    /// True if there are other slots, or other capabilities in them, than there were.
    fn other_slots(&self) -> bool {
        self.before.is_none_or(|b| !std::ptr::eq(&*b.slots, self.slots))
    }

    fn threads(&mut self) {
        let (k, live) = (self.k, &self.slots.objects.threads);
        if self.other_slots() {
            self.s.threads.retain(|name, _| live.iter().any(|t| link_name(*t) == *name));
        }
        let (was, is) = (self.s.current, k.core().current.get());
        for &tcb in live {
            let name = link_name(tcb);
            // Some registers of the thread that runs are in the processor.
            let ran = tcb == is || was == Some(name);
            if ran || self.touched(&range_of(tcb.get(k))) || !self.s.threads.contains_key(&name) {
                self.s.threads.set(name, thread(k, tcb.get(k)));
            }
        }
    }

    /// Everything that threads queue at.
    fn queues(&mut self) {
        let (k, s, objects) = (self.k, &mut self.s, &self.slots.objects);
        if self.before.is_none_or(|b| !std::ptr::eq(&*b.slots, self.slots)) {
            s.endpoints.retain(|name, _| objects.endpoints.iter().any(|o| link_name(*o) == *name));
            s.notifications.retain(|name, _| objects.notifications.iter().any(|o| link_name(*o) == *name));
            s.replies.retain(|name, _| objects.replies.iter().any(|o| link_name(*o) == *name));
        }
        for &ep in &objects.endpoints {
            let queue = queue(k, ep.get(k).head());
            if s.endpoints.get(&link_name(ep)).is_none_or(|old| !queue.clone().eq(old.iter().copied())) {
                s.endpoints.insert(link_name(ep), queue.collect());
            }
        }
        for &ntfn in &objects.notifications {
            let n = ntfn.get(k);
            let signals = (n.state.get() == NotificationState::Active).then(|| n.badge.get());
            let (bound, sc) = (n.bound_tcb.get().map(link_name), n.sched_context.get().map(link_name));
            let queue = queue(k, n.head.get());
            let is = |old: &Notification| {
                (old.signals, old.bound, old.sc) == (signals, bound, sc)
                    && queue.clone().eq(old.queue.iter().copied())
            };
            if !s.notifications.get(&link_name(ntfn)).is_some_and(is) {
                let queue = queue.collect();
                s.notifications.insert(link_name(ntfn), Notification { signals, queue, bound, sc });
            }
        }
        for &reply in &objects.replies {
            s.replies.set(link_name(reply), reply.get(k).tcb.get().map(link_name));
        }
    }

    /// Scheduling contexts, with all that may make no difference.
    fn contexts(&self) -> Map<Name, SchedContext> {
        let (k, objects) = (self.k, &self.slots.objects);
        let mut contexts = self.before.map(|b| b.contexts.clone()).unwrap_or_default();
        if self.other_slots() {
            contexts.retain(|name, _| objects.contexts.iter().any(|o| link_name(o.0) == *name));
        }
        // What has been used, and when there is more, is relative to now.
        let later = self.before.is_none_or(|b| b.time != k.core().time.get());
        for &(sc, bytes) in &objects.contexts {
            let name = link_name(sc);
            let same = |old: &SchedContext| calls(k, sc.get(k)).eq(old.calls.iter().rev().copied());
            let touched = later || self.touched(&(name.0..name.0 + bytes));
            if touched || !contexts.get(&name).is_some_and(same) {
                contexts.set(name, context(k, sc.get(k)));
            }
        }
        contexts
    }

    fn spaces(&mut self) {
        let (k, s) = (self.k, &mut self.s);
        let pools =
            || k.global().asid_pools.iter().enumerate().filter_map(|(n, pool)| Some((n, pool.get()?)));
        let is_touched = |range| self.before.is_none() || is_touched(self.changed, &range);
        if is_touched(range_of(&k.global().asid_pools))
            || pools().any(|(_, pool)| is_touched(range_of(pool.get(k))))
        {
            let (mut spaces, mut names) = (Map::default(), Map::default());
            for (n, pool) in pools() {
                let base = (n * mem::AsidPool::LEN) as u64;
                names.insert(base, link_name(pool));
                let pool = pool.get(k);
                k.nonzero(range_of(pool), |i, _| {
                    let root = pool.root(i as u16).map(link_name);
                    spaces.extend(root.map(|root| (base + i as u64, root)));
                });
            }
            names.share(&s.pools);
            spaces.share(&s.spaces);
            (s.pools, s.spaces) = (names, spaces);
        }
        let tables = &self.slots.objects.tables;
        if self.before.is_none_or(|b| b.slots.objects.tables != *tables) {
            // One may have become a table of another level.
            s.tables.clear();
        }
        for &(table, level) in tables {
            let name = link_name(table);
            if is_touched(range_of(table.get(k))) || !s.tables.contains_key(&name) {
                s.tables.set(name, entries(k, table, level));
            }
        }
        if let Some(b) = self.before {
            s.tables.share(&b.state.tables);
        }
    }

    /// The memory of frames.
    fn memory(&mut self) {
        let (k, frames) = (self.k, &self.slots.objects.frames);
        if self.before.is_some_and(|b| b.slots.objects.frames == *frames) {
            let lines = self.changed.iter().map(|&line| line as u64 * LINE);
            for line in lines.filter(|line| frames.iter().any(|base| (*base..base + 4096).contains(line))) {
                for at in (line..line + LINE).step_by(8) {
                    match k.word(at) {
                        0 => drop(self.s.memory.remove(&at)),
                        word => self.s.memory.set(at, word),
                    }
                }
            }
        } else {
            let mut memory = Map::default();
            for &base in frames {
                k.nonzero(base..base + 4096, |i, word| memory.extend([(base + 8 * i as u64, word)]));
            }
            memory.share(&self.s.memory);
            self.s.memory = memory;
        }
    }

    fn interrupts(&mut self, irqs: &[usize]) {
        let mut interrupts = Map::default();
        for &irq in irqs.iter().filter(|&&irq| self.k.global().irq_states[irq].get() != IrqState::Inactive) {
            let line = host::irq_line(irq);
            let pin = crate::system::processor::pin_of(line).map(|r| model::Pin {
                chip: r.ioapic as u64,
                pin: r.pin as u64,
                level: r.level,
                low: r.active_low,
            });
            interrupts.insert(irq as u64, model::Interrupt { masked: line.masked, pin });
        }
        interrupts.share(&self.s.interrupts);
        self.s.interrupts = interrupts;
    }

    fn domains(&mut self) {
        let (k, core) = (self.k, &self.k.core());
        if self.touched(&range_of(&k.global().domain_schedule)) {
            let entries =
                k.global().domain_schedule.iter().enumerate().filter(|(_, e)| e.duration.get() != 0);
            self.s.schedule.entries =
                entries.map(|(i, e)| (i as u64, (e.domain.get(), e.duration.get()))).collect();
        }
        let (schedule, left) = (&mut self.s.schedule, core.domain_end.get());
        schedule.start = k.global().domain_start.get() as u64;
        schedule.at = core.domain_index.get() as u64;
        schedule.domain = core.domain.get();
        schedule.left = (left != u64::MAX).then(|| left as i64 - core.time.get() as i64);
    }

    fn schedule(&mut self) {
        self.domains();
        let k = self.k;
        let current = k.core().current.get();
        self.s.current = (current != k.core().idle_thread.link()).then(|| link_name(current));
        let running = self.s.current.map(|_| current.get(k)).filter(|t| ready::is_schedulable(k, t));
        let mut old = self.s.ready.iter().flat_map(|(at, queue)| queue.iter().map(|t| (*at, *t)));
        let mut same = true;
        each_ready(k, running, |at, thread| same &= old.next() == Some((at, thread)));
        if !same || old.next().is_some() {
            let mut ready: Map<_, Vec<Name>> = Map::default();
            each_ready(k, running, |at, thread| ready.entry(at).or_default().push(thread));
            self.s.ready = ready;
        }
        self.s.waiting_for_budget.clear();
        self.s.waiting_for_budget.extend(invariants::release_order(k).into_iter().map(link_name));
    }
}

/// Every thread that is ready, with its domain and priority, in order. The one that runs is in no queue.
fn each_ready(k: &Kernel, running: Option<&Tcb>, mut found: impl FnMut((u8, u8), Name)) {
    let running = running.map(|t| ((t.domain.get(), t.priority.get()), t.link()));
    for (domain, queues) in k.core().ready.iter().enumerate() {
        for (word, bits) in queues.bitmap.iter().enumerate() {
            let mut bits = bits.get();
            if let Some(((d, priority), _)) = running
                && (d as usize, priority as usize / 64) == (domain, word)
            {
                bits |= 1 << (priority % 64);
            }
            while bits != 0 {
                let priority = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let at = (domain as u8, priority as u8);
                if let Some((_, thread)) = running.filter(|r| r.0 == at) {
                    found(at, link_name(thread));
                }
                let head = queues.heads[priority].get();
                let mut next = head;
                while let Some(t) = next {
                    found(at, link_name(t));
                    next = t.get(k).sched_queue.next.get().filter(|&t| Some(t) != head);
                }
            }
        }
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

fn queue(k: &Kernel, head: Option<Link<Tcb>>) -> impl Iterator<Item = Name> + Clone {
    std::iter::successors(head, |t| t.get(k).ipc_queue.next.get()).map(link_name)
}
