//! What the families exercise: operations, and pairs of operations that share an object.
//!
//! An operation counts where it succeeds. A pair counts where one succeeds right after the other, on the same
//! object: in a state that the one leads to, in some family. Both are found with the model alone, in the first
//! states of each family; all of these are among those in which the kernel is compared.

use std::collections::{BTreeMap, BTreeSet};

use pecan_abi::{INVOCATIONS, Label, Object, Syscall};

use crate::{
    explore::Family,
    model::{self, Cap, Event, Name, State},
    system::forget,
};

/// Something that a thread or a device does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Operation {
    /// An invocation of a kernel object.
    Invocation(Label),
    /// A system call that is not one.
    Call(Syscall),
    /// A fault that is told to an endpoint, by its name in the manual.
    Fault(&'static str),
    /// An interrupt.
    Interrupt,
    /// Time passes.
    Tick,
}

/// A kind of object that operations can share.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[expect(missing_docs, reason = "the manual's kinds of objects")]
pub enum Kind {
    Untyped,
    Tcb,
    CNode,
    Endpoint,
    Notification,
    Reply,
    SchedContext,
    VSpace,
    Pdpt,
    PageDirectory,
    PageTable,
    Page,
    AsidPool,
    IrqHandler,
    IoPort,
    SchedControl,
    IrqControl,
    DomainSet,
    AsidControl,
    IoPortControl,
}

const CALLS: [Syscall; 12] = [
    Syscall::Call,
    Syscall::ReplyRecv,
    Syscall::NBSendRecv,
    Syscall::NBSendWait,
    Syscall::Send,
    Syscall::NBSend,
    Syscall::Recv,
    Syscall::NBRecv,
    Syscall::Wait,
    Syscall::NBWait,
    Syscall::Yield,
    Syscall::SetTLSBase,
];
const FAULTS: [&str; 5] =
    ["capability fault", "unknown syscall", "user exception", "VM fault", "timeout fault"];

impl Operation {
    /// Every operation.
    pub fn all() -> Vec<Operation> {
        // On a machine with an IOAPIC interrupts are not numbered; hardware breakpoints are another profile's.
        use Label::{
            IrqIssueIrqHandler, TcbConfigureSingleStepping, TcbGetBreakpoint, TcbSetBreakpoint,
            TcbUnsetBreakpoint,
        };
        let left_out = [
            IrqIssueIrqHandler,
            TcbSetBreakpoint,
            TcbGetBreakpoint,
            TcbUnsetBreakpoint,
            TcbConfigureSingleStepping,
        ];
        let possible = INVOCATIONS.iter().filter(|i| !left_out.contains(&i.label));
        let invocations = possible.map(|i| Operation::Invocation(i.label));
        let rest = CALLS.map(Operation::Call).into_iter().chain(FAULTS.map(Operation::Fault));
        invocations.chain(rest).chain([Operation::Interrupt, Operation::Tick]).collect()
    }

    /// The kinds of objects that it has to do with. What ends objects has to do with all.
    pub fn kinds(self) -> Vec<Kind> {
        use {Kind::*, Syscall::*};
        match self {
            Operation::Invocation(Label::CNodeDelete | Label::CNodeRevoke) => vec![
                Untyped,
                Tcb,
                CNode,
                Endpoint,
                Notification,
                Reply,
                SchedContext,
                VSpace,
                Pdpt,
                PageDirectory,
                PageTable,
                Page,
            ]
            .into_iter()
            .chain([AsidPool, IrqHandler, IoPort])
            .collect(),
            Operation::Invocation(Label::CNodeCancelBadgedSends) => vec![CNode, Endpoint],
            Operation::Invocation(label) => INVOCATIONS
                .iter()
                .filter(|i| i.label == label)
                .flat_map(|i| {
                    let arguments =
                        i.params.iter().filter(|p| p.ty.is_cap()).filter_map(|p| argument(label, p.name));
                    std::iter::once(kind_of(i.object)).chain(arguments.flatten().copied())
                })
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
            Operation::Call(Yield) | Operation::Tick => vec![SchedContext],
            Operation::Call(SetTLSBase) => vec![],
            Operation::Call(Call | Send | NBSend | Recv | NBRecv | ReplyRecv | NBSendRecv) => {
                vec![Endpoint, Notification, Reply]
            }
            Operation::Call(_) => vec![Endpoint, Notification],
            Operation::Fault(_) => vec![Endpoint],
            Operation::Interrupt => vec![IrqHandler, Notification],
        }
    }
}

fn kind_of(object: Object) -> Kind {
    match object {
        Object::Untyped => Kind::Untyped,
        Object::Tcb => Kind::Tcb,
        Object::CNode => Kind::CNode,
        Object::IrqHandler => Kind::IrqHandler,
        Object::SchedContext => Kind::SchedContext,
        Object::VSpace => Kind::VSpace,
        Object::Smc => unreachable!("x86_64 has no such object"),
        Object::Pdpt => Kind::Pdpt,
        Object::PageDirectory => Kind::PageDirectory,
        Object::PageTable => Kind::PageTable,
        Object::Page => Kind::Page,
        Object::AsidPool => Kind::AsidPool,
        Object::IoPort => Kind::IoPort,
        Object::IrqControl => Kind::IrqControl,
        Object::DomainSet => Kind::DomainSet,
        Object::SchedControl => Kind::SchedControl,
        Object::AsidControl => Kind::AsidControl,
        Object::IoPortControl => Kind::IoPortControl,
    }
}

/// The kinds of objects that a parameter of this name can be.
fn argument(label: Label, name: &str) -> Option<&'static [Kind]> {
    Some(match name {
        "root" | "src_root" | "pivot_root" | "cspace_root" => &[Kind::CNode],
        "source" | "thread" => &[Kind::Tcb],
        "authority" => return None,
        "vspace" | "vspace_root" => &[Kind::VSpace],
        "buffer_frame" => &[Kind::Page],
        "sched_context" => &[Kind::SchedContext],
        "fault_ep" | "timeout_fault_ep" => &[Kind::Endpoint],
        "notification" => &[Kind::Notification],
        "untyped" => &[Kind::Untyped],
        "cap" if matches!(label, Label::SchedContextBind | Label::SchedContextUnbindObject) => {
            &[Kind::Tcb, Kind::Notification]
        }
        _ => return None,
    })
}

/// The object behind a capability.
fn object(cap: Cap) -> (Kind, Name) {
    match cap {
        Cap::Untyped { base, .. } => (Kind::Untyped, base),
        Cap::Endpoint { ep, .. } => (Kind::Endpoint, ep),
        Cap::Notification { ntfn, .. } => (Kind::Notification, ntfn),
        Cap::Reply { reply, .. } => (Kind::Reply, reply),
        Cap::CNode { cnode, .. } => (Kind::CNode, cnode),
        Cap::Thread { thread } => (Kind::Tcb, thread),
        Cap::SchedContext { sc, .. } => (Kind::SchedContext, sc),
        Cap::Frame { frame, .. } => (Kind::Page, frame),
        Cap::Table { table, level: 3, .. } => (Kind::VSpace, table),
        Cap::Table { table, level: 2, .. } => (Kind::Pdpt, table),
        Cap::Table { table, level: 1, .. } => (Kind::PageDirectory, table),
        Cap::Table { table, .. } => (Kind::PageTable, table),
        Cap::AsidPool { pool, .. } => (Kind::AsidPool, pool),
        Cap::IrqHandler { irq } => (Kind::IrqHandler, Name(irq)),
        Cap::IoPort { first, .. } => (Kind::IoPort, Name(first as u64)),
        Cap::Zombie { object } => (Kind::CNode, object),
        Cap::Ending { object } => (Kind::Endpoint, object),
        Cap::EndingHandler { irq } => (Kind::IrqHandler, Name(irq)),
        Cap::SchedControl => (Kind::SchedControl, Name(0)),
        Cap::IrqControl => (Kind::IrqControl, Name(0)),
        Cap::DomainSet => (Kind::DomainSet, Name(0)),
        Cap::AsidControl => (Kind::AsidControl, Name(0)),
        Cap::IoPortControl => (Kind::IoPortControl, Name(0)),
    }
}

/// Pairs that cannot happen right after one another on an object, and why. The lesser operation comes first.
pub const IMPOSSIBLE: [(Operation, Operation, &str); 5] = {
    use Label::{
        AsidPoolAssign, PageMap, PageTableMap, TcbBindNotification, TcbUnbindNotification,
        X86PageDirectoryMap,
    };
    use Operation::Invocation as Of;
    const EMPTY: &str =
        "a root gets an identifier once, while it is empty; only a PDPT can be mapped into an empty root";
    [
        (Of(TcbBindNotification), Of(TcbBindNotification), "both are bound now, and must be unbound first"),
        (Of(TcbUnbindNotification), Of(TcbUnbindNotification), "there is nothing to unbind any more"),
        (Of(X86PageDirectoryMap), Of(AsidPoolAssign), EMPTY),
        (Of(PageTableMap), Of(AsidPoolAssign), EMPTY),
        (Of(PageMap), Of(AsidPoolAssign), EMPTY),
    ]
};

type Done = (Operation, Kind, Name);

/// What an event did in a state, object by object; nothing if it failed.
fn done(before: &State, event: &Event, after: &State, outcome: &model::Outcome) -> Vec<Done> {
    let mut found = vec![];
    let Some(thread) = before.current else {
        return match *event {
            Event::Interrupt { irq } => interrupt(before, irq),
            _ => vec![],
        };
    };
    let cap_at = |address| model::find(before, thread, address);
    if let Event::Syscall(call) = event {
        let caps: Vec<Cap> = [Some(call.cap)]
            .into_iter()
            .chain(call.extra.iter().map(|&extra| Some(extra)))
            .filter_map(|address| Some(cap_at(address?)?.1))
            .collect();
        let label = Label::from_word(call.label).filter(|_| call.label != 0);
        let on_object = caps
            .first()
            .is_some_and(|&cap| !matches!(object(cap).0, Kind::Endpoint | Kind::Notification | Kind::Reply));
        match (label, &outcome.answer) {
            (Some(label), Some(Ok(_))) if on_object => {
                let op = Operation::Invocation(label);
                found.extend(caps.iter().map(|&cap| object(cap)).map(|(kind, name)| (op, kind, name)));
                if matches!(label, Label::CNodeDelete | Label::CNodeRevoke | Label::CNodeCancelBadgedSends)
                    && let Some(named) = model::find_in(before, caps[0], call.words[0], call.words[1])
                {
                    let (kind, name) = object(named);
                    found.push((op, kind, name));
                }
                return found;
            }
            (_, Some(Err(_))) => return vec![],
            _ => {}
        }
        if !succeeds(after, thread) {
            return fault(before, thread, after).into_iter().collect();
        }
        let op = Operation::Call(call.call);
        match call.call {
            Syscall::Yield => found.extend(before.threads[&thread].sc.map(|sc| (op, Kind::SchedContext, sc))),
            Syscall::SetTLSBase => found.push((op, Kind::Tcb, thread)),
            kind => {
                let second = matches!(
                    kind,
                    Syscall::ReplyRecv | Syscall::Recv | Syscall::NBRecv | Syscall::NBSendWait
                );
                let addresses = [Some(call.cap), second.then_some(call.reply)];
                let dest = (kind == Syscall::NBSendRecv).then_some(call.dest);
                let caps = addresses
                    .into_iter()
                    .chain([dest])
                    .flatten()
                    .filter_map(|address| Some(cap_at(address)?.1));
                found.extend(caps.map(object).map(|(kind, name)| (op, kind, name)));
            }
        }
    }
    if let &Event::Interrupt { irq } = event {
        found.extend(interrupt(before, irq));
    }
    if let Event::Tick { .. } = event {
        found.extend(before.threads[&thread].sc.map(|sc| (Operation::Tick, Kind::SchedContext, sc)));
    }
    found.extend(fault(before, thread, after));
    found
}

/// True if a system call of a thread has not ended in a fault, and is not made again.
fn succeeds(after: &State, thread: Name) -> bool {
    after.threads.get(&thread).is_some_and(|t| {
        t.fault.is_none() && !matches!(t.doing, model::Doing::Nothing | model::Doing::Restarting)
    })
}

fn interrupt(before: &State, irq: u64) -> Vec<Done> {
    let slot = model::Slot { object: model::INTERRUPTS, index: irq };
    let mut found = vec![(Operation::Interrupt, Kind::IrqHandler, Name(irq))];
    if let Some(Cap::Notification { ntfn, .. }) = before.caps.get(&slot).map(|held| held.cap) {
        found.push((Operation::Interrupt, Kind::Notification, ntfn));
    }
    found
}

/// The fault that a step ended in, if it was told to an endpoint.
fn fault(before: &State, thread: Name, after: &State) -> Option<Done> {
    let fault = after.threads.get(&thread)?.fault?;
    let (name, index) = match fault {
        model::Fault::Cap { .. } => (FAULTS[0], model::thread_slot::FAULT),
        model::Fault::UnknownSyscall { .. } => (FAULTS[1], model::thread_slot::FAULT),
        model::Fault::UserException { .. } => (FAULTS[2], model::thread_slot::FAULT),
        model::Fault::Vm { .. } => (FAULTS[3], model::thread_slot::FAULT),
        model::Fault::Timeout { .. } => (FAULTS[4], model::thread_slot::TIMEOUT),
    };
    match before.caps.get(&model::Slot { object: thread, index })?.cap {
        Cap::Endpoint { ep, .. } => Some((Operation::Fault(name), Kind::Endpoint, ep)),
        _ => None,
    }
}

/// What families exercise.
#[derive(Default)]
pub struct Coverage {
    /// The families in which an operation succeeds.
    pub operations: BTreeMap<Operation, Vec<&'static str>>,
    /// Pairs of operations, the lesser first, of which one succeeds right after the other on an object.
    pub pairs: BTreeSet<(Operation, Operation)>,
}

impl Coverage {
    /// Looks at the first `limit` states of each family.
    pub fn of(families: &[Family], limit: usize) -> Coverage {
        let mut coverage = Coverage::default();
        families.iter().for_each(|family| coverage.add(family, limit));
        coverage
    }

    #[expect(clippy::mutable_key_type, reason = "what a state has cached has no part in its order")]
    fn add(&mut self, family: &Family, limit: usize) {
        let mut system = (family.system)();
        let first = system.state();
        let mut states = BTreeMap::from([(first.clone(), 0)]);
        let mut todo = vec![first];
        let (mut came, mut went): (Vec<BTreeSet<Done>>, Vec<BTreeSet<Done>>) =
            (vec![BTreeSet::new()], vec![]);
        let mut at = 0;
        while at < todo.len() {
            let state = todo[at].clone();
            went.push(BTreeSet::new());
            for event in (family.events)(&state) {
                if state.current.is_none() && !matches!(event, Event::Tick { .. } | Event::Interrupt { .. }) {
                    continue;
                }
                if let Event::Stopped { .. } = event {
                    // What it comes to is the kernel's choice.
                    continue;
                }
                let (mut after, outcome) = model::step(&state, &event);
                let did = done(&state, &event, &after, &outcome);
                crate::lockstep::normalise(&mut after);
                if !system.remembers() {
                    forget(&mut after);
                }
                for &(op, ..) in &did {
                    let families = self.operations.entry(op).or_default();
                    if families.last() != Some(&family.name) {
                        families.push(family.name);
                    }
                }
                went[at].extend(did.iter().copied());
                let next = match states.get(&after) {
                    Some(&known) => known,
                    None if todo.len() < limit => {
                        let id = todo.len();
                        states.insert(after.clone(), id);
                        todo.push(after);
                        came.push(BTreeSet::new());
                        id
                    }
                    None => continue,
                };
                came[next].extend(did);
            }
            at += 1;
        }
        for (came, went) in came.iter().zip(&went) {
            for (a, kind, name) in came {
                for (b, ..) in went.iter().filter(|(_, k, n)| (k, n) == (kind, name)) {
                    self.pairs.insert((*a.min(b), *a.max(b)));
                }
            }
        }
    }

    /// Operations that succeed in no family.
    pub fn missing(&self) -> Vec<Operation> {
        Operation::all().into_iter().filter(|op| !self.operations.contains_key(op)).collect()
    }

    /// All pairs of operations that can share an object, and those of them that are not exercised.
    pub fn all_pairs(&self) -> (usize, Vec<(Operation, Operation)>) {
        let all = Operation::all();
        let mut wanted = vec![];
        for &a in &all {
            let kinds = a.kinds();
            let sharing = |b: &&Operation| **b >= a && b.kinds().iter().any(|k| kinds.contains(k));
            wanted.extend(all.iter().filter(sharing).map(|&b| (a, b)));
        }
        let count = wanted.len();
        wanted.retain(|pair| !self.pairs.contains(pair));
        (count, wanted)
    }
}
