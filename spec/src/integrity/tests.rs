//! What a step has no capability for, or a capability without the right, is refused.

use pecan_abi::{CapRights, ObjectType};
use pecan_mem::retype::ObjectKind;

use super::*;
use crate::{model::Call, system::System};

/// Slots of the CSpace.
const EP: u64 = 1;
const NTFN: u64 = 2;
const REPLY: u64 = 3;
const CNODE: u64 = 4;
const UNTYPED: u64 = 5;
const A: u64 = 6;
const B: u64 = 7;
const SC: u64 = 8;
const FRAME: u64 = 9;
const VSPACE: u64 = 10;
const CONTROL: u64 = 11;
const FREE: u64 = 12;

/// Thread A runs, and B is like it.
fn system() -> System {
    let mut s = System::new(4);
    for (slot, what) in [(A, "A"), (B, "B")] {
        let thread = s.thread(Some(slot), 100, what);
        s.start(thread, (slot == A).then_some(SC), &format!("sc{what}"));
    }
    s.make(EP, ObjectKind::Endpoint, "ep");
    s.make(NTFN, ObjectKind::Notification, "ntfn");
    s.make(REPLY, ObjectKind::Reply, "reply");
    s.own_cspace(CNODE);
    s.own_vspace(VSPACE);
    s.make(UNTYPED, ObjectKind::Untyped { bits: 8 }, "untyped");
    s.make(FRAME, ObjectKind::Frame { level: 0 }, "frame");
    s.control(CONTROL, pecan_mem::Cap::IrqControl);
    s.boot()
}

fn invoke(cap: u64, label: Label, words: &[u64], extra: &[u64]) -> Event {
    let (words, extra) = (words.to_vec(), extra.to_vec());
    Event::Syscall(Call { label: label as u64, words, extra, ..Call::new(Syscall::Call, cap) })
}

/// A state and names in it.
struct World {
    s: State,
    cspace: Name,
    names: Vec<(Name, String)>,
}

impl World {
    /// The state after these events.
    fn after(events: &[Event]) -> World {
        let mut system = system();
        let s = events.iter().fold(system.state(), |s, event| {
            let after = model::step(&s, event).0;
            assert_eq!(check(&s, event, &after), Ok(()));
            after
        });
        let names: Vec<_> = system.names().iter().map(|(name, what)| (*name, what.clone())).collect();
        let mut world = World { s, cspace: Name(0), names };
        world.cspace = world.name("cspace");
        world
    }

    fn name(&self, what: &str) -> Name {
        self.names.iter().find(|(_, name)| name == what).expect("there is such an object").0
    }

    fn slot(&self, index: u64) -> Slot {
        Slot { object: self.cspace, index }
    }

    fn other(&self) -> Name {
        let (a, b) = (self.name("A"), self.name("B"));
        if self.s.current == Some(a) { b } else { a }
    }

    /// What the event leads to is right, and is not after something else has changed, too.
    #[track_caller]
    fn refuses(&self, event: &Event, what: &str, change: impl FnOnce(&World, &mut State)) {
        let mut after = model::step(&self.s, event).0;
        assert_eq!(check(&self.s, event, &after), Ok(()));
        change(self, &mut after);
        let refused = check(&self.s, event, &after).expect_err("something changed that should not");
        assert!(refused.contains(what), "{refused}");
    }

    /// What the event leads to is not right any more where a capability has not the right.
    #[track_caller]
    fn needs(&self, event: &Event, index: u64, weaken: impl Fn(Cap) -> Cap) {
        let mut after = model::step(&self.s, event).0;
        assert_eq!(check(&self.s, event, &after), Ok(()));
        let mut before = self.s.clone();
        for s in [&mut before, &mut after] {
            let held = s.caps.get_mut(&self.slot(index)).expect("there is a capability");
            held.cap = weaken(held.cap);
        }
        check(&before, event, &after).expect_err("the right is missing");
    }
}

/// The capability without some rights.
fn without(rights: fn(&mut Rights)) -> impl Fn(Cap) -> Cap {
    move |mut cap| {
        match &mut cap {
            Cap::Endpoint { rights: r, .. } | Cap::Notification { rights: r, .. } => rights(r),
            Cap::Reply { grant, .. } => *grant = false,
            Cap::Frame { write, .. } => *write = false,
            _ => unreachable!("it has rights"),
        }
        cap
    }
}

fn signal() -> Event {
    Event::Syscall(Call::new(Syscall::Send, NTFN))
}

fn yields() -> Event {
    Event::Syscall(Call::new(Syscall::Yield, 0))
}

#[test]
fn threads_that_no_capability_in_use_reaches_stay_as_they_are() {
    let w = World::after(&[]);
    let changes: [fn(&mut Thread); 8] = [
        |t| t.priority = 1,
        |t| t.mcp = 1,
        |t| t.domain = 1,
        |t| t.flags ^= 1,
        |t| t.buffer += 1024,
        |t| t.registers[register::IP] += 2,
        |t| t.doing = Doing::Nothing,
        |t| t.sc = None,
    ];
    for change in changes {
        w.refuses(&signal(), "thread", |w, s| change(s.threads.get_mut(&w.other()).unwrap()));
    }
    // What a thread does to itself it does with a capability, too, unless it waits or stops.
    w.refuses(&signal(), "thread", |w, s| s.threads.get_mut(&w.s.current.unwrap()).unwrap().priority = 1);
    w.refuses(&signal(), "thread", |w, s| s.threads.get_mut(&w.s.current.unwrap()).unwrap().mcp = 255);
}

#[test]
fn the_receiver_of_a_message_gets_no_more_than_a_message() {
    let w = World::after(&[Event::Syscall(Call { reply: REPLY, ..Call::new(Syscall::Recv, EP) })]);
    let send = Event::Syscall(Call { words: vec![1, 2], ..Call::new(Syscall::Call, EP) });
    w.refuses(&send, "thread", |w, s| s.threads.get_mut(&w.other()).unwrap().registers[register::SP] = 1);
    w.refuses(&send, "thread", |w, s| s.threads.get_mut(&w.other()).unwrap().priority = 101);
    w.needs(&send, EP, without(|r| r.write = false));
}

#[test]
fn objects_that_no_capability_in_use_names_stay_as_they_are() {
    let w = World::after(&[]);
    w.refuses(&signal(), "queued", |w, s| s.endpoints.get_mut(&w.name("ep")).unwrap().push(w.other()));
    w.refuses(&signal(), "held", |w, s| *s.replies.get_mut(&w.name("reply")).unwrap() = Some(w.other()));
    w.refuses(&yields(), "was", |w, s| s.notifications.get_mut(&w.name("ntfn")).unwrap().signals = Some(1));
    w.refuses(&signal(), "was", |w, s| {
        s.notifications.get_mut(&w.name("ntfn")).unwrap().bound = Some(w.other())
    });
    w.refuses(&signal(), "was", |w, s| s.contexts.get_mut(&w.name("scB")).unwrap().badge = 1);
    w.refuses(&signal(), "was", |w, s| s.contexts.get_mut(&w.name("scB")).unwrap().max_refills = 1);
    w.refuses(&signal(), "was", |w, s| {
        s.contexts.get_mut(&w.name("scB")).unwrap().yielded_from = Some(w.other())
    });
    w.refuses(&signal(), "word", |w, s| {
        s.memory.insert(buffer(s, w.other()).unwrap().start, 1);
    });
    w.refuses(&signal(), "entry", |w, s| {
        let root = *s.spaces.values().next().unwrap();
        let entry = Entry::Frame { frame: w.name("frame"), read: true, write: true, cache: 0 };
        s.tables.get_mut(&root).unwrap().insert(0, entry);
    });
    w.refuses(&signal(), "identifier", |w, s| {
        s.spaces.insert(9, w.cspace);
    });
    w.refuses(&signal(), "pool", |w, s| {
        s.pools.insert(512, w.cspace);
    });
    w.refuses(&signal(), "interrupt", |_, s| {
        s.interrupts.insert(40, model::Interrupt { masked: false, pin: None });
    });
    w.refuses(&signal(), "schedule", |_, s| {
        s.schedule.entries.insert(3, (1, 1));
    });
}

#[test]
fn capabilities_neither_come_nor_go_nor_change() {
    let w = World::after(&[]);
    w.refuses(&signal(), "and holds", |w, s| {
        s.caps.remove(&w.slot(REPLY));
    });
    w.refuses(&signal(), "and holds", |w, s| {
        s.caps.insert(w.slot(FREE), s.caps[&w.slot(EP)]);
    });
    w.refuses(&signal(), "and holds", |w, s| match &mut s.caps.get_mut(&w.slot(EP)).unwrap().cap {
        Cap::Endpoint { badge, .. } => *badge = 7,
        _ => unreachable!("it is an endpoint"),
    });
    w.refuses(&signal(), "and holds", |w, s| s.caps.get_mut(&w.slot(EP)).unwrap().parent = None);
    // Not even where the CNode is used: nothing comes out of nothing.
    let delete = invoke(CNODE, Label::CNodeDelete, &[REPLY, 64], &[]);
    w.refuses(&delete, "and holds", |w, s| {
        let held = Held { cap: Cap::IrqHandler { irq: 40 }, original: true, parent: None };
        s.caps.insert(w.slot(FREE), held);
    });
    // What is in a thread's slots is the thread's.
    w.refuses(&delete, "and holds", |w, s| {
        s.caps.remove(&Slot { object: w.other(), index: thread_slot::CSPACE });
    });
}

#[test]
fn copies_have_no_more_rights_and_no_other_badge() {
    let w = World::after(&[]);
    let all = CapRights::ALL.0;
    let copy = invoke(CNODE, Label::CNodeCopy, &[FREE, 64, EP, 64, all], &[CNODE]);
    w.needs(&copy, EP, without(|r| r.grant = false));
    let frame = invoke(CNODE, Label::CNodeCopy, &[FREE, 64, FRAME, 64, all], &[CNODE]);
    w.needs(&frame, FRAME, without(|_| ()));
    let mint = invoke(CNODE, Label::CNodeMint, &[FREE, 64, EP, 64, all, 5], &[CNODE]);
    w.needs(&mint, EP, |cap| match cap {
        Cap::Endpoint { ep, rights, .. } => Cap::Endpoint { ep, badge: 6, rights },
        _ => unreachable!("it is an endpoint"),
    });
}

#[test]
fn signals_and_waiting_need_their_rights() {
    let w = World::after(&[]);
    w.needs(&signal(), NTFN, without(|r| r.write = false));
    let wait = Event::Syscall(Call::new(Syscall::Wait, NTFN));
    w.needs(&wait, NTFN, without(|r| r.read = false));
    let w = World::after(&[Event::Syscall(Call::new(Syscall::Send, EP))]);
    let receive = Event::Syscall(Call { reply: REPLY, ..Call::new(Syscall::Recv, EP) });
    w.needs(&receive, EP, without(|r| r.read = false));
    let bind = invoke(A, Label::TcbBindNotification, &[], &[NTFN]);
    w.needs(&bind, NTFN, without(|r| r.read = false));
}

#[test]
fn capabilities_come_with_messages_that_grant_them_only() {
    let place = Some([CNODE, FREE, 64]);
    let w = World::after(&[Event::Syscall(Call {
        reply: REPLY,
        receive: place,
        ..Call::new(Syscall::Recv, EP)
    })]);
    let send = Event::Syscall(Call { extra: vec![NTFN], ..Call::new(Syscall::Call, EP) });
    w.needs(&send, EP, without(|r| r.grant = false));
    let w = World::after(&[
        Event::Syscall(Call { reply: REPLY, ..Call::new(Syscall::Recv, EP) }),
        Event::Syscall(Call { receive: place, ..Call::new(Syscall::Call, EP) }),
    ]);
    let answer = Event::Syscall(Call { extra: vec![NTFN], ..Call::new(Syscall::Send, REPLY) });
    w.needs(&answer, REPLY, without(|_| ()));
}

#[test]
fn new_objects_are_made_of_memory_that_was_free() {
    let w = World::after(&[]);
    let kind = ObjectType::Endpoint as u64;
    let retype = invoke(UNTYPED, Label::UntypedRetype, &[kind, 0, 0, 0, FREE, 1], &[CNODE]);
    let elsewhere = |at: Name| {
        move |w: &World, s: &mut State| {
            let held = s.caps.get_mut(&w.slot(FREE)).unwrap();
            let Cap::Endpoint { ep, .. } = &mut held.cap else { unreachable!("it is an endpoint") };
            s.endpoints.remove(ep);
            *ep = at;
            s.endpoints.insert(at, vec![]);
        }
    };
    w.refuses(&retype, "and holds", elsewhere(Name(w.name("untyped").0 + 256)));
    w.refuses(&retype, "and holds", elsewhere(w.name("reply")));
}

#[test]
fn mappings_have_no_more_rights_than_the_frame() {
    let tables = |s: &State| *s.spaces.values().next().unwrap();
    let w = World::after(&[]);
    // As if there were a page table: what is made is looked at, not how it is reached.
    let map = invoke(FRAME, Label::PageMap, &[0, CapRights::ALL.0, 0], &[VSPACE]);
    let mut after = model::step(&w.s, &map).0;
    let frame = w.name("frame");
    let entry = Entry::Frame { frame, read: true, write: true, cache: 0 };
    after.tables.get_mut(&tables(&w.s)).unwrap().insert(0, entry);
    assert_eq!(check(&w.s, &map, &after), Ok(()));
    let mut before = w.s.clone();
    for s in [&mut before, &mut after] {
        let held = s.caps.get_mut(&w.slot(FRAME)).unwrap();
        held.cap = without(|_| ())(held.cap);
    }
    check(&before, &map, &after).expect_err("the right to write is missing");
}

#[test]
fn interrupts_are_issued_and_acknowledged_with_their_capabilities_only() {
    let irq = model::FIRST_INTERRUPT;
    let issue = invoke(CONTROL, Label::X86IrqIssueIrqHandlerMsi, &[FREE, 64, 1, 2, 3, 4, 0], &[CNODE]);
    let w = World::after(&[]);
    w.refuses(&issue, "and holds", |w, s| {
        s.caps.get_mut(&w.slot(FREE)).unwrap().cap = Cap::IoPort { first: 1, last: 2 };
    });
    let w = World::after(&[issue, Event::Interrupt { irq }]);
    w.refuses(&signal(), "interrupt", |_, s| s.interrupts.get_mut(&irq).unwrap().masked = false);
    let clear = invoke(FREE, Label::IrqClearIrqHandler, &[], &[]);
    w.refuses(&clear, "interrupt", |_, s| {
        s.interrupts.get_mut(&irq).unwrap().pin =
            Some(model::Pin { chip: 0, pin: 1, level: false, low: false })
    });
}
