//! The families with the most states: what there are several of in them is alike, so that one state stands for many.

use pecan_abi::{CapRights, Label, Syscall};
use pecan_mem::retype::ObjectKind;

use super::{at, invoke, with_reply, yields};
use crate::{
    explore::Family,
    model::{Call, Event},
    system::System,
};

/// The second endpoint.
const EP2: u64 = at::BADGED;

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "crowd",
        about: "three equal threads of two priorities, two endpoints, two reply objects and a notification",
        system: crowd,
        events: |_| crowd_events(&[at::EP, EP2], &[at::REPLY, at::REPLY2], &[at::A, at::B, at::C]),
    },
    Family {
        name: "equal slots",
        about: "one thread copies, mints, moves, deletes and revokes among an endpoint and five equal slots",
        system: || equal_slots(&[at::FREE, at::FREE + 1, at::FREE + 2, at::FREE + 3, at::A]),
        events: |_| slot_events(&[at::FREE, at::FREE + 1, at::FREE + 2, at::FREE + 3, at::A]),
    },
    Family {
        name: "many slots",
        about: "the same with seven slots, in two groups of equal ones",
        system: || {
            let mut s = System::new(4);
            let thread = s.thread(None, 100, "thread");
            s.start(thread, None, "sc");
            s.make(at::EP, ObjectKind::Endpoint, "ep");
            s.own_cspace(at::CNODE);
            s.alike(&[&[at::FREE], &[at::FREE + 1], &[at::FREE + 2]]);
            s.alike(&[&[at::A], &[at::B]]);
            s.boot()
        },
        events: |_| {
            let slots = [at::FREE, at::FREE + 1, at::FREE + 2, at::FREE + 3, at::A, at::B, at::C];
            slot_events(&slots)
        },
    },
];

fn crowd() -> System {
    let mut s = System::new(4);
    for (slot, what) in [(at::A, "A"), (at::B, "B"), (at::C, "C")] {
        let thread = s.thread(Some(slot), 100, what);
        s.start(thread, None, &format!("sc{what}"));
    }
    s.make(at::EP, ObjectKind::Endpoint, "ep");
    s.make(EP2, ObjectKind::Endpoint, "ep2");
    s.make(at::NTFN, ObjectKind::Notification, "ntfn");
    s.make(at::REPLY, ObjectKind::Reply, "reply");
    s.make(at::REPLY2, ObjectKind::Reply, "reply2");
    s.alike(&[&[at::A], &[at::B], &[at::C]]);
    s.alike(&[&[at::EP], &[EP2]]);
    s.alike(&[&[at::REPLY], &[at::REPLY2]]);
    s.boot()
}

/// The same events for all of a kind.
fn crowd_events(endpoints: &[u64], replies: &[u64], threads: &[u64]) -> Vec<Event> {
    let message = |kind, cap| Event::Syscall(Call { label: 77, words: vec![1, 2], ..Call::new(kind, cap) });
    let plain = |kind, cap| Event::Syscall(Call::new(kind, cap));
    let mut e = vec![yields(), message(Syscall::Send, at::NTFN), plain(Syscall::Wait, at::NTFN)];
    for &ep in endpoints {
        e.extend([Syscall::Send, Syscall::NBSend, Syscall::Call].map(|kind| message(kind, ep)));
        e.push(plain(Syscall::Wait, ep));
        for &reply in replies {
            e.push(with_reply(Syscall::Recv, ep, reply));
            e.push(with_reply(Syscall::ReplyRecv, ep, reply));
        }
    }
    e.extend(replies.iter().map(|&reply| message(Syscall::Send, reply)));
    for &thread in threads {
        e.push(invoke(thread, Label::TcbSuspend, &[], &[]));
        e.push(invoke(thread, Label::TcbResume, &[], &[]));
        e.push(invoke(thread, Label::TcbSetPriority, &[99], &[thread]));
        e.push(invoke(thread, Label::TcbSetPriority, &[100], &[thread]));
        e.push(invoke(thread, Label::TcbBindNotification, &[], &[at::NTFN]));
        e.push(invoke(thread, Label::TcbUnbindNotification, &[], &[]));
    }
    e
}

fn equal_slots(slots: &[u64]) -> System {
    let mut s = System::new(4);
    let thread = s.thread(None, 100, "thread");
    s.start(thread, None, "sc");
    s.make(at::EP, ObjectKind::Endpoint, "ep");
    s.own_cspace(at::CNODE);
    let members: Vec<&[u64]> = slots.chunks(1).collect();
    s.alike(&members);
    s.boot()
}

fn slot_events(slots: &[u64]) -> Vec<Event> {
    let (all, read) = (CapRights::ALL.0, CapRights::READ.0);
    let mut e = vec![];
    let on = |label, words: &[u64]| invoke(at::CNODE, label, words, &[at::CNODE]);
    for &from in [at::EP].iter().chain(slots) {
        for &to in slots {
            e.push(on(Label::CNodeCopy, &[to, 64, from, 64, all]));
            e.push(on(Label::CNodeCopy, &[to, 64, from, 64, read]));
            e.push(on(Label::CNodeMint, &[to, 64, from, 64, all, 7]));
            e.push(on(Label::CNodeMove, &[to, 64, from, 64]));
        }
        e.push(on(Label::CNodeMove, &[at::EP, 64, from, 64]));
        e.push(invoke(at::CNODE, Label::CNodeDelete, &[from, 64], &[]));
        e.push(invoke(at::CNODE, Label::CNodeRevoke, &[from, 64], &[]));
    }
    e
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::{Bound, explore_with};

    /// One state of each orbit is visited, and the orbits are all there is.
    #[track_caller]
    fn stands_for_all(family: &Family) {
        let reduced = explore_with(family, Bound::NONE, true);
        let all = explore_with(family, Bound::NONE, false);
        assert!(reduced.closed && all.closed, "{:?} {:?}", reduced.broken, all.broken);
        assert_eq!(reduced.stands_for, all.states);
        assert!(reduced.states * 3 < all.states * 2, "{} of {} states", reduced.states, all.states);
    }

    #[test]
    fn equal_threads_and_reply_objects_stand_for_one_another() {
        stands_for_all(&Family {
            name: "pair",
            about: "two equal threads, an endpoint, two reply objects",
            system: || {
                let mut s = System::new(4);
                for (slot, what) in [(at::A, "A"), (at::B, "B")] {
                    let thread = s.thread(Some(slot), 100, what);
                    s.start(thread, None, &format!("sc{what}"));
                }
                s.make(at::EP, ObjectKind::Endpoint, "ep");
                s.make(at::NTFN, ObjectKind::Notification, "ntfn");
                s.make(at::REPLY, ObjectKind::Reply, "reply");
                s.make(at::REPLY2, ObjectKind::Reply, "reply2");
                s.alike(&[&[at::A], &[at::B]]);
                s.alike(&[&[at::REPLY], &[at::REPLY2]]);
                s.boot()
            },
            events: |_| crowd_events(&[at::EP], &[at::REPLY, at::REPLY2], &[at::A, at::B]),
        });
    }

    #[test]
    fn equal_slots_stand_for_one_another() {
        if crate::is_fast() {
            return;
        }
        stands_for_all(&Family {
            name: "slots",
            about: "an endpoint and three equal slots",
            system: || equal_slots(&[at::FREE, at::FREE + 1, at::FREE + 2]),
            events: |_| slot_events(&[at::FREE, at::FREE + 1, at::FREE + 2]),
        });
    }

    #[test]
    #[should_panic(expected = "not alike")]
    fn what_events_tell_apart_is_not_alike() {
        let family = Family {
            name: "unequal",
            about: "two slots, one of which is never deleted",
            system: || equal_slots(&[at::FREE, at::FREE + 1]),
            events: |_| vec![invoke(at::CNODE, Label::CNodeDelete, &[at::FREE, 64], &[])],
        };
        explore_with(&family, Bound::NONE, true);
    }
}
