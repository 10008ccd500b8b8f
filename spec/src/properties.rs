//! What must hold of every step of the model, and so of the kernel that agrees with it.
//!
//! Of every step: *integrity* and *authority confinement* ([`crate::integrity`]), and *conservation* of budgets, which
//! come back as periods say. Of every state: capabilities and objects belong together, and *liveness*: every thread that
//! can run is ready if it has budget and otherwise waits for it, and the first of the highest priority runs. In systems
//! of several parts that no capability connects: no step connects them or changes another part than that of the thread
//! that acts, and *confidentiality*: what becomes of a part depends on nothing but that part and what its threads do,
//! timing aside.

use std::{collections::BTreeMap, hash::Hash, ops::Range};

use pecan_abi::{Label, Syscall};

use crate::{
    digest::{ByDigest, Digest, Digester, digest},
    integrity::{self, buffer},
    lockstep::Broken,
    model::{
        self, Arrival, Call, Cap, Doing, Event, Name, Notification, Refill, SchedContext, State, Thread,
    },
};

/// Checks a state that a step has led to.
///
/// # Errors
/// What does not hold, in words.
pub fn check(before: &State, event: &Event, after: &State) -> Result<(), Broken> {
    check_step(before, event, after)?;
    check_state(after)
}

/// The part of [`check`] that is about the step.
///
/// # Errors
/// What does not hold, in words.
pub fn check_step(before: &State, event: &Event, after: &State) -> Result<(), Broken> {
    integrity::check(before, event, after)?;
    if let &Event::Stopped { by: Arrival::Time(ticks), .. } = event {
        // The call may be done before that time has passed.
        return budgets(before, event, ticks as i64, after)
            .or_else(|why| budgets(before, event, 0, after).map_err(|_| why));
    }
    let ticks = match event {
        Event::Tick { ticks } => *ticks as i64,
        Event::Syscall(call) => call.after as i64,
        _ => 0,
    };
    budgets(before, event, ticks, after)
}

/// The part of [`check`] that is about the state, wherever it comes from.
///
/// # Errors
/// What does not hold, in words.
pub fn check_state(s: &State) -> Result<(), Broken> {
    capabilities(s)?;
    refills(s)?;
    liveness(s)
}

/// Every capability names a living object and has a living parent; every object has a capability.
fn capabilities(s: &State) -> Result<(), Broken> {
    let mut named: Vec<Name> = vec![];
    for (slot, held) in &s.caps {
        if held.parent.is_some_and(|parent| !s.caps.contains_key(&parent)) {
            return Err(format!("the capability in {slot:?} descends from none that there is\n"));
        }
        let Some(object) = object(held.cap) else { continue };
        let lives = match held.cap {
            Cap::Endpoint { .. } => s.endpoints.contains_key(&object),
            Cap::Notification { .. } => s.notifications.contains_key(&object),
            Cap::Reply { .. } => s.replies.contains_key(&object),
            Cap::Thread { .. } => s.threads.contains_key(&object),
            Cap::SchedContext { .. } => s.contexts.contains_key(&object),
            Cap::Table { .. } => s.tables.contains_key(&object),
            Cap::AsidPool { base, .. } => s.pools.get(&base) == Some(&object),
            Cap::Ending { .. } => s.endpoints.contains_key(&object) || s.notifications.contains_key(&object),
            _ => true,
        };
        if !lives {
            return Err(format!("the capability in {slot:?} names {object:?}, which is no more\n"));
        }
        named.push(object);
    }
    named.sort_unstable();
    let objects = s.endpoints.keys().chain(s.notifications.keys()).chain(s.replies.keys());
    let objects = objects.chain(s.threads.keys()).chain(s.contexts.keys()).chain(s.tables.keys());
    let objects = objects.chain(s.pools.values());
    for object in objects {
        if named.binary_search(object).is_err() {
            return Err(format!("no capability names {object:?}\n"));
        }
    }
    Ok(())
}

/// Budgets add up to what they were, and come back as periods say, when so many ticks have passed.
fn budgets(before: &State, event: &Event, ticks: i64, after: &State) -> Result<(), Broken> {
    let runs = before.current.and_then(|thread| before.threads[&thread].sc);
    let configured = match (event, before.current) {
        (Event::Syscall(call), Some(thread)) if call.label == Label::SchedControlConfigureFlags as u64 => {
            call.extra.first().and_then(|&address| Some(model::find(before, thread, address)?.1))
        }
        _ => None,
    };
    if ticks == 0 && before.contexts.is_shared_with(&after.contexts) {
        return Ok(());
    }
    for (&name, new) in &after.contexts {
        let Some(old) = before.contexts.get(&name).filter(|old| old.max_refills > 0) else { continue };
        if matches!(configured, Some(Cap::SchedContext { sc, .. }) if sc == name) {
            continue;
        }
        let runs = runs == Some(name);
        // Who yields gives up what is left of the first refill.
        let charged = match event {
            Event::Syscall(Call { call: Syscall::Yield, after: 0, .. }) if runs => old.refills[0].amount,
            _ if runs => ticks,
            _ => 0,
        };
        budget(old, runs, ticks, charged, new)
            .map_err(|why| format!("{name:?}: {why}: {old:?} became {new:?}\n"))?;
    }
    Ok(())
}

/// What becomes of a scheduling context in so many ticks; if it is the one that runs, so many of it are `charged`.
fn budget(
    old: &SchedContext,
    runs: bool,
    ticks: i64,
    charged: i64,
    new: &SchedContext,
) -> Result<(), &'static str> {
    let sum = |c: &SchedContext| c.refills.iter().map(|r| r.amount).sum::<i64>();
    if sum(old) != sum(new) {
        return Err("budget was made or lost");
    }
    let consumed = old.consumed + if runs { ticks } else { 0 };
    let told = pecan_arch::us_to_ticks(pecan_arch::ticks_to_us(consumed as u64)) as i64;
    if new.consumed != consumed && new.consumed != consumed - told {
        return Err("what was consumed is not the time that has passed");
    }
    if old.period == 0 {
        let amounts = |c: &SchedContext| (c.refills[0].amount, c.refills[1].amount);
        let (left, spent) = amounts(old);
        let charged = charged.min(left);
        let ended = runs && amounts(new) == (left + spent, 0);
        let right = amounts(new) == (left - charged, spent + charged) || ended;
        return if right { Ok(()) } else { Err("a slice is not as long as what is left of it") };
    }
    // An overrun of more than twice the budget is not charged.
    let charged = charged.min((2 * sum(old)).max(old.refills[0].amount));
    let head = old.refills[0].time - ticks;
    let left = less(&old.refills, charged, ticks);
    let returns = if charged == 0 { i64::MAX } else { head + old.period };
    let ends = new.refills.iter().map(|r| r.time.max(0) + r.amount).filter(|&at| at < returns);
    for at in ends.chain((charged > 0).then_some(returns)) {
        if can_use(&new.refills, at) > can_use(&left, at + soon()) {
            return Err("used budget comes back before its period is over");
        }
    }
    let periods = (charged + sum(old) - 1) / sum(old);
    if new.refills[0].time > head.max(0) + periods * old.period {
        return Err("budget comes back later than its period says");
    }
    Ok(())
}

/// A time so near is now: the kernel's longest stay.
fn soon() -> i64 {
    pecan_arch::kernel_wcet_ticks() as i64
}

/// Refills without what is charged to them, some ticks later.
fn less(refills: &[Refill], mut charged: i64, ticks: i64) -> Vec<Refill> {
    let rest = refills.iter().map(|r| {
        let taken = charged.min(r.amount);
        charged -= taken;
        Refill { time: r.time - ticks, amount: r.amount - taken }
    });
    rest.filter(|r| r.amount > 0).collect()
}

/// How long somebody who does nothing but run can run on refills, until a time from now.
fn can_use(refills: &[Refill], until: i64) -> i64 {
    let (mut now, mut ran) = (0, 0);
    for refill in refills {
        now = refill.time.max(now);
        ran += refill.amount.min((until - now).max(0));
        now += refill.amount;
    }
    ran
}

/// Refills are in the order of their times, and all of the budget comes back within a period.
fn refills(s: &State) -> Result<(), Broken> {
    for (name, c) in s.contexts.iter().filter(|(_, c)| c.max_refills > 0) {
        let [first, .., last] = &c.refills[..] else { continue };
        let in_order = c.refills.is_sorted_by_key(|r| r.time);
        let fits = c.refills.len() as u64 <= c.max_refills;
        if !fits || c.period > 0 && (!in_order || last.time > first.time + c.period) {
            return Err(format!("{name:?} has wrong refills: {c:?}\n"));
        }
    }
    Ok(())
}

/// Nobody who can run is forgotten.
fn liveness(s: &State) -> Result<(), Broken> {
    for (name, thread) in &s.threads {
        let configured = thread.sc.is_some_and(|sc| s.contexts[&sc].max_refills > 0);
        let can_run = matches!(thread.doing, Doing::Running | Doing::Restarting) && configured;
        let ready = s
            .ready
            .get(&(thread.domain, thread.priority))
            .into_iter()
            .flatten()
            .filter(|t| *t == name)
            .count();
        let waits = s.waiting_for_budget.iter().filter(|t| *t == name).count();
        if ready + waits != usize::from(can_run) {
            return Err(format!("{name:?} is ready {ready} times and waits for budget {waits} times\n"));
        }
    }
    // A thread is ready with a budget that is worth running for, and otherwise waits for it, the first to get it first.
    let refill = |thread: &Name| s.threads[thread].sc.map(|sc| s.contexts[&sc].refills[0]);
    let has_budget = |r: Refill| r.time <= soon() && r.amount >= 2 * soon();
    if let Some(name) = s.ready.values().flatten().find(|t| !refill(t).is_some_and(has_budget)) {
        return Err(format!("{name:?} is ready and has no budget\n"));
    }
    if let Some(name) = s.waiting_for_budget.iter().find(|t| refill(t).is_some_and(has_budget)) {
        return Err(format!("{name:?} has budget and waits for it\n"));
    }
    if !s.waiting_for_budget.is_sorted_by_key(|t| refill(t).map(|r| r.time)) {
        return Err("of the threads that wait for budget another one is first\n".into());
    }
    let turn = s.schedule.domain;
    let first = s.ready.range((turn, 0)..=(turn, u8::MAX)).next_back().map(|(_, queue)| queue[0]);
    if s.current == first { Ok(()) } else { Err("another thread than the first runs\n".into()) }
}

/// The object that a capability gives a say in. Memory that threads share by agreement is none.
fn object(cap: Cap) -> Option<Name> {
    Some(match cap {
        Cap::Endpoint { ep: name, .. }
        | Cap::Notification { ntfn: name, .. }
        | Cap::Reply { reply: name, .. }
        | Cap::CNode { cnode: name, .. }
        | Cap::Thread { thread: name }
        | Cap::SchedContext { sc: name, .. }
        | Cap::Table { table: name, .. }
        | Cap::AsidPool { pool: name, .. }
        | Cap::Ending { object: name } => name,
        _ => return None,
    })
}

/// A system in parts that no capability connects, but for the right to signal from one to another, and what its steps
/// have come to.
pub struct Parts {
    /// The part of every object.
    part: BTreeMap<Name, usize>,
    /// The part that has untyped memory, and all that is made of it.
    memory: Vec<(Range<u64>, usize)>,
    /// Which part may signal which.
    signals: Vec<(usize, usize)>,
    /// The parts, and digests of what they are in the state that is left.
    now: BTreeMap<usize, Digest>,
    /// What became of a part, by what it was and what happened.
    seen: ByDigest<Digest>,
}

impl Parts {
    /// Tells the parts of a system; none if it is in one piece.
    pub fn of(s: &State, keeper: Name) -> Option<Parts> {
        let (now, seen) = (BTreeMap::new(), ByDigest::default());
        let mut parts = Parts { part: BTreeMap::new(), memory: vec![], signals: vec![], now, seen };
        for (a, b, one_way) in connections(s, keeper) {
            let next = parts.part.len() * 2;
            let a = *parts.part.entry(a).or_insert(next);
            let b = *parts.part.entry(b).or_insert(next + 1);
            if one_way {
                continue;
            }
            parts.part.values_mut().filter(|p| **p == b).for_each(|p| *p = a);
        }
        let mut of_threads: Vec<_> = s.threads.keys().filter_map(|t| parts.part.get(t)).collect();
        of_threads.sort_unstable();
        of_threads.dedup();
        let several = of_threads.len() > 1;
        several.then(|| {
            let one_way = connections(s, keeper).into_iter().filter(|c| c.2);
            parts.signals = one_way.map(|(from, to, _)| (parts.part[&from], parts.part[&to])).collect();
            parts.memory = (s.caps.iter())
                .filter_map(|(slot, held)| match held.cap {
                    Cap::Untyped { base, bits, .. } => {
                        Some((base.0..base.0 + (1 << bits), *parts.part.get(&slot.object)?))
                    }
                    _ => None,
                })
                .collect();
            parts.now = parts.part.values().map(|&part| (part, 0)).collect();
            parts.leave(s);
            parts
        })
    }

    /// The part that an object is of, if it is of one.
    fn of_object(&self, name: Name) -> Option<usize> {
        let made = || self.memory.iter().find(|(memory, _)| memory.contains(&name.0)).map(|(_, part)| *part);
        self.part.get(&name).copied().or_else(made)
    }

    /// Steps that are checked from now on begin in this state.
    pub fn leave(&mut self, before: &State) {
        let mut now = std::mem::take(&mut self.now);
        now.iter_mut().for_each(|(&part, digest)| *digest = self.project(before, part));
        self.now = now;
    }

    /// Checks confinement, integrity and confidentiality of a step from `before`, which is left; `after` is the state
    /// with all that the step has left in registers and memory, which the acting thread sees.
    ///
    /// # Errors
    /// What does not hold, in words.
    pub fn check(
        &mut self,
        before: &State,
        event: &Event,
        after: &State,
        keeper: Name,
    ) -> Result<(), Broken> {
        for (a, b, one_way) in connections(after, keeper) {
            let [from, to] = [a, b].map(|name| self.of_object(name));
            let may_signal = || one_way && from.zip(to).is_some_and(|pair| self.signals.contains(&pair));
            if from != to && !may_signal() {
                return Err(format!("{a:?} and {b:?} are connected, and were in different parts\n"));
            }
        }
        let own = before.current.and_then(|actor| self.of_object(actor));
        for (&other, &digest) in self.now.iter().filter(|(part, _)| Some(**part) != own) {
            let may_signal = own.is_some_and(|own| self.signals.contains(&(own, other)));
            if !may_signal && digest != self.project(after, other) {
                return Err("a part changed that the acting thread has no say in\n".into());
            }
        }
        let (Some(actor), Some(own)) = (before.current, own) else { return Ok(()) };
        let result = self.project(after, own);
        match self.seen.insert(digest(&(self.now[&own], actor, event)), result) {
            Some(earlier) if earlier != result => {
                Err("what came of it depends on a part that the acting thread cannot reach\n".into())
            }
            _ => Ok(()),
        }
    }

    /// A digest of what a part is, without when its threads run.
    fn project(&self, s: &State, part: usize) -> Digest {
        let within = |name: &Name| self.of_object(*name) == Some(part);
        let mut all = Digester::default();
        let hash = &mut all;
        s.caps.iter().filter(|(slot, _)| within(&slot.object)).for_each(|c| c.hash(hash));
        for (name, thread) in s.threads.iter().filter(|(n, _)| within(n)) {
            let doing = if thread.doing == Doing::Restarting { Doing::Running } else { thread.doing };
            (name, Thread { doing, ..thread.clone() }).hash(hash);
        }
        for buffer in s.threads.keys().filter(|n| within(n)).filter_map(|n| buffer(s, *n)) {
            s.memory.range(buffer).for_each(|word| word.hash(hash));
        }
        s.endpoints.iter().filter(|(n, _)| within(n)).for_each(|e| e.hash(hash));
        s.notifications.iter().filter(|(n, _)| within(n)).for_each(|n: (&Name, &Notification)| n.hash(hash));
        s.replies.iter().filter(|(n, _)| within(n)).for_each(|r| r.hash(hash));
        for (name, c) in s.contexts.iter().filter(|(n, _)| within(n)) {
            (name, c.thread, &c.calls, c.notification, c.yielded_from).hash(hash);
        }
        all.digest()
    }
}

/// Which objects have to do with one another: by a capability or by being bound, lent or queued; and if it is only by
/// the right to signal, from the first to the second. What the keeper holds is nobody's; address spaces are shared and
/// none of these families changes them.
fn connections(s: &State, keeper: Name) -> Vec<(Name, Name, bool)> {
    let mut found = vec![];
    for (slot, held) in s.caps.iter().filter(|(slot, _)| slot.object != keeper) {
        if let Some(object) = object(held.cap).filter(|_| !matches!(held.cap, Cap::Table { .. })) {
            let signals = matches!(held.cap, Cap::Notification { rights, .. } if !rights.read);
            found.push((slot.object, object, signals));
        }
    }
    let mut both = |a: Name, b: Name| found.push((a, b, false));
    for (&name, thread) in &s.threads {
        [thread.sc, thread.bound, thread.yielded_to]
            .into_iter()
            .flatten()
            .for_each(|other| both(name, other));
    }
    for (&ep, queue) in &s.endpoints {
        queue.iter().for_each(|&thread| both(ep, thread));
    }
    for (&ntfn, notification) in &s.notifications {
        notification.queue.iter().for_each(|&thread| both(ntfn, thread));
    }
    for (&reply, thread) in &s.replies {
        thread.iter().for_each(|&thread| both(reply, thread));
    }
    for (&sc, context) in &s.contexts {
        context.calls.iter().for_each(|&reply| both(sc, reply));
        context.notification.iter().for_each(|&ntfn| both(sc, ntfn));
    }
    found
}

#[cfg(test)]
mod tests;
