//! Families in which long operations are stopped, and others do something with what is half done.

use super::*;
use crate::model::{Arrival, State};

/// A system call that the interrupt of [`handler`] stops at its first preemption point or at one of the next, and the
/// same that nothing stops.
fn stopped(event: Event, points: u64) -> Vec<Event> {
    stopped_by(event, points, Arrival::Interrupt(FIRST_INTERRUPT))
}

fn stopped_by(event: Event, points: u64, by: Arrival) -> Vec<Event> {
    let Event::Syscall(call) = &event else { unreachable!("only system calls take long") };
    let stops = (1..=points).map(|point| Event::Stopped { call: call.clone(), point, by });
    stops.chain([event.clone()]).collect()
}

/// Adds a thread of a higher priority than all others, which an interrupt wakes.
fn handler(s: &mut System) {
    s.interrupts(&[0]);
    let handler = s.thread(None, 102, "handler");
    s.start(handler, None, "scHandler");
    s.make(at::NTFN, ObjectKind::Notification, "irq");
    s.signalled_by(0, at::NTFN);
}

/// As many ticks as the budget of the running thread has, so that a step ends its slice.
fn slice(s: &State) -> u64 {
    let sc = s.current.and_then(|current| s.threads[&current].sc);
    sc.map_or(100_000, |sc| s.contexts[&sc].refills.iter().map(|r| r.amount as u64).sum())
}

fn delete(root: u64, slot: u64, depth: u64) -> Event {
    invoke(root, Label::CNodeDelete, &[slot, depth], &[])
}

fn revoke(slot: u64) -> Event {
    invoke(at::CNODE, Label::CNodeRevoke, &[slot, 64], &[])
}

/// Moves a capability from a slot of the CSpace to another.
fn move_to(to: u64, from: u64) -> Event {
    invoke(at::CNODE, Label::CNodeMove, &[to, 64, from, 64], &[at::CNODE])
}

/// Moves a capability from a slot of the CSpace into a CNode of four slots.
fn move_into(cnode: u64, index: u64, from: u64) -> Event {
    invoke(cnode, Label::CNodeMove, &[index, 2, from, 64], &[at::CNODE])
}

fn copy(to: u64, from: u64) -> Event {
    invoke(at::CNODE, Label::CNodeCopy, &[to, 64, from, 64, CapRights::ALL.0], &[at::CNODE])
}

/// The families.
pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "stopped deleting",
        about: "a CNode goes slowly, with an endpoint, a thread and its own capability in it, and others get at it",
        system: || {
            threads(&[100], |s| {
                handler(s);
                s.own_cspace(at::CNODE);
                s.make(at::EP, ObjectKind::CNode { radix: 2 }, "cnode");
                s.make(at::REPLY, ObjectKind::Endpoint, "ep");
                s.make(at::REPLY2, ObjectKind::Tcb, "T");
            })
        },
        events: |_| {
            let (cnode, ep, thread, free) = (at::EP, at::REPLY, at::REPLY2, at::FREE);
            let mut e = vec![
                syscall(Syscall::Wait, at::NTFN),
                syscall(Syscall::Send, ep),
                move_into(cnode, 3, ep),
                move_into(cnode, 1, thread),
                move_into(cnode, 2, cnode),
                move_to(free, cnode),
                move_to(cnode, free),
                invoke(cnode, Label::CNodeCopy, &[0, 2, ep, 64, 15], &[at::CNODE]),
                invoke(at::CNODE, Label::CNodeMove, &[free, 64, 0, 2], &[cnode]),
            ];
            for slot in [cnode, free, thread] {
                e.extend(stopped(delete(at::CNODE, slot, 64), 2));
            }
            e.extend(stopped(revoke(cnode), 1));
            e
        },
    },
    Family {
        name: "stopped nesting",
        about: "CNodes in one another, and untyped memory of which they are, go slowly in every order",
        system: || {
            threads(&[100], |s| {
                handler(s);
                s.own_cspace(at::CNODE);
                s.make(at::EP, ObjectKind::Untyped { bits: 7 }, "untyped1");
                s.make(at::BADGED, ObjectKind::Untyped { bits: 7 }, "untyped2");
                s.make(at::REPLY, ObjectKind::Endpoint, "ep");
                s.make(at::REPLY2, ObjectKind::Reply, "reply");
            })
        },
        events: |_| {
            let (one, two) = (at::FREE, at::FREE + 1);
            let mut e = vec![syscall(Syscall::Wait, at::NTFN)];
            for (node, untyped) in [(one, at::EP), (two, at::BADGED)] {
                let words = [ObjectType::CNode as u64, 2, 0, 0, node, 1];
                e.push(invoke(untyped, Label::UntypedRetype, &words, &[at::CNODE]));
                e.extend(stopped(delete(at::CNODE, node, 64), 2));
                e.extend(stopped(revoke(untyped), 2));
            }
            e.push(move_into(one, 2, two));
            e.push(move_into(one, 0, two));
            e.push(move_into(two, 1, one));
            e.push(move_into(two, 0, one));
            e.push(move_into(one, 3, at::REPLY));
            e.push(move_into(one, 1, at::REPLY));
            e.push(move_into(two, 0, at::REPLY2));
            e.push(move_into(two, 3, at::REPLY2));
            e.push(move_to(at::FREE + 2, one));
            e.push(copy(at::FREE + 2, two));
            e.extend(stopped(delete(at::CNODE, at::FREE + 2, 64), 1));
            e
        },
    },
    Family {
        name: "stopped queues",
        about: "endpoints and notifications with queues go slowly, sends are cancelled, and others come and go",
        system: || {
            threads(&[100, 100, 101], |s| {
                endpoints(s);
                s.own_cspace(at::CNODE);
            })
        },
        events: |_| {
            let by = Arrival::Interrupt(FIRST_INTERRUPT);
            let mut e = vec![
                syscall(Syscall::Send, at::BADGED),
                syscall(Syscall::Send, at::EP),
                syscall(Syscall::Wait, at::EP),
                syscall(Syscall::Wait, at::NTFN),
                syscall(Syscall::Send, at::NTFN),
                copy(at::FREE, at::EP),
                copy(at::FREE, at::NTFN),
                invoke(at::A, Label::TcbSuspend, &[], &[]),
                invoke(at::A, Label::TcbSetPriority, &[99], &[at::A]),
                invoke(at::A, Label::TcbResume, &[], &[]),
                yields(),
            ];
            for slot in [at::EP, at::BADGED, at::NTFN] {
                e.extend(stopped_by(delete(at::CNODE, slot, 64), 2, by));
            }
            e.extend(stopped_by(delete(at::CNODE, at::FREE, 64), 1, by));
            e.extend(stopped_by(
                invoke(at::CNODE, Label::CNodeCancelBadgedSends, &[at::BADGED, 64], &[]),
                2,
                by,
            ));
            e
        },
    },
    Family {
        name: "stopped memory",
        about: "untyped memory is cleared and revoked slowly, while others retype, copy, move and delete it",
        system: || {
            threads(&[100], |s| {
                handler(s);
                s.own_cspace(at::CNODE);
                s.own_vspace(at::BADGED);
                s.make(at::EP, ObjectKind::Untyped { bits: 11 }, "untyped");
                s.thread(Some(at::REPLY), 100, "T");
            })
        },
        events: |_| {
            let (untyped, vspace, thread) = (at::EP, at::BADGED, at::REPLY);
            let (free, more, guard) = (at::FREE, at::FREE + 1, CNodeCapData::new(0, 62).0);
            let retype = |from: u64, kind: ObjectType, size: u64, count: u64| {
                let words = [kind as u64, size, 0, 0, free, count];
                invoke(from, Label::UntypedRetype, &words, &[at::CNODE])
            };
            let mut e = vec![
                syscall(Syscall::Wait, at::NTFN),
                retype(untyped, ObjectType::CNode, 2, 1),
                copy(more, untyped),
                move_to(more, untyped),
                move_into(free, 1, more),
                invoke(thread, Label::TcbSetSpace, &[guard, 0], &[0, free, vspace]),
                invoke(thread, Label::TcbSetSpace, &[CNodeCapData::new(0, 60).0, 0], &[0, at::CNODE, vspace]),
            ];
            e.extend(stopped(retype(untyped, ObjectType::Untyped, 9, 3), 1));
            e.extend(stopped(retype(more, ObjectType::Endpoint, 0, 1), 1));
            e.extend(stopped(revoke(untyped), 1));
            e.extend(stopped(revoke(more), 1));
            e.extend(stopped(delete(at::CNODE, free, 64), 1));
            e
        },
    },
    Family {
        name: "stopped handlers",
        about: "handlers of faults and interrupts are replaced, and the last capability to what was there goes slowly",
        system: || {
            threads(&[100, 101], |s| {
                s.make(at::EP, ObjectKind::Endpoint, "ep");
                s.make(at::NTFN, ObjectKind::Notification, "ntfn");
                s.own_cspace(at::CNODE);
                s.own_vspace(at::BADGED);
                s.thread(Some(at::REPLY), 100, "T");
                s.interrupts(&[0]);
                s.control(at::FREE, pecan_mem::Cap::IrqControl);
            })
        },
        events: |_| {
            let (t, control, handler, other) = (at::REPLY, at::FREE, at::FREE + 1, at::FREE + 2);
            let by = Arrival::Interrupt(FIRST_INTERRUPT + 1);
            let pin = [handler, 64, 1, 2, 3, 4, 0];
            let mut e = vec![
                syscall(Syscall::Wait, at::EP),
                syscall(Syscall::Send, at::EP),
                syscall(Syscall::Wait, at::NTFN),
                Event::Interrupt { irq: FIRST_INTERRUPT },
                invoke(control, Label::X86IrqIssueIrqHandlerMsi, &pin, &[at::CNODE]),
                invoke(handler, Label::IrqSetIrqHandler, &[], &[at::NTFN]),
                invoke(t, Label::TcbSetTimeoutEndpoint, &[], &[at::EP]),
                invoke(t, Label::TcbSetSchedParams, &[0, 100], &[at::A, other, at::EP]),
                delete(at::CNODE, at::EP, 64),
                delete(at::CNODE, at::NTFN, 64),
                invoke(t, Label::TcbSuspend, &[], &[]),
            ];
            let guard = CNodeCapData::new(0, 60).0;
            for event in [
                invoke(handler, Label::IrqClearIrqHandler, &[], &[]),
                delete(at::CNODE, handler, 64),
                invoke(t, Label::TcbSetTimeoutEndpoint, &[], &[other]),
                invoke(t, Label::TcbSetSchedParams, &[0, 100], &[at::A, other, other]),
                invoke(t, Label::TcbSetSpace, &[guard, 0], &[other, at::CNODE, at::BADGED]),
            ] {
                e.extend(stopped_by(event, 2, by));
            }
            e
        },
    },
    Family {
        name: "stopped callers",
        about: "a thread that deletes slowly, itself perhaps, is stopped, ended, moved and given other spaces and time",
        system: || {
            let mut s = System::new(4);
            handler(&mut s);
            let caller = s.thread(Some(at::A), 100, "caller");
            s.start_with(caller, Some(at::SC), "scCaller", (100, 250), false);
            s.mortal();
            let other = s.thread(None, 101, "other");
            s.start(other, None, "scOther");
            s.own_cspace(at::CNODE);
            s.own_vspace(at::BADGED);
            s.make(at::EP, ObjectKind::CNode { radix: 2 }, "cnode");
            s.make(at::REPLY, ObjectKind::Endpoint, "ep");
            s.boot()
        },
        events: |s| {
            let (caller, cnode, guard) = (at::A, at::EP, CNodeCapData::new(0, 62).0);
            let mut e = vec![
                syscall(Syscall::Wait, at::NTFN),
                Event::Tick { ticks: slice(s) },
                move_into(cnode, 3, at::REPLY),
                move_into(cnode, 1, at::SC),
                move_into(cnode, 0, caller),
                invoke(caller, Label::TcbSuspend, &[], &[]),
                invoke(caller, Label::TcbResume, &[], &[]),
                invoke(caller, Label::TcbWriteRegisters, &[0, 1, 0x2000], &[]),
                invoke(caller, Label::TcbSetSpace, &[guard, 0], &[0, cnode, at::BADGED]),
                invoke(at::SC, Label::SchedContextUnbind, &[], &[]),
                invoke(at::SC, Label::SchedContextBind, &[], &[caller]),
            ];
            for slot in [cnode, caller] {
                let event = delete(at::CNODE, slot, 64);
                e.extend(stopped(event.clone(), 1));
                e.extend(stopped_by(event, 1, Arrival::Time(slice(s))).into_iter().take(1));
            }
            e
        },
    },
];
