//! Families of systems in parts that have little or nothing to do with one another: see
//! [`Parts`](crate::properties::Parts).

use super::*;

/// The families.
pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "two memories",
        about: "two threads with nothing in common but the processor make objects, use them, fault and delete them",
        system: || {
            let mut s = System::new(4);
            for part in 0..2 {
                if part == 1 {
                    s.other_cspace(4);
                }
                let what = ["A", "X"][part];
                let thread = s.thread(Some(at::A), 100, what);
                s.start(thread, Some(at::SC), &format!("sc{what}"));
                s.own_cspace(at::CNODE);
                s.make(at::EP, ObjectKind::Untyped { bits: 6 }, ["untypedA", "untypedX"][part]);
            }
            s.boot()
        },
        events: |_| {
            let free = at::FREE;
            let retype = |kind: ObjectType, slot| {
                invoke(at::EP, Label::UntypedRetype, &[kind as u64, 0, 0, 0, slot, 1], &[at::CNODE])
            };
            vec![
                retype(ObjectType::Endpoint, free),
                retype(ObjectType::Reply, free + 1),
                retype(ObjectType::Notification, free),
                syscall(Syscall::NBSend, free),
                with_reply(Syscall::NBRecv, free, free + 1),
                invoke(at::A, Label::TcbBindNotification, &[], &[free]),
                invoke(at::A, Label::TcbReadRegisters, &[0, 1], &[]),
                invoke(at::CNODE, Label::CNodeMove, &[free + 1, 64, free, 64], &[at::CNODE]),
                invoke(at::CNODE, Label::CNodeDelete, &[free, 64], &[]),
                invoke(at::CNODE, Label::CNodeRevoke, &[at::EP, 64], &[]),
                syscall(Syscall::Send, 15),
                yields(),
            ]
        },
    },
    Family {
        name: "one way",
        about: "one thread may signal another, and learns nothing of it",
        system: || {
            let mut s = System::new(4);
            let ntfn = s.share(ObjectKind::Notification, "ntfn");
            for part in 0..2 {
                if part == 1 {
                    s.other_cspace(4);
                }
                let what = ["low", "high"][part];
                let thread = s.thread(Some(at::A), 100, what);
                s.start(thread, Some(at::SC), &format!("sc-{what}"));
                s.own_cspace(at::CNODE);
                let rights = [CapRights::WRITE, CapRights::READ][part];
                s.give(ntfn, at::NTFN, rights, 1 + part as u64);
            }
            s.boot()
        },
        events: |_| {
            let (free, all) = (at::FREE, CapRights::ALL.0);
            vec![
                syscall(Syscall::Send, at::NTFN),
                syscall(Syscall::NBSend, free),
                syscall(Syscall::Wait, at::NTFN),
                syscall(Syscall::NBWait, free),
                invoke(at::A, Label::TcbBindNotification, &[], &[at::NTFN]),
                invoke(at::A, Label::TcbUnbindNotification, &[], &[]),
                invoke(at::CNODE, Label::CNodeCopy, &[free, 64, at::NTFN, 64, all], &[at::CNODE]),
                invoke(at::CNODE, Label::CNodeMint, &[free, 64, at::NTFN, 64, all, 4], &[at::CNODE]),
                invoke(at::CNODE, Label::CNodeMove, &[at::NTFN, 64, free, 64], &[at::CNODE]),
                invoke(at::CNODE, Label::CNodeDelete, &[at::NTFN, 64], &[]),
                invoke(at::CNODE, Label::CNodeRevoke, &[at::NTFN, 64], &[]),
                invoke(at::CNODE, Label::CNodeDelete, &[free, 64], &[]),
                yields(),
            ]
        },
    },
];
