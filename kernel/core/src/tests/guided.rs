//! `docs/guided.md` follows a call and a page fault. Here they are made, and what they change is what the page says.
//!
//! The page follows them on x86_64.
#![cfg(pecan_arch = "x86_64")]

use std::{collections::BTreeMap, fs, path::Path};

use pecan_abi::{CapRights, Label, MessageInfo, ObjectType, Syscall};
use pecan_arch::{Exception, PageTableEntry, reg};
use pecan_mem::{
    Cap, EndpointRights, Link, Mapping, SchedContext, Slot, Tcb, ThreadState,
    retype::ObjectKind,
    testing::{forge, set_cap, set_pool, set_root},
    vspace::ROOT_LEVEL,
};

use crate::{
    cap::derivation,
    entry::{
        exception,
        fast::{self, Miss},
        syscall,
    },
    ipc::{endpoint, raise},
    sched::{choose, next, refill},
    testing::{FREE, World},
};

/// Capability addresses, as the page names them.
const EP: u64 = FREE;
const REPLY: u64 = FREE + 1;
const PAGER_EP: u64 = FREE + 2;
const PAGER_REPLY: u64 = FREE + 3;
const PAGE: u64 = FREE + 4;
const VSPACE: u64 = FREE + 5;
const TABLES: u64 = FREE + 6;

/// Fields and their values.
type Fields = BTreeMap<String, String>;

/// A client, a server without time of its own, and a pager with time of its own.
struct Scene {
    w: World,
    client: Link<Tcb>,
    server: Link<Tcb>,
    pager: Link<Tcb>,
    client_sc: Link<SchedContext>,
    pager_sc: Link<SchedContext>,
    /// What is at an address.
    names: Vec<(usize, &'static str)>,
}

impl Scene {
    fn new() -> Scene {
        let mut w = World::new();
        let client = w.thread;
        let put = |w: &World, slot, cap| assert!(derivation::insert_root(&w.k, forge(cap), w.slot(slot)));
        let Cap::Endpoint { ep, .. } = w.k.boot_object(ObjectKind::Endpoint) else { unreachable!() };
        let Cap::Endpoint { ep: pager_ep, .. } = w.k.boot_object(ObjectKind::Endpoint) else {
            unreachable!()
        };
        let rights = EndpointRights { send: true, receive: true, grant: true, grant_reply: true };
        put(&w, EP, Cap::Endpoint { ep, badge: 0xb, rights });
        put(&w, PAGER_EP, Cap::Endpoint { ep: pager_ep, badge: 0, rights });
        let reply_cap = w.k.boot_object(ObjectKind::Reply);
        put(&w, REPLY, reply_cap);
        let pager_reply_cap = w.k.boot_object(ObjectKind::Reply);
        put(&w, PAGER_REPLY, pager_reply_cap);
        let (Cap::Reply { reply, .. }, Cap::Reply { reply: pager_reply, .. }) = (reply_cap, pager_reply_cap)
        else {
            unreachable!()
        };

        // An address space, in which the client's page is not mapped yet.
        let Cap::AsidPool { pool, .. } = w.k.boot_object(ObjectKind::AsidPool { base: 0 }) else {
            unreachable!()
        };
        set_pool(&w.k, 0, Some(pool));
        let root = w.k.boot_object(ObjectKind::table(ROOT_LEVEL));
        let Cap::PageTable { table, level, .. } = root else { unreachable!() };
        set_root(pool.get(&w.k), 1, Some(table));
        put(&w, VSPACE, Cap::PageTable { table, level, mapping: Some(Mapping { asid: 1, vaddr: 0 }) });
        for (i, (ty, label)) in [
            (ObjectType::Pdpt, Label::X86PdptMap),
            (ObjectType::PageDirectory, Label::X86PageDirectoryMap),
            (ObjectType::PageTable, Label::PageTableMap),
        ]
        .into_iter()
        .enumerate()
        {
            w.make(ty, 0, TABLES + i as u64);
            assert_eq!(w.call(TABLES + i as u64, label, &[0x40_0000, 0], &[VSPACE]), Ok(vec![]));
        }
        w.make(ObjectType::Page4K, 0, PAGE);

        let mut threads = [client; 3];
        for (i, priority) in [(1, 120), (2, 130)] {
            let Cap::Tcb { tcb } = w.k.boot_object(ObjectKind::Tcb) else { unreachable!() };
            let cspace = client.get(&w.k).slots[Tcb::SLOT_CSPACE].cap();
            set_cap(&tcb.get(&w.k).slots[Tcb::SLOT_CSPACE], cspace);
            tcb.get(&w.k).priority.set(priority);
            threads[i] = tcb;
        }
        let [_, server, pager] = threads;
        for thread in threads {
            set_cap(&thread.get(&w.k).slots[Tcb::SLOT_VSPACE], w.cap(VSPACE));
            thread.get(&w.k).forget_spaces();
        }
        set_cap(
            &client.get(&w.k).slots[Tcb::SLOT_FAULT_HANDLER],
            Cap::Endpoint { ep: pager_ep, badge: 0xc, rights },
        );
        let Cap::SchedContext { sc: pager_sc, .. } = w.k.boot_object(ObjectKind::SchedContext { bits: 8 })
        else {
            unreachable!()
        };
        refill::start(pager_sc.get(&w.k), 2, pecan_arch::us_to_ticks(5_000), 0, pecan_arch::now());
        pager.get(&w.k).sched_context.set(Some(pager_sc));
        pager_sc.get(&w.k).tcb.set(Some(pager));
        let client_sc = client.get(&w.k).sched_context.get().expect("the client has time of its own");

        for (thread, ep, reply) in [(server, ep, reply), (pager, pager_ep, pager_reply)] {
            assert_eq!(
                endpoint::receive(&w.k, thread.get(&w.k), ep.get(&w.k), true, Some(reply)),
                next::Next::Resume
            );
        }
        client.get(&w.k).learn_spaces(&w.k);
        server.get(&w.k).learn_spaces(&w.k);
        let names = vec![
            (client.addr(), "client"),
            (server.addr(), "server"),
            (pager.addr(), "pager"),
            (client_sc.addr(), "client_sc"),
            (pager_sc.addr(), "pager_sc"),
            (ep.addr(), "ep"),
            (pager_ep.addr(), "pager_ep"),
            (reply.addr(), "reply"),
            (pager_reply.addr(), "pager_reply"),
        ];
        Scene { w, client, server, pager, client_sc, pager_sc, names }
    }

    /// The registers with which a thread enters the kernel.
    fn enter(&self, thread: Link<Tcb>, cptr: u64, info: MessageInfo, words: &[u64]) {
        let context = &thread.get(&self.w.k).context;
        context.set(reg::CAP, cptr);
        context.set(reg::INFO, info.0);
        words.iter().zip(reg::MSG).for_each(|(&word, register)| context.set(register, word));
        context.set(reg::NEXT_IP, 0x40_1002);
        context.set(reg::FAULT_IP, 0x40_1000);
    }

    fn slot(&self, cptr: u64) -> &Slot {
        self.w.slot(cptr).get(&self.w.k)
    }

    /// Everything that the page follows.
    fn fields(&self) -> Fields {
        let k = &*self.w.k;
        let mut fields = Fields::new();
        let mut add = |name: String, value: String| {
            let names = self.names.iter();
            let value = names.fold(value, |value, (at, name)| {
                value.replace(&format!("Some({at:#x})"), name).replace(&format!("{at:#x}"), name)
            });
            fields.insert(name, value);
        };
        for (name, thread) in [("client", self.client), ("server", self.server), ("pager", self.pager)] {
            let (t, get) = (thread.get(k), |r| thread.get(k).context.get(r));
            let info = MessageInfo(get(reg::INFO));
            add(format!("{name}.state"), format!("{:x?}", t.state.get()));
            add(format!("{name}.fault"), format!("{:x?}", t.fault()));
            add(format!("{name}.sched_context"), format!("{:?}", t.sched_context.get()));
            add(format!("{name}.is_queued"), format!("{}", t.is_queued.get()));
            add(format!("{name} rdi"), format!("{:#x}", get(reg::CAP)));
            add(format!("{name} rsi"), format!("label {}, {} words", info.label(), info.length()));
            for (register, r) in ["r10", "r8", "r9", "r15"].into_iter().zip(reg::MSG) {
                add(format!("{name} {register}"), format!("{:#x}", get(r)));
            }
            add(format!("{name} next rip"), format!("{:#x}", get(reg::NEXT_IP)));
        }
        for (name, cptr) in [("ep", EP), ("pager_ep", PAGER_EP)] {
            let Cap::Endpoint { ep, .. } = self.w.cap(cptr) else { unreachable!() };
            let ep = ep.get(k);
            add(name.into(), format!("{:?}, {:?}", ep.state(), ep.head()));
        }
        for (name, cptr) in [("reply", REPLY), ("pager_reply", PAGER_REPLY)] {
            let Cap::Reply { reply, .. } = self.w.cap(cptr) else { unreachable!() };
            add(format!("{name}.tcb"), format!("{:?}", reply.get(k).tcb.get()));
            add(format!("{name}.next"), format!("{:?}", reply.get(k).next()));
        }
        for (name, sc) in [("client_sc", self.client_sc), ("pager_sc", self.pager_sc)] {
            add(format!("{name}.tcb"), format!("{:?}", sc.get(k).tcb.get()));
            add(format!("{name}.reply"), format!("{:?}", sc.get(k).reply.get()));
        }
        add("current".into(), format!("{:?}", k.core().current.get()));
        add("current_sc".into(), format!("{:?}", k.core().current_sc.get()));
        let Cap::Frame { mapping, .. } = self.slot(PAGE).cap() else { unreachable!() };
        add(
            "page's mapping".into(),
            mapping.map_or("None".into(), |m| format!("ASID {}, {:#x}", m.asid, m.vaddr)),
        );
        let Cap::PageTable { table, .. } = self.w.cap(TABLES + 2) else { unreachable!() };
        let pte = table.get(k).entry(5);
        let rights = pte.0 & 0xfff;
        add("entry 5".into(), if pte.is_present() { format!("page, bits {rights:#x}") } else { "0".into() });
        fields
    }

    /// Does a step, and compares what it changes with the page's table of that name.
    fn step<T>(&mut self, name: &str, step: impl FnOnce(&mut Scene) -> T) -> T {
        let before = self.fields();
        let result = step(self);
        let after = self.fields();
        let rows: Vec<String> = before
            .iter()
            .filter(|&(field, old)| after[field] != *old)
            .map(|(field, old)| format!("| {field} | {old} | {} |", after[field]))
            .collect();
        check(name, &rows);
        result
    }
}

/// Fails unless the table of this name on the page has these rows, in any order, each perhaps with more columns.
#[track_caller]
fn check(name: &str, rows: &[String]) {
    if cfg!(miri) {
        // It may not read files.
        return;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guided.md");
    let page = fs::read_to_string(&path).unwrap_or_default();
    let table = page.split(&format!("<!-- step: {name} -->")).nth(1).unwrap_or_default();
    let lines = table.lines().skip_while(|line| !line.starts_with("| ---")).skip(1);
    let found: Vec<String> =
        lines.take_while(|line| line.starts_with('|')).map(|line| line.replace('`', "")).collect();
    let is_there = |row: &String| found.iter().any(|line| line.starts_with(row.as_str()));
    assert!(
        rows.iter().all(is_there) && found.len() == rows.len(),
        "docs/guided.md, step {name}: the table should say\n{}\nand says\n{}",
        rows.join("\n"),
        found.join("\n")
    );
}

#[test]
fn the_guided_page_says_what_happens() {
    let mut s = Scene::new();
    let (client, server, pager) = (s.client, s.server, s.pager);

    // A call, and its answer.
    s.enter(client, EP, MessageInfo::new(7, 0, 0, 2), &[0x11, 0x22]);
    s.step("call", |s| {
        let k = &*s.w.k;
        let Err(Miss::Met(met)) = fast::call(k, k.running(), EP) else { panic!("there are words") };
        let switch = fast::call_met(k, k.running(), met);
        assert_eq!(switch.unwrap_or_else(|miss| panic!("{miss:?}")).settle(k), server);
    });
    s.enter(server, EP, MessageInfo::new(0, 0, 0, 1), &[0x33]);
    server.get(&s.w.k).context.set(reg::REPLY, REPLY);
    s.step("answer", |s| {
        let k = &*s.w.k;
        let Err(Miss::Met(met)) = fast::reply_recv(k, k.running(), EP) else { panic!("there are words") };
        let switch = fast::reply_met(k, k.running(), met);
        assert_eq!(switch.unwrap_or_else(|miss| panic!("{miss:?}")).settle(k), client);
    });

    // A page fault, what the pager does about it, and its answer.
    s.enter(client, 0, MessageInfo(0), &[]);
    client.get(&s.w.k).context.set(reg::NEXT_IP, 0x40_1000);
    let fault =
        exception::fault_of(Exception::PageFault { address: 0x40_5008, instruction: false, status: 6 });
    let next = s.step("fault", |s| raise::fault(&s.w.k, client.get(&s.w.k), fault));
    assert_eq!(next, next::Next::Switch(pager));
    s.step("schedule", |s| assert_eq!(choose::schedule(&s.w.k, next).link(), pager));
    s.w.thread = pager;
    let words = [0x40_5000, CapRights::READ_WRITE.0, 0];
    // The extra capability goes into a buffer: the client's will do.
    let frame = client.get(&s.w.k).slots[Tcb::SLOT_IPC_BUFFER].cap();
    set_cap(&pager.get(&s.w.k).slots[Tcb::SLOT_IPC_BUFFER], frame);
    pager.get(&s.w.k).ipc_buffer.set(0x1000);
    s.w.set_message(pager, Label::PageMap as u64, &words, &[VSPACE]);
    pager.get(&s.w.k).context.set(reg::CAP, PAGE);
    s.step("map", |s| {
        let Err(Miss::At(slot)) = fast::call(&s.w.k, s.w.k.running(), PAGE) else {
            panic!("a page is no endpoint")
        };
        assert_eq!(syscall::call_at::<syscall::Scheduled>(&mut s.w.k, slot), pager);
    });
    s.enter(pager, PAGER_EP, MessageInfo(0), &[]);
    pager.get(&s.w.k).context.set(reg::REPLY, PAGER_REPLY);
    s.step("restart", |s| {
        assert_eq!(syscall::syscall::<syscall::Scheduled>(&mut s.w.k, Syscall::ReplyRecv as i64), client)
    });
    assert_eq!(client.get(&s.w.k).state.get(), ThreadState::Running);
}
