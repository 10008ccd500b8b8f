//! The systems in which random calls are made: how many there are of everything, and what lies in which slot.

use pecan_abi::{CapRights, Label, Syscall};
use pecan_mem::{Cap, retype::ObjectKind};
use proptest::{arbitrary::any, strategy::Strategy};

use super::events::invoke;
use crate::{
    model::{self, Call, Event},
    system::System,
};

/// Memory of the machine in bytes, log2.
const MEMORY_BITS: u32 = 20;
/// Slots of the CSpace, log2.
pub(super) const RADIX: u8 = 7;
/// Slots of a CNode in it, log2.
pub(super) const NODE_RADIX: u8 = 3;

/// Slots of the system.
pub(super) const CNODE: u64 = 1;
pub(super) const VSPACE: u64 = 2;
pub(super) const UNTYPED: u64 = 3;
/// Endpoints, a capability without a badge and one with it of each.
pub(super) const EP: u64 = 8;
pub(super) const NTFN: u64 = 24;
pub(super) const REPLY: u64 = 30;
pub(super) const THREAD: u64 = 36;
pub(super) const SC: u64 = 52;
pub(super) const FRAME: u64 = 68;
/// Tables of all levels, the last an address space; then the same again.
pub(super) const TABLE: u64 = 76;
/// Authorities over time and hardware.
pub(super) const CONTROL: u64 = 84;
pub(super) const ASID_UNTYPED: u64 = 90;
/// Nothing is here at first.
pub(super) const FREE: u64 = 91;
/// CNodes.
pub(super) const NODE: u64 = 121;
/// The pool of identifiers that the address space is of.
pub(super) const POOL: u64 = 125;

/// The priority of the supervisor, which is the lowest.
const SUPERVISOR: u8 = 90;
/// The priority of servers, which is the highest.
const SERVER: u8 = 102;
/// Priorities of the other threads.
const PRIORITIES: [u8; 8] = [100, 100, 101, 101, 99, 100, 101, 98];
/// Budget and period in microseconds of the scheduling contexts after the first few, and the sporadic flag.
const TIMES: [((u64, u64), bool); 3] =
    [((5_000, 0), false), ((2_000, 10_000), false), ((1_000, 4_000), true)];

/// How many there are of everything in a system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// Threads, and the supervisor.
    pub threads: u64,
    /// Endpoints.
    pub endpoints: u64,
    /// Notifications.
    pub notifications: u64,
    /// Reply objects.
    pub replies: u64,
    /// Scheduling contexts, one for each of the first threads; the others are servers, which wait for clients.
    pub contexts: u64,
    /// Small frames.
    pub frames: u64,
    /// Untyped objects.
    pub untypeds: u64,
    /// Sets of a table of each level.
    pub tables: u64,
    /// CNodes in the CSpace, each with a capability to the next one in it. Where there are any, some threads have a
    /// CSpace of two levels, and the threads and addresses are of two domains and two address spaces.
    pub nodes: u64,
    /// Most threads end with the capability to them in their slot, and much is deleted.
    pub mortal: bool,
}

/// Who runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Who {
    /// Nobody.
    Nobody,
    /// The thread of the lowest priority, which does what keeps the others going.
    Supervisor,
    /// Any other.
    Thread,
}

impl Who {
    /// Who runs in a state.
    pub(super) fn of(state: &model::State) -> Who {
        match state.current {
            None => Who::Nobody,
            Some(thread) if state.threads[&thread].priority == SUPERVISOR => Who::Supervisor,
            Some(_) => Who::Thread,
        }
    }
}

impl Shape {
    /// A system of the size of the families'.
    pub const SMALL: Shape = Shape {
        threads: 4,
        endpoints: 2,
        notifications: 2,
        replies: 2,
        contexts: 3,
        frames: 2,
        untypeds: 2,
        tables: 1,
        nodes: 0,
        mortal: false,
    };

    /// Systems of many sizes, which become [`Shape::SMALL`] when they are shrunk.
    pub fn any() -> impl Strategy<Value = Shape> {
        let objects = (4..=16u64, 2..=8u64, 2..=6u64, 2..=6u64, 1..=2u64);
        (objects, 2..=6u64, 2..=4u64, 1..=2u64, 0..=4u64, any::<bool>()).prop_map(
            |(objects, frames, untypeds, tables, nodes, mortal)| {
                let (threads, endpoints, notifications, replies, servers) = objects;
                let contexts = threads - servers.min(threads / 4);
                Shape {
                    threads,
                    endpoints,
                    notifications,
                    replies,
                    contexts,
                    frames,
                    untypeds,
                    tables,
                    nodes,
                    mortal,
                }
            },
        )
    }

    /// A system that has just been booted.
    pub fn boot(&self) -> System {
        let mut s = System::with_memory(RADIX, MEMORY_BITS);
        s.own_cspace(CNODE);
        s.own_vspace(VSPACE);
        for i in 0..self.untypeds {
            let bits = [13, 10, 11, 12][i as usize];
            s.make(UNTYPED + i, ObjectKind::Untyped { bits }, &format!("untyped{}", i + 1));
        }
        for i in 0..self.endpoints {
            s.make(EP + 2 * i, ObjectKind::Endpoint, &format!("ep{i}"));
            s.mint(EP + 2 * i, EP + 2 * i + 1, CapRights::ALL, 5 + i);
        }
        for i in 0..self.notifications {
            s.make(NTFN + i, ObjectKind::Notification, &format!("ntfn{i}"));
        }
        for i in 0..self.replies {
            s.make(REPLY + i, ObjectKind::Reply, &format!("reply{i}"));
        }
        for i in 0..self.frames {
            s.make(FRAME + i, ObjectKind::Frame { level: 0 }, &format!("frame{i}"));
        }
        s.make(ASID_UNTYPED, ObjectKind::Untyped { bits: 12 }, "asidUntyped");
        for i in 0..4 * self.tables {
            s.make(TABLE + i, ObjectKind::PageTable { level: i as u8 % 4 }, &format!("table{i}"));
        }
        for i in 0..self.nodes {
            s.make(NODE + i, ObjectKind::CNode { radix: NODE_RADIX }, &format!("node{i}"));
            s.nest(NODE + i, 1, EP);
        }
        (1..self.nodes).for_each(|i| s.nest(NODE + i - 1, 2, NODE + i));
        self.threads(&mut s);
        let controls = [
            Cap::SchedControl { core: 0 },
            Cap::IrqControl,
            Cap::Arch(pecan_mem::ArchCap::IoPortControl),
            Cap::Domain,
            Cap::AsidControl,
        ];
        controls.into_iter().enumerate().for_each(|(i, cap)| s.control(CONTROL + i as u64, cap));
        if self.nodes > 0 {
            s.own_pool(POOL);
            s.domains(&[(1, 200_000), (0, 1_000_000)]);
        }
        s.interrupts(&[0, 1]);
        s.ports(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        s.remember();
        let supervisor = s.thread(None, SUPERVISOR, "supervisor");
        s.start(supervisor, None, "scSupervisor");
        let receive = |i| Call { reply: REPLY + i, ..Call::new(Syscall::Recv, EP + 2 * i) };
        let wait = (0..self.servers()).map(|i| Event::Syscall(receive(i)));
        // Whoever runs when they all wait takes their time away.
        let unbind = (self.contexts..self.threads)
            .map(|i| invoke(Syscall::Call, (SC + i, Label::SchedContextUnbind, vec![], vec![])));
        s.boot().play(&wait.chain(unbind).collect::<Vec<_>>())
    }

    fn servers(&self) -> u64 {
        self.threads - self.contexts
    }

    fn threads(&self, s: &mut System) {
        let two_levels = (self.nodes > 0).then(|| s.two_levels(NODE));
        for i in 0..self.threads {
            let other = two_levels.filter(|_| i % 4 == 3).map(|cspace| s.enter_by(cspace));
            let is_server = i >= self.contexts;
            let priority = if is_server { SERVER } else { PRIORITIES[i as usize % 8] };
            let thread = s.thread(Some(THREAD + i), priority, &format!("thread{i}"));
            if let Some(cspace) = other {
                s.enter_by(cspace);
            }
            if self.mortal && i % 4 > 0 {
                s.mortal();
            }
            if self.nodes > 0 && i % 5 == 4 && !is_server {
                s.domain(thread, 1);
            }
            if i % 4 == 2 {
                s.handler(thread, EP + 1 + 2 * (i / 4 % self.endpoints), false);
            }
            if i % 8 == 5 {
                s.handler(thread, EP, true);
            }
            let (time, sporadic) = TIMES[if i < 4 || is_server { 0 } else { i as usize % 3 }];
            s.start_with(thread, Some(SC + i), &format!("sc{i}"), time, sporadic);
        }
    }

    /// Where things are, and how many: slots from the first on.
    fn places(&self) -> [(u64, u64); 12] {
        [
            (0, 3),
            (UNTYPED, self.untypeds),
            (EP, 2 * self.endpoints),
            (NTFN, self.notifications),
            (REPLY, self.replies),
            (THREAD, self.threads),
            (SC, self.contexts),
            (FRAME, self.frames + 1),
            (TABLE, 4 * self.tables),
            (CONTROL, 7),
            (FREE, 30),
            (NODE, if self.nodes > 0 { POOL + 1 - NODE } else { 0 }),
        ]
    }

    /// How many slots have something in them, or may well get it.
    pub(super) fn slots(&self) -> u64 {
        self.places().iter().map(|place| place.1).sum()
    }

    /// One of these slots.
    pub(super) fn slot(&self, mut n: u64) -> u64 {
        for (first, count) in self.places() {
            if n < count {
                return first + n;
            }
            n -= count;
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Doing;

    #[test]
    fn servers_wait_for_clients_without_time() {
        let servers = |shape: &Shape| {
            let state = shape.boot().state();
            let waits = |t: &&model::Thread| t.sc.is_none() && matches!(t.doing, Doing::Receiving { .. });
            state.threads.values().filter(waits).count() as u64
        };
        let large = Shape { threads: 16, contexts: 14, nodes: 4, ..Shape::SMALL };
        assert_eq!((servers(&Shape::SMALL), servers(&large)), (1, 2));
    }
}
