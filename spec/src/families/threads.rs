//! Families about what can be done to threads, and about their time.

use super::*;

/// Registers that a thread is given: all different, some of them impossible.
fn some_registers() -> Vec<u64> {
    let mut words: Vec<u64> = (0..20).map(|i| 0x100 + i).collect();
    (words[0], words[2], words[18], words[19]) = (1 << 63, u64::MAX, 1 << 62, 0x7000);
    words
}

/// The families.
pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "registers",
        about: "two threads read, write and copy each other's registers, and nothing of them is forgotten",
        system: || {
            let mut s = threads(&[100, 100], |_| {});
            s.remember();
            s
        },
        events: |_| {
            let mut e = vec![
                yields(),
                syscall(Syscall::SetTLSBase, 0x5000),
                invoke(at::B, Label::TcbReadRegisters, &[0, 20], &[]),
                invoke(at::A, Label::TcbReadRegisters, &[1, 3], &[]),
                invoke(at::B, Label::TcbReadRegisters, &[0, 21], &[]),
                invoke(at::B, Label::TcbWriteRegisters, &[&[0, 20], &some_registers()[..]].concat(), &[]),
                invoke(at::A, Label::TcbWriteRegisters, &[1, 2, 0x2000, 0x3000], &[]),
                invoke(at::B, Label::TcbWriteRegisters, &[0, 3, 1], &[]),
                invoke(at::A, Label::TcbCopyRegisters, &[4], &[at::B]),
                invoke(at::A, Label::TcbCopyRegisters, &[8 + 2], &[at::B]),
                invoke(at::B, Label::TcbCopyRegisters, &[12 + 1], &[at::A]),
                invoke(at::B, Label::TcbSetTlsBase, &[0x6000], &[]),
                invoke(at::B, Label::TcbSetTlsBase, &[1 << 63], &[]),
            ];
            for thread in [at::A, at::B] {
                e.push(invoke(thread, Label::TcbSetFlags, &[1, 0], &[]));
                e.push(invoke(thread, Label::TcbSetFlags, &[0, 7], &[]));
            }
            e.push(invoke(at::B, Label::TcbResume, &[], &[]));
            e.push(invoke(at::A, Label::TcbSuspend, &[], &[]));
            e
        },
    },
    Family {
        name: "spaces",
        about: "one thread gives another its CSpace, VSpace, IPC buffer and handlers, and deletes them",
        system: || {
            threads(&[100, 100], |s| {
                endpoints(s);
                s.own_cspace(at::CNODE);
                s.own_vspace(at::SC + 2);
                s.make(at::FREE, ObjectKind::Frame { level: 0 }, "frame");
                s.make(at::FREE + 1, ObjectKind::CNode { radix: 1 }, "cnode");
            })
        },
        events: |_| {
            let (vspace, frame, cnode) = (at::SC + 2, at::FREE, at::FREE + 1);
            let guard = CNodeCapData::new(0, 60).0;
            let small = CNodeCapData::new(0, 63).0;
            let mut e = vec![yields(), syscall(Syscall::Send, at::NTFN)];
            for (words, caps) in [
                ([guard, 0, 0x20_0400], [at::CNODE, vspace, frame]),
                ([small, 0, 0], [cnode, vspace, frame]),
                ([guard, 0, 0x20_0401], [at::CNODE, vspace, frame]),
                ([0, 0, 0], [at::CNODE, at::EP, 0]),
            ] {
                e.push(invoke(at::B, Label::TcbConfigure, &words, &caps));
            }
            for (words, caps) in [
                ([guard, 0], [at::EP, at::CNODE, vspace]),
                ([small, 0], [0, cnode, vspace]),
                ([guard, 0], [at::NTFN, at::CNODE, vspace]),
            ] {
                e.push(invoke(at::B, Label::TcbSetSpace, &words, &caps));
            }
            for (address, cap) in [(0, 0), (0x20_0000, frame), (0x20_0400, at::EP)] {
                e.push(invoke(at::B, Label::TcbSetIpcBuffer, &[address], &[cap]));
            }
            for handler in [0, at::BADGED] {
                e.push(invoke(at::B, Label::TcbSetTimeoutEndpoint, &[], &[handler]));
                e.push(invoke(at::B, Label::TcbSetSchedParams, &[100, 100], &[at::A, 15, handler]));
            }
            for slot in [vspace, frame, cnode, at::EP] {
                e.push(invoke(at::CNODE, Label::CNodeDelete, &[slot, 64], &[]));
            }
            e.push(Event::Exception { number: 3, code: 0 });
            e.push(with_reply(Syscall::NBRecv, at::EP, at::REPLY));
            e
        },
    },
    Family {
        name: "methods",
        about: "every method of a thread on one other, in every order, while it waits and runs",
        system: || threads(&[101, 100], for_methods),
        events: |_| {
            let (vspace, sc2) = (at::SC + 2, at::FREE + 2);
            let guard = CNodeCapData::new(0, 60).0;
            let mut e = vec![
                yields(),
                syscall(Syscall::Call, at::EP),
                with_reply(Syscall::Recv, at::EP, at::REPLY),
                with_reply(Syscall::NBSendWait, at::NTFN, at::REPLY),
                syscall(Syscall::Send, at::NTFN),
                syscall(Syscall::Wait, at::NTFN),
                Event::PageFault { address: 0x7000, instruction: false, status: 6 },
                invoke(at::B, Label::TcbReadRegisters, &[1, 1], &[]),
                invoke(at::B, Label::TcbWriteRegisters, &[1, 1, CODE], &[]),
                invoke(at::B, Label::TcbCopyRegisters, &[14], &[at::A]),
                invoke(at::B, Label::TcbConfigure, &[guard, 0, 0], &[at::CNODE, vspace, 0]),
                invoke(at::B, Label::TcbSetSpace, &[guard, 0], &[at::EP, at::CNODE, vspace]),
                invoke(at::B, Label::TcbSetIpcBuffer, &[0], &[0]),
                invoke(at::B, Label::TcbSetPriority, &[102], &[at::A]),
                invoke(at::B, Label::TcbSetPriority, &[100], &[at::A]),
                invoke(at::B, Label::TcbSetMcPriority, &[100], &[at::A]),
                invoke(at::B, Label::TcbSetSchedParams, &[100, 101], &[at::A, sc2, at::EP]),
                invoke(at::B, Label::TcbSetTimeoutEndpoint, &[], &[at::EP]),
            ];
            e.extend(methods(at::B));
            e
        },
    },
    Family {
        name: "parameters",
        about: "two threads change the budgets, periods and refills of scheduling contexts that are in use",
        system: || {
            let mut s = System::new(4);
            s.control(at::FREE, pecan_mem::Cap::SchedControl { core: 0 });
            for (i, what) in ["A", "B"].into_iter().enumerate() {
                let thread = s.thread(Some(at::A + i as u64), 100, what);
                s.start_with(thread, Some(at::SC + i as u64), &format!("sc{what}"), (200, 400), false);
            }
            s.make(at::SC + 2, ObjectKind::SchedContext { bits: 7 }, "sc");
            s.boot()
        },
        events: |_| {
            let configure =
                |sc, words: [u64; 5]| invoke(at::FREE, Label::SchedControlConfigureFlags, &words, &[sc]);
            vec![
                configure(at::SC, [100, 200, 0, 7, 1]),
                configure(at::SC + 1, [100, 200, 1, 8, 0]),
                configure(at::SC + 1, [200, 200, 1, 8, 0]),
                configure(at::SC + 2, [100, 100, 0, 9, 1]),
                configure(at::SC + 2, [100, 200, 1, 9, 0]),
                configure(at::SC, [200, 100, 0, 7, 0]),
                configure(at::SC, [19, 100, 0, 7, 0]),
                configure(at::A, [100, 100, 0, 7, 0]),
                after(50_000, invoke(at::SC, Label::SchedContextConsumed, &[], &[])),
                invoke(at::SC + 1, Label::SchedContextYieldTo, &[], &[]),
                Event::Tick { ticks: 100_000 },
                yields(),
            ]
        },
    },
    Family {
        name: "short refills",
        about: "two threads with budgets that come back in more parts than there is room for",
        system: || {
            let mut s = System::new(4);
            endpoints(&mut s);
            for (i, sporadic) in [false, true].into_iter().enumerate() {
                let what = ["A", "B"][i];
                let thread = s.thread(Some(at::A + i as u64), 100, what);
                s.start_short(thread, &format!("sc{what}"), (100, 200), sporadic);
            }
            s.boot()
        },
        events: |_| {
            vec![
                Event::Tick { ticks: 40_000 },
                after(40_000, syscall(Syscall::Send, at::NTFN)),
                after(40_000, syscall(Syscall::Wait, at::NTFN)),
                syscall(Syscall::Wait, at::NTFN),
                yields(),
            ]
        },
    },
    Family {
        name: "domains",
        about: "three threads in two domains, and the schedule that divides time between them",
        system: || {
            threads(&[100, 100, 101], |s| {
                s.make(at::NTFN, ObjectKind::Notification, "ntfn");
                s.control(at::FREE, pecan_mem::Cap::Domain);
            })
        },
        events: |_| {
            let set = |words: &[u64], caps: &[u64]| invoke(at::FREE, Label::DomainSetSet, words, caps);
            let entry = |words: &[u64]| invoke(at::FREE, Label::DomainScheduleConfigure, words, &[]);
            let start = |index| invoke(at::FREE, Label::DomainScheduleSetStart, &[index], &[]);
            vec![
                set(&[0], &[at::A]),
                set(&[1], &[at::A]),
                set(&[1], &[at::B]),
                set(&[2], &[at::B]),
                set(&[1], &[at::NTFN]),
                entry(&[1, 1, 200_000]),
                entry(&[0, 0, 100_000]),
                entry(&[1, 0, 0]),
                entry(&[0, 1, 0]),
                entry(&[9, 1, 1]),
                start(0),
                start(1),
                start(2),
                syscall(Syscall::Wait, at::NTFN),
                syscall(Syscall::Send, at::NTFN),
                invoke(at::B, Label::TcbSuspend, &[], &[]),
                invoke(at::B, Label::TcbResume, &[], &[]),
                invoke(at::B, Label::TcbSetPriority, &[100], &[at::A]),
                Event::Tick { ticks: 100_000 },
                yields(),
            ]
        },
    },
    Family {
        name: "short turns",
        about: "two threads in two domains, whose turns are shorter than anything takes, or little longer",
        system: || {
            threads(&[100, 100], |s| {
                s.control(at::FREE, pecan_mem::Cap::Domain);
            })
        },
        events: |_| {
            let entry = |index, duration| {
                invoke(at::FREE, Label::DomainScheduleConfigure, &[index, index, duration], &[])
            };
            let start = |index| invoke(at::FREE, Label::DomainScheduleSetStart, &[index], &[]);
            let mut events = vec![
                start(0),
                start(1),
                invoke(at::FREE, Label::DomainSetSet, &[1], &[at::B]),
                after(19_999, start(0)),
                after(20_000, start(1)),
                Event::Tick { ticks: 20_000 },
                Event::Tick { ticks: 40_000 },
                yields(),
            ];
            for duration in [1, 20_000, 20_001, 40_000, 40_001] {
                events.extend([entry(0, duration), entry(1, duration)]);
            }
            events
        },
    },
    Family {
        name: "fault answers",
        about: "a handler answers faults with registers, and nothing of them is forgotten",
        system: || {
            let mut s = System::new(4);
            endpoints(&mut s);
            let client = s.thread(Some(at::A), 100, "client");
            s.start_with(client, None, "scClient", (100, 200), false);
            s.handler(client, at::BADGED, false);
            s.handler(client, at::BADGED, true);
            let handler = s.thread(Some(at::B), 101, "handler");
            s.start(handler, None, "scHandler");
            let mut s = s.boot();
            s.remember();
            s
        },
        events: |_| {
            let answer = |words: Vec<u64>, label| {
                Event::Syscall(Call {
                    reply: at::REPLY,
                    label,
                    words,
                    ..Call::new(Syscall::ReplyRecv, at::EP)
                })
            };
            vec![
                Event::UnknownSyscall { number: 77 },
                Event::Exception { number: 13, code: 9 },
                Event::PageFault { address: 0x7000, instruction: true, status: 0x15 },
                Event::Tick { ticks: 100_000 },
                syscall(Syscall::Send, 15),
                with_reply(Syscall::Recv, at::EP, at::REPLY),
                answer(some_registers(), 0),
                answer(vec![CODE], 0),
                answer(vec![], 1),
                invoke(at::A, Label::TcbResume, &[], &[]),
            ]
        },
    },
    Family {
        name: "passive handler",
        about: "a client's faults are told to a passive server, which answers them as it answers calls",
        system: || {
            let mut s = System::new(4);
            endpoints(&mut s);
            for (slot, priority, what) in
                [(at::A, 100, "client"), (at::B, 99, "helper"), (at::C, 101, "handler")]
            {
                let thread = s.thread(Some(slot), priority, what);
                s.start(thread, (slot == at::C).then_some(SERVER_SC), &format!("sc{what}"));
                if slot != at::C {
                    s.handler(thread, at::BADGED, false);
                }
            }
            s.boot().play(&[with_reply(Syscall::Recv, at::EP, at::REPLY), becomes_passive()])
        },
        events: |_| {
            let answer = |words: Vec<u64>, label| {
                Event::Syscall(Call {
                    reply: at::REPLY,
                    label,
                    words,
                    ..Call::new(Syscall::ReplyRecv, at::EP)
                })
            };
            vec![
                Event::UnknownSyscall { number: 77 },
                Event::Exception { number: 13, code: 9 },
                Event::PageFault { address: 0x7000, instruction: true, status: 0x15 },
                syscall(Syscall::Send, 15),
                syscall(Syscall::Call, at::EP),
                with_reply(Syscall::Recv, at::EP, at::REPLY),
                answer(some_registers(), 0),
                answer(vec![CODE], 0),
                answer(vec![], 0),
                answer(vec![], 1),
                syscall(Syscall::Send, at::REPLY),
                invoke(at::A, Label::TcbResume, &[], &[]),
                invoke(at::A, Label::TcbSuspend, &[], &[]),
                yields(),
            ]
        },
    },
];
