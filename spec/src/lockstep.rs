//! The kernel and the model side by side: one event, and everything compared.

use std::{
    fmt::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use pecan_abi::{Label, Syscall};

use crate::{
    map::Map,
    model::{self, Arrival, Call, Event, Name, SchedContext, State},
    system::{Here, System, Way, forget},
};

/// What a check found to be wrong, in words.
pub type Broken = String;

/// What a step has led to.
pub struct Next {
    /// The state, without what no later step depends on.
    pub state: State,
    /// With that.
    all: State,
}

impl Next {
    /// The state with what will be forgotten.
    pub fn whole(&self) -> &State {
        &self.all
    }

    /// Makes the kernel forget what no later step depends on, too.
    pub fn settle(self, system: &mut System) -> State {
        system.forget(&self.all);
        self.state
    }
}

/// Runs one event from `here` on the kernel and on the model. Gives the next state, or what differs.
pub fn step(system: &mut System, here: &Here, event: &Event) -> Result<Next, Broken> {
    catch_unwind(AssertUnwindSafe(|| step_both(system, here, event))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string()));
        Err(format!("the kernel or the model panicked: {}\n", text.unwrap_or_default()))
    })
}

fn step_both(system: &mut System, here: &Here, event: &Event) -> Result<Next, Broken> {
    let before = here.state();
    let (mut expected, outcome) = model::step(before, event);
    normalise(&mut expected);
    system.back(here);
    let long = event.call().is_some_and(|call| call.after == 0 && is_long(call));
    if has_fast_path(event) {
        for (way, who) in [(Way::Entry, "the entry sequence"), (Way::OtherForm, "the longer fast path")] {
            let fast = system.enter(event, way);
            // The longer fast path alone has done nothing where it declines, or the slow path after it will show it.
            if fast || way == Way::Entry {
                // What a fast path puts off that has not looked at the clock is the next entry's.
                if !system.is_on_time() {
                    system.back(here);
                    continue;
                }
                FAST[fast_path(event, way)].fetch_add(fast.into(), Relaxed);
                let found = system.state_since(here);
                match event.call() {
                    // Who loses its time in the middle does not go on, on whatever way it came.
                    Some(call) if long && expected != found => {
                        let done = expected.clone();
                        let stopped = after_stop(system, before, call, None, &found, done)?;
                        system.check_processor(&stopped, &outcome)
                    }
                    _ => {
                        compare(&expected, &found, who, system)?;
                        system.check_processor(&expected, &outcome)
                    }
                }
                .map_err(|why| format!("{who}: {why}"))?;
                system.back(here);
            }
        }
    }
    let stopped = match event {
        &Event::Stopped { ref call, point, by } => system.enter_and_stop(call, point, by).then_some(by),
        _ => {
            if long {
                stop_everywhere(system, here, event, &expected)?;
                system.back(here);
            }
            system.enter(event, Way::Slow);
            None
        }
    };
    STOPPED.fetch_add(stopped.is_some().into(), Relaxed);
    let found = system.state_since(here);
    match event.call() {
        // Not even the kernel can go on if the caller has lost its time.
        Some(call) if stopped.is_some() || long && expected != found => {
            expected = after_stop(system, before, call, stopped, &found, expected)?;
        }
        _ => compare(&expected, &found, "the kernel", system)?,
    }
    system.check_processor(&expected, &outcome)?;
    check_flushes(before, &expected)?;
    // They are equal; what the abstraction found shares more with the state before.
    let all = found;
    let mut state = all.clone();
    if !system.remembers() {
        forget(&mut state);
    }
    Ok(Next { state, all })
}

/// What the model says that a stopped system call came to, as far as the kernel chose it: the state that was `found`, or
/// the story of the nearest to it. `done`: what it would have come to.
fn after_stop(
    system: &System,
    before: &State,
    call: &Call,
    by: Option<Arrival>,
    found: &State,
    done: State,
) -> Result<State, Broken> {
    let mut nearest = done;
    for mut state in model::stopped(before, call, by, found) {
        normalise(&mut state);
        if state == *found {
            return Ok(state);
        }
        // What comes last has the same capabilities left, if any has.
        if state.caps == found.caps || nearest.caps != found.caps {
            nearest = state;
        }
    }
    let who = "no place to stop leads to what the kernel did: it";
    compare(&nearest, found, who, system).map(|()| nearest)
}

/// Invocations that may take long, whatever the system: an interrupt can stop them.
pub(crate) fn is_long(call: &Call) -> bool {
    let label = Label::from_word(call.label);
    use Label::{CNodeCancelBadgedSends, CNodeDelete, CNodeRevoke, UntypedRetype};
    matches!(label, Some(CNodeDelete | CNodeRevoke | CNodeCancelBadgedSends | UntypedRetype))
}

/// An interrupt that nobody has a handler for.
const NOBODYS: usize = pecan_arch::IRQ_USER_MAX;
/// No operation of the families has so many preemption points.
const STOPS: usize = 10_000;

static STOPPED: AtomicU64 = AtomicU64::new(0);

/// How often an operation was stopped at a preemption point so far.
pub fn stopped() -> u64 {
    STOPPED.load(Relaxed)
}

/// Whether the caller can still make the call: what is half done may have taken the way to it.
fn reaches(state: &State, event: &Event) -> bool {
    let (Event::Syscall(call), Some(caller)) = (event, state.current) else { return false };
    let mut addresses = [call.cap].into_iter().chain(call.extra.iter().copied());
    addresses.all(|address| model::find(state, caller, address).is_some())
}

/// Runs an event with an interrupt at every preemption point that it comes to; the caller makes the call again each
/// time. The kernel's invariants hold at every one of them, and in the end it has come to what the model does in
/// one step, but for the order in which threads of a priority are ready; or if not, then to what the model does in as many
/// steps. Where another thread gets to run in between, or the caller has lost the way to the call, it stops there.
fn stop_everywhere(system: &mut System, here: &Here, event: &Event, expected: &State) -> Result<(), Broken> {
    let caller = system.k.core().current.get();
    for stops in 0.. {
        pecan_arch::host::raise_irq(NOBODYS);
        system.enter(event, Way::Slow);
        if pecan_arch::take_pending_irq().is_some() {
            // Nothing has looked for it: done.
            break;
        }
        STOPPED.fetch_add(1, Relaxed);
        if stops > STOPS {
            return Err("stopped at every preemption point, it comes to no end\n".into());
        }
        system.check().map_err(|why| named(&format!("at a preemption point: {why}"), system))?;
        if system.k.core().current.get() != caller || !reaches(&system.state_since(here), event) {
            return Ok(());
        }
    }
    let (mut model, mut kernel) = (expected.clone(), system.state_since(here));
    for state in [&mut model, &mut kernel] {
        state.ready.values_mut().for_each(|queue| queue.sort());
    }
    let who = "the kernel, stopped at every preemption point,";
    compare(&model, &kernel, who, system).or_else(|why| {
        // A CNode made from other memory, in one that is revoked with its own, may be left half deleted.
        let Event::Syscall(call) = event else { return Err(why) };
        system.back(here);
        let mut state = here.state().clone();
        loop {
            pecan_arch::host::raise_irq(NOBODYS);
            system.enter(event, Way::Slow);
            let found = system.state_since(here);
            if pecan_arch::take_pending_irq().is_some() {
                let (mut expected, _) = model::step(&state, event);
                normalise(&mut expected);
                return compare(&expected, &found, who, system);
            }
            let by = Arrival::Interrupt(NOBODYS as u64);
            state = after_stop(system, &state, call, Some(by), &found, state.clone())?;
        }
    })
}

/// What the processor may have cached of a translation that is no more is flushed within the step.
fn check_flushes(before: &State, after: &State) -> Result<(), Broken> {
    if before.tables.is_shared_with(&after.tables) && before.spaces.is_shared_with(&after.spaces) {
        return Ok(());
    }
    let old = model::translations(before);
    if old.is_empty() {
        return Ok(());
    }
    let new = model::translations(after);
    let log = pecan_arch::host::machine().flush_log.borrow();
    let flushed =
        |asid: u64, page: u64| log.iter().any(|&(a, p)| a as u64 == asid && p.is_none_or(|p| p == page));
    match old.iter().find(|(at, to)| new.get(at) != Some(to) && !flushed(at.0, at.1)) {
        Some(((asid, page), _)) => Err(format!(
            "the translation of page {page:#x} of address space {asid} changed and was not flushed\n"
        )),
        None => Ok(()),
    }
}

/// The fast paths.
pub const FAST_PATHS: [&str; 8] = [
    "calls",
    "longer calls",
    "answers",
    "longer answers",
    "messages",
    "messages half-way",
    "signals taken",
    "faults",
];
static FAST: [AtomicU64; FAST_PATHS.len()] = [const { AtomicU64::new(0) }; FAST_PATHS.len()];

/// How often each of the fast paths was taken, and compared, so far.
pub fn fast() -> [u64; FAST_PATHS.len()] {
    FAST.each_ref().map(|count| count.load(Relaxed))
}

fn fast_path(event: &Event, way: Way) -> usize {
    let any = (way == Way::OtherForm) as usize;
    match event.call().map(|call| call.call) {
        Some(Syscall::Call) => any,
        Some(Syscall::ReplyRecv) => 2 + any,
        Some(Syscall::Send | Syscall::NBSend) => 4 + any,
        Some(_) => 6,
        None => 7,
    }
}

/// Those that never look at the clock are compared where it has not moved.
fn has_fast_path(event: &Event) -> bool {
    use Syscall::{NBSend, NBWait, ReplyRecv, Send, Wait};
    match event {
        Event::Syscall(Call { call: Send | NBSend, .. }) => true,
        Event::Syscall(Call { call, after, .. }) => {
            *after == 0 && matches!(call, Syscall::Call | ReplyRecv | Wait | NBWait)
        }
        Event::Exception { .. } | Event::PageFault { .. } => true,
        _ => false,
    }
}

/// Leaves out what makes no difference: how long a scheduling context that is not in use could have been used. A
/// sporadic one is in use while its thread is ready.
pub fn normalise(s: &mut State) {
    let used = s.current.and_then(|current| s.threads.get(&current)?.sc);
    let (threads, ready) = (&s.threads, &s.ready);
    let rested = |name: Name, context: &SchedContext, i: usize, time: i64| {
        let is_ready = || ready.values().flatten().any(|t| threads[t].sc == Some(name));
        match context.period {
            0 if i == 0 => time.max(0),
            0 => 0,
            _ if used == Some(name) || context.sporadic && is_ready() => time,
            _ => time.max(0),
        }
    };
    for at in 0..s.contexts.len() {
        let (name, context) = s.contexts.entry_at(at);
        let (name, refills) = (*name, &context.refills);
        if (0..).zip(refills).any(|(i, refill)| rested(name, context, i, refill.time) != refill.time) {
            let mut context = context.clone();
            for i in 0..context.refills.len() {
                context.refills[i].time = rested(name, &context, i, context.refills[i].time);
            }
            *s.contexts.at_mut(at) = context;
        }
    }
}

fn compare(model: &State, kernel: &State, who: &str, system: &System) -> Result<(), Broken> {
    if model == kernel {
        return Ok(());
    }
    let mut text = format!("{who} and the model differ:\n");
    for (what, model, kernel) in [
        ("runs", dump(&model.current), dump(&kernel.current)),
        ("ready", dump(&model.ready), dump(&kernel.ready)),
        ("waiting for budget", dump(&model.waiting_for_budget), dump(&kernel.waiting_for_budget)),
    ] {
        if model != kernel {
            let _ = writeln!(text, "  {what}: model {model}, kernel {kernel}");
        }
    }
    difference(&mut text, "capability", &model.caps, &kernel.caps);
    difference(&mut text, "thread", &model.threads, &kernel.threads);
    difference(&mut text, "endpoint", &model.endpoints, &kernel.endpoints);
    difference(&mut text, "notification", &model.notifications, &kernel.notifications);
    difference(&mut text, "reply object", &model.replies, &kernel.replies);
    difference(&mut text, "scheduling context", &model.contexts, &kernel.contexts);
    difference(&mut text, "table", &model.tables, &kernel.tables);
    difference(&mut text, "address space", &model.spaces, &kernel.spaces);
    difference(&mut text, "pool", &model.pools, &kernel.pools);
    difference(&mut text, "interrupt", &model.interrupts, &kernel.interrupts);
    if model.schedule != kernel.schedule {
        let _ = writeln!(text, "  domains: model {:?}, kernel {:?}", model.schedule, kernel.schedule);
    }
    difference(&mut text, "memory", &model.memory, &kernel.memory);
    Err(named(&text, system))
}

fn dump(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}")
}

fn difference<K: Ord + Clone + std::fmt::Debug, V: PartialEq + Clone + std::fmt::Debug>(
    text: &mut String,
    what: &str,
    model: &Map<K, V>,
    kernel: &Map<K, V>,
) {
    let keys: std::collections::BTreeSet<&K> = model.keys().chain(kernel.keys()).collect();
    for key in keys {
        let (m, k) = (model.get(key), kernel.get(key));
        if m != k {
            let show = |v: Option<&V>| v.map_or("nothing".into(), |v| format!("{v:?}"));
            let _ = writeln!(text, "  {what} {key:?}:\n    model  {}\n    kernel {}", show(m), show(k));
        }
    }
}

/// The text with names in place of addresses.
pub fn named(text: &str, system: &System) -> String {
    let mut text = text.to_string();
    let mut names: Vec<_> = system.names().iter().collect();
    names.sort_by_key(|(name, _)| std::cmp::Reverse(name.0));
    for (name, what) in names {
        text = text.replace(&format!("{name:?}"), what);
    }
    text
}
