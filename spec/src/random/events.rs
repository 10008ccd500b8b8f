//! Events that make sense, mostly: system calls with arguments that are near the mark, and what else happens.

use pecan_abi::{CNodeCapData, Label, ObjectType, Syscall};

use super::{
    choices::Choices,
    systems::{
        CNODE, EP, FRAME, FREE, NODE, NODE_RADIX, NTFN, REPLY, SC, Shape, TABLE, THREAD, UNTYPED, VSPACE, Who,
    },
};
use crate::{
    lockstep::is_long,
    model::{Arrival, Call, Event, FIRST_INTERRUPT},
};

/// Chooses events in a system.
pub(super) struct Chooser<'a, 'c> {
    pub(super) r: &'a mut Choices<'c>,
    pub(super) shape: &'a Shape,
}

/// Capability, label, words and capabilities of an invocation.
pub(super) type Arguments = (u64, Label, Vec<u64>, Vec<u64>);

/// An event where `who` runs in a system of this shape.
pub(super) fn event(r: &mut Choices, shape: &Shape, who: Who) -> Event {
    let kind = r.below(20);
    let mut chooser = Chooser { r, shape };
    match who {
        Who::Nobody => chooser.alone(),
        Who::Supervisor => chooser.supervise(),
        Who::Thread => chooser.event(kind),
    }
}

pub(super) fn invoke(call: Syscall, (cap, label, words, extra): Arguments) -> Event {
    Event::Syscall(Call { label: label as u64, words, extra, ..Call::new(call, cap) })
}

impl Chooser<'_, '_> {
    /// What happens also when no thread runs.
    fn alone(&mut self) -> Event {
        match self.r.below(4) {
            0 => self.interrupt(),
            _ => Event::Tick { ticks: self.r.pick(&[1_000, 100_000, 5_000_000]) },
        }
    }

    fn interrupt(&mut self) -> Event {
        Event::Interrupt { irq: FIRST_INTERRUPT + self.r.below(2) }
    }

    /// What keeps the others going.
    fn supervise(&mut self) -> Event {
        match self.r.below(4) {
            0 => Event::Tick { ticks: 5_000_000 },
            1 => self.perhaps_stopped(),
            _ => {
                let (thread, sc) = (self.thread(), SC + self.r.below(self.shape.contexts));
                let bind = (sc, Label::SchedContextBind, vec![], vec![thread]);
                let resume = (thread, Label::TcbResume, vec![], vec![]);
                invoke(Syscall::Call, if self.r.below(3) == 0 { bind } else { resume })
            }
        }
    }

    fn event(&mut self, kind: u64) -> Event {
        let r = &mut *self.r;
        match kind {
            0 => Event::Tick { ticks: r.pick(&[1_000, 100_000, 5_000_000]) },
            1 => {
                // Page faults are events of their own.
                let number = r.pick(&[0, 1, 3, 4, 5, 6, 7, 9, 11, 12, 13, 16, 17, 19]);
                Event::Exception { number, code: r.below(3) }
            }
            2 => match r.below(6) {
                0 => Event::UnknownSyscall { number: 77 },
                1 => {
                    let (address, instruction) = (r.below(1 << 48), r.below(2) == 0);
                    // The processor says in the status, too, whether it was an instruction.
                    Event::PageFault {
                        address,
                        instruction,
                        status: r.below(8) | u64::from(instruction) << 4,
                    }
                }
                2 | 3 => self.interrupt(),
                _ => self.message(),
            },
            3..=10 => self.message(),
            _ => self.perhaps_stopped(),
        }
    }

    /// An invocation, which may be stopped if it can take long: by itself, or as it deletes what it replaces.
    fn perhaps_stopped(&mut self) -> Event {
        use Label::*;
        let replaces = |call: &Call| {
            let label = Label::from_word(call.label);
            matches!(
                label,
                Some(TcbSetSchedParams | TcbSetTimeoutEndpoint | TcbSetSpace | TcbConfigure)
                    | Some(IrqSetIrqHandler | IrqClearIrqHandler)
            )
        };
        let ends = self.shape.mortal && self.r.rarely(6);
        match if ends { self.ending() } else { self.invocation() } {
            Event::Syscall(call) if (is_long(&call) || replaces(&call)) && self.r.below(3) == 2 => {
                let irq = FIRST_INTERRUPT + self.r.below(2);
                Event::Stopped { call, point: 1 + self.r.below(4), by: Arrival::Interrupt(irq) }
            }
            event => event,
        }
    }

    /// The address of a slot: mostly one with something in it.
    pub(super) fn slot(&mut self) -> u64 {
        // Those beyond the first level are reached through a CNode in it.
        let all = if self.shape.nodes > 0 { 1 << 10 } else { 100 };
        if self.r.rarely(40) { self.r.below(all) } else { self.shape.slot(self.r.below(self.shape.slots())) }
    }

    pub(super) fn thread(&mut self) -> u64 {
        THREAD + self.r.below(self.shape.threads)
    }

    pub(super) fn notification(&mut self) -> u64 {
        NTFN + self.r.below(self.shape.notifications)
    }

    /// A capability to an endpoint, or one of `others` after them.
    pub(super) fn endpoint(&mut self, others: u64) -> u64 {
        let n = self.r.below(2 * self.shape.endpoints + others);
        let at = n.checked_sub(2 * self.shape.endpoints);
        at.map_or(EP + n, |at| {
            let reply = at.checked_sub(self.shape.notifications);
            reply.map_or(NTFN + at, |reply| REPLY + reply)
        })
    }

    /// An address space: the one that threads begin with, or another if there are many.
    pub(super) fn space(&mut self) -> u64 {
        let is_other = self.shape.nodes > 0 && self.r.rarely(4);
        if is_other { TABLE + 3 + 4 * self.r.below(self.shape.tables) } else { VSPACE }
    }

    fn message(&mut self) -> Event {
        let calls = [
            Syscall::Call,
            Syscall::Call,
            Syscall::ReplyRecv,
            Syscall::ReplyRecv,
            Syscall::NBSendRecv,
            Syscall::NBSendWait,
            Syscall::Send,
            Syscall::NBSend,
            Syscall::Recv,
            Syscall::Recv,
            Syscall::NBRecv,
            Syscall::Wait,
            Syscall::NBWait,
            Syscall::Yield,
        ];
        let (notifications, replies) = (self.shape.notifications, self.shape.replies);
        let cap = if self.r.rarely(8) { self.slot() } else { self.endpoint(notifications) };
        let reply = if self.r.rarely(8) { self.slot() } else { REPLY + self.r.below(replies) };
        let receive = (self.r.below(2) == 0).then(|| [CNODE, self.slot(), 64]);
        let words = self.r.list(6, |r| r.below(9));
        let extra = if self.r.below(2) == 0 { self.slots(3) } else { vec![] };
        Event::Syscall(Call {
            call: self.r.pick(&calls),
            cap,
            reply,
            dest: self.endpoint(notifications),
            label: self.r.pick(&[0, 1, 500]),
            words,
            extra,
            receive,
            after: 0,
        })
    }

    fn slots(&mut self, most: u64) -> Vec<u64> {
        (0..self.r.below(most + 1)).map(|_| self.slot()).collect()
    }

    fn invocation(&mut self) -> Event {
        use Label::*;
        let depth = if self.r.rarely(30) { self.r.below(70) } else { 64 };
        let (a, b, c) = (self.slot(), self.slot(), self.slot());
        let badges = [0, 5, 6, CNodeCapData::skip_to(3).0, CNodeCapData::skip_to(5).0];
        let (rights, badge) = (self.r.below(16), self.r.pick(&badges));
        let page = 0x40_0000 + 4096 * self.r.below(3);
        let thread = self.thread();
        let (cap, label, words, extra): Arguments = match self.r.below(21) {
            16 => self.registers(),
            17 if self.r.below(3) == 0 => self.spaces(),
            18 | 19 => self.hardware(),
            17 | 20 => self.time(),
            0 => {
                let kinds = [
                    (ObjectType::Tcb, 0),
                    (ObjectType::Endpoint, 0),
                    (ObjectType::Notification, 0),
                    (ObjectType::CNode, 1 + self.r.below(3)),
                    (ObjectType::Reply, 0),
                    (ObjectType::SchedContext, 7 + self.r.below(2)),
                    (ObjectType::Untyped, 3 + self.r.below(9)),
                    (ObjectType::Page4K, 0),
                    (ObjectType::PageTable, 0),
                ];
                let (kind, size) = self.r.pick(&kinds);
                let count = 1 + self.r.below(3);
                let untyped = UNTYPED + self.r.below(self.shape.untypeds);
                (untyped, UntypedRetype, vec![kind as u64, size, 0, 0, a, count], vec![CNODE])
            }
            1 | 2 => (CNODE, CNodeCopy, vec![a, depth, b, 64, rights], vec![CNODE]),
            3 => (CNODE, CNodeMint, vec![a, 64, b, depth, rights, badge], vec![CNODE]),
            4 => (CNODE, CNodeMove, vec![a, 64, b, depth], vec![CNODE]),
            5 => (CNODE, CNodeMutate, vec![a, 64, b, 64, badge], vec![CNODE]),
            6 => (CNODE, CNodeRotate, vec![a, 64, 0, b, 64, 0, c, 64], vec![CNODE, CNODE]),
            7 if self.r.below(3) == 0 => (CNODE, CNodeRevoke, vec![a, depth], vec![]),
            7 => (CNODE, CNodeDelete, vec![a, depth], vec![]),
            8 => (CNODE, CNodeCancelBadgedSends, vec![self.endpoint(0), 64], vec![]),
            9 => {
                let labels = [TcbSuspend, TcbResume, TcbResume, TcbUnbindNotification];
                (thread, self.r.pick(&labels), vec![], vec![])
            }
            10 => {
                let label = self.r.pick(&[TcbSetPriority, TcbSetMcPriority]);
                (thread, label, vec![98 + self.r.below(4)], vec![self.thread()])
            }
            11 => (thread, TcbBindNotification, vec![], vec![self.notification()]),
            12 => {
                let labels = [
                    SchedContextBind,
                    SchedContextUnbindObject,
                    SchedContextUnbind,
                    SchedContextYieldTo,
                    SchedContextConsumed,
                ];
                let (sc, label) = (SC + self.r.below(self.shape.contexts), self.r.pick(&labels));
                let n = self.r.below(2 + self.shape.notifications);
                (sc, label, vec![], vec![n.checked_sub(2).map_or(thread, |n| NTFN + n)])
            }
            13 => {
                let words = vec![100, 99 + self.r.below(3)];
                let sc = SC + self.r.below(self.shape.contexts + 1);
                (thread, TcbSetSchedParams, words, vec![THREAD, sc, self.endpoint(4)])
            }
            14 => {
                let labels = [PageMap, PageMap, PageUnmap, PageGetAddress];
                let frame = FRAME + self.r.below(self.shape.frames);
                (frame, self.r.pick(&labels), vec![page, rights, 0], vec![self.space()])
            }
            _ => {
                let level = self.r.below(3);
                let labels = [
                    [PageTableMap, PageTableUnmap],
                    [X86PageDirectoryMap, X86PageDirectoryUnmap],
                    [X86PdptMap, X86PdptUnmap],
                ][level as usize];
                let label = labels[self.r.rarely(4) as usize];
                let set = if self.shape.tables > 1 { self.r.below(self.shape.tables) } else { 0 };
                (TABLE + level + 4 * set, label, vec![page, 0], vec![self.space()])
            }
        };
        let (cap, words, extra) = self.nest((cap, label, words, extra));
        // Now and then to the wrong capability, with the wrong number of things, or without waiting for an answer.
        let cap = if self.r.rarely(25) { self.slot() } else { cap };
        let words = if self.r.rarely(40) { words[..words.len() / 2].to_vec() } else { words };
        let extra = if self.r.rarely(40) { self.slots(3) } else { extra };
        let call = if self.r.rarely(20) { Syscall::Send } else { Syscall::Call };
        invoke(call, (cap, label, words, extra))
    }

    /// Deletes what may be the last capability to something, or puts that where others go with it.
    fn ending(&mut self) -> Event {
        use Label::*;
        let groups = [
            (EP, 2 * self.shape.endpoints),
            (NTFN, self.shape.notifications),
            (REPLY, self.shape.replies),
            (THREAD, self.shape.threads),
            (SC, self.shape.contexts),
            (UNTYPED, self.shape.untypeds),
            (FREE, 8),
            (NODE, self.shape.nodes.max(1)),
        ];
        let (first, count) = self.r.pick(&groups);
        let at = first + self.r.below(count);
        let free = FREE + self.r.below(8);
        let arguments = match self.r.below(8) {
            0..=2 => (CNODE, CNodeDelete, vec![at, 64], vec![]),
            3 => (CNODE, CNodeRevoke, vec![at, 64], vec![]),
            4 => (CNODE, CNodeCancelBadgedSends, vec![self.endpoint(0), 64], vec![]),
            5 => (CNODE, CNodeMove, vec![free, 64, at, 64], vec![CNODE]),
            _ => {
                let (node, index) =
                    (NODE + self.r.below(self.shape.nodes.max(1)), self.r.below(1 << NODE_RADIX));
                (node, CNodeMove, vec![index, NODE_RADIX.into(), at, 64], vec![CNODE])
            }
        };
        invoke(Syscall::Call, arguments)
    }

    /// Where there are CNodes in the CSpace, now and then makes the one that an invocation is about one of them.
    fn nest(&mut self, (mut cap, label, mut words, mut extra): Arguments) -> (u64, Vec<u64>, Vec<u64>) {
        let about_slots = (Label::CNodeRevoke as u64..=Label::CNodeRotate as u64).contains(&(label as u64));
        let makes = label == Label::UntypedRetype;
        if self.shape.nodes > 0 && (about_slots || makes) && self.r.rarely(3) {
            let node = NODE + self.r.below(self.shape.nodes);
            let index = self.r.below(1 + (1 << NODE_RADIX));
            // Where the slot of the first CNode, and of the second one if there is one, are named.
            let first = if makes { 4 } else { 0 };
            let second = if label == Label::CNodeRotate { 3 } else { 2 };
            if makes {
                (extra[0], words[first]) = (node, index);
            } else if extra.is_empty() || self.r.below(2) == 0 {
                (cap, words[first], words[first + 1]) = (node, index, NODE_RADIX.into());
            } else {
                (extra[0], words[second], words[second + 1]) = (node, index, NODE_RADIX.into());
            }
        }
        (cap, words, extra)
    }
}
