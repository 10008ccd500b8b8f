//! The families of small systems whose states are all visited.

use std::sync::LazyLock;

use pecan_abi::{CNodeCapData, CapRights, Label, ObjectType, Syscall};
use pecan_mem::retype::ObjectKind;

mod devices;
mod large;
mod pairs;
mod parts;
mod stopped;
mod threads;

use crate::{
    explore::Family,
    model::{CODE, Call, Event, FIRST_INTERRUPT},
    system::System,
};

/// Slots of the CSpace that most families use.
mod at {
    pub const EP: u64 = 1;
    pub const BADGED: u64 = 2;
    pub const NTFN: u64 = 3;
    pub const REPLY: u64 = 4;
    pub const CNODE: u64 = 5;
    pub const A: u64 = 6;
    pub const B: u64 = 7;
    pub const C: u64 = 8;
    pub const SC: u64 = 9;
    pub const REPLY2: u64 = 10;
    pub const FREE: u64 = 12;
}

/// Every family.
pub static FAMILIES: LazyLock<Vec<Family>> = LazyLock::new(|| {
    [
        large::FAMILIES,
        BASIC,
        threads::FAMILIES,
        devices::FAMILIES,
        pairs::FAMILIES,
        parts::FAMILIES,
        stopped::FAMILIES,
    ]
    .concat()
});

/// The families about messages, capabilities and memory.
const BASIC: &[Family] = &[
    Family {
        name: "messages",
        about: "three threads, an endpoint with a badged capability, sends and receives of all kinds",
        system: || threads(&[100, 100, 101], endpoints),
        events: |_| {
            let mut e = sends(&[at::EP, at::BADGED]);
            e.extend(receives(&[at::EP]));
            e.push(yields());
            e
        },
    },
    Family {
        name: "calls",
        about: "two clients, a passive server, two reply objects: calling, answering, lending time",
        system: || {
            let s = threads(&[100, 100], |s| {
                endpoints(s);
                s.make(at::REPLY2, ObjectKind::Reply, "reply2");
                let server = s.thread(Some(at::C), 101, "C");
                s.start(server, Some(SERVER_SC), "scC");
            });
            s.play(&[with_reply(Syscall::Recv, at::EP, at::REPLY), becomes_passive()])
        },
        events: |_| {
            let mut e = vec![syscall(Syscall::Call, at::EP), syscall(Syscall::Call, at::BADGED)];
            for reply in [at::REPLY, at::REPLY2] {
                e.push(with_reply(Syscall::Recv, at::EP, reply));
                e.push(with_reply(Syscall::ReplyRecv, at::EP, reply));
                e.push(syscall(Syscall::Send, reply));
            }
            // Longer than the registers.
            let words: Vec<u64> = (1..=6).collect();
            e.push(Event::Syscall(Call { words: words.clone(), ..Call::new(Syscall::Call, at::EP) }));
            e.push(Event::Syscall(Call { words, reply: at::REPLY, ..Call::new(Syscall::ReplyRecv, at::EP) }));
            e.push(with_reply(Syscall::NBRecv, at::EP, at::REPLY));
            e.push(with_reply(Syscall::NBSendWait, at::EP, at::REPLY));
            e.push(invoke(at::C, Label::TcbResume, &[], &[]));
            e.push(invoke(at::C, Label::TcbSuspend, &[], &[]));
            e.push(invoke(at::A, Label::TcbSuspend, &[], &[]));
            e.push(invoke(at::A, Label::TcbResume, &[], &[]));
            e.push(yields());
            e
        },
    },
    Family {
        name: "signals",
        about: "three threads, a notification bound and unbound, an endpoint",
        system: || threads(&[100, 100, 101], endpoints),
        events: |_| {
            let mut e = vec![
                syscall(Syscall::Send, at::NTFN),
                syscall(Syscall::Wait, at::NTFN),
                syscall(Syscall::NBWait, at::NTFN),
                syscall(Syscall::Wait, at::EP),
                syscall(Syscall::NBSend, at::EP),
                with_reply(Syscall::NBSendWait, at::EP, at::NTFN),
                with_reply(Syscall::NBSendWait, at::NTFN, at::EP),
                yields(),
            ];
            for thread in [at::A, at::B] {
                e.push(invoke(thread, Label::TcbBindNotification, &[], &[at::NTFN]));
                e.push(invoke(thread, Label::TcbUnbindNotification, &[], &[]));
            }
            e.push(invoke(at::C, Label::TcbSuspend, &[], &[]));
            e.push(invoke(at::C, Label::TcbResume, &[], &[]));
            e
        },
    },
    Family {
        name: "capabilities",
        about: "one thread copies, mints, moves, rotates, deletes and revokes in a CNode",
        system: || {
            threads(&[100], |s| {
                endpoints(s);
                s.own_cspace(at::CNODE);
            })
        },
        events: |_| {
            let (free, all) = (at::FREE, CapRights::ALL.0);
            let mut e = vec![];
            for src in [at::EP, free, free + 1] {
                for dest in [free, free + 1, free + 2] {
                    let words = [dest, 64, src, 64, all, 7];
                    e.push(invoke(at::CNODE, Label::CNodeCopy, &words[..5], &[at::CNODE]));
                    e.push(invoke(at::CNODE, Label::CNodeMint, &words, &[at::CNODE]));
                    e.push(invoke(at::CNODE, Label::CNodeMove, &words[..4], &[at::CNODE]));
                }
            }
            for slot in [at::EP, free, free + 1, free + 2] {
                e.push(invoke(at::CNODE, Label::CNodeDelete, &[slot, 64], &[]));
                e.push(invoke(at::CNODE, Label::CNodeRevoke, &[slot, 64], &[]));
            }
            let read = CapRights::READ.0;
            e.push(invoke(at::CNODE, Label::CNodeCopy, &[free, 64, at::EP, 64, read], &[at::CNODE]));
            e.push(invoke(at::CNODE, Label::CNodeMint, &[free, 64, free + 1, 64, read, 9], &[at::CNODE]));
            e.push(invoke(
                at::CNODE,
                Label::CNodeRotate,
                &[free, 64, 0, free + 1, 64, 0, free + 2, 64],
                &[at::CNODE, at::CNODE],
            ));
            e
        },
    },
    Family {
        name: "deletion",
        about: "two threads block, and the objects that they use are deleted",
        system: || {
            threads(&[100, 101], |s| {
                endpoints(s);
                s.own_cspace(at::CNODE);
            })
        },
        events: |_| {
            let mut e = vec![
                syscall(Syscall::Send, at::BADGED),
                syscall(Syscall::Send, at::EP),
                syscall(Syscall::Call, at::EP),
                with_reply(Syscall::Recv, at::EP, at::REPLY),
                syscall(Syscall::Send, at::REPLY),
                syscall(Syscall::Wait, at::NTFN),
                syscall(Syscall::Send, at::NTFN),
                invoke(at::A, Label::TcbBindNotification, &[], &[at::NTFN]),
                yields(),
            ];
            for slot in [at::EP, at::BADGED, at::NTFN, at::REPLY, at::B, at::SC] {
                e.push(invoke(at::CNODE, Label::CNodeDelete, &[slot, 64], &[]));
            }
            e.push(invoke(at::CNODE, Label::CNodeRevoke, &[at::EP, 64], &[]));
            e.push(invoke(at::CNODE, Label::CNodeCancelBadgedSends, &[at::BADGED, 64], &[]));
            e.push(invoke(at::B, Label::TcbResume, &[], &[]));
            e.push(invoke(at::A, Label::TcbSuspend, &[], &[]));
            e
        },
    },
    Family {
        name: "budgets",
        about: "three threads with small budgets, one of them sporadic: time passes, they yield, wait and signal",
        system: || {
            let mut s = System::new(4);
            for (i, (priority, sporadic)) in [(100, false), (100, false), (101, true)].into_iter().enumerate()
            {
                let what = ["A", "B", "C"][i];
                let thread = s.thread(Some(at::A + i as u64), priority, what);
                s.start_with(
                    thread,
                    None,
                    &format!("sc{what}"),
                    (100, if i == 1 { 0 } else { 250 }),
                    sporadic,
                );
            }
            endpoints(&mut s);
            s.boot()
        },
        events: |_| {
            vec![
                Event::Tick { ticks: 50_000 },
                Event::Tick { ticks: 100_000 },
                after(50_000, syscall(Syscall::Send, at::NTFN)),
                syscall(Syscall::Wait, at::NTFN),
                yields(),
            ]
        },
    },
    Family {
        name: "timeouts",
        about: "a client with a budget and a timeout handler calls a passive server",
        system: || {
            let mut s = System::new(4);
            endpoints(&mut s);
            s.make(at::REPLY2, ObjectKind::Reply, "reply2");
            let client = s.thread(Some(at::A), 100, "client");
            s.start_with(client, None, "scClient", (100, 200), false);
            s.handler(client, at::BADGED, true);
            let handler = s.thread(Some(at::B), 101, "handler");
            s.start(handler, None, "scHandler");
            let server = s.thread(Some(at::C), 102, "server");
            s.start(server, Some(SERVER_SC), "scServer");
            s.boot().play(&[with_reply(Syscall::Recv, at::EP, at::REPLY2), becomes_passive()])
        },
        events: |_| {
            vec![
                Event::Tick { ticks: 100_000 },
                Event::Tick { ticks: 50_000 },
                syscall(Syscall::Call, at::EP),
                with_reply(Syscall::Recv, at::EP, at::REPLY),
                with_reply(Syscall::Recv, at::EP, at::REPLY2),
                with_reply(Syscall::ReplyRecv, at::EP, at::REPLY2),
                syscall(Syscall::Send, at::REPLY),
                after(50_000, syscall(Syscall::Send, at::REPLY2)),
                invoke(at::C, Label::TcbResume, &[], &[]),
                yields(),
            ]
        },
    },
    Family {
        name: "faults",
        about: "two threads raise faults of all kinds, a third handles them",
        system: || threads(&[100, 100, 101], endpoints),
        events: |_| {
            vec![
                syscall(Syscall::Send, 15),
                syscall(Syscall::Wait, 15),
                with_reply(Syscall::Recv, at::EP, at::NTFN),
                Event::Exception { number: 6, code: 3 },
                with_reply(Syscall::Recv, at::EP, at::REPLY),
                with_reply(Syscall::NBSendWait, at::EP, at::REPLY),
                syscall(Syscall::Send, at::REPLY),
                invoke(at::A, Label::TcbSetSchedParams, &[100, 100], &[at::B, at::SC, at::BADGED]),
                invoke(at::A, Label::TcbResume, &[], &[]),
                invoke(at::C, Label::TcbSetSchedParams, &[100, 99], &[at::B, 15, at::EP]),
                yields(),
            ]
        },
    },
    Family {
        name: "mappings",
        about: "one thread maps and unmaps two frames and the tables above them, and deletes and copies them",
        system: || {
            threads(&[100], |s| {
                s.own_cspace(at::CNODE);
                s.own_vspace(at::EP);
                for level in 0..3 {
                    s.make(
                        at::BADGED + level,
                        ObjectKind::PageTable { level: level as u8 },
                        ["pt", "pd", "pdpt"][level as usize],
                    );
                }
                s.make(at::B, ObjectKind::Frame { level: 0 }, "frame1");
                s.make(at::C, ObjectKind::Frame { level: 0 }, "frame2");
            })
        },
        events: |_| {
            let (free, page, all) = (at::FREE, 0x40_0000, CapRights::ALL.0);
            let mut e = vec![];
            for (i, (map, unmap)) in TABLE_METHODS.into_iter().enumerate() {
                let slot = at::BADGED + i as u64;
                e.push(invoke(slot, map, &[page, 0], &[at::EP]));
                e.push(invoke(slot, unmap, &[], &[]));
                e.push(invoke(at::CNODE, Label::CNodeDelete, &[slot, 64], &[]));
            }
            for slot in [at::B, at::C, free] {
                e.push(invoke(slot, Label::PageMap, &[page, all, 0], &[at::EP]));
                e.push(invoke(slot, Label::PageMap, &[page, CapRights::READ.0, 0], &[at::EP]));
                e.push(invoke(slot, Label::PageMap, &[page + 4096, all, 0], &[at::EP]));
                e.push(invoke(slot, Label::PageUnmap, &[], &[]));
                e.push(invoke(at::CNODE, Label::CNodeDelete, &[slot, 64], &[]));
            }
            e.push(invoke(
                at::CNODE,
                Label::CNodeCopy,
                &[free, 64, at::B, 64, CapRights::READ.0],
                &[at::CNODE],
            ));
            e.push(invoke(at::CNODE, Label::CNodeMove, &[free, 64, at::C, 64], &[at::CNODE]));
            e.push(invoke(at::CNODE, Label::CNodeRevoke, &[at::B, 64], &[]));
            e
        },
    },
    Family {
        name: "memory",
        about: "one thread retypes untyped memory into objects of all kinds, deletes and revokes them",
        system: || {
            threads(&[100], |s| {
                s.own_cspace(at::CNODE);
                s.make(at::EP, ObjectKind::Untyped { bits: 12 }, "untyped");
            })
        },
        events: |_| {
            let free = at::FREE;
            let mut e = vec![];
            let kinds = [
                (ObjectType::Endpoint, 0),
                (ObjectType::Tcb, 0),
                (ObjectType::CNode, 2),
                (ObjectType::SchedContext, 8),
                (ObjectType::Untyped, 11),
                (ObjectType::Page4K, 0),
            ];
            for (kind, size) in kinds {
                for (dest, count) in [(free, 1), (free + 1, 2)] {
                    let words = [kind as u64, size, 0, 0, dest, count];
                    e.push(invoke(at::EP, Label::UntypedRetype, &words, &[at::CNODE]));
                }
            }
            let words = [ObjectType::Reply as u64, 0, 0, 0, free + 1, 1];
            e.push(invoke(free, Label::UntypedRetype, &words, &[at::CNODE]));
            let inside = [ObjectType::Notification as u64, 0, free, 64, 1, 2];
            e.push(invoke(at::EP, Label::UntypedRetype, &inside, &[at::CNODE]));
            for slot in [free, free + 1, free + 2] {
                e.push(invoke(at::CNODE, Label::CNodeDelete, &[slot, 64], &[]));
            }
            e.push(invoke(at::CNODE, Label::CNodeRevoke, &[at::EP, 64], &[]));
            e.push(invoke(at::CNODE, Label::CNodeRevoke, &[free, 64], &[]));
            e.push(invoke(at::CNODE, Label::CNodeMove, &[0, 2, free + 1, 64], &[at::CNODE]));
            // Into the CNode that was made, and the other way round.
            e.push(invoke(free, Label::CNodeMove, &[0, 2, free + 1, 64], &[at::CNODE]));
            e.push(invoke(free, Label::CNodeCopy, &[1, 2, free, 64, CapRights::ALL.0], &[at::CNODE]));
            e
        },
    },
    Family {
        name: "priorities",
        about: "three threads change priorities, bind and unbind scheduling contexts and yield to them",
        system: || {
            let mut s = System::new(4);
            for (i, what) in ["A", "B"].into_iter().enumerate() {
                let thread = s.thread(Some(at::A + i as u64), 100, what);
                s.start(thread, Some(at::SC + i as u64), &format!("sc{what}"));
            }
            s.thread(Some(at::C), 101, "C");
            s.make(at::NTFN, ObjectKind::Notification, "ntfn");
            s.boot()
        },
        events: |_| {
            let (sc_a, sc_b) = (at::SC, at::SC + 1);
            let mut e = vec![yields(), syscall(Syscall::Wait, at::NTFN), syscall(Syscall::Send, at::NTFN)];
            for (thread, priority) in
                [(at::A, 101), (at::A, 100), (at::B, 102), (at::B, 100), (at::C, 99), (at::B, 200)]
            {
                e.push(invoke(thread, Label::TcbSetPriority, &[priority], &[at::A]));
            }
            for sc in [sc_a, sc_b] {
                for object in [at::A, at::B, at::C, at::NTFN] {
                    e.push(invoke(sc, Label::SchedContextBind, &[], &[object]));
                    e.push(invoke(sc, Label::SchedContextUnbindObject, &[], &[object]));
                }
                e.push(invoke(sc, Label::SchedContextUnbind, &[], &[]));
                e.push(invoke(sc, Label::SchedContextYieldTo, &[], &[]));
            }
            e.push(invoke(at::C, Label::TcbResume, &[], &[]));
            e.push(invoke(at::B, Label::TcbSuspend, &[], &[]));
            e.push(invoke(at::B, Label::TcbResume, &[], &[]));
            e.push(invoke(at::A, Label::TcbBindNotification, &[], &[at::NTFN]));
            e
        },
    },
    Family {
        name: "transfers",
        about: "two threads send each other capabilities and long messages",
        system: || {
            threads(&[100, 101], |s| {
                endpoints(s);
                s.own_cspace(at::CNODE);
                s.mint(at::EP, at::SC + 2, CapRights::WRITE, 3);
            })
        },
        events: |_| {
            let (ungranting, free) = (at::SC + 2, at::FREE);
            let long: Vec<u64> = (1..=9).collect();
            let mut e = vec![yields()];
            let messages: [(&[u64], &[u64]); 5] = [
                (&[1], &[at::NTFN]),
                (&[1, 2], &[at::BADGED, at::NTFN]),
                (&long, &[at::NTFN, at::BADGED, at::REPLY]),
                (&long, &[]),
                (&[], &[15, at::BADGED]),
            ];
            for (words, extra) in messages {
                for (kind, cap) in [
                    (Syscall::Send, at::EP),
                    (Syscall::Call, at::BADGED),
                    (Syscall::Send, ungranting),
                    (Syscall::Send, at::REPLY),
                ] {
                    let (words, extra) = (words.to_vec(), extra.to_vec());
                    e.push(Event::Syscall(Call { words, extra, label: 5, ..Call::new(kind, cap) }));
                }
            }
            for place in [[at::CNODE, free, 64], [at::CNODE, at::EP, 64], [at::EP, free, 64]] {
                e.push(Event::Syscall(Call {
                    reply: at::REPLY,
                    receive: Some(place),
                    ..Call::new(Syscall::Recv, at::EP)
                }));
            }
            e.push(invoke(at::CNODE, Label::CNodeDelete, &[free, 64], &[]));
            e.push(invoke(at::CNODE, Label::CNodeRevoke, &[at::NTFN, 64], &[]));
            e
        },
    },
    Family {
        name: "nested calls",
        about: "a client calls a server that calls another; callers, reply objects and servers go in between",
        system: || {
            let mut s = System::new(4);
            endpoints(&mut s);
            s.own_cspace(at::CNODE);
            s.make(at::REPLY2, ObjectKind::Reply, "reply2");
            s.make(at::FREE, ObjectKind::Endpoint, "ep2");
            let client = s.thread(Some(at::A), 100, "client");
            s.start(client, Some(at::SC), "scClient");
            let helper = s.thread(None, 99, "helper");
            s.start(helper, None, "scHelper");
            s.thread(Some(at::B), 101, "server1");
            s.thread(Some(at::C), 102, "server2");
            s.boot()
        },
        events: |_| {
            let ep2 = at::FREE;
            let mut e = vec![
                syscall(Syscall::Call, at::EP),
                syscall(Syscall::Call, ep2),
                with_reply(Syscall::Recv, at::EP, at::REPLY),
                with_reply(Syscall::Recv, ep2, at::REPLY2),
                with_reply(Syscall::ReplyRecv, at::EP, at::REPLY),
                with_reply(Syscall::ReplyRecv, ep2, at::REPLY2),
                syscall(Syscall::Send, at::REPLY),
                syscall(Syscall::Send, at::REPLY2),
                yields(),
            ];
            for slot in [at::REPLY, at::REPLY2, at::SC] {
                e.push(invoke(at::CNODE, Label::CNodeDelete, &[slot, 64], &[]));
            }
            for thread in [at::A, at::B, at::C] {
                e.push(invoke(thread, Label::TcbSuspend, &[], &[]));
                e.push(invoke(thread, Label::TcbResume, &[], &[]));
                e.push(invoke(at::SC, Label::SchedContextBind, &[], &[thread]));
            }
            e.push(invoke(at::SC, Label::SchedContextUnbind, &[], &[]));
            e
        },
    },
    Family {
        name: "addressing",
        about: "one thread builds CNodes with guards inside one another and looks things up through them",
        system: || {
            threads(&[100], |s| {
                endpoints(s);
                s.own_cspace(at::CNODE);
                s.make(at::B, ObjectKind::CNode { radix: 2 }, "cnode1");
                s.make(at::C, ObjectKind::CNode { radix: 1 }, "cnode2");
            })
        },
        events: |_| {
            let free = at::FREE;
            let guard = |value: u64, bits: u64| CNodeCapData::new(value, bits).0;
            let all = CapRights::ALL.0;
            let mut e = vec![];
            for (from, data) in
                [(at::B, guard(0, 0)), (at::B, guard(5, 3)), (at::C, guard(1, 2)), (at::C, guard(0, 63))]
            {
                let words = [free, 64, from, 64, all, data];
                e.push(invoke(at::CNODE, Label::CNodeMint, &words, &[at::CNODE]));
                let words = [1, 2, from, 64, all, data];
                e.push(invoke(at::B, Label::CNodeMint, &words, &[at::CNODE]));
            }
            for (root, index, depth) in [
                (free, 1, 2),
                (free, 0b10101, 5),
                (free, 0b0111, 4),
                (at::B, 0b0111, 4),
                (at::B, 0b10, 2),
                (at::B, 0, 65),
                (at::EP, 0, 1),
            ] {
                e.push(invoke(root, Label::CNodeDelete, &[index, depth], &[]));
                let words = [index, depth, at::EP, 64, all];
                e.push(invoke(root, Label::CNodeCopy, &words, &[at::CNODE]));
                let words = [free + 1, 64, index, depth];
                e.push(invoke(at::CNODE, Label::CNodeMove, &words, &[root]));
            }
            e.push(invoke(
                at::CNODE,
                Label::CNodeMutate,
                &[free + 1, 64, free, 64, guard(2, 2)],
                &[at::CNODE],
            ));
            for slot in [free, free + 1, at::B, at::C] {
                e.push(invoke(at::CNODE, Label::CNodeDelete, &[slot, 64], &[]));
            }
            e.push(invoke(at::CNODE, Label::CNodeRevoke, &[at::C, 64], &[]));
            e
        },
    },
    Family {
        name: "partition",
        about: "two pairs of threads with nothing in common but the processor",
        system: || {
            let mut s = System::new(4);
            for part in 0..2 {
                if part == 1 {
                    s.other_cspace(4);
                }
                for (i, what) in [["A", "B"], ["X", "Y"]][part].into_iter().enumerate() {
                    let thread = s.thread(Some(at::A + i as u64), 100, what);
                    s.start(thread, (i == 0).then_some(at::SC), &format!("sc{what}"));
                }
                endpoints(&mut s);
                s.own_cspace(at::CNODE);
            }
            s.boot()
        },
        events: |_| {
            vec![
                syscall(Syscall::Send, at::BADGED),
                syscall(Syscall::Call, at::EP),
                with_reply(Syscall::Recv, at::EP, at::REPLY),
                syscall(Syscall::Send, at::REPLY),
                syscall(Syscall::Wait, at::NTFN),
                syscall(Syscall::Send, at::NTFN),
                invoke(at::B, Label::TcbSuspend, &[], &[]),
                invoke(at::B, Label::TcbResume, &[], &[]),
                invoke(at::CNODE, Label::CNodeDelete, &[at::EP, 64], &[]),
                invoke(at::CNODE, Label::CNodeCopy, &[at::FREE, 64, at::NTFN, 64, 3], &[at::CNODE]),
                yields(),
            ]
        },
    },
];

/// A system of threads A, B, C of these priorities, all started, and what `more` adds.
fn threads(priorities: &[u8], more: impl FnOnce(&mut System)) -> System {
    let mut s = System::new(4);
    for (i, &priority) in priorities.iter().enumerate() {
        let what = ["A", "B", "C"][i];
        let thread = s.thread(Some(at::A + i as u64), priority, what);
        s.start(thread, (i == 0).then_some(at::SC), &format!("sc{what}"));
    }
    more(&mut s);
    s.boot()
}

fn endpoints(s: &mut System) {
    s.make(at::EP, ObjectKind::Endpoint, "ep");
    s.mint(at::EP, at::BADGED, CapRights::ALL, 5);
    s.make(at::NTFN, ObjectKind::Notification, "ntfn");
    s.make(at::REPLY, ObjectKind::Reply, "reply");
}

/// Where a server's scheduling context is that is taken from it.
const SERVER_SC: u64 = at::SC + 2;

/// The thread that runs takes the server's scheduling context away, so that it runs on its clients'.
fn becomes_passive() -> Event {
    invoke(SERVER_SC, Label::SchedContextUnbind, &[], &[])
}

/// How each paging structure is mapped and unmapped, by its level.
const TABLE_METHODS: [(Label, Label); 3] = [
    (Label::PageTableMap, Label::PageTableUnmap),
    (Label::X86PageDirectoryMap, Label::X86PageDirectoryUnmap),
    (Label::X86PdptMap, Label::X86PdptUnmap),
];

/// What the methods of threads name besides: spaces, a scheduling context, and control of time and of domains, in
/// `at::SC + 2` and from `at::FREE` on.
fn for_methods(s: &mut System) {
    endpoints(s);
    s.own_cspace(at::CNODE);
    s.own_vspace(at::SC + 2);
    s.control(at::FREE, pecan_mem::Cap::SchedControl { core: 0 });
    s.control(at::FREE + 1, pecan_mem::Cap::Domain);
    s.make(at::FREE + 2, ObjectKind::SchedContext { bits: 8 }, "sc2");
}

/// The methods of a thread, and of its scheduling context, whose arguments are always the same, in a system made
/// by [`for_methods`].
fn methods(thread: u64) -> [Event; 13] {
    let (sched, domains, sc) = (at::FREE, at::FREE + 1, at::FREE + 2);
    [
        invoke(thread, Label::TcbSuspend, &[], &[]),
        invoke(thread, Label::TcbResume, &[], &[]),
        invoke(thread, Label::TcbBindNotification, &[], &[at::NTFN]),
        invoke(thread, Label::TcbUnbindNotification, &[], &[]),
        invoke(thread, Label::TcbSetTlsBase, &[0], &[]),
        invoke(thread, Label::TcbSetFlags, &[0, 1], &[]),
        invoke(sched, Label::SchedControlConfigureFlags, &[5000, 5000, 0, 3, 0], &[sc]),
        invoke(sc, Label::SchedContextBind, &[], &[thread]),
        invoke(sc, Label::SchedContextUnbindObject, &[], &[thread]),
        invoke(sc, Label::SchedContextUnbind, &[], &[]),
        invoke(sc, Label::SchedContextYieldTo, &[], &[]),
        invoke(sc, Label::SchedContextConsumed, &[], &[]),
        invoke(domains, Label::DomainSetSet, &[0], &[thread]),
    ]
}

fn syscall(kind: Syscall, cap: u64) -> Event {
    let sends = matches!(kind, Syscall::Send | Syscall::NBSend | Syscall::Call);
    let words = if sends { vec![cap + 100] } else { vec![] };
    Event::Syscall(Call { words, label: sends as u64 * 77, ..Call::new(kind, cap) })
}

fn with_reply(kind: Syscall, cap: u64, reply: u64) -> Event {
    Event::Syscall(Call { reply, label: 78, words: vec![3, 4], ..Call::new(kind, cap) })
}

fn after(ticks: u64, mut event: Event) -> Event {
    if let Event::Syscall(call) = &mut event {
        call.after = ticks;
    }
    event
}

fn yields() -> Event {
    Event::Syscall(Call::new(Syscall::Yield, 0))
}

fn invoke(cap: u64, label: Label, words: &[u64], extra: &[u64]) -> Event {
    let (words, extra) = (words.to_vec(), extra.to_vec());
    Event::Syscall(Call { label: label as u64, words, extra, ..Call::new(Syscall::Call, cap) })
}

fn sends(caps: &[u64]) -> Vec<Event> {
    let kinds = [Syscall::Send, Syscall::NBSend, Syscall::Call];
    caps.iter().flat_map(|&cap| kinds.map(|kind| syscall(kind, cap))).collect()
}

fn receives(caps: &[u64]) -> Vec<Event> {
    let mut events = vec![];
    for &cap in caps {
        events.push(with_reply(Syscall::Recv, cap, at::REPLY));
        events.push(with_reply(Syscall::NBRecv, cap, at::REPLY));
        events.push(with_reply(Syscall::ReplyRecv, cap, at::REPLY));
        events.push(syscall(Syscall::Wait, cap));
        events.push(syscall(Syscall::NBWait, cap));
    }
    events
}

/// The family of this name.
pub fn find(name: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|f| f.name == name)
}
