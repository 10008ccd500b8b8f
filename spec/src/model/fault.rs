//! Faults (manual 6.2).

use pecan_abi::{MessageInfo, fault::FaultTag};

use super::{Cap, Doing, Fault, Name, Place, Sending, Slot, Step, cspace::describe, thread_slot};

/// True for a capability that faults can go to: messages pass, and an answer can come back.
pub(super) fn is_handler(cap: Cap) -> bool {
    matches!(cap, Cap::Endpoint { rights: r, .. } if r.write && (r.grant || r.grant_reply))
}

/// The flags of the processor that are user level's: arithmetic, single step, direction, alignment, identification.
const USER_FLAGS: u64 = 0x25_0dd5;

impl Step {
    /// Manual 6.2: the kernel tells the thread's handler in the thread's name; without one the thread stops.
    pub(super) fn raise(&mut self, thread: Name, fault: Fault) {
        let index = if let Fault::Timeout { .. } = fault { thread_slot::TIMEOUT } else { thread_slot::FAULT };
        match self.cap(Slot { object: thread, index }) {
            Some(cap @ Cap::Endpoint { ep, badge, rights }) if is_handler(cap) => {
                self.thread(thread).fault = Some(fault);
                let how =
                    Sending { badge, grant: rights.grant, grant_reply: rights.grant_reply, call: false };
                self.send(thread, ep, how, true, index == thread_slot::FAULT);
            }
            _ => self.block(thread, Doing::Nothing),
        }
    }

    /// Manual 6.2.1 to 6.2.7: what the handler is told.
    pub(super) fn fault_message(&mut self, thread: Name, fault: Fault) -> (u64, Vec<u64>) {
        let Place { ip, sp, flags } = self.thread(thread).place;
        match fault {
            Fault::Cap { address, receiving, failure } => {
                let mut words = vec![ip, address, receiving as u64];
                words.extend(describe(failure));
                (FaultTag::CapFault as u64, words)
            }
            Fault::UserException { number, code } => {
                (FaultTag::UserException as u64, vec![ip, sp, flags, number, code])
            }
            Fault::Vm { address, instruction, status } => {
                (FaultTag::VMFault as u64, vec![ip, address, instruction as u64, status])
            }
            Fault::Timeout { badge } => {
                let used = self.thread(thread).sc.map_or(0, |sc| self.take_consumed(sc));
                (FaultTag::Timeout as u64, vec![badge, used])
            }
            Fault::UnknownSyscall { number } => (FaultTag::UnknownSyscall as u64, vec![number]),
        }
    }

    /// The handler's answer: true if the thread goes on. To an exception or a timeout, it says where.
    pub(super) fn apply_answer(&mut self, fault: Fault, handler: Name, thread: Name) -> bool {
        let label = MessageInfo(self.thread(handler).registers.info).label();
        if let Fault::UserException { .. } | Fault::Timeout { .. } = fault {
            let words: Vec<u64> = (0..self.sendable_length(handler)).map(|i| self.word(handler, i)).collect();
            let place = &mut self.thread(thread).place;
            place.ip = words.first().copied().unwrap_or(place.ip);
            place.sp = words.get(1).copied().unwrap_or(place.sp);
            place.flags = words.get(2).map_or(place.flags, |flags| flags & USER_FLAGS | 0x202);
        }
        matches!(fault, Fault::Cap { .. } | Fault::Vm { .. }) || label == 0
    }
}
