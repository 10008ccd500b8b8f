//! Families in which everything that can be done to one object is done to it, in every order.

use super::*;

/// All ways to fault, to an endpoint.
fn faults() -> [Event; 4] {
    [
        Event::UnknownSyscall { number: 77 },
        Event::Exception { number: 13, code: 9 },
        Event::PageFault { address: 0x7000, instruction: true, status: 0x15 },
        syscall(Syscall::Send, 15),
    ]
}

/// All system calls that send to a capability or receive from it.
fn all_calls(cap: u64) -> Vec<Event> {
    let mut e = sends(&[cap]);
    e.extend(receives(&[cap]));
    e.push(with_reply(Syscall::NBSendWait, cap, at::NTFN));
    e.push(Event::Syscall(Call { reply: at::REPLY, dest: cap, ..Call::new(Syscall::NBSendRecv, cap) }));
    e
}

/// The families.
pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "one endpoint",
        about: "everything that can be done with an endpoint, its faults and its end among them",
        system: || {
            let mut s = System::new(4);
            endpoints(&mut s);
            s.own_cspace(at::CNODE);
            s.own_vspace(at::SC + 2);
            for (i, what) in ["A", "B"].into_iter().enumerate() {
                let thread = s.thread(Some(at::A + i as u64), 100 + i as u8, what);
                s.start_with(thread, None, &format!("sc{what}"), (100, 200), false);
                s.handler(thread, at::BADGED, false);
                s.handler(thread, at::BADGED, true);
            }
            s.boot()
        },
        events: |_| {
            let guard = CNodeCapData::new(0, 60).0;
            let mut e = all_calls(at::EP);
            e.extend(faults());
            e.extend([
                Event::Tick { ticks: 100_000 },
                syscall(Syscall::Send, at::BADGED),
                syscall(Syscall::Send, at::REPLY),
                invoke(at::A, Label::TcbResume, &[], &[]),
                invoke(at::A, Label::TcbSetSpace, &[guard, 0], &[at::BADGED, at::CNODE, at::SC + 2]),
                invoke(at::A, Label::TcbSetTimeoutEndpoint, &[], &[at::BADGED]),
                invoke(at::B, Label::TcbSetSchedParams, &[100, 101], &[at::B, 15, at::EP]),
                invoke(at::A, Label::TcbSetSchedParams, &[100, 100], &[at::B, 15, at::EP]),
                invoke(at::CNODE, Label::CNodeCancelBadgedSends, &[at::BADGED, 64], &[]),
                invoke(at::CNODE, Label::CNodeRevoke, &[at::EP, 64], &[]),
                invoke(at::CNODE, Label::CNodeRevoke, &[at::BADGED, 64], &[]),
                invoke(at::CNODE, Label::CNodeDelete, &[at::BADGED, 64], &[]),
                invoke(at::CNODE, Label::CNodeDelete, &[at::EP, 64], &[]),
            ]);
            e
        },
    },
    Family {
        name: "one notification",
        about: "everything that can be done with a notification and a reply object, interrupts among them",
        system: || {
            threads(&[100, 101], |s| {
                endpoints(s);
                s.own_cspace(at::CNODE);
                s.control(at::FREE, pecan_mem::Cap::IrqControl);
                s.interrupts(&[0]);
                s.make(at::SC + 1, ObjectKind::SchedContext { bits: 7 }, "sc");
            })
        },
        events: |_| {
            let (control, handler, sc) = (at::FREE, at::FREE + 1, at::SC + 1);
            let mut e = all_calls(at::NTFN);
            e.extend(all_calls(at::REPLY));
            e.extend([
                Event::Interrupt { irq: FIRST_INTERRUPT },
                with_reply(Syscall::Recv, at::EP, at::REPLY),
                with_reply(Syscall::NBRecv, at::EP, at::REPLY),
                with_reply(Syscall::ReplyRecv, at::EP, at::REPLY),
                with_reply(Syscall::NBSendWait, at::EP, at::NTFN),
                with_reply(Syscall::NBSendRecv, at::EP, at::REPLY),
                syscall(Syscall::Call, at::EP),
                invoke(control, Label::X86IrqIssueIrqHandlerMsi, &[handler, 64, 1, 2, 3, 4, 0], &[at::CNODE]),
                invoke(handler, Label::IrqSetIrqHandler, &[], &[at::NTFN]),
                invoke(handler, Label::IrqAckIrq, &[], &[]),
                invoke(handler, Label::IrqClearIrqHandler, &[], &[]),
                invoke(sc, Label::SchedContextBind, &[], &[at::NTFN]),
                invoke(sc, Label::SchedContextUnbindObject, &[], &[at::NTFN]),
                invoke(at::A, Label::TcbBindNotification, &[], &[at::NTFN]),
                invoke(at::A, Label::TcbUnbindNotification, &[], &[]),
                invoke(at::CNODE, Label::CNodeRevoke, &[at::NTFN, 64], &[]),
                invoke(at::CNODE, Label::CNodeRevoke, &[at::REPLY, 64], &[]),
                invoke(at::CNODE, Label::CNodeRevoke, &[handler, 64], &[]),
                invoke(at::CNODE, Label::CNodeDelete, &[at::NTFN, 64], &[]),
                invoke(at::CNODE, Label::CNodeDelete, &[at::REPLY, 64], &[]),
                invoke(at::CNODE, Label::CNodeDelete, &[handler, 64], &[]),
            ]);
            e
        },
    },
    Family {
        name: "one thread",
        about: "everything that can be done to a thread, and to its scheduling context, their ends among them",
        system: || {
            threads(&[101, 100], |s| {
                for_methods(s);
                s.make(at::C, ObjectKind::Tcb, "T");
            })
        },
        events: |_| {
            let (vspace, domains, sc) = (at::SC + 2, at::FREE + 1, at::FREE + 2);
            let (t, guard) = (at::C, CNodeCapData::new(0, 60).0);
            let mut e = vec![
                yields(),
                Event::Tick { ticks: 5_000_000 },
                invoke(t, Label::TcbReadRegisters, &[0, 1], &[]),
                invoke(t, Label::TcbWriteRegisters, &[0, 1, CODE], &[]),
                invoke(t, Label::TcbCopyRegisters, &[12], &[t]),
                invoke(t, Label::TcbConfigure, &[guard, 0, 0], &[at::CNODE, vspace, 0]),
                invoke(t, Label::TcbSetSpace, &[guard, 0], &[0, at::CNODE, vspace]),
                invoke(t, Label::TcbSetIpcBuffer, &[0], &[0]),
                invoke(t, Label::TcbSetPriority, &[101], &[at::A]),
                invoke(t, Label::TcbSetPriority, &[99], &[at::A]),
                invoke(t, Label::TcbSetMcPriority, &[100], &[at::A]),
                invoke(t, Label::TcbSetSchedParams, &[100, 99], &[at::A, sc, 0]),
                invoke(t, Label::TcbSetTimeoutEndpoint, &[], &[0]),
                invoke(domains, Label::DomainScheduleConfigure, &[1, 0, 0], &[]),
                invoke(domains, Label::DomainScheduleSetStart, &[0], &[]),
                invoke(at::CNODE, Label::CNodeRevoke, &[t, 64], &[]),
                invoke(at::CNODE, Label::CNodeDelete, &[t, 64], &[]),
                invoke(at::CNODE, Label::CNodeRevoke, &[sc, 64], &[]),
                invoke(at::CNODE, Label::CNodeDelete, &[sc, 64], &[]),
            ];
            e.extend(methods(t));
            e
        },
    },
    Family {
        name: "one CNode",
        about: "everything that goes through a CNode: capabilities are issued into it, moved about and used as roots",
        system: || {
            threads(&[100, 100], |s| {
                endpoints(s);
                s.own_cspace(at::CNODE);
                s.own_vspace(at::SC + 2);
                s.make(at::C, ObjectKind::CNode { radix: 2 }, "cnode");
                s.make(at::SC + 1, ObjectKind::Untyped { bits: 12 }, "untyped");
                s.control(at::FREE, pecan_mem::Cap::IrqControl);
                s.control(at::FREE + 1, pecan_mem::Cap::Arch(pecan_mem::ArchCap::IoPortControl));
                s.control(at::FREE + 2, pecan_mem::Cap::AsidControl);
                s.interrupts(&[0]);
                s.ports(&[0, 1]);
            })
        },
        events: |_| {
            let (node, all, untyped) = (at::C, CapRights::ALL.0, at::SC + 1);
            let guard = CNodeCapData::new(0, 62).0;
            vec![
                invoke(at::FREE, Label::X86IrqIssueIrqHandlerIoapic, &[1, 2, 0, 7, 1, 0, 0], &[node]),
                invoke(at::FREE, Label::X86IrqIssueIrqHandlerMsi, &[1, 2, 1, 2, 3, 4, 0], &[node]),
                invoke(at::FREE + 1, Label::X86IoPortControlIssue, &[0, 1, 1, 2], &[node]),
                invoke(at::FREE + 2, Label::AsidControlMakePool, &[1, 2], &[untyped, node]),
                invoke(untyped, Label::UntypedRetype, &[ObjectType::Reply as u64, 0, 0, 0, 1, 1], &[node]),
                invoke(node, Label::CNodeCopy, &[1, 2, at::BADGED, 64, all], &[at::CNODE]),
                invoke(node, Label::CNodeMint, &[1, 2, at::EP, 64, all, 9], &[at::CNODE]),
                invoke(node, Label::CNodeMove, &[2, 2, 1, 2], &[node]),
                invoke(node, Label::CNodeMove, &[1, 2, 2, 2], &[node]),
                invoke(node, Label::CNodeMutate, &[1, 2, 2, 2, 0], &[node]),
                invoke(node, Label::CNodeRotate, &[0, 2, 0, 1, 2, 0, 2, 2], &[node, node]),
                invoke(node, Label::CNodeRotate, &[2, 2, 0, 1, 2, 0, 0, 2], &[node, node]),
                invoke(node, Label::CNodeCancelBadgedSends, &[1, 2], &[]),
                invoke(node, Label::CNodeRevoke, &[1, 2], &[]),
                invoke(node, Label::CNodeDelete, &[0, 2], &[]),
                invoke(node, Label::CNodeDelete, &[1, 2], &[]),
                invoke(node, Label::CNodeDelete, &[2, 2], &[]),
                invoke(at::B, Label::TcbSetSpace, &[guard, 0], &[0, node, at::SC + 2]),
                invoke(at::B, Label::TcbConfigure, &[guard, 0, 0], &[node, at::SC + 2, 0]),
                invoke(at::CNODE, Label::CNodeRevoke, &[node, 64], &[]),
                invoke(at::CNODE, Label::CNodeRevoke, &[untyped, 64], &[]),
                invoke(at::CNODE, Label::CNodeDelete, &[untyped, 64], &[]),
                invoke(at::CNODE, Label::CNodeDelete, &[at::C, 64], &[]),
            ]
        },
    },
    Family {
        name: "issued",
        about: "what makes capabilities puts one after the other into a CNode, where they are moved and changed",
        system: || {
            threads(&[100], |s| {
                s.make(at::EP, ObjectKind::Endpoint, "ep");
                s.own_cspace(at::CNODE);
                s.make(at::C, ObjectKind::CNode { radix: 4 }, "cnode");
                s.make(at::BADGED, ObjectKind::Untyped { bits: 12 }, "untyped1");
                s.make(at::NTFN, ObjectKind::Untyped { bits: 6 }, "untyped2");
                s.control(at::FREE, pecan_mem::Cap::IrqControl);
                s.control(at::FREE + 1, pecan_mem::Cap::Arch(pecan_mem::ArchCap::IoPortControl));
                s.control(at::FREE + 2, pecan_mem::Cap::AsidControl);
                s.interrupts(&[0, 1, 2, 3]);
                s.ports(&[0, 1]);
            })
        },
        events: |_| {
            let (node, irqs, reply) = (at::C, at::FREE, ObjectType::Reply as u64);
            let (ioapic, msi) = (Label::X86IrqIssueIrqHandlerIoapic, Label::X86IrqIssueIrqHandlerMsi);
            let all = CapRights::ALL.0;
            vec![
                invoke(irqs, ioapic, &[1, 4, 0, 7, 1, 0, 0], &[node]),
                invoke(irqs, ioapic, &[2, 4, 0, 8, 0, 1, 1], &[node]),
                invoke(irqs, msi, &[3, 4, 1, 2, 3, 4, 2], &[node]),
                invoke(irqs, msi, &[4, 4, 1, 2, 3, 4, 3], &[node]),
                invoke(at::FREE + 1, Label::X86IoPortControlIssue, &[0, 1, 5, 4], &[node]),
                invoke(at::FREE + 2, Label::AsidControlMakePool, &[6, 4], &[at::BADGED, node]),
                invoke(at::NTFN, Label::UntypedRetype, &[reply, 0, 0, 0, 7, 1], &[node]),
                invoke(node, Label::CNodeCopy, &[8, 4, at::CNODE, 64, all], &[at::CNODE]),
                invoke(node, Label::CNodeMint, &[9, 4, at::EP, 64, all, 9], &[at::CNODE]),
                invoke(node, Label::CNodeMutate, &[10, 4, 8, 4, 0], &[node]),
                invoke(node, Label::CNodeMutate, &[8, 4, 10, 4, 0], &[node]),
                invoke(node, Label::CNodeRotate, &[11, 4, 0, 8, 4, 0, 7, 4], &[node, node]),
                invoke(node, Label::CNodeCancelBadgedSends, &[9, 4], &[]),
            ]
        },
    },
    Family {
        name: "one space",
        about: "everything that gives an address space to a thread, and tables and a frame to the space",
        system: || {
            threads(&[100], |s| {
                s.own_cspace(at::CNODE);
                s.own_vspace(space::ROOT);
                for (slot, level) in [(0, 2), (1, 2), (2, 1), (3, 1), (4, 0), (5, 0)] {
                    let what = format!("{}{}", ["pt", "pd", "pdpt"][level as usize], slot % 2 + 1);
                    s.make(space::TABLES[slot], ObjectKind::PageTable { level }, &what);
                }
                s.make(space::FRAME, ObjectKind::Frame { level: 0 }, "frame");
                s.make(space::THREAD, ObjectKind::Tcb, "T");
                s.own_pool(space::POOL);
                s.make(space::OTHER, ObjectKind::PageTable { level: 3 }, "root");
            })
        },
        events: |_| {
            use space::*;
            let (page, guard) = (0x40_0000, CNodeCapData::new(0, 60).0);
            let addresses = [page, 1 << 39, page, 1 << 30, page, page + (1 << 21)];
            let mut e = vec![
                invoke(FRAME, Label::PageMap, &[page, CapRights::ALL.0, 0], &[ROOT]),
                invoke(FRAME, Label::PageUnmap, &[], &[]),
                invoke(FRAME, Label::PageGetAddress, &[], &[]),
                invoke(THREAD, Label::TcbConfigure, &[guard, 0, page], &[at::CNODE, ROOT, FRAME]),
                invoke(THREAD, Label::TcbConfigure, &[guard, 0, 0], &[at::CNODE, OTHER, 0]),
                invoke(THREAD, Label::TcbSetSpace, &[guard, 0], &[0, at::CNODE, ROOT]),
                invoke(THREAD, Label::TcbSetIpcBuffer, &[page], &[FRAME]),
                invoke(POOL, Label::AsidPoolAssign, &[], &[OTHER]),
                invoke(at::CNODE, Label::CNodeRevoke, &[FRAME, 64], &[]),
                invoke(at::CNODE, Label::CNodeRevoke, &[POOL, 64], &[]),
            ];
            for (i, (slot, address)) in TABLES.into_iter().zip(addresses).enumerate() {
                e.push(invoke(slot, TABLE_METHODS[2 - i / 2].0, &[address, 0], &[ROOT]));
            }
            e
        },
    },
    Family {
        name: "spent budgets",
        about: "what is done to a thread, and to its scheduling context, when it has just used up its budget",
        system: || {
            let mut s = System::new(4);
            s.own_cspace(at::CNODE);
            let a = s.thread(Some(at::A), 100, "A");
            s.start(a, None, "scA");
            let b = s.thread(Some(at::B), 101, "B");
            s.start_with(b, Some(at::SC), "scB", (100, 200), false);
            s.mint(at::SC, at::FREE, CapRights::ALL, 0);
            s.boot()
        },
        events: |_| {
            vec![
                Event::Tick { ticks: 100_000 },
                yields(),
                invoke(at::B, Label::TcbSetSchedParams, &[100, 100], &[at::A, at::SC, 0]),
                invoke(at::SC, Label::SchedContextBind, &[], &[at::B]),
                invoke(at::SC, Label::SchedContextUnbind, &[], &[]),
                invoke(at::SC, Label::SchedContextUnbindObject, &[], &[at::B]),
                invoke(at::CNODE, Label::CNodeRevoke, &[at::SC, 64], &[]),
                invoke(at::CNODE, Label::CNodeRevoke, &[at::FREE, 64], &[]),
                invoke(at::CNODE, Label::CNodeDelete, &[at::FREE, 64], &[]),
                invoke(at::CNODE, Label::CNodeDelete, &[at::SC, 64], &[]),
            ]
        },
    },
    Family {
        name: "late callers",
        about: "a thread has used up its budget and told its timeout handler, and loses and gets its scheduling context meanwhile",
        system: || {
            let mut s = System::new(4);
            s.make(at::EP, ObjectKind::Endpoint, "ep");
            s.make(at::REPLY, ObjectKind::Reply, "reply");
            let a = s.thread(Some(at::A), 100, "A");
            s.start(a, None, "scA");
            let b = s.thread(Some(at::B), 101, "B");
            s.start_with(b, Some(at::SC), "scB", (100, 200), false);
            s.handler(b, at::EP, true);
            s.boot()
        },
        events: |_| {
            vec![
                Event::Tick { ticks: 100_000 },
                with_reply(Syscall::Recv, at::EP, at::REPLY),
                syscall(Syscall::Call, at::EP),
                syscall(Syscall::Send, at::REPLY),
                invoke(at::SC, Label::SchedContextUnbind, &[], &[]),
                invoke(at::SC, Label::SchedContextBind, &[], &[at::B]),
                invoke(at::B, Label::TcbSetSchedParams, &[100, 101], &[at::A, at::SC, at::EP]),
            ]
        },
    },
    Family {
        name: "told faults",
        about: "two threads use an endpoint in every way, and have no capability where they want to use one",
        system: || {
            let mut s = System::new(4);
            endpoints(&mut s);
            for (i, what) in ["A", "B"].into_iter().enumerate() {
                let thread = s.thread(Some(at::A + i as u64), 100 + i as u8, what);
                s.start(thread, None, &format!("sc{what}"));
                s.handler(thread, at::BADGED, false);
            }
            s.boot()
        },
        events: |_| {
            let mut e = all_calls(at::EP);
            e.extend([
                syscall(Syscall::Wait, 15),
                syscall(Syscall::Send, at::REPLY),
                invoke(at::A, Label::TcbResume, &[], &[]),
                invoke(at::B, Label::TcbResume, &[], &[]),
            ]);
            e
        },
    },
];

/// Slots of the family about one address space.
mod space {
    pub const ROOT: u64 = 1;
    /// Two of each level, the highest first.
    pub const TABLES: [u64; 6] = [2, 3, 4, 7, 8, 10];
    pub const FRAME: u64 = 11;
    pub const THREAD: u64 = 12;
    pub const POOL: u64 = 13;
    /// Another root.
    pub const OTHER: u64 = 14;
}
