//! What must hold of every step of the model, and so of the kernel that agrees with it.
//!
//! *Conservation*: capabilities, objects and budgets are neither made nor lost, except where a method says so.
//! *Liveness*: every thread that can run is ready or waits for budget, and the first of the highest priority runs.
//! In systems of several parts that no capability connects: *confinement* (no step connects them), *integrity* (a
//! step changes only the part of the thread that acts) and *confidentiality* (what becomes of a part depends on
//! nothing but that part and what its threads do, timing aside).

use std::{collections::BTreeMap, hash::Hash};

use pecan_abi::Label;

use crate::{
    digest::{ByDigest, Digest, Digester, digest},
    lockstep::Broken,
    model::{Call, Cap, Doing, Event, Name, Notification, SchedContext, State, Thread},
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
    conservation(before, event, after)
}

/// The part of [`check`] that is about the state, wherever it comes from.
///
/// # Errors
/// What does not hold, in words.
pub fn check_state(s: &State) -> Result<(), Broken> {
    capabilities(s)?;
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
            _ => true,
        };
        if !lives {
            return Err(format!("the capability in {slot:?} names {object:?}, which is no more\n"));
        }
        named.push(object);
    }
    let objects = s.endpoints.keys().chain(s.notifications.keys()).chain(s.replies.keys());
    let objects = objects.chain(s.threads.keys()).chain(s.contexts.keys()).chain(s.tables.keys());
    let objects = objects.chain(s.pools.values());
    for object in objects {
        if !named.contains(object) {
            return Err(format!("no capability names {object:?}\n"));
        }
    }
    Ok(())
}

/// Budgets add up to what they were; new objects lie in memory that was free.
fn conservation(before: &State, event: &Event, after: &State) -> Result<(), Broken> {
    let configures = Label::SchedControlConfigureFlags as u64;
    let configured = matches!(event, Event::Syscall(Call { label, .. }) if *label == configures);
    let sum = |c: &SchedContext| c.refills.iter().map(|r| r.amount).sum::<i64>();
    for (name, context) in &after.contexts {
        if !configured && before.contexts.get(name).is_some_and(|old| sum(old) != sum(context)) {
            return Err(format!("the budget of {name:?} has changed\n"));
        }
    }
    let is_call = matches!(event, Event::Syscall(_));
    let new = after.threads.keys().chain(after.endpoints.keys()).chain(after.contexts.keys());
    let old = |n: &Name| {
        before.threads.contains_key(n) || before.endpoints.contains_key(n) || before.contexts.contains_key(n)
    };
    for name in new.filter(|n| !old(n)) {
        let from_untyped = before.caps.values().any(|held| match held.cap {
            Cap::Untyped { base, bits, .. } => (base.0..base.0 + (1 << bits)).contains(&name.0),
            _ => false,
        });
        if !is_call || !from_untyped {
            return Err(format!("{name:?} came out of nothing\n"));
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
        | Cap::AsidPool { pool: name, .. } => name,
        _ => return None,
    })
}

/// A system in parts that no capability connects, and what its steps have come to.
pub struct Parts {
    /// The part of every object.
    part: BTreeMap<Name, usize>,
    /// The parts, and digests of what they are in the state that is left.
    now: BTreeMap<usize, Digest>,
    /// What became of a part, by what it was and what happened.
    seen: ByDigest<Digest>,
}

impl Parts {
    /// Tells the parts of a system; none if it is in one piece.
    pub fn of(s: &State, keeper: Name) -> Option<Parts> {
        let mut parts = Parts { part: BTreeMap::new(), now: BTreeMap::new(), seen: ByDigest::default() };
        for (a, b) in connections(s, keeper) {
            let next = parts.part.len() * 2;
            let a = *parts.part.entry(a).or_insert(next);
            let b = *parts.part.entry(b).or_insert(next + 1);
            parts.part.values_mut().filter(|p| **p == b).for_each(|p| *p = a);
        }
        let mut of_threads: Vec<_> = s.threads.keys().filter_map(|t| parts.part.get(t)).collect();
        of_threads.sort_unstable();
        of_threads.dedup();
        let several = of_threads.len() > 1;
        several.then(|| {
            parts.now = parts.part.values().map(|&part| (part, 0)).collect();
            parts.leave(s);
            parts
        })
    }

    /// Steps that are checked from now on begin in this state.
    pub fn leave(&mut self, before: &State) {
        let mut now = std::mem::take(&mut self.now);
        now.iter_mut().for_each(|(&part, digest)| *digest = self.project(before, part));
        self.now = now;
    }

    /// Checks confinement, integrity and confidentiality of a step from `before`, which is left.
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
        for (a, b) in connections(after, keeper) {
            if self.part.get(&a) != self.part.get(&b) {
                return Err(format!("{a:?} and {b:?} are connected, and were in different parts\n"));
            }
        }
        let Some(actor) = before.current else { return Ok(()) };
        let own = self.part[&actor];
        for (&other, &digest) in self.now.iter().filter(|(part, _)| **part != own) {
            if digest != self.project(after, other) {
                return Err("a part changed that the acting thread has no say in\n".into());
            }
        }
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
        let within = |name: &Name| self.part.get(name) == Some(&part);
        let mut all = Digester::default();
        let hash = &mut all;
        s.caps.iter().filter(|(slot, _)| within(&slot.object)).for_each(|c| c.hash(hash));
        for (name, thread) in s.threads.iter().filter(|(n, _)| within(n)) {
            let doing = if thread.doing == Doing::Restarting { Doing::Running } else { thread.doing };
            (name, Thread { doing, ..thread.clone() }).hash(hash);
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

/// Which objects have to do with one another: by a capability or by being bound, lent or queued. What the keeper
/// holds is nobody's; address spaces are shared and none of these families changes them.
fn connections(s: &State, keeper: Name) -> Vec<(Name, Name)> {
    let mut found = vec![];
    for (slot, held) in s.caps.iter().filter(|(slot, _)| slot.object != keeper) {
        if let Some(object) = object(held.cap).filter(|_| !matches!(held.cap, Cap::Table { .. })) {
            found.push((slot.object, object));
        }
    }
    for (&name, thread) in &s.threads {
        found.extend(
            [thread.sc, thread.bound, thread.yielded_to].into_iter().flatten().map(|other| (name, other)),
        );
    }
    for (&ep, queue) in &s.endpoints {
        found.extend(queue.iter().map(|&thread| (ep, thread)));
    }
    for (&reply, thread) in &s.replies {
        found.extend(thread.map(|thread| (reply, thread)));
    }
    for (&sc, context) in &s.contexts {
        found.extend(context.calls.iter().map(|&reply| (sc, reply)));
        found.extend(context.notification.map(|ntfn| (sc, ntfn)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::find;

    #[test]
    fn a_thread_that_is_forgotten_is_noticed() {
        let mut s = (find("messages").unwrap().system)().state();
        assert_eq!(liveness(&s), Ok(()));
        s.ready.clear();
        assert!(liveness(&s).is_err());
    }

    #[test]
    fn a_step_into_another_part_is_noticed() {
        let mut system = (find("partition").unwrap().system)();
        let (before, keeper) = (system.state(), system.keeper());
        let mut parts = Parts::of(&before, keeper).expect("it has two parts");
        let event = Event::Tick { ticks: 0 };
        assert_eq!(parts.check(&before, &event, &before, keeper), Ok(()));
        let (current, mut after) = (before.current.unwrap(), before.clone());
        let own = parts.part[&current];
        let other = *after.threads.keys().find(|t| parts.part[t] != own).unwrap();
        after.threads.get_mut(&other).unwrap().mcp = 1;
        assert!(parts.check(&before, &event, &after, keeper).unwrap_err().contains("has no say"));
    }
}
